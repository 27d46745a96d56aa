"""The batches in the OpenAPI document."""

from __future__ import annotations

from typing import Any, Final

from apispec import APISpec
from marshmallow import Schema

from adapter.codes import Code
from adapter.web.batch_schemas import (
    BatchEnvelope,
    BatchesEnvelope,
    BatchItemsSchema,
    BatchListSchema,
    BatchOptionsSchema,
    BatchRequestSchema,
    CreatedEnvelope,
    ItemsEnvelope,
)
from adapter.web.csv_pages import CSV_TYPE
from adapter.web.openapi_parts import (
    BATCH_CODES,
    BODY_CODES,
    KEY_CODES,
    content,
    headers,
    make_operation,
    query_parameters,
)

_COMMON: Final = KEY_CODES | {
    Code.BAD_REQUEST,
    Code.VALIDATION_ERROR,
    Code.LEDGER_UNAVAILABLE,
    Code.INTERNAL_ERROR,
}
_CSV: Final = {"schema": {"type": "string"}}
_CREATE: Final = (
    "In JSON, or as CSV of up to 25 MiB and 250,000 rows with the other fields in the query. A CSV "
    "has a header with `number`, `jid` or `user_id`, and optionally `action`, `account`, `reason` "
    "and `ref`, or one identifier per line. Where it cannot be read as a whole, the response is a "
    "`validation_error`, whose `fields` have the line, and nothing is kept; so it is where neither "
    "`action` nor any row names the action. An invalid row is `rejected`. The same rows as those "
    "of an unfinished batch return that batch; with `verify`, one that does not verify is a "
    "`batch_conflict`. The scope is `block`."
)
_ITEMS: Final = (
    "With `Accept: text/csv`, the response is CSV that can be sent again as it is: of all rows, or "
    'with `limit` of a page, whose next one is in the header `Link` with `rel="next"`. The scope '
    "is `history`."
)
_CONTROLS: Final = {
    "start": "Start a batch that was created with `start: false`.",
    "pause": "Begin no further rows; those in flight end.",
    "resume": "Go on with a batch that was paused.",
    "cancel": "Begin no further rows, ever; those in flight end.",
    "retry": "Run the failed and unknown rows of a batch that has ended again, as a new wish.",
}
_ID: Final = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "Id of a batch",
    "schema": {"type": "integer", "minimum": 1},
}


def add_batches(spec: APISpec, security: list[dict[str, list[str]]]) -> None:
    """Add the operations of batches."""

    def make(summary: str, envelope: type[Schema], codes: frozenset[Code]) -> dict[str, Any]:
        return make_operation("batches", summary, envelope, _COMMON | codes, security)

    found = frozenset({Code.BATCH_NOT_FOUND})
    codes = BODY_CODES | {Code.ACCOUNT_NOT_FOUND, Code.BATCH_CONFLICT}
    create = make("Create a batch", CreatedEnvelope, codes)
    created = {
        "description": "Created",
        "headers": headers(),
        "content": content(CreatedEnvelope),
    }
    create["responses"] = {
        "200": {**create["responses"]["200"], "description": "It exists"},
        "201": created,
        **{status: each for status, each in create["responses"].items() if status != "200"},
    }
    create |= {
        "description": _CREATE,
        "parameters": query_parameters(BatchOptionsSchema),
        "requestBody": {
            "required": True,
            "content": {**content(BatchRequestSchema), CSV_TYPE: _CSV},
        },
    }
    listed = make("List the batches", BatchesEnvelope, frozenset())
    listed |= {
        "description": "Those whose accounts the key includes all; the scope is `block` or "
        "`history`.",
        "parameters": query_parameters(BatchListSchema),
    }
    spec.path("/v1/batches", operations={"post": create, "get": listed})
    show = make("Show a batch", BatchEnvelope, found)
    show |= {"description": "The scope is `block` or `history`.", "parameters": [_ID]}
    spec.path("/v1/batches/{id}", operations={"get": show})
    items = make("Read the rows of a batch", ItemsEnvelope, found)
    items["responses"]["200"]["content"][CSV_TYPE] = _CSV
    items["responses"]["200"]["headers"]["Link"] = {
        "schema": {"type": "string"},
        "description": "The next page of a CSV.",
    }
    items |= {"description": _ITEMS, "parameters": [_ID, *query_parameters(BatchItemsSchema)]}
    spec.path("/v1/batches/{id}/items", operations={"get": items})
    for name, description in _CONTROLS.items():
        operation = make(f"{name.capitalize()} a batch", BatchEnvelope, BATCH_CODES | BODY_CODES)
        operation |= {"description": f"{description} The scope is `block`.", "parameters": [_ID]}
        spec.path(f"/v1/batches/{{id}}/{name}", operations={"post": operation})
