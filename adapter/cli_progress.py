"""The progress of a batch on the command line, its summary, and the exit status."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

import click

from adapter.cli_output import print_line
from adapter.web.batch_documents import ITEM_STATUSES, build_batch
from adapter.wording import count_of

if TYPE_CHECKING:
    from adapter.batches import Batch

LINE_EVERY: Final = 10.0
"""Seconds between two lines of progress where there is no terminal."""

SHOWN: Final = 20
"""Maximum number of rejected rows that are listed."""

_OPEN: Final = ("pending", "leased")
_FINISHED: Final = ("done", "cancelled")


class Reporter(Protocol):
    """Shows the progress of a batch."""

    def show(self, batch: Batch) -> None: ...  # noqa: D102
    def close(self) -> None: ...  # noqa: D102


def new_reporter(as_json: bool, batch: Batch) -> Reporter:
    """Return a bar on a terminal, else lines; with `as_json`, a JSON document in each line."""
    if as_json:
        return _JsonLines()
    if sys.stderr is not None and sys.stderr.isatty():
        return _Bar(batch)
    return _Lines(batch)


class _JsonLines:
    def show(self, batch: Batch) -> None:
        print_event("progress", batch)

    def close(self) -> None:
        pass


class _Lines:
    def __init__(self, batch: Batch) -> None:
        self._rate = _Rate(batch)
        self._next = time.monotonic() + LINE_EVERY

    def show(self, batch: Batch) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + LINE_EVERY
        rows = f"{count_ended(batch)} of {count_of(batch.rows, 'row')}"
        _echo(f"batch {batch.id}: {rows}; {self._rate.describe(batch)}")

    def close(self) -> None:
        pass


class _Bar:
    def __init__(self, batch: Batch) -> None:
        self._rate = _Rate(batch)
        self._ended = 0
        self._bar: Any = click.progressbar(
            length=batch.rows,
            label=f"batch {batch.id}",
            file=sys.stderr,
            show_eta=False,
            show_pos=True,
            item_show_func=lambda text: text,
        )
        self._bar.render_progress()
        self.show(batch)

    def show(self, batch: Batch) -> None:
        ended = count_ended(batch)
        with suppress(OSError):
            self._bar.update(ended - self._ended, self._rate.describe(batch))
        self._ended = ended

    def close(self) -> None:
        with suppress(OSError):
            self._bar.render_finish()


class _Rate:
    """The rate of this run, in rows per second, and the time that is left."""

    def __init__(self, batch: Batch) -> None:
        self._start, self._ended = time.monotonic(), count_ended(batch)

    def describe(self, batch: Batch) -> str:
        elapsed = time.monotonic() - self._start
        rate = (count_ended(batch) - self._ended) / elapsed if elapsed > 0 else 0.0
        words = [f"{rate:.1f} rows/s"]
        if batch.seconds_left is not None:
            words.append(f"{describe_seconds(batch.seconds_left)} left")
        if batch.pause_code is not None:
            words.append(f"waiting: {batch.pause_code}")
        return ", ".join(words)


def count_ended(batch: Batch) -> int:
    """Return how many rows have ended."""
    return batch.rows - sum(batch.counts.get(status, 0) for status in _OPEN)


def describe_seconds(seconds: float) -> str:
    """Return a time that is left, such as `40 s`, `12 min` or `3 h 20 min`."""
    whole = round(seconds)
    if whole < 100:
        return f"{whole} s"
    minutes = round(whole / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def describe_counts(batch: Batch) -> str:
    """Return the counts of a batch, such as `10 rows: 8 done, 2 rejected`."""
    counts = [
        f"{batch.counts[status]} {status}" for status in ITEM_STATUSES if batch.counts.get(status)
    ]
    return f"{count_of(batch.rows, 'row')}: {', '.join(counts)}"


def print_event(event: str, batch: Batch, **more: Any) -> None:
    """Print one line of JSON."""
    print_line(json.dumps({"event": event, "batch": build_batch(batch), **more}))


def print_summary(batch: Batch) -> None:
    """Print what has become of a batch."""
    state = f"{batch.status}: {batch.pause_code}" if batch.pause_code else batch.status
    action = batch.action or "changes"
    print_line(f"batch {batch.id} ({action} for {batch.account}): {state}")
    print_line(f"  {describe_counts(batch)}")
    if batch.status == "paused" and batch.pause_code:
        print_line("  errors of this program paused it: see batch_failed in its log")
    for wait in batch.waits:
        moment = f"{wait.until:%Y-%m-%d %H:%M:%S} UTC"
        print_line(f"  the account {wait.account} waits: {wait.code}; next try: {moment}")


def print_rejected(rejected: Iterable[tuple[int, str, str]], amount: int) -> None:
    """Print the first rejected rows: line, code and reason, without any identifier."""
    for line, code, why in rejected:
        _echo(f"  line {line}: {code}{f': {why}' if why else ''}")
    if amount > SHOWN:
        _echo(f"  and {amount - SHOWN} more")


def exit_status(batch: Batch) -> int:
    """Return 0 where all is as wanted, else 3, 4 or 5: see the guide."""
    if batch.status not in _FINISHED:
        return 5
    if batch.counts.get("unknown"):
        return 4
    if any(batch.counts.get(status) for status in ("failed", "rejected", "cancelled")):
        return 3
    return 0


def _echo(text: str) -> None:
    with suppress(OSError):
        click.echo(text, err=True)
