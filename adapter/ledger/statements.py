"""The statements for a group of events. Their number does not depend on the number of events."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from adapter.ledger.events import Row
from adapter.ledger.schema import Events, Tables, UtcTime

RESULT_COLUMNS: Final = (
    *("closed_at", "code", "outcome", "confirmation", "verified", "verified_reason"),
    *("upstream_status", "upstream_code", "attempts", "reads", "duration_ms"),
)
"""The columns of a call that are known once it ends."""


def as_json(rows: Sequence[Row]) -> dict[str, str]:
    """Return the parameters of a statement for these events."""
    return {"events": json.dumps(rows)}


class Statements:
    """The statements for a group of events, each made once for a dialect."""

    def __init__(self, tables: Tables, dialect: str) -> None:
        self._tables, self._dialect = tables, dialect
        self.numbers = self._numbers()
        self.insert_calls = self._insert_calls()
        self.upsert_wishes = self._upsert_wishes()
        self.close_calls = self._close_calls()
        self.update_states = self._update_states()
        self.newer_wishes = self._newer_wishes()

    def _events(self, table: sa.Table, *names: str, **more: Any) -> Events:
        return Events(self._dialect, **{name: table.c[name].type for name in names}, **more)

    def _numbers(self) -> sa.Executable:
        """Return the next ids of calls, `amount` of them, and the time of the last erasure.

        SQLite's writer holds the only lock: it takes the numbers after the last one.
        """
        tables = self._tables
        erased_at = sa.select(tables.facts.c.erased_at).scalar_subquery()
        if self._dialect == "postgresql":
            name = sa.literal(tables.calls.name)
            sequence = sa.func.pg_get_serial_sequence(name, "id")
            series = sa.func.generate_series(1, sa.bindparam("amount", type_=sa.Integer))
            ids = sa.select(sa.func.nextval(sequence).label("id")).select_from(series).subquery()
            return sa.select(sa.func.array_agg(ids.c.id), erased_at)
        sequences = sa.table("sqlite_sequence", sa.column("name"), sa.column("seq"))
        last = sa.select(sequences.c.seq).where(sequences.c.name == tables.calls.name)
        return sa.select(sa.func.coalesce(last.scalar_subquery(), 0), erased_at)

    def _insert_calls(self) -> sa.Executable:
        calls = self._tables.calls
        names = [column.name for column in calls.c]
        events = self._events(calls, *names)
        selected = sa.select(*(events.c[name] for name in names)).select_from(events.table)
        return sa.insert(calls).from_select(names, selected)

    def _upsert_wishes(self) -> sa.Executable:
        blocks = self._tables.blocks
        names: tuple[str, ...] = ("account", "contact_id", "wanted", "intent", "reason", "ref")
        names += ("wanted_by", "via", "wanted_at")
        events = self._events(blocks, *names)
        selected = sa.select(
            *(events.c[name] for name in names), sa.literal("unknown"), sa.literal("none")
        ).select_from(events.table)
        insert: Any = postgresql.insert if self._dialect == "postgresql" else sqlite.insert
        statement = insert(blocks).from_select(
            # SQLite needs the WHERE, else ON is read as part of a join.
            [*names, "state", "certainty"],
            selected.where(sa.true()),
        )
        statement = statement.on_conflict_do_update(
            index_elements=["account", "contact_id"],
            set_={name: statement.excluded[name] for name in names[2:]},
            where=blocks.c.intent < statement.excluded.intent,
        )
        return statement.execution_options(preserve_rowcount=True)  # type: ignore[no-any-return]

    def _newer_wishes(self) -> sa.Executable:
        """Return the intents among the events that are older than an opposite wish."""
        blocks = self._tables.blocks
        events = self._events(blocks, "account", "contact_id", "wanted", "intent")
        e = events.c
        return (
            sa.select(e["intent"])
            .select_from(events.table, blocks)
            .where(blocks.c.account == e["account"], blocks.c.contact_id == e["contact_id"])
            .where(blocks.c.intent > e["intent"], blocks.c.wanted != e["wanted"])
        )

    def _close_calls(self) -> sa.Executable:
        calls = self._tables.calls
        events = self._events(calls, "id", *RESULT_COLUMNS)
        changed = {name: events.c[name] for name in RESULT_COLUMNS}
        return sa.update(calls).values(changed).where(calls.c.id == events.c["id"])

    def _update_states(self) -> sa.Executable:
        """Return the update of `blocks` by the calls that end.

        The newest wish decides, where it is known whether it took effect. An older one that may
        have taken effect decides nothing; but until the newest one has, the state is unknown.
        """
        blocks = self._tables.blocks
        events = self._events(
            blocks,
            *("account", "contact_id", "intent", "state", "certainty"),
            since=UtcTime(),
            doubt=sa.Boolean(),
        )
        e = events.c
        newest = blocks.c.intent == e["intent"]
        decides = sa.and_(newest, e["state"].is_not(None))
        open_still = sa.or_(blocks.c.call_id.is_(None), blocks.c.call_id != blocks.c.intent)
        doubtful = sa.and_(
            open_still, sa.or_(e["doubt"], sa.and_(~newest, e["state"].is_not(None)))
        )
        state = sa.case((decides, e["state"]), else_="unknown")
        read_back = sa.and_(decides, e["certainty"] == "read_back")
        return (
            sa.update(blocks)
            .values(
                state=state,
                certainty=sa.case((decides, e["certainty"]), else_="none"),
                since=sa.case((blocks.c.state == state, blocks.c.since), else_=e["since"]),
                verified_at=sa.case((read_back, e["since"]), else_=blocks.c.verified_at),
                call_id=e["intent"],
            )
            .where(blocks.c.account == e["account"], blocks.c.contact_id == e["contact_id"])
            .where(sa.or_(decides, doubtful))
        )
