"""Connections through a proxy: CONNECT, and SOCKS5."""

from __future__ import annotations

import importlib
import socket
import ssl
import time
from typing import TYPE_CHECKING, Any, Final

from adapter.settings.model import Proxy
from adapter.transport.sockets import (
    Budget,
    HandshakeError,
    NoConnectionError,
    PlainSocket,
    ProxyRefusalError,
    ShortageError,
    look_up,
    open_socket,
    wrap_in_tls,
)

if TYPE_CHECKING:
    _AnySocket = socket.socket
else:
    _AnySocket = object


WRONG_LOGIN: Final = "asks for a login, or refuses the one that it was given"

_ABSENT: Final = "cannot be reached, or does not answer in time"
_UNCLEAR: Final = "gives no answer that can be understood"

_ABSENT_STATUSES: Final = frozenset({"502", "503", "504"})
"""What a proxy answers to CONNECT where it cannot connect to the host itself."""

_ABSENT_REPLIES: Final = ("0x03: ", "0x04: ", "0x05: ", "0x06: ")
"""The same of SOCKS5 (RFC 1928, section 6), as PySocks writes it before its own words."""


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
        names = [str(found[4][0]) for found in look_up(host, port, ends)]
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
