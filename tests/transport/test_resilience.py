"""The resilience policy of a call: bulkhead, retry, deadline, breaker, and the merged outcome."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import TIMEOUT, wait_until

from adapter import Applied, Code, Confirmation, Outcome
from adapter.settings.model import TransportSettings
from adapter.transport.attempt import Attempt
from adapter.transport.resilience import Resilience

Returned = tuple[Outcome, int]
"""What a call returns: its outcome, and the number of attempts."""

OK = Outcome.success(Confirmation.ACCEPTED)
MAX_JITTER = 0.25
"""Most seconds that are added to a retry delay at random."""

POLICY_CODES = (Code.CIRCUIT_OPEN, Code.OVERLOADED)
"""Codes of the policy itself; no attempt has them."""


def failed(
    code: Code, status: int | None = None, retry_after: int | None = None, *, own: bool = False
) -> Outcome:
    failure = Outcome.failure(code, upstream_status=status, retry_after=retry_after)
    return replace(failure, own_error=own)


LOST = failed(Code.PROVIDER_CONNECTION_LOST)
UNREACHABLE = failed(Code.PROVIDER_UNREACHABLE)
ERROR = failed(Code.PROVIDER_ERROR, 500)
REJECTED = failed(Code.TARGET_REJECTED, 400)


class Clock:
    """A clock that is set by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Policy:
    """A policy whose clock is set by hand, and whose retry delays are recorded and not waited."""

    def __init__(self, **settings: Any) -> None:
        self.clock = Clock()
        self.delays: list[float] = []
        self.resilience = Resilience(
            TransportSettings(**settings), clock=self.clock, sleep=self.delays.append
        )

    @property
    def state(self) -> str:
        return self.resilience.state

    def call(self, *outcomes: Outcome) -> Returned:
        """Make a call whose attempts have these outcomes."""
        remaining = iter(outcomes)
        return self.resilience.call(lambda _: next(remaining))

    def half_open(self) -> None:
        """Open the breaker, and let its pause pass."""
        while self.state == "closed":
            self.resilience.call(lambda _: ERROR)
        self.clock.now += TransportSettings().breaker_pause


def outcomes() -> st.SearchStrategy[Outcome]:
    """Return any outcome that an attempt may have."""
    statuses = st.sampled_from([None, 200, 301, 400, 404, 408, 409, 429, 500, 501, 502, 503, 504])
    waits = st.sampled_from([None, 0, 1, 2, 3, 3600])
    codes = st.sampled_from([code for code in Code if code not in POLICY_CODES])
    return st.just(OK) | st.builds(failed, codes, statuses, waits)


# --- which outcomes are retried


@given(st.lists(outcomes(), min_size=3, max_size=3))
def test_retry_makes_at_most_two_attempts(found: list[Outcome]) -> None:
    _, attempts = Policy().call(*found)
    assert attempts in (1, 2)


RETRYABLE = [
    pytest.param(UNREACHABLE, id="no connection"),
    pytest.param(LOST, id="connection lost"),
    pytest.param(failed(Code.PROVIDER_ERROR, 502), id="502"),
    pytest.param(failed(Code.PROVIDER_UNAVAILABLE, 503), id="503"),
    pytest.param(failed(Code.PROVIDER_UNAVAILABLE, 503, 0), id="503, Retry-After 0"),
    pytest.param(failed(Code.PROVIDER_UNAVAILABLE, 503, 2), id="503, Retry-After 2"),
    pytest.param(failed(Code.PROVIDER_RATE_LIMITED, 429, 0), id="429, Retry-After 0"),
    pytest.param(failed(Code.PROVIDER_RATE_LIMITED, 429, 1), id="429, Retry-After 1"),
    pytest.param(failed(Code.PROVIDER_RATE_LIMITED, 429, 2), id="429, Retry-After 2"),
]
NOT_RETRYABLE = [
    pytest.param(OK, id="success"),
    pytest.param(failed(Code.PROVIDER_RATE_LIMITED, 429), id="429 without Retry-After"),
    pytest.param(failed(Code.PROVIDER_RATE_LIMITED, 429, 3), id="429, Retry-After 3"),
    pytest.param(failed(Code.PROVIDER_UNAVAILABLE, 503, 3), id="503, Retry-After 3"),
    pytest.param(failed(Code.PROVIDER_ERROR, 502, 3600), id="502, Retry-After 3600"),
    pytest.param(ERROR, id="500"),
    pytest.param(failed(Code.PROVIDER_TIMEOUT), id="timeout"),
    pytest.param(failed(Code.PROVIDER_TIMEOUT, 504), id="504"),
    pytest.param(failed(Code.PROVIDER_TIMEOUT, 408), id="408"),
    pytest.param(failed(Code.PROVIDER_TLS_ERROR), id="TLS error"),
    pytest.param(failed(Code.PROVIDER_REDIRECTED, 302), id="redirect"),
    pytest.param(failed(Code.PROVIDER_BAD_RESPONSE, 200), id="bad response"),
    pytest.param(failed(Code.PROVIDER_CONFLICT, 409), id="409"),
    pytest.param(failed(Code.PROVIDER_CONFLICT, 409, 1), id="409, Retry-After 1"),
    pytest.param(failed(Code.PROVIDER_AUTH_FAILED, 401), id="401"),
    pytest.param(REJECTED, id="400"),
    pytest.param(failed(Code.SESSION_NOT_CONNECTED, 503), id="503 with a cause"),
    pytest.param(failed(Code.SESSION_NOT_CONNECTED, 501), id="501 with a cause"),
    pytest.param(failed(Code.OPERATION_NOT_SUPPORTED, 501), id="501"),
]


@pytest.mark.parametrize("first", RETRYABLE)
def test_retry_after_a_retryable_outcome(first: Outcome) -> None:
    assert Policy().call(first, OK) == (OK, 2)


@pytest.mark.parametrize("first", NOT_RETRYABLE)
def test_no_retry_after_any_other_outcome(first: Outcome) -> None:
    policy = Policy()
    assert policy.call(first, OK) == (first, 1)
    assert policy.delays == []


# --- retry delay and deadline


@given(st.lists(outcomes(), min_size=2, max_size=2))
def test_retry_delay_is_retry_after_plus_jitter(found: list[Outcome]) -> None:
    policy = Policy()
    _, attempts = policy.call(*found)
    assert len(policy.delays) == attempts - 1
    for delay in policy.delays:
        retry_after = found[0].retry_after or 0
        assert retry_after <= delay <= retry_after + MAX_JITTER
        assert retry_after <= 2


def test_retry_delays_have_jitter() -> None:
    policy = Policy(breaker_threshold=0)
    for _ in range(10):
        policy.call(UNREACHABLE, OK)
    assert len(set(policy.delays)) > 1


def test_retry_delay_is_slept(monkeypatch: pytest.MonkeyPatch) -> None:
    delays: list[float] = []
    resilience = Resilience(TransportSettings())  # without a `sleep` of the test
    with monkeypatch.context() as patch:
        patch.setattr(time, "sleep", delays.append)
        assert resilience.call(lambda _: failed(Code.PROVIDER_RATE_LIMITED, 429, 1))[1] == 2
    [delay] = delays
    assert 1 <= delay <= 1 + MAX_JITTER


@pytest.mark.parametrize("deadline", [0.5, 1.0])
def test_no_retry_delay_beyond_the_deadline(deadline: float) -> None:
    policy = Policy(deadline=deadline, connect_timeout=0.1)
    busy = failed(Code.PROVIDER_RATE_LIMITED, 429, 1)
    assert policy.call(busy, OK) == (busy, 1)
    assert policy.delays == []


def test_no_retry_after_a_delay_that_outlasted_the_deadline() -> None:
    clock = Clock()

    def oversleep(_: float) -> None:
        clock.now += 15.0

    settings = TransportSettings(deadline=15.0, breaker_threshold=0)
    resilience = Resilience(settings, clock=clock, sleep=oversleep)
    found = iter([UNREACHABLE])
    assert resilience.call(lambda _: next(found)) == (UNREACHABLE, 1)


def test_both_attempts_have_the_same_deadline() -> None:
    policy = Policy(deadline=100.0)
    deadlines: list[float] = []

    def run_attempt(attempt: Attempt) -> Outcome:
        deadlines.append(attempt.deadline)
        policy.clock.now += 1
        return UNREACHABLE

    started = policy.clock.now
    policy.resilience.call(run_attempt)
    assert deadlines == [started + 100, started + 100]


# --- retries in an outage


@pytest.mark.parametrize("threshold", [0, 5])
@pytest.mark.parametrize("found", [UNREACHABLE, LOST, failed(Code.PROVIDER_UNAVAILABLE, 503)])
def test_retry_adds_less_than_a_fifth_to_a_thousand_calls_in_an_outage(
    found: Outcome, threshold: int
) -> None:
    policy = Policy(breaker_threshold=threshold)
    attempts = sum(policy.call(found, found)[1] for _ in range(1000))
    assert attempts < 1200
    if not threshold:
        assert attempts >= 1000


def test_successful_calls_allow_retries_again_after_an_outage() -> None:
    policy = Policy(breaker_threshold=0)
    outage = [policy.call(LOST, LOST)[1] for _ in range(50)]
    assert outage[-1] == 1
    for _ in range(20):
        policy.call(OK)
    assert policy.call(LOST, OK) == (OK, 2)


# --- the outcome of two attempts


@given(st.lists(outcomes(), min_size=2, max_size=2))
def test_after_a_retry_unknown_stays_unknown_unless_a_success_settles_it(
    found: list[Outcome],
) -> None:
    outcome, attempts = Policy().call(*found)
    made = found[:attempts]
    if made[-1].ok:
        assert outcome.applied is Applied.APPLIED
    elif any(each.applied is Applied.UNKNOWN for each in made):
        assert outcome.applied is Applied.UNKNOWN
    else:
        assert outcome.applied is Applied.NOT_APPLIED
    assert outcome in made


@pytest.mark.parametrize(
    ("first", "second", "final"),
    [
        pytest.param(LOST, OK, OK, id="a success settles"),
        pytest.param(LOST, REJECTED, LOST, id="a refusal proves nothing about the first"),
        pytest.param(LOST, UNREACHABLE, LOST, id="nor does a failure to connect"),
        pytest.param(LOST, ERROR, ERROR, id="the later of two unknowns"),
        pytest.param(UNREACHABLE, LOST, LOST, id="the second may have taken effect"),
        pytest.param(UNREACHABLE, REJECTED, REJECTED, id="the later of two refusals"),
    ],
)
def test_the_outcome_after_a_retry_is_the_one_that_is_certain(
    first: Outcome, second: Outcome, final: Outcome
) -> None:
    assert Policy().call(first, second) == (final, 2)


def test_the_first_outcome_stays_where_the_breaker_opens_before_the_retry() -> None:
    policy = Policy(breaker_threshold=1)
    assert policy.call(LOST, OK) == (LOST, 1)
    assert policy.call(OK)[0].code is Code.CIRCUIT_OPEN


# --- the breaker

UNHEALTHY = [
    pytest.param(UNREACHABLE, id="no connection"),
    pytest.param(LOST, id="connection lost"),
    pytest.param(failed(Code.PROVIDER_TLS_ERROR), id="TLS error"),
    pytest.param(failed(Code.PROVIDER_TIMEOUT), id="timeout"),
    pytest.param(ERROR, id="500"),
    pytest.param(failed(Code.PROVIDER_ERROR, 502), id="502"),
    pytest.param(failed(Code.PROVIDER_UNAVAILABLE, 503), id="503"),
    pytest.param(failed(Code.PROVIDER_TIMEOUT, 504), id="504"),
    pytest.param(failed(Code.PROVIDER_ERROR, 502, own=True), id="502, own error"),
    pytest.param(failed(Code.PROVIDER_UNAVAILABLE, 503, own=True), id="503, own error"),
    pytest.param(failed(Code.PROVIDER_TIMEOUT, 504, own=True), id="504, own error"),
    pytest.param(failed(Code.PROVIDER_MISADDRESSED, 500), id="500 of another server"),
    pytest.param(failed(Code.PROVIDER_BAD_RESPONSE, 520), id="520 of another server"),
    pytest.param(failed(Code.PROVIDER_RESPONSE_TOO_LARGE, 502), id="502, too large"),
    pytest.param(failed(Code.PROVIDER_RESPONSE_TOO_LARGE, 503), id="503, too large"),
]
HEALTHY = [
    pytest.param(OK, id="success"),
    pytest.param(REJECTED, id="400"),
    pytest.param(failed(Code.PROVIDER_ERROR, 500, own=True), id="500, own error"),
    pytest.param(
        failed(Code.PROVIDER_BAD_RESPONSE, 500, own=True), id="500, own error, contradictory"
    ),
    pytest.param(failed(Code.PROVIDER_MISADDRESSED, 403), id="403 of a gateway"),
    pytest.param(failed(Code.PROVIDER_RESPONSE_TOO_LARGE, 200), id="200, too large"),
    pytest.param(failed(Code.PROVIDER_BAD_RESPONSE), id="not HTTP"),
    pytest.param(failed(Code.PROVIDER_AUTH_FAILED, 401), id="401"),
    pytest.param(failed(Code.PROVIDER_PERMISSION_DENIED, 403), id="403"),
    pytest.param(failed(Code.SESSION_NOT_FOUND, 404), id="404"),
    pytest.param(failed(Code.PROVIDER_BAD_RESPONSE, 404), id="404 of a wrong address"),
    pytest.param(failed(Code.PROVIDER_TIMEOUT, 408), id="408"),
    pytest.param(failed(Code.PROVIDER_CONFLICT, 409), id="409"),
    pytest.param(failed(Code.PROVIDER_RATE_LIMITED, 429), id="429"),
    pytest.param(failed(Code.OPERATION_NOT_SUPPORTED, 501), id="501"),
    pytest.param(failed(Code.SESSION_NOT_CONNECTED, 501), id="501 with a cause"),
    pytest.param(failed(Code.SESSION_NOT_CONNECTED, 503), id="503 with a cause"),
]

SINGLE_ATTEMPT = 0.0
"""A deadline that allows the first attempt, and no retry."""


def repeat(policy: Policy, outcome: Outcome, calls: int) -> None:
    """Make calls of one attempt each."""
    for _ in range(calls):
        assert policy.call(outcome)[1] == 1


@pytest.mark.parametrize("unhealthy", UNHEALTHY)
def test_breaker_opens_after_five_consecutive_failures_and_then_nothing_is_sent(
    unhealthy: Outcome,
) -> None:
    policy = Policy(deadline=SINGLE_ATTEMPT)
    repeat(policy, unhealthy, 4)
    assert policy.state == "closed"
    repeat(policy, unhealthy, 1)
    assert policy.state == "opened"
    outcome, attempts = policy.call()  # an attempt would raise: there is no outcome for it
    assert attempts == 0
    assert outcome.code is Code.CIRCUIT_OPEN
    assert outcome.applied is Applied.NOT_APPLIED
    assert 1 <= (outcome.retry_after or 0) <= 30


@pytest.mark.parametrize("healthy", HEALTHY)
def test_breaker_stays_closed_after_responses_of_a_healthy_provider(healthy: Outcome) -> None:
    policy = Policy(breaker_threshold=2)
    repeat(policy, healthy, 20)
    assert policy.state == "closed"


@pytest.mark.parametrize("healthy", HEALTHY)
def test_breaker_restarts_its_count_after_a_healthy_response(healthy: Outcome) -> None:
    policy = Policy()
    for _ in range(3):
        repeat(policy, ERROR, 4)
        repeat(policy, healthy, 1)
    assert policy.state == "closed"


@pytest.mark.parametrize(
    "neutral", [failed(Code.OVERLOADED), failed(Code.INTERNAL_ERROR)], ids=["overloaded", "a bug"]
)
def test_breaker_neither_counts_nor_resets_on_failures_of_this_process(neutral: Outcome) -> None:
    policy = Policy(breaker_threshold=3, deadline=SINGLE_ATTEMPT)
    repeat(policy, neutral, 10)
    repeat(policy, ERROR, 2)
    repeat(policy, neutral, 1)
    assert policy.state == "closed"
    repeat(policy, ERROR, 1)
    assert policy.state == "opened"


def test_breaker_ignores_an_attempt_with_unknown_health_whatever_its_code() -> None:
    policy = Policy(breaker_threshold=1, deadline=SINGLE_ATTEMPT)

    def run_attempt(attempt: Attempt) -> Outcome:
        attempt.health_unknown = True
        return failed(Code.PROVIDER_TIMEOUT)

    for _ in range(5):
        assert policy.resilience.call(run_attempt)[0].code is Code.PROVIDER_TIMEOUT
    assert policy.state == "closed"


def test_retry_and_breaker_probe_use_a_new_connection() -> None:
    policy = Policy(breaker_threshold=2, breaker_pause=10.0)
    new_connections: list[bool] = []

    def run_attempt(attempt: Attempt) -> Outcome:
        new_connections.append(attempt.new_connection)
        return UNREACHABLE

    policy.resilience.call(run_attempt)
    assert new_connections == [False, True]
    assert policy.state == "opened"
    policy.clock.now += 10.0
    policy.resilience.call(run_attempt)
    assert new_connections == [False, True, True]


@pytest.mark.parametrize("threshold", [1, 2, 7])
def test_breaker_threshold_is_the_configured_one(threshold: int) -> None:
    policy = Policy(breaker_threshold=threshold)
    repeat(policy, ERROR, threshold - 1)
    assert policy.state == "closed"
    repeat(policy, ERROR, 1)
    assert policy.state == "opened"


def test_breaker_with_threshold_zero_never_opens() -> None:
    policy = Policy(breaker_threshold=0)
    repeat(policy, ERROR, 100)
    assert policy.state == "closed"
    assert policy.call(OK)[0] is OK


@pytest.mark.parametrize(
    ("probe", "state"),
    [
        pytest.param(OK, "closed", id="success"),
        pytest.param(REJECTED, "closed", id="a refusal is a response"),
        pytest.param(ERROR, "opened", id="still an error"),
        pytest.param(UNREACHABLE, "opened", id="still unreachable, without retry"),
    ],
)
def test_breaker_state_after_the_probe(probe: Outcome, state: str) -> None:
    policy = Policy()
    policy.half_open()
    assert policy.call(probe) == (probe, 1)
    assert policy.state == state


def test_breaker_ignores_a_late_failure_from_before_it_opened() -> None:
    policy = Policy()
    late, probe = Held(ERROR), Held(OK)
    with running(policy.resilience, late, 1) as early:
        assert late.started.acquire(timeout=TIMEOUT)
        policy.half_open()
        with running(policy.resilience, probe, 1) as probing:
            assert probe.started.acquire(timeout=TIMEOUT)
            late.release.set()
            wait_until(lambda: early, "the late failure")
            assert policy.state == "half-opened"
            probe.release.set()
            wait_until(lambda: probing, "the probe")
    assert policy.state == "closed"


# --- exceptions


class BugError(Exception):
    """A bug in this process."""


def bug(_: Attempt) -> Outcome:
    raise BugError


@pytest.mark.parametrize("threshold", [0, 5])
def test_an_exception_is_raised_and_releases_its_bulkhead_slot(threshold: int) -> None:
    policy = Policy(max_in_flight=2, breaker_threshold=threshold)
    for _ in range(20):
        with pytest.raises(BugError):
            policy.resilience.call(bug)
    assert policy.state == "closed"
    assert policy.call(OK) == (OK, 1)


def test_an_exception_in_a_retry_is_raised_too() -> None:
    policy = Policy(max_in_flight=1)
    first = iter([UNREACHABLE])

    def run_attempt(attempt: Attempt) -> Outcome:
        return next(first, None) or bug(attempt)

    with pytest.raises(BugError):
        policy.resilience.call(run_attempt)
    assert policy.call(OK) == (OK, 1)


@pytest.mark.parametrize("raised", [BugError, KeyboardInterrupt, SystemExit])
def test_breaker_permits_the_next_probe_after_an_exception_in_one(
    raised: type[BaseException],
) -> None:
    policy = Policy()
    policy.half_open()

    def run_attempt(_: Attempt) -> Outcome:
        raise raised

    with pytest.raises(raised):
        policy.resilience.call(run_attempt)
    assert policy.call(OK) == (OK, 1)
    assert policy.state == "closed"


# --- threads


class Held:
    """An attempt that waits for `release`, and counts its calls."""

    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome
        self.started = threading.Semaphore(0)
        self.release = threading.Event()
        self.made: list[None] = []

    def __call__(self, _: Attempt) -> Outcome:
        self.made.append(None)
        self.started.release()
        assert self.release.wait(TIMEOUT)
        return self._outcome


@contextmanager
def running(resilience: Resilience, held: Held, calls: int) -> Iterator[list[Returned]]:
    """Make calls in threads; yield the list to which their results are appended."""
    found: list[Returned] = []
    barrier = threading.Barrier(calls)

    def call() -> None:
        barrier.wait(TIMEOUT)
        found.append(resilience.call(held))

    threads = [threading.Thread(target=call) for _ in range(calls)]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        held.release.set()
        for thread in threads:
            thread.join(TIMEOUT)
            assert not thread.is_alive()


def codes(found: Iterable[Returned]) -> list[Code | None]:
    return [outcome.code for outcome, _ in found]


def test_bulkhead_admits_as_many_of_fifty_calls_as_it_has_slots() -> None:
    resilience = Resilience(TransportSettings(max_in_flight=10))
    for _ in range(3):
        held = Held(OK)
        with running(resilience, held, 50) as found:
            wait_until(lambda found=found: len(found) == 40, "the calls without a slot")
            assert set(codes(found)) == {Code.OVERLOADED}
            assert all(attempts == 0 for _, attempts in found)
            assert all(outcome.retry_after == 1 for outcome, _ in found)
            held.release.set()
        assert len(held.made) == 10
        assert codes(found).count(None) == 10


def test_breaker_permits_one_probe_of_fifty_calls_at_once() -> None:
    policy = Policy()
    policy.half_open()
    held = Held(OK)
    with running(policy.resilience, held, 50) as found:
        wait_until(lambda: len(found) == 49, "the refused calls")
        assert len(held.made) == 1
        assert set(codes(found)) == {Code.CIRCUIT_OPEN}
        assert all((outcome.retry_after or 0) >= 1 for outcome, _ in found)
        held.release.set()
    assert policy.state == "closed"
    assert codes(found).count(None) == 1


def test_bulkhead_slots_are_all_free_after_fifty_threads_with_any_outcome() -> None:
    slots = 60
    settings = TransportSettings(max_in_flight=slots, breaker_pause=0.001)
    resilience = Resilience(settings)

    kinds = (bug, lambda _: OK, lambda _: ERROR, lambda _: REJECTED)

    def work(worker: int) -> None:
        for turn in range(40):
            with suppress(BugError):
                resilience.call(kinds[(worker + turn) % len(kinds)])

    with ThreadPoolExecutor(50) as pool:
        list(pool.map(work, range(50)))
    wait_until(lambda: resilience.call(lambda _: OK)[0] is OK, "a breaker that closes")
    held = Held(OK)
    with running(resilience, held, slots) as found:
        for _ in range(slots):
            assert held.started.acquire(timeout=TIMEOUT)
        assert resilience.call(lambda _: OK)[0].code is Code.OVERLOADED
        held.release.set()
    assert len(found) == slots
