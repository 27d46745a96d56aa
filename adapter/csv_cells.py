"""Quote cells of a CSV, which a spreadsheet would run as formulas, and undo it."""

from __future__ import annotations

import re
from typing import Final

LOST: Final = "?"
"""The cell in place of an invalid value, which is not kept. Reading refuses it in every column."""

_SPECIAL: Final = re.compile(r"'*(?:[=+\-@\t\r]|\?\Z)")
"""What gets one more apostrophe: a formula, `LOST`, or either of them with apostrophes before it.

With the apostrophes, `unquote_formula` is exact: each text has its own quoted form.
"""
_QUOTED: Final = re.compile(r"'+(?:[=+\-@\t\r]|\?\Z)")


def quote_formula(text: str) -> str:
    """Return the text; one that a spreadsheet would run as a formula gets an apostrophe."""
    return f"'{text}" if _SPECIAL.match(text) else text


def unquote_formula(text: str) -> str:
    """Return the text without the apostrophe of `quote_formula`."""
    return text[1:] if _QUOTED.match(text) else text
