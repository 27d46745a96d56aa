"""What the ledger returns: pages of blocked contacts and of calls. Cursors hold no number."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Generic, TypeVar

from adapter.contacts import Contact

T = TypeVar("T")

MAX_LIMIT: Final = 1000
"""Maximum number of entries of a page."""

DEFAULT_LIMIT: Final = 100
"""Number of entries of a page where none is given."""

DEFAULT_SINCE: Final = timedelta(hours=24)
"""How far back a page of calls looks where no time is given."""

_DIGITS: Final = "bcdfghjklmnpqrst"
"""The digits of a cursor: no digits, which may look like a number, and no vowels."""

_MAX_ID: Final = 2**63 - 1
"""The largest id of a database."""

_OTHER_CURSOR: Final = "is not a cursor of this list; send the one of the page before"


class Source(StrEnum):
    """Where a block list or a state was read: from the provider, or from the ledger."""

    PROVIDER = "provider"
    LEDGER = "ledger"


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A page of entries, and the cursor of the next one; None after the last.

    A page may have fewer entries than asked for, and yet a next one.
    """

    entries: tuple[T, ...]
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class BlockEntry:
    """What is known about one contact of an account.

    `wanted` and `state` are `blocked` or `unblocked`, `state` also `unknown`. `certainty` is how
    the state is known: `read_back`, `provider_state`, `accepted` or `none`. `pending`: a change was
    begun, and its end is not known yet. Times are in UTC.
    """

    account: str
    contact: Contact | None
    wanted: str
    intent: int
    state: str
    certainty: str
    since: datetime | None
    verified_at: datetime | None
    wanted_by: str | None
    via: str
    wanted_at: datetime
    reason: str | None
    ref: str | None
    pending: bool


@dataclass(frozen=True, slots=True)
class CallEntry:
    """One call. Without `closed_at`, it has not ended, or its end is not known.

    `code` is `ok` or an error code; after its deadline, an open call has the outcome `unknown`.
    """

    id: int
    account: str
    provider: str
    action: str
    contact: Contact | None
    via: str
    key_name: str | None
    request_id: str | None
    reason: str | None
    ref: str | None
    opened_at: datetime
    deadline_at: datetime
    closed_at: datetime | None
    code: str | None
    outcome: str | None
    confirmation: str | None
    verified: bool | None
    upstream_status: int | None
    upstream_code: str | None
    attempts: int | None
    reads: int | None
    duration_ms: int | None


@dataclass(frozen=True, slots=True)
class Filters:
    """Which calls to read. `accounts` are all that may be seen; None means every account.

    `since` is by default 24 hours before `until`, which is by default now.
    """

    accounts: Collection[str] | None = None
    contact: Contact | None = None
    since: datetime | None = None
    until: datetime | None = None
    code: str | None = None
    via: str | None = None
    key_name: str | None = None


def write_cursor(kind: str, number: int) -> str:
    """Return a cursor; `kind` is one letter, so that no cursor is used for another list."""
    return kind + "".join(_DIGITS[int(digit, 16)] for digit in f"{number:x}")


def read_cursor(kind: str, cursor: str) -> int:
    """Return the id of a cursor; raise ValueError for any other text."""
    rest = cursor[1:]
    if cursor[:1] != kind or not 0 < len(rest) <= 16 or not set(rest) <= set(_DIGITS):
        raise ValueError(_OTHER_CURSOR)
    number = int("".join(f"{_DIGITS.index(letter):x}" for letter in rest), 16)
    if number > _MAX_ID:
        raise ValueError(_OTHER_CURSOR)
    return number
