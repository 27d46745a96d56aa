"""Validation: messages by kind of error, also for the plain marshmallow schemas of plugins."""

from __future__ import annotations

from typing import Any

import pytest
from marshmallow import Schema, ValidationError, fields, validates_schema

from adapter.settings.validation import Validator


class Inner(Schema):
    size = fields.Integer(strict=True, required=True)


class PluginOptions(Schema):
    """A schema as plugins write it: plain fields of marshmallow."""

    text = fields.String(required=True)
    flag = fields.Boolean()
    ratio = fields.Float()
    whole = fields.Integer(strict=True)
    items = fields.List(fields.String())
    table = fields.Dict(keys=fields.String(), values=fields.Integer(strict=True))
    inner = fields.Nested(Inner)
    many = fields.List(fields.Nested(Inner))
    renamed = fields.String(data_key="other-name")
    own = fields.String(error_messages={"invalid": "an own message"})


VALID: dict[str, Any] = {"text": "x"}


def problems(kind: type[Schema], raw: Any) -> dict[str, str]:
    validator = Validator()
    validator.validate(kind, raw, "accounts.a")
    return {
        problem.path.removeprefix("accounts.a"): problem.message for problem in validator.problems
    }


@pytest.mark.parametrize(
    ("raw", "path", "message"),
    [
        ({}, ".text", "is required"),
        ({"text": None}, ".text", "has no value; set one, or remove the key"),
        ({"text": 1}, ".text", "must be text"),
        ({**VALID, "flag": "perhaps"}, ".flag", "must be true or false"),
        ({**VALID, "ratio": "x"}, ".ratio", "must be a number"),
        ({**VALID, "whole": 1.5}, ".whole", "must be a whole number"),
        ({**VALID, "items": "x"}, ".items", "must be a list"),
        ({**VALID, "items": ["x", 1]}, ".items.1", "must be text"),
        ({**VALID, "table": 1}, ".table", "must be a table"),
        ({**VALID, "table": {"x": 1.5}}, ".table.x", "must be a whole number"),
        ({**VALID, "inner": 1}, ".inner", "must be a table"),
        ({**VALID, "inner": {}}, ".inner.size", "is required"),
        (
            {**VALID, "inner": {"size": 1, "siez": 1}},
            ".inner.siez",
            "unknown key (did you mean size?); known here are: size",
        ),
        ({**VALID, "many": [{"size": 1}, {}]}, ".many.1.size", "is required"),
        ({**VALID, "other-name": 1}, ".other-name", "must be text"),
        ({**VALID, "own": 1}, ".own", "an own message"),
        ("x", "", "must be a table"),
    ],
)
def test_a_plugins_default_messages_are_replaced_and_its_own_are_kept(
    raw: Any, path: str, message: str
) -> None:
    assert problems(PluginOptions, raw) == {path: message}


def test_an_unknown_key_is_recognised_by_the_message_of_its_schema() -> None:
    class Translated(Schema):
        error_messages = {"unknown": "unbekannt"}
        size = fields.Integer()

    assert problems(Translated, {"siez": 1}) == {
        ".siez": "unknown key (did you mean size?); known here are: size"
    }


def test_a_message_about_a_key_that_is_not_a_field_is_kept() -> None:
    class Checked(Schema):
        @validates_schema
        def _check(self, data: Any, **_: Any) -> None:
            raise ValidationError({"size": ["is too large"], "nested": {"depth": "is too deep"}})

    assert problems(Checked, {}) == {".size": "is too large", ".nested.depth": "is too deep"}


def test_the_keys_beside_a_schema_are_listed_as_known() -> None:
    validator = Validator()
    validator.validate(Inner, {"size": 1, "provder": 1}, "accounts.a", beside=["provider"])
    (problem,) = validator.problems
    assert str(problem) == (
        "accounts.a.provder: unknown key (did you mean provider?); known here are: provider, size"
    )
