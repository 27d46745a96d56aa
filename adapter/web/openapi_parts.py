"""The parts of the OpenAPI document that several of its modules need."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from marshmallow import Schema

from adapter.codes import Code
from adapter.history import MAX_LIMIT
from adapter.web.auth import CHALLENGE
from adapter.web.request_schemas import Flag, Whole
from adapter.web.schemas import FailureEnvelope

JSON: Final = "application/json"

ROUTING_CODES: Final = frozenset({Code.NOT_FOUND, Code.METHOD_NOT_ALLOWED})
BODY_CODES: Final = frozenset(
    {Code.INVALID_JSON, Code.PAYLOAD_TOO_LARGE, Code.UNSUPPORTED_MEDIA_TYPE}
)
KEY_CODES: Final = frozenset({Code.UNAUTHENTICATED, Code.PERMISSION_DENIED})
BATCH_CODES: Final = frozenset({Code.BATCH_NOT_FOUND, Code.BATCH_CONFLICT})


def make_operation(
    tag: str,
    summary: str,
    envelope: type[Schema],
    codes: Iterable[Code],
    security: list[dict[str, list[str]]],
    failure: type[Schema] = FailureEnvelope,
) -> dict[str, Any]:
    """Return an operation, with its success and its failures."""
    success = {"description": "Success", "headers": headers(), "content": content(envelope)}
    return {
        "tags": [tag],
        "summary": summary,
        "operationId": identifier(summary),
        "security": security,
        "responses": {"200": success, **failures(codes, failure)},
    }


def failures(codes: Iterable[Code], envelope: type[Schema] = FailureEnvelope) -> dict[str, Any]:
    """Return one response per HTTP status, whose description lists its codes."""
    by_status: dict[int, list[Code]] = {}
    for code in Code:
        if code in frozenset(codes):
            by_status.setdefault(code.http_status, []).append(code)
    return {
        str(status): {
            "description": "\n".join(
                f"* `{code.value}`: {code.message} Retry: {code.retry.value}; "
                f"outcome: {code.applied.value}."
                for code in found
            ),
            "headers": headers(*found),
            "content": content(envelope),
        }
        for status, found in sorted(by_status.items())
    }


def headers(*codes: Code) -> dict[str, Any]:
    """Return the headers of the responses with these codes."""
    text = {"schema": {"type": "string"}}
    headers: dict[str, Any] = {
        "X-Request-Id": {**text, "description": "The id of this request.", "required": True},
        "Cache-Control": {**text, "description": "Always `no-store`.", "required": True},
    }
    if any(code.carries_retry_after for code in codes):
        headers["Retry-After"] = {"schema": {"type": "integer"}, "description": "Seconds to wait."}
    if Code.UNAUTHENTICATED in codes:
        headers["WWW-Authenticate"] = {**text, "description": f"Always `{CHALLENGE}`."}
    return headers


def content(schema: type[Schema]) -> dict[str, Any]:
    """Return the content of a body in JSON."""
    return {JSON: {"schema": schema}}


def query_parameters(schema: type[Schema]) -> list[dict[str, Any]]:
    """Return the parameters of a query, by its schema."""
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": field.metadata["description"],
            "schema": schema_of(field),
        }
        for name, field in schema().fields.items()
    ]


def schema_of(field: Any) -> dict[str, Any]:
    """Return the schema of a parameter."""
    if isinstance(field, Whole):
        return {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT}
    return {"type": "boolean" if isinstance(field, Flag) else "string"}


def identifier(summary: str) -> str:
    """Return the id of an operation, by its summary."""
    return re.sub(r"[^a-z]+", "_", summary.lower()).strip("_")
