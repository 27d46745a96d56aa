"""The ledger: a durable memory of the calls and of who is blocked, in an SQL database.

Optional: imported only where `[ledger]` is configured, and with it SQLAlchemy and Alembic. The
service knows it by a protocol. The layers above use the class `ledger.Ledger` alone, and the types
that it returns:

- `writer`: the bounded queue and its thread; `session`: the thread's connection; `events` and
  `rows`: what is recorded; `records` and `statements`: how.
- `idempotency`, `retention`, `queries`: the other statements.
- `schema`: the tables; `database`: the engine; `upgrade` and `migrations`: the schema's version.
- `threads`: where SQLite runs under gevent.

Rules: identifiers of persons are stored in the table `contacts` alone; no connection is opened
before the first call; a failure of the database fails no call, unless the ledger is `required`.
"""
