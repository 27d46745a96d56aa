"""Generated requests and outcomes: every response is a described one."""

from __future__ import annotations

import atexit
import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi import checks as openapi_checks
from support import DIALECTS, JID, NUMBER, SESSION, key_for

from adapter.plugin import (
    Action,
    Code,
    Command,
    Confirmation,
    Contact,
    Dialect,
    DialectRequest,
    Headers,
    HttpRequest,
    HttpResponse,
    Outcome,
    RequestError,
)
from adapter.registry import load_plugins
from adapter.strict_json import read_json
from adapter.web.app import create_app

pytestmark = [pytest.mark.slow, pytest.mark.no_cover]

# --- the whole server, by its OpenAPI document

CONFIG: dict[str, Any] = {
    "accounts": {"support": {"provider": "memory", "aliases": [SESSION]}},
    "dialects": {"enabled": list(DIALECTS)},
}
KEYED = {**CONFIG, "keys": {"k": key_for("k", scopes=("block", "read", "metrics"))}}

REJECTED = [400, 401, 403, 404, 405, 413, 415, 422]
"""The statuses of invalid requests; 413 for too many numbers, where the body is too large, too."""

CHECKS = {"checks": {"negative_data_rejection": {"expected-statuses": REJECTED}}}
WITHOUT_GENERATED_KEYS = schemathesis.Config.from_dict(
    {**CHECKS, "generation": {"with-security-parameters": False}}
)
"""A generated key in the second header would make the request unauthenticated."""

opened = schemathesis.openapi.from_wsgi(
    "/openapi.json",
    create_app(CONFIG, allow_unauthenticated=True),
    config=schemathesis.Config.from_dict(CHECKS),
)
keyed = schemathesis.openapi.from_wsgi(
    "/openapi.json", create_app(KEYED), config=WITHOUT_GENERATED_KEYS
)
folder = tempfile.mkdtemp(prefix="contact-adapter-fuzz-")
atexit.register(shutil.rmtree, folder, ignore_errors=True)
LEDGER = {"url": f"sqlite:///{folder}/ledger.db", "wait": 10}
with_batches = schemathesis.openapi.from_wsgi(
    "/openapi.json",
    create_app({**CONFIG, "ledger": LEDGER}, allow_unauthenticated=True),
    config=schemathesis.Config.from_dict(CHECKS),
)
bounded = settings(
    max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), database=None
)


def excluded_checks(case: schemathesis.Case[Any]) -> list[Any]:
    """Return the checks that do not apply to the operation."""
    excluded = []
    is_native = case.operation.path.startswith("/dialects/")
    if is_native:
        # For a wrong method, a dialect responds as its provider does: with an unknown path.
        excluded.append(openapi_checks.unsupported_method)
    path = case.operation.path
    has_pages = path == "/v1/contacts/blocked" or path.startswith(("/v1/batches", "/v1/plans"))
    if case.method == "POST" or is_native or has_pages:
        # Valid numbers and JIDs depend on the numbering plan, which no schema can express. A
        # dialect's read has them in its query. A valid cursor is one of a page before. Batches
        # and plans need a ledger.
        excluded.append(openapi_checks.positive_data_acceptance)
    return excluded


@opened.parametrize()
@bounded
def test_every_response_is_described_by_the_document(case: schemathesis.Case[Any]) -> None:
    response = case.call_and_validate(excluded_checks=excluded_checks(case))
    assert {"x-request-id", "cache-control"} <= set(response.headers)


@with_batches.include(path_regex="^/v1/(batches|plans)").parametrize()
@bounded
def test_every_response_about_batches_is_described(case: schemathesis.Case[Any]) -> None:
    case.call_and_validate(excluded_checks=excluded_checks(case))


@keyed.parametrize()
@bounded
def test_every_response_with_keys_is_described_and_every_operation_needs_a_key(
    case: schemathesis.Case[Any],
) -> None:
    case.call_and_validate(headers={"X-API-Key": "k"}, excluded_checks=excluded_checks(case))


@keyed.include(path_regex=r"^/(v1|metrics|dialects)").parametrize()
@bounded
def test_every_operation_without_a_key_is_unauthenticated(case: schemathesis.Case[Any]) -> None:
    response = case.call()
    if case.method == "OPTIONS" and response.status_code == 200:  # the allowed methods
        assert response.text == ""
    else:
        assert response.status_code in (401, 404, 405)


# --- the dialects alone

NATIVE: Mapping[str, type[Dialect]] = {
    name: each.cls for name, each in load_plugins().dialects.items()
}
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
WITH_NUMBER, LID_ALONE = Contact(NUMBER), Contact(lid="4711@lid")

words = st.one_of(
    st.text(max_size=12),
    st.sampled_from([JID, NUMBER, f"{NUMBER}@c.us", "1@g.us", SESSION, "", "Bearer k", "bearer"]),
    st.sampled_from(["block", "unblock"]),
)
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), words)
documents = st.recursive(
    scalars,
    lambda below: (
        st.lists(below, max_size=3)
        | st.dictionaries(
            st.sampled_from(["jid", "number", "session", "sessionId", "contactId", "status"])
            | words,
            below,
            max_size=5,
        )
    ),
    max_leaves=8,
)
methods = st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "post"]) | words
header_names = st.sampled_from(["Authorization", "apikey", "x-api-key", "X-Other"])
requests = st.builds(
    HttpRequest,
    method=methods,
    path=st.one_of(
        st.sampled_from(
            [route.template for each in NATIVE.values() for route in each.provider.all_routes()]
        ).flatmap(
            lambda template: st.builds(
                lambda session, jid: re.sub(
                    r"\{(\w+)\}", lambda part: jid if part[1] == "jid" else session, template
                ),
                words,
                words,
            )
        ),
        st.text(max_size=30).map(lambda text: f"/{text}"),
    ),
    headers=st.dictionaries(header_names, words, max_size=3).map(Headers),
    query=st.dictionaries(st.sampled_from(["jid", "number", "x"]), words, max_size=3),
    json=documents,
)
fields = st.dictionaries(
    st.sampled_from(["number", "jid", "body"]) | words,
    st.lists(words, min_size=1, max_size=2).map(tuple),
    max_size=3,
)
failures = st.builds(
    Outcome.failure,
    st.sampled_from(list(Code)),
    retry_after=st.none() | st.integers(0, 3600),
    fields=fields,
    upstream_status=st.none() | st.integers(100, 599),
)
calls = st.builds(
    DialectRequest,
    st.sampled_from(
        [
            Command(Action.LIST),
            *(
                Command(action, each)
                for action in (Action.BLOCK, Action.UNBLOCK)
                for each in (WITH_NUMBER, LID_ALONE)
            ),
        ]
    ),
    st.none() | words,
    st.sampled_from(["", "openapi", "guide"]),
)


@pytest.mark.parametrize("name", NATIVE)
@settings(max_examples=150, deadline=None)
@given(request=requests)
def test_any_dialect_request_is_accepted_or_rejected(name: str, request: HttpRequest) -> None:
    dialect = NATIVE[name]()
    credential = dialect.parse_credential(request)
    assert credential is None or credential in " ".join(request.headers.values())
    call, rejection = None, None
    try:
        call = dialect.parse_request(request)
    except RequestError as error:
        rejection = error.outcome.code
    if call is None:
        assert rejection in {
            *(Code.NOT_FOUND, Code.METHOD_NOT_ALLOWED, Code.VALIDATION_ERROR, Code.INVALID_TARGET)
        }
        return
    route = dialect.provider.route(call.command.action)
    assert route.match(request.path) is not None
    assert route.method == request.method


def assert_well_formed(response: HttpResponse) -> None:
    assert 200 <= response.status <= 599
    assert not 300 <= response.status <= 399
    for name, value in response.headers.items():
        assert f"{name}{value}".isascii()
        assert f"{name}{value}".isprintable()
    if response.body:
        assert response.headers["Content-Type"] == "application/json"
        assert isinstance(read_json(response.body), dict)
        assert json.loads(response.body) == read_json(response.body)
    else:
        assert "Content-Type" not in response.headers
        assert response.status in (201, 204)


@pytest.mark.parametrize("name", NATIVE)
@settings(max_examples=100, deadline=None)
@given(outcome=failures, call=st.none() | calls)
def test_any_failure_is_a_well_formed_dialect_response_with_a_documented_status(
    name: str, outcome: Outcome, call: DialectRequest | None
) -> None:
    dialect = NATIVE[name]()
    response = dialect.build_response(outcome, call, now=NOW)
    assert_well_formed(response)
    assert response.body
    assert response.status in {rule.status for rule in dialect.provider.all_rules()}
    assert response.headers.get("Retry-After") == (
        None if outcome.retry_after is None else str(outcome.retry_after)
    )


contacts = st.lists(
    st.sampled_from([WITH_NUMBER, LID_ALONE, Contact(NUMBER, "4711@lid")]), max_size=3
)


@pytest.mark.parametrize("name", NATIVE)
@settings(max_examples=50, deadline=None)
@given(call=calls, confirmation=st.sampled_from(list(Confirmation)), found=contacts)
def test_any_success_is_a_well_formed_dialect_response(
    name: str, call: DialectRequest, confirmation: Confirmation, found: list[Contact]
) -> None:
    dialect = NATIVE[name]()
    if call.command.action not in dialect.provider.actions():
        call = DialectRequest(Command(Action.BLOCK, WITH_NUMBER), call.session, call.form)
    listed = tuple(found) if call.command.action is Action.LIST else None
    response = dialect.build_response(Outcome.success(confirmation, contacts=listed), call, now=NOW)
    assert_well_formed(response)
    assert response.status <= 204
