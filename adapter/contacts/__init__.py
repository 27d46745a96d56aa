"""Contacts: how a person is identified by number, JID, LID or user id.

Part of the domain layer: the standard library and phonenumbers only. All other modules import from
here.
"""

from __future__ import annotations

from adapter.contacts.characters import MAX_TEXT
from adapter.contacts.contact import NO_IDENTIFIER, Contact, detect_field
from adapter.contacts.errors import ContactError, NotAPersonError
from adapter.contacts.forms import ContactForm
from adapter.contacts.identifiers import MAX_USER_ID, is_user_id
from adapter.contacts.identity import Relation, as_sent, identity_key, other_form, relation
from adapter.contacts.numbering import load_numbering_plans
from adapter.contacts.parsing import MAX_LINK

__all__ = [
    "MAX_LINK",
    "MAX_TEXT",
    "MAX_USER_ID",
    "NO_IDENTIFIER",
    "Contact",
    "ContactError",
    "ContactForm",
    "NotAPersonError",
    "Relation",
    "as_sent",
    "detect_field",
    "identity_key",
    "is_user_id",
    "load_numbering_plans",
    "other_form",
    "relation",
]
