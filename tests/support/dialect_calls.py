"""Requests in every dialect, and checks of the responses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from support import (
    DIALECTS,
    NUMBER,
    SESSION,
    Answer,
    call,
    key_for,
)

CODE = "X-Contact-Adapter-Code"
CONFIRMATION = "X-Contact-Adapter-Confirmation"
PROVIDERS = (*DIALECTS, "memory")
BY_BODY = ("wappfy", "waha", "evolution-api")
"""The dialects with sessions, and with the contact in the body."""
KEY = "our-key"
PREFIX = {name: f"/dialects/{name}" for name in DIALECTS}


def native_request(
    dialect: str, action: str, target: str = NUMBER, *, session: str = SESSION, key: str = KEY
) -> dict[str, Any]:
    """Return the request of a client of the provider: method, path, JSON and headers."""
    jid = target if "@" in target else f"{target}@s.whatsapp.net"
    if dialect == "wuts":
        return {
            "method": "POST",
            "path": f"{PREFIX[dialect]}/contacts/{action}",
            "json": {"jid": jid},
            "headers": {"Authorization": f"Bearer {key}"},
        }
    if dialect in ("wappfy", "waha"):
        return {
            "method": "POST",
            "path": f"{PREFIX[dialect]}/api/contacts/{action}",
            "json": {"contactId": target, "session": session},
            "headers": {"apikey" if dialect == "wappfy" else "X-Api-Key": key},
        }
    if dialect == "evolution-api":
        return {
            "method": "POST",
            "path": f"{PREFIX[dialect]}/chat/updateBlockStatus/{session}",
            "json": {"number": target, "status": action},
            "headers": {"apikey": key},
        }
    return {
        "method": "POST",
        "path": f"{PREFIX[dialect]}/api/v1/sessions/{session}/contacts/{jid}/{action}",
        "json": None,
        "headers": {"Authorization": f"Bearer {key}"},
    }


def send(client: FlaskClient, request: Mapping[str, Any], **changes: Any) -> TestResponse:
    return client.open(**{**request, **changes})


def send_over(address: str, request: Mapping[str, Any]) -> Answer:
    return call(
        address,
        request["method"],
        request["path"],
        json_body=request["json"],
        headers=request["headers"],
    )


def expect_native_success(dialect: str, answer: Answer | TestResponse, action: str) -> None:
    """Check that the response is the documented one of the provider."""
    status = answer.status if isinstance(answer, Answer) else answer.status_code
    body = answer.body if isinstance(answer, Answer) else answer.data
    assert answer.headers[CODE] == "ok"
    if dialect == "wuts":
        document = json.loads(body)
        assert status == 200
        assert document["success"] is True
        assert document["data"]["action"] == action
        assert document["data"]["blocked"] is (action == "block")
    elif dialect == "evolution-api":
        assert (status, json.loads(body)) == (201, {"block": "success"})
    else:
        assert (status, body) == (204 if dialect == "session-gateway" else 201, b"")
        assert "Content-Type" not in answer.headers


def native_error(dialect: str, response: TestResponse) -> str | None:
    """Check that the response is an error in the provider's format; return its provider code."""
    document = response.get_json()
    if dialect == "wuts":
        assert document["success"] is False
        assert isinstance(document["error"], str)
        assert set(document) <= {"success", "error", "error_code", "timestamp", "validation"}
        code: str | None = document.get("error_code")
        return code
    if dialect in ("wappfy", "waha"):
        if "expected" in document:
            assert set(document) == {"error", "session", "status", "expected"}
        elif document["message"] == "Unauthorized":
            assert set(document) == {"message", "statusCode"}
        else:
            assert set(document) == {"message", "error", "statusCode"}
            assert document["statusCode"] == response.status_code
        return None
    if dialect == "evolution-api":
        assert set(document) == {"status", "error", "response"}
        assert set(document["response"]) == {"message"}
        assert document["status"] == response.status_code
        return None
    assert set(document) == {"error"}
    assert set(document["error"]) == {"code", "message", "details"}
    return str(document["error"]["code"])


def expect_native_error(
    dialect: str, response: TestResponse, status: int, code: str, own: str | None = None
) -> None:
    assert response.headers[CODE] == code
    assert response.status_code == status
    found = native_error(dialect, response)
    if own is not None or dialect != "session-gateway":
        assert found == own


def front_config(*accounts: tuple[str, dict[str, Any]], **keys: dict[str, Any]) -> dict[str, Any]:
    return {
        "accounts": dict(accounts),
        "keys": keys or {"crm": key_for(KEY)},
        "dialects": {"enabled": list(DIALECTS)},
    }


def blocked_numbers(client: FlaskClient, key: str = KEY, **query: str) -> list[str]:
    response = client.get(
        "/v1/contacts/blocked", headers={"X-API-Key": key}, query_string=query or None
    )
    assert response.status_code == 200
    return [each["number"] for each in response.get_json()["data"]["contacts"]]


WUTS = "/dialects/wuts/contacts"
BEARER = {"Authorization": f"Bearer {KEY}"}
WAPPFY = "/dialects/wappfy/api/contacts"
APIKEY = {"apikey": KEY}
WAHA = "/dialects/waha/api/contacts"
EVOLUTION = f"/dialects/evolution-api/chat/updateBlockStatus/{SESSION}"
GATEWAY = f"/dialects/session-gateway/api/v1/sessions/{SESSION}/contacts"
