"""Accounts whose requests would come back to them, through the dialects of this very server."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from adapter.codes import Action
from adapter.contacts.contact import Contact
from adapter.containment import contain
from adapter.dialect import Dialect
from adapter.http import HttpRequest
from adapter.provider import Provider
from adapter.results import Command
from adapter.urls import is_same_host

_ANYBODY: Final = Contact(number="15555550100")
"""A contact to build requests about; none of them is sent."""

_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Mount:
    """A dialect of this server: everything below `prefix`, and at the root of `host`."""

    dialect: Dialect
    prefix: str
    host: str | None


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where an account's requests go."""

    provider: type[Provider]
    options: Mapping[str, Any]
    base_url: str | None


Choose = Callable[[str | None, str | None], str | None]
"""Tells the account that a credential and a session stand for; None where they stand for none."""


def find_loops(
    accounts: Mapping[str, Upstream],
    mounts: Sequence[Mount],
    choose: Choose,
    own_address: str | None,
) -> Iterator[tuple[str, ...]]:
    """Yield each loop once, as the accounts on it in the order of the calls.

    Each account's request is built and read by the dialect that it would reach, as it would be on
    the wire. What cannot be built or read leads nowhere.
    """
    follows: dict[str, str | None] = {}
    for name, account in accounts.items():
        with suppress(Exception):  # a plugin's bug shows itself elsewhere, or is no loop
            follows[name] = contain(_follow, account, mounts, choose, own_address)
    done: set[str] = set()
    for start in follows:
        path: list[str] = []
        here: str | None = start
        while here is not None and here not in done and here not in path:
            path.append(here)
            here = follows.get(here)
        if here is not None and here in path:
            yield tuple(path[path.index(here) :])
        done.update(path)


def _follow(
    account: Upstream, mounts: Sequence[Mount], choose: Choose, own_address: str | None
) -> str | None:
    """Return the account of this server that the account's requests are for, if any."""
    if account.base_url is None:
        return None
    request = account.provider(account.options).build_request(Command(Action.BLOCK, _ANYBODY))
    for mount in mounts:
        path = _path_below(mount, account.base_url, own_address, request.path)
        if path is not None:
            native = HttpRequest(request.method, path, request.headers, request.query, request.json)
            mount.dialect.match(native)
            call = mount.dialect.read_request(native)
            return choose(mount.dialect.read_credential(native), call.session)
    return None


def _path_below(mount: Mount, base_url: str, own_address: str | None, path: str) -> str | None:
    """Return the path that the dialect would see; None where the request is not for it."""
    there = urlsplit(base_url)
    host = there.hostname or ""
    if mount.host is not None and is_same_host(host, mount.host):
        return there.path + path
    if own_address is None:
        return None
    here = urlsplit(own_address)
    if _port(there) != _port(here) or not is_same_host(host, here.hostname or ""):
        return None
    whole, prefix = there.path + path, here.path + mount.prefix
    return whole.removeprefix(prefix) if whole.startswith(f"{prefix}/") else None


def _port(url: SplitResult) -> int | None:
    return url.port or _PORTS.get(url.scheme)
