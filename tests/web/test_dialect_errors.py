"""Errors in the format of each dialect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from adapter.providers.memory import MAGIC_NUMBERS
from conftest import MakeApp
from flask.testing import FlaskClient
from support import (
    DIALECTS,
    FAILING_PLUGIN,
    FULL_WIDTH,
    SESSION,
    Upstream,
    account_for,
    call,
    code_named,
)
from support.dialect_calls import (
    APIKEY,
    BY_BODY,
    CODE,
    EVOLUTION,
    GATEWAY,
    PREFIX,
    expect_native_error,
    front_config,
    native_error,
    native_request,
    send,
    send_over,
)

from adapter.codes import Code

pytest_plugins = ["support.dialect_fixtures"]


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
def test_invalid_contact_is_a_dialect_error_and_nothing_is_sent(
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
def test_body_without_a_contact_is_a_400_and_nothing_is_sent(
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
def test_evolution_api_rejects_bodies_without_contact_or_status(
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
        ("evolution-api", 500, None),  # the provider has no other error for it
    ],
)
def test_session_not_connected_is_the_documented_error_of_the_provider(
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
def test_error_of_another_provider_has_the_format_of_the_dialect(
    shared: FlaskClient, dialect: str, code: Code, status: int, own: dict[str, Any]
) -> None:
    number = next(number for number, magic in MAGIC_NUMBERS.items() if magic is code)
    response = send(shared, native_request(dialect, "block", number))
    expect_native_error(dialect, response, status, code.value)
    assert response.get_json().items() >= own.items()


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PUT", "PATCH"])
@pytest.mark.parametrize("path", ["", "/", "/nowhere", "/contacts/block/", "/v1/accounts"])
def test_unknown_path_is_a_dialect_404(
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
def test_wrong_method_is_a_dialect_error(shared: FlaskClient, dialect: str, method: str) -> None:
    response = send(shared, native_request(dialect, "block"), method=method, json=None)
    assert response.headers[CODE] == "method_not_allowed"
    assert 400 <= response.status_code <= 499
    native_error(dialect, response)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_exception_in_a_provider_is_a_dialect_500(
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
def test_every_code_is_a_dialect_error_with_the_code_header(
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


def test_retry_after_is_passed_on_in_every_dialect(make_app: MakeApp, upstream: Upstream) -> None:
    upstream.will_answer(429, {"error": {"code": "rate_limited"}}, {"Retry-After": "9"})
    account = {**account_for("session-gateway", upstream.address), "aliases": ["s"]}
    client = make_app(front_config(("support", account))).test_client()
    for dialect in DIALECTS:
        response = send(client, native_request(dialect, "block", session="s"))
        assert response.status_code == 429
        assert response.headers["Retry-After"] == "9"
