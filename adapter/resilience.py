"""What one call may cost: its share in flight, its seconds, its attempts; nothing while all fails.

From the outside in: bulkhead, deadline, retry, breaker, attempt.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import tenacity
from purgatory import SyncCircuitBreakerFactory
from purgatory.domain.model import OpenedState

from adapter.codes import Applied, Code
from adapter.outcome import Outcome
from adapter.settings import TransportSettings

MAX_ATTEMPTS: Final = 2
"""The attempts of one call, the first included."""

MAX_PAUSE: Final = 2.0
"""Longest pause, in seconds, between two attempts; a provider that asks for more is not retried."""

BREAKER_STATES: Final = ("closed", "half-opened", "opened")
"""The states of a breaker, from good to bad."""

_JITTER = 0.25
_RETRIES_PER_CALL = 0.1
_RETRY_RESERVE = 10.0

_SICK: Final = frozenset(
    {
        Code.PROVIDER_UNREACHABLE,
        Code.PROVIDER_TLS_ERROR,
        Code.PROVIDER_TIMEOUT,
        Code.PROVIDER_CONNECTION_LOST,
        Code.PROVIDER_UNAVAILABLE,
        Code.PROVIDER_ERROR,
    }
)
"""What says that the provider itself is down. Every other answer shows that it is there."""

_WORTH_A_RETRY: Final = frozenset({Code.PROVIDER_UNREACHABLE, Code.PROVIDER_CONNECTION_LOST})
_PASSING_STATUSES: Final = frozenset({502, 503})


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a call, and how many attempts were made for it."""

    outcome: Outcome
    attempts: int


class _Call:
    """One call on its way: when it must be over, what was tried, what is known so far."""

    def __init__(self, attempt: Callable[[float], Outcome], ends: float) -> None:
        self.attempt = attempt
        self.ends = ends
        self.attempts = 0
        self._last: Outcome | None = None

    def learn(self, outcome: Outcome) -> Outcome:
        """Return what is known after an attempt.

        Once an attempt may have taken effect, only a success can settle it: a later refusal proves
        nothing about the earlier attempt. A breaker that opens in between changes nothing.
        """
        if outcome.code is Code.CIRCUIT_OPEN and self._last is not None:
            return self._last
        if outcome.applied is Applied.NOT_APPLIED and self._last is not None:
            outcome = self._last if self._last.applied is Applied.UNKNOWN else outcome
        self._last = outcome
        return outcome


class Breaker:
    """Pauses an account's calls after failures in a row; then one probe decides.

    The lock is held for the bookkeeping alone, never during a call.
    """

    def __init__(self, name: str, threshold: int, pause: float) -> None:
        self._pause = pause
        self._breaker = SyncCircuitBreakerFactory(threshold, pause).get_breaker(name)
        self._lock = threading.Lock()
        self._probing = False

    @property
    def state(self) -> str:
        """One of `BREAKER_STATES`."""
        return str(self._breaker.context.state)

    def call(self, attempt: Callable[[], Outcome]) -> Outcome:
        """Make the attempt and take note of how it went, or return `circuit_open` at once."""
        with self._lock:
            refusal = self._refuse()
            probe = refusal is None and self.state == "half-opened"
            self._probing = self._probing or probe
        if refusal is not None:
            return refusal
        outcome: Outcome | None = None
        try:
            outcome = attempt()
            return outcome
        finally:
            with self._lock:
                # An attempt from before the breaker opened has nothing to say about now, and one
                # that raised is a fault of ours; but a probe has to end in one way or the other.
                if probe or (self.state == "closed" and outcome is not None):
                    sick = outcome is None or is_sick(outcome)
                    self._note(_SickError() if sick else None)
                if probe:
                    self._probing = False

    def _refuse(self) -> Outcome | None:
        if self._probing:
            return Outcome.failure(Code.CIRCUIT_OPEN, retry_after=1)
        try:
            self._breaker.__enter__()
        except OpenedState as opened:
            opened.__traceback__ = None  # one exception serves all calls, and would hoard frames
            left = opened.opened_at + self._pause - time.time()
            return Outcome.failure(Code.CIRCUIT_OPEN, retry_after=max(1, math.ceil(left)))
        return None

    def _note(self, failure: Exception | None) -> None:
        self._breaker.__exit__(type(failure) if failure else None, failure, None)


class _SickError(Exception):
    """How the breaker is told of an outcome that counts against the provider."""


class RetryBudget:
    """Lets a tenth of the calls be retried, and a few at once: an outage never doubles the load."""

    def __init__(self) -> None:
        self._left = _RETRY_RESERVE
        self._lock = threading.Lock()

    def earn(self) -> None:
        """Take note of a call."""
        with self._lock:
            self._left = min(_RETRY_RESERVE, self._left + _RETRIES_PER_CALL)

    def spend(self) -> bool:
        """Whether one more retry may be made; it is then spent."""
        with self._lock:
            if self._left < 1:
                return False
            self._left -= 1
            return True


class Resilience:
    """The bounds of one account's calls. Made once, and safe in threads."""

    def __init__(self, name: str, settings: TransportSettings) -> None:
        self._deadline = settings.deadline
        # A place is taken and given back in one step of the interpreter, without a lock.
        self._free = deque(range(settings.max_in_flight))
        self._budget = RetryBudget()
        self.breaker: Breaker | None = None
        if settings.breaker_threshold:
            self.breaker = Breaker(name, settings.breaker_threshold, settings.breaker_pause)
        self._retrying = tenacity.Retrying(
            stop=self._is_over,
            wait=_pause,
            retry=self._should_retry,
            retry_error_callback=_last_outcome,
        )

    @property
    def state(self) -> str:
        """The breaker's; one that is switched off is always closed."""
        return self.breaker.state if self.breaker is not None else BREAKER_STATES[0]

    def call(self, attempt: Callable[[float], Outcome]) -> Verdict:
        """Return what became of `attempt`, which is given the moment when it must be over."""
        try:
            place = self._free.pop()
        except IndexError:
            return Verdict(Outcome.failure(Code.OVERLOADED, retry_after=1), 0)
        try:
            self._budget.earn()
            call = _Call(attempt, time.monotonic() + self._deadline)
            outcome = self._attempt(call)
            if is_worth_a_retry(outcome):
                outcome = self._retrying(_replay(outcome, self._attempt), call)
            return Verdict(outcome, call.attempts)
        finally:
            self._free.append(place)

    def _attempt(self, call: _Call) -> Outcome:
        def count_and_attempt() -> Outcome:
            call.attempts += 1
            return call.attempt(call.ends)

        if self.breaker is None:
            return call.learn(count_and_attempt())
        return call.learn(self.breaker.call(count_and_attempt))

    @staticmethod
    def _should_retry(state: tenacity.RetryCallState) -> bool:
        # What an attempt raised is a fault of ours and no matter of luck.
        if state.outcome is None or state.outcome.failed:
            return False
        return is_worth_a_retry(state.outcome.result())

    def _is_over(self, state: tenacity.RetryCallState) -> bool:
        """Whether there is no attempt left, no time for the pause before it, or no budget."""
        call: _Call = state.args[0]
        if state.attempt_number >= MAX_ATTEMPTS:
            return True
        return time.monotonic() + state.upcoming_sleep >= call.ends or not self._budget.spend()


def _replay(first: Outcome, attempt: Callable[[_Call], Outcome]) -> Callable[[_Call], Outcome]:
    """Return `attempt` as it looks to one who has not seen that it was made once."""
    known = [first]
    return lambda call: known.pop() if known else attempt(call)


def is_sick(outcome: Outcome) -> bool:
    """Whether the outcome counts against the provider itself; an answer of 4xx never does."""
    status = outcome.upstream_status
    return outcome.code in _SICK and (status is None or status >= 500)


def is_worth_a_retry(outcome: Outcome) -> bool:
    """Whether the same request may well go through if it is sent again at once.

    Blocking and unblocking are idempotent, so that sending twice does no harm.
    """
    if outcome.retry_after is not None and outcome.retry_after > MAX_PAUSE:
        return False
    if outcome.code is Code.PROVIDER_RATE_LIMITED:
        return outcome.retry_after is not None
    return outcome.code in _WORTH_A_RETRY or (
        outcome.code in _SICK and outcome.upstream_status in _PASSING_STATUSES
    )


def _pause(state: tenacity.RetryCallState) -> float:
    """Return what the provider asks for, with jitter on top so that callers do not come at once."""
    outcome = state.outcome.result() if state.outcome else None
    asked = (outcome.retry_after or 0) if outcome else 0
    return asked + random.uniform(0, _JITTER)  # noqa: S311 - no secret depends on it


def _last_outcome(state: tenacity.RetryCallState) -> Outcome:
    assert state.outcome is not None  # noqa: S101 - tenacity calls this after an attempt only
    outcome: Outcome = state.outcome.result()
    return outcome
