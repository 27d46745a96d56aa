"""The shapes of requests: what is taken, and that every fault is named by its field."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import RAISE

from adapter.codes import Code, Confirmation
from adapter.errors import RequestError
from adapter.results import write_envelope
from adapter.web.schemas import (
    MAX_STRANGE,
    AccountSchema,
    AccountsEnvelope,
    ChangeEnvelope,
    FailureEnvelope,
    ProvidersEnvelope,
    StatusEnvelope,
    TargetSchema,
    load,
)


def refused(document: dict[Any, Any]) -> dict[str, tuple[str, ...]]:
    with pytest.raises(RequestError) as caught:
        load(TargetSchema(), document)
    assert caught.value.outcome.code is Code.VALIDATION_ERROR
    return dict(caught.value.outcome.fields)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"number": "+55 11 99999-9999"},
        {"jid": "5511999999999@s.whatsapp.net", "account": "support"},
        {"number": "", "jid": ""},
        {"number": "https://wa.me/5511999990001?text=".ljust(2048, "x")},
        {"user_id": "x" * 135},
        {"account": "x" * 128},
    ],
)
def test_a_request_of_texts_is_taken_as_it_is(document: dict[str, str]) -> None:
    assert load(TargetSchema(), document) == document


@pytest.mark.parametrize("value", [5511999999999, 1.5, True, None, [], {}, ["5511999999999"]])
@pytest.mark.parametrize("name", ["number", "jid", "user_id", "account"])
def test_what_is_no_text_is_refused_and_never_converted(name: str, value: Any) -> None:
    found = refused({name: value})
    assert list(found) == [name]
    assert "must be text" in found[name][0]


def test_an_unknown_field_is_refused_by_its_name_with_the_known_ones() -> None:
    found = refused({"number": "1", "phone": "2", "Jid": "3"})
    assert set(found) == {"phone", "Jid"}
    assert "account, jid, number, user_id" in found["phone"][0]


def test_every_fault_is_named_at_once() -> None:
    assert set(refused({"number": 1, "jid": None, "account": [], "x": 1})) == {
        "number",
        "jid",
        "account",
        "x",
    }


def test_a_text_that_is_too_long_is_refused_without_repeating_it() -> None:
    found = refused(
        {"number": "5" * 2049, "jid": "5" * 65, "account": "5" * 129, "user_id": "5" * 136}
    )
    assert found == {
        "number": ("is longer than 2048 characters",),  # which a link may have
        "jid": ("is longer than 64 characters",),
        "account": ("is longer than 128 characters",),
        "user_id": ("is longer than 135 characters",),
    }


def test_the_name_of_an_unknown_field_is_cut() -> None:
    (name,) = refused({"x" * 10_000: 1})
    assert name == "x" * 64


@given(st.integers(min_value=0, max_value=40), st.text(min_size=1, max_size=200))
def test_unknown_fields_are_named_up_to_a_bound_and_the_rest_is_counted(
    count: int, stem: str
) -> None:
    document: dict[str, Any] = {f"{number} {stem}": 1 for number in range(count)}
    found = refused({**document, "number": 1})
    assert "must be text" in found["number"][0]
    named = [name for name in found if name not in ("number", "others")]
    assert len(named) == min(count, MAX_STRANGE)
    assert all(len(name) <= 64 for name in named)
    assert ("others" in found) is (count > MAX_STRANGE)
    if count > MAX_STRANGE:
        assert found["others"] == (f"{count - MAX_STRANGE} more are not known here",)


def test_a_read_takes_an_account_and_nothing_else() -> None:
    assert load(AccountSchema(), {"account": "a"}) == {"account": "a"}
    with pytest.raises(RequestError):
        load(AccountSchema(), {"number": "5511999999999"})


names = st.sampled_from(["number", "jid", "user_id", "account"]) | st.text(max_size=70)
values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=140)


@given(st.dictionaries(names, values | st.lists(values) | st.dictionaries(names, values)))
def test_any_object_is_taken_or_refused_by_field(document: dict[str, Any]) -> None:
    try:
        taken = load(TargetSchema(), document)
    except RequestError as error:
        assert error.outcome.code is Code.VALIDATION_ERROR  # noqa: PT017 - both ways are fine
        assert error.outcome.fields  # noqa: PT017
        assert all(text for texts in error.outcome.fields.values() for text in texts)  # noqa: PT017
    else:
        assert taken == document


# --- the published shapes refuse what is not promised


def change(**rest: Any) -> dict[str, Any]:
    data = {
        "action": "block",
        "account": "a",
        "blocked": True,
        "confirmation": "accepted",
        "contact": {"jid": "x@lid", "number": None, "lid": "x@lid", "user_id": None},
    }
    return write_envelope(data={**data, **rest}, request_id="r")


def test_the_shape_of_a_change_takes_all_confirmations() -> None:
    for confirmation in Confirmation:
        assert ChangeEnvelope().validate(change(confirmation=confirmation.value)) == {}


@pytest.mark.parametrize(
    "envelope",
    [
        change(action="list"),
        change(confirmation="maybe"),
        change(contact=None),
        change(colour=1),
        {**change(), "success": False},
        {**change(), "error": {}},
        {**change(), "colour": 1},
        {key: value for key, value in change().items() if key != "error"},
        {key: value for key, value in change().items() if key != "meta"},
    ],
)
def test_the_shape_of_a_change_refuses_what_is_none(envelope: dict[str, Any]) -> None:
    assert ChangeEnvelope(unknown=RAISE).validate(envelope) != {}


@pytest.mark.parametrize(
    ("name", "value"),
    [("code", 5), ("outcome", "maybe"), ("retry", "later"), ("retry_after", "soon")],
)
def test_the_shape_of_a_failure_has_closed_lists_but_for_its_code(name: str, value: str) -> None:
    error: dict[str, Any] = {
        "code": "not_found",
        "message": "x",
        "outcome": "unknown",
        "retry": "now",
        "retry_after": None,
        "fields": {},
    }
    assert FailureEnvelope().validate(write_envelope(data=None, error=error, request_id="r")) == {}
    wrong = write_envelope(data=None, error={**error, name: value}, request_id="r")
    assert list(FailureEnvelope().validate(wrong)["error"]) == [name]
    later = write_envelope(data=None, error={**error, "code": "of_next_year"}, request_id="r")
    assert FailureEnvelope().validate(later) == {}
    lacking = {key: text for key, text in error.items() if key != name}
    wrong = write_envelope(data=None, error=lacking, request_id="r")
    assert list(FailureEnvelope().validate(wrong)["error"]) == [name]


@pytest.mark.parametrize(
    ("schema", "data"),
    [
        (StatusEnvelope, {"status": "live"}),
        (
            AccountsEnvelope,
            {"accounts": [{"name": "a", "provider": "p", "actions": ["block", "list"]}]},
        ),
        (
            ProvidersEnvelope,
            {
                "providers": [
                    {
                        "name": "p",
                        "title": "P",
                        "origin": "x 1",
                        "actions": ["block"],
                        "session": "none",
                        "contacts": ["digits"],
                        "confirmation": "accepted",
                        "dialect": False,
                        "documentation": "",
                        "proven": None,
                    }
                ],
                "dialects": [{"name": "p", "origin": "x 1", "prefix": None, "host": None}],
                "broken": [{"name": "q", "origin": "y 1", "reason": "z"}],
            },
        ),
    ],
)
def test_the_shapes_of_the_reads_take_what_is_promised_and_nothing_less(
    schema: Any, data: dict[str, Any]
) -> None:
    assert schema().validate(write_envelope(data=data, request_id="r")) == {}
    for name in data:
        less = {key: value for key, value in data.items() if key != name}
        assert schema().validate(write_envelope(data=less, request_id="r")) != {}
