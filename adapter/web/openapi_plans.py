"""The plans in the OpenAPI document."""

from __future__ import annotations

from typing import Any, Final

from apispec import APISpec

from adapter.codes import Code
from adapter.web.openapi_parts import (
    BATCH_CODES,
    BODY_CODES,
    KEY_CODES,
    content,
    headers,
    make_operation,
)
from adapter.web.plan_schemas import ApplyRequestSchema, PlanEnvelope, PlanRequestSchema

_COMMON: Final = KEY_CODES | {
    Code.BAD_REQUEST,
    Code.VALIDATION_ERROR,
    Code.LEDGER_UNAVAILABLE,
    Code.INTERNAL_ERROR,
}
_NEVER: Final = {
    *(Code.NOT_FOUND, Code.METHOD_NOT_ALLOWED, Code.NOT_EFFECTIVE, Code.INVALID_TARGET),
    *(Code.IDEMPOTENCY_KEY_IN_USE, Code.IDEMPOTENCY_KEY_REUSED),
}
_READING: Final = frozenset(Code) - _NEVER - BATCH_CODES - {Code.PLAN_STALE}
"""The codes of reading two lists: those of a provider's list, and those of the guards."""

_CREATE: Final = (
    "Reads the list of the target and of the source, or the ledger's where a provider has none, "
    "and sorts every contact. Nothing is sent. A guard refuses the plan (`plan_refused`) where a "
    "list is empty or shorter than expected, or where more would be unblocked than is allowed. The "
    "contacts are the items of the batch with the same id. The scope is `block`."
)
_APPLY: Final = (
    "Reads both lists again and, if what remains is a part of what the plan shows, lets it run as "
    "a batch of the same id; else the response is `plan_stale` with the difference. The scope is "
    "`block`."
)
_ID: Final = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "Id of a plan",
    "schema": {"type": "integer", "minimum": 1},
}


def add_plans(spec: APISpec, security: list[dict[str, list[str]]]) -> None:
    """Add the operations of plans."""

    def make(summary: str, codes: frozenset[Code]) -> dict[str, Any]:
        return make_operation("batches", summary, PlanEnvelope, _COMMON | codes, security)

    create = make("Make a plan", _READING | BODY_CODES)
    responses = dict(create["responses"])
    del responses["200"]
    created = {"description": "Created", "headers": headers(), "content": content(PlanEnvelope)}
    body = {"required": True, "content": content(PlanRequestSchema)}
    create |= {
        "description": _CREATE,
        "requestBody": body,
        "responses": {"201": created, **responses},
    }
    spec.path("/v1/plans", operations={"post": create})
    show = make("Show a plan", frozenset({Code.BATCH_NOT_FOUND}))
    show |= {"description": "The scope is `block` or `history`.", "parameters": [_ID]}
    spec.path("/v1/plans/{id}", operations={"get": show})
    apply = make("Apply a plan", _READING | BATCH_CODES | BODY_CODES | {Code.PLAN_STALE})
    apply |= {
        "description": _APPLY,
        "parameters": [_ID],
        "requestBody": {"required": False, "content": content(ApplyRequestSchema)},
    }
    spec.path("/v1/plans/{id}/apply", operations={"post": apply})
