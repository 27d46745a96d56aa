"""The version of the schema: compare it, and upgrade it under a lock.

Alembic is imported for an upgrade alone. Its version table has our prefix, so that the ledger may
live in the database of a host app that uses Alembic too.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Final
from zlib import crc32

import sqlalchemy as sa

from adapter.ledger.database import Database, LedgerUnavailable
from adapter.ledger.schema import Tables

VERSION: Final = "0002"
"""The newest version of the schema: the last revision in `migrations`."""

UPGRADE_COMMAND: Final = "contact-adapter db upgrade"

_LOCK_SPACE: Final = 0x0CAD
"""The first number of our advisory locks in PostgreSQL; the second is derived from the prefix."""


class SchemaState(StrEnum):
    """The version of the database's schema, compared with that of this package."""

    CURRENT = "current"
    BEHIND = "behind"
    AHEAD = "ahead"
    EMPTY = "empty"


class SchemaError(LedgerUnavailable):
    """The database has another version of the schema. The text has the remedy."""

    def __init__(self, state: SchemaState) -> None:
        self.state = state
        remedy = f"run: {UPGRADE_COMMAND}"
        if state is SchemaState.AHEAD:
            remedy = "a newer version of contact-adapter has upgraded it; install that version"
        super().__init__(f"the ledger's database is {state}: {remedy}")


def describe_schema_error(error: SchemaError, config: Path | None) -> str:
    """Return the text of the error; its command has the same configuration."""
    text = str(error)
    return f"{text} --config {config}" if config and text.endswith(UPGRADE_COMMAND) else text


def read_version(connection: sa.Connection, tables: Tables) -> str | None:
    """Return the version of the schema; None for a database without our tables."""
    if not sa.inspect(connection).has_table(tables.version_name):
        return None
    version = sa.table(tables.version_name, sa.column("version_num"))
    found: str | None = connection.execute(sa.select(version.c.version_num)).scalar()
    return found


def check_schema(connection: sa.Connection, tables: Tables) -> SchemaState:
    """Return how the version of the schema compares."""
    version = read_version(connection, tables)
    if version is None:
        return SchemaState.EMPTY
    if version == VERSION:
        return SchemaState.CURRENT
    return SchemaState.BEHIND if version < VERSION else SchemaState.AHEAD


def require_schema(database: Database) -> None:
    """Raise SchemaError unless the schema is current.

    An SQLite file that is empty or missing is created and upgraded; PostgreSQL never is.
    """
    if database.is_sqlite:
        try:
            database.create_file()
        except OSError as error:
            raise LedgerUnavailable(f"cannot open the SQLite file: {error.strerror}") from error
    with database.connect() as connection, connection.begin():
        state = check_schema(connection, database.tables)
    if state is SchemaState.EMPTY and database.is_sqlite:
        upgrade(database)
    elif state is not SchemaState.CURRENT:
        raise SchemaError(state)


def upgrade(database: Database) -> str | None:
    """Upgrade the schema to `VERSION`; return the version before.

    A second upgrade at the same time waits for the first, and then has nothing to do. Raises
    SchemaError for a newer schema.
    """
    from alembic import command
    from alembic.config import Config

    tables = database.tables
    if database.is_sqlite:
        database.create_file()
    with database.connect(writes=True) as connection, connection.begin():
        if not database.is_sqlite:  # SQLite's transaction has taken the only lock
            lock = sa.func.pg_advisory_xact_lock(_LOCK_SPACE, _lock_number(tables))
            for timeout in ("statement", "lock", "idle_in_transaction_session"):
                connection.execute(sa.text(f"SET LOCAL {timeout}_timeout = 0"))
            connection.execute(sa.select(lock))
        before = read_version(connection, tables)
        if before is not None and before > VERSION:
            raise SchemaError(SchemaState.AHEAD)
        config = Config()
        folder = Path(__file__).parent / "migrations"
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        config.attributes["connection"] = connection
        config.attributes["version_table"] = tables.version_name
        config.attributes["table_prefix"] = tables.prefix
        command.upgrade(config, VERSION)
    return before


def _lock_number(tables: Tables) -> int:
    return crc32(tables.prefix.encode()) & 0x7FFFFFFF
