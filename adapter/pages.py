"""Pages of block lists, of the history, and the state of a contact by the ledger."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from adapter.codes import Code, Confirmation
from adapter.contacts import Contact
from adapter.errors import LedgerUnavailable
from adapter.history import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    BlockEntry,
    Filters,
    Source,
    read_cursor,
    write_cursor,
)
from adapter.readings import BlockPage, BlockState, CallPage, Unverified
from adapter.recording import unavailable
from adapter.request_fields import invalid_field
from adapter.results import Outcome, Result

if TYPE_CHECKING:
    from adapter.ledger.ledger import Ledger

VIAS: Final = ("api", "dialect", "python", "cli", "batch")
"""The ways by which calls are made."""

CODES: Final = ("ok", *(code.value for code in Code))
"""The codes by which calls end."""

NEEDS_LEDGER: Final = "needs a ledger; configure [ledger] url"

_YEARS: Final = range(2000, 9000)
"""The years of a search: beyond them, a time cannot be counted with in every time zone."""

_KIND: Final = "p"
_BUCKET_BYTES: Final = 3
_INDEX_BITS: Final = 16


def check_limit(limit: int | None) -> None:
    """Raise RequestError unless the limit is None or from 1 to MAX_LIMIT."""
    if limit is not None and (
        isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MAX_LIMIT
    ):
        raise invalid_field("limit", f"must be a whole number from 1 to {MAX_LIMIT}")


def check_choice(name: str, value: str | None, choices: Sequence[str]) -> None:
    """Raise RequestError unless the value is None or one of the choices."""
    if value is not None and value not in choices:
        raise invalid_field(name, f"must be one of: {', '.join(choices)}")


def read_time(name: str, given: str | datetime | None) -> datetime | None:
    """Return the time of a text such as `2026-11-25T12:30:00Z`; raises RequestError."""
    moment = given
    if isinstance(given, str):
        try:
            moment = datetime.fromisoformat(given)
        except ValueError:
            moment = None
    if given is not None and (
        not isinstance(moment, datetime) or moment.tzinfo is None or moment.year not in _YEARS
    ):
        message = "must be a time with its time zone, such as 2026-11-25T12:30:00Z"
        raise invalid_field(name, message)
    return moment if isinstance(moment, datetime) else None


def make_filters(
    *,
    accounts: Collection[str] | None,
    contact: Contact | None,
    since: str | datetime | None = None,
    until: str | datetime | None = None,
    code: str | None = None,
    via: str | None = None,
    key_name: str | None = None,
) -> Filters:
    """Return the filters of a search; raises RequestError for an invalid one."""
    check_choice("code", code, CODES)
    check_choice("via", via, VIAS)
    return Filters(
        accounts=accounts,
        contact=contact,
        since=read_time("since", since),
        until=read_time("until", until),
        code=code,
        via=via,
        key_name=key_name,
    )


def read_page_position(cursor: str | None) -> tuple[int, int]:
    """Return where a page of a provider's list begins; raises RequestError for another cursor."""
    if cursor is None:
        return 0, 0
    try:
        number = read_cursor(_KIND, cursor)
    except ValueError as error:
        raise invalid_field("cursor", str(error)) from None
    return number >> _INDEX_BITS, number & ((1 << _INDEX_BITS) - 1)


def cut_page(result: Result, limit: int | None, position: tuple[int, int]) -> Result:
    """Return the page of a provider's list that begins at the position.

    The contacts are in the order of a short hash, so that a contact which is added or removed
    between two pages moves no other. Its 24 bits in a cursor fit hundreds of numbers.
    """
    contacts = result.contacts
    if contacts is None:
        return result
    limit = limit or DEFAULT_LIMIT
    placed: list[tuple[int, int, Contact]] = []
    for bucket, contact in sorted((_bucket(each), each) for each in map(_Sortable, contacts)):
        index = placed[-1][1] + 1 if placed and placed[-1][0] == bucket else 0
        placed.append((bucket, index, contact.contact))
    rest = [each for each in placed if each[:2] >= position]
    page, cursor = rest[:limit], None
    if len(rest) > limit:
        bucket, index, _ = page[-1]
        cursor = write_cursor(_KIND, bucket << _INDEX_BITS | index + 1)
    contacts = tuple(contact for _, _, contact in page)
    return replace(
        result, outcome=replace(result.outcome, contacts=contacts, reading=BlockPage(cursor))
    )


class _Sortable:
    """A contact in the order of its identifiers."""

    __slots__ = ("contact", "text")

    def __init__(self, contact: Contact) -> None:
        self.contact = contact
        self.text = f"{contact.number} {contact.lid} {contact.user_id}"

    def __lt__(self, other: _Sortable) -> bool:
        return self.text < other.text


def _bucket(each: _Sortable) -> int:
    return int.from_bytes(sha256(each.text.encode()).digest()[:_BUCKET_BYTES], "big")


def read_blocked(ledger: Ledger, account: str, limit: int | None, cursor: str | None) -> Outcome:
    """Return a page of the contacts that are blocked for the account, by the ledger."""
    try:
        page = ledger.blocked(account, limit or DEFAULT_LIMIT, cursor)
    except LedgerUnavailable:
        return unavailable()
    except ValueError as error:
        raise invalid_field("cursor", str(error)) from None
    known = [(entry.contact, entry) for entry in page.entries if entry.contact is not None]
    return Outcome.success(
        Confirmation.ACCEPTED,
        contacts=tuple(contact for contact, _ in known),
        reading=BlockPage(page.cursor, tuple(entry for _, entry in known)),
    )


def read_state(ledger: Ledger, account: str, contact: Contact) -> Outcome:
    """Return whether the contact is blocked, by the ledger."""
    try:
        entry = ledger.state(account, contact)
    except LedgerUnavailable:
        return unavailable()
    return Outcome.success(Confirmation.ACCEPTED, reading=_state_of(entry))


def _state_of(entry: BlockEntry | None) -> BlockState:
    if entry is None:
        return BlockState(None, Unverified.NO_READ, Source.LEDGER)
    if entry.state not in ("blocked", "unblocked"):
        return BlockState(None, Unverified.INCOMPLETE, Source.LEDGER, entry)
    return BlockState(entry.state == "blocked", None, Source.LEDGER, entry)


def read_history(
    ledger: Ledger, filters: Filters, limit: int | None, cursor: str | None
) -> Outcome:
    """Return a page of the calls, the newest first."""
    try:
        page = ledger.calls(filters, limit or DEFAULT_LIMIT, cursor)
    except LedgerUnavailable:
        return unavailable()
    except ValueError as error:
        raise invalid_field("cursor", str(error)) from None
    return Outcome.success(Confirmation.ACCEPTED, reading=CallPage(page.entries, page.cursor))


def require_ledger(ledger: Ledger | None, field: str) -> Ledger:
    """Return the ledger; raises RequestError, which names the field, where there is none."""
    if ledger is None:
        raise invalid_field(field, NEEDS_LEDGER)
    return ledger
