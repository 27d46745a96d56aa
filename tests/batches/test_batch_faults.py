"""What a batch promises after a fault: a kill, a bug, a lost ledger, a changed configuration."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support import TIMEOUT, wait_until
from support.batch_fixtures import MakeClient
from support.batches import (
    ACCOUNT,
    Limit,
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
from support.block_list_server import OFFLINE, REJECTED, BlockListServer
from support.ledgers import execute, rows

from adapter import Client
from adapter.api_keys import ANONYMOUS
from adapter.batches import Batches, store
from adapter.batches.claims import Claims
from adapter.batches.endings import LANE_CODES, ending_of
from adapter.batches.lanes import Lane, Pause
from adapter.batches.worker import BatchWorker, sweep
from adapter.codes import Action, Applied, Code, Confirmation
from adapter.contacts import Contact
from adapter.errors import LedgerUnavailable, RequestError
from adapter.readings import Unverified, Verification
from adapter.results import Command, Outcome, Result

Spawn = Callable[..., Future[Any]]


def lease(url: str, *numbers: int) -> None:
    """Let rows be leased by a process that was killed, and has sent them."""
    for each in numbers:
        execute(
            url,
            "UPDATE {p}items SET status = 'leased', lease_owner = 'gone', attempts = 1,"
            " lease_until = :at WHERE row = :row",
            at="2099-01-01T00:00:00.000+00:00",
            row=each,
        )


def refuse(work: Callable[[], object]) -> Code | None:
    with pytest.raises(RequestError) as caught:
        work()
    return caught.value.outcome.code


# --- retry and cancel


def test_a_batch_that_has_never_begun_is_not_retried(batches: Batches) -> None:
    batch = create(batches, many(2), start=False).batch
    batches.cancel(batch.id, ANONYMOUS)
    assert refuse(lambda: batches.retry(batch.id, ANONYMOUS)) is Code.BATCH_CONFLICT
    assert statuses(batches, batch) == ["cancelled", "cancelled"]


def test_a_retry_never_sends_rows_that_were_cancelled(
    batches: Batches, provider: BlockListServer, url: str
) -> None:
    provider.reply = lambda _, given: REJECTED if given == number(0) else None
    batch = run(batches, create(batches, many(3)).batch)
    # As a process leaves it that is killed while it cancels the batch.
    execute(url, "UPDATE {p}batches SET status = 'cancelled'")
    execute(url, "UPDATE {p}items SET status = 'pending', code = NULL WHERE row > 1")
    sent = len(provider.requests)
    batches.retry(batch.id, ANONYMOUS)
    assert statuses(batches, batch) == ["pending", "cancelled", "cancelled"]
    run(batches, batch)
    assert provider.requests[sent:] == [("block", number(0))]


def test_a_retry_waits_for_the_rows_in_flight_of_a_cancelled_batch(
    batches: Batches, url: str
) -> None:
    batch = run(batches, create(batches, many(2)).batch)
    execute(url, "UPDATE {p}batches SET status = 'cancelled'")
    lease(url, 1)
    assert refuse(lambda: batches.retry(batch.id, ANONYMOUS)) is Code.BATCH_CONFLICT
    expire_leases(url)
    assert batches.retry(batch.id, ANONYMOUS).counts == {"pending": 1, "done": 1}


def test_a_sweeper_that_is_late_ends_no_row_of_a_retried_batch(
    batches: Batches, client: Client, provider: BlockListServer
) -> None:
    provider.reply = lambda *_: REJECTED
    batch = run(batches, create(batches, many(2)).batch)
    batches.retry(batch.id, ANONYMOUS)
    ledger = client.service.ledger
    assert ledger is not None
    ledger.work(lambda connection, _: store.end_cancelled(connection, ledger.tables, batch.id))
    assert statuses(batches, batch) == ["pending", "pending"]


def test_a_retry_that_fails_half_way_leaves_a_finished_batch(
    batches: Batches, provider: BlockListServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.reply = lambda *_: REJECTED
    batch = run(batches, create(batches, many(2)).batch)

    def fail(*_: object, **__: object) -> bool:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(store, "set_status", fail)
        assert refuse(lambda: batches.retry(batch.id, ANONYMOUS)) is Code.LEDGER_UNAVAILABLE
    assert batches.get(batch.id, ANONYMOUS).status == "done"
    assert statuses(batches, batch) == ["failed", "failed"]
    assert batches.retry(batch.id, ANONYMOUS).counts == {"pending": 2}


@pytest.mark.parametrize("before", [True, False])
def test_rows_of_a_killed_process_in_a_cancelled_batch_are_unknown(
    batches: Batches, url: str, before: bool
) -> None:
    batch = create(batches, many(3)).batch
    lease(url, 2)
    if before:
        expire_leases(url)
    cancelled = batches.cancel(batch.id, ANONYMOUS)
    if not before:
        assert cancelled.counts == {"leased": 1, "cancelled": 2}
        expire_leases(url)
        cancelled = batches.get(batch.id, ANONYMOUS)
    assert cancelled.counts == {"unknown": 1, "cancelled": 2}
    second = items(batches, batch)[1]
    assert (second.status, second.code) == ("unknown", "internal_error")


def test_a_cancelled_row_that_may_have_been_sent_is_unknown(
    batches: Batches, provider: BlockListServer, url: str, spawn: Spawn, stop: threading.Event
) -> None:
    provider.reply = lambda *_: OFFLINE
    batch = create(batches, many(3)).batch
    lease(url, 1)
    expire_leases(url)
    running = spawn(run, batches, batch, stop)
    wait_until(lambda: batches.get(batch.id, ANONYMOUS).pause_code, "the lane's pause")
    stop.set()
    running.result(TIMEOUT)
    first, *others = items(batches, batch)
    assert {each.status for each in (first, *others)} == {"pending"}
    assert first.code == "session_not_connected", "what the last try has shown"
    batches.cancel(batch.id, ANONYMOUS)
    assert items(batches, batch)[0].code == "internal_error", "the result of the first is lost"
    assert statuses(batches, batch) == ["unknown", "cancelled", "cancelled"]


@pytest.mark.parametrize("code", sorted(LANE_CODES, key=str))
def test_a_lane_code_that_may_have_taken_effect_is_unresolved(code: Code) -> None:
    ending = ending_of(Result(Outcome.failure(code)), 1)
    assert ending.unresolved is (code.applied is Applied.UNKNOWN)


# --- lanes


def test_a_long_outage_pauses_the_lane_without_overflow() -> None:
    lane = Lane(ACCOUNT, datetime(2026, 11, 26, tzinfo=UTC), pauses=100_000)
    lane.pause(Pause("session_not_connected"))
    assert lane.paused_until == lane.now + timedelta(seconds=60)


@pytest.mark.usefixtures("no_delays")
def test_after_a_pause_another_row_is_tried_first(
    make_client: MakeClient,
    provider: BlockListServer,
    spawn: Spawn,
    stop: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("adapter.batches.lanes.PROBE_MARGIN", 40)  # this machine may be busy
    batches = Batches(make_client(pace={"max_in_flight": 1}).service)
    provider.reply = lambda _, given: OFFLINE if given == number(0) else None
    batch = create(batches, many(20)).batch
    running = spawn(run, batches, batch, stop)
    wait_until(lambda: batches.get(batch.id, ANONYMOUS).counts.get("done") == 19, "the other rows")
    assert [given for _, given in provider.requests[:2]] == [number(0), number(1)]
    provider.reply = lambda *_: None
    assert running.result(TIMEOUT).counts == {"done": 20}


# --- bugs


@pytest.mark.usefixtures("quick")
def test_a_transaction_with_a_bug_pauses_the_batch_and_is_logged_once(
    batches: Batches, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr("adapter.batches.claims.Claims._end", fail)
    batch = create(batches, many(2)).batch
    with caplog.at_level(logging.ERROR):
        paused = run(batches, batch)
    assert (paused.status, paused.pause_code) == ("paused", "internal_error")
    (line,) = [text for text in caplog.messages if "batch_failed" in text]
    assert f"id={batch.id} state=paused" in line
    monkeypatch.undo()
    batches.resume(batch.id, ANONYMOUS)
    assert batches.pause(batch.id, ANONYMOUS).pause_code is None, "it was paused on request"


@pytest.mark.usefixtures("quick")
def test_a_transaction_with_a_bug_pauses_the_batch_where_another_account_goes_on(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = Claims._end

    def fail(claims: Claims, *args: Any) -> None:
        if claims._account == "team":
            raise KeyError("a bug")
        end(claims, *args)

    monkeypatch.setattr(Claims, "_end", fail)
    monkeypatch.setattr("adapter.batches.lane_work.IDLE", 0)  # the other account looks each time
    batches = Batches(make_client(others=["team"]).service)
    batch = create(batches, [row(0), row(1, account="team")]).batch
    paused = run(batches, batch, Limit(5))
    assert (paused.status, paused.pause_code) == ("paused", "internal_error")
    batches.resume(batch.id, ANONYMOUS)


class Refusing(Exception):  # noqa: N818 - of the tests
    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(name)


class Ending(BaseException):
    pass


@pytest.mark.parametrize("kind", [Refusing, Ending, SystemExit])
def test_no_exception_of_a_call_hangs_the_batch(
    batches: Batches, client: Client, monkeypatch: pytest.MonkeyPatch, kind: type[BaseException]
) -> None:
    perform = client.service.perform

    def fail(account: str, command: Command, **rest: Any) -> Result:
        if command.contact == Contact(number(1)):
            raise kind()
        return perform(account, command, **rest)

    monkeypatch.setattr(client.service, "perform", fail)
    batch = run(batches, create(batches, many(3)).batch)
    assert statuses(batches, batch) == ["done", "unknown", "done"]
    assert items(batches, batch)[1].code == "internal_error"
    check_sums(batches, batch, 3)


# --- configuration


def test_rows_of_an_account_that_was_removed_fail_and_the_others_run(
    make_client: MakeClient, provider: BlockListServer, url: str
) -> None:
    before = Batches(make_client(others=["sales"]).service)
    given = [row(0), row(1, account="sales"), row(2), row(3, account="sales")]
    batch = create(before, given, verify=True).batch
    lease(url, 4)
    expire_leases(url)
    done = run(Batches(make_client().service), batch)
    assert done.status == "done"
    found = items(before, batch)
    assert [each.status for each in found] == ["done", "failed", "done", "unknown"]
    assert found[1].code == "account_not_found"
    assert provider.blocked == {number(0), number(2)}


def test_a_batch_whose_only_account_was_removed_ends(make_client: MakeClient) -> None:
    before = Batches(make_client(others=["sales"]).service)
    batch = create(before, many(2), account="sales").batch
    assert run(Batches(make_client().service), batch).counts == {"failed": 2}


# --- a ledger that is gone


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapter.batches.runner.FIRST_PAUSE", 0.05)
    monkeypatch.setattr("adapter.batches.runner.LONGEST_PAUSE", 0.05)


@pytest.mark.usefixtures("quick")
def test_a_worker_that_is_stopped_while_the_ledger_is_gone_ends_and_does_not_spin(
    make_client: MakeClient, provider: BlockListServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapter.batches.runner.LEASE_MARGIN", 0.5)
    client = make_client(deadline=1.0, pace={"max_in_flight": 2})
    ledger = client.service.ledger
    assert ledger is not None
    provider.hold = True
    worker = BatchWorker(client.service)
    create(worker.batches, many(10))
    worker.start()
    provider.wait_for(2)
    failures: list[float] = []

    def fail(*_: object) -> None:
        failures.append(time.monotonic())
        raise LedgerUnavailable("gone")

    monkeypatch.setattr(ledger, "work", fail)
    provider.release()
    wait_until(lambda: len(failures) > 2, "some failures")
    before, begun = len(failures), time.monotonic()
    stopping = threading.Thread(target=worker.stop)
    stopping.start()
    stopping.join(TIMEOUT)
    assert not stopping.is_alive()
    seconds = time.monotonic() - begun
    assert seconds < 1.5 + 2
    assert len(failures) - before < 30 * seconds + 5


def test_a_batch_whose_publishing_was_not_confirmed_is_kept(
    batches: Batches, client: Client, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    from adapter.batches.staging import Staging

    finish = Staging.finish

    def lose(self: Staging, status: Any) -> None:
        finish(self, status)
        raise LedgerUnavailable("the response is lost")

    monkeypatch.setattr(Staging, "finish", lose)
    assert refuse(lambda: create(batches, many(3))) is Code.LEDGER_UNAVAILABLE
    monkeypatch.undo()
    assert [each["status"] for each in rows(url, "batches")] == ["running"]
    assert len(rows(url, "items")) == 3
    ledger = client.service.ledger
    assert ledger is not None
    assert len(sweep(ledger)) == 1, "it is run"


def test_a_look_for_expired_leases_goes_on_where_it_was(
    make_client: MakeClient, provider: BlockListServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from adapter.batches.claims import Claims

    batches = Batches(make_client(pace={"max_in_flight": 1}).service)
    begun: list[int] = []
    exchange = Claims.exchange

    def note(self: Claims, given: Any) -> Any:
        given.recover = True
        answer = exchange(self, given)
        if answer.leased and not answer.is_exhausted:
            begun.append(answer.after)
        return answer

    monkeypatch.setattr(Claims, "exchange", note)
    assert run(batches, create(batches, many(40)).batch).counts == {"done": 40}
    assert begun == sorted(begun)
    assert all(after >= 4 for after in begun)


@pytest.mark.parametrize(
    ("verify", "verification", "status"),
    [
        (True, Verification(None, Unverified.ONLY_LIDS, 1), "unknown"),
        (True, Verification(True, None, 1), "done"),
        (None, Verification(None, Unverified.NO_READ), "done"),
    ],
)
def test_a_change_that_is_read_back_by_itself_is_done_where_that_was_seen(
    verify: bool | None, verification: Verification, status: str
) -> None:
    outcome = Outcome(confirmation=Confirmation.ACCEPTED, verification=verification)
    command = Command(Action.BLOCK, Contact(number(1)), verify=verify)
    ending = ending_of(Result(outcome, command, ACCOUNT, "waha", attempts=1), 1)
    assert ending.status == status
    assert (ending.why is None) is (status == "done")
