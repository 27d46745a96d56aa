"""The base_url of an account: https, or http to this machine."""

from __future__ import annotations

from typing import Any

import pytest
from support.settings import OWN, one, problems

from adapter.secret import Secret
from adapter.settings.loader import load_settings


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
def test_a_base_url_is_https_or_http_to_this_machine(given: Any, used: str) -> None:
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
def test_an_invalid_base_url_is_refused(given: Any) -> None:
    assert set(problems(one(gateway(base_url=given)))) == {"accounts.a.base_url"}


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
def test_plain_http_to_another_machine_needs_allow_insecure(given: str) -> None:
    assert "allow_insecure = true" in problems(one(gateway(base_url=given)))["accounts.a.base_url"]
    insecure = one(gateway(base_url=given, allow_insecure=True))
    assert load_settings(insecure).accounts["a"].base_url == given


def test_a_base_url_of_this_server_needs_its_address() -> None:
    found = problems(one(gateway(base_url={"self": "/x"})), own_address=None)
    assert "contact-adapter serve" in found["accounts.a.base_url"]
