"""Commands, outcomes, results and their envelopes."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.codes import Action, Applied, Code, Confirmation, Retry
from adapter.contacts import Contact
from adapter.readings import (
    BlockState,
    Lookup,
    Session,
    SessionState,
    Unverified,
    Verification,
)
from adapter.results import Command, Outcome, OutcomeError, Result, build_envelope
from adapter.web.schemas import (
    BlockedEnvelope,
    ChangeEnvelope,
    ChangeFailureEnvelope,
    FailureEnvelope,
    LookupsEnvelope,
    SessionEnvelope,
    StateEnvelope,
)

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
    "reads": None,
    "duration_ms": None,
    "upstream": {"status": None, "code": None},
}


# --- commands and outcomes


@pytest.mark.parametrize("action", [Action.BLOCK, Action.UNBLOCK])
def test_a_change_needs_a_contact(action: Action) -> None:
    assert Command(action, ANA).contact == ANA
    with pytest.raises(ValueError, match="need a contact"):
        Command(action)


@pytest.mark.parametrize("action", [Action.LIST, Action.STATUS])
def test_a_list_and_a_status_take_no_contact(action: Action) -> None:
    assert Command(action).contact is None
    with pytest.raises(ValueError, match="other actions take none"):
        Command(action, ANA)
    with pytest.raises(ValueError, match="other actions take none"):
        Command(action, contacts=(ANA,))


def test_a_state_needs_a_contact_and_a_lookup_needs_numbers() -> None:
    assert Command(Action.STATE, ANA).target == ANA
    assert Command(Action.LOOKUP, contacts=(ANA,)).numbers == ["5511999999999"]
    with pytest.raises(ValueError, match="state need a contact"):
        Command(Action.STATE)
    with pytest.raises(ValueError, match="a lookup needs contacts"):
        Command(Action.LOOKUP)
    with pytest.raises(ValueError, match="needs the numbers"):
        Command(Action.LOOKUP, contacts=(LID,))


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
                "verified": None,
                "verified_reason": "no_read",
            },
            "error": None,
            "meta": {
                "request_id": "r-1",
                "provider": "anything",
                "attempts": 1,
                "reads": 0,
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
                "reads": 0,
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


verifications = st.builds(
    Verification,
    st.none() | st.booleans(),
    st.none() | st.sampled_from(Unverified),
    st.integers(1, 4),
)


@given(
    rest=facts,
    action=st.sampled_from([Action.BLOCK, Action.UNBLOCK]),
    contact=contacts,
    verification=verifications,
)
def test_every_change_that_was_read_back_is_valid_by_the_published_schema(
    rest: dict[str, Any], action: Action, contact: Contact, verification: Verification
) -> None:
    command = Command(action, contact)
    shown = {"verified": verification.verified, "verified_reason": verification.reason}
    done = replace(Outcome.success(Confirmation.READ_BACK), verification=verification)
    success = Result(done, command, **rest).envelope()
    assert ChangeEnvelope().validate(success) == {}
    assert shown.items() <= success["data"].items()
    assert success["meta"]["reads"] == verification.reads
    failed = replace(Outcome.failure(Code.PROVIDER_TIMEOUT), verification=verification)
    failure = Result(failed, command, **rest).envelope()
    assert ChangeFailureEnvelope().validate(failure) == {}
    assert failure["data"] == {"action": action.value, "account": rest["account"], **shown}
    assert failure["meta"]["reads"] == verification.reads


def test_a_failed_change_that_was_not_read_back_has_no_data() -> None:
    envelope = Result(
        Outcome.failure(Code.PROVIDER_TIMEOUT), Command(Action.BLOCK, ANA), "a", "p"
    ).envelope()
    assert envelope["data"] is None
    assert ChangeFailureEnvelope().validate(envelope) == {}


def test_a_failure_that_was_read_back_as_undone_is_not_applied() -> None:
    shown = Verification(False, None, 1)
    outcome = replace(Outcome.failure(Code.PROVIDER_TIMEOUT), verification=shown)
    result = Result(outcome, Command(Action.BLOCK, ANA))
    assert result.applied is Applied.NOT_APPLIED
    assert result.envelope()["error"]["outcome"] == "not_applied"
    assert result.verified is False


def read(reading: Any, command: Command, **rest: Any) -> Result:
    """Return the result of a successful read."""
    outcome = Outcome.success(Confirmation.PROVIDER_STATE, reading=reading)
    return Result(outcome, command, **{"account": "a", "provider": "p", "request_id": "r", **rest})


WHEN = datetime(2026, 11, 25, 12, 30, 15, 123456, UTC)


def test_the_envelope_of_a_status_equals_the_documented_one() -> None:
    session = Session(SessionState.CONNECTED, "WORKING", WHEN)
    result = read(session, Command(Action.STATUS))
    envelope = result.envelope()
    assert json.dumps(envelope["data"]) == json.dumps(
        {
            "account": "a",
            "status": "connected",
            "provider_word": "WORKING",
            "asked_at": "2026-11-25T12:30:15.123+00:00",
        }
    )
    assert SessionEnvelope().validate(envelope) == {}
    assert (result.session, result.lookups, result.state) == (session, None, None)


def test_the_envelope_of_a_state_equals_the_documented_one() -> None:
    state = BlockState(None, Unverified.ONLY_LIDS)
    result = read(state, Command(Action.STATE, LID))
    envelope = result.envelope()
    assert json.dumps(envelope["data"]) == json.dumps(
        {
            "account": "a",
            "contact": {"jid": LID.jid, "number": None, "lid": LID.lid, "user_id": None},
            "blocked": None,
            "reason": "only_lids",
        }
    )
    assert StateEnvelope().validate(envelope) == {}
    assert (result.session, result.lookups, result.state) == (None, None, state)


def test_the_envelope_of_a_lookup_equals_the_documented_one() -> None:
    other = Lookup(Contact("551199999999"), False)
    lookups = (
        Lookup(ANA, True, ANA, other_form=other),
        Lookup(ANA, None, code=Code.PROVIDER_TIMEOUT),
    )
    result = read(lookups, Command(Action.LOOKUP, contacts=(ANA, ANA)))
    envelope = result.envelope()
    unknown = {
        "number": "5511999999999",
        "on_whatsapp": None,
        "contact": None,
        "code": "provider_timeout",
        "other_form": None,
    }
    absent = {**unknown, "number": "551199999999", "on_whatsapp": False, "code": None}
    contact = {"jid": ANA.jid, "number": ANA.number, "lid": None, "user_id": None}
    present = {**unknown, "on_whatsapp": True, "contact": contact, "code": None}
    assert json.dumps(envelope["data"]) == json.dumps(
        {"account": "a", "lookups": [{**present, "other_form": absent}, unknown]}
    )
    assert LookupsEnvelope().validate(envelope) == {}
    assert (result.session, result.lookups, result.state) == (None, lookups, None)


NO_STATE = (None, Unverified.ONLY_LIDS, Unverified.INCOMPLETE)
lookups = st.builds(
    Lookup,
    st.builds(Contact, st.text(alphabet="0123456789", min_size=8, max_size=15)),
    st.none() | st.booleans(),
    st.none() | contacts,
    st.none() | st.sampled_from(Code),
)


@given(
    rest=facts,
    session=st.builds(Session, st.sampled_from(SessionState), st.none() | st.text(), st.just(WHEN)),
    state=st.builds(
        BlockState,
        st.none() | st.booleans(),
        st.sampled_from(NO_STATE),
    ),
    contact=contacts,
    found=st.lists(st.tuples(lookups, st.none() | lookups), min_size=1, max_size=4),
)
def test_every_read_is_valid_by_the_published_schema(
    rest: dict[str, Any],
    session: Session,
    state: BlockState,
    contact: Contact,
    found: list[tuple[Lookup, Lookup | None]],
) -> None:
    several = tuple(replace(lookup, other_form=other) for lookup, other in found)
    lookup = Command(Action.LOOKUP, contacts=tuple(each.asked for each in several))
    for schema, result in (
        (SessionEnvelope, read(session, Command(Action.STATUS), **rest)),
        (StateEnvelope, read(state, Command(Action.STATE, contact), **rest)),
        (LookupsEnvelope, read(several, lookup, **rest)),
    ):
        envelope = result.envelope()
        assert schema().validate(envelope) == {}
        assert json.loads(json.dumps(envelope)) == envelope


def test_repr_of_a_read_masks_its_contacts() -> None:
    known = (Lookup(ANA, True, ANA),)
    for result in (
        read(known, Command(Action.LOOKUP, contacts=(ANA,))),
        read(BlockState(True), Command(Action.STATE, ANA)),
    ):
        assert "5511999999999" not in repr(result)


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
