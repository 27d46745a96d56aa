"""Store the rows of a batch or of a plan, with their contacts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, Protocol

import sqlalchemy as sa

from adapter.batches.contacts import find_ids, keep_given, name_contact, read_contacts
from adapter.batches.endings import describe
from adapter.contacts import Contact
from adapter.errors import LedgerUnavailable
from adapter.ledger.ledger import Ledger
from adapter.ledger.rows import clean
from adapter.ledger.schema import MAX_REASON, MAX_REF, Events, Tables
from adapter.privacy import mask_digit_runs
from adapter.redaction import redact_contact

LARGE: Final = 1000
"""The rows of a batch that matters to PostgreSQL's planner."""


def safe_texts(
    contact: Contact | None, why: str | None, reason: str | None, ref: str | None
) -> dict[str, str | None]:
    """Return the columns of a row's texts, without the digits of its contact.

    Those of a rejected row have no number at all.
    """

    def redact(text: str | None, length: int) -> str | None:
        if not text:
            return None
        safe = mask_digit_runs(text) if contact is None else redact_contact(text, contact)
        return clean(safe, length)

    return {
        "why": describe(why, contact) if why else None,
        "reason": redact(reason, MAX_REASON),
        "ref": redact(ref, MAX_REF),
    }


class Source(Protocol):
    """What a row was made from: `contact` is None for a rejected one, whose text is `given`."""

    @property
    def contact(self) -> Contact | None:
        """The contact."""

    @property
    def given(self) -> str:
        """The identifiers as they were given."""


def insert_rows(
    connection: sa.Connection,
    tables: Tables,
    rows: Sequence[tuple[Source, dict[str, Any]]],
    names: Sequence[str],
) -> None:
    """Insert rows with these columns; the ids of their contacts are set here."""
    contacts = dict.fromkeys(each.contact for each, _ in rows if each.contact is not None)
    ids = find_ids(connection, tables, contacts)
    rejected = [row for row in rows if row[0].contact is None]
    given = keep_given(connection, tables, [each.given for each, _ in rejected])
    for (_, columns), number in zip(rejected, given, strict=True):
        columns["given_id"] = number
    stored = read_contacts(connection, tables, set(ids.values()))
    for each, columns in rows:
        if each.contact is not None:
            columns["contact_id"] = ids[each.contact]
            columns["named_by"] = name_contact(each.contact, stored[ids[each.contact]])
    table = tables.items
    events = Events(connection.dialect.name, **{name: table.c[name].type for name in names})
    selected = sa.select(*(events.c[name] for name in names)).select_from(events.table)
    insert = sa.insert(table).from_select(list(names), selected)
    connection.execute(insert, {"events": json.dumps([columns for _, columns in rows])})


def note_size(ledger: Ledger, rows: int) -> None:
    """Tell PostgreSQL's planner of a batch with as many rows; nothing for a small one.

    Until its autovacuum does, it takes a batch for a few rows, and reads all of them to find one.
    Not by the writer, for which calls wait: it may take seconds, and wait for such work of others.
    https://www.postgresql.org/docs/15/populate.html, section 14.4.8, 2026-11-26
    """

    def analyze(connection: sa.Connection) -> None:
        if connection.dialect.name == "postgresql":
            name = connection.dialect.identifier_preparer.format_table(ledger.tables.items)
            connection.exec_driver_sql(f"ANALYZE {name}")

    if rows >= LARGE:
        with suppress(LedgerUnavailable):  # it changes no result
            ledger.ask(analyze)
