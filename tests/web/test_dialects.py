"""Every dialect in front of every provider, and the prefixes and host names of dialects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from support import (
    DIALECTS,
    JID,
    NUMBER,
    OTHER_NUMBER,
    SESSION,
    account_for,
    call,
    origin_config,
    run_app,
)
from support.dialect_calls import (
    BEARER,
    CODE,
    KEY,
    PROVIDERS,
    WUTS,
    blocked_numbers,
    expect_native_error,
    expect_native_success,
    front_config,
    native_request,
    send,
    send_over,
)

from adapter.web.app import create_app

pytest_plugins = ["support.dialect_fixtures"]


@pytest.fixture(scope="module")
def fronts() -> Iterator[dict[str, tuple[str, str]]]:
    """Return by provider: a server of all dialects in front of it, and the server with the list."""
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
def test_every_dialect_blocks_and_unblocks_with_every_provider(
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
def test_list_is_returned_by_a_dialect_with_a_list(
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
def test_unsupported_list_of_the_provider_is_a_dialect_501(
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
def test_session_not_connected_at_another_provider_is_a_dialect_error(
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
def test_session_error_that_the_provider_cannot_express_is_a_provider_error(
    fronts: dict[str, tuple[str, str]], dialect: str
) -> None:
    address, _ = fronts["evolution-api"]
    answer = send_over(address, native_request(dialect, "block", "15005550012"))
    assert answer.status == 500
    assert answer.headers[CODE] == "provider_error"


# Prefixes and host names


def test_dialect_is_served_at_its_configured_prefix(make_front: Callable[..., FlaskClient]) -> None:
    front = make_front(dialects={"enabled": ["wuts"], "wuts": {"prefix": "/old/api"}})
    sent: dict[str, Any] = {"json": {"jid": JID}, "headers": BEARER}
    assert front.post("/old/api/contacts/block", **sent).status_code == 200
    assert front.post("/dialects/wuts/contacts/block", **sent).status_code == 404


def test_disabled_dialect_is_not_found(
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
def test_dialect_is_served_at_the_root_of_its_host_name(
    make_front: Callable[..., FlaskClient], host: str
) -> None:
    front = make_front(dialects={"enabled": ["wuts"], "wuts": {"host": "wuts.example.com"}})
    headers = {**BEARER, "Host": host}
    response = front.post("/contacts/block", json={"jid": JID}, headers=headers)
    expect_native_success("wuts", response, "block")
    unknown = front.get("/v1/accounts", headers=headers)
    expect_native_error("wuts", unknown, 404, "not_found")
    assert blocked_numbers(front) == [NUMBER]


def test_other_host_names_are_not_found_in_the_dialect(
    make_front: Callable[..., FlaskClient],
) -> None:
    front = make_front(dialects={"enabled": ["wuts"], "wuts": {"host": "wuts.example.com"}})
    for host in ("example.com", "x.wuts.example.com", "wuts.example.com.evil.example"):
        headers = {**BEARER, "Host": host}
        response = front.post("/contacts/block", json={"jid": JID}, headers=headers)
        assert response.status_code == 404
        assert CODE not in response.headers


def test_two_dialects_share_the_block_list(front: FlaskClient) -> None:
    send(front, native_request("wappfy", "block", NUMBER))
    send(front, native_request("session-gateway", "block", OTHER_NUMBER))
    response = front.get(f"{WUTS}/blocklist", headers=BEARER)
    items = response.get_json()["data"]["items"]
    assert [each["phone_number"] for each in items] == [NUMBER, OTHER_NUMBER]
