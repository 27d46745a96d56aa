"""Numbering plans: what is dialled at home, and what digits without a + mean in a region."""

from __future__ import annotations

import re
from collections.abc import Iterator

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.contacts.contact import Contact, ContactError

REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
KINDS = sorted(phonenumbers.PhoneNumberType.values())


def metadata_of(region: str) -> phonenumbers.PhoneMetadata:
    found = phonenumbers.PhoneMetadata.metadata_for_region(region)
    assert found is not None
    return found


def parse(text: str, region: str | None = None) -> str | None:
    """Return the number that a text is; None where it is refused."""
    try:
        return Contact.parse(number=text, default_region=region).number
    except ContactError:
        return None


def why_not(text: str, region: str | None = None) -> str:
    with pytest.raises(ContactError) as caught:
        Contact.parse(number=text, default_region=region)
    return caught.value.fields["number"][0]


def examples(region: str) -> Iterator[tuple[str, phonenumbers.PhoneNumber]]:
    """Yield an example number of every kind that the region has, with its digits."""
    for kind in KINDS:
        example = phonenumbers.example_number_for_type(region, kind)
        if example is not None:
            yield (
                phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)[1:],
                example,
            )


def is_valid_as_it_is(code: int, national: str) -> bool:
    zeros = len(national) - len(national.lstrip("0"))
    number = phonenumbers.PhoneNumber(
        code,
        int(national),
        italian_leading_zero=bool(zeros) or None,
        number_of_leading_zeros=zeros if zeros > 1 else None,
    )
    return phonenumbers.is_valid_number(number)


# --- every region's example numbers


IDS = sorted({digits for region in REGIONS for digits, _ in examples(region)})
"""The examples of every country, as WhatsApp writes its ids."""

CALLED_LIKE_IDS = [
    region
    for region in REGIONS
    if any(
        map(
            re.compile(str(metadata_of(region).international_prefix)).match,
            IDS,
        )
    )
]
"""Regions where a prefix for calls abroad begins an id of some country."""

HOME_PREFIX_OF_LITHUANIA = str(metadata_of("LT").national_prefix)
"""0 since 2024, and 8 in older tables."""


@pytest.mark.parametrize("region", REGIONS)
def test_a_valid_number_is_never_refused_however_it_is_written(region: str) -> None:
    for digits, example in examples(region):
        international = phonenumbers.PhoneNumberFormat.INTERNATIONAL
        written = phonenumbers.format_number(example, international).replace("/", " ")
        for text in (digits, f"+{digits}", f"00{digits}", written):
            assert parse(text) == digits
        assert parse(f"+{digits}", "BR") == parse(f"+{digits}", region) == digits


@pytest.mark.parametrize("region", REGIONS)
def test_an_id_of_whatsapps_stays_as_it_is_in_its_own_region(region: str) -> None:
    for digits, _ in examples(region):
        assert parse(digits, region) == digits


@pytest.mark.parametrize("region", REGIONS)
def test_a_national_number_is_its_own_or_refused_and_never_somebody_else(region: str) -> None:
    for digits, example in examples(region):
        written = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.NATIONAL)
        significant = phonenumbers.national_significant_number(example)
        assert parse(f"({significant[:2]}) {significant[2:]}", region) in (digits, None)
        for text in (written, significant):
            assert parse(text, region) in (digits, None)
            if text.startswith(("0", "(")) and "/" not in text:  # which may stand between two
                assert parse(text, region) == digits
                assert parse(text) is None


@pytest.mark.parametrize("region", REGIONS)
def test_the_prefix_that_is_dialled_at_home_is_refused_after_the_country_code(region: str) -> None:
    plan = phonenumbers.PhoneMetadata.metadata_for_region(region)
    assert plan is not None
    for digits, example in examples(region):
        code = str(example.country_code)
        if plan.national_prefix is None:
            continue
        national = plan.national_prefix + digits.removeprefix(code)
        if is_valid_as_it_is(int(code), national):  # as an 8 of Russia's is in 8 800 …
            assert parse(f"+{code}{national}") == f"{code}{national}"
            continue
        for text in (f"+{code}{national}", f"00{code} {national}", f"{code}{national}"):
            assert parse(text) is None
        reason = phonenumbers.is_possible_number_with_reason(example)
        if reason == phonenumbers.ValidationResult.IS_POSSIBLE:  # Canada has some without an area
            assert "dialled at home" in why_not(f"+{code} {national}")


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
def test_a_prefix_after_the_country_code_is_named_and_never_removed(text: str, prefix: str) -> None:
    message = why_not(text)
    assert "leave it out" in message
    assert prefix in message
    assert why_not(text, "BR").startswith(message)


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
def test_digits_that_look_like_a_prefix_and_are_none_stay(number: str) -> None:
    assert parse(f"+{number}") == parse(number) == number


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("+0055 11 99999-9999", "0 where the country code begins"),
        ("+0171 3920012", "0 where the country code begins"),
        ("+2100000000000", "country code that exists"),
        ("+55", "nothing after its country code"),
        ("+54 9 11 15 2345-6789", "too few or too many"),
        ("+5", "country code that exists"),
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
def test_a_number_that_no_plan_allows_is_refused_with_the_reason(text: str, reason: str) -> None:
    assert reason in why_not(text)


# --- in a region


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
def test_digits_without_a_plus_are_the_regions_or_whole(
    text: str, region: str, number: str
) -> None:
    assert parse(text, region) == number


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
def test_digits_that_can_be_read_in_two_ways_are_refused_with_the_request_for_a_plus(
    text: str, region: str
) -> None:
    message = why_not(text, region)
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
def test_a_regions_own_prefix_for_calls_abroad_is_read(text: str, region: str, number: str) -> None:
    assert parse(text, region) == number


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
def test_a_prefix_that_is_dialled_at_home_is_refused_after_a_country_code_without_a_plus(
    text: str, region: str
) -> None:
    assert "+" in why_not(text, region)


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
def test_a_trunk_prefix_behind_a_country_code_is_named_in_every_region(
    text: str, region: str
) -> None:
    message = why_not(text, region)
    assert "dialled at home only" in message
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
def test_a_country_code_in_parentheses_may_be_an_area_code(text: str, region: str) -> None:
    assert "leading +" in why_not(text, region)
    assert parse(text) is None


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
def test_a_plan_that_writes_area_codes_in_parentheses_means_one(
    text: str, region: str, number: str
) -> None:
    assert parse(text, region) == number


@pytest.mark.parametrize("text", ["({})", " ( {} ) ", "({})."])
def test_parentheses_around_a_whole_number_say_nothing(text: str) -> None:
    for digits in ("491713920012", "5511999990001", "51987654321"):
        for region in (None, "DE", "BR", "PE"):
            assert parse(text.format(digits), region) == parse(digits, region)


def test_what_follows_00_is_international_or_in_use() -> None:
    assert parse("00 690 7290", "ID") == "6907290"
    assert parse("0015 971 2 234 5678", "BR") == "97122345678"
    assert parse("00 15 0000000", "BR") is None


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
def test_an_area_code_that_is_a_country_code_too_makes_nobody_abroad(text: str) -> None:
    assert "no country code" in why_not(text)


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
def test_an_international_number_in_its_own_groups_needs_no_plus(
    text: str, number: str | None
) -> None:
    assert parse(text) == number


def test_a_prefix_for_calls_abroad_is_of_its_region_alone() -> None:
    assert parse("011 49 171 3920012") is None
    assert parse("010 49 171 3920012") is None


@pytest.mark.parametrize("text", ["555-0143", "5550143", "99999-9999", "999999999", "0", "00"])
@pytest.mark.parametrize("region", ["US", "BR", "MX"])
def test_a_number_without_its_area_is_refused(text: str, region: str) -> None:
    message = why_not(text, region)
    assert region in message


# --- properties


HOMES = ["AT", "BR", "CN", "DE", "FI", "GB", "ID", "IN", "IT", "US", "XK"]


@pytest.mark.slow
@pytest.mark.no_cover
@pytest.mark.parametrize("home", [None, *HOMES])
def test_a_country_code_is_never_taken_for_a_part_of_a_national_number(home: str | None) -> None:
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
                    found = parse(text, where)
                    if found in (digits, None):
                        continue
                    # Italy's landlines and Ascension's numbers may begin with a 0.
                    begins = found == f"{code}{trunk}{national}"
                    # The writing of an area code where the plan has it so.
                    area = text.startswith(f"({code}) ") and where in ("BR", "US")
                    assert begins or area, (text, where)
                    old = re.fullmatch("55[1-9]{2}[6-9][0-9]{7}", found or "")
                    assert old or phonenumbers.is_valid_number(phonenumbers.parse(f"+{found}"))


@pytest.mark.slow
@pytest.mark.no_cover
@pytest.mark.parametrize("region", sorted({*CALLED_LIKE_IDS, "FI", "KP", "TD", "RU", "CU"}))
def test_no_id_of_any_country_is_taken_for_a_call_abroad(region: str) -> None:
    assert [digits for digits in IDS if parse(digits, region) not in (digits, None)] == []


@given(
    id_=st.sampled_from(IDS),
    tail=st.text(alphabet="0123456789", min_size=4, max_size=4),
    region=st.sampled_from(REGIONS) | st.sampled_from(CALLED_LIKE_IDS),
)
def test_a_valid_id_is_itself_or_refused_and_nobody_else(id_: str, tail: str, region: str) -> None:
    code = phonenumbers.parse(f"+{id_}").country_code
    assert code is not None
    national = id_.removeprefix(str(code))[:-4] + tail
    if is_valid_as_it_is(code, national):
        assert parse(f"{code}{national}", region) in (f"{code}{national}", None)


@given(
    digits=st.text(alphabet="0123456789", min_size=1, max_size=17),
    region=st.sampled_from(
        ["BR", "US", "DE", "IT", "RU", "MX", "AR", "CN", "DK", "HU", "GB", "JP"]
    ),
)
def test_digits_in_a_region_are_themselves_or_what_the_region_dials(
    digits: str, region: str
) -> None:
    found = parse(digits, region)
    if found is None or found == digits or digits == f"00{found}":
        return
    dialled = phonenumbers.parse(digits, region)
    assert found == phonenumbers.format_number(dialled, phonenumbers.PhoneNumberFormat.E164)[1:]


@given(st.data())
def test_two_valid_readings_are_never_decided_between_but_at_home(data: st.DataObject) -> None:
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
        assert parse(digits, home) is None
    else:
        assert parse(digits, home) in (digits, None)
