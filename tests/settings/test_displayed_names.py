"""Names of accounts and keys in problems: phone numbers and misplaced secrets never appear."""

from __future__ import annotations

from typing import Any

import pytest
from support.settings import CANARY, MEMORY, key, one, problems, wuts

from adapter.errors import ConfigurationError
from adapter.secret import Secret
from adapter.settings.loader import load_settings


@pytest.mark.parametrize(
    "name", ["", "-a", ".a", "a b", "a/b", "é", "a" * 65, "a\n", "../a", "a:b", "a@b"]
)
@pytest.mark.parametrize("table", ["accounts", "keys"])
def test_a_name_with_other_characters_is_refused(table: str, name: str) -> None:
    mapping: dict[str, Any] = one(keys={"k": key()})
    mapping[table][name] = mapping[table].popitem()[1] if table == "keys" else MEMORY
    assert any("letters, digits" in message for message in problems(mapping).values())


@pytest.mark.parametrize(
    "name",
    [
        *("5511999999999", "sales-5511999999999", "1234567", "x5511999999999y", "005511999999999"),
        *("sales-55-11-99999-9999", "55.11.99999.9999", "a_14155552671", "491713920012.old"),
    ],
)
@pytest.mark.parametrize("table", ["accounts", "keys"])
def test_a_name_that_looks_like_a_phone_number_is_refused(table: str, name: str) -> None:
    mapping: dict[str, Any] = one(keys={"k": key()})
    mapping[table][name] = key(secret=Secret("other")) if table == "keys" else MEMORY
    (message,) = problems(mapping).values()
    assert "phone number" in message


@pytest.mark.parametrize(
    "name",
    [
        *(
            "a",
            "A1",
            "sales-br",
            "team.1_x",
            "2026",
            "a" * 64,
            "tenant-20261125",
            "shop-12-20261125",
        ),
        *("tenant_20261125", "tenant.2026-11-25", "batch-20261125120000", "client-00042317"),
    ],
)
def test_an_ordinary_name_is_accepted(name: str) -> None:
    assert list(load_settings({"accounts": {name: MEMORY}}).accounts) == [name]


@pytest.mark.parametrize(
    "mapping",
    [
        one({"provider": CANARY}),
        one({"provider": "wuts", "token": CANARY}),
        one(wuts(base_url=f"https://user:{CANARY}@example.com")),
        one(wuts(base_url=CANARY)),
        one(wuts(transport={"proxy": f"http://user:{CANARY}@proxy"})),
        one(wuts(transport={"ca_file": CANARY})),
        one(wuts(transport={"deadline": CANARY})),
        one(wuts(allow_insecure=CANARY)),
        one(wuts(aliases=CANARY)),
        one({"provider": "session-gateway", "session": f"/{CANARY}", "base_url": "https://x"}),
        one({"provider": "wappfy", "session": "s", "api_key": CANARY}),
        one({"provider": "wappfy", "session": "s", "wire_format": CANARY}),
        one(default_account=CANARY),
        one(default_region=CANARY),
        one(keys={"k": key(secret=CANARY)}),
        one(keys={"k": key(scopes=[CANARY])}),
        one(keys={"k": key(accounts=[CANARY])}),
        one(keys={"k": key(default_account=CANARY)}),
        one(dialects={"enabled": [CANARY]}),
        one(dialects={"enabled": CANARY}),
        one(dialects={"enabled": ["wuts"], "wuts": {"prefix": CANARY}}),
        one(dialects={"enabled": ["wuts"], "wuts": {"host": f"{CANARY}:1"}}),
        one(plugins={"blocked": CANARY}),
        {"accounts": {"a": MEMORY, "b": wuts(aliases=[CANARY]), "c": wuts(aliases=[CANARY])}},
    ],
)
def test_no_value_is_repeated_since_any_may_be_a_misplaced_secret(
    mapping: dict[str, Any],
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(mapping)
    assert CANARY not in str(caught.value)


SECRETS = (
    "AKIAIOSFODNN7EXAMPLE",
    "ABCDEFGHIJKLMNOPQRST",
    "sk_live_51HqLyjWDarjtT1zdp7dc",
    "Zm9vYmFyYmF6cXV4Zm9vYmFy",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    "0123456789abcdef0123456789abcdef",
    "3f2b8c1e-9d4a-4b7e-8c1f-2a6d5e9b0c7d",
    CANARY,
)


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize(
    "place",
    [
        lambda secret: one(wuts(token={"env": secret})),
        lambda secret: one(wuts(token={secret: "env"})),
        lambda secret: one(wuts(token={"file": secret})),
        lambda secret: one(wuts(**{secret: "token"})),
        lambda secret: one({**MEMORY, secret: 1}),
        lambda secret: one(**{secret: 1}),
        lambda secret: one(transport={secret: 1}),
        lambda secret: one(plugins={secret: 1}),
        lambda secret: one(log={secret: 1}),
        lambda secret: one(dialects={secret: {}}),
        lambda secret: one(keys={"k": key(**{secret: 1})}),
        lambda secret: one(keys={"k": {"secret": {"env": secret}}}),
    ],
)
def test_a_secret_in_place_of_a_name_is_never_repeated(place: Any, secret: str) -> None:
    found = problems(place(secret))
    assert secret not in repr(found)


@pytest.mark.parametrize("secret", SECRETS[:-1])
@pytest.mark.parametrize("table", ["accounts", "keys"])
def test_an_invalid_name_is_never_repeated(table: str, secret: str) -> None:
    mapping: dict[str, Any] = {"accounts": {"a": MEMORY}, "keys": {"k": key(accounts=["b"])}}
    mapping[table] |= {f" {secret}": {"colour": 1}, f"{secret}=": {}}
    assert secret not in repr(problems(mapping))


NAMES = (
    *("ProductionSupport", "support2026eu", "tenant20261125", "clienteAcmeLtda2"),
    *("A" * 64, "0", "3f2b8c1e-9d4a-4b7e-8c1f-2a6d5e9b0c7d"),
)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("table", ["accounts", "keys"])
def test_a_valid_name_is_displayed(table: str, name: str) -> None:
    mapping: dict[str, Any] = {"accounts": {"a": MEMORY}, "keys": {}}
    mapping[table][name] = {}
    field = {"accounts": "provider", "keys": "secret"}[table]
    assert f"{table}.{name}.{field}" in problems(mapping)


@pytest.mark.parametrize(
    ("mapping", "path"),
    [
        (one(wuts(colour=1)), "accounts.a.colour"),
        (one(wuts(max_in_flight=1)), "accounts.a.max_in_flight"),
        (one(**{"default-acount": "a"}), "default-acount"),
        ({"accounts": {"tenant-20261125": {}}}, "accounts.tenant-20261125.provider"),
        ({"accounts": {"Support.BR_2": {}}}, "accounts.Support.BR_2.provider"),
        ({"accounts": {"x-5511999999999": {}}}, "accounts.x-551*******999.provider"),
    ],
)
def test_an_unknown_key_that_is_a_word_is_displayed(mapping: dict[str, Any], path: str) -> None:
    assert path in problems(mapping)
