"""The writer: a bounded queue of events, and one thread that records many per transaction."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from adapter.ledger.database import LedgerUnavailable, describe, is_disconnect, is_passing
from adapter.ledger.events import Event
from adapter.ledger.threads import Runner, end_runner, let_others_run
from adapter.logs import log_event

MAX_EVENTS: Final = 10_000
"""Events that wait to be recorded; more are refused."""

MAX_GROUP: Final = 256
"""Events of one transaction."""

FEW: Final = 64
"""The writer waits for more events where the last group had several, and fewer than these wait.

A transaction costs as much processor time as about ten events.
"""

FIRST_PAUSE, LONGEST_PAUSE = 0.25, 5.0
"""Seconds until a database that is gone is tried again, which double each time."""


class Writer:
    """The queue and its thread, started with the first event. Safe in threads, not after a fork.

    `write` records a group in one transaction. `tend` does other work between two groups, and
    returns the seconds until it has to be called again. Both run in what `new_runner` returns.
    """

    def __init__(
        self,
        write: Callable[[Sequence[Event]], None],
        tend: Callable[[], float],
        new_runner: Callable[[], Runner],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write, self._tend, self._new_runner, self._clock = write, tend, new_runner, clock
        self._queue: deque[Event] = deque()
        self._kept: deque[Event] = deque(maxlen=MAX_EVENTS)
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._busy_since: float | None = None
        self._pause = 0.0
        self._down_until = 0.0
        self._failure: Exception | None = None
        self._tend_at = 0.0
        self.refused = 0

    @property
    def length(self) -> int:
        """The number of events that wait."""
        return len(self._queue)

    @property
    def is_down(self) -> bool:
        """Whether the database was gone when it was last tried."""
        return self._pause > 0

    @property
    def failure(self) -> Exception | None:
        """Why the database could not be used when it was last tried; None where it could."""
        return self._failure if self.is_down else None

    @property
    def is_paused(self) -> bool:
        """Whether the database is gone, and not to be tried yet."""
        return self._pause > 0 and self._clock() < self._down_until

    def submit(self, event: Event) -> None:
        """Take the event; where the queue is full or the database gone, it fails at once."""
        if self.is_paused:
            self._fail(event, LedgerUnavailable("the database is gone"))
            return
        if len(self._queue) >= MAX_EVENTS:
            self.refused += 1
            event.finish(LedgerUnavailable("too many events wait for the database"))
            return
        self._queue.append(event)
        if self._thread is None:
            self._start()
        if not self._wake.is_set():
            self._wake.set()

    def wait(self, event: Event, seconds: float) -> bool:
        """Wait for the event; return whether it is recorded.

        The time of the group in hand counts: while the database hangs, only the first calls wait.
        """
        busy_since = self._busy_since
        if busy_since is not None:
            seconds -= self._clock() - busy_since
        return event.wait(seconds)

    def stop(self, timeout: float) -> bool:
        """Record what waits, and end the thread; return whether it has ended in `timeout` seconds.

        A stopped writer is not used again.
        """
        with self._lock:
            self._stopping = True
            thread = self._thread
        self._wake.set()
        if thread is None:
            return True
        thread.join(timeout)
        return not thread.is_alive()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                name = "contact-adapter-ledger"
                thread = threading.Thread(target=self._work, name=name, daemon=True)
                self._thread = thread
                thread.start()

    def _work(self) -> None:
        run = self._new_runner()
        try:
            self._record_all(run)
        finally:
            end_runner(run)
            if self._thread is threading.current_thread():  # ended from outside
                self._thread = None

    def _record_all(self, run: Runner) -> None:
        last = 0
        while True:
            self._wake.clear()
            if not self._queue:
                if self._stopping:
                    return
                self._wake.wait(max(0.0, self._tend_at - self._clock()))
            if self._queue:
                if last > 1 and len(self._queue) < FEW:
                    let_others_run()
                last = self._record_next(run)
            if self._clock() >= self._tend_at and not self._stopping:
                self._tend_once(run)

    def _record_next(self, run: Runner) -> int:
        """Record the next group; return the number of its events."""
        queue = self._queue
        group: list[Event] = []
        while queue and len(group) < MAX_GROUP:
            event = queue.popleft()
            if event.cancelled:
                event.finish(LedgerUnavailable("cancelled"))
            else:
                group.append(event)
        if group:
            self._record(run, group)
        return len(group)

    def _record(self, run: Runner, group: list[Event]) -> None:
        for event in group:
            event.error = None
        self._busy_since = self._clock()
        try:
            self._write_twice(run, group)
        except Exception as error:  # noqa: BLE001 - no failure of the ledger ends its thread
            self._busy_since = None
            self._handle(run, group, error)
            return
        except BaseException as error:
            for event in group:
                event.finish(error)
            raise
        self._busy_since = None
        self._come_up()
        for event in group:
            event.finish()

    def _write_twice(self, run: Runner, group: list[Event]) -> None:
        """Write the group; once more where the connection was dropped, or another process won."""
        try:
            run(lambda: self._write(group))
        except Exception as error:
            if self._pause or not is_passing(error):
                raise
            run(lambda: self._write(group))

    def _handle(self, run: Runner, group: list[Event], error: Exception) -> None:
        """Fail the group and all that waits, where the database is gone; else find the culprit."""
        if isinstance(error, LedgerUnavailable) or is_disconnect(error):
            self._go_down(error)
            for event in group:
                self._fail(event, error)
            while self._queue:
                self._fail(self._queue.popleft(), error)
        elif len(group) == 1:
            log_event("ledger", level=logging.ERROR, state="failed", error=describe(error))
            group[0].finish(error)
        else:
            for event in group:
                if self._pause:
                    event.finish(error)
                else:
                    self._record(run, [event])

    def _fail(self, event: Event, error: BaseException) -> None:
        """End the event; the end of a recorded change is kept until the database is back."""
        if event.outlives_outage:
            self._kept.append(event)
        event.finish(error)

    def _come_up(self) -> None:
        if self._pause:
            self._pause = 0.0
            log_event("ledger", state="available")
            self._queue.extendleft(reversed(self._kept))
            self._kept.clear()

    def _go_down(self, error: Exception) -> None:
        if not self._pause:
            log_event("ledger", level=logging.ERROR, state="unavailable", error=describe(error))
        self._failure = error
        self._pause = min(LONGEST_PAUSE, self._pause * 2 or FIRST_PAUSE)
        self._down_until = self._clock() + self._pause
        self._tend_at = max(self._tend_at, self._down_until)

    def _tend_once(self, run: Runner) -> None:
        self._busy_since = self._clock()
        try:
            pause = run(self._tend)
        except Exception as error:  # noqa: BLE001 - as above
            if isinstance(error, LedgerUnavailable) or is_disconnect(error):
                self._go_down(error)
            else:
                log_event("ledger", level=logging.ERROR, state="failed", error=describe(error))
            pause = self._pause or LONGEST_PAUSE
        else:
            self._come_up()
        self._busy_since = None
        self._tend_at = self._clock() + pause
