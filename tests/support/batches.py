"""Batches for the tests: their rows, their configuration, and what is in the database."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from adapter.api_keys import ANONYMOUS
from adapter.batches import Batch, Batches, Created, Item, Row
from adapter.codes import Action
from adapter.contacts import Contact
from support import TIMEOUT, account_for
from support.ledgers import execute, rows

TOKEN_VARIABLE = "TOKEN_OF_THE_BATCHES"
ACCOUNT = "support"
FIRST = 5511900000000


def number(index: int) -> str:
    return str(FIRST + index)


def row(index: int, line: int | None = None, **rest: Any) -> Row:
    """Return a row about the contact with this index."""
    given = number(index)
    return Row(line or index + 2, Contact(given), given, **rest)


def bad_row(line: int, given: str = "12345") -> Row:
    return Row(line, None, given, code="invalid_target", why="has too few digits")


def many(amount: int, start: int = 0) -> Iterator[Row]:
    return (row(index) for index in range(start, start + amount))


def config_for(
    address: str,
    url: str,
    *,
    pace: dict[str, Any] | None = None,
    queue: str | None = None,
    others: Iterable[str] = (),
    **transport: Any,
) -> dict[str, Any]:
    """Return a configuration with the account, and `others` like it."""
    account = {
        **account_for("wuts", address),
        "token": {"env": TOKEN_VARIABLE},
        "verify": "never",
        "pace": pace or {},
        "transport": {"breaker_threshold": 0, **transport},
    }
    config: dict[str, Any] = {
        "accounts": dict.fromkeys((ACCOUNT, *others), account),
        "default_account": ACCOUNT,
        "ledger": {"url": url, "wait": 10},
    }
    if queue is not None:
        config["queue"] = {"url": queue}
    return config


def create(
    batches: Batches, given: Iterable[Row], action: Action | None = Action.BLOCK, **rest: Any
) -> Created:
    options = {"account": ACCOUNT, "caller": ANONYMOUS, "via": "python", **rest}
    return batches.create(given, action=action, **options)


class Limit(threading.Event):
    """An event that is set by itself after a while, so that a failed test ends."""

    def __init__(self, seconds: float = TIMEOUT) -> None:
        super().__init__()
        self._end = time.monotonic() + seconds

    def is_set(self) -> bool:
        return super().is_set() or time.monotonic() > self._end


def run(batches: Batches, batch: Batch, stop: threading.Event | None = None) -> Batch:
    return batches.run(batch.id, stop or Limit())


def items(batches: Batches, batch: Batch, **rest: Any) -> list[Item]:
    """Return all rows of a batch, page by page."""
    found: list[Item] = []
    cursor = None
    while True:
        page = batches.items(batch.id, ANONYMOUS, limit=1000, cursor=cursor, **rest)
        found += page.entries
        cursor = page.cursor
        if cursor is None:
            return found


def statuses(batches: Batches, batch: Batch) -> list[str]:
    """Return the statuses of the rows, in their order."""
    return [each.status for each in items(batches, batch)]


def check_sums(batches: Batches, batch: Batch, amount: int) -> None:
    """Every row has ended in one status, and the counts are those of the rows."""
    batch = batches.get(batch.id, ANONYMOUS)
    found = items(batches, batch)
    assert [each.row for each in found] == list(range(1, amount + 1))
    assert Counter(each.status for each in found) == batch.counts
    assert batch.rows == amount
    assert not {"pending", "leased"} & batch.counts.keys()


def expire_leases(url: str) -> None:
    """Let the time of all leases pass, as after a kill."""
    early = "2020-01-01T00:00:00.000+00:00"
    execute(url, "UPDATE {p}items SET lease_until = :at WHERE lease_until IS NOT NULL", at=early)
    execute(url, "UPDATE {p}lanes SET holders = NULL")


def wishes(url: str) -> dict[str, str]:
    """Return the wanted state of each number."""
    numbers = {each["id"]: each["number"] for each in rows(url, "contacts")}
    return {numbers[each["contact_id"]]: each["wanted"] for each in rows(url, "blocks")}
