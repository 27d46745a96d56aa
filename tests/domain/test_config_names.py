"""Names and keys of a configuration: detected phone numbers, and displayed names."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.config_names import (
    HIDDEN,
    display_key,
    display_name,
    display_unknown_key,
    holds_phone_number,
)

MOBILE = phonenumbers.PhoneNumberType.MOBILE
REAL = [
    phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)[1:]
    for region in sorted(phonenumbers.SUPPORTED_REGIONS)
    if (
        example := phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
    )
]
"""A mobile number of every region, in digits."""
LONG = [number for number in REAL if len(number) >= 8]


@pytest.mark.parametrize("around", ["{}", "sales-{}", "x{}", "{}y", "a_{}.b", "00{}"])
def test_a_number_of_any_region_is_detected_at_any_position(around: str) -> None:
    assert len(LONG) > 200
    assert [number for number in LONG if not holds_phone_number(around.format(number))] == []


def test_a_number_in_groups_is_detected() -> None:
    written = [re.sub(r"[^0-9]+", "-", number) for number in REAL]
    grouped = [f"a.{each[:2]}-{each[2:5]}_{each[5:]}" for each in written if len(each) >= 8]
    assert [each for each in grouped if not holds_phone_number(each)] == []


@given(st.dates(min_value=date(1990, 1, 1), max_value=date(2099, 12, 31)))
def test_a_date_is_not_taken_for_a_phone_number(day: date) -> None:
    for form in ("%Y%m%d", "%Y-%m-%d", "%Y.%m.%d"):
        assert not holds_phone_number(f"tenant-{day:{form}}")


@pytest.mark.parametrize("show", [display_name, display_key])
@given(name=st.text(alphabet="abcXYZ019._-", max_size=70))
def test_a_displayed_name_is_the_name_or_masked_or_hidden(
    show: Callable[[str], str], name: str
) -> None:
    shown = show(name)
    assert shown == HIDDEN or len(shown) == len(name)
    if shown not in (HIDDEN, name):
        assert holds_phone_number(name)
        assert "*" in shown


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("sesion", True),
        ("max_in_flight", True),
        ("base-url", True),
        ("api_key2", True),  # close to a known one
        ("x9Q2", False),
        ("AKIAIOSFODNN7EXAMPLE", False),
        ("canary-token-4711", False),
        ("a" * 25, False),
        ("a\nb", False),
        ("", False),
    ],
)
def test_an_unknown_key_is_displayed_if_it_is_plain_words_or_close_to_a_known_key(
    key: str, shown: bool
) -> None:
    assert display_unknown_key(key, ["api_key", "session"]) == (key if shown else HIDDEN)
