"""Read batches and their rows, and change the status of a batch."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa

from adapter.batches.contacts import named_contact
from adapter.batches.details import accounts_of, details_of, may_see
from adapter.batches.model import LOST, OPEN, Batch, Item, ItemStatus, Status, Wait
from adapter.batches.refusals import FINISHED
from adapter.batches.sql import next_numbers, update_rows
from adapter.codes import Code
from adapter.history import Page, read_cursor, write_cursor
from adapter.ledger.schema import Tables

STEP: Final = 2000
"""Rows of one transaction that changes many."""


def read_batches(
    connection: sa.Connection,
    tables: Tables,
    accounts: Collection[str] | None,
    limit: int,
    cursor: str | None,
) -> Page[Batch]:
    """Return the batches of accounts that may be seen, the newest first; None means all."""
    batches = tables.batches
    query = sa.select(batches).order_by(batches.c.id.desc()).limit(limit + 1)
    if cursor:
        query = query.where(batches.c.id < read_cursor("t", cursor))
    if accounts is not None:
        query = query.where(batches.c.account.in_(sorted(accounts)))
    rows = connection.execute(query).all()
    more, rows = len(rows) > limit, rows[:limit]
    seen = [row for row in rows if may_see(row, accounts)]
    counts = _read_counts(connection, tables, seen)
    lanes = _read_lanes(connection, tables)
    found = tuple(_batch(row, counts.get(row.id, {}), lanes) for row in seen)
    return Page(found, write_cursor("t", rows[-1].id) if more else None)


def read_batch(
    connection: sa.Connection, tables: Tables, batch_id: int, accounts: Collection[str] | None
) -> Batch | None:
    """Return the batch; None where there is none, or one that may not be seen."""
    row = find_row(connection, tables, batch_id)
    if row is None or not may_see(row, accounts):
        return None
    counts = _read_counts(connection, tables, [row])
    return _batch(row, counts.get(batch_id, {}), _read_lanes(connection, tables))


def find_row(
    connection: sa.Connection, tables: Tables, batch_id: int, *, lock: bool = False
) -> Any:
    """Return the row of the batch; None where there is none. `lock`: as it is until the commit."""
    batches = tables.batches
    query = sa.select(batches).where(batches.c.id == batch_id)
    return connection.execute(query.with_for_update() if lock else query).one_or_none()


def is_running(connection: sa.Connection, tables: Tables, batch: Any) -> bool:
    """Whether the batch runs, and was not retried since its row was read. Locks it."""
    row = find_row(connection, tables, batch.id, lock=True)
    return row is not None and row.status == Status.RUNNING and row.intent == batch.intent


def read_items(
    connection: sa.Connection,
    tables: Tables,
    batch_id: int,
    statuses: Sequence[str],
    limit: int,
    cursor: str | None,
    ops: Sequence[str] = (),
) -> Page[Item]:
    """Return the rows of a batch in their order, those with these statuses; none means all.

    `ops`: of a plan, those with one of these too.
    """
    items, contacts = tables.items, tables.contacts
    given = contacts.alias("given_contacts")
    joined = items.outerjoin(contacts, contacts.c.id == items.c.contact_id)
    joined = joined.outerjoin(given, given.c.id == items.c.given_id)
    query = (
        sa.select(items, contacts.c.number, contacts.c.lid, contacts.c.user_id, given.c.given)
        .select_from(joined)
        .where(items.c.batch_id == batch_id)
        .where(items.c.row > (read_cursor("i", cursor) if cursor else 0))
        .order_by(items.c.row)
        .limit(limit + 1)
    )
    if statuses:
        query = query.where(items.c.status.in_(statuses))
    if ops:
        query = query.where(items.c.op.in_(ops))
    rows = connection.execute(query).all()
    found = tuple(_item(row) for row in rows[:limit])
    return Page(found, write_cursor("i", found[-1].row) if len(rows) > limit else None)


def set_status(
    connection: sa.Connection,
    tables: Tables,
    batch_id: int,
    allowed: Collection[Status],
    status: Status,
    **more: Any,
) -> bool:
    """Set the status of a batch where its own is one of `allowed`; return whether it was.

    Why the batch was paused before is forgotten.
    """
    batches = tables.batches
    own = sa.and_(batches.c.id == batch_id, batches.c.status.in_([each.value for each in allowed]))
    changed = (
        sa.update(batches).where(own).values({"status": status.value, "pause_code": None, **more})
    )
    return connection.execute(changed).rowcount > 0


def start_over(connection: sa.Connection, tables: Tables, batch_id: int) -> bool:
    """Let a finished batch run its failed and unknown rows again, as a new wish.

    Rows whose contacts have a newer, opposite wish are superseded. One that was cancelled is
    `cancelled` again at its end, where it has cancelled rows. Returns False for a batch that is not
    finished, has never begun, or has rows in flight.
    """
    batches, items = tables.batches, tables.items
    finished = batches.c.status.in_([each.value for each in FINISHED])
    own = sa.and_(batches.c.id == batch_id, finished, batches.c.started_at.is_not(None))
    row = connection.execute(sa.select(batches).where(own).with_for_update()).one_or_none()
    if row is None:
        return False
    while end_cancelled(connection, tables, batch_id):
        pass
    if has_open_rows(connection, tables, batch_id):
        return False
    was_unknown = items.c.status == ItemStatus.UNKNOWN.value
    again = items.c.status.in_([ItemStatus.FAILED.value, ItemStatus.UNKNOWN.value])
    superseded = {"status": ItemStatus.SUPERSEDED.value, "code": None, "why": None}
    connection.execute(
        sa.update(items)
        .where(items.c.batch_id == batch_id, again, _has_newer_wish(tables, row.intent))
        .values(**superseded)
    )
    connection.execute(
        sa.update(items)
        .where(items.c.batch_id == batch_id, again)
        .values(
            status=ItemStatus.PENDING.value,
            code=None,
            why=None,
            unresolved=was_unknown,
            attempts=0,
            not_before=None,
        )
    )
    (intent,) = next_numbers(connection, tables.calls, 1)
    details = details_of(row) | {"cancelled": row.status == Status.CANCELLED}
    return set_status(
        connection,
        tables,
        batch_id,
        FINISHED,
        Status.RUNNING,
        intent=intent,
        retried=True,
        digest=None,
        finished_at=None,
        details=json.dumps(details),
    )


def _has_newer_wish(tables: Tables, place: int) -> sa.ColumnElement[bool]:
    """Return whether the contact of a row has the opposite wish, newer than this place.

    With LIMIT, which keeps PostgreSQL from joining the tables: it reads each by its key.
    """
    items, blocks = tables.items, tables.blocks
    newer = (
        sa.select(blocks.c.intent)
        .where(blocks.c.account == items.c.account, blocks.c.contact_id == items.c.contact_id)
        .where(blocks.c.wanted != items.c.action + sa.literal("ed"))
        .where(sa.func.coalesce(blocks.c.wish, blocks.c.intent) > place)
        .limit(1)
    )
    return newer.correlate(items).scalar_subquery().is_not(None)


def _change_some(
    connection: sa.Connection,
    tables: Tables,
    batch_id: int,
    values: dict[str, Any],
    *conditions: sa.ColumnElement[bool],
) -> int:
    """Change up to `STEP` rows that fulfil the conditions; return how many.

    In two statements: PostgreSQL's planner may compare each row with each of a subquery.
    """
    items = tables.items
    query = sa.select(items.c.row).where(items.c.batch_id == batch_id, *conditions)
    numbers = connection.execute(query.order_by(items.c.row).limit(STEP)).scalars().all()
    if numbers:
        update_rows(connection, items, batch_id, numbers, values, *conditions)
    return len(numbers)


def end_cancelled(connection: sa.Connection, tables: Tables, batch_id: int) -> int:
    """End rows of a finished batch that nobody runs, up to `STEP` pending ones; return how many.

    What may have been sent is unknown: rows of a process that is gone, and those that were to be
    tried again. In a batch that goes on, nothing is changed.
    """
    batches, items = tables.batches, tables.items
    finished = batches.c.status.in_([each.value for each in FINISHED])
    query = sa.select(batches.c.id).where(batches.c.id == batch_id, finished).with_for_update()
    if connection.execute(query).first() is None:
        return 0
    gone = sa.and_(
        items.c.batch_id == batch_id,
        items.c.status == ItemStatus.LEASED.value,
        items.c.lease_until < datetime.now(UTC),
    )
    values: dict[str, Any] = {
        "status": ItemStatus.UNKNOWN.value,
        "code": LOST,
        "lease_owner": None,
        "lease_until": None,
    }
    ended = connection.execute(sa.update(items).where(gone).values(**values)).rowcount
    pending = items.c.status == ItemStatus.PENDING.value
    return ended + _change_some(connection, tables, batch_id, cancelled_values(tables), pending)


def end_removed(
    connection: sa.Connection, tables: Tables, batch_id: int, accounts: Collection[str]
) -> int:
    """End up to `STEP` rows of accounts that do not exist any more; return how many."""
    items, now = tables.items, datetime.now(UTC)
    gone = sa.and_(items.c.status == ItemStatus.LEASED.value, items.c.lease_until < now)
    ended = sa.or_(items.c.status == ItemStatus.PENDING.value, gone)
    sent = sa.or_(gone, items.c.unresolved)
    code = Code.ACCOUNT_NOT_FOUND
    values: dict[str, Any] = {
        "status": sa.case((sent, ItemStatus.UNKNOWN.value), else_=ItemStatus.FAILED.value),
        "code": code.value,
        "why": code.message,
        "lease_owner": None,
        "lease_until": None,
    }
    removed = items.c.account.in_(accounts)
    return _change_some(connection, tables, batch_id, values, removed, ended)


def cancelled_values(tables: Tables) -> dict[str, Any]:
    """Return the columns of a pending row that is cancelled."""
    unresolved = tables.items.c.unresolved
    return {
        "status": sa.case((unresolved, ItemStatus.UNKNOWN.value), else_=ItemStatus.CANCELLED.value),
        "code": sa.case((unresolved, LOST)),
        "why": sa.case((unresolved, tables.items.c.why)),
    }


def has_open_rows(connection: sa.Connection, tables: Tables, batch_id: int) -> bool:
    """Whether a row of the batch has not ended."""
    items = tables.items
    return any(
        connection.execute(
            sa.select(items.c.row)
            .where(items.c.batch_id == batch_id, items.c.status == status)
            .limit(1)
        ).first()
        for status in OPEN
    )


def finish(connection: sa.Connection, tables: Tables, batch: Any) -> bool:
    """End a running batch all of whose rows have ended; return False where it is not to end yet.

    `batch` is its row, as it was when the run began: after a retry, the rows are to be run and
    compared again. The row is locked before its items are read, so that no retry comes between.
    """
    row = find_row(connection, tables, batch.id, lock=True)
    if row is None or row.status != Status.RUNNING:  # it was erased, or paused, or has ended
        return True
    if row.intent != batch.intent or has_open_rows(connection, tables, batch.id):
        return False
    counts = _count(connection, tables, [batch.id]).get(batch.id, {})
    details = details_of(row) | {"counts": counts}
    is_cancelled = details.get("cancelled") and counts.get(ItemStatus.CANCELLED)
    set_status(
        connection,
        tables,
        batch.id,
        [Status.RUNNING],
        Status.CANCELLED if is_cancelled else Status.DONE,
        finished_at=datetime.now(UTC),
        details=json.dumps(details),
    )
    return True


def _read_counts(
    connection: sa.Connection, tables: Tables, rows: Sequence[Any]
) -> dict[int, dict[str, int]]:
    """Return the rows of each batch by status; those of a batch that is done were counted then."""
    counts = {
        row.id: details_of(row)["counts"]
        for row in rows
        if row.status == Status.DONE and "counts" in details_of(row)
    }
    return counts | _count(connection, tables, [row.id for row in rows if row.id not in counts])


def _count(
    connection: sa.Connection, tables: Tables, ids: Sequence[int]
) -> dict[int, dict[str, int]]:
    items = tables.items
    query = (
        sa.select(items.c.batch_id, items.c.status, sa.func.count())
        .where(items.c.batch_id.in_(ids))
        .group_by(items.c.batch_id, items.c.status)
    )
    counts: dict[int, dict[str, int]] = {}
    if ids:
        for batch_id, status, amount in connection.execute(query):
            counts.setdefault(batch_id, {})[status] = amount
    return counts


def _read_lanes(connection: sa.Connection, tables: Tables) -> dict[str, Any]:
    return {row.account: row for row in connection.execute(sa.select(tables.lanes))}


def _batch(row: Any, counts: dict[str, int], lanes: dict[str, Any]) -> Batch:
    waits: tuple[Wait, ...] = ()
    if row.status == Status.RUNNING:
        found = (lanes[name] for name in accounts_of(row) if name in lanes)
        now = datetime.now(UTC)
        waits = tuple(
            Wait(lane.account, lane.pause_code, lane.paused_until)
            for lane in found
            if lane.paused_until is not None and lane.paused_until > now
        )
    first = waits[0] if waits else None
    return Batch(
        id=row.id,
        kind=row.kind,
        account=row.account,
        action=row.action,
        status=row.status,
        pause_code=row.pause_code if first is None else first.code,
        paused_until=None if first is None else first.until,
        rows=sum(counts.values()),
        counts=counts,
        verify=row.verify,
        via=row.via,
        key_name=row.key_name,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        seconds_left=None,
        waits=waits,
    )


def _item(row: Any) -> Item:
    contact = named_contact(row)
    given = row.given
    if given is None and contact is not None:
        given = contact.number or contact.lid or contact.user_id
    return Item(
        row=row.row,
        line=row.line,
        account=row.account,
        action=row.action,
        contact=contact,
        given=given or "",
        status=row.status,
        code=row.code,
        why=row.why,
        reason=row.reason,
        ref=row.ref,
        attempts=row.attempts,
        call_id=row.call_id,
        op=row.op,
    )
