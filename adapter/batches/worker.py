"""Who runs the batches: a consumer of messages, and a sweeper that finds every running batch.

A message lets one process look at once; all others join it with their next sweep.

Start it after a fork, and in any thread. Each batch has a thread of its own, so that one whose
account waits holds up no batch of another account.
"""

from __future__ import annotations

import logging
import queue
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib import import_module
from typing import Any, Final, Protocol

import sqlalchemy as sa

from adapter.batches import store
from adapter.batches.batches import Batches
from adapter.batches.details import lanes_of
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

PER_ACCOUNT: Final = 8
"""Batches of one account that run at the same time: the oldest ones; the others follow later.

They share the lane of the account, so that more of them would be no faster.
"""

MAX_WAKES: Final = 100
"""Messages that wait to be sent; the sweepers find the batches of any others."""


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
        self._stop, self._due = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._running: dict[int, threading.Thread] = {}
        self._asked: set[int] = set()
        self._threads: list[threading.Thread] = []
        self._wakes: queue.Queue[int | None] = queue.Queue(MAX_WAKES)

    def start(self) -> None:
        """Start the consumer and the sweeper; call it in the process that is to work."""
        self._threads = [self._new_thread(self._sweep_until_stopped, "sweeper")]
        if not isinstance(self._messenger, _Direct):
            self._threads.append(self._new_thread(self._use_queue_until_stopped, "queue"))
        for thread in self._threads:
            thread.start()

    def begin_stop(self) -> None:
        """Begin no further rows; `stop` waits for those in flight."""
        self._stop.set()
        self._due.set()
        with suppress(queue.Full):  # else the thread sees the stop with the next one
            self._wakes.put_nowait(None)

    def stop(self, timeout: float | None = None) -> None:
        """End the work: rows in flight end, and other workers go on with the batches.

        After `timeout` seconds, the rest is left to the leases, which expire.
        """
        self.begin_stop()
        end = None if timeout is None else time.monotonic() + timeout
        with self._lock:
            threads = [*self._threads, *self._running.values()]
            self._threads = []
        for thread in threads:
            thread.join(None if end is None else max(0.0, end - time.monotonic()))

    def wake(self, batch_id: int) -> None:
        """Let a worker look at the batch at once; without the message, a sweeper finds it.

        A worker that was started does not wait for its queue.
        """
        if len(self._threads) > 1:
            with suppress(queue.Full):
                self._wakes.put_nowait(batch_id)
        else:
            self._send(batch_id)

    def _send(self, batch_id: int) -> None:
        try:
            self._messenger.wake(batch_id)
        except Exception as error:  # noqa: BLE001 - the queue is gone
            self._log_failure(error)

    def _look(self, batch_id: int) -> None:
        """Let the sweeper look at once, and run this batch, or run it once more.

        Nothing is run by a worker that was not started, or is stopped.
        """
        with self._lock:
            if not self._threads:
                return
            self._asked.add(batch_id)
        self._due.set()

    def _run(self, batch_id: int) -> None:
        try:
            self.batches.run(batch_id, self._stop)
        except RequestError as error:
            code = error.outcome.code
            if code is not Code.BATCH_NOT_FOUND:
                log_event("batch", level=logging.ERROR, id=batch_id, error=str(error))
        except Exception as error:  # noqa: BLE001 - the thread of one batch
            log_exception("batch_failed", error)
        with self._lock:
            del self._running[batch_id]
            if batch_id in self._asked:
                self._due.set()

    def _sweep_until_stopped(self) -> None:
        while not self._stop.is_set():
            self._due.clear()
            try:
                self._sweep()
            except LedgerUnavailable:
                pass  # the ledger logs it
            except Exception as error:  # noqa: BLE001 - no failure ends the sweeper
                log_exception("batch_sweep_failed", error)
            self._due.wait(SWEEP_EVERY)

    def _sweep(self) -> None:
        """Run every batch that is due. One that was asked for while it ran is due once more."""
        with self._lock:
            asked = self._asked - self._running.keys()
        due = sweep(self._ledger, asked)
        with self._lock:
            self._asked -= asked
            for batch_id in due:
                if batch_id not in self._running and not self._stop.is_set():
                    thread = self._new_thread(partial(self._run, batch_id), "run")
                    thread.start()  # raises where the process may have no more threads
                    self._running[batch_id] = thread  # it waits for the lock before it ends

    def _use_queue_until_stopped(self) -> None:
        """Start the consumer as soon as the queue is there, and send messages.

        In a thread of its own: a queue that does not respond delays neither a sweep nor a request.
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
        while not self._stop.is_set():
            batch_id = self._wakes.get()
            if batch_id is not None:
                self._send(batch_id)
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


def sweep(ledger: Ledger, asked: Collection[int] = ()) -> list[int]:
    """Return the batches that are to run in each process, and end the rows of cancelled ones.

    Those are the oldest running ones with rows of each account, up to `PER_ACCOUNT`. While a
    process prepares a batch, no other joins it, except one that was asked to. Any number of
    processes may sweep at the same time. Raises LedgerUnavailable.
    """
    tables = ledger.tables
    due, cancelled = ledger.ask(lambda connection: _find(connection, tables, asked))
    for batch_id in cancelled:
        ledger.work(
            lambda connection, _, batch_id=batch_id: store.end_cancelled(  # type: ignore[misc]
                connection, tables, batch_id
            )
        )
    return due


def _find(
    connection: sa.Connection, tables: Tables, asked: Collection[int]
) -> tuple[list[int], list[int]]:
    batches, items, now = tables.batches, tables.items, datetime.now(UTC)

    def has_row(batch_id: sa.ColumnElement[int], *conditions: Any) -> sa.ColumnElement[bool]:
        # With LIMIT, which keeps the planner from reading the rows of all batches.
        found = sa.select(items.c.row).where(items.c.batch_id == batch_id, *conditions).limit(1)
        return found.correlate_except(items).scalar_subquery().is_not(None)

    is_prepared = sa.or_(
        batches.c.started_at.is_(None),
        batches.c.started_at < now - PREPARATION,
        batches.c.id.in_(asked),
        has_row(batches.c.id, items.c.lease_until > now),
    )
    running = (
        sa.select(batches.c.id, batches.c.account, batches.c.details, is_prepared.label("prepared"))
        .where(batches.c.status == Status.RUNNING.value, batches.c.finished_at.is_(None))
        .order_by(batches.c.id)
    )
    due: list[int] = []
    counts: Counter[str] = Counter()
    for row in connection.execute(running):
        lanes = lanes_of(row)
        if lanes and all(counts[name] >= PER_ACCOUNT for name in lanes):
            continue
        counts.update(lanes)
        if row.prepared:
            due.append(row.id)
    pending = has_row(batches.c.id, items.c.status == ItemStatus.PENDING.value)
    expired = has_row(batches.c.id, items.c.lease_until < now)
    ended = batches.c.status == Status.CANCELLED.value
    query = sa.select(batches.c.id).where(ended, sa.or_(pending, expired)).limit(100)
    return due, list(connection.execute(query).scalars())
