"""Plans as they are written in an envelope."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adapter.web.batch_documents import build_batch

if TYPE_CHECKING:
    from adapter.batches import Plan

OPS = ("keep", "block", "unblock", "cannot", "unsure", "missing", "extra")
"""What a plan does with a contact."""

GUARDS = ("empty", "shrunk", "not_recent")
"""The guards that can be lifted for one plan. A test compares both with those of the plans."""

BASES = ("provider", "ledger", "file")
"""Where a list comes from."""


def build_plan_document(plan: Plan) -> dict[str, Any]:
    """Return the plan as it is written in an envelope."""
    return {
        "id": plan.id,
        "status": plan.batch.status,
        "source": plan.source,
        "target": plan.target,
        "same": plan.same,
        "bases": plan.bases,
        "sizes": plan.sizes,
        "ops": {op: plan.ops.get(op, 0) for op in OPS},
        "changes": plan.changes,
        "mirror": plan.mirror,
        "allow_unblocks": plan.allow_unblocks,
        "allow": sorted(guard.value for guard in plan.allow),
        "digest": plan.digest,
        "batch": build_batch(plan.batch),
    }
