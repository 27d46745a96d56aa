"""The connections to one address, below requests: complete responses, one pool, idle connections.

A request passes from requests' adapter to `urlopen` of a urllib3 pool, which is replaced here:
urllib3's own follows redirects, retries, logs paths, and accepts a truncated head as complete.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import time
import weakref
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util import Timeout

from adapter.settings.model import Proxy, TransportSettings
from adapter.settings.proxy import parse_proxy
from adapter.transport.attempt import Attempt
from adapter.transport.http1 import MAX_OVERHEAD, RawResponse
from adapter.transport.proxies import connect_through_proxy, connect_to_proxy
from adapter.transport.sockets import (
    DeadlineSocket,
    TlsInTlsSocket,
    open_socket,
    tls_context,
    wrap_in_tls,
)


class AttemptTimeout(Timeout):
    """A request's attempt, in the type that requests passes through as a timeout.

    `connect_seconds` is the timeout until a new connection stands.
    """

    def __init__(self, attempt: Attempt, connect_seconds: float) -> None:
        # Timeout.__init__ is skipped: it validates what the settings have validated already.
        self.attempt = attempt
        self.connect_seconds = connect_seconds

    @property
    def remaining(self) -> float:
        """Seconds until the attempt's deadline; never 0."""
        return self.attempt.remaining


class _ProxyRoute(NamedTuple):
    """The proxy of a connection; `ssl_context` is for an https proxy.

    A forwarding proxy receives the requests themselves; any other connects to the provider.
    """

    proxy: Proxy
    ssl_context: ssl.SSLContext | None
    is_forwarding: bool


class Connection(HTTPConnection):
    """A connection whose timeout covers DNS lookup, connect, proxy and TLS handshake together."""

    idle_since = 0.0
    proxy_route: _ProxyRoute | None = None

    def _new_conn(self) -> socket.socket:
        deadline = time.monotonic() + float(self.timeout or 0)
        if self.proxy_route is not None:
            proxy, ssl_context, is_forwarding = self.proxy_route
            if is_forwarding:
                return connect_to_proxy(proxy, deadline, ssl_context)
            return connect_through_proxy(proxy, self._dns_host, self.port, deadline, ssl_context)
        return open_socket(self._dns_host, self.port, deadline)

    def is_reusable(self) -> bool:
        """Whether the idle connection is open and has no unread data."""
        self.sock.settimeout(0)
        below = self.sock.socket if isinstance(self.sock, TlsInTlsSocket) else self.sock
        try:
            socket.socket.recv(below, 1, socket.MSG_PEEK)  # TLS sockets have no peek of their own
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def round_trip(self, method: str, message: bytes, timeout: AttemptTimeout) -> RawResponse:
        """Send the message, and return the response after reading its head."""
        if self.sock is None:
            self.timeout = min(timeout.connect_seconds, timeout.remaining)
            self.connect()
        self.sock.settimeout(timeout.remaining)
        if isinstance(self.sock, (DeadlineSocket, TlsInTlsSocket)):
            self.sock.limit_bytes(timeout.attempt.bytes_left + MAX_OVERHEAD)
        timeout.attempt.mark_sent()
        with suppress(BrokenPipeError):  # a server may respond and close before it has read all
            sent = self.sock.send(message)  # everything, unless the peer does not read
            if sent < len(message):
                self.sock.sendall(message[sent:])
        response = RawResponse(self.sock, method=method)
        try:
            response.begin()
        except BaseException:
            response.close()
            raise
        return response

    def has_unread_tls_data(self) -> bool:
        """Whether TLS holds decrypted bytes, which `is_reusable` cannot see."""
        return isinstance(self.sock, (ssl.SSLSocket, TlsInTlsSocket)) and self.sock.pending() > 0


class _TlsConnection(Connection, HTTPSConnection):
    """The same, with TLS."""

    def connect(self) -> None:
        """Connect and make the TLS handshake; raises ConnectError, before anything is sent."""
        context = self.ssl_context
        assert context is not None  # noqa: S101 - the pool was given one
        self.sock = wrap_in_tls(self._new_conn(), self.host, context)


_CONNECTION_LOST_ERRORS = (OSError, http.client.IncompleteRead)
"""What a connection raises that was lost, or on which no response arrives."""


class _IdleConnections:
    """The idle connections, reused last in, first out.

    Expired ones are closed when the next one is taken, so that no thread has to do it.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._connections: deque[Connection] = deque()

    def put(self, connection: Connection) -> None:
        """Add a connection."""
        connection.idle_since = time.monotonic()
        self._connections.append(connection)

    def take(self) -> Connection | None:
        """Remove and return the most recently used connection that is reusable; None without."""
        self.close_idle_since(time.monotonic() - self._timeout)
        while True:
            try:
                connection = self._connections.pop()
            except IndexError:
                return None
            if connection.is_reusable():
                return connection
            connection.close()

    def close_idle_since(self, moment: float) -> None:
        """Close the connections that have been idle since that moment or longer."""
        with suppress(IndexError):
            while self._connections[0].idle_since <= moment:
                oldest = self._connections.popleft()
                if oldest.idle_since > moment:  # another thread took the one at the left
                    self._connections.appendleft(oldest)
                    return
                oldest.close()

    def close_oldest(self) -> None:
        """Close the connection that has been idle for longest."""
        with suppress(IndexError):
            self._connections.popleft().close()

    def close(self) -> None:
        """Close all connections."""
        with suppress(IndexError):
            while True:
                self._connections.pop().close()


class _BasePool(HTTPConnectionPool):
    """A pool that sends a request once, and reads its response completely.

    It logs no path, which may contain a phone number or a token.
    """

    idle: _IdleConnections
    proxy_route: _ProxyRoute | None = None
    extra_header_lines = ""
    """Written into every request, for a forwarding proxy."""

    def set_idle_timeout(self, seconds: float) -> None:
        """Create the store of idle connections, which is closed with the pool."""
        self.idle = _IdleConnections(seconds)
        weakref.finalize(self, self.idle.close)

    def urlopen(  # type: ignore[override]
        self,
        method: str,
        url: str,
        body: bytes | None,
        headers: Mapping[str, str],
        *,
        timeout: AttemptTimeout,
        **_unused: object,
    ) -> RawResponse:
        """Return the response with its body; it must be given to `release`.

        A reused connection that is lost may have been dead for long, as may all that are at least
        as old: they are closed, and the attempt's `health_unknown` is set.
        """
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        head = f"{method} {url} HTTP/1.1\r\n{lines}{self.extra_header_lines}\r\n"
        message = head.encode("ascii") + (body or b"")
        attempt = timeout.attempt
        connection = None
        if attempt.new_connection:
            self.idle.close_oldest()  # keeps the pool no larger than the most calls at a time
            attempt.new_connection = False
        else:
            connection = self.idle.take()
        is_reused = connection is not None
        if connection is None:
            connection = cast("Connection", self._new_conn())
            connection.proxy_route = self.proxy_route
        try:
            with connection.round_trip(method, message, timeout) as response:
                response.body = response.read_body(attempt)
        except BaseException as error:
            connection.close()
            if is_reused and isinstance(error, _CONNECTION_LOST_ERRORS):
                attempt.health_unknown = True
                self.idle.close_idle_since(connection.idle_since)
            raise
        response.connection = connection
        return response

    def release(self, response: RawResponse, *, keep: bool) -> None:
        """Keep the response's connection for other calls where it is reusable; else close it."""
        connection = response.connection
        if keep and not response.will_close and not connection.has_unread_tls_data():
            self.idle.put(connection)
        else:
            connection.close()

    def close(self) -> None:
        """Close the idle connections."""
        self.idle.close()
        super().close()


class _Pool(_BasePool):
    ConnectionCls = Connection


class _TlsPool(_BasePool, HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class ProviderAdapter(HTTPAdapter):
    """requests' adapter for one address: one pool, and no request leaves it."""

    def __init__(self, base_url: str, settings: TransportSettings) -> None:
        super().__init__(max_retries=0)
        parts = urlsplit(base_url)
        host, port, is_https = parts.hostname or "", parts.port, parts.scheme == "https"
        proxy = None if settings.proxy is None else parse_proxy(settings.proxy)
        self.is_forwarded = (
            proxy is not None and not is_https and not proxy.scheme.startswith("socks")
        )
        self._target_prefix = f"http://{parts.netloc}" if self.is_forwarded else ""
        options: dict[str, Any] = {"ssl_context": tls_context(settings.ca_file)} if is_https else {}
        self._pool: _BasePool = (_TlsPool if is_https else _Pool)(host, port, **options)
        self._pool.set_idle_timeout(settings.idle_timeout)
        if proxy is not None:
            ssl_context = tls_context(settings.ca_file) if proxy.scheme == "https" else None
            self._pool.proxy_route = _ProxyRoute(proxy, ssl_context, self.is_forwarded)
            if self.is_forwarded and proxy.authorization is not None:
                line = f"Proxy-Authorization: {proxy.authorization}\r\n"
                self._pool.extra_header_lines = line

    def call(self, request: requests.PreparedRequest, timeout: AttemptTimeout) -> RawResponse:
        """Send the request, and return its response, which must be given to `release`.

        Raises what requests, urllib3 or this layer raises.
        """
        return cast("RawResponse", self.send(request, timeout=timeout))  # type: ignore[arg-type]

    def release(self, response: RawResponse, *, keep: bool) -> None:
        """Keep the response's connection for other calls where it is reusable; else close it."""
        self._pool.release(response, keep=keep)

    def get_connection_with_tls_context(self, *_: Any, **__: Any) -> HTTPConnectionPool:
        """Return the one pool."""
        return self._pool

    def get_connection(self, *_: Any, **__: Any) -> HTTPConnectionPool:
        """Return the one pool; requests before 2.32 calls this name."""
        return self._pool

    def cert_verify(self, *_: Any, **__: Any) -> None:
        """No-op: the pool's SSLContext verifies certificates."""

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:
        """Return the request target: the path, or the absolute URL for a forwarding proxy."""
        return f"{self._target_prefix}{request.url}"

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> Any:
        """Return the RawResponse unchanged; cookies are not extracted."""
        return resp

    def close(self) -> None:
        """Close the pooled connections."""
        self._pool.close()
        super().close()
