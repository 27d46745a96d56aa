"""What one call may cost: its share in flight, its seconds, its attempts; nothing while all fails.

From the outside in: the newest wish, bulkhead, deadline, retry, breaker, attempt.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from adapter.codes import Applied, Code, Retry
from adapter.results import Command, Outcome
from adapter.settings.model import MAX_BODY, TransportSettings
from adapter.transport.attempt import Attempt
from adapter.transport.breaker import CLOSED, OPENED, Admission, Breaker
from adapter.transport.intents import OVERRULED, Intent, Intents

MAX_ATTEMPTS: Final = 2
"""The attempts of one call, the first included."""

MAX_PAUSE: Final = 2.0
"""Longest pause, in seconds, between two attempts; a provider that asks for more is not retried."""

_JITTER = 0.25
_RETRIES_PER_CALL = 0.1
_RETRY_RESERVE = 10.0

_ABSENT: Final = frozenset(
    {
        Code.PROVIDER_UNREACHABLE,
        Code.PROVIDER_TLS_ERROR,
        Code.PROVIDER_TIMEOUT,
        Code.PROVIDER_CONNECTION_LOST,
    }
)
"""What says that the provider is not there, where no response came."""

_UNEXPLAINED: Final = frozenset(
    {
        Code.PROVIDER_UNAVAILABLE,
        Code.PROVIDER_ERROR,
        Code.PROVIDER_TIMEOUT,
        Code.PROVIDER_BAD_RESPONSE,
        Code.PROVIDER_RESPONSE_TOO_LARGE,
        Code.PROVIDER_MISADDRESSED,
    }
)
"""What a 5xx is that names no cause in the account or the contact."""

_RELAYED_STATUSES: Final = frozenset({502, 503, 504})
_WORTH_A_RETRY: Final = frozenset({Code.PROVIDER_UNREACHABLE, Code.PROVIDER_CONNECTION_LOST})
_PASSING_CODES: Final = frozenset(
    {Code.PROVIDER_UNAVAILABLE, Code.PROVIDER_ERROR, Code.PROVIDER_TIMEOUT}
)
_PASSING_STATUSES: Final = frozenset({502, 503})


@dataclass(frozen=True, slots=True)
class Limits:
    """What one call may take: seconds, and bytes of all its responses together."""

    deadline: float
    max_bytes: int = MAX_BODY


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a call, and how many attempts were made for it."""

    outcome: Outcome
    attempts: int


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


class _Reservation:
    """A place for the responses of one call, which is taken when they turn out to be long.

    Each may take as many bytes of memory as a list may have, several times over while it is parsed.
    """

    def __init__(self, places: threading.Semaphore) -> None:
        self._places = places
        self._taken = False

    def __call__(self, seconds: float) -> bool:
        """Wait for a place; return whether there is one."""
        self._taken = self._places.acquire(timeout=seconds)
        return self._taken

    def end(self) -> None:
        """Give the place back where one was taken."""
        if self._taken:
            self._places.release()


class Resilience:
    """The bounds of one account's calls. Made once, and safe in threads.

    `clock` is monotonic, in seconds; `sleep` waits for seconds. `intents` are the wishes for the
    contacts of the account, which others may call too.
    """

    def __init__(
        self,
        settings: TransportSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] | None = None,
        intents: Intents | None = None,
    ) -> None:
        self._limits = Limits(settings.deadline)
        self._clock = clock
        self._sleep = sleep
        # A place is taken and given back in one step of the interpreter, without a lock.
        self._free = deque(range(settings.max_in_flight))
        self._long_responses = threading.Semaphore(settings.max_long_responses)
        self._budget = RetryBudget()
        self.intents = intents or Intents()
        self.breaker: Breaker | None = None
        if settings.breaker_threshold:
            self.breaker = Breaker(settings.breaker_threshold, settings.breaker_pause, clock)

    @property
    def state(self) -> str:
        """The breaker's; one that is switched off is always closed."""
        return self.breaker.state if self.breaker is not None else CLOSED

    def call(
        self,
        attempt: Callable[[Attempt], Outcome],
        limits: Limits | None = None,
        command: Command | None = None,
    ) -> Verdict:
        """Return what became of `attempt`, which is made within the limits.

        With the block or unblock that it is for, nothing is sent once a newer call wishes the
        opposite for the same contact; and nobody is told to send it again, which would undo that.
        """
        limits = limits or self._limits
        intent = None
        if command is not None and command.contact is not None:
            intent = self.intents.begin(command)
        try:
            verdict = self._call_in_turn(attempt, limits, intent)
            if intent is not None and not verdict.outcome.ok and intent.is_overruled():
                verdict = replace(verdict, outcome=_withdraw(verdict.outcome))
            return verdict
        finally:
            if intent is not None:
                intent.end()

    def _call_in_turn(
        self, attempt: Callable[[Attempt], Outcome], limits: Limits, intent: Intent | None
    ) -> Verdict:
        try:
            self._free.pop()
        except IndexError:
            return Verdict(Outcome.failure(Code.OVERLOADED, retry_after=1), 0)
        try:
            return self._try(attempt, limits, intent)
        finally:
            self._free.append(0)

    def _try(
        self, attempt: Callable[[Attempt], Outcome], limits: Limits, intent: Intent | None
    ) -> Verdict:
        self._budget.earn()
        ends = self._clock() + limits.deadline
        outcome, made = self._attempt(attempt, limits, ends, intent, fresh=False)
        attempts = int(made)
        while made and attempts < MAX_ATTEMPTS and is_worth_a_retry(outcome):
            if self.state == OPENED:
                break
            pause = (outcome.retry_after or 0) + random.uniform(0, _JITTER)  # noqa: S311 - no secret
            if self._clock() + pause >= ends or not self._budget.spend():
                break
            (self._sleep or time.sleep)(pause)
            if self._clock() >= ends or (intent is not None and intent.is_overruled()):
                break
            later, made = self._attempt(attempt, limits, ends, intent, fresh=True)
            attempts += made
            if made:
                outcome = _weigh(outcome, later)
        return Verdict(outcome, attempts)

    def _attempt(
        self,
        attempt: Callable[[Attempt], Outcome],
        limits: Limits,
        ends: float,
        intent: Intent | None,
        *,
        fresh: bool,
    ) -> tuple[Outcome, bool]:
        """Return an attempt's outcome, or that of the breaker, and whether it was made.

        One that was overruled before anything was sent was not made.
        """
        breaker = self.breaker
        admission: Admission | None = None
        if breaker is not None:
            answer = breaker.admit()
            if isinstance(answer, int):
                return Outcome.failure(Code.CIRCUIT_OPEN, retry_after=answer), False
            admission = answer
            fresh = fresh or admission.probe
        reservation = None
        if limits.max_bytes > MAX_BODY:
            reservation = _Reservation(self._long_responses)
        one = Attempt(
            ends,
            fresh=fresh,
            room=limits.max_bytes,
            reserve=reservation,
            is_overruled=None if intent is None else intent.is_overruled,
        )
        if breaker is not None and admission is not None and admission.probe:
            one.tell_health = partial(breaker.settle, admission, healthy=True)
        healthy: bool | None = None  # one that raised is a fault of ours, and shows nothing
        try:
            outcome = attempt(one)
            healthy = None if one.inconclusive else shows_health(outcome)
            return outcome, not one.overruled
        finally:
            if reservation is not None:
                reservation.end()
            if breaker is not None and admission is not None:
                breaker.settle(admission, healthy=healthy)


def _weigh(earlier: Outcome, later: Outcome) -> Outcome:
    """Return what is known after two attempts.

    Once an attempt may have taken effect, only a success can settle it: a later refusal proves
    nothing about the earlier attempt.
    """
    unsettled = earlier.applied is Applied.UNKNOWN and later.applied is Applied.NOT_APPLIED
    return earlier if unsettled else later


def _withdraw(outcome: Outcome) -> Outcome:
    """Return the failure of a call that was overruled: to send it again would undo the newer one.

    What must be mended first is still said.
    """
    code = outcome.code
    if code is None or (outcome.advice or code.retry) not in (Retry.NOW, Retry.AFTER_DELAY):
        return outcome
    detail = f"{outcome.message} {OVERRULED}"
    return replace(outcome, retry_after=None, advice=Retry.NEVER, detail=detail)


def shows_health(outcome: Outcome) -> bool | None:
    """Whether an outcome shows that the provider is there, or that it is not; None for neither.

    A response is a sign of life, but for a 502, 503 and 504 without a cause, and for a 5xx that
    the provider has not written itself. What is ours shows nothing.
    """
    status = outcome.upstream_status
    if status is None:
        if outcome.code in (Code.INTERNAL_ERROR, Code.OVERLOADED):
            return None
        return outcome.code not in _ABSENT
    if status < 500 or outcome.code not in _UNEXPLAINED:
        return True
    return outcome.own_error and status not in _RELAYED_STATUSES


def is_worth_a_retry(outcome: Outcome) -> bool:
    """Whether the same request may well go through if it is sent again at once.

    Blocking and unblocking are idempotent, so that sending twice does no harm.
    """
    if outcome.retry_after is not None and outcome.retry_after > MAX_PAUSE:
        return False
    if outcome.code is Code.PROVIDER_RATE_LIMITED:
        return outcome.retry_after is not None
    if outcome.code in _WORTH_A_RETRY:
        return outcome.advice is not Retry.AFTER_ACTION  # a proxy that refused would do so again
    return outcome.code in _PASSING_CODES and outcome.upstream_status in _PASSING_STATUSES
