"""The setting `transport.proxy`: its URL, its login, and the extra for SOCKS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adapter import ConfigurationError, Secret
from adapter.settings.loader import load_settings
from adapter.settings.model import Proxy
from adapter.settings.proxy import parse_proxy


def account(**transport: Any) -> dict[str, Any]:
    return {"accounts": {"a": {"provider": "wuts", "token": Secret("t"), "transport": transport}}}


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://p", Proxy("http", "p", 80)),
        ("HTTP://P:3128/", Proxy("http", "p", 3128)),
        ("https://p", Proxy("https", "p", 443)),
        ("socks5://10.0.0.1", Proxy("socks5", "10.0.0.1", 1080)),
        ("socks5h://[::1]:9", Proxy("socks5h", "::1", 9)),
        ("http://u:p%40ss%3A@p:1", Proxy("http", "p", 1, ("u", "p@ss:"))),
        ("http://KEY:@p", Proxy("http", "p", 80, ("KEY", ""))),
        ("https://KEY@p", Proxy("https", "p", 443, ("KEY", ""))),
        (f"socks5://u:{'%C3%A9' * 63}@p", Proxy("socks5", "p", 1080, ("u", "é" * 63))),
    ],
)
def test_a_proxy_url_is_parsed(url: str, proxy: Proxy) -> None:
    assert parse_proxy(Secret(url)) == proxy
    assert "ss:" not in repr(proxy)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("ftp://p", "one of: http, https, socks5, socks5h"),
        ("p:3128", "one of: http"),
        ("http://", "a URL of a host"),
        ("http://p/path", "without a path"),
        ("http://p:0", "a URL of a host"),
        ("http://user:canary@p", "is a secret"),
        (Secret("socks5://user@p"), "user:password"),
        (Secret("socks5h://user:@p"), "user:password"),
        (Secret("http://@p"), "user:password"),
        (Secret(f"socks5://u:{'%C3%A9' * 64}@p"), "127 bytes"),
        (Secret(f"socks5://{'%C3%A9' * 64}:p@p"), "127 bytes"),
        (Secret("http://:canary@p"), "user:password"),
        (Secret(f"socks5://u:{'canary' * 30}@p"), "127"),
    ],
)
def test_an_invalid_proxy_url_is_rejected_and_not_repeated(given: str | Secret, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(account(proxy=given))
    [problem] = caught.value.problems
    assert problem.path == "accounts.a.transport.proxy"
    assert words in problem.message
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("form", ["env", "file"])
def test_a_proxy_url_with_a_login_is_read_by_reference(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "http://user:canary@p:3128"
    monkeypatch.setenv("PROXY_URL", url)
    (tmp_path / "proxy").write_text(f"{url}\n")
    reference = {"env": "PROXY_URL"} if form == "env" else {"file": str(tmp_path / "proxy")}
    settings = load_settings(account(proxy=reference))
    transport = settings.accounts["a"].transport
    assert transport.proxy is not None
    assert parse_proxy(transport.proxy).login == ("user", "canary")
    assert "canary" not in repr(settings)


def test_a_socks_proxy_without_pysocks_names_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("adapter.settings.accounts.find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'contact-adapter\[socks\]'"):
        load_settings(account(proxy="socks5://p"))
    load_settings(account(proxy="http://p"))
