"""API keys: found by their secret, with scopes and accounts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.api_keys import ANONYMOUS, ApiKeys, Caller, scope_for
from adapter.codes import Action, Scope
from adapter.secret import Secret
from adapter.settings.model import KeySettings


def key(name: str, secret: str, *, scopes: str = "block read", accounts: str = "a") -> KeySettings:
    return KeySettings(
        name,
        Secret(secret),
        frozenset(map(Scope, scopes.split())),
        frozenset(accounts.split()),
        None,
    )


RING = ApiKeys(
    [key("crm", "crm-secret"), key("shop", "shop-secret", scopes="read", accounts="a b")]
)


def test_a_key_is_found_by_its_secret() -> None:
    assert RING.find_caller("crm-secret") == Caller(
        "crm", frozenset({Scope.BLOCK, Scope.READ}), frozenset({"a"}), None
    )
    assert getattr(RING.find_caller("shop-secret"), "name", None) == "shop"


@pytest.mark.parametrize(
    "presented",
    [
        "",
        " ",
        "crm",
        "crm-secre",
        "crm-secret ",
        " crm-secret",
        "crm-secret\n",
        "CRM-SECRET",
        "crm-secret\0",
        "crm-secrét",
        "\uff43\uff52\uff4d-secret",
        "\ud800",
        "shop-secretcrm-secret",
        "x" * 100_000,
    ],
)
def test_any_other_secret_finds_no_key(presented: str) -> None:
    assert RING.find_caller(presented) is None


@given(st.text(st.characters()))
def test_any_text_may_be_looked_up(presented: str) -> None:
    found = RING.find_caller(presented)
    assert (found is not None) == (presented in ("crm-secret", "shop-secret"))


def test_api_keys_without_keys_find_none() -> None:
    assert len(ApiKeys([])) == 0
    assert ApiKeys([]).find_caller("") is None
    assert len(RING) == 2


def test_api_keys_keep_no_secret_in_clear() -> None:
    assert "crm-secret" not in repr(vars(RING))
    assert b"crm-secret" not in repr(vars(RING)).encode()


@pytest.mark.parametrize(
    ("action", "scope"),
    [(Action.BLOCK, "block"), (Action.UNBLOCK, "block"), (Action.LIST, "read")],
)
def test_the_scope_of_each_action(action: Action, scope: str) -> None:
    assert scope_for(action) == scope


def test_a_caller_has_its_scopes() -> None:
    caller = RING.find_caller("shop-secret")
    assert caller is not None
    assert caller.has_scope(Scope.READ)
    assert not caller.has_scope(Scope.BLOCK)
    assert caller.can_use("a")
    assert caller.can_use("b")
    assert not caller.can_use("c")


def test_anonymous_has_all_scopes_and_accounts() -> None:
    assert ANONYMOUS.has_scope(Scope.BLOCK)
    assert ANONYMOUS.has_scope(Scope.READ)
    assert ANONYMOUS.can_use("whatever")
    assert ANONYMOUS.default_account is None
