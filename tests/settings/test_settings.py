"""Configuration: what is taken, and that all that is wrong is said at once, with a remedy."""

from __future__ import annotations

import os
import re
import runpy
import shutil
import socket
from pathlib import Path
from typing import Any

import certifi
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapter import files
from adapter.codes import Scope
from adapter.errors import ConfigurationError, PluginError
from adapter.privacy import Secret
from adapter.registry import ACCOUNT_KEYS
from adapter.settings.loader import load_settings
from adapter.settings.model import TransportSettings
from adapter.settings.toml_file import read_toml
from adapter.urls import is_loopback, is_same_host

CONFIG = Path(__file__).parents[2] / "config"
OWN = "http://127.0.0.1:8000"
MEMORY = {"provider": "memory"}
CANARY = "canary-secret-4711"


def wuts(**rest: Any) -> dict[str, Any]:
    return {"provider": "wuts", "token": Secret("token"), **rest}


def key(**rest: Any) -> dict[str, Any]:
    return {"secret": Secret("key"), "scopes": ["block"], "accounts": ["a"], **rest}


def one(account: Any = MEMORY, **rest: Any) -> dict[str, Any]:
    """Return a configuration with the account `a`."""
    return {"accounts": {"a": account}, **rest}


def faults(mapping: dict[str, Any], own_address: str | None = OWN) -> dict[str, str]:
    """Return the faults by path; there must be some."""
    with pytest.raises(ConfigurationError) as caught:
        load_settings(mapping, own_address=own_address)
    found: dict[str, str] = {}
    for problem in caught.value.problems:
        assert f"{problem.path}: {problem.message}" in str(caught.value)
        assert problem.message.strip()
        found[problem.path] = f"{found.get(problem.path, '')} {problem.message}".strip()
    return found


# --- what is taken


def test_one_account_is_a_whole_configuration() -> None:
    loaded = load_settings(one())
    assert list(loaded.accounts) == ["a"]
    assert loaded.accounts["a"].provider.name == "memory"
    assert loaded.accounts["a"].base_url is None
    assert loaded.accounts["a"].aliases == ()
    assert loaded.accounts["a"].transport == TransportSettings(3.0, 15.0, 256, 5, 30.0)
    assert loaded.default_account == "a"
    assert loaded.default_region is None
    assert loaded.keys == ()
    assert loaded.dialects == ()


def test_a_whole_configuration_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WUTS_TOKEN", " wuts-token\n")
    (tmp_path / "gateway").write_text("gateway-token\n")
    file = tmp_path / "adapter.toml"
    file.write_text(
        """
        default_account = "support"
        default_region = "BR"

        [accounts.support]
        provider = "wuts"
        token = { env = "WUTS_TOKEN" }

        [accounts.sales]
        provider = "session-gateway"
        base_url = "https://gateway.example.com/v2/"
        token = { file = "gateway" }
        session = "sess_01HZX"
        aliases = ["my-session"]
        transport = { deadline = 5.0 }

        [keys.crm]
        secret = { env = "WUTS_TOKEN" }
        scopes = ["block", "read"]
        accounts = ["*"]
        default_account = "sales"

        [dialects]
        enabled = ["wuts", "wappfy"]

        [dialects.wappfy]
        prefix = "/legacy"
        host = "api.example.com"

        [transport]
        connect_timeout = 1.5
        deadline = 10
        max_in_flight = 3
        """
    )
    loaded = load_settings(read_toml(file))
    support, sales = loaded.accounts["support"], loaded.accounts["sales"]
    assert support.base_url == "https://api.wuts.com.br"
    assert support.options["token"] == Secret("wuts-token")
    assert support.transport == TransportSettings(1.5, 10.0, 3)
    assert sales.base_url == "https://gateway.example.com/v2"
    assert sales.options["token"] == Secret("gateway-token")
    assert sales.options["session"] == "sess_01HZX"
    assert sales.aliases == ("my-session",)
    assert sales.transport == TransportSettings(1.5, 5.0, 3)
    (crm,) = loaded.keys
    assert (crm.name, crm.scopes, crm.accounts, crm.default_account) == (
        "crm",
        frozenset({Scope.BLOCK, Scope.READ}),
        frozenset({"support", "sales"}),
        "sales",
    )
    assert [(each.name, each.prefix, each.host) for each in loaded.dialects] == [
        ("wuts", "/dialects/wuts", None),
        ("wappfy", "/legacy", "api.example.com"),
    ]
    assert (loaded.default_account, loaded.default_region) == ("support", "BR")


def test_the_shipped_sandbox_loads() -> None:
    loaded = load_settings(read_toml(CONFIG / "sandbox.toml"), own_address=OWN)
    assert set(loaded.accounts) == {"memory", "wuts", "wappfy", "session-gateway"}
    assert loaded.accounts["wappfy"].base_url == f"{OWN}/dialects/wappfy"
    assert [each.name for each in loaded.dialects] == ["wuts", "wappfy", "session-gateway"]
    assert loaded.default_account == "memory"


def test_every_shipped_configuration_loads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for file in sorted(CONFIG.glob("*.toml")):
        mapping = _with_secrets(read_toml(file), monkeypatch, tmp_path)
        assert load_settings(mapping, own_address=OWN).accounts


def _with_secrets(table: Any, monkeypatch: pytest.MonkeyPatch, folder: Path, path: str = "") -> Any:
    """Provide every variable and file that the configuration refers to, each with its own text."""
    match table:
        case {"env": str(name), **rest} if not rest:
            monkeypatch.setenv(name, f"env-{name}")
        case {"file": str(), **rest} if not rest:
            file = folder / path.strip(".")
            file.write_text(f"file-{path}")
            return {"file": str(file)}
        case dict():
            return {
                name: _with_secrets(value, monkeypatch, folder, f"{path}.{name}")
                for name, value in table.items()
            }
    return table


def test_settings_cannot_be_changed() -> None:
    loaded = load_settings(one())
    with pytest.raises(AttributeError):
        loaded.default_account = "b"  # type: ignore[misc]
    with pytest.raises(TypeError):
        loaded.accounts["b"] = loaded.accounts["a"]  # type: ignore[index]
    with pytest.raises(TypeError):
        loaded.accounts["a"].options["x"] = 1  # type: ignore[index]


def test_loading_leaves_the_mapping_as_it_was() -> None:
    mapping = one(wuts(transport={"deadline": 9}), keys={"k": key()}, transport={})
    before = repr(mapping)
    load_settings(mapping)
    assert repr(mapping) == before


def test_settings_show_no_secret() -> None:
    loaded = load_settings(
        one(wuts(token=Secret(CANARY)), keys={"k": key(secret=Secret(f"{CANARY}-2"))})
    )
    assert CANARY not in repr(loaded)
    assert CANARY not in repr(loaded.accounts["a"].options)


# --- faults: each with the full path of its key and a way to mend it


@pytest.mark.parametrize(
    ("mapping", "path", "words"),
    [
        ({}, "accounts", "is required"),
        ({"accounts": {}}, "accounts", "at least one"),
        ({"accounts": []}, "accounts", "must be a table"),
        ({"accounts": "memory"}, "accounts", "must be a table"),
        (one(account=None), "accounts.a", "must be a table"),
        (one("memory"), "accounts.a", "must be a table"),
        (one({}), "accounts.a.provider", "is required"),
        (one({"provider": 1}), "accounts.a.provider", "must be text"),
        (one({"provider": "memroy"}), "accounts.a.provider", "did you mean memory"),
        (one({"provider": "nothing"}), "accounts.a.provider", "installed are: evolution-api, "),
        (one({**MEMORY, "colour": 1}), "accounts.a.colour", "unknown key"),
        (one({**MEMORY, "base_url": "https://x"}), "accounts.a.base_url", "remove the key"),
        (one({**MEMORY, "aliases": "x"}), "accounts.a.aliases", "must be a list"),
        (one({**MEMORY, "aliases": [1]}), "accounts.a.aliases.0", "must be text"),
        (one({**MEMORY, "aliases": [""]}), "accounts.a.aliases.0", "between 1 and 128"),
        (one(wuts(tokn=1)), "accounts.a.tokn", "did you mean token"),
        (one(wuts(sesion="x")), "accounts.a.sesion", "unknown key"),
        (one(wuts(key="x")), "accounts.a.key", "unknown key"),
        (one(wuts(value="x")), "accounts.a.value", "unknown key"),
        (one({"provider": "wuts"}), "accounts.a.token", "is required"),
        (one(wuts(allow_insecure="perhaps")), "accounts.a.allow_insecure", "true or false"),
        (one({"provider": "session-gateway"}), "accounts.a.base_url", "is required"),
        (one({"provider": "session-gateway"}), "accounts.a.session", "is required"),
        (one(colour="red"), "colour", "unknown key"),
        (one(account={"provider": "memory"}, acounts={}), "acounts", "did you mean accounts"),
        (one(default_account="b"), "default_account", "configured are: a"),
        (one(default_account=1), "default_account", "must be text"),
        (one(default_region="XX"), "default_region", "such as"),
        (one(default_region="br"), "default_region", "such as"),
        (one(default_region=55), "default_region", "must be text"),
        (one(plugins={"blockd": []}), "plugins.blockd", "did you mean blocked"),
        (one(plugins={"blocked": "x"}), "plugins.blocked", "must be a list"),
        (one(plugins={"blocked": [1]}), "plugins.blocked.0", "must be text"),
        (one(plugins=[]), "plugins", "must be a table"),
        (one(transport=[]), "transport", "must be a table"),
        (one(transport={"dedline": 1}), "transport.dedline", "did you mean deadline"),
        (one(transport={"deadline": 0}), "transport.deadline", "above 0"),
        (one(transport={"deadline": 301}), "transport.deadline", "up to 300"),
        (one(transport={"deadline": "x"}), "transport.deadline", "must be a number"),
        (one(transport={"connect_timeout": -1}), "transport.connect_timeout", "above 0"),
        (one(transport={"max_in_flight": 0}), "transport.max_in_flight", "1"),
        (one(transport={"max_in_flight": 1.5}), "transport.max_in_flight", "whole number"),
        (one(transport={"max_long_responses": 0}), "transport.max_long_responses", "1"),
        (
            one(wuts(transport={"ca_file": "/does/not/exist"})),
            "accounts.a.transport.ca_file",
            "no file",
        ),
        (
            one(wuts(transport={"proxy": "socks4://x"})),
            "accounts.a.transport.proxy",
            "one of: http, https, socks5, socks5h",
        ),
        (
            one(wuts(transport={"proxy": "http://x/path"})),
            "accounts.a.transport.proxy",
            "without a path",
        ),
        (
            one(wuts(transport={"proxy": "http://user:pass@x:1"})),
            "accounts.a.transport.proxy",
            'give the whole URL as { env = "NAME" }',
        ),
        (
            one(wuts(transport={"pool": 1})),
            "accounts.a.transport.pool",
            "unknown key",
        ),
        (one(keys=[]), "keys", "must be a table"),
        (one(keys={"k": 1}), "keys.k", "must be a table"),
        (one(keys={"k": {}}), "keys.k.secret", "is required"),
        (one(keys={"k": {}}), "keys.k.scopes", "is required"),
        (one(keys={"k": {}}), "keys.k.accounts", "is required"),
        (one(keys={"k": key(scope=["block"])}), "keys.k.scope", "did you mean scopes"),
        (one(keys={"k": key(scopes=["admin"])}), "keys.k.scopes.0", "block, read"),
        (one(keys={"k": key(scopes=[])}), "keys.k.scopes", "1"),
        (one(keys={"k": key(scopes="block")}), "keys.k.scopes", "must be a list"),
        (one(keys={"k": key(accounts=[])}), "keys.k.accounts", "1"),
        (one(keys={"k": key(accounts=["b"])}), "keys.k.accounts", "configured are: a"),
        (one(keys={"k": key(default_account="b")}), "keys.k.default_account", "no such account"),
        (one(dialects=[]), "dialects", "must be a table"),
        (one(dialects={"enabled": "wuts"}), "dialects.enabled", "list of names"),
        (one(dialects={"enabled": [1]}), "dialects.enabled", "list of names"),
        (one(dialects={"enabled": ["memory"]}), "dialects.enabled", "installed are: evolution-"),
        (one(dialects={"enabled": ["wutz"]}), "dialects.enabled", "did you mean wuts"),
        (one(dialects={"wuts": {}}), "dialects.wuts", 'add it to "enabled"'),
        (
            one(dialects={"enabled": ["wuts"], "wuts": 1}),
            "dialects.wuts",
            "must be a table",
        ),
        (
            one(dialects={"enabled": ["wuts"], "wuts": {"prefx": "/x"}}),
            "dialects.wuts.prefx",
            "did you mean prefix",
        ),
    ],
)
def test_a_fault_is_named_by_its_path_with_a_way_to_mend_it(
    mapping: dict[str, Any], path: str, words: str
) -> None:
    assert words in faults(mapping)[path]


def test_every_fault_is_said_at_once() -> None:
    found = faults(
        {
            "accounts": {
                "a": {"provider": "memory", "colour": 1},
                "b": {"provider": "wutz"},
                "c": {"provider": "session-gateway", "base_url": "ftp://x", "session": "../x"},
                "d": 4,
            },
            "keys": {"k": {"scopes": ["admin"], "accounts": ["e"]}},
            "dialects": {"enabled": ["nope"], "wuts": {}},
            "transport": {"deadline": -1, "colour": 1},
            "default_account": "z",
            "default_region": "ZZ",
            "colour": 1,
        }
    )
    assert set(found) == {
        "accounts.a.colour",
        "accounts.b.provider",
        "accounts.c.base_url",
        "accounts.c.session",
        "accounts.c.token",
        "accounts.d",
        "keys.k.secret",
        "keys.k.scopes.0",
        "keys.k.accounts",
        "dialects.enabled",
        "dialects.wuts",
        "transport.deadline",
        "transport.colour",
        "default_account",
        "default_region",
        "colour",
    }


def test_a_fault_of_one_account_is_no_fault_of_those_who_name_it() -> None:
    found = faults(
        one({"provider": "nothing"}, default_account="a", keys={"k": key(accounts=["a"])})
    )
    assert set(found) == {"accounts.a.provider"}


# --- names


@pytest.mark.parametrize(
    "name", ["", "-a", ".a", "a b", "a/b", "é", "a" * 65, "a\n", "../a", "a:b", "a@b"]
)
@pytest.mark.parametrize("table", ["accounts", "keys"])
def test_a_name_is_made_of_plain_characters(table: str, name: str) -> None:
    mapping: dict[str, Any] = one(keys={"k": key()})
    mapping[table][name] = mapping[table].popitem()[1] if table == "keys" else MEMORY
    assert any("letters, digits" in message for message in faults(mapping).values())


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
    (message,) = faults(mapping).values()
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
def test_an_ordinary_name_is_taken(name: str) -> None:
    assert list(load_settings({"accounts": {name: MEMORY}}).accounts) == [name]


# --- secrets


def test_a_secret_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTER_TEST_TOKEN", f"\t {CANARY} \r\n")
    loaded = load_settings(one(wuts(token={"env": "ADAPTER_TEST_TOKEN"})))
    assert loaded.accounts["a"].options["token"].reveal() == CANARY


def test_a_secret_comes_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{CANARY}\n")
    loaded = load_settings(one(wuts(token={"file": str(tmp_path / "token")})))
    assert loaded.accounts["a"].options["token"].reveal() == CANARY


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        f"{CANARY} two",
        f"{CANARY}\nX-Evil: 1",
        f"{CANARY}é",
        f"{CANARY}\x7f",
        f"{CANARY}\t.",
    ],
)
@pytest.mark.parametrize("source", ["env", "file", "secret"])
def test_an_unusable_secret_is_refused_and_never_repeated(
    source: str, text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ADAPTER_TEST_TOKEN", text)
    (tmp_path / "token").write_bytes(text.encode())
    token: Any = {
        "env": {"env": "ADAPTER_TEST_TOKEN"},
        "file": {"file": str(tmp_path / "token")},
        "secret": Secret(text),
    }[source]
    mapping = one(wuts(token=token), keys={"k": key(secret=token)})
    found = faults(mapping)
    assert set(found) == {"accounts.a.token", "keys.k.secret"}
    assert all("secret" in message for message in found.values())
    assert not any("canary" in message for message in found.values())


@pytest.mark.parametrize(
    ("token", "words"),
    [
        (CANARY, "never the secret"),
        ({"env": "ADAPTER_TEST_ABSENT"}, "no variable"),
        ({"file": "/does/not/exist"}, "No such file"),
        ({"file": "/"}, "directory"),
        ({"file": ""}, "cannot read"),
        ({"file": "a\0b"}, "cannot read"),
        ({"file": "a\ud800b"}, "cannot read"),
        ({"env": ""}, "no variable"),
        ({"env": "\ud800"}, "no variable"),
        ({"env": 1}, "never the secret"),
        ({"value": CANARY}, "never the secret"),
        ({"env": "HOME", "file": "/x"}, "never the secret"),
        ({}, "never the secret"),
        ([CANARY], "never the secret"),
        (4711, "never the secret"),
    ],
)
def test_a_secret_is_given_by_reference_only(token: Any, words: str) -> None:
    found = faults(one(wuts(token=token)))
    assert set(found) == {"accounts.a.token"}
    assert words in found["accounts.a.token"]
    assert CANARY not in found["accounts.a.token"]


@pytest.mark.parametrize("kind", ["fifo", "device", "folder", "socket", "large", "link to a fifo"])
def test_a_secret_file_that_is_none_is_refused_at_once(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "token"
    with socket.socket(socket.AF_UNIX) as listener:
        match kind:
            case "fifo":
                os.mkfifo(path)
            case "device":
                path = Path("/dev/zero")
            case "folder":
                path.mkdir()
            case "socket":
                listener.bind(str(path))
            case "large":
                path.write_bytes(b"x" * (64 * 1024 + 1))
            case _:
                os.mkfifo(tmp_path / "fifo")
                path.symlink_to("fifo")
        found = faults(one(wuts(token={"file": str(path)})))
    assert re.search(r"cannot read the file: .+; name ", found["accounts.a.token"])


def test_a_secret_file_may_be_a_link_as_those_of_containers_are(tmp_path: Path) -> None:
    (tmp_path / "..data").mkdir()
    (tmp_path / "..data" / "token").write_text(CANARY)
    (tmp_path / "token").symlink_to("..data/token")
    loaded = load_settings(one(wuts(token={"file": str(tmp_path / "token")})))
    assert loaded.accounts["a"].options["token"].reveal() == CANARY


def test_a_secret_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(b"\xff\xfe")
    found = faults(one(wuts(token={"file": str(tmp_path / "token")})))
    assert "not text" in found["accounts.a.token"]


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
def test_no_value_is_repeated_since_any_may_be_a_secret_in_the_wrong_place(
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
def test_a_secret_in_the_place_of_a_name_is_never_repeated(place: Any, secret: str) -> None:
    found = faults(place(secret))
    assert secret not in repr(found)


@pytest.mark.parametrize("secret", SECRETS[:-1])
@pytest.mark.parametrize("table", ["accounts", "keys"])
def test_what_cannot_be_a_name_is_never_repeated(table: str, secret: str) -> None:
    mapping: dict[str, Any] = {"accounts": {"a": MEMORY}, "keys": {"k": key(accounts=["b"])}}
    mapping[table] |= {f" {secret}": {"colour": 1}, f"{secret}=": {}}
    assert secret not in repr(faults(mapping))


NAMES = (
    *("ProductionSupport", "support2026eu", "tenant20261125", "clienteAcmeLtda2"),
    *("A" * 64, "0", "3f2b8c1e-9d4a-4b7e-8c1f-2a6d5e9b0c7d"),
)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("table", ["accounts", "keys"])
def test_a_name_that_may_be_configured_is_shown(table: str, name: str) -> None:
    mapping: dict[str, Any] = {"accounts": {"a": MEMORY}, "keys": {}}
    mapping[table][name] = {}
    field = {"accounts": "provider", "keys": "secret"}[table]
    assert f"{table}.{name}.{field}" in faults(mapping)


@pytest.mark.parametrize(
    "names", [("x-5511999999999", "x-5511988889999"), (" x", " y"), ("supportA", "supportB")]
)
def test_faults_of_different_accounts_are_never_merged(names: tuple[str, str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings({"accounts": {name: {} for name in names}})
    required = [each for each in caught.value.problems if each.path.endswith(".provider")]
    assert len(required) == 2


def test_a_fault_of_the_common_transport_is_told_once() -> None:
    accounts = {"a": MEMORY, "b": MEMORY}
    with pytest.raises(ConfigurationError) as caught:
        load_settings({"accounts": accounts, "transport": {"ca_file": "/none", "proxy": "none"}})
    assert [each.path for each in caught.value.problems] == ["transport.ca_file", "transport.proxy"]


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
def test_a_key_that_is_a_word_is_named(mapping: dict[str, Any], path: str) -> None:
    assert path in faults(mapping)


def test_a_file_is_read_where_the_system_has_no_flags_for_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC"):  # Windows has none of them
        monkeypatch.delattr(os, name)
    (tmp_path / "secret").write_text("text")
    module = runpy.run_path(files.__file__)
    assert module["read_file"](tmp_path / "secret", 4) == b"text"


# --- what the accounts would call: themselves

LOOPS = {
    "itself, by self": (
        {"a": wuts(base_url={"self": "/dialects/wuts"})},
        ["wuts"],
        "a → a",
    ),
    "itself, by its address": ({"a": wuts(base_url=f"{OWN}/dialects/wuts")}, ["wuts"], "a → a"),
    "itself, by another name of this machine": (
        {"a": wuts(base_url="http://localhost:8000/dialects/wuts/")},
        ["wuts"],
        "a → a",
    ),
    "itself, by the session that it names": (
        {
            "m": MEMORY,
            "a": {
                "provider": "session-gateway",
                "token": Secret("t"),
                "session": "mine",
                "aliases": ["mine"],
                "base_url": {"self": "/dialects/session-gateway"},
            },
        },
        ["session-gateway"],
        "a → a",
    ),
    "two that call each other": (
        {
            "a": {
                "provider": "wappfy",
                "api_key": Secret("t"),
                "session": "b",
                "base_url": {"self": "/dialects/wappfy"},
            },
            "b": {
                "provider": "waha",
                "api_key": Secret("t"),
                "session": "a",
                "base_url": {"self": "/dialects/waha"},
            },
        },
        ["wappfy", "waha"],
        "a → b → a",
    ),
}


@pytest.mark.parametrize(("table", "enabled", "loop"), LOOPS.values(), ids=LOOPS)
def test_accounts_whose_calls_come_back_to_them_are_refused_with_the_loop(
    table: dict[str, Any], enabled: list[str], loop: str
) -> None:
    found = faults({"accounts": table, "dialects": {"enabled": enabled}})
    assert set(found) == {"accounts.a.base_url"}
    assert loop in found["accounts.a.base_url"]
    assert "address of a provider" in found["accounts.a.base_url"]


@pytest.mark.parametrize("dot", ["", ".", ":8443", ".:8443"])
def test_a_loop_is_found_at_the_host_name_of_a_dialect(dot: str) -> None:
    enabled = {"enabled": ["wuts"], "wuts": {"host": "wuts.internal.example"}}
    found = faults(one(wuts(base_url=f"https://wuts.internal.example{dot}"), dialects=enabled))
    assert "a → a" in found["accounts.a.base_url"]


THIS_MACHINE = (
    *("127.0.0.1", "127.1.2.3", "127.1", "0x7f000001", "2130706433", "[::1]", "[0:0:0:0:0:0:0:1]"),
    *("localhost", "localhost.", "LOCALHOST", "a.localhost", "0.0.0.0", "0", "[::]"),
    *("[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:0.0.0.0]"),
    *("web-1.example", "WEB-1.example."),
)


@pytest.mark.slow
@pytest.mark.no_cover
@pytest.mark.parametrize("host", THIS_MACHINE)
@pytest.mark.parametrize("own", [OWN, "http://localhost", "http://[::1]:80", "https://127.0.0.1"])
def test_a_loop_is_found_by_every_name_of_this_machine(
    own: str, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapter.urls.gethostname", lambda: "web-1.example")
    scheme = own.partition(":")[0]
    port = 8000 if own == OWN else {"http": 80, "https": 443}[scheme]
    written = [f":{port}"] if own == OWN else ["", f":{port}"]
    for place in written:
        account = wuts(base_url=f"{scheme}://{host}{place}/dialects/wuts", allow_insecure=True)
        found = faults(one(account, dialects={"enabled": ["wuts"]}), own)
        assert "a → a" in found["accounts.a.base_url"]
        other = {**account, "base_url": f"{scheme}://{host}:9/dialects/wuts"}
        assert load_settings(one(other, dialects={"enabled": ["wuts"]}), own_address=own)


@pytest.mark.parametrize("host", ["10.0.0.1", "web-2.example", "localhost.example", "[::2]", ""])
def test_another_machine_is_not_this_one(host: str) -> None:
    assert not is_same_host(host, "127.0.0.1")
    assert not is_same_host(host, "localhost")
    assert is_same_host(host, host)


@pytest.mark.parametrize(
    ("default", "looped"), [("a", True), ("m", False)], ids=["its own key", "another's"]
)
def test_a_loop_is_one_for_the_key_that_the_account_sends(default: str, looped: bool) -> None:
    mapping: dict[str, Any] = {
        "accounts": {
            "m": MEMORY,
            "a": wuts(token=Secret("key"), base_url={"self": "/dialects/wuts"}),
        },
        "keys": {"k": key(accounts=["*"], default_account=default)},
        "dialects": {"enabled": ["wuts"]},
    }
    if looped:
        assert "a → a" in faults(mapping)["accounts.a.base_url"]
    else:
        assert load_settings(mapping, own_address=OWN).accounts
    mapping["accounts"]["a"]["token"] = Secret("nobodys")  # answered 401: no loop
    assert load_settings(mapping, own_address=OWN).accounts


@pytest.mark.parametrize(("allowed", "looped"), [(["a"], True), (["m"], False), (["*"], False)])
def test_a_loop_follows_the_accounts_of_a_key_without_a_default(
    allowed: list[str], looped: bool
) -> None:
    mapping = {
        "accounts": {
            "m": {**MEMORY, "aliases": ["other"]},
            "a": wuts(token=Secret("key"), base_url={"self": "/dialects/wuts"}),
        },
        "keys": {"k": key(accounts=allowed)},
        "dialects": {"enabled": ["wuts"]},
    }
    if looped:
        assert "a → a" in faults(mapping)["accounts.a.base_url"]
    else:
        assert load_settings(mapping, own_address=OWN).accounts


def test_a_way_through_this_server_that_ends_is_no_loop() -> None:
    chain = {
        "accounts": {
            "m": MEMORY,
            "a": wuts(base_url={"self": "/dialects/wuts"}),
            "far": wuts(base_url="http://127.0.0.1:9/dialects/wuts"),
        },
        "default_account": "m",
        "dialects": {"enabled": ["wuts"]},
    }
    assert load_settings(chain, own_address=OWN).accounts
    unmounted = one(wuts(base_url={"self": "/dialects/wuts"}))
    assert load_settings(unmounted, own_address=OWN).accounts


# --- base_url


def gateway(**rest: Any) -> dict[str, Any]:
    return {"provider": "session-gateway", "token": Secret("t"), "session": "s", **rest}


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("https://example.com", "https://example.com"),
        ("https://example.com/", "https://example.com"),
        ("https://example.com:8443/api/v2/", "https://example.com:8443/api/v2"),
        ("https://[2001:db8::1]/x", "https://[2001:db8::1]/x"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://127.0.0.1", "http://127.0.0.1"),
        ("http://127.9.9.9:1/x", "http://127.9.9.9:1/x"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ({"self": "/dialects/wuts/"}, f"{OWN}/dialects/wuts"),
        ({"self": "/"}, OWN),
    ],
)
def test_a_base_url_is_https_or_plain_http_to_this_machine(given: Any, used: str) -> None:
    loaded = load_settings(one(gateway(base_url=given)), own_address=OWN)
    assert loaded.accounts["a"].base_url == used


@pytest.mark.parametrize(
    "given",
    [
        "",
        "example.com",
        "//example.com",
        "https://",
        "https:///x",
        "https:example.com",
        "ftp://example.com",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https://user@example.com",
        "https://user:pass@example.com",
        "https://@example.com",
        "https://example.com?x=1",
        "https://example.com/?",
        "https://example.com#x",
        "https://example.com/#",
        "https://example.com/../x",
        "https://example.com/a/..",
        "https://example.com/%2e%2e/x",
        "https://example.com/a\\b",
        "https://example.com\\@evil.example",
        "https://example.com/a b",
        " https://example.com",
        "https://example.com\n",
        "https://example.com\0",
        "https://exämple.com",
        "https://example.com:port",
        "https://example.com:0",
        "https://example.com:99999",
        "https://[::1",
        1,
        True,
        ["https://example.com"],
        {},
        {"self": "dialects"},
        {"self": 1},
        {"self": "/x", "other": 1},
        {"self": "/x?y"},
        {"self": "/x/../y"},
        {"self": "/x#y"},
        {"self": "/x y"},
    ],
)
def test_a_base_url_that_means_more_or_less_than_an_address_is_refused(given: Any) -> None:
    assert set(faults(one(gateway(base_url=given)))) == {"accounts.a.base_url"}


@pytest.mark.parametrize(
    "given",
    [
        "http://example.com",
        "http://10.0.0.1:3000",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
        "http://0.0.0.0:80",
        "http://[2001:db8::1]",
        "http://2130706433",
    ],
)
def test_plain_http_to_another_machine_must_be_asked_for(given: str) -> None:
    assert "allow_insecure = true" in faults(one(gateway(base_url=given)))["accounts.a.base_url"]
    insecure = one(gateway(base_url=given, allow_insecure=True))
    assert load_settings(insecure).accounts["a"].base_url == given


def test_an_address_of_this_very_server_needs_a_server() -> None:
    found = faults(one(gateway(base_url={"self": "/x"})), own_address=None)
    assert "contact-adapter serve" in found["accounts.a.base_url"]


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.0.1", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("127.1", False),
        ("", False),
        ("\n127.0.0.1", False),
        ("localhost.", False),
        ("a.localhost", False),
    ],
)
def test_loopback_is_this_machine_and_no_other(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


# --- transport


def test_an_account_overrides_what_it_names_and_inherits_the_rest() -> None:
    mapping = {
        "transport": {"connect_timeout": 1, "deadline": 8, "max_in_flight": 4},
        "accounts": {
            "a": MEMORY,
            "b": {**MEMORY, "transport": {"deadline": 2.5}},
            "c": {**MEMORY, "transport": {"max_in_flight": 1, "proxy": "http://127.0.0.1:1"}},
        },
    }
    loaded = load_settings(mapping).accounts
    assert loaded["a"].transport == TransportSettings(1.0, 8.0, 4)
    assert loaded["b"].transport == TransportSettings(1.0, 2.5, 4)
    assert loaded["c"].transport == TransportSettings(1.0, 8.0, 1, proxy="http://127.0.0.1:1")


def test_a_ca_file_must_exist(tmp_path: Path) -> None:
    loaded = load_settings(one(wuts(transport={"ca_file": certifi.where()})))
    assert loaded.accounts["a"].transport.ca_file == certifi.where()
    (tmp_path / "ca.pem").write_text("x")
    os.mkfifo(tmp_path / "fifo")
    unfit = ("", "none.pem", "ca.pem", "fifo")
    for path in (*(tmp_path / name for name in unfit), Path("/dev/zero")):
        found = faults(one(wuts(transport={"ca_file": str(path)})))
        assert set(found) == {"accounts.a.transport.ca_file"}


# --- aliases


def two(**aliases: list[str]) -> dict[str, Any]:
    return {"accounts": {name: {**MEMORY, "aliases": aliases.get(name, [])} for name in ("a", "b")}}


def test_two_accounts_cannot_have_one_alias() -> None:
    found = faults(two(a=["x"], b=["x"]))
    assert set(found) == {"accounts.b.aliases"}
    assert "means a" in found["accounts.b.aliases"]


def test_an_alias_cannot_be_the_name_of_another_account() -> None:
    assert "means b" in faults(two(a=["b"]))["accounts.a.aliases"]
    assert "means a" in faults(two(b=["a"]))["accounts.b.aliases"]


def test_an_alias_may_be_the_accounts_own_name_or_come_twice() -> None:
    loaded = load_settings(two(a=["a", "x", "x"], b=["y"]))
    assert loaded.accounts["a"].aliases == ("a", "x", "x")


# --- default accounts


def test_the_only_account_is_the_default_and_of_two_none_is() -> None:
    assert load_settings(one()).default_account == "a"
    assert load_settings(two()).default_account is None
    assert load_settings({**two(), "default_account": "b"}).default_account == "b"


def test_a_default_account_that_is_misspelt_is_refused_with_a_hint() -> None:
    mapping = {"accounts": {"support": MEMORY, "sales": MEMORY}, "default_account": "suport"}
    assert "did you mean support" in faults(mapping)["default_account"]


# --- keys


def test_a_star_stands_for_every_account() -> None:
    loaded = load_settings({**two(), "keys": {"k": key(accounts=["*"])}})
    assert loaded.keys[0].accounts == {"a", "b"}


def test_a_key_has_the_accounts_that_it_names_and_no_more() -> None:
    loaded = load_settings({**two(), "keys": {"k": key(accounts=["b"])}})
    assert loaded.keys[0].accounts == {"b"}
    assert loaded.keys[0].default_account is None


def test_the_default_account_of_a_key_must_be_one_of_its_accounts() -> None:
    mapping = {**two(), "keys": {"k": key(accounts=["a"], default_account="b")}}
    assert "not among" in faults(mapping)["keys.k.default_account"]
    mapping = {**two(), "keys": {"k": key(accounts=["*"], default_account="b")}}
    assert load_settings(mapping).keys[0].default_account == "b"


def test_two_keys_cannot_share_a_secret() -> None:
    found = faults(one(keys={"crm": key(), "shop": key(secret=Secret(" key "))}))
    assert set(found) == {"keys.shop.secret"}
    assert "secret of crm" in found["keys.shop.secret"]


# --- dialects


@pytest.mark.parametrize("prefix", ["/x", "/legacy/wuts", "/v10", "/api.v1", "/documents", "/~x"])
def test_a_dialect_is_mounted_where_the_configuration_says(prefix: str) -> None:
    loaded = load_settings(one(dialects={"enabled": ["wuts"], "wuts": {"prefix": prefix}}))
    assert loaded.dialects[0].prefix == prefix


@pytest.mark.parametrize(
    "prefix", ["", "/", "x", "/x/", "//x", "/a b", "/a?b", "/a#b", "/<name>", "/x\n", "/é", 1, None]
)
def test_a_prefix_is_a_plain_path(prefix: Any) -> None:
    mapping = one(dialects={"enabled": ["wuts"], "wuts": {"prefix": prefix}})
    assert set(faults(mapping)) == {"dialects.wuts.prefix"}


@pytest.mark.parametrize(
    "prefix", ["/v1", "/v1/x", "/livez", "/readyz/x", "/openapi.json", "/docs"]
)
def test_a_dialect_cannot_take_the_place_of_the_unified_api(prefix: str) -> None:
    mapping = one(dialects={"enabled": ["wuts"], "wuts": {"prefix": prefix}})
    assert "unified API" in faults(mapping)["dialects.wuts.prefix"]


@pytest.mark.parametrize("host", ["", "A.example", "a.example:80", "-a", "a/", "a_b", "a\n", 1])
def test_a_host_is_a_plain_host_name(host: Any) -> None:
    mapping = one(dialects={"enabled": ["wuts"], "wuts": {"host": host}})
    assert set(faults(mapping)) == {"dialects.wuts.host"}


@pytest.mark.parametrize("place", [{"prefix": "/x"}, {"host": "a.example"}])
def test_two_dialects_cannot_be_mounted_at_one_place(place: dict[str, str]) -> None:
    enabled = {"enabled": ["wuts", "wappfy"], "wuts": place, "wappfy": place}
    assert "where wuts already is" in faults(one(dialects=enabled))["dialects.wappfy"]


def test_a_dialect_cannot_be_mounted_at_the_default_place_of_another() -> None:
    dialects = {"enabled": ["wuts", "wappfy"], "wappfy": {"prefix": "/dialects/wuts"}}
    assert set(faults(one(dialects=dialects))) == {"dialects.wappfy"}


def test_a_dialect_enabled_twice_is_mounted_once() -> None:
    loaded = load_settings(one(dialects={"enabled": ["wuts", "wuts"]}))
    assert [each.name for each in loaded.dialects] == ["wuts"]


# --- TOML files


@pytest.mark.parametrize(
    "content",
    [b"[accounts", b"a = ", b"a = 1\na = 2", b"\xff\xfe", b"{}", b"a = 'x", b"[a]\n[a]"],
)
def test_a_file_that_is_no_toml_is_refused_by_its_name(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "adapter.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        read_toml(file)
    (problem,) = caught.value.problems
    assert problem.path == str(file)
    assert "no TOML" in problem.message


@pytest.mark.parametrize("name", ["absent.toml", "."])
def test_a_file_that_cannot_be_read_is_refused_by_its_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_toml(tmp_path / name)
    (problem,) = caught.value.problems
    assert problem.path == str(tmp_path / name)
    assert "cannot be read" in problem.message


def test_a_toml_error_shows_where_it_is_and_nothing_of_the_line(tmp_path: Path) -> None:
    file = tmp_path / "adapter.toml"
    file.write_text(f'[accounts.a]\ntoken = "{CANARY}\n')
    with pytest.raises(ConfigurationError, match="line 2") as caught:
        read_toml(file)
    assert CANARY not in str(caught.value)


def test_relative_files_are_found_from_the_folder_of_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "etc" / "secrets").mkdir(parents=True)
    (tmp_path / "etc" / "secrets" / "token").write_text("from-a-file")
    shutil.copy(certifi.where(), tmp_path / "ca.pem")
    absolute = tmp_path / "key"
    absolute.write_text("absolute")
    (tmp_path / "etc" / "adapter.toml").write_text(
        f"""
        [accounts.a]
        provider = "wuts"
        token = {{ file = "secrets/token" }}
        transport = {{ ca_file = "../ca.pem" }}

        [keys.k]
        secret = {{ file = "{absolute}" }}
        scopes = ["read"]
        accounts = ["a"]
        """
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(tmp_path)
    mapping = read_toml(Path("etc/adapter.toml"))
    monkeypatch.chdir(elsewhere)
    loaded = load_settings(mapping)
    assert loaded.accounts["a"].options["token"].reveal() == "from-a-file"
    assert loaded.keys[0].secret.reveal() == "absolute"


# --- hostile mappings

names = st.sampled_from(
    [
        *("a", "b", "accounts", "keys", "dialects", "plugins", "transport", "default_account"),
        *("default_region", "provider", "base_url", "aliases", "allow_insecure", "token", "self"),
        *("session", "api_key", "wire_format", "secret", "scopes", "enabled", "blocked", "prefix"),
        *("host", "env", "file", "deadline", "connect_timeout", "max_in_flight", "ca_file"),
        *("proxy", "wuts", "wappfy", "session-gateway", "memory", "*", "key", "value", "_schema"),
    ]
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**400)
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=3)
    | names
    | st.sampled_from(["https://example.com", "http://[", "BR", "block", "/x", "HOME", "\0"])
)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            names | st.text(max_size=3) | st.integers() | st.none(), inner, max_size=4
        )
    ),
    max_leaves=8,
)
accounts = st.dictionaries(
    names | st.text(max_size=3),
    st.builds(
        lambda provider, rest: {"provider": provider, **rest},
        st.sampled_from(["memory", "wuts", "wappfy", "session-gateway"]),
        st.dictionaries(names, anything, max_size=4),
    )
    | anything,
    max_size=3,
)
tops = st.fixed_dictionaries(
    {},
    optional={
        "accounts": accounts | anything,
        "keys": st.dictionaries(names, st.dictionaries(names, anything, max_size=4)) | anything,
        "dialects": st.dictionaries(names, anything, max_size=3) | anything,
        "plugins": st.dictionaries(names, anything, max_size=3) | anything,
        "transport": st.dictionaries(names, anything, max_size=3) | anything,
        "default_account": anything,
        "default_region": anything,
    },
)


@pytest.mark.slow
@pytest.mark.no_cover
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mapping=tops | st.dictionaries(names | st.integers() | st.none(), anything, max_size=4))
def test_a_hostile_mapping_is_settings_or_a_configuration_error(mapping: dict[Any, Any]) -> None:
    try:
        loaded = load_settings(mapping, own_address=OWN)
    except (ConfigurationError, PluginError):
        return
    assert loaded.accounts


@pytest.mark.parametrize("key", ["base_ulr", "alias", "allow_insecur", "tokn"])
def test_an_unknown_key_of_an_account_is_explained_with_all_keys_that_it_may_have(key: str) -> None:
    said = faults(one(wuts(**{key: "x"})))[f"accounts.a.{key}"]
    assert "did you mean " in said
    assert {*ACCOUNT_KEYS, "token"} <= set(re.findall("[a-z_]+", said.partition("here are:")[2]))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[accounts.AKIAX]\n[accounts.AKIAX]\n", "a key or table stands there twice (line 2, "),
        ("a = {AKIAX = 1, AKIAX = 2}\n", "a key or table stands there twice (line 1, "),
        ("AKIAX = 1\nAKIAX = 2\n", "a key or table stands there twice (line 2, "),
        ("AKIAX\n", "what stands there cannot be read (line 1, "),
        ("a = ", "what stands there cannot be read ("),
        ("a = " + "9" * 5000, "what stands there cannot be read ("),
    ],
)
def test_what_is_no_toml_is_explained_by_its_place_without_what_stands_there(
    text: str, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "adapter.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        read_toml(path)
    (problem,) = caught.value.problems
    assert problem.message.startswith(f"is no TOML: {said}")
    assert "AKIAX" not in str(caught.value)
