"""Which machine a host of a URL means, as far as that can be told without looking names up."""

from __future__ import annotations

import ipaddress
from socket import gethostname, inet_aton


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine and no other."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_same_host(one: str, other: str) -> bool:
    """Whether connections to two hosts reach the same machine, as far as their names tell."""
    one, other = _plain(one), _plain(other)
    return one == other or (_reaches_itself(one) and _reaches_itself(other))


def _reaches_itself(host: str) -> bool:
    """Whether a connection from this machine to the host reaches this machine.

    That is more than `is_loopback`, and no sign of who is calling: an address that stands for
    every address (`0.0.0.0`, `::`) is connected to as loopback, and the machine has a name.
    """
    return (
        is_loopback(host)
        or host in ("0.0.0.0", "::", _plain(gethostname()))  # noqa: S104 - compared, not bound
        or host.endswith(".localhost")  # RFC 6761, section 6.3
    )


def _plain(host: str) -> str:
    """Return the host in one form: lower case, no last dot, an address as it is usually written."""
    name = host.lower().removesuffix(".")
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        try:
            address = ipaddress.IPv4Address(inet_aton(name))  # such as 127.1
        except (OSError, ValueError):
            return name
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)
