"""Connections through a proxy: HTTP CONNECT (by h11), and SOCKS5 (by socksio)."""

from __future__ import annotations

import importlib
import ssl
import time
from typing import Any, Final

import h11

from adapter.settings.model import Proxy
from adapter.transport.errors import (
    BadResponseError,
    ConnectError,
    ProxyError,
    ResourceShortageError,
    TlsHandshakeError,
)
from adapter.transport.http1 import read_connect_status
from adapter.transport.sockets import TimeLimit, no_time_limit, open_socket, resolve
from adapter.transport.streams import Stream, TlsStream

LOGIN_REFUSED: Final = "requires a login, or rejects the configured one"

_UNAVAILABLE: Final = "cannot be reached, or does not respond in time"
_MALFORMED: Final = "sends a malformed response"
_NOT_CONNECTED: Final = "does not connect to the provider"
_NAME_TOO_LONG: Final = "cannot take the provider's host name: it is too long for SOCKS"

_UNAVAILABLE_STATUSES: Final = frozenset({502, 503, 504})
"""Statuses of a CONNECT response where the proxy itself cannot connect to the host."""

_UNAVAILABLE_REPLIES: Final = frozenset({3, 4, 5, 6})
"""The same for SOCKS5 (RFC 1928, section 6)."""

_MAX_SOCKS_NAME: Final = 255


def connect_to_proxy(
    proxy: Proxy,
    deadline: float,
    ssl_context: ssl.SSLContext | None,
    time_limit: TimeLimit = no_time_limit,
) -> Stream:
    """Return a stream to the proxy itself; `ssl_context` is for an https proxy.

    `deadline` is in monotonic seconds. Raises ProxyError, or ResourceShortageError for a shortage
    in this process or machine.
    """
    try:
        connected = open_socket(proxy.host, proxy.port, deadline, time_limit)
        return connected if ssl_context is None else TlsStream(connected, proxy.host, ssl_context)
    except ResourceShortageError:
        raise
    except TlsHandshakeError as error:
        raise ProxyError("has a certificate that is not trusted") from error
    except ConnectError as error:
        raise ProxyError(_UNAVAILABLE, unavailable=True) from error


def connect_through_proxy(
    proxy: Proxy,
    host: str,
    port: int,
    deadline: float,
    ssl_context: ssl.SSLContext | None,
    time_limit: TimeLimit = no_time_limit,
) -> Stream:
    """Return a stream through the proxy to the host; `ssl_context` is for an https proxy.

    `deadline` is in monotonic seconds. Raises ProxyError where the proxy does not connect, and
    otherwise what `open_socket` raises.
    """
    if proxy.scheme.startswith("socks"):
        return _connect_through_socks(proxy, host, port, deadline, time_limit)
    stream = connect_to_proxy(proxy, deadline, ssl_context, time_limit)
    try:
        _request_tunnel(stream, f"[{host}]" if ":" in host else host, port, proxy)
    except BaseException as error:
        stream.close()
        if isinstance(error, BadResponseError):
            raise ProxyError(_MALFORMED) from error
        if isinstance(error, OSError) and not isinstance(error, ConnectError):
            raise ProxyError(_UNAVAILABLE, unavailable=True) from error
        raise
    return stream


def _request_tunnel(stream: Stream, host: str, port: int, proxy: Proxy) -> None:
    """Send CONNECT, and read the head of its response (RFC 9110, 9.3.6)."""
    headers = [("Host", f"{host}:{port}")]
    if proxy.authorization is not None:
        headers.append(("Proxy-Authorization", proxy.authorization))
    request = h11.Request(method="CONNECT", target=f"{host}:{port}", headers=headers)
    parser = h11.Connection(h11.CLIENT)
    stream.write((parser.send(request) or b"") + (parser.send(h11.EndOfMessage()) or b""))
    status = read_connect_status(stream)
    if status == 407:
        raise ProxyError(LOGIN_REFUSED)
    if not 200 <= status <= 299:
        unavailable = status in _UNAVAILABLE_STATUSES
        raise ProxyError(f"{_NOT_CONNECTED}: it sends status {status}", unavailable=unavailable)


def _connect_through_socks(
    proxy: Proxy, host: str, port: int, deadline: float, time_limit: TimeLimit
) -> Stream:
    """Connect with SOCKS5.

    With `socks5` the name is resolved here, and each address has its share of the time, as in
    `open_socket`; with `socks5h` the proxy resolves it.
    """
    targets = [host]
    if proxy.scheme != "socks5h":
        targets = [str(each[4][0]) for each in resolve(host, port, deadline, time_limit)]
    for tried, target in enumerate(targets, 1):
        now = time.monotonic()
        share = (deadline - now) / (len(targets) - tried + 1)
        stream: Stream | None = None
        try:
            stream = connect_to_proxy(proxy, now + share, None, time_limit)
            _negotiate_socks(stream, proxy, target, port)
        except BaseException as error:
            if stream is not None:
                stream.close()
            if not isinstance(error, OSError) or isinstance(error, ResourceShortageError):
                raise
            is_final = isinstance(error, ProxyError) and not error.unavailable
            if tried == len(targets) or is_final:
                if isinstance(error, ProxyError):
                    raise
                raise ProxyError(_UNAVAILABLE, unavailable=True) from error
        else:
            stream.deadline = deadline
            return stream
    raise ConnectError("no address")


def _negotiate_socks(stream: Stream, proxy: Proxy, target: str, port: int) -> None:
    """Log in and connect to one address or name (RFC 1928, RFC 1929).

    socksio builds and parses the messages, and takes whole ones only: their lengths are known here.
    """
    socks: Any = importlib.import_module("socksio.socks5")  # the extra `socks`
    protocol_error: Any = importlib.import_module("socksio.exceptions").ProtocolError
    methods = socks.SOCKS5AuthMethod
    try:
        name = target.encode("idna").decode("ascii")
    except UnicodeError:
        name = ""
    if not 0 < len(name) <= _MAX_SOCKS_NAME:
        raise ProxyError(_NAME_TOO_LONG)
    offered = [methods.NO_AUTH_REQUIRED]
    if proxy.login is not None:
        offered.append(methods.USERNAME_PASSWORD)
    try:
        stream.write(socks.SOCKS5AuthMethodsRequest(offered).dumps())
        reply = _read_exactly(stream, 2)
        method = socks.SOCKS5AuthReply.loads(reply).method
        if reply[:1] != b"\x05" or method == methods.GSSAPI:
            raise ProxyError(_MALFORMED)
        if method not in offered:
            raise ProxyError(LOGIN_REFUSED)
        if method == methods.USERNAME_PASSWORD:
            user, password = (part.encode() for part in proxy.login or ("", ""))
            stream.write(socks.SOCKS5UsernamePasswordRequest(user, password).dumps())
            reply = _read_exactly(stream, 2)
            if reply[:1] != b"\x01":
                raise ProxyError(_MALFORMED)
            if not socks.SOCKS5UsernamePasswordReply.loads(reply).success:
                raise ProxyError(LOGIN_REFUSED)
        connect = socks.SOCKS5Command.CONNECT
        request = socks.SOCKS5CommandRequest.from_address(connect, (name, port))
        stream.write(request.dumps())
        _read_socks_reply(stream)
    except protocol_error as error:
        raise ProxyError(_MALFORMED) from error


def _read_socks_reply(stream: Stream) -> None:
    """Read the reply to a command, of which the address has one of three lengths."""
    start = _read_exactly(stream, 4)
    if start[0] != 5:
        raise ProxyError(_MALFORMED)
    if start[1] != 0:
        raise ProxyError(_NOT_CONNECTED, unavailable=start[1] in _UNAVAILABLE_REPLIES)
    if start[3] == 3:
        length = _read_exactly(stream, 1)[0]
    elif start[3] in (1, 4):
        length = 4 if start[3] == 1 else 16
    else:
        raise ProxyError(_MALFORMED)
    _read_exactly(stream, length + 2)


def _read_exactly(stream: Stream, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = stream.read(count - len(data))
        if not more:
            raise ProxyError(_UNAVAILABLE, unavailable=True)
        data += more
    return data
