"""The numbering plans of the world: which digits can be a phone number, and of which country."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import IntEnum
from functools import cache
from itertools import accumulate
from typing import Final

import phonenumbers

from adapter.contacts.errors import ContactError

MAX_DIGITS: Final = 15
"""Most digits of an international number, by E.164."""

_CODES: Final = frozenset(map(str, phonenumbers.COUNTRY_CODE_TO_REGION_CODE))
OLD_MEXICAN: Final = re.compile(r"(52)1([2-9][0-9]{9})")
"""Mexican mobiles before 2019, of which WhatsApp keeps the 1. No area code begins with 0 or 1.

Source: IFT's numbering plan of 2 August 2019.
"""
_MEXICAN_PREFIX: Final = re.compile(r"0(?:1|4[45])[0-9]{10}$")
"""Dialled in Mexico until 2019, so that the plan has forgotten it."""
_OLD_BRAZILIAN: Final = re.compile(r"55[1-9]{2}[6-9][0-9]{7}")
"""Brazilian mobiles before 2016, without the ninth digit."""
_FORGOTTEN: Final = {"54": "9?15", "62": "00"}
"""Prefixes that the plan does not know here: a 15 without its area, and zeros for a call abroad."""
_MORE_PREFIXES: Final = {"52": "01, 044 or 045", "54": "0 or 15"}
"""Prefixes for the message, of countries that have others than one trunk prefix."""
_HOME_FORMS: Final[dict[str, set[tuple[int, ...]]]] = {
    "55": {(2, 5, 4), (2, 4, 4), (2, 1, 4, 4)},
    "1": {(3, 3, 4), (3, 7)},
}
"""Counts of digits between separators in numbers that Brazil and North America write at home."""
_TWO_CALLS: Final = (
    "begins with a prefix for calls abroad, or with a country code, which differ; "
    "write it with a leading + and its country code"
)
_TWO_READINGS: Final = (
    "can be read as a national number and as an international one, which differ; "
    "write it with a leading + and its country code"
)
_NEITHER: Final = "is no possible national number; begin an international one with a +"
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
    code = _code_of(digits)
    if code is None or len(digits) == len(code):
        return Standing.IMPOSSIBLE
    if OLD_MEXICAN.fullmatch(digits) or _is_valid(digits):
        return Standing.VALID
    if _is_plainly_possible(digits) or (
        _has_possible_count(digits) and not _has_prefix(code, digits[len(code) :], possible=True)
    ):
        return Standing.POSSIBLE
    return Standing.IMPOSSIBLE


def _standing_of_person(digits: str) -> Standing:
    """Return the standing, without counts of digits that a country has for services alone."""
    found = standing(digits)
    if found is Standing.POSSIBLE:
        code = _code_of(digits) or ""
        if len(digits) - len(code) not in _counts_of_persons(code):
            return Standing.IMPOSSIBLE
    return found


@cache
def _counts_of_persons(code: str) -> frozenset[int]:
    """Return how many digits a country's mobile and landline numbers have after its code."""
    kinds = (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE)
    return frozenset(
        count
        for count in range(1, MAX_DIGITS + 1)
        for number in [phonenumbers.PhoneNumber(int(code), 10 ** (count - 1))]
        for kind in kinds
        if phonenumbers.is_possible_number_for_type_with_reason(number, kind) == _POSSIBLE
    )


def is_grouped_abroad(digits: str, groups: Sequence[str], region: str | None) -> bool:
    """Whether the number, written in these groups without a +, may be an international one.

    It is where the first group is the country code, or ends where the plan's own writing has a gap.
    `202-555-0143` is neither: Egypt's code is 20. Without a region it must be in use as well, and
    must not be grouped as Brazil or North America group a number of theirs at home. A region of
    North America is asked about three, three and four digits only.
    """
    if len(groups) == 1:
        return True
    sizes = tuple(map(len, groups))
    if region is None:
        if standing(digits) is not Standing.VALID:
            return False
        home = next((code for code, forms in _HOME_FORMS.items() if sizes in forms), None)
    else:
        american = phonenumbers.country_code_for_region(region) == 1
        home = "1" if american and sizes == (3, 3, 4) else None
    is_first = groups[0] == _code_of(digits)
    if home is not None and (not is_first or standing(f"{home}{digits}") is Standing.VALID):
        return False
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


def read_at_home(
    field: str, digits: str, region: str, *, groups: Sequence[str], bracket: str
) -> str:
    """Return the whole international number that digits without a + mean in a region.

    `groups` are the digits as they were written between separators, and `bracket` those in
    parentheses at the start. Where a national and an international reading are possible and differ,
    neither is taken, but for these cases: digits that are a whole number of the region itself stay
    as they are, since ids of WhatsApp's have no +; and a national number in use beats a foreign one
    of which only the count of digits is right. A prefix for calls abroad that is not of zeros, such
    as Finland's 99x, may begin an id of WhatsApp's as well; one in use stays as it is where the
    call reaches nobody. A country code in parentheses is an area code only where the plan writes
    such a number so, or where there is no number abroad.

    Raises ContactError.
    """
    code = _code_of(digits)
    at_home = digits.startswith(str(phonenumbers.country_code_for_region(region)))
    abroad = bracket in ("", code) and (at_home or is_grouped_abroad(digits, groups, region))
    national, dialled = _dial(digits, region)
    if digits.startswith("00"):
        return _choose_after_zeros(field, digits[2:], national)
    if dialled:
        as_it_is = standing(digits)
        if not as_it_is:
            return _choose_dialled(field, {national})
        if (
            bracket
            or not abroad
            or as_it_is is not Standing.VALID
            or standing(national) is Standing.VALID
        ):
            raise ContactError(field, _TWO_CALLS)
        return digits
    here = _standing_of_person(national)
    if national == digits and here:
        return digits
    there = _standing_of_person(digits) if abroad else Standing.IMPOSSIBLE
    if bracket and bracket == code:
        in_use = here is Standing.VALID or _OLD_BRAZILIAN.fullmatch(national)
        if in_use and (not there or _writes_brackets(region, len(bracket))):
            return national
        if there:
            raise ContactError(field, _TWO_READINGS)
        here = Standing.IMPOSSIBLE
    if not there:
        if abroad and code is not None:
            behind = _without_prefix(digits)
            known = Standing.IMPOSSIBLE if behind == national else standing(behind)
            tells = at_home or groups[0] == code
            if known is here is Standing.VALID and not tells:
                raise ContactError(field, _TWO_READINGS)
            if known is Standing.VALID or (known and here is not Standing.VALID and tells):
                raise ContactError(field, _prefix_fault(code, " and begin with a +"))
        if here is Standing.VALID or (here and not at_home):
            return national
        raise ContactError(field, _NEITHER)
    if at_home:
        # A national number in use would begin with its trunk prefix, where there is one.
        if here is not Standing.VALID or (there is Standing.VALID and _has_trunk_prefix(region)):
            return digits
    elif not here and there is Standing.VALID:
        return digits
    elif here is Standing.VALID and there is Standing.POSSIBLE:
        return national
    elif not here:
        raise ContactError(field, _NEITHER)
    raise ContactError(field, _TWO_READINGS)


@cache
def _writes_brackets(region: str, size: int) -> bool:
    """Whether numbers of the region begin with an area code of so many digits in parentheses."""
    example = phonenumbers.example_number(region)
    if example is None:
        return False
    written = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.NATIONAL)
    return written.startswith(f"({phonenumbers.national_significant_number(example)[:size]})")


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


def _choose_after_zeros(field: str, behind: str, dialled: str) -> str:
    """Return the number after a written 00, or the one in use that the region dials by it."""
    code = _code_of(behind)
    if code and not standing(behind) and standing(_without_prefix(behind)) is Standing.VALID:
        raise ContactError(field, _prefix_fault(code, " and write a + in place of the 00"))
    in_use = standing(dialled) is Standing.VALID
    return _choose_dialled(field, {behind, dialled} if in_use else {behind})


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


def _has_possible_count(digits: str) -> bool:
    reason = phonenumbers.is_possible_number_with_reason(_number(digits))
    return reason == _POSSIBLE and len(digits) <= MAX_DIGITS


def _why_impossible(digits: str) -> str | None:
    """Return why no plan allows the digits; None where one does."""
    if OLD_MEXICAN.fullmatch(digits):
        return None
    code = _code_of(digits)
    if code is None:
        return "does not start with a country code that exists"
    if len(digits) == len(code):
        return "has nothing after its country code"
    if _is_valid(digits):
        return None
    possible = _has_possible_count(digits)
    if _has_prefix(code, digits[len(code) :], possible=possible):
        return _prefix_fault(code)
    return None if possible else "has too few or too many digits for its country"


def _prefix_fault(code: str, more: str = "") -> str:
    prefix = _MORE_PREFIXES.get(code) or _trunk_prefix(code)
    return (
        f"has a prefix after the country code that is dialled at home only, such as {prefix}; "
        f"leave it out{more}"
    )


def _has_prefix(code: str, national: str, *, possible: bool) -> bool:
    """Whether the digits after a country code begin as they would when dialled at home."""
    if not _dialling_prefix(code).match(national):
        return False
    if _behind_prefix(code, national) != national or _forgotten_prefix(code).match(national):
        return True
    # The library leaves a prefix where what follows has no possible count of digits.
    begins = possible and national.startswith((_trunk_prefix(code), "0"))
    return begins and (not _is_known(code, national) or _without_zeros(code, national) != national)


def _behind_prefix(code: str, national: str) -> str:
    """Return the digits after a country code without a prefix that is dialled at home only."""
    if code == "52" and _MEXICAN_PREFIX.match(national):
        return national[-10:]
    try:
        parsed = phonenumbers.parse(f"+{code}{national}")
    except phonenumbers.NumberParseException:
        return national
    return str(phonenumbers.national_significant_number(parsed))


def _without_prefix(digits: str) -> str:
    """Return the whole number without what is dialled at home only after its country code.

    Nothing where there is no such prefix.
    """
    code = _code_of(digits) or ""
    national = digits[len(code) :]
    if not _dialling_prefix(code).match(national):
        return ""
    behind = _behind_prefix(code, national)
    if behind == national:
        behind = _without_zeros(code, national)
    return "" if behind == national else f"{code}{behind}"


def _without_zeros(code: str, national: str) -> str:
    """Return the number in use that is left without some of the zeros that it begins with."""
    zeros = len(national) - len(national.lstrip("0"))
    for count in range(1, zeros + 1):
        rest = national[count:]
        if rest and _is_valid(f"{code}{rest}"):
            return rest
    return national


@cache
def _forgotten_prefix(code: str) -> re.Pattern[str]:
    return re.compile(_FORGOTTEN.get(code, "(?!)"))


def _is_valid(digits: str) -> bool:
    """Whether the number is in a range that is in use."""
    code = _code_of(digits) or ""
    # The library would find the first as well, in four times as long.
    return _is_known(code, digits[len(code) :]) and phonenumbers.is_valid_number(_number(digits))


def _is_known(code: str, national: str) -> bool:
    return any(known.fullmatch(national) for known in _patterns(code))


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
    known = "0" if plan is None else f"0|{plan.national_prefix_for_parsing or '0'}"
    return re.compile(f"{_FORGOTTEN[code]}|{known}" if code in _FORGOTTEN else known)


def load_plans() -> None:
    """Read the numbering plans of all countries into memory: about 50 ms, once per process.

    The library reads a country's plan at its first number, and keeps a lock for ever where that
    fails, such as for want of a file descriptor.
    """
    phonenumbers.PhoneMetadata.load_all()
