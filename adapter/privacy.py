"""Mask phone numbers and escape control characters in logs and messages."""

from __future__ import annotations

import re

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
