"""The fallback of an account: when it is called, and whose outcome is the result."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import pytest
from support import NUMBER, TIMEOUT, Upstream, account_for, free_port, run_upstream
from support.fallbacks import MEMORY, ROUTE, Open, blocked_in, unreachable

from adapter import Action, Applied, Code, Command, Contact, Retry, connect
from adapter.account import Account
from adapter.codes import FOLLOWED_BY_FALLBACK, Verify
from adapter.fallback import MIN_SHARE
from adapter.results import Outcome
from adapter.service import result_of

pytest_plugins = ["support.fallback_fixtures"]

ANA = Contact(NUMBER)
BLOCK, UNBLOCK = Command(Action.BLOCK, ANA), Command(Action.UNBLOCK, ANA)
FOLLOWED = {
    "session_not_found",
    "session_not_connected",
    "operation_not_supported",
    "provider_auth_failed",
    "provider_permission_denied",
    "provider_redirected",
    "provider_tls_error",
    "provider_unreachable",
    "circuit_open",
}
WUTS_DONE = {
    "success": True,
    "data": {"jid": f"{NUMBER}@s.whatsapp.net", "action": "block", "blocked": True},
}


# --- which failures go on


@pytest.mark.parametrize("code", Code, ids=lambda code: code.value)
def test_a_change_goes_on_after_these_codes_and_no_other(
    open_pair: Open, replace_call: Callable[..., list[Command]], code: Code
) -> None:
    client = open_pair()
    replace_call(client, "support", Outcome.failure(code))
    result = client.block(NUMBER)
    if code.value in FOLLOWED:
        assert (result.ok, result.route, result.attempts) == (True, ROUTE, 2)
    else:
        assert (result.code, result.route, result.attempts) == (code, ("support",), 1)
        assert blocked_in(client, "support-2") == []


@pytest.mark.parametrize("code", Code, ids=lambda code: code.value)
def test_a_read_goes_on_after_the_same_codes(
    open_pair: Open, replace_call: Callable[..., list[Command]], code: Code
) -> None:
    client = open_pair()
    replace_call(client, "support", Outcome.failure(code))
    for result in (client.blocked(), client.state(NUMBER), client.lookup([NUMBER])):
        assert result.ok is (code.value in FOLLOWED)
    status = client.status()
    assert (status.code, status.route) == (code, ("support",)), "a status is about the session"


def test_each_code_that_is_followed_is_certain_and_has_its_reason() -> None:
    assert {code.value for code in FOLLOWED_BY_FALLBACK} == FOLLOWED
    assert {code.applied for code in FOLLOWED_BY_FALLBACK} == {Applied.NOT_APPLIED}
    assert all(FOLLOWED_BY_FALLBACK.values())


def test_a_success_is_not_followed(open_pair: Open) -> None:
    client = open_pair()
    result = client.block(NUMBER)
    assert (result.route, result.provider, result.attempts) == (("support",), "memory", 1)
    assert blocked_in(client, "support-2") == []


def test_an_invalid_contact_reaches_no_account(open_pair: Open) -> None:
    result = open_pair(unreachable()).block("not a number")
    assert (result.code, result.route) == (Code.INVALID_TARGET, None)


def test_without_a_fallback_there_is_no_route() -> None:
    with connect({"accounts": {"support": MEMORY}}) as client:
        result = client.block(NUMBER)
        assert result.route is None
        assert "route" not in result.envelope()["meta"]


# --- over the wire


def test_an_unreachable_provider_is_followed_by_the_fallback(
    open_pair: Open, upstream: Upstream
) -> None:
    upstream.will_answer(200, WUTS_DONE)
    client = open_pair(
        {**account_for("wappfy", f"http://127.0.0.1:{free_port()}")},
        account_for("wuts", upstream.address),
    )
    result = client.block(NUMBER)
    assert (result.ok, result.account, result.provider) == (True, "support", "wuts")
    assert len(upstream.seen) == 1
    envelope = result.envelope()
    assert envelope["meta"]["route"] == list(ROUTE)
    assert envelope["data"]["account"] == "support"


def test_a_session_that_is_offline_is_followed_and_a_lost_response_is_not(
    open_pair: Open, upstream: Upstream
) -> None:
    client = open_pair(account_for("session-gateway", upstream.address))
    error = {"error": {"code": "not_implemented", "message": "device offline", "details": {}}}
    upstream.will_answer(501, error)
    assert client.block(NUMBER).route == ROUTE
    upstream.will_answer(500, None)
    result = client.unblock(NUMBER)
    assert (result.applied, result.route) == (Applied.UNKNOWN, ("support",))
    assert blocked_in(client, "support-2") == [NUMBER]


def test_a_paused_account_is_followed(open_pair: Open) -> None:
    transport = {"breaker_threshold": 1, "breaker_pause": 300.0}
    client = open_pair({**unreachable(), "transport": transport})
    assert client.block(NUMBER).route == ROUTE
    paused = client.unblock(NUMBER)
    assert (paused.ok, paused.route, paused.attempts) == (True, ROUTE, 1)


def test_the_provider_of_an_account_alone_does_not_limit_its_actions(
    open_pair: Open, upstream: Upstream
) -> None:
    client = open_pair(account_for("session-gateway", upstream.address))
    assert client.blocked().ok
    assert client.state(NUMBER).ok
    assert upstream.seen == []


# --- where both fail


@pytest.mark.parametrize(
    "later", [Code.PROVIDER_AUTH_FAILED, Code.TARGET_REJECTED, Code.NOT_EFFECTIVE]
)
def test_where_both_certainly_did_nothing_the_result_is_the_failure_of_the_account(
    open_pair: Open, replace_call: Callable[..., list[Command]], later: Code
) -> None:
    client = open_pair(unreachable())
    replace_call(client, "support-2", Outcome.failure(later))
    result = client.block(NUMBER)
    assert (result.code, result.provider) == (Code.PROVIDER_UNREACHABLE, "wuts")
    assert (result.retry, result.route) == (Retry.AFTER_DELAY, ROUTE)
    assert f"The fallback failed: {later.value}." in result.message


@pytest.mark.parametrize("later", [code for code in Code if code.applied is Applied.UNKNOWN])
def test_an_unknown_outcome_of_the_fallback_is_the_result(
    open_pair: Open, replace_call: Callable[..., list[Command]], later: Code
) -> None:
    client = open_pair(unreachable())
    replace_call(client, "support-2", Outcome.failure(later))
    result = client.block(NUMBER)
    assert (result.code, result.applied, result.provider) == (later, Applied.UNKNOWN, "memory")
    assert result.route == ROUTE


def test_where_the_account_never_can_the_result_is_the_failure_of_the_fallback(
    open_pair: Open, upstream: Upstream
) -> None:
    client = open_pair(account_for("session-gateway", upstream.address), unreachable())
    result = client.blocked()
    assert (result.code, result.retry) == (Code.PROVIDER_UNREACHABLE, Retry.AFTER_DELAY)


def test_an_exception_of_the_fallback_is_a_call_of_both(
    open_pair: Open, replace_call: Callable[..., list[Command]]
) -> None:
    def fail(*_: Any) -> tuple[Outcome, int]:
        raise ZeroDivisionError

    client = open_pair(unreachable())
    replace_call(client, "support-2", fail)
    with pytest.raises(ZeroDivisionError) as caught:
        client.block(NUMBER)
    result = result_of(caught.value)
    assert result is not None
    assert (result.code, result.route) == (Code.INTERNAL_ERROR, ROUTE)
    assert (result.account, result.provider) == ("support", "memory")


# --- one level, one deadline


def test_the_fallback_of_a_fallback_is_not_called(open_pair: Open) -> None:
    second = {**unreachable(), "fallback": "support-3"}
    client = open_pair(unreachable(), second, **{"support-3": MEMORY})
    result = client.block(NUMBER)
    assert (result.code, result.route) == (Code.PROVIDER_UNREACHABLE, ROUTE)
    assert blocked_in(client, "support-3") == []


def test_two_accounts_may_be_the_fallbacks_of_each_other(open_pair: Open) -> None:
    client = open_pair(unreachable(), {**unreachable(), "fallback": "support"})
    assert client.block(NUMBER).route == ROUTE
    assert client.block(NUMBER, account="support-2").route == ROUTE[::-1]


@pytest.mark.parametrize(
    ("command", "deadline"),
    [(BLOCK, 10.0), (Command(Action.LIST), 40.0), (Command(Action.STATE, ANA), 40.0)],
    ids=lambda each: str(getattr(each, "action", each)),
)
def test_the_deadline_of_the_account_holds_over_both_calls(
    open_pair: Open,
    replace_call: Callable[..., list[Command]],
    command: Command,
    deadline: float,
) -> None:
    ends: list[float] = []

    def answer(*args: Any) -> tuple[Outcome, int]:
        ends.append(args[-1])
        return Outcome.failure(Code.PROVIDER_TIMEOUT), 1

    transport = {"deadline": 10.0, "list_deadline": 40.0}
    client = open_pair({**unreachable(), "transport": transport})
    replace_call(client, "support-2", answer)
    started = time.monotonic()
    client.service.perform("support", command)
    assert started + deadline <= ends[0] <= time.monotonic() + deadline


def test_a_call_ends_at_the_deadline_of_the_account(open_pair: Open) -> None:
    with run_upstream(held=True) as held:
        client = open_pair(
            {**unreachable(), "transport": {"deadline": 0.4}}, account_for("wuts", held.address)
        )
        started = time.monotonic()
        result = client.block(NUMBER, verify=False)
        assert result.code is Code.PROVIDER_TIMEOUT
        assert time.monotonic() - started < TIMEOUT / 2, "its own deadline is 15 seconds"


def test_near_the_deadline_the_fallback_is_not_called(
    open_pair: Open,
    replace_call: Callable[..., list[Command]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = open_pair({**MEMORY, "transport": {"deadline": 10.0}})
    now = time.monotonic()

    def answer(*_: Any) -> tuple[Outcome, int]:
        late = now + 10.0 - 10.0 * MIN_SHARE / 2
        monkeypatch.setattr("adapter.fallback.time.monotonic", lambda: late)
        return Outcome.failure(Code.PROVIDER_UNREACHABLE), 1

    replace_call(client, "support", answer)
    called = replace_call(client, "support-2", Outcome.failure(Code.PROVIDER_TIMEOUT))
    with monkeypatch.context():
        result = client.block(NUMBER)
    monkeypatch.undo()
    assert (result.code, result.route, called) == (
        Code.PROVIDER_UNREACHABLE,
        ("support",),
        [],
    )


# --- verification


def test_the_fallback_reads_a_change_back_as_the_requested_account_is_configured(
    open_pair: Open,
) -> None:
    client = open_pair({**unreachable(), "verify": "always"}, {**MEMORY, "verify": "never"})
    assert client.block(NUMBER).verified is True
    assert client.service.accounts["support-2"].verify is Verify.NEVER


@pytest.mark.parametrize(("verify", "verified"), [(True, True), (False, None)])
def test_the_fallback_reads_a_change_back_as_the_call_asks_for(
    open_pair: Open, verify: bool, verified: bool | None
) -> None:
    client = open_pair({**unreachable(), "verify": "always"})
    assert client.block(NUMBER, verify=verify).verified is verified


def test_a_change_that_was_read_back_as_undone_is_not_followed(open_pair: Open) -> None:
    client = open_pair()
    result = client.block("+1 500 555 0042", verify=True)
    assert (result.code, result.route) == (Code.NOT_EFFECTIVE, ("support",))


# --- the log


def test_the_log_has_the_route_and_the_reason_of_the_fallback(
    open_pair: Open, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "adapter")
    open_pair(unreachable()).block(NUMBER)
    lines = [each.getMessage() for each in caplog.records]
    (reason,) = [line for line in lines if line.startswith("fallback ")]
    assert "account=support fallback=support-2 action=block" in reason
    assert "code=provider_unreachable" in reason
    (call,) = [line for line in lines if line.startswith("call ")]
    assert "account=support tried=support,support-2 provider=memory" in call
    assert all(NUMBER not in line for line in lines)


def test_the_service_connects_each_account_with_its_fallback(open_pair: Open) -> None:
    accounts = open_pair().service.accounts
    assert accounts["support"].fallback is accounts["support-2"]
    assert accounts["support-2"].fallback is None
    assert isinstance(accounts["support"], Account)
