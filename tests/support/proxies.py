"""Proxies on loopback, working and faulty, written on raw sockets."""

from __future__ import annotations

import base64
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

Serve = Callable[["Proxy", socket.socket], None]

USER, PASSWORD = "proxy-user", "canary: of the proxy"
"""A login that must be percent-encoded in a URL."""


@dataclass
class Proxy:
    """A proxy that counts its connections, and records the requested targets."""

    serve: Serve
    context: ssl.SSLContext | None = None
    login: bool = False
    status: int = 200
    port: int = 0
    connections: int = 0
    tunnels: int = 0
    requested: list[str] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)
    sockets: list[socket.socket] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)

    def start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args)
        self.threads.append(thread)
        thread.start()

    def handle(self, plain: socket.socket) -> None:
        self.sockets.append(plain)
        with suppress(OSError, ValueError), plain:
            if self.context is None:
                self.serve(self, plain)
                return
            with self.context.wrap_socket(plain, server_side=True) as connection:
                self.sockets.append(connection)
                self.serve(self, connection)

    def relay(self, client: socket.socket, host: str, port: int) -> None:
        """Relay bytes both ways until one side closes; every name is a name of loopback."""
        self.requested.append(f"{host}:{port}")
        self.tunnels += 1
        with socket.create_connection(("127.0.0.1", port)) as target:
            self.sockets.append(target)
            self.start(_relay, target, client)
            _relay(client, target)


def _relay(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError, ValueError):
        while data := source.recv(65536):
            sink.sendall(data)
    for each in (source, sink):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


@contextmanager
def run_proxy(serve: Serve, **options: object) -> Iterator[Proxy]:
    """Run a proxy until the end of the block."""
    proxy = Proxy(serve, **options)  # type: ignore[arg-type]
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    proxy.port = listener.getsockname()[1]

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                proxy.connections += 1
                proxy.start(proxy.handle, connection)

    proxy.start(accept)
    try:
        yield proxy
    finally:
        proxy.stopping.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for each in list(proxy.sockets):
            with suppress(OSError, ValueError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in list(proxy.threads):
            thread.join(10)
            assert not thread.is_alive(), "a proxy thread did not end"


def read_head(connection: socket.socket) -> str:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        if not byte:
            raise ConnectionError
        head += byte
    return head.decode()


def http_proxy(proxy: Proxy, connection: socket.socket) -> None:
    """Serve CONNECT, and absolute URLs with a response 204."""
    while True:
        head = read_head(connection)
        method, target, _ = head.split("\r\n")[0].split(" ")
        expected = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if proxy.login and f"\r\nProxy-Authorization: Basic {expected}\r\n" not in head:
            connection.sendall(b"HTTP/1.1 407 Login\r\nProxy-Authenticate: Basic realm=x\r\n")
            connection.sendall(b"Content-Length: 0\r\n\r\n")
            if method == "CONNECT":
                return
            continue
        if proxy.status != 200:
            connection.sendall(f"HTTP/1.1 {proxy.status} No\r\nContent-Length: 0\r\n\r\n".encode())
            return
        if method == "CONNECT":
            host, _, port = target.rpartition(":")
            connection.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
            proxy.relay(connection, host, int(port))
            return
        proxy.requested.append(target)
        length = int(head.lower().partition("content-length: ")[2].split("\r\n")[0] or 0)
        while length:
            length -= len(connection.recv(length))
        connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")


def socks5_proxy(proxy: Proxy, connection: socket.socket) -> None:
    """Serve SOCKS5 (RFC 1928), with a login (RFC 1929) where the proxy requires one."""

    def read(count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = connection.recv(count - len(data))
            if not more:
                raise ConnectionError
            data += more
        return data

    _, methods = read(2)
    offered = read(methods)
    if proxy.login:
        if 2 not in offered:
            connection.sendall(b"\x05\xff")
            return
        connection.sendall(b"\x05\x02")
        user = read(read(2)[1])
        password = read(read(1)[0])
        right = (user.decode(), password.decode()) == (USER, PASSWORD)
        connection.sendall(b"\x01" + (b"\x00" if right else b"\x01"))
        if not right:
            return
    else:
        connection.sendall(b"\x05\x00")
    kind = read(4)[3]
    if kind == 3:
        host = read(read(1)[0]).decode()
    else:
        family = socket.AF_INET if kind == 1 else socket.AF_INET6
        host = socket.inet_ntop(family, read(4 if kind == 1 else 16))
    port = int.from_bytes(read(2), "big")
    if proxy.status != 200:
        proxy.requested.append(f"{host}:{port}")
        reply = proxy.status if proxy.status < 9 else 5
        connection.sendall(bytes([5, reply, 0, 1]) + bytes(6))
        return
    connection.sendall(b"\x05\x00\x00\x01" + bytes(6))
    proxy.relay(connection, host, port)


def silent_proxy(proxy: Proxy, connection: socket.socket) -> None:
    """Read, and never respond."""
    while connection.recv(65536):
        pass


def dripping_proxy(first: bytes) -> Serve:
    """Return a proxy that writes these bytes again and again, slowly, without end."""

    def serve(proxy: Proxy, connection: socket.socket) -> None:
        while True:
            for byte in first:
                if proxy.stopping.wait(0.05):
                    return
                connection.sendall(bytes([byte]))

    return serve


def delaying_proxy(which: int, held: threading.Event, release: threading.Event) -> Serve:
    """Return a SOCKS5 proxy that connects one of its connections only after `release`."""
    numbers = iter(range(1, 99))

    def serve(proxy: Proxy, connection: socket.socket) -> None:
        if next(numbers) == which:
            held.set()
            assert release.wait(20)
        socks5_proxy(proxy, connection)

    return serve
