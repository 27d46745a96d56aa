"""Valid configurations: the settings that they are loaded into."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import certifi
import pytest
from support.settings import CANARY, MEMORY, OWN, key, one, problems, wuts

from adapter.codes import Scope
from adapter.secret import Secret
from adapter.settings.loader import load_settings
from adapter.settings.model import TransportSettings
from adapter.settings.toml_file import read_toml

CONFIG = Path(__file__).parents[2] / "config"


def test_one_account_is_a_complete_configuration() -> None:
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


def test_a_complete_configuration_is_loaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
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


def test_settings_are_immutable() -> None:
    loaded = load_settings(one())
    with pytest.raises(AttributeError):
        loaded.default_account = "b"  # type: ignore[misc]
    with pytest.raises(TypeError):
        loaded.accounts["b"] = loaded.accounts["a"]  # type: ignore[index]
    with pytest.raises(TypeError):
        loaded.accounts["a"].options["x"] = 1  # type: ignore[index]


def test_loading_does_not_change_the_mapping() -> None:
    mapping = one(wuts(transport={"deadline": 9}), keys={"k": key()}, transport={})
    before = repr(mapping)
    load_settings(mapping)
    assert repr(mapping) == before


def test_repr_of_settings_hides_secrets() -> None:
    loaded = load_settings(
        one(wuts(token=Secret(CANARY)), keys={"k": key(secret=Secret(f"{CANARY}-2"))})
    )
    assert CANARY not in repr(loaded)
    assert CANARY not in repr(loaded.accounts["a"].options)


def test_the_transport_of_an_account_overrides_the_common_one() -> None:
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


def test_a_ca_file_must_hold_certificates(tmp_path: Path) -> None:
    loaded = load_settings(one(wuts(transport={"ca_file": certifi.where()})))
    assert loaded.accounts["a"].transport.ca_file == certifi.where()
    (tmp_path / "ca.pem").write_text("x")
    os.mkfifo(tmp_path / "fifo")
    unfit = ("", "none.pem", "ca.pem", "fifo")
    for path in (*(tmp_path / name for name in unfit), Path("/dev/zero")):
        found = problems(one(wuts(transport={"ca_file": str(path)})))
        assert set(found) == {"accounts.a.transport.ca_file"}
