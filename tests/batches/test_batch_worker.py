"""The worker of batches, its queue, and its sweeper."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from support import TIMEOUT, wait_until
from support.batch_fixtures import MakeClient
from support.batches import (
    config_for,
    create,
    expire_leases,
    items,
    many,
    number,
)
from support.block_list_server import OFFLINE, BlockListServer
from support.ledgers import execute, python, rows
from support.redis_server import RedisServer

from adapter import Client
from adapter.api_keys import ANONYMOUS
from adapter.batches import Batch, Batches
from adapter.batches.worker import PER_ACCOUNT, BatchWorker, sweep
from adapter.errors import ConfigurationError
from adapter.ledger.ledger import Ledger
from adapter.settings.model import QueueSettings

pytest.importorskip("huey")
messenger = pytest.importorskip("adapter.batches.messenger")

WORKER = """
import json, sys
from adapter import connect
from adapter.batches.worker import run_worker

client = connect(json.loads(sys.argv[1]))
print("begun", flush=True)
run_worker(client.service)
client.close()
print("ended", flush=True)
"""


@contextmanager
def working(client: Client) -> Iterator[BatchWorker]:
    worker = BatchWorker(client.service)
    starting = threading.Thread(target=worker.start)  # in any thread
    starting.start()
    starting.join()
    try:
        yield worker
    finally:
        worker.stop()


def ended(batches: Batches, batch: Batch) -> Callable[[], bool]:
    return lambda: batches.get(batch.id, ANONYMOUS).status in ("done", "cancelled")


@pytest.fixture(params=["redis", "postgresql"])
def queue(request: pytest.FixtureRequest) -> str:
    if request.param == "redis":
        server: RedisServer = request.getfixturevalue("redis_server")
        return server.url
    psycopg = pytest.importorskip("psycopg")
    if tuple(map(int, psycopg.__version__.split(".")[:2])) < (3, 2):
        pytest.skip("the queue needs psycopg 3.2")
    database: str = request.getfixturevalue("postgresql").new_database()
    return database


def check_run(client: Client, provider: BlockListServer) -> None:
    """A batch is run by the worker, and once more by a retry, at once."""
    with working(client) as worker:
        batch = create(worker.batches, many(20)).batch
        wait_until(ended(worker.batches, batch), "the end of the batch")
        again = worker.batches.retry(batch.id, ANONYMOUS)
        wait_until(ended(worker.batches, again), "the end of the batch")
    assert provider.blocked == {number(index) for index in range(20)}


def test_a_batch_that_was_created_is_run_by_the_worker(
    make_client: MakeClient,
    provider: BlockListServer,
    queue: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("adapter.batches.worker.SWEEP_EVERY", TIMEOUT)
    check_run(make_client(queue=queue), provider)


def test_without_a_queue_the_worker_of_the_process_begins_at_once_and_needs_no_library(
    make_client: MakeClient, provider: BlockListServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "adapter.batches.messenger", None)
    monkeypatch.setattr("adapter.batches.worker.SWEEP_EVERY", TIMEOUT)
    check_run(make_client(), provider)


def test_a_worker_that_was_not_started_runs_nothing(
    client: Client, provider: BlockListServer
) -> None:
    worker = BatchWorker(client.service)
    batch = create(worker.batches, many(2)).batch
    assert not worker._running
    assert worker.batches.get(batch.id, ANONYMOUS).counts == {"pending": 2}


def test_a_batch_whose_thread_cannot_be_started_is_run_by_a_later_sweep(
    client: Client, provider: BlockListServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapter.batches.worker.SWEEP_EVERY", 0.02)
    refused: list[str] = []
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name.endswith("-batches-run") and len(refused) < 3:
            refused.append(thread.name)
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with working(client) as worker:
        batch = create(worker.batches, many(2)).batch
        wait_until(ended(worker.batches, batch), "the end of the batch")
    assert len(refused) == 3


class HangingQueue:
    """A queue to which nothing connects, and that never responds."""

    def __init__(self, *_: object) -> None:
        self.begun, self.end = threading.Event(), threading.Event()
        self.stops: list[bool] = []

    def start(self) -> None:
        self.begun.set()
        assert self.end.wait(TIMEOUT)
        raise ConnectionError

    def stop(self) -> None:
        self.stops.append(True)

    def wake(self, batch_id: int) -> None:
        pass


def test_a_queue_that_does_not_respond_delays_no_sweep(
    make_client: MakeClient, provider: BlockListServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapter.batches.worker.SWEEP_EVERY", 0.05)
    monkeypatch.setattr(messenger, "Messenger", HangingQueue)
    client = make_client(queue="redis://127.0.0.1:1/0")
    with working(client) as worker:
        hanging = worker._messenger
        assert isinstance(hanging, HangingQueue)
        assert hanging.begun.wait(TIMEOUT)
        batch = create(worker.batches, many(2)).batch
        wait_until(ended(worker.batches, batch), "the end of the batch")
        hanging.end.set()
    assert hanging.stops == [True]


@contextmanager
def silent_server() -> Iterator[int]:
    """Yield the port of a server that takes connections, and sends nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize("scheme", ["redis", "postgresql"])
def test_a_queue_that_does_not_respond_ends_within_its_timeout(
    monkeypatch: pytest.MonkeyPatch, spawn: Callable[..., Future[None]], scheme: str
) -> None:
    pytest.importorskip("redis" if scheme == "redis" else "psycopg")
    assert messenger.TIMEOUT <= 3
    monkeypatch.setattr(messenger, "TIMEOUT", 2)  # libpq's least
    with silent_server() as port:
        sender = messenger.Messenger(
            QueueSettings(f"{scheme}://127.0.0.1:{port}/0"), "p", lambda _: None
        )
        assert spawn(sender.wake, 1).exception(TIMEOUT) is not None


def test_a_message_is_the_id_of_a_batch_alone_and_no_other_is_run(queue: str) -> None:
    seen: list[int] = []
    sender = messenger.Messenger(QueueSettings(queue), "contact_adapter_", seen.append)
    sender.wake(41)
    huey, _ = sender._connect()
    number_of_message, batch_id = json.loads(huey.storage.enqueued_items()[0])
    assert batch_id == 41
    assert isinstance(number_of_message, str)
    huey.storage.enqueue(b"cos\nsystem\n(S'true'\ntR.")
    sender.wake(42)
    sender.start()
    wait_until(lambda: 42 in seen, "the message")
    sender.stop()
    assert set(seen) <= {41, 42, 0}


@pytest.mark.parametrize(
    "message",
    [f'["x", {2**63}]', '["x", -1]', '["x", "1"]', "[1, 1]", "[" * 100_000, "\0", '["x"]'],
    ids=["too large", "negative", "text", "no id", "deep", "no JSON", "short"],
)
def test_a_message_that_is_not_ours_is_about_no_batch(message: str) -> None:
    assert messenger._JsonSerializer().deserialize(message.encode()).args == (0,)


def test_few_messages_wait(monkeypatch: pytest.MonkeyPatch, queue: str) -> None:
    monkeypatch.setattr(messenger, "MAX_WAITING", 3)
    sender = messenger.Messenger(QueueSettings(queue), "few", lambda _: None)
    for _ in range(10):
        sender.wake(1)
    assert sender._connect()[0].pending_count() == 3
    sender.stop()


def test_a_batch_whose_message_is_lost_is_found_by_the_sweeper(
    make_client: MakeClient, provider: BlockListServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapter.batches.worker.SWEEP_EVERY", 0.05)
    client = make_client()
    lost = Batches(client.service)
    batch = create(lost, many(5)).batch
    with working(client):
        wait_until(ended(lost, batch), "the end of the batch")


def test_a_queue_that_is_gone_fails_no_request_and_no_batch(
    make_client: MakeClient, provider: BlockListServer
) -> None:
    client = make_client(queue="redis://127.0.0.1:1/0")
    with working(client) as worker:
        batch = create(worker.batches, many(2)).batch
        assert batch.status == "running"
        wait_until(ended(worker.batches, batch), "the end of the batch")


def test_every_worker_joins_a_batch_that_another_one_runs(
    make_client: MakeClient, provider: BlockListServer, url: str
) -> None:
    provider.hold = True
    clients = [make_client(pace={"max_in_flight": 4}) for _ in range(2)]
    with working(clients[0]) as first:
        batch = create(first.batches, many(100)).batch
        provider.wait_for(1)
        with working(clients[1]):
            wait_until(
                lambda: len(json.loads(rows(url, "lanes")[0]["holders"])) == 2, "both workers"
            )
            provider.release()
            wait_until(ended(first.batches, batch), "the end of the batch")
    assert first.batches.get(batch.id, ANONYMOUS).counts == {"done": 100}
    assert len(provider.requests) == 100
    assert provider.most <= 4


def test_the_sweeper_finds_what_is_due_and_ends_what_was_cancelled(
    batches: Batches, client: Client, provider: BlockListServer, url: str
) -> None:
    ledger = client.service.ledger
    assert ledger is not None
    running, waiting = (create(batches, many(2, start)).batch for start in (0, 10))
    batches.pause(waiting.id, ANONYMOUS)
    assert sweep(ledger) == [running.id]
    late = "2099-01-01T00:00:00.000+00:00"
    execute(
        url,
        "UPDATE {p}items SET status = 'leased', lease_owner = 'other', lease_until = :at"
        " WHERE row = 1",
        at=late,
    )
    abandoned = create(batches, many(2, 20)).batch
    assert sweep(ledger) == [running.id, abandoned.id], "every process joins the first"
    batches.cancel(running.id, ANONYMOUS)
    sweep(ledger)
    assert [each.status for each in items(batches, running)] == ["leased", "cancelled"]
    expire_leases(url)
    sweep(ledger)
    first, second = items(batches, running)
    assert (first.status, first.code) == ("unknown", "internal_error")
    assert second.status == "cancelled"


@pytest.fixture
def of_two_accounts(make_client: MakeClient) -> tuple[Batches, Ledger]:
    """Return the batches of a service with an account `other`, too, and its ledger."""
    service = make_client(others=["other"]).service
    assert service.ledger is not None
    return Batches(service), service.ledger


def test_many_batches_of_an_account_that_waits_hold_up_no_other_account(
    of_two_accounts: tuple[Batches, Ledger],
) -> None:
    batches, ledger = of_two_accounts
    first = [create(batches, many(1, index)).batch.id for index in range(PER_ACCOUNT + 3)]
    other = create(batches, many(1), account="other").batch.id
    assert sweep(ledger) == [*first[:PER_ACCOUNT], other]
    batches.cancel(first[0], ANONYMOUS)
    assert sweep(ledger) == [*first[1 : PER_ACCOUNT + 1], other]


def test_batches_count_for_the_accounts_of_their_rows_and_not_for_their_default_account(
    of_two_accounts: tuple[Batches, Ledger],
) -> None:
    batches, ledger = of_two_accounts
    of_other = [replace(each, account="other") for each in many(PER_ACCOUNT + 1)]
    waiting = [create(batches, [each]).batch.id for each in of_other]
    mixed = create(batches, [of_other[0], *many(1, 50)]).batch.id
    own = create(batches, many(1)).batch.id
    assert sweep(ledger) == [*waiting[:PER_ACCOUNT], mixed, own]


def test_a_batch_that_ran_just_now_is_due_again_where_it_is_asked_for(
    client: Client, batches: Batches, url: str
) -> None:
    ledger = client.service.ledger
    assert ledger is not None
    batch = create(batches, many(1)).batch
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    execute(url, "UPDATE {p}batches SET started_at = :at", at=now)
    assert sweep(ledger) == [], "the process that has begun it reads the block list"
    assert sweep(ledger, {batch.id}) == [batch.id]


def test_a_batch_that_waits_for_its_account_ends_with_the_worker(
    make_client: MakeClient, provider: BlockListServer
) -> None:
    provider.reply = lambda *_: OFFLINE
    client = make_client()
    with working(client) as worker:
        batch = create(worker.batches, many(5)).batch
        wait_until(lambda: worker.batches.get(batch.id, ANONYMOUS).pause_code, "the lane's pause")
    assert worker.batches.get(batch.id, ANONYMOUS).counts == {"pending": 5}


def test_a_missing_library_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'contact-adapter\[queue\]'"):
        messenger.Messenger(QueueSettings("redis://127.0.0.1/0"), "p", lambda _: None)


@pytest.mark.slow
def test_a_worker_process_runs_until_it_is_terminated(
    provider: BlockListServer, url: str, batches: Batches, redis_server: RedisServer
) -> None:
    provider.delay = 0.01
    batch = create(batches, many(300)).batch
    child = python(WORKER, json.dumps(config_for(provider.address, url, queue=redis_server.url)))
    assert child.stdout is not None
    assert child.stdout.readline() == "begun\n"
    provider.wait_for(30)
    os.kill(child.pid, signal.SIGTERM)
    assert child.communicate(timeout=60)[0] == "ended\n"
    assert child.returncode == 0
    counts = batches.get(batch.id, ANONYMOUS).counts
    assert set(counts) == {"done", "pending"}
    assert counts["done"] == len(provider.requests)
