"""A transport adapter of requests for one provider.

The extension point is documented: https://requests.readthedocs.io/en/latest/user/advanced/#transport-adapters
"""

from __future__ import annotations

import io
import time
import weakref
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import urlsplit, urlunsplit

import requests
from requests.adapters import BaseAdapter

from adapter.settings.model import TransportSettings
from adapter.settings.proxy import parse_proxy
from adapter.transport.attempt import Attempt
from adapter.transport.errors import RESOURCE_ERRNOS, ConnectionLostError, DeadlineError
from adapter.transport.http1 import RawResponse, read_response
from adapter.transport.pool import Connection, IdleConnections
from adapter.transport.proxies import connect_through_proxy, connect_to_proxy
from adapter.transport.sockets import TimeLimit, no_time_limit, open_socket
from adapter.transport.streams import Stream, TlsStream, tls_context
from adapter.urls import DEFAULT_PORTS


class HeldResponse:
    """A complete response, which holds its connection until `release`."""

    __slots__ = ("_connection", "_idle", "raw")

    def __init__(self, raw: RawResponse, connection: Connection, idle: IdleConnections) -> None:
        self.raw = raw
        self._connection: Connection | None = connection
        self._idle = idle

    def release(self, *, keep: bool) -> None:
        """Keep the connection for other requests where it is reusable; else close it."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if keep and self.raw.is_reusable:
            self._idle.put(connection)
        else:
            connection.close()


class ResponseBody(io.BytesIO):
    """The complete body of a held response, as `Response.raw`."""

    def __init__(self, held: HeldResponse) -> None:
        super().__init__(held.raw.body)
        self.release = held.release

    def close(self) -> None:
        """Close the body, and the connection if it was not released."""
        self.release(keep=False)
        super().close()


class ProviderAdapter(BaseAdapter):
    """Sends requests to one base URL; no request leaves it.

    Certificates and proxies are those of the settings: the arguments of `send` do not change them.
    `time_limit` ends a DNS lookup at the deadline.
    """

    def __init__(
        self, base_url: str, settings: TransportSettings, time_limit: TimeLimit = no_time_limit
    ) -> None:
        super().__init__()
        parts = urlsplit(base_url)
        self._settings = settings
        self._time_limit = time_limit
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._host = parts.hostname or ""
        self._port = parts.port or DEFAULT_PORTS[parts.scheme]
        self._netloc = parts.netloc
        self._ssl_context = tls_context(settings.ca_file) if parts.scheme == "https" else None
        self._proxy = proxy = None if settings.proxy is None else parse_proxy(settings.proxy)
        self._proxy_ssl_context = (
            tls_context(settings.ca_file) if proxy is not None and proxy.scheme == "https" else None
        )
        self.is_forwarded = (
            proxy is not None and self._ssl_context is None and not proxy.scheme.startswith("socks")
        )
        self._target_prefix = self._origin if self.is_forwarded else ""
        self._extra_header_lines = ""
        if proxy is not None and self.is_forwarded and proxy.authorization is not None:
            self._extra_header_lines = f"Proxy-Authorization: {proxy.authorization}\r\n"
        self._idle = IdleConnections(settings.idle_timeout)
        weakref.finalize(self, self._idle.close)

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: float | tuple[float, float] | tuple[float, None] | None = None,
        verify: bool | str = True,
        cert: bytes | str | tuple[bytes | str, bytes | str] | None = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Send the request once, and return the response with its complete body.

        `timeout` is the deadline of everything, in seconds; of a pair, the second. With `stream`,
        `Response.raw` is a ResponseBody, which holds the connection until `release` or `close`.

        Raises as `exchange`.
        """
        seconds = timeout[1] if isinstance(timeout, tuple) else timeout
        attempt = Attempt(time.monotonic() + (seconds or self._settings.deadline))
        held = self.exchange(request, attempt)
        body = ResponseBody(held)
        if not stream:
            body.release(keep=True)
        response = requests.Response()
        response.status_code = held.raw.status
        response.headers = held.raw.headers  # type: ignore[assignment]  # finds names in any case
        response.raw = body
        response.url = request.url or ""
        response.request = request
        return response

    def exchange(self, request: requests.PreparedRequest, attempt: Attempt) -> HeldResponse:
        """Send the request once within the attempt's limits, and return the complete response.

        `send` makes a `requests.Response` of it, which takes more time than the parsing.

        A reused connection that is lost may have been dead for long, as may all that are at least
        as old: they are closed, and the attempt's `health_unknown` is set.

        Raises exceptions of `adapter.transport.errors`, which are requests'; InvalidURL,
        InvalidHeader and RequestException for a request that cannot be sent; and SupersededError.
        """
        message = self._encode(request)
        connection, is_reused = self._take_connection(attempt)
        try:
            raw = self._round_trip(connection, message, request.method or "", attempt)
        except BaseException as error:
            connection.close()
            if is_reused and isinstance(error, (ConnectionLostError, DeadlineError)):
                attempt.health_unknown = True
                self._idle.close_idle_since(connection.idle_since)
            raise
        return HeldResponse(raw, connection, self._idle)

    def close(self) -> None:
        """Close the idle connections."""
        self._idle.close()

    def _take_connection(self, attempt: Attempt) -> tuple[Connection, bool]:
        """Return a connection, and whether it was used before."""
        if attempt.new_connection:
            self._idle.close_oldest()  # keeps the pool no larger than the most calls at a time
            attempt.new_connection = False
        else:
            idle = self._idle.take()
            if idle is not None:
                return idle, True
        deadline = min(attempt.deadline, time.monotonic() + self._settings.connect_timeout)
        return Connection(self._connect(deadline)), False

    def _connect(self, deadline: float) -> Stream:
        """Return a new connection, after the TLS handshake where there is one."""
        proxy, limit = self._proxy, self._time_limit
        stream: Stream
        if proxy is None:
            stream = open_socket(self._host, self._port, deadline, limit)
        elif self.is_forwarded:
            stream = connect_to_proxy(proxy, deadline, self._proxy_ssl_context, limit)
        else:
            host, port, ssl_context = self._host, self._port, self._proxy_ssl_context
            stream = connect_through_proxy(proxy, host, port, deadline, ssl_context, limit)
        if self._ssl_context is not None:
            stream = TlsStream(stream, self._host, self._ssl_context)
        return stream

    def _round_trip(
        self, connection: Connection, message: bytes, method: str, attempt: Attempt
    ) -> RawResponse:
        """Send the message once, and return the response."""
        stream = connection.stream
        stream.deadline = attempt.deadline
        attempt.mark_sent()
        try:
            with suppress(BrokenPipeError):  # a server may respond and close before it has read all
                stream.write(message)
            return read_response(stream, method, attempt)
        except requests.RequestException:
            raise
        except TimeoutError as error:
            raise DeadlineError("the deadline passed") from error
        except OSError as error:
            if error.errno in RESOURCE_ERRNOS:
                attempt.health_unknown = True
            raise ConnectionLostError("the connection broke") from error

    def _encode(self, request: requests.PreparedRequest) -> bytes:
        """Return the bytes of the request; raises a RequestException for what HTTP cannot carry."""
        headers, body = request.headers, request.body
        if isinstance(body, str):
            body = body.encode()
        elif body is not None and not isinstance(body, bytes):
            raise requests.exceptions.RequestException("a body must be bytes or text")
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        if lines.count("\n") != len(headers) or lines.count("\r") != len(headers):
            raise requests.exceptions.InvalidHeader("a header has a line break")
        if "Host" not in headers:
            lines = f"Host: {self._netloc}\r\n{lines}"
        target = self._target_prefix + self._target(request.url or "")
        request_line = f"{request.method} {target} HTTP/1.1"
        if request_line.count(" ") != 2 or not request_line.isprintable():
            raise requests.exceptions.InvalidURL("a method or URL has a blank or a line break")
        head = f"{request_line}\r\n{lines}{self._extra_header_lines}\r\n"
        try:
            return head.encode("ascii") + (body or b"")
        except UnicodeEncodeError as error:
            raise requests.exceptions.InvalidHeader("a header is not ASCII") from error

    def _target(self, url: str) -> str:
        """Return the path and query of a URL; raises InvalidURL for another server's."""
        origin = self._origin
        if url.startswith(origin) and url[len(origin) : len(origin) + 1] == "/":
            return url[len(origin) :].partition("#")[0]
        parts = urlsplit(url)
        port = parts.port or DEFAULT_PORTS.get(parts.scheme)
        if (parts.hostname, port) != (self._host, self._port) or not origin.startswith(
            f"{parts.scheme}://"
        ):
            raise requests.exceptions.InvalidURL("the URL is not of the adapter's base URL")
        return urlunsplit(("", "", parts.path or "/", parts.query, ""))
