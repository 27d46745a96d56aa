"""Parse the text of a phone number, or of a link to one, as people and tools write it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from adapter.contacts.characters import ASCII_SEPARATORS, MAX_TEXT, describe_character, strip
from adapter.contacts.errors import ContactError
from adapter.contacts.identifiers import resembles_user_id

MAX_LINK: Final = 2048
"""Maximum length of a link, in characters: it may carry a message. `MAX_TEXT` bounds its number."""

_RULE: Final = (
    "must be one phone number: digits, and between them spaces, dashes, parentheses and dots; "
    "a leading + or 00 for an international one"
)

_SEPARATORS: Final = str.maketrans("", "", " -().")
_ALLOWED: Final = frozenset("0123456789+ -().")
_EXPONENT: Final = re.compile(r"[+-]?[0-9]+(?:[.,][0-9]*)?([eE])[+-]?[0-9]+")
_DECIMAL: Final = re.compile(
    r"[^.]*\.[0-9]{1,2}"  # a single dot, followed by fewer digits than any plan's last group
    r"|[^.]*[0-9]{7}\.[0-9]{3}"
    r"|\+?[0-9]+\.0+"
    r"|.*\.[0-9]"
    r"|\+?[0-9]{1,3}(?:\.[0-9]{3})+\.[0-9]{2}"
)
"""A number with a decimal point: the digits after it are not part of a phone number."""
_LEADING_PARENTHESIS: Final = re.compile(r"[ .-]*\((?![ .(-]*(?:\+|0[ .-]*0))")
"""A parenthesis at the start that is not followed by + or 00."""
_MAX_NOTE: Final = 4
"""Maximum count of digits in parentheses at the end that are not part of the number."""
_LINK: Final = re.compile(
    r"(?P<dial>(?:tel|sms|callto):(?://)?)|(?P<whatsapp>whatsapp:(?=[+0-9]))"
    r"|(?:https?|whatsapp):|(?:www\.)?wa\.me(?:/|\Z)|(?:api|web|www)\.whatsapp\.com/",
    re.IGNORECASE,
)
"""The start of a link. `whatsapp:+…` is the address form of some messaging services."""
_DROPPED_BY_URLSPLIT: Final = frozenset("\t\r\n")
_SHORT_HOSTS: Final = frozenset({"wa.me", "www.wa.me"})
_HOSTS: Final = frozenset({"api.whatsapp.com", "web.whatsapp.com", "www.whatsapp.com"})
_ESCAPES: Final = {"%2b": "+", "%20": " ", "%28": "(", "%29": ")", "%2d": "-"}
_ESCAPE: Final = re.compile("|".join(_ESCAPES), re.IGNORECASE)
_PLUS: Final = re.compile(r"\+|%2b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class WrittenNumber:
    """The digits of a phone number, and what its writing shows about them."""

    digits: str
    international: bool
    """Whether it is marked as international by a + or by a link.

    A leading 00 is not such a mark: it means that in some regions only, and stays in `digits`.
    """
    groups: tuple[str, ...]
    """The digits between separators."""
    parenthesized: str
    """The digits in parentheses at the start, as an area code is written.

    Empty where they are the whole number.
    """


def is_link(text: str) -> bool:
    """Whether the text is a link that may hold a phone number."""
    return _LINK.match(strip(text)) is not None


def looks_like_number(text: str) -> bool:
    """Whether the text holds digits, and only characters that occur in phone numbers."""
    plain = strip(text).translate(ASCII_SEPARATORS)
    return _ALLOWED.issuperset(plain) and any(map(str.isdigit, plain))


def parse_number(field: str, text: str) -> WrittenNumber:
    """Return the number that the text, or the link, holds.

    Raises ContactError for anything else, and for more than one number.
    """
    core = strip(text)
    start = text.find(core)
    link = _LINK.match(core)
    if link is None:
        if "@" in core:
            raise ContactError(field, "is a JID; send it as jid")
        if resembles_user_id(core):
            raise ContactError(field, "is a user id; send it as user_id")
        return _parse_plain(field, text, start, core)
    bare = link["dial"] or link["whatsapp"]
    number = core[link.end() :] if bare else _find_in_url(core)
    if not number:
        raise ContactError(
            field,
            "is a link without a number; use https://wa.me/<number>, "
            "https://api.whatsapp.com/send?phone=<number> or tel:+<number>",
        )
    if len(number) > MAX_TEXT:
        raise ContactError(field, f"is a link whose number is longer than {MAX_TEXT} characters")
    start = text.find(number, start + link.end())
    if link["dial"]:
        return _parse_plain(field, text, start, number)
    found = _parse_plain(field, text, start, number, escaped=True)
    digits = found.digits if found.international else found.digits.removeprefix("00")
    return WrittenNumber(digits, international=True, groups=(digits,), parenthesized="")


def _parse_plain(
    field: str, text: str, start: int, core: str, *, escaped: bool = False
) -> WrittenNumber:
    """Return the number in `core`, which starts at `start` of the text.

    With `escaped`, separators may be percent-encoded.
    """
    plain = core
    if escaped:
        plain = _ESCAPE.sub(lambda escape: _ESCAPES[escape.group().lower()], plain)
    if not plain.isascii():
        plain = plain.translate(ASCII_SEPARATORS)
    if not _ALLOWED.issuperset(plain):
        raise ContactError(field, _describe_fault(text, start, core, escaped))
    compact = plain.translate(_SEPARATORS)
    signs = compact.count("+")
    if signs and (signs > 1 or compact[0] != "+"):
        places = [sign.start() for sign in _PLUS.finditer(text, start)]
        fault = describe_character(text, places[1 if compact[0] == "+" else 0])
        raise ContactError(field, f"{fault}; write + once, before the country code")
    if _DECIMAL.fullmatch(plain):
        fault = describe_character(text, text.rindex(".", start, start + len(core)))
        raise ContactError(
            field,
            f"{fault}, which reads as a decimal point; send the number as text, without decimals",
        )
    if _ends_with_note(plain):
        end = start + len(core)
        place = max(text.rfind("(", start, end), text.rfind("%28", start, end))
        fault = describe_character(text, place)
        raise ContactError(field, f"{fault}; remove the parentheses at the end")
    digits = compact.removeprefix("+")
    if not digits:
        raise ContactError(field, f"holds no digits; {_RULE}")
    return WrittenNumber(
        digits,
        international=bool(signs),
        groups=tuple(re.findall("[0-9]+", plain)),
        parenthesized=_find_parenthesized(plain),
    )


def _find_parenthesized(plain: str) -> str:
    """Return the digits in parentheses at the start; empty if they are the whole number."""
    inside, closed, behind = plain.partition(")")
    if _LEADING_PARENTHESIS.match(plain) is None:
        return ""
    if closed and not any(map(str.isdigit, behind)):
        return ""
    return inside.translate(_SEPARATORS)


def _ends_with_note(plain: str) -> bool:
    """Whether an extension or a counter in parentheses follows the number, such as `(2)`."""
    before, _, after = plain.rpartition("(")
    inside = after.rstrip(" .-")
    count = sum(map(str.isdigit, inside))
    return inside.endswith(")") and 1 <= count <= _MAX_NOTE and any(map(str.isdigit, before))


def _describe_fault(text: str, start: int, core: str, escaped: bool) -> str:
    exponent = _EXPONENT.fullmatch(core)
    if exponent is not None:
        fault = describe_character(text, start + exponent.start(1))
        return (
            f"{fault}: scientific notation, which has lost digits; send the number as text "
            "(in a spreadsheet, format the column as text)"
        )
    escapes = {start + each.start() for each in _ESCAPE.finditer(core)} if escaped else set()
    index = start
    while text[index] in _ALLOWED or ord(text[index]) in ASCII_SEPARATORS or index in escapes:
        index += 3 if index in escapes else 1
    return f"{describe_character(text, index)}; {_RULE}"


def _find_in_url(core: str) -> str | None:
    """Return the text of the number in a link to WhatsApp; None if the link has no number."""
    if not _DROPPED_BY_URLSPLIT.isdisjoint(core):
        return None
    try:
        url = urlsplit(core if ":" in core.partition("/")[0] else f"https://{core}")
    except ValueError:
        return None
    host, path = url.netloc.lower(), url.path.strip("/")
    if url.scheme.lower() != "whatsapp" and host in _SHORT_HOSTS and path != "send":
        return path if "/" not in path else None
    if url.scheme.lower() == "whatsapp":
        sends = (host, path) in {("send", ""), ("", "send")}
    else:
        sends = host in {*_SHORT_HOSTS, *_HOSTS} and path == "send"
    pairs = (pair.partition("=") for pair in url.query.split("&"))
    phones = [value for name, _, value in pairs if name.lower() == "phone"]
    return phones[0] if sends and len(phones) == 1 else None
