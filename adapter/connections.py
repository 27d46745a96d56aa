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
from typing import Any, Final, NamedTuple, cast
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util import Timeout

from adapter.attempt import MAX_BODY, Attempt
from adapter.decoding import PackedError, Unpacker, read_encoding
from adapter.settings import Proxy, TransportSettings, read_proxy
from adapter.sockets import (
    Budget,
    InnerTls,
    open_socket,
    open_through,
    open_to,
    tls_context,
    wrap_in_tls,
)
from adapter.wire import Headers

_OVERHEAD: Final = MAX_BODY
"""Most bytes of a response besides its body: interim heads, framing and trailers."""

_CHUNK = 16 * 1024
_MAX_LINE = 64 * 1024
_MAX_HEADERS = 100

_STATUS = re.compile(rb"HTTP/1\.([0-9]) ([1-9][0-9]{2})(?: [^\r\n]*)?\r?\n")
# Blanks around the value are for `strip`: an expression that looks for them takes quadratic time.
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\r\n]*)\r?\n")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r?\n")


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


class UnusableAnswerError(http.client.HTTPException):
    """An answer came, and what it says cannot be taken. `status` is known to be what it said."""

    def __init__(self, status: int) -> None:
        super().__init__("an answer that cannot be used")
        self.status = status


class TooLongAnswerError(UnusableAnswerError):
    """The response has more bytes than there is room for."""


class Answer(http.client.HTTPResponse):
    """An answer with a whole and well-formed head, which is not a promise of one to come.

    The standard library takes a head that was cut off for a whole one, and an interim answer
    (`103 Early Hints`) for the final one, which the next call would then be given.
    """

    fields: Headers
    body: bytes
    connection: _Connects
    """What it came over, until `Wire.release` is told what becomes of that."""

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
        if isinstance(self._sock, (Budget, InnerTls)):
            self._sock.allow(-1)  # so that peeking looks at what was read, and reads nothing
        with suppress(OSError, http.client.HTTPException):
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

    def read_body(self, attempt: Attempt) -> bytes:
        """Return the body, unpacked.

        Raises IncompleteRead where the connection ends before it does, TooLongAnswerError for one
        that the attempt has no room for, and UnusableAnswerError for one that cannot be unpacked,
        or is empty without anything that says so. The body of an error is empty in these cases:
        its status decides. That of a redirect is not read: nobody goes where it says.
        """
        if 300 <= self.status <= 399:
            self.will_close = True
            return b""
        try:
            return self._read_whole(attempt)
        except UnusableAnswerError:
            if self.status < 400:
                raise
            self.will_close = True
            return b""

    def _read_whole(self, attempt: Attempt) -> bytes:
        # An empty body is evidence at times, and has to be known to be whole.
        framed = self.length is not None or self.chunked
        named = self.fields.get("Content-Encoding")
        encoding = named and read_encoding(named)
        try:
            body = self._read_parts(attempt, Unpacker(encoding) if encoding else None)
        except PackedError:
            raise UnusableAnswerError(self.status) from None
        if self.length:
            raise http.client.IncompleteRead(b"")
        if not body and not framed:
            raise UnusableAnswerError(self.status)
        attempt.room -= len(body)
        return bytes(body)

    def _read_parts(self, attempt: Attempt, unpacker: Unpacker | None) -> bytearray:
        most = attempt.room if self.status < 400 else min(attempt.room, MAX_BODY)
        if unpacker is None and (self.length or 0) > most:
            raise TooLongAnswerError(self.status)
        body = bytearray()
        while part := self.read(_CHUNK):
            body += part if unpacker is None else unpacker.feed(part, most - len(body) + 1)
            if len(body) > most:
                raise TooLongAnswerError(self.status)
            attempt.reserve(len(body))
        if unpacker is not None and not self.length:
            unpacker.finish()
        return body


class _Way(NamedTuple):
    """A proxy on the way to the provider, and the TLS context where it is an https one.

    One that `forwards` is sent the requests themselves; any other connects us to the provider.
    """

    proxy: Proxy
    context: ssl.SSLContext | None
    forwards: bool


class _Connects(HTTPConnection):
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

    def is_quiet(self) -> bool:
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

    def exchange(self, method: str, message: bytes, deadline: Deadline) -> Answer:
        """Send the message and return the answer that it gets, of which the head has been read."""
        if self.sock is None:
            self.timeout = min(deadline.connect, deadline.left)
            self.connect()
        self.sock.settimeout(deadline.left)
        if isinstance(self.sock, (Budget, InnerTls)):
            self.sock.allow(deadline.attempt.room + _OVERHEAD)
        deadline.attempt.begin_to_send()
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

    def holds_more(self) -> bool:
        """Whether TLS holds bytes that nobody asked for; the check before reuse cannot see them."""
        return isinstance(self.sock, (ssl.SSLSocket, InnerTls)) and self.sock.pending() > 0


class _TlsConnects(_Connects, HTTPSConnection):
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
        self._waiting: deque[_Connects] = deque()

    def put(self, connection: _Connects) -> None:
        """Let the connection wait for a call."""
        connection.idle_since = time.monotonic()
        self._waiting.append(connection)

    def take(self) -> _Connects | None:
        """Return the connection that was used last and still stands; None without one."""
        self.close_until(time.monotonic() - self._timeout)
        while True:
            try:
                connection = self._waiting.pop()
            except IndexError:
                return None
            if connection.is_quiet():
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


class _LeanPool(HTTPConnectionPool):
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
    ) -> Answer:
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
            connection = cast("_Connects", self._new_conn())
            connection.way = self.way
        try:
            with connection.exchange(method, message, timeout) as answer:
                answer.body = answer.read_body(attempt)
        except BaseException as error:
            connection.close()
            if reused and isinstance(error, _LOSSES):
                attempt.inconclusive = True
                self.idle.close_until(connection.idle_since)
            raise

        answer.connection = connection
        return answer

    def release(self, answer: Answer, *, keep: bool) -> None:
        """Let the answer's connection serve other calls where it can and may; else close it."""
        if keep and not answer.will_close and not answer.connection.holds_more():
            self.idle.put(answer.connection)
        else:
            answer.connection.close()

    def close(self) -> None:
        """Close the connections that wait for a call."""
        self.idle.close()
        super().close()


class _Pool(_LeanPool):
    ConnectionCls = _Connects


class _TlsPool(_LeanPool, HTTPSConnectionPool):
    ConnectionCls = _TlsConnects


class Wire(HTTPAdapter):
    """requests' adapter for one address: one pool, made once, that a request cannot leave."""

    def __init__(self, base_url: str, settings: TransportSettings) -> None:
        super().__init__(max_retries=0)
        parts = urlsplit(base_url)
        host, port, secure = parts.hostname or "", parts.port, parts.scheme == "https"
        proxy = None if settings.proxy is None else read_proxy(settings.proxy)
        forwards = proxy is not None and not secure and not proxy.scheme.startswith("socks")
        self._before_path = f"http://{parts.netloc}" if forwards else ""
        options: dict[str, Any] = {"ssl_context": tls_context(settings.ca_file)} if secure else {}
        self._pool: _LeanPool = (_TlsPool if secure else _Pool)(host, port, **options)
        self._pool.prepare(settings.idle_timeout)
        self.is_forwarded = forwards
        if proxy is not None:
            within = tls_context(settings.ca_file) if proxy.scheme == "https" else None
            self._pool.way = _Way(proxy, within, forwards)
            if forwards and proxy.authorization is not None:
                self._pool.more_headers = f"Proxy-Authorization: {proxy.authorization}\r\n"

    def call(self, request: requests.PreparedRequest, deadline: Deadline) -> Answer:
        """Send the request and return its answer; raises what requests, or any part below, does.

        The answer must be given to `release`.
        """
        return cast("Answer", self.send(request, timeout=deadline))  # type: ignore[arg-type]

    def release(self, answer: Answer, *, keep: bool) -> None:
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
