"""From the result of a row's call to the status of the row, or to its next try."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from adapter.batches.contacts import OTHER_FORM, named_contact
from adapter.batches.lanes import Pause
from adapter.batches.model import ItemStatus
from adapter.codes import Action, Applied, Code, Retry
from adapter.contacts import Contact
from adapter.ledger.rows import clean
from adapter.ledger.schema import MAX_WHY
from adapter.privacy import mask_digit_runs
from adapter.readings import Unverified
from adapter.redaction import redact_contact
from adapter.results import Result

LANE_CODES: Final = frozenset(
    {
        Code.SESSION_NOT_FOUND,
        Code.SESSION_NOT_CONNECTED,
        Code.PROVIDER_AUTH_FAILED,
        Code.PROVIDER_PERMISSION_DENIED,
        Code.PROVIDER_RATE_LIMITED,
        Code.PROVIDER_REDIRECTED,
        Code.PROVIDER_MISADDRESSED,
        Code.PROVIDER_TLS_ERROR,
        Code.PROVIDER_UNREACHABLE,
        Code.CIRCUIT_OPEN,
    }
)
"""Codes that are about the account: every further row would fail as well."""

ROW_CODES: Final = frozenset(
    code.value
    for code in (
        Code.SESSION_NOT_FOUND,
        Code.PROVIDER_AUTH_FAILED,
        Code.PROVIDER_PERMISSION_DENIED,
        Code.PROVIDER_REDIRECTED,
        Code.PROVIDER_MISADDRESSED,
    )
)
"""Those of `LANE_CODES` that may be about one row after all, where others get other responses."""

MAX_TRIES: Final = 3
"""How often a row is tried whose failures certainly did nothing, and may pass."""

ROW_TRIES: Final = 2
"""How often a row is tried with one of `ROW_CODES`, while other rows get other responses."""

TOGETHER_TRIES: Final = 2
"""How often a row is sent with others that all get one of `ROW_CODES`, before it is sent alone."""

TRY_DELAY: Final = 5.0
"""Seconds before the second try of a row; the third waits twice as long."""

_OWN_CODES: Final = frozenset({Code.OVERLOADED, Code.LEDGER_UNAVAILABLE})
"""Codes of this process: nothing was sent, and it is not the provider's fault."""


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of a row's try. With `pending` the row waits for `delay` seconds, or for its lane.

    `counts`: whether it is one of the `MAX_TRIES`. `unresolved`: whether it may have taken effect.
    """

    status: ItemStatus
    code: str | None = None
    why: str | None = None
    delay: float | None = None
    pause: Pause | None = None
    counts: bool = True
    unresolved: bool = False


DONE: Final = Ending(ItemStatus.DONE)


def ending_of(result: Result, tries: int) -> Ending:
    """Return the ending of a row whose call had this result; it is the row's `tries`th try."""
    code, outcome = result.code, result.outcome
    if code is None:
        verification = outcome.verification
        if result.command and result.command.verify and verification.verified is None:
            return not_verified(verification.reason or Unverified.NO_READ)
        return DONE
    if outcome.superseded:
        return Ending(ItemStatus.SUPERSEDED)
    contact = result.command.contact if result.command else None
    why = describe(outcome.message, contact)
    if code in LANE_CODES:
        seconds = None
        if code in (Code.PROVIDER_RATE_LIMITED, Code.CIRCUIT_OPEN):
            seconds = outcome.retry_after or None
        pause = Pause(code.value, seconds)
        unresolved = outcome.applied is Applied.UNKNOWN
        return Ending(
            ItemStatus.PENDING, code.value, why, pause=pause, counts=False, unresolved=unresolved
        )
    if code in _OWN_CODES:
        wait = outcome.retry_after or 1
        return Ending(ItemStatus.PENDING, code.value, why, delay=wait, counts=False)
    if outcome.applied is Applied.UNKNOWN and result.attempts:
        return Ending(ItemStatus.UNKNOWN, code.value, why)
    if outcome.retry in (Retry.NOW, Retry.AFTER_DELAY) and tries < MAX_TRIES:
        delay = max(outcome.retry_after or 0, TRY_DELAY * tries)
        return Ending(ItemStatus.PENDING, code.value, why, delay=delay)
    return Ending(ItemStatus.FAILED, code.value, why)


def may_be_the_cause(code: str | None, tries: int) -> bool:
    """Whether a row may be why a request with others has failed, by the code of its last failure.

    The row is sent alone then. After a failure of the account, it is sent with others once more.
    """
    return tries >= (TOGETHER_TRIES if code in ROW_CODES else 1)


def after_other_rows(ending: Ending, tries: int, *, is_shared: bool) -> Ending:
    """Return the ending of a row that would pause its lane, in which other rows get responses.

    The second such failure of a row is about this row, unless others of its request share it.
    """
    if ending.pause is None or ending.pause.code not in ROW_CODES:
        return ending
    if is_shared or tries < ROW_TRIES:
        return replace(ending, counts=True)
    status = ItemStatus.UNKNOWN if ending.unresolved else ItemStatus.FAILED
    return replace(ending, status=status, pause=None, counts=True)


def not_verified(reason: Unverified) -> Ending:
    """Return the ending of a row that was done, and that a batch could not verify."""
    why = f"It was done, and not verified: {reason.when}."
    return Ending(ItemStatus.UNKNOWN, reason.value, why)


def describe(message: str, contact: Contact | None) -> str:
    """Return a message for a row: no text of a row holds a number."""
    return clean(mask_digit_runs(redact_contact(message, contact)), MAX_WHY)


def settled_status(row: Any, intent: int, *, has_list: bool = False) -> ItemStatus | None:
    """Return the status of a row that needs no call; None for one that does.

    `has_list`: the provider's list was read, and does not show the contact of a row that blocks.
    """
    if named_contact(row) is None:
        return ItemStatus.UNKNOWN if row.unresolved else ItemStatus.CANCELLED
    wanted = "blocked" if row.action == Action.BLOCK else "unblocked"
    if row.wanted is None:
        return None
    if row.wanted != wanted:
        return ItemStatus.SUPERSEDED if row.place > intent else None
    # A list has shown another state than the ledger for a row of a plan, and perhaps for a retry.
    if row.op is not None or row.again:
        return None
    if has_list and row.action == Action.BLOCK:
        return None
    if OTHER_FORM in row.named_by:  # what is known may be of the number's stored form alone
        return None
    known = row.state == wanted and row.certainty != "none"
    return ItemStatus.UNCHANGED if known else None
