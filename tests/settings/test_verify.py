"""The key `verify` of an account: when its changes are read back."""

from __future__ import annotations

from typing import Any

import pytest
from support import BUILT_IN
from support.settings import MEMORY, one, problems, wuts

from adapter.account import Account
from adapter.codes import Verify
from adapter.secret import Secret
from adapter.settings.loader import load_settings

GATEWAY = {
    "provider": "session-gateway",
    "base_url": "https://gateway.example",
    "token": Secret("t"),
    "session": "s",
}


def account_of(table: dict[str, Any]) -> Account:
    return Account(load_settings(one(table)).accounts["a"])


@pytest.mark.parametrize("verify", Verify)
def test_each_mode_is_read(verify: Verify) -> None:
    assert load_settings(one({**MEMORY, "verify": verify.value})).accounts["a"].verify is verify
    assert account_of(wuts(verify=verify.value)).verify is verify


@pytest.mark.parametrize("wrong", ["sometimes", "ALWAYS", True, 1, None, ["always"], ""])
def test_any_other_value_is_refused(wrong: object) -> None:
    found = problems(one({**MEMORY, "verify": wrong}))
    assert set(found) == {"accounts.a.verify"}


def test_the_message_names_the_modes() -> None:
    message = problems(one({**MEMORY, "verify": "sometimes"}))["accounts.a.verify"]
    assert all(each.value in message for each in Verify)


def test_a_misspelt_key_is_refused_with_a_hint() -> None:
    message = problems(one({**MEMORY, "verfy": "always"}))["accounts.a.verfy"]
    assert "did you mean verify" in message


@pytest.mark.parametrize("table", [MEMORY, wuts(), GATEWAY], ids=lambda each: each["provider"])
def test_by_default_unknown_outcomes_are_read_back_where_the_provider_has_a_read(
    table: dict[str, Any],
) -> None:
    can = BUILT_IN[table["provider"]].can_read_back()
    assert load_settings(one(table)).accounts["a"].verify is None
    assert account_of(table).verify is (Verify.UNKNOWN if can else Verify.NEVER)
