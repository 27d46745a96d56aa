"""Invalid JSON: rejected in requests, and never a success in the response of a provider."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from conftest import MakeApp
from flask.testing import FlaskClient
from support import DIALECTS, JID, NUMBER, SESSION, Upstream, account_for

from adapter.plugin import Action, Command, Contact, Headers, HttpResponse, Outcome, Secret
from adapter.settings.loader import load_settings
from adapter.web.app import create_app, service_state

GOOD_TARGET = json.dumps({"number": NUMBER})

INVALID_BODIES: Mapping[str, bytes] = {
    "duplicate keys": b'{"number": "%s", "number": "%s"}' % (NUMBER.encode(), NUMBER.encode()),
    "UTF-16": GOOD_TARGET.encode("utf-16"),
    "invalid syntax": b'{"number": "%s",}' % NUMBER.encode(),
    "deep nesting": b"[" * 30_000 + b"]" * 30_000,
    "a byte order mark": b"\xef\xbb\xbf" + GOOD_TARGET.encode(),
}
"""One row per code path: a hook of the decoder, the encoding, the grammar, the check of the depth,
and `parse_json_body`'s own check. All kinds of invalid JSON are in tests/domain/test_http.py."""

ENTRY_POINTS: Mapping[str, str] = {
    "unified block": "/v1/contacts/block",
    "unified unblock": "/v1/contacts/unblock",
    "wuts": "/dialects/wuts/contacts/block",
    "wappfy": "/dialects/wappfy/api/contacts/block",
    "waha": "/dialects/waha/api/contacts/block",
    "evolution-api": f"/dialects/evolution-api/chat/updateBlockStatus/{SESSION}",
}
GATEWAY = f"/dialects/session-gateway/api/v1/sessions/{SESSION}/contacts"


@pytest.fixture(scope="module")
def client() -> Iterator[FlaskClient]:
    config = {
        "accounts": {"a": {"provider": "memory", "aliases": [SESSION]}},
        "dialects": {"enabled": list(DIALECTS)},
    }
    app = create_app(config, allow_unauthenticated=True)
    yield app.test_client()
    service_state(app).service.close()


@pytest.mark.parametrize("body", INVALID_BODIES.values(), ids=INVALID_BODIES)
@pytest.mark.parametrize("path", ENTRY_POINTS.values(), ids=ENTRY_POINTS)
def test_invalid_json_body_is_rejected_at_every_entry_point(
    client: FlaskClient, path: str, body: bytes
) -> None:
    response = client.post(path, data=body, content_type="application/json")
    assert 400 <= response.status_code < 500
    if path.startswith("/v1"):
        assert response.get_json()["error"]["code"] == "invalid_json"
    else:
        assert response.headers["X-Contact-Adapter-Code"] == "invalid_json"
    assert client.get("/v1/contacts/blocked").get_json()["data"]["contacts"] == []


@pytest.mark.parametrize("path", ENTRY_POINTS.values(), ids=ENTRY_POINTS)
def test_body_of_deep_nesting_above_the_size_limit_is_rejected(
    client: FlaskClient, path: str
) -> None:
    response = client.post(path, data=b"[" * 100_000, content_type="application/json")
    assert 400 <= response.status_code < 500
    assert NUMBER not in response.text


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json; charset=utf-16",
        "application/json; charset=latin-1",
        "application/json; charset=nonsense",
        'application/json; charset="\x80"',
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/vnd.api+json",
        "",
    ],
)
def test_unified_api_rejects_other_content_types_and_charsets(
    client: FlaskClient, content_type: str
) -> None:
    response = client.post(
        "/v1/contacts/block", data=GOOD_TARGET, headers={"Content-Type": content_type}
    )
    assert response.status_code == 415
    assert response.get_json()["error"]["code"] == "unsupported_media_type"


@pytest.mark.parametrize("charset", ["utf-16", "latin-1", "nonsense"])
@pytest.mark.parametrize("dialect", ["wuts", "wappfy", "waha", "evolution-api"])
def test_dialect_reads_utf_8_whatever_the_charset_parameter(
    client: FlaskClient, dialect: str, charset: str
) -> None:
    kind = f"application/json; charset={charset}"
    for data, code in ((GOOD_TARGET.encode("utf-16"), "invalid_json"), (b"{}", "validation_error")):
        response = client.post(ENTRY_POINTS[dialect], data=data, content_type=kind)
        assert response.status_code == 400
        assert response.headers["X-Contact-Adapter-Code"] == code


@pytest.mark.parametrize("body", INVALID_BODIES.values(), ids=INVALID_BODIES)
def test_session_gateway_dialect_ignores_the_body(client: FlaskClient, body: bytes) -> None:
    answers = {
        client.post(f"{GATEWAY}/{jid}/unblock", data=body).status_code
        for jid in (JID, "x@s.whatsapp.net")
    }
    assert answers == {204, 400}


@pytest.mark.parametrize(
    "text", ["%00", "%FF", "%ED%A0%80", "%EF%BB%BF", "%F0%9F%98%80", "%C0%AE", "%u0031", "%", "%0a"]
)
def test_odd_bytes_in_a_query_or_a_path_are_rejected(client: FlaskClient, text: str) -> None:
    for path in (
        f"/v1/contacts/block?number={NUMBER[:5]}{text}x{NUMBER[5:]}",
        f"/v1/contacts/block?jid={NUMBER}{text}x@c.us",
        f"/v1/contacts/block?number={NUMBER}&{text}=1",
        f"/v1/contacts/block?number={NUMBER}&account={text}",
        f"/dialects/wuts/contacts/block?jid={NUMBER}{text}x@c.us",
        f"/dialects/wuts/contacts/{text}",
        f"{GATEWAY}/{NUMBER}{text}x@c.us/block",
        f"{GATEWAY.replace(SESSION, text)}/{JID}/block",
        f"/{text}",
    ):
        response = client.post(path)
        assert 400 <= response.status_code < 500, path
    assert client.get("/v1/contacts/blocked").get_json()["data"]["contacts"] == []


# Responses of providers

COMMANDS = (
    Command(Action.BLOCK, Contact(NUMBER)),
    Command(Action.UNBLOCK, Contact(NUMBER)),
    Command(Action.LIST),
)
_SUCCESS = (
    b'"success": true, "blocked": true, "block": "success", '
    b'"data": {"blocked": true, "items": [], "count": 0}'
)

INVALID_SUCCESSES: Mapping[str, bytes] = {
    "duplicate keys": b'{"success": false, %(success)s}',
    "duplicate keys, deep below": b'{%(success)s, "x": {"a": 1, "a": 1}}',
    "NaN": b'{%(success)s, "x": NaN}',
    "an infinity": b'{%(success)s, "x": Infinity}',
    "a float beyond all": b'{%(success)s, "x": -1e400}',
    "deep nesting": b'{%(success)s, "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep nesting, open": b'{%(success)s, "x": ' + b'{"a":' * 50_000,
    "an integer of 5000 digits": b'{%(success)s, "x": ' + b"9" * 5000 + b"}",
    "two byte order marks": b"\xef\xbb\xbf\xef\xbb\xbf{%(success)s}",
    "Latin-1": '{%(success)s, "x": "é"}'.encode("latin-1"),
    "half of a surrogate pair": b'{%(success)s, "x": "\\udfff"}',
    "a surrogate in bytes": b'{%(success)s, "x": "\xed\xbf\xbf"}',
    "two documents": b"{%(success)s}{%(success)s}",
    "one that goes on": b"{%(success)s}\x00",
    "one that is cut": b"{%(success)s",
    "spaces": b" ",
}
RESPONSES = {
    name: body.replace(b"%(success)s", _SUCCESS) for name, body in INVALID_SUCCESSES.items()
} | {
    codec: b"{%s}".replace(b"%s", _SUCCESS).decode().encode(codec) for codec in ("utf-16", "utf-32")
}


def provider_of(name: str) -> Any:
    account = account_for(name, "http://127.0.0.1:1")
    settings = load_settings({"accounts": {"a": account}}).accounts["a"]
    return settings.provider(settings.options)


@pytest.mark.parametrize("body", RESPONSES.values(), ids=RESPONSES)
@pytest.mark.parametrize("name", [*DIALECTS, "memory"])
def test_provider_response_with_invalid_json_is_never_a_success(name: str, body: bytes) -> None:
    provider = provider_of(name)
    kind = Headers({"Content-Type": "application/json; charset=utf-16"})
    for status in (200, 201, 202, 204, 206, 400, 404, 422, 500, 501, 503):
        for command in COMMANDS:
            if command.action not in provider.actions():
                continue
            outcome = provider.parse_response(command, HttpResponse(status, kind, body))
            assert isinstance(outcome, Outcome)
            assert not outcome.ok


@pytest.mark.parametrize(
    ("name", "status"),
    [("wuts", 200), ("wappfy", 200), ("wappfy", 201), ("evolution-api", 201), ("memory", 200)],
)
def test_same_provider_response_in_strict_json_is_a_success(name: str, status: int) -> None:
    body = b"{" + _SUCCESS + b"}"
    for sent in (body, b"\xef\xbb\xbf" + body):  # a byte order mark changes nothing
        assert provider_of(name).parse_response(COMMANDS[0], HttpResponse(status, body=sent)).ok


def test_provider_response_with_invalid_json_over_a_socket_is_bad_response(
    make_app: MakeApp, upstream: Upstream
) -> None:
    account = account_for("wuts", upstream.address) | {"token": Secret("t")}
    config = {"accounts": {"a": account}, "transport": {"breaker_threshold": 0}}
    client = make_app(config).test_client()
    for name, body in RESPONSES.items():
        upstream.body = body
        upstream.headers = {"Content-Type": "application/json; charset=utf-8"}
        for response in (
            client.post("/v1/contacts/block", json={"jid": JID}),
            client.get("/v1/contacts/blocked"),
        ):
            assert response.status_code == 502, name
            assert response.get_json()["error"]["code"] == "provider_bad_response"
