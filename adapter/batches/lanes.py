"""The lane of an account: how many rows of batches run there at the same time, and how fast.

One row per account, which is locked while rows are claimed: so the limits hold in all processes
together. Each process holds some of the slots of `max_in_flight`; a process that is gone loses
them when its lease ends.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from adapter.ledger.contact_ids import insert_for
from adapter.ledger.schema import Tables
from adapter.settings.model import PaceSettings

FIRST_PAUSE, LONGEST_PAUSE = 5.0, 60.0
"""Seconds of a lane's pauses, which double each time until a row succeeds."""

PROBE_MARGIN: Final = 0.2
"""Part of the first pause that a row waits beyond its lane's: another row is tried first."""

CATCH_UP: Final = timedelta(seconds=1)
"""How long a lane may be behind its pace, and catch up."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Why a lane pauses: the code of a result, and the seconds that the provider has asked for."""

    code: str
    seconds: float | None = None


@dataclass(slots=True)
class Lane:
    """The row of a lane, in its transaction; `holders` are the slots of each process."""

    account: str
    now: datetime
    next_at: datetime | None = None
    paused_until: datetime | None = None
    pause_code: str | None = None
    pauses: int = 0
    holders: dict[str, tuple[int, float]] = field(default_factory=dict)

    @property
    def is_paused(self) -> bool:
        """Whether no row may begin now."""
        return self.paused_until is not None and self.paused_until > self.now

    def record_success(self) -> None:
        """Let the next pause be short again: the provider has responded about a row."""
        if self.pauses and not self.is_paused:
            self.pauses = 0
            self.pause_code = self.paused_until = None

    def pause(self, pause: Pause) -> None:
        """Pause the lane; several failures of rows at the same time are one pause."""
        if self.is_paused and (pause.seconds is None or self.pause_code != pause.code):
            return
        if pause.seconds is not None:
            until = self.now + timedelta(seconds=pause.seconds)
            if not self.is_paused or until > (self.paused_until or until):
                self.paused_until = until
        else:
            seconds = min(FIRST_PAUSE * 2 ** min(self.pauses, 10), LONGEST_PAUSE)
            self.pauses += 1
            self.paused_until = self.now + timedelta(seconds=seconds)
        self.pause_code = pause.code

    def after_pause(self) -> datetime:
        """Return when a row that has paused the lane may be tried again."""
        margin = timedelta(seconds=FIRST_PAUSE * PROBE_MARGIN)
        return (self.paused_until or self.now) + margin

    def take_slots(self, owner: str, running: int, pace: PaceSettings, lease: float) -> int:
        """Return how many rows the process may run now; `running` are its rows that have begun.

        Rows beyond them go on, and hold their slots until they end. After a pause one row alone is
        tried, in all processes together, until the provider responds about one.
        """
        now = self.now.timestamp()
        self.holders = {
            name: held for name, held in self.holders.items() if name != owner and held[1] > now
        }
        others = sum(slots for slots, _ in self.holders.values())
        share = max(1, pace.max_in_flight // (len(self.holders) + 1))
        most = min(share, pace.max_in_flight - others)
        if self.pauses:
            most = 0 if others else 1
        mine = max(0, most)
        self.holders[owner] = (max(running, mine), now + lease)
        return mine

    def release(self, owner: str) -> None:
        """Release the slots of a process."""
        self.holders.pop(owner, None)

    def count_tokens(self, pace: PaceSettings) -> tuple[int | None, datetime | None]:
        """Return how many rows may begin now, None for any number, and else when the next may."""
        if pace.per_minute is None:
            return None, None
        interval = timedelta(minutes=1) / pace.per_minute
        base = self.next_at or self.now
        if base > self.now:
            return 0, base
        base = max(base, self.now - max(CATCH_UP, interval))
        self.next_at = base
        return int((self.now - base) / interval) + 1, None

    def spend(self, tokens: int, pace: PaceSettings) -> None:
        """Record that as many rows begin."""
        if pace.per_minute is not None and tokens:
            interval = timedelta(minutes=1) / pace.per_minute
            self.next_at = (self.next_at or self.now) + interval * tokens


def lock_lane(connection: sa.Connection, tables: Tables, account: str) -> Lane:
    """Return the lane of the account, locked until the end of the transaction."""
    table, now = tables.lanes, datetime.now(UTC)
    query = sa.select(table).where(table.c.account == account).with_for_update()
    row = connection.execute(query).one_or_none()
    if row is None:
        insert = insert_for(connection)(table).on_conflict_do_nothing()
        connection.execute(insert, {"account": account, "pauses": 0})
        row = connection.execute(query).one()
    holders = {name: (int(slots), until) for name, (slots, until) in _read(row.holders).items()}
    return Lane(account, now, row.next_at, row.paused_until, row.pause_code, row.pauses, holders)


def save_lane(connection: sa.Connection, tables: Tables, lane: Lane) -> None:
    """Store the lane."""
    table = tables.lanes
    values: dict[str, Any] = {
        "next_at": lane.next_at,
        "paused_until": lane.paused_until,
        "pause_code": lane.pause_code,
        "pauses": lane.pauses,
        "holders": json.dumps(lane.holders) if lane.holders else None,
    }
    connection.execute(sa.update(table).where(table.c.account == lane.account).values(**values))


def _read(text: str | None) -> dict[str, list[Any]]:
    return json.loads(text) if text else {}
