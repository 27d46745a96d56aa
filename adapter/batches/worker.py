"""Who runs the batches: a consumer of messages, and a sweeper that finds every running batch.

A message lets one process begin at once; all others join it with their next sweep.

Start it after a fork, and in any thread. Each batch that is looked at has a thread of its own, so
that one whose account waits holds up no other.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Final, Protocol

import sqlalchemy as sa

from adapter.batches import store
from adapter.batches.batches import Batches
from adapter.batches.model import ItemStatus, Status
from adapter.codes import Code
from adapter.errors import (
    ConfigurationError,
    ConfigurationProblem,
    LedgerUnavailable,
    RequestError,
)
from adapter.ledger.ledger import Ledger
from adapter.ledger.schema import Tables
from adapter.logs import log_event, log_exception
from adapter.pages import require_ledger
from adapter.service import Service
from adapter.settings.model import QueueSettings

SWEEP_EVERY: Final = 1.0
"""Seconds between two looks of the sweeper: so long, a batch may run in one process alone."""

PREPARATION: Final = timedelta(seconds=10)
"""How long the process that begins a batch has it for itself, to read the block list."""

MAX_BATCHES: Final = 64
"""Batches that one process runs at the same time; the sweepers find the others later."""


class Messages(Protocol):
    """What wakes the workers; see `adapter.batches.messenger`."""

    def start(self) -> None: ...  # noqa: D102
    def stop(self) -> None: ...  # noqa: D102
    def wake(self, batch_id: int) -> None: ...  # noqa: D102


class _Direct:
    """Wakes this process alone: without a queue, there is no message, and no library is needed."""

    def __init__(self, look: Callable[[int], None]) -> None:
        self.wake = look

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass


class BatchWorker:
    """Runs the batches of a service in this process, from `start` to `stop`.

    `batches` wakes this worker, or with a queue any worker. Raises ConfigurationError for a missing
    library, and RequestError without a ledger.
    """

    def __init__(self, service: Service) -> None:
        self._ledger: Ledger = require_ledger(service.ledger, "batch")
        self.batches = Batches(service, self.wake)
        self._messenger = load_messenger(
            service.settings.queue, self._ledger.tables.prefix, self._look
        )
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._running: dict[int, threading.Thread] = {}
        self._again: set[int] = set()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start the consumer and the sweeper; call it in the process that is to work."""
        self._threads = [self._new_thread(self._sweep_until_stopped, "sweeper")]
        if not isinstance(self._messenger, _Direct):
            self._threads.append(self._new_thread(self._consume_until_stopped, "queue"))
        for thread in self._threads:
            thread.start()

    def begin_stop(self) -> None:
        """Begin no further rows; `stop` waits for those in flight."""
        self._stop.set()

    def stop(self, timeout: float | None = None) -> None:
        """End the work: rows in flight end, and other workers go on with the batches.

        After `timeout` seconds, the rest is left to the leases, which expire.
        """
        self._stop.set()
        end = None if timeout is None else time.monotonic() + timeout
        with self._lock:
            threads = [*self._threads, *self._running.values()]
            self._threads = []
        for thread in threads:
            thread.join(None if end is None else max(0.0, end - time.monotonic()))

    def wake(self, batch_id: int) -> None:
        """Let a worker look at the batch at once; without the message, a sweeper finds it."""
        try:
            self._messenger.wake(batch_id)
        except Exception as error:  # noqa: BLE001 - the queue is gone
            self._log_failure(error)

    def _look(self, batch_id: int) -> None:
        """Run the batch in a thread; where one runs it already, once more afterwards.

        Nothing is run by a worker that was not started, or is stopped.
        """
        with self._lock:
            if self._stop.is_set() or not self._threads:
                return
            if batch_id in self._running:
                self._again.add(batch_id)
            elif len(self._running) < MAX_BATCHES:
                thread = self._new_thread(lambda: self._run(batch_id), "run")
                self._running[batch_id] = thread
                thread.start()

    def _run(self, batch_id: int) -> None:
        while True:
            try:
                self.batches.run(batch_id, self._stop)
            except RequestError as error:
                code = error.outcome.code
                if code is not Code.BATCH_NOT_FOUND:
                    log_event("batch", level=logging.ERROR, id=batch_id, error=str(error))
            except Exception as error:  # noqa: BLE001 - the thread of one batch
                log_exception("batch_failed", error)
            with self._lock:
                if batch_id not in self._again or self._stop.is_set():
                    del self._running[batch_id]
                    return
                self._again.discard(batch_id)

    def _sweep_until_stopped(self) -> None:
        while not self._stop.is_set():
            try:
                for batch_id in sweep(self._ledger):
                    if batch_id not in self._running:
                        self._look(batch_id)
            except LedgerUnavailable:
                pass  # the ledger logs it
            except Exception as error:  # noqa: BLE001 - no failure ends the sweeper
                log_exception("batch_sweep_failed", error)
            self._stop.wait(SWEEP_EVERY)

    def _consume_until_stopped(self) -> None:
        """Start the consumer as soon as the queue is there, and end it with the worker.

        In a thread of its own: a queue that does not respond delays no sweep.
        """
        failed = False
        while not self._stop.is_set():
            try:
                self._messenger.start()
                break
            except Exception as error:  # noqa: BLE001 - the queue is gone
                if not failed:
                    self._log_failure(error)
                failed = True
            self._stop.wait(SWEEP_EVERY)
        self._stop.wait()
        with suppress(Exception):  # the queue is gone
            self._messenger.stop()

    def _new_thread(self, function: Callable[[], None], name: str) -> threading.Thread:
        name = f"contact-adapter-batches-{name}"
        return threading.Thread(target=function, name=name, daemon=True)

    def _log_failure(self, error: Exception) -> None:
        log_event("queue", level=logging.WARNING, state="failed", error=type(error).__name__)


def load_messenger(
    settings: QueueSettings | None, prefix: str, look: Callable[[int], None]
) -> Messages:
    """Return the messenger; raises ConfigurationError for a missing library of the queue."""
    if settings is None:
        return _Direct(look)
    try:
        module = import_module("adapter.batches.messenger")
    except ImportError as error:
        message = f"needs {error.name}; run: pip install 'contact-adapter[queue]'"
        raise ConfigurationError([ConfigurationProblem("queue", message)]) from error
    messenger: Messages = module.Messenger(settings, prefix, look)
    return messenger


def run_worker(service: Service) -> None:
    """Run batches until SIGTERM or SIGINT; call it in the main thread. Rows in flight end."""
    stop = threading.Event()
    worker = BatchWorker(service)
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in numbers}
    try:
        worker.start()
        while not stop.wait(1.0):  # a wait without end would not see signals everywhere
            pass
    finally:
        worker.stop()
        for number, handler in before.items():
            signal.signal(number, handler)


def sweep(ledger: Ledger) -> list[int]:
    """Return the running batches, abandoned ones first, and end the rows of cancelled ones.

    Any number of processes may do so at the same time. Raises LedgerUnavailable.
    """
    tables = ledger.tables
    due, cancelled = ledger.ask(lambda connection: _find(connection, tables))
    for batch_id in cancelled:
        ledger.work(
            lambda connection, _, batch_id=batch_id: store.end_cancelled(  # type: ignore[misc]
                connection, tables, batch_id
            )
        )
    return due


def _find(connection: sa.Connection, tables: Tables) -> tuple[list[int], list[int]]:
    batches, items, now = tables.batches, tables.items, datetime.now(UTC)
    own = items.c.batch_id == batches.c.id

    def has_row(*conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
        # With LIMIT, which keeps the planner from reading the rows of all batches.
        found = sa.select(items.c.row).where(own, *conditions).limit(1)
        return found.correlate(batches).scalar_subquery().is_not(None)

    live = has_row(items.c.lease_until > now)
    running = sa.and_(batches.c.status == Status.RUNNING.value, batches.c.finished_at.is_(None))
    is_prepared = sa.or_(
        batches.c.started_at.is_(None), batches.c.started_at < now - PREPARATION, live
    )
    query = sa.select(batches.c.id).where(running, is_prepared).order_by(live, batches.c.id)
    due = connection.execute(query.limit(MAX_BATCHES)).scalars().all()
    pending = has_row(items.c.status == ItemStatus.PENDING.value)
    expired = has_row(items.c.lease_until < now)
    ended = batches.c.status == Status.CANCELLED.value
    query = sa.select(batches.c.id).where(ended, sa.or_(pending, expired)).limit(100)
    return list(due), list(connection.execute(query).scalars())
