"""CORS: off by default; with `cors_origins`, pages of these origins alone can call a dialect."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from conftest import MakeApp
from flask import Flask, Response, request
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from support import (
    FAILING_PLUGIN,
    JID,
    NUMBER,
    SESSION,
    call,
    key_for,
    run_app,
)
from werkzeug.test import TestResponse

from adapter import ConfigurationError, ContactAdapter
from adapter.settings.loader import load_settings
from adapter.web.app import build_app, create_app, service_state
from adapter.web.auth import AnonymousAccess
from adapter.web.cors import Cors

PAGE = "https://app.example"
OTHERS = [
    "https://evil.example",
    "http://app.example",
    "https://app.example:8443",
    "https://app.example.evil.example",
    "https://APP.example",
    "https://app.example/",
    "null",
    "",
    "*",
]
WUTS = "/dialects/wuts/contacts/block"
EVOLUTION = f"/dialects/evolution-api/chat/updateBlockStatus/{SESSION}"
PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "apikey, content-type",
}


def config_for(*origins: str, keys: bool = True, **account: Any) -> dict[str, Any]:
    return {
        "accounts": {"support": {"provider": "memory", "aliases": [SESSION], **account}},
        "keys": {"crm": key_for("k")} if keys else {},
        "dialects": {
            "enabled": ["wuts", "evolution-api"],
            "evolution-api": {"cors_origins": list(origins)},
        },
    }


@pytest.fixture(scope="module")
def client() -> Iterator[FlaskClient]:
    app = create_app(config_for(PAGE, "http://localhost:3000"))
    yield app.test_client()
    service_state(app).service.close()


def cors_headers(response: TestResponse) -> dict[str, str]:
    return {
        name: value
        for name, value in response.headers.items()
        if name.lower().startswith("access-control-")
    }


def block(client: FlaskClient, origin: str | None = None, **rest: Any) -> TestResponse:
    headers = {"apikey": "k", **rest.pop("headers", {})}
    if origin is not None:
        headers["Origin"] = origin
    body = rest.pop("json", {"number": NUMBER, "status": "block"})
    return client.post(rest.pop("path", EVOLUTION), json=body, headers=headers)


@pytest.mark.parametrize("origin", [PAGE, "http://localhost:3000"])
def test_preflight_of_a_configured_origin_needs_no_key(client: FlaskClient, origin: str) -> None:
    response = client.options(EVOLUTION, headers={"Origin": origin, **PREFLIGHT})
    assert response.status_code == 204
    assert response.data == b""
    assert cors_headers(response) == {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Methods": "GET, POST",
        "Access-Control-Allow-Headers": "apikey, content-type",
        "Access-Control-Max-Age": "600",
    }
    assert response.headers["Vary"] == "Origin"


@pytest.mark.parametrize("origin", OTHERS)
def test_preflight_of_another_origin_has_no_cors_headers_and_needs_a_key(
    client: FlaskClient, origin: str
) -> None:
    response = client.options(EVOLUTION, headers={"Origin": origin, **PREFLIGHT})
    assert response.status_code == 401
    assert cors_headers(response) == {}
    assert response.headers["Vary"] == "Origin"


@pytest.mark.parametrize(
    "headers",
    [{"Origin": OTHERS[0]}, PREFLIGHT, {}],
    ids=["another origin", "no origin", "neither"],
)
def test_options_without_preflight_headers_is_unchanged(
    client: FlaskClient, headers: dict[str, str]
) -> None:
    assert client.options(EVOLUTION, headers=headers).status_code == 401


def test_any_options_request_of_a_configured_origin_is_a_preflight(client: FlaskClient) -> None:
    response = client.options(EVOLUTION, headers={"Origin": PAGE})
    assert response.status_code == 204
    assert cors_headers(response)["Access-Control-Allow-Origin"] == PAGE


@pytest.mark.parametrize("names", ["", "a" * 2000, "x y", "x\ty", "a,,b", "é"])
def test_preflight_with_invalid_header_names_allows_no_headers(
    client: FlaskClient, names: str
) -> None:
    headers = {"Origin": PAGE, **PREFLIGHT, "Access-Control-Request-Headers": names}
    response = client.options(EVOLUTION, headers=headers)
    assert response.status_code == 204
    assert "Access-Control-Allow-Headers" not in response.headers


SENT: list[tuple[int, dict[str, Any]]] = [
    (201, {}),
    (400, {"json": {"number": NUMBER, "status": "maybe"}}),
    (401, {"headers": {"apikey": "wrong"}}),
    (404, {"path": f"{EVOLUTION}-of-others"}),
    (404, {"path": "/dialects/evolution-api/nowhere"}),
    (500, {"json": {"number": "15005550029", "status": "block"}}),
]


@pytest.mark.parametrize(("status", "sent"), SENT)
def test_every_response_to_a_configured_origin_has_cors_headers(
    client: FlaskClient, status: int, sent: dict[str, Any]
) -> None:
    response = block(client, PAGE, **sent)
    assert response.status_code == status
    assert response.headers["Access-Control-Allow-Origin"] == PAGE
    assert response.headers["Vary"] == "Origin"
    exposed = response.headers["Access-Control-Expose-Headers"].split(", ")
    assert {"X-Contact-Adapter-Code", "X-Contact-Adapter-Confirmation"} < set(exposed)
    assert "Access-Control-Allow-Credentials" not in response.headers


@pytest.mark.parametrize("origin", [*OTHERS, None])
@pytest.mark.parametrize(("status", "sent"), SENT)
def test_no_response_to_another_origin_has_cors_headers(
    client: FlaskClient, status: int, sent: dict[str, Any], origin: str | None
) -> None:
    response = block(client, origin, **sent)
    assert response.status_code == status  # a caller with a key is served from any origin
    assert cors_headers(response) == {}
    assert response.headers["Vary"] == "Origin"


def test_internal_error_has_cors_headers(make_app: MakeApp, plugin: Any) -> None:
    plugin("failing", FAILING_PLUGIN)
    client = make_app(config_for(PAGE, provider="failing")).test_client()
    response = block(client, PAGE)
    assert response.status_code == 500
    assert response.headers["Access-Control-Allow-Origin"] == PAGE


def test_origins_are_per_dialect(client: FlaskClient) -> None:
    headers = {"Origin": PAGE, "Authorization": "Bearer k"}
    response = client.post(WUTS, json={"jid": JID}, headers=headers)
    assert response.status_code == 200
    assert cors_headers(response) == {}
    assert "Vary" not in response.headers
    preflight = client.options(WUTS, headers={"Origin": PAGE, **PREFLIGHT})
    assert preflight.status_code == 401
    for path in ("/v1/contacts/block", "/v1/accounts", "/metrics", "/openapi.json"):
        answer = client.get(path, headers=headers)
        assert cors_headers(answer) == {}


def test_star_allows_every_origin(make_app: MakeApp) -> None:
    client = make_app(config_for("*"), allow_unauthenticated=False).test_client()
    for origin in (PAGE, "null", "https://other.example"):
        for response in (
            block(client, origin),
            client.options(EVOLUTION, headers={"Origin": origin, **PREFLIGHT}),
        ):
            assert response.status_code in (201, 204)
            assert response.headers["Access-Control-Allow-Origin"] == "*"
            assert "Vary" not in response.headers
    assert block(client, PAGE, headers={"apikey": "wrong"}).status_code == 401


@pytest.mark.parametrize("access", [AnonymousAccess.LOOPBACK, AnonymousAccess.EVERYONE])
def test_server_without_keys_accepts_configured_origins_alone(
    access: AnonymousAccess,
) -> None:
    app = build_app(config_for(PAGE, keys=False), access=access)
    client = app.test_client()
    assert block(client, PAGE).status_code == 201
    for origin in OTHERS:
        response = block(client, origin)
        assert response.status_code == 403
        assert response.headers["X-Contact-Adapter-Code"] == "permission_denied"
        assert "Origin: is another site" in response.text
        assert cors_headers(response) == {}
    headers = {"Origin": PAGE}
    assert client.post(WUTS, json={"jid": JID}, headers=headers).status_code == 403
    unified = client.post("/v1/contacts/block", json={"number": NUMBER}, headers=headers)
    assert unified.status_code == 403
    service_state(app).service.close()


def test_star_without_keys_logs_a_warning(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    make_app(config_for("*", keys=False))
    assert "dialects.evolution-api.cors_origins: without API keys" in caplog.text
    caplog.clear()
    make_app(config_for("*"))
    make_app(config_for(PAGE, keys=False))
    assert "cors_origins" not in caplog.text


def test_preflight_and_call_over_a_socket() -> None:
    with run_app(lambda _: create_app(config_for(PAGE))) as address:
        preflight = call(address, "OPTIONS", EVOLUTION, headers={"Origin": PAGE, **PREFLIGHT})
        assert (preflight.status, preflight.body) == (204, b"")
        assert preflight.headers["Access-Control-Allow-Origin"] == PAGE
        body = {"number": NUMBER, "status": "block"}
        headers = {"Origin": PAGE, "apikey": "k"}
        answer = call(address, "POST", EVOLUTION, json_body=body, headers=headers)
        assert answer.status == 201
        assert answer.headers.get_all("Access-Control-Allow-Origin") == [PAGE]


# In a host app


def host_with(config: dict[str, Any]) -> Flask:
    host = Flask("host")

    @host.after_request
    def own_cors(response: Response) -> Response:
        if "Origin" in request.headers:
            response.headers.setdefault("Access-Control-Allow-Origin", "https://host.example")
        return response

    ContactAdapter(host, config)
    return host


def test_cors_of_the_host_is_unchanged_by_default() -> None:
    client = host_with(config_for()).test_client()
    response = block(client, PAGE, path=f"/contact-adapter{EVOLUTION}")
    assert response.status_code == 201
    assert cors_headers(response) == {"Access-Control-Allow-Origin": "https://host.example"}
    assert "Vary" not in response.headers


def test_configured_origins_apply_in_a_host() -> None:
    client = host_with(config_for(PAGE)).test_client()
    response = block(client, PAGE, path=f"/contact-adapter{EVOLUTION}")
    assert response.headers["Access-Control-Allow-Origin"] == PAGE


# The setting


@pytest.mark.parametrize(
    "origins",
    [
        [],
        ["*"],
        ["https://app.example"],
        ["http://localhost:3000", "https://app.example:8443"],
        ["http://127.0.0.1:5173", "http://[::1]:5173"],
        ["capacitor://localhost", "chrome-extension://abcdefghijklmnop"],
    ],
)
def test_exact_origins_are_accepted(origins: list[str]) -> None:
    mounts = {each.name: each for each in load_settings(config_for(*origins)).dialects}
    assert mounts["evolution-api"].cors_origins == tuple(origins)
    assert mounts["wuts"].cors_origins == ()


@pytest.mark.parametrize(
    "origins",
    [
        ["https://app.example/"],
        ["https://app.example/path"],
        ["https://App.example"],
        ["app.example"],
        ["https://app.example:443"],
        ["http://app.example:80"],
        ["https://*.app.example"],
        ["https://user@app.example"],
        ["https://app.example?x"],
        ["https://app.example\n"],
        ["https://"],
        ["null"],
        [""],
        ["*", "https://app.example"],
    ],
)
def test_invalid_origin_is_a_configuration_error_with_the_valid_form(origins: list[str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(config_for(*origins))
    (problem,) = caught.value.problems
    assert problem.path.startswith("dialects.evolution-api.cors_origins")
    assert "origin" in problem.message or "all of them" in problem.message


@given(st.text(), st.lists(st.text()))
def test_no_cors_header_for_any_origin_that_is_not_configured(
    origin: str, configured: list[str]
) -> None:
    found = Cors(configured).headers(origin)
    if origin not in configured and "*" not in configured:
        assert "Access-Control-Allow-Origin" not in found
    else:
        allowed = "*" if "*" in configured else origin
        assert found["Access-Control-Allow-Origin"] == allowed
