"""Contacts: what names a person, what does not, and that digits are never rewritten."""

# ruff: noqa: RUF001 - the digits of other scripts are what is tested

from __future__ import annotations

import re

import phonenumbers
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from adapter.contact import MAX_TEXT, Contact, ContactError

BRAZIL = "5511999999999"

# Numbers in circulation, with what a caller may write around them.
texts = st.text(max_size=80)
noise = st.text(alphabet="+0123456789 -().@:cuslidgwhatpne_\n\0/%", max_size=80)


@st.composite
def possible_numbers(draw: st.DrawFn) -> str:
    """Return an example number of some country, as its numbering plan has it."""
    region = draw(st.sampled_from(sorted(phonenumbers.SUPPORTED_REGIONS)))
    example = phonenumbers.example_number(region)
    whole = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)[1:]
    tail = draw(st.text(alphabet="0123456789", min_size=2, max_size=2))
    return whole[:-2] + tail


def parse_or_refuse(**names: str | None) -> Contact | ContactError:
    try:
        return Contact.parse(**names)
    except ContactError as error:
        return error


# --- by number


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
def test_an_international_number_is_read_through_its_punctuation(text: str) -> None:
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
        pytest.param("15005550006", id="a North American number that is assigned to nobody"),
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
        assert Contact.parse(number=f"{area}{local}", default_region="BR").number == number


@given(possible_numbers())
def test_no_country_has_its_digits_rewritten(number: str) -> None:
    for found in (
        parse_or_refuse(number=f"+{number}"),
        parse_or_refuse(number=number),
        parse_or_refuse(jid=f"{number}@c.us"),
    ):
        assert isinstance(found, ContactError) or found == Contact(number=number)


@pytest.mark.parametrize("region", sorted(phonenumbers.SUPPORTED_REGIONS - {"TA"}))
def test_the_example_mobile_of_every_country_that_has_mobiles_can_be_blocked(region: str) -> None:
    example = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
    written = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
    digits = re.sub(r"\D", "", written)
    found = parse_or_refuse(number=written)
    # WhatsApp and this API start at eight digits; a few islands have shorter numbers.
    assert isinstance(found, ContactError) if len(digits) < 8 else found.number == digits


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
        pytest.param("5511999999999\n", id="a newline at the end"),
        pytest.param("55\n11999999999", id="a newline inside"),
        pytest.param("\t5511999999999", id="a tab"),
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
        pytest.param("55\u00a011999999999", id="a no-break space"),
        pytest.param("55\u200b11999999999", id="a zero-width space"),
        pytest.param("55–11999999999", id="an en dash"),
        pytest.param("\u202a+5511999999999\u202c", id="direction marks of a copied number"),
        pytest.param("1-800-FLOWERS", id="letters on the keypad"),
        pytest.param("+55 11 99999-9999 ext. 5", id="an extension"),
        pytest.param("tel:+5511999999999", id="a URI"),
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
def test_what_is_no_international_number_is_refused(text: str) -> None:
    with pytest.raises(ContactError) as caught:
        Contact.parse(number=text)
    assert list(caught.value.fields) == ["number"]


def test_a_number_as_long_as_allowed_is_read_and_a_longer_one_is_not() -> None:
    padded = "5511999999999".rjust(MAX_TEXT)
    assert Contact.parse(number=padded).number == BRAZIL
    with pytest.raises(ContactError):
        Contact.parse(number=" " + padded)


def test_eight_digits_are_enough_and_fifteen_are_not_too_many() -> None:
    assert Contact.parse(number="+290 51234").number == "29051234"  # Saint Helena
    assert Contact.parse(number="+49 1234567890123").number == "491234567890123"


# --- the default region


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
def test_a_national_number_belongs_to_the_default_region(
    text: str, region: str, digits: str
) -> None:
    assert Contact.parse(number=text, default_region=region).number == digits


@pytest.mark.parametrize("text", ["+5511999999999", "005511999999999", "+55 (11) 99999-9999"])
@pytest.mark.parametrize("region", ["BR", "US", "GB", "IT"])
def test_an_international_number_never_falls_under_the_default_region(
    text: str, region: str
) -> None:
    assert Contact.parse(number=text, default_region=region).number == BRAZIL


@pytest.mark.parametrize(
    "text", ["1", "999", "119999", "１１９９９９９９９９９", "11\n999999999", "a"]
)
def test_what_is_no_national_number_is_refused_by_the_default_region(text: str) -> None:
    with pytest.raises(ContactError) as caught:
        Contact.parse(number=text, default_region="BR")
    assert "BR" in caught.value.fields["number"][0]


def test_a_jid_never_falls_under_the_default_region() -> None:
    with pytest.raises(ContactError):
        Contact.parse(jid="01199999999@c.us", default_region="BR")


# --- by JID


@pytest.mark.parametrize(
    ("jid", "contact"),
    [
        ("5511999999999@s.whatsapp.net", Contact(number=BRAZIL)),
        ("5511999999999@c.us", Contact(number=BRAZIL)),
        ("5511999999999:12@s.whatsapp.net", Contact(number=BRAZIL)),
        ("5511999999999:0@c.us", Contact(number=BRAZIL)),
        ("123456789012345@lid", Contact(lid="123456789012345@lid")),
        ("123456789012345:3@lid", Contact(lid="123456789012345@lid")),
        ("1@lid", Contact(lid="1@lid")),
    ],
)
def test_a_jid_names_a_person(jid: str, contact: Contact) -> None:
    assert Contact.parse(jid=jid) == contact
    assert Contact.from_jid(jid) == contact


def test_the_two_forms_of_a_phone_jid_are_the_same_person() -> None:
    one, other = (Contact.parse(jid=f"{BRAZIL}@{server}") for server in ("s.whatsapp.net", "c.us"))
    assert one == other
    assert hash(one) == hash(other)


@pytest.mark.parametrize(
    ("jid", "word"),
    [
        ("120363025246125486@g.us", "group"),
        ("5511999999999-1400000000@g.us", "group"),
        ("5511999999999@g.us", "group"),
        ("120363144038483540@newsletter", "channel"),
        ("5511999999999@newsletter", "channel"),
        ("1400000000@broadcast", "broadcast"),
        ("status@broadcast", "status"),
        ("5511999999999@broadcast", "broadcast"),
    ],
)
def test_what_is_not_a_person_is_refused_and_the_refusal_says_what_it_is(
    jid: str, word: str
) -> None:
    with pytest.raises(ContactError) as caught:
        Contact.parse(jid=jid)
    (message,) = caught.value.fields["jid"]
    assert word in message
    assert "not a person" in message


@pytest.mark.parametrize(
    "jid",
    [
        "",
        "@",
        "@s.whatsapp.net",
        "@lid",
        BRAZIL,
        "5511999999999@",
        "5511999999999@s.whatsapp.net\n",
        "5511999999999@s.whatsapp.net\0",
        "5511999999999\0@s.whatsapp.net",
        "\n5511999999999@s.whatsapp.net",
        " 5511999999999@s.whatsapp.net",
        "+5511999999999@s.whatsapp.net",
        "55 11 99999-9999@s.whatsapp.net",
        "../5511999999999@s.whatsapp.net",
        "5511999999999@s.whatsapp.net/../../admin",
        "5511999999999@s-whatsapp-net",
        "5511999999999@sXwhatsapp.net",
        "5511999999999@S.WHATSAPP.NET",
        "5511999999999@C.US",
        "5511999999999@s.whatsapp.net@g.us",
        "120363025246125486@g.us@s.whatsapp.net",
        "5511999999999@s.whatsapp.net.example.com",
        "5511999999999@example.com",
        "5511999999999@hosted",
        "5511999999999@msgr",
        "5511999999999:@s.whatsapp.net",
        "5511999999999:12345@s.whatsapp.net",
        "5511999999999:1:2@s.whatsapp.net",
        "5511999999999:x@s.whatsapp.net",
        "5511999999999.0:1@s.whatsapp.net",
        "５５１１９９９９９９９９９@s.whatsapp.net",
        "5511999@s.whatsapp.net",
        "5511999999999999@s.whatsapp.net",
        "9991234567890@s.whatsapp.net",
        "55119999999999@s.whatsapp.net",
        "123456789012345678901@lid",
        "0@s.whatsapp.net",
        "1" * 10_000 + "@s.whatsapp.net",
    ],
)
def test_what_is_no_jid_of_a_person_is_refused(jid: str) -> None:
    with pytest.raises(ContactError) as caught:
        Contact.parse(jid=jid)
    assert list(caught.value.fields) == ["jid"]


def test_a_number_in_a_providers_own_list_is_read_whatever_the_plan_says() -> None:
    assert Contact.from_jid("9991234567890@s.whatsapp.net").number == "9991234567890"


# --- both


@pytest.mark.parametrize("jid", ["5511999999999@c.us", "5511999999999:7@s.whatsapp.net"])
@pytest.mark.parametrize("number", ["5511999999999", "+55 (11) 99999-9999", "005511999999999"])
def test_a_number_and_a_jid_of_one_person_go_together(number: str, jid: str) -> None:
    assert Contact.parse(number=number, jid=jid) == Contact(number=BRAZIL)


@pytest.mark.parametrize(
    "jid",
    [
        pytest.param("5511999999998@s.whatsapp.net", id="another person"),
        pytest.param("551199999999@s.whatsapp.net", id="the same line without the ninth digit"),
        pytest.param("123456789012345@lid", id="a LID, which proves nothing of a number"),
        pytest.param("5511999999999@lid", id="a LID of the same digits"),
    ],
)
def test_a_number_and_a_jid_of_two_people_are_refused(jid: str) -> None:
    with pytest.raises(ContactError) as caught:
        Contact.parse(number=BRAZIL, jid=jid)
    assert list(caught.value.fields) == ["jid"]


def test_a_good_jid_does_not_hide_a_bad_number_nor_the_other_way_round() -> None:
    good = "5511999999999@s.whatsapp.net"
    assert isinstance(parse_or_refuse(number="x", jid=good), ContactError)
    assert isinstance(parse_or_refuse(number="", jid=good), ContactError)
    assert isinstance(parse_or_refuse(number=BRAZIL, jid=""), ContactError)
    assert isinstance(parse_or_refuse(number=BRAZIL, jid="5511999999999@g.us"), ContactError)


def test_nobody_at_all_is_refused() -> None:
    with pytest.raises(ContactError):
        Contact.parse()
    with pytest.raises(ValueError, match="number or a lid"):
        Contact()


# --- forms and privacy


def test_a_contact_is_written_in_both_forms() -> None:
    contact = Contact(number=BRAZIL)
    assert contact.jid == "5511999999999@s.whatsapp.net"
    assert contact.chat_id == "5511999999999@c.us"


def test_a_lid_is_written_as_itself() -> None:
    contact = Contact(lid="123456789012345@lid")
    assert contact.jid == contact.chat_id == "123456789012345@lid"
    assert contact.number is None


@pytest.mark.parametrize(
    ("contact", "masked"),
    [
        (Contact(number="5511999999999"), "551*******999"),
        (Contact(number="37612345"), "37****45"),
        (Contact(lid="123456789012345@lid"), "123*********345@lid"),
    ],
)
def test_a_contact_shows_itself_masked(contact: Contact, masked: str) -> None:
    assert contact.masked == masked
    assert repr(contact) == str(contact) == f"{contact}" == f"Contact({masked})"


def test_a_contact_with_a_number_and_a_lid_shows_neither() -> None:
    shown = repr(Contact(number=BRAZIL, lid="123456789012345@lid"))
    assert BRAZIL not in shown
    assert "123456789012345" not in shown


def test_a_contact_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Contact(number=BRAZIL).number = "1"  # type: ignore[misc]


# --- properties


@given(
    number=st.none() | texts | noise | possible_numbers(),
    jid=st.none() | texts | noise | possible_numbers().map(lambda number: f"{number}@c.us"),
    region=st.none() | st.sampled_from(["BR", "US", "IT"]),
)
def test_any_text_is_a_contact_or_a_contact_error(
    number: str | None, jid: str | None, region: str | None
) -> None:
    found = parse_or_refuse(number=number, jid=jid, default_region=region)
    if isinstance(found, ContactError):
        assert set(found.fields) <= {"number", "jid"}
        assert all(text for texts in found.fields.values() for text in texts)
    else:
        assert found.number is None or re.fullmatch(r"[0-9]{8,15}", found.number)
        assert found.lid is None or re.fullmatch(r"[0-9]{1,20}@lid", found.lid)


@given(possible_numbers(), st.none() | st.sampled_from(["BR", "US", "IT", "MX"]))
def test_a_contact_reads_back_as_itself_from_each_of_its_forms(
    number: str, region: str | None
) -> None:
    found = parse_or_refuse(number=f"+{number}", default_region=region)
    if isinstance(found, ContactError):
        return
    assert Contact.parse(number=found.number) == found
    assert Contact.parse(number=f"+{found.number}", default_region=region) == found
    assert Contact.parse(jid=found.jid) == Contact.from_jid(found.jid) == found
    assert Contact.parse(jid=found.chat_id) == Contact.from_jid(found.chat_id) == found
    assert Contact.parse(number=found.number, jid=found.jid) == found


@given(st.text(alphabet="0123456789", min_size=1, max_size=20))
def test_a_lid_reads_back_as_itself(digits: str) -> None:
    found = Contact.parse(jid=f"{digits}@lid")
    assert Contact.parse(jid=found.jid) == Contact.parse(jid=found.chat_id) == found


@given(st.text(alphabet="0123456789", min_size=8, max_size=15), st.integers(0, 9999))
def test_any_phone_jid_of_a_providers_list_reads_back_as_itself(number: str, device: int) -> None:
    found = Contact.from_jid(f"{number}:{device}@s.whatsapp.net")
    assert found == Contact.from_jid(found.jid) == Contact.from_jid(found.chat_id)
    assert found.number == number


@given(digits=st.text(alphabet="0123456789", min_size=3, max_size=30), around=noise)
def test_a_refusal_never_repeats_the_digits_it_refuses(digits: str, around: str) -> None:
    for names in (
        {"number": digits},
        {"number": f"+{digits}"},
        {"number": digits + around},
        {"jid": digits},
        {"jid": f"{digits}@g.us"},
        {"jid": f"{digits}@s.whatsapp.net"},
        {"jid": around + digits},
        {"number": BRAZIL, "jid": f"{digits}@lid"},
        {"number": digits, "default_region": "BR"},
    ):
        found = parse_or_refuse(**names)
        if isinstance(found, ContactError):
            said = [str(found), repr(found), *(t for texts in found.fields.values() for t in texts)]
            assert not any(digits in text for text in said)


@pytest.mark.parametrize(
    "names",
    [{"number": "55119900099999"}, {"jid": "55119900099999@c.us"}, {"jid": "5511999999999@g.us"}],
)
def test_a_refusal_never_carries_the_number_in_its_traceback(names: dict[str, str]) -> None:
    with pytest.raises(ContactError) as caught:
        Contact.parse(**names)
    chain, error = [], caught.value
    while error is not None:
        chain.append(str(error))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    assert not any("55119" in text for text in chain)


# --- the short way to the numbering plan


def ask_the_parser(digits: str) -> bool:
    """Whether the library's own parser takes the digits as a possible number, nothing dropped."""
    try:
        parsed = phonenumbers.parse(f"+{digits}")
    except phonenumbers.NumberParseException:
        return False
    national = digits.removeprefix(str(parsed.country_code))
    zero = national.startswith("0")
    kept = phonenumbers.national_significant_number(parsed).startswith("0")
    return phonenumbers.is_possible_number(parsed) and (kept or not zero)


COUNTRY_CODES = sorted(map(str, phonenumbers.COUNTRY_CODE_TO_REGION_CODE))


@given(
    digits=st.one_of(
        st.from_regex(r"[0-9]{8,15}", fullmatch=True),
        st.tuples(
            st.sampled_from(COUNTRY_CODES), st.from_regex(r"[0-9]{4,13}", fullmatch=True)
        ).map("".join),
    )
)
def test_the_short_way_takes_what_the_parser_takes_and_nothing_else(digits: str) -> None:
    assume(8 <= len(digits) <= 15)
    assume(not re.fullmatch(r"521[0-9]{10}", digits))  # which the plan has dropped, and we have not
    try:
        taken = Contact.parse(digits).number == digits
    except ContactError:
        taken = False
    assert taken is ask_the_parser(digits)
