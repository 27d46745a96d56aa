"""The keys of a configuration: which may be names, and which may be shown."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

import phonenumbers

from adapter.privacy import mask_digit_runs

HIDDEN: Final = "…"
"""Stands in a path for a key that may be a secret."""

NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
"""How accounts and API keys may be named; such a name is a label, and in every log line."""

_DIGITS = re.compile(r"[0-9]{8,17}")
_GROUPS = re.compile(r"[0-9]+(?:[._-][0-9]+)+")
_PLAIN_WORDS = re.compile(r"[a-z]+(?:[_-][a-z]+)*")
_KEY = re.compile(r"[\w.-]{1,64}")


def holds_phone_number(name: str) -> bool:
    """Whether a name can be taken for a phone number, or holds one; names are logged.

    That is a name of seven digits or more and nothing else, digits in a row that are possible as
    an international number by the numbering plan, and groups of digits (`55-11-99999-9999`) that
    are a valid one. A date is neither: `tenant-20261125`.
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


def show_name(name: str) -> str:
    """Return the name of an account or an API key, fit to be shown: a phone number is masked.

    What cannot be such a name is not shown at all.
    """
    if not re.fullmatch(NAME, name):
        return HIDDEN
    return mask_digit_runs(name) if holds_phone_number(name) else name


def show_key(key: str) -> str:
    """Return a key that may be called as its author likes, such as a header's, fit to be shown.

    What looks like a credential in the wrong place is not shown at all.
    """
    if not _KEY.fullmatch(key) or _looks_secret(key):
        return HIDDEN
    return mask_digit_runs(key) if holds_phone_number(key) else key


def _looks_secret(name: str) -> bool:
    """Whether a part of the name is long and of letters and digits, capitals, or mixed case."""
    for word in re.split(r"[._-]", name):
        letters = re.sub(r"[0-9]", "", word)
        if len(word) >= 12 and letters and letters != word:
            return True
        if len(word) >= 16 and letters and not letters.islower():
            return True
        if len(word) > 32:
            return True
    return False


def show_unknown(key: str, known: Iterable[str] = ()) -> str:
    """Return a key that nobody knows, fit to be shown: plain words, or close to a known key.

    Any other may be a secret in the wrong place.
    """
    if len(key) <= 24 and _PLAIN_WORDS.fullmatch(key):
        return key
    return key if key.isidentifier() and get_close_matches(key, known, n=1) else HIDDEN
