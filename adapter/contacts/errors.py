"""Say why a text names nobody who can be blocked, without repeating the text."""

from __future__ import annotations

import unicodedata


class ContactError(ValueError):
    """The text names nobody who can be blocked.

    `fields` maps each field at fault to its messages. They never repeat the text itself; of its
    characters at most the one at fault is named, by its code point and its position from 1.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.fields: dict[str, tuple[str, ...]] = {field: (message,)}


class NotAPersonError(ContactError):
    """The text names something that WhatsApp's servers know and that is no person: a group, say."""


def name_character(text: str, index: int) -> str:
    """Return `holds U+066A at 3 (ARABIC PERCENT SIGN; counted from 1)`, which is at `index` 2."""
    character = text[index]
    name = unicodedata.name(character, "a control character")
    return f"holds U+{ord(character):04X} at {index + 1} ({name}; counted from 1)"
