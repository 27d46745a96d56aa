"""Mask the contact of a call in whatever else is told of the call."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from adapter.contacts.contact import Contact
from adapter.privacy import mask_text

MIN_DIGITS: Final = 7
"""Fewest digits of an id in a row that are hidden; the shortest phone numbers have as many."""

_NO_DIGITS = bytes(set(range(256)) - set(b"0123456789"))


def hide_contact(text: str, contact: Contact | None) -> str:
    """Return the text with `*` for the digits of the contact's ids, whatever stands between them.

    `MIN_DIGITS` digits of an id in a row are hidden too: a number is often written without its
    country. A user id is hidden with its letters, in any case, and without its country.
    """
    if contact is None:
        return text
    if contact.user_id is not None:
        text = _hide_user_id(text, contact.user_id)
    digits = text.encode("ascii", "ignore").translate(None, _NO_DIGITS)
    if len(digits) < MIN_DIGITS:
        return text
    hidden: set[int] = set()
    for each in (contact.number, contact.lid, contact.user_id):
        if each is None:
            continue
        own = each.encode().translate(None, _NO_DIGITS)
        for start in range(len(own) - MIN_DIGITS + 1):
            part = own[start : start + MIN_DIGITS]
            if part in digits:
                hidden.update(_places(digits, part))
    if not hidden:
        return text
    places = [place for place, character in enumerate(text) if character in "0123456789"]
    characters = list(text)
    for number in hidden:
        characters[places[number]] = "*"
    return "".join(characters)


def show_request_id(request_id: str, contact: Contact | None) -> str:
    """Return a request id fit to be logged: without the contact, as in `hide_contact`.

    Where no contact is known, such as of a request that was refused before it was read, every
    number is masked.
    """
    if contact is None:
        return mask_text(request_id)
    return hide_contact(request_id, contact)


def _hide_user_id(text: str, user_id: str) -> str:
    own = user_id.rpartition(".")[2]
    for each in (user_id, own) if len(own) >= MIN_DIGITS else (user_id,):
        text = re.sub(re.escape(each), "*" * len(each), text, flags=re.IGNORECASE)
    return text


def _places(digits: bytes, part: bytes) -> Iterator[int]:
    """Give the places of all digits that belong to the part, wherever it stands."""
    found = digits.find(part)
    while found >= 0:
        yield from range(found, found + len(part))
        found = digits.find(part, found + 1)
