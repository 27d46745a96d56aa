"""Compatibility of the dialects with the clients of their providers: forms, paths, messages."""

from __future__ import annotations

import http.client
import logging
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from adapter.providers.memory import MAGIC_NUMBERS
from conftest import MakeApp
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from support import (
    BUILT_IN,
    DIALECTS,
    JID,
    NUMBER,
    SESSION,
    TIMEOUT,
    Upstream,
    account_for,
    call,
    key_for,
    run_app,
)
from werkzeug.test import TestResponse

from adapter import Action, Code, Outcome
from adapter.registry import load_plugins
from adapter.route import Route
from adapter.web.app import create_app, service_state
from adapter.web.body import parse_form_body

KEY = "our-key"
CODE = "X-Contact-Adapter-Code"
CONFIRMATION = "X-Contact-Adapter-Confirmation"
FORM = "application/x-www-form-urlencoded"
EVOLUTION = f"/dialects/evolution-api/chat/updateBlockStatus/{SESSION}"
WAHA = "/dialects/waha/api/contacts/block"
WUTS = "/dialects/wuts/contacts/block"
WAPPFY = "/dialects/wappfy/api/contacts/block"
GATEWAY = f"/dialects/session-gateway/api/v1/sessions/{SESSION}/contacts/{JID}/block"
PATHS = {
    "wuts": WUTS,
    "wappfy": WAPPFY,
    "session-gateway": GATEWAY,
    "waha": WAHA,
    "evolution-api": EVOLUTION,
}
BODIES: dict[str, Any] = {
    "wuts": {"jid": JID},
    "wappfy": {"contactId": NUMBER, "session": SESSION},
    "session-gateway": None,
    "waha": {"contactId": NUMBER, "session": SESSION},
    "evolution-api": {"number": NUMBER, "status": "block"},
}
KEYS = {"Authorization": f"Bearer {KEY}", "X-Api-Key": KEY, "apikey": KEY}
HEADERS = {
    name: {header: KEYS[header]}
    for name, header in {
        "wuts": "Authorization",
        "wappfy": "apikey",
        "session-gateway": "Authorization",
        "waha": "X-Api-Key",
        "evolution-api": "apikey",
    }.items()
}
LENIENT = ("waha", "evolution-api")
"""The dialects of providers that are known to run on Express."""


def config() -> dict[str, Any]:
    return {
        "accounts": {"support": {"provider": "memory", "aliases": [SESSION]}},
        "keys": {"crm": key_for(KEY)},
        "dialects": {"enabled": list(DIALECTS)},
    }


@pytest.fixture
def client(make_app: MakeApp) -> FlaskClient:
    return make_app(config(), allow_unauthenticated=False).test_client()


@pytest.fixture(scope="module")
def shared() -> Iterator[FlaskClient]:
    app = create_app(config())
    yield app.test_client()
    service_state(app).service.close()


def listed(client: FlaskClient) -> list[str]:
    response = client.get("/v1/contacts/blocked", headers={"X-API-Key": KEY})
    return [each["number"] for each in response.get_json()["data"]["contacts"]]


def send_form(client: FlaskClient, dialect: str, body: str | bytes, **rest: Any) -> TestResponse:
    kind = rest.pop("content_type", FORM)
    path = rest.pop("path", PATHS[dialect])
    return client.post(path, data=body, content_type=kind, headers=HEADERS[dialect], **rest)


# Forms


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        ("evolution-api", f"number={NUMBER}&status=block"),
        ("evolution-api", f"number=%2B{NUMBER}&status=block"),
        ("evolution-api", f"number=+{NUMBER}&status=block"),
        ("evolution-api", urlencode({"number": JID, "status": "block", "other": "x"})),
        ("waha", f"contactId={NUMBER}&session={SESSION}"),
        ("waha", f"contactId={NUMBER}@c.us&session={SESSION}"),
        ("waha", f"session={SESSION}&contactId={NUMBER}%40c.us&"),
    ],
)
@pytest.mark.parametrize("kind", [FORM, f"{FORM}; charset=UTF-8"])
def test_form_is_accepted_where_the_provider_accepts_it(
    client: FlaskClient, dialect: str, body: str, kind: str
) -> None:
    response = send_form(client, dialect, body, content_type=kind)
    assert response.status_code == 201
    assert response.headers[CODE] == "ok"
    assert listed(client) == [NUMBER]


def test_form_of_curl_unblocks_over_a_socket() -> None:
    with run_app(lambda _: create_app(config())) as address:
        headers = {**HEADERS["evolution-api"], "Content-Type": FORM}
        for status in ("block", "unblock"):
            body = f"number={NUMBER}&status={status}".encode()
            answer = call(address, "POST", EVOLUTION, body=body, headers=headers)
            assert (answer.status, answer.json) == (201, {"block": "success"})
        found = call(address, "GET", "/v1/contacts/blocked", headers={"X-API-Key": KEY})
        assert found.json["data"]["contacts"] == []


@pytest.mark.parametrize(
    ("body", "kind", "code", "reason"),
    [
        (f"number={NUMBER}&number={NUMBER}&status=block", FORM, "validation_error", "twice"),
        ("number=1&status=block&status=unblock", FORM, "validation_error", "twice"),
        (f"number[]={NUMBER}&status=block", FORM, "validation_error", "number"),
        (f"number={NUMBER}", FORM, "validation_error", "status"),
        ("number=&status=block", FORM, "invalid_target", "number"),
        (b"number=%FF&status=block", FORM, "validation_error", "UTF-8"),
        (b"number=\xff&status=block", FORM, "validation_error", "UTF-8"),
        ("&".join(f"f{i}=1" for i in range(101)), FORM, "validation_error", "100 fields"),
        ("number=1", f"{FORM}; charset=latin-1", "unsupported_media_type", "UTF-8"),
        ("x=" + "y" * 66_000, FORM, "payload_too_large", "too large"),
        ("number=1", "multipart/form-data; boundary=x", "invalid_json", "JSON"),
        ("number=1", "text/plain", "invalid_json", "JSON"),
    ],
)
def test_invalid_form_is_rejected_with_the_reason(
    shared: FlaskClient, body: str | bytes, kind: str, code: str, reason: str
) -> None:
    response = send_form(shared, "evolution-api", body, content_type=kind)
    assert response.status_code == 400
    assert response.headers[CODE] == code
    assert reason in response.text
    assert listed(shared) == []


def test_json_with_the_content_type_of_a_form_is_parsed_as_json(client: FlaskClient) -> None:
    body = f'{{"number": "{NUMBER}", "status": "block"}}'
    assert send_form(client, "evolution-api", body).status_code == 201
    assert listed(client) == [NUMBER]


@pytest.mark.parametrize("dialect", sorted({*DIALECTS} - {*LENIENT, "session-gateway"}))
def test_form_is_rejected_where_the_provider_documents_none(
    shared: FlaskClient, dialect: str
) -> None:
    response = send_form(shared, dialect, urlencode(BODIES[dialect]))
    assert response.status_code == 400
    assert response.headers[CODE] == "invalid_json"


def test_unified_api_rejects_forms(shared: FlaskClient) -> None:
    headers = {"X-API-Key": KEY}
    response = shared.post(
        "/v1/contacts/block", data=f"number={NUMBER}", content_type=FORM, headers=headers
    )
    assert response.status_code == 415


texts = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.dictionaries(texts, texts, max_size=20))
def test_any_encoded_form_is_parsed_to_its_fields(fields: dict[str, str]) -> None:
    assert parse_form_body(urlencode(fields).encode()) == fields


# Paths


@pytest.mark.parametrize("dialect", DIALECTS)
def test_trailing_slash_is_accepted_where_the_provider_accepts_it(
    client: FlaskClient, dialect: str
) -> None:
    for slashes, taken in (("/", dialect in LENIENT), ("//", False)):
        response = client.post(
            PATHS[dialect] + slashes, json=BODIES[dialect], headers=HEADERS[dialect]
        )
        assert response.headers[CODE] == ("ok" if taken else "not_found")
    assert listed(client) == ([NUMBER] if dialect in LENIENT else [])


@pytest.mark.parametrize("dialect", DIALECTS)
def test_case_of_a_path_matters_where_it_matters_to_the_provider(
    client: FlaskClient, dialect: str
) -> None:
    path = PATHS[dialect].replace("contacts", "Contacts").replace("chat/update", "CHAT/Update")
    response = client.post(path, json=BODIES[dialect], headers=HEADERS[dialect])
    assert response.headers[CODE] == ("ok" if dialect in LENIENT else "not_found")


def test_case_of_an_instance_name_always_matters(shared: FlaskClient) -> None:
    path = EVOLUTION.replace(SESSION, SESSION.upper())
    response = shared.post(path, json=BODIES["evolution-api"], headers=HEADERS["evolution-api"])
    assert response.headers[CODE] == "account_not_found"


@given(st.from_regex(r"[A-Za-z0-9._@:=+-]{1,20}", fullmatch=True), st.randoms())
def test_lenient_route_returns_the_same_ids(instance: str, chance: Any) -> None:
    route = Route(Action.BLOCK, "POST", "/chat/updateBlockStatus/{instance}")
    fixed = "".join(chance.choice((c.lower(), c.upper())) for c in "/chat/updateBlockStatus/")
    for end in ("", "/"):
        assert route.match(f"{fixed}{instance}{end}", lenient=True) == {"instance": instance}
    assert route.match(f"{fixed}{instance}//", lenient=True) is None
    assert route.match(f"/chat/updateBlockStatus/{instance}/") is None


# WAHA's key in the query


def test_waha_key_in_the_query_is_accepted_without_a_header(client: FlaskClient) -> None:
    sent: dict[str, Any] = {"json": BODIES["waha"]}
    assert client.post(f"{WAHA}?x-api-key={KEY}", **sent).status_code == 201
    assert listed(client) == [NUMBER]
    for query in ("?x-api-key=wrong", "?x-api-key=", "?X-Api-Key=our-key", "?apikey=our-key", ""):
        assert client.post(WAHA + query, **sent).status_code == 401
    wrong = {"X-Api-Key": "wrong"}
    assert client.post(f"{WAHA}?x-api-key={KEY}", headers=wrong, **sent).status_code == 401


@pytest.mark.parametrize("dialect", sorted({*DIALECTS} - {"waha"}))
def test_key_in_the_query_is_ignored_by_other_dialects(shared: FlaskClient, dialect: str) -> None:
    query = "&".join(f"{name}={KEY}" for name in ("x-api-key", "apikey", "token", "Authorization"))
    response = shared.post(f"{PATHS[dialect]}?{query}", json=BODIES[dialect])
    assert response.status_code == 401


@pytest.mark.parametrize("number", [NUMBER, "15005550029", "12"])
def test_key_in_the_query_is_neither_logged_nor_returned(
    client: FlaskClient, caplog: pytest.LogCaptureFixture, number: str
) -> None:
    caplog.set_level(logging.DEBUG)
    body = {**BODIES["waha"], "contactId": number}
    response = client.post(f"{WAHA}?x-api-key={KEY}", json=body)
    assert "request" in caplog.text
    for text in (caplog.text, response.text, str(response.headers)):
        assert KEY not in text


def test_key_in_the_query_is_not_sent_to_the_provider(
    make_app: MakeApp, upstream: Upstream
) -> None:
    upstream.will_answer(201)
    account = {**account_for("waha", upstream.address), "aliases": [SESSION]}
    client = make_app({**config(), "accounts": {"support": account}}).test_client()
    assert client.post(f"{WAHA}?x-api-key={KEY}", json=BODIES["waha"]).status_code == 201
    (seen,) = upstream.seen
    assert KEY not in str(seen)


# Error messages, where the clients show them


def told(dialect: str, response: TestResponse) -> str:
    """Return the text of an error that clients of the provider show."""
    document = response.get_json()
    if dialect == "wuts":
        reasons = [each["message"] for each in document.get("validation", ())]
        return "; ".join([document["error"], *reasons])
    if dialect == "evolution-api":
        message = document["response"]["message"]
        while isinstance(message, list):
            (message,) = message
        return str(message)
    if dialect == "session-gateway":
        return str(document["error"]["message"])
    return str(document["message"])


def test_evolution_api_error_lists_the_allowed_statuses(shared: FlaskClient) -> None:
    for status in ("maybe", "", None, 5):
        body = {"number": NUMBER, "status": status}
        response = shared.post(EVOLUTION, json=body, headers=HEADERS["evolution-api"])
        assert 'status: must be "block" or "unblock"' in told("evolution-api", response)


@pytest.mark.parametrize(
    ("dialect", "body", "reason"),
    [
        ("wuts", {}, "give a number, a jid or a user_id"),
        ("wuts", {"jid": 5}, "must be text"),
        ("wappfy", {"session": SESSION}, "contactId: is required"),
        ("wappfy", {"sessionId": SESSION}, "jid: is required"),
        ("wappfy", {"contactId": "status@broadcast", "session": SESSION}, "contactId: "),
        ("waha", {"contactId": NUMBER}, "session: is required"),
        ("waha", {"contactId": "123", "session": SESSION}, "contactId: "),
        ("waha", [], "body: must be a JSON object"),
        ("evolution-api", {"status": "block"}, "number: is required"),
        ("evolution-api", {"status": "block", "number": "x@g.us"}, "number: "),
    ],
)
def test_dialect_errors_name_the_field_and_its_fault(
    shared: FlaskClient, dialect: str, body: Any, reason: str
) -> None:
    response = shared.post(PATHS[dialect], json=body, headers=HEADERS[dialect])
    assert response.status_code == 400
    assert reason in told(dialect, response)


def test_session_gateway_error_names_the_fault_of_the_jid_in_the_path(shared: FlaskClient) -> None:
    path = GATEWAY.replace(JID, "status@broadcast")
    response = shared.post(path, headers=HEADERS["session-gateway"])
    assert "jid: " in told("session-gateway", response)


@pytest.mark.parametrize("dialect", [*LENIENT, "wuts", "wappfy"])
def test_byte_order_mark_and_compression_are_named_in_dialect_errors(
    shared: FlaskClient, dialect: str
) -> None:
    headers = {**HEADERS[dialect], "Content-Type": "application/json"}
    marked = shared.post(PATHS[dialect], data=b"\xef\xbb\xbf{}", headers=headers)
    assert marked.headers[CODE] == "invalid_json"
    packed = shared.post(PATHS[dialect], data=b"{}", headers={**headers, "Content-Encoding": "br"})
    assert packed.headers[CODE] == "unsupported_media_type"
    if dialect != "wuts":
        assert "byte order mark" in told(dialect, marked)
        assert "Content-Encoding" in told(dialect, packed)


NATIVE = {name: each.cls for name, each in load_plugins().dialects.items()}


@pytest.mark.parametrize("dialect", DIALECTS)
@given(
    st.dictionaries(st.text(max_size=30), st.tuples(st.text(max_size=200)), max_size=5),
    st.from_regex(r"[1-9][0-9]{7,14}", fullmatch=True),
)
def test_dialect_message_is_bounded_and_has_no_number(
    dialect: str, fields: dict[str, tuple[str]], number: str
) -> None:
    native = NATIVE[dialect]()
    outcome = Outcome.failure(Code.VALIDATION_ERROR, fields={**fields, f"is {number}": ("bad",)})
    rule = BUILT_IN[dialect].all_rules()[0]
    message = native.message(rule, outcome)
    assert len(message) <= 500
    assert number not in message
    assert native.message(rule, Outcome.failure(Code.INTERNAL_ERROR)) == (
        native.texts.get(rule.code) or Code.INTERNAL_ERROR.message
    )


# The confirmation of a success


@pytest.mark.parametrize("dialect", DIALECTS)
def test_dialect_success_has_the_confirmation_header(client: FlaskClient, dialect: str) -> None:
    response = client.post(PATHS[dialect], json=BODIES[dialect], headers=HEADERS[dialect])
    assert response.headers[CONFIRMATION] == "provider_state"
    refused = client.post(PATHS[dialect], json=BODIES[dialect])
    assert CONFIRMATION not in refused.headers


def test_wuts_blocked_is_the_requested_state_and_the_header_is_its_confirmation(
    make_app: MakeApp, upstream: Upstream
) -> None:
    upstream.will_answer(204)
    account = {**account_for("session-gateway", upstream.address), "aliases": [SESSION]}
    client = make_app({**config(), "accounts": {"support": account}}).test_client()
    response = client.post(WUTS, json={"jid": JID}, headers=HEADERS["wuts"])
    assert response.get_json()["data"]["blocked"] is True
    assert response.headers[CONFIRMATION] == "accepted"


# Reason phrases


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("POST", EVOLUTION, {}, 401),
        ("POST", "/v1/contacts/block", {}, 401),
        ("POST", "/v1/contacts/block", {"X-API-Key": KEY}, 422),
        ("GET", "/v1/accounts", {"X-API-Key": KEY}, 200),
        ("POST", EVOLUTION, {"apikey": KEY}, 400),
        ("POST", WAHA, {"X-Api-Key": KEY}, 400),
        ("GET", WUTS, HEADERS["wuts"], 404),
        ("POST", GATEWAY, HEADERS["session-gateway"], 204),
        ("GET", "/nowhere", {}, 404),
        ("PUT", "/v1/accounts", {}, 405),
        ("GET", "/docs/", {}, 200),
        ("GET", "/metrics", {}, 401),
        ("GET", "/livez", {}, 200),
    ],
)
def test_reason_phrase_over_a_socket_is_the_standard_one(
    address: str, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=TIMEOUT)
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        response.read()
    finally:
        connection.close()
    assert (response.status, response.reason) == (status, HTTPStatus(status).phrase)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with run_app(lambda _: create_app(config())) as found:
        yield found


@pytest.mark.parametrize("code", list(Code), ids=lambda code: code.value)
def test_every_code_has_the_standard_reason_phrase(shared: FlaskClient, code: Code) -> None:
    number = next(number for number, magic in MAGIC_NUMBERS.items() if magic is code)
    response = shared.post(
        "/v1/contacts/block", json={"number": number}, headers={"X-API-Key": KEY}
    )
    assert response.get_json()["error"]["code"] == code.value
    assert response.status == f"{code.http_status} {HTTPStatus(code.http_status).phrase}"
