"""The ledger: a durable memory of the calls and of who is blocked, in an SQL database.

Optional: imported only where `[ledger]` is configured, and with it SQLAlchemy and Alembic. The
service knows it by a protocol. The layers above use `load_ledger`, the class `ledger.Ledger`, and
the types that it returns:

- `writer`: the bounded queue and its thread; `session`: the thread's connection; `events` and
  `rows`: what is recorded; `records` and `statements`: how.
- `idempotency`, `retention`, `queries`: the other statements.
- `schema`: the tables; `database`: the engine; `upgrade` and `migrations`: the schema's version.
- `threads`: where SQLite runs under gevent.

Rules: identifiers of persons are stored in the table `contacts` alone; no connection is opened
before the first call; a failure of the database fails no call, unless the ledger is `required`.
"""

from __future__ import annotations

import sqlite3
from importlib import import_module
from typing import TYPE_CHECKING, Final

from adapter.errors import ConfigurationError, ConfigurationProblem
from adapter.secret import Secret
from adapter.settings.database_url import SQLITE
from adapter.settings.model import LedgerSettings

if TYPE_CHECKING:
    from adapter.ledger.ledger import Ledger

MIN_SQLITE: Final = (3, 33, 0)
"""The first version of SQLite with `UPDATE … FROM` (August 2020)."""


def load_ledger(settings: LedgerSettings) -> Ledger:
    """Return the ledger; no connection is opened.

    Raises ConfigurationError, with the command that installs it, for a missing library.
    """
    url = settings.url.reveal() if isinstance(settings.url, Secret) else settings.url
    is_sqlite = url.startswith(SQLITE)
    extra = "ledger" if is_sqlite else "postgresql"
    try:
        module = import_module("adapter.ledger.ledger")
        if not is_sqlite:
            import_module("psycopg")
    except ImportError as error:
        message = f"needs {error.name}; run: pip install 'contact-adapter[{extra}]'"
        raise ConfigurationError([ConfigurationProblem("ledger", message)]) from error
    if is_sqlite and sqlite3.sqlite_version_info < MIN_SQLITE:
        needed = ".".join(map(str, MIN_SQLITE))
        message = f"needs SQLite {needed}; this Python has {sqlite3.sqlite_version}"
        raise ConfigurationError([ConfigurationProblem("ledger.url", message)])
    ledger: Ledger = module.Ledger(settings)
    return ledger
