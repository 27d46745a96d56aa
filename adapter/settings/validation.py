"""Validate tables of the configuration, and collect the problems of all of them.

A default message of marshmallow is replaced by ours. It is recognised by the documented attributes
`Schema.error_messages` and `Field.default_error_messages`, not by its words, so that the plain
schemas of plugins are covered too. A plugin's own messages are kept, except that for unknown keys.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, Final

from marshmallow import Schema, ValidationError, fields

from adapter.config_names import display_key, display_name, display_unknown_key
from adapter.containment import contain
from adapter.errors import ConfigurationProblem
from adapter.settings.schema import TopSchema

_MESSAGES: Final[tuple[tuple[type[fields.Field[Any]], Mapping[str, str]], ...]] = (
    (fields.String, {"invalid": "must be text"}),
    (fields.Boolean, {"invalid": "must be true or false"}),
    (fields.Integer, {"invalid": "must be a whole number"}),
    (fields.Number, {"invalid": "must be a number"}),
    (fields.List, {"invalid": "must be a list"}),
    (fields.Mapping, {"invalid": "must be a table"}),
    (fields.Field, {"required": "is required", "null": "has no value; set one, or remove the key"}),
)
"""Our messages by type of field and kind of error, the more specific types first."""

_NOT_A_TABLE: Final = "must be a table"
_SCHEMA_DEFAULTS: Final = Schema().error_messages


def hint(name: str, known: Iterable[str]) -> str:
    """Return ` (did you mean …?)` with the closest known name; empty without one.

    Upper and lower case are equal here.
    """
    folded = {each.casefold(): each for each in known}
    close = difflib.get_close_matches(name.casefold(), folded, n=1)
    return f" (did you mean {folded[close[0]]}?)" if close else ""


class Validator:
    """Validates the tables of one configuration and collects their problems in order."""

    def __init__(self) -> None:
        self.problems: list[ConfigurationProblem] = []
        self._schemas: dict[type[Schema], Schema] = {}

    def report(self, path: str, message: str) -> None:
        """Add a problem. One of the common `transport` is found per account and added once."""
        problem = ConfigurationProblem(path, message)
        if path.startswith("transport.") and problem in self.problems:
            return
        self.problems.append(problem)

    def validate(
        self, kind: type[Schema], raw: Any, path: str, beside: Iterable[str] = ()
    ) -> dict[str, Any]:
        """Return the valid part of a table; report the rest.

        `beside` are the keys of the same table that another schema reads.
        """
        schema = self._schemas.get(kind)  # instantiated once for a thousand accounts
        if schema is None:
            schema = self._schemas[kind] = contain(kind)  # may be a plugin's class
        if not isinstance(raw, Mapping):
            self.report(path, _NOT_A_TABLE)
            return {}
        try:
            return dict(contain(schema.load, raw))
        except ValidationError as error:
            self.problems.extend(_flatten(error.messages, path, schema, beside=beside))
            valid = error.valid_data
            return dict(valid) if isinstance(valid, Mapping) else {}

    def require_account(self, path: str, name: str | None, names: Iterable[str]) -> None:
        """Report a reference to an account that is not configured."""
        names = set(names)
        if name is not None and name not in names:
            displayed = {display_name(each) for each in names}
            known = ", ".join(sorted(displayed)) or "none"
            self.report(path, f"no such account{hint(name, displayed)}; configured are: {known}")


def _flatten(
    messages: Any,
    path: str,
    owner: Schema | fields.Field[Any] | None,
    *,
    names: bool = False,
    beside: Iterable[str] = (),
) -> list[ConfigurationProblem]:
    """Return marshmallow's tree of messages about a schema or field as one problem per key.

    With `names`, the keys are names of accounts or API keys. The keys in `beside` are known too.
    """
    if not isinstance(messages, Mapping):
        texts = messages if isinstance(messages, list) else [messages]
        return [ConfigurationProblem(path, _translate(text, owner)) for text in texts]
    if isinstance(owner, fields.Nested):
        owner = owner.schema
    if isinstance(owner, Schema):
        return _flatten_table(messages, path, owner, beside)
    problems = []
    for key, below in messages.items():
        if isinstance(owner, fields.Mapping) and isinstance(below, Mapping):
            shown = display_name(str(key)) if names else display_key(str(key))
            for part, texts in below.items():  # the parts are "key" and "value"
                child = owner.key_field if part == "key" else owner.value_field
                problems.extend(_flatten(texts, _join(path, shown), child))
        elif isinstance(owner, fields.List):
            problems.extend(_flatten(below, _join(path, str(key)), owner.inner))
        else:
            problems.extend(_flatten(below, _join(path, display_key(str(key))), None))
    return problems


def _flatten_table(
    messages: Mapping[Any, Any], path: str, schema: Schema, beside: Iterable[str]
) -> list[ConfigurationProblem]:
    children = {field.data_key or name: field for name, field in schema.fields.items()}
    known = sorted({*children, *beside})
    problems = []
    for key, below in messages.items():
        child = children.get(str(key))
        if key == "_schema":
            problems.extend(_flatten(below, path, schema))
        elif child is not None:
            is_top = isinstance(schema, TopSchema)
            problems.extend(_flatten(below, _join(path, str(key)), child, names=is_top))
        elif isinstance(key, int) and isinstance(below, Mapping):  # one of several tables
            problems.extend(_flatten_table(below, _join(path, str(key)), schema, beside))
        else:
            here = _join(path, display_unknown_key(str(key), known))
            if below == [schema.error_messages["unknown"]]:
                shown = ", ".join(known) or "none"
                message = f"unknown key{hint(str(key), known)}; known here are: {shown}"
                problems.append(ConfigurationProblem(here, message))
            else:
                problems.extend(_flatten(below, here, None))
    return problems


def _join(path: str, key: str) -> str:
    return f"{path}.{key}".lstrip(".")


def _translate(text: Any, owner: Schema | fields.Field[Any] | None) -> str:
    """Return our message in place of marshmallow's default; any other text unchanged."""
    if isinstance(owner, Schema):
        return _NOT_A_TABLE if text == _SCHEMA_DEFAULTS["type"] else str(text)
    for kind, messages in _MESSAGES:
        if isinstance(owner, kind):
            for error, message in messages.items():
                if text == kind.default_error_messages[error]:
                    return message
    return str(text)
