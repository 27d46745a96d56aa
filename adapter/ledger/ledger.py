"""`Ledger`: the one class of this folder that the layers above use."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import sqlalchemy as sa

from adapter.call_context import CallContext
from adapter.contacts import Contact
from adapter.ledger import idempotency, queries, retention
from adapter.ledger.database import Database, LedgerUnavailable, describe
from adapter.ledger.events import CallBook, CallEvent, CloseEvent, Event, Task
from adapter.ledger.opened import Opened
from adapter.ledger.readiness import READY, Health, Readiness, readiness_after
from adapter.ledger.rows import call_row, result_row, state_after
from adapter.ledger.schema import Tables
from adapter.ledger.session import Session
from adapter.ledger.threads import new_runner, run_directly
from adapter.ledger.upgrade import (
    SchemaError,
    SchemaState,
    check_schema,
    read_version,
    require_schema,
    upgrade,
)
from adapter.ledger.writer import Writer
from adapter.logs import log_event
from adapter.results import Command, Result
from adapter.settings.model import LedgerSettings
from adapter.transport.forking import ensure_own_process, reset_in_child

T = TypeVar("T")

WAITS: Final = 6
"""How often a change with a key may wait for the database, each time for `wait` seconds."""

MAX_START, MAX_WORK = 3.0, 60.0
"""Seconds that a starting server, and work of a batch, wait for the writer."""


class Ledger:
    """The ledger of one configuration. Safe in threads, under gevent and after a fork.

    Nothing is opened before the first call. Only the methods that say so raise anything.
    """

    def __init__(self, settings: LedgerSettings) -> None:
        self.settings = settings
        self.required = settings.required
        self._database = Database(settings)
        self._inherited: list[Any] = []
        self._missed = 0
        self._start_over()
        reset_in_child(self)

    def _start_over(self) -> None:
        self._session = Session(self._database, self.settings.keep_calls)
        self._hash_key: str | None = None
        self._is_prepared = False
        self._writers: dict[str, Writer] = {}

    def reset_after_fork(self) -> None:
        """Forget the connections, the queue and the thread of the parent process.

        The connections are kept, unused: closing them here would end those of the parent.
        """
        self._inherited.append((self._session, self._writers, self._database.abandon()))
        self._start_over()

    @property
    def _writer(self) -> Writer:
        """The writer, made on first use: locks from before gevent's patch would stop its loop."""
        writer = self._writers.get("")
        if writer is None:
            runner = new_runner if self._database.is_sqlite else lambda: run_directly
            session = self._session
            writer = self._writers.setdefault("", Writer(session.write, session.tend, runner))
        return writer

    def start(self) -> None:
        """Open the connection, for which the first calls would wait; at most `MAX_START`."""
        ensure_own_process()
        task = Task(lambda *_: None)
        self._writer.submit(task)
        task.wait(MAX_START)

    # --- recording

    def open(
        self,
        account: str,
        provider: str,
        command: Command,
        context: CallContext,
        deadline: float,
    ) -> Opened:
        """Record a change before it is sent; `deadline` is the time of the call, in seconds.

        Waits at most `settings.wait` seconds. With `required`, the caller refuses a change whose
        `recorded` is False, and closes it with that result.
        """
        try:
            ensure_own_process()
            now = time.time()
            row = call_row(account, provider, command, context, now, now + deadline)
            event = CallEvent(command.action, command.contact, row)
            recorded = self._submit(event)
            event.late = not recorded
        except Exception as error:  # noqa: BLE001 - no call is lost by the ledger
            self._contain(error)
            return Opened(self, None, recorded=False)
        return Opened(self, event, recorded)

    def close_call(
        self, opened: CallEvent, result: Result, claim: idempotency.Claim | None
    ) -> bool:
        """Record the end of a change; see `Opened.close`."""
        try:
            ensure_own_process()
            row = result_row(result, opened.contact, time.time())
            state, certainty = state_after(opened, result)
            event = CloseEvent(opened, row, state, certainty)
            if claim is None:
                return self._submit(event)
            settling = Task(
                lambda connection, _: idempotency.settle(
                    connection, self._database.tables, claim, opened.recordable_id, result
                )
            )
            self._writer.submit(event)
            settled = self._submit(settling)
            return self._count(event.recorded) and settled
        except Exception as error:  # noqa: BLE001 - as above
            self._contain(error)
            return False

    def record(self, result: Result, context: CallContext) -> bool:
        """Record a read that has ended; return whether it is recorded."""
        try:
            ensure_own_process()
            command, now = result.command, time.time()
            if command is None:
                return False
            opened_at = now - result.duration_ms / 1000
            account, provider = result.account or "", result.provider or ""
            row = call_row(account, provider, command, context, opened_at, now)
            row |= result_row(result, command.contact, now)
            return self._submit(CallEvent(command.action, command.contact, row))
        except Exception as error:  # noqa: BLE001 - as above
            self._contain(error)
            return False

    def has_newer_wish(self, opened: CallEvent) -> bool:
        """Whether a newer call requests the opposite; see `Opened.is_superseded`."""
        blocks = self._database.tables.blocks
        query = (
            sa.select(blocks.c.intent)
            .where(blocks.c.account == opened.row["account"])
            .where(blocks.c.contact_id == opened.contact_id)
            .where(blocks.c.intent != opened.call_id, blocks.c.wanted != opened.wanted)
        )
        try:
            return self.ask_soon(lambda connection: connection.execute(query).first() is not None)
        except Exception as error:  # noqa: BLE001 - as above
            if not isinstance(error, LedgerUnavailable):
                self._contain(error)
            return False

    def _submit(self, event: Event) -> bool:
        self._writer.submit(event)
        return self._count(self._writer.wait(event, self.settings.wait))

    def _count(self, recorded: bool) -> bool:
        self._missed += not recorded
        return recorded

    def _contain(self, error: Exception) -> None:
        self._missed += 1
        log_event("ledger", level=logging.ERROR, state="failed", error=describe(error))

    def ask_soon(self, function: Callable[[sa.Connection], T]) -> T:
        """Return what the function returns in a transaction of the writer.

        Raises LedgerUnavailable after `wait` seconds; the function may still run then.
        """
        ensure_own_process()
        task = Task(lambda connection, _: function(connection))
        self._writer.submit(task)
        return task.require(self._writer.wait(task, self.settings.wait))  # type: ignore[no-any-return]

    def work(self, function: Callable[[sa.Connection, CallBook], T], key: str = "") -> T:
        """Return what the function returns in a transaction of the writer, which it may share.

        `key` is its place among those of the same transaction; see `Task`.
        Raises LedgerUnavailable, after about a minute if the database is slow; the transaction may
        have been committed then.
        """
        ensure_own_process()
        task = Task(function, key)
        self._writer.submit(task)
        return task.require(task.wait(MAX_WORK))  # type: ignore[no-any-return]

    def ask(self, function: Callable[[sa.Connection], T]) -> T:
        """Return what a function that reads returns. Raises LedgerUnavailable."""
        self._prepare()
        return self._database.run(function)

    @property
    def tables(self) -> Tables:
        """The tables."""
        return self._database.tables

    @property
    def dialect(self) -> sa.Dialect:
        """The dialect of the database."""
        return self._database.engine.dialect

    # --- idempotency

    def claim(
        self,
        caller: str,
        key: str,
        account: str,
        command: Command,
        deadline: float,
        *,
        request_id: str = "",
        more: Mapping[str, Any] | None = None,
    ) -> idempotency.Claimed:
        """Claim an Idempotency-Key for a change; `more` are further fields that have to be equal.

        A Claim is passed to `Opened.close`, which settles it. Raises LedgerUnavailable.
        """
        tables = self._database.tables
        claimed: list[idempotency.Claimed] = []

        def work(connection: sa.Connection) -> idempotency.Claimed:
            if self._hash_key is None:
                query = sa.select(tables.facts.c.hash_key)
                self._hash_key = str(connection.execute(query).scalar_one())
            found = idempotency.claim(
                connection,
                tables,
                idempotency.scope_of(self._hash_key, caller, key),
                idempotency.fingerprint_of(self._hash_key, account, command, more),
                deadline + WAITS * self.settings.wait + idempotency.LEASE_MARGIN,
                command,
                request_id,
            )
            claimed[:] = [found]
            return found

        def undo(connection: sa.Connection) -> None:
            for each in claimed:
                if isinstance(each, idempotency.Claim):
                    idempotency.release(connection, tables, each)

        try:
            return self.ask_soon(work)
        except LedgerUnavailable:
            # The claim may be recorded after all.
            self._writer.submit(Task(lambda connection, _: undo(connection)))
            raise

    def release(self, claim: idempotency.Claim) -> None:
        """Release the key of a change that was never opened. Contains every failure."""
        tables = self._database.tables
        try:
            self.ask_soon(lambda connection: idempotency.release(connection, tables, claim))
        except Exception as error:  # noqa: BLE001 - as above
            self._contain(error)  # its lease ends

    # --- reading; each raises LedgerUnavailable

    def blocked(
        self, account: str, limit: int = 100, cursor: str | None = None
    ) -> queries.Page[queries.BlockEntry]:
        """Return the contacts that are blocked for the account. Raises ValueError for a cursor."""
        return self._read(queries.read_blocked, account, _bounded(limit), cursor)

    def calls(
        self, filters: queries.Filters, limit: int = 100, cursor: str | None = None
    ) -> queries.Page[queries.CallEntry]:
        """Return the calls, the newest first. Raises ValueError for a cursor."""
        return self._read(queries.read_calls, filters, _bounded(limit), cursor)

    def state(self, account: str, contact: Contact) -> queries.BlockEntry | None:
        """Return what is known of the contact; None where it has never been changed."""
        found = self._read(queries.read_states, contact, account)
        return max(found, key=lambda entry: entry.intent) if found else None

    def export(self, contact: Contact) -> queries.Export:
        """Return all that is known of a person."""
        return self._read(queries.export, contact)

    def erase(self, contact: Contact) -> int:
        """Remove the identifiers of a person; return the number of contacts, usually 1 or 0."""
        tables = self._database.tables
        self._prepare()
        erased = self._database.run(
            lambda connection: retention.erase(connection, tables, contact), writes=True
        )
        self._database.forget_changes()
        return erased

    def _read(self, query: Callable[..., T], *args: Any) -> T:
        ensure_own_process()
        if self._writer.is_paused:
            raise LedgerUnavailable("the database is gone")
        tables = self._database.tables
        self._prepare()
        return self._database.run(lambda connection: query(connection, tables, *args))

    def _prepare(self) -> None:
        """Require the schema, once where it is current."""
        if not self._is_prepared and not self._session.is_prepared:
            self.prepare()
            self._is_prepared = True

    # --- the database

    @property
    def creates_tables(self) -> bool:
        """Whether the tables are created by themselves, in an SQLite file."""
        return self._database.is_sqlite

    def check(self) -> SchemaState:
        """Return the state of the schema. Raises LedgerUnavailable.

        A missing file is an empty database, and is not created. Where the schema is current, it
        raises for a database that cannot be written: on a full disk, or a read-only one.
        """
        tables = self._database.tables
        if self._database.is_sqlite and not self._database.path.exists():
            return SchemaState.EMPTY
        state = self._database.run(lambda connection: check_schema(connection, tables))
        if state is SchemaState.CURRENT:
            same = sa.update(tables.facts).values(erased_at=tables.facts.c.erased_at)
            self._database.run(lambda connection: connection.execute(same), writes=True)
        return state

    def version(self) -> str | None:
        """Return the version of the schema; None without tables. Raises LedgerUnavailable."""
        tables = self._database.tables
        if self._database.is_sqlite and not self._database.path.exists():
            return None
        return self._database.run(lambda connection: read_version(connection, tables))

    def readiness(self) -> Readiness:
        """Return whether calls can be recorded now, after at most `wait` seconds."""
        try:
            self.ask_soon(lambda connection: connection.execute(sa.select(1)).scalar())
        except LedgerUnavailable as error:
            failure = self._writer.failure
            cause = failure if isinstance(failure, SchemaError) else error
            return readiness_after(cause, required=self.required)
        return READY

    def prepare(self) -> None:
        """Create an empty SQLite database, and require the current version of the schema.

        Raises LedgerUnavailable, and as SchemaError the command that upgrades it.
        """
        self._database.guard(lambda: require_schema(self._database))

    def upgrade(self) -> str | None:
        """Upgrade the schema; return the version before. Raises LedgerUnavailable."""
        return self._database.guard(lambda: upgrade(self._database))

    def sweep(self, seconds: float = 5.0) -> retention.Sweep:
        """Clean up for at most about `seconds`; return what was done. Raises LedgerUnavailable."""
        end = time.monotonic() + seconds
        self._prepare()
        done = retention.Sweep()
        while True:
            step = self._database.run(self._session.sweep_step, writes=True)
            done += step
            if not step.is_full or time.monotonic() >= end:
                return done

    @property
    def health(self) -> Health:
        """The state of the ledger in this process."""
        writer = self._writer
        return Health(
            not writer.is_down,
            writer.length,
            self._missed,
            self._session.swept_at,
            self._session.sweep,
        )

    def close(self, timeout: float = 5.0) -> None:
        """Record what waits, and close all connections. A later call opens new ones."""
        ensure_own_process()
        writer = self._writers.pop("", None)
        if writer is None or writer.stop(timeout):
            self._session.disconnect()
        self._database.close()


def _bounded(limit: int) -> int:
    return max(1, min(limit, queries.MAX_LIMIT))
