"""Bytes that are almost JSON: refused where they come in, and never a success where they go out."""

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

BROKEN: Mapping[str, bytes] = {
    "duplicate keys": b'{"jid": "x", "number": "%(n)s", "number": "%(n)s"}',
    "duplicate keys, deep below": b'{"number": "%(n)s", "x": [{"a": 1, "a": 1}]}',
    "duplicate keys, one of them escaped": b'{"number": "%(n)s", "\\u006eumber": "%(n)s"}',
    "NaN": b'{"number": "%(n)s", "x": NaN}',
    "an infinity": b'{"number": "%(n)s", "x": -Infinity}',
    "a float beyond all": b'{"number": "%(n)s", "x": 1e999}',
    "deep nesting of arrays": b"[" * 20_000,
    "deep nesting of objects": b'{"a":' * 10_000,
    "deep nesting, closed": b"[" * 30_000 + b"]" * 30_000,
    "an integer of 5000 digits": b'{"number": "%(n)s", "x": ' + b"9" * 5000 + b"}",
    "an integer for a number": b'{"number": ' + b"5" * 5000 + b"}",
    "a byte order mark": b'\xef\xbb\xbf{"number": "%(n)s"}',
    "UTF-16": GOOD_TARGET.encode("utf-16"),
    "UTF-16 without a mark": GOOD_TARGET.encode("utf-16-le"),
    "UTF-32": GOOD_TARGET.encode("utf-32"),
    "Latin-1": '{"number": "%(n)s", "x": "é"}'.encode("latin-1"),
    "UTF-7": '{"number": "%(n)s", "x": "é"}'.encode("utf-7") + b"\x80",
    "half of a surrogate pair": b'{"number": "%(n)s", "x": "\\ud83d"}',
    "a surrogate in bytes": b'{"number": "%(n)s", "x": "\xed\xa0\x80"}',
    "half of a surrogate pair in a key": b'{"number": "%(n)s", "\\udc00": 1}',
    "a comment": b'{"number": "%(n)s"} // yes',
    "two documents": b'{"number": "%(n)s"}{"number": "%(n)s"}',
    "single quotes": b"{'number': '%(n)s'}",
    "a comma at the end": b'{"number": "%(n)s",}',
    "a control character": b'{"number": "%(n)s\x00"}',
    "nothing but spaces": b"   ",
    "zeros": b"\x00" * 100,
}
BODIES = {name: body.replace(b"%(n)s", NUMBER.encode()) for name, body in BROKEN.items()}

FACES: Mapping[str, str] = {
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


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("path", FACES.values(), ids=FACES)
def test_a_body_that_is_not_strict_json_is_refused_and_blocks_nobody(
    client: FlaskClient, path: str, body: bytes
) -> None:
    response = client.post(path, data=body, content_type="application/json")
    assert 400 <= response.status_code < 500
    if path.startswith("/v1"):
        assert response.get_json()["error"]["code"] == "invalid_json"
    else:
        assert response.headers["X-Contact-Adapter-Code"] == "invalid_json"
    assert client.get("/v1/contacts/blocked").get_json()["data"]["contacts"] == []


@pytest.mark.parametrize("path", FACES.values(), ids=FACES)
def test_nesting_of_a_hundred_thousand_is_refused_by_its_size_already(
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
def test_the_unified_api_reads_no_body_of_another_type_or_charset(
    client: FlaskClient, content_type: str
) -> None:
    response = client.post(
        "/v1/contacts/block", data=GOOD_TARGET, headers={"Content-Type": content_type}
    )
    assert response.status_code == 415
    assert response.get_json()["error"]["code"] == "unsupported_media_type"


@pytest.mark.parametrize("charset", ["utf-16", "latin-1", "nonsense"])
@pytest.mark.parametrize("dialect", ["wuts", "wappfy", "waha", "evolution-api"])
def test_a_dialect_reads_utf_8_whatever_charset_is_claimed(
    client: FlaskClient, dialect: str, charset: str
) -> None:
    kind = f"application/json; charset={charset}"
    for data, code in ((GOOD_TARGET.encode("utf-16"), "invalid_json"), (b"{}", "validation_error")):
        response = client.post(FACES[dialect], data=data, content_type=kind)
        assert response.status_code == 400
        assert response.headers["X-Contact-Adapter-Code"] == code


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_the_gateways_dialect_reads_no_body_and_stumbles_over_none(
    client: FlaskClient, body: bytes
) -> None:
    answers = {
        client.post(f"{GATEWAY}/{jid}/unblock", data=body).status_code
        for jid in (JID, "x@s.whatsapp.net")
    }
    assert answers == {204, 400}


@pytest.mark.parametrize(
    "text", ["%00", "%FF", "%ED%A0%80", "%EF%BB%BF", "%F0%9F%98%80", "%C0%AE", "%u0031", "%", "%0a"]
)
def test_odd_bytes_in_a_query_or_a_path_are_refused(client: FlaskClient, text: str) -> None:
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


# --- outwards

COMMANDS = (
    Command(Action.BLOCK, Contact(NUMBER)),
    Command(Action.UNBLOCK, Contact(NUMBER)),
    Command(Action.LIST),
)
_YES = (
    b'"success": true, "blocked": true, "block": "success", '
    b'"data": {"blocked": true, "items": [], "count": 0}'
)

ALMOST_YES: Mapping[str, bytes] = {
    "duplicate keys": b'{"success": false, %(yes)s}',
    "duplicate keys, deep below": b'{%(yes)s, "x": {"a": 1, "a": 1}}',
    "NaN": b'{%(yes)s, "x": NaN}',
    "an infinity": b'{%(yes)s, "x": Infinity}',
    "a float beyond all": b'{%(yes)s, "x": -1e400}',
    "deep nesting": b'{%(yes)s, "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep nesting, open": b'{%(yes)s, "x": ' + b'{"a":' * 50_000,
    "an integer of 5000 digits": b'{%(yes)s, "x": ' + b"9" * 5000 + b"}",
    "two byte order marks": b"\xef\xbb\xbf\xef\xbb\xbf{%(yes)s}",
    "Latin-1": '{%(yes)s, "x": "é"}'.encode("latin-1"),
    "half of a surrogate pair": b'{%(yes)s, "x": "\\udfff"}',
    "a surrogate in bytes": b'{%(yes)s, "x": "\xed\xbf\xbf"}',
    "two documents": b"{%(yes)s}{%(yes)s}",
    "one that goes on": b"{%(yes)s}\x00",
    "one that is cut": b"{%(yes)s",
    "spaces": b" ",
}
ANSWERS = {name: body.replace(b"%(yes)s", _YES) for name, body in ALMOST_YES.items()} | {
    codec: b"{%s}".replace(b"%s", _YES).decode().encode(codec) for codec in ("utf-16", "utf-32")
}


def provider_of(name: str) -> Any:
    account = account_for(name, "http://127.0.0.1:1")
    settings = load_settings({"accounts": {"a": account}}).accounts["a"]
    return settings.provider(settings.options)


@pytest.mark.parametrize("body", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("name", [*DIALECTS, "memory"])
def test_an_answer_that_is_not_strict_json_is_never_a_success(name: str, body: bytes) -> None:
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
def test_the_same_answer_in_strict_json_is_a_success(name: str, status: int) -> None:
    body = b"{" + _YES + b"}"
    for sent in (body, b"\xef\xbb\xbf" + body):  # a byte order mark changes nothing
        assert provider_of(name).parse_response(COMMANDS[0], HttpResponse(status, body=sent)).ok


def test_over_the_wire_it_is_the_same(make_app: MakeApp, upstream: Upstream) -> None:
    account = account_for("wuts", upstream.address) | {"token": Secret("t")}
    config = {"accounts": {"a": account}, "transport": {"breaker_threshold": 0}}
    client = make_app(config).test_client()
    for name, body in ANSWERS.items():
        upstream.body = body
        upstream.headers = {"Content-Type": "application/json; charset=utf-8"}
        for response in (
            client.post("/v1/contacts/block", json={"jid": JID}),
            client.get("/v1/contacts/blocked"),
        ):
            assert response.status_code == 502, name
            assert response.get_json()["error"]["code"] == "provider_bad_response"
