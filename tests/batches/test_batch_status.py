"""The status of a batch: who may see it, what may be done with it, and the pages of its rows."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any

import pytest
from support import TIMEOUT
from support.batch_fixtures import MakeClient
from support.batches import ACCOUNT, create, items, many, number, row, run, statuses
from support.block_list_server import BROKEN, REJECTED, BlockListServer
from support.ledgers import execute, rows

from adapter import Client, connect
from adapter.api_keys import ANONYMOUS, Caller
from adapter.batches import Batch, Batches
from adapter.batches.summary import Progress
from adapter.codes import Action, Code, Scope
from adapter.contacts import Contact
from adapter.errors import LedgerUnavailable, RequestError
from adapter.ledger.documents import export_document

Spawn = Callable[..., Future[Any]]


def code_of(work: Callable[[], object]) -> Code | None:
    with pytest.raises(RequestError) as caught:
        work()
    return caught.value.outcome.code


def test_without_a_ledger_there_are_no_batches() -> None:
    with connect({"accounts": {"memory": {"provider": "memory"}}}) as client:
        assert code_of(lambda: Batches(client.service)) is Code.VALIDATION_ERROR


def test_a_batch_that_is_not_started_waits(batches: Batches, provider: BlockListServer) -> None:
    batch = create(batches, many(3), start=False).batch
    assert (batch.status, batch.counts) == ("ready", {"pending": 3})
    assert run(batches, batch).status == "ready"
    assert provider.requests == []
    assert batches.start(batch.id, ANONYMOUS).status == "running"
    assert run(batches, batch).status == "done"


def test_a_status_that_does_not_allow_a_change_is_a_conflict(batches: Batches) -> None:
    ready = create(batches, many(1), start=False).batch
    for work in (batches.pause, batches.resume, batches.retry):
        assert code_of(lambda work=work: work(ready.id, ANONYMOUS)) is Code.BATCH_CONFLICT  # type: ignore[misc]
    batches.start(ready.id, ANONYMOUS)
    done = run(batches, ready)
    for work in (batches.start, batches.pause, batches.resume, batches.cancel):
        assert code_of(lambda work=work: work(done.id, ANONYMOUS)) is Code.BATCH_CONFLICT  # type: ignore[misc]


def test_wake_is_called_once_a_batch_is_to_run(client: Client) -> None:
    woken: list[int] = []
    batches = Batches(client.service, woken.append)
    batch = create(batches, many(1), start=False).batch
    assert woken == []
    batches.start(batch.id, ANONYMOUS)
    batches.pause(batch.id, ANONYMOUS)
    batches.resume(batch.id, ANONYMOUS)
    assert woken == [batch.id, batch.id]
    other = create(batches, many(2)).batch
    assert woken[2:] == [other.id]


def hold_one(
    batches: Batches, provider: BlockListServer, spawn: Spawn, amount: int = 5
) -> tuple[Batch, Future[Batch]]:
    """Return a batch whose first row is in flight, and its run."""
    provider.hold = True
    batch = create(batches, many(amount)).batch
    running = spawn(run, batches, batch)
    provider.wait_for(1)
    return batch, running


@pytest.fixture
def one_by_one(make_client: MakeClient) -> Batches:
    return Batches(make_client(pace={"max_in_flight": 1}).service)


def test_a_pause_lets_the_rows_in_flight_end_and_resume_goes_on(
    one_by_one: Batches, provider: BlockListServer, spawn: Spawn
) -> None:
    batches = one_by_one
    batch, running = hold_one(batches, provider, spawn)
    assert batches.pause(batch.id, ANONYMOUS).status == "paused"
    provider.release()
    paused = running.result(TIMEOUT)
    assert paused.status == "paused"
    assert paused.counts["done"] >= 1
    assert "leased" not in paused.counts
    sent = len(provider.requests)
    assert sent < 5
    assert run(batches, batch).status == "paused"
    assert len(provider.requests) == sent
    batches.resume(batch.id, ANONYMOUS)
    assert run(batches, batch).counts == {"done": 5}
    assert len(provider.requests) == 5


def test_a_cancelled_batch_ends_what_is_in_flight_and_cancels_the_rest(
    one_by_one: Batches, provider: BlockListServer, spawn: Spawn
) -> None:
    batches = one_by_one
    batch, running = hold_one(batches, provider, spawn)
    assert batches.cancel(batch.id, ANONYMOUS).status == "cancelled"
    provider.release()
    cancelled = running.result(TIMEOUT)
    assert cancelled.finished_at is not None
    assert set(cancelled.counts) == {"done", "cancelled"}
    assert cancelled.counts["done"] == len(provider.requests)
    assert sum(cancelled.counts.values()) == 5


def test_a_row_that_another_process_returns_just_after_the_cancel_is_cancelled(
    batches: Batches, url: str
) -> None:
    batch = create(batches, many(3)).batch
    batches.cancel(batch.id, ANONYMOUS)
    execute(url, "UPDATE {p}items SET status = 'pending' WHERE \"row\" = 2")
    assert batches.get(batch.id, ANONYMOUS).counts == {"cancelled": 3}


def test_stop_ends_the_rows_in_flight_and_another_run_goes_on(
    one_by_one: Batches, provider: BlockListServer, spawn: Spawn, url: str
) -> None:
    batches, stop = one_by_one, threading.Event()
    provider.hold = True
    batch = create(batches, many(5)).batch
    running = spawn(run, batches, batch, stop)
    provider.wait_for(1)
    stop.set()
    provider.release()
    stopped = running.result(TIMEOUT)
    assert stopped.status == "running"
    assert "leased" not in stopped.counts
    assert {each["holders"] for each in rows(url, "lanes")} == {None}
    assert run(batches, batch).counts == {"done": 5}
    assert len(provider.requests) == 5
    assert not [each for each in rows(url, "calls") if each["closed_at"] is None]


def test_retry_sends_what_has_failed_but_overrules_no_newer_wish(
    batches: Batches, provider: BlockListServer, client: Client
) -> None:
    provider.reply = lambda _, given: {number(1): REJECTED, number(2): BROKEN}.get(given)
    done = run(batches, create(batches, many(4)).batch)
    assert statuses(batches, done) == ["done", "failed", "unknown", "done"]
    provider.reply = lambda *_: None
    assert client.unblock(number(1)).ok
    again = batches.retry(done.id, ANONYMOUS)
    assert again.status == "running"
    assert again.counts == {"done": 2, "superseded": 1, "pending": 1}
    assert again.finished_at is None
    assert run(batches, again).counts == {"done": 3, "superseded": 1}
    assert number(1) not in provider.blocked, "it was unblocked after the batch"


def test_a_cancelled_batch_is_cancelled_again_after_a_retry(
    one_by_one: Batches, provider: BlockListServer, spawn: Spawn
) -> None:
    batches = one_by_one
    provider.reply = lambda action, given: REJECTED
    batch, running = hold_one(batches, provider, spawn)
    batches.cancel(batch.id, ANONYMOUS)
    provider.release()
    failed = running.result(TIMEOUT).counts["failed"]
    provider.reply = lambda action, given: None
    assert batches.retry(batch.id, ANONYMOUS).status == "running"
    again = run(batches, batch)
    assert again.status == "cancelled"
    assert again.counts == {"done": failed, "cancelled": 5 - failed}
    assert again.finished_at is not None


def test_a_batch_that_was_paused_has_no_time_left_but_that_of_its_pace(
    make_client: MakeClient, client: Client, url: str
) -> None:
    batches = Batches(client.service)
    batch = create(batches, many(10)).batch
    execute(url, "UPDATE {p}batches SET started_at = :at", at="2020-01-01T00:00:00.000+00:00")
    execute(url, "UPDATE {p}items SET status = 'done' WHERE \"row\" <= 4")
    assert batches.get(batch.id, ANONYMOUS).seconds_left is None
    paced = Batches(make_client(pace={"per_minute": 60}).service)
    assert paced.get(batch.id, ANONYMOUS).seconds_left == 6


def test_progress_estimates_by_the_rate_of_this_run() -> None:
    seen: list[float | None] = []
    progress = Progress(lambda batch: seen.append(batch.seconds_left), lambda batch: batch)
    for pending in (100, 100, 99, 0):
        progress(batch_with({"done": 900 - pending, "pending": pending}))
    assert seen[:2] == [None, None]
    assert seen[2] is not None
    assert 0 < seen[2] < 60
    assert seen[3] is None


def batch_with(counts: dict[str, int]) -> Batch:
    early = datetime(2020, 1, 1, tzinfo=UTC)
    rest = (None, None, sum(counts.values()), counts, False, "api", None, early, early, None, None)
    return Batch(1, "batch", "support", "block", "running", *rest)


def test_every_account_that_waits_is_shown_with_its_reason(
    make_client: MakeClient, url: str
) -> None:
    batches = Batches(make_client(others=["sales", "shop"]).service)
    given = [row(index, account=name) for index, name in enumerate(("support", "sales", "shop"))]
    batch = create(batches, given).batch
    assert batch.waits == ()
    for name, until in (("sales", "2999-01-01"), ("shop", "2020-01-01"), ("support", "2999-01-02")):
        execute(
            url,
            "INSERT INTO {p}lanes (account, pauses, pause_code, paused_until) "
            "VALUES (:name, 1, 'session_not_connected', :until)",
            name=name,
            until=f"{until}T00:00:00.000+00:00",
        )
    found = batches.get(batch.id, ANONYMOUS)
    assert [(each.account, each.until.day) for each in found.waits] == [
        ("sales", 1),
        ("support", 2),
    ]
    assert (found.pause_code, found.paused_until) == ("session_not_connected", found.waits[0].until)


def test_progress_is_reported_with_an_estimate(
    make_client: MakeClient, provider: BlockListServer
) -> None:
    batches = Batches(make_client(pace={"per_minute": 60_000}).service)
    batch = create(batches, many(3), start=False).batch
    assert batch.seconds_left == pytest.approx(0.003)
    batches.start(batch.id, ANONYMOUS)
    seen: list[Batch] = []
    assert batches.run(batch.id, threading.Event(), seen.append).seconds_left == 0
    assert seen
    assert seen[0].rows == 3


def test_pages_of_batches_and_of_rows(batches: Batches) -> None:
    made = [create(batches, many(4, start)).batch.id for start in (0, 10, 20)]
    page = batches.list(ANONYMOUS, limit=2)
    assert [each.id for each in page.entries] == [made[2], made[1]]
    rest = batches.list(ANONYMOUS, limit=2, cursor=page.cursor)
    assert [each.id for each in rest.entries] == [made[0]]
    assert rest.cursor is None
    first = batches.items(made[0], ANONYMOUS, limit=3)
    second = batches.items(made[0], ANONYMOUS, limit=3, cursor=first.cursor)
    assert [each.row for each in (*first.entries, *second.entries)] == [1, 2, 3, 4]
    assert second.cursor is None
    assert batches.items(made[0], ANONYMOUS, status=["done", "failed"]).entries == ()
    for work in (
        lambda: batches.items(made[0], ANONYMOUS, status="unheard-of"),
        lambda: batches.items(made[0], ANONYMOUS, cursor="nonsense"),
        lambda: batches.list(ANONYMOUS, cursor="nonsense"),
        lambda: batches.list(ANONYMOUS, limit=0),
    ):
        assert code_of(work) is Code.VALIDATION_ERROR


def test_a_batch_is_seen_by_callers_of_all_its_accounts(make_client: MakeClient) -> None:
    batches = Batches(make_client(others=["sales"]).service)
    scopes = frozenset(Scope)
    support = Caller("crm", scopes, frozenset([ACCOUNT]))
    sales = Caller("shop", scopes, frozenset(["sales"]))
    own = create(batches, many(1), caller=support).batch
    assert own.key_name == "crm"
    both = create(batches, [row(1), row(2, account="sales")]).batch
    assert [each.id for each in batches.list(support).entries] == [own.id]
    assert batches.list(sales).entries == ()
    for caller, batch_id in ((sales, own.id), (support, both.id), (support, 99)):
        for work in (batches.get, batches.items, batches.pause, batches.cancel, batches.retry):
            code = code_of(lambda work=work, c=caller, b=batch_id: work(b, c))  # type: ignore[misc]
            assert code is Code.BATCH_NOT_FOUND
    foreign = create(batches, [row(3, account="sales")], caller=support).batch
    assert items(batches, foreign)[0].code == "account_not_found"
    with pytest.raises(RequestError):
        create(batches, many(1), caller=support, account="sales")


def test_the_same_rows_again_are_the_unfinished_batch(
    batches: Batches, url: str, provider: BlockListServer
) -> None:
    first = create(batches, many(5), start=False)
    again = create(batches, many(5))
    assert (first.existing, again.existing) == (False, True)
    assert again.batch.id == first.batch.id
    assert again.batch.status == "ready", "nothing was started"
    assert len(rows(url, "batches")) == 1
    assert len(rows(url, "items")) == 5
    caller = Caller("crm", frozenset(Scope))
    assert not create(batches, many(5), caller=caller, start=False).existing
    assert not create(batches, many(5), Action.UNBLOCK, start=False).existing
    assert not create(batches, many(4), start=False).existing
    batches.start(first.batch.id, ANONYMOUS)
    run(batches, first.batch)
    assert not create(batches, many(5), start=False).existing


def test_verify_is_refused_where_the_unfinished_batch_of_the_same_rows_does_not_verify(
    batches: Batches, url: str
) -> None:
    first = create(batches, many(3), start=False).batch
    with pytest.raises(RequestError) as caught:
        create(batches, many(3), verify=True)
    outcome = caught.value.outcome
    assert outcome.code is Code.BATCH_CONFLICT
    assert f"Batch {first.id} of the account support is ready. It has the" in outcome.message
    assert [each["status"] for each in rows(url, "batches")] == ["ready"], "it is as it was"
    batches.cancel(first.id, ANONYMOUS)
    second = create(batches, many(3), verify=True)
    assert (second.existing, second.batch.verify) == (False, True)
    assert create(batches, many(3)).batch.id == second.batch.id, "it does more than is asked for"


def test_a_database_that_is_gone_is_ledger_unavailable(
    client: Client, batches: Batches, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = create(batches, many(1), start=False).batch
    ledger = client.service.ledger
    assert ledger is not None

    def fail(*_: object) -> None:
        raise LedgerUnavailable("gone")

    monkeypatch.setattr(ledger, "work", fail)
    monkeypatch.setattr(ledger, "ask", fail)
    for work in (
        lambda: create(batches, many(1)),
        lambda: batches.get(batch.id, ANONYMOUS),
        lambda: batches.list(ANONYMOUS),
        lambda: batches.start(batch.id, ANONYMOUS),
    ):
        assert code_of(work) is Code.LEDGER_UNAVAILABLE


def test_the_rows_of_a_person_are_exported_before_they_are_sent(
    batches: Batches, client: Client
) -> None:
    batch = create(batches, [row(0, reason="opt_out", ref="ticket 7"), row(1)], start=False).batch
    ledger = client.service.ledger
    assert ledger is not None
    (exported,) = ledger.export(Contact(number(0))).rows
    assert (exported.batch_id, exported.row, exported.status) == (batch.id, 1, "pending")
    assert (exported.reason, exported.ref) == ("opt_out", "ticket 7")
    assert export_document(ledger.export(Contact(number(0))))["rows"][0]["action"] == "block"
    assert ledger.export(Contact(number(7))).rows == ()


@pytest.mark.parametrize("number", [0, -1, 2**63, 2**70, "abc", "1", True, None, 1.0])
def test_an_invalid_id_is_a_batch_that_does_not_exist(batches: Batches, number: Any) -> None:
    create(batches, many(1), start=False)
    for call in (batches.get, batches.items, batches.pause, batches.cancel, batches.retry):
        with pytest.raises(RequestError) as caught:
            call(number, ANONYMOUS)
        assert caught.value.outcome.code is Code.BATCH_NOT_FOUND
