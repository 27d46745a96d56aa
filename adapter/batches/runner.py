"""Run one batch in this process, until it ends, is paused by a person, or is to stop here."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import sqlalchemy as sa

from adapter.batches import store
from adapter.batches.claims import Claims
from adapter.batches.comparing import has_unknown_rows, mark_unchanged, note_list
from adapter.batches.details import accounts_of
from adapter.batches.lane_work import LaneWork
from adapter.batches.list_check import ListCheck
from adapter.batches.model import Batch, Status
from adapter.codes import Action, Code, Verify
from adapter.errors import LedgerUnavailable
from adapter.fallback import offered_actions
from adapter.ledger.database import is_disconnect, is_passing
from adapter.ledger.ledger import Ledger
from adapter.logs import log_event, log_exception
from adapter.service import Service

T = TypeVar("T")

LEASE_MARGIN: Final = 15.0
"""Seconds that a lease lasts beyond the deadline of its call."""

PROGRESS_EVERY: Final = 1.0
"""Seconds between two reports of the progress."""

FIRST_PAUSE, LONGEST_PAUSE = 0.25, 5.0
"""Seconds until a ledger that is gone is tried again, which double each time."""

MAX_FAILURES: Final = 3
"""How often in a row one transaction may fail though the database is there; then it is a bug."""

MOST_ROWS: Final = 1000
"""The most rows of one request: they are leased in one transaction."""


class _RepeatedFailure(Exception):  # noqa: N818 - not an error of its own
    """A transaction fails each time, for another reason than the database; see its cause."""


class Runner:
    """Runs one batch once; see `Batches.run`."""

    def __init__(
        self,
        service: Service,
        ledger: Ledger,
        batch_id: int,
        stop: threading.Event,
        progress: Callable[[Batch], None] | None = None,
    ) -> None:
        self._service, self._ledger, self._batch_id = service, ledger, batch_id
        self._stop, self._progress = stop, progress
        self._owner = secrets.token_hex(8)
        self._wake = threading.Event()
        self._pause = FIRST_PAUSE
        self._failures: Counter[str] = Counter()
        self._removed: list[str] = []
        self._progress_at = 0.0

    def run(self) -> None:
        """Work until the batch ends, is paused by a person, or `stop` is set.

        While the ledger is gone, it waits; a stopped one at most as long as a lease. A batch whose
        transactions fail for another reason is paused. Returns at once for one that is not running.
        """
        try:
            self._work()
        except _RepeatedFailure as error:
            cause = error.__cause__ or error
            log_exception("batch_failed", cause, id=self._batch_id, state="paused")
            tables = self._ledger.tables
            self._ledger.work(
                lambda connection, _: store.set_status(
                    connection,
                    tables,
                    self._batch_id,
                    [Status.RUNNING],
                    Status.PAUSED,
                    pause_code=Code.INTERNAL_ERROR.value,
                )
            )

    def _work(self) -> None:
        while (row := self._insist(self._begin)) is not None:
            names = self._names(row)
            self._removed = [name for name in accounts_of(row) if name not in names]
            if not self._run_rows(names, row) or self._finish(row) or self._stop.wait(0.2):
                return

    def _run_rows(self, names: list[str], row: Any) -> bool:
        """Run rows until none is left; return False where the process is to stop before.

        The lanes are new each time: those of the last time have released their slots.
        """
        lanes = [self._new_lane(name, row) for name in names]
        try:
            return self._run_lanes(lanes)
        finally:
            for lane in lanes:
                lane.close()
                lane.end()

    def _names(self, row: Any) -> list[str]:
        """Return the accounts of the batch's rows that are still in the configuration."""
        return [name for name in accounts_of(row) if name in self._service.accounts]

    def _begin(self) -> Any:
        """Return the row of the batch; the first process to begin reads the lists."""
        tables = self._ledger.tables

        def work(connection: Any, _: object) -> tuple[Any, bool]:
            batches = tables.batches
            row = store.find_row(connection, tables, self._batch_id)
            if row is None or row.status != Status.RUNNING:
                return None, False
            first = batches.update().where(
                batches.c.id == self._batch_id, batches.c.started_at.is_(None)
            )
            now = datetime.now(UTC)
            return row, connection.execute(first.values(started_at=now)).rowcount > 0

        row, is_first = self._ledger.work(work)
        if is_first:
            for name in self._names(row):
                contacts = self._list_check(row).read(name)
                if contacts is not None:
                    mark_unchanged(self._ledger, self._batch_id, name, contacts)
                    self._ledger.work(
                        lambda connection, _, name=name: note_list(  # type: ignore[misc]
                            connection, tables, self._batch_id, name
                        )
                    )
        return row

    def _list_check(self, row: Any) -> ListCheck:
        return ListCheck(self._service, self._ledger, row, self._stop, self._insist, self._report)

    def _new_lane(self, name: str, row: Any) -> LaneWork:
        account = self._service.accounts[name]
        call = account.settings.transport.deadline
        lease = call + LEASE_MARGIN
        verify = None
        if row.verify:  # by one list at the end, where there is one
            verify = Action.LIST not in offered_actions(account)
        reads_back = account.verify is Verify.ALWAYS if verify is None else verify
        # Reading a change back is part of its call, which is then of one row.
        group = 1 if reads_back else min(account.provider.max_contacts, MOST_ROWS)
        claims = Claims(
            self._ledger,
            self._batch_id,
            name,
            account.provider.name,
            account.settings.pace,
            lease,
            verify,
            group,
        )
        return LaneWork(self._service, name, claims, self._owner, lease, call, self._wake, group)

    # --- rows

    def _run_lanes(self, lanes: list[LaneWork]) -> bool:
        """Run rows until none is left; return False where the process is to stop before."""
        is_open, exhausted = True, set[LaneWork]()
        give_up_at: float | None = None
        while True:
            if self._stop.is_set():
                now = time.monotonic()
                if give_up_at is None:
                    give_up_at = now + max((lane.lease for lane in lanes), default=LEASE_MARGIN)
                elif now >= give_up_at:  # the ledger is gone: the leases settle what is left
                    return False
                if is_open:
                    is_open = False
                    self._close(lanes)
            for lane in lanes:
                if not lane.is_due and is_open:
                    continue
                if not is_open and not lane.is_due and not lane.is_idle:
                    continue
                answer = self._attempt(lane)
                if answer is None:
                    break
                if answer.status != Status.RUNNING and is_open:
                    is_open = False
                    self._close(lanes)
                exhausted.discard(lane)
                if answer.is_exhausted and lane.is_idle:
                    exhausted.add(lane)
            if not is_open and all(lane.is_idle for lane in lanes):
                self._release(lanes)
                return False
            if len(exhausted) == len(lanes):
                self._end_removed()
                if not self._insist(self._has_open_rows):
                    self._release(lanes)
                    return True
                exhausted.clear()
            self._report()
            self._wake.wait(min((lane.delay for lane in lanes), default=0.5))
            self._wake.clear()

    def _attempt(self, lane: LaneWork) -> Any:
        """Exchange rows; None where the ledger is gone, after a pause."""
        try:
            answer = lane.exchange()
        except LedgerUnavailable as error:
            self._wait(error, lane.account)
            return None
        self._pause = FIRST_PAUSE
        del self._failures[lane.account]
        return answer

    def _close(self, lanes: list[LaneWork]) -> None:
        for lane in lanes:
            lane.close()
        for lane in lanes:
            self._attempt(lane)

    def _release(self, lanes: list[LaneWork]) -> None:
        for lane in lanes:
            lane.close()
            with suppress(LedgerUnavailable):  # else the slots are free when the lease ends
                lane.exchange(release=True)

    def _end_removed(self) -> None:
        """End the rows of accounts that were removed from the configuration."""
        tables = self._ledger.tables

        def work(connection: sa.Connection, _: object) -> int:
            return store.end_removed(connection, tables, self._batch_id, self._removed)

        while self._removed and self._insist(lambda: self._ledger.work(work)) > 0:
            pass

    def _has_open_rows(self) -> bool:
        tables = self._ledger.tables
        return self._ledger.ask(
            lambda connection: store.has_open_rows(connection, tables, self._batch_id)
        )

    # --- the end

    def _finish(self, row: Any) -> bool:
        """End the batch; return False where it does not run any more, or has rows again."""
        check = self._list_check(row)
        for name in self._names(row):
            has_to = row.verify or self._has_to_settle(name)
            if has_to and not check.decide(name, only_unknown=not row.verify):
                return False
        tables = self._ledger.tables
        return bool(
            self._insist(
                lambda: self._ledger.work(
                    lambda connection, _: store.finish(connection, tables, row)
                )
            )
        )

    def _has_to_settle(self, name: str) -> bool:
        """Whether there are unknown rows, which were not read back since they went with others."""
        account = self._service.accounts[name]
        if account.verify is not Verify.UNKNOWN or account.provider.max_contacts == 1:
            return False
        return bool(self._insist(lambda: has_unknown_rows(self._ledger, self._batch_id, name)))

    # --- the ledger

    def _insist(self, work: Callable[[], T]) -> T:
        """Return what the function returns, as soon as the ledger is there.

        Raises LedgerUnavailable where it is not, once `stop` is set.
        """
        while True:
            try:
                result = work()
            except LedgerUnavailable as error:
                self._wait(error)
                if self._stop.is_set():
                    raise
            else:
                self._pause = FIRST_PAUSE
                del self._failures[""]
                return result

    def _wait(self, error: LedgerUnavailable, kind: str = "") -> None:
        """Wait a while. `kind` is the account whose rows failed: others may go on meanwhile."""
        log_event(
            "batch", level=logging.WARNING, id=self._batch_id, state="waiting", error=str(error)
        )
        cause = error.__cause__
        is_outage = (
            cause is None
            or isinstance(cause, LedgerUnavailable)
            or is_disconnect(cause)
            or is_passing(cause)
        )
        self._failures[kind] = 0 if is_outage else self._failures[kind] + 1
        if self._failures[kind] >= MAX_FAILURES:
            raise _RepeatedFailure from cause
        if self._stop.is_set():
            time.sleep(self._pause)
        else:
            self._stop.wait(self._pause)
        self._pause = min(self._pause * 2, LONGEST_PAUSE)

    def _report(self) -> None:
        if self._progress is None or time.monotonic() < self._progress_at:
            return
        tables = self._ledger.tables
        with suppress(LedgerUnavailable):
            batch = self._ledger.ask(
                lambda connection: store.read_batch(connection, tables, self._batch_id, None)
            )
            if batch is not None:
                self._progress(batch)
        self._progress_at = time.monotonic() + PROGRESS_EVERY
