"""Connections through a proxy: HTTP CONNECT, and SOCKS5."""

from __future__ import annotations

import importlib
import socket
import ssl
import time
from typing import Any, Final

from adapter.settings.model import Proxy
from adapter.transport.sockets import (
    ConnectError,
    DeadlineSocket,
    PlainSocket,
    ProxyError,
    ResourceShortageError,
    TlsHandshakeError,
    open_socket,
    resolve,
    wrap_in_tls,
)

LOGIN_REFUSED: Final = "requires a login, or rejects the configured one"

_UNAVAILABLE: Final = "cannot be reached, or does not respond in time"
_MALFORMED: Final = "sends a malformed response"
_NOT_CONNECTED: Final = "does not connect to the provider"

_UNAVAILABLE_STATUSES: Final = frozenset({"502", "503", "504"})
"""Statuses of a CONNECT response where the proxy itself cannot connect to the host."""

_UNAVAILABLE_REPLIES: Final = ("0x03: ", "0x04: ", "0x05: ", "0x06: ")
"""The same for SOCKS5 (RFC 1928, section 6), as PySocks begins its error texts."""

_MAX_HEAD: Final = 16 * 1024


def connect_to_proxy(
    proxy: Proxy, deadline: float, ssl_context: ssl.SSLContext | None
) -> socket.socket:
    """Return a socket to the proxy itself; `ssl_context` is for an https proxy.

    `deadline` is in monotonic seconds. Raises ProxyError, or ResourceShortageError for a shortage
    in this process or machine.
    """
    try:
        connected = open_socket(proxy.host, proxy.port, deadline)
        return connected if ssl_context is None else wrap_in_tls(connected, proxy.host, ssl_context)
    except ResourceShortageError:
        raise
    except TlsHandshakeError as error:
        raise ProxyError("has a certificate that is not trusted") from error
    except ConnectError as error:
        raise ProxyError(_UNAVAILABLE, unavailable=True) from error


def connect_through_proxy(
    proxy: Proxy, host: str, port: int, deadline: float, ssl_context: ssl.SSLContext | None
) -> socket.socket:
    """Return a socket through the proxy to the host; `ssl_context` is for an https proxy.

    `deadline` is in monotonic seconds. Raises ProxyError where the proxy does not connect, and
    otherwise what `open_socket` raises.
    """
    if proxy.scheme.startswith("socks"):
        return _connect_through_socks(proxy, host, port, deadline)
    connected = connect_to_proxy(proxy, deadline, ssl_context)
    try:
        _request_tunnel(connected, f"[{host}]" if ":" in host else host, port, proxy)
    except BaseException as error:
        connected.close()
        if isinstance(error, (OSError, ValueError)) and not isinstance(error, ConnectError):
            raise ProxyError(_UNAVAILABLE, unavailable=True) from error
        raise
    return connected


def _request_tunnel(connected: socket.socket, host: str, port: int, proxy: Proxy) -> None:
    """Send CONNECT, and read the head of its response.

    It is read byte by byte, since the bytes after it belong to the host: a small cost, once per
    connection.
    """
    lines = [f"CONNECT {host}:{port} HTTP/1.1", f"Host: {host}:{port}"]
    if proxy.authorization is not None:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    connected.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
    head = bytearray()
    while not head.endswith((b"\r\n\r\n", b"\n\n")):
        byte = connected.recv(1)
        if not byte:
            raise ProxyError(_UNAVAILABLE, unavailable=True)
        if len(head) > _MAX_HEAD:
            raise ProxyError(_MALFORMED)
        head += byte
    words = head.split(b"\n", 1)[0].split()
    status = words[1].decode("latin-1") if len(words) > 1 and words[0][:5] == b"HTTP/" else ""
    is_valid = len(status) == 3 and status.isdecimal()
    if status == "407":
        raise ProxyError(LOGIN_REFUSED)
    if not (is_valid and status.startswith("2")):
        shown = f"status {status}" if is_valid else "no valid status"
        unavailable = status in _UNAVAILABLE_STATUSES
        raise ProxyError(f"{_NOT_CONNECTED}: it sends {shown}", unavailable=unavailable)


def _connect_through_socks(proxy: Proxy, host: str, port: int, deadline: float) -> socket.socket:
    """Connect with PySocks, over a socket that keeps the deadline.

    With `socks5` the name is resolved here, and each address has its share of the time, as in
    `open_socket`; with `socks5h` the proxy resolves it.
    """
    socks: Any = importlib.import_module("socks")  # the extra `socks`
    targets = [host]
    if proxy.scheme != "socks5h":
        targets = [str(each[4][0]) for each in resolve(host, port, deadline)]
    for tried, target in enumerate(targets, 1):
        now = time.monotonic()
        try:
            share = (deadline - now) / (len(targets) - tried + 1)
            connected = _negotiate_socks(socks, proxy, target, port, now + share)
            connected.settimeout(max(deadline - time.monotonic(), 0.001))
            return connected
        except ResourceShortageError:
            raise
        except ConnectError as error:
            is_final = isinstance(error, ProxyError) and not error.unavailable
            if tried == len(targets) or is_final:
                raise
    raise ConnectError("no address")


def _negotiate_socks(
    socks: Any, proxy: Proxy, target: str, port: int, deadline: float
) -> socket.socket:
    """Return a socket through the SOCKS proxy to one address or name."""

    class SocksSocket(DeadlineSocket, socks.socksocket):  # type: ignore[misc]
        reached_eof = False

        def recv_into(self, *args: Any) -> int:
            count = super().recv_into(*args)
            self.reached_eof = count == 0
            return count

    def connect(connecting: Any, address: Any) -> None:
        user, password = proxy.login or (None, None)
        connecting.set_proxy(
            socks.SOCKS5, address[0], address[1], rdns=True, username=user, password=password
        )
        try:
            connecting.connect((target, port))
        except (OSError, ValueError) as error:
            translated = _translate_socks_error(socks, error, reached_eof=connecting.reached_eof)
            if translated is error:
                raise
            raise translated from error

    try:
        negotiated = open_socket(proxy.host, proxy.port, deadline, connect, SocksSocket)
    except (ResourceShortageError, ProxyError):
        raise
    except ConnectError as error:
        raise ProxyError(_UNAVAILABLE, unavailable=True) from error
    return PlainSocket(fileno=negotiated.detach())


def _translate_socks_error(socks: Any, error: Exception, *, reached_eof: bool) -> Exception:
    """Return the error that PySocks has wrapped, as a ProxyError where the proxy is the cause.

    PySocks wraps even its own exceptions, as socket errors.
    """
    while isinstance(error, socks.ProxyError) and error.socket_err is not None:
        error = error.socket_err
    if isinstance(error, socks.SOCKS5AuthError):
        return ProxyError(LOGIN_REFUSED)
    if isinstance(error, socks.SOCKS5Error):
        unavailable = str(error).startswith(_UNAVAILABLE_REPLIES)
        return ProxyError(_NOT_CONNECTED, unavailable=unavailable)
    if isinstance(error, socks.ProxyError):
        return ProxyError(_UNAVAILABLE, unavailable=True) if reached_eof else ProxyError(_MALFORMED)
    if not isinstance(error, OSError):
        return ProxyError("cannot take the provider's host name: it is too long for SOCKS")
    return error
