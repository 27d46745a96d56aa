"""Batches in Python: from a file or an iterable, run here, left to workers, and gone on with."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from support.batches import number
from support.block_list_server import REJECTED, BlockListServer
from support.ledgers import rows

from adapter import Client, ContactAdapter, RequestError, connect
from adapter.batches import Batch
from adapter.codes import Code
from adapter.ledger.ledger import Ledger
from adapter.settings.model import LedgerSettings

pytestmark = pytest.mark.usefixtures("no_delays")

MakeClient = Callable[..., Client]
NUMBERS = [number(index) for index in range(20)]


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Return the URL of a file with the tables."""
    made = Ledger(LedgerSettings(f"sqlite:///{tmp_path / 'ledger.db'}"))
    made.upgrade()
    made.close()
    return f"sqlite:///{tmp_path / 'ledger.db'}"


def test_an_iterable_of_identifiers_and_mappings_is_run_to_its_end(
    client: Client, provider: BlockListServer
) -> None:
    jid = f"{NUMBERS[2]}@s.whatsapp.net"
    source = [NUMBERS[0], {"number": f"+{NUMBERS[1]}", "reason": "spam"}, jid, "12", NUMBERS[0]]
    batch = client.batch(iter(source), action="block")
    assert batch.status == "done"
    assert batch.counts == {"done": 3, "rejected": 1, "duplicate": 1}
    assert provider.states == dict.fromkeys(NUMBERS[:3], True)
    found = list(client.batch_items(batch.id, status="rejected"))
    assert [(each.line, each.given, each.code) for each in found] == [(4, "12", "invalid_target")]
    assert found[0].why is not None
    assert len(list(client.batch_items(batch.id))) == 5
    assert batch.via == "python"


@pytest.mark.parametrize("kind", ["path", "text", "file"])
def test_a_file_is_read(
    client: Client, provider: BlockListServer, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "people.csv"
    path.write_text("telefone;motivo\n" + "".join(f"{each};opt_out\n" for each in NUMBERS))
    source: Any = {
        "path": path,
        "text": str(path),
        "file": io.BytesIO(path.read_bytes()),
    }[kind]
    seen: list[Batch] = []
    batch = client.batch(source, action="block", verify=True, progress=seen.append)
    assert batch.counts == {"done": 20}
    assert provider.lists >= 1
    assert all(each.id == batch.id for each in seen)


def test_without_start_nothing_is_sent_and_the_same_rows_start_it(
    client: Client, provider: BlockListServer, url: str
) -> None:
    checked = client.batch(NUMBERS, action="block", start=False)
    assert (checked.status, checked.counts) == ("ready", {"pending": 20})
    assert provider.requests == []
    batch = client.batch(NUMBERS, action="block")
    assert (batch.id, batch.counts) == (checked.id, {"done": 20})


def test_verify_is_not_dropped_for_an_unfinished_batch_without_it(
    client: Client, provider: BlockListServer
) -> None:
    client.batch(NUMBERS, action="block", start=False)
    with pytest.raises(RequestError) as caught:
        client.batch(NUMBERS, action="block", verify=True)
    assert caught.value.outcome.code is Code.BATCH_CONFLICT
    assert provider.requests == []


def test_the_same_rows_go_on_with_a_batch_that_was_paused(
    client: Client, provider: BlockListServer
) -> None:
    def stop(batch: Batch) -> None:
        raise KeyboardInterrupt

    provider.delay = 0.3
    with pytest.raises(KeyboardInterrupt):
        client.batch(NUMBERS, action="block", progress=stop)
    provider.delay = 0.0
    (first,) = client.batches.load().list(_anyone()).entries
    client.batches.load().pause(first.id, _anyone())
    batch = client.batch(NUMBERS, action="block")
    assert batch.id == first.id
    assert batch.counts == {"done": 20}
    assert provider.states == dict.fromkeys(NUMBERS, True)


def test_without_wait_the_batch_is_left_to_the_workers(
    client: Client, provider: BlockListServer
) -> None:
    batch = client.batch(NUMBERS, action="block", wait=False)
    assert batch.status == "running"
    assert provider.requests == []


def test_failed_rows_are_counted_and_raise_nothing(
    client: Client, provider: BlockListServer
) -> None:
    provider.reply = lambda action, number: REJECTED if number == NUMBERS[0] else None
    batch = client.batch(NUMBERS, action="block")
    assert batch.counts == {"done": 19, "failed": 1}


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"action": "list"}, "action"),
        ({"verify": "yes"}, "verify"),
        ({"start": 1}, "start"),
        ({"wait": None}, "wait"),
        ({"source": [NUMBERS[0], 5]}, "items[1]"),
        ({"source": [{"number": 5511}]}, "items[0].number"),
        ({"source": [{"phone": NUMBERS[0]}]}, "items[0]"),
        ({"account": 5}, "account"),
        ({"action": None}, "action"),
    ],
    ids=str,
)
def test_an_invalid_argument_raises_and_leaves_nothing(
    client: Client, url: str, arguments: dict[str, Any], field: str
) -> None:
    with pytest.raises(RequestError) as caught:
        client.batch(**{"source": NUMBERS, "action": "block", **arguments})
    assert list(caught.value.outcome.fields) == [field]
    assert rows(url, "batches") == rows(url, "items") == rows(url, "contacts") == []


def test_an_iterable_has_at_most_the_rows_of_a_file(
    client: Client, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapter.batches.reading.MAX_ROWS", len(NUMBERS))
    with pytest.raises(RequestError) as caught:
        client.batch(map(number, range(21)), action="block")
    assert caught.value.outcome.fields["source"] == ("has more than 20 rows; split it",)
    assert rows(url, "batches") == rows(url, "items") == rows(url, "contacts") == []
    assert client.batch(NUMBERS, action="block").counts == {"done": 20}


@pytest.mark.parametrize(
    ("make", "remedy"),
    [
        (lambda path: path.open(), 'open it with open(path, "rb"), or give its path'),
        (lambda path: tempfile.NamedTemporaryFile("w+"), 'open it with open(path, "rb")'),  # noqa: SIM115
        (lambda path: io.StringIO(path.read_text()), 'open it with open(path, "rb")'),
        (lambda path: path.read_bytes(), "put them in io.BytesIO"),
        (lambda path: {"number": NUMBERS[0]}, "is one contact; put it in a list"),
        (lambda path: f"+{NUMBERS[0]}", "is one contact; put it in a list"),
        (lambda path: 5, "must be a path, a file in binary mode, or an iterable"),
        (lambda path: None, "must be a path, a file in binary mode, or an iterable"),
    ],
    ids=["text file", "temporary", "StringIO", "bytes", "mapping", "number", "int", "None"],
)
def test_a_source_without_rows_is_refused_with_what_to_give(
    client: Client, url: str, tmp_path: Path, make: Callable[[Path], Any], remedy: str
) -> None:
    path = tmp_path / "people.csv"
    path.write_text(f"number\n{NUMBERS[0]}\n")
    source = make(path)
    with pytest.raises(RequestError) as caught:
        client.batch(source, action="block")
    assert remedy in str(caught.value)
    assert list(caught.value.outcome.fields) == ["source"]
    assert NUMBERS[0] not in str(caught.value)
    assert rows(url, "batches") == rows(url, "items") == []
    if hasattr(source, "close"):
        source.close()


def test_a_file_that_cannot_be_read_raises_value_error_and_leaves_nothing(
    client: Client, url: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="line 3: holds a NUL byte"):
        client.batch(io.BytesIO(b"number\n5511988880000\n55\x00"), action="block")
    with pytest.raises(OSError, match="no-such-file"):
        client.batch(tmp_path / "no-such-file.csv", action="block")
    with pytest.raises(ZeroDivisionError):
        client.batch((NUMBERS[index // (index - 2)] for index in range(3)), action="block")
    assert rows(url, "batches") == rows(url, "items") == rows(url, "contacts") == []


def test_without_a_ledger_the_remedy_is_named() -> None:
    with connect({"accounts": {"a": {"provider": "memory"}}}) as client:
        with pytest.raises(RequestError) as caught:
            client.batch(NUMBERS, action="block")
        assert "ledger" in caught.value.outcome.fields["batch"][0]


def test_an_app_stores_a_batch_and_runs_none_in_the_background(url: str) -> None:
    contacts, app = ContactAdapter(allow_unauthenticated=True), Flask(__name__)
    config = {"accounts": {"support": {"provider": "memory"}}, "ledger": {"url": url, "wait": 10}}
    contacts.init_app(app, config)
    try:
        with app.app_context():
            batch = contacts.batch(NUMBERS, action="block")
            assert batch.counts == {"done": 20}
            assert [each.status for each in contacts.batch_items(batch.id)] == ["done"] * 20
        response = app.test_client().post(
            "/contact-adapter/v1/batches",
            json={"action": "unblock", "items": [{"number": NUMBERS[0]}]},
        )
        assert (response.status_code, response.get_json()["data"]["batch"]["status"]) == (
            201,
            "running",
        )
        found = app.test_client().get("/contact-adapter/v1/contacts/blocked").get_json()
        assert found["data"]["count"] == 20
    finally:
        contacts.for_app(app).close()


def _anyone() -> Any:
    from adapter.api_keys import ANONYMOUS

    return ANONYMOUS
