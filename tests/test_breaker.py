"""The circuit breaker by itself: what opens it, who is the probe, and whose clock it goes by."""

from __future__ import annotations

import time

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from adapter.transport.breaker import BREAKER_STATES, Admission, Breaker

THRESHOLD, PAUSE = 3, 10.0


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def admitted(breaker: Breaker) -> Admission:
    admission = breaker.admit()
    assert isinstance(admission, Admission)
    return admission


def opened(clock: Clock) -> Breaker:
    breaker = Breaker(THRESHOLD, PAUSE, clock)
    for _ in range(THRESHOLD):
        breaker.settle(admitted(breaker), healthy=False)
    assert breaker.state == "opened"
    return breaker


@pytest.mark.parametrize(
    ("told", "state"),
    [
        pytest.param([False] * 3, "opened", id="three failures in a row"),
        pytest.param([False] * 2, "closed", id="two failures"),
        pytest.param([False, False, True, False, False], "closed", id="a success between them"),
        pytest.param([False, False, None, False], "opened", id="what shows nothing between them"),
        pytest.param([None] * 20, "closed", id="nothing that shows anything"),
    ],
)
def test_failures_in_a_row_open_it(told: list[bool | None], state: str) -> None:
    breaker = Breaker(THRESHOLD, PAUSE, Clock())
    for healthy in told:
        breaker.settle(admitted(breaker), healthy=healthy)
    assert breaker.state == state


@pytest.mark.parametrize(
    ("after", "wait"), [(0.0, 10), (0.5, 10), (9.0, 1), (9.9, 1), (10.0, None), (11.0, None)]
)
def test_an_open_one_says_how_long_it_stays_so(after: float, wait: int | None) -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += after
    answer = breaker.admit()
    assert answer == wait if wait is not None else isinstance(answer, Admission)


@pytest.mark.parametrize(("healthy", "state"), [(True, "closed"), (False, "opened")])
def test_the_probe_decides(healthy: bool, state: str) -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += PAUSE
    probe = admitted(breaker)
    assert probe.probe
    assert breaker.state == "half-opened"
    assert breaker.admit() == 1
    breaker.settle(probe, healthy=healthy)
    assert breaker.state == state


def test_after_a_probe_that_shows_nothing_the_next_one_is_the_probe() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += PAUSE
    breaker.settle(admitted(breaker), healthy=None)
    assert admitted(breaker).probe
    assert breaker.admit() == 1


def test_an_attempt_from_before_it_opened_has_nothing_to_say_any_more() -> None:
    clock = Clock()
    breaker = Breaker(THRESHOLD, PAUSE, clock)
    late = [admitted(breaker) for _ in range(THRESHOLD + 2)]
    for each in late[:THRESHOLD]:
        breaker.settle(each, healthy=False)
    breaker.settle(late[-1], healthy=True)
    assert breaker.state == "opened"
    clock.now += PAUSE
    probe = admitted(breaker)
    breaker.settle(late[-2], healthy=False)
    assert breaker.state == "half-opened"
    breaker.settle(probe, healthy=True)
    assert breaker.state == "closed"


def test_setting_the_time_of_day_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    breaker = Breaker(1, 0.01)
    breaker.settle(admitted(breaker), healthy=False)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 3600)
    ends = time.monotonic() + 5
    while not isinstance(breaker.admit(), Admission):
        assert time.monotonic() < ends


class Machine(RuleBasedStateMachine):
    """Any order of attempts that begin, end and wait, beside a model of what is promised."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.breaker = Breaker(THRESHOLD, PAUSE, self.clock)
        self.flying: list[tuple[Admission, str]] = []
        self.probe: Admission | None = None

    @rule()
    def begin(self) -> None:
        before = self.breaker.state
        answer = self.breaker.admit()
        if isinstance(answer, int):
            assert before != "closed"
            assert 1 <= answer <= PAUSE
            return
        assert answer.probe is (before != "closed")
        if answer.probe:
            assert self.probe is None, "two probes at a time"
            self.probe = answer
            assert self.breaker.state == "half-opened"
        else:
            self.flying.append((answer, before))

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), healthy=st.sampled_from([True, False, None]))
    def end(self, data: st.DataObject, healthy: bool | None) -> None:
        index = data.draw(st.integers(0, len(self.flying) - 1))
        admission, _ = self.flying.pop(index)
        before = self.breaker.state
        self.breaker.settle(admission, healthy=healthy)
        assert self.breaker.state in (before, "opened" if before == "closed" else before)
        if healthy is not False:
            assert self.breaker.state == before

    @precondition(lambda self: self.probe is not None)
    @rule(healthy=st.sampled_from([True, False, None]))
    def end_probe(self, healthy: bool | None) -> None:
        assert self.probe is not None
        self.breaker.settle(self.probe, healthy=healthy)
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
