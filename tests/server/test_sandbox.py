"""The sandbox configuration, over sockets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from adapter.providers.memory import MAGIC_NUMBERS, NOT_EFFECTIVE
from support import JID, NATIVE, NUMBER, OTHER_NUMBER, PROVIDERS, Answer, call, code_named, run_app

from adapter.codes import Applied, Code
from adapter.dialect import FALLBACK_CODES
from adapter.settings.loader import load_settings
from adapter.settings.locations import sandbox_path
from adapter.settings.toml_file import read_toml
from adapter.web.app import build_app
from adapter.web.auth import AnonymousAccess


@pytest.fixture(scope="module")
def sandbox() -> Iterator[str]:
    with run_app(
        lambda address: build_app(None, access=AnonymousAccess.LOOPBACK, own_address=address)
    ) as address:
        yield address


def change(
    sandbox: str, action: str, account: str | None, number: str = NUMBER, **rest: bool
) -> Answer:
    body = {"number": number, **rest} | ({"account": account} if account else {})
    return call(sandbox, "POST", f"/v1/contacts/{action}", json_body=body)


def listed(sandbox: str) -> list[str]:
    answer = call(sandbox, "GET", "/v1/contacts/blocked")
    return [each["number"] for each in answer.json["data"]["contacts"]]


@pytest.mark.parametrize("account", [*PROVIDERS, None])
def test_every_sandbox_account_changes_the_same_block_list(
    sandbox: str, account: str | None
) -> None:
    answer = change(sandbox, "block", account, "+55 11 99999-9999")
    assert answer.status == 200
    assert answer.json["data"]["blocked"] is True
    assert answer.json["data"]["account"] == (account or "memory")
    assert answer.json["meta"]["provider"] == (account or "memory")
    assert answer.json["meta"]["attempts"] == 1
    assert listed(sandbox) == [NUMBER]
    answer = change(sandbox, "unblock", account)
    assert answer.status == 200
    assert answer.json["data"]["blocked"] is False
    assert listed(sandbox) == []


def test_upstream_status_is_that_of_the_provider(sandbox: str) -> None:
    statuses = {
        account: change(sandbox, "unblock", account).json["meta"]["upstream"]["status"]
        for account in PROVIDERS
    }
    assert statuses == {"memory": 200, "wuts": 200, "wappfy": 201, "session-gateway": 204}


def test_list_is_read_with_providers_that_have_one(sandbox: str) -> None:
    change(sandbox, "block", "session-gateway", OTHER_NUMBER)
    answers = {
        account: call(sandbox, "GET", f"/v1/contacts/blocked?account={account}")
        for account in PROVIDERS
    }
    change(sandbox, "unblock", "memory", OTHER_NUMBER)
    for account in ("wuts", "memory"):
        contacts = answers[account].json["data"]["contacts"]
        assert [each["number"] for each in contacts] == [OTHER_NUMBER]
    for account in ("wappfy", "session-gateway"):
        assert answers[account].code == "operation_not_supported"


@pytest.mark.parametrize("account", PROVIDERS)
def test_lid_is_accepted_by_every_sandbox_account(sandbox: str, account: str) -> None:
    for action in ("block", "unblock"):
        answer = call(
            sandbox,
            "POST",
            f"/v1/contacts/{action}",
            json_body={"jid": "123456789@lid", "account": account},
        )
        assert answer.status == 200
        assert answer.json["data"]["contact"]["lid"] == "123456789@lid"


def test_every_code_of_the_table_has_a_magic_number() -> None:
    assert set(MAGIC_NUMBERS.values()) == set(Code)
    assert len(MAGIC_NUMBERS) == len(Code)


@pytest.mark.parametrize(
    ("number", "code"), MAGIC_NUMBERS.items(), ids=[code.value for code in MAGIC_NUMBERS.values()]
)
@pytest.mark.parametrize("action", ["block", "unblock"])
def test_magic_number_returns_its_code_and_changes_no_list(
    sandbox: str, action: str, number: str, code: Code
) -> None:
    answer = change(sandbox, action, "memory", f"+{number}", verify=False)
    assert answer.status == code.http_status
    assert answer.code == code.value
    error = answer.json["error"]
    assert (error["outcome"], error["retry"]) == (code.applied, code.retry)
    assert ("Retry-After" in answer.headers) is code.carries_retry_after
    assert error["retry_after"] == (1 if code.carries_retry_after else None)
    assert listed(sandbox) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), MAGIC_NUMBERS.items(), ids=[code.value for code in MAGIC_NUMBERS.values()]
)
@pytest.mark.parametrize("account", NATIVE)
def test_magic_number_over_http_never_overstates_its_outcome(
    sandbox: str, account: str, number: str, code: Code
) -> None:
    answer = change(sandbox, "block", account, f"+{number}", verify=False)
    found = code_named(answer.code)
    assert answer.status == found.http_status
    assert answer.json["error"]["outcome"] in {code.applied.value, Applied.UNKNOWN.value}
    provider = (
        load_settings(read_toml(sandbox_path()), own_address=sandbox).accounts[account].provider
    )
    expressible = {row.code for row in provider.all_rules()}
    assert found in expressible
    if code in expressible and code not in FALLBACK_CODES:
        assert found is code
    assert answer.json["meta"]["attempts"] in (1, 2)


@pytest.mark.parametrize(
    ("number", "code"),
    [(number, code) for number, code in MAGIC_NUMBERS.items() if code.applied is Applied.UNKNOWN],
    ids=lambda each: each.value if isinstance(each, Code) else each,
)
def test_unknown_outcome_of_a_magic_number_is_settled_by_the_list(
    sandbox: str, number: str, code: Code
) -> None:
    blocked = change(sandbox, "block", "memory", number)
    assert blocked.code == code.value
    assert blocked.json["error"]["outcome"] == "not_applied"
    assert blocked.json["data"]["verified"] is False
    unblocked = change(sandbox, "unblock", "memory", number)
    assert unblocked.json["data"]["confirmation"] == "read_back"
    assert unblocked.json["data"]["verified"] is True
    assert [each.json["meta"]["attempts"] for each in (blocked, unblocked)] == [1, 1]


def test_change_that_is_reported_and_not_made_is_not_effective_where_it_is_verified(
    sandbox: str,
) -> None:
    assert change(sandbox, "block", "memory", NOT_EFFECTIVE).json["data"]["verified"] is None
    answer = change(sandbox, "block", "memory", NOT_EFFECTIVE, verify=True)
    assert answer.code == "not_effective"
    assert answer.json["data"] == {
        "action": "block",
        "account": "memory",
        "verified": False,
        "verified_reason": None,
    }


@pytest.mark.parametrize("account", NATIVE)
def test_invalid_contact_is_rejected_without_a_call(sandbox: str, account: str) -> None:
    body = {"jid": "120363025246125486@g.us", "account": account}
    answer = call(sandbox, "POST", "/v1/contacts/block", json_body=body)
    assert answer.code == "invalid_target"
    assert answer.json["meta"]["attempts"] == 0


def test_sandbox_dialects_serve_clients_of_their_providers(sandbox: str) -> None:
    wuts = call(
        sandbox,
        "POST",
        "/dialects/wuts/contacts/block",
        json_body={"jid": JID},
        headers={"Authorization": "Bearer anything"},
    )
    wappfy = call(
        sandbox,
        "POST",
        "/dialects/wappfy/api/contacts/unblock",
        json_body={"sessionId": "my-session", "jid": JID},
        headers={"apikey": "anything"},
    )
    gateway = call(
        sandbox,
        "POST",
        f"/dialects/session-gateway/api/v1/sessions/sess_sandbox/contacts/{JID}/unblock",
    )
    assert (wuts.status, wappfy.status, gateway.status) == (200, 200, 204)


def test_sandbox_base_urls_are_its_own_address(sandbox: str) -> None:
    settings = load_settings(read_toml(sandbox_path()), own_address=sandbox)
    addresses = {account.base_url for account in settings.accounts.values()}
    assert addresses == {None} | {f"{sandbox}/dialects/{name}" for name in NATIVE}
