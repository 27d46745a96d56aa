"""Batches and their rows as they are written in an envelope."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adapter.result_data import build_contact, build_time

if TYPE_CHECKING:
    from adapter.batches import Batch, Item

STATUSES = ("staging", "planned", "ready", "running", "paused", "done", "cancelled")
"""The statuses of a batch."""

ITEM_STATUSES = (
    *("pending", "leased", "done", "unchanged", "failed"),
    *("unknown", "rejected", "duplicate", "superseded", "cancelled"),
)
"""The statuses of a row. A test compares both with those of `adapter.batches`."""


def build_batch(batch: Batch) -> dict[str, Any]:
    """Return the batch as it is written in an envelope."""
    left = batch.seconds_left
    return {
        "id": batch.id,
        "kind": batch.kind,
        "account": batch.account,
        "action": batch.action,
        "status": batch.status,
        "pause_code": batch.pause_code,
        "paused_until": build_time(batch.paused_until),
        "waits": [
            {"account": each.account, "code": each.code, "until": build_time(each.until)}
            for each in batch.waits
        ],
        "rows": batch.rows,
        "counts": {status: batch.counts.get(status, 0) for status in ITEM_STATUSES},
        "verify": batch.verify,
        "via": batch.via,
        "key": batch.key_name,
        "created_at": build_time(batch.created_at),
        "started_at": build_time(batch.started_at),
        "finished_at": build_time(batch.finished_at),
        "seconds_left": None if left is None else round(left, 1),
    }


def build_item(item: Item) -> dict[str, Any]:
    """Return a row as it is written in an envelope."""
    return {
        "row": item.row,
        "line": item.line,
        "account": item.account,
        "action": item.action,
        "contact": item.contact and build_contact(item.contact),
        "given": item.given if item.contact is None else None,
        "status": item.status,
        "op": item.op,
        "code": item.code,
        "why": item.why,
        "reason": item.reason,
        "ref": item.ref,
        "attempts": item.attempts,
        "call_id": item.call_id,
    }
