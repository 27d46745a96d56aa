"""A server that fails on purpose, and the table of what each failure must become.

Nothing in the standard library or on the package index resets, drips, truncates or lies about
lengths, so this one writes raw bytes on loopback. A fault plays one connection at a time.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from adapter import Code

DRIP = 0.05
"""Seconds between two bytes of a drip."""


class Peer:
    """One connection, as the fault sees it: it reads requests, and writes or breaks."""

    def __init__(self, connection: socket.socket, server: FaultServer, good: bytes) -> None:
        self._connection = connection
        self._server = server
        self.good = good

    def read_request(self) -> bool:
        """Read one request to its end and count it; False where the client has gone."""
        data = b""
        while b"\r\n\r\n" not in data:
            more = self._connection.recv(65536)
            if not more:
                return False
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                while len(body) < int(line.split(b":")[1]):
                    body += self._connection.recv(65536)
        self._server.requests += 1
        return True

    def write(self, data: bytes) -> None:
        """Write bytes as they are."""
        self._connection.sendall(data)
        self._server.written += len(data)

    def drip(self, data: bytes) -> None:
        """Write a byte now and then, until the client or the test gives up."""
        while not self._server.stopping.wait(DRIP):
            self.write(data)

    def keep_silent(self) -> None:
        """Say nothing until the client goes away or the test is over."""
        self._connection.settimeout(0.1)
        while not self._server.stopping.is_set():
            try:
                if not self._connection.recv(1):
                    return
            except TimeoutError:
                continue

    def reset(self) -> None:
        """Break the connection with a reset instead of closing it."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._connection.close()


Play = Callable[[Peer], None]


class FaultServer:
    """Listens on loopback, plays a fault on each connection, and counts what it was asked."""

    def __init__(self, play: Play, good: bytes, context: ssl.SSLContext | None = None) -> None:
        self._play = play
        self._good = good
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._threads: list[threading.Thread] = []
        self._open: set[socket.socket] = set()
        self.stopping = threading.Event()
        self.requests = 0
        self.connections = 0
        self.written = 0

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._listener.getsockname()[1]
        return port

    def __enter__(self) -> FaultServer:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._open):
            with _forgiving():
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive(), "a fault did not end"

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with _forgiving():
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        self._open.add(connection)
        with _forgiving(), connection:
            if self._context is None:
                self._play(Peer(connection, self, self._good))
            else:
                with self._context.wrap_socket(connection, server_side=True) as wrapped:
                    self._open.add(wrapped)
                    self._play(Peer(wrapped, self, self._good))


@contextmanager
def _forgiving() -> Iterator[None]:
    """Let a connection that the client or the test has ended be over."""
    with suppress(OSError, ValueError):
        yield


@dataclass(frozen=True)
class Fault:
    """A row of the matrix: what goes wrong, and what it must become, by provider or for all.

    `attempts` is what the server must have counted; None where nobody can count.
    """

    name: str
    play: Play
    code: Code | Mapping[str, Code | None] | None
    attempts: int | Mapping[str, int] = 1
    calls: int = 1
    deadline: float = 0.6

    def expected_attempts(self, provider: str) -> int:
        """Return how many requests the server must have counted."""
        if isinstance(self.attempts, int):
            return self.attempts
        return self.attempts.get(provider, self.attempts["*"])

    def expected(self, provider: str) -> Code | None:
        """Return the code for a provider; None is a success."""
        if self.code is None or isinstance(self.code, Code):
            return self.code
        return self.code.get(provider, self.code["*"])


def answer(
    status: int, body: bytes | str | object = b"", headers: str = "", kind: str = "application/json"
) -> bytes:
    """Return a whole, well-formed HTTP answer."""
    if isinstance(body, str):
        body = body.encode()
    elif not isinstance(body, bytes):
        body = json.dumps(body).encode()
    length = "" if status == 204 else f"Content-Length: {len(body)}\r\n"
    head = f"HTTP/1.1 {status} Fault\r\nContent-Type: {kind}\r\n{length}{headers}\r\n"
    return head.encode() + body


def always(raw: bytes) -> Play:
    """Return a fault that gives the same answer to every request of a connection."""

    def play(peer: Peer) -> None:
        while peer.read_request():
            peer.write(raw)

    return play


def once(raw: bytes) -> Play:
    """Return a fault that writes these bytes for the first request and closes."""

    def play(peer: Peer) -> None:
        if peer.read_request():
            peer.write(raw)

    return play


def _silence(peer: Peer) -> None:
    peer.read_request()
    peer.keep_silent()


def _header_drip(peer: Peer) -> None:
    peer.read_request()
    peer.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    peer.drip(b"z")


def _body_drip(peer: Peer) -> None:
    peer.read_request()
    peer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    peer.drip(b" ")


def _endless_continue(peer: Peer) -> None:
    peer.read_request()
    peer.drip(b"HTTP/1.1 100 Continue\r\n\r\n")


def _reset(peer: Peer) -> None:
    if peer.read_request():
        peer.reset()


def _close(peer: Peer) -> None:
    peer.read_request()


def _reset_mid_body(peer: Peer) -> None:
    if peer.read_request():
        peer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"success": true')
        peer.reset()


def _close_while_idle(peer: Peer) -> None:
    if peer.read_request():
        peer.write(peer.good)


class CloseAsWeSend:
    """Answers the first request of the first connection, and closes upon its second."""

    def __init__(self) -> None:
        self._seen = 0

    def __call__(self, peer: Peer) -> None:
        """Play the next connection."""
        self._seen += 1
        if self._seen > 1:
            while peer.read_request():
                peer.write(peer.good)
        elif peer.read_request():
            peer.write(peer.good)
            peer.read_request()


def _endless_body(peer: Peer) -> None:
    if peer.read_request():
        size = 300 * 1024 * 1024
        peer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
        for _ in range(size // 65536):
            peer.write(b" " * 65536)


def _gzip_bomb(peer: Peer) -> None:
    import gzip

    if peer.read_request():
        bomb = gzip.compress(b" " * 10_000_000)
        peer.write(answer(200, bomb, "Content-Encoding: gzip\r\n"))


def _no_length(peer: Peer) -> None:
    if peer.read_request():
        peer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        for _ in range(64):
            peer.write(b" " * 65536)


WUTS_OK = {"success": True, "data": {"blocked": True}}
WUTS_NO = {"success": False, "error": "text with 404 and 429", "timestamp": "2026-06-15T12:00:00Z"}

BAD = Code.PROVIDER_BAD_RESPONSE
LOST = Code.PROVIDER_CONNECTION_LOST
LATE = Code.PROVIDER_TIMEOUT

_BROKEN_CHUNK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot-hex\r\n{}\r\n0\r\n\r\n"
_BOTH_LENGTHS = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 50\r\n\r\n" + b'{"success": true}'
)
_HTML = "<!doctype html><title>502</title><h1>404 Not Found, 429 Too Many</h1>"


def _status(status: int, code: Code | Mapping[str, Code | None], attempts: int = 1) -> Fault:
    return Fault(
        f"{status}, an HTML page", always(answer(status, _HTML, kind="text/html")), code, attempts
    )


def _busy(name: str, header: str, attempts: int) -> Fault:
    raw = answer(429, {}, f"Retry-After: {header}\r\n")
    code = Code.PROVIDER_RATE_LIMITED
    return Fault(f"429, Retry-After {name}", always(raw), code, attempts, deadline=2.0)


FAULTS = (
    Fault("silence", _silence, LATE),
    Fault("header drip", _header_drip, LATE),
    Fault("body drip", _body_drip, LATE),
    Fault("100 Continue without end", _endless_continue, LATE),
    Fault("reset before the answer", _reset, LOST, 2),
    Fault("clean close before the answer", _close, LOST, 2),
    Fault("keep-alive closed while idle", _close_while_idle, None, calls=2),
    Fault("reset mid-body", _reset_mid_body, LOST, 2),
    Fault(
        "body shorter than Content-Length",
        once(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}"),
        LOST,
        2,
    ),
    Fault("broken chunk", once(_BROKEN_CHUNK), LOST, 2),
    Fault("two Content-Lengths", once(_BOTH_LENGTHS), LOST, 2),
    Fault("truncated JSON", always(answer(200, '{"success": true, "data": {"blo')), BAD),
    Fault("HTML with 200", always(answer(200, _HTML, kind="text/html")), BAD),
    Fault(
        "wrong content type, right JSON",
        always(answer(200, WUTS_OK, kind="text/plain")),
        {"wuts": None, "wappfy": None, "*": BAD},
    ),
    Fault("an array", always(answer(200, [1, 2])), BAD),
    Fault("a scalar", always(answer(200, "true")), BAD),
    Fault("null", always(answer(200, "null")), BAD),
    Fault("an empty 200", always(answer(200)), BAD),
    Fault(
        "duplicate keys",
        always(answer(200, '{"success":false,"success":true,"data":{"blocked":true}}')),
        BAD,
    ),
    Fault("NaN", always(answer(200, '{"success":true,"data":{"blocked":true,"count":NaN}}')), BAD),
    Fault("deep nesting", always(answer(200, "[" * 100_000)), BAD),
    Fault(
        "a huge integer",
        always(answer(200, '{"success":true,"data":{"blocked":true,"count":%s}}' % ("9" * 5000))),
        BAD,
    ),
    Fault(
        "a byte order mark",
        always(answer(200, b"\xef\xbb\xbf" + json.dumps(WUTS_OK).encode())),
        BAD,
    ),
    Fault("UTF-16", always(answer(200, json.dumps(WUTS_OK).encode("utf-16"))), BAD),
    Fault("gzip bomb", _gzip_bomb, BAD),
    Fault("300 MB body", _endless_body, BAD),
    Fault("4 MB body without a length", _no_length, BAD),
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
        always(answer(200, WUTS_NO)),
        {"session-gateway": BAD, "*": Code.TARGET_REJECTED},
    ),
    Fault(
        "a state that is not what was asked",
        always(answer(200, {"success": True, "data": {"blocked": False}})),
        {"wappfy": None, "*": BAD},
    ),
    _status(400, Code.TARGET_REJECTED),
    _status(401, Code.PROVIDER_AUTH_FAILED),
    _status(402, Code.PROVIDER_PERMISSION_DENIED),
    _status(403, Code.PROVIDER_PERMISSION_DENIED),
    _status(404, BAD),
    Fault(
        "404 in the envelope of WUTS",
        always(answer(404, WUTS_NO)),
        {"session-gateway": BAD, "*": Code.SESSION_NOT_FOUND},
    ),
    Fault(
        "404 with the gateway's code",
        always(answer(404, {"error": {"code": "not_found", "message": "no", "details": {}}})),
        {"wuts": BAD, "*": Code.SESSION_NOT_FOUND},
    ),
    _status(405, Code.TARGET_REJECTED),
    _status(408, LATE),
    _status(409, Code.PROVIDER_CONFLICT),
    _status(418, Code.TARGET_REJECTED),
    _status(422, Code.TARGET_REJECTED),
    _busy("1", "1", 2),
    _busy("3600", "3600", 1),
    _busy("a day", "86400", 1),
    _busy("a date", "Wed, 21 Oct 2037 07:28:00 GMT", 1),
    _busy("junk", "soon", 1),
    _status(500, Code.PROVIDER_ERROR),
    _status(501, Code.OPERATION_NOT_SUPPORTED),
    Fault(
        "501 with the gateway's code",
        always(answer(501, {"error": {"code": "not_implemented", "message": "x", "details": {}}})),
        {"session-gateway": Code.SESSION_NOT_CONNECTED, "*": Code.OPERATION_NOT_SUPPORTED},
    ),
    _status(502, Code.PROVIDER_ERROR, 2),
    _status(503, Code.PROVIDER_UNAVAILABLE, 2),
    Fault(
        "503 with DEVICE_NOT_READY",
        always(answer(503, {"success": False, "error": "x", "error_code": "DEVICE_NOT_READY"})),
        {"wuts": Code.SESSION_NOT_CONNECTED, "*": Code.PROVIDER_UNAVAILABLE},
        {"wuts": 1, "*": 2},
    ),
    _status(504, LATE),
)
