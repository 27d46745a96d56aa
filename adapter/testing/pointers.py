"""JSON pointers (RFC 6901) into documents, and patterns in which `*` is every entry of an array."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from adapter.strict_json import Json

GONE: Final = object()
"""The value at a pointer that leads nowhere."""

EVERY: Final = "*"
"""The part of a pattern that is every entry of an array."""


def value_at(document: Json, pointer: str) -> Json:
    """Return the value at a pointer, `GONE` where there is none. A `?` at its end is ignored."""
    value = document
    for part in _parts(pointer):
        value = _step(value, part)
    return value


def values_at(document: Json, pattern: str) -> list[Json] | None:
    """Return every value at a pattern, `GONE` for an entry without one.

    None where a `*` of the pattern stands for the entries of something that is not an array.
    """
    values = [document]
    for part in _parts(pattern):
        if part != EVERY:
            values = [_step(value, part) for value in values]
        elif all(isinstance(value, list) for value in values):
            values = [entry for value in values for entry in value]
        else:
            return None
    return values


def places(document: Json, pointer: str = "") -> Iterator[tuple[str, Json]]:
    """Yield every value of a document with the pointer to it, the document first."""
    yield pointer, document
    if isinstance(document, dict):
        for key, item in document.items():
            part = key.replace("~", "~0").replace("/", "~1")
            yield from places(item, f"{pointer}/{part}")
    elif isinstance(document, list):
        for index, item in enumerate(document):
            yield from places(item, f"{pointer}/{index}")


def replaced(document: Json, pointer: str, value: Json) -> Json:
    """Return a copy with another value at the pointer; with `GONE`, a copy without one.

    The copy shares with the document whatever the pointer does not lead through.
    """
    return _with(document, _parts(pointer), value)


def _with(document: Json, parts: list[str], value: Json) -> Json:
    if not parts:
        return value
    result = document.copy()
    key = int(parts[0]) if isinstance(document, list) else _unescaped(parts[0])
    if value is GONE and len(parts) == 1:
        del result[key]
    else:
        result[key] = _with(document[key], parts[1:], value)
    return result


def is_pattern(pointer: str) -> bool:
    """Whether the pointer has a `*` in it."""
    return EVERY in _parts(pointer)


def covers(pattern: str, pointer: str) -> bool:
    """Whether the pattern leads to the pointer's value, or to one above it."""
    above, below = _parts(pattern), _parts(pointer)
    return len(above) <= len(below) and _agree(above, below)


def overlaps(pattern: str, pointer: str) -> bool:
    """Whether one of the two leads to the other's value, or into it."""
    return _agree(_parts(pattern), _parts(pointer))


def same(one: Json, other: Json) -> bool:
    """Whether two JSON values are equal, where true and 1 are different."""
    if one is GONE or other is GONE:
        return one is other
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _parts(pointer: str) -> list[str]:
    return pointer.rstrip("?").split("/")[1:]


def _agree(one: list[str], other: list[str]) -> bool:
    pairs = zip(one, other, strict=False)
    return all(
        left == right
        or (left == EVERY and right.isdecimal())
        or (right == EVERY and left.isdecimal())
        for left, right in pairs
    )


def _step(value: Json, part: str) -> Json:
    key = _unescaped(part)
    if isinstance(value, dict) and key in value:
        return value[key]
    if isinstance(value, list) and key.isdecimal() and int(key) < len(value):
        return value[int(key)]
    return GONE


def _unescaped(part: str) -> str:
    return part.replace("~1", "/").replace("~0", "~")
