"""The fallback of an account over HTTP: envelope, keys, dialects, metrics, OpenAPI, commands."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeApp
from flask.testing import FlaskClient
from support import (
    BUILT_IN,
    NUMBER,
    SESSION,
    Upstream,
    account_for,
    cli_runner,
    free_port,
    key_for,
)
from support.dialect_calls import CODE, KEY, expect_native_success, native_request, send

from adapter import Action, Code
from adapter.cli import main
from adapter.results import Outcome
from adapter.web.app import service_state
from adapter.web.schemas import ChangeEnvelope

BLOCK = "/v1/contacts/block"
ROUTE = ["support", "support-2"]

MakeClient = Callable[..., FlaskClient]


def accounts(**first: Any) -> dict[str, Any]:
    dead = account_for("wuts", f"http://127.0.0.1:{free_port()}")
    return {
        "support": {**dead, "aliases": [SESSION], "fallback": "support-2", **first},
        "support-2": {"provider": "memory"},
    }


@pytest.fixture
def make_client(make_app: MakeApp) -> MakeClient:
    def make(**rest: Any) -> FlaskClient:
        config = {"accounts": accounts(), "default_account": "support", **rest}
        return make_app(config, allow_unauthenticated="keys" not in rest).test_client()

    return make


def test_the_envelope_has_the_route_and_the_provider_that_responded(
    make_client: MakeClient,
) -> None:
    document = make_client().post(BLOCK, json={"number": NUMBER}).get_json()
    assert ChangeEnvelope().validate(document) == {}
    assert document["success"] is True
    assert document["data"]["account"] == "support"
    assert document["meta"]["provider"] == "memory"
    assert document["meta"]["route"] == ROUTE


def test_an_account_without_a_fallback_has_no_route(make_client: MakeClient) -> None:
    body = {"number": NUMBER, "account": "support-2"}
    assert "route" not in make_client().post(BLOCK, json=body).get_json()["meta"]


def test_a_refused_request_has_no_route(make_client: MakeClient) -> None:
    assert "route" not in make_client().post(BLOCK, json={"number": "x"}).get_json()["meta"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/contacts/blocked?limit=10", None),
        ("POST", "/v1/contacts/state", {"number": NUMBER}),
        ("POST", "/v1/contacts/lookup", {"numbers": [NUMBER]}),
    ],
)
def test_reads_go_on_to_the_fallback(
    make_client: MakeClient, method: str, path: str, body: Any
) -> None:
    document = make_client().open(path, method=method, json=body).get_json()
    assert (document["success"], document["meta"]["route"]) == (True, ROUTE)


def test_a_status_does_not_go_on(make_client: MakeClient) -> None:
    document = make_client().get("/v1/accounts/support/status").get_json()
    assert document["error"]["code"] == "provider_unreachable"
    assert document["meta"]["route"] == ["support"]


def test_a_key_for_the_account_needs_none_for_its_fallback(make_client: MakeClient) -> None:
    client = make_client(keys={"crm": key_for(KEY, "support")})
    headers = {"X-API-Key": KEY}
    response = client.post(BLOCK, json={"number": NUMBER}, headers=headers)
    assert response.get_json()["meta"]["route"] == ROUTE
    body = {"number": NUMBER, "account": "support-2"}
    refused = client.post(BLOCK, json=body, headers=headers).get_json()
    assert refused["error"]["code"] == "account_not_found"


def test_the_actions_of_an_account_are_those_of_both(make_app: MakeApp, upstream: Upstream) -> None:
    gateway = account_for("session-gateway", upstream.address)
    config = {
        "accounts": {
            "support": {**gateway, "fallback": "support-2", "phone": f"+{NUMBER}"},
            "support-2": account_for("wuts", upstream.address),
            "alone": gateway,
        }
    }
    response = make_app(config).test_client().get("/v1/accounts")
    actions = {each["name"]: each["actions"] for each in response.get_json()["data"]["accounts"]}
    assert set(actions["support"]) - set(actions["alone"]) == {"list", "state"}
    assert NUMBER not in response.text


@pytest.mark.parametrize("dialect", ["wuts", "wappfy", "session-gateway"])
def test_a_dialect_responds_as_the_provider_of_its_clients(
    make_client: MakeClient, dialect: str
) -> None:
    client = make_client(dialects={"enabled": [dialect]}, keys={"crm": key_for(KEY, "support")})
    expect_native_success(dialect, send(client, native_request(dialect, "block")), "block")


def test_a_dialect_never_hides_an_unknown_outcome(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make_client(dialects={"enabled": ["wuts"]}, keys={"crm": key_for(KEY, "support")})
    fallback = service_state(client.application).service.accounts["support-2"]
    lost = Outcome.failure(Code.PROVIDER_CONNECTION_LOST)
    monkeypatch.setattr(fallback, "call", lambda *_: (lost, 1))
    response = send(client, native_request("wuts", "block"))
    assert response.headers[CODE] == "provider_connection_lost"


def test_the_metrics_count_a_call_of_the_requested_account_and_one_of_the_fallback(
    make_client: MakeClient,
) -> None:
    client = make_client()
    client.post(BLOCK, json={"number": NUMBER})
    lines = client.get("/metrics").text
    labels = 'account="support",action="block",code="ok"'
    assert f'contact_adapter_calls_total{{{labels},provider="memory"}} 1.0' in lines
    went_on = f'contact_adapter_fallback_calls_total{{{labels},fallback="support-2"}} 1.0'
    assert went_on in lines
    assert 'contact_adapter_in_flight{account="support",provider="wuts"} 0.0' in lines
    assert re.search(r'breaker_state\{account="support-2",provider="memory"\} 0.0', lines)


def test_openapi_describes_the_route_as_optional(make_client: MakeClient) -> None:
    schemas = make_client().get("/openapi.json").get_json()["components"]["schemas"]
    meta = schemas["Meta"]
    assert meta["properties"]["route"]["type"] == "array"
    assert "route" not in meta["required"]


# --- the command line


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "adapter.toml"
    path.write_text(
        f"""
        default_account = "support"
        [accounts.support]
        provider = "wuts"
        base_url = "http://127.0.0.1:{free_port()}"
        token = {{ file = "token" }}
        fallback = "support-2"
        phone = "+{NUMBER}"
        [accounts.support-2]
        provider = "memory"
        phone = "+{NUMBER}"
        """
    )
    (tmp_path / "token").write_text("token")
    return str(path)


def test_a_command_prints_the_route_beside_its_output(config: str) -> None:
    result = cli_runner().invoke(main, ["block", NUMBER, "--config", config])
    assert result.exit_code == 0
    assert "for support (provider_state)" in result.stdout
    assert "route: support, support-2" in result.stderr


def test_a_command_with_json_prints_the_route_in_the_envelope(config: str) -> None:
    result = cli_runner().invoke(main, ["blocked", "--json", "--config", config])
    assert json.loads(result.stdout)["meta"]["route"] == ROUTE
    assert "route:" not in result.stderr


def test_a_failed_command_has_no_route_where_the_account_alone_was_called(config: str) -> None:
    result = cli_runner().invoke(main, ["status", "--config", config])
    assert result.exit_code == 1
    assert "route:" not in result.stderr


def test_check_accepts_the_keys_and_prints_no_phone(config: str) -> None:
    result = cli_runner().invoke(main, ["check", "--config", config])
    assert result.exit_code == 0
    assert NUMBER not in result.output


def test_check_live_is_about_the_account_itself(
    config: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_list = classmethod(lambda _: frozenset({Action.LIST}))
    monkeypatch.setattr(BUILT_IN["wuts"], "actions", only_list)
    result = cli_runner().invoke(main, ["check", "--live", "--config", config])
    assert result.exit_code == 1
    assert "support: the block list was not read; its fallback was called" in result.output
