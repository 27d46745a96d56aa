"""Keep the ledger small and private: old rows are deleted in small steps, persons are erased."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

import sqlalchemy as sa

from adapter.codes import Applied, Code
from adapter.contacts import Contact
from adapter.ledger.contact_ids import find_contacts
from adapter.ledger.schema import Tables, utc_text
from adapter.ledger.statements import Statements

STEP: Final = 1000
"""Rows of one transaction."""

KEEP_BATCHES: Final = timedelta(days=30)
"""How long a batch and its rows are kept after its end; one that waits, after its last call."""

STEP_MARGIN: Final = timedelta(minutes=1)
"""Time by which a batch is old that is deleted in several steps: the clock may be set back."""

KEEP_STAGING: Final = timedelta(days=1)
"""How long the rows of a batch may take to be stored."""

GRACE: Final = timedelta(seconds=10)
"""Time after the deadline of a call until it is closed: it may only be late."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """The rows of a clean-up.

    Calls closed as unknown, calls and keys deleted, contacts erased, and rows of batches and the
    batches deleted.
    """

    closed: int = 0
    calls: int = 0
    keys: int = 0
    contacts: int = 0
    items: int = 0
    batches: int = 0

    def __add__(self, other: Self) -> Self:
        return type(self)(
            *(getattr(self, each.name) + getattr(other, each.name) for each in fields(self))
        )

    @property
    def is_full(self) -> bool:
        """Whether a step has reached its limit, so that there may be more to do."""
        return self.batches > 0 or max(self.closed, self.calls, self.keys, self.items) >= STEP


def sweep_step(
    connection: sa.Connection, tables: Tables, statements: Statements, keep_calls: float
) -> Sweep:
    """Do one step of the clean-up; `keep_calls` is in seconds.

    In PostgreSQL, rows that another process deletes at the same time are skipped.
    """
    now = datetime.now(UTC)
    closed = close_overdue(connection, tables, statements, now)
    keys = _delete_keys(connection, tables, now)
    calls, contacts = _delete_calls(connection, tables, now - timedelta(seconds=keep_calls))
    batch = _delete_batch(connection, tables, now)
    return Sweep(closed, calls, keys, contacts) + batch


def close_overdue(
    connection: sa.Connection, tables: Tables, statements: Statements, now: datetime
) -> int:
    """Close the calls that are open after their deadline, with an unknown outcome.

    Their process was killed, or the ledger was gone when they ended.
    """
    calls = tables.calls
    overdue = connection.execute(
        sa.select(calls.c.id, calls.c.account, calls.c.contact_id, calls.c.action)
        .where(calls.c.closed_at.is_(None), calls.c.deadline_at < now - GRACE)
        .order_by(calls.c.deadline_at)
        .limit(STEP)
        .with_for_update(skip_locked=True)
    ).all()
    if not overdue:
        return 0
    closed_at = utc_text(now)
    code, outcome = Code.INTERNAL_ERROR.value, Applied.UNKNOWN.value
    rows = [
        {"id": row.id, "closed_at": closed_at, "code": code, "outcome": outcome} for row in overdue
    ]
    statements.close_calls.execute_for(connection, rows)
    newest = {(row.account, row.contact_id): row for row in sorted(overdue, key=lambda r: r.id)}
    states = [
        {
            "account": account,
            "contact_id": contact_id,
            "intent": newest[account, contact_id].id,
            "state": "unknown",
            "certainty": "none",
            "since": closed_at,
            "doubt": False,
            "wanted": f"{newest[account, contact_id].action}ed",
        }
        for account, contact_id in sorted(newest)
    ]
    statements.update_states.execute_for(connection, states)
    return len(overdue)


def _delete_keys(connection: sa.Connection, tables: Tables, now: datetime) -> int:
    table = tables.idempotency
    expired = (
        sa.select(table.c.scope)
        .where(table.c.expires_at < now)
        .limit(STEP)
        .with_for_update(skip_locked=True)
    )
    done = connection.execute(sa.delete(table).where(table.c.scope.in_(expired.scalar_subquery())))
    return done.rowcount


def _delete_calls(connection: sa.Connection, tables: Tables, before: datetime) -> tuple[int, int]:
    """Delete the oldest calls; erase contacts of which nothing else is kept."""
    calls = tables.calls
    oldest = connection.execute(
        sa.select(calls.c.id, calls.c.contact_id, calls.c.opened_at)
        .order_by(calls.c.id)
        .limit(STEP)
        .with_for_update(skip_locked=True)
    ).all()
    old = [row for row in oldest if row.opened_at < before]
    if old:
        connection.execute(sa.delete(calls).where(calls.c.id.in_([row.id for row in old])))
    found = {row.contact_id for row in old if row.contact_id is not None}
    found |= _delete_unblocked(connection, tables, before)
    return len(old), _erase_unused(connection, tables, sorted(found))


def _delete_batch(connection: sa.Connection, tables: Tables, now: datetime) -> Sweep:
    """Delete some rows of an old batch, and the batch with its last ones; erase its contacts.

    Old are those that ended `KEEP_BATCHES` ago, those that wait (see `_waits_since`), and those
    whose rows were never stored whole.
    """
    batches, items, contacts = tables.batches, tables.items, tables.contacts
    begun = sa.and_(batches.c.status == "staging", batches.c.created_at < now - KEEP_STAGING)
    kept_since = now - KEEP_BATCHES
    waits = _waits_since(tables, kept_since)
    old = sa.or_(batches.c.finished_at < kept_since, waits, begun)
    query = sa.select(batches.c.id).where(old).order_by(batches.c.id).limit(1)
    batch_id = connection.execute(query.with_for_update(skip_locked=True)).scalar()
    if batch_id is None:
        return Sweep()
    own = items.c.batch_id == batch_id
    rows = connection.execute(
        sa.select(items.c.row, items.c.contact_id, items.c.given_id)
        .where(own)
        .order_by(items.c.row)
        .limit(STEP)
    ).all()
    if rows:
        last = items.c.row <= rows[-1].row
        connection.execute(sa.delete(items).where(own, last))
        given = [row.given_id for row in rows if row.given_id is not None]
        connection.execute(sa.delete(contacts).where(contacts.c.id.in_(given)))
    is_last = len(rows) < STEP
    if is_last:
        connection.execute(sa.delete(batches).where(batches.c.id == batch_id))
    else:  # what is left of it is not started, or applied, between two steps
        unfinished = sa.and_(batches.c.id == batch_id, batches.c.finished_at.is_(None))
        ended = {"status": "cancelled", "finished_at": kept_since - STEP_MARGIN}
        connection.execute(sa.update(batches).where(unfinished).values(**ended))
    found = {row.contact_id for row in rows if row.contact_id is not None}
    erased = _erase_unused(connection, tables, sorted(found))
    return Sweep(contacts=erased, items=len(rows), batches=int(is_last))


def _waits_since(tables: Tables, before: datetime) -> sa.ColumnElement[bool]:
    """Return the condition that a batch waits for a person, and nothing was done for it since.

    That is a plan that was not applied, a batch that was checked and not started, and a paused one;
    of that, neither its start nor a call of its rows is newer.
    """
    batches, items, calls = tables.batches, tables.items, tables.calls
    recent = (
        sa.select(items.c.row)
        .select_from(items.join(calls, calls.c.id == items.c.call_id))
        .where(items.c.batch_id == batches.c.id, calls.c.opened_at >= before)
        .correlate(batches)
        .exists()
    )
    in_flight = sa.exists().where(items.c.batch_id == batches.c.id, items.c.lease_until >= before)
    return sa.and_(
        batches.c.status.in_(["planned", "ready", "paused"]),
        sa.func.coalesce(batches.c.started_at, batches.c.created_at) < before,
        ~recent,
        ~in_flight,
    )


def _delete_unblocked(connection: sa.Connection, tables: Tables, before: datetime) -> set[int]:
    """Delete what is known of contacts that were unblocked long ago; return their ids."""
    blocks = tables.blocks
    old = connection.execute(
        sa.select(blocks.c.account, blocks.c.contact_id)
        .where(blocks.c.state == "unblocked", blocks.c.wanted == "unblocked")
        .where(blocks.c.wanted_at < before, blocks.c.since < before)
        .limit(STEP)
        .with_for_update(skip_locked=True)
    ).all()
    for row in old:
        connection.execute(
            sa.delete(blocks).where(
                blocks.c.account == row.account, blocks.c.contact_id == row.contact_id
            )
        )
    return {row.contact_id for row in old}


def _erase_unused(connection: sa.Connection, tables: Tables, ids: list[int]) -> int:
    if not ids:
        return 0
    _lock_contacts(connection, tables)
    contacts, calls, blocks = tables.contacts, tables.calls, tables.blocks
    items = tables.items
    called = sa.exists().where(calls.c.contact_id == contacts.c.id)
    wished = sa.exists().where(blocks.c.contact_id == contacts.c.id)
    listed = sa.exists().where(items.c.contact_id == contacts.c.id)
    unused = sa.and_(
        contacts.c.id.in_(ids), contacts.c.erased_at.is_(None), ~called, ~wished, ~listed
    )
    return _erase(connection, tables, unused)


def _lock_contacts(connection: sa.Connection, tables: Tables) -> None:
    """Wait for the writers in hand: each holds the row of `facts` while it uses contacts."""
    connection.execute(sa.select(tables.facts.c.id).with_for_update())


def _erase(connection: sa.Connection, tables: Tables, which: sa.ColumnElement[bool]) -> int:
    """Remove the identifiers of contacts; the writers of all processes notice the new time."""
    now = datetime.now(UTC)
    nothing: dict[str, Any] = dict.fromkeys(("number", "lid", "user_id"))
    changed = sa.update(tables.contacts).where(which).values(**nothing, erased_at=now)
    amount = connection.execute(changed).rowcount
    if amount:
        connection.execute(sa.update(tables.facts).values(erased_at=now))
    return amount


def erase(connection: sa.Connection, tables: Tables, contact: Contact) -> int:
    """Erase the person; return the number of contacts, 0 where the person is not known.

    What was done stays, without the person; a later call about the person is one about another.
    """
    contacts = tables.contacts
    _lock_contacts(connection, tables)
    ids = [row.id for row in find_contacts(connection, contacts, contact)]
    if ids:
        keys, calls = tables.idempotency, tables.calls
        own = sa.select(calls.c.id).where(calls.c.contact_id.in_(ids))
        connection.execute(sa.delete(keys).where(keys.c.call_id.in_(own)))  # hashes of the number
    return _erase(connection, tables, contacts.c.id.in_(ids)) if ids else 0
