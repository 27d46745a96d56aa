"""The writer's connection: what its thread does with the database."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa

from adapter.ledger.database import Database, describe
from adapter.ledger.events import Event
from adapter.ledger.records import Recorder
from adapter.ledger.retention import Sweep, sweep_step
from adapter.ledger.statements import PLAN_BY_INDEX, Statements
from adapter.ledger.upgrade import require_schema
from adapter.logs import log_event

SWEEP_EVERY: Final = 60.0
"""Seconds between two clean-ups by the writer: so long, a call of a killed process stays open."""

SWEEP_PAUSE: Final = 0.2
"""Seconds between two steps of one clean-up, for the calls that wait."""


class Session:
    """One connection for all groups of events, opened by the first one. For one thread at a time.

    `swept_at`: the end of the last clean-up, in seconds since 1970, and `sweep`: its rows.
    """

    def __init__(self, database: Database, keep_calls: float) -> None:
        self._database, self._keep_calls = database, keep_calls
        self._connection: sa.Connection | None = None
        self._recorder: Recorder | None = None
        self._running_sweep = Sweep()
        self.sweep = Sweep()
        self.swept_at: float | None = None

    @property
    def is_prepared(self) -> bool:
        """Whether the schema was found to be current, and no failure followed."""
        return self._recorder is not None

    def write(self, events: Sequence[Event]) -> None:
        """Record a group of events; raises what the database raises."""
        connection, recorder = self._connect()
        try:
            recorder.write(connection, events)
        except BaseException:
            self.disconnect()
            raise

    def tend(self) -> float:
        """Do one step of the clean-up; return the seconds until the next one."""
        connection, _ = self._connect()
        try:
            with connection.begin():
                step = self.sweep_step(connection)
        except BaseException:
            self.disconnect()
            raise
        self._running_sweep += step
        if step.is_full:
            return SWEEP_PAUSE
        self.sweep, self._running_sweep = self._running_sweep, Sweep()
        self.swept_at = time.time()
        return SWEEP_EVERY

    def sweep_step(self, connection: sa.Connection) -> Sweep:
        """Do one step of the clean-up in the connection's transaction."""
        tables = self._database.tables
        statements = Statements(tables, connection.dialect)
        return sweep_step(connection, tables, statements, self._keep_calls)

    def disconnect(self) -> None:
        """Close the connection. The next event opens another, and the schema is checked again.

        The ids of contacts are forgotten: a transaction that failed may have added some.
        """
        connection, self._connection = self._connection, None
        self._recorder = None
        if connection is not None:
            try:
                connection.invalidate()
                connection.close()
            except Exception as error:  # noqa: BLE001 - it is gone
                log_event("ledger", level=logging.DEBUG, state="closing", error=describe(error))

    def _connect(self) -> tuple[sa.Connection, Recorder]:
        connection, recorder = self._connection, self._recorder
        if recorder is None:
            require_schema(self._database)
            dialect = self._database.engine.dialect
            recorder = self._recorder = Recorder(self._database.tables, dialect)
        if connection is None:
            connection = self._connection = self._database.connect(writes=True)
            if not self._database.is_sqlite:
                connection.exec_driver_sql(PLAN_BY_INDEX)
                connection.commit()
        return connection, recorder
