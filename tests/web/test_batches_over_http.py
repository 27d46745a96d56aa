"""Batches over HTTP: created from JSON and CSV, read, controlled, and refused as a whole."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import MakeApp
from flask import Flask
from flask.testing import FlaskClient
from support import key_for
from support.ledgers import rows
from werkzeug.test import TestResponse

from adapter.batches.model import ItemStatus, Status
from adapter.web.app import service_state
from adapter.web.batch_documents import ITEM_STATUSES, STATUSES
from adapter.web.batch_schemas import BatchEnvelope, CreatedEnvelope, ItemsEnvelope

BATCHES = "/v1/batches"
NUMBERS = [f"55119888800{index:02}" for index in range(10)]

Open = Callable[..., FlaskClient]


def csv_of(*lines: str) -> bytes:
    return "\n".join(["number,action,reason,ref", *lines]).encode()


GOOD = csv_of(*(f"{number},,opt_out,ticket-{number[-2:]}" for number in NUMBERS))


@pytest.fixture
def open_app(make_app: MakeApp, url: str) -> Open:
    def open_one(keys: Any = None, ledger: bool = True, **accounts: Any) -> FlaskClient:
        config: dict[str, Any] = {
            "accounts": accounts or {"support": {"provider": "memory"}},
            "default_account": "support",
        }
        if ledger:
            config["ledger"] = {"url": url, "wait": 10}
        return make_app(config | ({"keys": keys} if keys else {})).test_client()

    return open_one


@pytest.fixture
def client(open_app: Open) -> FlaskClient:
    return open_app()


def post_csv(client: FlaskClient, body: bytes = GOOD, **query: Any) -> TestResponse:
    query = {"action": "block", "start": "false", **query}
    headers = query.pop("headers", None)
    return client.post(
        BATCHES, data=body, content_type="text/csv", query_string=query, headers=headers
    )


def batch_of(response: TestResponse, status: int = 200) -> dict[str, Any]:
    document = response.get_json()
    assert response.status_code == status, document
    batch = document["data"]["batch"]
    assert isinstance(batch, dict)
    return batch


def error_of(response: TestResponse) -> tuple[str, dict[str, list[str]]]:
    error = response.get_json()["error"]
    return error["code"], error["fields"]


def run_all(client: FlaskClient) -> None:
    """Run what is started, as the worker of a server would."""
    batches = service_state(client.application).contacts.batches.load()
    from adapter.api_keys import ANONYMOUS

    for batch in batches.list(ANONYMOUS).entries:
        batches.run(batch.id, threading.Event())


def check_nothing_is_kept(client: FlaskClient, url: str) -> None:
    assert client.get(BATCHES).get_json()["data"]["batches"] == []
    assert rows(url, "batches") == rows(url, "items") == rows(url, "contacts") == []
    assert rows(url, "calls") == []


def test_a_batch_in_json_is_created_run_and_read(client: FlaskClient) -> None:
    items = [
        {"number": NUMBERS[0], "reason": "spam", "ref": "ticket 1"},
        {"jid": f"{NUMBERS[1]}@s.whatsapp.net", "action": "unblock"},
        {"number": "12"},
        {"number": f"+{NUMBERS[0]}"},
        {"number": NUMBERS[2], "account": "nowhere"},
    ]
    response = client.post(BATCHES, json={"action": "block", "items": items})
    assert CreatedEnvelope().validate(response.get_json()) == {}
    made = batch_of(response, 201)
    assert (made["status"], made["rows"], made["key"]) == ("running", 5, None)
    run_all(client)
    response = client.get(f"{BATCHES}/{made['id']}")
    assert BatchEnvelope().validate(response.get_json()) == {}
    batch = batch_of(response)
    assert batch["status"] == "done"
    assert {name: count for name, count in batch["counts"].items() if count} == {
        "done": 2,
        "rejected": 2,
        "duplicate": 1,
    }
    assert sum(batch["counts"].values()) == batch["rows"]
    response = client.get(f"{BATCHES}/{made['id']}/items")
    assert ItemsEnvelope().validate(response.get_json()) == {}
    found = response.get_json()["data"]["items"]
    assert [each["line"] for each in found] == [1, 2, 3, 4, 5]
    assert (found[0]["contact"]["number"], found[0]["ref"]) == (NUMBERS[0], "ticket 1")
    assert (found[2]["contact"], found[2]["given"]) == (None, "12")
    assert (found[2]["code"], found[4]["code"]) == ("invalid_target", "account_not_found")
    blocked = client.get("/v1/contacts/blocked").get_json()["data"]["contacts"]
    assert [each["number"] for each in blocked] == [NUMBERS[0]]


def test_a_csv_is_checked_and_starts_later(client: FlaskClient) -> None:
    batch = batch_of(post_csv(client), 201)
    assert (batch["status"], batch["rows"], batch["started_at"]) == ("ready", 10, None)
    assert batch["counts"]["pending"] == 10
    run_all(client)
    assert client.get("/v1/contacts/blocked").get_json()["data"]["contacts"] == []
    started = batch_of(client.post(f"{BATCHES}/{batch['id']}/start"))
    assert started["status"] == "running"
    run_all(client)
    assert batch_of(client.get(f"{BATCHES}/{batch['id']}"))["counts"]["done"] == 10


def test_a_batch_without_any_action_is_refused_with_the_remedy(
    client: FlaskClient, url: str
) -> None:
    bodies: list[dict[str, Any]] = [
        {"json": {"items": [{"number": each} for each in (*NUMBERS, "12")]}},
        {"data": csv_of(*NUMBERS), "content_type": "text/csv"},
        {"data": b"number\n" + NUMBERS[0].encode(), "content_type": "text/csv"},
    ]
    for body in bodies:
        response = client.post(BATCHES, **body)
        assert response.status_code == 422
        code, fields = error_of(response)
        assert (code, list(fields)) == ("validation_error", ["action"])
        assert "block or unblock" in fields["action"][0]
        check_nothing_is_kept(client, url)


def test_a_row_without_an_action_is_rejected_where_another_has_one(client: FlaskClient) -> None:
    items = [{"number": NUMBERS[0]}, {"number": NUMBERS[1], "action": "block"}]
    batch = batch_of(client.post(BATCHES, json={"items": items, "start": False}), 201)
    assert (batch["counts"]["rejected"], batch["counts"]["pending"]) == (1, 1)
    wrong = {"items": [{"number": NUMBERS[0], "action": "ban"}], "start": False}
    assert batch_of(client.post(BATCHES, json=wrong), 201)["counts"]["rejected"] == 1


def test_an_unknown_field_is_refused_with_all_that_are_known(client: FlaskClient) -> None:
    items = [{"number": NUMBERS[0]}]
    known = {
        BATCHES: "account, action, items, start, verify",
        "/v1/plans": "allow, allow_unblocks, from_ledger, items, mirror, source, target",
    }
    for path, names in known.items():
        for document in ({"rows": items}, {"rows": items, "items": items}):
            response = client.post(path, json=document)
            assert error_of(response)[1]["rows"] == [f"unknown field; known fields: {names}"]


def test_the_same_rows_again_are_the_same_batch_until_it_has_ended(client: FlaskClient) -> None:
    first, second = post_csv(client), post_csv(client)
    assert batch_of(first, 201)["id"] == batch_of(second, 200)["id"]
    assert first.get_json()["data"]["existing"] is False
    assert second.get_json()["data"]["existing"] is True
    client.post(f"{BATCHES}/{batch_of(first, 201)['id']}/cancel")
    assert post_csv(client).status_code == 201


def test_verify_of_the_same_rows_without_it_is_a_conflict(client: FlaskClient) -> None:
    first = batch_of(post_csv(client), 201)
    response = post_csv(client, verify="true")
    assert response.status_code == 409
    assert error_of(response)[0] == "batch_conflict"
    message = response.get_json()["error"]["message"]
    assert message.startswith(f"Batch {first['id']} of the account support is ready. It has the ")


def test_the_csv_of_a_batch_can_be_fed_in_again(client: FlaskClient) -> None:
    body = csv_of(
        *NUMBERS, "12,,spam,a", '"=1+1",,spam,b', f"{NUMBERS[0]},unblock", f"{NUMBERS[1]}"
    )
    first = batch_of(post_csv(client, body), 201)
    response = client.get(f"{BATCHES}/{first['id']}/items", headers={"Accept": "text/csv"})
    assert response.mimetype == "text/csv"
    assert len(response.text.splitlines()) == 15
    client.post(f"{BATCHES}/{first['id']}/cancel")
    second = batch_of(post_csv(client, response.data), 201)
    assert second["rows"] == first["rows"]
    assert second["counts"] == first["counts"]
    rejected = client.get(
        f"{BATCHES}/{first['id']}/items?status=rejected", headers={"Accept": "text/csv"}
    )
    third = batch_of(post_csv(client, rejected.data), 201)
    assert third["rows"] == first["counts"]["rejected"]
    assert third["counts"]["rejected"] == third["rows"] == 4
    mended = rejected.text.replace("\n12,", f"\n{NUMBERS[9]},")
    assert batch_of(post_csv(client, mended.encode()), 201)["counts"]["rejected"] == 3


def test_items_have_pages_in_json_and_in_csv(client: FlaskClient) -> None:
    batch = batch_of(post_csv(client), 201)
    address = f"{BATCHES}/{batch['id']}/items?limit=7"
    first = client.get(address).get_json()["data"]
    rest = client.get(f"{address}&cursor={first['cursor']}").get_json()["data"]
    found = [*first["items"], *rest["items"]]
    assert [each["contact"]["number"] for each in found] == NUMBERS
    assert (first["count"], rest["count"], rest["cursor"]) == (7, 3, None)
    page = client.get(address, headers={"Accept": "text/csv"})
    assert len(page.text.splitlines()) == 8
    assert f"cursor={first['cursor']}" in page.headers["Link"]
    assert client.get(f"{BATCHES}/{batch['id']}/items?status=done,failed").get_json()["data"] == {
        "items": [],
        "count": 0,
        "cursor": None,
    }


def test_batches_have_pages(client: FlaskClient) -> None:
    for number in NUMBERS[:3]:
        post_csv(client, csv_of(number))
    first = client.get(f"{BATCHES}?limit=2").get_json()["data"]
    rest = client.get(f"{BATCHES}?cursor={first['cursor']}").get_json()["data"]
    ids = [each["id"] for each in (*first["batches"], *rest["batches"])]
    assert ids == sorted(ids, reverse=True)
    assert (first["count"], rest["count"]) == (2, 1)


def test_a_batch_is_paused_resumed_and_cancelled_and_nothing_after_that(
    client: FlaskClient,
) -> None:
    batch = batch_of(post_csv(client, start="true"), 201)
    address = f"{BATCHES}/{batch['id']}"
    for name, status in (("pause", "paused"), ("resume", "running"), ("cancel", "cancelled")):
        assert batch_of(client.post(f"{address}/{name}"))["status"] == status
    for name in ("start", "pause", "resume", "cancel", "retry"):  # no row of it was ever sent
        response = client.post(f"{address}/{name}")
        assert (response.status_code, error_of(response)[0]) == (409, "batch_conflict")


def message_of(response: TestResponse) -> str:
    return str(response.get_json()["error"]["message"])


def test_a_conflict_names_the_status_and_what_it_allows(client: FlaskClient) -> None:
    address = f"{BATCHES}/{batch_of(post_csv(client), 201)['id']}"
    assert "account support is ready. Possible now: start, cancel." in message_of(
        client.post(f"{address}/pause")
    )
    for done, refused, status, allowed in (
        ("start", "start", "running", "pause, cancel"),
        ("pause", "retry", "paused", "resume, cancel"),
        ("resume", "resume", "running", "pause, cancel"),
    ):
        client.post(f"{address}/{done}")
        message = message_of(client.post(f"{address}/{refused}"))
        assert message == (f"Batch 1 of the account support is {status}. Possible now: {allowed}.")
    run_all(client)
    assert "is done. Possible now: retry." in message_of(client.post(f"{address}/cancel"))


def test_a_batch_that_was_cancelled_before_its_first_row_is_sent_anew(client: FlaskClient) -> None:
    address = f"{BATCHES}/{batch_of(post_csv(client), 201)['id']}"
    client.post(f"{address}/cancel")
    assert "is cancelled. No row of it was sent" in message_of(client.post(f"{address}/retry"))


def test_a_batch_or_plan_that_is_not_found_is_named(client: FlaskClient) -> None:
    for path in (f"{BATCHES}/99", f"{BATCHES}/99/items", "/v1/plans/99"):
        assert message_of(client.get(path)).startswith("There is no batch or plan 99 of the acc")
    assert "551*******999" in message_of(client.get(f"{BATCHES}/5511999999999"))
    assert "is a number" in message_of(client.get(f"{BATCHES}/x"))
    post_csv(client)
    assert message_of(client.get("/v1/plans/1")) == (
        "Batch 1 of the account support is not a plan, and is ready."
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "line 1: the file is empty"),
        (b"PK\x03\x04rest", "line 1: the file is a compressed archive"),
        (b"\x00" * 100, "line 1: "),
        (b"number\n5511988880000\n55119\x0088800", "line 3: holds a NUL byte"),
        (csv_of(*NUMBERS) + b"\n" + b"x" * 100_000, "line 12: the line is longer than 64 KiB"),
        (",".join(f"c{index}" for index in range(300)).encode(), "line 1: the header has 300"),
        (csv_of("ol\u00e9") + "\n\u00e9".encode("cp1252"), "line 3: is not in UTF-8"),
        (b"name,city\nAna,Rio\n", "line 1: the header has no column that names a contact"),
        (b"number\n", "line 1: the file has a header, but no rows"),
        (csv_of(*(NUMBERS * 300), '"never closed'), "line 3002: "),
    ],
    ids=lambda each: each[:20].hex() if isinstance(each, bytes) else None,
)
def test_a_file_that_cannot_be_read_leaves_nothing_half_begun(
    client: FlaskClient, url: str, body: bytes, message: str
) -> None:
    response = post_csv(client, body, start="true")
    assert response.status_code == 422
    code, fields = error_of(response)
    assert code == "validation_error"
    assert fields["body"][0].startswith(message)
    check_nothing_is_kept(client, url)


def test_a_body_that_is_too_large_is_refused(client: FlaskClient, url: str) -> None:
    large = b"number\n" + b"5511988880000\n" * (2 * 2**20)
    assert len(large) > 25 * 2**20
    response = post_csv(client, large)
    assert (response.status_code, error_of(response)[0]) == (413, "payload_too_large")
    response = client.post(BATCHES, data=b" " * (2 * 2**20 + 1), content_type="application/json")
    assert (response.status_code, error_of(response)[0]) == (413, "payload_too_large")
    response = client.post(f"{BATCHES}/1/start", data=b" " * 100_000)
    assert (response.status_code, error_of(response)[0]) == (413, "payload_too_large")
    check_nothing_is_kept(client, url)


@pytest.mark.parametrize(
    "broken",
    [
        {"CONTENT_LENGTH": str(len(GOOD) + 10)},
        {"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input": io.BytesIO()},
    ],
    ids=["shorter than its length", "chunks that were taken"],
)
def test_a_body_that_breaks_off_is_not_taken_for_the_whole_file(
    client: FlaskClient, url: str, broken: dict[str, Any]
) -> None:
    response = client.post(
        BATCHES,
        data=GOOD,
        content_type="text/csv",
        query_string={"action": "block"},
        environ_overrides=broken,
    )
    assert response.status_code == 422
    assert error_of(response)[1]["body"] == ["could not be read to its end; send it again"]
    check_nothing_is_kept(client, url)


def test_a_ledger_that_fails_while_rows_are_stored_leaves_nothing(
    client: FlaskClient, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from adapter.batches import staging
    from adapter.errors import LedgerUnavailable

    def fail(*_: Any) -> Iterator[Any]:
        raise LedgerUnavailable("gone")

    monkeypatch.setattr(staging.Staging, "_find_repeated", fail)
    response = post_csv(client)
    assert (response.status_code, error_of(response)[0]) == (503, "ledger_unavailable")
    monkeypatch.undo()
    check_nothing_is_kept(client, url)


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({}, "items"),
        ({"items": []}, "items"),
        ({"items": {"number": NUMBERS[0]}}, "items"),
        ({"items": [NUMBERS[0]]}, "items[0]"),
        ({"items": [{"number": NUMBERS[0]}, {"number": 5511988880000}]}, "items[1].number"),
        ({"items": [{"number": NUMBERS[0], "name": "Ana"}]}, "items[0]"),
        ({"items": [{"number": NUMBERS[0]}], "verify": "yes"}, "verify"),
        ({"items": [{"number": NUMBERS[0]}], "action": "list"}, "action"),
        ({"items": [{"number": NUMBERS[0]}], "pace": 3}, "pace"),
        ({"items": [{"number": NUMBERS[0]}] * 10_001}, "items"),
    ],
    ids=lambda each: str(each)[:60],
)
def test_an_invalid_request_is_refused_with_the_field(
    client: FlaskClient, url: str, document: dict[str, Any], field: str
) -> None:
    response = client.post(BATCHES, json={"action": "block", **document})
    assert response.status_code == 422
    assert list(error_of(response)[1]) == [field]
    check_nothing_is_kept(client, url)


@pytest.mark.parametrize(
    ("query", "field"),
    [({"action": "list"}, "action"), ({"verify": "1"}, "verify"), ({"pace": "3"}, "pace")],
)
def test_an_invalid_query_beside_a_csv_is_refused(
    client: FlaskClient, query: dict[str, Any], field: str
) -> None:
    response = post_csv(client, **query)
    assert response.status_code == 422
    assert list(error_of(response)[1]) == [field]


def test_other_bodies_are_refused(client: FlaskClient) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", None):
        for address in (BATCHES, f"{BATCHES}?action=block"):
            response = client.post(address, data=GOOD, content_type=kind)
            assert response.status_code == 415
    response = post_csv(client, headers={"Content-Encoding": "gzip"})
    assert response.status_code == 415
    response = client.post(f"{BATCHES}?action=block", json={"items": [{"number": NUMBERS[0]}]})
    assert (response.status_code, list(error_of(response)[1])) == (422, ["action"])


@pytest.mark.parametrize("name", ["0", "999", "x", "9" * 30, "-1"])
def test_an_unknown_batch_is_not_found(client: FlaskClient, name: str) -> None:
    for response in (
        client.get(f"{BATCHES}/{name}"),
        client.get(f"{BATCHES}/{name}/items"),
        client.get(f"{BATCHES}/{name}/items", headers={"Accept": "text/csv"}),
        *(client.post(f"{BATCHES}/{name}/{each}") for each in ("start", "pause", "retry")),
    ):
        assert (response.status_code, error_of(response)[0]) == (404, "batch_not_found")


def test_without_a_ledger_the_remedy_is_named(open_app: Open) -> None:
    client = open_app(ledger=False)
    for response in (post_csv(client), client.get(BATCHES), client.get(f"{BATCHES}/1")):
        assert response.status_code == 422
        assert "ledger" in error_of(response)[1]["batch"][0]


# --- keys


KEYS = {
    "all": key_for("all", scopes=("block", "history", "read")),
    "crm": key_for("crm", scopes=("block",), accounts=["support"]),
    "shop": key_for("shop", scopes=("block", "history"), accounts=["sales"]),
    "auditor": key_for("auditor", scopes=("history",)),
    "reader": key_for("reader", scopes=("read",)),
}


def header(key: str) -> dict[str, str]:
    return {"X-API-Key": key}


def test_scopes_decide_who_creates_controls_and_reads(open_app: Open) -> None:
    client = open_app(KEYS, support={"provider": "memory"}, sales={"provider": "memory"})
    for key in ("auditor", "reader"):
        assert post_csv(client, headers=header(key)).status_code == 403
    batch = batch_of(post_csv(client, headers=header("crm")), 201)
    assert batch["key"] == "crm"
    address = f"{BATCHES}/{batch['id']}"
    statuses = {
        key: [
            client.get(BATCHES, headers=header(key)).status_code,
            client.get(address, headers=header(key)).status_code,
            client.get(f"{address}/items", headers=header(key)).status_code,
            client.post(f"{address}/start", headers=header(key)).status_code,
        ]
        for key in ("auditor", "reader", "crm")
    }
    assert statuses == {
        "auditor": [200, 200, 200, 403],
        "reader": [403, 403, 403, 403],
        "crm": [200, 200, 403, 200],
    }


def test_a_key_sees_and_changes_only_batches_of_its_accounts(open_app: Open, url: str) -> None:
    memory = {"provider": "memory"}
    client = open_app(KEYS, support=memory, sales=memory)
    mixed = b"number,account\n5511988880000,support\n5511988880001,sales\n"
    ours = batch_of(post_csv(client, headers=header("crm")), 201)
    both = batch_of(post_csv(client, mixed, headers=header("all"), account="support"), 201)
    for batch in (ours, both):
        address = f"{BATCHES}/{batch['id']}"
        for response in (
            client.get(address, headers=header("shop")),
            client.get(f"{address}/items", headers=header("shop")),
            client.post(f"{address}/start", headers=header("shop")),
        ):
            assert (response.status_code, error_of(response)[0]) == (404, "batch_not_found")
    listed = client.get(BATCHES, headers=header("shop")).get_json()["data"]["batches"]
    assert listed == []
    refused = post_csv(client, headers=header("shop"), account="support")
    assert error_of(refused)[0] == "account_not_found"
    own = batch_of(post_csv(client, mixed, headers=header("shop"), account="sales"), 201)
    assert (own["counts"]["pending"], own["counts"]["rejected"]) == (1, 1)


def test_the_statuses_of_the_schemas_are_those_of_batches() -> None:
    assert tuple(STATUSES) == tuple(each.value for each in Status)
    assert tuple(ITEM_STATUSES) == tuple(each.value for each in ItemStatus)


def test_an_app_without_a_ledger_imports_nothing_of_batches(app_modules: set[str]) -> None:
    assert not {name for name in app_modules if name.startswith(("adapter.batches", "huey"))}


@pytest.fixture
def app_modules() -> set[str]:
    """Return the modules that a process has which serves a block and has no ledger."""
    import subprocess
    import sys

    code = (
        "import sys; from adapter import create_app\n"
        "config = {'accounts': {'a': {'provider': 'memory'}}}\n"
        "app = create_app(config, allow_unauthenticated=True)\n"
        "client = app.test_client()\n"
        "assert client.post('/v1/contacts/block', json={'number': '5511988880000'}).status_code\n"
        "assert client.get('/openapi.json').status_code == 200\n"
        "assert client.get('/v1/batches').status_code == 422\n"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


def test_every_batch_route_is_in_the_document_with_its_statuses(open_app: Open) -> None:
    client = open_app()
    paths = client.get("/openapi.json").get_json()["paths"]
    batch = batch_of(post_csv(client), 201)
    for path, method, status in (
        ("/v1/batches", "post", 201),
        ("/v1/batches", "get", 200),
        ("/v1/batches/{id}", "get", 200),
        ("/v1/batches/{id}/start", "post", 409),
        ("/v1/batches/{id}/items", "get", 404),
    ):
        assert str(status) in paths[path][method]["responses"]
    content = paths["/v1/batches"]["post"]["requestBody"]["content"]
    assert set(content) == {"application/json", "text/csv"}
    assert batch["via"] == "api"


def test_a_host_with_a_limit_of_its_own_keeps_it(open_app: Open) -> None:
    client = open_app()
    app: Flask = client.application
    app.config["MAX_CONTENT_LENGTH"] = 100
    assert post_csv(client).status_code == 413
