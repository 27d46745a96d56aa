"""Read the ledger: who is blocked, which calls there were, and all that is known of a person.

Pages are keysets: a cursor holds the id of the last row, written in letters.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from heapq import merge
from itertools import islice
from typing import Any, Final

import sqlalchemy as sa

from adapter.contacts import Contact
from adapter.history import (
    DEFAULT_SINCE,
    MAX_LIMIT,
    BlockEntry,
    CallEntry,
    Filters,
    Page,
    read_cursor,
    write_cursor,
)
from adapter.ledger.contact_ids import find_contacts
from adapter.ledger.schema import Tables

__all__ = ("MAX_LIMIT", "BlockEntry", "CallEntry", "Export", "Filters", "Page")

MAX_SCANNED: Final = 50_000
"""Calls that one page looks at, where no index has the filters."""

_LATENESS: Final = timedelta(minutes=6)
"""How much earlier than the calls before it a call may have begun: reads are recorded late."""

MAX_MERGED: Final = 50
"""Accounts that are read one by one, each from its index."""


@dataclass(frozen=True, slots=True)
class RowEntry:
    """A row of a batch or of a plan."""

    batch_id: int
    row: int
    account: str | None
    action: str | None
    status: str
    op: str | None
    code: str | None
    reason: str | None
    ref: str | None
    call_id: int | None


@dataclass(frozen=True, slots=True)
class Export:
    """All that the ledger has about a person."""

    contacts: tuple[Contact, ...] = field(repr=False)
    blocks: tuple[BlockEntry, ...]
    calls: tuple[CallEntry, ...]
    rows: tuple[RowEntry, ...]


def read_blocked(
    connection: sa.Connection, tables: Tables, account: str, limit: int, cursor: str | None
) -> Page[BlockEntry]:
    """Return the contacts that are blocked for the account, in the order of their first call."""
    blocks, contacts = tables.blocks, tables.contacts
    after = read_cursor("b", cursor) if cursor else 0
    query = (
        _select_blocks(tables)
        .where(blocks.c.account == account, blocks.c.state == "blocked")
        .where(~_is_overdue(tables))
        .where(blocks.c.contact_id > after, contacts.c.erased_at.is_(None))
        .order_by(blocks.c.contact_id)
        .limit(limit + 1)
    )
    rows = connection.execute(query).all()
    more = len(rows) > limit
    return Page(
        tuple(_block_entry(row) for row in rows[:limit]),
        write_cursor("b", rows[limit - 1].contact_id) if more else None,
    )


def read_states(
    connection: sa.Connection, tables: Tables, contact: Contact, account: str | None = None
) -> list[BlockEntry]:
    """Return what is known of a contact, for one account or all of them."""
    blocks = tables.blocks
    ids = [row.id for row in find_contacts(connection, tables.contacts, contact)]
    query = _select_blocks(tables).where(blocks.c.contact_id.in_(ids)).order_by(blocks.c.account)
    if account is not None:
        query = query.where(blocks.c.account == account)
    return [_block_entry(row) for row in connection.execute(query)] if ids else []


def read_calls(
    connection: sa.Connection, tables: Tables, filters: Filters, limit: int, cursor: str | None
) -> Page[CallEntry]:
    """Return the calls, the newest first."""
    calls = tables.calls
    now = datetime.now(UTC)
    since = filters.since or min(filters.until or now, now) - DEFAULT_SINCE
    last = read_cursor("c", cursor) - 1 if cursor else _last_id(connection, calls, filters, now)
    first = _find_id(connection, calls, since - _LATENESS)
    needs_scan = filters.via is not None or filters.key_name is not None
    lowest = max(first, last - MAX_SCANNED + 1) if needs_scan else first
    query = (
        sa.select(calls)
        .where(calls.c.id.between(lowest, last), calls.c.opened_at >= since)
        .order_by(calls.c.id.desc())
        .limit(limit + 1)
    )
    if filters.until is not None:
        query = query.where(calls.c.opened_at < filters.until)
    if filters.contact is not None:
        ids = [row.id for row in find_contacts(connection, tables.contacts, filters.contact)]
        query = query.where(calls.c.contact_id.in_(ids))
        if not ids:
            return Page(())
    if filters.code is not None:
        query = query.where(calls.c.code == filters.code)
        if filters.code != "ok":  # of the failures alone there is an index
            query = query.where(sa.text("code <> 'ok'"))
    if filters.via is not None:
        query = query.where(calls.c.via == filters.via)
    if filters.key_name is not None:
        query = query.where(calls.c.key_name == filters.key_name)
    rows = _read_by_account(connection, tables, query, filters.accounts, limit + 1)
    found = tuple(_call_entry(row, now) for row in rows[:limit])
    if len(rows) > limit:
        return Page(found, write_cursor("c", found[-1].id))
    return Page(found, write_cursor("c", lowest) if lowest > first else None)


def _read_by_account(
    connection: sa.Connection,
    tables: Tables,
    query: sa.Select[Any],
    accounts: Collection[str] | None,
    limit: int,
) -> Sequence[Any]:
    """Return the newest rows of the accounts: of several, each is read by its own index."""
    calls = tables.calls
    if accounts is None:
        return connection.execute(_with_contacts(tables, query)).all()
    if len(accounts) > MAX_MERGED:
        query = query.where(calls.c.account.in_(sorted(accounts)))
        return connection.execute(_with_contacts(tables, query)).all()
    found = [
        connection.execute(_with_contacts(tables, query.where(calls.c.account == account))).all()
        for account in accounts
    ]
    return list(islice(merge(*found, key=lambda row: -int(row.id)), limit))


def export(connection: sa.Connection, tables: Tables, contact: Contact) -> Export:
    """Return all that is known of a person."""
    calls = tables.calls
    stored = find_contacts(connection, tables.contacts, contact)
    ids = [row.id for row in stored]
    query = _with_contacts(tables, sa.select(calls).where(calls.c.contact_id.in_(ids)))
    now = datetime.now(UTC)
    found = connection.execute(query).all() if ids else ()
    items = tables.items
    columns = [items.c[each.name] for each in fields(RowEntry)]
    rows = sa.select(*columns).where(items.c.contact_id.in_(ids))
    return Export(
        tuple(Contact(row.number, row.lid, row.user_id) for row in stored),
        tuple(read_states(connection, tables, contact)),
        tuple(_call_entry(row, now) for row in found),
        tuple(RowEntry(*row) for row in connection.execute(rows)) if ids else (),
    )


def _last_id(connection: sa.Connection, calls: sa.Table, filters: Filters, now: datetime) -> int:
    """Return the id of the newest call that may match."""
    if filters.until is not None and filters.until < now:
        return _find_id(connection, calls, filters.until + _LATENESS)
    return int(connection.execute(sa.select(sa.func.max(calls.c.id))).scalar() or 0)


def _find_id(connection: sa.Connection, calls: sa.Table, moment: datetime) -> int:
    """Return an id near the first call that was opened at the moment or later.

    Ids grow with the time, so that some look-ups by id find it without another index.
    """
    # Two queries in one: SQLite scans the table for two aggregates, and finds each by the index.
    ends = sa.select(
        sa.select(sa.func.min(calls.c.id)).scalar_subquery(),
        sa.select(sa.func.max(calls.c.id)).scalar_subquery(),
    )
    low, high = connection.execute(ends).one()
    if low is None:
        return 0
    next_call = (
        sa.select(calls.c.id, calls.c.opened_at)
        .where(calls.c.id >= sa.bindparam("middle"))
        .order_by(calls.c.id)
        .limit(1)
    )
    high += 1
    while low < high:
        middle = (low + high) // 2
        row = connection.execute(next_call, {"middle": middle}).one_or_none()
        if row is None or row.opened_at >= moment:
            high = middle
        else:
            low = row.id + 1
    return int(low)


def _select_blocks(tables: Tables) -> sa.Select[Any]:
    """Select the blocks with their contacts and whether their newest change is open."""
    blocks, contacts, calls = tables.blocks, tables.contacts, tables.calls
    newest = sa.and_(calls.c.id == blocks.c.intent, calls.c.closed_at.is_(None))
    joined = blocks.join(contacts, contacts.c.id == blocks.c.contact_id).outerjoin(calls, newest)
    identifiers = (contacts.c.number, contacts.c.lid, contacts.c.user_id)
    overdue = _is_overdue(tables).label("overdue")
    open_id = calls.c.id.label("open_id")
    return sa.select(blocks, *identifiers, open_id, overdue).select_from(joined)


def _is_overdue(tables: Tables) -> sa.ColumnElement[bool]:
    """Return whether the newest change, which asks for another state, ended without a result.

    The clean-up closes it as unknown.
    """
    blocks, calls = tables.blocks, tables.calls
    overdue = sa.and_(calls.c.deadline_at < datetime.now(UTC), blocks.c.wanted != blocks.c.state)
    return sa.func.coalesce(overdue, sa.false())


def _with_contacts(tables: Tables, query: sa.Select[Any]) -> sa.Select[Any]:
    """Add the identifiers to the rows of a page: the contacts of no others are read."""
    contacts, page = tables.contacts, query.subquery("page")
    joined = page.outerjoin(contacts, contacts.c.id == page.c.contact_id)
    identifiers = (contacts.c.number, contacts.c.lid, contacts.c.user_id)
    return sa.select(page, *identifiers).select_from(joined).order_by(page.c.id.desc())


def _contact(row: Any) -> Contact | None:
    known = (row.number, row.lid, row.user_id)
    return Contact(*known) if any(known) else None


def _block_entry(row: Any) -> BlockEntry:
    return BlockEntry(
        account=row.account,
        contact=_contact(row),
        wanted=row.wanted,
        intent=row.intent,
        state="unknown" if row.overdue else row.state,
        certainty="none" if row.overdue else row.certainty,
        since=row.since,
        verified_at=row.verified_at,
        wanted_by=row.wanted_by,
        via=row.via,
        wanted_at=row.wanted_at,
        reason=row.reason,
        ref=row.ref,
        pending=row.open_id is not None,
    )


def _call_entry(row: Any, now: datetime) -> CallEntry:
    overdue = row.closed_at is None and row.deadline_at < now
    return CallEntry(
        id=row.id,
        account=row.account,
        provider=row.provider,
        action=row.action,
        contact=_contact(row),
        via=row.via,
        key_name=row.key_name,
        request_id=row.request_id,
        reason=row.reason,
        ref=row.ref,
        opened_at=row.opened_at,
        deadline_at=row.deadline_at,
        closed_at=row.closed_at,
        code=row.code,
        outcome="unknown" if overdue else row.outcome,
        confirmation=row.confirmation,
        verified=row.verified,
        upstream_status=row.upstream_status,
        upstream_code=row.upstream_code,
        attempts=row.attempts,
        reads=row.reads,
        duration_ms=row.duration_ms,
    )
