"""The reads of the unified API: status, lookup and state; and changes that are read back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from adapter.providers.memory import (
    LISTED_BY_LID,
    NOT_EFFECTIVE,
    NOT_ON_WHATSAPP,
    WITH_NINTH_DIGIT,
)
from conftest import MakeApp
from flask import Flask
from flask.testing import FlaskClient
from support import (
    FULL_WIDTH,
    JID,
    NUMBER,
    OTHER_NUMBER,
    Upstream,
    account_for,
    key_for,
)
from support.dists import PROVIDER
from support.unified import BLOCK, BLOCKED, CONTACT, TWO, UNBLOCK, code_of
from werkzeug.test import TestResponse

from adapter.web.app import create_app, service_state

STATUS = "/v1/accounts/support/status"
LOOKUP, STATE = "/v1/contacts/lookup", "/v1/contacts/state"


@pytest.fixture
def client(make_app: MakeApp) -> FlaskClient:
    return make_app(TWO).test_client()


@pytest.fixture
def wuts(make_app: MakeApp, upstream: Upstream) -> FlaskClient:
    """Return a client of an app with one WUTS account at `upstream`."""
    return make_app({"accounts": {"support": account_for("wuts", upstream.address)}}).test_client()


def data_of(response: TestResponse) -> dict[str, Any]:
    assert code_of(response) is None
    data = response.get_json()["data"]
    assert isinstance(data, dict)
    return data


def fields_of(response: TestResponse) -> dict[str, list[str]]:
    fields = response.get_json()["error"]["fields"]
    assert isinstance(fields, dict)
    return fields


# Status


@pytest.mark.parametrize(("connected", "status"), [(True, "connected"), (False, "not_connected")])
def test_status_is_whether_the_session_is_connected(
    wuts: FlaskClient, upstream: Upstream, connected: bool, status: str
) -> None:
    upstream.will_answer(200, {"success": True, "data": {"connected": connected}})
    data = data_of(wuts.get(STATUS))
    asked_at = datetime.fromisoformat(data.pop("asked_at"))
    assert timedelta() <= datetime.now(UTC) - asked_at < timedelta(minutes=1)
    assert data == {"account": "support", "status": status, "provider_word": None}
    assert [(each.method, each.path) for each in upstream.seen] == [("GET", "/status")]


def test_error_that_means_not_connected_is_a_status(wuts: FlaskClient, upstream: Upstream) -> None:
    error = {"success": False, "error": "x", "error_code": "DEVICE_NOT_READY"}
    upstream.will_answer(503, error)
    assert data_of(wuts.get(STATUS))["status"] == "not_connected"


@pytest.mark.parametrize("name", ["nowhere", "Support", "my-session", NUMBER, "%00", "x" * 300])
def test_status_of_an_unknown_account_is_account_not_found(client: FlaskClient, name: str) -> None:
    response = client.get(f"/v1/accounts/{name}/status")
    assert code_of(response) == "account_not_found"
    assert NUMBER not in response.text


def test_status_of_a_forbidden_account_is_that_of_an_unknown_one(make_app: MakeApp) -> None:
    keys = {"crm": key_for("k", "support"), "writer": key_for("w", scopes=("block",))}
    app = make_app({**TWO, "keys": keys}, allow_unauthenticated=False)
    client = app.test_client()

    def ask(key: str, name: str) -> str | None:
        return code_of(client.get(f"/v1/accounts/{name}/status", headers={"X-API-Key": key}))

    assert ask("k", "support") is None
    assert ask("k", "sales") == ask("k", "nowhere") == "account_not_found"
    assert ask("w", "support") == "permission_denied"
    assert ask("wrong", "support") == "unauthenticated"


def test_head_of_a_status_is_refused_and_calls_no_provider(
    wuts: FlaskClient, upstream: Upstream
) -> None:
    response = wuts.head(STATUS)
    assert response.status_code == 405
    assert response.headers["Allow"] == "GET, OPTIONS"
    assert response.data == b""
    assert upstream.connections == 0


def test_status_is_served_below_a_prefix_with_a_variable_of_the_same_name() -> None:
    from adapter import ContactAdapter

    app = Flask("host")
    config = {"accounts": {"support": {"provider": "memory"}}}
    ContactAdapter(app, config, url_prefix="/<name>/wa", allow_unauthenticated=True)
    response = app.test_client().get("/tenant/wa/v1/accounts/support/status")
    assert data_of(response)["account"] == "support"


# Lookup


def test_lookup_has_an_entry_for_each_number_in_order_and_sends_equal_ones_once(
    wuts: FlaskClient, upstream: Upstream
) -> None:
    upstream.will_answer(200, {"success": True, "data": {NUMBER: True, OTHER_NUMBER: False}})
    typed = ["+55 11 98888-8888", "+55 11 99999-9999", OTHER_NUMBER, f"https://wa.me/{NUMBER}"]
    data = data_of(wuts.post(LOOKUP, json={"numbers": typed}))
    found = [(each["number"], each["on_whatsapp"]) for each in data["lookups"]]
    assert found == [
        (OTHER_NUMBER, False),
        (NUMBER, True),
        (OTHER_NUMBER, False),
        (NUMBER, True),
    ]
    (sent,) = upstream.seen
    assert sent.path == "/contact/check"
    assert sent.body.count(NUMBER.encode()) == sent.body.count(OTHER_NUMBER.encode()) == 1


def test_lookup_names_the_person_as_whatsapp_knows_it(client: FlaskClient) -> None:
    numbers = [WITH_NINTH_DIGIT, NOT_ON_WHATSAPP, LISTED_BY_LID]
    data = data_of(client.post(LOOKUP, json={"numbers": numbers, "account": "sales"}))
    assert data["account"] == "sales"
    ninth, absent, nameless = data["lookups"]
    assert (ninth["on_whatsapp"], ninth["contact"]["number"]) == (True, "551199990001")
    assert (absent["on_whatsapp"], absent["contact"]) == (False, None)
    assert (nameless["on_whatsapp"], nameless["contact"]) == (True, None)
    assert {each["other_form"] for each in data["lookups"]} == {None}


def test_lookup_with_candidates_has_the_other_form_of_numbers_with_two(
    client: FlaskClient,
) -> None:
    asked = {"numbers": [WITH_NINTH_DIGIT, NOT_ON_WHATSAPP], "candidates": True}
    ninth, other = data_of(client.post(LOOKUP, json=asked))["lookups"]
    assert ninth["other_form"]["number"] == "551199990001"
    assert ninth["other_form"]["on_whatsapp"] is True
    assert other["other_form"] is None


def test_number_without_a_lookup_is_unknown_and_never_absent(
    wuts: FlaskClient, upstream: Upstream
) -> None:
    upstream.will_answer(200, {"success": True, "data": {NUMBER: True}})
    data = data_of(wuts.post(LOOKUP, json={"numbers": [NUMBER, OTHER_NUMBER]}))
    missing = data["lookups"][1]
    assert (missing["on_whatsapp"], missing["code"]) == (None, "provider_bad_response")


def test_failed_lookup_is_a_failure_without_data(wuts: FlaskClient, upstream: Upstream) -> None:
    upstream.will_answer(401, {"success": False, "error": "Invalid token"})
    response = wuts.post(LOOKUP, json={"numbers": [NUMBER]})
    assert code_of(response) == "provider_auth_failed"


@pytest.mark.parametrize(
    ("numbers", "fields"),
    [
        (["x", NUMBER, "12"], ["numbers[0]", "numbers[2]"]),
        ([NUMBER, ""], ["numbers[1]"]),
        ([FULL_WIDTH], ["numbers[0]"]),
        (["120363025246125486@g.us"], ["numbers[0]"]),
        ([JID], ["numbers[0]"]),
        (["1"] * 8, [f"numbers[{index}]" for index in range(8)]),
        ([NUMBER, *["1"] * 99], [*(f"numbers[{index}]" for index in range(1, 9)), "others"]),
    ],
)
def test_invalid_numbers_are_named_by_their_place_and_nothing_is_sent(
    wuts: FlaskClient, upstream: Upstream, numbers: list[str], fields: list[str]
) -> None:
    response = wuts.post(LOOKUP, json={"numbers": numbers})
    assert code_of(response) == "invalid_target"
    found = fields_of(response)
    assert list(found) == fields
    assert all(found.values())
    if "others" in fields:
        assert found["others"] == ["91 more invalid numbers"]
    assert upstream.connections == 0


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({}, "numbers"),
        ({"numbers": []}, "numbers"),
        ({"numbers": [NUMBER] * 101}, "numbers"),
        ({"numbers": NUMBER}, "numbers"),
        ({"numbers": [NUMBER, 5]}, "numbers[1]"),
        ({"numbers": [None]}, "numbers[0]"),
        ({"numbers": [NUMBER], "candidates": "true"}, "candidates"),
        ({"numbers": [NUMBER], "number": NUMBER}, "number"),
        ({"numbers": [NUMBER], "verify": True}, "verify"),
        ([NUMBER], "body"),
    ],
)
def test_invalid_lookup_is_rejected_by_field_and_nothing_is_sent(
    wuts: FlaskClient, upstream: Upstream, document: Any, field: str
) -> None:
    response = wuts.post(LOOKUP, json=document)
    assert code_of(response) == "validation_error"
    assert list(fields_of(response)) == [field]
    assert upstream.connections == 0


def test_national_numbers_are_looked_up_with_a_default_region(make_app: MakeApp) -> None:
    client = make_app({**TWO, "default_region": "BR"}).test_client()
    data = data_of(client.post(LOOKUP, json={"numbers": ["(11) 99999-9999"]}))
    assert [each["number"] for each in data["lookups"]] == [NUMBER]


# State


def test_state_is_that_of_the_block_list(client: FlaskClient) -> None:
    for path, blocked in ((BLOCK, True), (UNBLOCK, False)):
        client.post(path, json={"number": NUMBER})
        for target in ({"number": "+55 11 99999-9999"}, {"jid": JID}):
            data = data_of(client.post(STATE, json=target))
            assert data == {
                "account": "support",
                "source": "provider",
                "contact": CONTACT,
                "blocked": blocked,
                "reason": None,
            }
    assert data_of(client.post(STATE, json={"jid": JID, "account": "sales"}))["account"] == "sales"


def test_state_is_unknown_where_the_list_holds_lids(client: FlaskClient) -> None:
    client.post(BLOCK, json={"number": LISTED_BY_LID})
    data = data_of(client.post(STATE, json={"number": NUMBER}))
    assert (data["blocked"], data["reason"]) == (None, "only_lids")
    data = data_of(client.post(STATE, json={"jid": "100000000000043@lid"}))
    assert (data["blocked"], data["reason"]) == (True, None)


@pytest.mark.parametrize(
    ("document", "code", "field"),
    [
        ({}, "validation_error", "number"),
        ({"number": 5}, "validation_error", "number"),
        ({"number": NUMBER, "verify": True}, "validation_error", "verify"),
        ({"number": "12"}, "invalid_target", "number"),
        ({"jid": "status@broadcast"}, "invalid_target", "jid"),
        ({"user_id": "br.1"}, "invalid_target", "user_id"),
    ],
)
def test_invalid_state_is_rejected_by_field_and_nothing_is_sent(
    wuts: FlaskClient, upstream: Upstream, document: Any, code: str, field: str
) -> None:
    response = wuts.post(STATE, json=document)
    assert code_of(response) == code
    assert list(fields_of(response)) == [field]
    assert upstream.connections == 0


# All reads


@pytest.mark.parametrize("path", [LOOKUP, STATE])
def test_reads_of_contacts_need_the_scope_read(make_app: MakeApp, path: str) -> None:
    keys = {"writer": key_for("w", scopes=("block",)), "reader": key_for("r", scopes=("read",))}
    client = make_app({**TWO, "keys": keys}, allow_unauthenticated=False).test_client()
    body = {"numbers": [NUMBER]} if path == LOOKUP else {"number": NUMBER}
    codes = [
        code_of(client.post(path, json=body, headers={"X-API-Key": key})) for key in ("w", "r", "x")
    ]
    assert codes == ["permission_denied", None, "unauthenticated"]


@pytest.mark.parametrize("path", [LOOKUP, STATE])
@pytest.mark.parametrize("query", ["number", "numbers", "jid", "account", "verify"])
def test_reads_of_contacts_take_nothing_from_the_query(
    wuts: FlaskClient, upstream: Upstream, path: str, query: str
) -> None:
    body = {"numbers": [NUMBER]} if path == LOOKUP else {"number": NUMBER}
    for sent in ({"json": body}, {}):
        response = wuts.post(path, query_string={query: NUMBER}, **sent)
        assert code_of(response) == "validation_error"
        assert list(fields_of(response)) == [query]
        assert "in the body" in fields_of(response)[query][0]
    assert upstream.connections == 0


@pytest.mark.parametrize("path", [LOOKUP, STATE])
@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ({"data": "{", "content_type": "application/json"}, "invalid_json"),
        ({"data": "number=1"}, "unsupported_media_type"),
        ({"data": b" " * 70_000, "content_type": "application/json"}, "payload_too_large"),
    ],
)
def test_reads_of_contacts_take_strict_json_alone(
    client: FlaskClient, path: str, sent: dict[str, Any], code: str
) -> None:
    assert code_of(client.post(path, **sent)) == code


def test_reads_that_a_provider_does_not_have_are_not_supported(
    make_app: MakeApp, plugin: Any
) -> None:
    plugin("echo", PROVIDER.format(name="echo"))
    client = make_app({"accounts": {"support": {"provider": "echo"}}}).test_client()
    for response in (
        client.get(STATUS),
        client.post(LOOKUP, json={"numbers": [NUMBER]}),
        client.post(STATE, json={"number": NUMBER}),
    ):
        assert code_of(response) == "operation_not_supported"
        assert response.get_json()["meta"]["attempts"] == 0


# Changes that are read back


def change(client: FlaskClient, path: str = BLOCK, **body: Any) -> dict[str, Any]:
    document = client.post(path, json=body).get_json()
    assert isinstance(document, dict)
    return document


def test_change_is_read_back_where_the_call_requests_it(client: FlaskClient) -> None:
    for path in (BLOCK, UNBLOCK):
        plain, verified = (
            change(client, path, number=NUMBER),
            change(client, path, number=NUMBER, verify=True),
        )
        assert plain["data"]["verified"] is None
        assert plain["data"]["verified_reason"] == "no_read"
        assert plain["meta"]["reads"] == 0
        assert verified["data"]["verified"] is True
        assert verified["data"]["confirmation"] == "read_back"
        assert (verified["meta"]["attempts"], verified["meta"]["reads"]) == (1, 1)


@pytest.mark.parametrize(("verify", "code"), [("true", "not_effective"), ("false", None)])
def test_verify_is_read_from_the_query_where_no_body_is_sent(
    client: FlaskClient, verify: str, code: str | None
) -> None:
    query = {"number": NOT_EFFECTIVE, "verify": verify}
    document = client.post(BLOCK, query_string=query).get_json()
    assert (document["error"] or {}).get("code") == code


@pytest.mark.parametrize(
    ("query", "sent", "field"),
    [
        ({"number": NUMBER, "verify": "yes"}, {}, "verify"),
        ({"number": NUMBER, "verify": ""}, {}, "verify"),
        ({"verify": "true"}, {"json": {"number": NUMBER}}, "query"),
        ({}, {"json": {"number": NUMBER, "verify": "true"}}, "verify"),
        ({}, {"json": {"number": NUMBER, "verify": None}}, "verify"),
        ({}, {"json": {"number": NUMBER, "verify": 1}}, "verify"),
    ],
)
def test_verify_of_another_type_or_place_is_rejected(
    wuts: FlaskClient, upstream: Upstream, query: Any, sent: Any, field: str
) -> None:
    response = wuts.post(BLOCK, query_string=query, **sent)
    assert code_of(response) == "validation_error"
    assert list(fields_of(response)) == [field]
    assert upstream.connections == 0


def test_change_that_the_list_contradicts_is_not_effective(client: FlaskClient) -> None:
    response = client.post(BLOCK, json={"number": NOT_EFFECTIVE, "verify": True})
    assert response.status_code == 502
    document = response.get_json()
    assert document["data"] == {
        "action": "block",
        "account": "support",
        "verified": False,
        "verified_reason": None,
    }
    assert document["error"]["code"] == "not_effective"
    assert document["error"]["outcome"] == "not_applied"
    assert document["error"]["retry"] == "after_delay"
    assert NOT_EFFECTIVE not in response.text


def test_change_that_cannot_be_compared_stays_a_success_with_the_reason(
    client: FlaskClient,
) -> None:
    document = change(client, number=LISTED_BY_LID, verify=True)
    assert document["data"]["verified"] is None
    assert document["data"]["verified_reason"] == "only_lids"
    assert document["data"]["confirmation"] == "accepted"


@pytest.mark.parametrize(
    ("mode", "verify", "outcome"),
    [
        (None, None, "not_applied"),
        ("unknown", None, "not_applied"),
        ("never", None, "unknown"),
        ("never", True, "not_applied"),
        ("always", False, "unknown"),
    ],
)
def test_unknown_outcome_is_settled_as_the_account_and_the_call_request(
    make_app: MakeApp, mode: str | None, verify: bool | None, outcome: str
) -> None:
    account = {"provider": "memory", **({} if mode is None else {"verify": mode})}
    client = make_app({"accounts": {"support": account}}).test_client()
    rest: dict[str, Any] = {} if verify is None else {"verify": verify}
    document = change(client, number="15005550025", **rest)
    assert document["error"]["code"] == "provider_timeout"
    assert document["error"]["outcome"] == outcome
    assert (document["data"] is None) is (outcome == "unknown")
    assert (document["meta"]["reads"] > 0) is (outcome == "not_applied")


def test_lost_change_that_the_list_shows_is_a_success(client: FlaskClient) -> None:
    document = change(client, UNBLOCK, number="15005550026")
    assert document["data"]["confirmation"] == "read_back"
    assert document["data"]["verified"] is True
    assert document["meta"]["attempts"] == 1


def test_list_has_no_verified(client: FlaskClient) -> None:
    document = client.get(BLOCKED).get_json()
    assert "verified" not in document["data"]
    assert document["meta"]["reads"] == 0


# Privacy


def test_request_id_reaches_the_provider_without_the_numbers_of_a_lookup(
    wuts: FlaskClient, upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    upstream.will_answer(200, {"success": True, "data": {NUMBER: True}})
    given = f"job-{OTHER_NUMBER[2:]}-a1"
    with caplog.at_level("DEBUG", "adapter"):
        body = {"numbers": [NUMBER, OTHER_NUMBER]}
        response = wuts.post(LOOKUP, json=body, headers={"X-Request-Id": given})
    assert response.headers["X-Request-Id"] == given
    (sent,) = upstream.seen
    assert sent.headers["X-Request-Id"] == "job-***********-a1"
    logged = [each.getMessage().split("request_id=")[1] for each in caplog.records]
    assert logged == ["job-***********-a1"] * 2


FAILING_LOOKUP = '''
from adapter import plugin as p


class FailingLookupProvider(p.LocalProvider):
    """A provider with a bug, whose exception names the numbers."""

    name = "failing-lookup"
    title = "Failing"
    routes = {
        "block": ("POST", "/block/{jid}"),
        "unblock": ("POST", "/unblock/{jid}"),
        "lookup": ("POST", "/lookup"),
    }

    def build_request(self, command):
        return self.request(command)

    def build_lookup(self, command):
        raise ZeroDivisionError(f"cannot divide {command.numbers}")

    def parse_lookup(self, command, document):
        return None

    def parse_success(self, command, response):
        return None

    def handle_request(self, request):
        return None


@p.hookimpl
def register(registry):
    registry.add(FailingLookupProvider)
'''


def test_exception_in_a_lookup_is_logged_without_a_number(
    make_app: MakeApp, plugin: Any, caplog: pytest.LogCaptureFixture
) -> None:
    plugin("failing-lookup", FAILING_LOOKUP)
    client = make_app({"accounts": {"support": {"provider": "failing-lookup"}}}).test_client()
    with caplog.at_level("DEBUG"):
        response = client.post(LOOKUP, json={"numbers": [NUMBER, "+47 22 22 55 55"]})
    assert code_of(response) == "internal_error"
    assert "ZeroDivisionError" in caplog.text
    for number in (NUMBER, "4722225555"):
        assert number not in caplog.text + response.text


@pytest.fixture
def app() -> Iterator[Flask]:
    app = create_app(TWO, allow_unauthenticated=True)
    yield app
    service_state(app).service.close()


def test_log_line_of_a_read_has_the_count_of_numbers_and_none_of_them(
    app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    client = app.test_client()
    with caplog.at_level("INFO", "adapter"):
        client.post(
            LOOKUP, json={"numbers": [NUMBER, OTHER_NUMBER]}, headers={"X-Request-Id": NUMBER}
        )
        client.post(STATE, json={"number": NUMBER})
        client.get(f"/v1/accounts/{NUMBER}/status")
        change(client, number=NOT_EFFECTIVE, verify=True)
        change(client, number=LISTED_BY_LID, verify=True)
    assert "action=lookup numbers=2 code=ok" in caplog.text
    assert "action=state contact=551*******999 code=ok" in caplog.text
    assert "route=/v1/accounts/<contact_adapter_name>/status" in caplog.text
    assert "code=not_effective upstream=200 attempts=1 reads=1 verified=false" in caplog.text
    assert "attempts=1 reads=2 verified=only_lids" in caplog.text
    for number in (NUMBER, OTHER_NUMBER, NOT_EFFECTIVE, LISTED_BY_LID):
        assert number not in caplog.text
