"""The ids of contacts in the ledger, the only table with the identifiers of persons."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from adapter.contacts import Contact, as_sent, other_form
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
        """Return the ids of the contacts; those that are not known yet are added.

        They are added in one order, so that two processes do not wait for each other.
        """
        known = self._known
        found: dict[Contact, int] = {}
        missing = set()
        for contact in contacts:
            if contact is not None and contact not in found:
                number = known.get(contact)
                if number is None:
                    missing.add(contact)
                else:
                    found[contact] = number
        for contact in sorted(missing, key=_identifiers):
            while len(known) >= MAX_CONTACTS:
                del known[next(iter(known))]
            found[contact] = known[contact] = self._find_or_add(connection, as_sent(contact))
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
    """Return the rows of a person, the first one first: it has the person's calls and blocks.

    A number is found in both of its forms; see `adapter.contacts.other_form`.
    """
    contact = as_sent(contact)
    known = [
        contacts.c[name] == getattr(contact, name)
        for name in _IDENTIFIERS
        if getattr(contact, name) is not None
    ]
    other = other_form(contact.number) if contact.number is not None else None
    if other is not None:
        known.append(contacts.c.number == other)
    query = sa.select(contacts).where(sa.or_(*known)).order_by(contacts.c.id)
    return sorted(
        connection.execute(query).all(),
        key=lambda row: [
            row.number is None or row.number not in (contact.number, other),
            row.lid != contact.lid,
        ],
    )


def _identifiers(contact: Contact) -> tuple[str, ...]:
    return tuple(getattr(contact, name) or "" for name in _IDENTIFIERS)


def insert_for(connection: sa.Connection) -> Any:
    """Return the database's own `insert`, which has `on_conflict_do_nothing`."""
    return postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
