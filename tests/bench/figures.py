"""From rounds to figures: medians, ratios, tables. This file needs only the standard library."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Ratio:
    """How two sides compare that took turns: the median of the rounds' ratios, and their range."""

    median: float
    least: float
    most: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.least:.2f} to {self.most:.2f})"


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Ratio:
    """Compare round by round, so that a slow minute of the machine slows both sides of a ratio.

    Raises ValueError where the rounds are not as many, ZeroDivisionError where one had nothing.
    """
    each = [a / b for a, b in zip(ours, theirs, strict=True)]
    return Ratio(statistics.median(each), min(each), max(each))


@dataclass(frozen=True)
class Goal:
    """A figure that was asked for. `reached` is None for one that is given for information."""

    what: str
    wanted: str
    found: str
    reached: bool | None

    @classmethod
    def at_least(cls, what: str, wanted: float, found: Ratio) -> Goal:
        """Return a goal that a higher ratio reaches."""
        return cls(what, f">= {wanted:g}", str(found), found.median >= wanted)

    @classmethod
    def at_most(cls, what: str, wanted: float, found: Ratio) -> Goal:
        """Return a goal that a lower ratio reaches."""
        return cls(what, f"<= {wanted:g}", str(found), found.median <= wanted)

    @property
    def verdict(self) -> str:
        """Return the goal's last column."""
        return {True: "yes", False: "NO", None: ""}[self.reached]


@dataclass(frozen=True)
class Report:
    """What one part of the benchmark found: for people, for JSON, and against what was asked."""

    title: str
    table: str
    document: dict[str, Any]
    goals: Sequence[Goal] = ()


def report_seconds(
    name: str, title: str, seconds: Mapping[str, Sequence[float]], goals: Sequence[Goal]
) -> Report:
    """Return the report of sides that took turns, each beside the first one."""
    base = next(iter(seconds))
    rows = [
        [side, number(1000 * statistics.median(each), 3), str(ratio(each, seconds[base]))]
        for side, each in seconds.items()
    ]
    headings = ("", "ms", f"it / {base} (least to most)")
    return Report(
        f"{name}: {title}; medians of {len(seconds[base])} rounds",
        table(headings, rows),
        {"name": name, "title": title, "seconds": seconds},
        goals,
    )


def number(value: float | None, digits: int = 1) -> str:
    """Return a figure for a table, or a dash where there is none."""
    return "-" if value is None else f"{value:.{digits}f}"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table for a terminal: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        first, *rest = (
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "  ".join((first, *rest)).rstrip()

    rule = "  ".join("-" * width for width in widths)
    return "\n".join([line(headings), rule, *map(line, rows)])
