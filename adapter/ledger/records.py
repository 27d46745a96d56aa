"""Record a group of events in one transaction: calls that open, calls that close, wishes, tasks."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

from adapter.ledger.contact_ids import ContactIds
from adapter.ledger.database import LedgerUnavailable
from adapter.ledger.events import CallEvent, CloseEvent, Event, Row, Task
from adapter.ledger.schema import Tables
from adapter.ledger.statements import Statements


class Recorder:
    """Records groups of events over one connection. Used by one thread at a time."""

    def __init__(self, tables: Tables, dialect: Dialect) -> None:
        self._statements = Statements(tables, dialect)
        self._contact_ids = ContactIds(tables)
        self._is_postgresql = dialect.name == "postgresql"

    def write(self, connection: sa.Connection, events: Sequence[Event]) -> None:
        """Record the events in one transaction; raises what the database raises.

        An event that cannot be recorded for a reason of its own gets its `error`.
        """
        calls = [event for event in events if isinstance(event, CallEvent)]
        closes = [event for event in events if isinstance(event, CloseEvent)]
        with connection.begin():
            if calls:
                self.open_calls(connection, calls)
            if closes:
                self.close_calls(connection, closes)
            tasks = [event for event in events if isinstance(event, Task)]
            for task in sorted(tasks, key=lambda each: each.key):
                task.result = task.function(connection, self)

    def open_calls(self, connection: sa.Connection, calls: Sequence[CallEvent]) -> None:
        """Insert the calls in their order, which is the order of the wishes."""
        amount = len(calls)
        last, erased_at = tuple(self._statements.numbers.execute(connection, amount).one())
        # A sequence may be shared, so that its numbers have gaps; they only grow.
        ids = sorted(last) if self._is_postgresql else range(last + 1, last + 1 + amount)
        self._contact_ids.notice_erasure(erased_at)
        contacts = self._contact_ids.find(
            connection, (call.contact for call in calls if not call.contact_id)
        )
        rows = []
        for call, number in zip(calls, ids, strict=True):
            call.call_id, call.superseded = number, False
            if call.contact is not None and not call.contact_id:
                call.contact_id = contacts[call.contact]
            rows.append({**call.row, "id": number, "contact_id": call.contact_id or None})
        self._statements.insert_calls.execute_for(connection, rows)
        self._write_wishes(connection, [call for call in calls if call.action.is_change])

    def _write_wishes(self, connection: sa.Connection, changes: Sequence[CallEvent]) -> None:
        if not changes:
            return
        changes = sorted(changes, key=lambda each: each.order)
        statements, missing = self._statements, 0
        for late, upsert in (
            (True, statements.upsert_late_wishes),
            (False, statements.upsert_wishes),
        ):
            newest = {_key(call): call for call in changes if call.late is late}
            if newest:
                # In one order, so that two processes do not wait for each other.
                wishes = [_wish(newest[key]) for key in sorted(newest)]
                missing += len(wishes) - upsert.execute_for(connection, wishes).rowcount
        newest = {_key(call): call for call in changes}
        for call in changes:
            call.superseded = newest[_key(call)].wanted != call.wanted
        if missing:  # there was a newer wish
            wishes = [_wish(call) for call in changes]
            found = self._statements.newer_wishes.execute_for(connection, wishes)
            older = set(found.scalars())
            for call in changes:
                call.superseded = call.superseded or call.call_id in older

    def close_calls(self, connection: sa.Connection, closes: Sequence[CloseEvent]) -> None:
        """Record the ends of the calls, and what they show about the states of contacts."""
        rows: list[Row] = []
        states: dict[tuple[str, int], Row] = {}
        for close in closes:
            opened = close.opened
            if not opened.recordable_id:
                close.error = LedgerUnavailable("the call was not recorded when it opened")
                continue
            rows.append({**close.row, "id": opened.recordable_id})
            account = opened.row["account"]
            earlier = states.get((account, opened.contact_id))
            states[account, opened.contact_id] = _merge(earlier, _state(close))
        if rows:
            self._statements.close_calls.execute_for(connection, rows)
            ordered = [states[key] for key in sorted(states)]
            self._statements.update_states.execute_for(connection, ordered)


def _key(call: CallEvent) -> tuple[str, int]:
    return call.row["account"], call.contact_id


def _wish(call: CallEvent) -> Row:
    row = call.row
    return {
        "account": row["account"],
        "contact_id": call.contact_id,
        "wanted": call.wanted,
        "intent": call.call_id,
        "wish": row["wish"],
        "reason": row["reason"],
        "ref": row["ref"],
        "wanted_by": row["key_name"],
        "via": row["via"],
        "wanted_at": row["opened_at"],
    }


def _state(close: CloseEvent) -> Row:
    return {
        "account": close.opened.row["account"],
        "contact_id": close.opened.contact_id,
        "intent": close.opened.call_id,
        "order": close.opened.order,
        "state": close.state,
        "certainty": close.certainty,
        "since": close.row["closed_at"],
        "doubt": False,
        "wanted": close.opened.wanted,
    }


def _merge(earlier: Row | None, later: Row) -> Row:
    """Return one row for two calls that end in the same group: the newest wish decides."""
    if earlier is None:
        return later
    newest, other = sorted((earlier, later), key=lambda row: -int(row["order"]))
    differs = newest["state"] is None or other["wanted"] != newest["wanted"]
    opposite = other["state"] is not None and differs
    return {**newest, "doubt": newest["doubt"] or other["doubt"] or opposite}
