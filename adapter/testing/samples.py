"""The contacts and numbers with which the clauses try a provider. All are made up."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from adapter.codes import Action
from adapter.contacts import Contact
from adapter.results import Command

CANARY: Final = Contact("5511987650123")
"""A person whose number may stand in requests, and nowhere else."""

CONTACTS: Final = (
    Contact("5511999999999"),
    Contact("551188887777"),
    Contact("14155550123"),
    Contact(lid="205227043110953@lid"),
)

USER: Final = Contact(user_id="BR.13491208655302741918")
"""A person with a user id. Used only for providers with user ids."""

ANOTHER: Final = Contact("4915123456789", "998877665544332@lid", "DE.998877665544332211")
"""A person whom no command of the kit is about."""

NOT_PERSONS: Final = ("120363039000000000@g.us", "120363039000000001@newsletter")
"""JIDs of a group and of a channel."""

PLAIN_NUMBER: Final = "5511999999999"
TRICKY_NUMBERS: Final = (
    "5511404429501",
    "14045015030",
    "14014034220",
    "5540342250320",
    "12042002010",
)
"""Phone numbers with HTTP statuses in them, for providers that search texts."""

NOW: Final = datetime(2026, 11, 1, 12, tzinfo=UTC)
"""The time at which dialects write their responses."""


def command_for(action: Action, contact: Contact) -> Command | None:
    """Return the command for an action, about the contact if it takes one.

    None for a lookup of a contact without a number.
    """
    if action.takes_contact:
        return Command(action, contact)
    if action is not Action.LOOKUP:
        return Command(action)
    return None if contact.number is None else Command(action, contacts=(contact,))
