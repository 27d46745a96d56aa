"""Switching the provider changes the configuration only: callers see the same API."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from adapter.providers.memory import MAGIC_NUMBERS
from conftest import MakeApp
from flask.testing import FlaskClient
from support import (
    JID,
    NATIVE,
    NUMBER,
    PROVIDERS,
    SESSION,
    TOKEN,
    Upstream,
    account_for,
    code_named,
    free_port,
)

from adapter.codes import Code

ACCOUNT = {
    "memory": 'provider = "memory"',
    "wuts": """
        provider = "wuts"
        base_url = "{address}/dialects/wuts"
        token = {{ env = "UPSTREAM_TOKEN" }}
    """,
    "wappfy": f"""
        provider = "wappfy"
        base_url = "{{address}}/dialects/wappfy"
        api_key = {{{{ env = "UPSTREAM_TOKEN" }}}}
        session = "{SESSION}"
    """,
    "session-gateway": f"""
        provider = "session-gateway"
        base_url = "{{address}}/dialects/session-gateway"
        token = {{{{ env = "UPSTREAM_TOKEN" }}}}
        session = "{SESSION}"
    """,
}
NEVER_CHANGED = """
    default_account = "support"

    [keys.crm]
    secret = { env = "CRM_KEY" }
    scopes = ["block", "read"]
    accounts = ["support"]

    [accounts.support]
    verify = "never"  # whether a change can be read back differs between providers
"""
HEADERS = {"Authorization": "Bearer crm-key", "X-Request-Id": "same"}

Switch = Callable[..., FlaskClient]


@pytest.fixture
def switch(tmp_path: Path, make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> Switch:
    """Return a client of a server whose one account is with that provider at that address."""
    monkeypatch.setenv("CRM_KEY", "crm-key")
    monkeypatch.setenv("UPSTREAM_TOKEN", TOKEN)

    def make(provider: str, address: str) -> FlaskClient:
        path = tmp_path / f"{provider}.toml"
        path.write_text(NEVER_CHANGED + ACCOUNT[provider].format(address=address))
        return make_app(path, allow_unauthenticated=False).test_client()

    return make


def shown(client: FlaskClient, action: str, target: dict[str, str]) -> tuple[int, bytes]:
    """Return status and envelope, as sent, without the facts of the call."""
    response = client.post(f"/v1/contacts/{action}", json=target, headers=HEADERS)
    envelope, found, _ = response.data.partition(b',"meta":')
    assert found
    assert set(json.loads(envelope + b"}")) == {"success", "data", "error"}
    return response.status_code, re.sub(rb'"confirmation":"\w+",', b"", envelope)


@pytest.mark.parametrize("provider", NATIVE)
@pytest.mark.parametrize("action", ["block", "unblock"])
@pytest.mark.parametrize(
    "target",
    [
        {"number": "+55 11 99999-9999"},
        {"jid": f"{NUMBER}@c.us"},
        {"jid": JID},
        {"jid": JID, "number": NUMBER},
    ],
)
def test_a_success_has_the_same_bytes_with_every_provider(
    switch: Switch, origin: str, provider: str, action: str, target: dict[str, str]
) -> None:
    status, envelope = shown(switch("memory", origin), action, target)
    assert status == 200
    assert json.loads(envelope + b"}")["data"]["contact"]["number"] == NUMBER
    assert shown(switch(provider, origin), action, target) == (status, envelope)


EXPRESSED_BY_EVERY_WIRE = [
    Code.SESSION_NOT_FOUND,
    Code.SESSION_NOT_CONNECTED,
    Code.OPERATION_NOT_SUPPORTED,
    Code.TARGET_REJECTED,
    Code.PROVIDER_CONFLICT,
    Code.PROVIDER_RATE_LIMITED,
    Code.PROVIDER_AUTH_FAILED,
    Code.PROVIDER_PERMISSION_DENIED,
    Code.PROVIDER_UNAVAILABLE,
    Code.PROVIDER_TIMEOUT,
    Code.PROVIDER_ERROR,
]


@pytest.mark.slow
@pytest.mark.no_cover
@pytest.mark.parametrize("provider", NATIVE)
@pytest.mark.parametrize("code", EXPRESSED_BY_EVERY_WIRE, ids=lambda code: code.value)
def test_a_failure_has_the_same_bytes_with_every_provider(
    switch: Switch, origin: str, provider: str, code: Code
) -> None:
    number = next(number for number, magic in MAGIC_NUMBERS.items() if magic is code)
    expected = shown(switch("memory", origin), "block", {"number": number})
    assert expected[0] == code.http_status
    assert json.loads(expected[1] + b"}")["error"]["code"] == code.value
    assert shown(switch(provider, origin), "block", {"number": number}) == expected


@pytest.mark.parametrize("provider", NATIVE)
@pytest.mark.parametrize(
    "target",
    [
        {"number": "123"},
        {"jid": "120363025246125486@g.us"},
        {"number": NUMBER, "jid": "5511988888888@c.us"},
        {"account": "elsewhere", "number": NUMBER},
        {"phone": NUMBER},
    ],
)
def test_a_refusal_of_the_adapter_has_the_same_bytes_with_every_provider(
    switch: Switch, provider: str, target: dict[str, str]
) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    expected = shown(switch("memory", address), "block", target)
    assert 400 <= expected[0] <= 499
    assert shown(switch(provider, address), "block", target) == expected


def test_an_unreachable_provider_has_the_same_bytes_with_every_provider(switch: Switch) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    bodies = {shown(switch(provider, address), "block", {"jid": JID}) for provider in NATIVE}
    assert len(bodies) == 1
    status, envelope = bodies.pop()
    assert status == 503
    assert json.loads(envelope + b"}")["error"]["code"] == "provider_unreachable"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_only_meta_and_confirmation_differ_between_providers(
    switch: Switch, origin: str, provider: str
) -> None:
    response = switch(provider, origin).post(
        "/v1/contacts/block", json={"jid": JID}, headers=HEADERS
    )
    document = response.get_json()
    assert document["meta"]["provider"] == provider
    assert document["meta"]["request_id"] == "same"
    proven = provider in ("wuts", "memory")
    assert document["data"]["confirmation"] == ("provider_state" if proven else "accepted")


# One status, two meanings: the provider decides what its 501 means


def failure(
    make_app: MakeApp, upstream: Upstream, provider: str, status: int, document: Any
) -> dict[str, Any]:
    upstream.will_answer(status, document)
    client = make_app({"accounts": {"a": account_for(provider, upstream.address)}}).test_client()
    response = client.post("/v1/contacts/block", json={"jid": JID})
    error = response.get_json()["error"]
    assert response.status_code == code_named(error["code"]).http_status
    assert response.get_json()["meta"]["upstream"]["status"] == status
    return dict(error)


@pytest.mark.parametrize(
    ("provider", "document", "code", "status"),
    [
        (
            "session-gateway",
            {"error": {"code": "not_implemented", "message": "session not connected"}},
            "session_not_connected",
            409,
        ),
        ("session-gateway", {"error": {"code": "other"}}, "operation_not_supported", 501),
        ("wappfy", {"statusCode": 501, "message": "x"}, "operation_not_supported", 501),
        ("wappfy", None, "operation_not_supported", 501),
        ("wuts", {"success": False, "error": "x"}, "operation_not_supported", 501),
    ],
)
def test_a_501_is_a_disconnected_session_of_the_gateway_and_a_missing_feature_of_others(
    make_app: MakeApp, upstream: Upstream, provider: str, document: Any, code: str, status: int
) -> None:
    error = failure(make_app, upstream, provider, 501, document)
    assert error["code"] == code
    assert code_named(code).http_status == status
    assert error["outcome"] == "not_applied"


@pytest.mark.parametrize(
    ("provider", "document"),
    [
        ("session-gateway", None),
        ("session-gateway", "not_implemented"),
        ("wappfy", {"error": {"code": "not_implemented", "message": "session not connected"}}),
        ("wuts", {"detail": "Unsupported method (POST)"}),
    ],
)
def test_a_501_of_another_server_is_misaddressed(
    make_app: MakeApp, upstream: Upstream, provider: str, document: Any
) -> None:
    error = failure(make_app, upstream, provider, 501, document)
    assert (error["code"], error["outcome"]) == ("provider_misaddressed", "unknown")


@pytest.mark.parametrize("status", [200, 400, 404, 409, 422, 500, 503])
@pytest.mark.parametrize(
    "document",
    [
        {"success": False, "error": "no", "error_code": "DEVICE_NOT_READY", "timestamp": "x"},
        {"success": False, "error": {"code": "DEVICE_NOT_READY", "message": "no"}},
    ],
)
def test_device_not_ready_has_one_code_at_every_status(
    make_app: MakeApp, upstream: Upstream, status: int, document: Any
) -> None:
    error = failure(make_app, upstream, "wuts", status, document)
    assert error["code"] == "session_not_connected"
    assert error["retry"] == "after_action"


@pytest.mark.parametrize("provider", NATIVE)
def test_a_code_or_status_within_a_text_is_no_evidence(
    make_app: MakeApp, upstream: Upstream, provider: str
) -> None:
    text = "404 429 DEVICE_NOT_READY not_implemented +5511940442950"
    documents = {"session-gateway": {"error": {"code": "validation_error", "message": text}}}
    document = documents.get(provider, {"success": False, "error": text, "message": text})
    error = failure(make_app, upstream, provider, 400, document)
    assert error["code"] == "target_rejected"
    assert "5511940442950" not in json.dumps(error)
