"""Sockets with a deadline, and how to connect one to a host with several addresses."""

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

RESOURCE_ERRNOS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
"""Error numbers of a resource shortage in this process or machine."""

KEEPALIVE_OPTIONS: Final = tuple(
    (level, getattr(socket, name), value)
    for level, name, value in (
        (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
        (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 10),
        (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 5),
        (socket.IPPROTO_TCP, "TCP_KEEPCNT", 3),
    )
    if hasattr(socket, name)
)
"""The system detects a dead idle connection within 25 seconds; the check before reuse sees that.

TCP_USER_TIMEOUT is not set: everything that is waited for has a deadline already.
"""

if TYPE_CHECKING:
    _AnySocket = socket.socket
else:
    _AnySocket = object


class ConnectError(OSError):
    """No connection was established; nothing was sent."""


class ResourceShortageError(ConnectError):
    """This process or machine has no file descriptor, memory or port left for a connection."""


class TlsHandshakeError(ConnectError):
    """TLS was refused while connecting; nothing was sent."""


class ProxyError(ConnectError):
    """The proxy did not connect. `reason` is for operators, and contains no secret.

    `unavailable`: the proxy, or the provider behind it, is unavailable now. Any other refusal
    stays until the configuration or the proxy is changed.
    """

    def __init__(self, reason: str, *, unavailable: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.unavailable = unavailable


_TLS_EOF_ERRORS: Final = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
"""TLS errors of a closed connection: nothing was refused."""


class DeadlineSocket(_AnySocket):
    """A socket whose timeout is a deadline for all following operations together.

    The standard library restarts the timeout at each read, so that a peer which sends one byte now
    and then never times out.
    """

    _deadline: float | None = None
    _bytes_left = 64 * 1024

    def limit_bytes(self, count: int) -> None:
        """Limit the bytes that may be read from now on."""
        self._bytes_left = count

    def settimeout(self, value: float | None) -> None:
        """Set the deadline `value` seconds from now, for any number of reads."""
        self._deadline = None if value is None else time.monotonic() + value
        super().settimeout(value)

    def gettimeout(self) -> float | None:
        """Return the seconds until the deadline; None without one."""
        return None if self._deadline is None else max(self._deadline - time.monotonic(), 0.001)

    def recv_into(self, *args: Any) -> int:
        """Read available bytes; raises TimeoutError after the deadline."""
        self._check_limits()
        count = super().recv_into(*args)
        self._bytes_left -= count
        return count

    def recv(self, *args: Any) -> bytes:
        """Read available bytes, as TLS within TLS does; the same limits."""
        self._check_limits()
        data = super().recv(*args)
        self._bytes_left -= len(data)
        return data

    def _wait(self, *args: Any, **options: Any) -> None:
        """Wait until the deadline, in gevent's sockets.

        One TLS read or handshake is several waits there, each with the whole timeout.
        """
        self._apply_deadline()
        super()._wait(*args, **options)  # type: ignore[misc]

    def _check_limits(self) -> None:
        if self._bytes_left < 0:
            raise http.client.HTTPException("the response exceeds the byte limit")
        self._apply_deadline()

    def _apply_deadline(self) -> None:
        if self._deadline is not None:
            remaining = self._deadline - time.monotonic()
            if remaining <= 0:
                raise TimeoutError("deadline exceeded")
            super().settimeout(remaining)


class PlainSocket(DeadlineSocket, socket.socket):
    """A plain socket with a deadline."""


class TlsSocket(DeadlineSocket, ssl.SSLSocket):
    """A TLS socket with a deadline."""


class TlsInTlsSocket(SSLTransport):
    """TLS within the TLS of a proxy. Its deadline is that of the socket below."""

    socket: TlsSocket  # type: ignore[assignment]

    def limit_bytes(self, count: int) -> None:
        """Limit the bytes that may be read from now on."""
        self.socket.limit_bytes(count)

    def pending(self) -> int:
        """Return the number of bytes that were read from the socket below, and not from here."""
        return self.sslobj.pending() + self.incoming.pending


@cache
def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """Return the context for a CA file: one for all accounts, since each is large."""
    context = ssl.create_default_context(cafile=ca_file or certifi.where())
    context.sslsocket_class = TlsSocket
    return context


def wrap_in_tls(plain: socket.socket, host: str, context: ssl.SSLContext) -> socket.socket:
    """Return the socket with TLS, after the handshake with `host`.

    Raises TlsHandshakeError where TLS is refused, and ConnectError where the connection is closed
    or its deadline passes. The socket is closed then.
    """
    try:
        if isinstance(plain, ssl.SSLSocket):
            return cast("socket.socket", TlsInTlsSocket(plain, context, host.rstrip(".")))
        return context.wrap_socket(plain, server_hostname=host.rstrip("."))
    except BaseException as error:
        plain.close()
        if isinstance(error, (ssl.SSLError, ValueError)) and not isinstance(error, _TLS_EOF_ERRORS):
            raise TlsHandshakeError("TLS handshake refused") from error
        if isinstance(error, OSError):
            raise ConnectError("connection lost in the TLS handshake") from error
        raise


def open_socket(
    host: str,
    port: int,
    deadline: float,
    connect: Callable[[socket.socket, Any], None] | None = None,
    socket_class: type[socket.socket] = PlainSocket,
) -> socket.socket:
    """Return a socket connected to the first reachable address of the host.

    `deadline` is in monotonic seconds. `connect` replaces `socket.connect`.

    Raises ConnectError, or ResourceShortageError for a shortage in this process or machine.
    """
    addresses = resolve(host, port, deadline)
    last_error: Exception | None = None
    for tried, (family, type_, protocol, _, address) in enumerate(addresses):
        connecting: socket.socket | None = None
        try:
            connecting = socket_class(family, type_, protocol)  # a host may have no IPv6
            for option in (*KEEPALIVE_OPTIONS, (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)):
                connecting.setsockopt(*option)
            # An address that drops packets leaves the others their share of the time.
            share = (deadline - time.monotonic()) / (len(addresses) - tried)
            connecting.settimeout(max(share, 0.001))
            if connect is None:
                connecting.connect(address)
            else:
                connect(connecting, address)
        except OSError as error:
            if connecting is not None:
                connecting.close()
            last_error = error
            if error.errno in RESOURCE_ERRNOS or _is_out_of_ports(error, family, address):
                raise ResourceShortageError("no resources for a connection") from error
        else:
            connecting.settimeout(max(deadline - time.monotonic(), 0.001))
            return connecting
    if isinstance(last_error, ProxyError):
        raise last_error
    raise ConnectError("no address is reachable") from last_error


def resolve(host: str, port: int, deadline: float) -> list[Any]:
    """Return the addresses of a host, as `getaddrinfo` does; an IP address needs no DNS lookup.

    Raises ConnectError where none is found by the deadline, in monotonic seconds.
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
        if _is_out_of_descriptors(error):
            raise ResourceShortageError("no resources for a DNS lookup") from error
        raise ConnectError("DNS lookup failed") from error
    if time.monotonic() >= deadline:
        raise ConnectError("DNS lookup outlasted the deadline")
    return found


def _is_out_of_descriptors(error: Exception) -> bool:
    """Whether a DNS lookup failed for want of a file descriptor, which its error does not show."""
    if isinstance(error, OSError) and error.errno in RESOURCE_ERRNOS:
        return True
    try:
        socket.socket().close()
    except OSError as shortage:
        return shortage.errno in RESOURCE_ERRNOS
    return False


def _is_out_of_ports(error: OSError, family: int, address: Any) -> bool:
    """Whether all local ports are taken.

    The same error means that the machine has no address of that family; then UDP, which sends
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
