"""Batches over the ledger's databases, and the provider that they talk to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from adapter import Client, connect
from adapter.batches.batches import Batches
from support.batches import TOKEN_VARIABLE, config_for
from support.block_list_server import BlockListServer, run_block_list_server
from support.redis_server import RedisServer, run_redis_server

MakeClient = Callable[..., Client]


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[BlockListServer]:
    monkeypatch.setenv(TOKEN_VARIABLE, "a-token-of-the-tests")
    with run_block_list_server() as server:
        yield server


@pytest.fixture
def make_client(provider: BlockListServer, url: str) -> Iterator[MakeClient]:
    """Return a function that makes clients of the same ledger, as of several processes."""
    made: list[Client] = []

    def make(**options: Any) -> Client:
        made.append(connect(config_for(provider.address, url, **options)))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def client(make_client: MakeClient) -> Client:
    return make_client()


@pytest.fixture
def batches(client: Client) -> Batches:
    return Batches(client.service)


@pytest.fixture
def stop() -> Iterator[threading.Event]:
    """Return the event that ends the runs of a test, whatever happens."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def no_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let lanes pause, and rows wait, for an instant."""
    monkeypatch.setattr("adapter.batches.lanes.FIRST_PAUSE", 0.05)
    monkeypatch.setattr("adapter.batches.endings.TRY_DELAY", 0.01)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    pytest.importorskip("huey")
    with run_redis_server() as server:
        yield server
