"""Keep phone numbers and secrets out of everything that a person or a machine may read later."""

from __future__ import annotations

import logging
import re
from copy import copy

_DIGIT_RUN = re.compile(r"\d{7,}")
_LONE_NUMBER = re.compile(r"(?<![0-9A-Za-z-])\d{8,20}(?![0-9A-Za-z-])")
_GROUPS = re.compile(r"\d(?:(?:[^\S\n]|[.()/-]){0,3}\d){7,}")
_CONTROL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def mask_number(digits: str) -> str:
    """Return `digits` with its middle starred out: `5511999999999` becomes `551*******999`.

    At most half of the digits are shown, four on each side at most; of fewer than five, none.
    """
    keep = min(4, len(digits) // 4) if len(digits) > 4 else 0
    return f"{digits[:keep]}{'*' * (len(digits) - 2 * keep)}{digits[len(digits) - keep :]}"


def mask_digit_runs(text: str) -> str:
    """Return `text` with every run of seven or more digits masked, whatever stands around it."""
    return _DIGIT_RUN.sub(lambda run: mask_number(run.group()), text)


def mask_phone_numbers(text: str) -> str:
    """Return `text` with every number that may be a phone's masked, unless it is part of an id.

    Digits that touch a letter or a dash, as in hexadecimal ids and UUIDs, stay readable.
    """
    return _LONE_NUMBER.sub(lambda run: mask_number(run.group()), text)


def mask_trace(text: str) -> str:
    """Return a traceback with every number masked that may be a phone's, also one in groups.

    Those are seven digits in a row, or eight with up to three blanks, dashes, dots, slashes or
    brackets between any two; a date is masked too.
    """
    return mask_digit_runs(_GROUPS.sub(_mask_group, text))


def _mask_group(found: re.Match[str]) -> str:
    text = found.group()
    masked = iter(mask_number(re.sub(r"\D", "", text)))
    return re.sub(r"\d", lambda _: next(masked), text)


def escape_controls(text: str) -> str:
    """Return `text` on one line: what ends a line, controls a terminal or turns a text is escaped.

    These are C0, DEL, C1, U+2028 and U+2029, the marks of direction, and surrogates.
    """
    return _CONTROL.sub(lambda found: ascii(found.group())[1:-1], text)


def indent_lines(text: str) -> str:
    """Return a text of several lines, such as a traceback, none of which can pass for a record.

    Each is indented, and within it controls are escaped. Lines end at a newline alone.
    """
    return "\n".join(f"    {escape_controls(line)}" for line in text.rstrip("\n").split("\n"))


class MaskingFormatter(logging.Formatter):
    """A log formatter that lets no phone number through, and no line that is no record.

    A record is one line; a traceback follows it in lines that are indented. In a message, digits
    that are a part of an id (hexadecimal, or joined by dashes) stay.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as text, its numbers masked and its controls escaped."""
        if hasattr(record, "facts"):  # masked and escaped where it was made
            return self.compose(record)
        plain = copy(record)
        plain.msg, plain.args = escape_controls(mask_phone_numbers(record.getMessage())), None
        plain.exc_info = plain.exc_text = plain.stack_info = None
        return self.compose(plain, self._write_traces(record))

    def compose(self, record: logging.LogRecord, traces: str = "") -> str:
        """Return the record, whose message is safe, with the traceback that belongs to it."""
        line = super().format(record)
        return f"{line}\n{indent_lines(traces)}" if traces else line

    def _write_traces(self, record: logging.LogRecord) -> str:
        """Return the traceback and the stack of the record, with their numbers masked."""
        found = self.formatException(record.exc_info) if record.exc_info else record.exc_text
        return mask_trace("\n".join(filter(None, (found, record.stack_info))))


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
