"""The documented request forms of each dialect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from support import (
    DIALECTS,
    JID,
    NUMBER,
    SESSION,
)
from support.dialect_calls import (
    APIKEY,
    BEARER,
    CODE,
    EVOLUTION,
    GATEWAY,
    KEY,
    WAHA,
    WAPPFY,
    WUTS,
    blocked_numbers,
    expect_native_error,
    expect_native_success,
    native_request,
    send,
)

pytest_plugins = ["support.dialect_fixtures"]


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
def test_wuts_accepts_every_documented_form(front: FlaskClient, sent: dict[str, Any]) -> None:
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


def test_wuts_accepts_credentials_in_authorization_alone(front: FlaskClient) -> None:
    response = front.post(
        f"{WUTS}/block",
        json={"jid": JID},
        query_string={"token": KEY},
        headers={"Cookie": f"token={KEY}", "apikey": KEY, "X-API-Key": KEY},
    )
    expect_native_error("wuts", response, 401, "unauthenticated")


@pytest.mark.parametrize("target", [NUMBER, f"{NUMBER}@c.us", JID])
@pytest.mark.parametrize("action", ["block", "unblock"])
def test_wappfy_body_of_the_openapi_document_is_an_empty_201(
    front: FlaskClient, action: str, target: str
) -> None:
    body = {"contactId": target, "session": SESSION}
    response = front.post(f"{WAPPFY}/{action}", json=body, headers=APIKEY)
    expect_native_success("wappfy", response, action)
    assert blocked_numbers(front) == ([NUMBER] if action == "block" else [])


@pytest.mark.parametrize("action", ["block", "unblock"])
def test_wappfy_body_of_the_guide_is_a_200_with_a_message(front: FlaskClient, action: str) -> None:
    body = {"sessionId": SESSION, "jid": JID}
    response = front.post(f"{WAPPFY}/{action}", json=body, headers=APIKEY)
    assert response.status_code == 200
    assert response.get_json() == {
        "success": True,
        "message": f"Contact {action}ed successfully",
    }
    assert blocked_numbers(front) == ([NUMBER] if action == "block" else [])


@pytest.mark.parametrize("target", [NUMBER, f"{NUMBER}@c.us", JID, f"{NUMBER}:3@s.whatsapp.net"])
@pytest.mark.parametrize("action", ["block", "unblock"])
def test_waha_accepts_every_documented_form(front: FlaskClient, action: str, target: str) -> None:
    body = {"contactId": target, "session": SESSION}
    response = front.post(f"{WAHA}/{action}", json=body, headers={"x-api-key": KEY})
    expect_native_success("waha", response, action)
    assert blocked_numbers(front) == ([NUMBER] if action == "block" else [])


def test_waha_session_default_is_the_account_with_that_alias(
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


@pytest.mark.parametrize("target", [NUMBER, f"+{NUMBER}", JID, f"{NUMBER}@c.us"])
def test_evolution_api_accepts_every_documented_form(front: FlaskClient, target: str) -> None:
    for action, listed in (("block", [NUMBER]), ("unblock", [])):
        body = {"number": target, "status": action}
        response = front.post(EVOLUTION, json=body, headers=APIKEY)
        expect_native_success("evolution-api", response, action)
        assert blocked_numbers(front) == listed


@pytest.mark.parametrize("number", ["5531987654321", "553187654321", "5215512345678"])
def test_evolution_api_digits_are_not_normalized(front: FlaskClient, number: str) -> None:
    send(front, native_request("evolution-api", "block", number))
    assert blocked_numbers(front) == [number]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_contact_with_a_lid_alone_is_accepted_by_every_dialect(
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
def test_dialect_accepts_its_key_in_its_own_header_alone(
    front: FlaskClient, dialect: str, header: str
) -> None:
    request = native_request(dialect, "block")
    elsewhere = {name: KEY for name in ("X-Api-Key", "apikey", "token") if name != header}
    response = send(front, request, headers={**BEARER, **elsewhere})
    expect_native_error(dialect, response, 401, "unauthenticated")
    assert send(front, request, headers={header: KEY}).status_code == 201


@pytest.mark.parametrize("headers", [BEARER, {"x-api-key": KEY}])
@pytest.mark.parametrize(
    "jid", [JID, JID.replace("@", "%40"), f"{NUMBER}%40c.us", f"{NUMBER}:3@s.whatsapp.net"]
)
def test_session_gateway_accepts_every_documented_form(
    front: FlaskClient, jid: str, headers: dict[str, str]
) -> None:
    for action, listed in (("block", [NUMBER]), ("unblock", [])):
        response = front.post(f"{GATEWAY}/{jid}/{action}", headers=headers)
        expect_native_success("session-gateway", response, action)
        assert blocked_numbers(front) == listed


@pytest.mark.parametrize("body", [b"{}", b"not json", b"\xff", b" " * 70_000])
def test_session_gateway_ignores_the_body(front: FlaskClient, body: bytes) -> None:
    response = front.post(f"{GATEWAY}/{JID}/block", headers=BEARER, data=body)
    expect_native_success("session-gateway", response, "block")
