"""The OpenAPI document describes what a ledger adds: pages, CSV, keys and the history."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import MakeApp
from flask import Flask
from jsonschema import Draft202012Validator
from support import NUMBER, Upstream, account_for

BLOCK, BLOCKED = "/v1/contacts/block", "/v1/contacts/blocked"
STATE, SEARCH, BATCHES = "/v1/contacts/state", "/v1/calls/search", "/v1/batches"
BATCH = {"action": "block", "start": False, "items": [{"number": NUMBER}, {"jid": "x"}]}


@pytest.fixture
def app(make_app: MakeApp, upstream: Upstream, url: str) -> Flask:
    upstream.will_answer(200, {"success": True})
    accounts = {
        "support": {"provider": "memory"},
        "listless": account_for("wappfy", upstream.address),
    }
    config = {"accounts": accounts, "default_account": "support"}
    return make_app({**config, "ledger": {"url": url, "wait": 10}})


def describe(app: Flask) -> dict[str, Any]:
    document = app.test_client().get("/openapi.json").get_json()
    assert isinstance(document, dict)
    return document


KEY = {"Idempotency-Key": '"a-key"'}
CALLS: list[tuple[str, str, dict[str, Any], int]] = [
    ("post", BLOCK, {"json": {"number": NUMBER, "reason": "spam", "ref": "17"}}, 200),
    ("post", BLOCK, {"json": {"number": NUMBER}, "headers": KEY}, 200),
    ("post", BLOCK, {"json": {"number": "5511988888888"}, "headers": KEY}, 422),
    ("get", BLOCKED, {"query_string": {"source": "ledger", "limit": 1}}, 200),
    ("get", BLOCKED, {"query_string": {"limit": 1}}, 200),
    ("get", BLOCKED, {"query_string": {"account": "listless"}}, 200),
    ("get", BLOCKED, {"query_string": {"cursor": "x"}}, 422),
    ("post", STATE, {"json": {"number": NUMBER, "account": "listless"}}, 200),
    ("post", STATE, {"json": {"number": "5511977777777", "account": "listless"}}, 200),
    ("post", SEARCH, {"json": {}}, 200),
    ("post", SEARCH, {"json": {"limit": 1, "code": "ok", "via": "api"}}, 200),
    ("post", SEARCH, {"json": {"since": "yesterday"}}, 422),
    ("post", BATCHES, {"json": BATCH}, 201),
    ("post", BATCHES, {"json": BATCH}, 200),
    ("post", BATCHES, {"json": {"items": []}}, 422),
    ("post", BATCHES, {"data": b"number\n", "headers": {"Content-Type": "text/csv"}}, 422),
    ("post", BATCHES, {"json": {**BATCH, "account": "nowhere"}}, 404),
    ("get", BATCHES, {"query_string": {"limit": 1}}, 200),
    ("get", BATCHES, {"query_string": {"limit": 0}}, 422),
]


def test_every_response_with_a_ledger_matches_its_described_schema(app: Flask) -> None:
    client, document = app.test_client(), describe(app)
    for number in (NUMBER, "5511966666666"):
        client.post(BLOCK, json={"number": number, "account": "listless", "reason": "spam"})
    client.post(BLOCK, json={"number": NUMBER}, headers=KEY)
    for method, path, sent, status in CALLS:
        response = client.open(path, method=method, **sent)
        assert response.status_code == status, response.text
        found = document["paths"][path][method]["responses"][str(status)]
        schema = {
            **found["content"]["application/json"]["schema"],
            "components": document["components"],
        }
        Draft202012Validator(schema).validate(response.get_json())


def test_the_key_the_csv_and_the_parameters_are_described(app: Flask) -> None:
    paths = describe(app)["paths"]
    names = [each["name"] for each in paths[BLOCK]["post"]["parameters"]]
    assert {"Idempotency-Key", "reason", "ref"} <= set(names)
    success = paths[BLOCK]["post"]["responses"]["200"]
    assert "Idempotent-Replayed" in success["headers"]
    assert {"409", "422", "503"} <= set(paths[BLOCK]["post"]["responses"])
    blocked = paths[BLOCKED]["get"]
    types = {each["name"]: each["schema"]["type"] for each in blocked["parameters"]}
    assert types == {
        "account": "string",
        "source": "string",
        "limit": "integer",
        "cursor": "string",
    }
    assert "text/csv" in blocked["responses"]["200"]["content"]


def test_described_bodies_reject_what_the_app_does(app: Flask) -> None:
    document, client = describe(app), app.test_client()
    for path, bad in (
        (BLOCK, {"number": NUMBER, "reason": "Not A Slug"}),
        (BLOCK, {"number": NUMBER, "ref": "x" * 129}),
        (SEARCH, {"limit": "10"}),
        (SEARCH, {"limit": 1001}),
        (SEARCH, {"code": "fine"}),
    ):
        body = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        schema = {**body["schema"], "components": document["components"]}
        assert not Draft202012Validator(schema).is_valid(bad), bad
        assert client.post(path, json=bad).status_code == 422
