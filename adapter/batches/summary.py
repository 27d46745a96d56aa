"""What the rows of a batch show together: their codes, and the time that is left."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import sqlalchemy as sa

from adapter.batches.model import OPEN, Batch, Status
from adapter.batches.refusals import FINISHED
from adapter.ledger.schema import Tables
from adapter.settings.model import AccountSettings


def count_open(batch: Batch) -> int:
    """Return how many rows have not ended."""
    return sum(batch.counts.get(status, 0) for status in OPEN)


def seconds_at_pace(batch: Batch, account: AccountSettings | None) -> float | None:
    """Return the time that the open rows take at the pace of the account; None without a pace."""
    if batch.status in FINISHED:
        return 0.0
    left = count_open(batch)
    if account is None or account.pace.per_minute is None or not left:
        return None
    return left * 60 / account.pace.per_minute


class Progress:
    """Reports the progress of one run, with an estimate of the time left.

    The estimate is the longer one of the pace's (`estimate`) and of the rate of this run: the times
    before it, in which the batch may have been paused, show nothing.
    """

    def __init__(self, show: Callable[[Batch], None], estimate: Callable[[Batch], Batch]) -> None:
        self._show, self._estimate = show, estimate
        self._first: tuple[float, int] | None = None

    def __call__(self, batch: Batch) -> None:
        """Report the batch as it is now."""
        now, left = time.monotonic(), count_open(batch)
        start, left_then = self._first = self._first or (now, left)
        estimates = [self._estimate(batch).seconds_left]
        if batch.status == Status.RUNNING and left_then > left > 0:
            estimates.append(left * (now - start) / (left_then - left))
        known = [each for each in estimates if each is not None]
        self._show(replace(batch, seconds_left=max(known, default=None)))


def count_codes(
    connection: sa.Connection, tables: Tables, batch_id: int
) -> dict[str, dict[str, int]]:
    """Return the rows that have a code, by status and code, the most frequent code first."""
    items, amount = tables.items, sa.func.count()
    query = (
        sa.select(items.c.status, items.c.code, amount)
        .where(items.c.batch_id == batch_id, items.c.code.is_not(None))
        .group_by(items.c.status, items.c.code)
        .order_by(amount.desc(), items.c.code)
    )
    counts: dict[str, dict[str, int]] = {}
    for status, code, rows in connection.execute(query):
        counts.setdefault(status, {})[code] = rows
    return counts
