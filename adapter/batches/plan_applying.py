"""Compare what is to be done now with what was approved, and let the plan go on as a batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import sqlalchemy as sa

from adapter.batches.contacts import known_contact, named_contact
from adapter.batches.model import ItemStatus, Status
from adapter.batches.plan_model import CHANGES, Op, Reason, Wanted
from adapter.batches.plan_sorting import Sorted, identifiers
from adapter.batches.plan_store import read_rows
from adapter.batches.sql import next_numbers, update_rows
from adapter.batches.staging import CHUNK
from adapter.codes import Code
from adapter.contacts import Contact
from adapter.errors import RequestError
from adapter.ledger.ledger import Ledger
from adapter.results import Outcome

MAX_SHOWN: Final = 20
"""The most contacts that a stale plan names, masked."""

End = tuple[str, str | None, str | None]
"""The status, code and message of a row once its plan is applied."""


class Approved:
    """The rows of a plan as they were approved, found by each identifier of their contacts."""

    def __init__(self, ledger: Ledger, batch_id: int) -> None:
        self.rows = list(read_rows(ledger, batch_id))
        self._by_id: dict[str, Any] = {}
        for contact_of in (named_contact, known_contact):  # the row that names it first
            for row in self.rows:
                contact = contact_of(row)
                for text in identifiers(contact) if contact is not None else ():
                    self._by_id.setdefault(text, row)

    def find(self, contact: Contact) -> Any:
        """Return the row of the contact; None for one that the plan did not have."""
        for text in identifiers(contact):
            if text in self._by_id:
                return self._by_id[text]
        return None

    def wanted(self) -> tuple[Wanted, ...]:
        """Return the contacts that a file had, of which the rows are all that is kept."""
        return tuple(
            Wanted(contact, row.line, row.reason, row.ref)
            for row in self.rows
            if row.line and (contact := named_contact(row)) is not None
        )


def find_ends(approved: Approved, now: Iterable[Sorted]) -> dict[int, End]:
    """Return how each row goes on, by its number.

    Raises RequestError (`plan_stale`) if a change is to be made now that was not approved. What was
    approved as `cannot` or `unsure` stays so.
    """
    current: dict[int, Sorted] = {}
    more: list[Sorted] = []
    for each in now:
        row = approved.find(each.contact)
        if row is not None:
            current[row.row] = each
        is_left = row is not None and row.op in (Op.CANNOT, Op.UNSURE)
        if each.op in CHANGES and not is_left and (row is None or row.op != each.op):
            more.append(each)
    if more:
        raise _stale(more)
    return {row.row: _end(row, current.get(row.row)) for row in approved.rows}


def _end(row: Any, now: Sorted | None) -> End:
    if row.op in (Op.CANNOT, Op.UNSURE):
        return ItemStatus.REJECTED.value, row.code, row.why
    if row.op not in CHANGES:
        return ItemStatus.UNCHANGED.value, row.code, row.why
    if named_contact(row) is None:
        return ItemStatus.CANCELLED.value, None, "the contact was erased"
    if now is None:
        if row.op == Op.UNBLOCK:  # it is gone from the list
            return ItemStatus.UNCHANGED.value, None, None
        return ItemStatus.CANCELLED.value, Reason.NOT_WANTED.value, "is not in the source any more"
    if now.op == row.op:
        return ItemStatus.PENDING.value, None, None
    if now.op is Op.KEEP and row.op == Op.BLOCK:
        if now.line == 0:  # blocked there, and not wanted by the source any more
            return ItemStatus.CANCELLED.value, Reason.NOT_WANTED.value, now.why
        return ItemStatus.UNCHANGED.value, None, None
    if now.op is Op.KEEP:
        return ItemStatus.CANCELLED.value, None, now.why or "is in the source again"
    return ItemStatus.REJECTED.value, now.code, now.why


def _stale(more: Sequence[Sorted]) -> RequestError:
    counts = Counter(each.op.value for each in more)
    words = ", ".join(f"{op}: {counts[op]} more" for op in sorted(counts))
    shown: dict[str, list[str]] = {}
    for each in more[:MAX_SHOWN]:
        shown.setdefault(each.op.value, []).append(each.contact.masked)
    message = f"{Code.PLAN_STALE.message} Not approved: {words}."
    fields = {name: tuple(texts) for name, texts in shown.items()}
    return RequestError(Outcome.failure(Code.PLAN_STALE, message=message, fields=fields))


def go_on(ledger: Ledger, batch_id: int, ends: dict[int, End], more: dict[str, Any]) -> bool:
    """Let the plan be a running batch, as a new wish; `more` are columns of its batch.

    A process that is killed before the end leaves a plan that can be applied again. Returns False
    where another process has applied it.
    """
    tables = ledger.tables
    batches, items = tables.batches, tables.items
    planned = sa.and_(batches.c.id == batch_id, batches.c.status == Status.PLANNED.value)
    for end, numbers in _group(ends):

        def write(connection: sa.Connection, _: object, end: End = end, part: Any = numbers) -> int:
            found = connection.execute(sa.select(batches.c.id).where(planned).with_for_update())
            if found.first() is None:
                return 0
            status, code, why = end
            values = {"status": status, "code": code, "why": why}
            update_rows(connection, items, batch_id, part, values)
            return 1

        if not ledger.work(write):
            return False

    def finish(connection: sa.Connection, _: object) -> int:
        (intent,) = next_numbers(connection, tables.calls, 1)
        values = {"status": Status.RUNNING.value, "intent": intent, **more}
        return connection.execute(sa.update(batches).where(planned).values(**values)).rowcount

    return ledger.work(finish) > 0


def _group(ends: dict[int, End]) -> Iterator[tuple[End, list[int]]]:
    """Yield the rows with the same end, in parts."""
    groups: dict[End, list[int]] = {}
    for number, end in ends.items():
        groups.setdefault(end, []).append(number)
    for end, numbers in groups.items():
        for start in range(0, len(numbers), CHUNK):
            yield end, numbers[start : start + CHUNK]
