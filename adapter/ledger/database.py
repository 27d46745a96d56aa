"""The engine of the ledger's database: connections, their settings, and failures."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.pool import NullPool

from adapter.errors import LedgerUnavailable
from adapter.ledger.schema import Tables
from adapter.ledger.threads import Runner, end_runner, new_runner, run_directly
from adapter.secret import Secret
from adapter.settings.model import LedgerSettings

__all__ = ("Database", "LedgerUnavailable", "is_disconnect")

T = TypeVar("T")

BUSY_TIMEOUT: Final = 5.0
"""Seconds that a statement waits for the locks of others."""

STATEMENT_TIMEOUT: Final = 10.0
"""Seconds of the longest statement in PostgreSQL."""

CONNECT_TIMEOUT: Final = 3
"""Seconds for a connection to PostgreSQL."""

_IMMEDIATE: Final = "contact_adapter_immediate"


class Database:
    """The engine of one process, made on first use. Thread-safe."""

    def __init__(self, settings: LedgerSettings) -> None:
        given = settings.url
        url = sa.make_url(given.reveal() if isinstance(given, Secret) else given)
        self.is_sqlite = url.get_backend_name() == "sqlite"
        if not self.is_sqlite:
            url = url.set(drivername="postgresql+psycopg")
        self._url = url
        self.tables = Tables(settings.table_prefix)
        self._engine: sa.Engine | None = None
        self._reader: Runner | None = None

    @property
    def path(self) -> Path:
        """The file of an SQLite database."""
        return Path(str(self._url.database))

    @property
    def engine(self) -> sa.Engine:
        """The engine; making it opens no connection."""
        engine = self._engine
        if engine is None:
            engine = self._engine = self._new_engine()
        return engine

    def _new_engine(self) -> sa.Engine:
        if self.is_sqlite:
            engine = sa.create_engine(
                self._url,
                poolclass=NullPool,
                hide_parameters=True,
                connect_args={"timeout": BUSY_TIMEOUT, "check_same_thread": False},
            )
            event.listen(engine, "connect", _set_up_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
            return engine
        engine = sa.create_engine(
            self._url,
            pool_size=2,
            max_overflow=2,
            pool_timeout=BUSY_TIMEOUT,
            pool_pre_ping=True,
            isolation_level="READ COMMITTED",  # whatever the server's default is
            hide_parameters=True,
            connect_args={
                "connect_timeout": CONNECT_TIMEOUT,
                "tcp_user_timeout": int(BUSY_TIMEOUT * 1000),
                "application_name": "contact-adapter",
            },
        )
        event.listen(engine, "connect", _set_up_postgresql)
        return engine

    def connect(self, *, writes: bool = False) -> sa.Connection:
        """Return a new connection; with `writes`, its transactions take SQLite's lock at once.

        A transaction that reads first would fail where another one has written meanwhile.
        """
        connection = self.engine.connect()
        return connection.execution_options(**{_IMMEDIATE: True}) if writes else connection

    def run(self, function: Callable[[sa.Connection], T], *, writes: bool = False) -> T:
        """Return what the function returns for a connection, in a transaction of its own.

        Raises LedgerUnavailable for what the database raises.
        """

        def work() -> T:
            with self.connect(writes=writes) as connection, connection.begin():
                return function(connection)

        return self.guard(work)

    def guard(self, work: Callable[[], T]) -> T:
        """Return what the function returns, run where it does not block gevent's loop.

        Raises LedgerUnavailable for what the database raises.
        """
        try:
            return self._runner()(work)
        except (sa.exc.SQLAlchemyError, OSError) as error:
            raise LedgerUnavailable(f"the database failed: {describe(error)}") from error

    def _runner(self) -> Runner:
        """Return what runs reads: SQLite would block gevent's loop, psycopg waits in it."""
        if not self.is_sqlite:
            return run_directly
        if self._reader is None:
            self._reader = new_runner()
        return self._reader

    def forget_changes(self) -> None:
        """Empty the log of an SQLite file, which has the contents of earlier transactions."""
        if self.is_sqlite:
            self.guard(self._empty_log)

    def _empty_log(self) -> None:
        with self.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").close()

    def create_file(self) -> None:
        """Create the SQLite file where it is missing, readable by its owner alone."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))

    def close(self) -> None:
        """Close the idle connections, and end the thread of reads. A later call opens new ones."""
        engine, self._engine = self._engine, None
        reader, self._reader = self._reader, None
        if engine is not None:
            engine.dispose()
        end_runner(reader)

    def abandon(self) -> Any:
        """Forget the engine of the parent process without closing its connections; return it."""
        engine, self._engine, self._reader = self._engine, None, None
        if engine is not None:
            engine.dispose(close=False)
        return engine


def is_disconnect(error: BaseException) -> bool:
    """Whether an error is about the database as a whole, and not about one of the statements."""
    if isinstance(error, OSError):
        return True
    if isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated:
        return True
    return isinstance(
        error, (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError)
    ) and not _is_deadlock(error)


def is_passing(error: BaseException) -> bool:
    """Whether the same transaction may succeed at once: a deadlock, or a connection dropped."""
    dropped = isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated
    return dropped or _is_deadlock(error)


def _is_deadlock(error: BaseException) -> bool:
    return getattr(getattr(error, "orig", None), "sqlstate", None) in ("40P01", "40001")


def _set_up_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # else sqlite3 begins transactions itself, and too late
    # secure_delete: what is erased is overwritten in the file.
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "secure_delete = ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: sa.Connection) -> None:
    immediate = connection.get_execution_options().get(_IMMEDIATE)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def _set_up_postgresql(connection: Any, _: Any) -> None:
    connection.execute(
        f"SET statement_timeout = {int(STATEMENT_TIMEOUT * 1000)};"
        f"SET lock_timeout = {int(BUSY_TIMEOUT * 1000)};"
        f"SET idle_in_transaction_session_timeout = {int(STATEMENT_TIMEOUT * 1000)};"
        "SET timezone = 'UTC'"
    )
    connection.commit()


def describe(error: BaseException) -> str:
    """Return the types of an error and of its cause, with the database's own name of the fault.

    Such as `SQLITE_FULL`, or PostgreSQL's `53100`. Their texts may hold values.
    """
    cause = getattr(error, "orig", None) or error.__cause__
    if isinstance(error, LedgerUnavailable) and error.args:
        return str(error)
    if cause is None:
        return type(error).__name__
    name = getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None)
    return f"{type(error).__name__} ({name or type(cause).__name__})"
