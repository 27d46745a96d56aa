"""Figures of rounds: medians, ratios, goals, tables. Needs only the standard library."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Ratio:
    """A ratio in several rounds: the median, the lowest and the highest."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Ratio:
        """Return the median and the range of one value per round."""
        return cls(statistics.median(values), min(values), max(values))

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.least:.2f} to {self.most:.2f})"


def ratio(values: Sequence[float], base: Sequence[float]) -> Ratio:
    """Return `values` divided by `base`, round by round.

    A slow minute of the machine then slows both sides of a ratio. Raises ValueError for different
    numbers of rounds, ZeroDivisionError for a base of 0.
    """
    return Ratio.of([value / other for value, other in zip(values, base, strict=True)])


@dataclass(frozen=True)
class Goal:
    """A goal with the figure that was measured. `met` is None where nothing was measured."""

    what: str
    wanted: str
    found: str
    met: bool | None

    @classmethod
    def at_least(cls, what: str, wanted: float, found: Ratio) -> Goal:
        """Return a goal that is met by a median of `wanted` or more."""
        return cls(what, f">= {wanted:g}", str(found), found.median >= wanted)

    @classmethod
    def at_most(cls, what: str, wanted: float, found: Ratio) -> Goal:
        """Return a goal that is met by a median of `wanted` or less."""
        return cls(what, f"<= {wanted:g}", str(found), found.median <= wanted)

    @classmethod
    def not_measured(cls, what: str, wanted: str, reason: str) -> Goal:
        """Return a goal without a figure, and the reason in its place."""
        return cls(what, wanted, reason, None)

    @property
    def verdict(self) -> str:
        """The first column of the summary."""
        return {True: "met", False: "NOT MET", None: "NOT MEASURED"}[self.met]


@dataclass(frozen=True)
class Report:
    """The result of one part of the benchmark: as a table, as JSON, and its goals."""

    title: str
    table: str
    document: dict[str, Any]
    goals: Sequence[Goal] = ()


def report_seconds(
    name: str, title: str, seconds: Mapping[str, Sequence[float]], goals: Sequence[Goal]
) -> Report:
    """Return the report of alternating processes, each with its ratio to the first one."""
    base = next(iter(seconds))
    rows = [
        [process, number(1000 * statistics.median(each), 3), str(ratio(each, seconds[base]))]
        for process, each in seconds.items()
    ]
    headings = ("", "ms", f"/ {base} (least to most)")
    return Report(
        f"{name}: {title}; medians of {len(seconds[base])} rounds",
        table(headings, rows),
        {"name": name, "title": title, "seconds": seconds},
        goals,
    )


def summary(goals: Sequence[Goal]) -> str:
    """Return one line per goal, and a last line with the counts."""
    rows = [[goal.verdict, goal.what, goal.wanted, goal.found] for goal in goals]
    headings = ("goal", "what", "wanted", "median (least to most)")
    counts = {verdict: [goal.verdict for goal in goals].count(verdict) for verdict in _VERDICTS}
    line = ", ".join(f"{count} {verdict.lower()}" for verdict, count in counts.items())
    return f"{table(headings, rows, left=4)}\n\ngoals: {line}"


_VERDICTS = ("met", "NOT MET", "NOT MEASURED")


def number(value: float | None, digits: int = 1) -> str:
    """Return a figure for a table, or a dash for None."""
    return "-" if value is None else f"{value:.{digits}f}"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """Return a table for a terminal: the first `left` columns flush left, the others right."""
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        padded = (
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "  ".join(padded).rstrip()

    rule = "  ".join("-" * width for width in widths)
    return "\n".join([line(headings), rule, *map(line, rows)])
