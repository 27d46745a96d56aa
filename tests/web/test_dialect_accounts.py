"""API keys, scopes, sessions and default accounts in the dialects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from conftest import MakeApp
from flask.testing import FlaskClient
from support import (
    DIALECTS,
    NUMBER,
    SESSION,
    key_for,
)
from support.dialect_calls import (
    BEARER,
    BY_BODY,
    CODE,
    KEY,
    WUTS,
    blocked_numbers,
    expect_native_error,
    expect_native_success,
    front_config,
    native_request,
    send,
)

pytest_plugins = ["support.dialect_fixtures"]


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
def test_unknown_key_is_the_401_of_the_provider(
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
def test_missing_scope_is_the_403_of_the_provider(
    make_front: Callable[..., FlaskClient], dialect: str, own: str | None
) -> None:
    front = make_front(keys={"reader": key_for(KEY, scopes=("read",))})
    response = send(front, native_request(dialect, "block"))
    expect_native_error(dialect, response, 403, "permission_denied", own)
    assert blocked_numbers(front) == []


def test_list_in_a_dialect_needs_the_read_scope(make_front: Callable[..., FlaskClient]) -> None:
    front = make_front(keys={"blocker": key_for(KEY, scopes=("block",))})
    response = front.get(f"{WUTS}/blocklist", headers=BEARER)
    expect_native_error("wuts", response, 403, "permission_denied")


@pytest.mark.parametrize("dialect", [*BY_BODY, "session-gateway"])
@pytest.mark.parametrize("session", ["support", SESSION])
def test_session_is_the_name_or_alias_of_an_account(
    front: FlaskClient, dialect: str, session: str
) -> None:
    response = send(front, native_request(dialect, "block", session=session))
    expect_native_success(dialect, response, "block")
    assert blocked_numbers(front) == [NUMBER]


@pytest.mark.parametrize(
    ("dialect", "own"), [*[(name, None) for name in BY_BODY], ("session-gateway", "not_found")]
)
def test_unknown_and_forbidden_sessions_are_the_same_404(
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
def test_dialect_without_sessions_uses_the_default_account(
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


def test_missing_default_account_is_a_wuts_error(make_app: MakeApp) -> None:
    config = front_config(("a", {"provider": "memory"}), ("b", {"provider": "memory"}))
    front = make_app(config, allow_unauthenticated=False).test_client()
    response = send(front, native_request("wuts", "block"))
    expect_native_error("wuts", response, 400, "validation_error", "VALIDATION_ERROR")
    assert [each["field"] for each in response.get_json()["validation"]] == ["account"]
