"""Numbering plans: which digits are an international phone number, and of which country.

The plans are those of phonenumbers. `national` reads digits without a + by them.
"""

from __future__ import annotations

import re
from enum import IntEnum
from functools import cache
from typing import Final

import phonenumbers

from adapter.contacts.errors import ContactError

MAX_DIGITS: Final = 15
"""Maximum count of digits of an international number, by E.164."""

IS_POSSIBLE: Final = phonenumbers.ValidationResult.IS_POSSIBLE

_COUNTRY_CODES: Final = frozenset(map(str, phonenumbers.COUNTRY_CODE_TO_REGION_CODE))
OLD_MEXICAN: Final = re.compile(r"(52)1([2-9][0-9]{9})")
"""Mexican mobiles before 2019; WhatsApp keeps their 1. No area code starts with 0 or 1.

Source: IFT's numbering plan of 2 August 2019.
"""
_MEXICAN_PREFIX: Final = re.compile(r"0(?:1|4[45])[0-9]{10}$")
"""Prefixes dialled in Mexico until 2019; the current plan lacks them."""
_EXTRA_PREFIXES: Final = {"54": "9?15", "62": "00"}
"""National prefixes that the plan lacks, by country code.

A 15 without its area code in Argentina, and zeros for a call abroad in Indonesia.
"""
_PREFIX_EXAMPLES: Final = {"52": "01, 044 or 045", "54": "0 or 15"}
"""Examples for the message, by country code, for countries with several national prefixes."""

_UNMARKED: Final = "is not an international number"
_MARK: Final = "write + and the country code, or set default_region in the configuration"


class Validity(IntEnum):
    """What a numbering plan states about a whole international number."""

    IMPOSSIBLE = 0
    """No such country, a wrong count of digits, or a national prefix after the country code."""
    POSSIBLE = 1
    """A right count of digits, in a range that is not known to be in use."""
    VALID = 2
    """In a range that is in use."""


def load_numbering_plans() -> None:
    """Read the numbering plans of all countries into memory: about 50 ms, once per process.

    phonenumbers reads a country's plan at its first number. If that fails, for example because no
    file descriptor is free, it keeps a lock forever.
    """
    phonenumbers.PhoneMetadata.load_all()


def require_possible(field: str, digits: str, *, marked: bool = True) -> None:
    """Raise ContactError for digits that no plan allows. The digits are never changed.

    `marked` is whether the writing marks them as international, by a + or 00. Without such a mark
    they may be a national number, and the message has the remedy for one.
    """
    if is_plainly_possible(digits):
        return
    reason = _why_impossible(digits)
    if reason is None:
        return
    raise ContactError(field, reason if marked else _explain_unmarked(digits, reason))


def _explain_unmarked(digits: str, reason: str) -> str:
    """Return the message for digits that nothing marks as international."""
    code = country_code_of(digits)
    if code is not None and reason == describe_national_prefix(code):
        if validity(without_national_prefix(digits)) is Validity.VALID:
            return f"{reason} and start with +"
        return f"{_UNMARKED}; {_MARK}"
    return f"{_UNMARKED}: it {reason}; {_MARK}"


def validity(digits: str) -> Validity:
    """Return what the plan of its country states about an international number."""
    code = country_code_of(digits)
    if code is None or len(digits) == len(code):
        return Validity.IMPOSSIBLE
    if OLD_MEXICAN.fullmatch(digits) or _is_valid(digits):
        return Validity.VALID
    if is_plainly_possible(digits) or (
        _has_possible_count(digits)
        and not _has_national_prefix(code, digits[len(code) :], possible=True)
    ):
        return Validity.POSSIBLE
    return Validity.IMPOSSIBLE


def country_code_of(digits: str) -> str | None:
    """Return the country code at the start of the digits; None if there is none."""
    return next((digits[:size] for size in (1, 2, 3) if digits[:size] in _COUNTRY_CODES), None)


def starts_with_country_code(digits: str) -> bool:
    """Whether the digits start with an assigned country code."""
    return country_code_of(digits) is not None


def to_phone_number(digits: str) -> phonenumbers.PhoneNumber:
    """Return digits with a country code as a PhoneNumber, with all their leading zeros."""
    code = country_code_of(digits) or ""
    national = digits[len(code) :]
    zeros = len(national) - len(national.lstrip("0"))
    return phonenumbers.PhoneNumber(
        int(code),
        int(national),
        italian_leading_zero=True if zeros else None,
        number_of_leading_zeros=zeros if zeros > 1 else None,
    )


def is_plainly_possible(digits: str) -> bool:
    """Fast path: whether the count of digits is possible and no national prefix precedes them."""
    code = next((size for size in (1, 2, 3) if digits[:size] in _COUNTRY_CODES), None)
    if code is None or not code < len(digits) <= MAX_DIGITS:
        return False
    if _national_prefix(digits[:code]).match(digits, code):
        return False
    return _is_possible_length(digits[:code], len(digits[code:].lstrip("0")) or 1)


@cache
def _is_possible_length(code: str, length: int) -> bool:
    """Whether numbers of this country may have so many digits; phonenumbers looks at no more.

    Remembered for each country and length; looked up anew, it takes 3 % of a request.
    """
    number = phonenumbers.PhoneNumber(int(code), int("1" * length))
    return phonenumbers.is_possible_number_with_reason(number) == IS_POSSIBLE


def _has_possible_count(digits: str) -> bool:
    reason = phonenumbers.is_possible_number_with_reason(to_phone_number(digits))
    return reason == IS_POSSIBLE and len(digits) <= MAX_DIGITS


def _why_impossible(digits: str) -> str | None:
    """Return why no plan allows the digits; None if one does."""
    if OLD_MEXICAN.fullmatch(digits):
        return None
    code = country_code_of(digits)
    if code is None:
        return "does not start with an existing country code"
    if len(digits) == len(code):
        return "has nothing after its country code"
    if _is_valid(digits):
        return None
    possible = _has_possible_count(digits)
    if _has_national_prefix(code, digits[len(code) :], possible=possible):
        return describe_national_prefix(code)
    return None if possible else "has too few or too many digits for its country"


# --- national prefixes


def describe_national_prefix(code: str, more: str = "") -> str:
    """Return the message for a national prefix after the country code `code`."""
    prefix = _PREFIX_EXAMPLES.get(code) or _trunk_prefix(code)
    return (
        f"has a national prefix after the country code, such as {prefix}, which is dialled only "
        f"within the country; remove the prefix{more}"
    )


def without_national_prefix(digits: str) -> str:
    """Return the international number without the national prefix after its country code.

    Empty if there is no such prefix.
    """
    code = country_code_of(digits) or ""
    national = digits[len(code) :]
    if not _national_prefix(code).match(national):
        return ""
    rest = _strip_national_prefix(code, national)
    if rest == national:
        rest = _strip_zeros(code, national)
    return "" if rest == national else f"{code}{rest}"


def _has_national_prefix(code: str, national: str, *, possible: bool) -> bool:
    """Whether the digits after a country code start with a prefix of national calls."""
    if not _national_prefix(code).match(national):
        return False
    if _strip_national_prefix(code, national) != national or _extra_prefix(code).match(national):
        return True
    # phonenumbers keeps a prefix if the rest has no possible count of digits.
    starts = possible and national.startswith((_trunk_prefix(code), "0"))
    return starts and (not _is_known(code, national) or _strip_zeros(code, national) != national)


def _strip_national_prefix(code: str, national: str) -> str:
    """Return the digits after a country code without their national prefix."""
    if code == "52" and _MEXICAN_PREFIX.match(national):
        return national[-10:]
    try:
        parsed = phonenumbers.parse(f"+{code}{national}")
    except phonenumbers.NumberParseException:
        return national
    return str(phonenumbers.national_significant_number(parsed))


def _strip_zeros(code: str, national: str) -> str:
    """Return the digits without as many leading zeros as make the number valid."""
    zeros = len(national) - len(national.lstrip("0"))
    for count in range(1, zeros + 1):
        rest = national[count:]
        if rest and _is_valid(f"{code}{rest}"):
            return rest
    return national


def _trunk_prefix(code: str) -> str:
    plan = _main_plan(code)
    return "0" if plan is None else plan.national_prefix or "0"


@cache
def _national_prefix(code: str) -> re.Pattern[str]:
    """Return the pattern of the prefixes of national calls in the country."""
    plan = _main_plan(code)
    known = "0" if plan is None else f"0|{plan.national_prefix_for_parsing or '0'}"
    return re.compile(f"{_EXTRA_PREFIXES[code]}|{known}" if code in _EXTRA_PREFIXES else known)


@cache
def _extra_prefix(code: str) -> re.Pattern[str]:
    return re.compile(_EXTRA_PREFIXES.get(code, "(?!)"))


# --- ranges in use


def _is_valid(digits: str) -> bool:
    """Whether the number is in a range that is in use."""
    code = country_code_of(digits) or ""
    # is_valid_number makes the first check too, but takes four times as long.
    return _is_known(code, digits[len(code) :]) and phonenumbers.is_valid_number(
        to_phone_number(digits)
    )


def _is_known(code: str, national: str) -> bool:
    return any(known.fullmatch(national) for known in _known_ranges(code))


@cache
def _known_ranges(code: str) -> tuple[re.Pattern[str], ...]:
    """Return the patterns of national numbers in use, one per region that shares the code."""
    found = []
    for region in _regions(code):
        plan = phonenumbers.PhoneMetadata.metadata_for_region_or_calling_code(int(code), region)
        if plan is not None and plan.general_desc is not None:
            found.append(re.compile(plan.general_desc.national_number_pattern or ""))
    return tuple(found)


def _regions(code: str) -> tuple[str, ...]:
    return tuple(phonenumbers.COUNTRY_CODE_TO_REGION_CODE[int(code)])


def _main_plan(code: str) -> phonenumbers.PhoneMetadata | None:
    region = _regions(code)[0]
    return phonenumbers.PhoneMetadata.metadata_for_region_or_calling_code(int(code), region)
