"""Numbering plans: valid and impossible numbers, and national prefixes."""

from __future__ import annotations

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.contacts import (
    REGIONS,
    error_for,
    examples,
    is_valid_unchanged,
    numbering_plan,
    parse_number,
)

from adapter.contacts import numbering

HOME_PREFIX_OF_LITHUANIA = str(numbering_plan("LT").national_prefix)
"""0 since 2024, and 8 in older tables."""


@given(
    st.sampled_from(sorted(numbering._COUNTRY_CODES)),
    st.from_regex(r"[0-9]{1,14}", fullmatch=True),
)
def test_a_count_of_digits_is_possible_as_in_phonenumbers(code: str, national: str) -> None:
    length = len(national.lstrip("0")) or 1
    number = phonenumbers.PhoneNumber(int(code), int(national))
    reason = phonenumbers.is_possible_number_with_reason(number)
    assert numbering._is_possible_length(code, length) is (reason == numbering.IS_POSSIBLE)


@pytest.mark.parametrize("region", REGIONS)
def test_a_valid_number_is_accepted_in_every_notation(region: str) -> None:
    for digits, example in examples(region):
        international = phonenumbers.PhoneNumberFormat.INTERNATIONAL
        written = phonenumbers.format_number(example, international).replace("/", " ")
        for text in (digits, f"+{digits}", f"00{digits}", written):
            assert parse_number(text) == digits
        assert parse_number(f"+{digits}", "BR") == parse_number(f"+{digits}", region) == digits


@pytest.mark.parametrize("region", REGIONS)
def test_an_id_of_whatsapp_is_unchanged_in_its_own_region(region: str) -> None:
    for digits, _ in examples(region):
        assert parse_number(digits, region) == digits


@pytest.mark.parametrize("region", REGIONS)
def test_a_national_number_is_resolved_correctly_or_refused(region: str) -> None:
    for digits, example in examples(region):
        written = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.NATIONAL)
        significant = phonenumbers.national_significant_number(example)
        assert parse_number(f"({significant[:2]}) {significant[2:]}", region) in (digits, None)
        for text in (written, significant):
            assert parse_number(text, region) in (digits, None)
            if text.startswith(("0", "(")) and "/" not in text:  # a slash may separate two numbers
                assert parse_number(text, region) == digits
                assert parse_number(text) is None


@pytest.mark.parametrize("region", REGIONS)
def test_a_national_prefix_after_the_country_code_is_refused(region: str) -> None:
    plan = numbering_plan(region)
    for digits, example in examples(region):
        code = str(example.country_code)
        if plan.national_prefix is None:
            continue
        national = plan.national_prefix + digits.removeprefix(code)
        if is_valid_unchanged(int(code), national):  # as an 8 of Russia's is in 8 800 …
            assert parse_number(f"+{code}{national}") == f"{code}{national}"
            continue
        for text in (f"+{code}{national}", f"00{code} {national}", f"{code}{national}"):
            assert parse_number(text) is None
        reason = phonenumbers.is_possible_number_with_reason(example)
        if reason == phonenumbers.ValidationResult.IS_POSSIBLE:  # Canada has some without an area
            assert "national prefix" in error_for(f"+{code} {national}")


@pytest.mark.parametrize(
    ("text", "prefix"),
    [
        ("+49 (0)171 3920012", "0"),
        ("+49 0171 3920012", "0"),
        ("+44 (0) 7911 123456", "0"),
        ("+55 0 11 99999-9999", "0"),
        ("+55 (011) 99999-9999", "0"),
        ("+55 0 15 11 99999-9999", "0"),
        ("+55 90 11 99999-9999", "0"),
        ("+7 8 495 123-45-67", "8"),
        ("+7 8 (912) 345-67-89", "8"),
        ("+7 8 701 234 5678", "8"),
        ("+375 8 029 491 19 11", "8"),
        ("+370 8 612 34567", HOME_PREFIX_OF_LITHUANIA),
        ("+993 8 66 123456", "8"),
        ("+36 06 30 123 4567", "06"),
        ("+1 1 415 555 2671", "1"),
        ("+54 0 11 2345-6789", "15"),
        ("+54 11 15 2345-6789", "15"),
        ("+52 01 55 1234 5678", "01"),
        ("+52 044 55 1234 5678", "044"),
        ("+52 045 55 1234 5678", "045"),
        ("+57 03 321 1234567", "0"),
        ("+61 0 412 345 678", "0"),
        ("+81 0 90 1234 5678", "0"),
        ("+54 15 2345 6789", "15"),
        ("+54 9 15 2345 6789", "15"),
        ("+62 0 812 3456 789", "0"),
        ("+62 00 812 3456 789", "0"),
        ("+62 001 812 345 678", "0"),
        ("+39 (0)347 1234567", "0"),
    ],
)
def test_the_error_for_a_national_prefix_names_the_prefix(text: str, prefix: str) -> None:
    message = error_for(text)
    assert "remove the prefix" in message
    assert prefix in message
    assert error_for(text, "BR").startswith(message)


@pytest.mark.parametrize(
    "number",
    [
        pytest.param("5215512345678", id="Mexico, with the 1 that WhatsApp keeps"),
        pytest.param("525512345678", id="Mexico, without it"),
        pytest.param("5491123456789", id="Argentina, with the 9"),
        pytest.param("541123456789", id="Argentina, without it"),
        pytest.param("5511999999999", id="Brazil, with the ninth digit"),
        pytest.param("551199999999", id="Brazil, without it"),
        pytest.param("390612345678", id="Italy, whose 0 is a part of the number"),
        pytest.param("78005553535", id="Russia, where 8 begins a number as well"),
        pytest.param("2250102030405", id="Ivory Coast, whose 0 is a part of the number"),
        pytest.param("24106031234", id="Gabon, whose 0 was a part of the number"),
    ],
)
def test_digits_that_merely_look_like_a_national_prefix_are_kept(number: str) -> None:
    assert parse_number(f"+{number}") == parse_number(number) == number


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("+0055 11 99999-9999", "0 in place of the country code"),
        ("+0171 3920012", "0 in place of the country code"),
        ("+2100000000000", "an existing country code"),
        ("+55", "nothing after its country code"),
        ("+54 9 11 15 2345-6789", "too few or too many"),
        ("+5", "an existing country code"),
        ("+52 1 000 000 0000", "too few or too many"),
        ("5210000000000", "too few or too many"),
        ("5211512345678", "too few or too many"),
        ("+22507000001", "too few or too many"),
        ("+55119999999999", "too few or too many"),
        ("+1 555 0143", "too few or too many"),
        ("+4912345678901234", "too few or too many"),
        ("+", "no digits"),
    ],
)
def test_an_impossible_number_is_refused_with_the_reason(text: str, reason: str) -> None:
    assert reason in error_for(text)


REMEDY = "; write + and the country code, or set default_region in the configuration"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("11999999999", "is not an international number"),
        ("11 99999-9999", "is a national number and has no country code"),
        ("999999999", "is not an international number: it does not start with an existing country"),
        ("55119999999999", "is not an international number: it has too few or too many digits"),
    ],
)
def test_digits_without_a_mark_get_the_remedy_for_a_national_number(
    text: str, message: str
) -> None:
    assert error_for(text).startswith(message)
    assert "+ and the country code" in error_for(text)
    assert "remove the prefix" not in error_for(text)
    assert REMEDY not in error_for(f"+{text}")
    assert REMEDY not in error_for(f"00{text}")


def test_a_whole_number_with_a_national_prefix_keeps_its_remedy() -> None:
    assert error_for("4901713920012").endswith("remove the prefix and start with +")
    assert error_for("+4901713920012").endswith("remove the prefix")
