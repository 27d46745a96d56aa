"""Commands, their outcomes and results, and the JSON envelope of every response."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Self

from adapter.call_context import CallContext
from adapter.codes import Action, Applied, Code, Confirmation, Retry
from adapter.contacts import Contact
from adapter.history import BlockEntry, CallEntry
from adapter.privacy import mask_traceback
from adapter.readings import (
    NOT_VERIFIED,
    BlockPage,
    BlockState,
    CallPage,
    Lookup,
    Reading,
    Session,
    Verification,
)
from adapter.result_data import build_data

MAX_RETRY_AFTER: Final = 3600
"""Maximum delay, in seconds, that a response may request of a caller."""

_NO_FIELDS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Command:
    """An action with its contact, or the contacts of a lookup.

    `candidates`: a lookup also asks for the other form of a number that has two. `verify`: whether
    a change is read back; None means as the account is configured.

    Raises ValueError for a contact that is missing or not needed, and for a lookup of a contact
    without a number.
    """

    action: Action
    contact: Contact | None = None
    contacts: tuple[Contact, ...] = ()
    candidates: bool = False
    verify: bool | None = None

    def __post_init__(self) -> None:
        if (self.contact is not None) is not self.action.takes_contact:
            raise ValueError("block, unblock and state need a contact, other actions take none")
        if bool(self.contacts) is not (self.action is Action.LOOKUP):
            raise ValueError("a lookup needs contacts, other actions take none")
        if self.candidates and self.action is not Action.LOOKUP:
            raise ValueError("only a lookup asks for candidates")
        if self.verify is not None and not self.action.is_change:
            raise ValueError("only a block and an unblock are verified")
        if any(each.number is None for each in self.contacts):
            raise ValueError("a lookup needs the numbers of its contacts")

    @property
    def target(self) -> Contact:
        """The contact of a block, unblock or state; raises ValueError for other actions."""
        if self.contact is None:
            raise ValueError(f"a {self.action} has no contact")
        return self.contact

    @property
    def numbers(self) -> list[str]:
        """The numbers of a lookup, digits only."""
        return [each.number for each in self.contacts if each.number is not None]

    @property
    def blocked(self) -> bool:
        """The requested state: True for a block."""
        return self.action is Action.BLOCK


@dataclass(frozen=True, slots=True)
class ContactList:
    """The persons in a block list, in order, and the count of its other entries."""

    contacts: tuple[Contact, ...]
    others: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a response, or its absence, proves: a success (`confirmation`) or a failure (`code`).

    `contacts` are the persons of a successful list, `others` is the count of its entries that are
    not persons; `reading` is what another read returned; `retry_after` is in seconds. The remaining
    fields are ignored in comparisons: `upstream_status`, `provider_code`, `message` and `retry`
    (those of the code where none are given; a success has neither), `own_error`: the response has
    the provider's own error shape, which proves that the provider was reached; `named`: the contact
    that the response to a change names; `verification`: what reading the change back has shown;
    `superseded`: nothing more is sent, since a newer call requests the opposite.
    """

    code: Code | None = None
    confirmation: Confirmation | None = None
    contacts: tuple[Contact, ...] | None = None
    retry_after: int | None = None
    fields: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _NO_FIELDS, hash=False)
    upstream_status: int | None = field(default=None, compare=False)
    provider_code: str | None = field(default=None, compare=False)
    others: int = 0
    message: str = field(default="", compare=False)
    retry: Retry | None = field(default=None, compare=False)
    own_error: bool = field(default=False, compare=False)
    reading: Reading | None = None
    named: Contact | None = field(default=None, compare=False)
    verification: Verification = field(default=NOT_VERIFIED, compare=False)
    superseded: bool = field(default=False, compare=False)

    def __post_init__(self) -> None:
        if (self.code is None) == (self.confirmation is None):
            raise ValueError("an outcome has either a code or a confirmation")
        if self.code is not None:
            object.__setattr__(self, "message", self.message or self.code.message)
            object.__setattr__(self, "retry", self.retry or self.code.retry)

    @classmethod
    def failure(
        cls,
        code: Code,
        *,
        retry_after: int | None = None,
        fields: Mapping[str, tuple[str, ...]] = _NO_FIELDS,
        upstream_status: int | None = None,
        provider_code: str | None = None,
        message: str = "",
        retry: Retry | None = None,
        own_error: bool = False,
    ) -> Self:
        """Return a failure with this code; `message` and `retry` replace those of the code."""
        return cls(
            code=code,
            retry_after=retry_after,
            fields=fields,
            upstream_status=upstream_status,
            provider_code=provider_code,
            message=message,
            retry=retry,
            own_error=own_error,
        )

    @classmethod
    def success(
        cls,
        confirmation: Confirmation,
        *,
        contacts: tuple[Contact, ...] | None = None,
        others: int = 0,
        reading: Reading | None = None,
        upstream_status: int | None = None,
    ) -> Self:
        """Return a success with this confirmation."""
        return cls(
            confirmation=confirmation,
            contacts=contacts,
            others=others,
            reading=reading,
            upstream_status=upstream_status,
        )

    @classmethod
    def of_reading(cls, reading: Reading, upstream_status: int | None) -> Self:
        """Return the success of a read of a status, of numbers or of one contact."""
        return cls.success(
            Confirmation.PROVIDER_STATE, reading=reading, upstream_status=upstream_status
        )

    @property
    def ok(self) -> bool:
        """Whether the outcome is a success. After a failure, see `applied`."""
        return self.code is None

    @property
    def applied(self) -> Applied:
        """Whether the command took effect; it may be unknown.

        Reading a change back settles what its code leaves open.
        """
        if self.code is None:
            return Applied.APPLIED
        return Applied.NOT_APPLIED if self.verification.verified is False else self.code.applied

    @property
    def lines(self) -> list[str]:
        """What failed, and in a line for each field what is wrong with it; empty for a success."""
        if self.code is None:
            return []
        fields = [f"  {name}: {'; '.join(texts)}" for name, texts in self.fields.items()]
        return [f"{self.code.value}: {self.message}", *fields]


class OutcomeError(Exception):
    """A failed result as an exception, raised by `Result.raise_for_code`."""

    def __init__(self, result: Result) -> None:
        super().__init__(describe_failure(result.outcome) or "no failure")
        self.result = result


def describe_failure(outcome: Outcome) -> str:
    """Return the lines of a failure as the text of an exception, with numbers masked."""
    return mask_traceback("\n".join(outcome.lines))


@dataclass(frozen=True, slots=True)
class Result:
    """An outcome with the facts of its call.

    `attempts` counts the attempts that were started, whether or not they sent a request; an attempt
    at a list may need several requests. `duration_ms` is the duration of the whole call, in
    milliseconds. `recorded`: whether the call is in the ledger; None without one, and for what the
    ledger itself returns. `replayed`: the result of an earlier call with the same idempotency key.
    `route`: the accounts that were called, in order; None for an account without a fallback.
    """

    outcome: Outcome
    command: Command | None = None
    account: str | None = None
    provider: str | None = None
    attempts: int = 0
    duration_ms: int = 0
    request_id: str = ""
    recorded: bool | None = None
    replayed: bool = False
    context: CallContext | None = None
    route: tuple[str, ...] | None = None

    @property
    def ok(self) -> bool:
        """Whether the outcome is a success. After a failure, see `applied`."""
        return self.outcome.ok

    @property
    def code(self) -> Code | None:
        """The error code; None on success."""
        return self.outcome.code

    @property
    def applied(self) -> Applied:
        """Whether the command took effect; it may be unknown."""
        return self.outcome.applied

    @property
    def contacts(self) -> tuple[Contact, ...] | None:
        """The blocked contacts of a successful list; otherwise None."""
        return self.outcome.contacts

    @property
    def session(self) -> Session | None:
        """The session of a successful status; otherwise None."""
        reading = self.outcome.reading
        return reading if isinstance(reading, Session) else None

    @property
    def lookups(self) -> tuple[Lookup, ...] | None:
        """The lookups of a successful lookup, in the order of its numbers; otherwise None."""
        reading = self.outcome.reading
        return reading if isinstance(reading, tuple) else None

    @property
    def state(self) -> BlockState | None:
        """The state of a contact, after a successful state; otherwise None."""
        reading = self.outcome.reading
        return reading if isinstance(reading, BlockState) else None

    @property
    def entries(self) -> tuple[BlockEntry, ...] | None:
        """What the ledger knows of the `contacts` of a list that was read from it, else None."""
        reading = self.outcome.reading
        return reading.entries if isinstance(reading, BlockPage) else None

    @property
    def calls(self) -> tuple[CallEntry, ...] | None:
        """The calls of a page of the history, the newest first; otherwise None."""
        reading = self.outcome.reading
        return reading.entries if isinstance(reading, CallPage) else None

    @property
    def cursor(self) -> str | None:
        """The cursor of the next page; None after the last one."""
        reading = self.outcome.reading
        return reading.cursor if isinstance(reading, (BlockPage, CallPage)) else None

    @property
    def verified(self) -> bool | None:
        """Whether reading a change back has shown the requested state, or the opposite (False)."""
        return self.outcome.verification.verified

    @property
    def confirmation(self) -> Confirmation | None:
        """How a success is known; None on failure."""
        return self.outcome.confirmation

    @property
    def message(self) -> str:
        """The message for the failure; empty on success."""
        return self.outcome.message

    @property
    def retry(self) -> Retry | None:
        """When to send the same command again; None on success."""
        return self.outcome.retry

    @property
    def fields(self) -> Mapping[str, tuple[str, ...]]:
        """The messages for each invalid field of the request."""
        return self.outcome.fields

    @property
    def retry_after(self) -> int | None:
        """Seconds to wait before the next attempt, if known."""
        return self.outcome.retry_after

    def with_record(self, recorded: bool) -> Self:
        """Return the result with `recorded`. Several times faster than `dataclasses.replace`."""
        return type(self)(
            self.outcome,
            self.command,
            self.account,
            self.provider,
            self.attempts,
            self.duration_ms,
            self.request_id,
            recorded,
            self.replayed,
            self.context,
            self.route,
        )

    def raise_for_code(self) -> Self:
        """Return this result; raise OutcomeError if it is a failure."""
        if not self.ok:
            raise OutcomeError(self)
        return self

    def envelope(self) -> dict[str, Any]:
        """Return the envelope as a JSON document, with the contact unmasked."""
        return build_envelope(
            data=build_data(self),
            error=build_error(self.outcome),
            request_id=self.request_id,
            provider=self.provider,
            attempts=self.attempts,
            reads=self.outcome.verification.reads,
            duration_ms=self.duration_ms,
            upstream_status=self.outcome.upstream_status,
            provider_code=self.outcome.provider_code,
            recorded=self.recorded,
            route=self.route,
        )


def build_error(outcome: Outcome) -> dict[str, Any] | None:
    """Return the `error` of an envelope; None on success."""
    code, retry = outcome.code, outcome.retry
    if code is None or retry is None:
        return None
    return {
        "code": code.value,
        "message": outcome.message,
        "outcome": outcome.applied.value,
        "retry": retry.value,
        "retry_after": outcome.retry_after,
        "fields": {name: list(messages) for name, messages in outcome.fields.items()},
    }


def build_envelope(
    *,
    data: dict[str, Any] | None,
    error: dict[str, Any] | None = None,
    request_id: str,
    provider: str | None = None,
    attempts: int = 0,
    reads: int = 0,
    duration_ms: int = 0,
    upstream_status: int | None = None,
    provider_code: str | None = None,
    recorded: bool | None = None,
    route: tuple[str, ...] | None = None,
) -> dict[str, Any]:
    """Return the envelope of a response. All four top-level keys are always present."""
    meta: dict[str, Any] = {
        "request_id": request_id,
        "provider": provider,
        "attempts": attempts,
        "reads": reads,
        "duration_ms": duration_ms,
        "recorded": recorded,
        "upstream": {"status": upstream_status, "code": provider_code},
    }
    if route is not None:
        meta["route"] = list(route)
    return {"success": error is None, "data": data, "error": error, "meta": meta}
