"""Fixed headers of an account: sent with every request, except names that have another owner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support import BUILT_IN, account_for, run_upstream

from adapter import ConfigurationError, Secret
from adapter.client import connect
from adapter.header_rules import RESERVED_HEADERS
from adapter.plugin import Headers, HttpRequest
from adapter.settings.loader import load_settings
from adapter.settings.model import TransportSettings
from adapter.settings.toml_file import read_toml
from adapter.transport.client import Transport

CANARY = "canary-of-a-gate"


def configure(provider: str = "wuts", address: str = "http://127.0.0.1:1", **headers: Any) -> Any:
    return {"accounts": {"a": {**account_for(provider, address), "headers": headers}}}


def test_every_request_of_the_account_has_its_headers() -> None:
    with run_upstream() as upstream:
        upstream.will_answer(200, {"success": True, "data": {"blocked": True}})
        own = {"CF-Access-Client-Id": "id.access", "X-Gate": Secret(f"Basic {CANARY}")}
        config = configure("wuts", upstream.address, **own)
        config["accounts"]["b"] = account_for("wuts", upstream.address)
        with connect(config) as contacts:
            for _ in range(2):
                assert contacts.block("+5511999999999", account="a").ok
            contacts.blocked(account="a")
            assert contacts.block("+5511999999999", account="b").ok
    *own_requests, others = upstream.seen
    for seen in own_requests:
        assert seen.headers["CF-Access-Client-Id"] == "id.access"
        assert seen.headers["X-Gate"] == f"Basic {CANARY}"
        assert seen.headers["Authorization"].startswith("Bearer ")
    assert "X-Gate" not in others.headers


def faults(config: Any) -> dict[str, str]:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(config)
    assert CANARY not in str(caught.value)
    return {problem.path: problem.message for problem in caught.value.problems}


@pytest.mark.parametrize("name", sorted({*RESERVED_HEADERS, "Host", "Proxy-Authorization"}))
def test_headers_of_the_adapter_are_rejected(name: str) -> None:
    found = faults(configure(**{name: CANARY}))
    assert "written by the adapter" in found[f"accounts.a.headers.{name}"]


@pytest.mark.parametrize(
    "name",
    [
        *("Range", "Content-Range", "Idempotency-Key", "X-Original-URL", "X-Rewrite-URL"),
        *("If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range"),
        *("X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method", "if-anything"),
    ],
)
def test_headers_that_change_the_request_are_rejected(name: str) -> None:
    found = faults(configure(**{name: CANARY}))
    assert "would change the meaning of the requests" in found[f"accounts.a.headers.{name}"]


@pytest.mark.parametrize("provider", sorted(set(BUILT_IN) - {"memory"}))
def test_headers_of_the_provider_are_rejected(provider: str) -> None:
    for name in BUILT_IN[provider].header_templates:
        for written in (name, name.upper()):
            found = faults(configure(provider, **{written: CANARY}))
            assert f"written by the provider {provider}" in found[f"accounts.a.headers.{written}"]


@pytest.mark.parametrize(
    ("headers", "path", "words"),
    [
        ({"": "x"}, "", "names"),
        ({"a b": "x"}, "", "names"),
        ({"a:": "x"}, "", "names"),
        ({"a\r\nb": "x"}, "", "names"),
        ({"X-A": "x", "x-a": "y"}, ".x-a", "twice"),
        ({"X-A": " x"}, ".X-A", "visible ASCII"),
        ({"X-A": "x\r\nY: z"}, ".X-A", "visible ASCII"),
        ({"X-A": "é"}, ".X-A", "visible ASCII"),
        ({"X-A": Secret("a\nb")}, ".X-A", "visible ASCII"),
        ({"X-A": 5}, ".X-A", "env"),
        ({"X-A": {"env": "NO_SUCH_VARIABLE"}}, ".X-A", "no variable"),
        ({"X-A": {"value": CANARY}}, ".X-A", "env"),
    ],
)
def test_an_invalid_header_is_rejected(headers: dict[str, Any], path: str, words: str) -> None:
    found = faults(configure(**headers))
    assert words in found[f"accounts.a.headers{path}"]


def test_headers_for_a_local_provider_are_rejected() -> None:
    config = {"accounts": {"a": {"provider": "memory", "headers": {"X-A": "x"}}}}
    assert "remove the table" in faults(config)["accounts.a.headers"]


def test_header_values_by_reference_are_read_and_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATE", f"Basic {CANARY}")
    (tmp_path / "gate").write_text(f"{CANARY}\n")
    (tmp_path / "adapter.toml").write_text(
        "\n".join(
            (
                "[accounts.a]",
                'provider = "wuts"',
                'token = { env = "GATE_TOKEN" }',
                "[accounts.a.headers]",
                'X-Plain = "two words"',
                'X-Env = { env = "GATE" }',
                'X-File = { file = "gate" }',
            )
        )
    )
    monkeypatch.setenv("GATE_TOKEN", "t")
    settings = load_settings(read_toml(tmp_path / "adapter.toml"))
    headers = settings.accounts["a"].headers
    assert headers["X-Plain"] == "two words"
    assert headers["X-Env"] == Secret(f"Basic {CANARY}")
    assert headers["X-File"] == Secret(CANARY)
    assert CANARY not in f"{settings!r} {headers!r}"


def test_a_header_that_the_provider_builds_replaces_the_accounts() -> None:
    with run_upstream() as upstream:
        upstream.status = 204
        transport = Transport(upstream.address, TransportSettings(), {"x-own": "account"})
        transport.send(HttpRequest("POST", "/x", Headers({"X-Own": "provider"})), "r")
        transport.send(HttpRequest("POST", "/x", Headers({"Y": "z"})), "r")
        transport.close()
    first, second = upstream.seen
    assert [value for name, value in first.headers.items() if name.lower() == "x-own"] == [
        "provider"
    ]
    assert second.headers["x-own"] == "account"
