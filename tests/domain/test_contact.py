"""Contacts: detected fields, combined identifiers, forms, and masked output."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.contacts import BRAZIL, noise, parse_or_error, possible_numbers, texts

from adapter.contacts import Contact, ContactError, detect_field


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
def test_the_error_for_a_text_in_the_wrong_field_names_the_right_field(
    names: dict[str, str], field: str, target: str
) -> None:
    with pytest.raises(ContactError) as caught:
        Contact.parse(**names)
    assert re.search(
        rf"send (it|a JID|a phone number) as {target}\b", caught.value.fields[field][0]
    )
    assert detect_field(names[field]) == target


def test_a_user_id_is_kept_beside_a_number_or_jid() -> None:
    user_id, jid = "BR.00000000000000000001", f"{BRAZIL}@c.us"
    known = Contact(number=BRAZIL, user_id=user_id)
    assert Contact.parse(number=BRAZIL, user_id=user_id) == known
    assert Contact.parse(jid=jid, user_id=user_id) == known
    assert Contact.parse(number=BRAZIL, jid=jid, user_id=user_id) == known
    by_lid = Contact.parse(jid="1@lid", user_id=user_id)
    assert by_lid == Contact(lid="1@lid", user_id=user_id)


def test_a_valid_user_id_does_not_hide_an_invalid_field() -> None:
    good = "BR.00000000000000000001"
    assert isinstance(parse_or_error(number="x", user_id=good), ContactError)
    assert isinstance(parse_or_error(jid="1@g.us", user_id=good), ContactError)
    assert isinstance(parse_or_error(number=BRAZIL, user_id="x"), ContactError)


def test_the_order_of_the_parameters_is_number_jid_region_user_id() -> None:
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
def test_the_form_of_a_text_determines_its_field(text: str, field: str) -> None:
    assert detect_field(text) == field


@given(
    texts
    | noise
    | st.from_regex(r"\s?[A-Za-z]{2}\.[0-9A-Za-z.]{0,8}", fullmatch=True)
    | st.builds("{}{}".format, st.sampled_from(["wa.me", "w\u200ba.me/5", "tel:", "BR."]), noise)
)
def test_the_error_for_a_text_in_its_detected_field_names_no_other_field(text: str) -> None:
    field = detect_field(text)
    found = parse_or_error(**{field: text})
    if isinstance(found, ContactError):
        (message,) = found.fields[field]
        others = {"number", "jid", "user_id"} - {field}
        assert not re.search(rf"send .* as ({'|'.join(others)})\b", message)


@pytest.mark.parametrize("jid", ["5511999999999@c.us", "5511999999999:7@s.whatsapp.net"])
@pytest.mark.parametrize("number", ["5511999999999", "+55 (11) 99999-9999", "005511999999999"])
def test_a_number_and_a_jid_of_one_person_are_accepted(number: str, jid: str) -> None:
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
def test_a_jid_resolves_an_ambiguous_number_with_the_same_digits(
    number: str, jid: str, region: str | None
) -> None:
    found = Contact.parse(number=number, jid=jid, default_region=region)
    assert found == Contact.from_jid(jid)


def test_a_national_number_differs_from_a_jid_with_its_digits() -> None:
    jid = "11999999999@s.whatsapp.net"
    with pytest.raises(ContactError) as caught:
        Contact.parse(number="(11) 99999-9999", jid=jid, default_region="BR")
    assert "other digits" in caught.value.fields["jid"][0]


@pytest.mark.parametrize(
    ("jid", "fault"),
    [
        ("5511999999998@s.whatsapp.net", "other digits"),
        # The same line without the ninth digit: only WhatsApp can resolve it.
        ("551199999999@s.whatsapp.net", "other digits"),
        ("123456789012345@lid", "cannot be compared"),
        ("5511999999999@lid", "cannot be compared"),
    ],
)
def test_a_number_and_a_jid_that_differ_or_cannot_be_compared_are_refused(
    jid: str, fault: str
) -> None:
    with pytest.raises(ContactError) as caught:
        Contact.parse(number=BRAZIL, jid=jid)
    assert list(caught.value.fields) == ["jid"]


def test_a_valid_number_or_jid_does_not_hide_an_invalid_other() -> None:
    good = "5511999999999@s.whatsapp.net"
    assert isinstance(parse_or_error(number="x", jid=good), ContactError)
    assert isinstance(parse_or_error(number="", jid=good), ContactError)
    assert isinstance(parse_or_error(number=BRAZIL, jid=""), ContactError)
    assert isinstance(parse_or_error(number=BRAZIL, jid="5511999999999@g.us"), ContactError)


def test_a_contact_without_an_identifier_is_refused() -> None:
    with pytest.raises(ContactError):
        Contact.parse()
    with pytest.raises(ValueError, match="a number, a lid or a user_id"):
        Contact()


def test_a_number_is_written_as_a_jid() -> None:
    assert Contact(number=BRAZIL).jid == "5511999999999@s.whatsapp.net"


def test_a_lid_is_written_unchanged() -> None:
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
def test_repr_and_str_of_a_contact_are_masked(contact: Contact, masked: str) -> None:
    assert contact.masked == masked
    assert repr(contact) == str(contact) == f"{contact}" == f"Contact({masked})"


def test_repr_of_a_contact_masks_all_its_identifiers() -> None:
    shown = repr(Contact(BRAZIL, "123456789012345@lid", "BR.00000000000000000001"))
    assert BRAZIL not in shown
    assert "123456789012345" not in shown
    assert "00000000000000000001" not in shown
    assert "00000000000000000001" not in repr(Contact(user_id="BR.00000000000000000001"))


def test_a_contact_is_immutable() -> None:
    with pytest.raises(AttributeError):
        Contact(number=BRAZIL).number = "1"  # type: ignore[misc]


@given(
    number=st.none() | texts | noise | possible_numbers(),
    jid=st.none() | texts | noise | possible_numbers().map(lambda number: f"{number}@c.us"),
    user_id=st.none() | texts | st.from_regex(r"[A-Z]{2}\.[0-9]{1,20}", fullmatch=True),
    region=st.none() | st.sampled_from(["BR", "US", "IT"]),
)
def test_any_text_is_a_contact_or_a_contact_error(
    number: str | None, jid: str | None, user_id: str | None, region: str | None
) -> None:
    found = parse_or_error(number=number, jid=jid, user_id=user_id, default_region=region)
    if isinstance(found, ContactError):
        assert set(found.fields) <= {"number", "jid", "user_id"}
        assert all(text for texts in found.fields.values() for text in texts)
    else:
        assert found.number is None or re.fullmatch(r"[0-9]{5,15}", found.number)
        assert found.user_id is None or re.fullmatch(r"[A-Z]{2}\.[0-9A-Za-z.]+", found.user_id)
        assert found.lid is None or re.fullmatch(r"[0-9]{1,20}@lid", found.lid)


@given(possible_numbers(), st.none() | st.sampled_from(["BR", "US", "IT", "MX"]))
def test_each_form_of_a_contact_parses_to_the_same_contact(number: str, region: str | None) -> None:
    found = parse_or_error(number=f"+{number}", default_region=region)
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
def test_a_lid_parses_to_the_same_contact(digits: str) -> None:
    found = Contact.parse(jid=f"{digits}@lid")
    assert Contact.parse(jid=found.jid) == found


@given(st.text(alphabet="0123456789", min_size=8, max_size=15), st.integers(0, 9999))
def test_a_phone_jid_with_a_device_parses_to_the_same_contact(number: str, device: int) -> None:
    found = Contact.from_jid(f"{number}:{device}@s.whatsapp.net")
    assert found == Contact.from_jid(str(found.jid)) == Contact.from_jid(f"{number}@c.us")
    assert found.number == number


@given(digits=st.text(alphabet="0123456789", min_size=3, max_size=30), around=noise)
def test_an_error_never_repeats_the_digits(digits: str, around: str) -> None:
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
        found = parse_or_error(**names)
        if isinstance(found, ContactError):
            said = [str(found), repr(found), *(t for texts in found.fields.values() for t in texts)]
            # The messages hold code points, positions, and the example of a user id.
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
def test_an_error_never_holds_the_number_in_its_chain(names: dict[str, str]) -> None:
    with pytest.raises(ContactError) as caught:
        Contact.parse(**names)
    chain: list[str] = []
    error: BaseException | None = caught.value
    while error is not None:
        chain.append(str(error))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    assert not any("55119" in text for text in chain)
