"""Two processes at the end of a batch, and a retry between what one reads and what it writes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest
import sqlalchemy as sa
from support import TIMEOUT, wait_until
from support.batch_fixtures import MakeClient
from support.batches import ACCOUNT, check_sums, create, many, number, run, statuses
from support.block_list_server import OFFLINE, REJECTED, BlockListServer
from support.ledgers import rows
from support.postgresql import Server

from adapter import Client
from adapter.api_keys import ANONYMOUS
from adapter.batches import Batch, Batches, store
from adapter.batches.item_rows import LARGE, note_size
from adapter.codes import Action
from adapter.ledger.ledger import Ledger
from adapter.results import Command, Result

Spawn = Callable[..., Future[Any]]


class SlowList:
    """A process in which the list of the end arrives late: it is read, and held until `go`."""

    def __init__(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        self.was_read, self.go = threading.Event(), threading.Event()
        self._perform, self._lists = client.service.perform, 0
        monkeypatch.setattr(client.service, "perform", self.perform)

    def perform(self, account: str, command: Command, **rest: Any) -> Result:
        result = self._perform(account, command, **rest)
        if command.action is Action.LIST:
            self._lists += 1
            if self._lists == 2:  # the first one is read before the rows
                self.was_read.set()
                assert self.go.wait(TIMEOUT)
        return result


@pytest.mark.parametrize("list_reply", [None, OFFLINE], ids=["older", "unreadable"])
def test_a_list_of_before_a_retry_decides_nothing_after_it(
    make_client: MakeClient,
    provider: BlockListServer,
    spawn: Spawn,
    stop: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
    list_reply: Any,
) -> None:
    monkeypatch.setattr("adapter.batches.list_check.MAX_LIST_TRIES", 1)
    monkeypatch.setattr("adapter.batches.list_check._pause_of", lambda _: None)
    slow, quick = make_client(), make_client()
    monkeypatch.setattr(type(slow.service.accounts[ACCOUNT].provider), "synchronous", True)
    first, second = Batches(slow.service), Batches(quick.service)

    def reply(action: str, given: str) -> Any:
        if action == "list":
            return list_reply if provider.lists == 2 else None
        return REJECTED if given == number(0) else None

    provider.reply = reply
    held = SlowList(slow, monkeypatch)
    batch = create(first, many(3), verify=True).batch
    running = spawn(run, first, batch, stop)
    assert held.was_read.wait(TIMEOUT)
    provider.reply = lambda *_: None
    second.cancel(batch.id, ANONYMOUS)
    second.retry(batch.id, ANONYMOUS)
    assert run(second, batch).counts == {"done": 3}
    held.go.set()
    assert running.result(TIMEOUT).status == "done"
    assert statuses(first, batch) == ["done"] * 3
    check_sums(first, batch, 3)


def _ledger(client: Client) -> Ledger:
    assert client.service.ledger is not None
    return client.service.ledger


def _with_one_failed(batches: Batches, provider: BlockListServer) -> Batch:
    provider.reply = lambda _, given: REJECTED if given == number(0) else None
    return run(batches, create(batches, many(2)).batch)


def test_a_process_that_began_before_a_retry_does_not_end_the_batch(
    client: Client, batches: Batches, provider: BlockListServer, url: str
) -> None:
    """The rows of the retry may have ended by then, and are not compared yet."""
    batch, ledger = _with_one_failed(batches, provider), _ledger(client)
    before = ledger.ask(lambda connection: store.find_row(connection, ledger.tables, batch.id))
    provider.reply = lambda *_: None
    batches.retry(batch.id, ANONYMOUS)
    has_ended = ledger.work(lambda connection, _: store.finish(connection, ledger.tables, before))
    assert has_ended is False
    assert [each["status"] for each in rows(url, "batches")] == ["running"]
    assert run(batches, batch).counts == {"done": 2}


class TestPostgreSQL:
    """Transactions that wait for each other; those of SQLite follow each other."""

    @pytest.fixture
    def url(self, postgresql: Server, postgresql_template: str) -> str:
        return postgresql.new_database(template=postgresql_template)

    def test_a_retry_between_the_last_look_at_the_rows_and_the_end_keeps_the_batch_running(
        self, client: Client, batches: Batches, provider: BlockListServer, url: str, spawn: Spawn
    ) -> None:
        batch, ledger = _with_one_failed(batches, provider), _ledger(client)
        tables, engine = ledger.tables, sa.create_engine(url)

        def finish() -> bool:
            row = ledger.ask(lambda connection: store.find_row(connection, tables, batch.id))
            return ledger.work(lambda connection, _: store.finish(connection, tables, row))

        with engine.begin() as other:
            assert store.start_over(other, tables, batch.id)
            finishing = spawn(finish)
            wait_until(lambda: _is_waiting(engine), "the lock of the batch")
        assert finishing.result(TIMEOUT) is False
        engine.dispose()
        found = batches.get(batch.id, ANONYMOUS)
        assert (found.status, found.counts) == ("running", {"done": 1, "pending": 1})

    def test_calls_are_recorded_while_the_size_of_a_batch_is_noted(
        self, client: Client, provider: BlockListServer, url: str, spawn: Spawn
    ) -> None:
        ledger, engine = _ledger(client), sa.create_engine(url)
        with engine.begin() as other:
            name = ledger.tables.items.name
            other.execute(sa.text(f"LOCK TABLE {name} IN SHARE UPDATE EXCLUSIVE MODE"))
            noting = spawn(note_size, ledger, LARGE)
            wait_until(lambda: _is_waiting(engine), "the lock of the table")
            assert client.block(number(0)).recorded
        noting.result(TIMEOUT)
        engine.dispose()


def _is_waiting(engine: sa.Engine) -> bool:
    with engine.connect() as connection:
        query = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(connection.execute(query).scalar())
