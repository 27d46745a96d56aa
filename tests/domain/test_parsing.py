"""The text of a phone number: no digit is added, lost or guessed."""

# ruff: noqa: RUF001 - the characters of other scripts are what is tested

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.contacts import BRAZIL_ZEROS, GERMANY, error_for

from adapter.contacts import MAX_TEXT, Contact, ContactError


@pytest.mark.parametrize(
    "text",
    [
        f"{GERMANY}.0",
        f"{GERMANY}.00",
        f"{GERMANY}.000",
        f"{GERMANY}.5",
        f"+{GERMANY}.0",
        f"'{GERMANY}.0",
        f'"{GERMANY}.0"',
        f" {GERMANY}.0\n",
        "+49 171 3920012.0",
        "551133334444.0000",
        "491.713.920.012.0",
        "491.713.920.012.00",
        "4 917 139 200 12.0",
        f"https://wa.me/{GERMANY}.0",
        f"tel:+{GERMANY}.0",
    ],
)
@pytest.mark.parametrize("region", [None, "DE", "BR"])
def test_a_decimal_point_is_not_a_separator(text: str, region: str | None) -> None:
    message = error_for(text, region)
    assert f"holds U+002E at {text.rindex('.') + 1} " in message
    assert "decimal point" in message


@pytest.mark.parametrize("region", [None, "DE", "BR"])
@pytest.mark.parametrize(
    ("text", "exponent"),
    [("4.91713920012E+11", 14), ("5,51E+12", 5), ("5.5e12", 4), ("5E+12", 2), ("'5,5E+12", 5)],
)
def test_scientific_notation_is_refused_by_name(
    text: str, exponent: int, region: str | None
) -> None:
    message = error_for(text, region)
    assert "scientific notation" in message
    assert f" at {exponent} " in message


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("+55.11.99999.9999", "5511999999999"),
        ("55.11.99999.9999", "5511999999999"),
        ("55.11.99999.0000", "5511999990000"),
        ("+55 11 99999.9999", "5511999999999"),
        ("+55 11 99999.0000", "5511999990000"),
        ("+33.6.12.34.56.78", "33612345678"),
        ("+33.6.12.34.56.00", "33612345600"),
        ("+1.415.555.2671", "14155552671"),
        ("+5511.999999999", "5511999999999"),
        (f"{GERMANY}.", GERMANY),
    ],
)
def test_dots_between_groups_of_digits_are_separators(text: str, number: str) -> None:
    assert Contact.parse(number=text).number == number


def test_dots_between_groups_of_a_national_number_are_separators() -> None:
    assert Contact.parse("11.99999.9999", default_region="BR").number == "5511999999999"
    assert Contact.parse("06.12.34.56.78", default_region="FR").number == "33612345678"
    assert Contact.parse("06.12.34.56.00", default_region="FR").number == "33612345600"


UNSEEN = [
    *("\u00ad", "\u034f", "\u061c", "\u180e", "\u200b", "\u200c", "\u200d", "\u200e", "\u200f"),
    *("\u202a", "\u202b", "\u202c", "\u202d", "\u202e", "\u2060", "\u2066", "\u2067", "\u2068"),
    *("\u2069", "\u206f", "\ufe00", "\ufe0e", "\ufe0f", "\ufeff", "\U000e0100", "\U000e0061"),
]


SPACES = [
    *("\u00a0", "\u1680", "\u2000", "\u2002", "\u2003", "\u2004", "\u2005", "\u2006", "\u2007"),
    *("\u2008", "\u2009", "\u200a", "\u202f", "\u205f", "\u3000"),
]


DASHES = ["\u2010", "\u2011", "\u2012", "\u2013", "\u2014", "\u2015", "\u2212", "\ufe63", "\uff0d"]


@pytest.mark.parametrize("mark", [*UNSEEN, *SPACES, *DASHES], ids=lambda mark: f"U+{ord(mark):04X}")
def test_invisible_characters_spaces_and_dashes_are_ignored(mark: str) -> None:
    for text in (
        f"55{mark}11999990001",
        f"+55{mark}11{mark}99999{mark}0001",
        f"+{mark}{BRAZIL_ZEROS}",
    ):
        assert Contact.parse(number=text).number == BRAZIL_ZEROS
    if mark not in DASHES:
        around = f"{mark}{BRAZIL_ZEROS}{mark}"
        assert Contact.parse(number=around).number == BRAZIL_ZEROS
        assert Contact.parse(jid=f"{mark}{BRAZIL_ZEROS}@c.us{mark}").number == BRAZIL_ZEROS


@pytest.mark.parametrize(
    "text",
    [
        "\u202a+55 11 99999-0001\u202c",
        "\u202d+55 11 99999\u20110001\u202c",
        "\ufeff5511999990001",
        "'5511999990001",
        "\u20195511999990001",
        '"5511999990001"',
        "'+55 11 99999-0001'",
        "“5511999990001”",
        "«5511999990001»",
        "`5511999990001`",
        '="5511999990001"',
        "<5511999990001>",
        "5511999990001,",
        "5511999990001;",
        "5511999990001 ;\r\n",
        "5511999990001\n",
        "\t5511999990001",
        "5511999990001\u2028",
        "\r\n 5511999990001 \v\f",
        "+55\u00a0(11)\u202f99999\u20130001",
    ],
)
@pytest.mark.parametrize("region", [None, "BR", "IT"])
def test_quotes_and_white_space_around_a_number_are_ignored(text: str, region: str | None) -> None:
    assert Contact.parse(number=text, default_region=region).number == BRAZIL_ZEROS


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("55\u066a11999990001", "holds U+066A at 3 (ARABIC PERCENT SIGN; counted from 1)"),
        ("٥٥١١٩٩٩٩٩٠٠٠١", "holds U+0665 at 1 (ARABIC-INDIC DIGIT FIVE;"),
        ("+5511۹99990001", "holds U+06F9 at 6 (EXTENDED ARABIC-INDIC DIGIT NINE;"),
        ("+５５11999990001", "holds U+FF15 at 2 (FULLWIDTH DIGIT FIVE;"),
        ("＋5511999990001", "holds U+FF0B at 1 (FULLWIDTH PLUS SIGN;"),
        ("5511999990001²", "holds U+00B2 at 14 (SUPERSCRIPT TWO;"),
        ("5\ufe0f\u20e3511999990001", "holds U+20E3 at 3 (COMBINING ENCLOSING KEYCAP;"),
        ("55\u030111999990001", "holds U+0301 at 3 (COMBINING ACUTE ACCENT;"),
        ("55\U0001d7d311999990001", "holds U+1D7D3 at 3 (MATHEMATICAL BOLD DIGIT FIVE;"),
        ("  +55 11 9999a-0001", "holds U+0061 at 14 (LATIN SMALL LETTER A;"),
        ("'5511999990001/5511999990002'", "holds U+002F at 15 (SOLIDUS;"),
        ("5511999990001/5511999990002", "holds U+002F at 14 "),
        ("5511999990001; 5511999990002", "holds U+003B at 14 "),
        ("5511999990001,5511999990002", "holds U+002C at 14 "),
        ("5511999990001\n5511999990002", "holds U+000A at 14 "),
        ("491713920012,0", "holds U+002C at 13 "),
        ("4,917,139,200", "holds U+002C at 2 "),
        ("+55 11 99999-0001 ext. 12", "holds U+0065 at 19 "),
        ("+55 11 99999-0001 x12", "holds U+0078 at 19 "),
        ("+55 11 99999-0001#12", "holds U+0023 at 18 "),
        ("+5511999990001;ext=12", "holds U+003B at 15 "),
        ("55\t11999990001", "holds U+0009 at 3 "),
        ("5511999990001\0", "holds U+0000 at 14 (a control character;"),
        ("55+11999990001", "holds U+002B at 3 "),
        ("5511999990001+", "holds U+002B at 14 "),
        ("++5511999990001", "holds U+002B at 2 "),
        ("+55+11999990001", "holds U+002B at 4 "),
        (" (+55) +11 99999-0001", "holds U+002B at 8 "),
        ("+5511999990001 +5511999990002", "holds U+002B at 16 "),
        ("00+5511999990001", "holds U+002B at 3 "),
        ("5511999990001%0a", "holds U+0025 at 14 "),
        ("https://wa.me/55119999%0a90001", "holds U+0025 at 23 "),
        ("https://wa.me/55119999a90001", "holds U+0061 at 23 "),
        ("https://wa.me/%2B%2B5511999990001", "holds U+0025 at 18 "),
        ("https://wa.me/55%2B11999990001", "holds U+0025 at 17 "),
        ("https://wa.me/491713920012%2E0", "holds U+0025 at 27 "),
        ("tel:+5511999990001;ext=12", "holds U+003B at 19 "),
        ("tel:999990001;phone-context=+5511", "holds U+003B at 14 "),
    ],
)
@pytest.mark.parametrize("region", [None, "BR"])
def test_the_error_names_the_invalid_character_and_its_position(
    text: str, fault: str, region: str | None
) -> None:
    message = error_for(text, region)
    assert fault in message
    assert BRAZIL_ZEROS not in message
    assert region is None or region in message


@pytest.mark.parametrize(
    "text",
    [
        "+49 171 3920012 (2)",
        "+49 171 3920012 ( 12 )",
        "+49 (171) 3920012 (2).",
        "0049 171 3920012(123)",
        "49 171 3920012 (2)",
        "+43 664 1234567 (1)",
        "tel:+49-171-3920012(2)",
        "https://wa.me/491713920012%282%29",
    ],
)
@pytest.mark.parametrize("region", [None, "DE", "AT", "BR"])
def test_a_note_in_parentheses_at_the_end_is_refused(text: str, region: str | None) -> None:
    message = error_for(text, region)
    assert "parentheses at the end" in message
    place = max(text.rfind("("), text.find("%28")) + 1
    assert f" at {place} " in message


@pytest.mark.parametrize("text", ["(+49 171 3920012)", "+49 171 (3920012)", "(+49) 171 3920012"])
def test_parentheses_around_the_number_or_a_part_of_it_are_accepted(text: str) -> None:
    assert Contact.parse(number=text).number == GERMANY


@pytest.mark.parametrize(
    "text",
    [
        "+8 (495) 123-45-67",  # a number in Moscow by its national writing; 84 is Vietnam
        "+8 495 1234567",
        "+8-495-123-45-67",
        "+(8)495 123 45 67",
        "00 8 495 123-45-67",
        "008 (495) 123-45-67",
        "tel:+8-495-123-45-67",
        "+9 715 012 34567",
        "+97 150 123 4567",
    ],
)
@pytest.mark.parametrize("region", [None, "BR", "RU", "KZ", "DE"])
def test_a_country_code_is_never_composed_of_two_groups(text: str, region: str | None) -> None:
    assert "gap within its country code" in error_for(text, region)


@pytest.mark.parametrize("text", ["+5 5 11 99999-0001", "+5 5 1 1 9 9 9 9 9 0 0 0 1"])
@pytest.mark.parametrize("region", [None, "BR", "DE"])
def test_a_country_code_written_digit_by_digit_is_accepted(text: str, region: str | None) -> None:
    assert Contact.parse(number=text, default_region=region).number == BRAZIL_ZEROS


@pytest.mark.parametrize(
    ("text", "region", "number"),
    [
        ("0 15 11 99999-0001", "BR", BRAZIL_ZEROS),  # a carrier's code
        ("015 11 99999-0001", "BR", BRAZIL_ZEROS),
        ("90 15 11 99999-0001", "BR", BRAZIL_ZEROS),  # a collect call
        ("9090 11 99999-0001", "BR", None),
        ("+55 (0xx11) 99999-0001", "BR", None),
        ("+55 (0**11) 99999-0001", "BR", None),
        ("+55 015 11 99999-0001", "BR", None),
        ("0055 11 99999-0001", "US", BRAZIL_ZEROS),
        ("0049 171 3920012", "BR", GERMANY),
        ("49 00 171 3920012", "DE", None),
        ("+49 00 171 3920012", "DE", None),
        ("00 00 49 171 3920012", "DE", None),
        ("+44 (0)20 7946 0958", "GB", None),
        ("+1 415 555 2671", "BR", "14155552671"),
        ("1-800-FLOWERS", "US", None),
        ("+1 (809) 555-0143 #12", "US", None),
        ("*67 415 555 2671", "US", None),
        ("*55 11 99999-0001", "BR", None),
        ("#31#11 99999-0001", "BR", None),
        ("4,91714E+11", "DE", None),
        ("tel:11999990001;phone-context=+55", "BR", None),
        ("5511999990001.", "BR", BRAZIL_ZEROS),
        ("+5511999990001.", "DE", BRAZIL_ZEROS),
        ("+55-11-99999-0001/2", "BR", None),
        ("+55 11 99999-0001 / 0002", "BR", None),
        ("+55 11 99999-0001 - 0002", "BR", None),
        ("+55 11 99999-0001 ou 0002", "BR", None),
        ("1 1 415 555 2671", "US", "14155552671"),
        ("0 11 15 2345-6789", "AR", "5491123456789"),
        ("17951 13912345678", "CN", "8613912345678"),
    ],
)
def test_dialling_prefixes_and_notes_never_change_the_number(
    text: str, region: str, number: str | None
) -> None:
    if number is None:
        error_for(text, region)
    else:
        assert Contact.parse(number=text, default_region=region).number == number


@pytest.mark.parametrize(
    "text",
    [
        "(202) 555-0143",
        "202-555-0143",
        "202.555.0143",
        "202 555 0143",
        "(202)5550143",
        " (202) 555 0143",
        "-(202) 555 0143",
        "\u200e(202) 555-0143",
        "647-555-0143",
        "267-555-0143",
        "(11) 99999-9999",
        "(55) 99999-9999",
        "(55) 11 99999-9999",
        "11 99999-9999",
        "011 99999-9999",
        "(0171) 3920012",
        "0171 3920012",
        "01713920012",
        "8 (495) 123-45-67",
        "06 30 123 4567",
        "06.12.34.56.78",
        "612 345 678",
        "4.917.139.200",
    ],
)
def test_a_national_form_without_a_region_is_refused(text: str) -> None:
    assert "no country code" in error_for(text)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("2025550143", "2025550143"),
        ("5511999990001", "5511999990001"),
        ("55 11 99999-0001", "5511999990001"),
        ("55 (11) 99999-0001", "5511999990001"),
        ("55-11-999990001", "5511999990001"),
        ("5511 99999-0001", "5511999990001"),
        ("5511 9 9999-0001", "5511999990001"),
        ("(+55) 11 99999-0001", "5511999990001"),
        ("( +55 ) 11 99999-0001", "5511999990001"),
        ("(0055) 11 99999-0001", "5511999990001"),
        ("+(55) 11 99999-0001", "5511999990001"),
        ("+ 55 11 99999 0001", "5511999990001"),
        ("1 (415) 555-2671", "14155552671"),
        ("1-415-555-2671", "14155552671"),
        ("44 20 7946 0958", "442079460958"),
        ("4420 7946 0958", "442079460958"),
        ("691 350 1234", "6913501234"),
    ],
)
def test_an_international_form_needs_no_plus(text: str, number: str) -> None:
    assert Contact.parse(number=text).number == number


@given(
    st.lists(
        st.sampled_from([*UNSEEN, *SPACES, *DASHES, " ", "-", "(", ")", ""]),
        min_size=10,
        max_size=10,
    )
)
def test_the_digits_of_an_international_number_are_the_written_ones(marks: list[str]) -> None:
    rest = zip(BRAZIL_ZEROS[2:], ["", *marks], strict=True)
    text = f"+{BRAZIL_ZEROS[:2]}" + "".join(mark + digit for digit, mark in rest)
    assert Contact.parse(number=text).number == BRAZIL_ZEROS


@given(st.text(max_size=MAX_TEXT), st.sampled_from([None, "BR", "DE", "US"]))
def test_only_the_country_code_is_ever_added_to_the_written_digits(
    text: str, region: str | None
) -> None:
    try:
        number = Contact.parse(number=text, default_region=region).number
    except ContactError:
        return
    assert number is not None
    code = {None: "", "BR": "55", "DE": "49", "US": "1"}[region]
    written = "".join(each for each in text if each in "0123456789")
    assert written.endswith((number, number.removeprefix(code)))


@pytest.mark.parametrize("length", [1_000, 100_000])
@pytest.mark.parametrize(
    "unit", ["1", "1.", "1 ", "(", "+", "%2b", "1e", "1@", "BR.", "wa.me/", "'", "\u200e", "a."]
)
def test_a_long_text_is_refused_fast(unit: str, length: int) -> None:
    text = unit * length
    started = time.perf_counter()
    for names in ({"number": text}, {"jid": text}, {"user_id": text}):
        with pytest.raises(ContactError):
            Contact.parse(**names, default_region="BR")
    assert time.perf_counter() - started < 1
