"""The keys `fallback` and `phone` of an account."""

from __future__ import annotations

from typing import Any

import pytest
from support.settings import MEMORY, OWN, one, problems, wuts

from adapter.contacts import Contact
from adapter.secret import Secret
from adapter.settings.loader import load_settings

PHONE = "+55 11 99999-0001"
DIGITS = "5511999990001"


def two(first: dict[str, Any], second: dict[str, Any] = MEMORY, **rest: Any) -> dict[str, Any]:
    return {"accounts": {"a": {**MEMORY, **first}, "b": second}, "default_account": "a", **rest}


def test_by_default_an_account_has_neither() -> None:
    account = load_settings(one()).accounts["a"]
    assert (account.fallback, account.phone) == (None, None)


def test_a_fallback_is_the_name_of_an_account() -> None:
    assert load_settings(two({"fallback": "b"})).accounts["a"].fallback == "b"


@pytest.mark.parametrize("text", [PHONE, f"+{DIGITS}", "+55 (11) 99999-0001"])
def test_a_phone_is_read_as_any_number_is(text: str) -> None:
    account = load_settings(one({**MEMORY, "phone": text})).accounts["a"]
    assert account.phone == Contact(DIGITS)
    assert DIGITS not in repr(account)


@pytest.mark.parametrize(
    "wrong",
    [
        *("", "+", DIGITS, f"00{DIGITS}", "11 99999-0001", "+55", "+5511999990001999999"),
        *(f"{DIGITS}@s.whatsapp.net", f"+{DIGITS}@g.us", "+1 (2", 5511999990001, True, None),
    ],
)
def test_any_other_phone_is_refused_without_repeating_it(wrong: object) -> None:
    found = problems(one({**MEMORY, "phone": wrong}, default_region="BR"))
    assert set(found) == {"accounts.a.phone"}
    assert DIGITS not in found["accounts.a.phone"]


def test_an_unknown_fallback_is_refused_with_a_hint() -> None:
    found = problems(
        {
            "accounts": {"support": {**MEMORY, "fallback": "suport2"}, "support2": MEMORY},
            "default_account": "support",
        }
    )
    assert set(found) == {"accounts.support.fallback"}
    assert "no such account (did you mean support2?)" in found["accounts.support.fallback"]


def test_an_alias_is_no_fallback() -> None:
    found = problems(two({"fallback": "other"}, {**MEMORY, "aliases": ["other"]}))
    assert set(found) == {"accounts.a.fallback"}


def test_an_account_is_not_its_own_fallback() -> None:
    message = problems(two({"fallback": "a"}))["accounts.a.fallback"]
    assert "is the account itself" in message
    assert "remove it" in message


@pytest.mark.parametrize("wrong", [1, True, ["b"], {"name": "b"}, None])
def test_a_fallback_is_text(wrong: object) -> None:
    assert set(problems(two({"fallback": wrong}))) == {"accounts.a.fallback"}


def test_two_accounts_may_be_the_fallbacks_of_each_other() -> None:
    settings = load_settings(two({"fallback": "b"}, {**MEMORY, "fallback": "a"}))
    assert [each.fallback for each in settings.accounts.values()] == ["b", "a"]


@pytest.mark.parametrize("second", [None, PHONE, "+55 11 9999-0001"])
def test_phones_that_may_be_the_same_are_accepted(second: str | None) -> None:
    other = MEMORY if second is None else {**MEMORY, "phone": second}
    assert load_settings(two({"fallback": "b", "phone": PHONE}, other)).accounts["b"]


def test_two_different_phones_are_refused_with_both_masked() -> None:
    other = "+55 11 99999-0002"
    found = problems(two({"fallback": "b", "phone": PHONE}, {**MEMORY, "phone": other}))
    message = found["accounts.a.fallback"]
    assert "is another WhatsApp account" in message
    assert "b has the phone 551*******002, and this account 551*******001" in message
    assert "correct the phone" in message


def test_different_phones_without_a_fallback_are_accepted() -> None:
    phones = two({"phone": PHONE}, {**MEMORY, "phone": "+55 11 99999-0002"})
    assert load_settings(phones).accounts["a"].fallback is None


def test_a_fallback_that_cannot_be_loaded_is_one_problem() -> None:
    found = problems(two({"fallback": "b"}, {"provider": "nobody"}))
    assert set(found) == {"accounts.b.provider"}


def test_the_keys_are_not_options_of_the_provider() -> None:
    accounts = {"a": wuts(fallback="b", phone=PHONE), "b": MEMORY}
    settings = load_settings({"accounts": accounts, "default_account": "a"})
    assert not {"fallback", "phone"} & set(settings.accounts["a"].options)


# --- loops


def gateway(session: str, **rest: Any) -> dict[str, Any]:
    return {
        "provider": "session-gateway",
        "token": Secret("t"),
        "session": session,
        "base_url": {"self": "/dialects/session-gateway"},
        **rest,
    }


DIALECT = {"dialects": {"enabled": ["session-gateway"]}}


def test_a_loop_through_a_fallback_is_refused_with_its_path() -> None:
    found = problems(two({"fallback": "b"}, gateway("a"), **DIALECT))
    assert set(found) == {"accounts.a.base_url"}
    assert "a → b → a" in found["accounts.a.base_url"]


def test_a_longer_loop_through_fallbacks_is_refused_once() -> None:
    accounts = {
        "a": {**MEMORY, "fallback": "b"},
        "b": gateway("c"),
        "c": {**MEMORY, "fallback": "d"},
        "d": gateway("a"),
    }
    found = problems({"accounts": accounts, "default_account": "a", **DIALECT})
    assert set(found) == {"accounts.a.base_url"}
    assert "a → b → c → d → a" in found["accounts.a.base_url"]


def test_the_fallback_of_a_fallback_makes_no_loop() -> None:
    accounts = {
        "a": {**MEMORY, "fallback": "b"},
        "b": {**MEMORY, "fallback": "c"},
        "c": gateway("a"),
        "d": gateway("a", fallback="a"),
    }
    mapping = {"accounts": accounts, "default_account": "a", **DIALECT}
    assert load_settings(mapping, own_address=OWN).accounts["b"].fallback == "c"


def test_a_fallback_behind_this_servers_own_dialect_is_accepted_where_it_ends() -> None:
    accounts = {"a": {**MEMORY, "fallback": "b"}, "b": gateway("c"), "c": MEMORY}
    mapping = {"accounts": accounts, "default_account": "a", **DIALECT}
    assert load_settings(mapping, own_address=OWN).accounts["a"].fallback == "b"
