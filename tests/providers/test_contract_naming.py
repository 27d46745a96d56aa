"""The forms in which a request names its contact."""

from __future__ import annotations

import pytest

from adapter.plugin import Contact, ContactForm, HttpRequest
from adapter.testing import forms_in
from adapter.testing.naming import is_readable_name


@pytest.mark.parametrize(
    ("number", "sent", "forms"),
    [
        ("5511999999999", "+5511999999999", {ContactForm.DIGITS}),
        ("5511999999999", "5511999999999@c.us", {ContactForm.CHAT_ID}),
        ("5511999999999", "5511999999999@s.whatsapp.net", {ContactForm.JID}),
        ("5511999999999", "15511999999999", set()),
        ("5511999999999", "5511999999999.0", set()),
    ],
)
@pytest.mark.parametrize("place", ["path", "quoted path", "query", "body", "deep body"])
def test_a_contact_is_found_where_it_stands_alone_in_a_request(
    number: str, sent: str, forms: set[ContactForm], place: str
) -> None:
    request = {
        "path": HttpRequest("POST", f"/c/{sent}/block"),
        "quoted path": HttpRequest("POST", f"/c/{sent.replace('@', '%40')}"),
        "query": HttpRequest("POST", "/c", query={"who": sent}),
        "body": HttpRequest("POST", "/c", json={"who": sent}),
        "deep body": HttpRequest("POST", "/c", json={"users": [{"user": sent}]}),
    }[place]
    assert forms_in(request, Contact(number)) == forms


@pytest.mark.parametrize(
    ("value", "readable"),
    [
        ("5511999999999@s.whatsapp.net", True),
        ("5511999999999:12@s.whatsapp.net", True),
        ("205227043110953@lid", True),
        ("120363039000000000@g.us", True),
        ("5511999999999", True),
        ("+5511999999999", True),
        ("BR.13491208655302741918", True),
        ("x5511999999999@s.whatsapp.net", False),
        ("551199999999x", False),
        ("12345", False),
        ("x", False),
        ("", False),
        (5511999999999, False),
        (None, False),
        ([], False),
    ],
)
def test_a_name_of_a_contact_is_a_jid_digits_or_a_user_id(value: object, readable: bool) -> None:
    assert is_readable_name(value) is readable
