"""The statements for a group of events. Their number does not depend on the number of events."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect

from adapter.ledger.events import Row
from adapter.ledger.schema import Events, Tables, UtcTime

RESULT_COLUMNS: Final = (
    *("closed_at", "provider", "code", "outcome", "confirmation", "verified", "verified_reason"),
    *("upstream_status", "upstream_code", "attempts", "reads", "duration_ms"),
)
"""The columns of a call that are known once it ends."""


PLAN_BY_INDEX: Final = "SET enable_seqscan = off; SET jit = off"
"""The settings of a writer's connection to PostgreSQL.

A prepared statement keeps its plan until the table is analyzed, which for a new table may be
minutes later: each group of events would read the whole table. A scan that cannot be avoided has
such a cost that it would be compiled.
https://www.postgresql.org/docs/15/sql-prepare.html, 2026-11-26
"""

_KEEP_ROWCOUNT: Final = {"preserve_rowcount": True}


def _constant(text: str) -> sa.ColumnElement[str]:
    """Return a text of ours as part of the statement, which has one parameter alone."""
    return sa.literal_column(f"'{text}'", sa.String())


def _order(block: Any) -> sa.ColumnElement[int]:
    """Return a wish's place in the order of wishes."""
    order: sa.ColumnElement[int] = sa.func.coalesce(block.wish, block.intent)
    return order


def by_index(dialect: str, column: sa.Column[Any]) -> sa.ColumnElement[bool]:
    """Return a condition that is true for the rows of the events, and needs an index."""
    if dialect != "postgresql":
        return sa.true()  # SQLite has no other join
    events = Events(dialect, **{column.name: column.type})
    values = sa.select(events.c[column.name]).select_from(events.table).correlate(None)
    return column == sa.any_(sa.func.array(values.scalar_subquery()))


class Statement:
    """A statement with one parameter or none, as SQL text: SQLAlchemy's own cache costs more."""

    def __init__(self, statement: sa.ClauseElement, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        self._text = str(compiled)
        self._names = tuple(compiled.params)
        self._is_positional = dialect.positional

    def execute(self, connection: sa.Connection, value: object) -> sa.CursorResult[Any]:
        """Execute the statement, whose result has a `rowcount`."""
        given: Any = dict.fromkeys(self._names, value)
        if self._is_positional:
            given = tuple(given.values())
        return connection.exec_driver_sql(self._text, given, _KEEP_ROWCOUNT)

    def execute_for(self, connection: sa.Connection, rows: Sequence[Row]) -> sa.CursorResult[Any]:
        """Execute the statement for these events."""
        return self.execute(connection, json.dumps(rows))


def newer_wishes(tables: Tables, dialect: Dialect) -> Statement:
    """Return what selects the intents of the events whose contacts have a newer, opposite wish."""
    blocks = tables.blocks
    names = ("account", "contact_id", "wanted", "intent")
    events = Events(dialect.name, **{name: blocks.c[name].type for name in names})
    e = events.c
    query = (
        sa.select(e["intent"])
        .select_from(events.table, blocks)
        .where(blocks.c.account == e["account"], blocks.c.contact_id == e["contact_id"])
        .where(blocks.c.intent != e["intent"], blocks.c.wanted != e["wanted"])
        .where(by_index(dialect.name, blocks.c.contact_id))
    )
    return Statement(query, dialect)


class Statements:
    """The statements for a group of events, each made once for a dialect.

    Writers in PostgreSQL find rows by index, whatever the planner believes of a table that was
    empty when the statement was prepared: see `PLAN_BY_INDEX`.
    """

    def __init__(self, tables: Tables, dialect: Dialect) -> None:
        self._tables, self._dialect = tables, dialect.name
        self.numbers = Statement(self._numbers(), dialect)
        self.insert_calls = Statement(self._insert_calls(), dialect)
        self.upsert_wishes = Statement(self._upsert_wishes(), dialect)
        self.upsert_late_wishes = Statement(self._upsert_wishes(late=True), dialect)
        self.close_calls = Statement(self._close_calls(), dialect)
        self.update_states = Statement(self._update_states(), dialect)
        self.newer_wishes = newer_wishes(tables, dialect)

    def _events(self, table: sa.Table, *names: str, **more: Any) -> Events:
        return Events(self._dialect, **{name: table.c[name].type for name in names}, **more)

    def _numbers(self) -> sa.ClauseElement:
        """Return the next ids of calls, `amount` of them, and the time of the last erasure.

        The row of `facts` is locked against an erasure until the transaction ends.
        SQLite's writer holds the only lock: it takes the numbers after the last one.
        """
        tables = self._tables
        facts = tables.facts
        if self._dialect == "postgresql":
            name = _constant(tables.calls.name)
            sequence = sa.func.pg_get_serial_sequence(name, _constant("id"))
            one: sa.ColumnElement[int]
            one, amount = sa.literal_column("1"), sa.bindparam("amount", type_=sa.Integer)
            series = sa.func.generate_series(one, amount)
            ids = sa.select(sa.func.nextval(sequence).label("id")).select_from(series).subquery()
            numbers = sa.select(sa.func.array_agg(ids.c.id)).scalar_subquery()
            locked = sa.select(numbers, facts.c.erased_at)
            return locked.with_for_update(key_share=True, read=True, of=facts)
        sequences = sa.table("sqlite_sequence", sa.column("name"), sa.column("seq"))
        last = sa.select(sequences.c.seq).where(sequences.c.name == _constant(tables.calls.name))
        zero: sa.ColumnElement[int] = sa.literal_column("0")
        return sa.select(sa.func.coalesce(last.scalar_subquery(), zero), facts.c.erased_at)

    def _insert_calls(self) -> sa.ClauseElement:
        calls = self._tables.calls
        names = [column.name for column in calls.c]
        events = self._events(calls, *names)
        selected = sa.select(*(events.c[name] for name in names)).select_from(events.table)
        return sa.insert(calls).from_select(names, selected)

    def _upsert_wishes(self, *, late: bool = False) -> sa.ClauseElement:
        """Return the insert of wishes, each unless there is a newer one.

        A `late` one got its number only after its call had gone on without it: its time decides.
        """
        blocks = self._tables.blocks
        names: tuple[str, ...] = ("account", "contact_id", "wanted", "intent", "reason", "ref")
        names += ("wanted_by", "via", "wanted_at", "wish")
        events = self._events(blocks, *names)
        selected = sa.select(
            *(events.c[name] for name in names), _constant("unknown"), _constant("none")
        ).select_from(events.table)
        insert: Any = postgresql.insert if self._dialect == "postgresql" else sqlite.insert
        statement = insert(blocks).from_select(
            # SQLite needs the WHERE, else ON is read as part of a join.
            [*names, "state", "certainty"],
            selected.where(sa.true()),
        )
        # An older wish of a batch may repeat a newer one: its call is newer, its place is not.
        given = statement.excluded
        stored, new = _order(blocks.c), _order(given)
        changed = {name: given[name] for name in names[2:]}
        changed["wish"] = sa.case((stored > new, stored), else_=given.wish)
        repeats = sa.and_(blocks.c.wanted == given.wanted, blocks.c.intent < given.intent)
        return statement.on_conflict_do_update(  # type: ignore[no-any-return]
            index_elements=["account", "contact_id"],
            set_=changed,
            where=sa.and_(
                sa.or_(stored < new, repeats),
                blocks.c.wanted_at < given.wanted_at if late else sa.true(),
            ),
        )

    def _close_calls(self) -> sa.ClauseElement:
        calls = self._tables.calls
        events = self._events(calls, "id", *RESULT_COLUMNS)
        changed: dict[str, Any] = {name: events.c[name] for name in RESULT_COLUMNS}
        # Of a call whose process was killed, that of the requested account stays.
        changed["provider"] = sa.func.coalesce(events.c["provider"], calls.c.provider)
        return (
            sa.update(calls)
            .values(changed)
            .where(calls.c.id == events.c["id"], by_index(self._dialect, calls.c.id))
        )

    def _update_states(self) -> sa.ClauseElement:
        """Return the update of `blocks` by the calls that end.

        The newest wish decides, where it is known whether it took effect; where not, a state that
        was as wanted already stays. An older one that may have changed it decides nothing;
        but until the newest one has, the state is unknown.
        """
        blocks = self._tables.blocks
        events = self._events(
            blocks,
            *("account", "contact_id", "intent", "state", "certainty"),
            since=UtcTime(),
            doubt=sa.Boolean(),
            wanted=sa.String(),
        )
        e = events.c
        newest = blocks.c.intent == e["intent"]
        stays = sa.and_(e["state"] == _constant("unknown"), blocks.c.state == e["wanted"])
        decides = sa.and_(newest, e["state"].is_not(None), ~stays)
        possible = sa.case((e["state"] == _constant("unknown"), e["wanted"]), else_=e["state"])
        opposite = sa.and_(~newest, possible != blocks.c.state)
        open_still = sa.or_(blocks.c.call_id.is_(None), blocks.c.call_id != blocks.c.intent)
        doubtful = sa.and_(open_still, sa.or_(e["doubt"], opposite))
        state = sa.case((decides, e["state"]), else_=_constant("unknown"))
        read_back = sa.and_(decides, e["certainty"] == _constant("read_back"))
        return (
            sa.update(blocks)
            .values(
                state=state,
                certainty=sa.case((decides, e["certainty"]), else_=_constant("none")),
                since=sa.case((blocks.c.state == state, blocks.c.since), else_=e["since"]),
                verified_at=sa.case((read_back, e["since"]), else_=blocks.c.verified_at),
                call_id=e["intent"],
            )
            .where(blocks.c.account == e["account"], blocks.c.contact_id == e["contact_id"])
            .where(by_index(self._dialect, blocks.c.contact_id))
            .where(sa.or_(decides, doubtful))
        )
