"""A server on loopback that runs a script on each connection, and writes raw bytes.

No server of the standard library or on the package index resets, drips, truncates, or sends wrong
lengths.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

DRIP_INTERVAL = 0.05
"""Seconds between two bytes that are written slowly."""


class Peer:
    """One connection, as a script sees it: it reads requests, and writes or breaks."""

    def __init__(self, connection: socket.socket, server: RawServer, good: bytes) -> None:
        self._connection = connection
        self._server = server
        self.good = good
        self.number = server.connections
        self.request = b""

    @property
    def target(self) -> str:
        """The target of the last request: path and query."""
        return self.request.split(b" ")[1].decode()

    def read_request(self) -> bool:
        """Read one request completely and count it; False where the client has closed."""
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
                    more = self._connection.recv(65536)
                    if not more:
                        return False
                    body += more
        self._record(head + b"\r\n\r\n" + body)
        return True

    def _record(self, request: bytes) -> None:
        self.request = request
        self._server.requests.append(request)

    def read_some(self) -> None:
        """Read available bytes of any kind."""
        self._connection.recv(65536)

    def write(self, data: bytes) -> None:
        """Write the bytes."""
        self._connection.sendall(data)

    def write_repeatedly(self, data: bytes) -> None:
        """Write the data again and again, slowly, until the client or the test ends."""
        while not self._server.stopping.wait(DRIP_INTERVAL):
            self.write(data)

    def write_slowly(self, data: bytes) -> None:
        """Write the data byte by byte, until its end, or the client or the test ends."""
        for byte in data:
            if self._server.stopping.wait(DRIP_INTERVAL):
                return
            self.write(bytes([byte]))

    def write_tls_slowly(self, context: ssl.SSLContext, *, from_the_start: bool) -> None:
        """Write the TLS handshake, or the record of a good response, byte by byte."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_side=True)

        def until_done(step: Callable[[], Any]) -> Any:
            while True:
                try:
                    return step()
                except ssl.SSLWantReadError:
                    data = outgoing.read()
                    if from_the_start:
                        self.write_slowly(data)
                    else:
                        self.write(data)
                    received = self._connection.recv(65536)
                    if not received:
                        raise ConnectionResetError("the client has closed") from None
                    incoming.write(received)

        until_done(tls.do_handshake)
        self.write(outgoing.read())
        self._record(until_done(partial(tls.read, 65536)))
        tls.write(self.good)
        self.write_slowly(outgoing.read())

    def stay_silent(self) -> None:
        """Write nothing until the client closes or the test ends."""
        self._connection.settimeout(0.1)
        while not self._server.stopping.is_set():
            try:
                if not self._connection.recv(1):
                    return
            except TimeoutError:
                continue

    def reset(self) -> None:
        """Reset the connection instead of closing it."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._connection.close()

    def detach_from_tls(self) -> socket.socket:
        """Return the plain socket below TLS; no close_notify is sent."""
        return socket.socket(fileno=self._connection.detach())


Script = Callable[[Peer], None]


class RawServer:
    """Runs the script on each connection, and records requests and connections.

    `good` is the provider's good response, which scripts find in `Peer.good`.
    """

    def __init__(
        self, script: Script, good: bytes = b"", context: ssl.SSLContext | None = None
    ) -> None:
        self._script = script
        self._good = good
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._open: set[socket.socket] = set()
        self.stopping = threading.Event()
        self.requests: list[bytes] = []
        self.connections = 0
        self.closed = 0

    @property
    def request_count(self) -> int:
        """The number of complete requests."""
        return len(self.requests)

    @property
    def address(self) -> str:
        """The base URL, http or https."""
        scheme = "http" if self._context is None else "https"
        return f"{scheme}://127.0.0.1:{self.port}"

    def __enter__(self) -> RawServer:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._open):
            with _ignoring_closed():
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive(), "a script did not end"

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with _ignoring_closed():
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        if self._context is not None:
            connection = self._context.wrap_socket(
                connection,
                server_side=True,
                do_handshake_on_connect=False,
            )
        self._open.add(connection)
        with _ignoring_closed(), connection:
            if isinstance(connection, ssl.SSLSocket):
                connection.do_handshake()
            self._script(Peer(connection, self, self._good))
        self._open.discard(connection)
        self.closed += 1


@contextmanager
def _ignoring_closed() -> Iterator[None]:
    """Ignore the errors of a connection that the client or the test has closed."""
    with suppress(OSError, ValueError):
        yield


def http_response(
    status: int, body: bytes | str | object = b"", headers: str = "", kind: str = "application/json"
) -> bytes:
    """Return a complete, well-formed HTTP response; `headers` are lines that end in CRLF."""
    if isinstance(body, str):
        body = body.encode()
    elif not isinstance(body, bytes):
        body = json.dumps(body).encode()
    length = "" if status == 204 else f"Content-Length: {len(body)}\r\n"
    head = f"HTTP/1.1 {status} Status\r\nContent-Type: {kind}\r\n{length}{headers}\r\n"
    return head.encode() + body


def always(raw: bytes) -> Script:
    """Return a script that writes the same response to every request of a connection."""

    def script(peer: Peer) -> None:
        while peer.read_request():
            peer.write(raw)

    return script


def once(raw: bytes) -> Script:
    """Return a script that writes these bytes after the first request, and closes."""

    def script(peer: Peer) -> None:
        if peer.read_request():
            peer.write(raw)

    return script
