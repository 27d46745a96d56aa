"""A batch and its items, as they are shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from adapter.codes import Code
from adapter.contacts import Contact

LOST: Final = Code.INTERNAL_ERROR.value
"""The code of an unknown row whose last result was lost, with its process."""


class Status(StrEnum):
    """The status of a batch."""

    STAGING = "staging"
    PLANNED = "planned"
    """A plan that has not been applied."""
    READY = "ready"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    CANCELLED = "cancelled"


class ItemStatus(StrEnum):
    """The status of a row: of those after `leased`, it ends in exactly one."""

    PENDING = "pending"
    LEASED = "leased"
    DONE = "done"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    UNKNOWN = "unknown"
    REJECTED = "rejected"
    DUPLICATE = "duplicate"
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"


OPEN: Final = (ItemStatus.PENDING.value, ItemStatus.LEASED.value)
"""The statuses of a row that has not ended."""


@dataclass(frozen=True, slots=True)
class Wait:
    """An account whose rows wait: the code for which they do, and the time of the next try."""

    account: str
    code: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch. `counts` has the rows by status, `rows` is their sum.

    `waits`: the accounts that wait, of which `pause_code` and `paused_until` are the first. A batch
    with the status `paused` was paused on request, or with a `pause_code` after errors of ours.
    `seconds_left` is an estimate, None where there is none. Times are in UTC.
    """

    id: int
    kind: str
    account: str
    action: str | None
    status: str
    pause_code: str | None
    paused_until: datetime | None
    rows: int
    counts: dict[str, int]
    verify: bool
    via: str
    key_name: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    seconds_left: float | None
    waits: tuple[Wait, ...] = ()


@dataclass(frozen=True, slots=True)
class Item:
    """One row of a batch. `given` is the identifier of a rejected row, else that of its contact."""

    row: int
    line: int
    account: str | None
    action: str | None
    contact: Contact | None
    given: str = field(repr=False)
    status: str
    code: str | None
    why: str | None
    reason: str | None
    ref: str | None
    attempts: int
    call_id: int | None
    op: str | None


@dataclass(frozen=True, slots=True)
class Created:
    """A batch that was created; `existing`: the unfinished batch of the same rows."""

    batch: Batch
    existing: bool
