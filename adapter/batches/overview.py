"""The batches of a ledger in numbers, for metrics."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import sqlalchemy as sa

from adapter.batches.model import Status
from adapter.ledger.ledger import Ledger

COUNTED: Final = (Status.PLANNED, Status.READY, Status.RUNNING, Status.PAUSED)
"""The statuses of batches that have not ended, and are stored."""


@dataclass(frozen=True, slots=True)
class Overview:
    """The batches that have not ended, by status, and until when batches of accounts wait.

    Times are in seconds since 1970; 0 for an account that does not wait now.
    """

    batches: dict[str, int]
    paused_until: dict[str, float]


def read_overview(ledger: Ledger) -> Overview:
    """Return the numbers. Raises LedgerUnavailable after the ledger's `wait`."""
    batches, lanes = ledger.tables.batches, ledger.tables.lanes

    def read(connection: sa.Connection) -> Overview:
        unfinished = batches.c.finished_at.is_(None)
        query = sa.select(batches.c.status, sa.func.count()).where(unfinished)
        counts = dict(map(tuple, connection.execute(query.group_by(batches.c.status)).all()))
        now = datetime.now(UTC)
        waits = {
            row.account: row.paused_until.timestamp()
            if row.paused_until is not None and row.paused_until > now
            else 0.0
            for row in connection.execute(sa.select(lanes.c.account, lanes.c.paused_until))
        }
        return Overview({status.value: counts.get(status.value, 0) for status in COUNTED}, waits)

    return ledger.ask_soon(read)
