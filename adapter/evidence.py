"""Evidence in responses, whatever the provider: errors, success flags, states, contacts.

Pure, except that `read_retry_after` compares a date with the clock where no other time is known.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final

from adapter.contacts import Contact, ContactError, NotAPersonError, Relation, relation
from adapter.http import Headers
from adapter.readings import Lookup
from adapter.results import MAX_RETRY_AFTER, Command, ContactList
from adapter.strict_json import Json

_ERROR_KEY: Final = re.compile(
    r"(?:is|has|last)?(?:err|errors?|exceptions?|faults?|failures?)"
    r"(?:codes?|no|messages?|msg|text|types?|name|reason|title|details?|description|data|info)?"
    r"|(?:has|is)?failed"
)
_FLAGS: Final = frozenset({"success", "ok"})
_STATUSES: Final = frozenset({"status", "statuscode", "httpstatus", "httpcode", "code"})
_NOTHING: Final[tuple[Json, ...]] = (None, False, 0, "", "0", "false", [], {})
_FAILED: Final = frozenset({"error", "fail", "failed", "failure", "false"})
_ERROR, _FLAG, _STATUS, _STATE = "error", "flag", "status", "state"
_LONGEST_KEY: Final = 40
"""The maximum length of a key that can name an error, in characters."""

_SEPARATORS: Final = re.compile(r"[ ()+-]")
_NO_ROUTE: Final = re.compile(r"Cannot (GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) /")
_ID: Final = re.compile(r"[0-9]{5,20}(@(s\.whatsapp\.net|c\.us|lid))?")
_NUMBER: Final = re.compile(r"[0-9]{1,64}(?:\.[0-9]{1,64})?")
_DATE: Final = re.compile(
    r"[A-Za-z]{3}, [0-9]{2} [A-Za-z]{3} [0-9]{4} [0-9:]{8} GMT"  # IMF-fixdate
    r"|[A-Za-z]{6,9}, [0-9]{2}-[A-Za-z]{3}-[0-9]{2} [0-9:]{8} GMT"  # RFC 850
    r"|[A-Za-z]{3} [A-Za-z]{3} [ 0-9][0-9] [0-9:]{8} [0-9]{4}"  # asctime
)


def holds_error(document: Json, *, arrays: bool = True) -> bool:
    """Whether the body holds an error, which contradicts a success beside it.

    An error is a key such as `error`, `errors` or `error_code` with a value that is not empty, a
    status of 400 or more or with the text `failed` or such, or `success: false`. Without `arrays`,
    arrays are ignored: an entry of a list proves nothing about the whole.
    """
    if isinstance(document, list):
        return arrays and any(holds_error(each) for each in document if isinstance(each, dict))
    if not isinstance(document, dict):
        return False
    for key, value in document.items():
        if isinstance(value, (dict, list)) and holds_error(value, arrays=arrays):
            return True
        kind = _kind_of(key)
        if kind is _ERROR and value not in _NOTHING:
            return True
        if kind is _FLAG and value in (False, "false"):
            return True
        if kind is _STATUS and _is_failure(value):
            return True
    return False


def _is_failure(status: Json) -> bool:
    if isinstance(status, str):
        status = int(status) if re.fullmatch("[0-9]{1,3}", status) else status.lower()
    return status in _FAILED if isinstance(status, str) else _is_number(status) and status >= 400


def _is_number(value: Json) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def without_faulty_entries(document: Json) -> Json:
    """Return the document without those objects of its arrays that hold an error."""
    if isinstance(document, dict):
        return {key: without_faulty_entries(value) for key, value in document.items()}
    if isinstance(document, list):
        return [each for each in document if not (isinstance(each, dict) and holds_error(each))]
    return document


def says_success(document: Json) -> bool:
    """Whether the body has a success flag: `success` or `ok` is true."""
    return isinstance(document, dict) and any(
        value is True and _kind_of(key) is _FLAG for key, value in document.items()
    )


def says_failure(document: Json) -> bool:
    """Whether the body has `success: false`."""
    return isinstance(document, dict) and document.get("success") is False


def shows_state(document: Json, *, blocked: bool) -> bool:
    """Whether the body shows a contact in this state, under a key `blocked` or `isBlocked`."""
    if isinstance(document, list):
        return any(shows_state(each, blocked=blocked) for each in document)
    return isinstance(document, dict) and any(
        shows_state(value, blocked=blocked)
        if isinstance(value, (dict, list))
        else value is blocked and _kind_of(key) is _STATE
        for key, value in document.items()
    )


def _kind_of(key: str) -> str | None:
    """Return the kind of a body's key, in any case and with any separators."""
    return _read_kind(key) if len(key) <= _LONGEST_KEY else None


@lru_cache(maxsize=1024)
def _read_kind(key: str) -> str | None:
    name = re.sub(r"[^a-z]", "", key.lower())
    if _ERROR_KEY.fullmatch(name):
        return _ERROR
    if name in ("blocked", "isblocked"):
        return _STATE
    return _FLAG if name in _FLAGS else _STATUS if name in _STATUSES else None


def says_no_route(document: Json) -> bool:
    """Whether the body has the sentence of a missing route: `Cannot POST /wrong/path`.

    That is the fixed sentence of Express (finalhandler) and Nest, which other frameworks copy and
    servers put into their own error shape. It decides between two failures and proves nothing else.
    It counts at the start of any text of the body.
    """
    return any(_NO_ROUTE.match(text) for text in _texts(document))


def _texts(document: Json) -> Iterator[str]:
    if isinstance(document, str):
        yield document
    elif isinstance(document, (dict, list)):
        for value in document.values() if isinstance(document, dict) else document:
            yield from _texts(value)


def read_retry_after(headers: Headers, now: datetime | None = None) -> int | None:
    """Return the seconds of `Retry-After`, at most 3600; None if it is missing or unreadable.

    Fractions are rounded up. A date, in any of HTTP's three forms (RFC 9110, section 5.6.7), is
    compared with the response's own `Date`, which is of the same clock; without one, with `now`. Of
    several values that a proxy joined, the longest wait counts.
    """
    text = headers.get("Retry-After", "").strip()
    dates = [_http_date(found) for found in _DATE.findall(text)]
    rest = [part.strip() for part in _DATE.sub("", text).split(",")]
    numbers = [part for part in rest if part]
    if not all(_NUMBER.fullmatch(part) for part in numbers):
        return None
    waits: list[float] = [float(part) for part in numbers]
    given = _DATE.search(headers.get("Date", ""))
    start = (given and _http_date(given[0])) or now or datetime.now(UTC)
    waits += [(date - start).total_seconds() for date in dates if date is not None]
    if not waits or None in dates:
        return None
    return bounded_wait(max(waits))


def bounded_wait(seconds: float) -> int:
    """Return the wait in whole seconds, rounded up, from 0 to 3600."""
    return math.ceil(min(max(seconds, 0), MAX_RETRY_AFTER))


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, IndexError, TypeError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def read_jid(value: Json) -> Contact:
    """Return the person of a JID. Raises ContactError for any other value."""
    if not isinstance(value, str):
        raise ContactError("jid", "must be text")
    return Contact.from_jid(value)


def read_number(value: Json) -> Contact | None:
    """Return the contact of a phone number: digits (text or integer), or a JID. None if empty.

    Blanks, brackets, dashes and plus signs are ignored. Raises ContactError for any other value.
    """
    if value is None or value == "":
        return None
    text = str(value) if isinstance(value, (str, int)) else ""
    if "@" not in text:
        text = f"{_SEPARATORS.sub('', text)}@s.whatsapp.net"
    return Contact.from_jid(text, "number")


def read_person(jid: Json, number: Json = None, expected: Contact | None = None) -> Contact:
    """Return the contact of a JID and of the phone number beside it, which may map a LID.

    `expected` is returned unparsed if both are its own, as they usually are in the response to a
    change. Raises ContactError if one of them cannot be read, or if they are of different persons.
    """
    own = (None, "", expected.number) if expected else ()
    if expected and jid is not None and jid == expected.jid and number in own:
        return expected
    contact = read_jid(jid)
    by_number = read_number(number)
    if by_number is None:
        return contact
    if relation(contact, by_number) is Relation.DIFFERENT:
        raise ContactError("number", "is of another person than jid")
    return Contact(contact.number or by_number.number, contact.lid)


def read_lookup(number: Json, found: Json, *ids: Json) -> Lookup | None:
    """Return the lookup of a number, from its entry in a response; None if that is unreadable.

    `found` is a boolean. `ids` name the person of a number that was found: each is a JID, a LID or
    digits, or empty. An id that cannot be read, or ids of different persons, make the entry
    unreadable.
    """
    try:
        asked = read_number(number)
    except ContactError:
        return None
    if asked is None or not isinstance(found, bool):
        return None
    if not found:  # of a number that was not found, an id may be any text
        ids = tuple(each for each in ids if isinstance(each, str) and _ID.fullmatch(each))
    try:
        persons = [read_number(each) for each in ids]
    except ContactError:
        return None
    known: Contact | None = None
    for person in filter(None, persons):
        if relation(known or asked, person) is Relation.DIFFERENT:
            return None
        known = person if known is None else _join(known, person)
    return Lookup(asked, found, known if found else None)


def _join(one: Contact, other: Contact) -> Contact:
    return Contact(one.number or other.number, one.lid or other.lid)


def read_contacts(
    entries: Iterable[Json], read: Callable[[Json], Contact] = read_jid
) -> ContactList | None:
    """Return the contacts of a list's entries, in order; None if one of them is unreadable.

    `read` returns the contact of one entry, by default of a JID. An entry for which it raises
    NotAPersonError, such as a group or a channel, is counted and left out. An entry for which it
    raises ContactError makes the whole list unreadable: part of a list is not the list.
    """
    contacts, others = [], 0
    for entry in entries:
        try:
            contacts.append(read(entry))
        except NotAPersonError:
            others += 1
        except ContactError:
            return None
    return ContactList(tuple(contacts), others)


def read_lookup_by_keys(
    command: Command, document: Json, found_at: str, jid_at: str
) -> list[Lookup] | None:
    """Return the lookup of the command's only number, from two keys of the body.

    `found_at` has whether the number is on WhatsApp, `jid_at` as whom: of a number that was found,
    the JID may be missing, of one that was not, it may be null too, and is ignored. None for a
    value that cannot be read, and for the JID of another person.
    """
    if not isinstance(document, dict) or not isinstance(document.get(found_at), bool):
        return None
    asked, found, jid = command.contacts[0], document[found_at], document.get(jid_at)
    if jid is None and not (found and jid_at in document):
        return [Lookup(asked, found)]
    try:
        known = read_jid(jid)
    except ContactError:
        return None
    if relation(asked, known) is Relation.DIFFERENT:
        return None
    return [Lookup(asked, found, known if found else None)]


def value_at(document: Json, keys: Iterable[str]) -> Json:
    """Return the value at the end of the keys; None if one of them is missing."""
    for key in keys:
        document = document.get(key) if isinstance(document, dict) else None
    return document


def without(document: Json, keys: tuple[str, ...]) -> Json:
    """Return the document without the value at the end of the keys."""
    if not isinstance(document, dict) or keys[0] not in document:
        return document
    rest = {key: value for key, value in document.items() if key != keys[0]}
    return {**rest, keys[0]: without(document[keys[0]], keys[1:])} if keys[1:] else rest


def find_values(document: Json, key: str) -> Iterator[Json]:
    """Yield each value under this key, at any depth of the body."""
    if isinstance(document, dict) and key in document:
        yield document[key]
    inner = document.values() if isinstance(document, dict) else document
    for value in inner if isinstance(document, (dict, list)) else ():
        yield from find_values(value, key)
