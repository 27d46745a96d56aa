"""The calls of an account with a fallback in the ledger: one call of the requested account."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support import NUMBER, OTHER_NUMBER, Upstream, account_for, free_port
from support.ledgers import locked, rows

from adapter import Client, Code, connect
from adapter.history import Filters
from adapter.ledger.opened import Opened
from adapter.results import Outcome

ROUTE = ("support", "support-2")

Open = Callable[..., Client]


@pytest.fixture
def open_client(url: str) -> Iterator[Open]:
    """Return a function that connects `support`, whose fallback is in memory, with a ledger."""
    made: list[Client] = []

    def open_one(first: dict[str, Any] | None = None, **ledger: Any) -> Client:
        dead = account_for("wuts", f"http://127.0.0.1:{free_port()}")
        accounts = {
            "support": {**(first or dead), "fallback": "support-2"},
            "support-2": {"provider": "memory"},
        }
        settings = {"url": url, "wait": 10, **ledger}
        config = {"accounts": accounts, "default_account": "support", "ledger": settings}
        made.append(connect(config))
        return made[-1]

    yield open_one
    for each in made:
        each.close()


def test_a_change_on_both_routes_is_one_call_of_the_requested_account(
    open_client: Open, url: str
) -> None:
    result = open_client().block(NUMBER, reason="opt_out")
    assert (result.ok, result.recorded, result.route) == (True, True, ROUTE)
    (call,) = rows(url, "calls")
    facts = ("account", "provider", "code", "outcome", "attempts")
    assert [call[name] for name in facts] == ["support", "memory", "ok", "applied", result.attempts]
    (block,) = rows(url, "blocks")
    assert (block["account"], block["state"]) == ("support", "blocked")
    assert block["certainty"] == "provider_state"


def test_the_history_has_the_provider_whose_response_counts(open_client: Open) -> None:
    client = open_client()
    client.block(NUMBER)
    (entry,) = client.service.history(Filters()).calls or ()
    assert (entry.account, entry.provider) == ("support", "memory")


@pytest.mark.parametrize(
    ("later", "provider", "states"),
    [
        (Code.PROVIDER_TIMEOUT, "memory", {"unknown"}),
        (Code.SESSION_NOT_CONNECTED, "wuts", {"unknown"}),
    ],
)
def test_where_both_fail_the_call_has_the_failure_that_counts(
    open_client: Open,
    url: str,
    monkeypatch: pytest.MonkeyPatch,
    later: Code,
    provider: str,
    states: set[str],
) -> None:
    client = open_client()
    fallback = client.service.accounts["support-2"]
    monkeypatch.setattr(fallback, "call", lambda *_: (Outcome.failure(later), 1))
    result = client.block(NUMBER)
    (call,) = rows(url, "calls")
    assert result.code is not None
    assert (call["provider"], call["code"]) == (provider, result.code.value)
    assert {block["state"] for block in rows(url, "blocks")} == states


def test_reads_on_both_routes_are_recorded_once(open_client: Open, url: str) -> None:
    client = open_client()
    for result in (client.blocked(), client.state(NUMBER), client.lookup([NUMBER])):
        assert (result.ok, result.route, result.recorded) == (True, ROUTE, True)
    calls = rows(url, "calls")
    assert [(each["account"], each["provider"]) for each in calls] == [("support", "memory")] * 3


def test_a_list_and_a_state_are_of_the_fallback_before_those_of_the_ledger(
    open_client: Open, upstream: Upstream
) -> None:
    client = open_client(account_for("session-gateway", upstream.address))
    assert client.block(OTHER_NUMBER, account="support-2").ok
    listed, state = client.blocked(), client.state(OTHER_NUMBER)
    assert listed.envelope()["data"]["source"] == "provider"
    assert state.envelope()["data"]["source"] == "provider"
    assert state.state is not None
    assert state.state.blocked is True
    assert client.blocked(source="ledger").route is None


def test_a_newer_wish_in_another_process_keeps_a_change_from_the_fallback(
    open_client: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = open_client()
    monkeypatch.setattr(Opened, "is_superseded", lambda opened: True)
    result = client.block(NUMBER)
    assert (result.code, result.route) == (Code.PROVIDER_UNREACHABLE, ("support",))
    assert client.blocked(account="support-2").contacts == ()


def test_a_change_that_the_ledger_refuses_has_called_no_account(
    open_client: Open, url: str
) -> None:
    client = open_client(required=True, wait=0.05)
    with locked(url):
        result = client.block(NUMBER)
    assert (result.code, result.route) == (Code.LEDGER_UNAVAILABLE, ())
    assert result.envelope()["meta"]["route"] == []


def test_a_key_that_was_used_returns_the_result_of_the_fallback(
    open_client: Open,
) -> None:
    client = open_client()
    first = client.block(NUMBER, idempotency_key="key-1")
    again = client.block(NUMBER, idempotency_key="key-1")
    assert (first.provider, first.replayed) == ("memory", False)
    assert (again.ok, again.provider, again.replayed) == (True, "memory", True)
    assert again.route is None
