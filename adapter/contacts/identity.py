"""Whether two contacts are the same person, and a lookup key for a person."""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

from adapter.contacts.contact import Contact
from adapter.contacts.numbering import OLD_MEXICAN


class Relation(Enum):
    """The result of comparing the identifiers of two contacts."""

    SAME = "same"
    """At least one kind of identifier is known of both, and all such are equal."""
    VARIANT = "variant"
    """The two forms that WhatsApp keeps of one number; only a lookup shows which one is in use."""
    INCOMPARABLE = "incomparable"
    """No kind of identifier is known of both, as with a LID in the response for a number."""
    DIFFERENT = "different"
    """An identifier of the same kind differs."""


_LONGER_FORMS: Final = {
    "55": re.compile(r"(55[1-9]{2})9([6-9][0-9]{7})"),  # Brazilian mobiles, with their ninth digit
    "52": OLD_MEXICAN,  # with the 1 dropped in 2019
    "54": re.compile(r"(54)9([1-3][0-9]{9})"),  # Argentinian mobiles, with the 9 dialled abroad
}
"""The longer of the two forms of a number, by country code. The shorter lacks one digit.

Sources: Brazil, Anatel's resolution 553/2010 (only mobiles of 8 digits that start with 6 to 9 were
given a 9); Argentina, ITU's national plan.
"""


def relation(requested: Contact, reported: Contact) -> Relation:
    """Return how `reported`, such as the contact of a response, relates to `requested`."""
    pairs = (
        (requested.lid, reported.lid),
        (requested.user_id, reported.user_id),
        (_canonical(requested.number), _canonical(reported.number)),
    )
    known = [(one, other) for one, other in pairs if one is not None and other is not None]
    if not known:
        return Relation.INCOMPARABLE
    if any(one != other for one, other in known):
        return Relation.DIFFERENT
    if known == [pairs[2]] and requested.number != reported.number:
        return Relation.VARIANT
    return Relation.SAME


def as_sent(contact: Contact) -> Contact:
    """Return the contact without its user id, if it has a number or a LID, which requests name.

    A user id beside them is the caller's word: no response about the number proves anything of it.
    """
    if contact.user_id is None or (contact.number is None and contact.lid is None):
        return contact
    return Contact(contact.number, contact.lid)


def identity_key(contact: Contact) -> str:
    """Return a key that is equal for contacts that are the same person or variants.

    The key is derived from the number in one of its forms; without a number, from the LID; without
    both, from the user id. Contacts with different kinds of identifiers have different keys. The
    key identifies a person: keep it out of logs.
    """
    return _canonical(contact.number) or contact.lid or str(contact.user_id)


def other_form(number: str) -> str | None:
    """Return the other of the two forms that WhatsApp keeps of a number; None for other numbers."""
    shorter = _canonical(number)
    if shorter != number:
        return shorter
    longer = _LONGER_FORMS.get(number[:2])
    digit = "1" if number[:2] == "52" else "9"
    place = 4 if number[:2] == "55" else 2
    found = f"{number[:place]}{digit}{number[place:]}"
    return found if longer is not None and longer.fullmatch(found) else None


def _canonical(number: str | None) -> str | None:
    """Return the shorter form of a number that has two; any other number unchanged."""
    if number is None:
        return None
    longer = _LONGER_FORMS.get(number[:2])
    match = longer.fullmatch(number) if longer is not None else None
    return number if match is None else match[1] + match[2]
