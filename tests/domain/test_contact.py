"""Contacts: what names a person, what does not, and that digits are never rewritten."""

# ruff: noqa: RUF001 - the digits of other scripts are what is tested

from __future__ import annotations

import re
from collections.abc import Callable

import phonenumbers
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from adapter.contacts.contact import MAX_TEXT, Contact, ContactError, NotAPersonError, name_field

BRAZIL = "5511999999999"

# Numbers in circulation, with what a caller may write around them.
texts = st.text(max_size=80)
noise = st.text(alphabet="+0123456789 -().@:cuslidgwhatpne_\n\0/%", max_size=80)


@st.composite
def possible_numbers(draw: st.DrawFn) -> str:
    """Return an example number of some country, as its numbering plan has it."""
    region = draw(st.sampled_from(sorted(phonenumbers.SUPPORTED_REGIONS)))
    example = phonenumbers.example_number(region)
    assert example is not None
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
        assert Contact.parse(number=f"({area}) {local}", default_region="BR").number == number
        bare = parse_or_refuse(number=f"{area}{local}", default_region="BR")
        # Digits alone may be another country's too, such as Peru's, whose code is 51; and eight
        # digits are no mobile in use any more, so that neither country's plan decides.
        assert isinstance(bare, ContactError) or bare.number == number
        assert isinstance(bare, Contact) or area in ("51", "81") or len(local) == 8


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
def test_what_is_no_international_number_is_refused(text: str) -> None:
    with pytest.raises(ContactError) as caught:
        Contact.parse(number=text)
    assert list(caught.value.fields) == ["number"]


def test_a_number_as_long_as_allowed_is_read_and_a_longer_one_is_not() -> None:
    padded = "5511999999999".rjust(MAX_TEXT)
    assert Contact.parse(number=padded).number == BRAZIL
    with pytest.raises(ContactError):
        Contact.parse(number=" " + padded)


def test_the_plan_says_how_few_digits_are_enough_and_fifteen_are_not_too_many() -> None:
    assert Contact.parse(number="+690 7290").number == "6907290"  # Tokelau
    assert Contact.parse(number="6907290").number == "6907290"
    assert Contact.parse(jid="6907290@s.whatsapp.net").number == "6907290"
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
        ("5511999999999.0:12@s.whatsapp.net", Contact(number=BRAZIL)),
        ("5511999999999.0@s.whatsapp.net", Contact(number=BRAZIL)),
        ("5511999999999_128:99@hosted", Contact(number=BRAZIL)),
        ("5511999999999:99@hosted", Contact(number=BRAZIL)),
        ("5511999999999@hosted", Contact(number=BRAZIL)),
        ("123456789012345@hosted.lid", Contact(lid="123456789012345@lid")),
        ("123456789012345:99@hosted.lid", Contact(lid="123456789012345@lid")),
        ("123456789012345.1:3@lid", Contact(lid="123456789012345@lid")),
        (" 5511999999999@s.whatsapp.net", Contact(number=BRAZIL)),
        ("\t5511999999999@c.us\r\n", Contact(number=BRAZIL)),
        ("\u200e5511999999999@s.whatsapp.net\u00a0", Contact(number=BRAZIL)),
        ("\ufeff5511999999999@s.whatsapp.net,", Contact(number=BRAZIL)),
        ("'5511999999999@s.whatsapp.net", Contact(number=BRAZIL)),
        ('"123456789012345@lid";', Contact(lid="123456789012345@lid")),
        ("<5511999999999@c.us>", Contact(number=BRAZIL)),
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
    "number",
    [
        pytest.param("22507000001", id="Ivory Coast, before its numbers grew"),
        pytest.param("9991234567890", id="a country code that does not exist"),
        pytest.param("55119999999999", id="one digit too many for Brazil"),
        pytest.param("5511999", id="too few digits for Brazil"),
        pytest.param("6907290", id="Tokelau, of seven digits"),
        pytest.param("4915112345678", id="Germany"),
    ],
)
@pytest.mark.parametrize("server", ["s.whatsapp.net", "c.us", "hosted"])
def test_a_number_in_a_jid_is_right_whatever_the_plan_says(number: str, server: str) -> None:
    assert Contact.parse(jid=f"{number}@{server}") == Contact(number=number)
    assert Contact.from_jid(f"{number}@{server}") == Contact(number=number)


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
        ("867051314767696@bot", "bot"),
        ("13135550002@s.whatsapp.net", "bot"),
        ("13135550002@c.us", "bot"),
        ("13165550064@s.whatsapp.net", "bot"),
        ("A1B2C3D4E5F6@call", "call"),
        ("100000000000001:2@msgr", "Messenger"),
        ("1-100000000000001@interop", "another messenger"),
        ("0@s.whatsapp.net", "announcements"),
        ("0@c.us", "announcements"),
        ("server@c.us", "server"),
        (" 120363025246125486@g.us\n", "group"),
    ],
)
@pytest.mark.parametrize("read", [Contact.from_jid, lambda jid: Contact.parse(jid=jid)])
def test_what_is_not_a_person_is_refused_and_the_refusal_says_what_it_is(
    jid: str, word: str, read: Callable[[str], Contact]
) -> None:
    with pytest.raises(NotAPersonError) as caught:
        read(jid)
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
        "5511999999999@s.whatsapp.net\0",
        "5511999999999\0@s.whatsapp.net",
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
        "5511999999999:@s.whatsapp.net",
        "5511999999999:12345@s.whatsapp.net",
        "5511999999999:1:2@s.whatsapp.net",
        "5511999999999:x@s.whatsapp.net",
        "５５１１９９９９９９９９９@s.whatsapp.net",
        "5511999999999999@s.whatsapp.net",
        "123456789012345678901@lid",
        "511999@s.whatsapp.net",
        "01199999999@s.whatsapp.net",
        "5511999999999.1234:1@s.whatsapp.net",
        "5511999999999.0.0@s.whatsapp.net",
        "@g.us",
        "1@2@g.us",
        "a b@g.us",
        "status\0@broadcast",
        "server@g.us.example",
        "1" * 10_000 + "@s.whatsapp.net",
    ],
)
def test_what_is_no_jid_of_a_person_is_refused(jid: str) -> None:
    with pytest.raises(ContactError) as caught:
        Contact.parse(jid=jid)
    assert list(caught.value.fields) == ["jid"]
    assert not isinstance(caught.value, NotAPersonError)  # a list that holds it is unreadable


@pytest.mark.parametrize(
    ("jid", "fault"),
    [
        ("+5511999999999@c.us", "holds U+002B at 1 (PLUS SIGN; counted from 1)"),
        (" +5511999999999@c.us", "holds U+002B at 2 "),
        ("5511999999999\0@c.us", "holds U+0000 at 14 (a control character; counted from 1)"),
        ("55\u066611999999999@c.us", "holds U+0666 at 3 (ARABIC-INDIC DIGIT SIX;"),
        ("5511999999999@example.com", "unknown server after the @ at 14 (counted from 1)"),
        ("5511999999999:12345@c.us", "a wrong device"),
        ("x", "holds no @"),
    ],
)
def test_a_refused_jid_says_what_stood_where(jid: str, fault: str) -> None:
    with pytest.raises(ContactError) as caught:
        Contact.parse(jid=jid)
    assert fault in caught.value.fields["jid"][0]


@pytest.mark.parametrize(
    ("names", "field", "target"),
    [
        ({"number": "5511999999999@s.whatsapp.net"}, "number", "jid"),
        ({"number": "123@lid"}, "number", "jid"),
        ({"number": "120363025246125486@g.us"}, "number", "jid"),
        ({"number": "BR.00000000000000000001"}, "number", "user_id"),
        ({"number": "BR.ABCDEF"}, "number", "user_id"),
        ({"number": "br.1"}, "number", "user_id"),
        ({"number": "BR." + "1" * 128}, "number", "user_id"),
        ({"jid": "5511999999999"}, "jid", "number"),
        ({"jid": "+55 (11) 99999-9999"}, "jid", "number"),
        ({"jid": "https://wa.me/5511999999999"}, "jid", "number"),
        ({"jid": "tel:+5511999999999"}, "jid", "number"),
        ({"jid": "https://wa.me/5511999999999?text=a@b"}, "jid", "number"),
        ({"jid": "BR.ABCDEF"}, "jid", "user_id"),
        ({"jid": "BR.00000000000000000001"}, "jid", "user_id"),
        ({"user_id": "5511999999999@s.whatsapp.net"}, "user_id", "jid"),
        ({"user_id": "+55 11 99999-9999"}, "user_id", "number"),
        ({"user_id": "wa.me/5511999999999"}, "user_id", "number"),
    ],
)
def test_what_stands_in_the_wrong_field_is_told_which_one_it_belongs_into(
    names: dict[str, str], field: str, target: str
) -> None:
    with pytest.raises(ContactError) as caught:
        Contact.parse(**names)
    assert re.search(
        rf"send (it|a JID|a phone number) as {target}\b", caught.value.fields[field][0]
    )
    assert name_field(names[field]) == target


# --- by user id


@pytest.mark.parametrize(
    "user_id",
    [
        "BR.00000000000000000001",
        "US.13491208655302741918",
        "US.ENT.11815799212886844830",
        "BR.AbC123",
        "BR.ABCDEF",
        "BR.1",
        "BR." + "9" * 128,
        "US.ENT." + "9" * 128,
    ],
)
@pytest.mark.parametrize("around", ["{}", " {}\n", "\ufeff{}", '"{}",'])
def test_a_user_id_is_kept_letter_for_letter(user_id: str, around: str) -> None:
    found = Contact.parse(user_id=around.format(user_id) if len(user_id) < 100 else user_id)
    assert found == Contact(user_id=user_id)
    assert found.jid is None


@pytest.mark.parametrize(
    "user_id",
    [
        "",
        "BR",
        "BR.",
        ".1",
        "br.1",
        "BRA.1",
        "B1.1",
        "BR.1.2",
        "BR.ENT.",
        "BR.ent.1",
        "BR.1 2",
        "BR-1",
        "BR.é",
        "BR.٥",
        "BR.1/../2",
        "BR.1\0",
        "BR." + "1" * 129,
        "BR." + "1" * 10_000,
        "5511999999999",
        "1@lid",
    ],
)
def test_what_is_no_user_id_is_refused(user_id: str) -> None:
    with pytest.raises(ContactError) as caught:
        Contact.parse(user_id=user_id)
    assert list(caught.value.fields) == ["user_id"]


def test_a_user_id_beside_another_name_is_kept_with_it() -> None:
    user_id, jid = "BR.00000000000000000001", f"{BRAZIL}@c.us"
    known = Contact(number=BRAZIL, user_id=user_id)
    assert Contact.parse(number=BRAZIL, user_id=user_id) == known
    assert Contact.parse(jid=jid, user_id=user_id) == known
    assert Contact.parse(number=BRAZIL, jid=jid, user_id=user_id) == known
    by_lid = Contact.parse(jid="1@lid", user_id=user_id)
    assert by_lid == Contact(lid="1@lid", user_id=user_id)


def test_a_user_id_hides_no_bad_name_beside_it() -> None:
    good = "BR.00000000000000000001"
    assert isinstance(parse_or_refuse(number="x", user_id=good), ContactError)
    assert isinstance(parse_or_refuse(jid="1@g.us", user_id=good), ContactError)
    assert isinstance(parse_or_refuse(number=BRAZIL, user_id="x"), ContactError)


def test_the_order_of_the_names_is_number_jid_region_user_id() -> None:
    assert Contact.parse(None, None, None, "BR.1") == Contact(user_id="BR.1")
    assert Contact.parse("(11) 99999-9999", None, "BR") == Contact(number=BRAZIL)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("+55 11 99999-9999", "number"),
        ("https://wa.me/5511999999999?text=a@b", "number"),
        ("tel:+5511999999999", "number"),
        ("wa.me/5511999999999", "number"),
        ("5511999999999@c.us", "jid"),
        (" 1@lid", "jid"),
        ("status@broadcast", "jid"),
        ("BR.00000000000000000001", "user_id"),
        (" US.ENT.1 ", "user_id"),
        ("br.1", "user_id"),
        ("BR.ABCDEF", "user_id"),
        ("br.abcdef", "user_id"),
        ("BR." + "A" * 128, "user_id"),
        ("BR.1.2", "number"),
        ("wa.me ", "number"),
        ("5.5", "number"),
        ("not a number", "number"),
        ("", "number"),
    ],
)
def test_the_form_of_a_text_says_into_which_field_it_goes(text: str, field: str) -> None:
    assert name_field(text) == field


@given(
    texts
    | noise
    | st.from_regex(r"\s?[A-Za-z]{2}\.[0-9A-Za-z.]{0,8}", fullmatch=True)
    | st.builds("{}{}".format, st.sampled_from(["wa.me", "w\u200ba.me/5", "tel:", "BR."]), noise)
)
def test_the_field_of_a_text_never_sends_it_to_another_field(text: str) -> None:
    field = name_field(text)
    found = parse_or_refuse(**{field: text})
    if isinstance(found, ContactError):
        (message,) = found.fields[field]
        others = {"number", "jid", "user_id"} - {field}
        assert not re.search(rf"send .* as ({'|'.join(others)})\b", message)


# --- both


@pytest.mark.parametrize("jid", ["5511999999999@c.us", "5511999999999:7@s.whatsapp.net"])
@pytest.mark.parametrize("number", ["5511999999999", "+55 (11) 99999-9999", "005511999999999"])
def test_a_number_and_a_jid_of_one_person_go_together(number: str, jid: str) -> None:
    assert Contact.parse(number=number, jid=jid) == Contact(number=BRAZIL)


@pytest.mark.parametrize("region", [None, "DE", "BR", "US"])
@pytest.mark.parametrize(
    ("number", "jid"),
    [
        ("5511999999999", "5511999999999@s.whatsapp.net"),
        ("+55 (11) 99999-9999", "5511999999999@c.us"),
        ("0055 11 99999-9999", "5511999999999@c.us"),
        ("51987654321", "51987654321@s.whatsapp.net"),
        ("22507000001", "22507000001@s.whatsapp.net"),
    ],
)
def test_a_jid_settles_what_the_same_digits_beside_it_mean(
    number: str, jid: str, region: str | None
) -> None:
    found = Contact.parse(number=number, jid=jid, default_region=region)
    assert found == Contact.from_jid(jid)


def test_a_national_number_is_not_the_same_as_a_jid_with_its_digits() -> None:
    jid = "11999999999@s.whatsapp.net"
    with pytest.raises(ContactError) as caught:
        Contact.parse(number="(11) 99999-9999", jid=jid, default_region="BR")
    assert "other digits" in caught.value.fields["jid"][0]


@pytest.mark.parametrize(
    ("jid", "fault"),
    [
        ("5511999999998@s.whatsapp.net", "other digits"),
        # The same line without the ninth digit, which only WhatsApp can tell.
        ("551199999999@s.whatsapp.net", "other digits"),
        ("123456789012345@lid", "cannot be compared"),
        ("5511999999999@lid", "cannot be compared"),
    ],
)
def test_a_number_and_a_jid_that_are_not_known_to_be_one_person_are_refused(
    jid: str, fault: str
) -> None:
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
    with pytest.raises(ValueError, match="a number, a lid or a user_id"):
        Contact()


# --- forms and privacy


def test_a_contact_is_written_in_whatsapps_form() -> None:
    assert Contact(number=BRAZIL).jid == "5511999999999@s.whatsapp.net"


def test_a_lid_is_written_as_itself() -> None:
    contact = Contact(lid="123456789012345@lid")
    assert contact.jid == "123456789012345@lid"
    assert contact.number is None


@pytest.mark.parametrize(
    ("contact", "masked"),
    [
        (Contact(number="5511999999999"), "551*******999"),
        (Contact(number="37612345"), "37****45"),
        (Contact(lid="123456789012345@lid"), "123*********345@lid"),
        (Contact(user_id="BR.1"), "BR.*"),
    ],
)
def test_a_contact_shows_itself_masked(contact: Contact, masked: str) -> None:
    assert contact.masked == masked
    assert repr(contact) == str(contact) == f"{contact}" == f"Contact({masked})"


def test_a_contact_with_several_ids_shows_none_of_them() -> None:
    shown = repr(Contact(BRAZIL, "123456789012345@lid", "BR.00000000000000000001"))
    assert BRAZIL not in shown
    assert "123456789012345" not in shown
    assert "00000000000000000001" not in shown
    assert "00000000000000000001" not in repr(Contact(user_id="BR.00000000000000000001"))


def test_a_contact_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Contact(number=BRAZIL).number = "1"  # type: ignore[misc]


# --- properties


@given(
    number=st.none() | texts | noise | possible_numbers(),
    jid=st.none() | texts | noise | possible_numbers().map(lambda number: f"{number}@c.us"),
    user_id=st.none() | texts | st.from_regex(r"[A-Z]{2}\.[0-9]{1,20}", fullmatch=True),
    region=st.none() | st.sampled_from(["BR", "US", "IT"]),
)
def test_any_text_is_a_contact_or_a_contact_error(
    number: str | None, jid: str | None, user_id: str | None, region: str | None
) -> None:
    found = parse_or_refuse(number=number, jid=jid, user_id=user_id, default_region=region)
    if isinstance(found, ContactError):
        assert set(found.fields) <= {"number", "jid", "user_id"}
        assert all(text for texts in found.fields.values() for text in texts)
    else:
        assert found.number is None or re.fullmatch(r"[0-9]{5,15}", found.number)
        assert found.user_id is None or re.fullmatch(r"[A-Z]{2}\.[0-9A-Za-z.]+", found.user_id)
        assert found.lid is None or re.fullmatch(r"[0-9]{1,20}@lid", found.lid)


@given(possible_numbers(), st.none() | st.sampled_from(["BR", "US", "IT", "MX"]))
def test_a_contact_reads_back_as_itself_from_each_of_its_forms(
    number: str, region: str | None
) -> None:
    found = parse_or_refuse(number=f"+{number}", default_region=region)
    if isinstance(found, ContactError):
        return
    assert found.number is not None
    assert found.jid is not None
    assert Contact.parse(number=found.number) == found
    assert Contact.parse(number=f"+{found.number}", default_region=region) == found
    assert Contact.parse(jid=found.jid) == Contact.from_jid(found.jid) == found
    web = f"{found.number}@c.us"
    assert Contact.parse(jid=web) == Contact.from_jid(web) == found
    assert Contact.parse(number=found.number, jid=found.jid) == found


@given(st.text(alphabet="0123456789", min_size=1, max_size=20))
def test_a_lid_reads_back_as_itself(digits: str) -> None:
    found = Contact.parse(jid=f"{digits}@lid")
    assert Contact.parse(jid=found.jid) == found


@given(st.text(alphabet="0123456789", min_size=8, max_size=15), st.integers(0, 9999))
def test_any_phone_jid_of_a_providers_list_reads_back_as_itself(number: str, device: int) -> None:
    found = Contact.from_jid(f"{number}:{device}@s.whatsapp.net")
    assert found == Contact.from_jid(str(found.jid)) == Contact.from_jid(f"{number}@c.us")
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
        {"user_id": digits},
        {"user_id": f"BR.{digits}.{around}"},
    ):
        found = parse_or_refuse(**names)
        if isinstance(found, ContactError):
            said = [str(found), repr(found), *(t for texts in found.fields.values() for t in texts)]
            # A code point and a position are told, and the example of a user id.
            known = r"U\+[0-9A-F]{4,6} at [0-9]+|US\.[0-9]{20}|1 to 128"
            assert not any(digits in re.sub(known, "", text) for text in said)


@pytest.mark.parametrize(
    "names",
    [
        {"number": "55119900099999"},
        {"number": "5511990009999x"},
        {"number": "55119900099999", "default_region": "BR"},
        {"number": "https://wa.me/55119900099999"},
        {"number": "https://[5511990009999"},
        {"jid": "5511990009999999@c.us"},
        {"jid": "5511999999999@g.us"},
        {"user_id": "5511999999999"},
    ],
)
def test_a_refusal_never_carries_the_number_in_its_traceback(names: dict[str, str]) -> None:
    with pytest.raises(ContactError) as caught:
        Contact.parse(**names)
    chain: list[str] = []
    error: BaseException | None = caught.value
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
def test_the_short_way_takes_what_the_parser_takes_and_nothing_else(digits: str) -> None:
    assume(len(digits) <= 15)
    assume(not re.fullmatch(r"521[0-9]{10}", digits))  # which the plan has dropped, and we have not
    taken = isinstance(parse_or_refuse(number=f"+{digits}"), Contact)
    if taken != ask_the_parser(digits):
        # The parser drops a prefix of a number that is valid with it, and keeps one that is none
        # where too few digits follow; and it does not know Canada's numbers without an area.
        national = digits.removeprefix(str(phonenumbers.parse(f"+{digits}").country_code))
        assert taken == is_valid(digits)
        assert taken or national.startswith(("0", "1", "8"))


def is_valid(digits: str) -> bool:
    code = next(digits[:size] for size in (1, 2, 3) if digits[:size] in COUNTRY_CODES)
    national = digits[len(code) :]
    zeros = len(national) - len(national.lstrip("0"))
    number = phonenumbers.PhoneNumber(
        int(code),
        int(national),
        italian_leading_zero=bool(zeros) or None,
        number_of_leading_zeros=zeros if zeros > 1 else None,
    )
    return phonenumbers.is_valid_number(number)


def test_the_web_clients_form_is_there_for_providers_of_other_packages() -> None:
    assert Contact("5511999999999").chat_id == "5511999999999@c.us"
    assert Contact(lid="205227043110953@lid").chat_id == "205227043110953@lid"
    assert Contact(user_id="BR.1").chat_id is None
