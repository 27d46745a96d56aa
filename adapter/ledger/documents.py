"""The entries of the ledger as JSON documents."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from typing import Any

from adapter.contacts import Contact
from adapter.ledger.queries import BlockEntry, CallEntry, Export
from adapter.results import build_contact


def call_document(entry: CallEntry, *, masked: bool) -> dict[str, Any]:
    """Return a call as JSON. `masked`: its contact is a masked text in place of the identifiers."""
    return _document(entry, masked)


def block_document(entry: BlockEntry) -> dict[str, Any]:
    """Return what is known about one contact of an account as JSON."""
    return _document(entry, False)


def export_document(export: Export) -> dict[str, Any]:
    """Return all that the ledger has about a person as JSON."""
    return {
        "contacts": [build_contact(each) for each in export.contacts],
        "blocks": [block_document(each) for each in export.blocks],
        "calls": [call_document(each, masked=False) for each in export.calls],
    }


def _document(entry: CallEntry | BlockEntry, masked: bool) -> dict[str, Any]:
    return {each.name: _value(getattr(entry, each.name), masked) for each in fields(entry)}


def _value(value: Any, masked: bool) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    if isinstance(value, Contact):
        return value.masked if masked else build_contact(value)
    return value
