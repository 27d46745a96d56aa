"""Sockets with a budget, and how one is opened: over all addresses of a host, or by a proxy."""

from __future__ import annotations

import errno
import http.client
import socket
import ssl
import time
from collections.abc import Callable
from functools import cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final, cast

import certifi
from urllib3.util.ssltransport import SSLTransport

SHORTAGES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
"""What the system says when this process, or this machine, has nothing left to give."""

KEEP_ALIVE: Final = tuple(
    (level, getattr(socket, name), value)
    for level, name, value in (
        (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
        (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 10),
        (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 5),
        (socket.IPPROTO_TCP, "TCP_KEEPCNT", 3),
    )
    if hasattr(socket, name)
)
"""After 25 seconds the system knows that an idle connection is gone, and so does who looks at it.

TCP_USER_TIMEOUT is not among them: whatever is waited for has a deadline already.
"""

if TYPE_CHECKING:
    _AnySocket = socket.socket
else:
    _AnySocket = object


class NoConnectionError(OSError):
    """No connection could be made; nothing has been sent."""


class ShortageError(NoConnectionError):
    """There was no descriptor, memory or port for a connection in this process or machine."""


class HandshakeError(NoConnectionError):
    """TLS was refused while the connection was made; nothing has been sent."""


class ProxyRefusalError(NoConnectionError):
    """The proxy did not let us through. `why` is for people, and names no secret.

    `absent` says that the proxy, or the provider behind it, is not there now. Any other refusal
    stays until the configuration, or the proxy, is mended.
    """

    def __init__(self, why: str, *, absent: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.absent = absent


_CUT_OFF: Final = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
"""How TLS says that the peer has gone: nothing was refused."""


class Budget(_AnySocket):
    """A socket whose timeout is a budget for all that follows, not for each read by itself.

    The standard library grants every read the whole timeout anew, so that a peer which sends a
    byte now and then is waited for without end.
    """

    _ends: float | None = None
    _allowed = 64 * 1024

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
        self._spend()
        count = super().recv_into(*args)
        self._allowed -= count
        return count

    def recv(self, *args: Any) -> bytes:
        """Read what there is, as TLS within TLS does; the same budget."""
        self._spend()
        found = super().recv(*args)
        self._allowed -= len(found)
        return found

    def _wait(self, *args: Any, **options: Any) -> None:
        """Wait as gevent's sockets do, for what is left.

        Of TLS, one read or one handshake is many waits there, and each had the whole timeout anew.
        """
        self._tighten()
        super()._wait(*args, **options)  # type: ignore[misc]

    def _spend(self) -> None:
        if self._allowed < 0:
            raise http.client.HTTPException("more than any answer has")
        self._tighten()

    def _tighten(self) -> None:
        if self._ends is not None:
            left = self._ends - time.monotonic()
            if left <= 0:
                raise TimeoutError("the time for this answer is over")
            super().settimeout(left)


class PlainSocket(Budget, socket.socket):
    """A plain socket with a budget."""


class TlsSocket(Budget, ssl.SSLSocket):
    """A TLS socket with a budget."""


class InnerTls(SSLTransport):
    """TLS within the TLS of a proxy. The budget is that of the socket below."""

    socket: TlsSocket  # type: ignore[assignment]

    def allow(self, count: int) -> None:
        """Let `count` bytes be read from now on."""
        self.socket.allow(count)

    def pending(self) -> int:
        """Return the number of bytes that have been read from the socket and not been asked for."""
        return self.sslobj.pending() + self.incoming.pending


@cache
def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """Return the context for these certificates: one for all accounts, since each is large."""
    context = ssl.create_default_context(cafile=ca_file or certifi.where())
    context.sslsocket_class = TlsSocket
    return context


def wrap_in_tls(plain: socket.socket, host: str, context: ssl.SSLContext) -> socket.socket:
    """Return the socket with TLS, after its handshake with `host`.

    Raises HandshakeError where TLS is refused, and NoConnectionError where the connection breaks or
    the budget of the socket is spent. The socket is closed then.
    """
    try:
        if isinstance(plain, ssl.SSLSocket):
            return cast("socket.socket", InnerTls(plain, context, host.rstrip(".")))
        return context.wrap_socket(plain, server_hostname=host.rstrip("."))
    except BaseException as error:
        plain.close()
        if isinstance(error, (ssl.SSLError, ValueError)) and not isinstance(error, _CUT_OFF):
            raise HandshakeError("the handshake failed") from error
        if isinstance(error, OSError):
            raise NoConnectionError("no handshake") from error
        raise


def open_socket(
    host: str,
    port: int,
    ends: float,
    connect: Callable[[socket.socket, Any], None] | None = None,
    kind: type[socket.socket] = PlainSocket,
) -> socket.socket:
    """Return a socket that is connected to the host by `ends`, whichever of its addresses answers.

    Raises NoConnectionError, or ShortageError where the fault is this machine's.
    """
    addresses = look_up(host, port, ends)
    problem: Exception | None = None
    for tried, (family, type_, protocol, _, address) in enumerate(addresses):
        connecting: socket.socket | None = None
        try:
            connecting = kind(family, type_, protocol)  # a host may have no IPv6
            for option in (*KEEP_ALIVE, (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)):
                connecting.setsockopt(*option)
            # One address that swallows packets leaves the others their share.
            share = (ends - time.monotonic()) / (len(addresses) - tried)
            connecting.settimeout(max(share, 0.001))
            if connect is None:
                connecting.connect(address)
            else:
                connect(connecting, address)
        except OSError as error:
            if connecting is not None:
                connecting.close()
            problem = error
            if error.errno in SHORTAGES or _is_short_of_ports(error, family, address):
                raise ShortageError("nothing left for a connection") from error
        else:
            connecting.settimeout(max(ends - time.monotonic(), 0.001))
            return connecting
    if isinstance(problem, ProxyRefusalError):
        raise problem
    raise NoConnectionError("none answers") from problem


def look_up(host: str, port: int, ends: float) -> list[Any]:
    """Return the addresses of a host; one that is an address already waits for no name server.

    Raises NoConnectionError where there are none by `ends`.
    """
    try:
        address = ip_address(host)
    except ValueError:
        pass
    else:
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        return [(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port))]
    try:
        found = list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except (OSError, UnicodeError) as error:
        if _is_short_of_descriptors(error):
            raise ShortageError("nothing left for a name lookup") from error
        raise NoConnectionError("name lookup failed") from error
    if time.monotonic() >= ends:
        raise NoConnectionError("name lookup took too long")
    return found


def _is_short_of_descriptors(error: Exception) -> bool:
    """Whether a lookup failed since there is no descriptor, which its own error does not say."""
    if isinstance(error, OSError) and error.errno in SHORTAGES:
        return True
    try:
        socket.socket().close()
    except OSError as problem:
        return problem.errno in SHORTAGES
    return False


def _is_short_of_ports(error: OSError, family: int, address: Any) -> bool:
    """Whether all local ports are taken.

    The same error says that the machine has no address of that family; then UDP, which sends
    nothing when it connects, has none either.
    """
    if error.errno != errno.EADDRNOTAVAIL:
        return False
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(address)
    except OSError:
        return False
    return True
