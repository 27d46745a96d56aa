"""Rejected requests of the unified API: short responses, and no call of a provider."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import MakeApp
from flask.testing import FlaskClient
from support import NUMBER, Upstream, account_for, call, key_for, run_app, run_upstream
from werkzeug.exceptions import BadRequest

from adapter.web.app import create_app, service_state

BLOCK, BLOCKED = "/v1/contacts/block", "/v1/contacts/blocked"
BODY = json.dumps({"number": NUMBER}).encode()


@pytest.fixture(scope="module")
def front() -> Iterator[tuple[str, Upstream]]:
    with run_upstream() as upstream:
        account = account_for("wuts", upstream.address)
        config = {"accounts": {"a": account, "b": account}, "default_account": "a"}
        with run_app(lambda _: create_app(config, allow_unauthenticated=True)) as address:
            yield address, upstream


def test_account_in_the_query_beside_a_body_is_an_error_of_the_query(
    front: tuple[str, Upstream],
) -> None:
    address, upstream = front
    answer = call(address, "POST", f"{BLOCK}?account=b", json_body={"number": NUMBER})
    assert answer.code == "validation_error"
    (message,) = answer.json["error"]["fields"]["query"]
    assert "account must be in the body" in message
    assert "target" not in message
    assert upstream.seen == []


def test_bad_request_of_werkzeug_is_400_as_that_of_the_server() -> None:
    app = create_app(allow_unauthenticated=True)

    @app.get("/broken")
    def raise_bad_request() -> str:
        raise BadRequest  # as Werkzeug does for what it cannot parse

    response = app.test_client().get("/broken")
    assert response.status_code == 400
    error = response.get_json()["error"]
    assert (error["code"], error["outcome"], error["retry"]) == (
        "bad_request",
        "not_applied",
        "never",
    )
    assert error["fields"] == {"request": ["could not be parsed as HTTP"]}


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        *(("gzip", gzip.compress), ("x-gzip", gzip.compress), ("deflate", zlib.compress)),
        *((name, bytes) for name in ("br", "zstd", "gzip, identity", "GZIP", "aws-chunked")),
    ],
)
def test_compressed_body_is_415_and_names_content_encoding(
    front: tuple[str, Upstream], encoding: str, pack: Any
) -> None:
    address, upstream = front
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    answer = call(address, "POST", BLOCK, body=pack(BODY), headers=headers)
    assert (answer.status, answer.code) == (415, "unsupported_media_type")
    assert list(answer.json["error"]["fields"]) == ["Content-Encoding"]
    assert upstream.seen == []


@pytest.mark.parametrize("encoding", ["identity", "Identity", ""])
def test_content_encoding_identity_is_accepted(make_app: MakeApp, encoding: str) -> None:
    client = make_app({"accounts": {"a": {"provider": "memory"}}}).test_client()
    headers = {"Content-Encoding": encoding}
    response = client.post(BLOCK, data=BODY, content_type="application/json", headers=headers)
    assert response.status_code == 200


def test_byte_order_mark_is_named(front: tuple[str, Upstream]) -> None:
    address, upstream = front
    headers = {"Content-Type": "application/json"}
    answer = call(address, "POST", BLOCK, body=b"\xef\xbb\xbf" + BODY, headers=headers)
    assert answer.code == "invalid_json"
    (message,) = answer.json["error"]["fields"]["body"]
    assert "byte order mark" in message
    assert upstream.seen == []


def test_response_to_many_unknown_fields_is_short(front: tuple[str, Upstream]) -> None:
    address, upstream = front
    flood = {f"{number:x}": 0 for number in range(6000)}
    answer = call(address, "POST", BLOCK, json_body=flood)
    assert answer.code == "validation_error"
    assert len(answer.body) < 4000
    assert answer.json["error"]["fields"]["others"] == ["5992 more unknown fields"]
    wide = {"\U0001f600" * 2000 + str(number): 0 for number in range(2)}
    assert len(call(address, "POST", BLOCK, json_body=wide).body) < 4000
    query = "&".join(f"{number:x}=" for number in range(900))
    assert len(call(address, "GET", f"{BLOCKED}?{query}").body) < 4000
    long = "x" * 3000
    for path in (f"{BLOCKED}?{long}=1&{long}=1", f"/v1/accounts?{long}=1"):
        answer = call(address, "GET", path)
        assert answer.code == "validation_error"
        assert len(answer.body) < 1000
    assert upstream.seen == []


def test_head_of_the_list_calls_no_provider(front: tuple[str, Upstream]) -> None:
    address, upstream = front
    answer = call(address, "HEAD", BLOCKED)
    assert (answer.status, answer.body) == (405, b"")
    assert answer.headers["Allow"] == "GET, OPTIONS"
    assert upstream.seen == []


def test_head_of_the_list_needs_a_key(make_app: MakeApp) -> None:
    config = {"accounts": {"a": {"provider": "memory"}}, "keys": {"crm": key_for("k")}}
    client = make_app(config).test_client()
    assert client.head(BLOCKED).status_code == 401
    assert client.head(BLOCKED, headers={"X-API-Key": "k"}).status_code == 405


def test_readyz_is_ready_while_a_provider_is_down(make_app: MakeApp) -> None:
    account = {
        **account_for("wuts", "http://127.0.0.1:1"),
        "transport": {"breaker_threshold": 1, "breaker_pause": 60.0},
    }
    app = make_app({"accounts": {"a": account}})
    client: FlaskClient = app.test_client()
    codes = [
        client.post(BLOCK, json={"number": NUMBER}).get_json()["error"]["code"] for _ in range(2)
    ]
    assert codes[-1] == "circuit_open"
    assert service_state(app).service.accounts["a"].resilience.state == "opened"
    response = client.get("/readyz")
    assert (response.status_code, response.get_json()["data"]) == (200, {"status": "ready"})
