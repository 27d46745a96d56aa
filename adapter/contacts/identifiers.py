"""JIDs, the addresses of WhatsApp's servers, and Meta's business-scoped user ids."""

from __future__ import annotations

import re
from typing import Final

from adapter.contacts.characters import INVISIBLE, LEADING, describe_character, trim
from adapter.contacts.errors import ContactError, NotAPersonError

# --- user ids

MAX_USER_ID: Final = 135
"""Maximum length of a user id, in characters."""

_USER_ID: Final = re.compile(r"[A-Z]{2}\.(?:ENT\.)?[0-9A-Za-z]{1,128}")
"""The user's country by ISO 3166, and up to 128 letters and digits; `ENT` for linked businesses.

Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/
business-scoped-user-ids/, as of November 2026.
"""


def is_user_id(text: str) -> bool:
    """Whether the whole text is a user id."""
    return _USER_ID.fullmatch(text) is not None


def resembles_user_id(text: str) -> bool:
    """Whether the whole text is a user id in any letter case."""
    return len(text) <= MAX_USER_ID and text.isascii() and is_user_id(text.upper())


# --- JIDs

_USER_AND_DEVICE: Final = re.compile(r"([0-9]{1,20})(?:[._][0-9]{1,3})?(?::[0-9]{1,4})?")
_PERSON: Final = re.compile(
    _USER_AND_DEVICE.pattern + r"@(s\.whatsapp\.net|c\.us|lid|hosted(?:\.lid)?)"
)
"""A person's JID: user, agent, device, server.

Servers, agents and devices as in https://github.com/tulir/whatsmeow types/jid.go and in
https://github.com/WhiskeySockets/Baileys src/WABinary/jid-utils.ts, both read in 2026. A hosted
device is a business's own device in Meta's cloud; its user is the same person.
"""
_LID_SERVERS: Final = frozenset({"lid", "hosted.lid"})
_NUMBER: Final = re.compile(r"[0-9]{7,15}")
"""E.164 allows at most 15 digits; with its code, no country's mobile numbers are shorter than 7.

Nothing else is checked: WhatsApp has accepted the number, whatever a numbering plan allows.
"""
_OTHER_SERVERS: Final = {
    "g.us": "a group",
    "newsletter": "a channel",
    "broadcast": "a broadcast list or the status feed",
    "bot": "a bot",
    "call": "a call",
    "msgr": "an account of Messenger",
    "interop": "an account of another messenger",
}
"""The servers whose users are not persons on WhatsApp."""
_SERVICES: Final = {"0": "WhatsApp's announcements", "server": "WhatsApp's server"}
_BOTS: Final = re.compile(r"1313555[0-9]{4}|131655500[0-9]{2}")
"""Meta's bots on the servers of numbers; in the area codes 313 and 316, 555 is unassigned."""
_USER: Final = re.compile(r"[0-9A-F][0-9A-Za-z._:-]*|status|server")


def parse_jid(field: str, text: str) -> tuple[str | None, str | None]:
    """Return the number and the LID of a JID; one of them is None.

    Raises NotAPersonError for a JID of another entity, ContactError for any other text.
    """
    match = _PERSON.fullmatch(text) or _PERSON.fullmatch(trim(text))
    if match is None:
        raise _explain(field, text)
    user, server = match.groups()
    if server in _LID_SERVERS:
        return None, f"{user}@lid"
    if user in _SERVICES:
        raise _not_a_person(field, _SERVICES[user])
    if user.startswith("131") and _BOTS.fullmatch(user):
        raise _not_a_person(field, _OTHER_SERVERS["bot"])
    if not _NUMBER.fullmatch(user):
        raise ContactError(field, "must have a number of 7 to 15 digits before the @")
    return user, None


def _not_a_person(field: str, what: str) -> NotAPersonError:
    return NotAPersonError(field, f"names {what}, not a person on WhatsApp")


def _explain(field: str, text: str) -> ContactError:
    core = trim(text)
    user, at, server = core.rpartition("@")
    if _USER.fullmatch(user):
        if server in _OTHER_SERVERS:
            return _not_a_person(field, _OTHER_SERVERS[server])
        if user in _SERVICES and server in ("c.us", "s.whatsapp.net"):
            return _not_a_person(field, _SERVICES[user])
    fault = "holds no @" if not at else _describe_fault(text)
    return ContactError(
        field, f"{fault}; a person's JID is digits followed by @s.whatsapp.net, @c.us or @lid"
    )


def _describe_fault(text: str) -> str:
    """Return what is wrong with a text that holds an @."""
    end = text.index("@")
    start = end - len(text[:end].lstrip(LEADING))
    for index in range(start, end):
        if text[index] not in "0123456789.:_" and ord(text[index]) not in INVISIBLE:
            return describe_character(text, index)
    if not _USER_AND_DEVICE.fullmatch(text, start, end):
        return "has no number, or an invalid device, before the @"
    return f"has an unknown server after the @ at {end + 1} (counted from 1)"
