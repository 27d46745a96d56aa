"""The goals of the figures, all in one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bench.figures import Goal, Ratio, ratio
from bench.ledgers import BLOCKED, HISTORY
from bench.scenarios import ScenarioResult
from bench.servers import (
    ADAPTER,
    ASYNC_BARE,
    ASYNC_EQUIVALENT,
    DIALECT,
    NAIVE,
    POOLED,
    WITH_POSTGRESQL,
    WITH_SQLITE,
    missing,
)
from bench.upstream import DELAYS


@dataclass(frozen=True)
class RateGoal:
    """The least ratio of the requests per second of two servers of a scenario."""

    scenario: str
    server: str
    peer: str
    least: float

    @property
    def what(self) -> str:
        """The goal's name in the summary."""
        return f"{self.scenario}: {self.server} / {self.peer}, requests/s"


RATES: Final = (
    RateGoal("quick", ADAPTER, NAIVE, 2.5),
    RateGoal("quick", ADAPTER, POOLED, 2.0),
    RateGoal("quick", ADAPTER, ASYNC_BARE, 0.4),
    RateGoal("quick", ADAPTER, ASYNC_EQUIVALENT, 0.7),
    RateGoal("quick", DIALECT, ADAPTER, 0.95),
    RateGoal("https", ADAPTER, ASYNC_BARE, 0.4),
    RateGoal("slow", ADAPTER, ASYNC_BARE, 0.95),
    RateGoal("medium", ADAPTER, ASYNC_BARE, 0.95),
    RateGoal("ledger", WITH_SQLITE, ADAPTER, 0.75),
    RateGoal("ledger", WITH_POSTGRESQL, ADAPTER, 0.75),
    RateGoal("ledger slow", WITH_SQLITE, ADAPTER, 0.95),
    RateGoal("ledger slow", WITH_POSTGRESQL, ADAPTER, 0.95),
)
RECORDED: Final = 0.99
"""Least ratio of the recorded calls to the good responses: forgetting reaches no rate."""

PAGE_MS: Final = 50
"""Most milliseconds of a page of the history, or of a block list, of a large ledger."""

P99_PER_UPSTREAM: Final = 2.0
"""Highest 99th percentile, in response times of the upstream, in the scenarios that wait for it."""

MEMORY_MIB: Final = 150
"""Most memory of all workers together, with 1000 calls in flight."""

PERFORM: Final = 0.4
"""Highest ratio of `perform` to a bare `Session.post`, by time per call."""

STATUS: Final = 0.4
"""Highest ratio of a status to a bare `Session.get`, by time per call."""

LOOKUP: Final = 0.8
"""Highest ratio of a lookup of 100 numbers in one request to a bare `Session.post` of them.

Beside the request, the adapter compares each number with its response.
"""

LOOKUP_IN_PARTS: Final = 1.3
"""Highest ratio of a lookup of 100 numbers, one by one, to the time of its 7 waves of 16 requests.

A wave takes the response time of the upstream, 50 ms.
"""

FLAT: Final = 1.2
"""Highest growth of a call's cost from 1 to 1000 accounts, or from 10 to 10 000 keys.

The cost is meant not to depend on either; 1.2 leaves room for caches and a shared machine.
"""

START: Final = 2.0
"""Highest ratio of a server's start with 1000 accounts to one with a single account.

A restart with a large configuration must not leave a gap in the service. The time of `create_app`
alone has no goal: it is meant to grow with the accounts, and is given for information.
"""

Seconds = Mapping[str, Sequence[float]]


def of_scenario(result: ScenarioResult) -> list[Goal]:
    """Return the goals of one scenario."""
    name = result.scenario.name
    found = [_of_rate(goal, result) for goal in RATES if goal.scenario == name]
    if DELAYS[result.scenario.upstream]:
        found += _of_waiting(result)
    if name == "slow":
        found.append(_of_memory(result))
    for server in result.recorded:
        what = f"{name}: {server}, recorded calls / good responses"
        found.append(Goal.at_least(what, RECORDED, result.recorded_share(server)))
    return found


def _of_rate(goal: RateGoal, result: ScenarioResult) -> Goal:
    for name in (goal.server, goal.peer):
        if name not in result.measurements:
            reason = missing().get(name, "not among the servers of this run")
            return Goal.not_measured(goal.what, f">= {goal.least:g}", reason)
    return Goal.at_least(goal.what, goal.least, result.ratio(goal.server, goal.peer))


def _of_waiting(result: ScenarioResult) -> list[Goal]:
    """Return the goals of many calls in flight that wait for the upstream."""
    name, errors = result.scenario.name, result.errors(ADAPTER)
    milliseconds = 1000 * DELAYS[result.scenario.upstream]
    latency = Ratio.of([each / milliseconds for each in result.p99_ms(ADAPTER)])
    return [
        Goal(f"{name}: {ADAPTER}, errors of all rounds", "0", str(errors), errors == 0),
        Goal.at_most(f"{name}: {ADAPTER}, p99 / upstream", P99_PER_UPSTREAM, latency),
    ]


def _of_memory(result: ScenarioResult) -> Goal:
    scenario, memory = result.scenario, result.memory_mib(ADAPTER)
    what = f"{scenario.name}: {ADAPTER}, MiB of all workers, the most in any round"
    wanted = f"<= {MEMORY_MIB}"
    if memory is None:
        return Goal.not_measured(what, wanted, "/proc has no memory sizes")
    return Goal(what, wanted, f"{memory:.0f}", memory <= MEMORY_MIB)


def of_perform(seconds: Seconds) -> list[Goal]:
    """Return the goal of a call without a server."""
    found = ratio(seconds["perform"], seconds["Session.post"])
    return [Goal.at_most("perform: perform / Session.post, time per call", PERFORM, found)]


def of_reads(status: Seconds, lookup: Seconds, in_parts: Seconds) -> list[Goal]:
    """Return the goals of the reads without a server."""
    return [
        Goal.at_most(f"reads: {name} / {base}, time per call", most, ratio(each[name], each[base]))
        for each, most in ((status, STATUS), (lookup, LOOKUP), (in_parts, LOOKUP_IN_PARTS))
        for base, name in [tuple(each)]
    ]


def of_pages(kind: str, seconds: Seconds) -> list[Goal]:
    """Return the goals of the pages of a large ledger, by their median; beside it, the ratio."""
    found = []
    for bare, name in (HISTORY, BLOCKED):
        milliseconds = Ratio.of([1000 * each for each in seconds[name]])
        shown = f"{milliseconds}; of a {bare}: {ratio(seconds[name], seconds[bare]).median:.0f}"
        met = milliseconds.median <= PAGE_MS
        found.append(Goal(f"pages: {kind}, {name}, ms", f"<= {PAGE_MS:g}", shown, met))
    return found


def of_growth(seconds: Seconds) -> list[Goal]:
    """Return the goals of many accounts and many keys."""
    few, *many = seconds
    return [
        Goal.at_most(f"growth: {each} / {few}, time", FLAT, ratio(seconds[each], seconds[few]))
        for each in many
    ]


def of_starts(seconds: Seconds) -> list[Goal]:
    """Return the goal of a server's start."""
    found = ratio(seconds["serve, 1000 accounts"], seconds["serve"])
    return [Goal.at_most("start: serve, 1000 accounts / serve, time", START, found)]
