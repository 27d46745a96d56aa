"""Contacts by JID and by user id: accepted and refused texts."""

# ruff: noqa: RUF001 - the characters of other scripts are what is tested

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.contacts import BRAZIL

from adapter.contacts import Contact, ContactError, NotAPersonError


def test_the_default_region_does_not_apply_to_a_jid() -> None:
    with pytest.raises(ContactError):
        Contact.parse(jid="01199999999@c.us", default_region="BR")


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
def test_the_jid_of_a_person_is_parsed(jid: str, contact: Contact) -> None:
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
def test_a_number_in_a_jid_is_accepted_whatever_the_plan_allows(number: str, server: str) -> None:
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
def test_a_jid_that_is_not_a_person_is_refused_with_its_kind(
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
def test_a_text_that_is_not_a_jid_is_refused(jid: str) -> None:
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
        ("5511999999999:12345@c.us", "an invalid device"),
        ("x", "holds no @"),
    ],
)
def test_the_error_for_a_jid_names_the_fault_and_its_position(jid: str, fault: str) -> None:
    with pytest.raises(ContactError) as caught:
        Contact.parse(jid=jid)
    assert fault in caught.value.fields["jid"][0]


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
def test_a_text_that_is_not_a_user_id_is_refused(user_id: str) -> None:
    with pytest.raises(ContactError) as caught:
        Contact.parse(user_id=user_id)
    assert list(caught.value.fields) == ["user_id"]
