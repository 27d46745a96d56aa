"""HTTP/1.1 below requests: sockets with a budget, whole answers, one pool for one address.

A request goes through requests' adapter to `urlopen` of a pool of urllib3's, which is ours from
there on: the exchange as it is written there redirects, retries and logs, which we do not, and
takes a head that was cut off for a whole one, which we must not.
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
from adapter.transport.http1 import OVERHEAD, RawResponse
from adapter.transport.proxies import open_through, open_to
from adapter.transport.sockets import (
    DeadlineSocket,
    InnerTls,
    open_socket,
    tls_context,
    wrap_in_tls,
)


class Deadline(Timeout):
    """The attempt that a request is a part of, in the shape in which requests hands a timeout on.

    `connect` is in seconds.
    """

    def __init__(self, attempt: Attempt, connect: float) -> None:  # lean: what it is given is sound
        self.attempt = attempt
        self.connect = connect

    @property
    def left(self) -> float:
        """The seconds until the attempt must be over; never none at all."""
        return self.attempt.left


class _Way(NamedTuple):
    """A proxy on the way to the provider, and the TLS context where it is an https one.

    One that `forwards` is sent the requests themselves; any other connects us to the provider.
    """

    proxy: Proxy
    context: ssl.SSLContext | None
    forwards: bool


class Connection(HTTPConnection):
    """A connection whose timeout covers all that it takes to stand, and its handshake."""

    idle_since = 0.0
    way: _Way | None = None

    def _new_conn(self) -> socket.socket:
        ends = time.monotonic() + float(self.timeout or 0)
        if self.way is not None:
            proxy, context, forwards = self.way
            if forwards:
                return open_to(proxy, ends, context)
            return open_through(proxy, self._dns_host, self.port, ends, context)
        return open_socket(self._dns_host, self.port, ends)

    def is_reusable(self) -> bool:
        """Whether nothing came while it was idle: neither its end, nor what nobody asked for."""
        self.sock.settimeout(0)
        below = self.sock.socket if isinstance(self.sock, InnerTls) else self.sock
        try:
            socket.socket.recv(below, 1, socket.MSG_PEEK)  # TLS has no peek of its own
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def round_trip(self, method: str, message: bytes, deadline: Deadline) -> RawResponse:
        """Send the message and return the answer that it gets, of which the head has been read."""
        if self.sock is None:
            self.timeout = min(deadline.connect, deadline.left)
            self.connect()
        self.sock.settimeout(deadline.left)
        if isinstance(self.sock, (DeadlineSocket, InnerTls)):
            self.sock.allow(deadline.attempt.room + OVERHEAD)
        deadline.attempt.begin_to_send()
        with suppress(BrokenPipeError):  # a server may answer, and hang up, before it has read all
            sent = self.sock.send(message)  # all of it, but for a peer that does not read
            if sent < len(message):
                self.sock.sendall(message[sent:])
        answer = RawResponse(self.sock, method=method)
        try:
            answer.begin()
        except BaseException:
            answer.close()
            raise
        return answer

    def holds_more(self) -> bool:
        """Whether TLS holds bytes that nobody asked for; the check before reuse cannot see them."""
        return isinstance(self.sock, (ssl.SSLSocket, InnerTls)) and self.sock.pending() > 0


class _TlsConnection(Connection, HTTPSConnection):
    """The same, with TLS."""

    def connect(self) -> None:
        """Connect and shake hands; what fails here fails before anything is sent, and says so."""
        context = self.ssl_context
        assert context is not None  # noqa: S101 - the pool was given one
        self.sock = wrap_in_tls(self._new_conn(), self.host, context)


_LOSSES = (OSError, http.client.IncompleteRead)
"""What a connection that was lost, or is not answered on, ends in."""


class _Idle:
    """The connections that wait for a call: the last used is the first to be used again.

    Old ones are closed when somebody comes by, so that no thread has to look after them.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._waiting: deque[Connection] = deque()

    def put(self, connection: Connection) -> None:
        """Let the connection wait for a call."""
        connection.idle_since = time.monotonic()
        self._waiting.append(connection)

    def take(self) -> Connection | None:
        """Return the connection that was used last and still stands; None without one."""
        self.close_until(time.monotonic() - self._timeout)
        while True:
            try:
                connection = self._waiting.pop()
            except IndexError:
                return None
            if connection.is_reusable():
                return connection
            connection.close()

    def close_until(self, moment: float) -> None:
        """Close those that have been idle since that moment or before."""
        with suppress(IndexError):
            while self._waiting[0].idle_since <= moment:
                oldest = self._waiting.popleft()
                if oldest.idle_since > moment:  # another thread took the one that was meant
                    self._waiting.appendleft(oldest)
                    return
                oldest.close()

    def close_oldest(self) -> None:
        """Close the one that has been idle for longest."""
        with suppress(IndexError):
            self._waiting.popleft().close()

    def close(self) -> None:
        """Close all."""
        with suppress(IndexError):
            while True:
                self._waiting.pop().close()


class _BasePool(HTTPConnectionPool):
    """A pool that sends a request once and reads its answer whole. It logs no path.

    What it is asked may name a person or a token there.
    """

    idle: _Idle
    way: _Way | None = None
    more_headers = ""
    """What is written into every request besides its own headers, for a proxy that forwards."""

    def prepare(self, idle_timeout: float) -> None:
        """Make the place for idle connections, which are closed with the pool."""
        self.idle = _Idle(idle_timeout)
        weakref.finalize(self, self.idle.close)

    def urlopen(  # type: ignore[override]
        self,
        method: str,
        url: str,
        body: bytes | None,
        headers: Mapping[str, str],
        *,
        timeout: Deadline,
        **_switched_off: object,
    ) -> RawResponse:
        """Return the answer, with its body; its connection must be given to `release`.

        A connection that was used before and is lost now may have been gone for long, as may all
        that are as old. That is nobody's fault, and the attempt is told so.
        """
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        head = f"{method} {url} HTTP/1.1\r\n{lines}{self.more_headers}\r\n"
        message = head.encode("ascii") + (body or b"")
        attempt = timeout.attempt
        connection = None
        if attempt.fresh:
            self.idle.close_oldest()  # so that there are never more than there were calls at a time
            attempt.fresh = False
        else:
            connection = self.idle.take()
        reused = connection is not None
        if connection is None:
            connection = cast("Connection", self._new_conn())
            connection.way = self.way
        try:
            with connection.round_trip(method, message, timeout) as answer:
                answer.body = answer.read_body(attempt)
        except BaseException as error:
            connection.close()
            if reused and isinstance(error, _LOSSES):
                attempt.inconclusive = True
                self.idle.close_until(connection.idle_since)
            raise

        answer.connection = connection
        return answer

    def release(self, answer: RawResponse, *, keep: bool) -> None:
        """Let the answer's connection serve other calls where it can and may; else close it."""
        if keep and not answer.will_close and not answer.connection.holds_more():
            self.idle.put(answer.connection)
        else:
            answer.connection.close()

    def close(self) -> None:
        """Close the connections that wait for a call."""
        self.idle.close()
        super().close()


class _Pool(_BasePool):
    ConnectionCls = Connection


class _TlsPool(_BasePool, HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class ProviderAdapter(HTTPAdapter):
    """requests' adapter for one address: one pool, made once, that a request cannot leave."""

    def __init__(self, base_url: str, settings: TransportSettings) -> None:
        super().__init__(max_retries=0)
        parts = urlsplit(base_url)
        host, port, secure = parts.hostname or "", parts.port, parts.scheme == "https"
        proxy = None if settings.proxy is None else parse_proxy(settings.proxy)
        forwards = proxy is not None and not secure and not proxy.scheme.startswith("socks")
        self._before_path = f"http://{parts.netloc}" if forwards else ""
        options: dict[str, Any] = {"ssl_context": tls_context(settings.ca_file)} if secure else {}
        self._pool: _BasePool = (_TlsPool if secure else _Pool)(host, port, **options)
        self._pool.prepare(settings.idle_timeout)
        self.is_forwarded = forwards
        if proxy is not None:
            within = tls_context(settings.ca_file) if proxy.scheme == "https" else None
            self._pool.way = _Way(proxy, within, forwards)
            if forwards and proxy.authorization is not None:
                self._pool.more_headers = f"Proxy-Authorization: {proxy.authorization}\r\n"

    def call(self, request: requests.PreparedRequest, deadline: Deadline) -> RawResponse:
        """Send the request and return its answer; raises what requests, or any part below, does.

        The answer must be given to `release`.
        """
        return cast("RawResponse", self.send(request, timeout=deadline))  # type: ignore[arg-type]

    def release(self, answer: RawResponse, *, keep: bool) -> None:
        """Say what becomes of the connection: whether it may serve another call, or is closed."""
        self._pool.release(answer, keep=keep)

    def get_connection_with_tls_context(self, *_: Any, **__: Any) -> HTTPConnectionPool:
        """Return the one pool."""
        return self._pool

    def get_connection(self, *_: Any, **__: Any) -> HTTPConnectionPool:
        """Return the one pool; requests before 2.32 ask by this name."""
        return self._pool

    def cert_verify(self, *_: Any, **__: Any) -> None:
        """Leave the pool alone: its context verifies, and cannot be told otherwise per call."""

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:
        """Return what is written behind the method: the path, or for a proxy the whole address."""
        return f"{self._before_path}{request.url}"

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> Any:
        """Return the answer as it is, in which nobody looks for cookies."""
        return resp

    def close(self) -> None:
        """Close the pooled connections."""
        self._pool.close()
        super().close()
