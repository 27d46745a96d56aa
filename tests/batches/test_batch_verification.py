"""The end of a batch with `verify`: what the provider's list shows of its rows."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest
from support import TIMEOUT, wait_until
from support.batches import create, many, number, run
from support.block_list_server import REJECTED, BlockListServer

from adapter import Client
from adapter.api_keys import ANONYMOUS
from adapter.batches import Batches
from adapter.codes import Action
from adapter.results import Command, Result

Spawn = Callable[..., Future[Any]]


class HeldList:
    """Holds the reading of a list at the end of a batch, until `go` is set."""

    def __init__(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reading, self.go = threading.Event(), threading.Event()
        self._perform = client.service.perform
        self._lists = 0
        monkeypatch.setattr(client.service, "perform", self.perform)

    def perform(self, account: str, command: Command, **rest: Any) -> Result:
        if command.action is Action.LIST:
            self._lists += 1
            if self._lists == 2:  # the first is read before the rows
                self.reading.set()
                assert self.go.wait(TIMEOUT)
        return self._perform(account, command, **rest)


def test_a_batch_that_is_retried_while_its_list_is_read_goes_on_in_the_same_process(
    client: Client,
    batches: Batches,
    provider: BlockListServer,
    spawn: Spawn,
    stop: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    provider.reply = lambda _, given: REJECTED if given == number(0) else None
    held = HeldList(client, monkeypatch)
    batch = create(batches, many(3), verify=True).batch
    running = spawn(run, batches, batch, stop)
    assert held.reading.wait(TIMEOUT)
    batches.cancel(batch.id, ANONYMOUS)
    provider.reply = lambda *_: None
    batches.retry(batch.id, ANONYMOUS)
    held.go.set()
    wait_until(lambda: batches.get(batch.id, ANONYMOUS).status == "done", "the end of the batch")
    assert running.result(TIMEOUT).counts == {"done": 3}
