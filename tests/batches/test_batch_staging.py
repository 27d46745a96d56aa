"""The rows of a batch are stored in chunks, whole or not at all."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import pytest
from support.batches import bad_row, create, items, many, number, row, run
from support.block_list_server import BlockListServer
from support.ledgers import rows

from adapter import Client
from adapter.batches import Batches, Row
from adapter.batches.staging import CHUNK
from adapter.contacts import Contact


class BadFileError(Exception):
    pass


def failing(amount: int) -> Iterator[Row]:
    yield from many(amount)
    yield bad_row(amount + 2)
    raise BadFileError


@pytest.mark.parametrize("amount", [0, 3, 2 * CHUNK + 1])
def test_an_error_of_the_file_leaves_nothing_behind(
    batches: Batches, client: Client, url: str, provider: BlockListServer, amount: int
) -> None:
    known = client.block(number(0)).contacts
    assert known is None
    with pytest.raises(BadFileError):
        create(batches, failing(amount))
    assert rows(url, "batches") == []
    assert rows(url, "items") == []
    assert [each["number"] for each in rows(url, "contacts")] == [number(0)]
    assert len(provider.requests) == 1
    assert client.block(number(1)).ok, "its id is looked up again"
    assert len(rows(url, "contacts")) == 2


def test_chunks_repeat_contacts_and_duplicates_are_found_across_them(batches: Batches) -> None:
    given = [*many(CHUNK), *many(CHUNK + 3), bad_row(1)]
    batch = create(batches, given, start=False).batch
    assert batch.counts == {"pending": CHUNK + 3, "duplicate": CHUNK, "rejected": 1}
    found = items(batches, batch, status="duplicate")
    assert [each.row for each in found] == list(range(CHUNK + 1, 2 * CHUNK + 1))


def test_contacts_of_every_form_are_found_again(batches: Batches, url: str) -> None:
    lid, user = Contact(None, "1234567890123@lid"), Contact(None, None, "BR.1234567890")
    both = Contact(number(0), None, "BR.1234567890")
    given = [
        Row(index, contact, "x")
        for index, contact in enumerate([Contact(number(0)), lid, user, lid, user, both], 2)
    ]
    batch = create(batches, given, start=False).batch
    assert [each.status for each in items(batches, batch)] == [
        *("pending", "pending", "pending"),
        *("duplicate", "duplicate", "duplicate"),
    ]
    assert len(rows(url, "contacts")) == 3


def test_a_batch_without_rows_is_done_at_once(batches: Batches) -> None:
    done = run(batches, create(batches, []).batch)
    assert (done.status, done.rows, done.counts) == ("done", 0, {})


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(batches: Batches) -> None:
    def peak(amount: int, start: int) -> int:
        tracemalloc.start()
        try:
            create(batches, many(amount, start), start=False)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(CHUNK, 0)
    small = peak(4 * CHUNK, 10_000)
    large = peak(20 * CHUNK, 100_000)
    assert large < small + 2**20


def test_no_text_breaks_the_database(batches: Batches) -> None:
    given = [
        Row(2, None, "\0\ud800'; --", code="invalid_target", why="\0"),
        row(1, ref="\0\ud800" + "x" * 200, reason="y" * 100),
    ]
    batch = create(batches, given, start=False).batch
    first, second = items(batches, batch)
    assert first.given == "?'; --"
    assert (len(second.ref or ""), len(second.reason or "")) == (128, 64)
