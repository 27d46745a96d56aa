"""HTTP requests and responses as plain values, for providers and dialects."""

from __future__ import annotations

import codecs
from collections.abc import ItemsView, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final

from adapter.strict_json import Json, StrictJsonError, read_json, write_json

_EMPTY: Final[Mapping[str, str]] = MappingProxyType({})


class Headers(Mapping[str, str]):
    """Immutable header fields. Names are case-insensitive; iteration yields them as written."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[str, str] = _EMPTY) -> None:
        self._fields = {name.lower(): (name, value) for name, value in fields.items()}

    def __getitem__(self, name: str) -> str:
        return self._fields[name.lower()][1]

    def __iter__(self) -> Any:
        return (name for name, _ in self._fields.values())

    def __len__(self) -> int:
        return len(self._fields)

    def items(self) -> ItemsView[str, str]:
        """Return the names as written, with their values."""
        return dict(self._fields.values()).items()  # `Mapping` would look up each name again

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        expected = {str(name).lower(): value for name, value in other.items()}
        return {name: value for name, (_, value) in self._fields.items()} == expected

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Headers({', '.join(self)})"


NO_HEADERS: Final = Headers()


@dataclass(frozen=True, slots=True, repr=False)
class HttpRequest:
    """A request as a value. `path` is percent-encoded and starts with a slash.

    `json` is the body; None sends no body. `repr` shows only the method: paths hold JIDs and
    sometimes tokens, headers hold credentials.
    """

    method: str
    path: str
    headers: Headers = field(default_factory=lambda: NO_HEADERS)
    query: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    json: Json = None

    def __repr__(self) -> str:
        return f"HttpRequest({self.method} …)"


@dataclass(frozen=True, repr=False)
class HttpResponse:
    """A response as a value. `repr` shows only the status and the size of the body."""

    status: int
    headers: Headers = field(default_factory=lambda: NO_HEADERS)
    body: bytes = b""

    @cached_property
    def document(self) -> Json:
        """The body as strict JSON; None if it is empty, not strict JSON, or `null`.

        The three cases are not distinguished: no provider's contract gives `null` a meaning. A byte
        order mark before the JSON is ignored.
        """
        try:
            return read_json(self.body.removeprefix(codecs.BOM_UTF8))
        except StrictJsonError:
            return None

    def at_status(self, status: int) -> HttpResponse:
        """Return the same response with another status, without parsing its body again."""
        other = HttpResponse(status, self.headers, self.body)
        other.__dict__["document"] = self.document
        return other

    def narrowed(self, status: int, document: Json) -> HttpResponse:
        """Return the part of the response that is about one of several contacts.

        Its JSON is `document`, with this status and the same headers; `body` stays the whole.
        """
        part = HttpResponse(status, self.headers, self.body)
        part.__dict__["document"] = document
        return part

    def __repr__(self) -> str:
        return f"HttpResponse({self.status}, {len(self.body)} bytes)"


def json_response(status: int, document: Json, headers: Mapping[str, str] = _EMPTY) -> HttpResponse:
    """Return a response whose body is `document` as JSON."""
    return HttpResponse(
        status, Headers({"Content-Type": "application/json", **headers}), write_json(document)
    )
