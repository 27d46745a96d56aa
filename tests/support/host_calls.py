"""The calls of the embedding tests, and comparable copies of their responses."""

from __future__ import annotations

import re
from typing import Any

from flask import Flask
from werkzeug.test import Client, TestResponse

from support import JID, NATIVE, NUMBER, SESSION, key_for
from support.hosts import PAGES

CONFIG: dict[str, Any] = {
    "accounts": {"support": {"provider": "memory", "aliases": [SESSION]}},
    "keys": {"crm": key_for("k"), "blind": key_for("b", scopes=("block",))},
    "dialects": {"enabled": list(NATIVE)},
}
PREFIX = "/contact-adapter"
KEY = {"X-API-Key": "k", "X-Request-Id": "one-and-the-same"}
BEARER = {"Authorization": "Bearer k", "X-Request-Id": "one-and-the-same"}
WAPPFY = {"apikey": "k", "X-Request-Id": "one-and-the-same"}
NOT_CONNECTED = "15005550012"
UNREACHABLE = "15005550021"

Call = tuple[str, str, dict[str, Any]]

BLOCK, UNBLOCK, BLOCKED = (f"/v1/contacts/{name}" for name in ("block", "unblock", "blocked"))
GATEWAY = f"/dialects/session-gateway/api/v1/sessions/{SESSION}/contacts/{{}}/{{}}"

# Each call with the status and code of its response. The order matters: the block list is read
# after it was written.
CALLS: dict[str, tuple[Call, int, str]] = {
    "block": (("POST", BLOCK, {"json": {"number": NUMBER}, "headers": KEY}), 200, "ok"),
    "block by query": (("POST", f"{BLOCK}?number={NUMBER}", {"headers": KEY}), 200, "ok"),
    "list": (("GET", BLOCKED, {"headers": KEY}), 200, "ok"),
    "unblock": (("POST", UNBLOCK, {"json": {"jid": JID}, "headers": BEARER}), 200, "ok"),
    "accounts": (("GET", "/v1/accounts", {"headers": KEY}), 200, "ok"),
    "providers": (("GET", "/v1/providers", {"headers": KEY}), 200, "ok"),
    "no key": (("GET", "/v1/accounts", {"headers": {}}), 401, "unauthenticated"),
    "no scope": (
        ("GET", "/v1/accounts", {"headers": {"X-API-Key": "b"}}),
        403,
        "permission_denied",
    ),
    "no json": (
        ("POST", BLOCK, {"data": "{", "content_type": "application/json", "headers": KEY}),
        400,
        "invalid_json",
    ),
    "a form": (
        ("POST", BLOCK, {"data": {"number": NUMBER}, "headers": KEY}),
        415,
        "unsupported_media_type",
    ),
    "a form and a query": (
        ("POST", f"{BLOCK}?number={NUMBER}", {"data": {"number": NUMBER}, "headers": KEY}),
        422,
        "validation_error",
    ),
    "too large": (
        ("POST", BLOCK, {"json": {"number": " " * 70_000}, "headers": KEY}),
        413,
        "payload_too_large",
    ),
    "invalid target": (
        ("POST", BLOCK, {"json": {"number": "12"}, "headers": KEY}),
        422,
        "invalid_target",
    ),
    "no such account": (
        ("POST", BLOCK, {"json": {"number": NUMBER, "account": "x"}, "headers": KEY}),
        404,
        "account_not_found",
    ),
    "not connected": (
        ("POST", BLOCK, {"json": {"number": NOT_CONNECTED}, "headers": KEY}),
        409,
        "session_not_connected",
    ),
    "unreachable": (
        ("POST", BLOCK, {"json": {"number": UNREACHABLE}, "headers": KEY}),
        503,
        "provider_unreachable",
    ),
    "wuts": (
        ("POST", "/dialects/wuts/contacts/block", {"json": {"jid": JID}, "headers": BEARER}),
        200,
        "ok",
    ),
    "wuts list": (("GET", "/dialects/wuts/contacts/blocklist", {"headers": BEARER}), 200, "ok"),
    "wuts no key": (("POST", "/dialects/wuts/contacts/block", {}), 401, "unauthenticated"),
    "wuts invalid target": (
        ("POST", "/dialects/wuts/contacts/block", {"json": {"jid": "x"}, "headers": BEARER}),
        400,
        "invalid_target",
    ),
    "wuts not connected": (
        (
            "POST",
            "/dialects/wuts/contacts/block",
            {"json": {"number": NOT_CONNECTED}, "headers": BEARER},
        ),
        503,
        "session_not_connected",
    ),
    "wuts unknown path": (
        ("GET", "/dialects/wuts/nowhere", {"headers": BEARER}),
        404,
        "not_found",
    ),
    "gateway": (("POST", GATEWAY.format(JID, "block"), {"headers": BEARER}), 204, "ok"),
    "gateway not connected": (
        ("POST", GATEWAY.format(f"{NOT_CONNECTED}@s.whatsapp.net", "block"), {"headers": BEARER}),
        501,
        "session_not_connected",
    ),
    "wappfy": (
        (
            "POST",
            "/dialects/wappfy/api/contacts/unblock",
            {"json": {"contactId": f"{NUMBER}@c.us", "session": SESSION}, "headers": WAPPFY},
        ),
        201,
        "ok",
    ),
}


Responses = dict[str, tuple[int, list[tuple[str, str]], str]]
"""By the title of the call: status, headers and body."""


def normalize(response: TestResponse) -> tuple[int, list[tuple[str, str]], str]:
    """Return status, headers and body, without what differs from call to call."""
    body = re.sub(r'"duration_ms":\d+', '"duration_ms":0', response.text)
    digits = len(response.text) - len(body)  # digits of a longer duration
    body = re.sub(r'"timestamp":"[^"]*"', '"timestamp":""', body)
    headers = {name: value for name, value in response.headers if name != "X-Made-By"}
    if "Content-Length" in headers:
        headers["Content-Length"] = str(int(headers["Content-Length"]) - digits)
    if "one-and-the-same" not in headers.get("X-Request-Id", "one-and-the-same"):
        body = body.replace(headers["X-Request-Id"], "")
        headers["X-Request-Id"] = ""
    return response.status_code, sorted(headers.items()), body


def responses(app: Any, prefix: str = PREFIX, base_url: str = "http://localhost") -> Responses:
    """Make every call and return the responses."""
    client = Client(app)
    found = {}
    for title, ((method, path, rest), _, _) in CALLS.items():
        response = client.open(prefix + path, method=method, base_url=base_url, **rest)
        with response:
            found[title] = normalize(response)
    return found


def pages(app: Flask, base_url: str = "http://localhost") -> dict[str, Any]:
    """Request every page of the host; return its response, or the type of its exception."""
    client = app.test_client()
    found: dict[str, Any] = {}
    for method, path in PAGES:
        try:
            with client.open(path, method=method, base_url=base_url) as response:
                headers = sorted(response.headers.to_wsgi_list())
                found[f"{method} {path}"] = (response.status_code, headers, response.data)
        except Exception as error:  # noqa: BLE001 - any exception of the host
            found[f"{method} {path}"] = type(error)
    return found
