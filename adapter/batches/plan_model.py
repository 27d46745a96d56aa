"""A plan as it is shown, and the words of its parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from adapter.batches.model import Batch
from adapter.contacts import Contact


class Op(StrEnum):
    """What a plan does with a contact."""

    KEEP = "keep"
    BLOCK = "block"
    UNBLOCK = "unblock"
    CANNOT = "cannot"
    UNSURE = "unsure"
    MISSING = "missing"
    """Of two accounts with one phone: wanted, and not in the list."""
    EXTRA = "extra"
    """Of two accounts with one phone: in the list, and not wanted."""


SYMBOLS: Final[Mapping[str, str]] = MappingProxyType(
    {
        Op.KEEP.value: "=",
        Op.BLOCK.value: "+",
        Op.MISSING.value: "+",
        Op.UNBLOCK.value: "-",
        Op.EXTRA.value: "-",
        Op.CANNOT.value: "!",
        Op.UNSURE.value: "?",
    }
)
"""One character for each: as wanted, missing there, there and not wanted, cannot, not known."""

CHANGES: Final = (Op.BLOCK, Op.UNBLOCK)
DIFFERENCES: Final = (*CHANGES, Op.MISSING, Op.EXTRA)


class Guard(StrEnum):
    """A guard that one flag lifts for one plan."""

    EMPTY = "empty"
    """A list is empty, while the ledger has entries."""
    SHRUNK = "shrunk"
    """A list is shorter than when it was last read."""
    NOT_RECENT = "not_recent"
    """The provider blocks only those who have written of late, which nobody here can know."""


FLAGS: Final[Mapping[Guard, str]] = MappingProxyType(
    {Guard.EMPTY: "--allow-empty", Guard.SHRUNK: "--allow-shrunk", Guard.NOT_RECENT: "--try"}
)
"""The flag of the command line that lifts a guard."""


class Basis(StrEnum):
    """Where a list comes from."""

    PROVIDER = "provider"
    LEDGER = "ledger"
    FILE = "file"


class Reason(StrEnum):
    """Codes of rows of a plan, besides the error codes."""

    NOT_WANTED = "not_wanted"
    LIST_FULL = "list_full"
    NOT_RECENT = "not_recent"
    UNSURE = "unsure"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A contact of a list; `line` is its place, from 1."""

    contact: Contact
    line: int
    reason: str | None = None
    ref: str | None = None


@dataclass(frozen=True, slots=True)
class ListRead:
    """The persons of a whole block list. What else it has, no plan changes."""

    account: str | None
    basis: Basis
    wanted: tuple[Wanted, ...] = field(repr=False)

    @property
    def contacts(self) -> list[Contact]:
        """The persons in the list."""
        return [each.contact for each in self.wanted]


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan: a batch of the kind `plan`, whose rows have an `op`.

    `ops`: the contacts by op. `sizes`: the entries of each list when it was read, by `source` and
    `target`; `bases`: where each comes from. `same`: both accounts have one WhatsApp number, so
    that nothing is sent. `digest`: a keyed hash of what is to be done, equal for equal plans.
    """

    batch: Batch
    source: str | None
    target: str
    bases: dict[str, str]
    sizes: dict[str, int]
    ops: dict[str, int]
    mirror: bool
    allow_unblocks: int
    allow: frozenset[Guard]
    same: bool
    digest: str

    @property
    def id(self) -> int:
        """The id of the plan, and of its batch."""
        return self.batch.id

    @property
    def changes(self) -> int:
        """How many contacts are not as wanted, and can be changed."""
        return sum(self.ops.get(op.value, 0) for op in DIFFERENCES)
