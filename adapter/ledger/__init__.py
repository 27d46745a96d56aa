"""The ledger: a durable memory of the calls and of who is blocked, in an SQL database.

Optional: imported only where `[ledger]` is configured, and with it SQLAlchemy and Alembic. The
service knows it by a protocol. `ledger` has the one class for the layers above; `writer` the queue
and its thread; `records`, `idempotency`, `retention` and `queries` the statements; `schema` the
tables; `database` and `upgrade` the engine and its schema version; `threads` where SQLite runs.

Rules: identifiers of persons are stored in the table `contacts` alone; no connection is opened
before the first call; a failure of the database never fails a call, unless it is `required`.
"""
