"""Mask phone numbers, escape control characters, and hide secrets in logs and messages."""

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
    """Return `digits` with asterisks in the middle: `5511999999999` becomes `551*******999`.

    At most half of the digits are shown, and at most four on each side; none of fewer than five.
    """
    keep = min(4, len(digits) // 4) if len(digits) > 4 else 0
    return f"{digits[:keep]}{'*' * (len(digits) - 2 * keep)}{digits[len(digits) - keep :]}"


def mask_digit_runs(text: str) -> str:
    """Return `text` with every run of seven or more digits masked, in any context."""
    return _DIGIT_RUN.sub(lambda run: mask_number(run.group()), text)


def mask_phone_numbers(text: str) -> str:
    """Return `text` with every run of 8 to 20 digits masked, unless it is part of an id.

    Digits next to a letter or a dash, as in hexadecimal ids and UUIDs, stay readable. So do seven
    digits, which only the shortest phone numbers have: a process id of Linux has as many.
    """
    return _LONE_NUMBER.sub(lambda run: mask_number(run.group()), text)


def mask_traceback(text: str) -> str:
    """Return a traceback with every possible phone number masked, also one written in groups.

    A possible number is seven digits in a row, or eight with up to three spaces, dashes, dots,
    slashes or parentheses between any two; a date is masked too.
    """
    return mask_digit_runs(_GROUPS.sub(_mask_group, text))


def _mask_group(found: re.Match[str]) -> str:
    text = found.group()
    masked = iter(mask_number(re.sub(r"\D", "", text)))
    return re.sub(r"\d", lambda _: next(masked), text)


def escape_controls(text: str) -> str:
    """Return `text` as one line, with line breaks, control and direction characters escaped.

    These are C0, DEL, C1, U+2028 and U+2029, the marks of direction, and surrogates.
    """
    return _CONTROL.sub(lambda found: ascii(found.group())[1:-1], text)


def indent_lines(text: str) -> str:
    """Return a text of several lines, such as a traceback, so that no line looks like a record.

    Each line is indented, and its control characters are escaped. Only a newline ends a line.
    """
    return "\n".join(f"    {escape_controls(line)}" for line in text.rstrip("\n").split("\n"))


class MaskingFormatter(logging.Formatter):
    """A log formatter that masks phone numbers and keeps every record on one line.

    A traceback follows its record in indented lines. In a message, digits that are part of an id
    (hexadecimal, or joined by dashes) stay readable.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as text, with numbers masked and control characters escaped."""
        if hasattr(record, "facts"):  # `log_event` and `log_exception` have masked and escaped it
            return self.compose(record)
        plain = copy(record)
        plain.msg, plain.args = escape_controls(mask_phone_numbers(record.getMessage())), None
        plain.exc_info = plain.exc_text = plain.stack_info = None
        return self.compose(plain, self._format_traces(record))

    def compose(self, record: logging.LogRecord, traces: str = "") -> str:
        """Return the record, whose message is masked and escaped, followed by its traceback."""
        line = super().format(record)
        return f"{line}\n{indent_lines(traces)}" if traces else line

    def _format_traces(self, record: logging.LogRecord) -> str:
        """Return the traceback and the stack of the record, with numbers masked."""
        found = self.formatException(record.exc_info) if record.exc_info else record.exc_text
        return mask_traceback("\n".join(filter(None, (found, record.stack_info))))


class Secret:
    """A credential that is revealed only by `reveal()`.

    `repr`, `str` and formatting return `Secret(***)`. A Secret cannot be pickled, so that it never
    leaves the process inside another object.
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
        raise TypeError("a Secret cannot be pickled or copied")
