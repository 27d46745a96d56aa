"""Mask the contact of a call in whatever else is told of the call."""

from __future__ import annotations

import re
from typing import Final

from adapter.contact import Contact

SHORTEST: Final = 7
"""Fewest digits of a contact's ids that identify somebody; so many may be a whole number."""


def hide_contact(text: str, contact: Contact | None) -> str:
    """Return the text with `*` for the digits of the contact's ids, whatever stands between them.

    `SHORTEST` digits of an id in a row are hidden too: a number is often written without its
    country.
    """
    if contact is None:
        return text
    places = [place for place, character in enumerate(text) if character in "0123456789"]
    if len(places) < SHORTEST:
        return text
    digits = "".join([text[place] for place in places])
    hidden: set[int] = set()
    for each in (contact.number, contact.lid, contact.user_id):
        own = re.sub("[^0-9]", "", each) if each else ""
        for start in range(len(own) - SHORTEST + 1):
            part = own[start : start + SHORTEST]
            found = digits.find(part)
            while found >= 0:
                hidden.update(range(found, found + SHORTEST))
                found = digits.find(part, found + 1)
    if not hidden:
        return text
    characters = list(text)
    for number in hidden:
        characters[places[number]] = "*"
    return "".join(characters)
