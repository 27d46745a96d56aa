"""A server that fails on purpose, and the matrix of what each failure must become.

Nothing in the standard library or on the package index resets, drips, truncates or lies about
lengths, so this one writes raw bytes on loopback. A row of the first kind (FAULTS) is a play that
the server gives on each connection. A row of the second kind (SCENES) sets up more than that: a
listener that accepts nobody, a certificate, a second server, calls that went before. What needs a
process of its own (OTHERS) has a row as well. `render_faults.py` writes them all down.
"""

from __future__ import annotations

import gzip
import json
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trustme

from adapter import Code
from support import wait_until
from support.proxies import connects, hangs, run_proxy, socks5
from support.raw_server import Peer, RawServer, Script, always, http_response, once

SHORT = 0.4
"""The deadline, in seconds, of a row in which nothing else ends the call."""

PATIENT = 5.0
"""The deadline of all other rows: so long that a busy machine does not reach it."""


Call = Callable[[], object]


class Authority:
    """Issues certificates for the run; a client that has its `file` trusts them."""

    def __init__(self, folder: Path) -> None:
        self._issuer = trustme.CA()
        self.file = folder / "authority.pem"
        self._issuer.cert_pem.write_to_path(str(self.file))

    def vouch(self, host: str = "127.0.0.1", **validity: datetime) -> ssl.SSLContext:
        """Return a server's context with a certificate for the host."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._issuer.issue_cert(host, **validity).configure_cert(context)
        return context


@dataclass(frozen=True)
class Bench:
    """What a scene is set up from: the provider's good answer, certificates, an empty folder."""

    good: bytes
    authority: Authority
    folder: Path


@dataclass(frozen=True)
class Place:
    """What an account is pointed at, how it is told to call, and what goes before the call.

    `server` has to see each attempt; `bystander` has to see nothing at all.
    """

    base_url: str
    server: RawServer | None = None
    transport: Mapping[str, Any] = field(default_factory=dict)
    bystander: RawServer | None = None
    before: Callable[[Call], AbstractContextManager[None]] = lambda _: nullcontext()


Stage = Callable[[Bench], AbstractContextManager[Place]]


@dataclass(frozen=True)
class Row:
    """A row of the matrix: what goes wrong, and what it must become, by provider or for all.

    Of several `calls` the last one counts, and those before it succeed. `attempts` is what the
    envelope says; with `arrives`, the server must have counted as many. `hangs` says that without
    a deadline the call would not end.
    """

    name: str
    how: Callable[..., Any] | None
    code: Code | Mapping[str, Code | None] | None
    attempts: int | Mapping[str, int] = 1
    calls: int = 1
    deadline: float = PATIENT
    arrives: bool = True
    closes: bool = False
    hangs: bool = False

    def expected_attempts(self, provider: str) -> int:
        """Return how many attempts are made for a provider."""
        if isinstance(self.attempts, int):
            return self.attempts
        return self.attempts.get(provider, self.attempts["*"])

    def expected(self, provider: str) -> Code | None:
        """Return the code for a provider; None is a success."""
        if self.code is None or isinstance(self.code, Code):
            return self.code
        return self.code.get(provider, self.code["*"])

    def stage(self, bench: Bench) -> AbstractContextManager[Place]:
        """Set the row up, for the length of a `with`."""
        raise NotImplementedError


class Fault(Row):
    """A row whose `how` is a play. With `closes`, the server ends a connection between calls."""

    how: Script

    @contextmanager
    def stage(self, bench: Bench) -> Iterator[Place]:
        """Run the server."""
        with RawServer(self.how, bench.good) as server:
            yield Place(f"http://127.0.0.1:{server.port}", server)


class Scene(Row):
    """A row whose `how` sets up a place of its own."""

    how: Stage

    def stage(self, bench: Bench) -> AbstractContextManager[Place]:
        """Set the scene."""
        return self.how(bench)


def _silence(peer: Peer) -> None:
    peer.read_request()
    peer.stay_silent()


def _header_drip(peer: Peer) -> None:
    peer.read_request()
    peer.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    peer.write_repeatedly(b"z")


def _negative_chunk(peer: Peer) -> None:
    if peer.read_request():
        peer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n{}\r\n")
        peer.stay_silent()


def _body_drip(peer: Peer) -> None:
    peer.read_request()
    peer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    peer.write_repeatedly(b" ")


def _endless_continue(peer: Peer) -> None:
    peer.read_request()
    peer.write_repeatedly(b"HTTP/1.1 100 Continue\r\n\r\n")


def _reset(peer: Peer) -> None:
    if peer.read_request():
        peer.reset()


def _close(peer: Peer) -> None:
    peer.read_request()


def _reset_mid_body(peer: Peer) -> None:
    if peer.read_request():
        peer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"success": true')
        peer.reset()


def _early_hints(peer: Peer) -> None:
    while peer.read_request():
        peer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n" + peer.good)


def _close_while_idle(peer: Peer) -> None:
    if peer.read_request():
        peer.write(peer.good)


def _close_as_we_send(peer: Peer) -> None:
    if peer.number > 1:
        always(peer.good)(peer)
    elif peer.read_request():
        peer.write(peer.good)
        peer.read_request()


def _swallowed_once_idle(peer: Peer) -> None:
    if peer.read_request():
        peer.write(peer.good)
        if peer.read_request():
            peer.stay_silent()


_UNREADABLE = b"HTTP/1.1 403 X\r\nContent-Encoding: br\r\nContent-Length: 5\r\n\r\n\x0b\x02\x80{}"


def _packed(peer: Peer) -> None:
    head, _, body = peer.good.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.startswith(b"Content-Length")]
    if body:
        body = gzip.compress(body)
        lines.append(b"Content-Encoding: gzip")
    if b" 204 " not in lines[0]:
        lines.append(b"Content-Length: %d" % len(body))
    always(b"\r\n".join((*lines, b"", body)))(peer)


def _set_cookie(peer: Peer) -> None:
    cookie = b"\r\nSet-Cookie: session=canary; Path=/\r\n"
    always(peer.good.replace(b"\r\n", cookie, 1))(peer)


def _endless_body(peer: Peer) -> None:
    if peer.read_request():
        size = 300 * 1024 * 1024
        peer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
        for _ in range(size // 65536):
            peer.write(b" " * 65536)


def _gzip_bomb(peer: Peer) -> None:
    if peer.read_request():
        bomb = gzip.compress(b" " * 10_000_000)
        peer.write(http_response(200, bomb, "Content-Encoding: gzip\r\n"))


def _no_length(peer: Peer) -> None:
    if peer.read_request():
        peer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        for _ in range(64):
            peer.write(b" " * 65536)


WUTS_OK = {"success": True, "data": {"blocked": True}}
WUTS_NO = {"success": False, "error": "text with 404 and 429", "timestamp": "2026-06-15T12:00:00Z"}

BAD = Code.PROVIDER_BAD_RESPONSE
TOO_LARGE = Code.PROVIDER_RESPONSE_TOO_LARGE
LOST = Code.PROVIDER_CONNECTION_LOST
LATE = Code.PROVIDER_TIMEOUT
ELSEWHERE = Code.PROVIDER_MISADDRESSED
SOMEBODY_ELSE = "14155552671@s.whatsapp.net"

_BROKEN_CHUNK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot-hex\r\n{}\r\n0\r\n\r\n"
_BOTH_LENGTHS = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 50\r\n\r\n" + b'{"success": true}'
)
_HTML = "<!doctype html><title>502</title><h1>404 Not Found, 429 Too Many</h1>"


def _status(status: int, code: Code | Mapping[str, Code | None], attempts: int = 1) -> Fault:
    return Fault(
        f"{status}, an HTML page",
        always(http_response(status, _HTML, kind="text/html")),
        code,
        attempts,
    )


def _busy(name: str, header: str, attempts: int) -> Fault:
    raw = http_response(429, {}, f"Retry-After: {header}\r\n")
    code = Code.PROVIDER_RATE_LIMITED
    return Fault(f"429, Retry-After {name}", always(raw), code, attempts)


FAULTS = (
    Fault("silence", _silence, LATE, deadline=SHORT, hangs=True),
    Fault("header drip", _header_drip, LATE, deadline=SHORT, hangs=True),
    Fault("body drip", _body_drip, LATE, deadline=SHORT, hangs=True),
    Fault("100 Continue without end", _endless_continue, LATE, deadline=SHORT, hangs=True),
    Fault("reset before the response", _reset, LOST, 2),
    Fault("clean close before the response", _close, LOST, 2),
    Fault("a status line and nothing more", once(b"HTTP/1.1 201 Created\r\n"), LOST, 2),
    Fault("half a status line", once(b"HTTP/1.1 20"), LOST, 2),
    Fault("a head that is cut off", once(b"HTTP/1.1 204 No Content\r\nX-Half: o"), LOST, 2),
    Fault("an empty 201 without an end", once(b"HTTP/1.1 201 Created\r\n\r\n"), BAD),
    Fault(
        "an empty 201 with an invalid Content-Length",
        once(b"HTTP/1.1 201 Created\r\nContent-Length: -5\r\n\r\n"),
        BAD,
    ),
    Fault("a malformed header", once(b"HTTP/1.1 204 No Content\r\nno header\r\n\r\n"), BAD),
    Fault("103 Early Hints before the response", _early_hints, None, calls=2),
    Fault("101 Switching Protocols", once(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"), BAD),
    Fault("keep-alive closed while idle", _close_while_idle, None, calls=2, closes=True),
    Fault("keep-alive closed as we send", _close_as_we_send, None, 2, calls=2),
    Fault(
        "an idle connection without a response",
        _swallowed_once_idle,
        LATE,
        calls=2,
        deadline=SHORT,
        hangs=True,
    ),
    Fault("a cookie, then a second call", _set_cookie, None, calls=2),
    Fault("reset mid-body", _reset_mid_body, LOST, 2),
    Fault(
        "body shorter than Content-Length",
        once(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}"),
        LOST,
        2,
    ),
    Fault("broken chunk", once(_BROKEN_CHUNK), LOST, 2),
    Fault("a chunk of a negative size, and silence", _negative_chunk, LOST, 2, hangs=True),
    Fault("two Content-Lengths", always(_BOTH_LENGTHS), BAD),
    Fault("truncated JSON", always(http_response(200, '{"success": true, "data": {"blo')), BAD),
    Fault("HTML with 200", always(http_response(200, _HTML, kind="text/html")), BAD),
    Fault(
        "wrong content type, right JSON",
        always(http_response(200, WUTS_OK, kind="text/plain")),
        {"wuts": None, "wappfy": None, "*": BAD},
    ),
    Fault("an array", always(http_response(200, [1, 2])), BAD),
    Fault("a scalar", always(http_response(200, "true")), BAD),
    Fault("null", always(http_response(200, "null")), BAD),
    Fault("an empty 200", always(http_response(200)), BAD),
    Fault(
        "duplicate keys",
        always(http_response(200, '{"success":false,"success":true,"data":{"blocked":true}}')),
        BAD,
    ),
    Fault(
        "NaN",
        always(http_response(200, '{"success":true,"data":{"blocked":true,"count":NaN}}')),
        BAD,
    ),
    Fault("deep nesting", always(http_response(200, "[" * 100_000)), BAD),
    Fault(
        "a huge integer",
        always(
            http_response(200, '{"success":true,"data":{"blocked":true,"count":%s}}' % ("9" * 5000))
        ),
        BAD,
    ),
    Fault(
        "a byte order mark",
        always(http_response(200, b"\xef\xbb\xbf" + json.dumps(WUTS_OK).encode())),
        {"session-gateway": BAD, "*": None},
    ),
    Fault("UTF-16", always(http_response(200, json.dumps(WUTS_OK).encode("utf-16"))), BAD),
    Fault("gzip although identity was requested", _packed, None, calls=2),
    Fault("gzip bomb", _gzip_bomb, BAD),
    Fault("300 MB body", _endless_body, TOO_LARGE),
    Fault("4 MB body without a length", _no_length, TOO_LARGE),
    Fault("garbage status line", once(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), BAD),
    Fault("an impossible status", once(b"HTTP/1.1 999999 What\r\n\r\n"), BAD),
    Fault(
        "200 headers",
        once(b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(200)) + b"\r\n"),
        BAD,
    ),
    Fault(
        "a header of 100 kB", once(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n"), BAD
    ),
    Fault(
        "204 with a body",
        once(b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n{}"),
        {"session-gateway": None, "*": BAD},
    ),
    Fault(
        "200 with success: false",
        always(http_response(200, WUTS_NO)),
        {"session-gateway": BAD, "*": Code.PROVIDER_ERROR},
    ),
    Fault(
        "200 with success beside an error",
        always(http_response(200, {**WUTS_OK, "error": "x"})),
        BAD,
    ),
    Fault(
        "400 with the requested state",
        always(http_response(400, {**WUTS_NO, "data": {"blocked": True}})),
        BAD,
    ),
    Fault(
        "a state of another contact",
        always(
            http_response(200, {"success": True, "data": {"blocked": True, "jid": SOMEBODY_ELSE}})
        ),
        {"wappfy": None, "*": BAD},
    ),
    Fault(
        "the opposite of the requested state",
        always(http_response(200, {"success": True, "data": {"blocked": False}})),
        {"wappfy": None, "*": BAD},
    ),
    *(_status(status, ELSEWHERE) for status in (400, 401, 402, 403, 404)),
    Fault("403, an empty body", always(http_response(403)), ELSEWHERE),
    Fault("403 in an unknown Content-Encoding", always(_UNREADABLE), ELSEWHERE),
    Fault("403 of 300 kB", always(http_response(403, b"x" * 300_000)), ELSEWHERE),
    Fault(
        "503 of 300 kB", always(http_response(503, b"x" * 300_000)), Code.PROVIDER_UNAVAILABLE, 2
    ),
    Fault(
        "404, JSON of another server",
        always(http_response(404, {"detail": "Not Found"})),
        ELSEWHERE,
    ),
    Fault(
        '404, the server\'s own "no such route"',
        always(http_response(404, {"message": "Cannot POST /x", "error": "x", "statusCode": 404})),
        ELSEWHERE,
    ),
    Fault(
        "404 in the envelope of WUTS",
        always(http_response(404, WUTS_NO)),
        {"wuts": Code.SESSION_NOT_FOUND, "*": ELSEWHERE},
    ),
    Fault(
        "404 with the gateway's code",
        always(
            http_response(404, {"error": {"code": "not_found", "message": "no", "details": {}}})
        ),
        {"session-gateway": Code.SESSION_NOT_FOUND, "*": ELSEWHERE},
    ),
    _status(405, ELSEWHERE),
    _status(408, LATE),
    *(_status(status, ELSEWHERE) for status in (409, 410, 413, 418, 422, 426, 431, 451, 499)),
    _busy("0", "0", 2),
    _busy("1", "1", 2),
    _busy("3", "3", 1),
    _busy("3600", "3600", 1),
    _busy("a day", "86400", 1),
    _busy("a date", "Wed, 21 Oct 2037 07:28:00 GMT", 1),
    _busy("junk", "soon", 1),
    _status(500, Code.PROVIDER_ERROR),
    _status(501, ELSEWHERE),
    Fault(
        "501 with the gateway's code",
        always(
            http_response(
                501, {"error": {"code": "not_implemented", "message": "x", "details": {}}}
            )
        ),
        {"session-gateway": Code.SESSION_NOT_CONNECTED, "*": ELSEWHERE},
    ),
    _status(502, Code.PROVIDER_ERROR, 2),
    _status(503, Code.PROVIDER_UNAVAILABLE, 2),
    Fault(
        "503 with DEVICE_NOT_READY",
        always(
            http_response(503, {"success": False, "error": "x", "error_code": "DEVICE_NOT_READY"})
        ),
        {"wuts": Code.SESSION_NOT_CONNECTED, "*": Code.PROVIDER_UNAVAILABLE},
        {"wuts": 1, "*": 2},
    ),
    _status(504, LATE),
)


# --- rows that need more than a play


def _plain(server: RawServer, **rest: Any) -> Place:
    return Place(f"http://127.0.0.1:{server.port}", server, **rest)


def _secure(server: RawServer, bench: Bench, **transport: Any) -> Place:
    transport = {"ca_file": str(bench.authority.file), **transport}
    return Place(f"https://127.0.0.1:{server.port}", server, transport)


def _good(peer: Peer) -> None:
    always(peer.good)(peer)


@contextmanager
def _nobody_listens(_: Bench) -> Iterator[Place]:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # without listening: the port is taken, and refuses
        yield Place(f"http://127.0.0.1:{bound.getsockname()[1]}")


@contextmanager
def _no_such_name(_: Bench) -> Iterator[Place]:
    yield Place("https://no-such-host.invalid")


@contextmanager
def _full_accept_queue(_: Bench) -> Iterator[Place]:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        waiting = [socket.socket() for _ in range(4)]
        try:
            for each in waiting:
                each.setblocking(False)
                each.connect_ex(listener.getsockname())
            # The first is in the queue, which is full with it; the last is not let in.
            wait_until(lambda: select.select([], waiting[:1], [], 0)[1], "a full queue")
            assert not select.select([], waiting[-1:], [], 0.05)[1]
            port = listener.getsockname()[1]
            yield Place(f"http://127.0.0.1:{port}", transport={"connect_timeout": 0.2})
        finally:
            for each in waiting:
                each.close()


@contextmanager
def _tls(
    bench: Bench, play: Script = _good, host: str = "127.0.0.1", **validity: datetime
) -> Iterator[Place]:
    context = bench.authority.vouch(host, **validity)
    with RawServer(play, bench.good, context) as server:
        yield _secure(server, bench)


@contextmanager
def _unknown_authority(bench: Bench) -> Iterator[Place]:
    (bench.folder / "stranger").mkdir()
    stranger = Authority(bench.folder / "stranger")
    with RawServer(_good, bench.good, stranger.vouch()) as server:
        yield _secure(server, bench)


_YESTERDAY = datetime.now(UTC) - timedelta(days=1)


def _expired(bench: Bench) -> AbstractContextManager[Place]:
    return _tls(bench, not_before=_YESTERDAY - timedelta(days=1), not_after=_YESTERDAY)


@contextmanager
def _hanging_handshake(bench: Bench) -> Iterator[Place]:
    with RawServer(Peer.stay_silent, bench.good) as server:
        yield _secure(server, bench, connect_timeout=0.2)


def _garble(peer: Peer) -> None:
    if peer.read_request():
        with peer.detach_from_tls() as plain:
            plain.sendall(b"this is not TLS at all" * 10)


def _cut(peer: Peer) -> None:
    if peer.read_request():
        peer.detach_from_tls().close()  # without TLS's own word of farewell


@contextmanager
def _dripping_tls(bench: Bench, *, from_the_start: bool) -> Iterator[Place]:
    drip = partial(
        Peer.write_tls_slowly, context=bench.authority.vouch(), from_the_start=from_the_start
    )
    with RawServer(drip, bench.good) as server:
        limits = {"connect_timeout": 0.2} if from_the_start else {}
        yield _secure(server, bench, **limits)


@contextmanager
def _handshake_ends(bench: Bench, *, how: Script) -> Iterator[Place]:
    with RawServer(how, bench.good) as server:
        yield _secure(server, bench)


def _end(peer: Peer) -> None:
    peer.read_some()


def _break(peer: Peer) -> None:
    peer.read_some()
    peer.reset()


def _not_tls(peer: Peer) -> None:
    peer.read_some()
    peer.write(http_response(400))
    peer.read_some()


@contextmanager
def _tls_to_a_plain_port(bench: Bench) -> Iterator[Place]:
    with RawServer(_not_tls, bench.good) as server:
        yield _secure(server, bench)


@contextmanager
def _plain_to_a_tls_port(bench: Bench) -> Iterator[Place]:
    with RawServer(_good, bench.good, bench.authority.vouch()) as server:
        yield _plain(server)


@contextmanager
def _redirect(bench: Bench, status: int) -> Iterator[Place]:
    """Redirect to a bystander, with a body that has no end."""

    def play(peer: Peer) -> None:
        while peer.read_request():
            where = f"Location: http://127.0.0.1:{bystander.port}/\r\nContent-Length: 99999999\r\n"
            peer.write(f"HTTP/1.1 {status} Elsewhere\r\n{where}\r\n".encode())
            peer.write_repeatedly(b" ")

    with (
        RawServer(_good, bench.good) as bystander,
        RawServer(play, bench.good) as server,
    ):
        yield _plain(server, bystander=bystander)


@contextmanager
def _proxies_in_the_environment(bench: Bench) -> Iterator[Place]:
    with (
        pytest.MonkeyPatch.context() as patch,
        RawServer(_good, bench.good) as proxy,
        RawServer(_good, bench.good) as server,
    ):
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            patch.setenv(name, f"http://127.0.0.1:{proxy.port}")
            patch.setenv(name.upper(), f"http://127.0.0.1:{proxy.port}")
        for name in ("no_proxy", "NO_PROXY"):
            patch.delenv(name, raising=False)
        yield _plain(server, bystander=proxy)


@contextmanager
def _leftover(bench: Bench) -> Iterator[Place]:
    """Say more than was asked, where TLS has it decrypted and the socket looks drained.

    OpenSSL's reader hands out 8 KiB at a time, and the unasked answer begins just behind them.
    """

    def play(peer: Peer) -> None:
        while peer.read_request():
            head, end, body = peer.good.partition(b"\r\n\r\n")
            missing = 8192 - len(peer.good) - len(b"\r\nX-Padding: ")
            padded = head + b"\r\nX-Padding: " + b"x" * missing + end + body
            peer.write(padded + http_response(401))

    with RawServer(play, bench.good, bench.authority.vouch()) as server:
        yield _secure(server, bench)


@contextmanager
def _closing_proxy(bench: Bench) -> Iterator[Place]:
    """Go through a proxy of the configuration that takes the whole request and closes."""
    with RawServer(_close, bench.good) as proxy:
        transport = {"proxy": f"http://127.0.0.1:{proxy.port}"}
        yield Place("http://127.0.0.1:9", proxy, transport)


@contextmanager
def _idle_and_reset(bench: Bench) -> Iterator[Place]:
    """Leave five idle connections, each of which is reset by the next request on it."""
    together = threading.Barrier(5)

    def play(peer: Peer) -> None:
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

    with RawServer(play, bench.good) as server:
        yield _plain(server, before=five_calls)


@contextmanager
def _late_answer(bench: Bench) -> Iterator[Place]:
    """Answer each connection's first request with nonsense, and its second one with a refusal.

    The refusal is the answer to the first, too late; only a new connection has a good one.
    """

    def play(peer: Peer) -> None:
        if peer.number % 2 == 0:
            once(peer.good)(peer)
        elif peer.read_request():
            peer.write(http_response(200, "null"))
            always(http_response(401, {"success": False}))(peer)

    @contextmanager
    def one_call(call: Call) -> Iterator[None]:
        call()
        yield

    with RawServer(play, bench.good) as server:
        yield _plain(server, before=one_call)


@contextmanager
def _proxied(
    bench: Bench,
    scheme: str,
    serve: Callable[..., None],
    *,
    arrives: bool = True,
    connect_timeout: float = 1.0,
    **options: Any,
) -> Iterator[Place]:
    """Go to a TLS upstream through a proxy."""
    if scheme == "https":
        options["context"] = bench.authority.vouch()
    with (
        RawServer(_good, bench.good, bench.authority.vouch()) as server,
        run_proxy(serve, **options) as proxy,
    ):
        address = f"{scheme}://127.0.0.1:{proxy.port}"
        limits = {} if arrives else {"connect_timeout": connect_timeout}
        yield _secure(server, bench, proxy=address, **limits)


@contextmanager
def _planted_netrc(bench: Bench) -> Iterator[Place]:
    netrc = bench.folder / ".netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password planted\n")
    netrc.chmod(0o600)
    with pytest.MonkeyPatch.context() as patch, RawServer(_good, bench.good) as server:
        patch.setenv("HOME", str(bench.folder))
        patch.setenv("NETRC", str(netrc))
        yield _plain(server)


@contextmanager
def _breaker_open(bench: Bench) -> Iterator[Place]:
    @contextmanager
    def five_failures(call: Call) -> Iterator[None]:
        for _ in range(5):
            call()
        yield

    with RawServer(always(http_response(500)), bench.good) as server:
        yield _plain(server, before=five_failures)


@contextmanager
def _bulkhead_full(bench: Bench) -> Iterator[Place]:
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

    with RawServer(held, bench.good) as server:
        yield _plain(server, transport={"max_in_flight": 1}, before=one_in_flight)


REFUSED = Code.PROVIDER_UNREACHABLE
NO_TLS = Code.PROVIDER_TLS_ERROR


def _never_sent(name: str, how: Stage, code: Code, attempts: int = 1, **rest: Any) -> Scene:
    return Scene(name, how, code, attempts, arrives=False, **rest)


SCENES = (
    Scene("TLS: an unrequested response behind the first", _leftover, None, calls=2),
    Scene("five idle connections that are reset as we send", _idle_and_reset, None, 2),
    Scene("a malformed response, then a late one", _late_answer, None),
    Scene("a proxy that takes the request and closes", _closing_proxy, LOST, 2),
    Scene("a proxy, https", partial(_proxied, scheme="https", serve=connects), None),
    Scene("a proxy, SOCKS5", partial(_proxied, scheme="socks5", serve=socks5), None),
    *(
        row
        for scheme, serve in (("http", connects), ("https", connects), ("socks5", socks5))
        for row in (
            _never_sent(
                f"a proxy, {scheme}, that wants a login",
                partial(_proxied, scheme=scheme, serve=serve, login=True),
                REFUSED,
            ),
            _never_sent(
                f"a proxy, {scheme}, that does not connect",
                partial(_proxied, scheme=scheme, serve=serve, status=502),
                REFUSED,
                2,
            ),
            _never_sent(
                f"a proxy, {scheme}, that hangs",
                partial(_proxied, scheme=scheme, serve=hangs, arrives=False, connect_timeout=0.2),
                REFUSED,
                2,
                deadline=2.0,
                hangs=True,
            ),
        )
    ),
    _never_sent("connection refused", _nobody_listens, REFUSED, 2),
    _never_sent("DNS: no such name", _no_such_name, REFUSED, 2),
    _never_sent("connect timeout", _full_accept_queue, REFUSED, 2, deadline=2.0, hangs=True),
    Scene("TLS, all in order, with `ca_file`", _tls, None),
    _never_sent("TLS: unknown authority", _unknown_authority, NO_TLS),
    _never_sent("TLS: expired certificate", _expired, NO_TLS),
    _never_sent("TLS: another host's certificate", partial(_tls, host="other.example"), NO_TLS),
    _never_sent(
        "TLS: a handshake that hangs", _hanging_handshake, REFUSED, 2, deadline=2.0, hangs=True
    ),
    _never_sent(
        "TLS: a handshake, byte by byte",
        partial(_dripping_tls, from_the_start=True),
        REFUSED,
        2,
        deadline=2.0,
        hangs=True,
    ),
    Scene(
        "TLS: a response in one record, byte by byte",
        partial(_dripping_tls, from_the_start=False),
        LATE,
        deadline=SHORT,
        hangs=True,
    ),
    Scene("TLS: reset after the request left", partial(_tls, play=_reset), LOST, 2),
    Scene("TLS: cut off after the request left", partial(_tls, play=_cut), LOST, 2),
    Scene("TLS: garbled after the request left", partial(_tls, play=_garble), LOST, 2),
    _never_sent(
        "TLS: a clean close in the handshake", partial(_handshake_ends, how=_end), REFUSED, 2
    ),
    _never_sent("TLS: a reset in the handshake", partial(_handshake_ends, how=_break), REFUSED, 2),
    _never_sent("https to a plain port", _tls_to_a_plain_port, NO_TLS),
    Scene("http to a TLS port", _plain_to_a_tls_port, LOST, 2, arrives=False),
    *(
        Scene(
            f"{status} to elsewhere, with a body without end",
            partial(_redirect, status=status),
            Code.PROVIDER_REDIRECTED if status in (307, 308) else ELSEWHERE,
            hangs=True,
        )
        for status in (301, 302, 303, 307, 308)
    ),
    Scene("proxies in the environment", _proxies_in_the_environment, None),
    Scene("a `.netrc` with a login for the host", _planted_netrc, None),
    _never_sent("breaker open, after 5 failures in a row", _breaker_open, Code.CIRCUIT_OPEN, 0),
    _never_sent("bulkhead full", _bulkhead_full, Code.OVERLOADED, 0),
)

SIGTERM = Row("SIGTERM with the call in flight", None, None)
PROBE = Row("breaker half open: the one probe", None, None)
NO_PROBE = Row(
    "breaker half open: all other calls", None, Code.CIRCUIT_OPEN, attempts=0, arrives=False
)
NO_DESCRIPTOR = Row("no descriptor left in this process", None, Code.OVERLOADED, arrives=False)
OVERRULED = Row("the response lost, while a newer call wants the opposite", None, LOST)
TOO_LATE = Row(
    "a newer call wants the opposite before the request is sent",
    None,
    Code.PROVIDER_CONFLICT,
    attempts=0,
    arrives=False,
)
LONG_LIST = Row(
    "a list beyond its bounds: bytes, pages, or the seconds for all pages",
    None,
    {"wuts": TOO_LARGE, "*": Code.OPERATION_NOT_SUPPORTED},
    {"wuts": 1, "*": 0},
)
OTHERS = (PROBE, NO_PROBE, NO_DESCRIPTOR, OVERRULED, TOO_LATE, LONG_LIST, SIGTERM)
"""Rows that a test of their own plays."""
