"""What a process brings to an exchange of rows, and what it gets: see `Claims.exchange`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from adapter.batches.endings import Ending
from adapter.call_context import CallContext
from adapter.ledger.events import CallEvent, CloseEvent
from adapter.ledger.ledger import Ledger
from adapter.results import Command, Result


class OpenedRow:
    """A row's change, which was opened in the ledger with its lease. See `OpenedCall`."""

    __slots__ = ("_ledger", "event")

    recorded = True

    def __init__(self, ledger: Ledger, event: CallEvent) -> None:
        self._ledger, self.event = ledger, event

    @property
    def call_id(self) -> int:
        """The id of the call."""
        return self.event.call_id

    @property
    def superseded(self) -> bool:
        """Whether an opposite wish was newer already."""
        return self.event.superseded

    def is_superseded(self) -> bool:
        """Whether a newer call requests the opposite."""
        return self.event.superseded or self._ledger.has_newer_wish(self.event)

    def close(self, result: Result, claim: object = None) -> bool:
        """Return True: the result is recorded when the row ends, with those of its group."""
        return True


@dataclass(frozen=True, slots=True)
class LeasedRow:
    """A row that this process runs; `tries` counts this one.

    `unresolved`: whether an earlier try may have taken effect. `wish_before`: the columns of
    the contact's wish before the row was leased; None where there was none. `failed`: whether an
    earlier try has failed. `is_suspect`: whether the row may be the cause; it is sent alone then.
    """

    row: int
    command: Command
    context: CallContext
    opened: OpenedRow
    tries: int
    unresolved: bool = False
    wish_before: dict[str, Any] | None = None
    failed: bool = False
    is_suspect: bool = False


@dataclass(frozen=True, slots=True)
class EndedRow:
    """A row whose call has ended, and the end of its call.

    `is_shared`: whether another row of its request has failed with the same code.
    """

    leased: LeasedRow
    ending: Ending
    close: CloseEvent
    is_shared: bool = False

    @property
    def shows_account(self) -> bool:
        """Whether the provider has responded about the row, and not about the account."""
        return self.ending.pause is None and self.close.row["upstream_status"] is not None


@dataclass(slots=True)
class Exchange:
    """What a process brings and wants: see `Claims.exchange`.

    `unsent`: leased rows that are not run. `running`: requests that have begun, `rows`: the rows in
    them, and `slots`: how many requests may run meanwhile. `queued`: leased rows that have not
    begun, some of which may be superseded by now. `after`: no row up to this one is pending.
    `recover`: take rows back whose leases have expired. `release`: the process ends.
    """

    owner: str
    ended: Sequence[EndedRow] = ()
    unsent: Sequence[LeasedRow] = ()
    renewed: Sequence[int] = ()
    running: int = 0
    rows: int = 0
    slots: int = 0
    queued: Sequence[LeasedRow] = ()
    after: int = 0
    recover: bool = False
    release: bool = False


@dataclass(slots=True)
class Answer:
    """What an exchange returns: `slots` is how many requests may run now, each of one row or more.

    `wait_until`: no row can be leased before, in seconds since 1970. `is_exhausted`: nothing was
    left to lease now. `is_full`: no further row was wanted.
    """

    status: str
    slots: int = 0
    leased: list[LeasedRow] = field(default_factory=list)
    after: int = 0
    wait_until: float = 0.0
    is_exhausted: bool = False
    is_full: bool = False
    is_paused: bool = False
