"""The reads that dialects serve: status, lookup and state in the shape of each provider."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlencode

import pytest
from adapter.providers.memory import LISTED_BY_LID, NOT_ON_WHATSAPP, WITH_NINTH_DIGIT
from flask.testing import FlaskClient
from support import (
    NUMBER,
    OTHER_NUMBER,
    SESSION,
    Answer,
    Upstream,
    account_for,
    call,
    key_for,
    origin_config,
    run_app,
    run_upstream,
)
from support.dialect_calls import (
    APIKEY,
    BEARER,
    CODE,
    CONFIRMATION,
    KEY,
    expect_native_error,
    front_config,
    native_request,
    send_over,
)

from adapter import Secret
from adapter.web.app import create_app

pytest_plugins = ["support.dialect_fixtures"]

HEADERS = {
    "wuts": BEARER,
    "wappfy": APIKEY,
    "session-gateway": BEARER,
    "waha": {"X-Api-Key": KEY},
}
READERS = tuple(HEADERS)
"""The dialects with a status and a lookup."""


def status_request(dialect: str, session: str = SESSION) -> tuple[str, str, Any]:
    """Return method, path and body of a status."""
    paths = {
        "wuts": "/status",
        "session-gateway": f"/api/v1/sessions/{session}",
    }
    path = paths.get(dialect, f"/api/sessions/{session}")
    return "GET", f"/dialects/{dialect}{path}", None


def lookup_request(dialect: str, number: str, session: str = SESSION) -> tuple[str, str, Any]:
    """Return method, path and body of the lookup of one number."""
    if dialect == "wuts":
        return "POST", "/dialects/wuts/contact/check", {"numbers": [number]}
    if dialect == "session-gateway":
        path = f"/api/v1/sessions/{session}/contacts/check?{urlencode({'phone': f'+{number}'})}"
    else:
        path = f"/api/contacts/check-exists?{urlencode({'phone': number, 'session': session})}"
    return "GET", f"/dialects/{dialect}{path}", None


def found_in(dialect: str, document: Any, number: str) -> Any:
    """Return whether the native response shows the number as on WhatsApp; None without a word."""
    if dialect == "wuts":
        return document["data"].get(number)
    return document.get("isOnWhatsApp" if dialect == "session-gateway" else "numberExists")


def is_connected(dialect: str, document: Any) -> bool:
    if dialect == "wuts":
        return bool(document["data"]["connected"])
    return bool(document["status"] == ("working" if dialect == "session-gateway" else "WORKING"))


def ask(address: str, dialect: str, request: tuple[str, str, Any]) -> Answer:
    method, path, body = request
    return call(address, method, path, json_body=body, headers=HEADERS[dialect])


@pytest.fixture(scope="module")
def chain() -> Iterator[Callable[[str], str]]:
    """Return a function: the address of a server of all dialects in front of a provider.

    The provider is served by a server of its dialect, in front of one block list in memory.
    """
    with ExitStack() as stack:
        origin = stack.enter_context(
            run_app(lambda _: create_app(origin_config(), allow_unauthenticated=True))
        )
        made: dict[str, str] = {}

        def address_of(provider: str) -> str:
            if provider not in made:
                account = account_for(provider, f"{origin}/dialects/{provider}")
                config = front_config(("mine", {**account, "aliases": [SESSION]}))
                made[provider] = stack.enter_context(run_app(lambda _: create_app(config)))
            return made[provider]

        yield address_of


@pytest.fixture(scope="module")
def _held() -> Iterator[dict[str, tuple[str, Upstream]]]:
    """Return for each provider a server of all dialects in front of a scripted upstream."""
    with ExitStack() as stack:
        found = {}
        for provider in READERS:
            upstream = stack.enter_context(run_upstream())
            account = {**account_for(provider, upstream.address), "aliases": [SESSION]}
            config = front_config(("mine", account))
            address = stack.enter_context(
                run_app(lambda _, config=config: create_app(config))  # type: ignore[misc]
            )
            found[provider] = address, upstream
        yield found


@pytest.fixture
def scripted(_held: dict[str, tuple[str, Upstream]]) -> dict[str, tuple[str, Upstream]]:
    for _, upstream in _held.values():
        upstream.seen.clear()
    return _held


# Every dialect in front of every provider


@pytest.mark.parametrize("provider", [*READERS, "memory"])
@pytest.mark.parametrize("dialect", READERS)
def test_every_dialect_reads_the_status_and_looks_up_with_every_provider(
    chain: Callable[[str], str], dialect: str, provider: str
) -> None:
    status = ask(chain(provider), dialect, status_request(dialect))
    assert status.status == 200
    assert status.headers[CODE] == "ok"
    assert status.headers[CONFIRMATION] == "provider_state"
    assert is_connected(dialect, status.json)
    for number, found in ((NUMBER, True), (NOT_ON_WHATSAPP, False)):
        answer = ask(chain(provider), dialect, lookup_request(dialect, number))
        assert answer.status == 200
        assert found_in(dialect, answer.json, number) is found


def test_waha_and_wappfy_write_the_contact_as_whatsapp_knows_it(
    chain: Callable[[str], str],
) -> None:
    request = lookup_request("waha", WITH_NINTH_DIGIT)
    assert ask(chain("waha"), "waha", request).json == {
        "numberExists": True,
        "chatId": "551199990001@c.us",
    }
    query = urlencode({"phone": WITH_NINTH_DIGIT, "sessionId": SESSION})
    path = f"/dialects/wappfy/api/contacts/check-exists?{query}"
    assert ask(chain("waha"), "wappfy", ("GET", path, None)).json == {
        "exists": True,
        "jid": "551199990001@s.whatsapp.net",
        "isInWhatsapp": True,
    }


def test_session_gateway_repeats_the_number_and_names_the_contact(
    chain: Callable[[str], str],
) -> None:
    request = lookup_request("session-gateway", WITH_NINTH_DIGIT)
    assert ask(chain("session-gateway"), "session-gateway", request).json == {
        "isOnWhatsApp": True,
        "jid": "551199990001@s.whatsapp.net",
        "query": f"+{WITH_NINTH_DIGIT}",
    }
    missing = lookup_request("session-gateway", NOT_ON_WHATSAPP)
    assert ask(chain("memory"), "session-gateway", missing).json == {
        "isOnWhatsApp": False,
        "query": f"+{NOT_ON_WHATSAPP}",
    }


@pytest.mark.parametrize("dialect", ["waha", "wappfy", "session-gateway"])
def test_contact_that_the_provider_does_not_name_is_left_out_of_a_native_lookup(
    chain: Callable[[str], str], dialect: str
) -> None:
    answer = ask(chain("wuts"), dialect, lookup_request(dialect, NUMBER))
    assert found_in(dialect, answer.json, NUMBER) is True
    assert not {"chatId", "jid"} & set(answer.json)


def test_plus_sign_that_a_client_did_not_encode_still_is_the_number(
    chain: Callable[[str], str],
) -> None:
    path = f"/dialects/session-gateway/api/v1/sessions/{SESSION}/contacts/check?phone=+{NUMBER}"
    answer = ask(chain("memory"), "session-gateway", ("GET", path, None))
    assert answer.json["query"] == f"+{NUMBER}"


# WUTS: many numbers


def test_wuts_lookup_of_many_numbers_is_a_map_of_their_digits(chain: Callable[[str], str]) -> None:
    numbers = [NUMBER, "+55 (11) 98888-8888", NOT_ON_WHATSAPP]
    request = ("POST", "/dialects/wuts/contact/check", {"numbers": numbers})
    answer = ask(chain("waha"), "wuts", request)
    expected = {NUMBER: True, OTHER_NUMBER: True, NOT_ON_WHATSAPP: False}
    assert answer.json == {"success": True, "data": expected}


def test_number_of_which_nothing_is_known_is_left_out_of_the_map_of_wuts(
    scripted: dict[str, tuple[str, Upstream]],
) -> None:
    address, upstream = scripted["wuts"]
    upstream.will_answer(200, {"success": True, "data": {NUMBER: False}})
    request = ("POST", "/dialects/wuts/contact/check", {"numbers": [NUMBER, OTHER_NUMBER]})
    answer = ask(address, "wuts", request)
    assert answer.json == {"success": True, "data": {NUMBER: False}}


@pytest.mark.parametrize(
    "numbers", [None, [], NUMBER, {}, [NUMBER, 5], [None], [f"55119{n:08}" for n in range(101)]]
)
def test_wuts_lookup_takes_1_to_100_texts(shared: FlaskClient, numbers: Any) -> None:
    response = shared.post(
        "/dialects/wuts/contact/check", json={"numbers": numbers}, headers=BEARER
    )
    expect_native_error("wuts", response, 400, "validation_error", "VALIDATION_ERROR")
    assert [each["field"] for each in response.get_json()["validation"]] == ["numbers"]


def test_wuts_lookup_of_100_numbers_is_answered(shared: FlaskClient) -> None:
    numbers = [f"5511{90000000 + n}" for n in range(50)] + [
        f"55119{80000000 + n}" for n in range(50)
    ]
    response = shared.post(
        "/dialects/wuts/contact/check", json={"numbers": numbers}, headers=BEARER
    )
    assert response.status_code == 200
    assert set(response.get_json()["data"]) == set(numbers)


# What nobody knows is an error


@pytest.mark.parametrize("dialect", READERS)
@pytest.mark.parametrize(
    ("document", "code"),
    [
        ({"numberExists": True, "chatId": "4915123456789@c.us"}, "provider_bad_response"),
        ({"numberExists": False, "error": "timed out"}, "provider_bad_response"),
        ({}, "provider_bad_response"),
    ],
)
def test_lookup_that_shows_nothing_is_a_native_error_never_a_false(
    scripted: dict[str, tuple[str, Upstream]], dialect: str, document: Any, code: str
) -> None:
    address, upstream = scripted["waha"]
    upstream.will_answer(200, document)
    answer = ask(address, dialect, lookup_request(dialect, NUMBER))
    assert answer.status >= 500
    assert answer.headers[CODE] == code
    assert CONFIRMATION not in answer.headers
    assert b"xists" not in answer.body


@pytest.mark.parametrize("dialect", ["waha", "wappfy", "session-gateway"])
def test_single_number_that_a_map_leaves_out_is_a_native_error(
    scripted: dict[str, tuple[str, Upstream]], dialect: str
) -> None:
    address, upstream = scripted["wuts"]
    upstream.will_answer(200, {"success": True, "data": {}})
    answer = ask(address, dialect, lookup_request(dialect, NUMBER))
    assert answer.status >= 500
    assert answer.headers[CODE] == "provider_bad_response"


@pytest.mark.parametrize("dialect", READERS)
def test_status_that_nobody_knows_is_a_native_error(
    scripted: dict[str, tuple[str, Upstream]], dialect: str
) -> None:
    address, upstream = scripted["session-gateway"]
    upstream.will_answer(200, {"status": "resting"})
    answer = ask(address, dialect, status_request(dialect))
    assert answer.status >= 500
    assert answer.headers[CODE] == "provider_bad_response"


@pytest.mark.parametrize(
    ("dialect", "status", "document"),
    [
        ("wuts", 200, {"success": True, "data": {"connected": False}}),
        ("waha", 200, {"name": SESSION, "status": "SCAN_QR_CODE"}),
        ("wappfy", 200, {"name": SESSION, "status": "SCAN_QR_CODE"}),
    ],
)
def test_session_that_is_not_connected_has_the_providers_word(
    scripted: dict[str, tuple[str, Upstream]], dialect: str, status: int, document: Any
) -> None:
    address, upstream = scripted["waha"]
    upstream.will_answer(200, {"name": SESSION, "status": "SCAN_QR_CODE"})
    answer = ask(address, dialect, status_request(dialect))
    assert (answer.status, answer.json) == (status, document)


@pytest.mark.parametrize("dialect", ["waha", "wappfy"])
def test_session_that_another_provider_reports_as_down_is_stopped(
    scripted: dict[str, tuple[str, Upstream]], dialect: str
) -> None:
    address, upstream = scripted["wuts"]
    upstream.will_answer(200, {"success": True, "data": {"connected": False}})
    answer = ask(address, dialect, status_request(dialect))
    assert answer.json == {"name": SESSION, "status": "STOPPED"}


def test_gateway_has_no_word_for_a_session_that_is_down_and_sends_its_501(
    scripted: dict[str, tuple[str, Upstream]],
) -> None:
    address, upstream = scripted["waha"]
    upstream.will_answer(200, {"name": SESSION, "status": "FAILED"})
    answer = ask(address, "session-gateway", status_request("session-gateway"))
    assert answer.status == 501
    assert answer.headers[CODE] == "session_not_connected"
    assert answer.json["error"]["code"] == "not_implemented"


# The state of one contact


def state_path(contact: str) -> str:
    return f"/dialects/waha/api/contacts?{urlencode({'contactId': contact, 'session': SESSION})}"


def test_waha_state_shows_the_block_of_a_contact(chain: Callable[[str], str]) -> None:
    address = chain("memory")

    def read(contact: str) -> Any:
        return ask(address, "waha", ("GET", state_path(contact), None)).json

    contact = f"{NUMBER}@c.us"
    expected = {"id": contact, "number": NUMBER}
    assert read(contact) == {**expected, "isBlocked": False}
    send_over(address, native_request("waha", "block"))
    assert read(contact) == read(NUMBER) == {**expected, "isBlocked": True}
    send_over(address, native_request("waha", "unblock"))
    assert read(contact) == {**expected, "isBlocked": False}


def test_waha_state_that_nobody_knows_has_no_flag(chain: Callable[[str], str]) -> None:
    address = chain("memory")
    send_over(address, native_request("waha", "block", LISTED_BY_LID))
    answer = ask(address, "waha", ("GET", state_path(LISTED_BY_LID), None))
    send_over(address, native_request("waha", "unblock", LISTED_BY_LID))
    assert answer.json == {"id": f"{LISTED_BY_LID}@c.us", "number": LISTED_BY_LID}
    assert answer.headers[CODE] == "ok"


def test_waha_state_is_unsupported_where_the_provider_shows_none(
    chain: Callable[[str], str],
) -> None:
    answer = ask(chain("wappfy"), "waha", ("GET", state_path(NUMBER), None))
    assert answer.status == 501
    assert answer.headers[CODE] == "operation_not_supported"


def test_waha_flag_proves_a_block_and_never_the_contrary(
    scripted: dict[str, tuple[str, Upstream]],
) -> None:
    address, upstream = scripted["waha"]
    contact = {"id": f"{NUMBER}@c.us", "number": NUMBER}
    for flag, shown in ((True, {"isBlocked": True}), (False, {})):
        upstream.will_answer(200, {**contact, "isBlocked": flag})
        answer = ask(address, "waha", ("GET", state_path(NUMBER), None))
        assert answer.json == {**contact, **shown}
    (seen, *_) = upstream.seen
    assert seen.path == f"/api/contacts?contactId={NUMBER}%40c.us&session={SESSION}"


# Requests


@pytest.mark.parametrize(
    ("provider", "path"),
    [
        ("waha", f"/api/contacts/check-exists?phone={NUMBER}&session={SESSION}"),
        ("wappfy", f"/api/contacts/check-exists?phone={NUMBER}&session={SESSION}"),
        (
            "session-gateway",
            f"/api/v1/sessions/{SESSION}/contacts/check?phone=%2B{NUMBER}",
        ),
    ],
)
def test_lookup_is_a_get_with_an_encoded_query_and_no_body(
    scripted: dict[str, tuple[str, Upstream]], provider: str, path: str
) -> None:
    address, upstream = scripted[provider]
    upstream.will_answer(500)
    ask(address, provider, lookup_request(provider, NUMBER))
    seen = upstream.seen[0]
    assert (seen.method, seen.path, seen.body) == ("GET", path, b"")


@pytest.mark.parametrize("dialect", ["waha", "wappfy"])
@pytest.mark.parametrize("left_out", ["phone", "session"])
def test_missing_name_of_the_query_is_a_native_error(
    shared: FlaskClient, dialect: str, left_out: str
) -> None:
    query = {"phone": NUMBER, "session": SESSION}
    del query[left_out]
    path = f"/dialects/{dialect}/api/contacts/check-exists"
    response = shared.get(path, query_string=query, headers=HEADERS[dialect])
    expect_native_error(dialect, response, 400, "validation_error")
    assert left_out in response.get_data(as_text=True)


@pytest.mark.parametrize("dialect", READERS)
def test_lookup_of_what_is_no_number_is_a_native_error(shared: FlaskClient, dialect: str) -> None:
    method, path, body = lookup_request(dialect, "123")
    response = shared.open(path, method=method, json=body, headers=HEADERS[dialect])
    assert response.headers[CODE] == "invalid_target"
    assert 400 <= response.status_code <= 499


@pytest.mark.parametrize("dialect", ["wappfy", "session-gateway", "waha"])
def test_read_of_an_unknown_session_is_the_providers_404(shared: FlaskClient, dialect: str) -> None:
    for request in (status_request(dialect, "x"), lookup_request(dialect, NUMBER, "x")):
        response = shared.open(request[1], method=request[0], headers=HEADERS[dialect])
        assert response.status_code == 404
        assert response.headers[CODE] == "account_not_found"


@pytest.mark.parametrize("dialect", READERS)
def test_reads_need_the_scope_read(make_front: Callable[..., FlaskClient], dialect: str) -> None:
    for scope, allowed in (("read", True), ("block", False)):
        front = make_front(keys={"crm": key_for(KEY, scopes=(scope,))})
        for request in (status_request(dialect), lookup_request(dialect, NUMBER)):
            response = front.open(
                request[1], method=request[0], json=request[2], headers=HEADERS[dialect]
            )
            expected = "ok" if allowed else "permission_denied"
            assert response.headers[CODE] == expected


@pytest.mark.parametrize("dialect", READERS)
def test_preflight_of_a_dialect_allows_its_reads(
    make_front: Callable[..., FlaskClient], dialect: str
) -> None:
    origin = "https://crm.example.com"
    front = make_front(dialects={"enabled": [dialect], dialect: {"cors_origins": [origin]}})
    path = lookup_request(dialect, NUMBER)[1]
    response = front.options(
        path, headers={"Origin": origin, "Access-Control-Request-Method": "GET"}
    )
    assert response.status_code == 204
    assert response.headers["Access-Control-Allow-Methods"] == "GET, POST"


def test_reads_that_a_dialect_does_not_serve_are_unknown_paths(shared: FlaskClient) -> None:
    response = shared.get(
        "/dialects/wappfy/api/contacts",
        query_string={"contactId": NUMBER, "session": SESSION},
        headers=APIKEY,
    )
    assert response.headers[CODE] == "not_found"


def test_session_is_named_in_the_query_as_it_is(
    make_front: Callable[..., FlaskClient],
) -> None:
    name = "Loja #1 & co=ä"
    front = make_front(accounts={"support": {"provider": "memory", "aliases": [name]}})
    response = front.get(
        "/dialects/waha/api/contacts/check-exists",
        query_string={"phone": NUMBER, "session": name},
        headers=HEADERS["waha"],
    )
    assert json.loads(response.data)["numberExists"] is True


@pytest.mark.parametrize("path", ["contacts/check-exists?phone=1&phone=2", "contacts?x=1&x=2"])
def test_a_parameter_with_two_values_is_refused_after_the_key_was_checked(
    make_app: Callable[..., Any], path: str
) -> None:
    keys = {"k": {"secret": Secret("k" * 20), "scopes": ["read"], "accounts": ["*"]}}
    accounts = {"a": {"provider": "memory"}}
    client = make_app(
        {"accounts": accounts, "keys": keys, "dialects": {"enabled": ["waha"]}}
    ).test_client()
    address = f"/dialects/waha/api/{path}"
    assert client.get(address).status_code == 401
    response = client.get(address, headers={"X-Api-Key": "k" * 20})
    assert response.headers["X-Contact-Adapter-Code"] == "validation_error"
