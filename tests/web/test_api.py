"""The unified API, from outside."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

import pytest
from conftest import MakeApp
from flask.testing import FlaskClient
from support import (
    ENVELOPE_KEYS,
    FAILING_PLUGIN,
    FULL_WIDTH,
    JID,
    NUMBER,
    OTHER_NUMBER,
    Upstream,
    account_for,
    call,
    code_named,
    key_for,
    run_app,
    run_upstream,
    without_times,
)
from werkzeug.test import TestResponse

from adapter.web.app import build_app, create_app
from adapter.web.auth import AnonymousAccess

OLD = version("werkzeug").startswith("2.")
"""Whether Werkzeug is one whose test client cannot send odd hosts, and which merges slashes."""

MEMORY = {"accounts": {"support": {"provider": "memory"}}}
TWO = {
    "default_account": "support",
    "accounts": {"support": {"provider": "memory"}, "sales": {"provider": "memory"}},
}
BLOCK, UNBLOCK, BLOCKED = "/v1/contacts/block", "/v1/contacts/unblock", "/v1/contacts/blocked"
CONTACT = {"jid": JID, "number": NUMBER, "lid": None, "user_id": None}


@pytest.fixture
def client(make_app: MakeApp) -> FlaskClient:
    return make_app(TWO).test_client()


def code_of(response: TestResponse) -> str | None:
    document = response.get_json()
    assert list(document) == ENVELOPE_KEYS
    assert document["success"] is (document["error"] is None) is (response.status_code == 200)
    if document["error"] is None:
        return None
    code = code_named(document["error"]["code"])
    assert document["data"] is None
    assert response.status_code == code.http_status
    assert document["error"]["outcome"] == code.applied
    assert document["error"]["retry"] == code.retry
    return str(code.value)


# The calls


@pytest.mark.parametrize(("path", "blocked"), [(BLOCK, True), (UNBLOCK, False)])
def test_block_and_unblock_answer_the_documented_envelope(
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
        },
        "error": None,
        "meta": {
            "request_id": "abc",
            "provider": "memory",
            "attempts": 1,
            "duration_ms": 0,
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
        # an old Brazilian mobile keeps its eight digits
        (
            {"number": "+55 11 8888-8888"},
            {**CONTACT, "jid": "551188888888@s.whatsapp.net", "number": "551188888888"},
        ),
    ],
)
def test_a_person_is_named_in_every_documented_form_in_the_body_or_in_the_query(
    client: FlaskClient, target: dict[str, str], contact: dict[str, Any]
) -> None:
    by_body = client.post(BLOCK, json=target)
    by_query = client.post(BLOCK, query_string=target)
    assert by_body.get_json()["data"]["contact"] == contact
    assert by_query.get_json()["data"] == by_body.get_json()["data"]
    assert client.get(BLOCKED).get_json()["data"] == {
        "account": "support",
        "contacts": [contact],
        "count": 1,
        "others": 0,
    }


def test_a_user_id_beside_a_number_is_kept_with_it(client: FlaskClient) -> None:
    target = {"number": NUMBER, "user_id": "BR.00000000000000000001"}
    for answer in (client.post(BLOCK, json=target), client.post(BLOCK, query_string=target)):
        contact = answer.get_json()["data"]["contact"]
        assert contact == {**CONTACT, "user_id": "BR.00000000000000000001"}


def test_the_list_follows_blocks_and_unblocks_of_its_own_account_only(client: FlaskClient) -> None:
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


def test_blocking_twice_and_unblocking_the_unblocked_succeed(client: FlaskClient) -> None:
    statuses = [
        client.post(path, json={"number": NUMBER}).status_code
        for path in (UNBLOCK, BLOCK, BLOCK, UNBLOCK, UNBLOCK)
    ]
    assert statuses == [200] * 5


def test_accounts_lists_names_providers_and_actions(make_app: MakeApp) -> None:
    accounts = {
        "mem": {"provider": "memory"},
        "gate": account_for("session-gateway", "https://gateway.example.com"),
    }
    response = make_app({"accounts": accounts}).test_client().get("/v1/accounts")
    assert code_of(response) is None
    assert response.get_json()["data"] == {
        "accounts": [
            {"name": "mem", "provider": "memory", "actions": ["block", "unblock", "list"]},
            {"name": "gate", "provider": "session-gateway", "actions": ["block", "unblock"]},
        ]
    }


def test_providers_lists_providers_and_dialects_and_where_they_are_mounted(
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
    assert wuts["actions"] == ["block", "unblock", "list"]
    prefixes = {each["name"]: each["prefix"] for each in data["dialects"]}
    assert prefixes["wuts"] == "/dialects/wuts"
    assert prefixes["wappfy"] is None
    assert data["broken"] == []


def test_a_broken_plugin_that_nobody_selected_is_listed_with_its_reason(
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
def test_the_documentation_needs_no_key(make_app: MakeApp, path: str) -> None:
    app = make_app({**MEMORY, "keys": {"crm": key_for("k1")}}, allow_unauthenticated=False)
    assert app.test_client().get(path).status_code == 200


@pytest.mark.parametrize("provider", ["wappfy", "session-gateway", "waha", "evolution-api"])
def test_a_list_that_the_provider_has_not_is_refused_without_a_call(
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
def test_a_list_that_cannot_be_read_is_never_an_empty_one(
    make_app: MakeApp, upstream: Upstream, answer: tuple[int, Any]
) -> None:
    upstream.will_answer(*answer)
    app = make_app({"accounts": {"a": account_for("wuts", upstream.address)}})
    response = app.test_client().get(BLOCKED)
    assert code_of(response) == "provider_bad_response"
    assert upstream.connections == 1


def test_the_upstream_is_told_the_request_id_and_no_key_of_ours(
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


# Every answer


@pytest.mark.parametrize(
    ("method", "path", "sent", "status"),
    [
        ("POST", BLOCK, {"json": {"number": NUMBER}}, 200),
        ("GET", BLOCKED, {}, 200),
        ("GET", "/v1/accounts", {}, 200),
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
        ("POST", "/v1//contacts/block", {}, 308 if OLD else 404),
    ],
)
def test_every_answer_has_a_request_id_and_is_never_stored(
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
def test_what_http_refuses_is_an_envelope_too(
    client: FlaskClient, method: str, path: str, code: str
) -> None:
    response = client.open(path, method=method)
    assert code_of(response) == code
    assert response.get_json()["meta"]["request_id"] == response.headers["X-Request-Id"]
    if code == "method_not_allowed":
        assert method not in response.headers["Allow"]
        assert set(response.headers["Allow"].split(", ")) & {"GET", "POST"}


@pytest.mark.parametrize("given", ["a", "a" * 128, "trace:1/2;x=[y]", "!~"])
def test_a_sane_request_id_is_echoed(client: FlaskClient, given: str) -> None:
    response = client.get("/v1/accounts", headers={"X-Request-Id": given})
    assert response.headers["X-Request-Id"] == given
    assert response.get_json()["meta"]["request_id"] == given


@pytest.mark.parametrize("given", ["", "a" * 129, "two words", "tab\there", "caf\xe9", " "])
def test_any_other_request_id_is_replaced_by_a_new_one(client: FlaskClient, given: str) -> None:
    answers = [client.get("/v1/accounts", headers={"X-Request-Id": given}) for _ in range(2)]
    ids = {answer.headers["X-Request-Id"] for answer in answers}
    assert len(ids) == 2
    assert given not in ids
    assert {answer.get_json()["meta"]["request_id"] for answer in answers} == ids


def test_head_answers_as_get_does_without_a_body(client: FlaskClient) -> None:
    get, head = client.get("/v1/accounts"), client.head("/v1/accounts")
    assert head.status_code == 200
    assert head.data == b""
    assert head.headers["Content-Length"] == str(len(get.data))


def test_options_changes_nothing_and_allows_no_foreign_page(client: FlaskClient) -> None:
    response = client.options(
        BLOCK,
        query_string={"number": NUMBER},
        headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"},
    )
    assert response.status_code == 200
    assert not [name for name, _ in response.headers if name.startswith("Access-Control")]
    assert client.get(BLOCKED).get_json()["data"]["count"] == 0


def test_the_wait_that_a_provider_asks_for_is_a_header_and_a_field(
    make_app: MakeApp, upstream: Upstream
) -> None:
    upstream.will_answer(429, {}, {"Retry-After": "17"})
    client = make_app({"accounts": {"a": account_for("wappfy", upstream.address)}}).test_client()
    response = client.post(BLOCK, json={"number": NUMBER})
    assert code_of(response) == "provider_rate_limited"
    assert response.headers["Retry-After"] == "17"
    assert response.get_json()["error"]["retry_after"] == 17


def test_no_retry_after_header_where_nothing_is_to_be_waited_for(client: FlaskClient) -> None:
    response = client.post(BLOCK, json={"number": "15005550012"})
    assert code_of(response) == "session_not_connected"
    assert "Retry-After" not in response.headers


# Our own bugs


def test_a_bug_of_a_provider_is_an_internal_error_whose_log_holds_no_number(
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


def test_an_internal_error_leaves_open_whether_anything_happened(client: FlaskClient) -> None:
    response = client.post(BLOCK, json={"number": "15005550029"})
    assert code_of(response) == "internal_error"
    assert response.get_json()["error"]["outcome"] == "unknown"


# Keys


KEYS = {
    **TWO,
    "keys": {
        "all": key_for("key-all"),
        "reader": key_for("key-reader", scopes=("read",)),
        "blocker": key_for("key-blocker", scopes=("block",)),
        "sales": key_for("key-sales", "sales"),
        "picky": key_for("key-picky", "support", "sales", default_account="sales"),
    },
}
EVERY_CALL = [
    ("POST", BLOCK),
    ("POST", UNBLOCK),
    ("GET", BLOCKED),
    ("GET", "/v1/accounts"),
    ("GET", "/v1/providers"),
]


@pytest.fixture(scope="module")
def guarded() -> FlaskClient:
    return create_app(KEYS).test_client()


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer key-all"},
        {"Authorization": "bearer  key-all "},
        {"X-API-Key": "key-all"},
        {"Authorization": "Bearer key-all", "X-API-Key": "key-all"},
    ],
)
def test_a_key_is_taken_from_either_header(guarded: FlaskClient, headers: dict[str, str]) -> None:
    assert guarded.get("/v1/accounts", headers=headers).status_code == 200


@pytest.mark.parametrize(("method", "path"), EVERY_CALL)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer key-al"},
        {"Authorization": "Bearer key-all2"},
        {"Authorization": "Bearer KEY-ALL"},
        {"Authorization": "key-all"},
        {"Authorization": "Basic a2V5LWFsbA=="},
        {"X-API-Key": "wrong"},
        {"X-API-Key": ""},
        {"X-API-Key": "\xff\xfe"},
        {"Authorization": "Bearer key-all", "X-API-Key": "key-reader"},
        {"Authorization": "Bearer key-all", "X-API-Key": "wrong"},
        {"apikey": "key-all"},
    ],
)
def test_a_missing_or_wrong_key_is_answered_401_and_told_how_to_come(
    guarded: FlaskClient, method: str, path: str, headers: dict[str, str]
) -> None:
    response = guarded.open(path, method=method, headers=headers, query_string={"number": NUMBER})
    assert code_of(response) == "unauthenticated"
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_key_in_the_query_is_no_key(guarded: FlaskClient) -> None:
    for name in ("key", "api_key", "apikey", "token", "access_token"):
        response = guarded.get("/v1/accounts", query_string={name: "key-all"})
        assert code_of(response) == "unauthenticated"


@pytest.mark.parametrize(("method", "path"), EVERY_CALL)
@pytest.mark.parametrize("key", ["reader", "blocker"])
def test_a_key_does_what_its_scopes_say_and_nothing_else(
    guarded: FlaskClient, method: str, path: str, key: str
) -> None:
    response = guarded.open(
        path,
        method=method,
        headers={"X-API-Key": f"key-{key}"},
        json={"number": NUMBER} if method == "POST" else None,
    )
    if (key == "blocker") == (method == "POST"):
        assert code_of(response) is None
    else:
        assert code_of(response) == "permission_denied"
        assert response.status_code == 403


def test_a_key_without_the_scope_learns_nothing_from_the_body_that_it_sends(
    guarded: FlaskClient,
) -> None:
    headers = {"X-API-Key": "key-reader"}
    assert code_of(guarded.post(BLOCK, data="{", headers=headers)) == "permission_denied"


@pytest.mark.parametrize(
    ("method", "path", "place"),
    [
        ("POST", BLOCK, "json"),
        ("POST", BLOCK, "query_string"),
        ("POST", UNBLOCK, "json"),
        ("GET", BLOCKED, "query_string"),
    ],
)
def test_an_account_of_others_is_answered_byte_for_byte_like_one_that_does_not_exist(
    guarded: FlaskClient, method: str, path: str, place: str
) -> None:
    answers = []
    for account in ("support", "nowhere"):
        sent: Any = {"account": account} | ({"number": NUMBER} if method == "POST" else {})
        response = guarded.open(
            path,
            method=method,
            headers={"X-API-Key": "key-sales", "X-Request-Id": "same"},
            **{place: sent},
        )
        assert code_of(response) == "account_not_found"
        document = without_times(response.get_json())
        answers.append((response.status, sorted(response.headers.keys()), document))
    assert answers[0] == answers[1]


def test_a_key_sees_its_own_accounts_only(guarded: FlaskClient) -> None:
    def names(key: str) -> list[str]:
        data = guarded.get("/v1/accounts", headers={"X-API-Key": key}).get_json()["data"]
        return [each["name"] for each in data["accounts"]]

    assert names("key-sales") == ["sales"]
    assert names("key-all") == ["support", "sales"]


@pytest.mark.parametrize(
    ("key", "account"), [("key-all", "support"), ("key-sales", "sales"), ("key-picky", "sales")]
)
def test_without_a_name_the_account_is_the_keys_default_then_the_configurations(
    guarded: FlaskClient, key: str, account: str
) -> None:
    response = guarded.post(BLOCK, json={"number": NUMBER}, headers={"X-API-Key": key})
    assert response.get_json()["data"]["account"] == account


def test_without_any_default_the_account_has_to_be_named(make_app: MakeApp) -> None:
    config = {"accounts": TWO["accounts"]}
    response = make_app(config).test_client().post(BLOCK, json={"number": NUMBER})
    assert code_of(response) == "validation_error"
    assert list(response.get_json()["error"]["fields"]) == ["account"]


def test_an_alias_is_a_name_for_dialects_only(make_app: MakeApp) -> None:
    config = {"accounts": {"support": {"provider": "memory", "aliases": ["old-name"]}}}
    response = make_app(config).test_client().get(BLOCKED, query_string={"account": "old-name"})
    assert code_of(response) == "account_not_found"


@pytest.mark.parametrize(("method", "path"), EVERY_CALL)
def test_without_keys_and_without_leave_nobody_is_served(
    make_app: MakeApp, method: str, path: str
) -> None:
    client = make_app(MEMORY, allow_unauthenticated=False).test_client()
    response = client.open(path, method=method, query_string={"number": NUMBER})
    assert code_of(response) == "unauthenticated"
    assert "WWW-Authenticate" in response.headers


# A server without keys, and the browsers on its machine


def open_on_loopback(headers: dict[str, str]) -> TestResponse:
    app = build_app(MEMORY, access=AnonymousAccess.LOOPBACK)
    return app.test_client().post(BLOCK, json={"number": NUMBER}, headers=headers)


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "127.0.0.1:8000"},
        {"Host": "localhost"},
        {"Host": "[::1]:8000"},
        {"Host": "127.0.0.1:8000", "Origin": "http://127.0.0.1:8000"},
    ],
)
def test_open_on_loopback_serves_those_who_address_this_machine_as_itself(
    headers: dict[str, str],
) -> None:
    assert open_on_loopback(headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "rebound.example:8000"},
        {"Host": "192.0.2.7"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "127.0.0.1:8000", "Origin": "https://evil.example"},
        {"Host": "127.0.0.1:8000", "Origin": "http://127.0.0.1:9000"},
        {"Host": "127.0.0.1:8000", "Origin": "null"},
        {"Host": "127.0.0.1:8000", "Origin": "http://["},
        {"Host": "rebound.example", "Origin": "http://rebound.example"},
        *[
            pytest.param({"Host": host}, marks=pytest.mark.skipif(OLD, reason="no such client"))
            for host in ("[", "[::1", "a]b")
        ],
    ],
)
def test_open_on_loopback_refuses_the_web_pages_of_others(headers: dict[str, str]) -> None:
    assert code_of(open_on_loopback(headers)) == "permission_denied"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "adapter.internal"}, 200),
        ({"Host": "adapter.internal", "Origin": "http://adapter.internal"}, 200),
        ({"Host": "adapter.internal", "Origin": "https://evil.example"}, 403),
    ],
)
def test_open_to_everyone_still_refuses_the_web_pages_of_others(
    make_app: MakeApp, headers: dict[str, str], status: int
) -> None:
    client = make_app(MEMORY).test_client()
    assert client.post(BLOCK, json={"number": NUMBER}, headers=headers).status_code == status


# Bad input, over a real socket: told which field, and nothing is sent


@pytest.fixture(scope="module")
def _recorded() -> Iterator[tuple[str, Upstream]]:
    with run_upstream() as upstream:
        config = {"accounts": {"a": account_for("wuts", upstream.address)}}
        with run_app(lambda _: create_app(config, allow_unauthenticated=True)) as address:
            yield address, upstream


@pytest.fixture
def recorded(_recorded: tuple[str, Upstream]) -> tuple[str, Upstream]:
    """Return a server's address, and its upstream, which has seen nothing yet."""
    _recorded[1].connections = 0
    return _recorded


BAD_BODIES: list[tuple[bytes, str, set[str]]] = [
    (b"", "validation_error", {"number"}),
    (b"{}", "validation_error", {"number"}),
    (b'{"account": "a"}', "validation_error", {"number"}),
    (b'{"number": "+5511999999999", "jid": "5511988888888@c.us"}', "invalid_target", {"jid"}),
    (b'{"number": "+5511999999999", "jid": "5511999999999@lid"}', "invalid_target", {"jid"}),
    (b'{"phone": "+5511999999999"}', "validation_error", {"phone"}),
    (b'{"number": "+5511999999999", "Jid": "x"}', "validation_error", {"Jid"}),
    (b'{"number": "+5511999999999", "session": "s", "x": 1}', "validation_error", {"session", "x"}),
    (b'{"number": 5511999999999}', "validation_error", {"number"}),
    (b'{"number": 5511999999999, "jid": 5}', "validation_error", {"number", "jid"}),
    (b'{"number": 1e3}', "validation_error", {"number"}),
    (b'{"number": true}', "validation_error", {"number"}),
    (b'{"number": null}', "validation_error", {"number"}),
    (b'{"number": ["+5511999999999"]}', "validation_error", {"number"}),
    (b'{"number": {"e164": "+5511999999999"}}', "validation_error", {"number"}),
    (b'{"jid": null, "number": "+5511999999999"}', "validation_error", {"jid"}),
    (b'{"jid": ["5511999999999@c.us"]}', "validation_error", {"jid"}),
    (b'{"number": "+5511999999999", "account": 1}', "validation_error", {"account"}),
    (b'{"number": "+5511999999999", "account": null}', "validation_error", {"account"}),
    (b'{"number": ""}', "invalid_target", {"number"}),
    (b'{"jid": ""}', "invalid_target", {"jid"}),
    (b'{"number": "+5511999999999", "account": ""}', "account_not_found", set()),
    (b'{"number": "%s"}' % (b"5" * 10_000), "validation_error", {"number"}),
    (b'{"jid": "%s@c.us"}' % (b"5" * 10_000), "validation_error", {"jid"}),
    (f'{{"number": "{FULL_WIDTH}"}}'.encode(), "invalid_target", {"number"}),
    (f'{{"jid": "{FULL_WIDTH}@c.us"}}'.encode(), "invalid_target", {"jid"}),
    ('{"number": "+٥٥١١٩٩٩٩٩٩٩٩٩"}'.encode(), "invalid_target", {"number"}),
    (b'{"number": "+55119999\\n99999"}', "invalid_target", {"number"}),
    (b'{"number": "5511999999999.0"}', "invalid_target", {"number"}),
    (b'{"number": "(11) 99999-9999"}', "invalid_target", {"number"}),
    (b'{"user_id": "br.1"}', "invalid_target", {"user_id"}),
    (b'{"user_id": "5511999999999"}', "invalid_target", {"user_id"}),
    (b'{"user_id": 1}', "validation_error", {"user_id"}),
    (b'{"user_id": "%s"}' % (b"B" * 136), "validation_error", {"user_id"}),
    (b'{"number": "+5511999999999\\u0000"}', "invalid_target", {"number"}),
    (b'{"number": "+55 11 9999a-9999"}', "invalid_target", {"number"}),
    (b'{"number": "11 9999-9999"}', "invalid_target", {"number"}),
    (b'{"number": "+5511"}', "invalid_target", {"number"}),
    (b'{"number": "+55119999999999999"}', "invalid_target", {"number"}),
    (b'{"number": "+99999999999"}', "invalid_target", {"number"}),
    (b'{"number": "5511999999999@s.whatsapp.net"}', "invalid_target", {"number"}),
    (b'{"jid": "5511999999999"}', "invalid_target", {"jid"}),
    (b'{"jid": "+5511999999999@c.us"}', "invalid_target", {"jid"}),
    (b'{"jid": "5511999999999\\n@s.whatsapp.net"}', "invalid_target", {"jid"}),
    (b'{"jid": "../../admin@s.whatsapp.net"}', "invalid_target", {"jid"}),
    (b'{"jid": "..%2f5511999999999@s.whatsapp.net"}', "invalid_target", {"jid"}),
    (b'{"jid": "5511999999999@s.whatsapp.net/../x"}', "invalid_target", {"jid"}),
    (b'{"jid": "5511999999999@S.WHATSAPP.NET"}', "invalid_target", {"jid"}),
    (b'{"jid": "120363025246125486@g.us"}', "invalid_target", {"jid"}),
    (b'{"jid": "5511999999999-1400000000@g.us"}', "invalid_target", {"jid"}),
    (b'{"jid": "120363025246125486@newsletter"}', "invalid_target", {"jid"}),
    (b'{"jid": "5511999999999@broadcast"}', "invalid_target", {"jid"}),
    (b'{"jid": "status@broadcast"}', "invalid_target", {"jid"}),
    (b'{"number": "120363025246125486@g.us"}', "invalid_target", {"number"}),
    (b'["+5511999999999"]', "validation_error", {"body"}),
    (b"null", "validation_error", {"body"}),
    (b'"+5511999999999"', "validation_error", {"body"}),
    (b"5511999999999", "validation_error", {"body"}),
    (b" ", "invalid_json", {"body"}),
    (b"{", "invalid_json", {"body"}),
    (b"{'number': '+5511999999999'}", "invalid_json", {"body"}),
    (b'{"number": "+5511999999999",}', "invalid_json", {"body"}),
    (b'{"number": "+5511999999999"} x', "invalid_json", {"body"}),
    (b'{"number": "+5511999999999", "number": "+5511988888888"}', "invalid_json", {"body"}),
    (b'{"number": "+5511999999999", "x": {"a": 1, "a": 1}}', "invalid_json", {"body"}),
    (b'{"number": NaN}', "invalid_json", {"body"}),
    (b'{"number": -Infinity}', "invalid_json", {"body"}),
    (b'{"number": 1e999}', "invalid_json", {"body"}),
    (b'{"number": %s}' % (b"5" * 5000), "invalid_json", {"body"}),
    (b'{"number": "\\ud800"}', "invalid_json", {"body"}),
    (b'{"\\ud800": "+5511999999999"}', "invalid_json", {"body"}),
    (b"[" * 60_000, "invalid_json", {"body"}),
    (b'{"a":' * 12_000, "invalid_json", {"body"}),
    (b"[" * 33 + b"]" * 33, "invalid_json", {"body"}),
    (b'{"number": "\xff\xfe"}', "invalid_json", {"body"}),
    (b"\xc0\xaf", "invalid_json", {"body"}),
    ('{"number": "+5511999999999"}'.encode("utf-16"), "invalid_json", {"body"}),
    ('{"number": "+5511999999999"}'.encode("utf-16-le"), "invalid_json", {"body"}),
    ('{"number": "+5511999999999"}'.encode("utf-8-sig"), "invalid_json", {"body"}),
    (b'{"number": "%s"}' % (b" " * 66_000), "payload_too_large", set()),
]


@pytest.mark.parametrize("path", [BLOCK, UNBLOCK])
@pytest.mark.parametrize(
    ("body", "code", "fields"), BAD_BODIES, ids=[str(each[0][:48]) for each in BAD_BODIES]
)
def test_a_bad_body_is_refused_by_the_name_of_its_field_before_anything_is_sent(
    recorded: tuple[str, Upstream], path: str, body: bytes, code: str, fields: set[str]
) -> None:
    address, upstream = recorded
    answer = call(address, "POST", path, body=body, headers={"Content-Type": "application/json"})
    assert answer.code == code
    assert answer.status == code_named(code).http_status
    assert 400 <= answer.status <= 499
    assert set(answer.json["error"]["fields"]) == fields
    assert all(answer.json["error"]["fields"].values())
    assert answer.json["error"]["outcome"] == "not_applied"
    assert answer.json["meta"]["attempts"] == 0
    assert upstream.connections == 0


GOOD = b'{"number": "+5511999999999"}'


@pytest.mark.parametrize(
    ("query", "body", "content_type", "code", "fields"),
    [
        ("", b"number=%2B5511999999999", "application/x-www-form-urlencoded", 415, "Content-Type"),
        ("", GOOD, "text/plain", 415, "Content-Type"),
        ("", GOOD, "multipart/form-data; boundary=x", 415, "Content-Type"),
        ("", GOOD, "application/json; charset=utf-16", 415, "Content-Type"),
        ("", GOOD, "application/json; charset=latin-1", 415, "Content-Type"),
        ("", GOOD, "", 415, "Content-Type"),
        ("?number=%2B5511999999999", GOOD, "application/json", 422, "query"),
        ("?account=a", GOOD, "application/json", 422, "query"),
        ("?acount=a", GOOD, "application/json", 422, "acount"),
        ("?number=%2B5511999999999&number=%2B5511999999999", b"", "", 422, "number"),
        ("?phone=1", b"", "", 422, "phone"),
        ("?number=", b"", "", 422, "number"),
        ("?jid=status%40broadcast", b"", "", 422, "jid"),
        ("?jid=5511999%0A999999%40c.us", b"", "", 422, "jid"),
        ("?user_id=x", b"", "", 422, "user_id"),
        ("?number=%FF%FE", b"", "", 422, "number"),
        (f"?number={quote(FULL_WIDTH)}", b"", "", 422, "number"),
    ],
)
def test_a_bad_way_to_name_a_target_is_refused_before_anything_is_sent(
    recorded: tuple[str, Upstream],
    query: str,
    body: bytes,
    content_type: str,
    code: int,
    fields: str,
) -> None:
    address, upstream = recorded
    headers = {"Content-Type": content_type} if content_type else {}
    answer = call(address, "POST", BLOCK + query, body=body, headers=headers)
    assert answer.status == code
    assert list(answer.json["error"]["fields"]) == [fields]
    assert upstream.connections == 0


@pytest.mark.parametrize(
    ("path", "field"),
    [
        (f"{BLOCKED}?number=1", "number"),
        (f"{BLOCKED}?account=a&account=a", "account"),
        ("/v1/accounts?account=a", "account"),
        ("/v1/providers?x=", "x"),
    ],
)
def test_the_reads_refuse_what_they_do_not_know(
    recorded: tuple[str, Upstream], path: str, field: str
) -> None:
    address, upstream = recorded
    answer = call(address, "GET", path)
    assert answer.code == "validation_error"
    assert list(answer.json["error"]["fields"]) == [field]
    assert upstream.connections == 0


def test_a_national_number_is_taken_only_where_a_region_is_configured(make_app: MakeApp) -> None:
    client = make_app({**MEMORY, "default_region": "BR"}).test_client()
    response = client.post(BLOCK, json={"number": "(11) 99999-9999"})
    assert response.get_json()["data"]["contact"] == CONTACT
    assert code_of(client.post(BLOCK, json={"number": "999"})) == "invalid_target"


def test_a_number_that_may_be_two_peoples_is_refused_and_a_plus_decides(make_app: MakeApp) -> None:
    client = make_app({**MEMORY, "default_region": "DE"}).test_client()
    for number, person in (
        ("491713920012", "491713920012"),
        ("+17139200123", "17139200123"),
        ("017139200123", "4917139200123"),
    ):
        data = client.post(BLOCK, json={"number": number}).get_json()["data"]
        assert data["contact"]["number"] == person
    response = client.post(BLOCK, json={"number": "17139200123"})
    assert code_of(response) == "invalid_target"
    assert "leading +" in response.get_json()["error"]["fields"]["number"][0]


def test_a_message_never_repeats_the_text_at_fault(client: FlaskClient) -> None:
    for name in ("number", "jid"):
        response = client.post(BLOCK, json={name: "77777777777777777"})
        assert code_of(response) == "invalid_target"
        assert "7777777" not in response.text


def test_too_many_calls_in_flight_are_turned_away_and_nothing_is_sent_for_them() -> None:
    with run_upstream(held=True) as upstream:
        upstream.will_answer(204)
        account = account_for("session-gateway", upstream.address)
        config = {"accounts": {"a": {**account, "transport": {"max_in_flight": 1}}}}
        with run_app(lambda _: create_app(config, allow_unauthenticated=True)) as address:
            answers = []
            first = threading.Thread(
                target=lambda: answers.append(call(address, "POST", f"{BLOCK}?number={NUMBER}"))
            )
            first.start()
            assert upstream.arrived.wait(20)
            second = call(address, "POST", f"{BLOCK}?number={NUMBER}")
            upstream.release.set()
            first.join()
    assert second.code == "overloaded"
    assert second.headers["Retry-After"] == "1"
    assert second.json["meta"]["attempts"] == 0
    assert answers[0].status == 200
    assert upstream.connections == 1
