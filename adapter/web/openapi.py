"""The OpenAPI 3.1 document of exactly what a server serves, written from schemas and table."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import Schema

from adapter.codes import Action, Code
from adapter.dialect import Dialect
from adapter.route import Route
from adapter.settings.model import Settings
from adapter.web.body import FORM
from adapter.web.dialect_views import CODE_HEADER, CONFIRMATION_HEADER
from adapter.web.schemas import (
    AccountSchema,
    AccountsEnvelope,
    BlockedEnvelope,
    ChangeEnvelope,
    FailureEnvelope,
    ProvidersEnvelope,
    StatusEnvelope,
    TargetSchema,
)

_JSON = "application/json"
_BASICS = frozenset({Code.NOT_FOUND, Code.METHOD_NOT_ALLOWED})
_BODY = frozenset({Code.INVALID_JSON, Code.PAYLOAD_TOO_LARGE, Code.UNSUPPORTED_MEDIA_TYPE})
_KEY = frozenset({Code.UNAUTHENTICATED, Code.PERMISSION_DENIED})
_QUERY = frozenset({Code.VALIDATION_ERROR})
_EVERY = frozenset(Code) - _BASICS
_READY = (
    "Configuration and plugins are loaded, and calls are taken. No provider is asked: one that is "
    "down, or an account that is paused (`circuit_open`), changes nothing here."
)


def describe_api(settings: Settings) -> dict[str, Any]:
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
            {"name": "contacts", "description": "Block lists, whatever the provider."},
            {"name": "configuration", "description": "What this server is configured for."},
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
    for path, tag, summary, envelope, codes, parameters in (
        (
            "/v1/contacts/blocked",
            "contacts",
            "Read the block list",
            BlockedEnvelope,
            _EVERY - _BODY,
            _query_parameters(AccountSchema),
        ),
        (
            "/v1/accounts",
            "configuration",
            "The accounts that this caller may use",
            AccountsEnvelope,
            _KEY | _QUERY | {Code.INTERNAL_ERROR},
            [],
        ),
        (
            "/v1/providers",
            "configuration",
            "The installed providers and dialects",
            ProvidersEnvelope,
            _KEY | _QUERY | {Code.INTERNAL_ERROR},
            [],
        ),
    ):
        operation = _operation(tag, summary, envelope, codes, security)
        spec.path(path, operations={"get": {**operation, "parameters": parameters}})
    for path, summary, description in (
        ("/livez", "Is the process up?", "It answers, and so it is."),
        ("/readyz", "Is the server ready for calls?", _READY),
    ):
        operation = _operation("health", summary, StatusEnvelope, {Code.INTERNAL_ERROR}, [])
        spec.path(path, operations={"get": {**operation, "description": description}})
    spec.path("/metrics", operations={"get": _metrics_operation(security)})
    for mount in settings.dialects:
        provider = mount.dialect.provider
        spec.tag({"name": mount.name, "description": f"{provider.title}'s own API."})
        for routes in _by_address(provider.all_routes()):
            operation = _native_operation(mount.dialect, routes, keys=keys)
            path, method = mount.prefix + routes[0].template, routes[0].method.lower()
            spec.path(path, operations={method: operation})
    document: dict[str, Any] = spec.to_dict()
    return document


def _change_operation(action: Action, security: list[dict[str, list[str]]]) -> dict[str, Any]:
    summary = f"{action.value.capitalize()} a contact"
    return {
        **_operation("contacts", summary, ChangeEnvelope, _EVERY, security),
        "description": "Name the contact in a JSON body or, where no body is sent, in the query. "
        "Prefer the body: the access logs of proxies keep what stands in a query.",
        "parameters": _query_parameters(TargetSchema),
        "requestBody": {
            "required": False,
            "content": {_JSON: {"schema": TargetSchema}},
        },
    }


def _metrics_operation(security: list[dict[str, list[str]]]) -> dict[str, Any]:
    return {
        "tags": ["health"],
        "summary": "Numbers about the calls, for Prometheus",
        "operationId": "metrics",
        "security": security,
        "responses": {
            "200": {
                "description": "Success",
                "headers": _headers(),
                "content": {"text/plain": {"schema": {"type": "string"}}},
            },
            **_failures(_KEY | {Code.INTERNAL_ERROR}),
        },
    }


def _operation(
    tag: str,
    summary: str,
    envelope: type[Schema],
    codes: Iterable[Code],
    security: list[dict[str, list[str]]],
) -> dict[str, Any]:
    success = {"description": "Success", "headers": _headers(), "content": _content(envelope)}
    return {
        "tags": [tag],
        "summary": summary,
        "operationId": _identifier(summary),
        "security": security,
        "responses": {"200": success, **_failures(codes)},
    }


def _failures(codes: Iterable[Code]) -> dict[str, Any]:
    """Return one response per HTTP status, which tells the rows of the table behind it."""
    rows: dict[int, list[Code]] = {}
    for code in Code:
        if code in frozenset(codes):
            rows.setdefault(code.http_status, []).append(code)
    return {
        str(status): {
            "description": "\n".join(
                f"* `{code.value}`: {code.message} Retry: {code.retry.value}; "
                f"outcome: {code.applied.value}."
                for code in found
            ),
            "headers": _headers(*found),
            "content": _content(FailureEnvelope),
        }
        for status, found in sorted(rows.items())
    }


def _headers(*codes: Code) -> dict[str, Any]:
    text = {"schema": {"type": "string"}}
    headers: dict[str, Any] = {
        "X-Request-Id": {**text, "description": "The id this request goes by.", "required": True},
        "Cache-Control": {**text, "description": "Always `no-store`.", "required": True},
    }
    if any(code.carries_retry_after for code in codes):
        headers["Retry-After"] = {"schema": {"type": "integer"}, "description": "Seconds to wait."}
    if Code.UNAUTHENTICATED in codes:
        headers["WWW-Authenticate"] = {**text, "description": "Always `Bearer`."}
    return headers


def _content(schema: type[Schema]) -> dict[str, Any]:
    return {_JSON: {"schema": schema}}


def _query_parameters(schema: type[Schema]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": field.metadata["description"],
            "schema": {"type": "string"},
        }
        for name, field in schema().fields.items()
    ]


def _by_address(routes: Iterable[Route]) -> list[list[Route]]:
    """Return the routes in groups of one address: a body may say which action is meant."""
    groups: dict[tuple[str, str], list[Route]] = {}
    for route in routes:
        groups.setdefault((route.method, route.template), []).append(route)
    return list(groups.values())


def _native_operation(dialect: type[Dialect], routes: list[Route], *, keys: bool) -> dict[str, Any]:
    """Return the operation of a dialect's address, with the statuses that it can answer."""
    provider = dialect.provider
    actions = " or ".join(route.action.value for route in routes)
    text = {"schema": {"type": "string"}}
    code = {CODE_HEADER: {**text, "description": "The unified code."}}
    known = {CONFIRMATION_HEADER: {**text, "description": "How the success is known."}}
    statuses = sorted({*dialect.success_statuses, *(row.status for row in provider.all_rules())})
    operation: dict[str, Any] = {
        "tags": [provider.name],
        "summary": f"{provider.title}: {actions}",
        "operationId": _identifier(f"{provider.name} {actions}"),
        "description": f"As the provider documents it: {provider.documentation}"
        + (" Its own credential is one of our API keys here." if keys else ""),
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in routes[0].names
        ],
        "responses": {
            str(status): {
                "description": "In the provider's own shape",
                "headers": code | known if status in dialect.success_statuses else code,
            }
            for status in statuses
        },
    }
    if dialect.takes_body and any(route.action is not Action.LIST for route in routes):
        operation["requestBody"] = {
            "description": "As the provider documents it.",
            "required": False,
            "content": {
                kind: {"schema": {}} for kind in (_JSON, *([FORM] if dialect.takes_forms else []))
            },
        }
    return operation


def _identifier(summary: str) -> str:
    return re.sub(r"[^a-z]+", "_", summary.lower()).strip("_")


def _schema_name(schema: Any) -> str:
    name = schema.__name__ if isinstance(schema, type) else type(schema).__name__
    return str(name).removesuffix("Schema")
