"""Store a new batch: its rows in chunks, then duplicates and conflicts, then its digest."""

from __future__ import annotations

import hmac
import json
from array import array
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

import sqlalchemy as sa

from adapter.batches.item_rows import insert_rows, note_size, safe_texts
from adapter.batches.model import ItemStatus, Status
from adapter.batches.rows import Row, find_lost
from adapter.batches.sql import among, next_numbers, update_rows
from adapter.codes import Action, Code
from adapter.errors import LedgerUnavailable
from adapter.ledger.ledger import Ledger

CHUNK: Final = 1000
"""Rows of one transaction."""

_COLUMNS: Final = (
    *("batch_id", "row", "line", "account", "action", "contact_id", "given_id", "named_by"),
    *("status", "code", "why", "reason", "ref", "attempts"),
)

_CONFLICT: Final = "the file has both block and unblock for this contact; keep one of them"
_NO_ACTION: Final = "has no action; add a column action with block or unblock"
_NO_ACCOUNT: Final = "account: does not exist"


class Staging:
    """One batch that is being stored. `find_account` returns the account of a row's name.

    Every method raises LedgerUnavailable. The batch is not seen as startable before `finish`.
    """

    def __init__(
        self,
        ledger: Ledger,
        account: str,
        action: Action | None,
        find_account: Callable[[str], str | None],
    ) -> None:
        self._ledger, self._tables = ledger, ledger.tables
        self._account, self._action, self._find_account = account, action, find_account
        self._accounts: dict[str, str | None] = {account: account}
        self._lanes: set[str] = set()
        self._rows = 0
        self._digest: hmac.HMAC | None = None
        self.batch_id = 0

    def begin(self, columns: dict[str, Any]) -> None:
        """Add the batch, with its place in the order of wishes."""
        tables = self._tables

        def work(connection: sa.Connection, _: object) -> tuple[int, str]:
            (intent,) = next_numbers(connection, tables.calls, 1)
            (number,) = next_numbers(connection, tables.batches, 1)
            values = {
                **columns,
                "id": number,
                "intent": intent,
                "account": self._account,
                "action": self._action and self._action.value,
                "status": Status.STAGING.value,
                "created_at": datetime.now(UTC),
            }
            connection.execute(sa.insert(tables.batches), values)
            key = connection.execute(sa.select(tables.facts.c.hash_key)).scalar_one()
            return number, str(key)

        self.batch_id, key = self._ledger.work(work)
        scope = json.dumps([columns["key_name"], columns["kind"], self._account, self._action])
        self._digest = hmac.new(bytes.fromhex(key), scope.encode(), "sha256")

    def add(self, rows: Iterable[Row]) -> None:
        """Store all rows, chunk by chunk; raises what the iterator raises."""
        source = iter(rows)
        while chunk := list(islice(source, CHUNK)):
            drafts = [self._draft(row) for row in chunk]
            self._ledger.work(
                lambda connection, _: insert_rows(connection, self._tables, drafts, _COLUMNS)  # noqa: B023
            )

    def _draft(self, row: Row) -> tuple[Row, dict[str, Any]]:
        """Return the row and its columns, without the ids of contacts."""
        self._rows += 1
        contact, code, why = row.contact, row.code, row.why
        # No default takes the place of an invalid value: the row may be written, and read again.
        lost = find_lost(why or "") if contact is None else frozenset()
        action = None if "action" in lost else row.action or self._action
        name = row.account or self._account
        account = self._accounts.get(name)
        if account is None and name not in self._accounts:
            account = self._accounts[name] = self._find_account(name)
        if contact is None:
            code = code or Code.INVALID_TARGET.value
        elif code is None and action is None:
            code, why = Code.VALIDATION_ERROR.value, _NO_ACTION
        elif code is None and account is None:
            code = Code.ACCOUNT_NOT_FOUND.value
        if account is None:
            why = f"{_NO_ACCOUNT}; {why}" if why else _NO_ACCOUNT
        elif "account" in lost:
            account = None
        rejected = code is not None
        if not rejected and account is not None:
            self._lanes.add(account)
        columns = {
            "batch_id": self.batch_id,
            "row": self._rows,
            "line": row.line,
            "account": account,
            "action": action and action.value,
            "contact_id": None,
            "given_id": None,
            "status": (ItemStatus.REJECTED if rejected else ItemStatus.PENDING).value,
            "code": code,
            **safe_texts(contact, why, row.reason, row.ref),
            "attempts": 0,
        }
        ids = [row.given] if contact is None else [contact.number, contact.lid, contact.user_id]
        facts = json.dumps([account, columns["action"], code, ids])
        assert self._digest is not None  # noqa: S101 - `begin` was called
        self._digest.update(facts.encode())
        return row, columns

    def finish(self, status: Status) -> int | None:
        """Find duplicates and conflicts, and let the batch begin in this status.

        Returns the id of the unfinished batch with the same rows, where there is one: this batch is
        removed then.
        """
        note_size(self._ledger, self._rows)
        duplicates, conflicts = self._ledger.ask(self._find_repeated)
        self._end_rows(duplicates, status=ItemStatus.DUPLICATE.value)
        self._end_rows(conflicts, status=ItemStatus.REJECTED.value, code="conflict", why=_CONFLICT)
        try:
            existing = self._ledger.work(lambda connection, _: self._publish(connection, status))
        except LedgerUnavailable as error:
            if not isinstance(error.__cause__, sa.exc.IntegrityError):
                raise
            existing = self._ledger.ask(self._find_same)  # stored at the same time
            if existing is None:
                raise
        if existing is not None:
            self.remove()
        return existing

    def _find_repeated(self, connection: sa.Connection) -> tuple[array[int], array[int]]:
        """Return the rows that repeat an earlier one, and those that contradict another."""
        items = self._tables.items
        same = (items.c.account, items.c.contact_id)
        inner = (
            sa.select(
                items.c.row,
                sa.func.row_number()
                .over(partition_by=(*same, items.c.action), order_by=items.c.row)
                .label("place"),
                sa.func.min(items.c.action).over(partition_by=same).label("first"),
                sa.func.max(items.c.action).over(partition_by=same).label("last"),
            )
            .where(items.c.batch_id == self.batch_id, items.c.status == ItemStatus.PENDING.value)
            .subquery()
        )
        contradicts = inner.c.first != inner.c.last
        query = sa.select(inner.c.row, contradicts).where(sa.or_(inner.c.place > 1, contradicts))
        duplicates, conflicts = array("q"), array("q")
        for row, is_conflict in connection.execution_options(yield_per=CHUNK).execute(query):
            (conflicts if is_conflict else duplicates).append(row)
        return duplicates, conflicts

    def _end_rows(self, rows: array[int], **values: Any) -> None:
        items = self._tables.items
        for part in chunks(rows):
            self._ledger.work(
                lambda connection, _, part=part: update_rows(  # type: ignore[misc]
                    connection, items, self.batch_id, part, values
                )
            )

    @property
    def accounts(self) -> set[str]:
        """The accounts of the rows that were added, and that of rows without one."""
        return {name for name in self._accounts.values() if name is not None}

    @property
    def digest(self) -> str:
        """The keyed hash of the rows: equal for the same rows of the same caller."""
        assert self._digest is not None  # noqa: S101 - `begin` was called
        return self._digest.hexdigest()

    def _find_same(self, connection: sa.Connection) -> int | None:
        batches = self._tables.batches
        query = sa.select(batches.c.id).where(
            batches.c.digest == self.digest, batches.c.finished_at.is_(None)
        )
        found: int | None = connection.execute(query).scalar()
        return found

    def _publish(self, connection: sa.Connection, status: Status) -> int | None:
        existing = self._find_same(connection)
        if existing is not None:
            return existing
        batches = self._tables.batches
        accounts = sorted(self.accounts)
        values = {
            "status": status.value,
            "digest": self.digest,
            "details": json.dumps({"accounts": accounts, "lanes": sorted(self._lanes)}),
        }
        connection.execute(sa.update(batches).where(batches.c.id == self.batch_id).values(**values))
        return None

    def remove(self) -> None:
        """Remove a batch that is not published: its rows, and contacts that nothing else has."""
        tables = self._tables
        items, contacts = tables.items, tables.contacts

        def step(connection: sa.Connection, _: object) -> bool:
            batches = tables.batches
            staged = sa.and_(
                batches.c.id == self.batch_id, batches.c.status == Status.STAGING.value
            )
            found = connection.execute(sa.select(batches.c.id).where(staged).with_for_update())
            if found.first() is None:  # it was published after all
                return False
            query = (
                sa.select(items.c.row, items.c.contact_id, items.c.given_id)
                .where(items.c.batch_id == self.batch_id)
                .order_by(items.c.row)
                .limit(CHUNK)
            )
            rows = connection.execute(query).all()
            those = among(connection, items.c.row, [row.row for row in rows])
            own = items.c.batch_id == self.batch_id
            connection.execute(sa.delete(items).where(own, those))
            ids = {each for row in rows for each in (row.contact_id, row.given_id) if each}
            unused = [
                ~sa.exists().where(table.c.contact_id == contacts.c.id)
                for table in (tables.calls, tables.blocks, items)
            ]
            known = among(connection, contacts.c.id, sorted(ids))
            connection.execute(sa.delete(contacts).where(known, *unused))
            if len(rows) == CHUNK:
                return True
            # Other processes forget the ids that they know.
            connection.execute(sa.update(tables.facts).values(erased_at=datetime.now(UTC)))
            connection.execute(sa.delete(batches).where(staged))
            return False

        while self._ledger.work(step):
            pass


def chunks(rows: array[int]) -> Iterator[array[int]]:
    """Yield the rows in parts of `CHUNK`."""
    for start in range(0, len(rows), CHUNK):
        yield rows[start : start + CHUNK]
