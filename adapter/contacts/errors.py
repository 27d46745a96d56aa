"""Errors of contact parsing. Their messages never repeat the text that was parsed."""

from __future__ import annotations


class ContactError(ValueError):
    """The input is not a valid WhatsApp contact.

    `fields` maps each invalid field to its messages. They never repeat the input; at most one of
    its characters is named, by its code point and its position from 1.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.fields: dict[str, tuple[str, ...]] = {field: (message,)}


class NotAPersonError(ContactError):
    """The input names an entity of WhatsApp's servers that is not a person, such as a group."""
