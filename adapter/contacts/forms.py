"""The forms in which a provider's requests name a contact."""

from __future__ import annotations

from enum import StrEnum

from adapter.contacts.contact import Contact


class ContactForm(StrEnum):
    """A form in which a provider's requests name a contact."""

    DIGITS = "digits"
    CHAT_ID = "@c.us"
    JID = "@s.whatsapp.net"
    LID = "@lid"
    USER_ID = "user id"

    def write(self, contact: Contact) -> str | None:
        """Return the contact in this form; None if it lacks the identifier that the form needs."""
        match self:
            case ContactForm.LID:
                return contact.lid
            case ContactForm.USER_ID:
                return contact.user_id
            case ContactForm.DIGITS:
                return contact.number
        return contact.number and f"{contact.number}{self.value}"
