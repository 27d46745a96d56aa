"""The OpenAPI document and Swagger UI describe exactly what is served."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from adapter.providers.memory import LISTED_BY_LID, MAGIC_NUMBERS, NOT_EFFECTIVE
from conftest import MakeApp
from flask import Flask
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from support import DIALECTS, JID, NUMBER, key_for

from adapter.codes import Code, Confirmation
from adapter.settings.loader import load_settings
from adapter.web.app import create_app

CONFIG: dict[str, Any] = {
    "accounts": {"support": {"provider": "memory", "aliases": ["my-session"]}},
    "dialects": {"enabled": list(DIALECTS)},
}
KEYED = {
    **CONFIG,
    "keys": {"crm": key_for("k"), "reader": key_for("r", scopes=("read",))},
}
BLOCK, LOOKUP, STATE = (f"/v1/contacts/{name}" for name in ("block", "lookup", "state"))
OUTSIDE_OF_ROUTES = {"/docs", "/docs/", "/docs/{path}", "/openapi.json"}


def describe(app: Flask) -> dict[str, Any]:
    document = app.test_client().get("/openapi.json").get_json()
    assert isinstance(document, dict)
    return document


@pytest.fixture(scope="module")
def app() -> Flask:
    return create_app(CONFIG, allow_unauthenticated=True)


@pytest.fixture(scope="module")
def keyed() -> Flask:
    return create_app(KEYED)


@pytest.fixture(scope="module")
def document(app: Flask) -> dict[str, Any]:
    return describe(app)


@pytest.mark.parametrize(
    "config",
    [
        CONFIG,
        KEYED,
        {**CONFIG, "dialects": {}},
        {**CONFIG, "dialects": {"enabled": ["wuts"], "wuts": {"prefix": "/old", "host": "a.b"}}},
    ],
)
def test_document_is_valid_openapi_3_1(make_app: MakeApp, config: dict[str, Any]) -> None:
    document = describe(make_app(config))
    assert document["openapi"].startswith("3.1")
    errors = [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()]
    assert errors == []


def test_document_paths_and_methods_are_those_of_the_app(
    app: Flask, document: dict[str, Any]
) -> None:
    served = {
        (re.sub(r"<(?:path:|contact_adapter_)?(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if not rule.rule.startswith("/dialects/")
    }
    described = {
        (path, method)
        for path, operations in document["paths"].items()
        for method in operations
        if not path.startswith("/dialects/")
    }
    assert {each for each in served if each[0] not in OUTSIDE_OF_ROUTES} == described


def test_document_has_the_routes_of_enabled_dialects(document: dict[str, Any]) -> None:
    settings = load_settings(CONFIG)
    expected = {
        (f"/dialects/{mount.name}{route.template}", route.method.lower())
        for mount in settings.dialects
        for route in mount.dialect.routes()
    }
    described = {
        (path, method)
        for path, operations in document["paths"].items()
        for method in operations
        if path.startswith("/dialects/")
    }
    assert described == expected
    assert expected > {
        ("/dialects/wuts/contacts/blocklist", "get"),
        ("/dialects/wuts/contact/check", "post"),
        ("/dialects/waha/api/contacts", "get"),
        ("/dialects/wappfy/api/contacts/check-exists", "get"),
        ("/dialects/session-gateway/api/v1/sessions/{session}", "get"),
    }


def test_dialect_read_is_described_with_its_query_or_body_and_a_200(
    document: dict[str, Any],
) -> None:
    check = document["paths"]["/dialects/waha/api/contacts/check-exists"]["get"]
    assert [each["in"] for each in check["parameters"]] == ["query"]
    assert "requestBody" not in check
    assert "X-Contact-Adapter-Confirmation" in check["responses"]["200"]["headers"]
    assert "201" not in check["responses"]
    session = document["paths"]["/dialects/waha/api/sessions/{session}"]["get"]
    assert [each["in"] for each in session["parameters"]] == ["path"]
    assert "requestBody" in document["paths"]["/dialects/wuts/contact/check"]["post"]
    assert "requestBody" not in document["paths"]["/dialects/wuts/status"]["get"]


def test_disabled_dialect_is_not_described(make_app: MakeApp) -> None:
    config = {**CONFIG, "dialects": {"enabled": ["wuts"], "wuts": {"prefix": "/old/wuts"}}}
    paths = describe(make_app(config))["paths"]
    native = {
        path for path in paths if not path.startswith(("/v1", "/livez", "/readyz", "/metrics"))
    }
    assert native == {
        "/old/wuts/contacts/block",
        "/old/wuts/contacts/unblock",
        "/old/wuts/contacts/blocklist",
        "/old/wuts/contact/check",
        "/old/wuts/status",
    }


@pytest.mark.parametrize("action", ["block", "unblock"])
@pytest.mark.parametrize(
    "code",
    [
        code
        for code in Code
        if code not in {Code.NOT_FOUND, Code.METHOD_NOT_ALLOWED}
        and code not in {Code.BATCH_NOT_FOUND, Code.BATCH_CONFLICT}  # a change is none of them
    ],
    ids=lambda code: code.value,
)
def test_every_code_is_described_under_its_status(
    document: dict[str, Any], action: str, code: Code
) -> None:
    responses = document["paths"][f"/v1/contacts/{action}"]["post"]["responses"]
    places = [
        status for status, each in responses.items() if f"`{code.value}`" in each["description"]
    ]
    assert places == [str(code.http_status)]


def test_error_code_is_an_extensible_enum(document: dict[str, Any]) -> None:
    described = document["components"]["schemas"]["Error"]["properties"]["code"]
    assert described["type"] == "string"
    assert described["x-extensible-enum"] == [code.value for code in Code]
    assert described["examples"] == described["x-extensible-enum"]
    validator = Draft202012Validator(described)
    for code in ("target_rejected", "a_code_of_next_year"):
        assert validator.is_valid(code)


def test_blocked_is_described_as_the_requested_state(document: dict[str, Any]) -> None:
    described = document["components"]["schemas"]["Change"]["properties"]
    assert "which the provider accepted" in described["blocked"]["description"]
    for confirmation in Confirmation:
        assert f"`{confirmation.value}`" in described["confirmation"]["description"]


def test_described_bodies_of_reads_accept_and_reject_what_the_app_does(
    document: dict[str, Any],
) -> None:
    numbers = ["1"] * 100
    for path, goods, bads in (
        (
            LOOKUP,
            [{"numbers": numbers}, {"numbers": ["1"], "candidates": True, "account": "a"}],
            [{}, {"numbers": []}, {"numbers": [*numbers, "1"]}, {"numbers": "1"}, {"number": "1"}],
        ),
        (
            STATE,
            [{"number": NUMBER}, {"jid": JID}],
            [{"number": 5}, {"number": "1", "verify": True}],
        ),
    ):
        body = document["paths"][path]["post"]["requestBody"]
        assert body["required"] is True
        schema = body["content"]["application/json"]["schema"]
        validator = Draft202012Validator({**schema, "components": document["components"]})
        assert [validator.is_valid(each) for each in goods] == [True] * len(goods)
        assert [validator.is_valid(each) for each in bads] == [False] * len(bads)


def test_numbers_are_described_in_no_query_of_a_read(document: dict[str, Any]) -> None:
    for path in (LOOKUP, STATE, "/v1/accounts/{name}/status"):
        for operation in document["paths"][path].values():
            named = {each["name"] for each in operation.get("parameters", ())}
            assert named <= {"name"}


def test_readyz_is_described(document: dict[str, Any]) -> None:
    description = document["paths"]["/readyz"]["get"]["description"]
    assert "No provider is called" in description


@pytest.mark.parametrize("dialect", DIALECTS)
def test_form_is_described_where_a_dialect_accepts_it(
    document: dict[str, Any], dialect: str
) -> None:
    mount = next(each for each in load_settings(CONFIG).dialects if each.name == dialect)
    found = {
        kind
        for path, operations in document["paths"].items()
        if path.startswith(mount.prefix)
        for operation in operations.values()
        for kind in operation.get("requestBody", {}).get("content", ())
    }
    forms = {"application/x-www-form-urlencoded"} if mount.dialect.takes_forms else set()
    assert found == forms | ({"application/json"} if mount.dialect.takes_body else set())


def test_every_described_response_has_the_common_headers(
    document: dict[str, Any],
) -> None:
    for path, operations in document["paths"].items():
        if path.startswith("/dialects/"):
            continue
        for operation in operations.values():
            for status, response in operation["responses"].items():
                assert {"X-Request-Id", "Cache-Control"} <= set(response["headers"])
                assert ("WWW-Authenticate" in response["headers"]) is (status == "401")


def test_challenge_is_described_as_it_is_sent(keyed: Flask) -> None:
    sent = keyed.test_client().get("/v1/accounts").headers["WWW-Authenticate"]
    described = describe(keyed)["paths"]["/v1/accounts"]["get"]["responses"]["401"]
    header = described["headers"]["WWW-Authenticate"]
    assert header["description"] == f"Always `{sent}`."


def test_path_of_several_actions_is_described_with_all_of_them(
    document: dict[str, Any],
) -> None:
    for mount in load_settings(CONFIG).dialects:
        for route in mount.dialect.routes():
            operation = document["paths"][mount.prefix + route.template][route.method.lower()]
            assert re.search(rf"\b{route.action}\b", operation["summary"])


def test_operation_ids_are_unique(document: dict[str, Any]) -> None:
    ids = [
        operation["operationId"]
        for operations in document["paths"].values()
        for operation in operations.values()
    ]
    assert len(ids) == len(set(ids))


def test_keys_are_described_where_they_are_required(keyed: Flask, app: Flask) -> None:
    with_keys, without = describe(keyed), describe(app)
    schemes = with_keys["components"]["securitySchemes"]
    assert {scheme["type"] for scheme in schemes.values()} == {"http", "apiKey"}
    for path in ("/v1/accounts", "/v1/providers", "/v1/contacts/blocked"):
        assert {
            name for each in with_keys["paths"][path]["get"]["security"] for name in each
        } == set(schemes)
    assert with_keys["paths"]["/livez"]["get"]["security"] == []
    assert "securitySchemes" not in without["components"]


# Responses match the document

CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("post", BLOCK, {"json": {"number": "+55 11 99999-9999"}}),
    ("post", BLOCK, {"query_string": {"jid": JID}}),
    ("post", BLOCK, {"json": {"jid": "123456@lid"}}),
    ("post", "/v1/contacts/unblock", {"json": {"jid": JID, "account": "support"}}),
    ("get", "/v1/contacts/blocked", {}),
    ("get", "/v1/contacts/blocked", {"query_string": {"account": "nowhere"}}),
    ("get", "/v1/contacts/blocked", {"query_string": {"number": NUMBER}}),
    ("get", "/v1/accounts", {}),
    ("get", "/v1/accounts/{name}/status", {"in_path": "support"}),
    ("get", "/v1/accounts/{name}/status", {"in_path": "nowhere"}),
    ("get", "/v1/accounts/{name}/status", {"in_path": "support", "query_string": {"x": "y"}}),
    ("post", LOOKUP, {"json": {"numbers": [NUMBER]}}),
    ("post", LOOKUP, {"json": {"numbers": [NUMBER, "15005550041"], "candidates": True}}),
    ("post", LOOKUP, {"json": {"numbers": ["1", 2]}}),
    ("post", LOOKUP, {"json": {"numbers": ["1"] * 20}}),
    ("post", STATE, {"json": {"number": NUMBER}}),
    ("post", STATE, {"json": {"number": "15005550041"}}),
    ("post", STATE, {"json": {"user_id": "BR.00000000000000000001"}}),
    ("post", STATE, {"query_string": {"number": NUMBER}}),
    ("post", BLOCK, {"json": {"jid": JID, "verify": True}}),
    ("post", BLOCK, {"query_string": {"jid": JID, "verify": "true"}}),
    ("post", BLOCK, {"json": {"number": NOT_EFFECTIVE, "verify": True}}),
    ("post", BLOCK, {"json": {"number": LISTED_BY_LID, "verify": True}}),
    ("post", STATE, {"json": {"number": NUMBER}, "after": LISTED_BY_LID}),
    ("get", "/v1/accounts", {"query_string": {"x": "y"}}),
    ("get", "/v1/providers", {}),
    ("get", "/livez", {}),
    ("get", "/readyz", {}),
    ("get", "/v1/accounts", {"headers": {"X-API-Key": "wrong"}}),
    ("get", "/v1/providers", {"headers": {}}),
    ("post", BLOCK, {"json": {"number": NUMBER}, "headers": {"X-API-Key": "r"}}),
    ("post", BLOCK, {"json": {"phone": 1, "number": 2}}),
    ("post", BLOCK, {"json": {"jid": "status@broadcast"}}),
    ("post", BLOCK, {"data": "{", "content_type": "application/json"}),
    ("post", BLOCK, {"data": "number=1"}),
    ("post", BLOCK, {"data": b" " * 70_000, "content_type": "application/json"}),
    *(("post", BLOCK, {"json": {"number": number}}) for number in MAGIC_NUMBERS),
]


@pytest.mark.parametrize(("method", "path", "sent"), CALLS)
def test_responses_match_the_described_schemas(
    keyed: Flask, method: str, path: str, sent: dict[str, Any]
) -> None:
    client = keyed.test_client()
    rest = {"headers": {"X-API-Key": "k"}, **sent}
    url, listed = path.format(name=rest.pop("in_path", "")), rest.pop("after", NUMBER)
    client.post(BLOCK, json={"number": listed}, headers={"X-API-Key": "k"})
    response = client.open(url, method=method, **rest)
    code = (response.get_json()["error"] or {}).get("code")
    document = describe(keyed)
    described = document["paths"][path][method]["responses"]
    if code in (
        "not_found",
        "method_not_allowed",
    ):  # by a magic number
        return
    assert str(response.status_code) in described
    found = described[str(response.status_code)]
    schema = {
        **found["content"]["application/json"]["schema"],
        "components": document["components"],
    }
    Draft202012Validator(schema).validate(response.get_json())
    for name, header in found["headers"].items():
        if header.get("required"):
            assert name in response.headers
    for name in ("Retry-After", "WWW-Authenticate"):
        assert name not in response.headers or name in found["headers"]


def test_described_schema_rejects_a_wrong_response(document: dict[str, Any]) -> None:
    responses = document["paths"][BLOCK]["post"]["responses"]
    components = {"components": document["components"]}
    for status in ("200", "422"):
        schema = {**responses[status]["content"]["application/json"]["schema"], **components}
        assert not Draft202012Validator(schema).is_valid({})
        assert not Draft202012Validator(schema).is_valid(
            {"success": status != "200", "data": None, "error": None, "meta": {}}
        )


def test_described_body_accepts_and_rejects_what_the_app_does(
    document: dict[str, Any],
) -> None:
    body = document["paths"][BLOCK]["post"]["requestBody"]["content"]["application/json"]
    schema = {**body["schema"], "components": document["components"]}
    validator = Draft202012Validator(schema)
    goods = ({"number": NUMBER}, {"jid": JID, "account": "support"}, {"jid": JID, "verify": True})
    for good in goods:
        assert validator.is_valid(good)
    bodies: list[Any] = [
        {"number": 5},
        {"jid": None},
        {"number": "5" * 2049},
        {"phone": "1"},
        [],
        {"verify": 1},
    ]
    for bad in bodies:
        assert not validator.is_valid(bad)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_dialect_responses_have_described_statuses(app: Flask, dialect: str) -> None:
    paths = describe(app)["paths"]
    prefix = f"/dialects/{dialect}"
    path = next(
        path
        for path in paths
        if path.startswith(prefix) and path.endswith(("/block", "/updateBlockStatus/{instance}"))
    )
    statuses = set(paths[path]["post"]["responses"])
    for number in (NUMBER, *MAGIC_NUMBERS, "12"):
        url = path.replace("{session}", "my-session").replace("{jid}", f"{number}@c.us")
        url = url.replace("{instance}", "my-session")
        body = {"contactId": number, "session": "my-session", "number": number, "status": "block"}
        response = app.test_client().post(url, json=body)
        assert str(response.status_code) in statuses
        assert "X-Contact-Adapter-Code" in response.headers


# Swagger UI


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in ("src", "href", "action")]


@pytest.mark.parametrize("page", ["/docs", "/docs/"])
def test_docs_page_loads_nothing_from_other_servers(app: Flask, page: str) -> None:
    client = app.test_client()
    response = client.get(page)
    assert response.status_code == 200
    assert response.mimetype == "text/html"
    links = _Links()
    links.feed(response.text)
    assert len(links.found) >= 3
    for link in links.found:
        # Only an absolute path is the same file from /docs and from /docs/.
        assert re.match(r"/[^/]", link)
        asset = client.get(link)
        assert asset.status_code == 200
        assert asset.data
        asset.close()
    assert '"url": "/openapi.json"' in response.text
    assert '"validatorUrl": null' in response.text
    assert set(re.findall(r"https?://[^/\"']+", response.text)) <= {"http://localhost"}
