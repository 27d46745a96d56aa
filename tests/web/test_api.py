"""The unified API: calls, envelopes, request ids, HTTP errors and exceptions."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from conftest import MakeApp
from flask.testing import FlaskClient
from support import (
    FAILING_PLUGIN,
    JID,
    NUMBER,
    OTHER_NUMBER,
    Upstream,
    account_for,
    key_for,
    without_times,
)
from support.dists import PROVIDER
from support.unified import BLOCK, BLOCKED, CONTACT, MEMORY, OLD_WERKZEUG, TWO, UNBLOCK, code_of

from adapter.codes import Action


@pytest.fixture
def client(make_app: MakeApp) -> FlaskClient:
    return make_app(TWO).test_client()


# The calls


@pytest.mark.parametrize(("path", "blocked"), [(BLOCK, True), (UNBLOCK, False)])
def test_block_and_unblock_return_the_documented_envelope(
    client: FlaskClient, path: str, blocked: bool
) -> None:
    response = client.post(
        path, json={"number": "+55 11 99999-9999"}, headers={"X-Request-Id": "abc"}
    )
    assert response.status_code == 200
    assert without_times(response.get_json()) == {
        "success": True,
        "data": {
            "action": "block" if blocked else "unblock",
            "account": "support",
            "blocked": blocked,
            "confirmation": "provider_state",
            "contact": CONTACT,
            "verified": None,
            "verified_reason": "no_read",
        },
        "error": None,
        "meta": {
            "request_id": "abc",
            "provider": "memory",
            "attempts": 1,
            "reads": 0,
            "duration_ms": 0,
            "recorded": None,
            "upstream": {"status": 200, "code": None},
        },
    }


@pytest.mark.parametrize(
    ("target", "contact"),
    [
        ({"number": "+55 11 99999-9999"}, CONTACT),
        ({"number": "0055 (11) 99999.9999"}, CONTACT),
        ({"number": NUMBER}, CONTACT),
        ({"jid": JID}, CONTACT),
        ({"jid": f"{NUMBER}@c.us"}, CONTACT),
        ({"jid": f"{NUMBER}:12@s.whatsapp.net"}, CONTACT),
        ({"jid": f"{NUMBER}:99@hosted"}, CONTACT),
        ({"jid": f" {NUMBER}.0:12@s.whatsapp.net\n"}, CONTACT),
        ({"number": f"https://wa.me/{NUMBER}"}, CONTACT),
        ({"number": "tel:+55-11-99999-9999"}, CONTACT),
        ({"number": f"whatsapp://send?phone={NUMBER}"}, CONTACT),
        ({"number": "\u202a+55\u00a011\u00a099999\u20119999\u202c\n"}, CONTACT),
        ({"number": f"'{NUMBER},"}, CONTACT),
        ({"number": NUMBER, "jid": JID}, CONTACT),
        (
            {"jid": "123456789@lid"},
            {**CONTACT, "jid": "123456789@lid", "number": None, "lid": "123456789@lid"},
        ),
        # a Brazilian mobile number of eight digits keeps them
        (
            {"number": "+55 11 8888-8888"},
            {**CONTACT, "jid": "551188888888@s.whatsapp.net", "number": "551188888888"},
        ),
    ],
)
def test_contact_is_accepted_in_every_documented_form_in_body_and_query(
    client: FlaskClient, target: dict[str, str], contact: dict[str, Any]
) -> None:
    by_body = client.post(BLOCK, json=target)
    by_query = client.post(BLOCK, query_string=target)
    assert by_body.get_json()["data"]["contact"] == contact
    assert by_query.get_json()["data"] == by_body.get_json()["data"]
    assert client.get(BLOCKED).get_json()["data"] == {
        "account": "support",
        "source": "provider",
        "contacts": [contact],
        "count": 1,
        "others": 0,
        "cursor": None,
    }


def test_user_id_beside_a_number_is_kept(client: FlaskClient) -> None:
    target = {"number": NUMBER, "user_id": "BR.00000000000000000001"}
    for answer in (client.post(BLOCK, json=target), client.post(BLOCK, query_string=target)):
        contact = answer.get_json()["data"]["contact"]
        assert contact == {**CONTACT, "user_id": "BR.00000000000000000001"}


def test_block_list_is_per_account(client: FlaskClient) -> None:
    client.post(BLOCK, json={"number": NUMBER})
    client.post(BLOCK, json={"number": OTHER_NUMBER, "account": "sales"})
    client.post(BLOCK, json={"number": OTHER_NUMBER})
    client.post(UNBLOCK, json={"number": NUMBER})
    support, sales = (
        client.get(BLOCKED, query_string=query).get_json()["data"]
        for query in ({}, {"account": "sales"})
    )
    assert [each["number"] for each in support["contacts"]] == [OTHER_NUMBER]
    assert [each["number"] for each in sales["contacts"]] == [OTHER_NUMBER]
    assert sales["account"] == "sales"


def test_repeated_block_and_unblock_succeed(client: FlaskClient) -> None:
    statuses = [
        client.post(path, json={"number": NUMBER}).status_code
        for path in (UNBLOCK, BLOCK, BLOCK, UNBLOCK, UNBLOCK)
    ]
    assert statuses == [200] * 5


def test_accounts_returns_names_providers_and_actions(make_app: MakeApp, plugin: Any) -> None:
    accounts = {
        "mem": {"provider": "memory"},
        "echo": {"provider": "echo"},
    }
    plugin("echo", PROVIDER.format(name="echo"))
    response = make_app({"accounts": accounts}).test_client().get("/v1/accounts")
    assert code_of(response) is None
    assert response.get_json()["data"] == {
        "accounts": [
            {"name": "mem", "provider": "memory", "actions": [*Action]},
            {"name": "echo", "provider": "echo", "actions": ["block", "unblock"]},
        ]
    }


def test_providers_returns_providers_and_dialects_with_their_prefixes(
    make_app: MakeApp,
) -> None:
    app = make_app({**MEMORY, "dialects": {"enabled": ["wuts"]}})
    data = app.test_client().get("/v1/providers").get_json()["data"]
    assert {each["name"] for each in data["providers"]} >= {
        "memory",
        "session-gateway",
        "wappfy",
        "wuts",
    }
    wuts = next(each for each in data["providers"] if each["name"] == "wuts")
    assert wuts["title"] == "WUTS"
    assert wuts["origin"].startswith("contact-adapter ")
    assert wuts["actions"] == [*Action]
    assert wuts["verifiable"] == "yes"
    prefixes = {each["name"]: each["prefix"] for each in data["dialects"]}
    assert prefixes["wuts"] == "/dialects/wuts"
    assert prefixes["wappfy"] is None
    assert data["broken"] == []


def test_broken_plugin_without_an_account_is_listed_with_its_reason(
    make_app: MakeApp, plugin: Any
) -> None:
    plugin("moon", "raise LookupError('the moon is not where it was')\n")
    client = make_app(MEMORY).test_client()
    assert client.get("/v1/providers").get_json()["data"]["broken"] == [
        {
            "name": "moon",
            "origin": "plugin_moon 1.0",
            "reason": "LookupError",
        }
    ]
    assert client.post(BLOCK, json={"number": NUMBER}).status_code == 200


@pytest.mark.parametrize(
    ("path", "status"), [("/livez", {"status": "live"}), ("/readyz", {"status": "ready"})]
)
def test_health_needs_no_key(make_app: MakeApp, path: str, status: dict[str, str]) -> None:
    app = make_app({**MEMORY, "keys": {"crm": key_for("k1")}}, allow_unauthenticated=False)
    response = app.test_client().get(path)
    assert code_of(response) is None
    assert response.get_json()["data"] == status


@pytest.mark.parametrize("path", ["/openapi.json", "/docs"])
def test_docs_need_no_key(make_app: MakeApp, path: str) -> None:
    app = make_app({**MEMORY, "keys": {"crm": key_for("k1")}}, allow_unauthenticated=False)
    assert app.test_client().get(path).status_code == 200


@pytest.mark.parametrize("provider", ["wappfy", "session-gateway", "waha", "evolution-api"])
def test_unsupported_list_is_rejected_without_a_call(
    make_app: MakeApp, upstream: Upstream, provider: str
) -> None:
    app = make_app({"accounts": {"a": account_for(provider, upstream.address)}})
    response = app.test_client().get(BLOCKED)
    assert code_of(response) == "operation_not_supported"
    assert response.status_code == 501
    assert response.get_json()["meta"]["attempts"] == 0
    assert upstream.connections == 0


@pytest.mark.parametrize(
    "answer",
    [
        (200, {"success": True, "data": {}}),
        (200, {"success": True, "data": {"items": None}}),
        (200, {"success": True, "data": {"items": [{"jid": "nobody"}]}}),
        (200, {"success": True, "data": {"items": [], "count": 2}}),
        (200, []),
        (204, None),
    ],
)
def test_invalid_list_response_is_an_error_and_never_an_empty_list(
    make_app: MakeApp, upstream: Upstream, answer: tuple[int, Any]
) -> None:
    upstream.will_answer(*answer)
    app = make_app({"accounts": {"a": account_for("wuts", upstream.address)}})
    response = app.test_client().get(BLOCKED)
    assert code_of(response) == "provider_bad_response"
    assert upstream.connections == 1


def test_request_to_the_provider_has_the_request_id_and_no_api_key(
    make_app: MakeApp, upstream: Upstream
) -> None:
    upstream.will_answer(200, {"success": True, "data": {"blocked": True}})
    config = {
        "accounts": {"a": account_for("wuts", upstream.address, token="their-token")},
        "keys": {"crm": key_for("our-key")},
    }
    app = make_app(config, allow_unauthenticated=False)
    headers = {"Authorization": "Bearer our-key", "X-Request-Id": "trace-7", "Cookie": "a=b"}
    assert app.test_client().post(BLOCK, json={"jid": JID}, headers=headers).status_code == 200
    (seen,) = upstream.seen
    assert seen.headers["Authorization"] == "Bearer their-token"
    assert seen.headers["X-Request-Id"] == "trace-7"
    assert "our-key" not in str(seen)
    assert "Cookie" not in seen.headers


# Every response


@pytest.mark.parametrize(
    ("method", "path", "sent", "status"),
    [
        ("POST", BLOCK, {"json": {"number": NUMBER}}, 200),
        ("GET", BLOCKED, {}, 200),
        ("GET", "/v1/accounts", {}, 200),
        ("GET", "/v1/accounts/support/status", {}, 200),
        ("HEAD", "/v1/accounts/support/status", {}, 405),
        ("OPTIONS", "/v1/accounts/support/status", {}, 200),
        ("POST", "/v1/accounts/support/status", {}, 405),
        ("POST", "/v1/contacts/lookup", {"json": {"numbers": [NUMBER]}}, 200),
        ("GET", "/v1/contacts/lookup", {}, 405),
        ("OPTIONS", "/v1/contacts/lookup", {}, 200),
        ("POST", "/v1/contacts/state", {"json": {"number": NUMBER}}, 200),
        ("HEAD", "/v1/contacts/state", {}, 405),
        ("GET", "/v1/providers", {}, 200),
        ("GET", "/livez", {}, 200),
        ("GET", "/readyz", {}, 200),
        ("GET", "/openapi.json", {}, 200),
        ("GET", "/docs", {}, 200),
        ("GET", "/docs/", {}, 200),
        ("GET", "/docs/swagger-ui.css", {}, 200),
        ("GET", "/docs/nothing-here.js", {}, 404),
        ("HEAD", "/v1/accounts", {}, 200),
        ("OPTIONS", BLOCK, {}, 200),
        ("GET", "/nowhere", {}, 404),
        ("POST", "/", {}, 404),
        ("GET", BLOCK, {}, 405),
        ("DELETE", "/v1/accounts", {}, 405),
        ("POST", BLOCK, {"data": "number=1"}, 415),
        ("POST", BLOCK, {"data": b" " * 70_000, "content_type": "application/json"}, 413),
        ("POST", BLOCK, {"json": {}}, 422),
        ("POST", BLOCK, {"data": "{", "content_type": "application/json"}, 400),
        ("POST", BLOCK, {"json": {"number": "15005550029"}}, 500),
        ("GET", "/dialects/wuts/contacts/blocklist", {}, 200),
        ("GET", "/dialects/wuts/nowhere", {}, 404),
        ("POST", "/dialects/wuts/contacts/block", {"json": {}}, 400),
        ("POST", "/v1//contacts/block", {}, 308 if OLD_WERKZEUG else 404),
    ],
)
def test_every_response_has_a_request_id_and_no_store(
    make_app: MakeApp, method: str, path: str, sent: dict[str, Any], status: int
) -> None:
    client = make_app({**MEMORY, "dialects": {"enabled": ["wuts"]}}).test_client()
    response = client.open(path, method=method, headers={"X-Request-Id": "t-1"}, **sent)
    assert response.status_code == status
    assert response.headers.getlist("X-Request-Id") == ["t-1"]
    assert response.headers.getlist("Cache-Control") == ["no-store"]
    response.close()


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/nowhere", "not_found"),
        ("GET", "/v1", "not_found"),
        ("GET", BLOCK, "method_not_allowed"),
        ("PUT", BLOCKED, "method_not_allowed"),
        ("TRACE", "/livez", "method_not_allowed"),
    ],
)
def test_not_found_and_method_not_allowed_are_envelopes(
    client: FlaskClient, method: str, path: str, code: str
) -> None:
    response = client.open(path, method=method)
    assert code_of(response) == code
    assert response.get_json()["meta"]["request_id"] == response.headers["X-Request-Id"]
    if code == "method_not_allowed":
        assert method not in response.headers["Allow"]
        assert set(response.headers["Allow"].split(", ")) & {"GET", "POST"}


@pytest.mark.parametrize("given", ["a", "a" * 128, "trace:1/2;x=[y]", "!~"])
def test_valid_request_id_is_returned(client: FlaskClient, given: str) -> None:
    response = client.get("/v1/accounts", headers={"X-Request-Id": given})
    assert response.headers["X-Request-Id"] == given
    assert response.get_json()["meta"]["request_id"] == given


@pytest.mark.parametrize("given", ["", "a" * 129, "two words", "tab\there", "caf\xe9", " "])
def test_invalid_request_id_is_replaced(client: FlaskClient, given: str) -> None:
    answers = [client.get("/v1/accounts", headers={"X-Request-Id": given}) for _ in range(2)]
    ids = {answer.headers["X-Request-Id"] for answer in answers}
    assert len(ids) == 2
    assert given not in ids
    assert {answer.get_json()["meta"]["request_id"] for answer in answers} == ids


def test_head_response_is_that_of_get_without_a_body(client: FlaskClient) -> None:
    get, head = client.get("/v1/accounts"), client.head("/v1/accounts")
    assert head.status_code == 200
    assert head.data == b""
    assert head.headers["Content-Length"] == str(len(get.data))


def test_options_changes_nothing_and_has_no_cors_headers(client: FlaskClient) -> None:
    response = client.options(
        BLOCK,
        query_string={"number": NUMBER},
        headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"},
    )
    assert response.status_code == 200
    assert not [name for name, _ in response.headers if name.startswith("Access-Control")]
    assert client.get(BLOCKED).get_json()["data"]["count"] == 0


def test_retry_after_of_the_provider_is_a_header_and_a_field(
    make_app: MakeApp, upstream: Upstream
) -> None:
    upstream.will_answer(429, {}, {"Retry-After": "17"})
    client = make_app({"accounts": {"a": account_for("wappfy", upstream.address)}}).test_client()
    response = client.post(BLOCK, json={"number": NUMBER})
    assert code_of(response) == "provider_rate_limited"
    assert response.headers["Retry-After"] == "17"
    assert response.get_json()["error"]["retry_after"] == 17


def test_no_retry_after_without_a_wait(client: FlaskClient) -> None:
    response = client.post(BLOCK, json={"number": "15005550012"})
    assert code_of(response) == "session_not_connected"
    assert "Retry-After" not in response.headers


# Exceptions


def test_exception_in_a_provider_is_an_internal_error_and_its_log_has_no_number(
    make_app: MakeApp, plugin: Any, caplog: pytest.LogCaptureFixture
) -> None:
    plugin("failing", FAILING_PLUGIN)
    app = make_app({"accounts": {"a": {"provider": "failing"}}})
    with caplog.at_level(logging.DEBUG):
        response = app.test_client().post(
            BLOCK, json={"number": NUMBER}, headers={"X-Request-Id": "r-1"}
        )
    assert code_of(response) == "internal_error"
    assert response.status_code == 500
    assert response.headers["X-Request-Id"] == "r-1"
    assert NUMBER not in response.text
    assert "ZeroDivisionError" in caplog.text
    assert "build_request" in caplog.text
    assert NUMBER not in caplog.text


def test_internal_error_has_the_outcome_unknown(client: FlaskClient) -> None:
    response = client.post(BLOCK, json={"number": "15005550029", "verify": False})
    assert code_of(response) == "internal_error"
    assert response.get_json()["error"]["outcome"] == "unknown"
