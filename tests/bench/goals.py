"""What the figures have to be, all in one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from bench.figures import Goal, ratio
from bench.rounds import Played
from bench.upstream import DELAYS

RATES: Final = (
    # scenario, ours, theirs, at least so many times as many requests per second
    ("quick", "ours", "naive", 2.5),
    ("quick", "ours", "pooled", 2.0),
    ("quick", "ours, dialect", "ours", 0.9),
    ("https", "ours", "naive", 30),
    ("slow", "ours", "async", 0.75),
    ("slow", "ours", "naive", 8),
)
P99_PER_UPSTREAM: Final = 3
MEMORY_MIB: Final = 250
TAX: Final = 1.0
FLAT: Final = 1.2
"""What a cost per call may grow by and still be called flat, on a shared machine."""
START: Final = 2.0

Seconds = Mapping[str, Sequence[float]]


def of_scenario(played: Played) -> list[Goal]:
    """Return what one scenario had to show."""
    name = played.scenario.name
    found = [
        Goal.at_least(f"{name}: {ours} / {theirs}, requests/s", least, played.ratio(ours, theirs))
        for scenario, ours, theirs, least in RATES
        if scenario == name and {ours, theirs} <= played.turns.keys()
    ]
    if name == "slow":
        found += _of_a_thousand(played)
    return found


def _of_a_thousand(played: Played) -> list[Goal]:
    """Return what is asked of ours with a thousand calls in flight."""
    errors, memory = played.errors("ours"), played.memory_mib("ours")
    times = played.p99_ms("ours") / (1000 * DELAYS[played.scenario.upstream])
    found = [
        Goal("slow: ours, errors of all rounds", "0", str(errors), errors == 0),
        Goal(
            "slow: ours, p99 / upstream",
            f"<= {P99_PER_UPSTREAM}",
            f"{times:.2f}",
            times <= P99_PER_UPSTREAM,
        ),
    ]
    if memory is not None:
        what = "slow: ours, MiB of all workers, the most in any round"
        found.append(Goal(what, f"<= {MEMORY_MIB}", f"{memory:.0f}", memory <= MEMORY_MIB))
    return found


def of_tax(seconds: Seconds) -> list[Goal]:
    """Return what `perform` had to show."""
    found = ratio(seconds["perform"], seconds["Session.post"])
    return [Goal.at_most("tax: perform / Session.post, time per call", TAX, found)]


def of_growth(seconds: Seconds) -> list[Goal]:
    """Return what many accounts and many keys had to show."""
    few, *many = seconds
    return [
        Goal.at_most(f"growth: {each} / {few}, time", FLAT, ratio(seconds[each], seconds[few]))
        for each in many
    ]


def of_creation(seconds: Seconds) -> list[Goal]:
    """Return what making the app had to show."""
    found = ratio(seconds["1000 accounts"], seconds["1 account"])
    return [Goal.at_most("create: 1000 accounts / 1 account, time", START, found)]


def of_starts(seconds: Seconds) -> list[Goal]:
    """Return what starting had to show."""
    found = ratio(seconds["serve, 1000 accounts"], seconds["serve"])
    return [Goal.at_most("start: serve, 1000 accounts / serve, time", START, found)]
