"""The order of wishes in batches: no older wish, and none that was not sent, overrules another."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest
from support import TIMEOUT, wait_until
from support.batch_fixtures import MakeClient
from support.batches import create, items, many, number, row, run, statuses, wishes
from support.block_list_server import BUSY, OFFLINE, REJECTED, BlockListServer, Reply
from support.ledgers import execute, rows

from adapter import Client
from adapter.api_keys import ANONYMOUS
from adapter.batches import Batches, Row
from adapter.codes import Action
from adapter.contacts import Contact

Spawn = Callable[..., Future[Any]]

LONG, SHORT = "5511987654321", "551187654321"
"""The two forms that WhatsApp keeps of one number."""


def of(given: str, line: int = 2, action: Action | None = None) -> Row:
    return Row(line, Contact(given), given, action=action)


@pytest.mark.parametrize(("first", "second"), [(LONG, SHORT), (SHORT, LONG)])
def test_a_call_overrules_an_older_row_of_the_numbers_other_form(
    batches: Batches, client: Client, provider: BlockListServer, first: str, second: str
) -> None:
    assert client.block(first).ok
    batch = create(batches, [of(second)], start=False).batch
    assert client.unblock(second).ok
    batches.start(batch.id, ANONYMOUS)
    assert run(batches, batch).counts == {"superseded": 1}
    assert provider.blocked == {first}, "no row was sent after the call"


@pytest.mark.parametrize("known", [True, False])
def test_both_forms_of_a_number_are_one_contact_in_a_file(
    batches: Batches, url: str, known: bool
) -> None:
    if known:
        create(batches, [of(SHORT)], start=False)
    batch = create(batches, [of(LONG), of(SHORT, 3)], start=False).batch
    assert batch.counts == {"pending": 1, "duplicate": 1}
    both = [of(SHORT, 2, Action.BLOCK), of(LONG, 3, Action.UNBLOCK)]
    assert create(batches, both, None, start=False).batch.counts == {"rejected": 2}
    assert len(rows(url, "contacts")) == 1


def test_rows_that_were_leased_and_not_sent_leave_no_wish(
    make_client: MakeClient, provider: BlockListServer, spawn: Spawn, url: str
) -> None:
    client = make_client(pace={"max_in_flight": 1})
    batches = Batches(client.service)
    for index in range(6):
        assert client.block(number(index), reason="spam", ref="1").ok
    before = rows(url, "blocks")
    provider.reply = lambda action, _: OFFLINE if action == "unblock" else None
    batch = create(batches, [row(index) for index in range(2, 12)], Action.UNBLOCK).batch
    running = spawn(run, batches, batch)
    wait_until(lambda: batches.get(batch.id, ANONYMOUS).pause_code, "the lane's pause")
    batches.pause(batch.id, ANONYMOUS)
    running.result(TIMEOUT)
    batches.cancel(batch.id, ANONYMOUS)
    sent = {each for action, each in provider.requests if action == "unblock"}
    assert 0 < len(sent) < 4, "fewer than were leased"
    wanted = wishes(url)
    assert wanted.keys() == {number(index) for index in range(6)} | sent
    assert {wanted[each] for each in wanted.keys() - sent} == {"blocked"}
    numbers = {each["id"]: each["number"] for each in rows(url, "contacts")}
    kept = [each for each in rows(url, "blocks") if numbers[each["contact_id"]] not in sent]
    assert kept == [each for each in before if numbers[each["contact_id"]] not in sent]


@pytest.mark.parametrize("reply", [REJECTED, BUSY])
def test_a_refusal_after_a_try_whose_process_is_gone_is_unknown(
    batches: Batches, provider: BlockListServer, url: str, reply: Reply
) -> None:
    batch = create(batches, many(1)).batch
    execute(
        url,
        "UPDATE {p}items SET status = 'leased', lease_owner = 'gone', attempts = 3,"
        " lease_until = '2020-01-01T00:00:00.000+00:00'",
    )
    provider.reply = lambda action, _: None if action == "list" else reply
    assert run(batches, batch).status == "done"
    assert statuses(batches, batch) == ["unknown"]
    (item,) = items(batches, batch)
    assert item.code is not None
    assert item.why is not None


def test_a_contact_that_the_list_does_not_show_is_blocked_again_whatever_the_ledger_has(
    batches: Batches, client: Client, provider: BlockListServer
) -> None:
    for index in range(2):
        assert client.block(number(index)).ok
    del provider.states[number(0)]  # unblocked on the phone
    assert run(batches, create(batches, many(2)).batch).counts == {"done": 1, "unchanged": 1}
    assert provider.blocked == {number(0), number(1)}


def test_without_a_list_that_can_be_read_the_ledger_decides(
    batches: Batches, client: Client, provider: BlockListServer
) -> None:
    assert client.block(number(0)).ok
    provider.reply = lambda action, _: REJECTED if action == "list" else None
    assert run(batches, create(batches, many(1)).batch).counts == {"unchanged": 1}
