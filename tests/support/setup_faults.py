"""Faults that need more than a script: listeners, certificates, proxies, earlier calls."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from adapter import Code
from support import wait_until
from support.certificates import Authority
from support.faults import (
    LOST,
    MISADDRESSED,
    SHORT_DEADLINE,
    TIMEOUT,
    TLS_ERROR,
    UNREACHABLE,
    Call,
    Resources,
    SetUp,
    SetupFault,
    Target,
)
from support.proxies import http_proxy, run_proxy, silent_proxy, socks5_proxy
from support.raw_server import Peer, RawServer, Script, always, http_response, once


def _plain(server: RawServer, **rest: Any) -> Target:
    return Target(f"http://127.0.0.1:{server.port}", server, **rest)


def _secure(server: RawServer, resources: Resources, **transport: Any) -> Target:
    transport = {"ca_file": str(resources.authority.file), **transport}
    return Target(f"https://127.0.0.1:{server.port}", server, transport)


def _good(peer: Peer) -> None:
    always(peer.good)(peer)


@contextmanager
def _connection_refused(_: Resources) -> Iterator[Target]:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # without listening: the port refuses connections
        yield Target(f"http://127.0.0.1:{bound.getsockname()[1]}")


@contextmanager
def _unknown_name(_: Resources) -> Iterator[Target]:
    yield Target("https://no-such-host.invalid")


@contextmanager
def _full_accept_queue(_: Resources) -> Iterator[Target]:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        waiting = [socket.socket() for _ in range(4)]
        try:
            for each in waiting:
                each.setblocking(False)
                each.connect_ex(listener.getsockname())
            # The first fills the queue; the last is not accepted.
            wait_until(lambda: select.select([], waiting[:1], [], 0)[1], "a full queue")
            assert not select.select([], waiting[-1:], [], 0.05)[1]
            port = listener.getsockname()[1]
            yield Target(f"http://127.0.0.1:{port}", transport={"connect_timeout": 0.2})
        finally:
            for each in waiting:
                each.close()


@contextmanager
def _tls(
    resources: Resources, script: Script = _good, host: str = "127.0.0.1", **validity: datetime
) -> Iterator[Target]:
    context = resources.authority.server_context(host, **validity)
    with RawServer(script, resources.good, context) as server:
        yield _secure(server, resources)


@contextmanager
def _unknown_authority(resources: Resources) -> Iterator[Target]:
    (resources.folder / "other_authority").mkdir()
    other_authority = Authority(resources.folder / "other_authority")
    with RawServer(_good, resources.good, other_authority.server_context()) as server:
        yield _secure(server, resources)


_YESTERDAY = datetime.now(UTC) - timedelta(days=1)


def _expired(resources: Resources) -> AbstractContextManager[Target]:
    return _tls(resources, not_before=_YESTERDAY - timedelta(days=1), not_after=_YESTERDAY)


@contextmanager
def _handshake_timeout(resources: Resources) -> Iterator[Target]:
    with RawServer(Peer.stay_silent, resources.good) as server:
        yield _secure(server, resources, connect_timeout=0.2)


def _reset(peer: Peer) -> None:
    if peer.read_request():
        peer.reset()


def _corrupt_tls(peer: Peer) -> None:
    if peer.read_request():
        with peer.detach_from_tls() as plain:
            plain.sendall(b"not a TLS record" * 10)


def _truncate_tls(peer: Peer) -> None:
    if peer.read_request():
        peer.detach_from_tls().close()  # without close_notify


@contextmanager
def _slow_tls(resources: Resources, *, from_the_start: bool) -> Iterator[Target]:
    drip = partial(
        Peer.write_tls_slowly,
        context=resources.authority.server_context(),
        from_the_start=from_the_start,
    )
    with RawServer(drip, resources.good) as server:
        limits = {"connect_timeout": 0.2} if from_the_start else {}
        yield _secure(server, resources, **limits)


@contextmanager
def _handshake_ends(resources: Resources, *, how: Script) -> Iterator[Target]:
    with RawServer(how, resources.good) as server:
        yield _secure(server, resources)


def _close_in_handshake(peer: Peer) -> None:
    peer.read_some()


def _reset_in_handshake(peer: Peer) -> None:
    peer.read_some()
    peer.reset()


def _not_tls(peer: Peer) -> None:
    peer.read_some()
    peer.write(http_response(400))
    peer.read_some()


@contextmanager
def _tls_to_a_plain_port(resources: Resources) -> Iterator[Target]:
    with RawServer(_not_tls, resources.good) as server:
        yield _secure(server, resources)


@contextmanager
def _plain_to_a_tls_port(resources: Resources) -> Iterator[Target]:
    with RawServer(_good, resources.good, resources.authority.server_context()) as server:
        yield _plain(server)


@contextmanager
def _redirect(resources: Resources, status: int) -> Iterator[Target]:
    """Redirect to a third party, with an endless body."""

    def script(peer: Peer) -> None:
        while peer.read_request():
            where = (
                f"Location: http://127.0.0.1:{third_party.port}/\r\nContent-Length: 99999999\r\n"
            )
            peer.write(f"HTTP/1.1 {status} Elsewhere\r\n{where}\r\n".encode())
            peer.write_repeatedly(b" ")

    with (
        RawServer(_good, resources.good) as third_party,
        RawServer(script, resources.good) as server,
    ):
        yield _plain(server, third_party=third_party)


@contextmanager
def _proxies_in_the_environment(resources: Resources) -> Iterator[Target]:
    with (
        pytest.MonkeyPatch.context() as patch,
        RawServer(_good, resources.good) as proxy,
        RawServer(_good, resources.good) as server,
    ):
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            patch.setenv(name, f"http://127.0.0.1:{proxy.port}")
            patch.setenv(name.upper(), f"http://127.0.0.1:{proxy.port}")
        for name in ("no_proxy", "NO_PROXY"):
            patch.delenv(name, raising=False)
        yield _plain(server, third_party=proxy)


@contextmanager
def _unrequested_response(resources: Resources) -> Iterator[Target]:
    """Send an unrequested response that TLS has decrypted while the socket has no more data.

    OpenSSL's reader returns 8 KiB at a time, and the unrequested response begins right after them.
    """

    def script(peer: Peer) -> None:
        while peer.read_request():
            head, end, body = peer.good.partition(b"\r\n\r\n")
            missing = 8192 - len(peer.good) - len(b"\r\nX-Padding: ")
            padded = head + b"\r\nX-Padding: " + b"x" * missing + end + body
            peer.write(padded + http_response(401))

    with RawServer(script, resources.good, resources.authority.server_context()) as server:
        yield _secure(server, resources)


@contextmanager
def _closing_proxy(resources: Resources) -> Iterator[Target]:
    """Use a configured proxy that reads the whole request, and closes."""
    with RawServer(once(b""), resources.good) as proxy:
        transport = {"proxy": f"http://127.0.0.1:{proxy.port}"}
        yield Target("http://127.0.0.1:9", proxy, transport)


@contextmanager
def _idle_and_reset(resources: Resources) -> Iterator[Target]:
    """Leave five idle connections, each of which is reset at its next request."""
    together = threading.Barrier(5)

    def script(peer: Peer) -> None:
        if peer.number > 5:
            _good(peer)
        elif peer.read_request():
            together.wait(20)
            peer.write(peer.good)
            if peer.read_request():
                peer.reset()

    @contextmanager
    def five_calls(call: Call) -> Iterator[None]:
        threads = [threading.Thread(target=call) for _ in range(0 if together.broken else 5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        together.abort()
        yield

    with RawServer(script, resources.good) as server:
        yield _plain(server, before=five_calls)


@contextmanager
def _late_response(resources: Resources) -> Iterator[Target]:
    """Respond to each connection's first request with nonsense, and to its second with a refusal.

    The refusal is the late response to the first; only a new connection has a good response.
    """

    def script(peer: Peer) -> None:
        if peer.number % 2 == 0:
            once(peer.good)(peer)
        elif peer.read_request():
            peer.write(http_response(200, "null"))
            always(http_response(401, {"success": False}))(peer)

    @contextmanager
    def one_call(call: Call) -> Iterator[None]:
        call()
        yield

    with RawServer(script, resources.good) as server:
        yield _plain(server, before=one_call)


@contextmanager
def _proxied(
    resources: Resources,
    scheme: str,
    serve: Callable[..., None],
    *,
    arrives: bool = True,
    connect_timeout: float = 1.0,
    **options: Any,
) -> Iterator[Target]:
    """Call a TLS upstream through a proxy."""
    if scheme == "https":
        options["context"] = resources.authority.server_context()
    with (
        RawServer(_good, resources.good, resources.authority.server_context()) as server,
        run_proxy(serve, **options) as proxy,
    ):
        address = f"{scheme}://127.0.0.1:{proxy.port}"
        limits = {} if arrives else {"connect_timeout": connect_timeout}
        yield _secure(server, resources, proxy=address, **limits)


@contextmanager
def _netrc(resources: Resources) -> Iterator[Target]:
    netrc = resources.folder / ".netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password planted\n")
    netrc.chmod(0o600)
    with pytest.MonkeyPatch.context() as patch, RawServer(_good, resources.good) as server:
        patch.setenv("HOME", str(resources.folder))
        patch.setenv("NETRC", str(netrc))
        yield _plain(server)


@contextmanager
def _breaker_open(resources: Resources) -> Iterator[Target]:
    @contextmanager
    def five_failures(call: Call) -> Iterator[None]:
        for _ in range(5):
            call()
        yield

    with RawServer(always(http_response(500)), resources.good) as server:
        yield _plain(server, before=five_failures)


@contextmanager
def _bulkhead_full(resources: Resources) -> Iterator[Target]:
    enough = threading.Event()

    def held(peer: Peer) -> None:
        while peer.read_request():
            enough.wait()
            peer.write(peer.good)

    @contextmanager
    def one_in_flight(call: Call) -> Iterator[None]:
        enough.clear()
        thread, before = threading.Thread(target=call), server.request_count
        thread.start()
        try:
            wait_until(lambda: server.request_count > before, "a call in flight")
            yield
        finally:
            enough.set()
            thread.join()

    with RawServer(held, resources.good) as server:
        yield _plain(server, transport={"max_in_flight": 1}, before=one_in_flight)


def _never_sent(name: str, how: SetUp, code: Code, attempts: int = 1, **rest: Any) -> SetupFault:
    return SetupFault(name, how, code, attempts, arrives=False, **rest)


SETUP_FAULTS = (
    SetupFault(
        "TLS: an unrequested response after the first", _unrequested_response, None, calls=2
    ),
    SetupFault("five idle connections, reset while sending", _idle_and_reset, None, 2),
    SetupFault("a malformed response, and a late second one", _late_response, None),
    SetupFault("a proxy that closes after the request", _closing_proxy, LOST, 2),
    SetupFault("a proxy, https", partial(_proxied, scheme="https", serve=http_proxy), None),
    SetupFault("a proxy, SOCKS5", partial(_proxied, scheme="socks5", serve=socks5_proxy), None),
    *(
        row
        for scheme, serve in (("http", http_proxy), ("https", http_proxy), ("socks5", socks5_proxy))
        for row in (
            _never_sent(
                f"a proxy, {scheme}, that requires a login",
                partial(_proxied, scheme=scheme, serve=serve, login=True),
                UNREACHABLE,
            ),
            _never_sent(
                f"a proxy, {scheme}, that does not connect",
                partial(_proxied, scheme=scheme, serve=serve, status=502),
                UNREACHABLE,
                2,
            ),
            _never_sent(
                f"a proxy, {scheme}, without a response",
                partial(
                    _proxied, scheme=scheme, serve=silent_proxy, arrives=False, connect_timeout=0.2
                ),
                UNREACHABLE,
                2,
                deadline=2.0,
                needs_deadline=True,
            ),
        )
    ),
    _never_sent("connection refused", _connection_refused, UNREACHABLE, 2),
    _never_sent("DNS: unknown name", _unknown_name, UNREACHABLE, 2),
    _never_sent(
        "connect timeout", _full_accept_queue, UNREACHABLE, 2, deadline=2.0, needs_deadline=True
    ),
    SetupFault("TLS with `ca_file`", _tls, None),
    _never_sent("TLS: unknown authority", _unknown_authority, TLS_ERROR),
    _never_sent("TLS: expired certificate", _expired, TLS_ERROR),
    _never_sent("TLS: another host's certificate", partial(_tls, host="other.example"), TLS_ERROR),
    _never_sent(
        "TLS: handshake timeout",
        _handshake_timeout,
        UNREACHABLE,
        2,
        deadline=2.0,
        needs_deadline=True,
    ),
    _never_sent(
        "TLS: a handshake, byte by byte",
        partial(_slow_tls, from_the_start=True),
        UNREACHABLE,
        2,
        deadline=2.0,
        needs_deadline=True,
    ),
    SetupFault(
        "TLS: a response in one record, byte by byte",
        partial(_slow_tls, from_the_start=False),
        TIMEOUT,
        deadline=SHORT_DEADLINE,
        needs_deadline=True,
    ),
    SetupFault("TLS: reset after the request", partial(_tls, script=_reset), LOST, 2),
    SetupFault("TLS: truncated after the request", partial(_tls, script=_truncate_tls), LOST, 2),
    SetupFault("TLS: corrupt after the request", partial(_tls, script=_corrupt_tls), LOST, 2),
    _never_sent(
        "TLS: close within the handshake",
        partial(_handshake_ends, how=_close_in_handshake),
        UNREACHABLE,
        2,
    ),
    _never_sent(
        "TLS: reset within the handshake",
        partial(_handshake_ends, how=_reset_in_handshake),
        UNREACHABLE,
        2,
    ),
    _never_sent("https to a plain port", _tls_to_a_plain_port, TLS_ERROR),
    SetupFault("http to a TLS port", _plain_to_a_tls_port, LOST, 2, arrives=False),
    *(
        SetupFault(
            f"{status} to another server, with an endless body",
            partial(_redirect, status=status),
            Code.PROVIDER_REDIRECTED if status in (307, 308) else MISADDRESSED,
            needs_deadline=True,
        )
        for status in (301, 302, 303, 307, 308)
    ),
    SetupFault("proxy variables in the environment", _proxies_in_the_environment, None),
    SetupFault("a `.netrc` with a login for the host", _netrc, None),
    _never_sent(
        "breaker opened, after 5 consecutive failures", _breaker_open, Code.CIRCUIT_OPEN, 0
    ),
    _never_sent("bulkhead full", _bulkhead_full, Code.OVERLOADED, 0),
)
