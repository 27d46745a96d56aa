"""Every row of a batch ends in exactly one status, by the rules one by one."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest
from support import TIMEOUT, wait_until
from support.batch_fixtures import MakeClient
from support.batches import (
    ACCOUNT,
    bad_row,
    check_sums,
    create,
    expire_leases,
    items,
    many,
    number,
    row,
    run,
    statuses,
)
from support.block_list_server import (
    BROKEN,
    BUSY,
    REJECTED,
    BlockListServer,
    Reply,
)
from support.ledgers import execute, rows

from adapter import Client
from adapter.api_keys import ANONYMOUS
from adapter.batches import Batches, Row
from adapter.codes import Action
from adapter.contacts import Contact

Spawn = Callable[..., Future[Any]]


def test_each_row_is_sent_once_and_the_sums_are_those_of_the_file(
    provider: BlockListServer, batches: Batches, url: str
) -> None:
    batch = create(batches, [*many(20), bad_row(22), row(3, 23), row(4, 24)]).batch
    assert (batch.status, batch.rows) == ("running", 23)
    done = run(batches, batch)
    assert done.status == "done"
    assert done.counts == {"done": 20, "rejected": 1, "duplicate": 2}
    assert done.started_at is not None
    assert done.finished_at is not None
    check_sums(batches, batch, 23)
    assert sorted(provider.requests) == [("block", number(index)) for index in range(20)]
    calls = rows(url, "calls")
    changes = [each for each in calls if each["action"] == "block"]
    assert len(changes) == 20
    assert {each["via"] for each in calls} == {"batch"}
    assert {each["code"] for each in changes} == {"ok"}
    by_id = {each["id"]: each for each in changes}
    for each in items(batches, batch, status="done"):
        assert each.call_id in by_id
        assert each.attempts == 1
    assert {each["state"] for each in rows(url, "blocks")} == {"blocked"}


def test_a_row_has_its_own_action_account_reason_and_ref(
    provider: BlockListServer, make_client: MakeClient, url: str
) -> None:
    batches = Batches(make_client(others=["sales"]).service)
    given = [
        row(0, reason="opt_out", ref="ticket-7"),
        row(1, action=Action.UNBLOCK, account="sales"),
        row(2, account="unknown"),
    ]
    done = run(batches, create(batches, given).batch)
    assert done.counts == {"done": 2, "rejected": 1}
    first, second, third = items(batches, done)
    assert (first.account, first.action) == (ACCOUNT, "block")
    assert (first.reason, first.ref) == ("opt_out", "ticket-7")
    assert (second.account, second.action) == ("sales", "unblock")
    assert (third.code, third.contact) == ("account_not_found", Contact(number(2)))
    assert sorted(provider.requests) == [("block", number(0)), ("unblock", number(1))]
    (block,) = [each for each in rows(url, "blocks") if each["account"] == ACCOUNT]
    assert (block["reason"], block["ref"]) == ("opt_out", "ticket-7")


def test_a_row_without_any_action_is_rejected(batches: Batches) -> None:
    done = run(batches, create(batches, [row(0), row(1, action=Action.BLOCK)], None).batch)
    assert statuses(batches, done) == ["rejected", "done"]


def test_a_rejected_row_keeps_what_was_given(batches: Batches, provider: BlockListServer) -> None:
    done = run(batches, create(batches, [bad_row(2, "5,51E+12"), bad_row(3, "")]).batch)
    found = items(batches, done, status="rejected")
    assert [(each.line, each.given, each.code) for each in found] == [
        (2, "5,51E+12", "invalid_target"),
        (3, "", "invalid_target"),
    ]
    assert found[0].why == "has too few digits"
    assert provider.requests == []


def test_the_same_contact_again_is_a_duplicate_per_account_and_action(
    make_client: MakeClient,
) -> None:
    batches = Batches(make_client(others=["sales"]).service)
    given = [row(0), row(1), row(0), row(0, account="sales"), row(1), row(0)]
    done = run(batches, create(batches, given).batch)
    assert statuses(batches, done) == [
        *("done", "done", "duplicate"),
        *("done", "duplicate", "duplicate"),
    ]


def test_block_and_unblock_of_one_contact_are_a_conflict(
    batches: Batches, provider: BlockListServer
) -> None:
    given = [row(0), row(1), row(0, action=Action.UNBLOCK), row(0)]
    done = run(batches, create(batches, given).batch)
    assert statuses(batches, done) == ["rejected", "done", "rejected", "rejected"]
    assert {each.code for each in items(batches, done, status="rejected")} == {"conflict"}
    assert provider.requests == [("block", number(1))]


def test_what_the_ledger_knows_already_is_unchanged(
    batches: Batches, client: Client, provider: BlockListServer
) -> None:
    provider.reply = lambda action, _: Reply(404, {}) if action == "list" else None
    assert client.block(number(0)).ok
    assert client.unblock(number(1)).ok
    done = run(batches, create(batches, many(3)).batch)
    assert statuses(batches, done) == ["unchanged", "done", "done"]
    again = run(batches, create(batches, many(3)).batch)
    assert again.counts == {"unchanged": 3}
    assert len(provider.requests) == 4


def test_what_the_provider_shows_already_is_unchanged(
    batches: Batches, provider: BlockListServer
) -> None:
    provider.states = {number(0): True, number(1): True}
    given = [row(0), row(1, action=Action.UNBLOCK), row(2)]
    done = run(batches, create(batches, given).batch)
    assert statuses(batches, done) == ["unchanged", "done", "done"]
    assert provider.lists == 1


def test_a_newer_wish_supersedes_a_row(
    batches: Batches, client: Client, provider: BlockListServer
) -> None:
    batch = create(batches, many(2), start=False).batch
    assert client.unblock(number(0)).ok
    assert client.block(number(1)).ok
    batches.start(batch.id, ANONYMOUS)
    assert statuses(batches, run(batches, batch)) == ["superseded", "unchanged"]
    assert not provider.states[number(0)]


def test_a_newer_wish_supersedes_a_row_that_is_leased(
    monkeypatch: pytest.MonkeyPatch,
    make_client: MakeClient,
    provider: BlockListServer,
    spawn: Spawn,
    url: str,
) -> None:
    monkeypatch.setattr("adapter.batches.lane_work.FRESH", 0.0)
    client = make_client(pace={"max_in_flight": 1})
    batches, provider.hold = Batches(client.service), True
    batch = create(batches, many(3)).batch
    running = spawn(run, batches, batch)
    provider.wait_for(1)
    wait_until(
        lambda: len([each for each in rows(url, "calls") if each["action"] == "block"]) > 1,
        "another row that waits in the process",
    )
    calls = [spawn(client.unblock, number(index)) for index in (1, 2)]
    provider.wait_for(3)
    provider.release()
    assert all(each.result(TIMEOUT).ok for each in calls)
    done = running.result(TIMEOUT)
    assert done.counts == {"done": 1, "superseded": 2}
    assert provider.blocked == {number(0)}


def test_a_newer_batch_supersedes_an_older_one_whichever_runs_first(
    batches: Batches, provider: BlockListServer
) -> None:
    older = create(batches, many(4), start=False).batch
    newer = create(batches, many(4), Action.UNBLOCK, start=False).batch
    for each in (older, newer):
        batches.start(each.id, ANONYMOUS)
    assert run(batches, older).counts == {"done": 4}
    assert run(batches, newer).counts == {"done": 4}
    assert provider.blocked == set()
    again = create(batches, many(4), start=False).batch
    newest = create(batches, many(4), Action.UNBLOCK).batch
    assert run(batches, newest).counts == {"unchanged": 4}
    batches.start(again.id, ANONYMOUS)
    # Nothing was sent for the newer batch, whose wish is older by the ledger.
    assert run(batches, again).counts.keys() <= {"done", "superseded"}


def test_a_row_that_the_provider_refuses_has_failed_with_code_and_reason(
    batches: Batches, provider: BlockListServer
) -> None:
    provider.reply = lambda _, given: REJECTED if given == number(1) else None
    done = run(batches, create(batches, many(3)).batch)
    assert statuses(batches, done) == ["done", "failed", "done"]
    (failed,) = items(batches, done, status="failed")
    assert (failed.code, failed.attempts) == ("target_rejected", 1)
    assert failed.why == "The provider refused the contact."


@pytest.mark.usefixtures("no_delays")
def test_a_failure_that_may_pass_is_tried_three_times(
    batches: Batches, provider: BlockListServer
) -> None:
    provider.reply = lambda _, given: BUSY if given == number(1) else None
    done = run(batches, create(batches, many(3)).batch)
    assert statuses(batches, done) == ["done", "failed", "done"]
    (failed,) = items(batches, done, status="failed")
    assert (failed.code, failed.attempts) == ("provider_conflict", 3)
    assert provider.requests.count(("block", number(1))) == 3


def test_a_row_whose_effect_is_not_known_is_unknown(
    batches: Batches, provider: BlockListServer
) -> None:
    provider.reply = lambda _, given: BROKEN if given == number(1) else None
    done = run(batches, create(batches, many(3)).batch)
    assert statuses(batches, done) == ["done", "unknown", "done"]
    (unknown,) = items(batches, done, status="unknown")
    assert (unknown.code, unknown.attempts) == ("provider_error", 1)


@pytest.mark.usefixtures("no_delays")
def test_an_exception_of_a_plugin_before_anything_is_sent_ends_one_row(
    batches: Batches, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = client.service.accounts[ACCOUNT].provider
    build = provider.request_for

    def fail(command: Any) -> Any:
        if command.contact and command.contact.number == number(1):
            raise RuntimeError("a bug")
        return build(command)

    monkeypatch.setattr(provider, "request_for", fail)
    done = run(batches, create(batches, many(3)).batch)
    assert statuses(batches, done) == ["done", "failed", "done"]
    (failed,) = items(batches, done, status="failed")
    assert (failed.code, failed.attempts) == ("internal_error", 3)


def test_an_erased_contact_is_not_sent(
    batches: Batches, client: Client, provider: BlockListServer
) -> None:
    batch = create(batches, many(2)).batch
    ledger = client.service.ledger
    assert ledger is not None
    ledger.erase(Contact(number(0)))
    done = run(batches, batch)
    assert statuses(batches, done) == ["cancelled", "done"]
    assert provider.requests == [("block", number(1))]


def test_a_row_of_a_process_that_is_gone_is_sent_again(
    batches: Batches, make_client: MakeClient, provider: BlockListServer, url: str
) -> None:
    batch = create(batches, many(2)).batch
    early = "2020-01-01T00:00:00.000+00:00"
    execute(
        url,
        "UPDATE {p}items SET status = 'leased', lease_owner = 'gone', lease_until = :at,"
        " attempts = 1",
        at=early,
    )
    done = run(batches, batch)
    assert done.counts == {"done": 2}
    assert {each.attempts for each in items(batches, batch)} == {2}


def test_verify_lets_one_list_decide(
    batches: Batches, provider: BlockListServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapter.batches.list_check.RECHECK_DELAY", 0)
    provider.reply = lambda _, given: BROKEN if given in (number(1), number(2)) else None

    def lose(action: str, given: str) -> Reply | None:
        if given == number(2):
            provider.states[given] = True  # applied, and the response is lost
            return BROKEN
        if action == "list":
            provider.states[number(0)] = False  # undone since
        return BROKEN if given == number(1) else None

    provider.reply = lose
    done = run(batches, create(batches, many(4), verify=True).batch)
    assert statuses(batches, done) == ["failed", "failed", "done", "done"]
    codes = [each.code for each in items(batches, done, status="failed")]
    assert codes == ["not_effective", "provider_error"]
    assert provider.lists == 3, "before, at the end, and again for the row that may be late"


def test_an_older_owner_writes_nothing_once_its_lease_was_taken(
    make_client: MakeClient, provider: BlockListServer, spawn: Spawn, url: str
) -> None:
    first, second = (Batches(make_client().service) for _ in range(2))
    provider.hold = True
    batch = create(first, [row(0)]).batch
    running = spawn(run, first, batch)
    provider.wait_for(1)
    expire_leases(url)
    other = spawn(run, second, batch)
    provider.wait_for(2)
    provider.release()
    assert running.result(TIMEOUT).status == other.result(TIMEOUT).status == "done"
    (item,) = items(first, batch)
    assert (item.status, item.attempts) == ("done", 2)


def test_no_number_is_in_another_table(
    batches: Batches, provider: BlockListServer, url: str
) -> None:
    provider.reply = lambda _, given: REJECTED if given == number(1) else None
    given = [
        row(0, ref=f"call +{number(0)}"),
        row(1),
        Row(4, None, "+55 119 99", ref=number(2), code="invalid_target", why=f"not {number(2)}"),
        Row(5, None, f"{number(3)}x", code="invalid_target"),
    ]
    run(batches, create(batches, given, request_id=f"r-{number(0)}").batch)
    contacts = str(rows(url, "contacts"))
    assert all(number(index) in contacts for index in (0, 1, 3))
    for table in ("batches", "items", "lanes", "calls", "blocks", "idempotency", "facts"):
        text = str(rows(url, table))
        assert not [index for index in range(4) if number(index)[2:] in text], table
