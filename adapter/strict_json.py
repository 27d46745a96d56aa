"""Strict JSON: what the standard library takes beyond the grammar is refused."""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn

MAX_DEPTH: Final = 32
"""Deepest nesting of arrays and objects that is read."""

_MAX_INTEGER_DIGITS: Final = 32

Json = Any
"""What JSON can say, as Python values. The reader checks every shape that it relies on."""


class StrictJsonError(ValueError):
    """The bytes are not strict JSON. The message says why and holds none of the text."""


def read_json(body: bytes) -> Json:
    """Return what `body` says, read as strict JSON in UTF-8.

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
        raise StrictJsonError(f"breaks JSON's grammar at character {error.pos}") from None
    # Without escapes there is no half of a pair, and without brackets there is no depth.
    if "\\" in text or text.count("[") + text.count("{") > MAX_DEPTH:
        _check(value, MAX_DEPTH)
    return value


def write_json(value: Json) -> bytes:
    """Return `value` as compact JSON in ASCII, which every charset reads alike."""
    return _ENCODER.encode(value).encode("ascii")


def _object_without_duplicates(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise StrictJsonError("names one key of an object twice")
    return found


def _refuse_constant(_: str) -> NoReturn:
    raise StrictJsonError("holds NaN or an infinity, which JSON has not")


def _bounded_int(digits: str) -> int:
    if len(digits) > _MAX_INTEGER_DIGITS:
        raise StrictJsonError(f"holds an integer of more than {_MAX_INTEGER_DIGITS} digits")
    return int(digits)


def _finite_float(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise StrictJsonError("holds a number too large to keep")
    return number


_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)
_DECODER = json.JSONDecoder(
    object_pairs_hook=_object_without_duplicates,
    parse_constant=_refuse_constant,
    parse_int=_bounded_int,
    parse_float=_finite_float,
)


def _check(value: Json, levels: int) -> None:
    """Refuse what the grammar allows and nobody can use: lone surrogates, and too deep nesting."""
    if isinstance(value, str):
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            raise StrictJsonError("holds half of a surrogate pair")
    elif isinstance(value, (dict, list)):
        if not levels:
            raise StrictJsonError(f"is nested deeper than {MAX_DEPTH} levels")
        for item in value:
            _check(item, levels - 1)
        if isinstance(value, dict):
            for item in value.values():
                _check(item, levels - 1)
