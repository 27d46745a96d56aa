"""Several processes with one batch, and processes that are killed at any moment."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
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
    expire_leases,
    items,
    many,
    number,
    row,
    run,
    wishes,
)
from support.block_list_server import BlockListServer
from support.ledgers import execute, output, python, rows

from adapter.batches import Batches
from adapter.batches.claims import WAITING
from adapter.codes import Action

Spawn = Callable[..., Future[Any]]
KILLS = 30
ROWS = 2000

# A child of this program runs the batch until it ends, or until it is killed.
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

if len(sys.argv) > 3:
    for line in sys.stdin:  # a process for each line: to start an interpreter takes longer
        child = os.fork()
        if child == 0:
            work()
            os._exit(0)
        print(child, flush=True)
        os.waitpid(child, 0)
        print("ended", flush=True)
else:
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


@pytest.mark.slow
def test_killed_at_many_random_moments_every_row_ends_and_none_is_lost(
    provider: BlockListServer, batches: Batches, url: str
) -> None:
    chance = random.Random(15)
    provider.delay = 0.002
    actions = [chance.choice([Action.BLOCK, Action.UNBLOCK]) for _ in range(ROWS)]
    given = [row(index, action=action) for index, action in enumerate(actions)]
    batch = create(batches, given, None).batch
    config = json.dumps(config_for(provider.address, url, pace={"max_in_flight": 16}))
    zygote = python(RUNNER, config, str(batch.id), "fork")
    stdin, stdout = zygote.stdin, zygote.stdout
    assert stdin is not None
    assert stdout is not None
    kills = 0
    while kills < KILLS and len(provider.requests) < ROWS:
        stdin.write("\n")
        stdin.flush()
        child = int(next(line for line in stdout if line.strip().isdigit()))
        provider.wait_for(min(len(provider.requests) + chance.randrange(1, 40), ROWS))
        threading.Event().wait(chance.uniform(0, 0.02))
        os.kill(child, signal.SIGKILL)
        assert next(line for line in stdout if line == "ended\n")
        expire_leases(url)
        kills += 1
    stdin.close()
    zygote.wait(TIMEOUT)
    stdout.close()
    assert kills > KILLS / 2
    done = run(batches, batch)
    assert done.status == "done"
    check_sums(batches, batch, ROWS)
    assert set(done.counts) <= {"done", "unchanged"}
    wanted = {number(index): action is Action.BLOCK for index, action in enumerate(actions)}
    assert provider.states == wanted, "the provider's last state of each contact is as wanted"
    assert wishes(url) == {each: "blocked" if on else "unblocked" for each, on in wanted.items()}
    leased = 16 * WAITING
    assert len(provider.requests) <= ROWS + kills * leased, "only what was leased is sent again"
    assert {each.attempts > 1 for each in items(batches, batch)} == {True, False}
    execute(url, "UPDATE {p}calls SET deadline_at = '2020-01-01T00:00:00.000+00:00'")
    assert all(each["state"] == each["wanted"] for each in rows(url, "blocks"))
