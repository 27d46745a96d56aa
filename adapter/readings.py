"""What a read returns: a session's status, the lookup of a number, the state of a contact."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Self, TypeAlias

from adapter.codes import Code
from adapter.contacts import Contact
from adapter.history import BlockEntry, CallEntry, Source


class SessionState(StrEnum):
    """Whether the WhatsApp session of an account is connected."""

    CONNECTED = "connected"
    NOT_CONNECTED = "not_connected"
    UNKNOWN = "unknown"


class Unverified(StrEnum):
    """Why a read does not show whether a contact is blocked, and `when` that is so."""

    when: str

    def __new__(cls, value: str, when: str) -> Self:
        """Return the member of this value."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.when = when
        return member

    NO_READ = "no_read", "no read was made, or the provider has none"
    ONLY_LIDS = (
        "only_lids",
        "the list, or the read of the contact, has LIDs, one of which may be the contact's",
    )
    INCOMPLETE = (
        "incomplete",
        (
            "the read shows neither for another reason: an entry of the list cannot be compared "
            "with the contact, the change may still take effect, or a newer call requests the "
            "opposite"
        ),
    )
    READ_FAILED = "read_failed", "the read failed"


@dataclass(frozen=True, slots=True)
class Session:
    """The status of a session. `word` is the provider's own one, if it is a declared one.

    `asked_at` is the time of the request, in UTC. `own`: the account's own contact, where the
    response names it; it is in no document.
    """

    state: SessionState
    word: str | None = None
    asked_at: datetime | None = field(default=None, compare=False)
    own: Contact | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Lookup:
    """The lookup of the number of `asked`.

    `on_whatsapp` is None where it is not known; `code` is then the reason, if there is one.
    `contact` is the person by WhatsApp's own id. `other_form` is the lookup of the number's other
    form, for numbers that have two and where it was requested.
    """

    asked: Contact
    on_whatsapp: bool | None
    contact: Contact | None = None
    code: Code | None = None
    other_form: Lookup | None = None


@dataclass(frozen=True, slots=True)
class BlockState:
    """Whether a contact is blocked; None, with the reason, where that is not known.

    `entry` is what the ledger knows, where the state is from there.
    """

    blocked: bool | None
    reason: Unverified | None = None
    source: Source = Source.PROVIDER
    entry: BlockEntry | None = None


@dataclass(frozen=True, slots=True)
class BlockPage:
    """A page of a block list, beside its contacts: `entries` where it is from the ledger.

    `cursor` is that of the next page; None after the last one.
    """

    cursor: str | None = None
    entries: tuple[BlockEntry, ...] | None = None


@dataclass(frozen=True, slots=True)
class CallPage:
    """A page of calls, the newest first, and the cursor of the next one."""

    entries: tuple[CallEntry, ...]
    cursor: str | None = None


Reading: TypeAlias = Session | tuple[Lookup, ...] | BlockState | BlockPage | CallPage
"""What a read returns: of a status, a lookup, a state, or a page."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What reading back a change has shown, and the number of reads.

    `verified` is True where the requested state was seen, False where the opposite was seen, and
    None, with the reason, where neither was.
    """

    verified: bool | None = None
    reason: Unverified | None = None
    reads: int = 0


NOT_VERIFIED = Verification(reason=Unverified.NO_READ)
"""The verification of a change that was not read back."""
