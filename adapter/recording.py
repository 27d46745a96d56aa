"""Record a call in the ledger: opened before it is sent, closed after; a read once it ends.

The ledger is optional, and above this layer: nothing here imports it at runtime.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from adapter.account import Account
from adapter.call_context import CallContext
from adapter.codes import Code
from adapter.errors import LedgerUnavailable
from adapter.fallback import Route
from adapter.results import Command, Outcome, Result
from adapter.transport.attempt import Attempt
from adapter.transport.intents import superseded_outcome

if TYPE_CHECKING:
    from adapter.ledger.ledger import Ledger

RETRY_AFTER: Final = 1
"""Seconds after which a call that needs the ledger may be sent again."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to execute a command, until its lease ends. The call settles it when it ends."""

    scope: str
    lease_until: datetime


@dataclass(frozen=True, slots=True)
class Replay:
    """The key's command was executed before, with this result."""

    result: Result


@dataclass(frozen=True, slots=True)
class OtherCommand:
    """The key was used for another command."""


@dataclass(frozen=True, slots=True)
class StillRunning:
    """The first call of the key has not ended; `retry_after` is in seconds."""

    retry_after: int


@dataclass(frozen=True, slots=True)
class Superseded:
    """The key's command may be sent again, but a newer call requests the opposite."""


Claimed: TypeAlias = Claim | Replay | OtherCommand | StillRunning | Superseded
"""What claiming a key returns."""


class OpenedCall(Protocol):
    """A change that was opened in the ledger: `Opened`, or one of a group of calls."""

    @property
    def recorded(self) -> bool:
        """Whether it was recorded in time."""

    @property
    def call_id(self) -> int | None:
        """The id of the call; None if not recorded."""

    @property
    def superseded(self) -> bool:
        """Whether an opposite wish was newer already when this call was recorded. No query."""

    def is_superseded(self) -> bool:
        """Whether a newer call, in any process, requests the opposite. May take a query."""

    def close(self, result: Result, claim: Claim | None = None) -> bool:
        """Record the result; return whether it is recorded."""


def unavailable() -> Outcome:
    """Return the outcome of a call that needs the ledger while its database is slow or gone."""
    return Outcome.failure(Code.LEDGER_UNAVAILABLE, retry_after=RETRY_AFTER)


class Recording:
    """One call, and its record in the ledger. `end` is called once, unless `run` has returned."""

    __slots__ = (
        "_claim",
        "_command",
        "_context",
        "_key",
        "_ledger",
        "_opened",
        "_route",
        "_target",
    )

    def __init__(
        self,
        ledger: Ledger,
        target: Account,
        command: Command,
        context: CallContext,
        key: str | None = None,
        opened: OpenedCall | None = None,
        route: Route | None = None,
    ) -> None:
        self._ledger, self._target, self._command = ledger, target, command
        self._context, self._key = context, key
        self._opened = opened
        self._route = route or target
        self._claim: Claim | None = None

    def run(
        self,
        request_id: str,
        begun: list[Attempt],
        make_result: Callable[[Outcome, int], Result],
    ) -> Result:
        """Run the command and record it; raises what the provider raises."""
        if not self._command.action.is_change:
            outcome, attempts = self._route.call(self._command, request_id, begun)
            return self.end(make_result(outcome, attempts))
        if self._key is not None:
            earlier = self._claim_key(self._key, make_result)
            if earlier is not None:
                return earlier
        refusal = self.open()
        if refusal is not None:
            return self.end(make_result(refusal, 0))
        outcome, attempts = self._route.call(self._command, request_id, begun, self._opened)
        return self.end(make_result(outcome, attempts))

    def end(self, result: Result) -> Result:
        """Record the result, and return it with whether it is recorded."""
        if self._opened is not None:
            recorded = self._opened.close(result, self._claim)
        elif self._command.action.is_change:  # it failed before it was opened
            recorded = False
        else:
            recorded = self._ledger.record(result, self._context)
        return result.with_record(recorded)

    @property
    def wish(self) -> OpenedCall | None:
        """The change's place in the order of all processes, once it is opened."""
        return self._opened

    def open(self) -> Outcome | None:
        """Open the change; return why nothing is to be sent."""
        target, opened = self._target, self._opened
        if opened is None:
            opened = self._opened = self._ledger.open(
                target.name,
                target.provider.name,
                self._command,
                self._context,
                target.settings.transport.deadline,
            )
        if opened.superseded:
            return superseded_outcome()
        if not opened.recorded and (self._ledger.required or self._claim is not None):
            return unavailable()
        return None

    def _claim_key(self, key: str, make_result: Callable[[Outcome, int], Result]) -> Result | None:
        """Claim the key; return the result where the command is not executed for it."""
        target, context = self._target, self._context
        try:
            claimed = self._ledger.claim(
                context.key_name or "",
                key,
                target.name,
                self._command,
                target.settings.transport.deadline,
                request_id=context.request_id,
                more={"reason": context.reason, "ref": context.ref},
            )
        except LedgerUnavailable:
            return make_result(unavailable(), 0).with_record(False)
        match claimed:
            case Replay(result):
                return replace(result, context=context, recorded=True, replayed=True)
            case OtherCommand():
                outcome = Outcome.failure(Code.IDEMPOTENCY_KEY_REUSED)
            case StillRunning(seconds):
                outcome = Outcome.failure(Code.IDEMPOTENCY_KEY_IN_USE, retry_after=seconds)
            case Superseded():
                outcome = superseded_outcome()
            case Claim():
                self._claim = claimed
                return None
        return make_result(outcome, 0)
