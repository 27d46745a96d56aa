"""Keep phone numbers and secrets out of everything that a person or a machine may read later."""

from __future__ import annotations

import logging
import re
from typing import Any

_DIGIT_RUN = re.compile(r"\d{7,}")
_LONE_NUMBER = re.compile(r"(?<![0-9A-Za-z-])\d{8,20}(?![0-9A-Za-z-])")


def mask_number(digits: str) -> str:
    """Return `digits` with its middle starred out: `5511999999999` becomes `5511*****9999`.

    A number shorter than twelve digits keeps two digits on each side instead of four, so that at
    least half of any possible phone number stays hidden.
    """
    keep = 4 if len(digits) >= 12 else 2
    if len(digits) <= 2 * keep:
        return "*" * len(digits)
    return f"{digits[:keep]}{'*' * (len(digits) - 2 * keep)}{digits[-keep:]}"


def mask_text(text: str) -> str:
    """Return `text` with every run of seven or more digits masked, whatever stands around it."""
    return _DIGIT_RUN.sub(lambda run: mask_number(run.group()), text)


def mask_numbers(text: str) -> str:
    """Return `text` with every number that may be a phone's masked, unless it is part of an id.

    Digits that touch a letter or a dash, as in hexadecimal ids and UUIDs, stay readable.
    """
    return _LONE_NUMBER.sub(lambda run: mask_number(run.group()), text)


class MaskingFormatter(logging.Formatter):
    """A log formatter that lets no phone number through, not even in the text of an exception.

    In a message, digits that are a part of an id (hexadecimal, or joined by dashes) stay.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, with every number that stands alone masked."""
        line = self.compose(record)
        return line if hasattr(record, "facts") else mask_numbers(line)  # those are masked already

    def compose(self, record: logging.LogRecord) -> str:
        """Return the line as it would be without masks."""
        return super().format(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the name is logging's
        """Return the traceback, with every longer run of digits masked."""
        return mask_text(super().formatException(ei))


class Secret:
    """A credential that shows itself only when asked by name.

    `repr`, `str` and formatting give `Secret(***)`; `reveal()` gives the text. It is not picklable,
    so it cannot leave the process with an object that holds it.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the credential itself."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> str:
        raise TypeError("a Secret cannot be pickled or copied out of its process")
