"""Checks of URLs, hosts and paths, without any name lookup."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from socket import gethostname, inet_aton
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

DEFAULT_PORTS: Final[Mapping[str, int]] = MappingProxyType({"http": 80, "https": 443})
"""The default port of each scheme of a URL."""


def is_loopback(host: str) -> bool:
    """Whether a host name or address always is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_same_host(one: str, other: str) -> bool:
    """Whether connections to two hosts reach the same machine, judged by their names alone."""
    one, other = _normalise(one), _normalise(other)
    return one == other or (_reaches_this_machine(one) and _reaches_this_machine(other))


def _reaches_this_machine(host: str) -> bool:
    """Whether a connection from this machine to the host reaches this machine.

    That includes more hosts than `is_loopback`, and does not identify a caller: connections to the
    unspecified addresses (`0.0.0.0`, `::`) reach the loopback interface, and the machine has a
    host name.
    """
    return (
        is_loopback(host)
        or host in ("0.0.0.0", "::", _normalise(gethostname()))  # noqa: S104 - compared, not bound
        or host.endswith(".localhost")  # RFC 6761, section 6.3
    )


def _normalise(host: str) -> str:
    """Return the host in lower case, without a last dot, and an address in its usual notation."""
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


MOUNT_PATH: Final = r"(?:/[A-Za-z0-9._~-]+)+"
"""A path of one or more segments, as a regular expression, without a last slash."""


def is_mount_path(path: str) -> bool:
    """Whether the app, or a part of it, can be mounted at this path."""
    return bool(re.fullmatch(MOUNT_PATH, path)) and not {".", ".."} & set(path.split("/"))


def is_plain_url(text: str) -> bool:
    """Whether the text is an http or https URL that consists of a host, a port and a plain path."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    return bool(
        parts.scheme in ("http", "https")
        and _is_host(parts.hostname or "")
        and re.fullmatch(r"[\x21-\x7e]+", text)
        and "@" not in parts.netloc
        and not set("?#\\%") & set(text)
        and not {".", ".."} & set(parts.path.split("/"))
        and re.fullmatch(r"[A-Za-z0-9._~!$&'()*+,;=:@/-]*", parts.path)
        and port != 0
    )


def _is_host(text: str) -> bool:
    try:
        return bool(ipaddress.ip_address(text))
    except ValueError:
        return bool(re.fullmatch(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9])?\.?", text)) and ".." not in text
