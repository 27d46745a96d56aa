"""Changes that run together: what each of them is, and its record and its result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from adapter.call_context import CallContext
from adapter.codes import Code
from adapter.recording import OpenedCall, Recording
from adapter.results import Command, Outcome, Result


@dataclass(frozen=True, slots=True)
class Change:
    """One of several changes; `opened` is its record, where it was opened in the ledger before."""

    command: Command
    context: CallContext
    opened: OpenedCall | None = None


class RunningChange:
    """One of several changes while they run. Without an `end` its result is an `internal_error`."""

    __slots__ = ("_make_result", "_recording", "command", "result")

    def __init__(
        self,
        command: Command,
        recording: Recording | None,
        make_result: Callable[[Outcome, int], Result],
    ) -> None:
        self.command, self._recording, self._make_result = command, recording, make_result
        self.result = make_result(Outcome.failure(Code.INTERNAL_ERROR), 0)

    @property
    def wish(self) -> OpenedCall | None:
        """The change's place in the order of all processes, once it is open."""
        return None if self._recording is None else self._recording.wish

    def open(self) -> bool:
        """Open the change in the ledger; return whether it may be sent."""
        refusal = None if self._recording is None else self._recording.open()
        if refusal is not None:
            self.end(refusal, 0)
        return refusal is None

    def end(self, outcome: Outcome, attempts: int) -> None:
        """Record the outcome of the change."""
        self.result = self._make_result(outcome, attempts)
        if self._recording is not None:
            self.result = self._recording.end(self.result)
