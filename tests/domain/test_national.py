"""Digits without a + in a region: national, international or ambiguous."""

from __future__ import annotations

import re

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

IDS = sorted({digits for region in REGIONS for digits, _ in examples(region)})
"""The examples of every country, in the form of WhatsApp's ids."""


CALLED_LIKE_IDS = [
    region
    for region in REGIONS
    if any(map(re.compile(str(numbering_plan(region).international_prefix)).match, IDS))
]
"""Regions whose prefix for calls abroad is also the start of an id of some country."""


@pytest.mark.parametrize(
    ("text", "region", "number"),
    [
        ("491713920012", "DE", "491713920012"),
        ("0171 3920012", "DE", "491713920012"),
        ("(0171) 3920012", "DE", "491713920012"),
        ("1713920012", "DE", "491713920012"),
        ("4915123456789", "DE", "4915123456789"),
        ("4917 1392 0012", "DE", "491713920012"),
        ("436 641 234 567", "AT", "436641234567"),
        ("447911123456", "GB", "447911123456"),
        ("5511999999999", "BR", "5511999999999"),
        ("551133334444", "BR", "551133334444"),
        ("11999999999", "BR", "5511999999999"),
        ("31987654321", "BR", "5531987654321"),
        ("55999999999", "BR", "5555999999999"),  # 55 is an area code, too
        ("5532201234", "BR", "555532201234"),
        ("(55) 99999-9999", "BR", "5555999999999"),
        ("(51) 98765-4321", "BR", "5551987654321"),
        ("45123456", "DK", "4545123456"),
        ("2025550143", "US", "12025550143"),
        ("202-555-0143", "US", "12025550143"),
        ("(647) 555-0143", "CA", "16475550143"),
        ("647-555-0143", "CA", "16475550143"),
        ("267-555-0143", "US", "12675550143"),
        ("8 (495) 123-45-67", "RU", "74951234567"),
        ("79123456789", "RU", "79123456789"),
        ("06 30 123 4567", "HU", "36301234567"),
        ("55 1234 5678", "MX", "525512345678"),
        ("5215512345678", "MX", "5215512345678"),
        ("525512345678", "MX", "525512345678"),
        ("5491123456789", "AR", "5491123456789"),
        ("11 2345-6789", "AR", "541123456789"),
        ("354 555 1234", "IS", "3545551234"),
        # An id of another country's where no national number has as many digits.
        ("491713920012", "BR", "491713920012"),
        ("5511999999999", "US", "5511999999999"),
        ("4915112345678", "IT", "4915112345678"),
        ("tel:0171-3920012", "DE", "491713920012"),
        # An id that begins like the region's prefix for calls abroad.
        ("996312069555", "FI", "996312069555"),
        ("996 312 069 555", "FI", "996312069555"),
        ("994401234567", "KP", "994401234567"),
        ("16847331234", "TD", "16847331234"),
    ],
)
def test_digits_without_a_plus_are_resolved_in_their_region(
    text: str, region: str, number: str
) -> None:
    assert parse_number(text, region) == number


@pytest.mark.parametrize(
    ("text", "region"),
    [
        pytest.param("17139200123", "DE", id="a German mobile, or one in Houston"),
        pytest.param(
            "5511999999999", "DE", id="a Brazilian mobile, or one of Germany's long numbers"
        ),
        pytest.param("51987654321", "BR", id="Porto Alegre, or Peru"),
        pytest.param("51 98765-4321", "BR", id="Porto Alegre, or Peru, with separators"),
        pytest.param("13123456789", "CN", id="a Chinese mobile, or Chicago"),
        pytest.param("2015550123", "US", id="New Jersey, or Egypt"),
        pytest.param("84951234567", "RU", id="Moscow with its trunk 8, or Vietnam"),
        pytest.param("3931234567", "IT", id="an Italian mobile, or a landline with its code"),
        pytest.param("3211234567", "CO", id="a Colombian mobile, or Belgium"),
        pytest.param("(996) 312069555", "FI", id="a call abroad, or Kyrgyzstan in parentheses"),
        pytest.param("9 9631 2069555", "FI", id="a call abroad, or Kyrgyzstan in odd groups"),
    ],
)
def test_ambiguous_digits_are_refused_and_the_error_requests_a_plus(text: str, region: str) -> None:
    message = error_for(text, region)
    assert "leading +" in message
    assert region in message


@pytest.mark.parametrize(
    ("text", "region", "number"),
    [
        ("00 49 171 3920012", "DE", "491713920012"),
        ("0055 11 99999-9999", "BR", "5511999999999"),
        ("00 15 49 171 3920012", "BR", "491713920012"),
        ("00 49 171 3920012", "US", "491713920012"),
        ("011 49 171 3920012", "US", "491713920012"),
        ("011 55 11 99999-9999", "CA", "5511999999999"),
        ("0011 49 171 3920012", "AU", "491713920012"),
        ("010 49 171 3920012", "JP", "491713920012"),
        ("8 10 49 171 3920012", "RU", "491713920012"),
        ("119 49 171 3920012", "CU", "491713920012"),
        ("99 0 49 171 3920012", "FI", "491713920012"),
        ("0021 55 11 99999-9999", "BR", "5511999999999"),
        ("0015 1 415 555 2671", "BR", "14155552671"),
    ],
)
def test_the_regions_prefix_for_calls_abroad_is_accepted(
    text: str, region: str, number: str
) -> None:
    assert parse_number(text, region) == number


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("00 49 (0) 171 3920012", "DE"),
        ("0049 0171 3920012", "BR"),
        ("011 44 (0) 20 7946 0958", "US"),
        ("55 0 11 99999-9999", "BR"),
        ("55 (011) 99999-9999", "BR"),
        ("5501511999999999", "BR"),
        ("54 11 15 2345-6789", "AR"),
        ("7 8 495 123-45-67", "RU"),
    ],
)
def test_a_national_prefix_after_a_country_code_without_a_plus_is_refused(
    text: str, region: str
) -> None:
    assert "+" in error_for(text, region)


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("49 (0) 171 3920012", "DE"),
        ("49-(0)171-3920012", "DE"),
        ("49 0171 3920012", "DE"),
        ("4901713920012", "DE"),
        ("(49) (0)171 3920012", "DE"),
        ("49 (0)171 3920012", "AT"),
        ("43 (0)664 1234567", "AT"),
        ("4306641234567", "AT"),
        ("383 (0) 43201234", "XK"),
        ("44 (0)7911 123456", "DE"),
        ("33 (0)6 12 34 56 78", "DE"),
        ("00994 (0)401234567", "BR"),
        ("00376 (0)312345", "ID"),
        ("00971022345678", "ID"),
    ],
)
def test_the_error_for_a_trunk_prefix_is_the_same_in_every_region(text: str, region: str) -> None:
    message = error_for(text, region)
    assert "national prefix" in message
    assert "+" in message


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("(49) 171 3920012", "DE"),
        ("(62) 812345678", "ID"),
        ("(46) 8123456", "SE"),
        ("(383) 43201234", "XK"),
        ("(44) 7911 123456", "DE"),
        ("(297) 560-1234", "DE"),
    ],
)
def test_a_country_code_in_parentheses_is_ambiguous(text: str, region: str) -> None:
    assert "leading +" in error_for(text, region)
    assert parse_number(text) is None


@pytest.mark.parametrize(
    ("text", "region", "number"),
    [
        ("(51) 98765-4321", "BR", "5551987654321"),
        ("(31) 98765-4321", "BR", "5531987654321"),
        ("(55) 9999-9999", "BR", "555599999999"),
        ("(212) 555-0143", "US", "12125550143"),
        ("(267) 555-0143", "US", "12675550143"),
    ],
)
def test_parentheses_mark_an_area_code_in_plans_that_write_them_so(
    text: str, region: str, number: str
) -> None:
    assert parse_number(text, region) == number


@pytest.mark.parametrize("text", ["({})", " ( {} ) ", "({})."])
def test_parentheses_around_a_whole_number_are_ignored(text: str) -> None:
    for digits in ("491713920012", "5511999990001", "51987654321"):
        for region in (None, "DE", "BR", "PE"):
            assert parse_number(text.format(digits), region) == parse_number(digits, region)


def test_digits_after_00_are_international_or_in_use() -> None:
    assert parse_number("00 690 7290", "ID") == "6907290"
    assert parse_number("0015 971 2 234 5678", "BR") == "97122345678"
    assert parse_number("00 15 0000000", "BR") is None


@pytest.mark.parametrize(
    "text",
    [
        "51 9 8765-4321",
        "51 98765-4321",
        "51.98765.4321",
        "31 98765 4321",
        "53 3225-1234",
        "203-4560143",
        "203 456 0143",
        "40 61 23 45",
        "27 12 34 56",
        "63 123 456",
        "691 234 5678",
    ],
)
def test_an_area_code_is_not_taken_for_a_country_code(text: str) -> None:
    assert "no country code" in error_for(text)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("51 987 654 321", "51987654321"),
        ("20 10 01234567", "201001234567"),
        ("49 171 3920012", "491713920012"),
        ("1 415 555 2671", "14155552671"),
        ("55 11 99999-9999", "5511999999999"),
        ("5511 99999-9999", "5511999999999"),
        ("203-4560143", None),
        ("2034560143", "2034560143"),
    ],
)
def test_an_international_number_in_international_groups_needs_no_plus(
    text: str, number: str | None
) -> None:
    assert parse_number(text) == number


def test_a_prefix_for_calls_abroad_is_valid_only_in_its_region() -> None:
    assert parse_number("011 49 171 3920012") is None
    assert parse_number("010 49 171 3920012") is None


@pytest.mark.parametrize("text", ["555-0143", "5550143", "99999-9999", "999999999", "0", "00"])
@pytest.mark.parametrize("region", ["US", "BR", "MX"])
def test_a_number_without_its_area_code_is_refused(text: str, region: str) -> None:
    message = error_for(text, region)
    assert region in message


HOMES = ["AT", "BR", "CN", "DE", "FI", "GB", "ID", "IN", "IT", "US", "XK"]


@pytest.mark.no_cover
@pytest.mark.slow
@pytest.mark.parametrize("home", [None, *HOMES])
def test_a_country_code_is_never_read_as_part_of_a_national_number(home: str | None) -> None:
    for region in REGIONS:
        trunk = phonenumbers.ndd_prefix_for_region(region, True) or "0"
        for digits, example in list(examples(region))[:3]:
            code = str(example.country_code)
            national = digits.removeprefix(code)
            for text in (
                f"{code} ({trunk}) {national}",
                f"{code}{trunk}{national}",
                f"{code} {trunk}{national}",
                f"00{code} ({trunk}) {national}",
                f"({code}) {national}",
                f"({digits})",
                f"{code} {national}",
            ):
                for where in (home, region):
                    found = parse_number(text, where)
                    if found in (digits, None):
                        continue
                    # Italy's landlines and Ascension's numbers may begin with a 0.
                    begins = found == f"{code}{trunk}{national}"
                    # An area code in parentheses, as the plan of the region writes it.
                    area = text.startswith(f"({code}) ") and where in ("BR", "US")
                    assert begins or area, (text, where)
                    old = re.fullmatch("55[1-9]{2}[6-9][0-9]{7}", found or "")
                    assert old or phonenumbers.is_valid_number(phonenumbers.parse(f"+{found}"))


@pytest.mark.parametrize("region", sorted({*CALLED_LIKE_IDS, "FI", "KP", "TD", "RU", "CU"}))
def test_no_id_of_any_country_is_read_as_a_call_abroad(region: str) -> None:
    assert [digits for digits in IDS if parse_number(digits, region) not in (digits, None)] == []


@given(
    id_=st.sampled_from(IDS),
    tail=st.text(alphabet="0123456789", min_size=4, max_size=4),
    region=st.sampled_from(REGIONS) | st.sampled_from(CALLED_LIKE_IDS),
)
def test_a_valid_id_is_unchanged_or_refused(id_: str, tail: str, region: str) -> None:
    code = phonenumbers.parse(f"+{id_}").country_code
    assert code is not None
    national = id_.removeprefix(str(code))[:-4] + tail
    if is_valid_unchanged(code, national):
        assert parse_number(f"{code}{national}", region) in (f"{code}{national}", None)


@given(
    digits=st.text(alphabet="0123456789", min_size=1, max_size=17),
    region=st.sampled_from(
        ["BR", "US", "DE", "IT", "RU", "MX", "AR", "CN", "DK", "HU", "GB", "JP"]
    ),
)
def test_digits_in_a_region_are_unchanged_or_dialled_in_the_region(
    digits: str, region: str
) -> None:
    found = parse_number(digits, region)
    if found is None or found == digits or digits == f"00{found}":
        return
    dialled = phonenumbers.parse(digits, region)
    assert found == phonenumbers.format_number(dialled, phonenumbers.PhoneNumberFormat.E164)[1:]


@given(st.data())
def test_two_valid_readings_abroad_are_refused(data: st.DataObject) -> None:
    region = data.draw(st.sampled_from(REGIONS))
    kinds = list(examples(region))
    digits, example = data.draw(st.sampled_from(kinds))
    home = data.draw(st.sampled_from(REGIONS))
    code = str(phonenumbers.country_code_for_region(home))
    if digits.startswith(code):
        return
    try:
        national = phonenumbers.parse(digits, home)
    except phonenumbers.NumberParseException:
        return
    whole = phonenumbers.format_number(national, phonenumbers.PhoneNumberFormat.E164)[1:]
    assert example.country_code is not None
    if phonenumbers.is_valid_number(national) and whole != digits:
        assert parse_number(digits, home) is None
    else:
        assert parse_number(digits, home) in (digits, None)
