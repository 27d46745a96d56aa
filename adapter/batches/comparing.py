"""Compare a provider's list with the rows of a batch: once before it begins, and once at its end.

The list is read once for all rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import sqlalchemy as sa

from adapter.account import Account
from adapter.batches.model import ItemStatus
from adapter.batches.sql import among, update_rows
from adapter.codes import Action, Code
from adapter.comparison import Identities
from adapter.contacts import Contact, as_sent, other_form
from adapter.ledger.ledger import Ledger
from adapter.ledger.schema import Tables

CHUNK: Final = 1000
"""Rows, or entries of the list, of one transaction."""

_NAMES: Final = ("number", "lid", "user_id")
_COMPARED: Final = (ItemStatus.DONE, ItemStatus.UNCHANGED, ItemStatus.UNKNOWN)


def mark_unchanged(ledger: Ledger, batch_id: int, account: str, entries: Iterable[Contact]) -> None:
    """End the rows that block a contact which is in the list. Raises LedgerUnavailable.

    A contact for which the ledger has the opposite wish is left to the order of wishes.
    """
    tables = ledger.tables
    for name in _NAMES:
        texts = [text for each in entries if (text := getattr(each, name)) is not None]
        for start in range(0, len(texts), CHUNK):
            part = texts[start : start + CHUNK]
            ledger.work(
                lambda connection, _, name=name, part=part: _mark(  # type: ignore[misc]
                    connection, tables, batch_id, account, name, part
                )
            )


def _mark(
    connection: sa.Connection,
    tables: Tables,
    batch_id: int,
    account: str,
    name: str,
    texts: list[str],
) -> None:
    items, contacts, blocks = tables.items, tables.contacts, tables.blocks
    query = sa.select(contacts.c.id).where(among(connection, contacts.c[name], texts))
    ids = connection.execute(query).scalars().all()
    opposite = sa.exists().where(
        blocks.c.account == account,
        blocks.c.contact_id == items.c.contact_id,
        blocks.c.wanted != "blocked",
    )
    update = (
        sa.update(items)
        .where(items.c.batch_id == batch_id, items.c.status == ItemStatus.PENDING.value)
        .where(items.c.account == account, items.c.action == Action.BLOCK.value)
        .where(among(connection, items.c.contact_id, ids), ~opposite)
        .values(status=ItemStatus.UNCHANGED.value)
    )
    connection.execute(update)


class BlockList:
    """A whole list of blocked contacts, in which a contact is found at once."""

    def __init__(self, entries: Iterable[Contact], identities: Identities) -> None:
        self._identities = identities
        self._known: dict[str, set[str]] = {name: set() for name in _NAMES}
        self._kinds: set[frozenset[str]] = set()
        for entry in map(identities.complete, entries):
            names = [name for name in _NAMES if getattr(entry, name) is not None]
            self._kinds.add(frozenset(names))
            for name in names:
                self._known[name].add(getattr(entry, name))

    def shows(self, contact: Contact) -> bool | None:
        """Whether the contact is blocked; None where an entry cannot be compared with it.

        As `find_state`: a LID that was learnt some time ago shows a block alone, and the other form
        of a number may be the same person.
        """
        contact = as_sent(contact)
        who = self._identities.complete(contact)
        own = self._identities.number_of(contact.number)
        if self._has(who) or (own is not None and own in self._known["number"]):
            return True
        if contact.number is not None and other_form(contact.number) in self._known["number"]:
            return None
        certain = who if self._identities.is_fresh(contact) else contact
        names = {name for name in _NAMES if getattr(certain, name) is not None}
        return False if all(names & kinds for kinds in self._kinds) else None

    def _has(self, who: Contact) -> bool:
        return any(getattr(who, name) in self._known[name] for name in _NAMES)


def has_unknown_rows(ledger: Ledger, batch_id: int, account: str) -> bool:
    """Whether rows were sent whose outcome is unknown. Raises LedgerUnavailable."""
    unknown = (ItemStatus.UNKNOWN,)
    return ledger.ask(
        lambda connection: bool(
            _read_rows(connection, ledger.tables, batch_id, account, 0, unknown)
        )
    )


def compare_rows(
    ledger: Ledger,
    batch_id: int,
    account: Account,
    blocked: BlockList,
    *,
    only_unknown: bool = False,
) -> None:
    """Let the list decide about the rows that were sent. Raises LedgerUnavailable.

    A row whose contact is not as wanted has failed, and an unknown one that is as wanted is done.
    With `only_unknown`, it decides about nothing but these: any other may still take effect.
    """
    tables = ledger.tables
    statuses = (ItemStatus.UNKNOWN,) if only_unknown else _COMPARED
    after = 0
    while True:
        rows = ledger.ask(
            lambda connection, after=after: _read_rows(  # type: ignore[misc]
                connection, tables, batch_id, account.name, after, statuses
            )
        )
        if not rows:
            return
        after = rows[-1].row
        wrong, right = [], []
        for row in rows:
            if row.number is None and row.lid is None and row.user_id is None:
                continue
            shown = blocked.shows(Contact(row.number, row.lid, row.user_id))
            if shown is None:
                continue
            if shown is (row.action == Action.BLOCK):
                if row.status == ItemStatus.UNKNOWN:
                    right.append(row.row)
            elif not only_unknown:
                wrong.append(row.row)
        code = Code.NOT_EFFECTIVE
        failed = {"status": ItemStatus.FAILED.value, "code": code.value, "why": code.message}
        done = {"status": ItemStatus.DONE.value, "code": None, "why": None}
        for numbers, values in ((wrong, failed), (right, done)):
            if numbers:
                ledger.work(
                    lambda connection, _, numbers=numbers, values=values: _set(  # type: ignore[misc]
                        connection, tables, batch_id, numbers, values
                    )
                )


def mark_unverified(ledger: Ledger, batch_id: int, account: str, code: Code) -> None:
    """Let the done rows be unknown, as no list could be read. Raises LedgerUnavailable."""
    tables = ledger.tables
    values = {"status": ItemStatus.UNKNOWN.value, "code": code.value, "why": code.message}

    def step(connection: sa.Connection, after: int) -> int | None:
        rows = _read_rows(connection, tables, batch_id, account, after)
        done = [row.row for row in rows if row.status == ItemStatus.DONE]
        if done:
            _set(connection, tables, batch_id, done, values)
        return rows[-1].row if rows else None

    after: int | None = 0
    while after is not None:
        after = ledger.work(lambda connection, _, after=after: step(connection, after))  # type: ignore[misc]


def _read_rows(
    connection: sa.Connection,
    tables: Tables,
    batch_id: int,
    account: str,
    after: int,
    statuses: Sequence[ItemStatus] = _COMPARED,
) -> Any:
    """Return the next rows that were sent, but for those whose wish is not the newest."""
    items, contacts, blocks = tables.items, tables.contacts, tables.blocks
    wanted = sa.case((items.c.action == Action.BLOCK.value, "blocked"), else_="unblocked")
    opposite = sa.exists().where(
        blocks.c.account == items.c.account,
        blocks.c.contact_id == items.c.contact_id,
        blocks.c.wanted != wanted,
    )
    query = (
        sa.select(
            *(items.c.row, items.c.action, items.c.status),
            *(contacts.c.number, contacts.c.lid, contacts.c.user_id),
        )
        .select_from(items.join(contacts, contacts.c.id == items.c.contact_id))
        .where(items.c.batch_id == batch_id, items.c.row > after, items.c.account == account)
        .where(items.c.status.in_([each.value for each in statuses]), ~opposite)
        .order_by(items.c.row)
        .limit(CHUNK)
    )
    return connection.execute(query).all()


def _set(
    connection: sa.Connection,
    tables: Tables,
    batch_id: int,
    numbers: list[int],
    values: dict[str, Any],
) -> None:
    sent = tables.items.c.status.in_([each.value for each in _COMPARED])
    update_rows(connection, tables.items, batch_id, numbers, values, sent)
