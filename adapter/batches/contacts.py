"""The ids of many contacts at once, and the texts that rejected rows had as their contact."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa

from adapter.batches.sql import among, next_numbers
from adapter.contacts import Contact, other_form
from adapter.ledger.contact_ids import ContactIds, insert_for
from adapter.ledger.rows import clean
from adapter.ledger.schema import MAX_GIVEN, Events, Tables, UtcTime

_IDENTIFIERS: Final = ("number", "lid", "user_id")

OTHER_FORM: Final = "other_form"
"""The name of a number that is the other form of the stored one."""


def name_contact(contact: Contact, stored: Any) -> str:
    """Return the names of the identifiers by which a row names a stored contact.

    With them, `named_contact` returns the contact as the row has it: no other form of its number is
    sent, and no identifier that it does not have.
    """
    names = [
        name
        for name in _IDENTIFIERS
        if getattr(contact, name) is not None and getattr(contact, name) == getattr(stored, name)
    ]
    number, kept = contact.number, stored.number
    if number is not None and kept is not None and other_form(kept) == number:
        names.append(OTHER_FORM)
    return " ".join(names)


def named_contact(row: Any) -> Contact | None:
    """Return the contact of a row as it was given; None for one that was erased, or rejected.

    `row` has the identifiers of the stored contact, and `named_by`.
    """
    names = (row.named_by or "").split()
    number = row.number if "number" in names else None
    if OTHER_FORM in names and row.number is not None:
        number = other_form(row.number)
    lid = row.lid if "lid" in names else None
    user_id = row.user_id if "user_id" in names else None
    if number is None and lid is None and user_id is None:
        return None
    return Contact(number, lid, user_id)


def known_contact(row: Any) -> Contact | None:
    """Return the same with all that is known of the contact, to find it in a list."""
    named = named_contact(row)
    if named is None:
        return None
    return Contact(named.number or row.number, row.lid, row.user_id)


def read_contacts(connection: sa.Connection, tables: Tables, ids: Iterable[int]) -> dict[int, Any]:
    """Return the stored contacts by their ids."""
    table = tables.contacts
    query = sa.select(table.c.id, *(table.c[name] for name in _IDENTIFIERS))
    rows = connection.execute(query.where(among(connection, table.c.id, sorted(ids))))
    return {row.id: row for row in rows}


def find_ids(
    connection: sa.Connection, tables: Tables, contacts: Iterable[Contact]
) -> dict[Contact, int]:
    """Return the ids of the contacts; those that are not known yet are added.

    A few queries for all contacts with one identifier, as nearly all have.
    """
    by_name: dict[str, dict[str, Contact]] = {name: {} for name in _IDENTIFIERS}
    several = []
    for contact in contacts:
        names = [name for name in _IDENTIFIERS if getattr(contact, name) is not None]
        if len(names) == 1:
            by_name[names[0]][getattr(contact, names[0])] = contact
        else:
            several.append(contact)
    found: dict[Contact, int] = {}
    for name, given in by_name.items():
        if given:
            ids = _find_by(connection, tables, name, given)
            found.update((given[text], number) for text, number in ids.items())
    return found | ContactIds(tables).find(connection, several)


def _find_by(
    connection: sa.Connection, tables: Tables, name: str, texts: Iterable[str]
) -> dict[str, int]:
    """Return the ids by text, as `find_contacts` does: a number is found in both of its forms.

    Of two forms that are new, the first one is stored.
    """
    forms = {text: _forms(name, text) for text in texts}
    column = tables.contacts.c[name]
    known = _read_ids(connection, column, forms.values())
    missing = {
        text: each for text, each in forms.items() if not any(form in known for form in each)
    }
    if missing:
        new = {min(each): text for text, each in reversed(missing.items())}.values()
        events = Events(connection.dialect.name, text=sa.String(), created_at=UtcTime())
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        rows = sa.select(events.c["text"], events.c["created_at"]).select_from(events.table)
        insert = insert_for(connection)(tables.contacts).from_select(
            [name, "created_at"], rows.where(sa.true())
        )
        given = json.dumps([{"text": text, "created_at": now} for text in sorted(new)])
        connection.execute(insert.on_conflict_do_nothing(), {"events": given})
        known |= _read_ids(connection, column, missing.values())
    return {
        text: min(known[form] for form in each if form in known) for text, each in forms.items()
    }


def _forms(name: str, text: str) -> tuple[str, ...]:
    other = other_form(text) if name == "number" else None
    return (text,) if other is None else (text, other)


def _read_ids(
    connection: sa.Connection, column: sa.Column[Any], texts: Iterable[Iterable[str]]
) -> dict[str, int]:
    given = sorted({text for each in texts for text in each})
    query = sa.select(column, column.table.c.id).where(among(connection, column, given))
    return {row[0]: row[1] for row in connection.execute(query)}


def keep_given(connection: sa.Connection, tables: Tables, texts: Sequence[str]) -> Sequence[int]:
    """Keep the texts of rejected rows where contacts are kept; return their ids, in order."""
    if not texts:
        return ()
    table = tables.contacts
    numbers = next_numbers(connection, table, len(texts))
    now = datetime.now(UTC)
    rows = [
        {"id": number, "given": clean(text, MAX_GIVEN), "created_at": now}
        for number, text in zip(numbers, texts, strict=True)
    ]
    connection.execute(sa.insert(table), rows)
    return numbers
