"""Characters around and within an identifier: which are ignored, trimmed or read as separators."""

from __future__ import annotations

import unicodedata
from typing import Final

MAX_TEXT: Final = 64
"""Maximum length, in characters, of a number or JID as it was written."""

_INVISIBLE_POINTS: Final = (
    *(0x00AD, 0x034F, 0x061C, 0x180E, 0xFEFF, 0xE0001),
    *range(0x200B, 0x2010),
    *range(0x202A, 0x202F),
    *range(0x2060, 0x2070),
    *range(0xFE00, 0xFE10),
    *range(0xE0020, 0xE0080),
    *range(0xE0100, 0xE01F0),
)
"""Joiners, direction marks, variation selectors, tags, the soft hyphen, the BOM.

Unicode's property Default_Ignorable_Code_Point, without the fillers that stand for a letter.
"""
_SPACE_POINTS: Final = (0x00A0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000)
_DASH_POINTS: Final = (*range(0x2010, 0x2016), 0x2212, 0xFE58, 0xFE63, 0xFF0D)

INVISIBLE: Final[dict[int, str | None]] = dict.fromkeys(_INVISIBLE_POINTS)
"""Invisible characters, as a table for `str.translate` that removes them."""
ASCII_SEPARATORS: Final[dict[int, str | None]] = {
    **INVISIBLE,
    **dict.fromkeys(_SPACE_POINTS, " "),
    **dict.fromkeys(_DASH_POINTS, "-"),
}
"""Spaces and dashes of Unicode as their ASCII forms; invisible characters are removed.

A table for `str.translate`. It contains no digit.
"""

_BLANKS: Final = " \t\r\n\v\f\x1c\x1d\x1e\x1f\x85\u2028\u2029" + "".join(map(chr, _SPACE_POINTS))
_QUOTES: Final = "'\"`\u00b4\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb<>"
_AROUND: Final = _BLANKS + _QUOTES + "".join(map(chr, _INVISIBLE_POINTS)) + ",;"
LEADING: Final = _AROUND + "="
"""Characters that `strip` removes before the text. Excel writes a text as `="…"`."""


def strip(text: str) -> str:
    """Return the text without white space, quotes and commas around it."""
    return text.lstrip(LEADING).rstrip(_AROUND)


def trim(text: str) -> str:
    """Return the text without invisible characters, and stripped as by `strip`."""
    visible = text if text.isascii() else text.translate(INVISIBLE)
    return strip(visible)


def describe_character(text: str, index: int) -> str:
    """Return a description such as `holds U+066A at 3 (ARABIC PERCENT SIGN; counted from 1)`.

    `index` counts from 0: it is 2 in this example.
    """
    character = text[index]
    name = unicodedata.name(character, "a control character")
    return f"holds U+{ord(character):04X} at {index + 1} ({name}; counted from 1)"
