"""The ids of contacts in the ledger, the only table with the identifiers of persons."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from adapter.contacts import Contact
from adapter.ledger.schema import Tables

MAX_CONTACTS: Final = 10_000
"""Contacts whose ids a process keeps."""

_IDENTIFIERS: Final = ("number", "lid", "user_id")


class ContactIds:
    """The ids of contacts. Bounded; emptied when a contact is erased anywhere."""

    def __init__(self, tables: Tables) -> None:
        self._contacts = tables.contacts
        self._known: dict[Contact, int] = {}
        self._erased_at: Any = None

    def notice_erasure(self, erased_at: Any) -> None:
        """Forget all ids where the last erasure is a later one than before."""
        if erased_at != self._erased_at:
            self._erased_at = erased_at
            self._known.clear()

    def find(
        self, connection: sa.Connection, contacts: Iterable[Contact | None]
    ) -> dict[Contact, int]:
        """Return the ids of the contacts; those that are not known yet are added."""
        known = self._known
        found = {}
        for contact in contacts:
            if contact is None or contact in found:
                continue
            number = known.get(contact)
            if number is None:
                number = self._find_or_add(connection, contact)
                while len(known) >= MAX_CONTACTS:
                    del known[next(iter(known))]
                known[contact] = number
            found[contact] = number
        return found

    def _find_or_add(self, connection: sa.Connection, contact: Contact) -> int:
        """Return the id of a contact; its identifiers are added to what is stored."""
        given = {name: getattr(contact, name) for name in _IDENTIFIERS}
        given = {name: text for name, text in given.items() if text is not None}
        stored = find_contacts(connection, self._contacts, contact)
        if not stored:
            insert = insert_for(connection)(self._contacts).on_conflict_do_nothing()
            values = {**given, "created_at": datetime.now(UTC)}
            connection.execute(insert, values)
            stored = find_contacts(connection, self._contacts, contact)
        first = stored[0]
        taken = {name for row in stored for name in given if getattr(row, name) == given[name]}
        missing = {
            name: text
            for name, text in given.items()
            if getattr(first, name) is None and name not in taken
        }
        if missing:
            table = self._contacts
            connection.execute(sa.update(table).where(table.c.id == first.id).values(missing))
        return int(first.id)


def find_contacts(connection: sa.Connection, contacts: sa.Table, contact: Contact) -> Sequence[Any]:
    """Return the rows with one of the contact's identifiers, that with its number first."""
    pairs = [(contacts.c[name], getattr(contact, name)) for name in _IDENTIFIERS]
    known = [column == text for column, text in pairs if text is not None]
    rows = connection.execute(sa.select(contacts).where(sa.or_(*known))).all()
    return sorted(
        rows,
        key=lambda row: [getattr(row, name) != getattr(contact, name) for name in _IDENTIFIERS],
    )


def insert_for(connection: sa.Connection) -> Any:
    """Return the database's own `insert`, which has `on_conflict_do_nothing`."""
    return postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
