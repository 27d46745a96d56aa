"""The newest wish wins: across processes, with late answers, in every order of closing."""

from __future__ import annotations

import random
from itertools import permutations

import pytest
from support.ledgers import (
    ACCOUNT,
    APPLIED,
    CONTACT,
    LOST,
    OUTCOMES,
    REFUSED,
    MakeLedger,
    begin,
    block,
    call,
    execute,
    output,
    python,
    result,
    rows,
    unblock,
)

from adapter.contacts import Contact
from adapter.ledger.events import CallEvent, CloseEvent, Event
from adapter.ledger.ledger import Ledger
from adapter.ledger.opened import Opened
from adapter.results import Command, Outcome

PROCESS = """
import sys
from support.ledgers import *

ledger = Ledger(LedgerSettings(sys.argv[1], wait=WAIT))
opened = None
for line in sys.stdin:
    match line.split():
        case ["block"]:
            command = block()
            opened = begin(ledger, command)
            print(opened.recorded and not opened.superseded, flush=True)
        case ["unblock"]:
            command = unblock()
            opened = begin(ledger, command)
            print(opened.recorded and not opened.superseded, flush=True)
        case ["superseded"]:
            print(opened.is_superseded(), flush=True)
        case ["close", outcome]:
            print(opened.close(result(command, OUTCOMES[outcome])), flush=True)
ledger.close()
"""


class Process:
    """A process with a ledger of its own, which does what it is asked to."""

    def __init__(self, url: str) -> None:
        self.child = python(PROCESS, url)

    def ask(self, line: str) -> bool:
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        self.child.stdin.write(line + "\n")
        self.child.stdin.flush()
        return self.child.stdout.readline().strip() == "True"


def test_two_processes_with_opposite_wishes_and_lost_answers_the_last_wish_wins(
    url: str, ledger: Ledger
) -> None:
    one, other = Process(url), Process(url)
    assert one.ask("block")  # and its answer is lost
    assert not one.ask("superseded")
    assert other.ask("unblock")
    assert one.ask("superseded")  # so that it sends no second request
    assert not other.ask("superseded")
    assert one.ask("close lost")
    entry = ledger.state(ACCOUNT, CONTACT)
    assert entry is not None
    assert (entry.wanted, entry.state, entry.pending) == ("unblocked", "unknown", True)
    assert other.ask("close applied")
    entry = ledger.state(ACCOUNT, CONTACT)
    assert entry is not None
    assert (entry.wanted, entry.state, entry.certainty) == ("unblocked", "unblocked", "accepted")

    assert other.ask("block")
    assert one.ask("unblock")
    assert one.ask("close applied")
    assert other.ask("superseded")
    assert other.ask("close applied")  # a late answer
    entry = ledger.state(ACCOUNT, CONTACT)
    assert entry is not None
    assert (entry.wanted, entry.state) == ("unblocked", "unblocked")
    for process in (one, other):
        output(process.child)


def test_the_same_wish_again_supersedes_nothing(make_ledger: MakeLedger) -> None:
    first, second = begin(make_ledger()), begin(make_ledger())
    assert not first.is_superseded()
    assert not second.is_superseded()


def test_a_wish_that_was_older_when_it_was_recorded_knows_it_without_a_query(
    make_ledger: MakeLedger, url: str
) -> None:
    """PostgreSQL numbers two transactions in one order, and may commit them in the other."""
    ledger = make_ledger()
    call(ledger, block())
    newest = call(ledger, unblock(), account=ACCOUNT)
    execute(url, "UPDATE {p}blocks SET intent = :intent", intent=newest + 1000)
    late = begin(ledger, block())
    assert late.recorded
    assert late.superseded
    assert late.is_superseded()
    late.close(result(block()))
    entry = ledger.state(ACCOUNT, CONTACT)
    assert entry is not None
    assert (entry.wanted, entry.intent) == ("unblocked", newest + 1000)
    assert entry.state != "blocked"


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_whichever_call_ends_last_the_newest_wish_decides(
    make_ledger: MakeLedger, order: tuple[int, ...]
) -> None:
    ledgers = [make_ledger() for _ in range(3)]
    commands = [block(), unblock(), block()]
    calls = [begin(each, command) for each, command in zip(ledgers, commands, strict=True)]
    for index in order:
        outcome = LOST if index == 0 else APPLIED
        assert calls[index].close(result(commands[index], outcome))
    entry = ledgers[0].state(ACCOUNT, CONTACT)
    assert entry is not None
    assert (entry.wanted, entry.state) == ("blocked", "blocked")
    assert entry.intent == calls[2].call_id


def test_an_older_change_that_may_have_happened_makes_a_refused_newer_one_unknown(
    make_ledger: MakeLedger,
) -> None:
    """The list was `unblocked`; the block was sent, and the newer block was refused."""
    one, other = make_ledger(), make_ledger()
    call(one, unblock())
    first, second = begin(one, block()), begin(other, block())
    assert second.close(result(block(), REFUSED))
    assert first.close(result(block(), APPLIED))
    entry = one.state(ACCOUNT, CONTACT)
    assert entry is not None
    assert (entry.state, entry.certainty) == ("unknown", "none")


@pytest.mark.parametrize("seed", range(5))
def test_in_every_order_of_many_calls_intents_grow_and_the_newest_decides(
    make_ledger: MakeLedger, url: str, seed: int
) -> None:
    chance = random.Random(seed)
    ledgers = [make_ledger() for _ in range(2)]
    contacts = [Contact(f"551199999000{digit}") for digit in range(3)]
    running: list[tuple[Opened, Command]] = []
    newest: dict[Contact, int] = {}
    ends: dict[int, tuple[str, Outcome]] = {}
    for _ in range(60):
        if running and chance.random() < 0.5:
            opened, command = running.pop(chance.randrange(len(running)))
            outcome = chance.choice(list(OUTCOMES.values()))
            assert opened.close(result(command, outcome))
            ends[opened.call_id or 0] = ("blocked" if command.blocked else "unblocked", outcome)
        else:
            contact = chance.choice(contacts)
            command = chance.choice([block, unblock])(contact)
            opened = begin(chance.choice(ledgers), command)
            assert opened.call_id is not None
            assert opened.call_id > newest.get(contact, 0)
            newest[contact] = opened.call_id
            running.append((opened, command))
        for contact, intent in newest.items():
            entry = ledgers[0].state(ACCOUNT, contact)
            assert entry is not None
            assert entry.intent == intent
            wanted, outcome = ends.get(intent, ("", REFUSED))
            if outcome is APPLIED:
                assert entry.state == wanted == entry.wanted
            elif outcome is LOST:
                assert entry.state == "unknown"


@pytest.mark.parametrize("newest_is_refused", [False, True])
def test_calls_of_one_contact_that_end_in_the_same_group_are_one_change_of_its_state(
    ledger: Ledger, newest_is_refused: bool
) -> None:
    """They do after the database was slow."""
    call(ledger, unblock(), LOST)

    def opening(command: object) -> CallEvent:
        return begin(ledger, command)._event  # type: ignore[arg-type, return-value]

    first, second = opening(block()), opening(block())
    at = {**first.row, "closed_at": first.row["opened_at"], "code": "ok"}
    ending = {key: at.get(key) for key in ("closed_at", "code")}
    events: list[Event] = [
        CloseEvent(second, ending, None if newest_is_refused else "blocked", "accepted"),
        CloseEvent(first, ending, "unknown", "none"),
    ]
    for event in events:
        ledger._writer.submit(event)
    assert all(event.wait(30) for event in events)
    entry = ledger.state(ACCOUNT, CONTACT)
    assert entry is not None
    assert entry.state == ("unknown" if newest_is_refused else "blocked")


def test_the_rows_of_contacts_are_one_per_person(make_ledger: MakeLedger, url: str) -> None:
    for each in (make_ledger(), make_ledger()):
        call(each)
    assert len(rows(url, "contacts")) == 1
