"""Which machine a host of a URL means, as far as that can be told without looking names up."""

from __future__ import annotations

import ipaddress
import re
from socket import gethostname, inet_aton
from typing import Final
from urllib.parse import urlsplit


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


MOUNT: Final = r"(?:/[A-Za-z0-9._~-]+)+"


def is_mount(path: str) -> bool:
    """Whether the app, or a part of it, can be served below this path."""
    return bool(re.fullmatch(MOUNT, path)) and not {".", ".."} & set(path.split("/"))


def is_plain_url(text: str) -> bool:
    """Whether the text is an http or https URL of a host and a plain path, and nothing more."""
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
