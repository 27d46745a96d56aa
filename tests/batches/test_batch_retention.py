"""Batches that are deleted with their contacts: those that ended, or were left, long ago."""

from __future__ import annotations

import pytest
from support.batches import bad_row, create, many, number, run
from support.block_list_server import BlockListServer
from support.ledgers import execute, rows

from adapter import Client
from adapter.api_keys import ANONYMOUS
from adapter.batches import Batches
from adapter.errors import RequestError

EARLY = "2020-01-01T00:00:00.000+00:00"


def test_old_batches_are_deleted_with_their_contacts(
    batches: Batches, client: Client, url: str, provider: BlockListServer
) -> None:
    ledger = client.service.ledger
    assert ledger is not None
    assert client.block(number(0)).ok
    old = create(batches, [*many(3), bad_row(9, "123-456")], start=False).batch
    young = create(batches, many(2, 1), start=False).batch
    half = create(batches, many(1, 5), start=False).batch
    for each in (old, young):
        batches.cancel(each.id, ANONYMOUS)
    execute(url, "UPDATE {p}batches SET finished_at = :at WHERE id = :id", at=EARLY, id=old.id)
    execute(
        url,
        "UPDATE {p}batches SET status = 'staging', created_at = :at WHERE id = :id",
        at=EARLY,
        id=half.id,
    )
    swept = ledger.sweep()
    assert (swept.batches, swept.items, swept.contacts) == (2, 5, 1)
    assert [each["id"] for each in rows(url, "batches")] == [young.id]
    assert {each["batch_id"] for each in rows(url, "items")} == {young.id}
    kept = {each["number"] for each in rows(url, "contacts")} - {None}
    assert kept == {number(0), number(1), number(2)}
    assert not [each for each in rows(url, "contacts") if each["given"]]


def make_early(url: str, *batch_ids: int, start: bool = False) -> None:
    """Let batches be created, and begin, long ago."""
    columns = "created_at = :at, started_at = :at" if start else "created_at = :at"
    for each in batch_ids:
        execute(url, f"UPDATE {{p}}batches SET {columns} WHERE id = :id", at=EARLY, id=each)


def test_batches_that_were_checked_or_paused_long_ago_are_deleted_with_their_contacts(
    batches: Batches, client: Client, url: str
) -> None:
    ledger = client.service.ledger
    assert ledger is not None
    ready = create(batches, many(2), start=False).batch
    paused = create(batches, many(2, 10)).batch
    batches.pause(paused.id, ANONYMOUS)
    running = create(batches, many(2, 20)).batch
    young = create(batches, many(2, 30), start=False).batch
    make_early(url, ready.id, paused.id, running.id)
    for _ in range(3):
        ledger.sweep()
    assert [each["id"] for each in rows(url, "batches")] == [running.id, young.id]
    assert {each["batch_id"] for each in rows(url, "items")} == {running.id, young.id}
    kept = {each["number"] for each in rows(url, "contacts")} - {None}
    assert kept == {number(index) for index in (20, 21, 30, 31)}


@pytest.mark.parametrize("fact", ["a call", "a row in flight", "its start", "none"])
def test_a_batch_that_has_run_for_long_and_was_paused_now_is_kept(
    batches: Batches, client: Client, url: str, provider: BlockListServer, fact: str
) -> None:
    ledger = client.service.ledger
    assert ledger is not None
    batch = run(batches, create(batches, many(2)).batch)
    status = "status = 'paused', finished_at = NULL"
    execute(url, f"UPDATE {{p}}batches SET {status}")
    make_early(url, batch.id, start=fact != "its start")
    if fact != "a call":
        execute(url, "UPDATE {p}items SET call_id = NULL")
    if fact == "a row in flight":
        late = "2099-01-01T00:00:00.000+00:00"
        execute(url, "UPDATE {p}items SET status = 'leased', lease_until = :at", at=late)
    assert ledger.sweep().batches == (fact == "none")


def test_a_batch_that_is_deleted_in_steps_is_not_started_between_them(
    batches: Batches, client: Client, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapter.ledger.retention.STEP", 3)
    ledger = client.service.ledger
    assert ledger is not None
    batch = create(batches, many(5), start=False).batch
    make_early(url, batch.id)
    swept = ledger.sweep(seconds=0)  # one step
    assert (swept.items, swept.batches) == (3, 0)
    with pytest.raises(RequestError, match="batch_conflict"):
        batches.start(batch.id, ANONYMOUS)
    assert ledger.sweep().batches == 1
    assert rows(url, "items") == []
