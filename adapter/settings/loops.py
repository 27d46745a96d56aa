"""Detect accounts whose requests return to them through the dialects of this server."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import Final, cast
from urllib.parse import SplitResult, urlsplit

from adapter.codes import Action
from adapter.config_names import display_name
from adapter.contacts import Contact
from adapter.containment import contain
from adapter.dialect import Dialect
from adapter.http import HttpRequest
from adapter.results import Command
from adapter.secret import Secret
from adapter.settings.account_names import AccountNames
from adapter.settings.model import AccountSettings, Settings
from adapter.settings.validation import Validator
from adapter.urls import DEFAULT_PORTS, is_same_host

_ANYBODY: Final = Contact(number="15555550100")
"""A contact for building requests; none of them is sent."""

FindAccount = Callable[[str | None, str | None], str | None]
"""Returns the account for a credential and a session of a request; None if there is none."""


@dataclass(frozen=True, slots=True)
class _Mount:
    """A dialect of this server: all paths below `prefix`, and the root of `host`."""

    dialect: Dialect
    prefix: str
    host: str | None


def check_loops(validator: Validator, settings: Settings, own_address: str | None) -> None:
    """Report accounts whose requests would return to them through our own dialects."""
    mounts = [_Mount(contain(each.dialect), each.prefix, each.host) for each in settings.dialects]
    find_account = _account_finder(settings)
    for loop in _find_loops(settings.accounts, mounts, find_account, own_address):
        path = " → ".join(display_name(name) for name in (*loop, loop[0]))
        validator.report(
            f"accounts.{display_name(loop[0])}.base_url",
            f"its calls return to it through the dialects of this server, which is at "
            f"{own_address}: {path}; give one of them the address of a provider",
        )


def _account_finder(settings: Settings) -> FindAccount:
    """Return a function that resolves the account of a request as the server does."""
    names = AccountNames.of(settings.accounts, settings.default_account)

    def find_account(credential: str | None, session: str | None) -> str | None:
        allowed, own_default = None, None
        if settings.keys:
            secret = Secret(credential or "")
            key = next((key for key in settings.keys if key.secret == secret), None)
            if key is None:
                return None
            allowed, own_default = key.accounts, key.default_account
        named = session if session is not None else names.default_for(allowed, own_default)
        return None if named is None else names.find(named, allowed, native=True)

    return find_account


def _find_loops(
    accounts: Mapping[str, AccountSettings],
    mounts: Sequence[_Mount],
    find_account: FindAccount,
    own_address: str | None,
) -> Iterator[tuple[str, ...]]:
    """Yield each loop once, as its accounts in the order of the calls.

    For each account, a request is built, and parsed by the dialect that it would reach. A request
    that cannot be built or parsed has no next account. A call goes on to the account's fallback,
    too, but not to the fallback of that.
    """
    following: dict[str, str | None] = {}
    for name, account in accounts.items():
        with suppress(Exception):  # a plugin's error is reported elsewhere, or is not a loop
            following[name] = contain(_next_account, account, mounts, find_account, own_address)
    hops: dict[str, list[tuple[str, ...]]] = {}
    for name, account in accounts.items():
        ways = [(following.get(name),), (account.fallback, following.get(account.fallback or ""))]
        hops[name] = [cast("tuple[str, ...]", way) for way in ways if None not in way]
    yield from _find_circles(hops)


def _find_circles(hops: Mapping[str, Sequence[tuple[str, ...]]]) -> Iterator[tuple[str, ...]]:
    """Yield the circles of calls. `hops` are, by account, the accounts on the way to a next call.

    The next call is one of the last of them.
    """
    done: set[str] = set()
    for start in hops:
        path: dict[str, tuple[str, ...]] = {} if start in done else {start: (start,)}
        open_hops = [iter(hops[start])] if path else []
        while open_hops:
            hop = next(open_hops[-1], None)
            if hop is None:
                open_hops.pop()
                done.add(path.popitem()[0])
            elif hop[-1] in path:
                reached = list(path.values())[list(path).index(hop[-1]) + 1 :]
                yield (hop[-1], *chain.from_iterable(reached), *hop[:-1])
            elif hop[-1] not in done:
                path[hop[-1]] = hop
                open_hops.append(iter(hops[hop[-1]]))


def _next_account(
    account: AccountSettings,
    mounts: Sequence[_Mount],
    find_account: FindAccount,
    own_address: str | None,
) -> str | None:
    """Return the account of this server that would receive the account's requests, if any."""
    if account.base_url is None:
        return None
    request = account.provider(account.options).build_request(Command(Action.BLOCK, _ANYBODY))
    for mount in mounts:
        path = _path_below(mount, account.base_url, own_address, request.path)
        if path is not None:
            native = HttpRequest(request.method, path, request.headers, request.query, request.json)
            mount.dialect.match(native)
            call = mount.dialect.parse_request(native)
            return find_account(mount.dialect.parse_credential(native), call.session)
    return None


def _path_below(mount: _Mount, base_url: str, own_address: str | None, path: str) -> str | None:
    """Return the path within the mounted dialect; None if the request does not reach it."""
    target = urlsplit(base_url)
    host = target.hostname or ""
    if mount.host is not None and is_same_host(host, mount.host):
        return target.path + path
    if own_address is None:
        return None
    own = urlsplit(own_address)
    if _port(target) != _port(own) or not is_same_host(host, own.hostname or ""):
        return None
    whole, prefix = target.path + path, own.path + mount.prefix
    return whole.removeprefix(prefix) if whole.startswith(f"{prefix}/") else None


def _port(url: SplitResult) -> int | None:
    return url.port or DEFAULT_PORTS.get(url.scheme)
