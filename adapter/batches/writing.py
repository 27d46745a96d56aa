"""Write rows as CSV which `read_rows` reads again as it is."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from typing import Final, Protocol

from adapter.batches.columns import COLUMNS
from adapter.batches.rows import find_lost, split_given
from adapter.contacts import Contact
from adapter.csv_cells import LOST, quote_formula

WRITTEN: Final = (*COLUMNS, "line", "status", "code", "why")
"""The columns. The last four are for the reader of the file; `read_rows` ignores them."""

REJECTED: Final = "rejected"

_UNWRITABLE: Final = re.compile("[\0\ud800-\udfff]")


class Writable(Protocol):
    """A row: a `Row`, or what became of one, with a `status`."""

    @property
    def line(self) -> int: ...  # noqa: D102
    @property
    def contact(self) -> Contact | None: ...  # noqa: D102
    @property
    def given(self) -> str: ...  # noqa: D102
    @property
    def action(self) -> str | None: ...  # noqa: D102
    @property
    def account(self) -> str | None: ...  # noqa: D102
    @property
    def reason(self) -> str | None: ...  # noqa: D102
    @property
    def ref(self) -> str | None: ...  # noqa: D102
    @property
    def code(self) -> str | None: ...  # noqa: D102
    @property
    def why(self) -> str | None: ...  # noqa: D102


class _Line:
    """A file for the csv module whose `write` returns the line."""

    def write(self, text: str) -> str:
        return text


def write_rows(items: Iterable[Writable]) -> Iterator[str]:
    """Yield the lines of a CSV with the full identifiers, the header first.

    Numbers are digits without a +. A cell that a spreadsheet would run as a formula has an
    apostrophe before it, which `read_rows` removes. An invalid value that a rejected row does not
    hold is `?`, which `read_rows` refuses: without it, the row could mean another change.
    """
    writer = csv.writer(_Line())
    yield str(writer.writerow(WRITTEN))
    for item in items:
        yield str(writer.writerow(_cells(item)))


def _cells(item: Writable) -> list[str]:
    why = item.why or ""
    # The JID is written too: with it, the number is the same in every region.
    contact = item.contact
    if contact is None:
        named = split_given(item.given)
        number, jid, user = named.get("number"), named.get("jid"), named.get("user_id")
    else:
        number, jid, user = contact.number, contact.jid, contact.user_id
    status = getattr(item, "status", REJECTED if contact is None else None)
    lost = find_lost(why) if status == REJECTED else frozenset()
    values = {
        "number": number,
        "jid": jid,
        "user_id": user,
        "action": item.action,
        "account": item.account,
        "reason": item.reason,
        "ref": item.ref,
        "line": str(item.line),
        "status": status,
        "code": item.code,
        "why": why,
    }
    return [
        LOST if not value and name in lost else _clean(value or "")
        for name, value in values.items()
    ]


def _clean(text: str) -> str:
    return quote_formula(_UNWRITABLE.sub("\ufffd", text))
