"""The identifiers of a call's contact are redacted in logs and in requests to providers."""

from __future__ import annotations

import logging
import re

import pytest
from conftest import MakeApp
from hypothesis import given
from hypothesis import strategies as st
from support import NUMBER, account_for, run_upstream

from adapter import Contact
from adapter.redaction import MIN_DIGITS, redact_contact
from adapter.service import new_request_id

ANA = Contact(number=NUMBER)


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        (f"block-{NUMBER}", "block-*************"),
        (f"c{NUMBER}x", "c*************x"),
        ("55-11-99999-9999", "**-**-*****-****"),
        ("+55.11.99999.9999", "+**.**.*****.****"),
        ("x5y5z1:1/99999 9999", "x*y*z*:*/***** ****"),
        ("job-11999999999-1", "job-***********-1"),
        ("9999999", "*******"),
        (f"{NUMBER}-{NUMBER}", "*************-*************"),
    ],
)
def test_the_digits_of_the_contact_are_redacted(text: str, hidden: str) -> None:
    assert redact_contact(text, ANA) == hidden


@pytest.mark.parametrize(
    "text",
    [
        "",
        "r-1",
        "3f2b8c1e-7d4a-4c7e-9b57-0a1c2d3e4f50",
        "2026-11-25T10:20:30.123456Z",
        "block-5521888888888",
        "551199",
    ],
)
def test_any_other_text_is_unchanged(text: str) -> None:
    assert redact_contact(text, ANA) == text
    assert redact_contact(text, None) == text


@pytest.mark.parametrize(
    ("contact", "text"),
    [
        (Contact(lid="123456789012345@lid"), "to-123456789012345"),
        (Contact(user_id="BR.00000012345678901234"), "to-BR.00000012345678901234"),
        (Contact(number=NUMBER, lid="123456789012345@lid"), "123456789012345"),
    ],
)
def test_every_identifier_of_the_contact_is_redacted(contact: Contact, text: str) -> None:
    assert not re.search("[1-9]", redact_contact(text, contact))


@given(
    st.from_regex(r"[1-9][0-9]{7,14}", fullmatch=True),
    st.lists(st.sampled_from(["", "-", ".", " ", "(", "x", "%", "é"]), min_size=15, max_size=15),
    st.text(max_size=20),
    st.text(max_size=20),
)
def test_digits_are_redacted_with_any_separators(
    number: str, between: list[str], before: str, behind: str
) -> None:
    written = "".join(digit + gap for digit, gap in zip(number, between, strict=False))
    found = redact_contact(f"{before}{written}{behind}", Contact(number=number))
    left = re.sub("[^0-9]", "", found)
    runs = {number[at : at + MIN_DIGITS] for at in range(len(number) - MIN_DIGITS + 1)}
    assert len(found) == len(f"{before}{written}{behind}")
    assert number not in left
    assert not any(run in re.sub("[^0-9*]", "", found) for run in runs)


@pytest.mark.parametrize("given", [f"block-{NUMBER}", "b-55-11-99999-9999", f"c{NUMBER}"])
def test_a_request_id_with_the_number_is_returned_to_its_caller_only(
    given: str, make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with run_upstream() as upstream:
        upstream.will_answer(200, {"success": True, "data": {"blocked": True}})
        app = make_app(
            {
                "accounts": {"a": account_for("wuts", upstream.address)},
                "dialects": {"enabled": ["wuts"]},
            }
        )
        for path in ("/v1/contacts/block", "/dialects/wuts/contacts/block"):
            response = app.test_client().post(
                path, json={"number": NUMBER}, headers={"X-Request-Id": given}
            )
            assert response.status_code == 200
            assert response.headers["X-Request-Id"] == given
        assert len(upstream.seen) == 2
        for seen in upstream.seen:
            assert "*" in seen.headers["X-Request-Id"]
            assert NUMBER not in re.sub("[^0-9]", "", seen.headers["X-Request-Id"])
    lines = [record.getMessage() for record in caplog.records if record.name == "adapter"]
    assert len([line for line in lines if line.startswith("request ")]) == 2
    assert len([line for line in lines if line.startswith("attempt ")]) == 2
    for line in lines:
        assert given not in line
        assert NUMBER not in re.sub("[^0-9*]", "", line)


@pytest.mark.parametrize("text", ["b-BR.abcdefghij", "B-br.ABCDEFGHIJ", "job-abcdefghij"])
def test_a_user_id_of_letters_is_redacted_in_any_case(text: str) -> None:
    hidden = redact_contact(text, Contact(user_id="BR.abcdefghij"))
    assert len(hidden) == len(text)
    assert "abcdefghij" not in hidden.lower()


def test_numbers_in_the_request_id_of_a_refused_request_are_not_logged(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client = make_app({"accounts": {"a": {"provider": "memory"}}}).test_client()
    given = {"X-Request-Id": f"block-{NUMBER}"}
    block = "/v1/contacts/block"
    statuses = [
        client.post(block, json={"number": NUMBER, "account": "b"}, headers=given).status_code,
        client.post(block, json={"nummer": NUMBER}, headers=given).status_code,
        client.post(block, json={"number": "12"}, headers=given).status_code,
        client.post(f"/no-such-path/{NUMBER}", headers=given).status_code,
        client.get("/v1/contacts/blocked", headers=given).status_code,
        client.get("/livez", headers=given).status_code,
    ]
    assert statuses == [404, 422, 422, 404, 200, 200]
    lines = [record.getMessage() for record in caplog.records if record.name == "adapter"]
    assert len([line for line in lines if line.startswith("request ")]) == len(statuses)
    assert not [line for line in lines if NUMBER in line]


def test_an_unknown_method_is_not_logged(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client = make_app({"accounts": {"a": {"provider": "memory"}}}).test_client()
    client.open("/v1/accounts", method=f"M{NUMBER}")
    (line,) = [record.getMessage() for record in caplog.records if record.name == "adapter"]
    assert "method=-" in line
    assert NUMBER not in line


def test_a_generated_request_id_is_logged_unmasked() -> None:
    assert not any(re.search("[0-9]{7}", new_request_id()) for _ in range(1000))


@given(st.from_regex(r"[1-9][0-9]{7,14}", fullmatch=True), st.data())
def test_every_shortest_run_of_a_number_is_redacted(number: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(number) - MIN_DIGITS))
    part = number[start : start + MIN_DIGITS]
    assert redact_contact(f"r-{part}-", Contact(number=number)) == f"r-{'*' * MIN_DIGITS}-"
