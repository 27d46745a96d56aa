"""Strict JSON: what Python's json module accepts beyond the grammar is refused."""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn

MAX_DEPTH: Final = 32
"""Maximum nesting of arrays and objects."""

_MAX_INTEGER_DIGITS: Final = 32

Json = Any
"""A JSON document as Python values. Readers check every shape that they rely on."""


class StrictJsonError(ValueError):
    """The bytes are not strict JSON. The message gives the reason and never repeats the text."""


def read_json(body: bytes) -> Json:
    """Return the document in `body`, read as strict JSON in UTF-8.

    Raises StrictJsonError for a byte order mark or another encoding, duplicate keys, NaN and the
    infinities, lone surrogates, integers beyond 32 digits and nesting beyond `MAX_DEPTH`.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise StrictJsonError("is not UTF-8") from None
    try:
        value = _DECODER.decode(text)
    except RecursionError:
        raise StrictJsonError(f"is nested deeper than {MAX_DEPTH} levels") from None
    except json.JSONDecodeError as error:
        raise StrictJsonError(f"is not valid JSON at character {error.pos}") from None
    # A lone surrogate needs an escape, and nesting needs brackets.
    if "\\" in text or text.count("[") + text.count("{") > MAX_DEPTH:
        _check(value, MAX_DEPTH)
    return value


def write_json(value: Json) -> bytes:
    """Return `value` as compact JSON in ASCII, which every common charset decodes alike.

    Raises ValueError for NaN and the infinities, TypeError for values without a JSON form.
    """
    return _ENCODER.encode(value).encode("ascii")


def _object_without_duplicates(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise StrictJsonError("has a duplicate key in an object")
    return found


def _refuse_constant(_: str) -> NoReturn:
    raise StrictJsonError("holds NaN or an infinity, which are not JSON")


def _bounded_int(digits: str) -> int:
    if len(digits) > _MAX_INTEGER_DIGITS:
        raise StrictJsonError(f"holds an integer of more than {_MAX_INTEGER_DIGITS} digits")
    return int(digits)


def _finite_float(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise StrictJsonError("holds a number beyond the range of a double")
    return number


_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)
_DECODER = json.JSONDecoder(
    object_pairs_hook=_object_without_duplicates,
    parse_constant=_refuse_constant,
    parse_int=_bounded_int,
    parse_float=_finite_float,
)


def _check(value: Json, levels: int) -> None:
    """Raise StrictJsonError for lone surrogates and for more than `levels` of nesting."""
    if isinstance(value, str):
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            raise StrictJsonError("holds a lone surrogate")
    elif isinstance(value, (dict, list)):
        if not levels:
            raise StrictJsonError(f"is nested deeper than {MAX_DEPTH} levels")
        for item in value:
            _check(item, levels - 1)
        if isinstance(value, dict):
            for item in value.values():
                _check(item, levels - 1)
