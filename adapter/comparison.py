"""Compare a contact with the entries of a block list, and remember who is who."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from adapter.contacts import Contact, Relation, as_sent, other_form, relation
from adapter.readings import BlockState, Lookup, Unverified

MAX_IDENTITIES: Final = 10_000
"""The most facts of each kind that are remembered per account: own numbers, and LIDs."""

IDENTITY_LIFETIME: Final = 24 * 3600
"""Seconds for which a response is remembered."""

FRESHNESS: Final = 60
"""Seconds for which a remembered LID shows that a contact is not in a list of LIDs."""

_Facts: TypeAlias = OrderedDict[str, tuple[str, float]]
"""What is known of each number, and until when; the newest is the last."""


class Identities:
    """Who is who, learnt from the responses of one provider. Bounded, expiring and thread-safe.

    It is used to compare, never to rewrite a number. `clock` is monotonic, in seconds. Of each
    number, WhatsApp's own form of it and its LID are remembered, each with a lifetime of its own. A
    LID that responses have named with two unrelated numbers is remembered for neither.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()  # of changes; one look-up in a dict needs none
        self._own: _Facts = OrderedDict()
        self._lids: _Facts = OrderedDict()
        self._numbers: dict[str, str] = {}
        """The number of each LID in `_lids`."""
        self._ambiguous: _Facts = OrderedDict()
        """The LIDs of two unrelated numbers, each with one of them."""

    def __len__(self) -> int:
        """Return the number of remembered facts."""
        return len(self._own) + len(self._lids)

    def learn(self, asked: Contact, known: Contact) -> None:
        """Remember that a response names the person `asked` as `known`."""
        expires = self._clock() + IDENTITY_LIFETIME
        with self._lock:
            if asked.number is not None and known.number is not None:
                self._own[asked.number] = (known.number, expires)
                self._own.move_to_end(asked.number)
                while len(self._own) > MAX_IDENTITIES:
                    self._own.popitem(last=False)
            number = known.number or self.number_of(asked.number) or asked.number
            if number is not None and known.lid is not None:
                self._learn_lid(number, known.lid, expires)

    def learn_list(self, contacts: Iterable[Contact]) -> None:
        """Remember the entries of a list that have both a number and a LID.

        The number in a list is not always WhatsApp's own form of it.
        """
        expires = self._clock() + IDENTITY_LIFETIME
        with self._lock:
            for contact in contacts:
                if contact.number is not None and contact.lid is not None:
                    self._learn_lid(contact.number, contact.lid, expires)

    def learn_lookups(self, lookups: Iterable[Lookup]) -> None:
        """Remember how WhatsApp knows the numbers that were looked up."""
        for lookup in lookups:
            if lookup.on_whatsapp is False:
                self.forget(lookup.asked)
            elif lookup.on_whatsapp and lookup.contact is not None:
                self.learn(lookup.asked, lookup.contact)

    def forget(self, contact: Contact) -> None:
        """Forget the own form and the LID of a contact's number."""
        if contact.number is not None:
            with self._lock:
                self._own.pop(contact.number, None)
                self._forget_lid(contact.number)

    def _forget_lid(self, number: str) -> None:
        before = self._lids.pop(number, None)
        if before is not None:
            del self._numbers[before[0]]

    def _learn_lid(self, number: str, lid: str, expires: float) -> None:
        """Remember the LID of a number, unless it was that of an unrelated one."""
        if self._find(self._ambiguous, lid) is not None:
            return
        before = self._numbers.get(lid)
        if before is not None and before != number:
            self._forget_lid(before)
            if before != other_form(number):
                self._ambiguous[lid] = (number, expires)
                while len(self._ambiguous) > MAX_IDENTITIES:
                    self._ambiguous.popitem(last=False)
                return
        replaced, _ = self._lids.pop(number, (lid, expires))
        if replaced != lid:
            del self._numbers[replaced]
        self._lids[number] = (lid, expires)
        self._numbers[lid] = number
        while len(self._lids) > MAX_IDENTITIES:
            _, (oldest, _) = self._lids.popitem(last=False)
            del self._numbers[oldest]

    def number_of(self, number: str | None) -> str | None:
        """Return WhatsApp's own form of a number; None where it is not known."""
        return self._find(self._own, number)

    def complete(self, contact: Contact) -> Contact:
        """Return the contact with its LID or number, where that is known."""
        if contact.lid is None:
            own = self.number_of(contact.number)
            lid = self._find(self._lids, own) or self._find(self._lids, contact.number)
            return contact if lid is None else Contact(contact.number, lid, contact.user_id)
        if contact.number is None:
            number = self._numbers.get(contact.lid)
            if number is not None and self._find(self._lids, number) == contact.lid:
                return Contact(number, contact.lid, contact.user_id)
        return contact

    def is_fresh(self, contact: Contact) -> bool:
        """Whether the contact's LID was given, or learnt in the last `FRESHNESS` seconds."""
        if contact.lid is not None or contact.number is None:
            return True
        own = self.number_of(contact.number) or contact.number
        found = self._lids.get(own) or self._lids.get(contact.number)
        return found is not None and found[1] > self._clock() + IDENTITY_LIFETIME - FRESHNESS

    def _find(self, facts: _Facts, number: str | None) -> str | None:
        found = None if number is None else facts.get(number)
        return found[0] if found is not None and found[1] > self._clock() else None


_NOBODY: Final = Identities()


def find_state(
    contact: Contact, entries: Iterable[Contact], identities: Identities = _NOBODY
) -> BlockState:
    """Return whether a whole block list shows the contact as blocked.

    A contact that is not in the list is not blocked only if each entry can be compared with it; a
    LID that was learnt some time ago shows a block alone. The
    other form of its number is the same person only where it is WhatsApp's own form; otherwise it
    may or may not be.
    """
    contact = as_sent(contact)
    who = identities.complete(contact)
    certain = who if identities.is_fresh(contact) else contact
    own_number = identities.number_of(contact.number)
    reason: Unverified | None = None
    for entry in entries:
        known = identities.complete(entry)
        found = relation(who, known)
        if found is Relation.VARIANT and known.number == own_number:
            found = Relation.SAME
        if found is Relation.SAME:
            return BlockState(True)
        if found is Relation.DIFFERENT:
            found = relation(certain, known)  # a LID may have changed
        if found is Relation.VARIANT:
            reason = Unverified.INCOMPLETE
        elif found is Relation.INCOMPARABLE and reason is None:
            reason = Unverified.INCOMPLETE if entry.lid is None else Unverified.ONLY_LIDS
    return BlockState(None, reason) if reason else BlockState(False)
