"""HTTP/1.1 below requests: sockets with a budget, whole answers, one pool for one address.

A request goes through requests' adapter to `urlopen` of a pool of urllib3's, which is ours from
there on: the exchange as it is written there redirects, retries and logs, which we do not, and
takes a head that was cut off for a whole one, which we must not.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import time
import weakref
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

import certifi
import requests
import urllib3.exceptions
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, ProxyManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util import Timeout

from adapter.settings import TransportSettings
from adapter.wire import Headers

MAX_BODY: Final = 256 * 1024
"""Most bytes of an answer that are read. A longer answer is no answer."""

_MAX_ANSWER = 2 * MAX_BODY
"""Most bytes that are read for one answer in all: interim heads, framing and trailers included."""

_CHUNK = 16 * 1024
_MAX_LINE = 64 * 1024
_MAX_HEADERS = 100

_STATUS = re.compile(rb"HTTP/1\.([0-9]) ([1-9][0-9]{2})(?: [^\r\n]*)?\r?\n")
# Blanks around the value are for `strip`: an expression that looks for them takes quadratic time.
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\r\n]*)\r?\n")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r?\n")

if TYPE_CHECKING:
    _AnySocket = socket.socket
else:
    _AnySocket = object


class _Budget(_AnySocket):
    """A socket whose timeout is a budget for all that follows, not for each read by itself.

    The standard library grants every read the whole timeout anew, so that a peer which sends a
    byte now and then is waited for without end.
    """

    _ends: float | None = None
    _allowed = _MAX_ANSWER

    def allow(self, count: int) -> None:
        """Let `count` bytes be read from now on."""
        self._allowed = count

    def settimeout(self, value: float | None) -> None:
        """Grant `value` seconds from now on, whatever number of reads they are spent on."""
        self._ends = None if value is None else time.monotonic() + value
        super().settimeout(value)

    def gettimeout(self) -> float | None:
        """Return the seconds that are left."""
        return None if self._ends is None else max(self._ends - time.monotonic(), 0.001)

    def recv_into(self, *args: Any) -> int:
        """Read what there is, or fail with TimeoutError when the budget is spent."""
        self._tighten()
        if self._allowed < 0:
            raise http.client.HTTPException("more than any answer has")
        count = super().recv_into(*args)
        self._allowed -= count
        return count

    def _wait(self, *args: Any, **options: Any) -> None:
        """Wait as gevent's sockets do, for what is left.

        Of TLS, one read or one handshake is many waits there, and each had the whole timeout anew.
        """
        self._tighten()
        super()._wait(*args, **options)  # type: ignore[misc]

    def _tighten(self) -> None:
        if self._ends is not None:
            left = self._ends - time.monotonic()
            if left <= 0:
                raise TimeoutError("the time for this answer is over")
            super().settimeout(left)


class _PlainSocket(_Budget, socket.socket):
    """A plain socket with a budget."""


class _TlsSocket(_Budget, ssl.SSLSocket):
    """A TLS socket with a budget."""


class Deadline(Timeout):
    """The moment when a call is over, in the shape in which requests hands a timeout on.

    `ends` is on the monotonic clock, `connect` in seconds.
    """

    def __init__(self, ends: float, connect: float) -> None:  # lean: what it is given is sound
        self.ends = ends
        self.connect = connect

    @property
    def left(self) -> float:
        """The seconds until then; never none at all, which would mean no limit."""
        return max(self.ends - time.monotonic(), 0.001)


class UnusableAnswerError(http.client.HTTPException):
    """An answer came, and what it says cannot be taken. `status` is known to be what it said."""

    def __init__(self, status: int) -> None:
        super().__init__("an answer that cannot be used")
        self.status = status


class Answer(http.client.HTTPResponse):
    """An answer with a whole and well-formed head, which is not a promise of one to come.

    The standard library takes a head that was cut off for a whole one, and an interim answer
    (`103 Early Hints`) for the final one, which the next call would then be given.
    """

    fields: Headers
    body: bytes

    def __init__(self, sock: socket.socket, method: str) -> None:
        super().__init__(sock, method=method)
        self._sock = sock

    def begin(self) -> None:
        """Read heads up to the first that is final, and how its body ends.

        Raises RemoteDisconnected where the connection ends before that, and HTTPException for what
        is no head of HTTP/1.
        """
        self.status = 100
        while 100 <= self.status <= 199:
            minor, status = self._read_status_line()
            self.code = self.status = status
            self.version = 10 + min(minor, 1)
            named = self._read_fields()
            if status == http.HTTPStatus.SWITCHING_PROTOCOLS:
                raise http.client.HTTPException("nobody asked for another protocol")
        self.fields = Headers(named)
        self._frame()

    def _read_status_line(self) -> tuple[int, int]:
        found = _STATUS.fullmatch(self._read_line())
        if found is None:
            raise http.client.HTTPException("no status line")
        return int(found[1]), int(found[2])

    def _read_fields(self) -> dict[str, str]:
        """Return the fields of a head by name, in lower case; one that comes twice is joined."""
        named: dict[str, str] = {}
        name = ""
        for _ in range(_MAX_HEADERS + 1):
            line = self._read_line()
            if line in (b"\r\n", b"\n"):
                return named
            if line[0] in b" \t" and name:  # a folded line belongs to the one before
                named[name] += " " + line.decode("latin-1").strip()
                continue
            found = _FIELD.fullmatch(line)
            if found is None:
                raise http.client.HTTPException("a malformed header")
            name, value = found[1].decode("ascii").lower(), found[2].strip(b" \t").decode("latin-1")
            named[name] = f"{named[name]}, {value}" if name in named else value
        raise http.client.HTTPException("too many headers")

    def _read_line(self) -> bytes:
        line: bytes = self.fp.readline(_MAX_LINE)
        if not line.endswith(b"\n"):
            if len(line) == _MAX_LINE:
                raise http.client.LineTooLong("head")
            raise http.client.RemoteDisconnected("the answer ends in its head")
        return line

    def _frame(self) -> None:
        """Learn where the body ends: by chunks, by length, or with the connection."""
        encoding = self.fields.get("Transfer-Encoding", "identity").lower()
        if encoding not in ("chunked", "identity"):
            raise http.client.HTTPException("another encoding than was asked for")
        self.chunked = encoding == "chunked"
        self.chunk_left = None
        lengths = {each.strip() for each in self.fields.get("Content-Length", "").split(",")}
        text = lengths.pop()
        if lengths or not re.fullmatch(r"[0-9]{0,18}", text):
            raise http.client.HTTPException("no length, or two of them")
        self.length = int(text) if text and not self.chunked else None
        announced = self.chunked or text not in ("", "0")
        bodiless = self.status in (204, 304)
        if bodiless:
            self.length, self.chunked = 0, False
        said = self.fields.get("Connection", "").lower()
        ends = self.length is None and not self.chunked
        smuggled = self.chunked and bool(text)
        kept = "keep-alive" in said if self.version == 10 else "close" not in said
        # What is announced where there can be none may still come, and be taken for an answer.
        self.will_close = ends or smuggled or not kept or (bodiless and announced)

    def _close_conn(self) -> None:
        """Let go of the reader, and of the connection where more was read than this answer."""
        self._sock.settimeout(0)  # so that peeking looks at what was read, and reads nothing
        with suppress(OSError):
            self.will_close = bool(self.fp.peek(1)) or self.will_close
        super()._close_conn()  # type: ignore[misc]

    def _read_next_chunk_size(self) -> int:
        """Return the size of the next chunk.

        The standard library takes `-1` for one, and then reads to the end whatever comes.
        """
        found = _CHUNK_SIZE.fullmatch(self._read_line())
        if found is None:
            raise ValueError("no size of a chunk")
        return int(found[1], 16)

    def read_body(self) -> bytes:
        """Return the body.

        Raises IncompleteRead where the connection ends before it does, and UnusableAnswerError for
        one that is too long, encoded, or empty without anything that says so. The body of a
        redirect is not read: nobody goes where it says.
        """
        if 300 <= self.status <= 399:
            self.will_close = True
            return b""
        if self.fields.get("Content-Encoding", "identity").lower() != "identity":
            raise UnusableAnswerError(self.status)
        # An empty body is evidence at times, and has to be known to be whole.
        framed = self.length is not None or self.chunked
        body = bytearray()
        while part := self.read(_CHUNK):
            body += part
            if len(body) > MAX_BODY:
                raise UnusableAnswerError(self.status)
        if self.length:
            raise http.client.IncompleteRead(b"")
        if not body and not framed:
            raise UnusableAnswerError(self.status)
        return bytes(body)


def _look_up(host: str, port: int) -> list[Any]:
    """Return the addresses of a host; one that is an address already waits for no name server."""
    try:
        address = ip_address(host)
    except ValueError:
        return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    return [(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port))]


class _Connects(HTTPConnection):
    """A connection whose timeout covers all addresses of a host together, and its handshake."""

    def _new_conn(self) -> socket.socket:
        ends = time.monotonic() + float(self.timeout or 0)
        try:
            addresses = _look_up(self._dns_host, self.port)
        except (OSError, UnicodeError) as error:
            raise urllib3.exceptions.NewConnectionError(self, "name lookup failed") from error
        if time.monotonic() >= ends:
            raise urllib3.exceptions.NewConnectionError(self, "name lookup took too long")
        problem: Exception | None = None
        for tried, (family, kind, protocol, _, address) in enumerate(addresses):
            connecting: _PlainSocket | None = None
            try:
                connecting = _PlainSocket(family, kind, protocol)  # a host may have no IPv6
                for option in self.socket_options or ():
                    connecting.setsockopt(*option)
                # One address that swallows packets leaves the others their share.
                share = (ends - time.monotonic()) / (len(addresses) - tried)
                connecting.settimeout(max(share, 0.001))
                connecting.connect(address)
            except OSError as error:
                if connecting is not None:
                    connecting.close()
                problem = error
            else:
                connecting.settimeout(max(ends - time.monotonic(), 0.001))
                return connecting
        raise urllib3.exceptions.NewConnectionError(self, "no address answers") from problem

    def is_quiet(self) -> bool:
        """Whether nothing came while it was idle: neither its end, nor what nobody asked for."""
        self.sock.settimeout(0)
        try:
            socket.socket.recv(self.sock, 1, socket.MSG_PEEK)  # TLS has no peek of its own
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def exchange(self, method: str, message: bytes, deadline: Deadline) -> Answer:
        """Send the message and return the answer that it gets, of which the head has been read."""
        if self.sock is None:
            self.timeout = min(deadline.connect, deadline.left)
            self.connect()
        self.sock.settimeout(deadline.left)
        if isinstance(self.sock, _Budget):
            self.sock.allow(_MAX_ANSWER)
        with suppress(BrokenPipeError):  # a server may answer, and hang up, before it has read all
            sent = self.sock.send(message)  # all of it, but for a peer that does not read
            if sent < len(message):
                self.sock.sendall(message[sent:])
        answer = Answer(self.sock, method=method)
        try:
            answer.begin()
        except BaseException:
            answer.close()
            raise
        return answer


class HandshakeError(urllib3.exceptions.NewConnectionError):
    """TLS was refused while the connection was made; nothing has been sent."""


class _TlsConnects(_Connects, HTTPSConnection):
    """The same, with TLS."""

    def connect(self) -> None:
        """Connect and shake hands; what fails here fails before anything is sent, and says so."""
        try:
            super().connect()
        except (ssl.SSLError, urllib3.exceptions.SSLError, ValueError) as error:
            raise HandshakeError(self, "the handshake failed") from error
        except OSError as error:
            raise urllib3.exceptions.NewConnectionError(self, "no handshake") from error


class _LeanPool(HTTPConnectionPool):
    """A pool that sends a request once and reads its answer whole. It logs no path.

    What it is asked may name a person or a token there.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._idle: deque[_Connects] = deque()
        weakref.finalize(self, _close_all, self._idle)

    def urlopen(  # type: ignore[override]
        self,
        method: str,
        url: str,
        body: bytes | None,
        headers: Mapping[str, str],
        *,
        timeout: Deadline,
        **_switched_off: object,
    ) -> Answer:
        """Return the answer, with its body."""
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        message = f"{method} {url} HTTP/1.1\r\n{lines}\r\n".encode("ascii") + (body or b"")
        connection = self._take()
        keep = False
        try:
            if connection.sock is None and self.proxy is not None and self.scheme == "https":
                connection.timeout = min(timeout.connect, timeout.left)
                self._prepare_proxy(connection)
            with connection.exchange(method, message, timeout) as answer:
                answer.body = answer.read_body()
                keep = not answer.will_close
        finally:
            # TLS may hold bytes that nobody asked for; the check before reuse sees the socket only.
            held = connection.sock.pending() if isinstance(connection.sock, ssl.SSLSocket) else 0
            if keep and not held:
                self._idle.append(connection)
            else:
                connection.close()
        return answer

    def _take(self) -> _Connects:
        """Return the connection that was used last and still stands, or a new one."""
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return cast("_Connects", self._new_conn())
            if connection.is_quiet():
                return connection
            connection.close()

    def close(self) -> None:
        """Close the connections that wait for a call."""
        _close_all(self._idle)
        super().close()


def _close_all(connections: deque[_Connects]) -> None:
    with suppress(IndexError):
        while True:
            connections.pop().close()


class _Pool(_LeanPool):
    ConnectionCls = _Connects


class _TlsPool(_LeanPool, HTTPSConnectionPool):
    ConnectionCls = _TlsConnects


@cache
def _tls_context(ca_file: str | None) -> ssl.SSLContext:
    """Return the context for these certificates: one for all accounts, since each is large."""
    context = ssl.create_default_context(cafile=ca_file or certifi.where())
    context.sslsocket_class = _TlsSocket
    # Before its version 2, urllib3 keeps an IP address from TLS, and compares names by itself.
    context.check_hostname = not version("urllib3").startswith("1.")
    return context


class Wire(HTTPAdapter):
    """requests' adapter for one address: one pool, made once, that a request cannot leave."""

    def __init__(self, base_url: str, settings: TransportSettings) -> None:
        super().__init__(max_retries=0)
        parts = urlsplit(base_url)
        options: dict[str, Any] = {}
        if parts.scheme == "https":
            options["ssl_context"] = _tls_context(settings.ca_file)
        self._before_path = ""
        self._pool: HTTPConnectionPool
        if settings.proxy is not None:
            manager = ProxyManager(settings.proxy, **options)
            manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
            self._pool = manager.connection_from_url(base_url)
            if parts.scheme == "http":
                self._before_path = f"http://{parts.netloc}"
        else:
            pool = _TlsPool if parts.scheme == "https" else _Pool
            self._pool = pool(parts.hostname or "", parts.port, **options)

    def call(self, request: requests.PreparedRequest, deadline: Deadline) -> Answer:
        """Send the request and return its answer; raises what requests, or any part below, does."""
        return cast("Answer", self.send(request, timeout=deadline))  # type: ignore[arg-type]

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
