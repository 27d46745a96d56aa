"""A database that stops while calls are made, and comes back."""

from __future__ import annotations

import threading
import tracemalloc
from collections import Counter
from contextlib import suppress

import pytest
from support import wait_until
from support.ledgers import rows
from support.postgresql import Server

from adapter import connect
from adapter.client import Client

NUMBERS = [f"+551199999{number:04}" for number in range(50)]
MIB = 2**20


class Load:
    """Calls without a pause from several threads; `results` counts them by `recorded`."""

    def __init__(self, contacts: Client, threads: int = 6) -> None:
        self.results: Counter[bool | None] = Counter()
        self.failed: list[object] = []
        self._contacts, self._ends = contacts, threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._call) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def _call(self) -> None:
        while not self._ends.is_set():
            for number in NUMBERS:
                result = self._contacts.block(number)
                with self._lock:
                    self.results[result.recorded] += 1
                    if not result.ok:
                        self.failed.append(result.code)

    def wait_for(self, recorded: bool, more: int) -> None:
        """Wait for further calls with this value of `recorded`."""
        goal = self.results[recorded] + more
        wait_until(lambda: self.results[recorded] >= goal, f"{more} calls, recorded: {recorded}")

    def end(self) -> None:
        self._ends.set()
        for thread in self._threads:
            thread.join()


@pytest.mark.slow
def test_a_database_that_stops_under_load_fails_no_call_takes_no_memory_and_is_used_again(
    postgresql: Server,
) -> None:
    url = postgresql.new_database()
    contacts = connect(
        {"accounts": {"a": {"provider": "memory"}}, "ledger": {"url": url, "wait": 5.0}}
    )
    ledger = contacts.service.ledger
    assert ledger is not None
    ledger.upgrade()
    load = Load(contacts)
    try:
        load.wait_for(recorded=True, more=100)
        postgresql.stop()
        try:
            load.wait_for(recorded=False, more=500)
            tracemalloc.start()
            load.wait_for(recorded=False, more=500)
            before, _ = tracemalloc.get_traced_memory()
            load.wait_for(recorded=False, more=3000)
            after, _ = tracemalloc.get_traced_memory()
            assert after - before < MIB
            assert ledger.health.waiting == 0
        finally:
            tracemalloc.stop()
            with suppress(Exception):
                postgresql.start()
        load.wait_for(recorded=True, more=100)
    finally:
        load.end()
        contacts.close()
    assert load.failed == []
    stored = [row for row in rows(url, "calls") if row["closed_at"] is not None]
    assert len(stored) >= load.results[True]
