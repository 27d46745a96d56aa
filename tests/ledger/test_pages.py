"""Pages of the ledger: who is blocked, and which calls there were."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.ledgers import (
    ACCOUNT,
    CONTACT,
    LOST,
    REFUSED,
    MakeLedger,
    begin,
    block,
    call,
    execute,
    result,
    unblock,
)

from adapter.call_context import CallContext
from adapter.codes import Action
from adapter.contacts import Contact
from adapter.history import Filters, read_cursor, write_cursor
from adapter.ledger import queries
from adapter.ledger.ledger import Ledger
from adapter.ledger.schema import utc_text
from adapter.results import Command

CONTACTS = [Contact(f"55119999900{index:02}") for index in range(25)]


def all_calls(ledger: Ledger, filters: Filters, limit: int = 7) -> list[int]:
    """Return the ids of all pages."""
    found: list[int] = []
    cursor = None
    while True:
        page = ledger.calls(filters, limit, cursor)
        assert len(page.entries) <= limit
        found += [entry.id for entry in page.entries]
        cursor = page.cursor
        if cursor is None:
            return found


def test_the_pages_of_the_blocked_hold_each_once(ledger: Ledger) -> None:
    for contact in CONTACTS:
        call(ledger, block(contact))
    call(ledger, unblock(CONTACTS[3]))
    call(ledger, unblock(CONTACTS[4]), LOST)
    call(ledger, block(CONTACTS[5]), LOST)  # it is blocked still
    call(ledger, block(CONTACTS[5]), account="sales")
    found: list[Any] = []
    cursor = None
    while True:
        page = ledger.blocked(ACCOUNT, 10, cursor)
        found += page.entries
        cursor = page.cursor
        if cursor is None:
            break
        assert len(page.entries) == 10
        call(ledger, block(CONTACTS[0]))  # which changes nothing of the order
    expected = [each for each in CONTACTS if each not in (CONTACTS[3], CONTACTS[4])]
    assert [entry.contact for entry in found] == expected
    assert {entry.state for entry in found} == {"blocked"}


def test_the_calls_are_pages_from_the_newest_to_the_oldest(ledger: Ledger) -> None:
    ids = [call(ledger, block(contact)) for contact in CONTACTS]
    assert all_calls(ledger, Filters()) == ids[::-1]
    first = ledger.calls(Filters(), 10)
    newer = call(ledger)
    assert newer not in [entry.id for entry in ledger.calls(Filters(), 10, first.cursor).entries]


def test_each_filter_selects_its_calls(ledger: Ledger) -> None:
    one = call(ledger, block(CONTACTS[0]))
    failed = call(ledger, block(CONTACTS[1]), REFUSED)
    sales = call(ledger, block(CONTACTS[0]), account="sales", via="dialect", key_name="shop")
    pending = begin(ledger, block(CONTACTS[1])).call_id
    assert ledger.record(result(Command(Action.LIST)), CallContext("cli"))
    read = ledger.calls(Filters(), 1).entries[0].id

    def found(**filters: Any) -> list[int]:
        return all_calls(ledger, Filters(**filters), 2)

    assert found() == [read, pending, sales, failed, one]
    assert found(accounts=["sales"]) == [sales]
    assert found(accounts=["sales", ACCOUNT, "none"]) == [read, pending, sales, failed, one]
    assert found(accounts=[]) == []
    assert found(contact=CONTACTS[0]) == [sales, one]
    assert found(contact=CONTACTS[0], accounts=[ACCOUNT]) == [one]
    assert found(contact=Contact("5511911111111")) == []
    assert found(code="provider_rate_limited") == [failed]
    assert found(code="ok") == [read, sales, one]
    assert found(via="dialect") == [sales]
    assert found(key_name="shop") == [sales]
    assert found(key_name="crm", code="ok") == [one]


def test_more_accounts_than_are_merged_are_read_in_one_query(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [call(ledger, account=name) for name in ("a", "b", "c", "a")]
    monkeypatch.setattr(queries, "MAX_MERGED", 1)
    assert all_calls(ledger, Filters(accounts=["a", "b"]), 1) == [ids[3], ids[1], ids[0]]


def test_the_time_selects_and_without_one_the_last_day_is_read(ledger: Ledger, url: str) -> None:
    ids = [call(ledger, block(contact)) for contact in CONTACTS]
    now = datetime.now(UTC)
    for index, number in enumerate(ids):
        at = utc_text(now - timedelta(hours=2 * (len(ids) - index)))
        execute(url, "UPDATE {p}calls SET opened_at = :at WHERE id = :id", at=at, id=number)
    assert (
        all_calls(ledger, Filters()) == ids[:-13:-1]
        or all_calls(ledger, Filters()) == (ids[:-12:-1])
    )
    since, until = now - timedelta(hours=21), now - timedelta(hours=9)
    assert all_calls(ledger, Filters(since=since, until=until)) == ids[-10:-4][::-1]
    assert all_calls(ledger, Filters(since=now - timedelta(days=90))) == ids[::-1]
    assert all_calls(ledger, Filters(since=now)) == []


def test_without_an_index_a_page_looks_at_a_bounded_number_of_calls(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    rare = call(ledger, via="dialect")
    for _ in range(30):
        call(ledger)
    monkeypatch.setattr(queries, "MAX_SCANNED", 10)
    page = ledger.calls(Filters(via="dialect"))
    assert page.entries == ()
    assert page.cursor is not None
    assert all_calls(ledger, Filters(via="dialect")) == [rare]


def test_an_empty_ledger_has_empty_pages(make_ledger: MakeLedger) -> None:
    ledger = make_ledger()
    assert ledger.calls(Filters()).entries == ()
    assert ledger.blocked(ACCOUNT) == queries.Page(())
    assert ledger.state(ACCOUNT, CONTACT) is None


@pytest.mark.parametrize("number", [1, 15, 16, 10**9, 2**62, 5511999999999])
def test_a_cursor_is_a_text_without_digits(number: int) -> None:
    cursor = write_cursor("b", number)
    assert cursor.isalpha()
    assert read_cursor("b", cursor) == number


@pytest.mark.parametrize("cursor", ["", "b", "x", "bz", "c" + "c", "b1", "b" + "c" * 17, "bé", " "])
def test_another_text_is_not_a_cursor(ledger: Ledger, cursor: str) -> None:
    with pytest.raises(ValueError, match="not a cursor"):
        read_cursor("b", cursor)
    if cursor:
        with pytest.raises(ValueError, match="not a cursor"):
            ledger.blocked(ACCOUNT, 10, cursor)


def test_a_limit_is_kept_within_its_bounds(ledger: Ledger) -> None:
    for contact in CONTACTS[:3]:
        call(ledger, block(contact))
    assert len(ledger.calls(Filters(), 0).entries) == 1
    assert len(ledger.calls(Filters(), 10**9).entries) == 3
