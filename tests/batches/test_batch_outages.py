"""The database is gone while a batch runs: it goes on by itself."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest
from support import TIMEOUT, wait_until
from support.batch_fixtures import MakeClient
from support.batches import Limit, check_sums, create, many, number, run
from support.block_list_server import BlockListServer
from support.postgresql import Server

from adapter.api_keys import ANONYMOUS
from adapter.batches import Batches
from adapter.errors import LedgerUnavailable

Spawn = Callable[..., Future[Any]]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapter.batches.runner.FIRST_PAUSE", 0.01)
    monkeypatch.setattr("adapter.batches.runner.LONGEST_PAUSE", 0.05)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("committed", [False, True])
def test_a_ledger_that_is_gone_for_a_while_loses_no_row(
    make_client: MakeClient,
    provider: BlockListServer,
    spawn: Spawn,
    monkeypatch: pytest.MonkeyPatch,
    committed: bool,
) -> None:
    client = make_client(pace={"max_in_flight": 4})
    batches, ledger = Batches(client.service), client.service.ledger
    assert ledger is not None
    work, gone = ledger.work, threading.Event()
    failures: list[int] = []

    def fail(function: Any, key: str = "") -> Any:
        if not gone.is_set():
            return work(function, key)
        if committed and not failures:
            work(function)  # the commit took effect, and its response is lost
        failures.append(1)
        raise LedgerUnavailable("gone")

    monkeypatch.setattr(ledger, "work", fail)
    batch = create(batches, many(60)).batch
    provider.hold = True
    running = spawn(run, batches, batch)
    provider.wait_for(4)
    gone.set()
    provider.release()
    wait_until(lambda: len(failures) > 3, "some failures of the ledger")
    sent = len(provider.requests)
    assert sent < 60
    gone.clear()
    if committed:  # what the lost transaction has leased waits for the end of its lease
        from support.ledgers import execute

        wait_until(
            lambda: batches.get(batch.id, ANONYMOUS).counts.get("pending", 0) == 0, "the others"
        )
        early = "2020-01-01T00:00:00.000+00:00"
        execute(
            _url(client),
            "UPDATE {p}items SET lease_until = :at WHERE lease_until IS NOT NULL",
            at=early,
        )
    done = running.result(TIMEOUT)
    assert done.counts == {"done": 60}
    check_sums(batches, batch, 60)
    assert provider.blocked == {number(index) for index in range(60)}


def _url(client: Any) -> str:
    return str(client.service.settings.ledger.url)


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
def test_a_server_that_crashes_and_comes_back(
    make_client: MakeClient,
    provider: BlockListServer,
    spawn: Spawn,
    url: str,
    request: pytest.FixtureRequest,
) -> None:
    if url.startswith("sqlite"):
        pytest.skip("has no server")
    server: Server = request.getfixturevalue("postgresql")
    batches = Batches(make_client(pace={"max_in_flight": 4}, deadline=1.0).service)
    provider.delay = 0.005
    batch = create(batches, many(200)).batch
    running = spawn(run, batches, batch, Limit(4 * TIMEOUT))
    provider.wait_for(30)
    server.stop()
    try:
        threading.Event().wait(1.0)
    finally:
        server.start()
    wait_until(lambda: len({each for _, each in provider.requests}) > 150, "the rows after it")
    # What a lost transaction had leased waits for the end of its lease.
    assert running.result(5 * TIMEOUT).counts == {"done": 200}
    check_sums(batches, batch, 200)
