"""JIDs, the addresses of WhatsApp's servers: which of them are a person's."""

from __future__ import annotations

import re
from typing import Final

from adapter.contacts.errors import ContactError, NotAPersonError, name_character
from adapter.contacts.written import BEFORE, UNSEEN, trim

_DEVICE: Final = re.compile(r"([0-9]{1,20})(?:[._][0-9]{1,3})?(?::[0-9]{1,4})?")
_PERSON: Final = re.compile(_DEVICE.pattern + r"@(s\.whatsapp\.net|c\.us|lid|hosted(?:\.lid)?)")
"""A person's JID: the user, an agent, a device, the server.

Servers, agents and devices as in https://github.com/tulir/whatsmeow types/jid.go and in
https://github.com/WhiskeySockets/Baileys src/WABinary/jid-utils.ts, both read in 2026. A hosted
device is a business's own device in Meta's cloud; its user is the same person.
"""
_LIDS: Final = frozenset({"lid", "hosted.lid"})
_NUMBER: Final = re.compile(r"[0-9]{7,15}")
"""E.164 has at most 15 digits, and no country has shorter mobile numbers than 7 with its code.

Which is all that is asked: a number that WhatsApp knows is right, whatever a plan says.
"""
_NOT_PERSONS: Final = {
    "g.us": "a group",
    "newsletter": "a channel",
    "broadcast": "a broadcast list or the status feed",
    "bot": "a bot",
    "call": "a call",
    "msgr": "an account of Messenger",
    "interop": "an account of another messenger",
}
_SERVICES: Final = {"0": "WhatsApp's announcements", "server": "WhatsApp's server"}
_BOTS: Final = re.compile(r"1313555[0-9]{4}|131655500[0-9]{2}")
"""Meta's bots on the server of numbers; area codes 313 and 316, where 555 is nobody's."""
_USER: Final = re.compile(r"[0-9A-F][0-9A-Za-z._:-]*|status|server")


def read_jid(field: str, text: str) -> tuple[str | None, str | None]:
    """Return the number and the LID that a JID names, one of which is None.

    Raises NotAPersonError where it names something else, ContactError where it is no JID.
    """
    match = _PERSON.fullmatch(text) or _PERSON.fullmatch(trim(text))
    if match is None:
        raise _explain(field, text)
    user, server = match.groups()
    if server in _LIDS:
        return None, f"{user}@lid"
    if user in _SERVICES:
        raise _not_a_person(field, _SERVICES[user])
    if user.startswith("131") and _BOTS.fullmatch(user):
        raise _not_a_person(field, _NOT_PERSONS["bot"])
    if not _NUMBER.fullmatch(user):
        raise ContactError(field, "must have a number of 7 to 15 digits before the @")
    return user, None


def _not_a_person(field: str, what: str) -> NotAPersonError:
    return NotAPersonError(field, f"names {what}, not a person on WhatsApp")


def _explain(field: str, text: str) -> ContactError:
    core = trim(text)
    user, at, server = core.rpartition("@")
    if _USER.fullmatch(user):
        if server in _NOT_PERSONS:
            return _not_a_person(field, _NOT_PERSONS[server])
        if user in _SERVICES and server in ("c.us", "s.whatsapp.net"):
            return _not_a_person(field, _SERVICES[user])
    fault = "holds no @" if not at else _describe_fault(text)
    return ContactError(
        field, f"{fault}; a person's JID is digits followed by @s.whatsapp.net, @c.us or @lid"
    )


def _describe_fault(text: str) -> str:
    """Return what is wrong with a text that holds an @."""
    end = text.index("@")
    start = end - len(text[:end].lstrip(BEFORE))
    for index in range(start, end):
        if text[index] not in "0123456789.:_" and ord(text[index]) not in UNSEEN:
            return name_character(text, index)
    if not _DEVICE.fullmatch(text, start, end):
        return "has no number, or a wrong device, before the @"
    return f"has an unknown server after the @ at {end + 1} (counted from 1)"
