"""Configured proxies: every kind, its failures by cause, and the deadline."""

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
from support.certificates import Authority
from support.proxies import (
    PASSWORD,
    USER,
    Serve,
    dripping_proxy,
    http_proxy,
    run_proxy,
    silent_proxy,
    socks5_proxy,
)
from support.raw_server import RawServer, always, http_response
from support.transports import finish

from adapter import Action, Applied, Code, Command, Contact, Outcome, Retry, Secret
from adapter.account import Account
from adapter.plugin import HttpRequest, HttpResponse
from adapter.settings.model import AccountSettings, TransportSettings
from adapter.settings.proxy import parse_proxy
from adapter.transport.client import Transport
from adapter.transport.errors import ProxyError
from adapter.transport.proxies import connect_through_proxy
from adapter.transport.streams import tls_context

POST = HttpRequest("POST", "/block", json={"a": 1})
LOGIN = f"{quote(USER)}:{quote(PASSWORD)}@"
OTHER_LOGIN = f"{USER}:wrong@"
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


SCHEMES = {
    "http": (http_proxy, False),
    "https": (http_proxy, True),
    "socks5": (socks5_proxy, False),
    "socks5h": (socks5_proxy, False),
}


@pytest.mark.parametrize("login", ["", LOGIN])
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("secure", [False, True], ids=["http upstream", "https upstream"])
def test_every_proxy_scheme_serves_calls_over_one_connection(
    scheme: str, secure: bool, login: str, authority: Authority
) -> None:
    serve, proxy_is_secure = SCHEMES[scheme]
    upstream = RawServer(
        always(GOOD), GOOD, authority.server_context("localhost") if secure else None
    )
    context = authority.server_context() if proxy_is_secure else None
    with upstream, run_proxy(serve, login=bool(login), context=context) as proxy:
        base_url = f"{'https' if secure else 'http'}://localhost:{upstream.port}"
        found = send(base_url, f"{scheme}://{login}127.0.0.1:{proxy.port}", authority)
        assert isinstance(found, HttpResponse)
        assert proxy.connections == 1
        if scheme.startswith("http") and not secure:  # the proxy responds itself
            assert proxy.requested == [f"http://localhost:{upstream.port}/block"] * 2
        else:
            name = "localhost" if scheme != "socks5" else "127.0.0.1"
            assert proxy.requested in ([f"{name}:{upstream.port}"], [f"::1:{upstream.port}"])
            assert upstream.request_count == 2


@pytest.mark.parametrize("given", ["", OTHER_LOGIN])
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("secure", [False, True], ids=["http upstream", "https upstream"])
def test_a_proxy_that_rejects_the_login_is_named_and_not_applied(
    scheme: str, secure: bool, given: str, authority: Authority
) -> None:
    serve, proxy_is_secure = SCHEMES[scheme]
    context = authority.server_context() if proxy_is_secure else None
    with run_proxy(serve, login=True, context=context) as proxy:
        base_url = f"{'https' if secure else 'http'}://127.0.0.1:{free_port()}"
        outcome = send(base_url, f"{scheme}://{given}127.0.0.1:{proxy.port}", authority)
    assert isinstance(outcome, Outcome)
    assert (outcome.code, outcome.applied) == (Code.PROVIDER_UNREACHABLE, Applied.NOT_APPLIED)
    assert "login" in outcome.message


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_proxy_that_does_not_connect_is_named_and_not_applied(
    scheme: str, authority: Authority
) -> None:
    serve, proxy_is_secure = SCHEMES[scheme]
    context = authority.server_context() if proxy_is_secure else None
    with run_proxy(serve, status=502, context=context) as proxy:
        outcome = send("https://localhost:9", f"{scheme}://127.0.0.1:{proxy.port}", authority)
    assert isinstance(outcome, Outcome)
    assert (outcome.code, outcome.applied) == (Code.PROVIDER_UNREACHABLE, Applied.NOT_APPLIED)
    assert "does not connect" in outcome.message


@pytest.mark.slow
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    "serve",
    [
        pytest.param(silent_proxy, id="no response"),
        pytest.param(
            dripping_proxy(b"HTTP/1.1 200 Connected\r\nX: y\r\n"), id="a head, byte by byte"
        ),
        pytest.param(dripping_proxy(b"\x05\x00\x05\x00\x00\x03\xff"), id="SOCKS, byte by byte"),
    ],
)
def test_a_proxy_handshake_ends_at_the_connect_timeout(
    scheme: str, serve: Serve, authority: Authority
) -> None:
    context = authority.server_context() if scheme == "https" else None
    with run_proxy(serve, context=context) as proxy:
        address = f"{scheme}://127.0.0.1:{proxy.port}"
        outcome = finish(
            lambda: send("https://localhost:9", address, authority, connect_timeout=0.4)
        )
    assert isinstance(outcome, Outcome)
    assert (outcome.code, outcome.applied) == (Code.PROVIDER_UNREACHABLE, Applied.NOT_APPLIED)
    if scheme.startswith("http") or serve is silent_proxy:
        assert outcome.retry is Retry.AFTER_DELAY
        assert "transport.proxy) cannot be reached" in outcome.message


def closing_proxy(proxy: Any, connection: socket.socket) -> None:
    """Read a request, and close the connection without a response."""
    connection.recv(65536)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("secure", [False, True], ids=["http upstream", "https upstream"])
@pytest.mark.parametrize("fault", ["refused", "unknown name", "closed", "closed within TLS"])
def test_an_unreachable_proxy_is_named_and_retried(
    fault: str, secure: bool, scheme: str, authority: Authority
) -> None:
    forwards = scheme.startswith("http") and not secure
    if fault == "closed" and forwards:
        pytest.skip("the request was sent by then")
    if fault == "closed within TLS" and scheme != "https":
        pytest.skip("the proxy has no TLS")
    context = authority.server_context() if scheme == "https" and fault == "closed" else None
    base_url = f"{'https' if secure else 'http'}://127.0.0.1:{free_port()}"
    with run_proxy(closing_proxy, context=context) as proxy:
        host = "no-such-name.invalid" if fault == "unknown name" else "127.0.0.1"
        port = free_port() if fault == "refused" else proxy.port
        address = f"{scheme}://{host}:{port}"
        with account_by(address, base_url, authority, breaker_threshold=5) as account:
            outcome, attempts = account.call(BLOCK, "r")
    assert (outcome.code, outcome.applied) == (Code.PROVIDER_UNREACHABLE, Applied.NOT_APPLIED)
    assert "transport.proxy) cannot be reached" in outcome.message
    assert outcome.retry is Retry.AFTER_DELAY
    assert attempts == 2


@pytest.mark.parametrize("secure", [False, True], ids=["http upstream", "https upstream"])
def test_an_https_proxy_with_an_untrusted_certificate_is_named(
    secure: bool, authority: Authority, tmp_path: Path
) -> None:
    base_url = f"{'https' if secure else 'http'}://127.0.0.1:{free_port()}"
    with (
        run_proxy(http_proxy, context=Authority(tmp_path).server_context()) as proxy,
        account_by(f"https://127.0.0.1:{proxy.port}", base_url, authority) as account,
    ):
        outcome, attempts = account.call(BLOCK, "r")
        assert account.resilience.state == "closed"
    assert outcome.code is Code.PROVIDER_UNREACHABLE
    assert outcome.retry is Retry.AFTER_ACTION
    assert "transport.proxy) has a certificate" in outcome.message
    assert attempts == 1


@pytest.mark.slow
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_slow_upstream_behind_a_proxy_ends_at_the_deadline(
    scheme: str, authority: Authority
) -> None:
    serve, proxy_is_secure = SCHEMES[scheme]
    context = authority.server_context() if proxy_is_secure else None

    def drip(peer: Any) -> None:
        peer.read_request()
        peer.write_repeatedly(b"H")

    with (
        RawServer(drip, GOOD, authority.server_context("localhost")) as upstream,
        run_proxy(serve, context=context) as proxy,
    ):
        address = f"{scheme}://127.0.0.1:{proxy.port}"
        outcome = finish(
            lambda: send(f"https://localhost:{upstream.port}", address, authority, deadline=0.6)
        )
    assert isinstance(outcome, Outcome)
    assert outcome.code is Code.PROVIDER_TIMEOUT


def test_an_untrusted_certificate_is_attributed_to_the_proxy_or_the_upstream(
    authority: Authority, tmp_path: Path
) -> None:
    other_authority = Authority(tmp_path)
    for of_proxy, of_upstream in (
        (authority, other_authority),
        (other_authority, authority),
    ):
        with (
            RawServer(always(GOOD), GOOD, of_upstream.server_context("localhost")) as upstream,
            run_proxy(http_proxy, context=of_proxy.server_context()) as proxy,
        ):
            address = f"https://127.0.0.1:{proxy.port}"
            outcome = send(f"https://localhost:{upstream.port}", address, authority)
            assert upstream.request_count == 0
        assert isinstance(outcome, Outcome)
        assert outcome.applied is Applied.NOT_APPLIED
        if of_proxy is other_authority:
            assert "certificate" in outcome.message
            assert "transport.proxy" in outcome.message
        else:
            assert outcome.code is Code.PROVIDER_TLS_ERROR


# --- the breaker, and the advice


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


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("secure", [False, True], ids=["http upstream", "https upstream"])
def test_a_proxy_that_requires_a_login_leaves_the_breaker_closed(
    scheme: str, secure: bool, authority: Authority
) -> None:
    serve, proxy_is_secure = SCHEMES[scheme]
    context = authority.server_context() if proxy_is_secure else None
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
        ("http", http_proxy, 403, "closed"),
        ("http", http_proxy, 405, "closed"),
        ("http", http_proxy, 429, "closed"),
        ("http", http_proxy, 502, "opened"),
        ("http", http_proxy, 503, "opened"),
        ("http", http_proxy, 504, "opened"),
        ("socks5h", socks5_proxy, 1, "closed"),
        ("socks5h", socks5_proxy, 2, "closed"),
        ("socks5h", socks5_proxy, 3, "opened"),
        ("socks5h", socks5_proxy, 4, "opened"),
        ("socks5h", socks5_proxy, 5, "opened"),
        ("socks5h", socks5_proxy, 6, "opened"),
        ("socks5h", socks5_proxy, 7, "closed"),
    ],
)
def test_the_breaker_counts_an_unreachable_host_and_no_refusal_by_the_proxy(
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
        assert outcome.retry is (Retry.AFTER_ACTION if state == "closed" else Retry.AFTER_DELAY)
        assert account.resilience.state == state
        assert "transport.proxy" in outcome.message


def resolving_to(*addresses: str) -> Any:
    getaddrinfo = socket.getaddrinfo

    def found(host: str, port: int, *rest: Any, **options: Any) -> Any:
        if host != "many.example":
            return getaddrinfo(host, port, *rest, **options)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in addresses]

    return found


def reaches_only(address: str, otherwise: Serve) -> Serve:
    """Return a SOCKS proxy that connects to one address alone; `otherwise` serves the others."""

    def serve(proxy: Any, connection: socket.socket) -> None:
        connection.recv(1)
        methods = connection.recv(1)[0]
        connection.recv(methods)
        connection.sendall(b"\x05\x00")
        request = connection.recv(262)
        host = socket.inet_ntoa(request[4:8])
        proxy.requested.append(host)
        if host != address:
            otherwise(proxy, connection)
            return
        connection.sendall(b"\x05\x00\x00\x01" + bytes(6))
        proxy.relay(connection, "127.0.0.1", int.from_bytes(request[8:10], "big"))

    return serve


def refuse(proxy: Any, connection: socket.socket) -> None:
    connection.sendall(b"\x05\x05\x00\x01" + bytes(6))


@pytest.mark.slow
@pytest.mark.parametrize("otherwise", [refuse, silent_proxy])
def test_a_socks5_proxy_tries_each_address_with_its_share_of_the_timeout(
    otherwise: Serve, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", resolving_to("10.9.9.1", "10.9.9.2", "10.9.9.3"))
    with (
        RawServer(always(GOOD), GOOD) as upstream,
        run_proxy(reaches_only("10.9.9.3", otherwise)) as proxy,
    ):
        found = send(
            f"http://many.example:{upstream.port}",
            f"socks5://127.0.0.1:{proxy.port}",
            authority,
            connect_timeout=1.5,
        )
        assert isinstance(found, HttpResponse)
        assert proxy.requested[:3] == ["10.9.9.1", "10.9.9.2", "10.9.9.3"]


def test_a_socks5_proxy_without_a_reachable_address_is_unreachable(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", resolving_to("10.9.9.1", "10.9.9.2"))
    with run_proxy(reaches_only("none", refuse)) as proxy:
        address = f"socks5://127.0.0.1:{proxy.port}"
        outcome = send("http://many.example:9", address, authority)
        assert isinstance(outcome, Outcome)
        assert outcome.code is Code.PROVIDER_UNREACHABLE
        assert proxy.requested == ["10.9.9.1", "10.9.9.2"] * 2


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("login", [False, True])
def test_no_proxy_error_is_its_own_cause(scheme: str, login: bool, authority: Authority) -> None:
    serve, proxy_is_secure = SCHEMES[scheme]
    context = authority.server_context() if proxy_is_secure else None
    with run_proxy(serve, login=login, status=502, context=context) as running:
        proxy = parse_proxy(f"{scheme}://127.0.0.1:{running.port}")
        within = tls_context(str(authority.file)) if proxy_is_secure else None
        with pytest.raises(ProxyError) as caught:
            connect_through_proxy(proxy, "127.0.0.1", 9, time.monotonic() + 5, within)
    error: BaseException | None = caught.value
    seen: list[BaseException] = []
    while error is not None:
        assert error not in seen
        seen.append(error)
        error = error.__cause__
