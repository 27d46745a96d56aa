"""The lane of an account: its pace, its limit across processes, and its pauses."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from support import TIMEOUT, wait_until
from support.batch_fixtures import MakeClient
from support.batches import ACCOUNT, check_sums, create, items, many, number, row, run, statuses
from support.block_list_server import OFFLINE, BlockListServer, Reply, limited
from support.ledgers import rows

from adapter import Client
from adapter.api_keys import ANONYMOUS
from adapter.batches import Batches, store
from adapter.batches.endings import LANE_CODES, ending_of
from adapter.batches.lanes import FIRST_PAUSE, LONGEST_PAUSE, Lane, Pause
from adapter.batches.model import ItemStatus
from adapter.batches.runner import Runner
from adapter.codes import Action, Applied, Code, Confirmation
from adapter.contacts import Contact
from adapter.results import Command, Outcome, Result
from adapter.settings.model import PaceSettings

Spawn = Callable[..., Future[Any]]
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


def lane(**columns: Any) -> Lane:
    return Lane(ACCOUNT, NOW, **columns)


def test_pauses_grow_until_a_row_succeeds() -> None:
    found, pauses = lane(), []
    for _ in range(6):
        found.pause(Pause("session_not_connected"))
        assert found.paused_until is not None
        pauses.append((found.paused_until - found.now).total_seconds())
        found.now = found.paused_until
    assert pauses == [5, 10, 20, 40, 60, 60]
    assert (FIRST_PAUSE, LONGEST_PAUSE) == (5, 60)
    found.record_success()
    assert (found.pauses, found.paused_until, found.pause_code) == (0, None, None)


def test_failures_at_the_same_time_are_one_pause_that_a_late_success_does_not_end() -> None:
    found = lane()
    for _ in range(8):
        found.pause(Pause("session_not_connected"))
    assert found.pauses == 1
    found.record_success()
    assert found.is_paused


def test_a_rate_limit_pauses_as_long_as_the_provider_has_asked_for() -> None:
    found = lane()
    for seconds in (7.0, 3.0):
        found.pause(Pause("provider_rate_limited", seconds))
    assert found.paused_until == NOW + timedelta(seconds=7)
    assert found.pauses == 0


def test_after_a_pause_one_row_is_tried_alone() -> None:
    pace = PaceSettings(max_in_flight=8)
    assert lane(pauses=1).take_slots("a", 0, pace, 30) == 1
    assert lane(pauses=0).take_slots("a", 0, pace, 30) == 8


def test_processes_share_the_slots_and_never_hold_more() -> None:
    pace, found = PaceSettings(max_in_flight=8), lane()
    assert found.take_slots("a", 0, pace, 30) == 8
    assert found.take_slots("b", 0, pace, 30) == 0, "the first one runs eight rows"
    assert found.take_slots("a", 8, pace, 30) == 4, "it begins none until four have ended"
    assert found.take_slots("b", 0, pace, 30) == 0, "and they hold their slots"
    assert found.take_slots("a", 5, pace, 30) == 4
    assert found.take_slots("b", 0, pace, 30) == 3
    assert found.take_slots("a", 2, pace, 30) == 4
    assert found.take_slots("b", 3, pace, 30) == 4
    found.release("a")
    assert found.take_slots("b", 3, pace, 30) == 8


def test_the_slots_of_a_process_that_is_gone_are_free_when_its_lease_ends() -> None:
    pace, found = PaceSettings(max_in_flight=2), lane()
    assert found.take_slots("gone", 0, pace, 30) == 2
    assert found.take_slots("b", 0, pace, 30) == 0
    found.now += timedelta(seconds=31)
    assert found.take_slots("b", 0, pace, 30) == 2


def test_the_pace_is_a_leaky_bucket() -> None:
    pace, found = PaceSettings(per_minute=120), lane()
    assert found.count_tokens(pace) == (1, None)
    found.spend(1, pace)
    assert found.count_tokens(pace) == (0, NOW + timedelta(seconds=0.5))
    found.now += timedelta(seconds=0.5)
    assert found.count_tokens(pace) == (1, None)
    found.now += timedelta(hours=1)
    tokens, _ = found.count_tokens(pace)
    assert tokens == 3, "it catches up by one second"
    assert lane().count_tokens(PaceSettings()) == (None, None)


def test_a_batch_keeps_to_the_pace(
    make_client: MakeClient, provider: BlockListServer, url: str
) -> None:
    batches = Batches(make_client(pace={"per_minute": 6000}).service)
    done = run(batches, create(batches, many(30)).batch)
    assert done.counts == {"done": 30}
    next_at = rows(url, "lanes")[0]["next_at"]
    if isinstance(next_at, str):
        next_at = datetime.fromisoformat(next_at)
    assert done.started_at is not None
    # Each row has moved the next one by its share of a minute, from the start of the first one on.
    assert next_at - done.started_at >= timedelta(seconds=30 / 100)


def test_no_more_rows_than_allowed_run_at_the_same_time(
    make_client: MakeClient, provider: BlockListServer
) -> None:
    batches = Batches(make_client(pace={"max_in_flight": 3}).service)
    provider.delay = 0.005
    done = run(batches, create(batches, many(60)).batch)
    assert done.counts == {"done": 60}
    assert provider.most == 3


@pytest.mark.usefixtures("no_delays")
@pytest.mark.parametrize("reply", [OFFLINE, limited(0), Reply(401, {"success": False})])
def test_a_lane_that_is_offline_for_a_while_pauses_and_goes_on(
    make_client: MakeClient, provider: BlockListServer, spawn: Spawn, url: str, reply: Reply
) -> None:
    batches = Batches(make_client(pace={"max_in_flight": 4}).service)
    back, tried = threading.Event(), set()

    def answer(action: str, given: str) -> Reply | None:
        if action == "list" or len(provider.requests) <= 20 or back.is_set():
            return None
        tried.add(given)
        return reply

    provider.reply = answer
    batch = create(batches, many(100)).batch
    running = spawn(run, batches, batch)
    provider.wait_for(26)
    wait_until(lambda: batches.get(batch.id, ANONYMOUS).pause_code, "the lane's pause")
    before = len(tried)
    (pauses,) = [each["pauses"] for each in rows(url, "lanes")]
    back.set()
    assert running.result(TIMEOUT).counts == {"done": 100}
    assert before <= 4 + pauses, "those that run at the same time, and one after each pause"
    check_sums(batches, batch, 100)
    assert {each.attempts for each in items(batches, batch)} <= {1, 2}
    assert provider.blocked == {number(index) for index in range(100)}


def test_a_pause_is_shown_and_single_calls_are_possible(
    make_client: MakeClient, provider: BlockListServer, spawn: Spawn, stop: threading.Event
) -> None:
    client = make_client()
    batches = Batches(client.service)
    provider.reply = lambda action, given: limited(600) if given == number(0) else None
    batch = create(batches, many(1)).batch
    running = spawn(run, batches, batch, stop)
    wait_until(lambda: batches.get(batch.id, ANONYMOUS).pause_code, "the lane's pause")
    shown = batches.get(batch.id, ANONYMOUS)
    assert (shown.status, shown.pause_code) == ("running", "provider_rate_limited")
    assert shown.paused_until is not None
    assert shown.paused_until > datetime.now(UTC) + timedelta(minutes=9)
    assert client.block(number(5)).ok
    stop.set()
    assert running.result(TIMEOUT).counts == {"pending": 1}


@pytest.mark.usefixtures("no_delays")
def test_one_account_that_waits_holds_up_no_other(
    make_client: MakeClient, provider: BlockListServer, spawn: Spawn
) -> None:
    batches = Batches(make_client(others=["sales"]).service)
    back = threading.Event()
    offline = {number(index) for index in range(10)}
    provider.reply = lambda _, given: OFFLINE if given in offline and not back.is_set() else None
    given = [*many(10), *(row(index, account="sales") for index in range(10, 20))]
    batch = create(batches, given).batch
    running = spawn(run, batches, batch)
    wait_until(
        lambda: batches.get(batch.id, ANONYMOUS).counts.get("done") == 10, "the other account"
    )
    back.set()
    assert running.result(TIMEOUT).counts == {"done": 20}


def result_of(code: Code, message: str = "") -> Result:
    command = Command(Action.BLOCK, Contact(number(0)))
    return Result(Outcome.failure(code, message=message, retry_after=2), command, attempts=1)


@pytest.mark.parametrize("code", list(Code))
def test_every_code_has_an_ending(code: Code) -> None:
    ending = ending_of(result_of(code, f"about {number(0)}"), 1)
    assert number(0) not in (ending.why or "")
    if code in LANE_CODES:
        assert ending.status is ItemStatus.PENDING
        assert ending.pause is not None
    elif code.applied is Applied.UNKNOWN:
        assert ending.status is ItemStatus.UNKNOWN
    else:
        assert ending.status in (ItemStatus.PENDING, ItemStatus.FAILED)
        last = ending_of(result_of(code), 3).status
        own = code in (Code.OVERLOADED, Code.LEDGER_UNAVAILABLE)
        assert last is (ItemStatus.PENDING if own else ItemStatus.FAILED)


def test_a_success_is_done(client: Client) -> None:
    outcome = Outcome.success(Confirmation.ACCEPTED)
    assert ending_of(Result(outcome), 1).status is ItemStatus.DONE


def test_a_row_whose_lease_took_long_to_be_recorded_is_not_begun_with_the_rest_of_it(
    client: Client,
    batches: Batches,
    provider: BlockListServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another process takes it once the lease has expired."""
    provider.hold = True
    ledger, late = client.service.ledger, [0.0]
    assert ledger is not None
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + sum(late), time=time.time)
    monkeypatch.setattr("adapter.batches.lane_work.time", clock)
    batch = create(batches, many(1)).batch
    stored = ledger.ask(lambda connection: store.find_row(connection, ledger.tables, batch.id))
    leases = Runner(client.service, ledger, batch.id, threading.Event())._new_lane(ACCOUNT, stored)
    work = ledger.work

    def commit_late(*args: Any, **rest: Any) -> Any:
        result = work(*args, **rest)
        late[0] = leases.lease
        return result

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "work", commit_late)
        leases.exchange()
    assert not leases._running
    assert leases.is_due
    provider.release()
    leases.exchange()
    provider.wait_for(1)
    wait_until(lambda: leases.is_due, "the end of the row")
    leases.close()
    leases.exchange()
    leases.end()
    assert statuses(batches, batch) == ["done"]
