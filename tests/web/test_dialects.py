"""The native faces: old clients of a provider keep talking as they did, whatever is behind."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any
from urllib.parse import quote

import pytest
from adapter.providers.memory import MAGIC_NUMBERS
from conftest import MakeApp
from flask import Flask
from flask.testing import FlaskClient
from support import (
    DIALECTS,
    FAILING_PLUGIN,
    FULL_WIDTH,
    JID,
    NUMBER,
    OTHER_NUMBER,
    SESSION,
    Answer,
    Upstream,
    account_for,
    call,
    code_named,
    key_for,
    origin_config,
    run_app,
    run_upstream,
)
from werkzeug.test import TestResponse

from adapter.codes import Code
from adapter.web.app import create_app

CODE = "X-Contact-Adapter-Code"
PROVIDERS = (*DIALECTS, "memory")
BY_BODY = ("wappfy", "waha", "evolution-api")
"""The dialects that name the contact in a body and have a session."""
KEY = "our-key"
PREFIX = {name: f"/dialects/{name}" for name in DIALECTS}


def native_request(
    dialect: str, action: str, target: str = NUMBER, *, session: str = SESSION, key: str = KEY
) -> dict[str, Any]:
    """Return how an old client of that provider sends it: method, path, JSON and headers."""
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
    """Check the documented answer of that provider."""
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
    """Check that the response has the provider's own shape of an error; return its own code."""
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


@pytest.fixture
def make_front(make_app: MakeApp) -> Callable[..., FlaskClient]:
    """Return a function that makes a server of all dialects in front of a memory account."""

    def make(**rest: Any) -> FlaskClient:
        account = {"provider": "memory", "aliases": [SESSION]}
        config = {**front_config(("support", account)), "default_account": "support", **rest}
        return make_app(config, allow_unauthenticated=False).test_client()

    return make


@pytest.fixture
def front(make_front: Callable[..., FlaskClient]) -> FlaskClient:
    return make_front()


@pytest.fixture(scope="module")
def shared() -> FlaskClient:
    """Return such a server for many tests, none of which changes its block list."""
    account = {"provider": "memory", "aliases": [SESSION]}
    config = {**front_config(("support", account)), "default_account": "support"}
    return create_app(config).test_client()


def blocked_numbers(client: FlaskClient, key: str = KEY, **query: str) -> list[str]:
    response = client.get(
        "/v1/contacts/blocked", headers={"X-API-Key": key}, query_string=query or None
    )
    assert response.status_code == 200
    return [each["number"] for each in response.get_json()["data"]["contacts"]]


# Every dialect in front of every provider, over real sockets


@pytest.fixture(scope="module")
def fronts() -> Iterator[dict[str, tuple[str, str]]]:
    """Return, per provider: a server of all dialects in front of it, and where the list is."""
    with ExitStack() as stack:
        found = {}
        for provider in PROVIDERS:
            upstream = stack.enter_context(
                run_app(lambda _: create_app(origin_config(), allow_unauthenticated=True))
            )
            account = account_for(provider, f"{upstream}/dialects/{provider}")
            config = front_config(("mine", {**account, "aliases": [SESSION]}))

            def create(_: str, config: dict[str, Any] = config) -> Flask:
                return create_app(config)

            address = stack.enter_context(run_app(create))
            found[provider] = (address, address if provider == "memory" else upstream)
        yield found


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_blocks_and_unblocks_through_every_provider(
    fronts: dict[str, tuple[str, str]], dialect: str, provider: str
) -> None:
    address, where = fronts[provider]

    def listed() -> list[str]:
        answer = call(where, "GET", "/v1/contacts/blocked", headers={"X-API-Key": KEY})
        return [each["number"] for each in answer.json["data"]["contacts"]]

    for action, expected in (("block", [NUMBER]), ("unblock", [])):
        answer = send_over(address, native_request(dialect, action))
        expect_native_success(dialect, answer, action)
        assert listed() == expected


@pytest.mark.parametrize("provider", ["wuts", "memory"])
def test_the_list_comes_through_the_dialect_that_has_one(
    fronts: dict[str, tuple[str, str]], provider: str
) -> None:
    address, _ = fronts[provider]
    send_over(address, native_request("wuts", "block"))
    answer = call(
        address,
        "GET",
        "/dialects/wuts/contacts/blocklist",
        headers={"Authorization": f"Bearer {KEY}"},
    )
    send_over(address, native_request("wuts", "unblock"))
    assert answer.status == 200
    assert answer.json["success"] is True
    assert answer.json["data"]["items"] == [{"jid": JID, "phone_number": NUMBER}]
    assert answer.json["data"]["count"] == 1


@pytest.mark.parametrize("provider", ["wappfy", "session-gateway", "waha", "evolution-api"])
def test_a_list_that_the_provider_behind_has_not_is_a_native_501(
    fronts: dict[str, tuple[str, str]], provider: str
) -> None:
    address, _ = fronts[provider]
    answer = call(
        address,
        "GET",
        "/dialects/wuts/contacts/blocklist",
        headers={"Authorization": f"Bearer {KEY}"},
    )
    assert answer.status == 501
    assert answer.headers[CODE] == "operation_not_supported"
    assert answer.json["success"] is False


@pytest.mark.parametrize("provider", [name for name in DIALECTS if name != "evolution-api"])
@pytest.mark.parametrize(
    ("dialect", "status", "own"),
    [
        ("wuts", 503, {"error_code": "DEVICE_NOT_READY"}),
        ("wappfy", 422, {"expected": ["WORKING"]}),
        ("session-gateway", 501, {"error": {"code": "not_implemented"}}),
        ("waha", 422, {"expected": ["WORKING"]}),
        ("evolution-api", 500, {"status": 500, "error": "Internal Server Error"}),
    ],
)
def test_a_sleeping_session_sounds_native_even_through_another_provider(
    fronts: dict[str, tuple[str, str]],
    dialect: str,
    status: int,
    own: dict[str, Any],
    provider: str,
) -> None:
    address, _ = fronts[provider]
    answer = send_over(address, native_request(dialect, "block", "15005550012"))
    assert answer.status == status
    assert answer.headers[CODE] == "session_not_connected"
    for name, value in own.items():
        if isinstance(value, dict):
            assert answer.json[name].items() >= value.items()
        else:
            assert answer.json[name] == value


@pytest.mark.parametrize("dialect", DIALECTS)
def test_where_the_provider_behind_has_no_word_for_a_sleeping_session_nothing_is_claimed(
    fronts: dict[str, tuple[str, str]], dialect: str
) -> None:
    address, _ = fronts["evolution-api"]
    answer = send_over(address, native_request(dialect, "block", "15005550012"))
    assert answer.status == 500
    assert answer.headers[CODE] == "provider_error"


# The request forms that each provider documents


WUTS = "/dialects/wuts/contacts"
BEARER = {"Authorization": f"Bearer {KEY}"}


@pytest.mark.parametrize(
    "sent",
    [
        {"json": {"jid": JID}},
        {"json": {"number": NUMBER}},
        {"json": {"number": "+55 (11) 99999-9999"}},
        {"json": {"jid": JID, "number": NUMBER}},
        {"query_string": {"jid": JID}},
        {"query_string": {"number": NUMBER}},
        {"json": {}, "query_string": {"number": NUMBER}},
        {"json": {"jid": ""}, "query_string": {"jid": JID}},
        {"data": f'{{"number": "{NUMBER}"}}'},
        {"json": {"jid": JID}, "headers": {"Authorization": KEY}},
        {"json": {"jid": JID}, "headers": {"Authorization": f"bearer {KEY}"}},
        {"json": {"jid": JID}, "headers": {"Authorization": f"BEARER  {KEY}"}},
    ],
)
def test_wuts_takes_every_form_that_it_documents(front: FlaskClient, sent: dict[str, Any]) -> None:
    response = front.post(f"{WUTS}/block", **{"headers": BEARER, **sent})
    assert response.status_code == 200
    assert response.headers[CODE] == "ok"
    data = response.get_json()["data"]
    assert {**data, "count": None, "dhash": None} == {
        "jid": JID,
        "phone_number": NUMBER,
        "action": "block",
        "blocked": True,
        "count": None,
        "dhash": None,
    }
    assert blocked_numbers(front) == [NUMBER]


def test_wuts_takes_no_credential_from_anywhere_else(front: FlaskClient) -> None:
    response = front.post(
        f"{WUTS}/block",
        json={"jid": JID},
        query_string={"token": KEY},
        headers={"Cookie": f"token={KEY}", "apikey": KEY, "X-API-Key": KEY},
    )
    expect_native_error("wuts", response, 401, "unauthenticated")


WAPPFY = "/dialects/wappfy/api/contacts"
APIKEY = {"apikey": KEY}


@pytest.mark.parametrize("target", [NUMBER, f"{NUMBER}@c.us", JID])
@pytest.mark.parametrize("action", ["block", "unblock"])
def test_wappfy_answers_the_body_of_its_openapi_with_an_empty_201(
    front: FlaskClient, action: str, target: str
) -> None:
    body = {"contactId": target, "session": SESSION}
    response = front.post(f"{WAPPFY}/{action}", json=body, headers=APIKEY)
    expect_native_success("wappfy", response, action)
    assert blocked_numbers(front) == ([NUMBER] if action == "block" else [])


@pytest.mark.parametrize("action", ["block", "unblock"])
def test_wappfy_answers_the_body_of_its_guide_with_its_sentence(
    front: FlaskClient, action: str
) -> None:
    body = {"sessionId": SESSION, "jid": JID}
    response = front.post(f"{WAPPFY}/{action}", json=body, headers=APIKEY)
    assert response.status_code == 200
    assert response.get_json() == {
        "success": True,
        "message": f"Contact {action}ed successfully",
    }
    assert blocked_numbers(front) == ([NUMBER] if action == "block" else [])


WAHA = "/dialects/waha/api/contacts"


@pytest.mark.parametrize("target", [NUMBER, f"{NUMBER}@c.us", JID, f"{NUMBER}:3@s.whatsapp.net"])
@pytest.mark.parametrize("action", ["block", "unblock"])
def test_waha_takes_every_form_that_it_documents(
    front: FlaskClient, action: str, target: str
) -> None:
    body = {"contactId": target, "session": SESSION}
    response = front.post(f"{WAHA}/{action}", json=body, headers={"x-api-key": KEY})
    expect_native_success("waha", response, action)
    assert blocked_numbers(front) == ([NUMBER] if action == "block" else [])


def test_a_session_that_waha_calls_default_is_the_account_with_that_alias(
    make_front: Callable[..., FlaskClient],
) -> None:
    front = make_front(
        accounts={
            "support": {"provider": "memory"},
            "sales": {"provider": "memory", "aliases": ["default"]},
        }
    )
    response = send(front, native_request("waha", "block", session="default"))
    expect_native_success("waha", response, "block")
    assert blocked_numbers(front, account="sales") == [NUMBER]
    assert blocked_numbers(front, account="support") == []


EVOLUTION = f"/dialects/evolution-api/chat/updateBlockStatus/{SESSION}"


@pytest.mark.parametrize("target", [NUMBER, f"+{NUMBER}", JID, f"{NUMBER}@c.us"])
def test_evolution_api_takes_every_form_that_it_documents(front: FlaskClient, target: str) -> None:
    for action, listed in (("block", [NUMBER]), ("unblock", [])):
        body = {"number": target, "status": action}
        response = front.post(EVOLUTION, json=body, headers=APIKEY)
        expect_native_success("evolution-api", response, action)
        assert blocked_numbers(front) == listed


@pytest.mark.parametrize("number", ["5531987654321", "553187654321", "5215512345678"])
def test_digits_stay_as_the_client_of_evolution_api_wrote_them(
    front: FlaskClient, number: str
) -> None:
    send(front, native_request("evolution-api", "block", number))
    assert blocked_numbers(front) == [number]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_contact_of_whom_only_the_lid_is_known_comes_through_every_dialect(
    front: FlaskClient, dialect: str
) -> None:
    response = send(front, native_request(dialect, "block", "205227043110953@lid"))
    expect_native_success(dialect, response, "block")
    listed = front.get("/v1/contacts/blocked", headers={"X-API-Key": KEY}).get_json()
    assert [each["lid"] for each in listed["data"]["contacts"]] == ["205227043110953@lid"]


@pytest.mark.parametrize(
    ("dialect", "header"),
    [("waha", "X-Api-Key"), ("wappfy", "apikey"), ("evolution-api", "apikey")],
)
def test_a_dialect_takes_its_key_from_its_own_header_alone(
    front: FlaskClient, dialect: str, header: str
) -> None:
    request = native_request(dialect, "block")
    elsewhere = {name: KEY for name in ("X-Api-Key", "apikey", "token") if name != header}
    response = send(front, request, headers={**BEARER, **elsewhere})
    expect_native_error(dialect, response, 401, "unauthenticated")
    assert send(front, request, headers={header: KEY}).status_code == 201


GATEWAY = f"/dialects/session-gateway/api/v1/sessions/{SESSION}/contacts"


@pytest.mark.parametrize("headers", [BEARER, {"x-api-key": KEY}])
@pytest.mark.parametrize(
    "jid", [JID, JID.replace("@", "%40"), f"{NUMBER}%40c.us", f"{NUMBER}:3@s.whatsapp.net"]
)
def test_the_gateway_takes_every_form_that_it_documents(
    front: FlaskClient, jid: str, headers: dict[str, str]
) -> None:
    for action, listed in (("block", [NUMBER]), ("unblock", [])):
        response = front.post(f"{GATEWAY}/{jid}/{action}", headers=headers)
        expect_native_success("session-gateway", response, action)
        assert blocked_numbers(front) == listed


@pytest.mark.parametrize("body", [b"{}", b"not json", b"\xff", b" " * 70_000])
def test_the_gateway_reads_no_body(front: FlaskClient, body: bytes) -> None:
    response = front.post(f"{GATEWAY}/{JID}/block", headers=BEARER, data=body)
    expect_native_success("session-gateway", response, "block")


# Who calls, and for which account


UNKNOWN_KEY: dict[str, dict[str, Any]] = {
    "wuts": {"success": False, "error": "Invalid token"},
    "wappfy": {"error": "Unauthorized", "statusCode": 401},
    "session-gateway": {"code": "unauthorized"},
    "waha": {"message": "Unauthorized", "statusCode": 401},
    "evolution-api": {
        "status": 401,
        "error": "Unauthorized",
        "response": {"message": "Unauthorized"},
    },
}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("key", ["wrong", "", None])
def test_an_unknown_key_is_the_providers_own_401(
    front: FlaskClient, dialect: str, key: str | None
) -> None:
    request = native_request(dialect, "block", key=key or "")
    response = send(front, request, headers=request["headers"] if key is not None else {})
    assert response.status_code == 401
    assert response.headers[CODE] == "unauthenticated"
    document = response.get_json()
    if dialect in ("wuts", "waha", "evolution-api"):
        assert document == UNKNOWN_KEY[dialect]
    else:
        where = document["error"] if dialect == "session-gateway" else document
        assert where.items() >= UNKNOWN_KEY[dialect].items()
    assert blocked_numbers(front) == []


@pytest.mark.parametrize(
    ("dialect", "own"),
    [
        *[(name, None) for name in DIALECTS if name != "session-gateway"],
        ("session-gateway", "forbidden"),
    ],
)
def test_a_missing_scope_is_the_providers_own_403(
    make_front: Callable[..., FlaskClient], dialect: str, own: str | None
) -> None:
    front = make_front(keys={"reader": key_for(KEY, scopes=("read",))})
    response = send(front, native_request(dialect, "block"))
    expect_native_error(dialect, response, 403, "permission_denied", own)
    assert blocked_numbers(front) == []


def test_the_native_list_needs_the_scope_to_read(make_front: Callable[..., FlaskClient]) -> None:
    front = make_front(keys={"blocker": key_for(KEY, scopes=("block",))})
    response = front.get(f"{WUTS}/blocklist", headers=BEARER)
    expect_native_error("wuts", response, 403, "permission_denied")


@pytest.mark.parametrize("dialect", [*BY_BODY, "session-gateway"])
@pytest.mark.parametrize("session", ["support", SESSION])
def test_a_native_session_is_an_account_by_its_name_or_by_its_alias(
    front: FlaskClient, dialect: str, session: str
) -> None:
    response = send(front, native_request(dialect, "block", session=session))
    expect_native_success(dialect, response, "block")
    assert blocked_numbers(front) == [NUMBER]


@pytest.mark.parametrize(
    ("dialect", "own"), [*[(name, None) for name in BY_BODY], ("session-gateway", "not_found")]
)
def test_an_unknown_session_and_one_of_others_are_the_same_native_404(
    make_front: Callable[..., FlaskClient], dialect: str, own: str | None
) -> None:
    accounts = {
        "support": {"provider": "memory", "aliases": ["theirs"]},
        "sales": {"provider": "memory"},
    }
    front = make_front(accounts=accounts, keys={"sales": key_for(KEY, "sales")})
    bodies = set()
    for session in ("nowhere", "support", "theirs"):
        response = send(front, native_request(dialect, "block", session=session))
        expect_native_error(dialect, response, 404, "account_not_found", own)
        bodies.add(response.data)
    assert len(bodies) == 1


@pytest.mark.parametrize(
    ("keys", "default", "expected"),
    [
        ({"k": key_for(KEY, "a", "b", default_account="b")}, "a", "b"),
        ({"k": key_for(KEY, "a", "b")}, "a", "a"),
        ({"k": key_for(KEY, "b")}, "a", "b"),
        ({"k": key_for(KEY, "b")}, None, "b"),
    ],
)
def test_where_a_dialect_has_no_session_the_default_account_serves(
    make_app: MakeApp, keys: dict[str, Any], default: str | None, expected: str
) -> None:
    config: dict[str, Any] = {
        "accounts": {"a": {"provider": "memory"}, "b": {"provider": "memory"}},
        "keys": {**keys, "root": key_for("root")},
        "dialects": {"enabled": ["wuts"]},
    }
    if default is not None:
        config["default_account"] = default
    front = make_app(config, allow_unauthenticated=False).test_client()
    assert send(front, native_request("wuts", "block")).status_code == 200
    for account in ("a", "b"):
        numbers = blocked_numbers(front, "root", account=account)
        assert numbers == ([NUMBER] if account == expected else [])


def test_without_any_default_account_the_wuts_dialect_says_so_natively(make_app: MakeApp) -> None:
    config = front_config(("a", {"provider": "memory"}), ("b", {"provider": "memory"}))
    front = make_app(config, allow_unauthenticated=False).test_client()
    response = send(front, native_request("wuts", "block"))
    expect_native_error("wuts", response, 400, "validation_error", "VALIDATION_ERROR")
    assert [each["field"] for each in response.get_json()["validation"]] == ["account"]


# What cannot be done, in each provider's own words


@pytest.fixture(scope="module")
def _recorded() -> Iterator[tuple[str, Upstream]]:
    with run_upstream() as upstream:
        account = {**account_for("wuts", upstream.address), "aliases": [SESSION]}
        config = front_config(("support", account))
        with run_app(lambda _: create_app(config)) as address:
            yield address, upstream


@pytest.fixture
def recorded(_recorded: tuple[str, Upstream]) -> tuple[str, Upstream]:
    _recorded[1].connections = 0
    return _recorded


BAD_TARGETS = [
    "120363025246125486@g.us",
    "5511999999999-1400000000@g.us",
    "120363025246125486@newsletter",
    "status@broadcast",
    "5511999999999@broadcast",
    "../../x@s.whatsapp.net",
    "..@c.us",
    "55119999\n99999@c.us",
    f"{FULL_WIDTH}@c.us",
    "0@c.us",
    "@c.us",
    "5511999999999@S.WHATSAPP.NET",
    "5511999999999@example.com",
    "9" * 10_000 + "@c.us",
]


@pytest.mark.parametrize("target", BAD_TARGETS, ids=[repr(each[:40]) for each in BAD_TARGETS])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_bad_target_is_a_native_error_and_nothing_is_sent(
    recorded: tuple[str, Upstream], dialect: str, target: str
) -> None:
    address, upstream = recorded
    request = native_request(dialect, "block", target)
    if dialect == "session-gateway":
        request["path"] = f"{GATEWAY}/{quote(target, safe='@')}/block"
    answer = send_over(address, request)
    slashed = dialect == "session-gateway" and "/" in target
    assert answer.headers[CODE] == ("not_found" if slashed else "invalid_target")
    assert answer.status == (404 if slashed else 400)
    document = answer.json
    if dialect == "wuts":
        assert document["error_code"] == "VALIDATION_ERROR"
        assert [each["field"] for each in document["validation"]] == ["jid"]
    elif dialect in ("wappfy", "waha"):
        assert document["statusCode"] == 400
    elif dialect == "evolution-api":
        ((sentence,),) = document["response"]["message"]
        assert isinstance(sentence, str)
    else:
        assert document["error"]["code"] == ("not_found" if slashed else "validation_error")
    assert upstream.connections == 0


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"null",
        b'"5511999999999"',
        b"{}",
        b'{"jid": 5511999999999}',
        b'{"number": 5511999999999}',
        b'{"number": "5511999999999", "jid": "5511988888888@c.us"}',
        b'{"contactId": 5511999999999, "session": "my-session"}',
        b'{"contactId": "5511999999999"}',
        b'{"session": "my-session"}',
        b'{"contactId": "5511999999999", "session": 1}',
        b'{"contactId": "", "session": "my-session"}',
        b'{"contactId": "55119", "session": "my-session"}',
        b'{"sessionId": "my-session", "jid": ""}',
        b'{"sessionId": "my-session", "jid": "", "jid": "5511999999999@c.us"}',
        b'{"sessionId": null, "jid": "55119"}',
        b'{"jid": NaN}',
        b'{"jid": "\xff"}',
        b"[" * 60_000,
        b"jid=5511999999999%40c.us",
        '{"jid": "5511999999999@c.us"}'.encode("utf-16"),
        b'{"x": "%s"}' % (b"x" * 66_000),
    ],
    ids=lambda body: repr(body[:40]),
)
@pytest.mark.parametrize("dialect", ["wuts", *BY_BODY])
def test_a_body_that_names_nobody_is_a_native_400_and_nothing_is_sent(
    recorded: tuple[str, Upstream], dialect: str, body: bytes
) -> None:
    address, upstream = recorded
    request = native_request(dialect, "block")
    headers = {**request["headers"], "Content-Type": "application/json"}
    answer = call(address, "POST", request["path"], body=body, headers=headers)
    assert answer.status == 400
    code = code_named(answer.headers[CODE])
    assert code in {
        Code.INVALID_JSON,
        Code.VALIDATION_ERROR,
        Code.INVALID_TARGET,
        Code.PAYLOAD_TOO_LARGE,
    }
    if dialect == "wuts":
        assert answer.json["success"] is False
        assert answer.json["error_code"] == "VALIDATION_ERROR"
        assert answer.json["error"] == "validation failed"
    else:
        assert answer.json["status" if dialect == "evolution-api" else "statusCode"] == 400
        assert answer.json["error"] == "Bad Request"
    assert upstream.connections == 0


@pytest.mark.parametrize(
    "body",
    [
        b'{"number": "5511999999999"}',
        b'{"number": "5511999999999", "status": "list"}',
        b'{"number": "5511999999999", "status": ["block"]}',
        b'{"number": "5511999999999", "status": "block", "status": "unblock"}',
        b'{"number": 5511999999999, "status": "block"}',
        b'{"number": "", "status": "block"}',
        b'{"status": "block"}',
    ],
    ids=repr,
)
def test_evolution_api_refuses_what_says_not_whom_to_block_or_to_unblock(
    recorded: tuple[str, Upstream], body: bytes
) -> None:
    address, upstream = recorded
    headers = {**APIKEY, "Content-Type": "application/json"}
    answer = call(address, "POST", EVOLUTION, body=body, headers=headers)
    assert answer.status == 400
    assert answer.json["status"] == 400
    assert upstream.connections == 0


@pytest.mark.parametrize(
    ("dialect", "status", "own"),
    [
        ("wuts", 503, "DEVICE_NOT_READY"),
        ("session-gateway", 501, "not_implemented"),
        ("wappfy", 422, None),
        ("waha", 422, None),
        ("evolution-api", 500, None),  # it knows no other word for it
    ],
)
def test_a_sleeping_session_is_what_the_provider_documents(
    front: FlaskClient, dialect: str, status: int, own: str | None
) -> None:
    response = send(front, native_request(dialect, "block", "15005550012"))
    expect_native_error(dialect, response, status, "session_not_connected", own)
    if dialect in ("wappfy", "waha"):
        document = response.get_json()
        assert document["session"] == SESSION
        assert document["status"] not in document["expected"]


def nest(status: int, error: str) -> dict[str, Any]:
    return {"error": error, "statusCode": status}


def evolution(status: int, error: str, *message: Any) -> dict[str, Any]:
    told = {"response": {"message": list(message)}} if message else {}
    return {"status": status, "error": error, **told}


@pytest.mark.parametrize(
    ("dialect", "code", "status", "own"),
    [
        ("waha", Code.OPERATION_NOT_SUPPORTED, 501, nest(501, "Not Implemented")),
        ("waha", Code.SESSION_NOT_FOUND, 404, nest(404, "Not Found")),
        ("waha", Code.TARGET_REJECTED, 400, nest(400, "Bad Request")),
        ("waha", Code.PROVIDER_ERROR, 500, nest(500, "Internal Server Error")),
        (
            *("evolution-api", Code.OPERATION_NOT_SUPPORTED, 400),
            evolution(400, "Bad Request", "Method not available on WhatsApp Business API"),
        ),
        ("evolution-api", Code.SESSION_NOT_FOUND, 404, evolution(404, "Not Found")),
        (
            *("evolution-api", Code.TARGET_REJECTED, 400),
            evolution(400, "Bad Request", [Code.TARGET_REJECTED.message]),
        ),
        ("evolution-api", Code.PROVIDER_ERROR, 500, evolution(500, "Internal Server Error")),
    ],
)
def test_what_a_provider_behind_says_is_told_in_the_words_of_the_dialect(
    shared: FlaskClient, dialect: str, code: Code, status: int, own: dict[str, Any]
) -> None:
    number = next(number for number, magic in MAGIC_NUMBERS.items() if magic is code)
    response = send(shared, native_request(dialect, "block", number))
    expect_native_error(dialect, response, status, code.value)
    assert response.get_json().items() >= own.items()


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PUT", "PATCH"])
@pytest.mark.parametrize("path", ["", "/", "/nowhere", "/contacts/block/", "/v1/accounts"])
def test_an_unknown_path_is_a_native_404(
    shared: FlaskClient, dialect: str, method: str, path: str
) -> None:
    request = native_request(dialect, "block")
    response = shared.open(
        PREFIX[dialect] + path, method=method, headers=request["headers"], follow_redirects=True
    )
    expect_native_error(
        dialect,
        response,
        404,
        "not_found",
        "not_found" if dialect == "session-gateway" else None,
    )


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "PATCH", "OPTIONS", "TRACE"])
def test_a_wrong_method_is_a_native_error(shared: FlaskClient, dialect: str, method: str) -> None:
    response = send(shared, native_request(dialect, "block"), method=method, json=None)
    assert response.headers[CODE] == "method_not_allowed"
    assert 400 <= response.status_code <= 499
    native_error(dialect, response)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_bug_of_a_provider_is_a_native_500(
    make_app: MakeApp, plugin: Callable[[str, str], object], dialect: str
) -> None:
    plugin("failing", FAILING_PLUGIN)
    config = front_config(("support", {"provider": "failing", "aliases": [SESSION]}))
    response = send(make_app(config).test_client(), native_request(dialect, "block"))
    assert response.status_code == 500
    assert response.headers[CODE] == "internal_error"
    native_error(dialect, response)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("code", list(Code), ids=lambda code: code.value)
def test_every_code_of_the_table_is_told_natively_with_the_unified_code_beside_it(
    shared: FlaskClient, dialect: str, code: Code
) -> None:
    number = next(number for number, magic in MAGIC_NUMBERS.items() if magic is code)
    response = send(shared, native_request(dialect, "block", number))
    assert response.headers[CODE] == code.value
    assert response.headers["X-Request-Id"]
    assert response.headers["Cache-Control"] == "no-store"
    assert response.status_code >= 400
    assert ("Retry-After" in response.headers) is code.carries_retry_after
    native_error(dialect, response)
    assert number not in response.text


def test_the_wait_is_passed_on_natively(make_app: MakeApp, upstream: Upstream) -> None:
    upstream.will_answer(429, {"error": {"code": "rate_limited"}}, {"Retry-After": "9"})
    account = {**account_for("session-gateway", upstream.address), "aliases": ["s"]}
    client = make_app(front_config(("support", account))).test_client()
    for dialect in DIALECTS:
        response = send(client, native_request(dialect, "block", session="s"))
        assert response.status_code == 429
        assert response.headers["Retry-After"] == "9"


# Where a dialect is served


def test_a_dialect_moves_to_its_configured_prefix(make_front: Callable[..., FlaskClient]) -> None:
    front = make_front(dialects={"enabled": ["wuts"], "wuts": {"prefix": "/old/api"}})
    sent: dict[str, Any] = {"json": {"jid": JID}, "headers": BEARER}
    assert front.post("/old/api/contacts/block", **sent).status_code == 200
    assert front.post("/dialects/wuts/contacts/block", **sent).status_code == 404


def test_a_dialect_that_is_not_enabled_is_not_there(
    make_front: Callable[..., FlaskClient],
) -> None:
    front = make_front(dialects={"enabled": ["wappfy"]})
    response = send(front, native_request("wuts", "block"))
    assert response.status_code == 404
    assert response.get_json()["error"]["code"] == "not_found"
    assert CODE not in response.headers


@pytest.mark.parametrize(
    "host", ["wuts.example.com", "wuts.example.com:8443", "WUTS.Example.COM", "Wuts.example.com:80"]
)
def test_a_dialect_is_served_at_the_root_of_its_own_host_name(
    make_front: Callable[..., FlaskClient], host: str
) -> None:
    front = make_front(dialects={"enabled": ["wuts"], "wuts": {"host": "wuts.example.com"}})
    headers = {**BEARER, "Host": host}
    response = front.post("/contacts/block", json={"jid": JID}, headers=headers)
    expect_native_success("wuts", response, "block")
    unknown = front.get("/v1/accounts", headers=headers)
    expect_native_error("wuts", unknown, 404, "not_found")
    assert blocked_numbers(front) == [NUMBER]


def test_another_host_name_is_none_of_the_dialects_business(
    make_front: Callable[..., FlaskClient],
) -> None:
    front = make_front(dialects={"enabled": ["wuts"], "wuts": {"host": "wuts.example.com"}})
    for host in ("example.com", "x.wuts.example.com", "wuts.example.com.evil.example"):
        headers = {**BEARER, "Host": host}
        response = front.post("/contacts/block", json={"jid": JID}, headers=headers)
        assert response.status_code == 404
        assert CODE not in response.headers


def test_two_dialects_keep_apart_and_share_the_block_list(front: FlaskClient) -> None:
    send(front, native_request("wappfy", "block", NUMBER))
    send(front, native_request("session-gateway", "block", OTHER_NUMBER))
    response = front.get(f"{WUTS}/blocklist", headers=BEARER)
    items = response.get_json()["data"]["items"]
    assert [each["phone_number"] for each in items] == [NUMBER, OTHER_NUMBER]
