"""Texts, numbers and parsing helpers for the tests of contacts."""

from __future__ import annotations

from collections.abc import Iterator

import phonenumbers
import pytest
from hypothesis import strategies as st

from adapter.contacts import Contact, ContactError

BRAZIL = "5511999999999"
BRAZIL_ZEROS = "5511999990001"
"""A number whose last group has zeros, which no formatting may drop."""
GERMANY = "491713920012"
REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
_KINDS = sorted(phonenumbers.PhoneNumberType.values())

texts = st.text(max_size=80)
noise = st.text(alphabet="+0123456789 -().@:cuslidgwhatpne_\n\0/%", max_size=80)
"""Characters of numbers, JIDs and links in any order."""


@st.composite
def possible_numbers(draw: st.DrawFn) -> str:
    """Return an example number of some country with other last digits."""
    region = draw(st.sampled_from(REGIONS))
    example = phonenumbers.example_number(region)
    assert example is not None
    whole = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)[1:]
    tail = draw(st.text(alphabet="0123456789", min_size=2, max_size=2))
    return whole[:-2] + tail


def parse_or_error(**fields: str | None) -> Contact | ContactError:
    """Return the parsed contact, or the error."""
    try:
        return Contact.parse(**fields)
    except ContactError as error:
        return error


def parse_number(text: str, region: str | None = None) -> str | None:
    """Return the number of a text; None if it is refused."""
    try:
        return Contact.parse(number=text, default_region=region).number
    except ContactError:
        return None


def error_for(text: str, region: str | None = None) -> str:
    """Return the message for a number that is refused."""
    with pytest.raises(ContactError) as caught:
        Contact.parse(number=text, default_region=region)
    assert list(caught.value.fields) == ["number"]
    return caught.value.fields["number"][0]


def examples(region: str) -> Iterator[tuple[str, phonenumbers.PhoneNumber]]:
    """Yield an example number of every kind that the region has, with its digits."""
    for kind in _KINDS:
        example = phonenumbers.example_number_for_type(region, kind)
        if example is not None:
            e164 = phonenumbers.PhoneNumberFormat.E164
            yield phonenumbers.format_number(example, e164)[1:], example


def numbering_plan(region: str) -> phonenumbers.PhoneMetadata:
    """Return the metadata of the region, with its prefixes."""
    plan = phonenumbers.PhoneMetadata.metadata_for_region(region)
    assert plan is not None
    return plan


def is_valid_unchanged(code: int, national: str) -> bool:
    """Whether the number is valid without dropping any of its digits."""
    zeros = len(national) - len(national.lstrip("0"))
    number = phonenumbers.PhoneNumber(
        code,
        int(national),
        italian_leading_zero=bool(zeros) or None,
        number_of_leading_zeros=zeros if zeros > 1 else None,
    )
    return phonenumbers.is_valid_number(number)
