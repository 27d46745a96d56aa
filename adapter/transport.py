"""The one place that talks to a network. It answers every request with a value and never guesses.

What may go wrong between us and a provider becomes an outcome here. The texts of the exceptions
underneath hold URLs and at times tokens; they are dropped on the spot.
"""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import time
from collections.abc import Mapping
from functools import cache
from http.cookiejar import DefaultCookiePolicy
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode, urlsplit

import certifi
import requests
import urllib3.exceptions
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, ProxyManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util import Timeout

from adapter.codes import Code
from adapter.errors import PluginError
from adapter.outcome import Outcome
from adapter.settings import TransportSettings
from adapter.wire import Headers, HttpRequest, HttpResponse, write_json

MAX_BODY: Final = 256 * 1024
"""Most bytes of an answer that are read. A longer answer is no answer."""

_CHUNK = 16 * 1024

_HEADERS: Final[Mapping[str, str]] = {
    "User-Agent": f"contact-adapter/{version('contact-adapter')}",
    "Accept": "application/json",
    "Accept-Encoding": "identity",
}

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

    def settimeout(self, value: float | None) -> None:
        """Grant `value` seconds from now on, whatever number of reads they are spent on."""
        self._ends = None if value is None else time.monotonic() + value
        super().settimeout(value)

    def gettimeout(self) -> float | None:
        """Return the seconds that are left."""
        return None if self._ends is None else max(self._ends - time.monotonic(), 0.001)

    def recv_into(self, *args: Any) -> int:
        """Read what there is, or fail with TimeoutError when the budget is spent."""
        if self._ends is not None:
            left = self._ends - time.monotonic()
            if left <= 0:
                raise TimeoutError("the time for this answer is over")
            super().settimeout(left)
        return super().recv_into(*args)


class _PlainSocket(_Budget, socket.socket):
    """A plain socket with a budget."""


class _TlsSocket(_Budget, ssl.SSLSocket):
    """A TLS socket with a budget."""


class _WholeLines:
    """The head of an answer, read line by line; its end is an empty line and not a lost peer."""

    def __init__(self, file: Any) -> None:
        self.file = file

    def readline(self, limit: int) -> bytes:
        """Return the next line, or fail where the connection ends within the head."""
        line: bytes = self.file.readline(limit)
        if not line or (len(line) < limit and not line.endswith(b"\n")):
            raise http.client.RemoteDisconnected("the answer ends in its head")
        return line

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


class _Answer(http.client.HTTPResponse):
    """An answer with a whole and well-formed head, which is not a promise of one to come.

    The standard library takes a head that was cut off for a whole one, and an interim answer
    (`103 Early Hints`) for the final one, which the next call would then be given.
    """

    def begin(self) -> None:
        """Read heads up to the first that is final."""
        self.status = http.HTTPStatus.CONTINUE
        while 100 <= int(self.status) <= 199:
            self.headers = self.msg = None  # type: ignore[assignment]
            self.fp = _WholeLines(self.fp)  # type: ignore[assignment]
            super().begin()
            self.fp = getattr(self.fp, "file", self.fp)
            if self.status == http.HTTPStatus.SWITCHING_PROTOCOLS:
                raise http.client.HTTPException("nobody asked for another protocol")
            if self.headers.defects:  # the client below would log them, credentials and all
                raise http.client.HTTPException("a malformed header")


class _Connects(HTTPConnection):
    """A connection whose timeout covers all addresses of a host together, and its handshake."""

    response_class = _Answer

    path_to_send = ""

    def _new_conn(self) -> socket.socket:
        ends = time.monotonic() + float(self.timeout or 0)
        try:
            addresses = socket.getaddrinfo(self._dns_host, self.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise urllib3.exceptions.NewConnectionError(self, "name lookup failed") from error
        problem: Exception | None = None
        for family, kind, protocol, _, address in addresses:
            connecting = _PlainSocket(family, kind, protocol)
            try:
                for option in self.socket_options or ():
                    connecting.setsockopt(*option)
                connecting.settimeout(max(ends - time.monotonic(), 0.001))
                connecting.connect(address)
            except OSError as error:
                connecting.close()
                problem = error
            else:
                return connecting
        raise urllib3.exceptions.NewConnectionError(self, "no address answers") from problem

    def putrequest(self, method: str, url: str, *args: Any, **rest: Any) -> None:
        """Write the request line, with the path that only this connection knows."""
        super().putrequest(method, self.path_to_send or url, *args, **rest)


class _HandshakeError(urllib3.exceptions.NewConnectionError):
    """TLS was refused while the connection was made; nothing has been sent."""


class _TlsConnects(_Connects, HTTPSConnection):
    """The same, with TLS."""

    def connect(self) -> None:
        """Connect and shake hands; what fails here fails before anything is sent, and says so."""
        try:
            super().connect()
        except (ssl.SSLError, urllib3.exceptions.SSLError, ValueError) as error:
            raise _HandshakeError(self, "the handshake failed") from error
        except OSError as error:
            raise urllib3.exceptions.NewConnectionError(self, "no handshake") from error


class _QuietPool(HTTPConnectionPool):
    """A pool that is not told the paths of its requests, which may name a person or a token.

    It would write them into its log, and into some exceptions.
    """

    def _make_request(self, conn: Any, method: str, url: str, *args: Any, **rest: Any) -> Any:
        conn.path_to_send = url
        return super()._make_request(conn, method, "/…", *args, **rest)

    def _put_conn(self, conn: Any) -> None:
        """Keep no connection on which TLS still holds bytes that nobody asked for.

        The check before reuse looks at the socket alone, which no longer has them.
        """
        if isinstance(getattr(conn, "sock", None), ssl.SSLSocket) and conn.sock.pending():
            conn.close()
        super()._put_conn(conn)


class _Pool(_QuietPool):
    ConnectionCls = _Connects


class _TlsPool(_QuietPool, HTTPSConnectionPool):
    ConnectionCls = _TlsConnects


@cache
def _tls_context(ca_file: str | None) -> ssl.SSLContext:
    """Return the context for these certificates: one for all accounts, since each is large."""
    context = ssl.create_default_context(cafile=ca_file or certifi.where())
    context.sslsocket_class = _TlsSocket
    # Before its version 2, urllib3 keeps an IP address from TLS, and compares names by itself.
    context.check_hostname = not version("urllib3").startswith("1.")
    return context


class _Wire(HTTPAdapter):
    """Sends through one pool, made once for one address, however a request came about."""

    def __init__(self, base_url: str, settings: TransportSettings) -> None:
        super().__init__(max_retries=0)
        parts = urlsplit(base_url)
        options: dict[str, Any] = {"maxsize": settings.max_in_flight}
        if parts.scheme == "https":
            options["ssl_context"] = _tls_context(settings.ca_file)
        self._pool: HTTPConnectionPool
        if settings.proxy is not None:
            manager = ProxyManager(settings.proxy, **options)
            manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
            self._pool = manager.connection_from_url(base_url)
        else:
            pool = _TlsPool if parts.scheme == "https" else _Pool
            self._pool = pool(parts.hostname or "", parts.port, **options)

    def get_connection_with_tls_context(self, *_: Any, **__: Any) -> HTTPConnectionPool:
        """Return the one pool."""
        return self._pool

    def get_connection(self, *_: Any, **__: Any) -> HTTPConnectionPool:
        """Return the one pool; requests before 2.32 ask by this name."""
        return self._pool

    def cert_verify(self, *_: Any, **__: Any) -> None:
        """Leave the pool alone: its context verifies, and cannot be told otherwise per call."""

    def close(self) -> None:
        """Close the pooled connections."""
        self._pool.close()
        super().close()


class _Session(requests.Session):
    """A session that takes nothing from its surroundings and follows nothing."""

    def __init__(self, base_url: str, settings: TransportSettings) -> None:
        super().__init__()
        self.trust_env = False
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self.proxies = {"http": settings.proxy, "https": settings.proxy} if settings.proxy else {}
        wire = _Wire(base_url, settings)
        for scheme in ("https://", "http://"):
            self.mount(scheme, wire)

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Say that no answer is a redirect, so that its body is not read to follow it."""


class Transport:
    """Calls one account's provider over pooled connections. Safe in threads and after a fork."""

    def __init__(self, base_url: str, settings: TransportSettings) -> None:
        self._base_url = base_url
        self._base_path = urlsplit(base_url).path
        self._settings = settings
        self._opened: tuple[int, _Session] | None = None

    def send(
        self, request: HttpRequest, request_id: str, ends: float | None = None
    ) -> HttpResponse | Outcome:
        """Send the request once; return the provider's answer, or what kept it from coming.

        It is over by `ends` on the monotonic clock, or else by the configured deadline from now.
        """
        started = time.monotonic()
        left = self._settings.deadline if ends is None else ends - started
        if left <= 0:
            return Outcome.failure(Code.PROVIDER_TIMEOUT)
        prepared = self._prepare(request, request_id)
        timeout = Timeout(total=left, connect=min(self._settings.connect_timeout, left))
        try:
            with self._open_session().send(
                prepared,
                stream=True,
                allow_redirects=False,
                timeout=timeout,  # type: ignore[arg-type]  # requests passes it on as it is
            ) as response:
                return _read(response)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            return Outcome.failure(_code_of(error))
        except (ValueError, http.client.HTTPException):
            # What a parser below says of an answer that it cannot make sense of.
            return Outcome.failure(Code.PROVIDER_BAD_RESPONSE)

    def close(self) -> None:
        """Close the pooled connections. A later call opens new ones."""
        opened, self._opened = self._opened, None
        if opened is not None and opened[0] == os.getpid():
            opened[1].close()

    def _open_session(self) -> _Session:
        """Return this process's session; connections are never shared across a fork.

        There is no lock that a fork could leave held: of two threads that come first, one throws
        its session away.
        """
        opened, process = self._opened, os.getpid()
        if opened is None or opened[0] != process:
            opened = self._opened = (process, _Session(self._base_url, self._settings))
        return opened[1]

    def _prepare(self, request: HttpRequest, request_id: str) -> requests.PreparedRequest:
        target = request.path
        if request.query:
            target += "?" + urlencode(request.query)
        headers = {**_HEADERS, **request.headers, "X-Request-Id": request_id}
        body = None
        try:
            if request.json is not None:
                body = write_json(request.json)
                headers["Content-Type"] = "application/json"
            url = self._base_url + target
            prepared = requests.Request(request.method, url, headers=headers, data=body).prepare()
            words = "".join((request.method, *request.headers, *request.headers.values()))
        except (requests.RequestException, ValueError, TypeError):
            # Their texts hold what could not be sent: a number, at times a token.
            raise PluginError("the provider built a request that HTTP cannot carry") from None
        if not (request.method.isalpha() and words.isascii() and words.isprintable()):
            raise PluginError("the provider built a method or a header that HTTP cannot carry")
        if (
            not target.startswith("/")
            or target.startswith("//")
            or "?" in request.path
            or prepared.path_url != self._base_path + target
        ):
            raise PluginError("the provider built a path that would not be sent as it is written")
        return prepared


def _read(response: requests.Response) -> HttpResponse | Outcome:
    """Return the answer with its body, unless that is too long, encoded, or too late."""
    status, headers = response.status_code, Headers(response.headers)
    if 300 <= status <= 399:
        return HttpResponse(status, headers)
    bad = Outcome.failure(Code.PROVIDER_BAD_RESPONSE, upstream_status=status)
    if headers.get("Content-Encoding", "identity").lower() != "identity":
        return bad
    body = bytearray()
    while chunk := response.raw.read(_CHUNK, decode_content=False):
        body += chunk
        if len(body) > MAX_BODY:
            return bad
    # urllib3 counts only since its version 2.
    if response.raw.length_remaining:
        return Outcome.failure(Code.PROVIDER_CONNECTION_LOST)
    # An empty body is evidence at times, and has to be known to be whole.
    framed = headers.get("Content-Length", "").isdecimal() or "Transfer-Encoding" in headers
    if not body and status != 204 and not framed:
        return bad
    return HttpResponse(status, headers, bytes(body))


def _code_of(error: BaseException) -> Code:
    """Return what an exception of the HTTP stack proves. The most specific cause decides."""
    causes = _causes(error)
    for kinds, code in _CODES:
        if any(isinstance(cause, kinds) for cause in causes):
            return code
    return Code.PROVIDER_CONNECTION_LOST


def _causes(error: BaseException) -> list[BaseException]:
    """Return the exception with all that it wraps; the layers keep theirs in different places."""
    found: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        candidate = waiting.pop()
        if isinstance(candidate, BaseException) and candidate not in found:
            found.append(candidate)
            waiting += [*candidate.args, candidate.__cause__, getattr(candidate, "reason", None)]
    return found


_CODES: Final[tuple[tuple[tuple[type[BaseException], ...], Code], ...]] = (
    # A connect timeout is a timeout and a connection error too: what failed to begin comes first.
    # A TLS error that is not of the handshake came after the request left, and proves nothing.
    ((_HandshakeError,), Code.PROVIDER_TLS_ERROR),
    (
        (
            requests.exceptions.ConnectTimeout,
            urllib3.exceptions.NewConnectionError,
            urllib3.exceptions.ConnectTimeoutError,
            urllib3.exceptions.LocationValueError,
            requests.exceptions.InvalidURL,
        ),
        Code.PROVIDER_UNREACHABLE,
    ),
    ((requests.exceptions.Timeout, urllib3.exceptions.TimeoutError), Code.PROVIDER_TIMEOUT),
    (
        (http.client.RemoteDisconnected, http.client.IncompleteRead, ConnectionError),
        Code.PROVIDER_CONNECTION_LOST,
    ),
    ((http.client.HTTPException,), Code.PROVIDER_BAD_RESPONSE),
)
