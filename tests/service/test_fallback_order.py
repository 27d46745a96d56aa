"""The newest wish wins on both routes of an account with a fallback."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support import NUMBER, Upstream, account_for
from support.fallbacks import Answer, Open, blocked_in, unreachable

from adapter import Action, Client, Code, Command, Contact, Retry
from adapter.results import Outcome
from adapter.transport.intents import SUPERSEDED, Intents, begin_jointly

pytest_plugins = ["support.fallback_fixtures"]

ANA = Contact(NUMBER)
BLOCK, UNBLOCK = Command(Action.BLOCK, ANA), Command(Action.UNBLOCK, ANA)


def opposite_between(client: Client, account: str) -> Answer:
    """Return a call that fails after an opposite wish has begun, and ended, for `account`."""

    def answer(*_: Any) -> tuple[Outcome, int]:
        assert client.unblock(NUMBER, account=account).ok
        return Outcome.failure(Code.PROVIDER_UNREACHABLE), 1

    return answer


def test_a_newer_opposite_wish_for_the_fallback_itself_wins(
    open_pair: Open, replace_call: Callable[..., list[Command]]
) -> None:
    client = open_pair()
    replace_call(client, "support", opposite_between(client, "support-2"))
    result = client.block(NUMBER)
    assert (result.code, result.route) == (Code.PROVIDER_UNREACHABLE, ("support",))
    assert blocked_in(client, "support-2") == []


def test_a_newer_opposite_wish_for_the_account_wins(
    open_pair: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = open_pair()
    account = client.service.accounts["support"]
    real = account.call

    def call(command: Command, *args: Any) -> tuple[Outcome, int]:
        if command.action is Action.UNBLOCK:
            return real(command, *args)
        return opposite_between(client, "support")()

    monkeypatch.setattr(account, "call", call)
    result = client.block(NUMBER)
    assert (result.code, result.route) == (Code.PROVIDER_UNREACHABLE, ("support",))
    assert blocked_in(client, "support-2") == []


def test_a_wish_that_became_older_while_the_fallback_connects_is_not_sent(
    open_pair: Open, replace_call: Callable[..., list[Command]], upstream: Upstream
) -> None:
    client = open_pair(unreachable(), account_for("wuts", upstream.address))
    fallback = client.service.accounts["support-2"]
    real = fallback.call

    def answer(*args: Any) -> tuple[Outcome, int]:
        intents = client.service.accounts["support"].resilience.intents
        intents.begin(UNBLOCK).end()
        return real(*args)

    replace_call(client, "support-2", answer)
    result = client.block(NUMBER)
    assert upstream.seen == []
    assert (result.code, result.retry) == (Code.PROVIDER_UNREACHABLE, Retry.NEVER)
    assert SUPERSEDED in result.message


@pytest.mark.parametrize("account", ["support", "support-2"])
def test_an_older_call_of_either_account_is_superseded_by_a_newer_one_of_the_account(
    open_pair: Open, account: str
) -> None:
    client = open_pair(unreachable())
    older = client.service.accounts[account].resilience.intents.begin(UNBLOCK)
    assert client.block(NUMBER).ok
    assert older.is_superseded()
    older.end()


def test_no_intent_is_left_after_the_call(open_pair: Open) -> None:
    client = open_pair(unreachable())
    client.block(NUMBER)
    for account in client.service.accounts.values():
        assert account.resilience.intents._calls == {}


def test_of_two_joint_wishes_one_is_the_newer_in_both_orders() -> None:
    first, second = Intents(), Intents()
    older = begin_jointly((first, second), BLOCK)
    newer = begin_jointly((second, first), UNBLOCK)
    assert (older.is_superseded(), newer.is_superseded()) == (True, False)
    only = second.begin(BLOCK)
    assert newer.is_superseded()
    for each in (older, newer, only):
        each.end()
    assert first._calls == second._calls == {}


def test_accounts_of_the_same_upstream_hold_one_place() -> None:
    same = Intents()
    intent = begin_jointly((same, same), BLOCK)
    assert not intent.is_superseded()
    intent.end()
    assert same._calls == {}
