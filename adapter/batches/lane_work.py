"""The rows of one account in one process: a queue of leased rows, and the threads that run them."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from adapter.batches.claims import Claims
from adapter.batches.endings import ending_of
from adapter.batches.exchanges import Answer, EndedRow, Exchange, LeasedRow
from adapter.changes import Change
from adapter.codes import Code
from adapter.containment import contain
from adapter.errors import LedgerUnavailable
from adapter.ledger.events import CloseEvent
from adapter.ledger.rows import result_row, state_after
from adapter.logs import log_exception
from adapter.results import Outcome, Result
from adapter.service import Service, result_of

IDLE = 0.5
"""Seconds until a lane without rows looks again."""

SOON = 0.05
"""Seconds until rows that have ended are recorded, where few have."""

FRESH = 0.2
"""Seconds within which a row that waits here has to begin, once no newer wish was found for it."""

RENEW = 5.0
"""Seconds between two renewals of leases."""


class LaneWork:
    """Runs the leased rows of one account, and exchanges them in groups.

    A slot runs one request: of one row, or of up to `group` rows with the same action. `lease` and
    `call` are in seconds: how long a lease and the longest call last. `wake` is set when an
    exchange is due.
    """

    def __init__(
        self,
        service: Service,
        account: str,
        claims: Claims,
        owner: str,
        lease: float,
        call: float,
        wake: threading.Event,
        group: int = 1,
    ) -> None:
        self._group = group
        self._alone_if_failed = service.accounts[account].fallback is not None
        self._actions = contain(service.accounts[account].provider.actions)
        self._service, self.account, self._claims = service, account, claims
        self._owner, self.lease, self._call, self._wake = owner, lease, call, wake
        self._lock = threading.Lock()
        self._queue: deque[LeasedRow] = deque()
        self._ended: list[EndedRow] = []
        self._running: dict[int, LeasedRow] = {}
        self._requests = 0
        self._slots = 0
        self._closed = False
        self._paused = False
        self._after = 0
        self._look_at = 0.0
        self._spoken_at = 0.0
        self._checked_at = 0.0
        self._recover_at = 0.0
        self._lease_end = 0.0
        self._renewed_at = 0.0
        workers = service.accounts[account].settings.pace.max_in_flight
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="contact-adapter-batch")

    @property
    def is_idle(self) -> bool:
        """Whether no row is leased here."""
        return not (self._running or self._queue or self._ended)

    @property
    def delay(self) -> float:
        """Seconds until the next exchange is due."""
        if self.is_due:
            return 0.0
        now = time.monotonic()
        times = [now + IDLE]
        if self._ended:
            times.append(self._spoken_at + SOON)
        if not self._closed and len(self._queue) <= 2 * self._slots:
            times.append(self._look_at)
        return max(0.0, min(times) - now)

    @property
    def is_due(self) -> bool:
        """Whether an exchange is due."""
        now = time.monotonic()
        if self._is_group or (self._ended and now >= self._spoken_at + SOON):
            return True
        if self._closed:
            return bool(self._queue)
        if self._queue and (self._paused or self._requests < self._slots):
            return True  # they go back, or have to be checked before they begin
        needs = len(self._queue) <= 2 * self._slots
        busy = self._running or self._queue
        return (needs and now >= self._look_at) or bool(busy and now >= self._renewed_at + RENEW)

    @property
    def _is_group(self) -> bool:
        ended = len(self._ended)
        return ended > 0 and (ended >= self._slots or not self._running)

    def close(self) -> None:
        """Begin no more rows."""
        self._closed = True

    def exchange(self, *, release: bool = False) -> Answer:
        """Record the rows that have ended, and lease others. Raises LedgerUnavailable."""
        now, clock = time.monotonic(), time.time()
        with self._lock:
            ended, self._ended = self._ended, []
            unsent: list[LeasedRow] = []
            if self._closed or self._paused or self._is_stale(now):
                unsent, self._queue = list(self._queue), deque()
                self._paused = False
            leased = [*self._running, *(each.row for each in self._queue)]
            running, rows, queued = self._requests, len(self._running), list(self._queue)
            slots = 0 if self._closed or self._paused or not leased else self._slots
        renew = bool(leased) and now >= self._renewed_at + RENEW
        given = Exchange(
            self._owner,
            ended,
            unsent,
            leased if renew else (),
            running,
            rows,
            slots,
            queued,
            self._after,
            recover=now >= self._recover_at,
            release=release or self._closed,
        )
        try:
            answer = self._claims.exchange(given)
        except LedgerUnavailable:
            with self._lock:  # what is not recorded is brought again
                self._ended = ended + self._ended
                self._queue.extendleft(reversed(unsent))
                self._paused = self._paused or bool(unsent)
            raise
        self._spoken_at = self._checked_at = now
        if given.recover:
            self._recover_at = now + 1.0
        if renew or not leased:
            self._renewed_at, self._lease_end = now, now + self.lease
        self._after = answer.after
        wait = answer.wait_until - clock
        self._look_at = now + (max(wait, 0.001) if wait > 0 else IDLE if not answer.leased else 0)
        may_have_more = answer.slots and not (answer.is_full or answer.is_exhausted)
        if may_have_more and wait <= 0:
            self._look_at = now
        self._begin(answer)
        return answer

    def _is_stale(self, now: float) -> bool:
        """Whether the leases may end before a call does that begins now."""
        return bool(self._queue) and now + self._call >= self._lease_end

    def _begin(self, answer: Answer) -> None:
        with self._lock:
            self._queue.extend(answer.leased)
            self._slots = answer.slots
            if answer.is_paused and self._queue:  # another process has paused the lane
                self._paused = True
            if self._closed or self._paused or self._is_stale(time.monotonic()):
                return
            chosen = []
            while self._queue and self._requests < self._slots:
                chosen.append(self._take())
        for each in chosen:
            self._pool.submit(self._work, each)

    def _work(self, leased: list[LeasedRow]) -> None:
        """Run the rows of a request, and then others, as long as there are any."""
        following: list[LeasedRow] | None = leased
        while following is not None:
            ended = self._run(following)
            with self._lock:
                self._requests -= 1
                for each in following:
                    del self._running[each.row]
                self._ended += ended
                if any(each.ending.pause is not None for each in ended):
                    self._paused = True
                following = self._next()
                due = self._is_group or following is None or len(self._queue) <= 2 * self._slots
            if due and not self._wake.is_set():
                self._wake.set()

    def _next(self) -> list[LeasedRow] | None:
        """Return the rows of the next request; the lock is held."""
        if (
            self._closed
            or self._paused
            or not self._queue
            or self._requests >= self._slots
            or self._is_stale(now := time.monotonic())
            or now > self._checked_at + FRESH
        ):
            return None
        return self._take()

    def _take(self) -> list[LeasedRow]:
        """Return the first row of the queue, with others for the same request; the lock is held."""
        chosen = [self._queue.popleft()]
        if self._group > 1 and not self._is_alone(chosen[0]):
            others: deque[LeasedRow] = deque()
            action = chosen[0].command.action
            for each in self._queue:
                fits = each.command.action is action and not self._is_alone(each)
                (chosen if fits and len(chosen) < self._group else others).append(each)
            self._queue = others
        for each in chosen:
            self._running[each.row] = each
        self._requests += 1
        return chosen

    def _is_alone(self, leased: LeasedRow) -> bool:
        """Whether the row needs a request of its own.

        A row that has failed among others may be the cause of their failure. A single call also
        follows the fallback, at once where the provider does not support the action.
        """
        if leased.command.action not in self._actions:
            return True
        return leased.is_suspect or (leased.failed and self._alone_if_failed)

    def _run(self, rows: list[LeasedRow]) -> list[EndedRow]:
        if len(rows) == 1:
            return [self._run_alone(rows[0])]
        changes = [Change(each.command, each.context, each.opened) for each in rows]
        try:
            results = self._service.perform_many(self.account, changes)
        except BaseException as error:  # noqa: BLE001 - a bug
            self._log(error, None)
            results = [self._failed(each) for each in rows]
        failures = Counter(each.code for each in results if not each.ok)
        return [
            self._end_safely(leased, result, is_shared=failures[result.code] > 1)
            for leased, result in zip(rows, results, strict=True)
        ]

    def _run_alone(self, leased: LeasedRow) -> EndedRow:
        try:
            result = self._service.perform(
                self.account,
                leased.command,
                request_id=leased.context.request_id,
                context=leased.context,
                opened=leased.opened,
            )
        except BaseException as error:  # noqa: BLE001 - a bug of a plugin ends one row
            self._log(error, leased)
            result = result_of(error) or self._failed(leased)
        return self._end_safely(leased, result)

    def _end_safely(
        self, leased: LeasedRow, result: Result, *, is_shared: bool = False
    ) -> EndedRow:
        try:
            return self._end(leased, result, is_shared=is_shared)
        except Exception as error:  # noqa: BLE001 - a result that cannot be read
            self._log(error, leased)
            return self._end(leased, self._failed(leased))

    def _log(self, error: BaseException, leased: LeasedRow | None) -> None:
        contact = None if leased is None else leased.command.contact
        with suppress(Exception):  # the text of an exception may raise too
            log_exception("batch_row_failed", error, contact=contact)

    def _failed(self, leased: LeasedRow) -> Result:
        """Return the result of a call that has none: it may have taken effect."""
        account = self._service.accounts[self.account]
        outcome = Outcome.failure(Code.INTERNAL_ERROR)
        return Result(outcome, leased.command, account.name, account.provider.name, attempts=1)

    def _end(self, leased: LeasedRow, result: Result, *, is_shared: bool = False) -> EndedRow:
        # After a failure that several rows share, each of them has another try, alone.
        ending = ending_of(result, 1 if is_shared else leased.tries)
        opened = leased.opened.event
        row = result_row(result, opened.contact, time.time())
        state, certainty = state_after(opened, result)
        return EndedRow(leased, ending, CloseEvent(opened, row, state, certainty), is_shared)

    def end(self) -> None:
        """End the threads; all rows have ended."""
        self._pool.shutdown(wait=False)
