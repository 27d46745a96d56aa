"""API keys, scopes and accounts of callers, and servers without keys."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import MakeApp
from flask.testing import FlaskClient
from support import (
    NUMBER,
    key_for,
    without_times,
)
from support.unified import BLOCK, BLOCKED, MEMORY, OLD_WERKZEUG, TWO, UNBLOCK, code_of
from werkzeug.test import TestResponse

from adapter.web.app import build_app, create_app
from adapter.web.auth import AnonymousAccess

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
def test_key_is_accepted_in_either_header(guarded: FlaskClient, headers: dict[str, str]) -> None:
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
def test_missing_or_unknown_key_is_401_with_www_authenticate(
    guarded: FlaskClient, method: str, path: str, headers: dict[str, str]
) -> None:
    response = guarded.open(path, method=method, headers=headers, query_string={"number": NUMBER})
    assert code_of(response) == "unauthenticated"
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


def test_key_in_the_query_is_ignored(guarded: FlaskClient) -> None:
    for name in ("key", "api_key", "apikey", "token", "access_token"):
        response = guarded.get("/v1/accounts", query_string={name: "key-all"})
        assert code_of(response) == "unauthenticated"


@pytest.mark.parametrize(("method", "path"), EVERY_CALL)
@pytest.mark.parametrize("key", ["reader", "blocker"])
def test_key_is_limited_to_its_scopes(
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
        needed = "block" if method == "POST" else "read"
        assert response.get_json()["error"]["fields"] == {"scope": [f"needs {needed}"]}


def test_missing_scope_is_reported_before_errors_of_the_body(
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
def test_responses_for_a_forbidden_and_an_unknown_account_are_identical(
    guarded: FlaskClient, method: str, path: str, place: str
) -> None:
    answers = []
    for account in ("support", "nowhere"):
        fields = {"account": account} | ({"number": NUMBER} if method == "POST" else {})
        sent: dict[str, Any] = {place: fields}
        response = guarded.open(
            path,
            method=method,
            headers={"X-API-Key": "key-sales", "X-Request-Id": "same"},
            **sent,
        )
        assert code_of(response) == "account_not_found"
        document = without_times(response.get_json())
        answers.append((response.status, sorted(response.headers.keys()), document))
    assert answers[0] == answers[1]


def test_accounts_are_limited_to_those_of_the_key(guarded: FlaskClient) -> None:
    def names(key: str) -> list[str]:
        data = guarded.get("/v1/accounts", headers={"X-API-Key": key}).get_json()["data"]
        return [each["name"] for each in data["accounts"]]

    assert names("key-sales") == ["sales"]
    assert names("key-all") == ["support", "sales"]


@pytest.mark.parametrize(
    ("key", "account"), [("key-all", "support"), ("key-sales", "sales"), ("key-picky", "sales")]
)
def test_default_account_is_that_of_the_key_then_of_the_configuration(
    guarded: FlaskClient, key: str, account: str
) -> None:
    response = guarded.post(BLOCK, json={"number": NUMBER}, headers={"X-API-Key": key})
    assert response.get_json()["data"]["account"] == account


def test_account_is_required_without_a_default(make_app: MakeApp) -> None:
    config = {"accounts": TWO["accounts"]}
    response = make_app(config).test_client().post(BLOCK, json={"number": NUMBER})
    assert code_of(response) == "validation_error"
    assert list(response.get_json()["error"]["fields"]) == ["account"]


def test_alias_is_unknown_to_the_unified_api(make_app: MakeApp) -> None:
    config = {"accounts": {"support": {"provider": "memory", "aliases": ["old-name"]}}}
    response = make_app(config).test_client().get(BLOCKED, query_string={"account": "old-name"})
    assert code_of(response) == "account_not_found"


@pytest.mark.parametrize(("method", "path"), EVERY_CALL)
def test_without_keys_every_request_is_unauthenticated(
    make_app: MakeApp, method: str, path: str
) -> None:
    client = make_app(MEMORY, allow_unauthenticated=False).test_client()
    response = client.open(path, method=method, query_string={"number": NUMBER})
    assert code_of(response) == "unauthenticated"
    assert "WWW-Authenticate" in response.headers


# Servers without keys


def post_with_loopback_access(headers: dict[str, str]) -> TestResponse:
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
def test_loopback_access_serves_loopback_host_names(
    headers: dict[str, str],
) -> None:
    assert post_with_loopback_access(headers).status_code == 200


invalid_host = pytest.mark.skipif(OLD_WERKZEUG, reason="its client cannot send invalid hosts")


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
        *[pytest.param({"Host": host}, marks=invalid_host) for host in ("[", "[::1", "a]b")],
    ],
)
def test_loopback_access_rejects_other_host_names_and_origins(headers: dict[str, str]) -> None:
    assert code_of(post_with_loopback_access(headers)) == "permission_denied"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "adapter.internal"}, 200),
        ({"Host": "adapter.internal", "Origin": "http://adapter.internal"}, 200),
        ({"Host": "adapter.internal", "Origin": "https://evil.example"}, 403),
    ],
)
def test_access_for_everyone_rejects_other_origins(
    make_app: MakeApp, headers: dict[str, str], status: int
) -> None:
    client = make_app(MEMORY).test_client()
    assert client.post(BLOCK, json={"number": NUMBER}, headers=headers).status_code == status


def test_short_api_key_is_a_warning_at_the_start_of_the_app(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    keys = {"short": key_for("s3cret"), "long": key_for("long-enough-0123456789")}
    make_app({**MEMORY, "keys": keys})
    (warning,) = caplog.messages
    assert warning.startswith("keys.short: the key has fewer than 16 characters")
    assert "secrets.token_urlsafe(32)" in warning
    assert "s3cret" not in warning
