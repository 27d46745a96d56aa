"""The provider's list of an account: read for a batch, and awaited where it decides at the end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, Protocol, TypeVar

import sqlalchemy as sa

from adapter.batches import store
from adapter.batches.comparing import (
    BlockList,
    compare_rows,
    is_verifiable,
    mark_unverified,
    may_still_change,
)
from adapter.batches.endings import ending_of
from adapter.batches.lanes import Lane, Pause, lock_lane, save_lane
from adapter.batches.model import Status
from adapter.call_context import CallContext
from adapter.codes import Action, Code
from adapter.contacts import Contact
from adapter.fallback import offered_actions
from adapter.ledger.ledger import Ledger
from adapter.readings import Unverified
from adapter.results import Command, Result
from adapter.service import Service
from adapter.verification import RECHECK_DELAY

T = TypeVar("T")

MAX_LIST_TRIES: Final = 3
LIST_DELAY: Final = 5.0
"""How often the list is read at the end, and the seconds between two tries."""

LOOK_EVERY: Final = 1.0
"""Seconds between two looks at the status of a batch whose list cannot be read yet."""


class Insist(Protocol):
    """Returns what the function returns, as soon as the ledger is there."""

    def __call__(self, work: Callable[[], T], /) -> T: ...  # noqa: D102


class ListCheck:
    """The lists of one batch, whose row this is; `report` is called while it waits."""

    def __init__(
        self,
        service: Service,
        ledger: Ledger,
        row: Any,
        stop: threading.Event,
        insist: Insist,
        report: Callable[[], None],
    ) -> None:
        self._service, self._ledger, self._row = service, ledger, row
        self._stop, self._insist, self._report = stop, insist, report

    def read(self, name: str) -> tuple[Contact, ...] | None:
        """Return the block list of an account; None without one, and where it cannot be read."""
        result = self._perform(name)
        return None if result is None else result.contacts

    def _perform(self, name: str) -> Result | None:
        """Return the result of reading the list; None without one, and for an exception."""
        if Action.LIST not in offered_actions(self._service.accounts[name]):
            return None
        context = CallContext("batch", self._row.key_name, self._row.request_id or "")
        try:
            return self._service.perform(name, Command(Action.LIST), context=context)
        except Exception:  # noqa: BLE001 - a bug of a plugin, which is logged
            return None

    def decide(self, name: str, *, only_unknown: bool = False) -> bool:
        """Let the list decide about the rows of an account, where there is one.

        Returns False for a batch that does not run any more, and when stopped. While the account
        cannot be reached, its lane is paused, as by a row. The list is read once more where a
        change may take effect after its response. Without a list that can be read, it is not known
        what has become of the rows that were done.

        With `only_unknown`, the list settles unknown rows alone, and the account is not awaited.
        """
        account = self._service.accounts[name]
        if Action.LIST not in offered_actions(account):
            if not (only_unknown or is_verifiable(account)):
                self._mark_unverified(name, Unverified.NO_READ)
            return True  # else each change was read back by itself
        left, is_last, has_paused = MAX_LIST_TRIES, False, False
        while not self._stop.is_set() and self._is_running():
            result = self._perform(name)
            if result is not None and result.contacts is not None:
                if has_paused:
                    self._change_lane(name, Lane.record_success)
                blocked = BlockList(result.contacts, account.identities)
                is_last = is_last or only_unknown
                may_change = partial(may_still_change, self._ledger, self._row.id, account, blocked)
                if is_last or not self._insist(may_change):
                    given = (self._ledger, self._row, account, blocked)
                    self._insist(partial(compare_rows, *given, only_unknown=only_unknown))
                    return True
                is_last = True
                self._stop.wait(RECHECK_DELAY)
                continue
            pause = None if result is None or only_unknown else _pause_of(result)
            if pause is not None:
                has_paused = True
                self._wait_until(self._change_lane(name, partial(_pause, pause)))
                continue
            left -= 1
            if not left:
                if not only_unknown:
                    self._mark_unverified(name, (result and result.code) or Code.INTERNAL_ERROR)
                return True
            self._stop.wait(LIST_DELAY)
        return False

    def _mark_unverified(self, name: str, reason: Code | Unverified) -> None:
        self._insist(partial(mark_unverified, self._ledger, self._row, name, reason))

    def _change_lane(self, name: str, change: Callable[[Lane], None]) -> datetime | None:
        """Change the lane of an account; return until when it is paused."""
        tables = self._ledger.tables

        def work(connection: sa.Connection, _: object) -> datetime | None:
            lane = lock_lane(connection, tables, name)
            change(lane)
            save_lane(connection, tables, lane)
            return lane.paused_until

        return self._insist(lambda: self._ledger.work(work))

    def _wait_until(self, until: datetime | None) -> None:
        """Wait until this time, `stop`, or another status of the batch."""
        while until is not None and self._is_running():
            self._report()
            left = (until - datetime.now(UTC)).total_seconds()
            if left <= 0 or self._stop.wait(min(left, LOOK_EVERY)):
                return

    def _is_running(self) -> bool:
        tables, batch_id = self._ledger.tables, self._row.id
        row = self._insist(
            lambda: self._ledger.ask(
                lambda connection: store.find_row(connection, tables, batch_id)
            )
        )
        return row is not None and row.status == Status.RUNNING


def _pause(pause: Pause, lane: Lane) -> None:
    lane.pause(pause)


def _pause_of(result: Result) -> Pause | None:
    """Return the pause of the lane after a list that could not be read; None for other failures.

    A credential may be permitted to block, and not to read the list: that does not pass.
    """
    if result.code is Code.PROVIDER_PERMISSION_DENIED:
        return None
    return ending_of(result, 1).pause
