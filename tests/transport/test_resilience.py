"""The bounds of a call: how often it is tried, how long it waits, and what it may claim then."""

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
from adapter.transport.resilience import Resilience, Verdict

OK = Outcome.success(Confirmation.ACCEPTED)
JITTER = 0.25
"""Most seconds that chance adds to a pause."""

UNSENT = (Code.CIRCUIT_OPEN, Code.OVERLOADED)
"""What the bounds themselves say; no attempt does."""


def fails(
    code: Code, status: int | None = None, retry_after: int | None = None, *, own: bool = False
) -> Outcome:
    failure = Outcome.failure(code, upstream_status=status, retry_after=retry_after)
    return replace(failure, own_error=own)


LOST = fails(Code.PROVIDER_CONNECTION_LOST)
UNREACHABLE = fails(Code.PROVIDER_UNREACHABLE)
ERROR = fails(Code.PROVIDER_ERROR, 500)
REJECTED = fails(Code.TARGET_REJECTED, 400)


class Bounds:
    """The bounds of an account, whose pauses are written down and not waited for."""

    def __init__(self, **settings: Any) -> None:
        self.pauses: list[float] = []
        self.resilience = Resilience(TransportSettings(**settings), sleep=self.pauses.append)

    def call(self, *outcomes: Outcome) -> Verdict:
        """Make a call whose attempts end as told, one after the other."""
        waiting = iter(outcomes)
        return self.resilience.call(lambda _: next(waiting))


def outcomes() -> st.SearchStrategy[Outcome]:
    """Return any outcome that an attempt may have."""
    statuses = st.sampled_from([None, 200, 301, 400, 404, 408, 409, 429, 500, 501, 502, 503, 504])
    waits = st.sampled_from([None, 0, 1, 2, 3, 3600])
    codes = st.sampled_from([code for code in Code if code not in UNSENT])
    return st.just(OK) | st.builds(fails, codes, statuses, waits)


# --- how often


@given(st.lists(outcomes(), min_size=3, max_size=3))
def test_a_call_is_tried_once_or_twice_whatever_happens(found: list[Outcome]) -> None:
    verdict = Bounds().call(*found)
    assert verdict.attempts in (1, 2)


PROMISED = [
    pytest.param(UNREACHABLE, id="no connection"),
    pytest.param(LOST, id="a lost connection"),
    pytest.param(fails(Code.PROVIDER_ERROR, 502), id="502"),
    pytest.param(fails(Code.PROVIDER_UNAVAILABLE, 503), id="503"),
    pytest.param(fails(Code.PROVIDER_UNAVAILABLE, 503, 0), id="503 that asks for no wait"),
    pytest.param(fails(Code.PROVIDER_UNAVAILABLE, 503, 2), id="503 that asks for two seconds"),
    pytest.param(fails(Code.PROVIDER_RATE_LIMITED, 429, 0), id="429 that asks for no wait"),
    pytest.param(fails(Code.PROVIDER_RATE_LIMITED, 429, 1), id="429 that asks for a second"),
    pytest.param(fails(Code.PROVIDER_RATE_LIMITED, 429, 2), id="429 that asks for two seconds"),
]
NOT_PROMISED = [
    pytest.param(OK, id="success"),
    pytest.param(fails(Code.PROVIDER_RATE_LIMITED, 429), id="429 that does not say how long"),
    pytest.param(fails(Code.PROVIDER_RATE_LIMITED, 429, 3), id="429 that asks for three seconds"),
    pytest.param(fails(Code.PROVIDER_UNAVAILABLE, 503, 3), id="503 that asks for three seconds"),
    pytest.param(fails(Code.PROVIDER_ERROR, 502, 3600), id="502 that asks for an hour"),
    pytest.param(ERROR, id="500"),
    pytest.param(fails(Code.PROVIDER_TIMEOUT), id="no answer in time"),
    pytest.param(fails(Code.PROVIDER_TIMEOUT, 504), id="504"),
    pytest.param(fails(Code.PROVIDER_TIMEOUT, 408), id="408"),
    pytest.param(fails(Code.PROVIDER_TLS_ERROR), id="no trusted TLS"),
    pytest.param(fails(Code.PROVIDER_REDIRECTED, 302), id="a redirect"),
    pytest.param(fails(Code.PROVIDER_BAD_RESPONSE, 200), id="an answer that makes no sense"),
    pytest.param(fails(Code.PROVIDER_CONFLICT, 409), id="409"),
    pytest.param(fails(Code.PROVIDER_CONFLICT, 409, 1), id="409 that asks for a second"),
    pytest.param(fails(Code.PROVIDER_AUTH_FAILED, 401), id="401"),
    pytest.param(REJECTED, id="400"),
    pytest.param(fails(Code.SESSION_NOT_CONNECTED, 503), id="503 that says why"),
    pytest.param(fails(Code.SESSION_NOT_CONNECTED, 501), id="501 that says why"),
    pytest.param(fails(Code.OPERATION_NOT_SUPPORTED, 501), id="501"),
]


@pytest.mark.parametrize("first", PROMISED)
def test_a_second_attempt_is_made_where_it_is_promised(first: Outcome) -> None:
    assert Bounds().call(first, OK) == Verdict(OK, 2)


@pytest.mark.parametrize("first", NOT_PROMISED)
def test_no_second_attempt_is_made_anywhere_else(first: Outcome) -> None:
    bounds = Bounds()
    assert bounds.call(first, OK) == Verdict(first, 1)
    assert bounds.pauses == []


# --- how long


@given(st.lists(outcomes(), min_size=2, max_size=2))
def test_a_pause_is_what_was_asked_for_and_a_little_chance(found: list[Outcome]) -> None:
    bounds = Bounds()
    verdict = bounds.call(*found)
    assert len(bounds.pauses) == verdict.attempts - 1
    for pause in bounds.pauses:
        asked = found[0].retry_after or 0
        assert asked <= pause <= asked + JITTER
        assert asked <= 2


def test_pauses_differ_so_that_callers_do_not_come_back_at_once() -> None:
    bounds = Bounds(breaker_threshold=0)
    for _ in range(10):
        bounds.call(UNREACHABLE, OK)
    assert len(set(bounds.pauses)) > 1


@pytest.mark.parametrize("deadline", [0.5, 1.0])
def test_no_pause_begins_that_would_not_end_before_the_deadline(deadline: float) -> None:
    bounds = Bounds(deadline=deadline, connect_timeout=0.1)
    busy = fails(Code.PROVIDER_RATE_LIMITED, 429, 1)
    assert bounds.call(busy, OK) == Verdict(busy, 1)
    assert bounds.pauses == []


def test_both_attempts_are_told_the_same_end() -> None:
    ends: list[float] = []
    started = time.monotonic()
    resilience = Resilience(TransportSettings(deadline=100.0))

    def attempt(one: Attempt) -> Outcome:
        ends.append(one.ends)
        return UNREACHABLE

    resilience.call(attempt)
    assert len(ends) == 2
    assert ends[0] == ends[1]
    assert started + 100 <= ends[0] <= time.monotonic() + 100


def test_a_real_pause_is_waited_for() -> None:
    moments: list[float] = []
    busy = fails(Code.PROVIDER_RATE_LIMITED, 429, 1)

    def attempt(_: Attempt) -> Outcome:
        moments.append(time.monotonic())
        return busy

    assert Resilience(TransportSettings()).call(attempt).attempts == 2
    assert moments[1] - moments[0] >= 1


# --- how much in an outage


@pytest.mark.parametrize("threshold", [0, 5])
@pytest.mark.parametrize("found", [UNREACHABLE, LOST, fails(Code.PROVIDER_UNAVAILABLE, 503)])
def test_an_outage_of_a_thousand_calls_adds_less_than_a_fifth(
    found: Outcome, threshold: int
) -> None:
    bounds = Bounds(breaker_threshold=threshold)
    attempts = sum(bounds.call(found, found).attempts for _ in range(1000))
    assert attempts < 1200
    if not threshold:
        assert attempts >= 1000


def test_after_an_outage_calls_that_go_well_earn_retries_again() -> None:
    bounds = Bounds(breaker_threshold=0)
    outage = [bounds.call(LOST, LOST).attempts for _ in range(50)]
    assert outage[-1] == 1
    for _ in range(20):
        bounds.call(OK)
    assert bounds.call(LOST, OK) == Verdict(OK, 2)


# --- what may be claimed


@given(st.lists(outcomes(), min_size=2, max_size=2))
def test_an_unknown_stays_unknown_until_a_success_settles_it(found: list[Outcome]) -> None:
    verdict = Bounds().call(*found)
    made = found[: verdict.attempts]
    claimed = verdict.outcome.applied
    if made[-1].ok:
        assert claimed is Applied.APPLIED
    elif any(each.applied is Applied.UNKNOWN for each in made):
        assert claimed is Applied.UNKNOWN
    else:
        assert claimed is Applied.NOT_APPLIED
    assert verdict.outcome in made


@pytest.mark.parametrize(
    ("first", "second", "final"),
    [
        pytest.param(LOST, OK, OK, id="a success settles"),
        pytest.param(LOST, REJECTED, LOST, id="a refusal proves nothing of the first"),
        pytest.param(LOST, UNREACHABLE, LOST, id="nor does a failure to connect"),
        pytest.param(LOST, ERROR, ERROR, id="of two unknowns the later one"),
        pytest.param(UNREACHABLE, LOST, LOST, id="the second may have taken effect"),
        pytest.param(UNREACHABLE, REJECTED, REJECTED, id="of two refusals the later one"),
    ],
)
def test_of_two_attempts_the_one_that_can_be_vouched_for_is_the_answer(
    first: Outcome, second: Outcome, final: Outcome
) -> None:
    assert Bounds().call(first, second) == Verdict(final, 2)


def test_a_breaker_that_opens_between_two_attempts_leaves_the_first_its_word() -> None:
    bounds = Bounds(breaker_threshold=1)
    assert bounds.call(LOST, OK) == Verdict(LOST, 1)
    assert bounds.call(OK).outcome.code is Code.CIRCUIT_OPEN


# --- the breaker

SICK = [
    pytest.param(UNREACHABLE, id="no connection"),
    pytest.param(LOST, id="a lost connection"),
    pytest.param(fails(Code.PROVIDER_TLS_ERROR), id="no trusted TLS"),
    pytest.param(fails(Code.PROVIDER_TIMEOUT), id="no answer in time"),
    pytest.param(ERROR, id="500"),
    pytest.param(fails(Code.PROVIDER_ERROR, 502), id="502"),
    pytest.param(fails(Code.PROVIDER_UNAVAILABLE, 503), id="503"),
    pytest.param(fails(Code.PROVIDER_TIMEOUT, 504), id="504"),
    pytest.param(fails(Code.PROVIDER_ERROR, 502, own=True), id="502 in its own shape"),
    pytest.param(fails(Code.PROVIDER_UNAVAILABLE, 503, own=True), id="503 in its own shape"),
    pytest.param(fails(Code.PROVIDER_TIMEOUT, 504, own=True), id="504 in its own shape"),
    pytest.param(fails(Code.PROVIDER_MISADDRESSED, 500), id="500 of somebody else"),
    pytest.param(fails(Code.PROVIDER_BAD_RESPONSE, 520), id="520 of somebody else"),
    pytest.param(fails(Code.PROVIDER_RESPONSE_TOO_LARGE, 502), id="502 too large"),
    pytest.param(fails(Code.PROVIDER_RESPONSE_TOO_LARGE, 503), id="503 too large"),
]
HEALTHY = [
    pytest.param(OK, id="success"),
    pytest.param(REJECTED, id="400"),
    pytest.param(fails(Code.PROVIDER_ERROR, 500, own=True), id="500 in its own shape"),
    pytest.param(
        fails(Code.PROVIDER_BAD_RESPONSE, 500, own=True), id="500 that contradicts itself"
    ),
    pytest.param(fails(Code.PROVIDER_MISADDRESSED, 403), id="403 of a gate"),
    pytest.param(fails(Code.PROVIDER_RESPONSE_TOO_LARGE, 200), id="a list too large"),
    pytest.param(fails(Code.PROVIDER_BAD_RESPONSE), id="no HTTP at all"),
    pytest.param(fails(Code.PROVIDER_AUTH_FAILED, 401), id="401"),
    pytest.param(fails(Code.PROVIDER_PERMISSION_DENIED, 403), id="403"),
    pytest.param(fails(Code.SESSION_NOT_FOUND, 404), id="404"),
    pytest.param(fails(Code.PROVIDER_BAD_RESPONSE, 404), id="404 of a wrong address"),
    pytest.param(fails(Code.PROVIDER_TIMEOUT, 408), id="408"),
    pytest.param(fails(Code.PROVIDER_CONFLICT, 409), id="409"),
    pytest.param(fails(Code.PROVIDER_RATE_LIMITED, 429), id="429"),
    pytest.param(fails(Code.OPERATION_NOT_SUPPORTED, 501), id="501"),
    pytest.param(fails(Code.SESSION_NOT_CONNECTED, 501), id="501 that says why"),
    pytest.param(fails(Code.SESSION_NOT_CONNECTED, 503), id="503 that says why"),
]


NO_TIME = 0.0
"""A deadline that leaves a call its first attempt, and none after it."""


def repeat(bounds: Bounds, outcome: Outcome, attempts: int) -> None:
    """Make calls of one attempt each."""
    for _ in range(attempts):
        assert bounds.call(outcome).attempts == 1


@pytest.mark.parametrize("sick", SICK)
def test_five_failures_in_a_row_open_the_breaker_and_nothing_is_sent(sick: Outcome) -> None:
    bounds = Bounds(deadline=NO_TIME)
    repeat(bounds, sick, 4)
    assert bounds.resilience.state == "closed"
    repeat(bounds, sick, 1)
    assert bounds.resilience.state == "opened"
    refused = bounds.call()  # an attempt would fail: there is no outcome for it
    assert refused.attempts == 0
    assert refused.outcome.code is Code.CIRCUIT_OPEN
    assert refused.outcome.applied is Applied.NOT_APPLIED
    assert 1 <= (refused.outcome.retry_after or 0) <= 30


@pytest.mark.parametrize("healthy", HEALTHY)
def test_an_answer_that_shows_the_provider_alive_never_opens_the_breaker(healthy: Outcome) -> None:
    bounds = Bounds(breaker_threshold=2)
    repeat(bounds, healthy, 20)
    assert bounds.resilience.state == "closed"


@pytest.mark.parametrize("healthy", HEALTHY)
def test_a_healthy_answer_starts_the_count_anew(healthy: Outcome) -> None:
    bounds = Bounds()
    for _ in range(3):
        repeat(bounds, ERROR, 4)
        repeat(bounds, healthy, 1)
    assert bounds.resilience.state == "closed"


@pytest.mark.parametrize(
    "neutral", [fails(Code.OVERLOADED), fails(Code.INTERNAL_ERROR)], ids=["overloaded", "a bug"]
)
def test_what_is_our_own_neither_counts_nor_ends_the_count(neutral: Outcome) -> None:
    bounds = Bounds(breaker_threshold=3, deadline=NO_TIME)
    repeat(bounds, neutral, 10)
    repeat(bounds, ERROR, 2)
    repeat(bounds, neutral, 1)
    assert bounds.resilience.state == "closed"
    repeat(bounds, ERROR, 1)
    assert bounds.resilience.state == "opened"


def test_a_failure_that_shows_nothing_does_not_count_whatever_its_code() -> None:
    resilience = Resilience(TransportSettings(breaker_threshold=1, deadline=NO_TIME))

    def attempt(one: Attempt) -> Outcome:
        one.inconclusive = True
        return fails(Code.PROVIDER_TIMEOUT)

    for _ in range(5):
        assert resilience.call(attempt).outcome.code is Code.PROVIDER_TIMEOUT
    assert resilience.state == "closed"


def test_a_second_attempt_and_a_probe_use_a_new_connection() -> None:
    clock = Clock()
    settings = TransportSettings(breaker_threshold=2, breaker_pause=10.0)
    resilience = Resilience(settings, clock=clock, sleep=lambda _: None)
    fresh: list[bool] = []

    def attempt(one: Attempt) -> Outcome:
        fresh.append(one.fresh)
        return UNREACHABLE

    resilience.call(attempt)
    assert fresh == [False, True]
    assert resilience.state == "opened"
    clock.now += 10.0
    resilience.call(attempt)
    assert fresh == [False, True, True]


class Clock:
    """A clock that is moved by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("threshold", [1, 2, 7])
def test_the_threshold_is_the_configured_one(threshold: int) -> None:
    bounds = Bounds(breaker_threshold=threshold)
    repeat(bounds, ERROR, threshold - 1)
    assert bounds.resilience.state == "closed"
    repeat(bounds, ERROR, 1)
    assert bounds.resilience.state == "opened"


def test_a_threshold_of_zero_never_opens() -> None:
    bounds = Bounds(breaker_threshold=0)
    repeat(bounds, ERROR, 100)
    assert bounds.resilience.state == "closed"
    assert bounds.call(OK).outcome is OK


PAUSE = 0.02
"""Seconds that a breaker is open in these tests."""


def half_open(resilience: Resilience) -> None:
    """Fail until the breaker opens; return when its pause is over."""
    while resilience.state == "closed":
        resilience.call(lambda _: ERROR)
    ends = time.monotonic() + PAUSE
    wait_until(lambda: time.monotonic() > ends, "the end of the pause")


@pytest.mark.parametrize(
    ("probe", "state"),
    [
        pytest.param(OK, "closed", id="success"),
        pytest.param(REJECTED, "closed", id="a refusal is an answer"),
        pytest.param(ERROR, "opened", id="still down"),
        pytest.param(UNREACHABLE, "opened", id="still unreachable, and not tried again"),
    ],
)
def test_the_probe_decides(probe: Outcome, state: str) -> None:
    bounds = Bounds(breaker_pause=PAUSE)
    half_open(bounds.resilience)
    assert bounds.call(probe) == Verdict(probe, 1)
    assert bounds.resilience.state == state


def test_a_failure_from_before_the_breaker_opened_does_not_decide_for_the_probe() -> None:
    resilience = Resilience(TransportSettings(breaker_pause=PAUSE))
    late, probe = Held(ERROR), Held(OK)
    with running(resilience, late, 1) as early:
        assert late.started.acquire(timeout=TIMEOUT)
        half_open(resilience)
        with running(resilience, probe, 1) as probing:
            assert probe.started.acquire(timeout=TIMEOUT)
            late.release.set()
            wait_until(lambda: early, "the late failure")
            assert resilience.state == "half-opened"
            probe.release.set()
            wait_until(lambda: probing, "the probe")
    assert resilience.state == "closed"


# --- a bug inside


class BugError(Exception):
    """A fault of ours."""


def bug(_: Attempt) -> Outcome:
    raise BugError


@pytest.mark.parametrize("threshold", [0, 5])
def test_a_bug_shows_itself_and_takes_no_place_with_it(threshold: int) -> None:
    resilience = Resilience(TransportSettings(max_in_flight=2, breaker_threshold=threshold))
    for _ in range(20):
        with pytest.raises(BugError):
            resilience.call(bug)
    assert resilience.state == "closed"
    assert resilience.call(lambda _: OK) == Verdict(OK, 1)


def test_a_bug_in_the_second_attempt_shows_itself_too() -> None:
    resilience = Resilience(TransportSettings(max_in_flight=1))
    first = iter([UNREACHABLE])

    def attempt(one: Attempt) -> Outcome:
        return next(first, None) or bug(one)

    with pytest.raises(BugError):
        resilience.call(attempt)
    assert resilience.call(lambda _: OK) == Verdict(OK, 1)


@pytest.mark.parametrize("raised", [BugError, KeyboardInterrupt, SystemExit])
def test_a_bug_in_the_probe_leaves_the_next_probe_its_turn(raised: type[BaseException]) -> None:
    resilience = Resilience(TransportSettings(breaker_pause=PAUSE))
    half_open(resilience)

    def attempt(_: Attempt) -> Outcome:
        raise raised

    with pytest.raises(raised):
        resilience.call(attempt)
    wait_until(lambda: resilience.call(lambda _: OK).outcome is OK, "the next probe")
    assert resilience.state == "closed"


# --- many threads


class Held:
    """An attempt that waits until all are let go, and counts who came in."""

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
def running(resilience: Resilience, held: Held, calls: int) -> Iterator[list[Verdict]]:
    """Make calls in threads of their own; yield the list that their verdicts go to."""
    found: list[Verdict] = []
    together = threading.Barrier(calls)

    def call() -> None:
        together.wait(TIMEOUT)
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


def codes(verdicts: Iterable[Verdict]) -> Iterator[Code | None]:
    return (verdict.outcome.code for verdict in verdicts)


def test_of_fifty_calls_at_once_as_many_are_let_in_as_there_are_places_and_all_come_back() -> None:
    resilience = Resilience(TransportSettings(max_in_flight=10))
    for _ in range(3):
        held = Held(OK)
        with running(resilience, held, 50) as found:
            wait_until(
                lambda found=found: len(found) == 40,  # type: ignore[misc]  # mypy: its default
                "the calls that find no place",
            )
            assert all(code is Code.OVERLOADED for code in codes(found))
            assert all(verdict.attempts == 0 for verdict in found)
            assert all(verdict.outcome.retry_after == 1 for verdict in found)
            held.release.set()
        assert len(held.made) == 10
        assert sum(code is None for code in codes(found)) == 10


def test_of_fifty_calls_at_once_one_is_the_probe() -> None:
    resilience = Resilience(TransportSettings(breaker_pause=PAUSE))
    half_open(resilience)
    held = Held(OK)
    with running(resilience, held, 50) as found:
        wait_until(lambda: len(found) == 49, "the calls that are refused")
        assert len(held.made) == 1
        assert all(code is Code.CIRCUIT_OPEN for code in codes(found))
        assert all((verdict.outcome.retry_after or 0) >= 1 for verdict in found)
        held.release.set()
    assert resilience.state == "closed"
    assert sum(code is None for code in codes(found)) == 1


def test_fifty_threads_of_all_kinds_leave_every_place_free() -> None:
    places = 60
    settings = TransportSettings(max_in_flight=places, breaker_pause=0.001)
    resilience = Resilience(settings)

    kinds = (bug, lambda _: OK, lambda _: ERROR, lambda _: REJECTED)

    def work(worker: int) -> None:
        for turn in range(40):
            with suppress(BugError):
                resilience.call(kinds[(worker + turn) % len(kinds)])

    with ThreadPoolExecutor(50) as pool:
        list(pool.map(work, range(50)))
    wait_until(lambda: resilience.call(lambda _: OK).outcome is OK, "a breaker that closes")
    held = Held(OK)
    with running(resilience, held, places) as found:
        for _ in range(places):
            assert held.started.acquire(timeout=TIMEOUT)
        assert resilience.call(lambda _: OK).outcome.code is Code.OVERLOADED
        held.release.set()
    assert len(found) == places


def test_a_pause_that_ends_after_the_deadline_is_followed_by_no_attempt() -> None:
    moments = iter([0.0, 0.0, 20.0])
    bounds = Resilience(
        TransportSettings(deadline=15.0, breaker_threshold=0),
        clock=lambda: next(moments, 20.0),
        sleep=lambda _: None,
    )
    found = iter([UNREACHABLE])
    assert bounds.call(lambda _: next(found)) == Verdict(UNREACHABLE, 1)
