"""Proxies of the configuration: every kind carries calls, within the one deadline, or says why."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from faults import Authority, FaultServer, always, answer
from support import free_port
from support_proxies import (
    PASSWORD,
    USER,
    Serve,
    connects,
    dribbles,
    hangs,
    run_proxy,
    socks5,
)

from adapter import Applied, Code, ConfigurationError, HttpRequest, HttpResponse, Outcome, Secret
from adapter.settings import Proxy, TransportSettings, load_settings, read_proxy
from adapter.transport import Transport

POST = HttpRequest("POST", "/block", json={"a": 1})
LOGIN = f"{quote(USER)}:{quote(PASSWORD)}@"
WRONG_LOGIN = f"{USER}:wrong@"
GOOD = answer(200, {})


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def send(base_url: str, proxy: str, authority: Authority, **more: Any) -> HttpResponse | Outcome:
    settings = TransportSettings(
        **{"deadline": 5.0, "proxy": Secret(proxy), "ca_file": str(authority.file), **more}
    )
    transport = Transport(base_url, settings)
    try:
        for _ in range(2):
            found = transport.send(POST, "r-1")
        return found
    finally:
        transport.close()


KINDS = {
    "http": (connects, False),
    "https": (connects, True),
    "socks5": (socks5, False),
    "socks5h": (socks5, False),
}


@pytest.mark.parametrize("login", ["", LOGIN])
@pytest.mark.parametrize("scheme", KINDS)
@pytest.mark.parametrize("secure", [False, True], ids=["http upstream", "https upstream"])
def test_every_kind_of_proxy_carries_calls_over_one_connection(
    scheme: str, secure: bool, login: str, authority: Authority
) -> None:
    serve, proxy_is_secure = KINDS[scheme]
    upstream = FaultServer(always(GOOD), GOOD, authority.vouch("localhost") if secure else None)
    context = authority.vouch() if proxy_is_secure else None
    with upstream, run_proxy(serve, login=bool(login), context=context) as proxy:
        base_url = f"{'https' if secure else 'http'}://localhost:{upstream.port}"
        found = send(base_url, f"{scheme}://{login}127.0.0.1:{proxy.port}", authority)
        assert isinstance(found, HttpResponse)
        assert proxy.connections == 1
        if scheme.startswith("http") and not secure:  # the proxy speaks for itself
            assert proxy.asked == [f"http://localhost:{upstream.port}/block"] * 2
        else:
            name = "localhost" if scheme != "socks5" else "127.0.0.1"
            assert proxy.asked in ([f"{name}:{upstream.port}"], [f"::1:{upstream.port}"])
            assert upstream.requests == 2


@pytest.mark.parametrize("given", ["", WRONG_LOGIN])
@pytest.mark.parametrize("scheme", KINDS)
@pytest.mark.parametrize("secure", [False, True], ids=["http upstream", "https upstream"])
def test_a_proxy_that_wants_another_login_is_named_and_nothing_was_applied(
    scheme: str, secure: bool, given: str, authority: Authority
) -> None:
    serve, proxy_is_secure = KINDS[scheme]
    context = authority.vouch() if proxy_is_secure else None
    with run_proxy(serve, login=True, context=context) as proxy:
        base_url = f"{'https' if secure else 'http'}://127.0.0.1:{free_port()}"
        outcome = send(base_url, f"{scheme}://{given}127.0.0.1:{proxy.port}", authority)
    assert isinstance(outcome, Outcome)
    assert (outcome.code, outcome.applied) == (Code.PROVIDER_UNREACHABLE, Applied.NOT_APPLIED)
    assert "login" in outcome.message


@pytest.mark.parametrize("scheme", KINDS)
def test_a_proxy_that_does_not_connect_is_named_and_nothing_was_applied(
    scheme: str, authority: Authority
) -> None:
    serve, proxy_is_secure = KINDS[scheme]
    context = authority.vouch() if proxy_is_secure else None
    with run_proxy(serve, status=502, context=context) as proxy:
        outcome = send("https://localhost:9", f"{scheme}://127.0.0.1:{proxy.port}", authority)
    assert isinstance(outcome, Outcome)
    assert (outcome.code, outcome.applied) == (Code.PROVIDER_UNREACHABLE, Applied.NOT_APPLIED)
    assert "does not connect" in outcome.message


@pytest.mark.parametrize("scheme", KINDS)
@pytest.mark.parametrize(
    "serve",
    [
        pytest.param(hangs, id="silence"),
        pytest.param(dribbles(b"HTTP/1.1 200 Connected\r\nX: y\r\n"), id="a head, byte by byte"),
        pytest.param(dribbles(b"\x05\x00\x05\x00\x00\x03\xff"), id="SOCKS, byte by byte"),
    ],
)
def test_a_proxy_that_hangs_in_its_handshake_costs_no_more_than_the_time_to_connect(
    scheme: str, serve: Serve, authority: Authority
) -> None:
    context = authority.vouch() if scheme == "https" else None
    with run_proxy(serve, context=context) as proxy:
        started = time.monotonic()
        address = f"{scheme}://127.0.0.1:{proxy.port}"
        outcome = send("https://localhost:9", address, authority, connect_timeout=0.4)
        assert time.monotonic() - started < 5
    assert isinstance(outcome, Outcome)
    assert (outcome.code, outcome.applied) == (Code.PROVIDER_UNREACHABLE, Applied.NOT_APPLIED)


@pytest.mark.parametrize("scheme", KINDS)
def test_an_upstream_that_drips_behind_a_proxy_is_cut_at_the_deadline(
    scheme: str, authority: Authority
) -> None:
    serve, proxy_is_secure = KINDS[scheme]
    context = authority.vouch() if proxy_is_secure else None

    def drip(peer: Any) -> None:
        peer.read_request()
        peer.drip(b"H")

    with (
        FaultServer(drip, GOOD, authority.vouch("localhost")) as upstream,
        run_proxy(serve, context=context) as proxy,
    ):
        started = time.monotonic()
        address = f"{scheme}://127.0.0.1:{proxy.port}"
        outcome = send(f"https://localhost:{upstream.port}", address, authority, deadline=0.6)
        assert time.monotonic() - started < 6
    assert isinstance(outcome, Outcome)
    assert outcome.code is Code.PROVIDER_TIMEOUT


def test_tls_within_the_tls_of_a_proxy_says_of_whom_its_certificate_is(
    authority: Authority, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path)
    for proxys, upstreams in ((authority, stranger), (stranger, authority)):
        with (
            FaultServer(always(GOOD), GOOD, upstreams.vouch("localhost")) as upstream,
            run_proxy(connects, context=proxys.vouch()) as proxy,
        ):
            address = f"https://127.0.0.1:{proxy.port}"
            outcome = send(f"https://localhost:{upstream.port}", address, authority)
            assert upstream.requests == 0
        assert isinstance(outcome, Outcome)
        assert outcome.applied is Applied.NOT_APPLIED
        if proxys is stranger:
            assert "certificate" in outcome.message
        else:
            assert outcome.code is Code.PROVIDER_TLS_ERROR


# --- the configuration


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
    ],
)
def test_a_proxy_is_read_from_its_url(url: str, proxy: Proxy) -> None:
    assert read_proxy(Secret(url)) == proxy
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
        (Secret("http://user@p"), "user:password"),
        (Secret("http://:canary@p"), "user:password"),
        (Secret(f"socks5://u:{'canary' * 30}@p"), "127"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_a_fault_that_does_not_repeat_it(
    given: str | Secret, words: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(account(proxy=given))
    [problem] = caught.value.problems
    assert problem.path == "accounts.a.transport.proxy"
    assert words in problem.message
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("form", ["env", "file"])
def test_a_login_is_given_by_reference_as_a_part_of_the_whole_url(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "http://user:canary@p:3128"
    monkeypatch.setenv("PROXY_URL", url)
    (tmp_path / "proxy").write_text(f"{url}\n")
    reference = {"env": "PROXY_URL"} if form == "env" else {"file": str(tmp_path / "proxy")}
    settings = load_settings(account(proxy=reference))
    transport = settings.accounts["a"].transport
    assert transport.proxy is not None
    assert read_proxy(transport.proxy).login == ("user", "canary")
    assert "canary" not in repr(settings)


def test_socks_without_its_library_is_a_fault_that_names_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("adapter.settings.find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'contact-adapter\[socks\]'"):
        load_settings(account(proxy="socks5://p"))
    load_settings(account(proxy="http://p"))
