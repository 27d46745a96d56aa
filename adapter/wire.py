"""HTTP as plain values, for both sides of a provider, and JSON that is read strictly."""

from __future__ import annotations

import codecs
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final, NoReturn

MAX_DEPTH: Final = 32
"""Deepest nesting of arrays and objects that is read."""

_MAX_INTEGER_DIGITS: Final = 32

Json = Any
"""What JSON can say, as Python values. The reader checks every shape that it relies on."""

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


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


class Headers(Mapping[str, str]):
    """Header fields, frozen, found by name in any case. Iterating gives the names as written."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[str, str] = _NOTHING) -> None:
        self._fields = {name.lower(): (name, value) for name, value in fields.items()}

    def __getitem__(self, name: str) -> str:
        return self._fields[name.lower()][1]

    def __iter__(self) -> Any:
        return (name for name, _ in self._fields.values())

    def __len__(self) -> int:
        return len(self._fields)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        theirs = {str(name).lower(): value for name, value in other.items()}
        return {name: value for name, (_, value) in self._fields.items()} == theirs

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Headers({', '.join(self)})"


NO_HEADERS: Final = Headers()


@dataclass(frozen=True, slots=True, repr=False)
class HttpRequest:
    """A request as a value. `path` is percent-encoded and starts with a slash; None sends no body.

    `repr` shows the method alone: paths hold JIDs and at times tokens, headers hold credentials.
    """

    method: str
    path: str
    headers: Headers = field(default_factory=lambda: NO_HEADERS)
    query: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    json: Json = None

    def __repr__(self) -> str:
        return f"HttpRequest({self.method} …)"


@dataclass(frozen=True, repr=False)
class HttpResponse:
    """A response as a value. `repr` shows the status and the body's size alone."""

    status: int
    headers: Headers = field(default_factory=lambda: NO_HEADERS)
    body: bytes = b""

    @cached_property
    def document(self) -> Json:
        """What the body says as strict JSON; None where it is empty, unreadable, or `null`.

        No provider's contract gives `null` a meaning, so the three need no telling apart. A byte
        order mark before the JSON is passed over.
        """
        try:
            return read_json(self.body.removeprefix(codecs.BOM_UTF8))
        except StrictJsonError:
            return None

    def at_status(self, status: int) -> HttpResponse:
        """Return the same response with another status; what was read of it is not read again."""
        other = HttpResponse(status, self.headers, self.body)
        other.__dict__["document"] = self.document
        return other

    def __repr__(self) -> str:
        return f"HttpResponse({self.status}, {len(self.body)} bytes)"


def json_response(
    status: int, document: Json, headers: Mapping[str, str] = _NOTHING
) -> HttpResponse:
    """Return a response whose body is `document` as JSON."""
    return HttpResponse(
        status, Headers({"Content-Type": "application/json", **headers}), write_json(document)
    )
