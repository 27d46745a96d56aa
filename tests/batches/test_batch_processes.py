"""Several processes with one batch."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest
from support import TIMEOUT
from support.batch_fixtures import MakeClient
from support.batches import (
    check_sums,
    config_for,
    create,
    many,
    run,
)
from support.block_list_server import BlockListServer
from support.ledgers import output, python

from adapter.batches import Batches

Spawn = Callable[..., Future[Any]]

# A child of this program runs the batch until it ends.
RUNNER = """
import json, os, sys, threading
from adapter import connect
from adapter.batches.batches import Batches

config, batch_id = json.loads(sys.argv[1]), int(sys.argv[2])

def work():
    client = connect(config)
    print("begun", flush=True)
    print(Batches(client.service).run(batch_id, threading.Event()).status, flush=True)
    client.close()

work()
"""


def test_two_runs_never_have_the_same_row_at_the_same_time(
    make_client: MakeClient, provider: BlockListServer, spawn: Spawn
) -> None:
    both = [Batches(make_client(pace={"max_in_flight": 6}).service) for _ in range(2)]
    provider.delay = 0.003
    batch = create(both[0], many(400)).batch
    done = [each.result(TIMEOUT) for each in [spawn(run, one, batch) for one in both]]
    assert [each.counts for each in done] == [{"done": 400}] * 2
    assert len(provider.requests) == 400, "no row was sent twice"
    assert provider.overlaps == 0
    assert provider.most <= 6, "the limit is that of all processes"


@pytest.mark.slow
def test_two_processes_end_one_batch(provider: BlockListServer, batches: Batches, url: str) -> None:
    provider.delay = 0.002
    batch = create(batches, many(1000)).batch
    config = json.dumps(config_for(provider.address, url, pace={"max_in_flight": 6}))
    children = [python(RUNNER, config, str(batch.id)) for _ in range(2)]
    assert [output(each) for each in children] == ["begun\ndone\n"] * 2
    check_sums(batches, batch, 1000)
    assert len(provider.requests) == 1000
    assert provider.overlaps == 0
    assert provider.most <= 6
