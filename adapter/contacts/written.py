"""Phone numbers as people and tools write them: which digits are meant, and of which kind."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from adapter.contacts.errors import ContactError, name_character
from adapter.contacts.user_ids import resembles_user_id

MAX_TEXT: Final = 64
"""Longest text, in characters, that is looked at as a number or a JID."""

MAX_LINK: Final = 2048
"""Longest link, in characters: WhatsApp's own hold a text to send. Its number has `MAX_TEXT`."""

_RULE: Final = (
    "must be one phone number: digits, and between them spaces, dashes, parentheses and dots; "
    "a leading + or 00 for an international one"
)

_INVISIBLE: Final = (
    *(0x00AD, 0x034F, 0x061C, 0x180E, 0xFEFF, 0xE0001),
    *range(0x200B, 0x2010),
    *range(0x202A, 0x202F),
    *range(0x2060, 0x2070),
    *range(0xFE00, 0xFE10),
    *range(0xE0020, 0xE0080),
    *range(0xE0100, 0xE01F0),
)
"""Joiners, direction marks, variation selectors, tags, the soft hyphen, the BOM.

Of Unicode's property Default_Ignorable_Code_Point, without the fillers that stand for a letter.
"""
_SPACES: Final = (0x00A0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000)
_DASHES: Final = (*range(0x2010, 0x2016), 0x2212, 0xFE58, 0xFE63, 0xFF0D)
UNSEEN: Final[dict[int, str | None]] = dict.fromkeys(_INVISIBLE)
_PLAIN: Final[dict[int, str | None]] = {
    **UNSEEN,
    **dict.fromkeys(_SPACES, " "),
    **dict.fromkeys(_DASHES, "-"),
}
"""What is taken for an ASCII separator, or for nothing. No digit is in it."""

_BLANKS: Final = " \t\r\n\v\f\x1c\x1d\x1e\x1f\x85\u2028\u2029" + "".join(map(chr, _SPACES))
_QUOTES: Final = "'\"`\u00b4\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb<>"
BEFORE: Final = _BLANKS + _QUOTES + "".join(map(chr, _INVISIBLE)) + "=,;"  # ="…" is Excel's
_AFTER: Final = _BLANKS + _QUOTES + "".join(map(chr, _INVISIBLE)) + ",;"

_SEPARATORS: Final = str.maketrans("", "", " -().")
_TAKEN: Final = frozenset("0123456789+ -().")
_EXPONENT: Final = re.compile(r"[+-]?[0-9]+(?:[.,][0-9]*)?([eE])[+-]?[0-9]+")
_DECIMAL: Final = re.compile(
    r"[^.]*\.[0-9]{1,2}"  # the only dot, and less behind it than any plan has
    r"|[^.]*[0-9]{7}\.[0-9]{3}"
    r"|\+?[0-9]+\.0+"
    r"|.*\.[0-9]"
    r"|\+?[0-9]{1,3}(?:\.[0-9]{3})+\.[0-9]{2}"
)
"""A number with a decimal point: the digits behind it are no part of a phone number."""
_BRACKET: Final = re.compile(r"[ .-]*\((?![ .(-]*(?:\+|0[ .-]*0))")
"""A parenthesis at the start, and no + or 00 behind it."""
_MAX_NOTE: Final = 4
"""Most digits in parentheses at the end that are none of the number's."""
_LINK: Final = re.compile(
    r"(?P<dial>(?:tel|sms|callto):(?://)?)|(?P<whatsapp>whatsapp:(?=[+0-9]))"
    r"|(?:https?|whatsapp):|(?:www\.)?wa\.me(?:/|\Z)|(?:api|web|www)\.whatsapp\.com/",
    re.IGNORECASE,
)
"""How a link begins. `whatsapp:+…` is how some services for messages address a person."""
_DROPPED: Final = frozenset("\t\r\n")
"""What `urlsplit` drops from the midst of a URL."""
_SHORT_HOSTS: Final = frozenset({"wa.me", "www.wa.me"})
_HOSTS: Final = frozenset({"api.whatsapp.com", "web.whatsapp.com", "www.whatsapp.com"})
_ESCAPES: Final = {"%2b": "+", "%20": " ", "%28": "(", "%29": ")", "%2d": "-"}
_ESCAPE: Final = re.compile("|".join(_ESCAPES), re.IGNORECASE)
_PLUS: Final = re.compile(r"\+|%2b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Written:
    """A number as it was written, with all but its digits taken away."""

    digits: str
    international: bool
    """Whether it says so: by a +, by a link. A leading 00 does not count, and is among `digits`."""
    groups: tuple[str, ...]
    """The digits between separators."""
    bracket: str
    """The digits in parentheses at the start, as an area code is written; not the whole number."""


def trim(text: str) -> str:
    """Return the text without what nobody sees, and without the quotes and commas around it."""
    seen = text if text.isascii() else text.translate(UNSEEN)
    return _strip(seen)


def _strip(text: str) -> str:
    return text.lstrip(BEFORE).rstrip(_AFTER)


def is_link(text: str) -> bool:
    """Whether the text is a link that may hold a phone number."""
    return _LINK.match(_strip(text)) is not None


def looks_dialled(text: str) -> bool:
    """Whether the text holds digits and nothing that a phone number is not written with."""
    plain = _strip(text).translate(_PLAIN)
    return _TAKEN.issuperset(plain) and any(map(str.isdigit, plain))


def read_written(field: str, text: str) -> Written:
    """Return the number that the text is, or the link to it.

    Raises ContactError where it is something else, or not a single number.
    """
    core = _strip(text)
    start = text.find(core)
    link = _LINK.match(core)
    if link is None:
        if "@" in core:
            raise ContactError(field, "is a JID; send it as jid")
        if resembles_user_id(core):
            raise ContactError(field, "is a user id; send it as user_id")
        return _read_plain(field, text, start, core)
    bare = link["dial"] or link["whatsapp"]
    number = core[link.end() :] if bare else _find_in_url(core)
    if not number:
        raise ContactError(
            field,
            "is a link without a number; links are taken in the forms https://wa.me/<number>, "
            "https://api.whatsapp.com/send?phone=<number> and tel:+<number>",
        )
    if len(number) > MAX_TEXT:
        raise ContactError(field, f"is a link whose number is longer than {MAX_TEXT} characters")
    start = text.find(number, start + link.end())
    if link["dial"]:
        return _read_plain(field, text, start, number)
    found = _read_plain(field, text, start, number, escaped=True)
    digits = found.digits if found.international else found.digits.removeprefix("00")
    return Written(digits, international=True, groups=(digits,), bracket="")


def _read_plain(field: str, text: str, start: int, core: str, *, escaped: bool = False) -> Written:
    """Return the number in `core`, which stands at `start` of the text."""
    plain = core
    if escaped:
        plain = _ESCAPE.sub(lambda escape: _ESCAPES[escape.group().lower()], plain)
    if not plain.isascii():
        plain = plain.translate(_PLAIN)
    if not _TAKEN.issuperset(plain):
        raise ContactError(field, _describe_fault(text, start, core, escaped))
    compact = plain.translate(_SEPARATORS)
    signs = compact.count("+")
    if signs and (signs > 1 or compact[0] != "+"):
        places = [sign.start() for sign in _PLUS.finditer(text, start)]
        fault = name_character(text, places[1 if compact[0] == "+" else 0])
        raise ContactError(field, f"{fault}; a + stands once, before the country code")
    if _DECIMAL.fullmatch(plain):
        fault = name_character(text, text.rindex(".", start, start + len(core)))
        raise ContactError(
            field,
            f"{fault}, which reads as a decimal point; send the number as text, without decimals",
        )
    if _has_note(plain):
        end = start + len(core)
        place = max(text.rfind("(", start, end), text.rfind("%28", start, end))
        raise ContactError(
            field, f"{name_character(text, place)}; leave out what stands in parentheses at the end"
        )
    digits = compact.removeprefix("+")
    if not digits:
        raise ContactError(field, f"holds no digits; {_RULE}")
    return Written(
        digits,
        international=bool(signs),
        groups=tuple(re.findall("[0-9]+", plain)),
        bracket=_find_bracket(plain),
    )


def _find_bracket(plain: str) -> str:
    """Return the digits in parentheses at the start; none where they are the whole number."""
    inside, closed, behind = plain.partition(")")
    if _BRACKET.match(plain) is None or (closed and not any(map(str.isdigit, behind))):
        return ""
    return inside.translate(_SEPARATORS)


def _has_note(plain: str) -> bool:
    """Whether an extension or a counter in parentheses follows the number, such as `(2)`."""
    before, _, after = plain.rpartition("(")
    inside = after.rstrip(" .-")
    count = sum(map(str.isdigit, inside))
    return inside.endswith(")") and 1 <= count <= _MAX_NOTE and any(map(str.isdigit, before))


def _describe_fault(text: str, start: int, core: str, escaped: bool) -> str:
    exponent = _EXPONENT.fullmatch(core)
    if exponent is not None:
        fault = name_character(text, start + exponent.start(1))
        return f"{fault}, as scientific notation does, which has lost digits; send it as text"
    escapes = {start + each.start() for each in _ESCAPE.finditer(core)} if escaped else set()
    index = start
    while text[index] in _TAKEN or ord(text[index]) in _PLAIN or index in escapes:
        index += 3 if index in escapes else 1
    return f"{name_character(text, index)}; {_RULE}"


def _find_in_url(core: str) -> str | None:
    """Return what stands for the number in a link to WhatsApp; None where nothing does."""
    if not _DROPPED.isdisjoint(core):
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
