"""Sockets with a budget, and how one is opened: over all addresses of a host, or by a proxy."""

from __future__ import annotations

import errno
import http.client
import importlib
import socket
import ssl
import time
from collections.abc import Callable
from functools import cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final, cast

import certifi
from urllib3.util.ssltransport import SSLTransport

from adapter.settings import Proxy

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


WRONG_LOGIN: Final = "asks for a login, or refuses the one that it was given"

_ABSENT: Final = "cannot be reached, or does not answer in time"
_UNCLEAR: Final = "gives no answer that can be understood"

_ABSENT_STATUSES: Final = frozenset({"502", "503", "504"})
"""What a proxy answers to CONNECT where it cannot connect to the host itself."""

_ABSENT_REPLIES: Final = ("0x03: ", "0x04: ", "0x05: ", "0x06: ")
"""The same of SOCKS5 (RFC 1928, section 6), as PySocks writes it before its own words."""


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
    addresses = _look_up(host, port, ends)
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


def _look_up(host: str, port: int, ends: float) -> list[Any]:
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


def open_to(proxy: Proxy, ends: float, context: ssl.SSLContext | None) -> socket.socket:
    """Return a socket to the proxy itself, by `ends`; `context` is for an https proxy.

    Raises ProxyRefusalError, or ShortageError where the fault is this machine's.
    """
    try:
        connected = open_socket(proxy.host, proxy.port, ends)
        return connected if context is None else wrap_in_tls(connected, proxy.host, context)
    except ShortageError:
        raise
    except HandshakeError as error:
        raise ProxyRefusalError("shows no certificate that is trusted here") from error
    except NoConnectionError as error:
        raise ProxyRefusalError(_ABSENT, absent=True) from error


def open_through(
    proxy: Proxy, host: str, port: int, ends: float, context: ssl.SSLContext | None
) -> socket.socket:
    """Return a socket through the proxy to the host, by `ends`; `context` is for an https proxy.

    Raises ProxyRefusalError where the proxy does not let us through, and else what `open_socket`
    raises.
    """
    if proxy.scheme.startswith("socks"):
        return _open_through_socks(proxy, host, port, ends)
    connected = open_to(proxy, ends, context)
    try:
        _ask_for_tunnel(connected, f"[{host}]" if ":" in host else host, port, proxy)
    except BaseException as error:
        connected.close()
        if isinstance(error, (OSError, ValueError)) and not isinstance(error, NoConnectionError):
            raise ProxyRefusalError(_ABSENT, absent=True) from error
        raise
    return connected


def _ask_for_tunnel(connected: socket.socket, host: str, port: int, proxy: Proxy) -> None:
    """Send CONNECT and read the head of what is said to it, byte by byte: the rest is the host's.

    Reading so costs nothing that matters, once per connection.
    """
    lines = [f"CONNECT {host}:{port} HTTP/1.1", f"Host: {host}:{port}"]
    if proxy.authorization is not None:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    connected.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
    head = bytearray()
    while not head.endswith((b"\r\n\r\n", b"\n\n")):
        byte = connected.recv(1)
        if not byte:
            raise ProxyRefusalError(_ABSENT, absent=True)
        if len(head) > 16 * 1024:
            raise ProxyRefusalError(_UNCLEAR)
        head += byte
    words = head.split(b"\n", 1)[0].split()
    status = words[1].decode("latin-1") if len(words) > 1 and words[0][:5] == b"HTTP/" else "none"
    if status == "407":
        raise ProxyRefusalError(WRONG_LOGIN)
    if not (len(status) == 3 and status.isdecimal() and status.startswith("2")):
        shown = status if len(status) == 3 and status.isdecimal() else "that is none"
        why = f"does not connect to the provider: it answers status {shown}"
        raise ProxyRefusalError(why, absent=status in _ABSENT_STATUSES)


def _open_through_socks(proxy: Proxy, host: str, port: int, ends: float) -> socket.socket:
    """Let PySocks ask for the connection, over a socket that keeps our time.

    With `socks5` the name is looked up here, and each address has its share of the time, as in
    `open_socket`; with `socks5h` the proxy looks it up.
    """
    socks: Any = importlib.import_module("socks")  # the extra `socks`
    names = [host]
    if proxy.scheme != "socks5h":
        names = [str(found[4][0]) for found in _look_up(host, port, ends)]
    for tried, name in enumerate(names, 1):
        now = time.monotonic()
        try:
            share = (ends - now) / (len(names) - tried + 1)
            connected = _ask_socks(socks, proxy, name, port, now + share)
            connected.settimeout(max(ends - time.monotonic(), 0.001))
            return connected
        except ShortageError:
            raise
        except NoConnectionError as error:
            if tried == len(names) or (isinstance(error, ProxyRefusalError) and not error.absent):
                raise
    raise NoConnectionError("no address")


def _ask_socks(socks: Any, proxy: Proxy, name: str, port: int, ends: float) -> socket.socket:
    """Return a socket through the proxy to one address or name, by `ends`."""

    class Negotiating(Budget, socks.socksocket):  # type: ignore[misc]
        has_ended = False

        def recv_into(self, *args: Any) -> int:
            count = super().recv_into(*args)
            self.has_ended = count == 0
            return count

    def connect(connecting: Any, address: Any) -> None:
        user, password = proxy.login or (None, None)
        connecting.set_proxy(
            socks.SOCKS5, address[0], address[1], rdns=True, username=user, password=password
        )
        try:
            connecting.connect((name, port))
        except (OSError, ValueError) as error:
            meant = _read_socks_error(socks, error, has_ended=connecting.has_ended)
            if meant is error:
                raise
            raise meant from error

    try:
        negotiated = open_socket(proxy.host, proxy.port, ends, connect, Negotiating)
    except (ShortageError, ProxyRefusalError):
        raise
    except NoConnectionError as error:
        raise ProxyRefusalError(_ABSENT, absent=True) from error
    return PlainSocket(fileno=negotiated.detach())


def _read_socks_error(socks: Any, error: Exception, *, has_ended: bool) -> Exception:
    """Return what PySocks means: it wraps even its own exceptions, as errors of a socket."""
    while isinstance(error, socks.ProxyError) and error.socket_err is not None:
        error = error.socket_err
    if isinstance(error, socks.SOCKS5AuthError):
        return ProxyRefusalError(WRONG_LOGIN)
    if isinstance(error, socks.SOCKS5Error):
        absent = str(error).startswith(_ABSENT_REPLIES)
        return ProxyRefusalError("does not connect to the provider", absent=absent)
    if isinstance(error, socks.ProxyError):
        return ProxyRefusalError(_ABSENT, absent=True) if has_ended else ProxyRefusalError(_UNCLEAR)
    if not isinstance(error, OSError):
        return ProxyRefusalError("cannot be told the provider's name, which is too long for SOCKS")
    return error
