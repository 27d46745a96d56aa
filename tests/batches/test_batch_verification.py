"""The end of a batch with `verify`: what the provider's list shows of its rows."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest
from support import TIMEOUT, account_for, wait_until
from support.batches import ACCOUNT, config_for, create, items, many, number, row, run, statuses
from support.block_list_server import BROKEN, OFFLINE, REJECTED, BlockListServer, Reply
from support.ledgers import rows

from adapter import Client, connect
from adapter.api_keys import ANONYMOUS
from adapter.batches import Batches
from adapter.batches.comparing import require_verifiable
from adapter.codes import Action, Code
from adapter.errors import RequestError
from adapter.provider import Provider
from adapter.results import Command, Result

Spawn = Callable[..., Future[Any]]


class HeldList:
    """Holds the reading of a list at the end of a batch, until `go` is set."""

    def __init__(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reading, self.go = threading.Event(), threading.Event()
        self._perform = client.service.perform
        self._lists = 0
        monkeypatch.setattr(client.service, "perform", self.perform)

    def perform(self, account: str, command: Command, **rest: Any) -> Result:
        if command.action is Action.LIST:
            self._lists += 1
            if self._lists == 2:  # the first is read before the rows
                self.reading.set()
                assert self.go.wait(TIMEOUT)
        return self._perform(account, command, **rest)


def test_a_batch_that_is_retried_while_its_list_is_read_goes_on_in_the_same_process(
    client: Client,
    batches: Batches,
    provider: BlockListServer,
    spawn: Spawn,
    stop: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    provider.reply = lambda _, given: REJECTED if given == number(0) else None
    held = HeldList(client, monkeypatch)
    batch = create(batches, many(3), verify=True).batch
    running = spawn(run, batches, batch, stop)
    assert held.reading.wait(TIMEOUT)
    batches.cancel(batch.id, ANONYMOUS)
    provider.reply = lambda *_: None
    batches.retry(batch.id, ANONYMOUS)
    held.go.set()
    wait_until(lambda: batches.get(batch.id, ANONYMOUS).status == "done", "the end of the batch")
    assert running.result(TIMEOUT).counts == {"done": 3}


# --- rows of which the list shows nothing


def list_of(*jids: str) -> Reply:
    return Reply(200, {"success": True, "data": {"items": [{"jid": jid} for jid in jids]}})


@pytest.mark.parametrize(
    ("entry", "code"),
    [("99911122233344@lid", "only_lids"), ("", "incomplete")],
    ids=["lid", "other form"],
)
def test_a_done_row_that_the_list_cannot_be_compared_with_is_unknown_with_the_reason(
    batches: Batches, provider: BlockListServer, entry: str, code: str
) -> None:
    second = 88_888_888
    short = f"{number(second)[:4]}{number(second)[5:]}@s.whatsapp.net"  # without the ninth digit
    given = list_of(f"{number(0)}@s.whatsapp.net", entry or short)
    provider.reply = lambda action, _: given if action == "list" and provider.requests else None
    done = run(batches, create(batches, [row(0), row(second)], verify=True).batch)
    assert statuses(batches, done) == ["done", "unknown"]
    unclear = items(batches, done)[1]
    assert unclear.code == code
    assert unclear.why is not None
    assert unclear.why.startswith("It was done, and not verified: the ")


def test_an_unknown_row_that_the_list_cannot_be_compared_with_keeps_its_code(
    batches: Batches, provider: BlockListServer
) -> None:
    given = list_of("99911122233344@lid")
    provider.reply = lambda action, _: given if action == "list" else BROKEN
    done = run(batches, create(batches, many(1), verify=True).batch)
    assert [(each.status, each.code) for each in items(batches, done)] == [
        ("unknown", "provider_error")
    ]


@pytest.mark.usefixtures("no_wait")
def test_a_row_that_the_list_fails_has_what_the_provider_said_of_its_call(
    batches: Batches, provider: BlockListServer
) -> None:
    replies = {number(0): BROKEN, number(1): Reply(200, {"success": True, "data": {}})}
    provider.reply = lambda action, given: replies.get(given)
    before = items(batches, run(batches, create(batches, many(2)).batch))
    done = run(batches, create(batches, many(2), verify=True).batch)
    for was, now in zip(before, items(batches, done), strict=True):
        assert (was.status, now.status, now.code) == ("unknown", "failed", was.code)
        assert now.why == f"The list shows that nothing was changed. {was.why}"
    assert "failed to process" in str(before[0].why)


def test_rows_of_a_provider_without_any_read_are_unknown_at_the_end(
    client: Client, batches: Batches, provider: BlockListServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    cls = type(client.service.accounts[ACCOUNT].provider)
    batch = create(batches, many(2), verify=True).batch
    leave_out_reads(cls, monkeypatch)
    done = run(batches, batch)
    assert [(each.status, each.code) for each in items(batches, done)] == [
        ("unknown", "no_read")
    ] * 2


def test_verify_is_refused_for_an_account_without_any_read() -> None:
    without = account_for("wappfy", "http://127.0.0.1:1")
    accounts = {
        "with": {**without, "fallback": "memory"},
        "without": without,
        "memory": {"provider": "memory"},
    }
    with connect({"accounts": accounts}) as client:
        found = client.service.accounts
        require_verifiable([found["with"], found["memory"]])
        with pytest.raises(RequestError) as caught:
            require_verifiable(found.values())
    outcome = caught.value.outcome
    assert outcome.code is Code.VALIDATION_ERROR
    (message,) = outcome.fields["verify"]
    assert "leave it out (accounts: without)" in message


def leave_out_reads(cls: type[Provider], monkeypatch: pytest.MonkeyPatch) -> None:
    changes = frozenset({Action.BLOCK, Action.UNBLOCK})
    monkeypatch.setattr(cls, "_actions", changes)


# --- the list of the fallback


def test_the_list_of_the_fallback_decides_where_the_account_has_none(
    provider: BlockListServer, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_for(provider.address, url)
    fallback = {"provider": "memory"}
    config["accounts"][ACCOUNT]["fallback"] = "second"
    config["accounts"]["second"] = fallback
    with connect(config) as client:
        leave_out_reads(type(client.service.accounts[ACCOUNT].provider), monkeypatch)
        batches = Batches(client.service)
        assert client.block(number(0), account="second").ok
        done = run(batches, create(batches, many(2), verify=True).batch)
        assert statuses(batches, done) == ["unchanged", "failed"]
        assert items(batches, done)[1].code == "not_effective"
    assert provider.requests == [("block", number(1))]


# --- changes that take effect after their responses


@pytest.fixture
def no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapter.batches.list_check.LIST_DELAY", 0)
    monkeypatch.setattr("adapter.batches.list_check.RECHECK_DELAY", 0)


def accept(provider: BlockListServer, lists: int) -> None:
    """Let changes take effect when the list has been read so often."""

    def reply(action: str, given: str) -> Reply | None:
        if action != "list":
            data = {"jid": f"{given}@s.whatsapp.net", "action": action, "blocked": True}
            return Reply(200, {"success": True, "data": data})
        if provider.lists > lists:
            provider.states.update((each, True) for _, each in provider.requests)
        return None

    provider.reply = reply


def set_synchronous(client: Client, monkeypatch: pytest.MonkeyPatch, value: bool) -> None:
    cls = type(client.service.accounts[ACCOUNT].provider)
    monkeypatch.setattr(cls, "synchronous", value)


@pytest.mark.usefixtures("no_wait")
@pytest.mark.parametrize(
    ("synchronous", "lists", "expected"),
    [(False, 2, "done"), (False, 3, "failed"), (True, 2, "failed")],
    ids=["late", "never", "synchronous"],
)
def test_a_list_that_shows_the_opposite_is_read_once_more_where_changes_may_be_late(
    client: Client,
    batches: Batches,
    provider: BlockListServer,
    monkeypatch: pytest.MonkeyPatch,
    synchronous: bool,
    lists: int,
    expected: str,
) -> None:
    set_synchronous(client, monkeypatch, synchronous)
    accept(provider, lists)
    done = run(batches, create(batches, many(2), verify=True).batch)
    assert done.counts == {expected: 2}
    assert provider.lists == (2 if synchronous else 3)


@pytest.mark.usefixtures("no_wait")
def test_an_unknown_row_that_takes_effect_late_is_done(
    batches: Batches, provider: BlockListServer
) -> None:
    def reply(action: str, given: str) -> Reply | None:
        if action == "list" and provider.lists > 2:
            provider.states[number(0)] = True
        return None if action == "list" else BROKEN

    provider.reply = reply
    assert run(batches, create(batches, many(1), verify=True).batch).counts == {"done": 1}
    assert provider.lists == 3


def test_a_stop_ends_the_wait_for_a_second_list(
    client: Client, batches: Batches, provider: BlockListServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop, accepted = threading.Event(), threading.Event()
    monkeypatch.setattr("adapter.batches.list_check.RECHECK_DELAY", 2 * TIMEOUT)
    set_synchronous(client, monkeypatch, False)
    accept(provider, 2)
    reply = provider.reply

    def note(action: str, given: str) -> Reply | None:
        if action == "list" and provider.lists == 2:
            accepted.set()
            stop.set()
        return reply(action, given)

    provider.reply = note
    stopped = run(batches, create(batches, many(2), verify=True).batch, stop)
    assert accepted.is_set()
    assert (stopped.status, stopped.counts) == ("running", {"done": 2})


# --- a list that cannot be read at the end


@pytest.mark.usefixtures("no_delays", "no_wait")
def test_a_list_that_cannot_be_read_while_the_account_is_offline_is_waited_for(
    batches: Batches, provider: BlockListServer, url: str
) -> None:
    def reply(action: str, _: str) -> Reply | None:
        return OFFLINE if action == "list" and 1 < provider.lists < 6 else None

    provider.reply = reply
    assert run(batches, create(batches, many(2), verify=True).batch).counts == {"done": 2}
    assert provider.lists == 6
    (lane,) = rows(url, "lanes")
    assert (lane["pauses"], lane["paused_until"], lane["pause_code"]) == (0, None, None)


@pytest.mark.parametrize("end", ["stop", "pause"])
def test_a_batch_that_waits_for_its_list_shows_why_and_can_be_stopped_and_paused(
    batches: Batches,
    provider: BlockListServer,
    spawn: Spawn,
    stop: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
    end: str,
) -> None:
    monkeypatch.setattr("adapter.batches.lanes.FIRST_PAUSE", 2 * TIMEOUT)
    monkeypatch.setattr("adapter.batches.lanes.LONGEST_PAUSE", 2 * TIMEOUT)
    monkeypatch.setattr("adapter.batches.list_check.LOOK_EVERY", 0.02)
    provider.reply = lambda action, _: OFFLINE if action == "list" else None
    batch = create(batches, many(2), verify=True).batch
    running = spawn(run, batches, batch, stop)
    wait_until(lambda: batches.get(batch.id, ANONYMOUS).pause_code, "the lane's pause")
    waiting = batches.get(batch.id, ANONYMOUS)
    assert (waiting.pause_code, waiting.counts) == ("session_not_connected", {"done": 2})
    if end == "stop":
        stop.set()
    else:
        batches.pause(batch.id, ANONYMOUS)
    ended = running.result(TIMEOUT)
    assert ended.status == ("running" if end == "stop" else "paused")
    assert ended.counts == {"done": 2}


@pytest.mark.usefixtures("no_wait")
def test_a_credential_that_may_not_read_the_list_leaves_the_rows_unknown(
    batches: Batches, provider: BlockListServer, url: str
) -> None:
    denied = Reply(403, {"success": False, "error": "denied", "error_code": "FORBIDDEN"})
    provider.reply = lambda action, _: denied if action == "list" else None
    done = run(batches, create(batches, many(2), verify=True).batch)
    assert {(each.status, each.code) for each in items(batches, done)} == {
        ("unknown", "provider_permission_denied")
    }
    assert rows(url, "lanes")[0]["pauses"] == 0
