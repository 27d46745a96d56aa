"""Redact the contact of a call from the texts that are logged or sent about the call."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from adapter.contacts import Contact
from adapter.privacy import mask_digit_runs

MIN_DIGITS: Final = 7
"""Minimum run of an identifier's digits that is redacted: the length of the shortest numbers."""

_BLOCK: Final = (MIN_DIGITS + 1) // 2
_NO_DIGITS = bytes(set(range(256)) - set(b"0123456789"))


def redact_contact(text: str, contact: Contact | None) -> str:
    """Return the text with `*` for the digits of the contact's identifiers.

    Other characters between the digits do not matter. A run of `MIN_DIGITS` digits of an identifier
    is redacted too: a number is often written without its country code. A user id is redacted with
    its letters, in any case, also without its country.
    """
    if contact is None:
        return text
    if contact.user_id is not None:
        text = _redact_user_id(text, contact.user_id)
    digits = text.encode("ascii", "ignore").translate(None, _NO_DIGITS)
    if len(digits) < MIN_DIGITS:
        return text
    redacted: set[int] = set()
    for each in (contact.number, contact.lid, contact.user_id):
        if each is None:
            continue
        own = each.encode().translate(None, _NO_DIGITS)
        # Every run of MIN_DIGITS holds one of these blocks: half the searches in the usual case,
        # a text without a common run.
        blocks = range(0, len(own) - _BLOCK + 1, _BLOCK)
        if not any(own[start : start + _BLOCK] in digits for start in blocks):
            continue
        for start in range(len(own) - MIN_DIGITS + 1):
            part = own[start : start + MIN_DIGITS]
            if part in digits:
                redacted.update(_positions(digits, part))
    if not redacted:
        return text
    positions = [position for position, character in enumerate(text) if character in "0123456789"]
    characters = list(text)
    for index in redacted:
        characters[positions[index]] = "*"
    return "".join(characters)


def redact_contacts(text: str, contacts: Iterable[Contact]) -> str:
    """Return the text, redacted for each of the contacts, as of a lookup."""
    for contact in contacts:
        text = redact_contact(text, contact)
    return text


def redact_request_id(request_id: str, contact: Contact | None) -> str:
    """Return a request id for logging, redacted as by `redact_contact`.

    Without a contact, as for a request that was refused before it was parsed, all runs of digits
    are masked.
    """
    if contact is None:
        return mask_digit_runs(request_id)
    return redact_contact(request_id, contact)


def _redact_user_id(text: str, user_id: str) -> str:
    own = user_id.rpartition(".")[2]
    for each in (user_id, own) if len(own) >= MIN_DIGITS else (user_id,):
        text = re.sub(re.escape(each), "*" * len(each), text, flags=re.IGNORECASE)
    return text


def _positions(digits: bytes, part: bytes) -> Iterator[int]:
    """Yield the positions of all digits that belong to an occurrence of `part`."""
    found = digits.find(part)
    while found >= 0:
        yield from range(found, found + len(part))
        found = digits.find(part, found + 1)
