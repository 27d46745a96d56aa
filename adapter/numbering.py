"""The numbering plans of the world: which digits can be a phone number, and of which country."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import IntEnum
from functools import cache
from itertools import accumulate
from typing import Final

import phonenumbers

from adapter.refusal import ContactError

MAX_DIGITS: Final = 15
"""Most digits of an international number, by E.164."""

_CODES: Final = frozenset(map(str, phonenumbers.COUNTRY_CODE_TO_REGION_CODE))
OLD_MEXICAN: Final = re.compile(r"(52)1([2-9][0-9]{9})")
"""Mexican mobiles before 2019, of which WhatsApp keeps the 1. No area code begins with 0 or 1.

Source: IFT's numbering plan of 2 August 2019.
"""
_MEXICAN_PREFIX: Final = re.compile(r"0(?:1|4[45])[0-9]{10}$")
"""Dialled in Mexico until 2019, so that the plan has forgotten it."""
_MORE_PREFIXES: Final = {"52": "01, 044 or 045", "54": "0 or 15"}
"""Prefixes for the message, of countries that have others than one trunk prefix."""
_TWO_CALLS: Final = (
    "begins with a prefix for calls abroad, or with a country code, which differ; "
    "write it with a leading + and its country code"
)
_POSSIBLE: Final = phonenumbers.ValidationResult.IS_POSSIBLE


class Standing(IntEnum):
    """How far a plan knows a whole international number."""

    IMPOSSIBLE = 0
    """No country, the wrong count of digits, or a prefix that is dialled at home only."""
    POSSIBLE = 1
    """A right count of digits, in a range that is not known to be in use."""
    VALID = 2
    """In a range that is in use."""


def require_possible(field: str, digits: str) -> None:
    """Raise ContactError for digits that no plan allows. The digits themselves never change."""
    if _is_plainly_possible(digits):
        return
    reason = _why_impossible(digits)
    if reason is not None:
        raise ContactError(field, reason)


def standing(digits: str) -> Standing:
    """Return how far the plan of its country knows the number."""
    if not _is_plainly_possible(digits) and _why_impossible(digits) is not None:
        return Standing.IMPOSSIBLE
    if OLD_MEXICAN.fullmatch(digits) or phonenumbers.is_valid_number(_number(digits)):
        return Standing.VALID
    return Standing.POSSIBLE


def _standing_of_person(digits: str) -> Standing:
    """Return the standing, without counts of digits that a country has for services alone."""
    found = standing(digits)
    if found is Standing.POSSIBLE and not any(
        phonenumbers.is_possible_number_for_type_with_reason(_number(digits), kind) == _POSSIBLE
        for kind in (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE)
    ):
        return Standing.IMPOSSIBLE
    return found


def is_grouped_abroad(digits: str, groups: Sequence[str], region: str | None) -> bool:
    """Whether the number, written in these groups without a +, may be an international one.

    It is where the first group is the country code, or ends where the plan's own writing has a gap.
    `202-555-0143` is neither: Egypt's code is 20. Three, three and four digits are also how North
    America writes its numbers at home; where one is meant by that, they are no number of another
    country, unless the region is elsewhere.
    """
    if len(groups) == 1:
        return True
    is_first = groups[0] == _code_of(digits)
    american = region is None or phonenumbers.country_code_for_region(region) == 1
    if american and [len(group) for group in groups] == [3, 3, 4]:
        return is_first and standing(f"1{digits}") is not Standing.VALID
    if is_first:
        return True
    if standing(digits) is not Standing.VALID:
        return False
    international = phonenumbers.PhoneNumberFormat.INTERNATIONAL
    written = phonenumbers.format_number(_number(digits), international)
    return len(groups[0]) in accumulate(map(len, re.findall("[0-9]+", written)))


def begins_with_code(digits: str) -> bool:
    """Whether the digits begin with the country code of some country."""
    return _code_of(digits) is not None


def require_code_in_one(field: str, number: str, digits: str, groups: Sequence[str]) -> None:
    """Raise ContactError where the country code of a number is made up from two groups.

    `+8 (495) 123-45-67` is how some write a number of Moscow; 84 is Vietnam. `digits` is what was
    written, in these groups; a prefix for calls abroad may stand before the number. A code that is
    spelt out (`+5 5 11 …`) is fine.
    """
    if len(groups) == 1 or not digits.endswith(number):
        return
    start = len(digits) - len(number)
    code = range(start + 1, start + len(_code_of(number) or ""))
    gaps = set(accumulate(map(len, groups)))
    if code.stop not in gaps and not gaps.isdisjoint(code):
        raise ContactError(
            field, "has a gap within its country code; write the country code in one"
        )


def read_at_home(field: str, digits: str, region: str, *, abroad: bool) -> str:
    """Return the whole international number that digits without a + mean in a region.

    `abroad` says whether their writing leaves room for an international number. Where a national
    and an international reading are possible and differ, neither is taken, but for these cases:
    digits that are a whole number of the region itself stay as they are, since ids of WhatsApp's
    have no +; and a national number in use beats a foreign one of which only the count of digits
    is right. A prefix for calls abroad that is not of zeros, such as Finland's 99x, may begin an
    id of WhatsApp's as well; one in use stays as it is where the call reaches nobody.

    Raises ContactError.
    """
    national, dialled = _dial(digits, region)
    if digits.startswith("00"):
        return _choose_dialled(field, {digits[2:], national})
    if dialled:
        as_it_is = standing(digits)
        if not as_it_is:
            return _choose_dialled(field, {national})
        if not abroad or as_it_is is not Standing.VALID or standing(national) is Standing.VALID:
            raise ContactError(field, _TWO_CALLS)
        return digits
    here = _standing_of_person(national)
    if national == digits and here:
        return digits
    there = _standing_of_person(digits) if abroad else Standing.IMPOSSIBLE
    if not there:
        if here:
            return national
        raise ContactError(
            field, "is no possible national number; begin an international one with a +"
        )
    if digits.startswith(str(phonenumbers.country_code_for_region(region))):
        # A national number in use would begin with its trunk prefix, where there is one.
        if here is not Standing.VALID or (there is Standing.VALID and _has_trunk_prefix(region)):
            return digits
    elif not here and there is Standing.VALID:
        return digits
    elif here is Standing.VALID and there is Standing.POSSIBLE:
        return national
    elif not here:
        raise ContactError(
            field, "is no possible national number; begin an international one with a +"
        )
    raise ContactError(
        field,
        "can be read as a national number and as an international one, which differ; "
        "write it with a leading + and its country code",
    )


def _dial(digits: str, region: str) -> tuple[str, bool]:
    """Return whom the digits reach when dialled in the region, and whether they say "abroad".

    They reach nobody where a prefix that is dialled at home only follows a country code.
    """
    try:
        parsed = phonenumbers.parse(digits, region, keep_raw_input=True)
    except phonenumbers.NumberParseException:
        return "", False
    whole = f"{parsed.country_code}{phonenumbers.national_significant_number(parsed)}"
    source = parsed.country_code_source
    if source != phonenumbers.CountryCodeSource.FROM_DEFAULT_COUNTRY:
        whole = whole if digits.endswith(whole) else ""
    return whole, source == phonenumbers.CountryCodeSource.FROM_NUMBER_WITH_IDD


def _choose_dialled(field: str, wholes: set[str]) -> str:
    """Return the one number that remains when 00, or the region's own prefix, is taken off."""
    known = {whole: standing(whole) for whole in wholes}
    for level in (Standing.VALID, Standing.POSSIBLE):
        found = [whole for whole, reached in known.items() if reached is level]
        if len(found) == 1:
            return found[0]
        if found:
            raise ContactError(field, _TWO_CALLS)
    raise ContactError(
        field, "is no possible number after its prefix for calls abroad; write a + in its place"
    )


def _has_trunk_prefix(region: str) -> bool:
    plan = phonenumbers.PhoneMetadata.metadata_for_region(region)
    return plan is not None and plan.national_prefix is not None


def _code_of(digits: str) -> str | None:
    return next((digits[:size] for size in (1, 2, 3) if digits[:size] in _CODES), None)


def _number(digits: str) -> phonenumbers.PhoneNumber:
    """Return the number as the library has it, nothing dropped, of digits with a country code."""
    code = _code_of(digits) or ""
    national = digits[len(code) :]
    zeros = len(national) - len(national.lstrip("0"))
    return phonenumbers.PhoneNumber(
        int(code),
        int(national),
        italian_leading_zero=True if zeros else None,
        number_of_leading_zeros=zeros if zeros > 1 else None,
    )


def _is_plainly_possible(digits: str) -> bool:
    """Whether the plan allows the digits, of which nothing looks like a prefix for dialling."""
    code = next((size for size in (1, 2, 3) if digits[:size] in _CODES), None)
    if code is None or not code < len(digits) <= MAX_DIGITS:
        return False
    if _dialling_prefix(digits[:code]).match(digits, code):
        return False
    parsed = phonenumbers.PhoneNumber(int(digits[:code]), int(digits[code:]))
    return phonenumbers.is_possible_number_with_reason(parsed) == _POSSIBLE


def _why_impossible(digits: str) -> str | None:
    """Return why no plan allows the digits; None where one does."""
    if OLD_MEXICAN.fullmatch(digits):
        return None
    code = _code_of(digits)
    if code is None:
        return "does not start with a country code that exists"
    if len(digits) == len(code):
        return "has nothing after its country code"
    number = _number(digits)
    if phonenumbers.is_valid_number(number):
        return None
    reason = phonenumbers.is_possible_number_with_reason(number)
    possible = reason == _POSSIBLE and len(digits) <= MAX_DIGITS
    if _has_prefix(code, digits[len(code) :], possible):
        prefix = _MORE_PREFIXES.get(code) or _trunk_prefix(code)
        return (
            f"has a prefix after the country code that is dialled at home only, such as {prefix}; "
            "leave it out"
        )
    return None if possible else "has too few or too many digits for its country"


def _has_prefix(code: str, national: str, possible: bool) -> bool:
    """Whether the digits after a country code begin as they would when dialled at home."""
    if code == "52" and _MEXICAN_PREFIX.match(national):
        return True
    if not _dialling_prefix(code).match(national):
        return False
    try:
        parsed = phonenumbers.parse(f"+{code}{national}")
    except phonenumbers.NumberParseException:
        return False
    if phonenumbers.national_significant_number(parsed) != national:
        return True
    # The library leaves a prefix where what follows has no possible count of digits.
    begins = possible and national.startswith((_trunk_prefix(code), "0"))
    return begins and not any(known.fullmatch(national) for known in _patterns(code))


@cache
def _patterns(code: str) -> tuple[re.Pattern[str], ...]:
    """Return what the national numbers in use look like, for each region that shares the code."""
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


def _trunk_prefix(code: str) -> str:
    plan = _main_plan(code)
    return "0" if plan is None else plan.national_prefix or "0"


@cache
def _dialling_prefix(code: str) -> re.Pattern[str]:
    """Return what a number of this country may begin with when it is dialled at home."""
    plan = _main_plan(code)
    return re.compile("0" if plan is None else f"0|{plan.national_prefix_for_parsing or '0'}")


def load_plans() -> None:
    """Read the numbering plans of all countries into memory: about 50 ms, once per process.

    The library reads a country's plan at its first number, and keeps a lock for ever where that
    fails, such as for want of a file descriptor.
    """
    phonenumbers.PhoneMetadata.load_all()
