"""The bodies that servers, proxies and networks send in place of a provider's response."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Final

from adapter.http import Headers, HttpResponse
from adapter.strict_json import Json, write_json
from adapter.testing.exchanges import Exchange

_FEW: Final = 6
"""The number of hostile bodies, from the first, that are tried at implausible statuses too."""

ERRORS_BESIDE: Final[tuple[tuple[str, Json], ...]] = (
    ("error", "You are not connected."),
    ("error", {"message": "x"}),
    ("errors", ["x"]),
    ("error_code", "SOME_CODE"),
    ("errorMessage", "x"),
    ("statusCode", 500),
    ("success", False),
)
"""Keys that turn a success into an error."""

_EVIL_VALUES: Final = (
    ("NaN", b"NaN"),
    ("an integer without end", b"9" * 5000),
    ("half a surrogate pair", b'"\\ud800"'),
    ("deep nesting", b"[" * 40 + b"]" * 40),
)


@cache
def foreign_pages(status: int) -> tuple[tuple[str, HttpResponse], ...]:
    """Return the pages of proxies and other servers at an error status, by description.

    The first one has no body.
    """
    shapes: tuple[Json, ...] = (
        {},
        [],
        "Not Found",
        {"detail": "Not Found"},
        {"unknown": "shape"},
        {"timestamp": "2026-11-01T12:00:00Z", "status": status, "path": "/"},
        {"type": "about:blank", "title": "x", "status": status},
    )
    pages = [("no body", b""), ("HTML", b"<!doctype html><h1>Forbidden</h1>"), ("a word", b"No")]
    pages += [(json.dumps(each), write_json(each)) for each in shapes]
    return tuple((what, HttpResponse(status, body=body)) for what, body in pages)


@lru_cache(maxsize=64)
def hostile_responses(
    exchanges: tuple[Exchange, ...], statuses: frozenset[int]
) -> tuple[tuple[str, HttpResponse], ...]:
    """Return hostile responses by description: every body at `statuses`, a few at every other.

    Their bodies are those of `hostile_bodies` for the successes among the exchanges.
    """
    junk = Headers({"Retry-After": "soon", "Content-Type": "text/html"})
    bodies = [
        (what, HttpResponse(200, junk, body))
        for what, body in hostile_bodies(each for each in exchanges if each.outcome.ok)
    ]
    return tuple(
        (what, response.at_status(status))
        for status in range(100, 600)
        for what, response in (bodies if status in statuses else bodies[:_FEW])
    )


def hostile_bodies(successes: Iterable[Exchange]) -> list[tuple[str, bytes]]:
    """Return hostile bodies by description; those made of a success have the exchange's name."""
    bodies = [
        ("no body", b""),
        ("HTML", b"<!doctype html><h1>404 Not Found</h1>"),
        ("an object", b"{}"),
    ]
    good: dict[bytes, str] = {}
    for each in successes:
        if each.response.document is not None:
            good.setdefault(each.response.body, f"the body of {each.name!r}")
    bodies += ((what, body) for body, what in good.items())
    bodies += {
        "a space": b" ",
        "a word": b"OK",
        "bytes": bytes(range(256)),
        "an open brace": b"{",
        "an empty array": b"[]",
        "null": b"null",
        "true": b"true",
        "a number": b"200",
        "a text": b'"success"',
        "NaN": b"NaN",
        "a deep array": b"[" * 100 + b"]" * 100,
        "an endless array": b"[" * 4000,
        "a huge integer": b"9" * 5000,
        "half a surrogate pair": b'"\\ud800"',
        "an array of successes": b'[{"success":true},{"success":true}]',
    }.items()
    for body, what in good.items():
        bodies += (
            (f"{what}, cut at its end", body[:-1]),
            (f"{what}, cut in half", body[: len(body) // 2]),
            (f"{what}, and more after it", body + b"}"),
            (f"{what}, after a byte order mark", b"\xef\xbb\xbf" + body),
            (f"{what} in UTF-16", body.decode().encode("utf-16")),
            (f"{what} in a JSON text", write_json(body.decode())),
            (f"{what} in an array", b"[" + body + b"]"),
        )
        if body.startswith(b"{") and body != b"{}":
            first = body[1 : body.index(b":")]
            bodies += (
                (f"{what} with {evil} in it", b'{"evil":' + value + b"," + body[1:])
                for evil, value in _EVIL_VALUES
            )
            bodies.append((f"{what} with a key twice", b"{" + first + b":null," + body[1:]))
    return bodies
