"""What a provider's response proves, beyond what the provider's own table says of it. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final

from adapter.contact import Contact, ContactError, NotAPersonError
from adapter.outcome import MAX_RETRY_AFTER, ContactList
from adapter.wire import Headers, Json

_ERROR_KEY: Final = re.compile(
    r"(error|errors|err|fault|exception)(code|codes|message|messages|type|reason|detail|details)?"
)
_STATUS_KEYS: Final = frozenset({"status", "statuscode", "httpstatus", "httpcode", "code"})
_FLAG_KEYS: Final = frozenset({"success", "ok"})
_ERROR, _FLAG, _STATUS = "error", "flag", "status"
_NO_ROUTE: Final = re.compile(r"Cannot (GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) /")
_NUMBER: Final = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,18})?")
_DATE: Final = re.compile(
    r"[A-Za-z]{3}, [0-9]{2} [A-Za-z]{3} [0-9]{4} [0-9:]{8} GMT"  # IMF-fixdate
    r"|[A-Za-z]{6,9}, [0-9]{2}-[A-Za-z]{3}-[0-9]{2} [0-9:]{8} GMT"  # RFC 850
    r"|[A-Za-z]{3} [A-Za-z]{3} [ 0-9][0-9] [0-9:]{8} [0-9]{4}"  # asctime
)


def holds_error(document: Json) -> bool:
    """Whether the body carries an error: beside a success, it contradicts it.

    An error is a key such as `error`, `errors` or `error_code` with a value that is not empty, a
    status of 400 or more, or `success: false`. Arrays are not searched: they are lists of contacts.
    """
    if not isinstance(document, dict):
        return False
    for key, value in document.items():
        if isinstance(value, dict) and holds_error(value):
            return True
        kind = _kind_of(key)
        if kind is _ERROR and value not in (None, False, 0, "", [], {}):
            return True
        if kind is _FLAG and value is False:
            return True
        if kind is _STATUS and isinstance(value, int) and value >= 400:
            return True
    return False


@lru_cache(maxsize=1024)
def _kind_of(key: str) -> str | None:
    """Return what a key of a body is for, whatever its case and separators."""
    name = re.sub(r"[^a-z]", "", key.lower())
    if _ERROR_KEY.fullmatch(name):
        return _ERROR
    return _FLAG if name in _FLAG_KEYS else _STATUS if name in _STATUS_KEYS else None


def says_no_route(document: Json) -> bool:
    """Whether the server says that it has no such route: `Cannot POST /wrong/path`.

    That is the fixed sentence of Express (finalhandler) and Nest, which other frameworks took over;
    servers put it into their own error shape. It chooses between two failures and proves nothing
    else. It is looked for at the start of each text of the body.
    """
    return any(_NO_ROUTE.match(text) for text in _texts(document))


def _texts(document: Json) -> Iterator[str]:
    if isinstance(document, str):
        yield document
    elif isinstance(document, (dict, list)):
        for value in document.values() if isinstance(document, dict) else document:
            yield from _texts(value)


def read_retry_after(headers: Headers, now: datetime | None = None) -> int | None:
    """Return the seconds that `Retry-After` asks for, at most 3600; None where it is unreadable.

    Fractions are rounded up. A date, in any of HTTP's three forms (RFC 9110, section 5.6.7), is
    compared with the response's own `Date`, which shares its clock; without one, with `now`. Of
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


def read_contacts(jids: Iterable[Json]) -> ContactList | None:
    """Return the contacts that the JIDs of a provider's list name, in order.

    Entries that are no persons, such as groups and channels, are counted and left out. None where
    an entry is no text or no JID that is known: a part of a list is no list.
    """
    contacts, others = [], 0
    for jid in jids:
        if not isinstance(jid, str):
            return None
        try:
            contacts.append(Contact.from_jid(jid))
        except NotAPersonError:
            others += 1
        except ContactError:
            return None
    return ContactList(tuple(contacts), others)
