"""All that the ledger has about a person, as a JSON document."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from typing import Any

from adapter.contacts import Contact
from adapter.ledger.queries import BlockEntry, CallEntry, Export, RowEntry
from adapter.result_data import build_contact, build_time


def export_document(export: Export) -> dict[str, Any]:
    """Return all that the ledger has about a person as JSON: every column of every row."""
    return {
        "contacts": [build_contact(each) for each in export.contacts],
        "blocks": [_document(each) for each in export.blocks],
        "calls": [_document(each) for each in export.calls],
        "rows": [_document(each) for each in export.rows],
    }


def _document(entry: CallEntry | BlockEntry | RowEntry) -> dict[str, Any]:
    return {each.name: _value(getattr(entry, each.name)) for each in fields(entry)}


def _value(value: Any) -> Any:
    if isinstance(value, datetime):
        return build_time(value)
    return build_contact(value) if isinstance(value, Contact) else value
