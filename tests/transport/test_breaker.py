"""The circuit breaker: threshold, pause, probe, and the clock."""

from __future__ import annotations

import inspect
import time

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from adapter.transport.breaker import BREAKER_STATES, Breaker, Permit
from adapter.transport.resilience import Resilience

THRESHOLD, PAUSE = 3, 10.0


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def permitted(breaker: Breaker) -> Permit:
    permit = breaker.acquire()
    assert isinstance(permit, Permit)
    return permit


def opened(clock: Clock) -> Breaker:
    breaker = Breaker(THRESHOLD, PAUSE, clock)
    for _ in range(THRESHOLD):
        breaker.record(permitted(breaker), healthy=False)
    assert breaker.state == "opened"
    return breaker


@pytest.mark.parametrize(
    ("recorded", "state"),
    [
        pytest.param([False] * 3, "opened", id="three consecutive failures"),
        pytest.param([False] * 2, "closed", id="two failures"),
        pytest.param([False, False, True, False, False], "closed", id="a success between them"),
        pytest.param([False, False, None, False], "opened", id="an unknown between them"),
        pytest.param([None] * 20, "closed", id="unknown only"),
    ],
)
def test_breaker_opens_after_consecutive_failures(recorded: list[bool | None], state: str) -> None:
    breaker = Breaker(THRESHOLD, PAUSE, Clock())
    for healthy in recorded:
        breaker.record(permitted(breaker), healthy=healthy)
    assert breaker.state == state


@pytest.mark.parametrize(
    ("after", "wait"), [(0.0, 10), (0.5, 10), (9.0, 1), (9.9, 1), (10.0, None), (11.0, None)]
)
def test_an_opened_breaker_returns_the_seconds_until_its_probe(
    after: float, wait: int | None
) -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += after
    acquired = breaker.acquire()
    if wait is None:
        assert isinstance(acquired, Permit)
    else:
        assert acquired == wait


@pytest.mark.parametrize(("healthy", "state"), [(True, "closed"), (False, "opened")])
def test_breaker_state_after_the_probe(healthy: bool, state: str) -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += PAUSE
    probe = permitted(breaker)
    assert probe.probe
    assert breaker.state == "half-opened"
    assert breaker.acquire() == 1
    breaker.record(probe, healthy=healthy)
    assert breaker.state == state


def test_breaker_permits_the_next_probe_after_one_with_unknown_health() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += PAUSE
    breaker.record(permitted(breaker), healthy=None)
    assert permitted(breaker).probe
    assert breaker.acquire() == 1


def test_breaker_ignores_results_from_before_it_opened() -> None:
    clock = Clock()
    breaker = Breaker(THRESHOLD, PAUSE, clock)
    late = [permitted(breaker) for _ in range(THRESHOLD + 2)]
    for each in late[:THRESHOLD]:
        breaker.record(each, healthy=False)
    breaker.record(late[-1], healthy=True)
    assert breaker.state == "opened"
    clock.now += PAUSE
    probe = permitted(breaker)
    breaker.record(late[-2], healthy=False)
    assert breaker.state == "half-opened"
    breaker.record(probe, healthy=True)
    assert breaker.state == "closed"


@pytest.mark.parametrize("kind", [Breaker, Resilience])
def test_breaker_clock_is_monotonic_by_default(kind: type) -> None:
    assert inspect.signature(kind).parameters["clock"].default is time.monotonic


class Machine(RuleBasedStateMachine):
    """Any order of attempts that start, end and wait, compared with a model of the breaker."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.breaker = Breaker(THRESHOLD, PAUSE, self.clock)
        self.in_flight: list[Permit] = []
        self.probe: Permit | None = None

    @rule()
    def begin(self) -> None:
        before = self.breaker.state
        acquired = self.breaker.acquire()
        if isinstance(acquired, int):
            assert before != "closed"
            assert 1 <= acquired <= PAUSE
            return
        assert acquired.probe is (before != "closed")
        if acquired.probe:
            assert self.probe is None, "two probes at a time"
            self.probe = acquired
            assert self.breaker.state == "half-opened"
        else:
            self.in_flight.append(acquired)

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data(), healthy=st.sampled_from([True, False, None]))
    def end(self, data: st.DataObject, healthy: bool | None) -> None:
        index = data.draw(st.integers(0, len(self.in_flight) - 1))
        permit = self.in_flight.pop(index)
        before = self.breaker.state
        self.breaker.record(permit, healthy=healthy)
        assert self.breaker.state in (before, "opened" if before == "closed" else before)
        if healthy is not False:
            assert self.breaker.state == before

    @precondition(lambda self: self.probe is not None)
    @rule(healthy=st.sampled_from([True, False, None]))
    def end_probe(self, healthy: bool | None) -> None:
        assert self.probe is not None
        self.breaker.record(self.probe, healthy=healthy)
        self.probe = None
        names = {True: "closed", False: "opened", None: "half-opened"}
        assert self.breaker.state == names[healthy]

    @rule(seconds=st.floats(0, 2 * PAUSE))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @invariant()
    def its_state_is_one_of_three(self) -> None:
        assert self.breaker.state in BREAKER_STATES
        if self.probe is not None:
            assert self.breaker.state == "half-opened"


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
