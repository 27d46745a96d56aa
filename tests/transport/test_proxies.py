"""Proxies of the configuration: every kind carries calls, within the one deadline, or says why."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from support import BUILT_IN, NUMBER, free_port
from support.faults import Authority
from support.proxies import (
    PASSWORD,
    USER,
    Serve,
    connects,
    dribbles,
    hangs,
    run_proxy,
    socks5,
)
from support.raw_server import RawServer, always, http_response

from adapter import (
    Action,
    Applied,
    Code,
    Command,
    ConfigurationError,
    Contact,
    HttpRequest,
    HttpResponse,
    Outcome,
    Retry,
    Secret,
)
from adapter.account import Account
from adapter.settings.loader import load_settings
from adapter.settings.model import AccountSettings, Proxy, TransportSettings
from adapter.settings.proxy import read_proxy
from adapter.transport.client import Transport
from adapter.transport.errors import ProxyError
from adapter.transport.proxies import connect_through_proxy
from adapter.transport.streams import tls_context

POST = HttpRequest("POST", "/block", json={"a": 1})
LOGIN = f"{quote(USER)}:{quote(PASSWORD)}@"
WRONG_LOGIN = f"{USER}:wrong@"
GOOD = http_response(200, {})


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
    upstream = RawServer(always(GOOD), GOOD, authority.vouch("localhost") if secure else None)
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
            assert upstream.request_count == 2


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
    if scheme.startswith("http") or serve is hangs:
        assert outcome.advice is None
        assert "transport.proxy) cannot be reached" in outcome.message


def gone(proxy: Any, connection: socket.socket) -> None:
    """Close the connection without a word, when it was asked for something."""
    connection.recv(65536)


@pytest.mark.parametrize("scheme", KINDS)
@pytest.mark.parametrize("secure", [False, True], ids=["http upstream", "https upstream"])
@pytest.mark.parametrize("fault", ["refused", "no such name", "closed", "closed in its TLS"])
def test_a_proxy_that_is_not_there_is_named_and_tried_again(
    fault: str, secure: bool, scheme: str, authority: Authority
) -> None:
    forwards = scheme.startswith("http") and not secure
    if fault == "closed" and forwards:
        pytest.skip("the request has left by then")
    if fault == "closed in its TLS" and scheme != "https":
        pytest.skip("it has none")
    context = authority.vouch() if scheme == "https" and fault == "closed" else None
    base_url = f"{'https' if secure else 'http'}://127.0.0.1:{free_port()}"
    with run_proxy(gone, context=context) as proxy:
        host = "no-such-name.invalid" if fault == "no such name" else "127.0.0.1"
        port = free_port() if fault == "refused" else proxy.port
        address = f"{scheme}://{host}:{port}"
        with account_by(address, base_url, authority, breaker_threshold=5) as account:
            outcome, attempts = account.call(BLOCK, "r")
    assert (outcome.code, outcome.applied) == (Code.PROVIDER_UNREACHABLE, Applied.NOT_APPLIED)
    assert "transport.proxy) cannot be reached" in outcome.message
    assert outcome.advice is None
    assert attempts == 2


@pytest.mark.parametrize("secure", [False, True], ids=["http upstream", "https upstream"])
def test_an_https_proxy_without_a_trusted_certificate_is_named(
    secure: bool, authority: Authority, tmp_path: Path
) -> None:
    base_url = f"{'https' if secure else 'http'}://127.0.0.1:{free_port()}"
    with (
        run_proxy(connects, context=Authority(tmp_path).vouch()) as proxy,
        account_by(f"https://127.0.0.1:{proxy.port}", base_url, authority) as account,
    ):
        outcome, attempts = account.call(BLOCK, "r")
        assert account.resilience.state == "closed"
    assert outcome.code is Code.PROVIDER_UNREACHABLE
    assert outcome.advice is Retry.AFTER_ACTION
    assert "transport.proxy) has a certificate" in outcome.message
    assert attempts == 1


@pytest.mark.parametrize("scheme", KINDS)
def test_an_upstream_that_drips_behind_a_proxy_is_cut_at_the_deadline(
    scheme: str, authority: Authority
) -> None:
    serve, proxy_is_secure = KINDS[scheme]
    context = authority.vouch() if proxy_is_secure else None

    def drip(peer: Any) -> None:
        peer.read_request()
        peer.write_repeatedly(b"H")

    with (
        RawServer(drip, GOOD, authority.vouch("localhost")) as upstream,
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
            RawServer(always(GOOD), GOOD, upstreams.vouch("localhost")) as upstream,
            run_proxy(connects, context=proxys.vouch()) as proxy,
        ):
            address = f"https://127.0.0.1:{proxy.port}"
            outcome = send(f"https://localhost:{upstream.port}", address, authority)
            assert upstream.request_count == 0
        assert isinstance(outcome, Outcome)
        assert outcome.applied is Applied.NOT_APPLIED
        if proxys is stranger:
            assert "certificate" in outcome.message
            assert "transport.proxy" in outcome.message
        else:
            assert outcome.code is Code.PROVIDER_TLS_ERROR


# --- whose fault a refusal is


@contextmanager
def account_by(proxy: str, base_url: str, authority: Authority, **more: Any) -> Iterator[Account]:
    settings = TransportSettings(
        **{"proxy": Secret(proxy), "ca_file": str(authority.file), "breaker_threshold": 1, **more}
    )
    opened = Account(
        AccountSettings("a", BUILT_IN["wuts"], base_url, {"token": Secret("t")}, (), settings)
    )
    try:
        yield opened
    finally:
        opened.close()


BLOCK = Command(Action.BLOCK, Contact(number=NUMBER))


@pytest.mark.parametrize("scheme", KINDS)
@pytest.mark.parametrize("secure", [False, True], ids=["http upstream", "https upstream"])
def test_a_proxy_that_wants_a_login_pauses_no_account_and_is_named_each_time(
    scheme: str, secure: bool, authority: Authority
) -> None:
    serve, proxy_is_secure = KINDS[scheme]
    context = authority.vouch() if proxy_is_secure else None
    base_url = f"{'https' if secure else 'http'}://127.0.0.1:{free_port()}"
    with (
        run_proxy(serve, login=True, context=context) as proxy,
        account_by(f"{scheme}://127.0.0.1:{proxy.port}", base_url, authority) as account,
    ):
        for _ in range(7):
            assert "login" in account.call(BLOCK, "r")[0].message
        assert account.resilience.state == "closed"


@pytest.mark.parametrize(
    ("scheme", "serve", "status", "state"),
    [
        ("http", connects, 403, "closed"),
        ("http", connects, 405, "closed"),
        ("http", connects, 429, "closed"),
        ("http", connects, 502, "opened"),
        ("http", connects, 503, "opened"),
        ("http", connects, 504, "opened"),
        ("socks5h", socks5, 1, "closed"),
        ("socks5h", socks5, 2, "closed"),
        ("socks5h", socks5, 3, "opened"),
        ("socks5h", socks5, 4, "opened"),
        ("socks5h", socks5, 5, "opened"),
        ("socks5h", socks5, 6, "opened"),
        ("socks5h", socks5, 7, "closed"),
    ],
)
def test_a_refusal_by_policy_shows_nothing_and_a_host_that_is_not_found_counts(
    scheme: str, serve: Serve, status: int, state: str, authority: Authority
) -> None:
    with (
        run_proxy(serve, status=status) as proxy,
        account_by(
            f"{scheme}://127.0.0.1:{proxy.port}", "https://localhost:9", authority
        ) as account,
    ):
        outcome, _ = account.call(BLOCK, "r")
        assert (outcome.code, outcome.applied) == (Code.PROVIDER_UNREACHABLE, Applied.NOT_APPLIED)
        assert outcome.advice is (Retry.AFTER_ACTION if state == "closed" else None)
        assert account.resilience.state == state
        assert "transport.proxy" in outcome.message


def look_up(*addresses: str) -> Any:
    right = socket.getaddrinfo

    def found(host: str, port: int, *rest: Any, **options: Any) -> Any:
        if host != "many.example":
            return right(host, port, *rest, **options)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in addresses]

    return found


def only_answers(address: str, otherwise: Serve) -> Serve:
    """Return a SOCKS proxy that connects to one address alone; `otherwise` is done for others."""

    def serve(proxy: Any, connection: socket.socket) -> None:
        connection.recv(1)
        methods = connection.recv(1)[0]
        connection.recv(methods)
        connection.sendall(b"\x05\x00")
        asked = connection.recv(262)
        host = socket.inet_ntoa(asked[4:8])
        proxy.asked.append(host)
        if host != address:
            otherwise(proxy, connection)
            return
        connection.sendall(b"\x05\x00\x00\x01" + bytes(6))
        proxy.relay(connection, "127.0.0.1", int.from_bytes(asked[8:10], "big"))

    return serve


def refuses(proxy: Any, connection: socket.socket) -> None:
    connection.sendall(b"\x05\x05\x00\x01" + bytes(6))


@pytest.mark.parametrize("otherwise", [refuses, hangs])
def test_with_socks5_each_address_of_a_host_has_its_turn_and_share_of_the_time(
    otherwise: Serve, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", look_up("10.9.9.1", "10.9.9.2", "10.9.9.3"))
    with (
        RawServer(always(GOOD), GOOD) as upstream,
        run_proxy(only_answers("10.9.9.3", otherwise)) as proxy,
    ):
        found = send(
            f"http://many.example:{upstream.port}",
            f"socks5://127.0.0.1:{proxy.port}",
            authority,
            connect_timeout=1.5,
        )
        assert isinstance(found, HttpResponse)
        assert proxy.asked[:3] == ["10.9.9.1", "10.9.9.2", "10.9.9.3"]


def test_with_socks5_a_host_of_which_no_address_answers_is_unreachable(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", look_up("10.9.9.1", "10.9.9.2"))
    with run_proxy(only_answers("none", refuses)) as proxy:
        address = f"socks5://127.0.0.1:{proxy.port}"
        outcome = send("http://many.example:9", address, authority)
        assert isinstance(outcome, Outcome)
        assert outcome.code is Code.PROVIDER_UNREACHABLE
        assert proxy.asked == ["10.9.9.1", "10.9.9.2"] * 2


@pytest.mark.parametrize("scheme", KINDS)
@pytest.mark.parametrize("login", [False, True])
def test_no_refusal_is_its_own_cause(scheme: str, login: bool, authority: Authority) -> None:
    serve, proxy_is_secure = KINDS[scheme]
    context = authority.vouch() if proxy_is_secure else None
    with run_proxy(serve, login=login, status=502, context=context) as running:
        proxy = read_proxy(f"{scheme}://127.0.0.1:{running.port}")
        within = tls_context(str(authority.file)) if proxy_is_secure else None
        with pytest.raises(ProxyError) as caught:
            connect_through_proxy(proxy, "127.0.0.1", 9, time.monotonic() + 5, within)
    error: BaseException | None = caught.value
    seen: list[BaseException] = []
    while error is not None:
        assert error not in seen
        seen.append(error)
        error = error.__cause__


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
        ("http://KEY:@p", Proxy("http", "p", 80, ("KEY", ""))),
        ("https://KEY@p", Proxy("https", "p", 443, ("KEY", ""))),
        (f"socks5://u:{'%C3%A9' * 127}x@p", Proxy("socks5", "p", 1080, ("u", "é" * 127 + "x"))),
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
        (Secret("socks5://user@p"), "user:password"),
        (Secret("socks5h://user:@p"), "user:password"),
        (Secret("http://@p"), "user:password"),
        (Secret(f"socks5://u:{'%C3%A9' * 128}@p"), "255 bytes"),
        (Secret(f"socks5://{'%C3%A9' * 128}:p@p"), "255 bytes"),
        (Secret("http://:canary@p"), "user:password"),
        (Secret(f"socks5://u:{'canary' * 43}@p"), "255"),
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
    monkeypatch.setattr("adapter.settings.loader.find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'contact-adapter\[socks\]'"):
        load_settings(account(proxy="socks5://p"))
    load_settings(account(proxy="http://p"))
