"""The newest intent for each contact among the calls in flight. The newest intent wins."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from hashlib import blake2b
from itertools import count
from typing import Any, Final, Protocol
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from adapter.codes import Action, Code, Retry
from adapter.contacts import Contact, identity_key
from adapter.results import Command, Outcome
from adapter.secret import Secret
from adapter.transport.forking import reset_in_child
from adapter.urls import DEFAULT_PORTS

SUPERSEDED: Final = "A newer call requests the opposite for this contact."
"""The error message of a call that is not sent, or not retried, for that reason."""


def superseded_outcome() -> Outcome:
    """Return the outcome of a change that was not sent, since a newer call supersedes it."""
    return Outcome(Code.PROVIDER_CONFLICT, message=SUPERSEDED, retry=Retry.NEVER, superseded=True)


class Wish(Protocol):
    """A change's place in the order of all processes, where a ledger keeps one."""

    @property
    def call_id(self) -> int | None:
        """The place, which grows; None where the ledger was not available."""

    def is_superseded(self) -> bool:
        """Whether a newer call, in any process, requests the opposite. May take a query."""


_OPPOSITE: Final = {Action.BLOCK: Action.UNBLOCK, Action.UNBLOCK: Action.BLOCK}


_OLDEST: Final = (0, 0)


class _ContactCalls:
    """The calls in flight for one contact id, and the newest intent of each action.

    An intent counts as long as an older call is in flight, even after its own call has ended.
    """

    __slots__ = ("in_flight", "newest")

    def __init__(self) -> None:
        self.in_flight = 0
        self.newest: dict[Action, tuple[int, int]] = {}


class Intents:
    """The intents for the contacts of one upstream account. Thread-safe.

    Its size is bounded by the number of calls in flight.

    A contact is identified by each of its ids, and by the other form of its number where WhatsApp
    keeps two. That a number and a LID are the same person is known only from a call with both.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._sequence = count(1)
        self._last_id = 0
        self._calls: dict[str, _ContactCalls] = {}

    def begin(self, command: Command, wish: Wish | None = None) -> Intent:
        """Register a block or unblock that begins; `Intent.end` must be called.

        Wishes with an id are in the order of their ids, others in the order of their calls.
        """
        with self.lock:
            return self.register(command, wish)

    def register(self, command: Command, wish: Wish | None) -> Intent:
        """Register the change as `begin` does, while the caller holds `lock`."""
        keys = _contact_keys(command.target)
        call_id = 0 if wish is None else wish.call_id or 0
        self._last_id = max(self._last_id, call_id)
        number = (call_id or self._last_id, next(self._sequence))
        for key in keys:
            calls = self._calls.get(key)
            if calls is None:
                calls = self._calls[key] = _ContactCalls()
            calls.in_flight += 1
            calls.newest[command.action] = max(number, calls.newest.get(command.action, _OLDEST))
        return Intent(self, keys, _OPPOSITE[command.action], number, wish)

    def is_superseded(self, intent: Intent) -> bool:
        """Whether the opposite for the same contact was requested since the intent began."""
        for key in intent.keys:  # no lock needed: its entries stay until the intent ends
            if self._calls[key].newest.get(intent.opposite, _OLDEST) > intent.number:
                return True
        return False

    def end(self, intent: Intent) -> None:
        """Unregister the intent, and drop the contact ids without calls in flight."""
        with self.lock:
            for key in intent.keys:
                calls = self._calls[key]
                calls.in_flight -= 1
                if not calls.in_flight:
                    del self._calls[key]


class Intent:
    """One call's place in the order of intents for its contact."""

    __slots__ = ("_intents", "_wish", "keys", "number", "opposite")

    def __init__(
        self,
        intents: Intents,
        keys: tuple[str, ...],
        opposite: Action,
        number: tuple[int, int],
        wish: Wish | None = None,
    ) -> None:
        self._intents = intents
        self._wish = wish
        self.keys = keys
        self.opposite = opposite
        self.number = number

    def is_superseded(self) -> bool:
        """Whether a newer call requests the opposite, which sending this one would undo."""
        return self._intents.is_superseded(self)

    def is_superseded_anywhere(self) -> bool:
        """Whether one in this process does or, by the ledger, in another. May take a query."""
        return self.is_superseded() or (self._wish is not None and self._wish.is_superseded())

    def end(self) -> None:
        """Unregister the call."""
        self._intents.end(self)


class _JointIntent(Intent):
    """One call's place in the orders of several upstreams that change the same block list."""

    __slots__ = ("_parts",)

    def __init__(self, parts: tuple[Intent, ...], wish: Wish | None) -> None:
        self._parts = parts
        self._wish = wish

    def is_superseded(self) -> bool:
        """Whether a newer call to one of the upstreams requests the opposite."""
        return any(part.is_superseded() for part in self._parts)

    def end(self) -> None:
        """Unregister the call everywhere."""
        for part in self._parts:
            part.end()


def begin_jointly(several: Iterable[Intents], command: Command, wish: Wish | None = None) -> Intent:
    """Register a change that may be sent to several upstreams, at once and in the same order.

    `Intent.end` must be called.
    """
    # All locks at once, in an order of their own: of two calls, one is the newer one everywhere.
    ordered = sorted(set(several), key=id)
    with ExitStack() as locks:
        for each in ordered:
            locks.enter_context(each.lock)
        return _JointIntent(tuple(each.register(command, wish) for each in ordered), wish)


class IntentGroup(Intent):
    """The places of several changes, each of another contact, that are sent in one request.

    `left` are those that the request still holds; the caller ends each of them.
    """

    __slots__ = ("left",)

    def __init__(self, left: list[Intent]) -> None:
        self.left = left

    def is_superseded(self) -> bool:
        """Whether a newer call requests the opposite of one of the changes."""
        return any(each.is_superseded() for each in self.left)

    def is_superseded_anywhere(self) -> bool:
        """Whether one in this process does."""
        return self.is_superseded()

    def end(self) -> None:
        """Unregister the changes that are left."""
        for each in self.left:
            each.end()


class _SharedIntents:
    """The intents of each upstream account of this process, held weakly."""

    def __init__(self) -> None:
        self._salt = secrets.token_bytes(32)
        self.reset_after_fork()
        reset_in_child(self)

    def reset_after_fork(self) -> None:
        """Start empty: no call of the parent ends in the child."""
        self._lock = threading.Lock()
        self._known: WeakValueDictionary[bytes, Intents] = WeakValueDictionary()

    def find(self, identity: str) -> Intents:
        """Return the intents of the account with that identity, which is stored as a hash only."""
        key = blake2b(identity.encode("utf-8", "backslashreplace"), key=self._salt).digest()
        with self._lock:
            found = self._known.get(key)
            if found is None:
                found = self._known[key] = Intents()
            return found


_SHARED: Final = _SharedIntents()


def shared_intents(
    provider: str, base_url: str, options: Mapping[str, Any], headers: Mapping[str, Any]
) -> Intents:
    """Return the intents shared by all accounts of this process with the same upstream account.

    The same means: equal provider name, address, options and fixed headers, which may name a
    tenant. The same account written in another form is not recognized.
    """
    parts = urlsplit(base_url)
    port = parts.port or DEFAULT_PORTS.get(parts.scheme)
    headers = {name.lower(): value for name, value in headers.items()}
    address = (parts.scheme, parts.hostname, port, parts.path)
    return _SHARED.find(repr((provider, address, _canonical(options), _canonical(headers))))


def _canonical(value: Any) -> Any:
    """Return an equal representation for equal values, with secrets in clear."""
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, Mapping):
        return sorted((str(key), repr(_canonical(each))) for key, each in value.items())
    if isinstance(value, (list, tuple)):
        return [_canonical(each) for each in value]
    return value


def _contact_keys(contact: Contact) -> tuple[str, ...]:
    """Return the keys of all ids of the contact; nearly always one."""
    names = [name for name in ("number", "lid", "user_id") if getattr(contact, name) is not None]
    if len(names) == 1:
        return (identity_key(contact),)
    return tuple(identity_key(Contact(**{name: getattr(contact, name)})) for name in names)
