"""The breaker and the bulkhead of a call; exceptions and threads."""

from __future__ import annotations

from collections.abc import Sized
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

import pytest
from support import TIMEOUT, wait_until
from support.policies import (
    ERROR,
    LOST,
    OK,
    REJECTED,
    UNREACHABLE,
    Held,
    Policy,
    codes,
    failed,
    running,
)

from adapter import Applied, Code, Outcome
from adapter.settings.model import TransportSettings
from adapter.transport.attempt import Attempt
from adapter.transport.resilience import Resilience

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


def has_results(found: Sized, count: int) -> bool:
    return len(found) == count


def test_bulkhead_admits_as_many_of_fifty_calls_as_it_has_slots() -> None:
    resilience = Resilience(TransportSettings(max_in_flight=10))
    for _ in range(3):
        held = Held(OK)
        with running(resilience, held, 50) as found:
            wait_until(partial(has_results, found, 40), "the calls without a slot")
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
