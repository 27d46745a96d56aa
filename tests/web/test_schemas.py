"""The schemas of requests and responses: what they accept, and faults by field."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import RAISE, ValidationError, fields, validate

from adapter.codes import Code, Confirmation
from adapter.errors import RequestError
from adapter.request_fields import MAX_FAULTS
from adapter.results import build_envelope
from adapter.web.request_schemas import (
    AccountSchema,
    ChangeRequestSchema,
    Flag,
    LookupRequestSchema,
    TargetSchema,
    load_document,
)
from adapter.web.schemas import (
    AccountsEnvelope,
    ChangeEnvelope,
    FailureEnvelope,
    ProvidersEnvelope,
    StatusEnvelope,
)


def faults_of(document: dict[Any, Any]) -> dict[str, tuple[str, ...]]:
    with pytest.raises(RequestError) as caught:
        load_document(TargetSchema(), document)
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
def test_document_of_texts_is_returned_unchanged(document: dict[str, str]) -> None:
    assert load_document(TargetSchema(), document) == document


class Text(str):
    """A text of another type."""


VALUES: st.SearchStrategy[Any] = st.one_of(
    st.text(max_size=200),
    st.sampled_from([1, 1.5, True, None, [], {}, b"x", Text("x")]),
    st.integers(126, 130).map("x".__mul__),
    st.integers(2046, 2050).map("x".__mul__),
)
NAMES: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(["account", "number", "jid", "user_id", "verify", "Number", ""]),
    st.text(),
    st.integers(),
)


QUICK = [ChangeRequestSchema(), TargetSchema(), AccountSchema()]
"""The schemas whose good documents are accepted without marshmallow."""


@pytest.mark.parametrize("schema", QUICK)
@given(st.dictionaries(NAMES, VALUES, max_size=5))
def test_marshmallow_accepts_every_document_that_is_accepted_without_it(
    schema: AccountSchema, document: dict[Any, Any]
) -> None:
    try:
        loaded: dict[str, Any] | None = schema.load(document)
    except ValidationError:
        loaded = None
    if schema.accepts(document):
        assert loaded == document == load_document(schema, document)
    else:
        # Only values that are equal to a text, but of another type, are left to marshmallow.
        assert loaded is None or not all(type(value) in (str, bool) for value in document.values())
    if loaded is None:
        with pytest.raises(RequestError):
            load_document(schema, document)
    else:
        assert load_document(schema, document) == loaded


@pytest.mark.parametrize("schema", QUICK)
def test_rules_beside_marshmallow_are_the_rules_of_the_fields(
    schema: AccountSchema,
) -> None:
    assert {*schema.max_lengths, *schema.flags} == schema.fields.keys()
    for name, field in schema.fields.items():
        assert not field.required
        if name in schema.flags:
            assert isinstance(field, Flag)
            assert field.validators == []
            continue
        (validator,) = field.validators  # a second rule would have to be in `accepts`
        assert isinstance(field, fields.String)
        assert isinstance(validator, validate.Length)
        assert (validator.min, validator.equal) == (None, None)
        assert schema.max_lengths[name] == validator.max


@pytest.mark.parametrize("value", [5511999999999, 1.5, True, None, [], {}, ["5511999999999"]])
@pytest.mark.parametrize("name", ["number", "jid", "user_id", "account"])
def test_other_types_are_rejected_and_never_converted(name: str, value: Any) -> None:
    found = faults_of({name: value})
    assert list(found) == [name]
    assert "must be text" in found[name][0]


def test_unknown_field_is_rejected_by_name_with_the_known_fields() -> None:
    found = faults_of({"number": "1", "phone": "2", "Jid": "3"})
    assert set(found) == {"phone", "Jid"}
    assert "account, jid, number, user_id" in found["phone"][0]


def test_every_fault_is_reported_at_once() -> None:
    assert set(faults_of({"number": 1, "jid": None, "account": [], "x": 1})) == {
        "number",
        "jid",
        "account",
        "x",
    }


def test_long_text_is_rejected_without_repeating_it() -> None:
    found = faults_of(
        {"number": "5" * 2049, "jid": "5" * 65, "account": "5" * 129, "user_id": "5" * 136}
    )
    assert found == {
        "number": ("is longer than 2048 characters",),  # the limit for links
        "jid": ("is longer than 64 characters",),
        "account": ("is longer than 128 characters",),
        "user_id": ("is longer than 135 characters",),
    }


def test_name_of_an_unknown_field_is_truncated() -> None:
    (name,) = faults_of({"x" * 10_000: 1})
    assert name == "x" * 64


@given(st.integers(min_value=0, max_value=40), st.text(min_size=1, max_size=200))
def test_unknown_fields_above_the_limit_are_counted(count: int, stem: str) -> None:
    document: dict[str, Any] = {f"{number} {stem}": 1 for number in range(count)}
    found = faults_of({**document, "number": 1})
    assert "must be text" in found["number"][0]
    named = [name for name in found if name not in ("number", "others")]
    assert len(named) == min(count, MAX_FAULTS)
    assert all(len(name) <= 64 for name in named)
    assert ("others" in found) is (count > MAX_FAULTS)
    if count > MAX_FAULTS:
        assert found["others"] == (f"{count - MAX_FAULTS} more unknown fields",)


def test_account_schema_accepts_an_account_alone() -> None:
    assert load_document(AccountSchema(), {"account": "a"}) == {"account": "a"}
    with pytest.raises(RequestError):
        load_document(AccountSchema(), {"number": "5511999999999"})


LOOKUP = LookupRequestSchema()


def lookup_faults(document: dict[Any, Any]) -> dict[str, tuple[str, ...]]:
    with pytest.raises(RequestError) as caught:
        load_document(LOOKUP, document)
    return dict(caught.value.outcome.fields)


def test_lookup_of_1_to_100_texts_is_accepted() -> None:
    for document in (
        {"numbers": ["1"]},
        {"numbers": ["1"] * 100, "account": "a", "candidates": True},
    ):
        assert load_document(LOOKUP, document) == document


@pytest.mark.parametrize(
    ("document", "faults"),
    [
        ({}, {"numbers": ("is required",)}),
        ({"numbers": []}, {"numbers": ("must have 1 to 100 entries",)}),
        ({"numbers": ["1"] * 101}, {"numbers": ("must have 1 to 100 entries",)}),
        ({"numbers": "5511999999999"}, {"numbers": ("must be a list of texts",)}),
        ({"numbers": None}, {"numbers": ("must be a list of texts",)}),
        ({"numbers": ["1", 2]}, {"numbers[1]": ("must be text, in quotes",)}),
        ({"numbers": ["5" * 2049]}, {"numbers[0]": ("is longer than 2048 characters",)}),
    ],
)
def test_lookup_of_other_values_is_rejected_by_entry(
    document: dict[str, Any], faults: dict[str, tuple[str, ...]]
) -> None:
    assert lookup_faults(document) == faults


def test_invalid_entries_above_the_limit_are_counted() -> None:
    found = lookup_faults({"numbers": ["1", *[2] * 10]})
    assert list(found) == [*(f"numbers[{index}]" for index in range(1, 9)), "others"]
    assert found["others"] == ("2 more invalid numbers",)


@pytest.mark.parametrize("value", ["true", "false", 1, 0, "", None, [], "yes"])
@pytest.mark.parametrize(
    ("schema", "name"), [(ChangeRequestSchema(), "verify"), (LOOKUP, "candidates")]
)
def test_flag_of_another_type_is_rejected_and_never_converted(
    schema: AccountSchema, name: str, value: Any
) -> None:
    with pytest.raises(RequestError) as caught:
        load_document(
            schema, {"numbers": ["1"], name: value} if schema is LOOKUP else {name: value}
        )
    assert caught.value.outcome.fields == {name: ("must be true or false, without quotes",)}


names = st.sampled_from(["number", "jid", "user_id", "account"]) | st.text(max_size=70)
values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=140)


@given(st.dictionaries(names, values | st.lists(values) | st.dictionaries(names, values)))
def test_any_object_is_accepted_or_rejected_by_field(document: dict[str, Any]) -> None:
    try:
        taken = load_document(TargetSchema(), document)
    except RequestError as error:
        assert error.outcome.code is Code.VALIDATION_ERROR  # noqa: PT017 - both ways are fine
        assert error.outcome.fields  # noqa: PT017
        assert all(text for texts in error.outcome.fields.values() for text in texts)  # noqa: PT017
    else:
        assert taken == document


# --- schemas of responses


def change(**rest: Any) -> dict[str, Any]:
    data = {
        "action": "block",
        "account": "a",
        "blocked": True,
        "confirmation": "accepted",
        "contact": {"jid": "x@lid", "number": None, "lid": "x@lid", "user_id": None},
        "verified": None,
        "verified_reason": "no_read",
    }
    return build_envelope(data={**data, **rest}, request_id="r")


def test_change_schema_accepts_all_confirmations() -> None:
    for confirmation in Confirmation:
        assert ChangeEnvelope().validate(change(confirmation=confirmation.value)) == {}


@pytest.mark.parametrize(
    "envelope",
    [
        change(action="list"),
        change(confirmation="maybe"),
        change(contact=None),
        change(verified="maybe"),
        change(verified_reason="later"),
        change(colour=1),
        {**change(), "success": False},
        {**change(), "error": {}},
        {**change(), "colour": 1},
        {key: value for key, value in change().items() if key != "error"},
        {key: value for key, value in change().items() if key != "meta"},
    ],
)
def test_change_schema_rejects_other_values(envelope: dict[str, Any]) -> None:
    assert ChangeEnvelope(unknown=RAISE).validate(envelope) != {}


@pytest.mark.parametrize(
    ("name", "value"),
    [("code", 5), ("outcome", "maybe"), ("retry", "later"), ("retry_after", "soon")],
)
def test_failure_schema_has_closed_enums_except_for_the_code(name: str, value: Any) -> None:
    error: dict[str, Any] = {
        "code": "not_found",
        "message": "x",
        "outcome": "unknown",
        "retry": "now",
        "retry_after": None,
        "fields": {},
    }
    assert FailureEnvelope().validate(build_envelope(data=None, error=error, request_id="r")) == {}
    wrong = build_envelope(data=None, error={**error, name: value}, request_id="r")
    assert list(FailureEnvelope().validate(wrong)["error"]) == [name]
    later = build_envelope(data=None, error={**error, "code": "of_next_year"}, request_id="r")
    assert FailureEnvelope().validate(later) == {}
    lacking = {key: text for key, text in error.items() if key != name}
    wrong = build_envelope(data=None, error=lacking, request_id="r")
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
                        "verifiable": "with the LID",
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
def test_schemas_of_reads_accept_complete_data_alone(schema: Any, data: dict[str, Any]) -> None:
    assert schema().validate(build_envelope(data=data, request_id="r")) == {}
    for name in data:
        less = {key: value for key, value in data.items() if key != name}
        assert schema().validate(build_envelope(data=less, request_id="r")) != {}
