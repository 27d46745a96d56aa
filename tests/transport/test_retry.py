"""Retries: which outcomes, after which delay, how many in an outage, and the merged outcome."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.policies import (
    ERROR,
    LOST,
    MAX_JITTER,
    OK,
    REJECTED,
    UNREACHABLE,
    Clock,
    Policy,
    failed,
    outcomes,
)

from adapter import Applied, Code, Outcome
from adapter.settings.model import TransportSettings
from adapter.transport.attempt import Attempt
from adapter.transport.resilience import Resilience

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
