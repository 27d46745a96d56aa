"""The Python API: status, lookup, state and verified changes, with and without Flask."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from adapter.providers.memory import (
    LISTED_BY_LID,
    NOT_EFFECTIVE,
    NOT_ON_WHATSAPP,
    WITH_NINTH_DIGIT,
)
from flask import Flask
from support import JID, NUMBER, OTHER_NUMBER

from adapter import Client, Code, ContactAdapter, connect

CONFIG: dict[str, Any] = {
    "default_account": "support",
    "accounts": {"support": {"provider": "memory"}, "sales": {"provider": "memory"}},
}


@pytest.fixture(params=["connect", "extension"])
def contacts(request: pytest.FixtureRequest) -> Iterator[Client | ContactAdapter]:
    """Return the Python API of both entries: `connect()`, and the extension in its app."""
    if request.param == "connect":
        with connect(CONFIG) as client:
            yield client
        return
    app = Flask("host")
    extension = ContactAdapter(app, CONFIG, url_prefix=None)
    with app.app_context():
        yield extension
    extension.for_app(app).close()


def test_status_has_the_session(contacts: Client | ContactAdapter) -> None:
    for account in (None, "sales"):
        result = contacts.status(account=account)
        assert result.ok
        assert result.account == (account or "support")
        assert result.session is not None
        assert result.session.state.value == "connected"
        assert result.session.asked_at is not None
    assert contacts.status(account="nowhere").code is Code.ACCOUNT_NOT_FOUND


def test_lookup_has_a_lookup_for_each_number_in_order(contacts: Client | ContactAdapter) -> None:
    result = contacts.lookup([NOT_ON_WHATSAPP, "+55 11 99999-0001", WITH_NINTH_DIGIT])
    assert result.lookups is not None
    found = [(each.asked.number, each.on_whatsapp) for each in result.lookups]
    assert found == [(NOT_ON_WHATSAPP, False), (WITH_NINTH_DIGIT, True), (WITH_NINTH_DIGIT, True)]
    assert result.lookups[1].contact is not None
    assert result.lookups[1].contact.number == "551199990001"
    assert result.lookups[1].other_form is None


def test_lookup_takes_any_iterable_and_candidates(contacts: Client | ContactAdapter) -> None:
    result = contacts.lookup(iter((WITH_NINTH_DIGIT,)), candidates=True, account="sales")
    assert result.account == "sales"
    assert result.lookups is not None
    other = result.lookups[0].other_form
    assert other is not None
    assert (other.asked.number, other.on_whatsapp) == ("551199990001", True)


@pytest.mark.parametrize(
    ("numbers", "code", "fields"),
    [
        ([], Code.VALIDATION_ERROR, {"numbers"}),
        ([NUMBER] * 101, Code.VALIDATION_ERROR, {"numbers"}),
        (NUMBER, Code.VALIDATION_ERROR, {"numbers"}),
        (5, Code.VALIDATION_ERROR, {"numbers"}),
        ([NUMBER, 5], Code.VALIDATION_ERROR, {"numbers[1]"}),
        ([None], Code.VALIDATION_ERROR, {"numbers[0]"}),
        ([NUMBER, "x", "y"], Code.INVALID_TARGET, {"numbers[1]", "numbers[2]"}),
        (
            ["x"] * 10,
            Code.INVALID_TARGET,
            {*(f"numbers[{index}]" for index in range(8)), "others"},
        ),
    ],
)
def test_invalid_numbers_are_a_result_and_nothing_is_sent(
    contacts: Client | ContactAdapter, numbers: Any, code: Code, fields: set[str]
) -> None:
    result = contacts.lookup(numbers)
    assert result.code is code
    assert set(result.fields) == fields
    assert (result.attempts, result.lookups) == (0, None)


def test_state_is_that_of_the_block_list(contacts: Client | ContactAdapter) -> None:
    contacts.block(NUMBER)
    for target in ({"number": NUMBER}, {"jid": JID}):
        result = contacts.state(**target)
        assert result.state is not None
        assert result.state.blocked is True
    other = contacts.state(OTHER_NUMBER, account="sales").state
    assert other is not None
    assert other.blocked is False
    assert contacts.state("12").code is Code.INVALID_TARGET
    assert contacts.state().code is Code.VALIDATION_ERROR


def test_change_is_read_back_on_request(contacts: Client | ContactAdapter) -> None:
    assert contacts.block(NUMBER).verified is None
    for change in (contacts.block, contacts.unblock):
        result = change(NUMBER, verify=True)
        assert (result.ok, result.verified) == (True, True)
    assert contacts.block(NOT_EFFECTIVE, verify=False).ok
    result = contacts.block(NOT_EFFECTIVE, verify=True)
    assert (result.code, result.verified) == (Code.NOT_EFFECTIVE, False)
    unclear = contacts.block(LISTED_BY_LID, verify=True)
    assert (unclear.ok, unclear.verified) == (True, None)


def test_log_line_of_a_call_has_no_number(
    contacts: Client | ContactAdapter, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "adapter"):
        contacts.lookup([NUMBER, OTHER_NUMBER])
        contacts.state(NUMBER)
        contacts.status()
    lines = [each.getMessage() for each in caplog.records if each.getMessage().startswith("call ")]
    assert [line.split("action=")[1].split()[0] for line in lines] == ["lookup", "state", "status"]
    assert "numbers=2" in lines[0]
    assert NUMBER not in caplog.text
    assert OTHER_NUMBER not in caplog.text
