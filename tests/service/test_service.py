"""Service and Client: account selection, sending, and results in Python."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import run_upstream
from support.dists import PROVIDER, Site, open_site

from adapter import Action, Applied, Code, Command, Contact, OutcomeError, RequestError, Secret
from adapter.api_keys import ANONYMOUS, Caller
from adapter.client import Client, connect
from adapter.codes import Scope
from adapter.results import Outcome, Result
from adapter.service import Service
from adapter.settings.loader import load_settings

ANA = Contact(number="5511999999999")
MEMORY = {"provider": "memory"}
TWO = {"accounts": {"a": {**MEMORY, "aliases": ["native-a"]}, "b": MEMORY}}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with open_site(tmp_path / "site") as opened:
        yield opened


def service(mapping: dict[str, Any]) -> Service:
    return Service(load_settings(mapping))


def caller(*accounts: str, default: str | None = None) -> Caller:
    return Caller("crm", frozenset({Scope.BLOCK, Scope.READ}), frozenset(accounts), default)


# --- choosing the account


@pytest.mark.parametrize(
    ("default", "who", "name", "chosen"),
    [
        pytest.param(None, ANONYMOUS, "a", "a", id="by name"),
        pytest.param("a", ANONYMOUS, "b", "b", id="by name, whatever the default"),
        pytest.param("b", ANONYMOUS, None, "b", id="the configuration's default"),
        pytest.param("a", caller("a", "b", default="b"), None, "b", id="the key's comes first"),
        pytest.param("a", caller("a", "b"), None, "a", id="the configuration's, for a key too"),
        pytest.param("a", caller("b"), None, "b", id="the only one of a key, not the default"),
        pytest.param(None, caller("b"), None, "b", id="the only one of a key"),
    ],
)
def test_the_selected_account(
    default: str | None, who: Caller, name: str | None, chosen: str
) -> None:
    mapping = {**TWO, "default_account": default} if default else TWO
    assert service(mapping).choose_account(who, name) == chosen


def test_the_only_account_needs_no_name() -> None:
    assert service({"accounts": {"a": MEMORY}}).choose_account(ANONYMOUS) == "a"


@pytest.mark.parametrize("who", [ANONYMOUS, caller("a", "b"), caller()])
def test_without_a_default_account_a_name_is_required(who: Caller) -> None:
    with pytest.raises(RequestError) as caught:
        service(TWO).choose_account(who)
    assert caught.value.outcome.code is Code.VALIDATION_ERROR
    assert set(caught.value.outcome.fields) == {"account"}


@pytest.mark.parametrize("name", ["c", "", "A", " a", "a\n", "native-a", "*", "b" * 10_000])
@pytest.mark.parametrize("who", [ANONYMOUS, caller("a", "b")])
def test_an_unknown_name_is_account_not_found(who: Caller, name: str) -> None:
    with pytest.raises(RequestError) as caught:
        service(TWO).choose_account(who, name)
    assert caught.value.outcome.code is Code.ACCOUNT_NOT_FOUND


def test_an_alias_is_a_name_in_native_requests_only() -> None:
    both = service(TWO)
    assert both.choose_account(ANONYMOUS, "native-a", native=True) == "a"
    assert both.choose_account(ANONYMOUS, "b", native=True) == "b"
    with pytest.raises(RequestError) as caught:
        both.choose_account(ANONYMOUS, "native-a")
    assert caught.value.outcome.code is Code.ACCOUNT_NOT_FOUND


def test_an_alias_gives_no_access_to_another_callers_account() -> None:
    with pytest.raises(RequestError) as caught:
        service(TWO).choose_account(caller("b"), "native-a", native=True)
    assert caught.value.outcome.code is Code.ACCOUNT_NOT_FOUND


def test_the_envelope_of_a_forbidden_account_equals_that_of_an_unknown_one() -> None:
    contacts = Client(service(TWO), caller("b"))
    envelopes = []
    for name in ("a", "z"):
        envelope = contacts.block("+5511999999999", account=name).envelope()
        assert envelope["error"]["code"] == "account_not_found"
        envelope["meta"]["request_id"] = "r"
        envelopes.append(json.dumps(envelope))
    assert envelopes[0] == envelopes[1]


def test_the_outcome_of_a_forbidden_account_equals_that_of_an_unknown_one() -> None:
    both = service(TWO)
    outcomes = []
    for name, native in (("a", False), ("z", False), ("native-a", True), ("native-z", True)):
        with pytest.raises(RequestError) as caught:
            both.choose_account(caller("b"), name, native=native)
        outcomes.append(caught.value.outcome)
    assert all(outcome == outcomes[0] for outcome in outcomes)


def test_a_caller_has_its_own_accounts_only() -> None:
    both = service(TWO)
    assert [each.name for each in both.accounts_of(ANONYMOUS)] == ["a", "b"]
    assert [each.name for each in both.accounts_of(caller("b", "z"))] == ["b"]
    assert both.accounts_of(caller()) == []


# --- performing


def test_a_result_has_the_facts_of_its_call() -> None:
    result = service(TWO).perform("a", Command(Action.BLOCK, ANA), request_id="r-1")
    assert result.ok
    assert (result.account, result.provider, result.attempts) == ("a", "memory", 1)
    assert result.request_id == "r-1"
    assert result.duration_ms >= 0
    assert result.command == Command(Action.BLOCK, ANA)


def test_a_call_without_a_request_id_gets_a_new_one() -> None:
    both = service(TWO)
    ids = {both.perform("a", Command(Action.BLOCK, ANA)).request_id for _ in range(5)}
    assert len(ids) == 5
    assert all(len(each) >= 16 for each in ids)


def test_two_accounts_keep_two_block_lists() -> None:
    with connect(TWO) as contacts:
        contacts.block("+5511999999999", account="a").raise_for_code()
        assert contacts.blocked(account="a").contacts == (ANA,)
        assert contacts.blocked(account="b").contacts == ()
        contacts.unblock(jid="5511999999999@c.us", account="a").raise_for_code()
        assert contacts.blocked(account="a").contacts == ()


def test_performing_for_an_unknown_account_is_account_not_found() -> None:
    with pytest.raises(RequestError) as caught:
        service(TWO).perform("z", Command(Action.BLOCK, ANA))
    assert caught.value.outcome.code is Code.ACCOUNT_NOT_FOUND


def gateway(address: str, **transport: Any) -> dict[str, Any]:
    """Return an account of a provider that has no block list to read."""
    return {
        "provider": "session-gateway",
        "base_url": address,
        "token": Secret("t"),
        "session": "s",
        "transport": transport,
    }


def test_an_unsupported_action_is_not_sent() -> None:
    with run_upstream() as upstream, connect({"accounts": {"a": gateway(upstream.address)}}) as it:
        result = it.blocked()
        assert upstream.connections == 0
    assert result.code is Code.OPERATION_NOT_SUPPORTED
    assert result.applied is Applied.NOT_APPLIED
    assert result.attempts == 0
    assert result.envelope()["meta"]["upstream"] == {"status": None, "code": None}


def test_an_invalid_contact_is_not_sent() -> None:
    with run_upstream() as upstream, connect({"accounts": {"a": gateway(upstream.address)}}) as it:
        for result in (
            it.block(jid="120363025246125486@g.us"),
            it.block(jid="status@broadcast"),
            it.block("5511"),
            it.block("+5511999999999", jid="5511999999998@c.us"),
        ):
            assert result.code is Code.INVALID_TARGET
            assert result.attempts == 0
            assert result.outcome.fields
        assert it.block().code is Code.VALIDATION_ERROR
        assert it.block(5511999999999).code is Code.VALIDATION_ERROR  # type: ignore[arg-type]
        assert upstream.connections == 0


def test_a_call_beyond_max_in_flight_is_overloaded_and_not_sent() -> None:
    with run_upstream(held=True) as upstream:
        upstream.status = 204
        account = gateway(upstream.address, max_in_flight=1)
        results: list[Any] = []
        with connect({"accounts": {"a": account, "b": account}}) as contacts:
            first = threading.Thread(
                target=lambda: results.append(contacts.block("+5511999999999", account="a"))
            )
            first.start()
            assert upstream.arrived.wait(10)
            refused = contacts.block("+5511999999998", account="a")
            assert refused.code is Code.OVERLOADED
            assert refused.applied is Applied.NOT_APPLIED
            assert refused.attempts == 0
            assert refused.outcome.retry_after is not None
            assert len(upstream.seen) == 1
            upstream.release.set()
            first.join(10)
            assert results[0].ok
            assert contacts.block("+5511999999998", account="a").ok


RAISING = PROVIDER.format(name="raising").replace(
    "        return json_response", "        raise ZeroDivisionError\n        return json_response"
)


def test_a_provider_that_raises_releases_its_bulkhead_slot(site: Site) -> None:
    site.install("third-party", {"raising": RAISING})
    account = {"provider": "raising", "transport": {"max_in_flight": 1}}
    with connect({"accounts": {"a": account}}) as contacts:
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                contacts.block("+5511999999999")


def test_the_log_line_of_a_call_masks_the_contact(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    with connect(TWO) as contacts:
        contacts.block("+5511999999999", account="a")
        contacts.block("+15005550006", account="a")
    assert "account=a provider=memory action=block contact=551*******999" in caplog.text
    assert "account_not_found" in caplog.text
    assert "5511999999999" not in caplog.text
    assert "15005550006" not in caplog.text


def test_a_user_id_is_kept_with_the_contact_and_masked(caplog: pytest.LogCaptureFixture) -> None:
    user_id = "BR.00000000000000000001"
    known = Contact(number=ANA.number, user_id=user_id)
    with caplog.at_level(logging.DEBUG, "adapter"), connect(TWO) as contacts:
        result = contacts.block(ANA.number, user_id=user_id, account="a")
        assert result.command is not None
        assert result.command.contact == known
        assert result.envelope()["data"]["contact"]["user_id"] == user_id
        alone = contacts.unblock(user_id=user_id, account="a")  # unsupported by this provider
        assert alone.code is Code.INVALID_TARGET
        assert list(alone.outcome.fields) == ["user_id"]
    assert user_id not in caplog.text
    assert "00000000000000000001" not in caplog.text


def test_a_user_id_is_not_sent_by_a_provider_without_user_ids(site: Site) -> None:
    site.install("third-party", {"echo": PROVIDER.format(name="echo")})
    with connect({"accounts": {"a": {"provider": "echo"}}}) as contacts:
        result = contacts.block(user_id="BR.00000000000000000001")
        assert result.code is Code.INVALID_TARGET
        assert list(result.outcome.fields) == ["user_id"]
        assert result.attempts == 0
        assert contacts.block(ANA.number).ok


def test_a_shortage_of_descriptors_at_the_first_number_of_a_country_is_no_error() -> None:
    program = """
import resource, sys
from adapter import connect

contacts = connect({"accounts": {"a": {"provider": "memory"}}})
assert contacts.block("+5511999999999").ok
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
first = contacts.block("+4915123456789")
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
assert first.ok and contacts.block("+4915123456788").ok
print("good")
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.stdout == "good\n", ran.stderr


# --- connect


def test_connect_takes_a_mapping_or_a_file(tmp_path: Path) -> None:
    file = tmp_path / "adapter.toml"
    file.write_text('default_region = "BR"\n[accounts.a]\nprovider = "memory"\n')
    for config in (
        {"default_region": "BR", "accounts": {"a": {"provider": "memory"}}},
        file,
        str(file),
    ):
        with connect(config) as contacts:
            contacts.block("11 99999-9999").raise_for_code()
            assert contacts.blocked().contacts == (ANA,)


def test_the_text_of_an_exception_says_what_is_wrong_and_how_to_mend_it() -> None:
    with connect({"accounts": {"a": {"provider": "memory"}}}) as contacts:
        with pytest.raises(OutcomeError) as failed:
            contacts.block("11 99999-9999").raise_for_code()
        with pytest.raises(RequestError) as refused:
            contacts.batch([])
    first, number = str(failed.value).splitlines()
    assert first == f"invalid_target: {Code.INVALID_TARGET.message}"
    assert number.startswith("  number: ")
    assert "start with + and the country code" in number
    first, batch = str(refused.value).splitlines()
    assert first == f"validation_error: {Code.VALIDATION_ERROR.message}"
    assert batch.startswith("  batch: ")
    assert "[ledger]" in batch


def test_the_text_of_an_exception_has_no_whole_number() -> None:
    outcome = Outcome.failure(
        Code.INVALID_TARGET,
        message="The number 5511999999999 is not valid.",
        fields={"+55 11 99999-9999": ("is a number", "of +55 (11) 99999.9999")},
    )
    for error in (RequestError(outcome), OutcomeError(Result(outcome))):
        assert "99999" not in str(error)
        assert "551*******999 is not valid" in str(error)


def test_raise_for_code_raises_a_failure() -> None:
    with connect({"accounts": {"a": {"provider": "memory", "verify": "never"}}}) as contacts:
        result = contacts.block("+15005550025", account="a")
        assert result.code is Code.PROVIDER_TIMEOUT
        assert result.applied is Applied.UNKNOWN
        with pytest.raises(OutcomeError, match="provider_timeout") as caught:
            result.raise_for_code()
        assert caught.value.result is result


def test_a_closed_client_opens_again_when_it_is_used() -> None:
    with run_upstream() as upstream:
        upstream.status = 204
        contacts = connect({"accounts": {"a": gateway(upstream.address)}})
        assert contacts.block("+5511999999999").ok
        contacts.close()
        contacts.close()
        assert contacts.block("+5511999999999").ok
        contacts.close()
        assert len(upstream.seen) == 2
