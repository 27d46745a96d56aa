"""The OpenAPI 3.1 document of one server, from its settings, the schemas and the code table."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin

from adapter.codes import Action, Code
from adapter.dialect import Dialect
from adapter.route import Route
from adapter.settings.model import Settings
from adapter.web.body import FORM_TYPE
from adapter.web.context import REPLAYED_HEADER
from adapter.web.csv_pages import COLUMNS, CSV_TYPE
from adapter.web.dialect_views import CODE_HEADER, CONFIRMATION_HEADER
from adapter.web.openapi_batches import add_batches
from adapter.web.openapi_parts import (
    BATCH_CODES,
    BODY_CODES,
    JSON,
    KEY_CODES,
    ROUTING_CODES,
    content,
    failures,
    headers,
    identifier,
    make_operation,
    query_parameters,
)
from adapter.web.openapi_plans import add_plans
from adapter.web.request_schemas import (
    BlockedRequestSchema,
    ChangeRequestSchema,
    LookupRequestSchema,
    SearchRequestSchema,
    TargetSchema,
)
from adapter.web.schemas import (
    AccountsEnvelope,
    BlockedEnvelope,
    CallsEnvelope,
    ChangeEnvelope,
    ChangeFailureEnvelope,
    FailureEnvelope,
    LookupsEnvelope,
    ProvidersEnvelope,
    SessionEnvelope,
    StateEnvelope,
    StatusEnvelope,
)

_QUERY_CODES = frozenset({Code.VALIDATION_ERROR})
_CALL_CODES = frozenset(Code) - ROUTING_CODES - BATCH_CODES
_CHANGE_ALONE = {Code.NOT_EFFECTIVE, Code.IDEMPOTENCY_KEY_IN_USE, Code.IDEMPOTENCY_KEY_REUSED}
_READ_CODES = _CALL_CODES - _CHANGE_ALONE
_HISTORY_CODES = (
    {Code.BAD_REQUEST, Code.ACCOUNT_NOT_FOUND, Code.INVALID_TARGET, Code.LEDGER_UNAVAILABLE}
    | BODY_CODES
    | KEY_CODES
    | _QUERY_CODES
    | {Code.INTERNAL_ERROR}
)
_READY = (
    "Configuration and plugins are loaded, and calls are accepted. No provider is called: a "
    "provider that is down, or an open circuit breaker (`circuit_open`), changes nothing here."
)

_ANY_QUERY = {
    "name": "query",
    "in": "query",
    "description": "As the provider documents it.",
    "required": False,
    "style": "form",
    "explode": True,
    "schema": {"type": "object", "additionalProperties": {"type": "string"}},
}
"""The query of a dialect's read, whose names the provider documents."""
_VERIFIED = (
    "`data.verified` is what reading the change back has shown. A failed change has `data` only "
    "where it was read back."
)
_LOOKUP = (
    "Each number has its entry, in order. A number whose lookup failed is `null`, with the `code` "
    "of the failure; where all of them failed, the response is that failure."
)
_STATE = (
    "By the provider's read for one contact, else by its block list; where it has neither, by the "
    "ledger, if one is configured. `blocked` is `null` where that does not show it."
)
_HISTORY = (
    "From the ledger, of the accounts that the key includes; by default of the last 24 hours. The "
    "scope is `history`."
)
_BLOCKED = (
    "Without `limit` and `cursor`, the provider's list is whole. Pages of it are in an order of "
    "their own; each reads the whole list again. With `Accept: text/csv`, the response is CSV; the "
    'next page is in the header `Link` with `rel="next"`.'
)
_KEY_PARAMETER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A new key for each change, in double quotes, of up to 255 characters, kept for "
    "24 hours: the same change with the same key is not made again. It needs a ledger.",
    "schema": {"type": "string", "example": '"8e03978e-40d5-43dd-bc93-6894a57f9324"'},
}
_NAME_PARAMETER = {
    "name": "name",
    "in": "path",
    "required": True,
    "description": "Name of a configured account",
    "schema": {"type": "string"},
}


def build_openapi(settings: Settings) -> dict[str, Any]:
    """Return the OpenAPI document of a server with these settings."""
    spec = APISpec(
        title="Contact Adapter",
        version=version("contact-adapter"),
        openapi_version="3.1.0",
        plugins=[MarshmallowPlugin(schema_name_resolver=_schema_name)],
        info={
            "description": "One block/unblock API in front of any WhatsApp HTTP provider.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        tags=[
            {"name": "contacts", "description": "Block lists, the same way for every provider."},
            {"name": "batches", "description": "Many changes of block lists; they need a ledger."},
            {"name": "configuration", "description": "The configuration of this server."},
            {"name": "health", "description": "The state of this process."},
        ],
    )
    spec.components.schema("FailureEnvelope", schema=FailureEnvelope)
    keys = bool(settings.keys)
    if keys:
        schemes = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        }
        for name, scheme in schemes.items():
            spec.components.security_scheme(name, scheme)
    security: list[dict[str, list[str]]] = [{"bearer": []}, {"apiKey": []}] if keys else []
    for action in (Action.BLOCK, Action.UNBLOCK):
        spec.path(
            f"/v1/contacts/{action.value}",
            operations={"post": _change_operation(action, security)},
        )
    for path, summary, description, schema, envelope in (
        (
            "/v1/contacts/lookup",
            "Look up which numbers are on WhatsApp",
            _LOOKUP,
            LookupRequestSchema,
            LookupsEnvelope,
        ),
        (
            "/v1/contacts/state",
            "Read whether a contact is blocked",
            _STATE,
            TargetSchema,
            StateEnvelope,
        ),
        (
            "/v1/calls/search",
            "Search the history of calls",
            _HISTORY,
            SearchRequestSchema,
            CallsEnvelope,
        ),
    ):
        codes = _HISTORY_CODES if schema is SearchRequestSchema else _READ_CODES
        operation = make_operation("contacts", summary, envelope, codes, security)
        body = {"required": True, "content": content(schema)}
        spec.path(
            path,
            operations={"post": {**operation, "description": description, "requestBody": body}},
        )
    for path, tag, summary, envelope, possible, parameters in (
        (
            "/v1/contacts/blocked",
            "contacts",
            "Read the block list",
            BlockedEnvelope,
            _READ_CODES - BODY_CODES,
            query_parameters(BlockedRequestSchema),
        ),
        (
            "/v1/accounts/{name}/status",
            "contacts",
            "Read whether the session is connected",
            SessionEnvelope,
            _READ_CODES - BODY_CODES,
            [_NAME_PARAMETER],
        ),
        (
            "/v1/accounts",
            "configuration",
            "The accounts that the caller may use",
            AccountsEnvelope,
            KEY_CODES | _QUERY_CODES | {Code.INTERNAL_ERROR},
            [],
        ),
        (
            "/v1/providers",
            "configuration",
            "The installed providers and dialects",
            ProvidersEnvelope,
            KEY_CODES | _QUERY_CODES | {Code.INTERNAL_ERROR},
            [],
        ),
    ):
        operation = make_operation(tag, summary, envelope, possible, security)
        if envelope is BlockedEnvelope:
            _add_csv(operation)
        spec.path(path, operations={"get": {**operation, "parameters": parameters}})
    add_batches(spec, security)
    add_plans(spec, security)
    for path, summary, description in (
        ("/livez", "Is the process up?", "A response means that it is."),
        ("/readyz", "Is the server ready for calls?", _READY),
    ):
        operation = make_operation("health", summary, StatusEnvelope, {Code.INTERNAL_ERROR}, [])
        spec.path(path, operations={"get": {**operation, "description": description}})
    spec.path("/metrics", operations={"get": _metrics_operation(security)})
    for mount in settings.dialects:
        provider = mount.dialect.provider
        spec.tag({"name": mount.name, "description": f"{provider.title}'s own API."})
        for routes in _group_by_address(mount.dialect.routes()):
            operation = _dialect_operation(mount.dialect, routes, keys=keys)
            path, method = mount.prefix + routes[0].template, routes[0].method.lower()
            spec.path(path, operations={method: operation})
    document: dict[str, Any] = spec.to_dict()
    return document


def _add_csv(operation: dict[str, Any]) -> None:
    """Add the CSV of a block list to its operation."""
    success = operation["responses"]["200"]
    columns = ",".join(COLUMNS)
    success["content"][CSV_TYPE] = {
        "schema": {"type": "string", "description": f"The first line is: {columns}"}
    }
    success["headers"]["Link"] = {
        "schema": {"type": "string"},
        "description": "The next page of a CSV.",
    }
    operation["description"] = _BLOCKED


def _change_operation(action: Action, security: list[dict[str, list[str]]]) -> dict[str, Any]:
    summary = f"{action.value.capitalize()} a contact"
    operation = make_operation(
        "contacts", summary, ChangeEnvelope, _CALL_CODES, security, ChangeFailureEnvelope
    )
    operation["responses"]["200"]["headers"][REPLAYED_HEADER] = {
        "schema": {"type": "string"},
        "description": "`true` where the key was used before, and nothing was sent.",
    }
    return {
        **operation,
        "description": "Name the contact in a JSON body or, without a body, in the query. "
        f"Prefer the body: proxies write the query to their access logs. {_VERIFIED}",
        "parameters": [_KEY_PARAMETER, *query_parameters(ChangeRequestSchema)],
        "requestBody": {"required": False, "content": content(ChangeRequestSchema)},
    }


def _metrics_operation(security: list[dict[str, list[str]]]) -> dict[str, Any]:
    return {
        "tags": ["health"],
        "summary": "Metrics of the calls, for Prometheus",
        "operationId": "metrics",
        "security": security,
        "responses": {
            "200": {
                "description": "Success",
                "headers": headers(),
                "content": {"text/plain": {"schema": {"type": "string"}}},
            },
            **failures(KEY_CODES | {Code.INTERNAL_ERROR}),
        },
    }


def _group_by_address(routes: Iterable[Route]) -> list[list[Route]]:
    """Return the routes in groups of one method and path: the body may name the action."""
    groups: dict[tuple[str, str], list[Route]] = {}
    for route in routes:
        groups.setdefault((route.method, route.template), []).append(route)
    return list(groups.values())


def _dialect_operation(
    dialect: type[Dialect], routes: list[Route], *, keys: bool
) -> dict[str, Any]:
    """Return the operation of one dialect path, with all statuses of its responses."""
    provider, method = dialect.provider, routes[0].method
    is_change = any(route.action.is_change for route in routes)
    takes_input = is_change or routes[0].action in (Action.LOOKUP, Action.STATE)
    actions = " or ".join(route.action.value for route in routes)
    text = {"schema": {"type": "string"}}
    code = {CODE_HEADER: {**text, "description": "The unified code."}}
    known = {CONFIRMATION_HEADER: {**text, "description": "How the success is confirmed."}}
    successes = dialect.success_statuses if is_change else (HTTPStatus.OK.value,)
    statuses = sorted({*successes, *(rule.status for rule in provider.all_rules())})
    operation: dict[str, Any] = {
        "tags": [provider.name],
        "summary": f"{provider.title}: {actions}",
        "operationId": identifier(f"{provider.name} {actions}"),
        "description": f"As the provider documents it: {provider.documentation}"
        + (" The credential is an API key of this server." if keys else ""),
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in routes[0].names
        ],
        "responses": {
            str(status): {
                "description": "In the provider's own format",
                "headers": code | known if status in successes else code,
            }
            for status in statuses
        },
    }
    if takes_input and method == "GET":
        operation["parameters"].append(_ANY_QUERY)
    elif takes_input and dialect.takes_body:
        operation["requestBody"] = {
            "description": "As the provider documents it.",
            "required": False,
            "content": {
                kind: {"schema": {}}
                for kind in (JSON, *([FORM_TYPE] if dialect.takes_forms else []))
            },
        }
    return operation


def _schema_name(schema: Any) -> str:
    name = schema.__name__ if isinstance(schema, type) else type(schema).__name__
    return str(name).removesuffix("Schema")
