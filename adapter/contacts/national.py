"""Resolve digits that were written without a +: a national or an international number.

Digits with two different valid readings are refused, never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from itertools import accumulate
from typing import Final

import phonenumbers

from adapter.contacts.errors import ContactError
from adapter.contacts.numbering import (
    IS_POSSIBLE,
    MAX_DIGITS,
    Validity,
    country_code_of,
    describe_national_prefix,
    to_phone_number,
    validity,
    without_national_prefix,
)

_OLD_BRAZILIAN: Final = re.compile(r"55[1-9]{2}[6-9][0-9]{7}")
"""Brazilian mobiles before 2016, without the ninth digit."""
_NATIONAL_GROUPS: Final[dict[str, set[tuple[int, ...]]]] = {
    "55": {(2, 5, 4), (2, 4, 4), (2, 1, 4, 4)},
    "1": {(3, 3, 4), (3, 7)},
}
"""Counts of digits between separators in national numbers of Brazil and North America."""
_AMBIGUOUS_PREFIX: Final = (
    "starts with either a prefix for calls abroad or a country code, and the two readings differ; "
    "write it with a leading + and its country code"
)
_AMBIGUOUS: Final = (
    "can be read as a national or as an international number, and the two readings differ; "
    "write it with a leading + and its country code"
)
_IMPOSSIBLE: Final = "is not a possible national number; start an international one with +"


def is_grouped_internationally(digits: str, groups: Sequence[str], region: str | None) -> bool:
    """Whether a number in these groups, written without a +, may be an international one.

    It may if the first group is the country code, or if the first group ends where the plan's own
    format has a gap. `202-555-0143` meets neither condition: Egypt's code is 20. Without a region,
    the number must also be in use, and must not be grouped like a national number of Brazil or
    North America. With a region of North America, only groups of three, three and four digits
    count as national.
    """
    if len(groups) == 1:
        return True
    sizes = tuple(map(len, groups))
    if region is None:
        if validity(digits) is not Validity.VALID:
            return False
        home = next((code for code, forms in _NATIONAL_GROUPS.items() if sizes in forms), None)
    else:
        american = phonenumbers.country_code_for_region(region) == 1
        home = "1" if american and sizes == (3, 3, 4) else None
    is_first = groups[0] == country_code_of(digits)
    if home is not None and (not is_first or validity(f"{home}{digits}") is Validity.VALID):
        return False
    if is_first:
        return True
    if validity(digits) is not Validity.VALID:
        return False
    international = phonenumbers.PhoneNumberFormat.INTERNATIONAL
    written = phonenumbers.format_number(to_phone_number(digits), international)
    return len(groups[0]) in accumulate(map(len, re.findall("[0-9]+", written)))


def require_unbroken_code(field: str, number: str, digits: str, groups: Sequence[str]) -> None:
    """Raise ContactError if the country code of `number` is composed of two groups.

    `+8 (495) 123-45-67` is a common writing of a number in Moscow; 84 is Vietnam. `digits` are the
    written digits, in these groups; a prefix for calls abroad may precede the number. A code that
    is written digit by digit (`+5 5 11 …`) is accepted.
    """
    if len(groups) == 1 or not digits.endswith(number):
        return
    start = len(digits) - len(number)
    code = range(start + 1, start + len(country_code_of(number) or ""))
    gaps = set(accumulate(map(len, groups)))
    if code.stop not in gaps and not gaps.isdisjoint(code):
        raise ContactError(
            field, "has a gap within its country code; write the country code without a gap"
        )


def parse_national(
    field: str, digits: str, region: str, *, groups: Sequence[str], parenthesized: str
) -> str:
    """Return the international number that digits without a + stand for in a region.

    `groups` are the digits between separators, `parenthesized` those in parentheses at the start.

    If a national and an international reading are both possible and differ, the digits are refused,
    with these exceptions:

    - A whole number of the region itself is kept, since WhatsApp's ids have no +.
    - A national number in use takes precedence over a foreign one that merely has a possible count
      of digits.
    - A prefix for calls abroad without zeros, such as Finland's 99x, may also start an id of
      WhatsApp. An id in use is kept if the call would not reach a possible number.
    - A country code in parentheses is read as an area code only if the plan writes such numbers
      that way, or if there is no international reading.

    Raises ContactError.
    """
    code = country_code_of(digits)
    own_code = digits.startswith(str(phonenumbers.country_code_for_region(region)))
    may_be_foreign = parenthesized in ("", code) and (
        own_code or is_grouped_internationally(digits, groups, region)
    )
    national, dialled_abroad = _dial(digits, region)
    if digits.startswith("00"):
        return _resolve_zeros(field, digits[2:], national)
    if dialled_abroad:
        unchanged = validity(digits)
        if not unchanged:
            return _require_single(field, {national})
        if (
            parenthesized
            or not may_be_foreign
            or unchanged is not Validity.VALID
            or validity(national) is Validity.VALID
        ):
            raise ContactError(field, _AMBIGUOUS_PREFIX)
        return digits
    here = _validity_of_person(national)
    if national == digits and here:
        return digits
    abroad = _validity_of_person(digits) if may_be_foreign else Validity.IMPOSSIBLE
    if parenthesized and parenthesized == code:
        in_use = here is Validity.VALID or _OLD_BRAZILIAN.fullmatch(national)
        if in_use and (not abroad or _parenthesizes_area_codes(region, len(parenthesized))):
            return national
        if abroad:
            raise ContactError(field, _AMBIGUOUS)
        here = Validity.IMPOSSIBLE
    if not abroad:
        if may_be_foreign and code is not None:
            stripped = without_national_prefix(digits)
            known = Validity.IMPOSSIBLE if stripped == national else validity(stripped)
            has_code = own_code or groups[0] == code
            if known is here is Validity.VALID and not has_code:
                raise ContactError(field, _AMBIGUOUS)
            if known is Validity.VALID or (known and here is not Validity.VALID and has_code):
                raise ContactError(field, describe_national_prefix(code, " and start with +"))
        if here is Validity.VALID or (here and not own_code):
            return national
        raise ContactError(field, _IMPOSSIBLE)
    if own_code:
        # In a region with a trunk prefix, a national number in use would start with it.
        if here is not Validity.VALID or (abroad is Validity.VALID and _has_trunk_prefix(region)):
            return digits
    elif not here and abroad is Validity.VALID:
        return digits
    elif here is Validity.VALID and abroad is Validity.POSSIBLE:
        return national
    elif not here:
        raise ContactError(field, _IMPOSSIBLE)
    raise ContactError(field, _AMBIGUOUS)


def _dial(digits: str, region: str) -> tuple[str, bool]:
    """Return the number that the digits reach when dialled in the region.

    It is empty if a national prefix follows a country code. The second value is whether the digits
    start with the region's prefix for calls abroad.
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


def _resolve_zeros(field: str, rest: str, dialled: str) -> str:
    """Return the number after a written 00, or the one in use that the region dials with it."""
    code = country_code_of(rest)
    if code and not validity(rest) and validity(without_national_prefix(rest)) is Validity.VALID:
        raise ContactError(field, describe_national_prefix(code, " and write + instead of the 00"))
    in_use = validity(dialled) is Validity.VALID
    return _require_single(field, {rest, dialled} if in_use else {rest})


def _require_single(field: str, candidates: set[str]) -> str:
    """Return the only candidate of the highest validity; raise ContactError otherwise."""
    known = {number: validity(number) for number in candidates}
    for level in (Validity.VALID, Validity.POSSIBLE):
        found = [number for number, reached in known.items() if reached is level]
        if len(found) == 1:
            return found[0]
        if found:
            raise ContactError(field, _AMBIGUOUS_PREFIX)
    raise ContactError(
        field,
        "is not a possible number after its prefix for calls abroad; write + instead of the prefix",
    )


def _validity_of_person(digits: str) -> Validity:
    """Return the validity, without counts of digits that a country has for services alone."""
    found = validity(digits)
    if found is Validity.POSSIBLE:
        code = country_code_of(digits) or ""
        if len(digits) - len(code) not in _personal_counts(code):
            return Validity.IMPOSSIBLE
    return found


@cache
def _personal_counts(code: str) -> frozenset[int]:
    """Return the counts of digits of a country's mobile and landline numbers, without its code."""
    kinds = (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE)
    return frozenset(
        count
        for count in range(1, MAX_DIGITS + 1)
        for number in [phonenumbers.PhoneNumber(int(code), 10 ** (count - 1))]
        for kind in kinds
        if phonenumbers.is_possible_number_for_type_with_reason(number, kind) == IS_POSSIBLE
    )


@cache
def _parenthesizes_area_codes(region: str, size: int) -> bool:
    """Whether the region's plan writes area codes of that many digits in parentheses."""
    example = phonenumbers.example_number(region)
    if example is None:
        return False
    written = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.NATIONAL)
    return written.startswith(f"({phonenumbers.national_significant_number(example)[:size]})")


def _has_trunk_prefix(region: str) -> bool:
    plan = phonenumbers.PhoneMetadata.metadata_for_region(region)
    return plan is not None and plan.national_prefix is not None
