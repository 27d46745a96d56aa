"""Idempotency keys: one execution, the same result, and no crash that blocks a key."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.ledgers import (
    ACCOUNT,
    APPLIED,
    CONTACT,
    LOST,
    READ_BACK,
    REFUSED,
    REJECTED,
    MakeLedger,
    begin,
    block,
    call,
    execute,
    locked,
    result,
    rows,
    short_wait,
    unblock,
)

from adapter.contacts import Contact
from adapter.ledger.database import LedgerUnavailable
from adapter.ledger.idempotency import (
    Claim,
    Claimed,
    OtherCommand,
    Replay,
    StillRunning,
    Superseded,
)
from adapter.ledger.ledger import Ledger
from adapter.ledger.schema import utc_text
from adapter.results import Command, Outcome
from adapter.transport.intents import superseded_outcome

KEY = "8e03978e-40d5-43dd-bc93-6894a57f9324"
SUPERSEDED = superseded_outcome()
EXPIRED = datetime.now(UTC) - timedelta(hours=1)


def claim(
    ledger: Ledger, command: Command | None = None, *, caller: str = "crm", **rest: Any
) -> Claimed:
    given = {"key": KEY, "account": ACCOUNT, "deadline": 15.0, **rest}
    return ledger.claim(caller, command=command or block(), **given)


def perform(ledger: Ledger, outcome: Outcome = APPLIED) -> None:
    """Execute the change with the key."""
    claimed = claim(ledger)
    assert isinstance(claimed, Claim)
    assert begin(ledger).close(result(block(), outcome), claimed)


@pytest.mark.parametrize("outcome", [APPLIED, READ_BACK, REJECTED, SUPERSEDED])
def test_the_same_key_and_command_have_the_same_result(ledger: Ledger, outcome: Outcome) -> None:
    perform(ledger, outcome)
    replay = claim(ledger, request_id="the-second")
    assert isinstance(replay, Replay)
    again, first = replay.result, result(block(), outcome)
    assert again.outcome == first.outcome
    assert again.outcome.message == first.outcome.message
    assert again.request_id == "the-second"
    assert (again.account, again.provider, again.attempts) == (ACCOUNT, "wuts", 1)
    assert again.envelope()["data"] == first.envelope()["data"]
    assert (again.envelope()["error"] or {}).keys() == (first.envelope()["error"] or {}).keys()
    assert again.retry is first.retry
    assert again.verified is first.verified


@pytest.mark.parametrize("outcome", [REFUSED, LOST])
def test_what_may_be_sent_again_releases_its_key(
    ledger: Ledger, url: str, outcome: Outcome
) -> None:
    perform(ledger, outcome)
    perform(ledger, outcome)
    call(ledger, unblock())
    assert claim(ledger) == Superseded(), "a repetition is older than the newest wish"
    call(ledger, block())
    perform(ledger)
    assert isinstance(claim(ledger), Replay)


def test_a_key_that_certainly_did_nothing_may_be_used_for_another_command(ledger: Ledger) -> None:
    perform(ledger, REFUSED)
    assert isinstance(claim(ledger, unblock()), Claim)


def test_a_key_with_an_unknown_outcome_belongs_to_its_command(ledger: Ledger) -> None:
    perform(ledger, LOST)
    assert isinstance(claim(ledger, unblock()), OtherCommand)


def test_another_command_with_the_same_key_is_noticed(ledger: Ledger) -> None:
    perform(ledger)
    other = Contact("5511988888888")
    assert isinstance(claim(ledger, unblock()), OtherCommand)
    assert isinstance(claim(ledger, block(other)), OtherCommand)
    assert isinstance(claim(ledger, account="sales"), OtherCommand)
    assert isinstance(claim(ledger, more={"reason": "spam"}), OtherCommand)


def test_a_key_belongs_to_its_caller(ledger: Ledger) -> None:
    perform(ledger)
    assert isinstance(claim(ledger, unblock(), caller="sales"), Claim)


def test_while_the_first_call_runs_the_key_is_busy(ledger: Ledger) -> None:
    assert isinstance(claim(ledger), Claim)
    busy = claim(ledger)
    assert isinstance(busy, StillRunning)
    assert 1 <= busy.retry_after <= 5
    assert isinstance(claim(ledger, unblock()), OtherCommand)


def test_a_change_that_was_never_opened_releases_its_key(ledger: Ledger, url: str) -> None:
    claimed = claim(ledger)
    assert isinstance(claimed, Claim)
    ledger.release(claimed)
    assert rows(url, "idempotency") == []
    execute(url, "ALTER TABLE {p}idempotency RENAME TO {p}away")
    ledger.release(claimed)
    execute(url, "ALTER TABLE {p}away RENAME TO {p}idempotency")


def test_after_a_crash_the_next_call_takes_the_key_over_once_the_lease_has_ended(
    make_ledger: MakeLedger, url: str
) -> None:
    killed, next_one = make_ledger(), make_ledger()
    first = claim(killed, deadline=-10_000.0)
    taken = claim(next_one)
    assert isinstance(first, Claim)
    assert isinstance(taken, Claim)
    assert isinstance(claim(killed), StillRunning)
    late = begin(killed)
    assert late.close(result(block(), REFUSED), first)  # it was not killed: it was only slow
    assert isinstance(claim(killed), StillRunning), "the claim of the other is untouched"
    assert begin(next_one).close(result(block()), taken)
    assert isinstance(claim(killed), Replay)


def test_a_key_is_remembered_for_a_day(ledger: Ledger, url: str) -> None:
    perform(ledger)
    (row,) = rows(url, "idempotency")
    expires = datetime.fromisoformat(str(row["expires_at"]))
    assert timedelta(hours=23) < expires - datetime.now(UTC) <= timedelta(hours=24)
    execute(url, "UPDATE {p}idempotency SET expires_at = :at", at=utc_text(EXPIRED))
    assert isinstance(claim(ledger, unblock()), Claim)


def test_the_result_of_a_call_that_was_deleted_is_not_replayed(ledger: Ledger, url: str) -> None:
    perform(ledger)
    execute(url, "DELETE FROM {p}calls")
    assert isinstance(claim(ledger), Claim)


def test_without_the_database_a_claim_is_refused(make_ledger: MakeLedger, url: str) -> None:
    ledger = make_ledger()
    perform(ledger)
    with locked(url), short_wait(ledger, 0.1):
        begin(ledger)
        with pytest.raises(LedgerUnavailable):
            claim(ledger)
    assert isinstance(claim(make_ledger()), Replay)


@pytest.mark.parametrize("attempt", range(3))
def test_of_many_claims_at_once_one_wins_and_the_others_are_told_to_wait(
    make_ledger: MakeLedger, attempt: int
) -> None:
    ledgers = [make_ledger() for _ in range(4)]
    for each in ledgers:
        claim(each, key="warm-up")
    start = threading.Barrier(16)
    found: list[Claimed | BaseException] = []

    def compete(ledger: Ledger) -> None:
        start.wait()
        try:
            found.append(claim(ledger))
        except BaseException as error:  # noqa: BLE001 - it is what the test looks for
            found.append(error)

    threads = [threading.Thread(target=compete, args=(ledgers[n % 4],)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(type(each) for each in found) == {Claim: 1, StillRunning: 15}


def test_the_clean_up_at_the_same_time_makes_no_claim_fail(
    make_ledger: MakeLedger, url: str
) -> None:
    claiming, sweeping = make_ledger(), make_ledger()
    claim(claiming)
    stop = threading.Event()

    def expire() -> None:
        while not stop.is_set():
            execute(url, "UPDATE {p}idempotency SET expires_at = :at", at=utc_text(EXPIRED))
            sweeping.sweep()

    thread = threading.Thread(target=expire)
    thread.start()
    try:
        found = {type(claim(claiming)) for _ in range(60)}
    finally:
        stop.set()
        thread.join()
    assert found <= {Claim, StillRunning}


def test_no_stored_hash_can_be_guessed_from_the_number(ledger: Ledger, url: str) -> None:
    """Two ledgers hash the same key and command differently, by their random keys."""
    claim(ledger)
    (row,) = rows(url, "idempotency")
    execute(url, "UPDATE {p}facts SET hash_key = :key", key="00" * 32)
    other = Ledger(ledger.settings)
    claim(other)
    other.close()
    stored = {each["scope"]: each["fingerprint"] for each in rows(url, "idempotency")}
    assert len(stored) == 2
    assert len(set(stored.values())) == 2
    assert str(CONTACT.number) not in str(row)
