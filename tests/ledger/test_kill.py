"""A process that is killed at any moment: nothing confirmed is lost, nothing is invented."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.ledgers import MakeLedger, output, python, rows

KILLS = 100

# A child of this program opens and closes calls of its contacts, in several threads, until it is
# killed. It notes in the journal what it has done: `opened` once the ledger has confirmed that,
# `sent` before the request reaches the provider, `closed` once the ledger has confirmed that.
ZYGOTE = """
import os, random, sys, threading
from support.ledgers import *

url, path = sys.argv[1:]
journal = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

def note(*words):
    os.write(journal, (" ".join(map(str, words)) + "\\n").encode())

def change(ledger, contact, chance):
    while True:
        command = chance.choice([block, unblock])(contact)
        outcome = chance.choice(sorted(OUTCOMES))
        opened = begin(ledger, command, deadline=-60)
        number = opened.call_id
        note("opened", number, contact.number, command.action)
        note("sent", number)
        if opened.close(result(command, OUTCOMES[outcome])):
            note("closed", number, outcome)

for line in sys.stdin:
    seed = int(line)
    child = os.fork()
    if child == 0:
        ledger = Ledger(LedgerSettings(url, wait=WAIT))
        ledger._session.tend = lambda: 600.0
        for index in range(3):
            contact = Contact(f"551199999000{index}")
            arguments = (ledger, contact, random.Random(seed + index))
            threading.Thread(target=change, args=arguments).start()
        threading.Event().wait()
    print(child, flush=True)
    os.waitpid(child, 0)
    print("killed", flush=True)
"""


class Journal:
    """What the killed processes had noted."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.opened: dict[int, tuple[str, str]] = {}
        self.sent: set[int] = set()
        self.closed: dict[int, str] = {}

    def read(self) -> None:
        for line in self._path.read_text().splitlines():
            match line.split():
                case ["opened", number, contact, action]:
                    self.opened[int(number)] = (contact, action)
                case ["sent", number]:
                    self.sent.add(int(number))
                case ["closed", number, outcome]:
                    self.closed[int(number)] = outcome

    @property
    def size(self) -> int:
        return self._path.stat().st_size if self._path.exists() else 0


CODES = {"applied": "ok", "lost": "provider_connection_lost", "refused": "provider_rate_limited"}
OUTCOMES = {"ok": "applied", "provider_connection_lost": "unknown"}


def check_calls(journal: Journal, calls: dict[int, dict[str, Any]]) -> None:
    """Nothing that was confirmed is lost; nothing is claimed that did not happen."""
    for number, (_, action) in journal.opened.items():
        assert calls[number]["action"] == action
    for number, outcome in journal.closed.items():
        assert calls[number]["code"] == CODES[outcome]
    for number, row in calls.items():
        if row["outcome"] == "applied":
            assert number in journal.sent
        if row["code"] == "internal_error":  # closed by the clean-up
            assert row["outcome"] == "unknown"
            assert number not in journal.closed


def check_states(
    journal: Journal, calls: dict[int, dict[str, Any]], blocks: list[dict[str, Any]]
) -> dict[int, int]:
    """A state is that of the newest wish, where its effect is known; return the intents."""
    numbers = {row["contact_id"] for row in calls.values()}
    assert {row["contact_id"] for row in blocks} == numbers
    for row in blocks:
        newest = calls[row["intent"]]
        own = [each for each in calls.values() if each["contact_id"] == row["contact_id"]]
        assert row["intent"] == max(each["id"] for each in own)
        assert row["wanted"] == f"{newest['action']}ed"
        if newest["outcome"] == "applied":
            assert (row["state"], row["call_id"]) == (row["wanted"], row["intent"])
        elif newest["outcome"] == "unknown":
            assert row["state"] in ("unknown", row["wanted"])
        if row["state"] != "unknown":
            proof = calls[row["call_id"]]
            assert proof["outcome"] == "applied"
            assert row["state"] == f"{proof['action']}ed"
    return {row["contact_id"]: row["intent"] for row in blocks}


@contextmanager
def killed_at_random(url: str, path: Path) -> Iterator[Iterator[int]]:
    """Yield an iterator that kills a process for each of its numbers."""
    zygote = python(ZYGOTE, url, str(path))
    assert zygote.stdin is not None
    assert zygote.stdout is not None
    chance = random.Random(7)
    lines, journal = zygote.stdout, Journal(path)
    paused = threading.Event()

    def kills() -> Iterator[int]:
        for number in range(KILLS):
            before = journal.size
            zygote.stdin.write(f"{number}\n")  # type: ignore[union-attr]
            zygote.stdin.flush()  # type: ignore[union-attr]
            child = int(lines.readline())
            while journal.size == before:
                paused.wait(0.002)
            paused.wait(chance.uniform(0, 0.02))
            os.kill(child, signal.SIGKILL)
            assert lines.readline() == "killed\n"
            yield number

    yield kills()
    output(zygote)


@pytest.mark.slow
def test_killed_at_a_hundred_random_moments_nothing_is_lost_or_invented(
    make_ledger: MakeLedger, url: str, tmp_path: Path
) -> None:
    ledger, journal = make_ledger(), Journal(tmp_path / "journal")
    intents: dict[int, int] = {}
    interrupted = 0
    with killed_at_random(url, tmp_path / "journal") as kills:
        for number in kills:
            interrupted += ledger.sweep().closed
            if number % 10 == 9:
                journal.read()
                calls = {row["id"]: row for row in rows(url, "calls")}
                assert all(row["closed_at"] is not None for row in calls.values())
                check_calls(journal, calls)
                found = check_states(journal, calls, rows(url, "blocks"))
                assert all(found[each] >= intent for each, intent in intents.items())
                intents = found
    assert interrupted > KILLS / 2, "most of the kills hit a call between open and close"
    assert len(journal.closed) > KILLS / 10
