"""The calls of a service in its ledger: opened before they are sent, closed after."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support import NUMBER, TIMEOUT, Upstream, account_for, run_upstream
from support.ledgers import locked, rows

from adapter import Client, Code, connect
from adapter.api_keys import ANONYMOUS
from adapter.codes import Action, Retry
from adapter.contacts import Contact
from adapter.ledger.ledger import Ledger
from adapter.ledger.opened import Opened
from adapter.results import Command
from adapter.transport.intents import SUPERSEDED

Open = Callable[..., Client]


@pytest.fixture
def open_client(url: str) -> Iterator[Open]:
    """Return a function that connects to an upstream, with a ledger and its settings."""
    made: list[Client] = []

    def open_one(upstream: Upstream | None = None, **ledger: Any) -> Client:
        account = account_for("wuts", upstream.address) if upstream else {"provider": "memory"}
        settings = {"url": url, "wait": 10, **ledger}
        made.append(connect({"accounts": {"support": account}, "ledger": settings}))
        return made[-1]

    yield open_one
    for each in made:
        each.close()


@pytest.fixture
def held() -> Iterator[Upstream]:
    with run_upstream(held=True) as running:
        yield running


def test_a_change_is_recorded_with_its_caller_reason_and_result(
    open_client: Open, url: str
) -> None:
    client = open_client()
    result = client.block(NUMBER, reason="opt_out", ref="ticket 17")
    assert (result.ok, result.recorded) == (True, True)
    (call,) = rows(url, "calls")
    expected = {
        "account": "support",
        "provider": "memory",
        "action": "block",
        "via": "python",
        "key_name": None,
        "request_id": result.request_id,
        "reason": "opt_out",
        "ref": "ticket 17",
        "code": "ok",
        "outcome": "applied",
        "confirmation": "provider_state",
        "attempts": 1,
    }
    assert {name: call[name] for name in expected} == expected
    (block,) = rows(url, "blocks")
    assert (block["state"], block["certainty"]) == ("blocked", "provider_state")
    data = result.envelope()["data"]
    assert (data["reason"], data["ref"]) == ("opt_out", "ticket 17")
    assert result.envelope()["meta"]["recorded"] is True


def test_the_data_of_a_change_without_reason_and_ref_has_neither(open_client: Open) -> None:
    data = open_client().block(NUMBER).envelope()["data"]
    assert not {"reason", "ref"} & set(data)


@pytest.mark.parametrize(
    ("note", "field"),
    [
        ({"reason": "Spam"}, "reason"),
        ({"reason": ""}, "reason"),
        ({"reason": "x" * 65}, "reason"),
        ({"reason": 5}, "reason"),
        ({"ref": ""}, "ref"),
        ({"ref": "x" * 129}, "ref"),
        ({"ref": "a\nb"}, "ref"),
    ],
)
def test_an_invalid_reason_or_ref_is_refused(
    open_client: Open, url: str, note: dict[str, Any], field: str
) -> None:
    result = open_client().block(NUMBER, **note)
    assert result.code is Code.VALIDATION_ERROR
    assert list(result.fields) == [field]
    assert rows(url, "calls") == []


def test_a_read_is_recorded_once_it_has_ended(open_client: Open, url: str) -> None:
    client = open_client()
    for result in (client.blocked(), client.status(), client.state(NUMBER)):
        assert result.recorded is True
    assert client.lookup([NUMBER]).recorded is True
    calls = rows(url, "calls")
    assert [call["action"] for call in calls] == ["list", "status", "state", "lookup"]
    assert {call["code"] for call in calls} == {"ok"}


def test_a_change_is_open_in_the_ledger_while_its_request_is_under_way(
    open_client: Open, url: str, held: Upstream, spawn: Any
) -> None:
    client = open_client(held)
    running = spawn(client.block, NUMBER)
    assert held.arrived.wait(TIMEOUT)
    (call,) = rows(url, "calls")
    assert (call["closed_at"], call["code"]) == (None, None)
    held.release.set()
    assert running.result(TIMEOUT).recorded is True


def test_without_a_database_calls_go_on_and_are_not_recorded(
    open_client: Open, url: str, upstream: Upstream
) -> None:
    upstream.will_answer(200, wuts_data())
    client = open_client(upstream, wait=0.05)
    with locked(url):
        result = client.block(NUMBER)
    assert (result.ok, result.recorded) == (True, False)
    assert result.envelope()["meta"]["recorded"] is False


def test_a_required_ledger_that_is_gone_refuses_the_change_before_it_is_sent(
    open_client: Open, url: str, upstream: Upstream
) -> None:
    upstream.will_answer(200, wuts_data())
    client = open_client(upstream, wait=0.05, required=True)
    with locked(url):
        result = client.block(NUMBER)
    assert (result.code, result.retry_after) == (Code.LEDGER_UNAVAILABLE, 1)
    assert (result.recorded, result.attempts) == (False, 0)
    assert upstream.seen == []
    client.close()
    assert all(block["state"] == "unknown" for block in rows(url, "blocks"))


def test_a_change_older_than_an_opposite_wish_of_another_process_is_not_sent(
    open_client: Open, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Opened, "superseded", property(lambda opened: True))
    result = open_client(upstream).block(NUMBER)
    assert result.code is Code.PROVIDER_CONFLICT
    assert (result.message, result.retry, result.attempts) == (SUPERSEDED, Retry.NEVER, 0)
    assert upstream.seen == []
    assert result.recorded is True


def test_a_lost_change_is_not_sent_again_once_another_process_requests_the_opposite(
    open_client: Open, url: str, held: Upstream, spawn: Any
) -> None:
    held.will_answer(503, {"error": "busy"})
    first, second = open_client(held), open_client()
    running = spawn(first.block, NUMBER)
    assert held.arrived.wait(TIMEOUT)
    assert second.unblock(NUMBER).ok
    held.release.set()
    result = running.result(TIMEOUT)
    assert (result.ok, result.retry, result.attempts) == (False, Retry.NEVER, 1)
    assert result.message.endswith(SUPERSEDED)
    assert len(held.seen) == 1
    (block,) = rows(url, "blocks")
    assert block["wanted"] == "unblocked"


def test_an_exception_of_a_plugin_closes_the_call_as_an_internal_error(
    open_client: Open, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = open_client()

    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    account = client.service.accounts["support"]
    monkeypatch.setattr(account, "call", fail)
    with pytest.raises(ZeroDivisionError):
        client.block(NUMBER)
    (call,) = rows(url, "calls")
    assert (call["code"], call["outcome"]) == ("internal_error", "unknown")


@pytest.mark.parametrize("method", ["open", "record"])
def test_no_exception_of_the_ledger_loses_the_result(
    open_client: Open, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Ledger, "_submit", fail)
    client = open_client()
    result = client.block(NUMBER) if method == "open" else client.blocked()
    assert (result.ok, result.recorded) == (True, False)


def test_the_order_of_the_ledger_is_that_of_the_process(open_client: Open) -> None:
    client = open_client()
    account, context = client.service.accounts["support"], ANONYMOUS.context("python")
    ledger = client.service.ledger
    assert ledger is not None
    older, newer = (Command(action, Contact(NUMBER)) for action in (Action.BLOCK, Action.UNBLOCK))
    opened = [ledger.open("support", "memory", each, context, 15) for each in (older, newer)]
    intents = account.resilience.intents
    second = intents.begin(newer, opened[1])  # its thread was faster
    first = intents.begin(older, opened[0])
    assert first.is_superseded()
    assert not second.is_superseded()


def test_the_anonymous_caller_has_no_key_name_and_the_others_have() -> None:
    assert ANONYMOUS.context("api").key_name is None


def test_without_a_ledger_nothing_is_recorded() -> None:
    with connect({"accounts": {"support": {"provider": "memory"}}}) as client:
        result = client.block(NUMBER, reason="spam")
        assert (result.ok, result.recorded) == (True, None)
        assert result.envelope()["meta"]["recorded"] is None
    assert client.service.ledger is None


def wuts_data() -> dict[str, Any]:
    data = {"jid": f"{NUMBER}@s.whatsapp.net", "action": "block", "blocked": True}
    return {"success": True, "data": data}
