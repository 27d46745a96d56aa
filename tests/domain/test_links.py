"""Links to phone numbers."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.contacts import BRAZIL_ZEROS, error_for

from adapter.contacts import MAX_LINK, MAX_TEXT, Contact, ContactError, detect_field


@pytest.mark.parametrize(
    "text",
    [
        "https://wa.me/5511999990001",
        "http://wa.me/5511999990001",
        "https://wa.me/+5511999990001",
        "http://wa.me/+55 11 99999-0001",
        "https://www.wa.me/5511999990001/",
        "HTTPS://WA.ME/5511999990001",
        "wa.me/5511999990001",
        "https://wa.me/5511999990001?text=Ol%C3%A1%2012",
        "https://wa.me/5511999990001#12",
        "https://wa.me/%2B5511999990001",
        "https://wa.me/005511999990001",
        "https://wa.me/5511999990001?text=Ol%C3%A1%21%20Vi%20o%20an%C3%BAncio%20e%20quero%20saber%20mais",
        "https://wa.me/5511999990001/?text=" + "Ol%C3%A1%20".ljust(2000, "x"),
        "https://wa.me/5511999990001?text=\U0001f468\u200d\U0001f469",
        "https://wa.me/55\u200e11999990001",
        "https://api.whatsapp.com/send?phone=5511999990001",
        "https://api.whatsapp.com/send/?phone=5511999990001&text=12",
        "https://api.whatsapp.com/send/?phone=5511999990001&text&type=phone_number&app_absent=0",
        "https://api.whatsapp.com/send/?phone=%2B5511999990001&text=a@b&type=phone_number&app_absent=0",
        "https://web.whatsapp.com/send/?phone=5511999990001&text=5511999990002&type=phone_number",
        "https://api.whatsapp.com/send?text=12&phone=%2B5511999990001",
        "https://api.whatsapp.com/send?phone=+5511999990001",
        "api.whatsapp.com/send?phone=5511999990001",
        "https://web.whatsapp.com/send?phone=5511999990001",
        "whatsapp://send?phone=5511999990001",
        "whatsapp://send/?phone=+5511999990001&text=a@b",
        "WhatsApp://send?phone=55%2011%2099999%2D0001",
        "whatsapp:+5511999990001",
        "tel:+5511999990001",
        "tel:+55-11-99999-0001",
        "tel:+55(11)99999.0001",
        "TEL:+5511999990001",
        "sms:+5511999990001",
        "callto:+5511999990001",
        " <tel:+55-11-99999-0001>\n",
        "\u200ehttps://wa.me/5511999990001\u200e",
    ],
)
@pytest.mark.parametrize("region", [None, "BR", "DE", "PE"])
def test_the_number_of_a_link_is_parsed(text: str, region: str | None) -> None:
    assert detect_field(text) == "number"
    assert Contact.parse(number=text, default_region=region).number == BRAZIL_ZEROS


def test_a_link_and_its_number_have_maximum_lengths() -> None:
    link = f"https://wa.me/{BRAZIL_ZEROS}?text="
    assert Contact.parse(number=link.ljust(MAX_LINK, "x")).number == BRAZIL_ZEROS
    assert f"longer than {MAX_LINK}" in error_for(link.ljust(MAX_LINK + 1, "x"))
    assert f"longer than {MAX_TEXT}" in error_for(BRAZIL_ZEROS.ljust(MAX_TEXT + 1))
    for start in ("https://wa.me/", "https://api.whatsapp.com/send?phone=", "tel:+", "whatsapp:"):
        written = "+" * (not start.endswith("+")) + "5-5-1-1-9-9-9-9-9-0-0-0-1"
        padded = written.replace("-", "-" * 4)
        assert Contact.parse(number=start + padded).number == BRAZIL_ZEROS
        assert f"longer than {MAX_TEXT}" in error_for(start + written.replace("-", "-" * 9))


@pytest.mark.parametrize("region", [None, "BR"])
@pytest.mark.parametrize(
    "unit", ["1", "+", "%2b", "%", "&", "phone=", "&phone=1", "/", "#", "[", "\u200e", ".", "@"]
)
@pytest.mark.parametrize("start", ["wa.me/", "https://api.whatsapp.com/send?phone=", "tel:"])
def test_a_long_link_without_a_number_is_refused_fast(
    start: str, unit: str, region: str | None
) -> None:
    text = (start + unit * MAX_LINK)[:MAX_LINK]
    started = time.perf_counter()
    for _ in range(20):
        error_for(text, region)
    assert time.perf_counter() - started < 1


def test_the_number_of_a_link_is_international_in_any_region() -> None:
    # Which is a national number as well.
    assert Contact.parse("https://wa.me/51987654321", default_region="BR").number == "51987654321"
    assert "leading +" in error_for("51987654321", "BR")


@pytest.mark.parametrize(
    "text",
    [
        "https://wa.me/",
        "https://wa.me/message/ABCDEF123456",
        "https://wa.me/qr/ABCDEF123456",
        "https://wa.me/c/5511999990001",
        "https://wa.me/p/5511999990001/5511999990001",
        "https://chat.whatsapp.com/5511999990001",
        "https://www.whatsapp.com/channel/5511999990001",
        "https://api.whatsapp.com/send?text=5511999990001",
        "https://api.whatsapp.com/send?phone=",
        "https://api.whatsapp.com/send?phone=5511999990001&phone=1",
        "https://api.whatsapp.com/5511999990001",
        "https://wa.me@example.com/5511999990001",
        "https://wa.me.example.com/5511999990001",
        "https://example.com/5511999990001",
        "https://example.com/send?phone=5511999990001",
        "whatsapp://chat?phone=5511999990001",
        "https://[wa.me/5511999990001",
        "https://wa.me/5511\n999990001",
        "whatsapp:",
    ],
)
def test_a_link_without_a_number_is_refused(text: str) -> None:
    message = error_for(text)
    assert "link without a number" in message


@pytest.mark.parametrize(
    "text",
    [
        "tel:",
        "tel:11999990001x",
        "https://wa.me/0171392001",
        "https://wa.me/11999999999",
        "tel:0171",
    ],
)
def test_a_link_to_an_impossible_number_is_refused(text: str) -> None:
    error_for(text)


@given(
    st.sampled_from(["https://wa.me/", "https://api.whatsapp.com/send?phone=", "tel:", "wa.me/"]),
    st.text(alphabet="0123456789+%2bBeE.() -@:;/?#&=\n\u200e\u2011", max_size=28),
)
def test_any_link_is_a_number_or_a_contact_error(start: str, rest: str) -> None:
    try:
        number = Contact.parse(number=start + rest).number
    except ContactError as error:
        assert list(error.fields) == ["number"]  # noqa: PT017 - both ways are fine
    else:
        assert number is not None
        assert number.isdigit()
