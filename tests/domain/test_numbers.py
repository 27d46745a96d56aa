"""Contacts by phone number: accepted and refused texts, and digits that are never rewritten."""

# ruff: noqa: RUF001 - the characters of other scripts are what is tested

from __future__ import annotations

import re

import phonenumbers
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from support.contacts import BRAZIL, is_valid_unchanged, parse_or_error, possible_numbers

from adapter.contacts import MAX_TEXT, Contact, ContactError


@pytest.mark.parametrize(
    "text",
    [
        "5511999999999",
        "+5511999999999",
        "005511999999999",
        "+55 11 99999-9999",
        "+55 (11) 99999-9999",
        "+55.11.99999.9999",
        "  55 11 9 9999 9999  ",
        "00 55 (11) 99999-9999",
        "(+55) 11 99999-9999",
    ],
)
def test_an_international_number_is_parsed_with_any_punctuation(text: str) -> None:
    assert Contact.parse(number=text) == Contact(number=BRAZIL)


@pytest.mark.parametrize(
    "digits",
    [
        pytest.param("551199999999", id="an old Brazilian mobile of eight digits"),
        pytest.param("5511999999999", id="a Brazilian mobile with the ninth digit"),
        pytest.param("551133334444", id="a Brazilian landline"),
        pytest.param("5215512345678", id="a Mexican mobile with its old 1"),
        pytest.param("525512345678", id="a Mexican mobile without it"),
        pytest.param("5491123456789", id="an Argentine mobile with its 9"),
        pytest.param("541123456789", id="an Argentine number without it"),
        pytest.param("390612345678", id="an Italian landline keeps its 0"),
        pytest.param("15005550006", id="a North American number that is unassigned"),
        pytest.param("447911123456", id="a British mobile"),
        pytest.param("4915112345678", id="a German mobile"),
    ],
)
@pytest.mark.parametrize("shape", ["{}", "+{}", "00{}"])
def test_a_possible_number_is_kept_digit_for_digit(digits: str, shape: str) -> None:
    assert Contact.parse(number=shape.format(digits)).number == digits


@given(
    area=st.sampled_from(["11", "21", "31", "41", "51", "61", "71", "81", "91"]),
    first=st.sampled_from("6789"),
    rest=st.text(alphabet="0123456789", min_size=7, max_size=7),
)
def test_the_brazilian_ninth_digit_is_neither_added_nor_removed(
    area: str, first: str, rest: str
) -> None:
    for local in (first + rest, "9" + first + rest):
        number = f"55{area}{local}"
        assert Contact.parse(number=f"+{number}").number == number
        assert Contact.parse(jid=f"{number}@s.whatsapp.net").number == number
        assert Contact.parse(number=f"({area}) {local}", default_region="BR").number == number
        bare = parse_or_error(number=f"{area}{local}", default_region="BR")
        # Digits alone may belong to another country too, such as Peru (code 51). Mobiles of eight
        # digits are no longer in use, so that neither plan has a valid number.
        assert isinstance(bare, ContactError) or bare.number == number
        assert isinstance(bare, Contact) or area in ("51", "81") or len(local) == 8


@given(possible_numbers())
def test_the_digits_of_no_country_are_rewritten(number: str) -> None:
    for found in (
        parse_or_error(number=f"+{number}"),
        parse_or_error(number=number),
        parse_or_error(jid=f"{number}@c.us"),
    ):
        assert isinstance(found, ContactError) or found == Contact(number=number)


@pytest.mark.parametrize("region", sorted(phonenumbers.SUPPORTED_REGIONS - {"TA"}))
def test_the_example_mobile_number_of_every_country_is_accepted(region: str) -> None:
    example = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
    assert example is not None
    written = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
    assert Contact.parse(number=written).number == re.sub(r"\D", "", written)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("   ", id="only separators"),
        pytest.param("+", id="only a plus"),
        pytest.param("00", id="only the international prefix"),
        pytest.param("5511999", id="seven digits"),
        pytest.param("+5511999", id="seven digits after the plus"),
        pytest.param("5511999999999999", id="sixteen digits"),
        pytest.param("011 99999-9999", id="national, and no default region"),
        pytest.param("++5511999999999", id="two plus signs"),
        pytest.param("55+11999999999", id="a plus in the middle"),
        pytest.param("5511999999999+", id="a plus at the end"),
        pytest.param("55\n11999999999", id="a newline inside"),
        pytest.param("5511999999999\0", id="a NUL"),
        pytest.param("\0", id="nothing but a NUL"),
        pytest.param("../5511999999999", id="a path upwards"),
        pytest.param("5511999999999/../admin", id="a path upwards behind the number"),
        pytest.param("5511999999999%0a", id="percent escapes"),
        pytest.param("５５１１９９９９９９９９９", id="full-width digits"),
        pytest.param("+５５11999999999", id="some full-width digits"),
        pytest.param("٥٥١١٩٩٩٩٩٩٩٩٩", id="Arabic-Indic digits"),
        pytest.param("5511999999999²", id="a superscript"),
        pytest.param("＋5511999999999", id="a full-width plus"),
        pytest.param("1-800-FLOWERS", id="letters on the keypad"),
        pytest.param("+55 11 99999-9999 ext. 5", id="an extension"),
        pytest.param("5511999999999@s.whatsapp.net", id="a JID in the wrong field"),
        pytest.param("5.5e12", id="an exponent"),
        pytest.param("-5511999999999x", id="a letter at the end"),
        pytest.param("+9991234567890", id="a country code that does not exist"),
        pytest.param("+2100000000000", id="a country code that is not assigned"),
        pytest.param("+55119999999999", id="one digit too many for Brazil"),
        pytest.param("+5511 99999", id="too few digits for Brazil"),
        pytest.param("+1500555000", id="too few digits for North America"),
        pytest.param("+150055500066", id="too many digits for North America"),
        pytest.param("+5501199999999", id="a trunk zero after Brazil's code"),
        pytest.param("+4407911123456", id="a trunk zero after Britain's code"),
        pytest.param("+44 (0) 7911 123456", id="a trunk zero in parentheses"),
        pytest.param("+49 (0) 151 12345678", id="a trunk zero after Germany's code"),
        pytest.param("0", id="a zero"),
        pytest.param("1" * 10_000, id="ten thousand digits"),
        pytest.param(" " * 10_000 + "5511999999999", id="ten thousand spaces"),
    ],
)
def test_a_text_that_is_not_an_international_number_is_refused(text: str) -> None:
    with pytest.raises(ContactError) as caught:
        Contact.parse(number=text)
    assert list(caught.value.fields) == ["number"]


def test_a_number_of_the_maximum_length_is_accepted_and_a_longer_one_refused() -> None:
    padded = "5511999999999".rjust(MAX_TEXT)
    assert Contact.parse(number=padded).number == BRAZIL
    with pytest.raises(ContactError):
        Contact.parse(number=" " + padded)


def test_the_plan_sets_the_minimum_of_digits_and_fifteen_is_the_maximum() -> None:
    assert Contact.parse(number="+690 7290").number == "6907290"  # Tokelau
    assert Contact.parse(number="6907290").number == "6907290"
    assert Contact.parse(jid="6907290@s.whatsapp.net").number == "6907290"
    assert Contact.parse(number="+290 51234").number == "29051234"  # Saint Helena
    assert Contact.parse(number="+49 1234567890123").number == "491234567890123"


@pytest.mark.parametrize(
    ("text", "region", "digits"),
    [
        ("11 99999-9999", "BR", "5511999999999"),
        ("(11) 9999-9999", "BR", "551199999999"),
        ("011 99999-9999", "BR", "5511999999999"),
        ("07911 123456", "GB", "447911123456"),
        ("0151 12345678", "DE", "4915112345678"),
        ("(201) 555-0123", "US", "12015550123"),
        ("06 1234 5678", "IT", "390612345678"),
    ],
)
def test_a_national_number_gets_the_code_of_the_default_region(
    text: str, region: str, digits: str
) -> None:
    assert Contact.parse(number=text, default_region=region).number == digits


@pytest.mark.parametrize("text", ["+5511999999999", "005511999999999", "+55 (11) 99999-9999"])
@pytest.mark.parametrize("region", ["BR", "US", "GB", "IT"])
def test_the_default_region_does_not_apply_to_an_international_number(
    text: str, region: str
) -> None:
    assert Contact.parse(number=text, default_region=region).number == BRAZIL


@pytest.mark.parametrize(
    "text", ["1", "999", "119999", "１１９９９９９９９９９", "11\n999999999", "a"]
)
def test_the_default_region_is_named_when_a_national_number_is_refused(text: str) -> None:
    with pytest.raises(ContactError) as caught:
        Contact.parse(number=text, default_region="BR")
    assert "BR" in caught.value.fields["number"][0]


def is_possible_by_parser(digits: str) -> bool:
    """Whether the parser of phonenumbers accepts the digits unchanged as a possible number."""
    try:
        parsed = phonenumbers.parse(f"+{digits}")
    except phonenumbers.NumberParseException:
        return False
    possible = phonenumbers.is_possible_number_with_reason(parsed)
    whole = f"{parsed.country_code}{phonenumbers.national_significant_number(parsed)}"
    return whole == digits and possible == phonenumbers.ValidationResult.IS_POSSIBLE


COUNTRY_CODES = sorted(map(str, phonenumbers.COUNTRY_CODE_TO_REGION_CODE))


@given(
    digits=st.one_of(
        st.from_regex(r"[0-9]{8,15}", fullmatch=True),
        st.tuples(
            st.sampled_from(COUNTRY_CODES), st.from_regex(r"[0-9]{4,13}", fullmatch=True)
        ).map("".join),
    )
)
def test_the_fast_path_accepts_what_the_parser_accepts(digits: str) -> None:
    assume(len(digits) <= 15)
    assume(not re.fullmatch(r"521[0-9]{10}", digits))  # dropped from the plan, kept here
    taken = isinstance(parse_or_error(number=f"+{digits}"), Contact)
    if taken != is_possible_by_parser(digits):
        # The parser drops a prefix of a number that is valid with it, keeps a national prefix if
        # too few digits follow, and lacks Canada's numbers without an area code.
        national = digits.removeprefix(str(phonenumbers.parse(f"+{digits}").country_code))
        assert taken == is_valid(digits)
        assert taken or national.startswith(("0", "1", "8"))


def is_valid(digits: str) -> bool:
    code = next(digits[:size] for size in (1, 2, 3) if digits[:size] in COUNTRY_CODES)
    return is_valid_unchanged(int(code), digits[len(code) :])
