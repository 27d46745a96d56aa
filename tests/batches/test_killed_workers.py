"""Workers that are killed at any moment of a batch: every row ends, and none is lost."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sized
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import islice
from typing import Any

import pytest
from support import TIMEOUT, wait_until
from support.batches import (
    ACCOUNT,
    TOKEN_VARIABLE,
    check_sums,
    config_for,
    create,
    items,
    number,
    row,
    run,
    wishes,
)
from support.block_list_server import BlockListServer
from support.ledgers import python, rows
from support.many_users import ManyUsers, meta_account
from support.raw_server import RawServer
from support.redis_server import RedisServer

from adapter import Command, Contact, connect
from adapter.api_keys import ANONYMOUS
from adapter.batches import Batches
from adapter.batches.claims import WAITING
from adapter.codes import Action

pytestmark = pytest.mark.slow

KILLS = 50
ROWS = 2000
IN_FLIGHT = 24

# A process for each line: to start an interpreter takes longer. Leases are short, since they alone
# tell the others that a process is gone.
WORKERS = """
import json, os, signal, sys
from adapter import connect
from adapter.batches import lane_work, runner, worker

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
runner.LEASE_MARGIN, lane_work.RENEW, worker.SWEEP_EVERY = 0.5, 0.05, 0.1
config, runner.MOST_ROWS = json.loads(sys.argv[1]), int(sys.argv[2])
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        worker.run_worker(connect(config).service)
        os._exit(0)
    print(child, flush=True)
"""


class Workers:
    """Two workers, one of which is killed and followed by another one."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._pids = [self._start(), self._start()]

    def _start(self) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def kill(self, index: int) -> None:
        os.kill(self._pids[index], signal.SIGKILL)
        self._pids[index] = self._start()

    def end(self) -> None:
        for pid in self._pids:
            os.kill(pid, signal.SIGKILL)
        self._process.communicate(timeout=TIMEOUT)


@contextmanager
def two_workers(config: dict[str, Any], most: int = 1000) -> Iterator[Workers]:
    """Run two workers, whose requests have `most` contacts."""
    workers = Workers(python(WORKERS, json.dumps(config), str(most)))
    try:
        yield workers
    finally:
        workers.end()


@pytest.fixture
def queue(url: str, request: pytest.FixtureRequest) -> str | None:
    """Return Redis for PostgreSQL; SQLite is alone."""
    if url.startswith("sqlite"):
        return None
    server: RedisServer = request.getfixturevalue("redis_server")
    return server.url


def kill_some(
    workers: Workers,
    chance: random.Random,
    requests: Sized,
    has_ended: Callable[[], bool],
    most: int,
    pause: float,
) -> Iterator[None]:
    """Kill one worker again and again until the batch ends; yield after each.

    Each time fewer than `most` requests, and at most `pause` seconds, after the time before.
    """

    def has_sent(amount: int) -> bool:
        return len(requests) >= amount or has_ended()

    while not has_ended():
        wait_until(partial(has_sent, len(requests) + chance.randrange(1, most)), "requests")
        threading.Event().wait(chance.uniform(0, pause))
        workers.kill(chance.randrange(2))
        yield


def test_killed_at_fifty_random_moments_every_row_ends_and_none_is_lost(
    provider: BlockListServer, url: str, queue: str | None
) -> None:
    chance = random.Random(15)
    provider.delay = 0.002
    actions = [chance.choice([Action.BLOCK, Action.UNBLOCK]) for _ in range(ROWS)]
    given = [row(index, action=action) for index, action in enumerate(actions)]
    pace = {"max_in_flight": IN_FLIGHT}
    config = config_for(provider.address, url, pace=pace, queue=queue, deadline=1)
    with connect(config) as client:
        batches = Batches(client.service)
        batch = create(batches, given, None).batch

        def has_ended() -> bool:
            return batches.get(batch.id, ANONYMOUS).status == "done"

        with two_workers(config) as workers:
            killing = kill_some(workers, chance, provider.requests, has_ended, 30, 0.02)
            kills = sum(1 for _ in islice(killing, KILLS))
            wait_until(has_ended, "the end of the batch")
        assert kills == KILLS
        counts = batches.get(batch.id, ANONYMOUS).counts
        if "unknown" in counts:  # the deadline is short, and this machine may be busy
            late = items(batches, batch, status="unknown")
            assert {each.code for each in late} <= {"provider_timeout", "provider_connection_lost"}
            run(batches, batches.retry(batch.id, ANONYMOUS))
        check_sums(batches, batch, ROWS)
        assert set(batches.get(batch.id, ANONYMOUS).counts) <= {"done", "unchanged"}
        assert {each.attempts > 1 for each in items(batches, batch)} == {True, False}
    wanted = {number(index): action is Action.BLOCK for index, action in enumerate(actions)}
    assert provider.states == wanted, "the provider's last state of each contact is as wanted"
    assert wishes(url) == {each: "blocked" if on else "unblocked" for each, on in wanted.items()}
    assert all(each["state"] == each["wanted"] for each in rows(url, "blocks"))
    leased = IN_FLIGHT * WAITING
    assert len(provider.requests) <= ROWS + kills * leased, "only what was leased is sent again"


SLOTS, TOGETHER = 3, 20
REQUESTS, MANY_KILLS = 30, 5


def test_killed_during_requests_for_many_contacts_newer_wishes_win(
    url: str, queue: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(15)
    rest = range(TOGETHER * REQUESTS)
    actions = [chance.choice([Action.BLOCK, Action.UNBLOCK]) for _ in rest]
    wanted = {number(index): actions[index] is Action.BLOCK for index in rest}
    newer: set[str] = set()
    monkeypatch.setenv(TOKEN_VARIABLE, "a-token-of-the-tests")
    provider = ManyUsers(delay=0.03)
    with ExitStack() as stack:
        server = stack.enter_context(RawServer(provider))
        config = config_for(server.address, url, pace={"max_in_flight": SLOTS}, queue=queue)
        limits = {"breaker_threshold": 0, "deadline": 1}
        account = meta_account(server.address, verify="never", transport=limits)
        config["accounts"][ACCOUNT] |= account | {"token": {"env": TOKEN_VARIABLE}}
        client = stack.enter_context(connect(config))
        batches = Batches(client.service)
        given = [row(index, action=action) for index, action in enumerate(actions)]
        batch = create(batches, given, None).batch

        def has_ended() -> bool:
            return batches.get(batch.id, ANONYMOUS).status == "done"

        kills = 0
        with two_workers(config, TOGETHER) as workers:
            killing = kill_some(workers, chance, provider.requests, has_ended, 4, 0.04)
            for _ in islice(killing, MANY_KILLS):
                kills += 1
                # What was sent has arrived, and what was lost is sent again after its lease.
                _, users = provider.requests[-1]
                user = chance.choice(users)
                if user not in newer:
                    newer.add(user)
                    wanted[user] = not wanted[user]
                    action = Action.BLOCK if wanted[user] else Action.UNBLOCK
                    assert client.service.perform(ACCOUNT, Command(action, Contact(user))).ok
            wait_until(has_ended, "the end of the batch")
        assert kills == MANY_KILLS
        counts = batches.get(batch.id, ANONYMOUS).counts
        if "unknown" in counts:  # the deadline is short, and this machine may be busy
            run(batches, batches.retry(batch.id, ANONYMOUS))
        check_sums(batches, batch, len(actions))
        found = items(batches, batch)
    assert {each.status for each in found} <= {"done", "unchanged", "superseded"}
    superseded = {each.contact and each.contact.number for each in found if each.status[0] == "s"}
    assert superseded <= newer
    assert provider.blocked == {each for each, on in wanted.items() if on}
    assert wishes(url) == {each: "blocked" if on else "unblocked" for each, on in wanted.items()}
    sizes = [len(users) for _, users in provider.requests]
    assert 1 < max(sizes) <= TOGETHER
    assert sum(sizes) <= len(rest) + len(newer) + kills * SLOTS * TOGETHER, "only what was leased"
