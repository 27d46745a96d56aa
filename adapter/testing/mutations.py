"""Documents and responses with something changed, added or repeated in them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final

from adapter.contacts import Contact, ContactForm
from adapter.http import Headers, HttpResponse
from adapter.strict_json import Json, write_json
from adapter.testing.exchanges import Exchange
from adapter.testing.pointers import EVERY, GONE, places, replaced, value_at
from adapter.testing.samples import ANOTHER, NOT_PERSONS

NOTHING: Final = "nothing"
"""The description of a mutation that removes a value."""

_WRONG: Final[tuple[Json, ...]] = (
    *(None, True, False, 0, 1, -7, 2.5, "x"),
    *([], [None], {}, {"x": None}),
)
_JID: Final = re.compile(r"[0-9]+@(s\.whatsapp\.net|c\.us|lid)")


def mutations(document: Json) -> Iterator[tuple[str, str, Json]]:
    """Yield the document with one value replaced or removed: pointer, description, result.

    No entry of an array is removed, since a shorter list is a list too. Nor does 1 replace true,
    which Python takes for equal. Without a document (None) there are no mutations.
    """
    for pointer, value in [] if document is None else list(places(document)):
        if isinstance(value, bool):
            yield pointer, "another value", replaced(document, pointer, not value)
        elif isinstance(value, str):
            yield pointer, "another value", replaced(document, pointer, f"x{value}")
        elif isinstance(value, (int, float)):
            yield pointer, "another value", replaced(document, pointer, value + 7)
        if pointer and not isinstance(value_at(document, pointer.rpartition("/")[0]), list):
            yield pointer, NOTHING, replaced(document, pointer, GONE)
        for each in _WRONG:
            emptied = each == [] and isinstance(value, list)
            if each != value and not emptied:
                yield pointer, json.dumps(each), replaced(document, pointer, each)


@lru_cache(maxsize=512)
def mutated_responses(exchange: Exchange) -> tuple[tuple[str, str, HttpResponse], ...]:
    """Return each mutation of the exchange's body: pointer, description, response."""
    given = exchange.response
    return tuple(
        (pointer, what, HttpResponse(given.status, given.headers, write_json(document)))
        for pointer, what, document in mutations(given.document)
    )


def flipped(document: Json) -> Iterator[tuple[str, Json]]:
    """Yield the document with one boolean the other way round, by the boolean's pointer."""
    for pointer, value in list(places(document)):
        if isinstance(value, bool):
            yield pointer, replaced(document, pointer, not value)


def renamed(document: Json, contact: Contact) -> Iterator[tuple[str, Json]]:
    """Yield the document with another contact in place of the command's: at each place, and at all.

    A place is a text that is the contact in one of its forms, with a `+` or without.
    """
    forms = {form: form.write(contact) for form in ContactForm}
    found = []
    for pointer, value in [] if document is None else list(places(document)):
        for form, name in forms.items():
            if name and isinstance(value, str) and value.removeprefix("+") == name:
                plus = "+" if value.startswith("+") else ""
                found.append((pointer, f"{plus}{form.write(ANOTHER)}"))
                break
    for pointer, name in found:
        yield pointer, replaced(document, pointer, name)
    if len(found) > 1:
        everywhere = document
        for pointer, name in found:
            everywhere = replaced(everywhere, pointer, name)
        yield "all its places", everywhere


def with_groups(document: Json) -> Iterator[tuple[str, Json]]:
    """Yield the document with entries of groups and channels in each array of JIDs.

    An entry is a JID, or an object with one. A count beside the array grows with it.
    """
    for pointer, value in [] if document is None else list(places(document)):
        if not isinstance(value, list) or not value:
            continue
        first = value[0]
        inside = [
            where for where, text in places(first) if isinstance(text, str) and _JID.fullmatch(text)
        ]
        if len(inside) != 1:
            continue
        more = [replaced(first, inside[0], jid) for jid in NOT_PERSONS]
        yield pointer, _resized(document, pointer, [*value, *more])


def emptied(document: Json, patterns: Iterable[str]) -> Json:
    """Return the document without the entries of which the patterns are evidence.

    A count beside such an array becomes 0.
    """
    for pattern in patterns:
        parts = pattern.split("/")
        document = _resized(document, "/".join(parts[: parts.index(EVERY)]), [])
    return document


def _resized(document: Json, pointer: str, entries: list[Json]) -> Json:
    """Return the document with other entries in an array. A count beside it changes with it."""
    before = len(value_at(document, pointer))
    changed = replaced(document, pointer, entries)
    above = value_at(changed, pointer.rpartition("/")[0]) if pointer else None
    if isinstance(above, dict):
        for key, count in above.items():
            if type(count) is int and count == before:
                above[key] = len(entries)
    return changed


def laid_over(below: dict[str, Json], above: dict[str, Json]) -> dict[str, Json]:
    """Return both objects in one. Of two values that are not both objects, the upper one stays."""
    both = {**below, **above}
    for key in set(below) & set(above):
        if isinstance(below[key], dict) and isinstance(above[key], dict):
            both[key] = laid_over(below[key], above[key])
    return both


def echoes(response: HttpResponse, text: str) -> Iterator[tuple[str, HttpResponse]]:
    """Yield the response with the text in each of the places where a provider may echo it."""
    status, headers, document = response.status, response.headers, response.document
    if document is None:
        for what, body in (
            ("a plain body", f"Contact {text} was not found".encode()),
            ("an HTML body", f"<p>{text}</p>".encode()),
            ("message", write_json({"message": text})),
            ("error", write_json({"error": text})),
            ("error.message", write_json({"error": {"message": text, "code": None}})),
        ):
            yield what, HttpResponse(status, headers, body)
    else:
        for pointer, value in list(places(document)):
            if isinstance(value, str):
                changed = replaced(document, pointer, f"{value} {text}")
                yield pointer, HttpResponse(status, headers, write_json(changed))
        if isinstance(document, dict):
            more = {**document, "echo": text, text: text}
            yield "another key", HttpResponse(status, headers, write_json(more))
    echoing = Headers({**headers, "X-Echo": text})
    yield "a header", HttpResponse(status, echoing, response.body)


def retold(response: HttpResponse, text: str) -> Iterator[tuple[str, HttpResponse]]:
    """Yield the response with the text in place of each text of its body, by pointer."""
    document = response.document
    for pointer, value in [] if document is None else list(places(document)):
        if isinstance(value, str):
            body = write_json(replaced(document, pointer, text))
            yield pointer, HttpResponse(response.status, response.headers, body)


_LONGER: Final = ("x{}x", "echo {} end", "echo {}", "{} end")
"""Texts that contain another one."""


def wrapped(
    response: HttpResponse, unrelated: str
) -> Iterator[tuple[str, HttpResponse, list[tuple[str, HttpResponse]]]]:
    """Yield the response with an unrelated text, and with longer texts: each text, and all.

    A longer text contains the recorded one. The longer ones come with a description.
    """
    document = response.document
    texts = [
        (pointer, value)
        for pointer, value in ([] if document is None else places(document))
        if isinstance(value, str)
    ]
    choices = [(pointer or "the root", [(pointer, value)]) for pointer, value in texts]
    if len(texts) > 1:
        choices.append(("every text", texts))
    for where, chosen in choices:
        longer = [(repr(form.format("…")), _rewritten(response, chosen, form)) for form in _LONGER]
        yield where, _rewritten(response, chosen, unrelated), longer


def _rewritten(response: HttpResponse, texts: list[tuple[str, str]], form: str) -> HttpResponse:
    """Return the response with each of the texts in another form."""
    document = response.document
    for pointer, text in texts:
        document = replaced(document, pointer, form.replace("{}", text))
    return HttpResponse(response.status, response.headers, write_json(document))
