"""Turn marshmallow's messages into configuration problems, one line each."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from marshmallow import Schema, fields

from adapter.errors import ConfigurationProblem
from adapter.names import display_key, display_name, display_unknown_key
from adapter.settings.schema import TopSchema


def hint(name: str, known: Iterable[str]) -> str:
    """Return ` (did you mean …?)` with the closest known name; empty without one."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {close[0]}?)" if close else ""


_WORDS = {
    "Missing data for required field.": "is required",
    "Not a valid string.": "must be text",
    "Not a valid boolean.": "must be true or false",
    "Not a valid number.": "must be a number",
    "Not a valid integer.": "must be a whole number",
    "Not a valid list.": "must be a list",
    "Not a valid mapping type.": "must be a table",
    "Invalid input type.": "must be a table",
}


def read_problems(
    messages: Any,
    path: str,
    schema: Schema | None,
    tables: bool = False,
    beside: Iterable[str] = (),
) -> list[ConfigurationProblem]:
    """Flatten marshmallow's tree of messages into lines that each name one key.

    With `tables`, the keys are names of accounts or of API keys. Those in `beside` are known too.
    """
    if isinstance(messages, Mapping):
        names = sorted({*schema.fields, *beside}) if schema is not None else []
        found = []
        for key, below in messages.items():
            about_all = key == "_schema" or (schema is None and key in ("key", "value"))
            known = schema.fields.get(str(key)) if schema else None
            show = display_name if tables else display_key
            shown = str(key) if known or isinstance(key, int) else show(str(key))
            if schema is not None and known is None:
                shown = display_unknown_key(str(key), names)
            here = path if about_all else f"{path}.{shown}".lstrip(".")
            if below == ["Unknown field."] and schema is not None:
                unknown = hint(str(key), names)
                keys = ", ".join(names) or "none"
                found.append(
                    ConfigurationProblem(here, f"unknown key{unknown}; known here are: {keys}")
                )
                continue
            nested = known.schema if isinstance(known, fields.Nested) else None
            named = isinstance(schema, TopSchema)  # accounts and keys
            found.extend(read_problems(below, here, nested, named))  # type: ignore[arg-type, unused-ignore]
        return found
    texts = messages if isinstance(messages, list) else [messages]
    return [ConfigurationProblem(path, _WORDS.get(str(text), str(text))) for text in texts]
