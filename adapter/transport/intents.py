"""Which of the calls in flight is the newest wish for a contact. The newest wins."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Mapping
from hashlib import blake2b
from itertools import count
from typing import Any, Final
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from adapter.codes import Action
from adapter.contacts.contact import Contact
from adapter.contacts.identity import identity_key
from adapter.privacy import Secret
from adapter.results import Command

OVERRULED: Final = "A newer call for this contact has begun that wishes the opposite."
"""What a caller is told whose call is not sent, or not sent again, for that reason."""

_OPPOSITE: Final = {Action.BLOCK: Action.UNBLOCK, Action.UNBLOCK: Action.BLOCK}


class _Wishes:
    """The calls in flight for one id of a contact, and the newest wish for each action.

    A wish counts as long as an older call is in flight, also when its own call is over.
    """

    __slots__ = ("calls", "newest")

    def __init__(self) -> None:
        self.calls = 0
        self.newest: dict[Action, int] = {}


class Intents:
    """The wishes for the contacts of one upstream account. Safe in threads.

    They are as many as the calls in flight.

    A contact is known by each of its ids, and by the other form of its number where WhatsApp keeps
    two. That a number and a LID are one person is known only where a call names both.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = count(1)
        self._wishes: dict[str, _Wishes] = {}

    def begin(self, command: Command) -> Intent:
        """Take note of a block or unblock that begins; its `end` must be called."""
        keys = _keys(command.target)
        with self._lock:
            number = next(self._numbers)
            for key in keys:
                wishes = self._wishes.get(key)
                if wishes is None:
                    wishes = self._wishes[key] = _Wishes()
                wishes.calls += 1
                wishes.newest[command.action] = number
        return Intent(self, keys, _OPPOSITE[command.action], number)

    def is_overruled(self, intent: Intent) -> bool:
        """Whether the opposite was wished for the same contact since the intent began."""
        for key in intent.keys:  # needs no lock: its entries stay as long as it has not ended
            if self._wishes[key].newest.get(intent.opposite, 0) > intent.number:
                return True
        return False

    def end(self, intent: Intent) -> None:
        """Forget what no call in flight can ask about any more."""
        with self._lock:
            for key in intent.keys:
                wishes = self._wishes[key]
                wishes.calls -= 1
                if not wishes.calls:
                    del self._wishes[key]


class Intent:
    """The place of one call among the wishes for its contact."""

    __slots__ = ("_intents", "keys", "number", "opposite")

    def __init__(
        self, intents: Intents, keys: tuple[str, ...], opposite: Action, number: int
    ) -> None:
        self._intents = intents
        self.keys = keys
        self.opposite = opposite
        self.number = number

    def is_overruled(self) -> bool:
        """Whether a newer call wishes the opposite, so that sending again would undo it."""
        return self._intents.is_overruled(self)

    def end(self) -> None:
        """Say that the call is over."""
        self._intents.end(self)


class _Shared:
    """The wishes of each upstream account of this process, as long as anybody holds them."""

    def __init__(self) -> None:
        self._salt = secrets.token_bytes(32)
        self.forget()

    def forget(self) -> None:
        """Begin anew, as after a fork: no call of the parent will ever end here."""
        self._lock = threading.Lock()
        self._known: WeakValueDictionary[bytes, Intents] = WeakValueDictionary()

    def find(self, facts: str) -> Intents:
        """Return the wishes of the account that these facts tell from others; none is kept."""
        key = blake2b(facts.encode("utf-8", "backslashreplace"), key=self._salt).digest()
        with self._lock:
            found = self._known.get(key)
            if found is None:
                found = self._known[key] = Intents()
            return found


_SHARED: Final = _Shared()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_SHARED.forget)


def share_intents(
    provider: str, base_url: str, options: Mapping[str, Any], headers: Mapping[str, Any]
) -> Intents:
    """Return the wishes that all of this process share which call the same upstream account.

    The same is: a provider of the same name, at the same address, with the same options and the
    same fixed headers, which may name a tenant. Another form of one account is not recognized.
    """
    parts = urlsplit(base_url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    named = {name.lower(): value for name, value in headers.items()}
    address = (parts.scheme, parts.hostname, port, parts.path)
    return _SHARED.find(repr((provider, address, _spell(options), _spell(named))))


def _spell(value: Any) -> Any:
    """Return what is the same for equal values, secrets in clear."""
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, Mapping):
        return sorted((str(key), repr(_spell(each))) for key, each in value.items())
    if isinstance(value, (list, tuple)):
        return [_spell(each) for each in value]
    return value


def _keys(contact: Contact) -> tuple[str, ...]:
    """Return the keys of all ids of the contact; nearly always there is one."""
    known = [name for name in ("number", "lid", "user_id") if getattr(contact, name) is not None]
    if len(known) == 1:
        return (identity_key(contact),)
    return tuple(identity_key(Contact(**{name: getattr(contact, name)})) for name in known)
