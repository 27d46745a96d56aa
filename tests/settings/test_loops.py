"""Accounts whose requests return to them through the dialects of this server."""

from __future__ import annotations

from typing import Any

import pytest
from support.settings import MEMORY, OWN, key, one, problems, wuts

from adapter.secret import Secret
from adapter.settings.loader import load_settings

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
def test_a_loop_of_accounts_is_refused_with_its_path(
    table: dict[str, Any], enabled: list[str], loop: str
) -> None:
    found = problems({"accounts": table, "dialects": {"enabled": enabled}})
    assert set(found) == {"accounts.a.base_url"}
    assert loop in found["accounts.a.base_url"]
    assert "address of a provider" in found["accounts.a.base_url"]


@pytest.mark.parametrize("dot", ["", ".", ":8443", ".:8443"])
def test_a_loop_is_detected_at_the_host_name_of_a_dialect(dot: str) -> None:
    enabled = {"enabled": ["wuts"], "wuts": {"host": "wuts.internal.example"}}
    found = problems(one(wuts(base_url=f"https://wuts.internal.example{dot}"), dialects=enabled))
    assert "a → a" in found["accounts.a.base_url"]


THIS_MACHINE = (
    *("127.0.0.1", "127.1.2.3", "127.1", "0x7f000001", "2130706433", "[::1]", "[0:0:0:0:0:0:0:1]"),
    *("localhost", "localhost.", "LOCALHOST", "a.localhost", "0.0.0.0", "0", "[::]"),
    *("[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:0.0.0.0]"),
    *("web-1.example", "WEB-1.example."),
)


@pytest.mark.no_cover
@pytest.mark.slow
@pytest.mark.parametrize("host", THIS_MACHINE)
@pytest.mark.parametrize("own", [OWN, "http://localhost", "http://[::1]:80", "https://127.0.0.1"])
def test_a_loop_is_detected_by_every_name_of_this_machine(
    own: str, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapter.urls.gethostname", lambda: "web-1.example")
    scheme = own.partition(":")[0]
    port = 8000 if own == OWN else {"http": 80, "https": 443}[scheme]
    written = [f":{port}"] if own == OWN else ["", f":{port}"]
    for place in written:
        account = wuts(base_url=f"{scheme}://{host}{place}/dialects/wuts", allow_insecure=True)
        found = problems(one(account, dialects={"enabled": ["wuts"]}), own)
        assert "a → a" in found["accounts.a.base_url"]
        other = {**account, "base_url": f"{scheme}://{host}:9/dialects/wuts"}
        assert load_settings(one(other, dialects={"enabled": ["wuts"]}), own_address=own)


@pytest.mark.parametrize(
    ("default", "looped"), [("a", True), ("m", False)], ids=["its own key", "another's"]
)
def test_a_loop_depends_on_the_api_key_of_the_account(default: str, looped: bool) -> None:
    mapping: dict[str, Any] = {
        "accounts": {
            "m": MEMORY,
            "a": wuts(token=Secret("key"), base_url={"self": "/dialects/wuts"}),
        },
        "keys": {"k": key(accounts=["*"], default_account=default)},
        "dialects": {"enabled": ["wuts"]},
    }
    if looped:
        assert "a → a" in problems(mapping)["accounts.a.base_url"]
    else:
        assert load_settings(mapping, own_address=OWN).accounts
    mapping["accounts"]["a"]["token"] = Secret("nobodys")  # answered 401: no loop
    assert load_settings(mapping, own_address=OWN).accounts


@pytest.mark.parametrize(("allowed", "looped"), [(["a"], True), (["m"], False), (["*"], False)])
def test_a_loop_depends_on_the_accounts_of_a_key_without_a_default(
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
        assert "a → a" in problems(mapping)["accounts.a.base_url"]
    else:
        assert load_settings(mapping, own_address=OWN).accounts


def test_a_chain_of_accounts_that_ends_is_not_a_loop() -> None:
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
