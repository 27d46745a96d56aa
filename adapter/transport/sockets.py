"""Sockets to a host: DNS lookup, and the first reachable address by a deadline."""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from ipaddress import ip_address
from typing import Any, Final

from adapter.transport.errors import RESOURCE_ERRNOS, ConnectError, ResourceShortageError
from adapter.transport.streams import PlainStream

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

TimeLimit = Callable[[float, BaseException], AbstractContextManager[object]]
"""A context manager that raises the exception in its block after some seconds.

`gevent.Timeout` is one (https://www.gevent.org/api/gevent.timeout.html). Threads have none.
"""


def no_time_limit(_seconds: float, _error: BaseException) -> AbstractContextManager[object]:
    """Return a TimeLimit without effect, for threads: a blocked `getaddrinfo` is not ended."""
    return nullcontext()


def open_socket(
    host: str, port: int, deadline: float, time_limit: TimeLimit = no_time_limit
) -> PlainStream:
    """Return a stream connected to the first reachable address of the host.

    `deadline` is in monotonic seconds. `time_limit` ends a DNS lookup at the deadline.

    Raises ConnectError, or ResourceShortageError for a shortage in this process or machine.
    """
    addresses = resolve(host, port, deadline, time_limit)
    last_error: Exception | None = None
    for tried, (family, type_, protocol, _, address) in enumerate(addresses):
        connecting: socket.socket | None = None
        try:
            connecting = socket.socket(family, type_, protocol)  # a host may have no IPv6
            for option in (*KEEPALIVE_OPTIONS, (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)):
                connecting.setsockopt(*option)
            # An address that drops packets leaves the others their share of the time.
            share = (deadline - time.monotonic()) / (len(addresses) - tried)
            connecting.settimeout(max(share, 0.001))
            connecting.connect(address)
        except BaseException as error:
            if connecting is not None:
                connecting.close()
            if not isinstance(error, OSError):
                raise
            last_error = error
            if error.errno in RESOURCE_ERRNOS or _is_out_of_ports(error, family, address):
                raise ResourceShortageError("no resources for a connection") from error
        else:
            return PlainStream(connecting, deadline)
    raise ConnectError("no address is reachable") from last_error


def resolve(
    host: str, port: int, deadline: float, time_limit: TimeLimit = no_time_limit
) -> list[Any]:
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
    timeout = TimeoutError("DNS lookup outlasted the deadline")
    try:
        with time_limit(max(deadline - time.monotonic(), 0.001), timeout):
            found = list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except (OSError, UnicodeError) as error:
        if error is not timeout and _is_out_of_descriptors(error):
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
