"""Read a change back: what the provider's own read shows about its outcome."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from adapter.codes import Applied, Code, Confirmation
from adapter.readings import BlockState, Unverified, Verification
from adapter.results import Command, Outcome

READ_SHARE: Final = 0.25
"""The part of a change's deadline that is kept for reading it back."""

RECHECK_DELAY: Final = 1.0
"""Seconds before a second read, where a change may take effect after its response.

With less time than that before the deadline, the opposite is not proven.
"""

_UNCHANGED: Final = "Reading it back shows that nothing was changed."


def verify(
    command: Command,
    outcome: Outcome,
    read: Callable[[float], tuple[Outcome, int]],
    deadline: float,
    *,
    always: bool,
    synchronous: bool,
    is_superseded: Callable[[], bool],
    sleep: Callable[[float], None] | None = None,
) -> Outcome:
    """Return the outcome of a change, settled by a read where it is unknown, or `always`.

    `read` returns the outcome of a read of the contact's state, until a deadline in monotonic
    seconds, and the attempts. Where it shows the opposite, and the change is not known to be
    `synchronous`, there is one more read after `RECHECK_DELAY`, and only that one counts.

    A newer call that requests the opposite makes the read useless: it may show that call's effect.
    """
    unknown = outcome.applied is Applied.UNKNOWN
    if outcome.verification.verified or not (unknown or (always and outcome.ok)):
        return outcome
    if is_superseded():
        return outcome
    state, reads = _read(read, deadline)
    is_doubtful = state.blocked is (not command.blocked)
    if is_doubtful and (unknown or not synchronous):
        state = BlockState(None, Unverified.INCOMPLETE)
        if time.monotonic() + RECHECK_DELAY < deadline and not is_superseded():
            (sleep or time.sleep)(RECHECK_DELAY)
            if not is_superseded():
                state, more = _read(read, deadline)
                reads += more
    names_another = not outcome.ok and outcome.named is not None
    if is_superseded() or (names_another and state.blocked is not command.blocked):
        state = BlockState(None, Unverified.INCOMPLETE)
    if state.blocked is None:
        reason = state.reason or Unverified.INCOMPLETE
        if outcome.ok and (is_doubtful or reason is not Unverified.READ_FAILED):
            # A read that succeeded has not shown the state that the provider has reported.
            outcome = replace(outcome, confirmation=Confirmation.ACCEPTED)
        return replace(outcome, verification=Verification(None, reason, reads))
    if state.blocked is command.blocked:
        success = Outcome.success(Confirmation.READ_BACK, upstream_status=outcome.upstream_status)
        return replace(success, verification=Verification(True, None, reads))
    shown = Verification(False, None, reads)
    if outcome.ok:
        failure = Outcome.failure(Code.NOT_EFFECTIVE, upstream_status=outcome.upstream_status)
        return replace(failure, verification=shown)
    return replace(outcome, verification=shown, message=f"{outcome.message} {_UNCHANGED}")


def _read(read: Callable[[float], tuple[Outcome, int]], deadline: float) -> tuple[BlockState, int]:
    outcome, reads = read(deadline)
    if isinstance(outcome.reading, BlockState) and time.monotonic() <= deadline:
        return outcome.reading, reads
    return BlockState(None, Unverified.READ_FAILED), reads
