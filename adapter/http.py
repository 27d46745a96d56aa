"""HTTP as plain values, for both sides of a provider, and JSON that is read strictly."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final

from adapter.strict_json import Json, StrictJsonError, read_json, write_json

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


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
