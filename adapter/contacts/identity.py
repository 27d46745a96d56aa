"""Whether two contacts are the same person, and a key under which a person is found again."""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

from adapter.contacts.contact import Contact
from adapter.contacts.numbering import OLD_MEXICAN


class Relation(Enum):
    """What the ids of two contacts say about each other."""

    SAME = "same"
    """An id of the same kind is equal, and none differs."""
    RELATIVE = "relative"
    """The two forms that WhatsApp keeps of one number; which of them it is, a lookup can tell."""
    UNCOMPARABLE = "uncomparable"
    """No id of the same kind is known of both, such as a LID where a number was asked."""
    DIFFERENT = "different"
    """An id of the same kind differs."""


_RELATIVES: Final = {
    "55": re.compile(r"(55[1-9]{2})9([6-9][0-9]{7})"),  # Brazilian mobiles, with their ninth digit
    "52": OLD_MEXICAN,  # with the 1 dropped in 2019
    "54": re.compile(r"(54)9([1-3][0-9]{9})"),  # Argentinian mobiles, with the 9 dialled abroad
}
"""The longer of the two forms of a number, by country code. The shorter lacks one digit.

Sources: Brazil, Anatel's resolution 553/2010 (only mobiles of 8 digits that start with 6 to 9 were
given a 9); Argentina, ITU's national plan.
"""


def relation(asked: Contact, named: Contact) -> Relation:
    """Return what is known of `named`, such as an answer's contact, being the person `asked`."""
    pairs = (
        (asked.lid, named.lid),
        (asked.user_id, named.user_id),
        (_canonical(asked.number), _canonical(named.number)),
    )
    known = [(one, other) for one, other in pairs if one is not None and other is not None]
    if not known:
        return Relation.UNCOMPARABLE
    if any(one != other for one, other in known):
        return Relation.DIFFERENT
    if known == [pairs[2]] and asked.number != named.number:
        return Relation.RELATIVE
    return Relation.SAME


def identity_key(contact: Contact) -> str:
    """Return a text that is equal for contacts that are the same person or relatives.

    It is of the number in one of its forms; of the LID where there is no number; else of the user
    id. Contacts of which different kinds of ids are known have different keys. It identifies a
    person: keep it out of logs.
    """
    return _canonical(contact.number) or contact.lid or str(contact.user_id)


def _canonical(number: str | None) -> str | None:
    """Return the shorter form of a number of which WhatsApp keeps two; others as they are."""
    if number is None:
        return None
    longer = _RELATIVES.get(number[:2])
    match = longer.fullmatch(number) if longer is not None else None
    return number if match is None else match[1] + match[2]
