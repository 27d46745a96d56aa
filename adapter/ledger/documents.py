"""The entries of the ledger as JSON documents."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from typing import Any

from adapter.contacts import Contact
from adapter.ledger.queries import BlockEntry, CallEntry, Export
from adapter.results import build_contact


def export_document(export: Export) -> dict[str, Any]:
    """Return all that the ledger has about a person as JSON: every column of every row."""
    return {
        "contacts": [build_contact(each) for each in export.contacts],
        "blocks": [_document(each) for each in export.blocks],
        "calls": [_document(each) for each in export.calls],
    }


def call_document(call: CallEntry) -> dict[str, Any]:
    """Return a call of the history as it is written in an envelope."""
    document = _document(call)
    document["key"] = document.pop("key_name")
    status, code = document.pop("upstream_status"), document.pop("upstream_code")
    document["upstream"] = {"status": status, "code": code}
    del document["deadline_at"]
    return document


def _document(entry: CallEntry | BlockEntry) -> dict[str, Any]:
    return {each.name: _value(getattr(entry, each.name)) for each in fields(entry)}


def _value(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    return build_contact(value) if isinstance(value, Contact) else value
