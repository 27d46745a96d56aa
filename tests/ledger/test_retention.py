"""Old rows are deleted in bounded steps, overdue calls are closed, persons are erased."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from support import wait_until
from support.ledgers import (
    ACCOUNT,
    APPLIED,
    CONTACT,
    LOST,
    MakeLedger,
    begin,
    block,
    call,
    execute,
    result,
    rows,
    unblock,
)

from adapter.call_context import CallContext
from adapter.codes import Action
from adapter.contacts import Contact
from adapter.ledger import retention, session
from adapter.ledger.idempotency import Claim
from adapter.ledger.ledger import Ledger
from adapter.ledger.queries import Filters
from adapter.ledger.retention import Sweep
from adapter.ledger.schema import utc_text
from adapter.results import Command

OLD = datetime.now(UTC) - timedelta(days=181)


def age(url: str, condition: str = "1 = 1") -> None:
    """Let the calls be older than they are kept."""
    statement = f"UPDATE {{p}}calls SET opened_at = :at, deadline_at = :at WHERE {condition}"
    execute(url, statement, at=utc_text(OLD))


def start(ledger: Ledger) -> None:
    """Start the writer with a read, and wait for the clean-up that follows."""
    assert ledger.record(result(Command(Action.LIST)), CallContext("api"))
    wait_until(lambda: ledger.health.swept_at is not None, "the clean-up of the start")


def test_an_overdue_call_is_closed_as_unknown_by_whoever_comes_next(
    make_ledger: MakeLedger, url: str
) -> None:
    killed = make_ledger()
    call(killed, block())
    begin(killed, unblock(), deadline=-60)
    begin(killed, unblock(), account="sales", deadline=-60)
    recent = begin(killed, unblock(), account="shop", deadline=60)
    other = make_ledger()
    call(other, account="press")
    wait_until(lambda: other.health.swept_at is not None, "the clean-up of the start")
    assert other.health.sweep == Sweep(closed=2)
    calls = {row["account"]: row for row in rows(url, "calls")}
    assert calls[ACCOUNT]["outcome"] == calls["sales"]["outcome"] == "unknown"
    assert calls[ACCOUNT]["code"] == "internal_error"
    assert calls["shop"]["closed_at"] is None
    entry = other.state(ACCOUNT, CONTACT)
    assert entry is not None
    assert (entry.wanted, entry.state, entry.certainty) == ("unblocked", "unknown", "none")
    assert recent.close(result(unblock()))


def test_a_result_that_comes_after_the_clean_up_is_recorded(ledger: Ledger) -> None:
    start(ledger)
    call(ledger)
    late = begin(ledger, unblock(), deadline=-60)
    assert ledger.sweep().closed == 1
    assert late.close(result(unblock(), APPLIED))
    entry = ledger.state(ACCOUNT, CONTACT)
    assert entry is not None
    assert (entry.state, entry.certainty) == ("unblocked", "accepted")


def test_an_overdue_call_of_an_older_wish_leaves_the_state_of_the_newest(ledger: Ledger) -> None:
    start(ledger)
    begin(ledger, block(), deadline=-60)
    call(ledger, unblock())
    assert ledger.sweep().closed == 1
    entry = ledger.state(ACCOUNT, CONTACT)
    assert entry is not None
    assert entry.state == "unblocked"


def test_old_calls_are_deleted_in_steps_and_what_is_known_stays(
    ledger: Ledger, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "STEP", 10)
    start(ledger)
    for _ in range(35):
        call(ledger)
    age(url)
    newest = call(ledger, unblock())
    assert ledger.sweep(seconds=0) == Sweep(calls=10)
    assert ledger.sweep() == Sweep(calls=26)
    assert [row["id"] for row in rows(url, "calls")] == [newest]
    assert ledger.sweep() == Sweep()
    entry = ledger.state(ACCOUNT, CONTACT)
    assert entry is not None
    assert entry.state == "unblocked"
    assert call(ledger) > newest


def test_the_writer_cleans_up_step_by_step(
    make_ledger: MakeLedger, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    filling = make_ledger()
    for _ in range(25):
        call(filling)
    age(url)
    monkeypatch.setattr(retention, "STEP", 10)
    monkeypatch.setattr(session, "SWEEP_PAUSE", 0.01)
    other = make_ledger()
    call(other)
    wait_until(lambda: other.health.swept_at is not None, "the end of the clean-up")
    assert other.health.sweep == Sweep(calls=25)


def test_a_person_of_whom_nothing_is_kept_is_erased(ledger: Ledger, url: str) -> None:
    start(ledger)
    read, kept, wished = (Contact(f"551199999000{digit}") for digit in range(3))
    for contact in (read, kept):
        state = Command(Action.STATE, contact)
        assert ledger.record(result(state, LOST), CallContext("api"))
    call(ledger, block(wished))
    age(url)
    state = Command(Action.STATE, kept)
    assert ledger.record(result(state, LOST), CallContext("api"))
    assert ledger.sweep() == Sweep(calls=4, contacts=1)
    numbers = [row["number"] for row in rows(url, "contacts")]
    assert numbers == [None, kept.number, wished.number]


def test_expired_keys_are_deleted(ledger: Ledger, url: str) -> None:
    for key in ("one", "two"):
        ledger.claim("crm", key, ACCOUNT, block(), 15)
    assert ledger.sweep().keys == 0
    execute(url, "UPDATE {p}idempotency SET expires_at = :at", at=utc_text(OLD))
    assert ledger.sweep().keys == 2
    assert rows(url, "idempotency") == []


def test_a_person_is_erased_by_one_update_and_a_later_call_is_about_another(
    make_ledger: MakeLedger, url: str
) -> None:
    one, other = make_ledger(), make_ledger()
    call(one)
    call(other)
    assert one.erase(CONTACT) == 1
    assert one.erase(CONTACT) == 0
    assert one.state(ACCOUNT, CONTACT) is None
    assert one.blocked(ACCOUNT).entries == ()
    assert one.calls(Filters(contact=CONTACT)).entries == ()
    assert [entry.contact for entry in one.calls(Filters()).entries] == [None, None]
    for ledger in (one, other):  # both had its id in memory
        call(ledger)
    first, second = rows(url, "contacts")
    assert (first["number"], first["lid"], first["user_id"]) == (None, None, None)
    assert first["erased_at"] is not None
    assert second["number"] == CONTACT.number
    assert [row["contact_id"] for row in rows(url, "calls")] == [1, 1, 2, 2]


def test_all_that_is_known_of_a_person_is_exported(ledger: Ledger) -> None:
    call(ledger, block(), reason="spam", ref="ticket 7")
    call(ledger, unblock(), account="sales")
    call(ledger, block(Contact("5511988888888")))
    exported = ledger.export(CONTACT)
    assert exported.contacts == (CONTACT,)
    assert [entry.account for entry in exported.blocks] == ["sales", ACCOUNT]
    assert {entry.account for entry in exported.calls} == {"sales", ACCOUNT}
    assert {entry.ref for entry in exported.calls} == {"ticket 7", None}
    assert str(CONTACT.number) not in repr(exported)
    assert ledger.export(Contact("5511977777777")).calls == ()


def test_contacts_that_were_unblocked_long_ago_are_forgotten_and_the_blocked_are_kept(
    ledger: Ledger, url: str
) -> None:
    start(ledger)
    for contact in (CONTACT, Contact("5511988888888")):
        call(ledger, block(contact))
    call(ledger, unblock())
    age(url)
    execute(url, "UPDATE {p}blocks SET wanted_at = :at, since = :at", at=utc_text(OLD))
    assert ledger.sweep().contacts == 1
    assert [row["state"] for row in rows(url, "blocks")] == ["blocked"]
    assert ledger.state(ACCOUNT, CONTACT) is None
    assert len(ledger.blocked(ACCOUNT).entries) == 1


def test_an_erasure_deletes_the_keys_with_a_hash_of_the_person(ledger: Ledger, url: str) -> None:
    claimed = ledger.claim("crm", "key-1", ACCOUNT, block(), 15.0)
    assert isinstance(claimed, Claim)
    assert begin(ledger).close(result(block()), claimed)
    assert ledger.erase(CONTACT) == 1
    assert rows(url, "idempotency") == []
