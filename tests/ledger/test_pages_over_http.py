"""Block lists of the provider and of the ledger in pages and as CSV, states, and the history."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from conftest import MakeApp
from flask.testing import FlaskClient
from support import JID, NUMBER, OTHER_NUMBER, Upstream, account_for, key_for
from support.ledgers import locked, rows
from support.unified import BLOCK, BLOCKED, CONTACT, UNBLOCK
from werkzeug.test import TestResponse

from adapter import Client, Code, connect
from adapter.contacts import Contact
from adapter.web.schemas import BlockedEnvelope, CallsEnvelope, StateEnvelope

STATE, SEARCH = "/v1/contacts/state", "/v1/calls/search"
NUMBERS = [f"55119888800{index:02}" for index in range(25)]

Open = Callable[..., FlaskClient]


@pytest.fixture
def open_app(make_app: MakeApp, url: str) -> Open:
    """Return a function that makes an app with a ledger, and returns its client."""

    def open_one(keys: Any = None, wait: float = 10, **accounts: Any) -> FlaskClient:
        config: dict[str, Any] = {
            "accounts": accounts or {"support": {"provider": "memory"}},
            "ledger": {"url": url, "wait": wait},
        }
        return make_app(config | ({"keys": keys} if keys else {})).test_client()

    return open_one


@pytest.fixture
def listless(open_app: Open, upstream: Upstream) -> FlaskClient:
    """Return a client of an account whose provider has no read of the block list."""
    upstream.will_answer(200, {"data": {"jid": JID, "blocked": True}, "success": True})
    return open_app(support=account_for("wappfy", upstream.address))


def data_of(response: TestResponse, schema: Any = None) -> dict[str, Any]:
    document = response.get_json()
    assert response.status_code == 200, document
    if schema is not None:
        assert schema().validate(document) == {}
    data = document["data"]
    assert isinstance(data, dict)
    return data


def fields_of(response: TestResponse) -> dict[str, list[str]]:
    assert response.status_code == 422
    fields = response.get_json()["error"]["fields"]
    assert isinstance(fields, dict)
    return fields


def all_pages(client: FlaskClient, **query: Any) -> list[list[str]]:
    """Return the numbers of each page."""
    found: list[list[str]] = []
    cursor: dict[str, str] = {}
    while True:
        data = data_of(client.get(BLOCKED, query_string={**query, **cursor}), BlockedEnvelope)
        found.append([contact["number"] for contact in data["contacts"]])
        assert data["count"] == len(found[-1])
        if data["cursor"] is None:
            return found
        assert not any(character.isdigit() for character in data["cursor"])
        cursor = {"cursor": data["cursor"]}


@pytest.mark.parametrize("source", ["provider", "ledger"])
def test_a_block_list_has_every_contact_on_one_of_its_pages(open_app: Open, source: str) -> None:
    client = open_app()
    for number in NUMBERS:
        client.post(BLOCK, json={"number": number})
    client.post(UNBLOCK, json={"number": NUMBERS[0]})
    pages = all_pages(client, source=source, limit=7)
    assert [len(page) for page in pages] == [7, 7, 7, 3]
    assert sorted(number for page in pages for number in page) == NUMBERS[1:]


def test_a_page_of_the_providers_list_is_not_moved_by_other_changes(open_app: Open) -> None:
    client = open_app()
    for number in NUMBERS:
        client.post(BLOCK, json={"number": number})
    first = data_of(client.get(BLOCKED, query_string={"limit": 10}))
    seen = [contact["number"] for contact in first["contacts"]]
    client.post(UNBLOCK, json={"number": seen[3]})
    query = {"limit": 100, "cursor": first["cursor"]}
    rest = data_of(client.get(BLOCKED, query_string=query))
    assert sorted(seen + [contact["number"] for contact in rest["contacts"]]) == NUMBERS


def test_without_a_limit_the_providers_list_is_whole_and_in_its_order(open_app: Open) -> None:
    client = open_app()
    for number in NUMBERS:
        client.post(BLOCK, json={"number": number})
    data = data_of(client.get(BLOCKED), BlockedEnvelope)
    assert [contact["number"] for contact in data["contacts"]] == NUMBERS
    assert (data["source"], data["cursor"]) == ("provider", None)


def test_entries_of_the_ledger_have_state_certainty_since_reason_and_ref(open_app: Open) -> None:
    client = open_app()
    client.post(BLOCK, json={"number": NUMBER, "reason": "spam", "ref": "ticket 17"})
    response = client.get(BLOCKED, query_string={"source": "ledger"})
    data = data_of(response, BlockedEnvelope)
    (entry,) = data["contacts"]
    since = datetime.fromisoformat(entry.pop("since"))
    assert timedelta() <= datetime.now(UTC) - since < timedelta(minutes=5)
    assert entry == {
        **CONTACT,
        "state": "blocked",
        "certainty": "provider_state",
        "reason": "spam",
        "ref": "ticket 17",
    }
    assert (data["source"], data["others"]) == ("ledger", 0)
    assert response.get_json()["meta"]["recorded"] is None


def test_the_default_source_is_the_ledger_where_the_provider_has_no_list(
    listless: FlaskClient,
) -> None:
    listless.post(BLOCK, json={"number": NUMBER})
    data = data_of(listless.get(BLOCKED), BlockedEnvelope)
    assert data["source"] == "ledger"
    assert [contact["number"] for contact in data["contacts"]] == [NUMBER]
    refused = listless.get(BLOCKED, query_string={"source": "provider"})
    assert refused.get_json()["error"]["code"] == "operation_not_supported"


def test_the_state_falls_back_on_the_ledger_where_the_provider_has_no_read(
    listless: FlaskClient,
) -> None:
    unknown = data_of(listless.post(STATE, json={"number": NUMBER}), StateEnvelope)
    assert (unknown["blocked"], unknown["reason"], unknown["ledger"]) == (None, "no_read", None)
    listless.post(BLOCK, json={"number": NUMBER, "reason": "abuse"})
    known = data_of(listless.post(STATE, json={"number": NUMBER}), StateEnvelope)
    assert (known["source"], known["blocked"], known["reason"]) == ("ledger", True, None)
    assert (known["ledger"]["state"], known["ledger"]["reason"]) == ("blocked", "abuse")


def test_a_change_that_was_lost_leaves_an_unknown_state(
    listless: FlaskClient, upstream: Upstream
) -> None:
    upstream.will_answer(500, {"error": "lost"})
    listless.post(BLOCK, json={"number": NUMBER})
    data = data_of(listless.post(STATE, json={"number": NUMBER}), StateEnvelope)
    assert (data["blocked"], data["reason"]) == (None, "incomplete")
    assert data["ledger"]["state"] == "unknown"


def test_csv_has_columns_that_can_be_fed_in_again(open_app: Open) -> None:
    client = open_app()
    client.post(BLOCK, json={"number": NUMBER, "reason": "spam", "ref": "=1+1"})
    client.post(BLOCK, json={"jid": "123456789@lid", "ref": 'a, "b"'})
    headers = {"Accept": "text/csv"}
    response = client.get(BLOCKED, query_string={"source": "ledger"}, headers=headers)
    assert response.headers["Content-Type"].startswith("text/csv; charset=utf-8")
    first, second = csv.DictReader(io.StringIO(response.get_data(as_text=True)))
    assert (first["number"], first["jid"], first["reason"]) == (NUMBER, JID, "spam")
    assert (first["ref"], second["ref"]) == ("'=1+1", 'a, "b"')
    assert (second["number"], second["jid"]) == ("", "123456789@lid")
    assert list(first)[:3] == ["number", "jid", "user_id"]
    for row in (first, second):
        target = {name: row[name] for name in ("number", "jid", "user_id") if row[name]}
        assert client.post(UNBLOCK, json=target).status_code == 200
    assert data_of(client.get(BLOCKED))["contacts"] == []


@pytest.mark.parametrize("source", ["provider", "ledger"])
def test_the_next_page_of_a_csv_is_in_the_link_header(open_app: Open, source: str) -> None:
    client = open_app()
    for number in NUMBERS:
        client.post(BLOCK, json={"number": number})
    found, path = [], f"{BLOCKED}?source={source}&limit=10"
    while path:
        response = client.get(path, headers={"Accept": "text/csv, application/json;q=0.5"})
        found += [row["number"] for row in csv.DictReader(io.StringIO(response.text))]
        link = response.headers.get("Link")
        path = link.removeprefix("<").removesuffix('>; rel="next"') if link else ""
        path = f"{BLOCKED}{path}" if path else ""
    assert sorted(found) == NUMBERS


@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/json, text/csv;q=0.5"])
def test_json_is_the_default_format(open_app: Open, accept: str) -> None:
    assert data_of(open_app().get(BLOCKED, headers={"Accept": accept}))["contacts"] == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"source": "memory"}, "source"),
        ({"limit": "0"}, "limit"),
        ({"limit": "1001"}, "limit"),
        ({"limit": "ten"}, "limit"),
        ({"cursor": "x"}, "cursor"),
        ({"source": "ledger", "cursor": "pbb"}, "cursor"),
        ({"source": "ledger", "cursor": "b" + "t" * 16}, "cursor"),
        ({"source": "provider", "cursor": "bbb"}, "cursor"),
        ({"page": "2"}, "page"),
    ],
)
def test_an_invalid_page_is_a_clear_error(
    open_app: Open, query: dict[str, str], field: str
) -> None:
    assert list(fields_of(open_app().get(BLOCKED, query_string=query))) == [field]


def test_without_a_ledger_its_pages_are_refused(make_app: MakeApp) -> None:
    client = make_app({"accounts": {"support": {"provider": "memory"}}}).test_client()
    refused = fields_of(client.get(BLOCKED, query_string={"source": "ledger"}))
    assert "[ledger] url" in refused["source"][0]
    assert "[ledger] url" in fields_of(client.post(SEARCH, json={}))["calls"][0]


def test_a_page_of_a_ledger_that_is_gone_is_unavailable(open_app: Open, url: str) -> None:
    client = open_app(wait=0.05)
    client.post(BLOCK, json={"number": NUMBER})
    if url.startswith("sqlite"):
        pytest.skip("a lock of SQLite stops no reader")
    with locked(url):
        response = client.post(SEARCH, json={})
    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
    assert response.get_json()["error"]["code"] == "ledger_unavailable"


# --- the history


def search(client: FlaskClient, secret: str | None = None, **body: Any) -> list[dict[str, Any]]:
    headers = {"X-API-Key": secret} if secret else {}
    calls = data_of(client.post(SEARCH, json=body, headers=headers), CallsEnvelope)["calls"]
    assert isinstance(calls, list)
    return calls


def test_the_history_has_every_call_with_its_way_reason_and_result(open_app: Open) -> None:
    client = open_app()
    client.post(BLOCK, json={"number": NUMBER, "reason": "spam", "ref": "ticket 17"})
    client.post(UNBLOCK, json={"number": "15005550014"})
    newest, oldest = search(client)
    assert (newest["action"], newest["code"], newest["outcome"]) == (
        "unblock",
        "target_rejected",
        "not_applied",
    )
    assert (oldest["contact"], oldest["via"], oldest["key"]) == (CONTACT, "api", None)
    assert (oldest["reason"], oldest["ref"], oldest["code"]) == ("spam", "ticket 17", "ok")


def test_the_history_is_searched_by_each_filter(open_app: Open) -> None:
    client = open_app(a={"provider": "memory"}, b={"provider": "memory"})
    client.post(BLOCK, json={"number": NUMBER, "account": "a"})
    client.post(BLOCK, json={"number": OTHER_NUMBER, "account": "b"})
    client.post(BLOCK, json={"number": "15005550014", "account": "b"})
    for body, count in (
        ({}, 3),
        ({"account": "b"}, 2),
        ({"number": "+55 11 99999-9999"}, 1),
        ({"jid": JID}, 1),
        ({"code": "ok"}, 2),
        ({"code": "target_rejected"}, 1),
        ({"via": "api"}, 3),
        ({"via": "dialect"}, 0),
        ({"key": "crm"}, 0),
        ({"until": "2020-01-01T00:00:00Z", "since": "2019-01-01T00:00:00+01:00"}, 0),
        ({"since": "2020-01-01T00:00:00Z"}, 3),
    ):
        assert len(search(client, **body)) == count, body


def test_the_history_has_pages(open_app: Open) -> None:
    client = open_app()
    for number in NUMBERS:
        client.post(BLOCK, json={"number": number})
    found: list[str] = []
    body: dict[str, Any] = {"limit": 10}
    while body:
        data = data_of(client.post(SEARCH, json=body), CallsEnvelope)
        found += [call["contact"]["number"] for call in data["calls"]]
        body = {"limit": 10, "cursor": data["cursor"]} if data["cursor"] else {}
    assert found == NUMBERS[::-1]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"since": "yesterday"}, "since"),
        ({"since": "2026-11-25T00:00:00"}, "since"),
        ({"until": "2026-11-25"}, "until"),
        ({"since": "0001-01-01T00:00:00Z"}, "since"),
        ({"until": "9999-12-31T23:59:59-12:00"}, "until"),
        ({"cursor": "c" + "t" * 16}, "cursor"),
        ({"code": "fine"}, "code"),
        ({"via": "post"}, "via"),
        ({"limit": "10"}, "limit"),
        ({"limit": True}, "limit"),
        ({"limit": 0}, "limit"),
        ({"cursor": "bbb"}, "cursor"),
        ({"number": "1"}, "number"),
        ({"contact": NUMBER}, "contact"),
    ],
)
def test_an_invalid_search_is_a_clear_error(
    open_app: Open, body: dict[str, Any], field: str
) -> None:
    assert list(fields_of(open_app().post(SEARCH, json=body))) == [field]


def test_the_history_needs_its_scope_and_shows_the_accounts_of_the_key_alone(
    open_app: Open,
) -> None:
    secrets = {name: f"{name}-key-of-the-tests" for name in ("all", "one", "none")}
    keys = {
        "all": key_for(secrets["all"], scopes=("block", "history")),
        "one": key_for(secrets["one"], "b", scopes=("history",)),
        "none": key_for(secrets["none"], scopes=("block", "read")),
    }
    client = open_app(keys, a={"provider": "memory"}, b={"provider": "memory"})
    for account in ("a", "b"):
        body = {"number": NUMBER, "account": account}
        headers = {"X-API-Key": secrets["all"]}
        assert client.post(BLOCK, json=body, headers=headers).status_code == 200
    assert len(search(client, secrets["all"])) == 2
    (call,) = search(client, secrets["one"])
    assert (call["account"], call["key"]) == ("b", "all")
    hidden = client.post(SEARCH, json={"account": "a"}, headers={"X-API-Key": secrets["one"]})
    assert hidden.status_code == 404
    refused = client.post(SEARCH, json={}, headers={"X-API-Key": secrets["none"]})
    assert refused.get_json()["error"]["fields"] == {"scope": ["needs history"]}


def test_a_call_of_a_dialect_is_recorded_as_one(make_app: MakeApp, url: str) -> None:
    config = {
        "accounts": {"support": {"provider": "memory"}},
        "dialects": {"enabled": ["wuts"]},
        "keys": {"crm": key_for("crm-key-of-the-tests")},
        "ledger": {"url": url, "wait": 10},
    }
    headers = {"Authorization": "Bearer crm-key-of-the-tests"}
    response = (
        make_app(config)
        .test_client()
        .post("/dialects/wuts/contacts/block", json={"jid": JID}, headers=headers)
    )
    assert response.status_code == 200
    (call,) = rows(url, "calls")
    assert (call["via"], call["key_name"], call["action"]) == ("dialect", "crm", "block")


# --- the Python API


@pytest.fixture
def contacts(url: str) -> Any:
    config = {"accounts": {"support": {"provider": "memory"}}, "ledger": {"url": url, "wait": 10}}
    with connect(config) as client:
        yield client


def test_python_reads_the_same_pages(contacts: Client) -> None:
    for number in NUMBERS:
        assert contacts.block(number, reason="spam").ok
    for source in ("provider", "ledger"):
        found: list[Contact] = []
        cursor = None
        while True:
            result = contacts.blocked(source=source, limit=10, cursor=cursor)
            found += result.contacts or ()
            cursor = result.cursor
            if cursor is None:
                break
        assert sorted(str(each.number) for each in found) == NUMBERS
        assert (result.entries is None) is (source == "provider")
    assert contacts.blocked(source="moon").code is Code.VALIDATION_ERROR
    assert contacts.blocked(limit=0).code is Code.VALIDATION_ERROR
    assert contacts.blocked().entries is None


def test_python_reads_the_same_history(contacts: Client) -> None:
    contacts.block(NUMBER, ref="ticket 17")
    contacts.unblock(OTHER_NUMBER)
    yesterday = datetime.now(UTC) - timedelta(days=1)
    result = contacts.history(since=yesterday, limit=1)
    assert result.calls is not None
    assert [call.action for call in result.calls] == ["unblock"]
    last = contacts.history(limit=1, cursor=result.cursor)
    assert last.calls is not None
    assert [(call.ref, call.via) for call in last.calls] == [("ticket 17", "python")]
    (only,) = contacts.history(account="support", number=NUMBER).calls or ()
    assert only.contact == Contact(NUMBER)
    assert contacts.history(account="nowhere").code is Code.ACCOUNT_NOT_FOUND
    assert contacts.history(since="yesterday").code is Code.VALIDATION_ERROR
