"""A change between its opening and its close in the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapter.codes import Code
from adapter.ledger.events import CallEvent
from adapter.recording import Claim
from adapter.results import Result

if TYPE_CHECKING:
    from adapter.ledger.ledger import Ledger


class Opened:
    """A change that was opened in the ledger. `close` has to be called.

    Where it could not be recorded in time, `recorded` is False; it may be recorded later.
    """

    __slots__ = ("_event", "_ledger", "recorded")

    def __init__(self, ledger: Ledger, event: CallEvent | None, recorded: bool) -> None:
        self._ledger, self._event, self.recorded = ledger, event, recorded

    @property
    def call_id(self) -> int | None:
        """The id of the call, which is its place in the order of wishes; None if not recorded."""
        event = self._event
        return event.call_id if event is not None and event.recorded else None

    @property
    def superseded(self) -> bool:
        """Whether an opposite wish was newer already when this call was recorded. No query."""
        event = self._event
        return event is not None and event.recorded and event.superseded

    def is_superseded(self) -> bool:
        """Whether a newer call, in any process, requests the opposite for the contact.

        Ask before a retry. False where the ledger does not know, after `wait` seconds.
        """
        event = self._event
        if event is None or not event.recorded:
            return False
        return event.superseded or self._ledger.has_newer_wish(event)

    def close(self, result: Result, claim: Claim | None = None) -> bool:
        """Record the result, and settle the claim of its key; return whether it is recorded.

        A call that was refused with `ledger_unavailable` is not recorded, if it can be avoided.
        """
        event = self._event
        if event is None:
            if claim is not None:
                self._ledger.release(claim)
            return False
        if result.code is Code.LEDGER_UNAVAILABLE:
            event.cancelled = True
        return self._ledger.close_call(event, result, claim)
