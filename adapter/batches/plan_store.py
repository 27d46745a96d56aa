"""Store a plan and its rows, and read it again."""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Self

import sqlalchemy as sa

from adapter.batches.item_rows import insert_rows, note_size, safe_texts
from adapter.batches.model import Batch, ItemStatus, Status
from adapter.batches.plan_model import CHANGES, Guard, Op, Plan
from adapter.batches.plan_sorting import Sorted, identifiers
from adapter.batches.rows import Row, find_lost
from adapter.batches.staging import CHUNK
from adapter.codes import Action, Code
from adapter.contacts import Contact
from adapter.ledger.ledger import Ledger
from adapter.ledger.schema import Tables

_COLUMNS: Final = (
    *("batch_id", "row", "line", "account", "action", "contact_id", "given_id", "named_by"),
    *("status", "op", "code", "why", "reason", "ref", "attempts"),
)


@dataclass(frozen=True, slots=True)
class Draft:
    """A row of a plan that is to be stored.

    Of a row of a file that has ended: `given`, the `action`, and whether its account `is_lost`.
    """

    contact: Contact | None
    line: int
    status: ItemStatus
    op: Op | None
    given: str = ""
    code: str | None = None
    why: str | None = None
    reason: str | None = None
    ref: str | None = None
    action: Action | None = None
    is_lost: bool = False

    @classmethod
    def of(cls, each: Sorted) -> Self:
        """Return the draft of a contact."""
        pending, given = ItemStatus.PENDING, ""
        rest = (each.code, each.why, each.reason, each.ref)
        return cls(each.contact, each.line, pending, each.op, given, *rest)

    @classmethod
    def ended(cls, row: Row, status: ItemStatus) -> Self:
        """Return the draft of a row of a file that has ended before the plan."""
        code = row.code or (Code.INVALID_TARGET.value if row.contact is None else None)
        rest = (row.given, code, row.why, row.reason, row.ref, row.action)
        is_lost = status is ItemStatus.REJECTED and "account" in find_lost(row.why or "")
        return cls(row.contact, row.line, status, None, *rest, is_lost)

    def columns(self, account: str) -> dict[str, Any]:
        """Return the columns of the row, which is about the account. No text holds a number."""
        action = self.op if self.op in CHANGES else self.action
        return {
            "line": self.line,
            "account": None if self.is_lost else account,
            "action": action and action.value,
            "contact_id": None,
            "given_id": None,
            "status": self.status.value,
            "op": self.op and self.op.value,
            "code": self.code,
            **safe_texts(self.contact, self.why, self.reason, self.ref),
            "attempts": 0,
        }


def store_rows(ledger: Ledger, batch_id: int, account: str, drafts: Iterable[Draft]) -> None:
    """Store the rows of a plan, chunk by chunk."""
    source, number = iter(drafts), 0
    while chunk := list(islice(source, CHUNK)):
        rows = [
            (draft, {"batch_id": batch_id, "row": row, **draft.columns(account)})
            for row, draft in enumerate(chunk, number + 1)
        ]
        number += len(chunk)
        ledger.work(
            lambda connection, _: insert_rows(connection, ledger.tables, rows, _COLUMNS)  # noqa: B023
        )
    note_size(ledger, number)


def hash_plan(ledger: Ledger, facts: Sequence[Any], rows: Iterable[Sorted]) -> str:
    """Return the keyed hash of a plan: equal for the same changes, in whatever order they are."""
    facts_table = ledger.tables.facts
    key = ledger.ask(
        lambda connection: connection.execute(sa.select(facts_table.c.hash_key)).scalar_one()
    )
    changes = sorted(f"{each.op} {identifiers(each.contact)[0]}" for each in rows)
    text = json.dumps([*facts, changes])
    return hmac.new(bytes.fromhex(str(key)), text.encode(), "sha256").hexdigest()


def publish(ledger: Ledger, batch_id: int, details: dict[str, Any]) -> None:
    """Let a plan whose rows are stored be seen."""
    batches = ledger.tables.batches
    values = {"status": Status.PLANNED.value, "details": json.dumps(details)}
    update = sa.update(batches).where(batches.c.id == batch_id).values(**values)
    ledger.work(lambda connection, _: connection.execute(update))


def count_ops(connection: sa.Connection, tables: Tables, batch_id: int) -> dict[str, int]:
    """Return the contacts of a plan by op."""
    items = tables.items
    query = (
        sa.select(items.c.op, sa.func.count())
        .where(items.c.batch_id == batch_id, items.c.op.is_not(None))
        .group_by(items.c.op)
        .order_by(items.c.op)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def build_plan(batch: Batch, details: dict[str, Any], ops: dict[str, int]) -> Plan:
    """Return a plan of its batch, the batch's details and the contacts by op."""
    return Plan(
        batch=batch,
        source=details["source"],
        target=batch.account,
        bases=details["bases"],
        sizes=details["sizes"],
        ops=ops,
        mirror=details["mirror"],
        allow_unblocks=details["allow_unblocks"],
        allow=frozenset(map(Guard, details["allow"])),
        same=details["same"],
        digest=details["digest"],
    )


def read_rows(ledger: Ledger, batch_id: int) -> Iterator[Any]:
    """Yield the rows of a plan that have an op, with the identifiers of their contacts."""
    tables = ledger.tables
    items, contacts = tables.items, tables.contacts
    names = ("row", "line", "op", "code", "why", "reason", "ref", "contact_id", "named_by")
    after = 0
    while True:
        # The page before its join, which PostgreSQL may plan over whole tables.
        page = (
            sa.select(*(items.c[name] for name in names))
            .where(items.c.batch_id == batch_id, items.c.op.is_not(None), items.c.row > after)
            .order_by(items.c.row)
            .limit(CHUNK)
            .subquery("page")
        )
        query = (
            sa.select(page, contacts.c.number, contacts.c.lid, contacts.c.user_id)
            .select_from(page.outerjoin(contacts, contacts.c.id == page.c.contact_id))
            .order_by(page.c.row)
        )
        rows = ledger.ask(lambda connection, query=query: connection.execute(query).all())  # type: ignore[misc]
        yield from rows
        if len(rows) < CHUNK:
            return
        after = rows[-1].row
