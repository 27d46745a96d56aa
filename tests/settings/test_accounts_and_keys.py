"""Aliases, default accounts and API keys."""

from __future__ import annotations

from typing import Any

from support.settings import MEMORY, key, one, problems

from adapter.secret import Secret
from adapter.settings.loader import load_settings


def two(**aliases: list[str]) -> dict[str, Any]:
    return {"accounts": {name: {**MEMORY, "aliases": aliases.get(name, [])} for name in ("a", "b")}}


def test_an_alias_of_two_accounts_is_refused() -> None:
    found = problems(two(a=["x"], b=["x"]))
    assert set(found) == {"accounts.b.aliases"}
    assert "of the account a;" in found["accounts.b.aliases"]


def test_an_alias_that_is_the_name_of_another_account_is_refused() -> None:
    assert "of the account b;" in problems(two(a=["b"]))["accounts.a.aliases"]
    assert "of the account a;" in problems(two(b=["a"]))["accounts.b.aliases"]


def test_an_alias_may_repeat_and_may_be_the_own_name() -> None:
    loaded = load_settings(two(a=["a", "x", "x"], b=["y"]))
    assert loaded.accounts["a"].aliases == ("a", "x", "x")


def test_a_single_account_is_the_default_account() -> None:
    assert load_settings(one()).default_account == "a"
    assert load_settings(two()).default_account is None
    assert load_settings({**two(), "default_account": "b"}).default_account == "b"


def test_a_misspelt_default_account_is_refused_with_a_hint() -> None:
    mapping = {"accounts": {"support": MEMORY, "sales": MEMORY}, "default_account": "suport"}
    assert "did you mean support" in problems(mapping)["default_account"]


def test_a_star_includes_every_account() -> None:
    loaded = load_settings({**two(), "keys": {"k": key(accounts=["*"])}})
    assert loaded.keys[0].accounts == {"a", "b"}


def test_a_key_includes_only_the_named_accounts() -> None:
    loaded = load_settings({**two(), "keys": {"k": key(accounts=["b"])}})
    assert loaded.keys[0].accounts == {"b"}
    assert loaded.keys[0].default_account is None


def test_the_default_account_of_a_key_must_be_among_its_accounts() -> None:
    mapping = {**two(), "keys": {"k": key(accounts=["a"], default_account="b")}}
    assert "not among" in problems(mapping)["keys.k.default_account"]
    mapping = {**two(), "keys": {"k": key(accounts=["*"], default_account="b")}}
    assert load_settings(mapping).keys[0].default_account == "b"


def test_two_keys_with_one_secret_are_refused() -> None:
    found = problems(one(keys={"crm": key(), "shop": key(secret=Secret(" key "))}))
    assert set(found) == {"keys.shop.secret"}
    assert "secret of crm" in found["keys.shop.secret"]
