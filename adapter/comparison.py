"""Compare a contact with the entries of a block list, and remember who is who."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from adapter.contacts import Contact, Relation, relation
from adapter.readings import BlockState, Lookup, Unverified

MAX_IDENTITIES: Final = 10_000
"""The most numbers that are remembered per account."""

IDENTITY_LIFETIME: Final = 24 * 3600
"""Seconds for which a response is remembered."""


@dataclass(frozen=True, slots=True)
class _Identity:
    """What is known of one number: WhatsApp's own form of it, its LID, and until when."""

    number: str | None
    lid: str | None
    expires: float


class Identities:
    """Who is who, learnt from the responses of one provider. Bounded, expiring and thread-safe.

    It is used to compare, never to rewrite a number. `clock` is monotonic, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._by_number: OrderedDict[str, _Identity] = OrderedDict()
        self._numbers: dict[str, str] = {}
        """The number of each remembered LID."""

    def __len__(self) -> int:
        return len(self._by_number)

    def learn(self, asked: Contact, known: Contact) -> None:
        """Remember that a response names the person of `asked.number` as `known`."""
        number = asked.number
        if number is None or (known.number is None and known.lid is None):
            return
        with self._lock:
            before = self._by_number.pop(number, None)
            own, lid = known.number, known.lid
            if before is not None:
                own, lid = own or before.number, lid or before.lid
                if before.lid is not None and before.lid != lid:
                    self._numbers.pop(before.lid, None)
            self._by_number[number] = _Identity(own, lid, self._clock() + IDENTITY_LIFETIME)
            if lid is not None:
                self._numbers[lid] = number
            while len(self._by_number) > MAX_IDENTITIES:
                _, oldest = self._by_number.popitem(last=False)
                if oldest.lid is not None:
                    self._numbers.pop(oldest.lid, None)

    def learn_list(self, contacts: Iterable[Contact]) -> None:
        """Remember the entries of a list that have both a number and a LID."""
        for contact in contacts:
            if contact.number is not None and contact.lid is not None:
                self.learn(contact, contact)

    def learn_lookups(self, lookups: Iterable[Lookup]) -> None:
        """Remember how WhatsApp knows the numbers that were looked up."""
        for lookup in lookups:
            if lookup.on_whatsapp and lookup.contact is not None:
                self.learn(lookup.asked, lookup.contact)

    def number_of(self, number: str | None) -> str | None:
        """Return WhatsApp's own form of a number; None where it is not known."""
        identity = self._find(number)
        return None if identity is None else identity.number

    def complete(self, contact: Contact) -> Contact:
        """Return the contact with its LID or number, where that is known."""
        if contact.lid is None:
            identity = self._find(contact.number)
            if identity is None or identity.lid is None:
                return contact
            return Contact(contact.number, identity.lid, contact.user_id)
        if contact.number is None:
            number = self._numbers.get(contact.lid)
            if number is not None and self._find(number) is not None:
                return Contact(number, contact.lid, contact.user_id)
        return contact

    def _find(self, number: str | None) -> _Identity | None:
        identity = None if number is None else self._by_number.get(number)
        return identity if identity is not None and identity.expires > self._clock() else None


_NOBODY: Final = Identities()


def find_state(
    contact: Contact, entries: Iterable[Contact], identities: Identities = _NOBODY
) -> BlockState:
    """Return whether a whole block list shows the contact as blocked.

    A contact that is not in the list is not blocked only if each entry can be compared with it. The
    two forms of one number are the same person only where WhatsApp's own form is known.
    """
    who = identities.complete(contact)
    own_number = identities.number_of(contact.number)
    reason: Unverified | None = None
    for entry in entries:
        found = relation(who, identities.complete(entry))
        if found is Relation.VARIANT and own_number is not None:
            found = Relation.SAME if entry.number == own_number else Relation.DIFFERENT
        if found is Relation.SAME:
            return BlockState(True)
        if found is Relation.VARIANT:
            reason = Unverified.INCOMPLETE
        elif found is Relation.INCOMPARABLE and reason is None:
            reason = Unverified.INCOMPLETE if entry.lid is None else Unverified.ONLY_LIDS
    return BlockState(None, reason) if reason else BlockState(False)
