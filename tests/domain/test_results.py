"""Commands, outcomes, results and their envelopes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.codes import Action, Applied, Code, Confirmation, Retry
from adapter.contacts import Contact
from adapter.results import Command, Outcome, OutcomeError, Result, build_envelope
from adapter.web.schemas import BlockedEnvelope, ChangeEnvelope, FailureEnvelope

ANA = Contact(number="5511999999999")
LID = Contact(lid="123456789012345@lid")

contacts = st.builds(
    Contact,
    number=st.none() | st.text(alphabet="0123456789", min_size=8, max_size=15),
    lid=st.text(alphabet="0123456789", min_size=1, max_size=20).map("{}@lid".format),
)
facts = st.fixed_dictionaries(
    {
        "account": st.text(min_size=1, max_size=10),
        "provider": st.text(min_size=1, max_size=10),
        "attempts": st.integers(0, 2),
        "duration_ms": st.integers(0, 300_000),
        "request_id": st.text(min_size=1, max_size=128),
    }
)


def shape(value: Any) -> Any:
    """Return the keys of a document, in order and in depth."""
    return {key: shape(below) for key, below in value.items()} if isinstance(value, dict) else None


META = {
    "request_id": None,
    "provider": None,
    "attempts": None,
    "duration_ms": None,
    "upstream": {"status": None, "code": None},
}


# --- commands and outcomes


@pytest.mark.parametrize("action", [Action.BLOCK, Action.UNBLOCK])
def test_a_change_needs_a_contact(action: Action) -> None:
    assert Command(action, ANA).contact == ANA
    with pytest.raises(ValueError, match="need a contact"):
        Command(action)


def test_a_list_takes_no_contact() -> None:
    assert Command(Action.LIST).contact is None
    with pytest.raises(ValueError, match="takes none"):
        Command(Action.LIST, ANA)


def test_a_command_has_the_requested_state() -> None:
    assert Command(Action.BLOCK, ANA).blocked is True
    assert Command(Action.UNBLOCK, ANA).blocked is False


def test_repr_of_a_command_masks_the_contact() -> None:
    assert "5511999999999" not in repr(Command(Action.BLOCK, ANA))


def test_an_outcome_is_either_a_success_or_a_failure() -> None:
    with pytest.raises(ValueError, match="either"):
        Outcome()
    with pytest.raises(ValueError, match="either"):
        Outcome(code=Code.PROVIDER_ERROR, confirmation=Confirmation.ACCEPTED)


@pytest.mark.parametrize("confirmation", Confirmation)
def test_a_success_is_applied_and_has_no_message(confirmation: Confirmation) -> None:
    outcome = Outcome.success(confirmation)
    assert outcome.ok
    assert outcome.applied is Applied.APPLIED
    assert outcome.code is None
    assert outcome.message == ""
    assert outcome.retry is None


@pytest.mark.parametrize("code", Code)
def test_a_failure_has_the_facts_of_its_code(code: Code) -> None:
    outcome = Outcome.failure(code)
    assert not outcome.ok
    assert outcome.applied is code.applied
    assert outcome.message == code.message
    assert outcome.retry is code.retry
    assert outcome.confirmation is None


def test_a_failure_may_have_a_message_and_retry_advice_of_its_own() -> None:
    code = Code.TARGET_REJECTED
    outcome = Outcome.failure(code, message="The list is full.", retry=Retry.AFTER_ACTION)
    assert (outcome.message, outcome.retry) == ("The list is full.", Retry.AFTER_ACTION)
    assert outcome == Outcome.failure(code)


def test_upstream_status_and_provider_code_are_ignored_in_comparisons() -> None:
    one = Outcome.failure(Code.PROVIDER_ERROR, upstream_status=500, provider_code="x")
    assert one == Outcome.failure(Code.PROVIDER_ERROR, upstream_status=502)
    assert one != Outcome.failure(Code.PROVIDER_ERROR, retry_after=1)
    assert one != Outcome.failure(Code.PROVIDER_ERROR, fields={"jid": ("x",)})
    assert hash(one) == hash(Outcome.failure(Code.PROVIDER_ERROR, upstream_status=502))


# --- the envelope


def test_the_envelope_of_a_change_equals_the_documented_one() -> None:
    result = Result(
        Outcome.success(Confirmation.PROVIDER_STATE, upstream_status=200),
        Command(Action.BLOCK, ANA),
        account="support",
        provider="anything",
        attempts=1,
        duration_ms=212,
        request_id="r-1",
    )
    assert json.dumps(result.envelope()) == json.dumps(
        {
            "success": True,
            "data": {
                "action": "block",
                "account": "support",
                "blocked": True,
                "confirmation": "provider_state",
                "contact": {
                    "jid": "5511999999999@s.whatsapp.net",
                    "number": "5511999999999",
                    "lid": None,
                    "user_id": None,
                },
            },
            "error": None,
            "meta": {
                "request_id": "r-1",
                "provider": "anything",
                "attempts": 1,
                "duration_ms": 212,
                "upstream": {"status": 200, "code": None},
            },
        }
    )


def test_the_envelope_of_a_failure_equals_the_documented_one() -> None:
    result = Result(
        Outcome.failure(
            Code.SESSION_NOT_CONNECTED, upstream_status=501, provider_code="not_implemented"
        ),
        Command(Action.BLOCK, ANA),
        account="support",
        provider="anything",
        attempts=1,
        duration_ms=87,
        request_id="r-2",
    )
    assert json.dumps(result.envelope()) == json.dumps(
        {
            "success": False,
            "data": None,
            "error": {
                "code": "session_not_connected",
                "message": "The account's WhatsApp session is not connected.",
                "outcome": "not_applied",
                "retry": "after_action",
                "retry_after": None,
                "fields": {},
            },
            "meta": {
                "request_id": "r-2",
                "provider": "anything",
                "attempts": 1,
                "duration_ms": 87,
                "upstream": {"status": 501, "code": "not_implemented"},
            },
        }
    )


def test_the_envelope_of_a_list_equals_the_documented_one() -> None:
    result = Result(
        Outcome.success(Confirmation.PROVIDER_STATE, contacts=(ANA, LID)),
        Command(Action.LIST),
        account="support",
        provider="anything",
        request_id="r-3",
    )
    envelope = result.envelope()
    assert envelope["data"] == {
        "account": "support",
        "contacts": [
            {
                "jid": "5511999999999@s.whatsapp.net",
                "number": "5511999999999",
                "lid": None,
                "user_id": None,
            },
            {
                "jid": "123456789012345@lid",
                "number": None,
                "lid": "123456789012345@lid",
                "user_id": None,
            },
        ],
        "count": 2,
        "others": 0,
    }
    assert list(envelope["data"]) == ["account", "contacts", "count", "others"]
    assert BlockedEnvelope().validate(envelope) == {}


def test_the_envelope_of_an_unblock_has_blocked_false() -> None:
    result = Result(
        Outcome.success(Confirmation.ACCEPTED),
        Command(Action.UNBLOCK, LID),
        account="support",
        provider="anything",
        request_id="r",
    )
    data = result.envelope()["data"]
    assert data["action"] == "unblock"
    assert data["blocked"] is False
    assert data["confirmation"] == "accepted"


@pytest.mark.slow
@pytest.mark.no_cover
@pytest.mark.parametrize("code", Code)
@given(
    rest=facts,
    fields=st.dictionaries(st.sampled_from(["number", "jid"]), st.tuples(st.text())),
    wait=st.none() | st.integers(0, 3600),
    status=st.none() | st.integers(100, 599),
    provider_code=st.none() | st.text(max_size=10),
)
def test_every_failure_is_valid_by_the_published_schema(
    code: Code,
    rest: dict[str, Any],
    fields: dict[str, tuple[str, ...]],
    wait: int | None,
    status: int | None,
    provider_code: str | None,
) -> None:
    outcome = Outcome.failure(
        code, fields=fields, retry_after=wait, upstream_status=status, provider_code=provider_code
    )
    envelope = Result(outcome, Command(Action.BLOCK, ANA), **rest).envelope()
    assert FailureEnvelope().validate(envelope) == {}
    assert list(envelope) == ["success", "data", "error", "meta"]
    assert list(envelope["error"]) == [
        "code",
        "message",
        "outcome",
        "retry",
        "retry_after",
        "fields",
    ]
    assert shape(envelope["meta"]) == META
    assert envelope["success"] is False
    assert envelope["data"] is None
    assert json.loads(json.dumps(envelope)) == envelope
    error = envelope["error"]
    assert (error["code"], error["outcome"]) == (code.value, code.applied.value)
    assert (error["retry"], error["retry_after"]) == (code.retry.value, wait)
    assert error["fields"] == {name: list(messages) for name, messages in fields.items()}


@given(
    rest=facts,
    action=st.sampled_from([Action.BLOCK, Action.UNBLOCK]),
    contact=contacts,
    confirmation=st.sampled_from(Confirmation),
)
def test_every_change_is_valid_by_the_published_schema(
    rest: dict[str, Any], action: Action, contact: Contact, confirmation: Confirmation
) -> None:
    envelope = Result(Outcome.success(confirmation), Command(action, contact), **rest).envelope()
    assert ChangeEnvelope().validate(envelope) == {}
    assert envelope["success"] is True
    assert envelope["error"] is None
    assert envelope["data"]["contact"] == {
        "jid": contact.jid,
        "number": contact.number,
        "lid": contact.lid,
        "user_id": contact.user_id,
    }
    assert json.loads(json.dumps(envelope)) == envelope


@given(rest=facts, found=st.lists(contacts, max_size=5).map(tuple))
def test_every_list_is_valid_by_the_published_schema(
    rest: dict[str, Any], found: tuple[Contact, ...]
) -> None:
    outcome = Outcome.success(Confirmation.PROVIDER_STATE, contacts=found)
    envelope = Result(outcome, Command(Action.LIST), **rest).envelope()
    assert BlockedEnvelope().validate(envelope) == {}
    assert envelope["data"]["count"] == len(envelope["data"]["contacts"]) == len(found)


def test_an_envelope_without_a_provider_has_all_top_level_keys() -> None:
    envelope = build_envelope(data={}, request_id="r")
    assert shape(envelope) == {"success": None, "data": {}, "error": None, "meta": META}
    assert envelope["meta"]["provider"] is None
    assert envelope["meta"]["attempts"] == 0


# --- results as exceptions


def test_raise_for_code_returns_a_success_and_raises_a_failure() -> None:
    good = Result(Outcome.success(Confirmation.ACCEPTED), Command(Action.BLOCK, ANA))
    assert good.raise_for_code() is good
    bad = Result(Outcome.failure(Code.PROVIDER_TIMEOUT), Command(Action.BLOCK, ANA))
    with pytest.raises(OutcomeError) as caught:
        bad.raise_for_code()
    assert caught.value.result is bad
    assert str(caught.value) == "provider_timeout: The provider did not respond in time."


def test_an_outcome_error_has_the_message_of_the_outcome() -> None:
    failure = Outcome.failure(Code.TARGET_REJECTED, message="The list is full.")
    with pytest.raises(OutcomeError) as caught:
        Result(failure, Command(Action.BLOCK, ANA)).raise_for_code()
    assert str(caught.value) == "target_rejected: The list is full."


def test_a_result_has_the_properties_of_its_outcome() -> None:
    result = Result(Outcome.failure(Code.PROVIDER_TIMEOUT))
    assert (result.ok, result.code, result.applied, result.contacts) == (
        False,
        Code.PROVIDER_TIMEOUT,
        Applied.UNKNOWN,
        None,
    )
    found = Result(Outcome.success(Confirmation.PROVIDER_STATE, contacts=(ANA,)))
    assert (found.ok, found.code, found.applied, found.contacts) == (
        True,
        None,
        Applied.APPLIED,
        (ANA,),
    )


def test_repr_of_a_result_masks_its_contacts() -> None:
    result = Result(
        Outcome.success(Confirmation.PROVIDER_STATE, contacts=(ANA,)), Command(Action.BLOCK, ANA)
    )
    assert "5511999999999" not in repr(result)
