"""The resilience policy of one account: bulkhead, deadline, retry and circuit breaker.

From the outside in: superseding intent, bulkhead, deadline, retry, breaker, attempt.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, TypeAlias

from adapter.codes import Applied, Code, Retry
from adapter.results import Command, Outcome
from adapter.settings.model import MAX_BODY, TransportSettings
from adapter.transport.attempt import Attempt
from adapter.transport.breaker import CLOSED, OPENED, Breaker, Permit
from adapter.transport.intents import SUPERSEDED, Intent, Intents, Wish

MAX_ATTEMPTS: Final = 2
"""The attempts of one call, the first included."""

MAX_RETRY_DELAY: Final = 2.0
"""Longest delay, in seconds, before a retry; with a longer Retry-After there is no retry."""

_MAX_JITTER: Final = 0.25
_RETRY_TOKENS_PER_CALL: Final = 0.1
_MAX_RETRY_TOKENS: Final = 10.0

_NO_RESPONSE_CODES: Final = frozenset(
    {
        Code.PROVIDER_UNREACHABLE,
        Code.PROVIDER_TLS_ERROR,
        Code.PROVIDER_TIMEOUT,
        Code.PROVIDER_CONNECTION_LOST,
    }
)
"""Codes of an unhealthy provider, where no response came."""

_UNEXPLAINED_5XX_CODES: Final = frozenset(
    {
        Code.PROVIDER_UNAVAILABLE,
        Code.PROVIDER_ERROR,
        Code.PROVIDER_TIMEOUT,
        Code.PROVIDER_BAD_RESPONSE,
        Code.PROVIDER_RESPONSE_TOO_LARGE,
        Code.PROVIDER_MISADDRESSED,
    }
)
"""Codes of a 5xx that names no cause in the account or the contact."""

_INTERMEDIARY_STATUSES: Final = frozenset({502, 503, 504})
_RETRYABLE_CODES: Final = frozenset({Code.PROVIDER_UNREACHABLE, Code.PROVIDER_CONNECTION_LOST})
_TRANSIENT_CODES: Final = frozenset(
    {Code.PROVIDER_UNAVAILABLE, Code.PROVIDER_ERROR, Code.PROVIDER_TIMEOUT}
)
_TRANSIENT_STATUSES: Final = frozenset({502, 503})


_SAME_AGAIN: Final = frozenset({Retry.NOW, Retry.AFTER_DELAY})
"""Advice to send the same command again, without acting first."""

Settle: TypeAlias = Callable[[Outcome, Callable[[], bool]], Outcome]
"""Return a better known outcome of a change; the function is whether a newer call supersedes it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one call: its timeout in seconds, and the bytes of all its responses."""

    timeout: float
    max_bytes: int = MAX_BODY


class RetryThrottle:
    """A token bucket: retries are at most a tenth of the calls, after a burst of ten.

    An outage then never doubles the load.
    """

    def __init__(self) -> None:
        self._tokens = _MAX_RETRY_TOKENS
        self._lock = threading.Lock()

    def count_call(self) -> None:
        """Add the tokens of one call."""
        with self._lock:
            self._tokens = min(_MAX_RETRY_TOKENS, self._tokens + _RETRY_TOKENS_PER_CALL)

    def acquire(self) -> bool:
        """Take the token of one retry; return whether there was one."""
        with self._lock:
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True


class _LongResponseSlot:
    """The slot of one call's long responses, acquired once they turn out to be long.

    Slots limit the memory in use: a list takes several times its size while it is parsed.
    """

    def __init__(self, slots: threading.Semaphore) -> None:
        self._slots = slots
        self._acquired = False

    def acquire(self, timeout: float) -> bool:
        """Wait `timeout` seconds for a slot; return whether it was acquired."""
        self._acquired = self._slots.acquire(timeout=timeout)
        return self._acquired

    def release(self) -> None:
        """Release the slot, where it was acquired."""
        if self._acquired:
            self._slots.release()


@dataclass(frozen=True, slots=True)
class _Call:
    """One call: how to make an attempt, its limits, its deadline in the clock's seconds.

    `most`: the most attempts.
    """

    run_attempt: Callable[[Attempt], Outcome]
    limits: Limits
    deadline: float
    intent: Intent | None
    most: int

    @property
    def is_superseded(self) -> bool:
        return self.intent is not None and self.intent.is_superseded_anywhere()


class Resilience:
    """The resilience policy of one account. Created once; thread-safe.

    `clock` is monotonic, in seconds; `sleep` waits for seconds. `intents` are those for the
    account's contacts, which other accounts may share.
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
        # A deque's pop and append are atomic, so that the bulkhead needs no lock.
        self._free_slots = deque(range(settings.max_in_flight))
        self._long_response_slots = threading.Semaphore(settings.max_long_responses)
        self._retry_throttle = RetryThrottle()
        self.intents = intents or Intents()
        self.breaker: Breaker | None = None
        if settings.breaker_threshold:
            self.breaker = Breaker(settings.breaker_threshold, settings.breaker_pause, clock)

    @property
    def state(self) -> str:
        """The state of the breaker; always closed where it is disabled."""
        return self.breaker.state if self.breaker is not None else CLOSED

    def call(
        self,
        run_attempt: Callable[[Attempt], Outcome],
        limits: Limits | None = None,
        command: Command | None = None,
        settle: Settle | None = None,
        wish: Wish | Intent | None = None,
    ) -> tuple[Outcome, int]:
        """Make up to `MAX_ATTEMPTS` attempts; return the outcome and the number of attempts.

        `settle` returns a better known outcome of a change. It is called while the change's place
        in the order of intents is held, with a function that returns whether a newer call requests
        the opposite.

        For the block or unblock `command`, nothing is sent once a newer call requests the opposite
        for the same contact, and the outcome never advises to send it again, which would undo the
        newer one. `wish` is the change's place in the order of all processes, or its intent that
        has begun already, and does not end here.
        """
        intent = None
        if command is not None and command.action.is_change:
            intent = wish if isinstance(wish, Intent) else self.intents.begin(command, wish)
        try:
            outcome, attempts = self._call_in_bulkhead(run_attempt, limits or self._limits, intent)
            if intent is not None and settle is not None:
                outcome = settle(outcome, intent.is_superseded_anywhere)
            if intent is not None:
                outcome = advise(outcome, intent)
            return outcome, attempts
        finally:
            if intent is not None and intent is not wish:
                intent.end()

    def call_once(
        self, run_attempt: Callable[[Attempt], Outcome], limits: Limits, intent: Intent
    ) -> tuple[Outcome, int]:
        """Make one attempt, or none, for a change whose intent has begun and does not end here."""
        return self._call_in_bulkhead(run_attempt, limits, intent, most=1)

    def _call_in_bulkhead(
        self,
        run_attempt: Callable[[Attempt], Outcome],
        limits: Limits,
        intent: Intent | None,
        most: int = MAX_ATTEMPTS,
    ) -> tuple[Outcome, int]:
        try:
            self._free_slots.pop()
        except IndexError:
            return Outcome.failure(Code.OVERLOADED, retry_after=1), 0
        try:
            deadline = self._clock() + limits.timeout
            return self._call_with_retry(_Call(run_attempt, limits, deadline, intent, most))
        finally:
            self._free_slots.append(0)

    def _call_with_retry(self, call: _Call) -> tuple[Outcome, int]:
        self._retry_throttle.count_call()
        outcome, made = self._attempt(call, new_connection=False)
        attempts = int(made)
        while made and attempts < call.most and is_retryable(outcome):
            if self.state == OPENED:
                break
            jitter = random.uniform(0, _MAX_JITTER)  # noqa: S311 - no secret
            delay = (outcome.retry_after or 0) + jitter
            if self._clock() + delay >= call.deadline or not self._retry_throttle.acquire():
                break
            (self._sleep or time.sleep)(delay)
            if self._clock() >= call.deadline or call.is_superseded:
                break
            later, made = self._attempt(call, new_connection=True)
            attempts += made
            if made:
                outcome = merge_outcomes(outcome, later)
        return outcome, attempts

    def _attempt(self, call: _Call, *, new_connection: bool) -> tuple[Outcome, bool]:
        """Return the outcome of an attempt, or the breaker's refusal, and whether it was made.

        An attempt that was superseded before anything was sent counts as not made.
        """
        breaker = self.breaker
        permit: Permit | None = None
        if breaker is not None:
            acquired = breaker.acquire()
            if isinstance(acquired, int):
                return Outcome.failure(Code.CIRCUIT_OPEN, retry_after=acquired), False
            permit = acquired
            new_connection = new_connection or permit.probe
        slot = (
            _LongResponseSlot(self._long_response_slots)
            if call.limits.max_bytes > MAX_BODY
            else None
        )
        attempt = Attempt(
            call.deadline,
            new_connection=new_connection,
            bytes_left=call.limits.max_bytes,
            acquire_slot=None if slot is None else slot.acquire,
            is_superseded=None if call.intent is None else call.intent.is_superseded,
        )
        if breaker is not None and permit is not None and permit.probe:
            attempt.on_healthy = partial(breaker.record, permit, healthy=True)
        healthy: bool | None = None  # an exception is a bug here, and shows nothing
        try:
            outcome = call.run_attempt(attempt)
            healthy = None if attempt.health_unknown else shows_healthy(outcome)
            return outcome, not attempt.superseded
        finally:
            if slot is not None:
                slot.release()
            if breaker is not None and permit is not None:
                breaker.record(permit, healthy=healthy)


def merge_outcomes(earlier: Outcome, later: Outcome) -> Outcome:
    """Return the outcome of two attempts.

    Once an attempt may have taken effect, only a success can settle it: a later refusal proves
    nothing about the earlier attempt.
    """
    is_unsettled = earlier.applied is Applied.UNKNOWN and later.applied is Applied.NOT_APPLIED
    return earlier if is_unsettled else later


def advise(outcome: Outcome, intent: Intent) -> Outcome:
    """Return the outcome of a change, where superseded with the advice never to send it again."""
    if outcome.retry not in _SAME_AGAIN or not intent.is_superseded_anywhere():
        return outcome
    message = f"{outcome.message} {SUPERSEDED}"
    return replace(outcome, retry_after=None, retry=Retry.NEVER, message=message, superseded=True)


def shows_healthy(outcome: Outcome) -> bool | None:
    """Whether an outcome shows a healthy or an unhealthy provider; None where it shows neither.

    A response shows a healthy one, except a 502, 503 or 504 without a cause, and a 5xx that the
    provider has not written itself. Failures of this process show neither.
    """
    status = outcome.upstream_status
    if status is None:
        if outcome.code in (Code.INTERNAL_ERROR, Code.OVERLOADED):
            return None
        return outcome.code not in _NO_RESPONSE_CODES
    if status < 500 or outcome.code not in _UNEXPLAINED_5XX_CODES:
        return True
    return outcome.own_error and status not in _INTERMEDIARY_STATUSES


def is_retryable(outcome: Outcome) -> bool:
    """Whether a retry of the same request may succeed.

    Blocking and unblocking are idempotent, so that a repeated request does no harm.
    """
    if outcome.retry_after is not None and outcome.retry_after > MAX_RETRY_DELAY:
        return False
    if outcome.code is Code.PROVIDER_RATE_LIMITED:
        return outcome.retry_after is not None
    if outcome.code in _RETRYABLE_CODES:
        return outcome.retry is not Retry.AFTER_ACTION  # a proxy would refuse again
    return outcome.code in _TRANSIENT_CODES and outcome.upstream_status in _TRANSIENT_STATUSES
