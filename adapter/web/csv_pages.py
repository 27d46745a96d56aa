"""Block lists as CSV, with columns that can be fed in again."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlencode

from flask import Request

from adapter.csv_cells import quote_formula
from adapter.history import BlockEntry
from adapter.result_data import build_time
from adapter.results import Result

CSV_TYPE: Final = "text/csv"

COLUMNS: Final = (
    *("number", "jid", "user_id", "lid", "account"),
    *("state", "certainty", "since", "reason", "ref"),
)


def wants_csv(request: Request) -> bool:
    """Whether the request prefers CSV to JSON, by its `Accept`."""
    if CSV_TYPE not in request.environ.get("HTTP_ACCEPT", ""):
        return False
    return request.accept_mimetypes.best_match(["application/json", CSV_TYPE]) == CSV_TYPE


def write_csv(result: Result) -> bytes:
    """Return the contacts of a list, one per line. Numbers are digits without `+`."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows([quote_formula(cell or "") for cell in row] for row in _rows(result))
    return text.getvalue().encode()


def next_link(request: Request, cursor: str) -> str:
    """Return the `Link` header of a page: the same query with the next page's cursor."""
    query = {**request.args.to_dict(), "cursor": cursor}
    return f'<?{urlencode(query)}>; rel="next"'


def _rows(result: Result) -> Iterator[list[str | None]]:
    contacts = result.contacts or ()
    entries: tuple[BlockEntry | None, ...] = result.entries or (None,) * len(contacts)
    for contact, entry in zip(contacts, entries, strict=True):
        row = [contact.number, contact.jid, contact.user_id, contact.lid, result.account]
        if entry is not None:
            since = build_time(entry.since)
            row += [entry.state, entry.certainty, since, entry.reason, entry.ref]
        else:
            row += [None] * (len(COLUMNS) - len(row))
        yield row
