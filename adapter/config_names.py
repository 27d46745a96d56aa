"""Names and keys of a configuration: which are valid, and which may be displayed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

import phonenumbers

from adapter.privacy import mask_digit_runs

HIDDEN: Final = "…"
"""Replaces a key that may be a secret."""

NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
"""Names of accounts and API keys, as a regular expression. Log lines show these names."""

_DIGITS = re.compile(r"[0-9]{8,17}")
_GROUPS = re.compile(r"[0-9]+(?:[._-][0-9]+)+")
_PLAIN_WORDS = re.compile(r"[a-z]+(?:[_-][a-z]+)*")
_KEY = re.compile(r"[\w.-]{1,64}")


def holds_phone_number(name: str) -> bool:
    """Whether a name is or contains a phone number, which must not appear in logs.

    It does if it consists of seven or more digits, if it contains a run of digits that is a
    possible international number by the numbering plan, or if it contains groups of digits
    (`55-11-99999-9999`) that are a valid one. A date, as in `tenant-20261125`, is neither.
    """
    if re.fullmatch(r"[0-9]{7,}", name):
        return True
    if any(_is_possible(found) for found in _DIGITS.findall(name)):
        return True
    return any(_is_valid(re.sub(r"[._-]", "", found)) for found in _GROUPS.findall(name))


def _parse(digits: str) -> phonenumbers.PhoneNumber | None:
    try:
        return phonenumbers.parse("+" + digits.removeprefix("00"))
    except phonenumbers.NumberParseException:
        return None


def _is_possible(digits: str) -> bool:
    number = _parse(digits)
    possible = phonenumbers.ValidationResult.IS_POSSIBLE
    return number is not None and (phonenumbers.is_possible_number_with_reason(number) == possible)


def _is_valid(digits: str) -> bool:
    number = _parse(digits)
    return number is not None and phonenumbers.is_valid_number(number)


def display_name(name: str) -> str:
    """Return the name of an account or an API key for display, with phone numbers masked.

    An invalid name is hidden.
    """
    if not re.fullmatch(NAME, name):
        return HIDDEN
    return mask_digit_runs(name) if holds_phone_number(name) else name


def display_key(key: str) -> str:
    """Return a freely chosen key, such as a header name, for display.

    A key that looks like a misplaced credential is hidden.
    """
    if not _KEY.fullmatch(key) or _looks_secret(key):
        return HIDDEN
    return mask_digit_runs(key) if holds_phone_number(key) else key


def _looks_secret(name: str) -> bool:
    """Whether a part of the name is long and mixes letters with digits, or has capitals."""
    for word in re.split(r"[._-]", name):
        letters = re.sub(r"[0-9]", "", word)
        if len(word) >= 12 and letters and letters != word:
            return True
        if len(word) >= 16 and letters and not letters.islower():
            return True
        if len(word) > 32:
            return True
    return False


def display_unknown_key(key: str, known: Iterable[str] = ()) -> str:
    """Return an unknown key for display, if it is plain words or close to a known key.

    Any other is hidden: it may be a misplaced secret.
    """
    if len(key) <= 24 and _PLAIN_WORDS.fullmatch(key):
        return key
    return key if key.isidentifier() and get_close_matches(key, known, n=1) else HIDDEN
