"""The slots of a lane among processes and batches, and rows that pause it by themselves."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any

import pytest
from support import TIMEOUT, wait_until
from support.batch_fixtures import MakeClient
from support.batches import create, items, many, number, row, run
from support.block_list_server import BUSY, OFFLINE, REJECTED, BlockListServer, Reply

from adapter.api_keys import ANONYMOUS
from adapter.batches import Batches
from adapter.batches.claims import Claims
from adapter.batches.endings import ROW_CODES, ROW_TRIES
from adapter.batches.lanes import Lane
from adapter.settings.model import PaceSettings

Spawn = Callable[..., Future[Any]]
FORBIDDEN = Reply(403, {"success": False, "error": "forbidden", "error_code": "FORBIDDEN"})


def test_after_a_pause_one_row_is_tried_in_all_processes_together() -> None:
    pace, lane = PaceSettings(max_in_flight=8), Lane("support", datetime.now(UTC))
    assert lane.take_slots("a", 0, pace, 30) == 8
    assert lane.take_slots("b", 0, pace, 30) == 0
    lane.pauses = 1
    assert lane.take_slots("b", 0, pace, 30) == 0, "rows of the other one still run"
    assert lane.take_slots("a", 0, pace, 30) == 1
    assert lane.take_slots("b", 0, pace, 30) == 0
    lane.release("a")
    assert lane.take_slots("b", 0, pace, 30) == 1


@pytest.mark.usefixtures("no_delays")
def test_a_row_that_alone_gets_an_error_of_its_account_fails_at_the_second_try(
    make_client: MakeClient, provider: BlockListServer
) -> None:
    bad = number(0)
    provider.reply = lambda _, given: FORBIDDEN if given == bad else None
    batches = Batches(make_client(pace={"max_in_flight": 1}).service)
    batch = run(batches, create(batches, many(30)).batch)
    assert batch.counts == {"done": 29, "failed": 1}
    (failed,) = items(batches, batch, status="failed")
    assert failed.code in ROW_CODES
    assert failed.attempts == ROW_TRIES


@pytest.mark.usefixtures("no_delays")
def test_a_refused_row_ends_the_caution_after_a_pause(
    make_client: MakeClient, provider: BlockListServer, spawn: Spawn
) -> None:
    batches = Batches(make_client(pace={"max_in_flight": 4}).service)
    provider.reply = lambda *_: OFFLINE
    batch = create(batches, many(20)).batch
    running = spawn(run, batches, batch)
    wait_until(lambda: batches.get(batch.id, ANONYMOUS).pause_code, "the lane's pause")
    provider.most, provider.delay = 0, 0.05

    def refuse(action: str, _: str) -> Reply | None:
        return None if action == "list" else REJECTED

    provider.reply = refuse
    assert running.result(TIMEOUT).counts == {"failed": 20}
    assert provider.most > 1, "several at a time again"


@pytest.mark.usefixtures("no_delays")
def test_the_lane_is_not_asked_again_and_again_while_one_row_is_tried(
    make_client: MakeClient,
    provider: BlockListServer,
    spawn: Spawn,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exchanges: list[int] = []
    exchange = Claims.exchange

    def count(self: Claims, given: Any) -> Any:
        exchanges.append(given.running)
        return exchange(self, given)

    batches = Batches(make_client(pace={"max_in_flight": 4}).service)
    provider.reply = lambda *_: OFFLINE
    batch = create(batches, many(20)).batch
    running = spawn(run, batches, batch)
    wait_until(lambda: batches.get(batch.id, ANONYMOUS).pause_code, "the lane's pause")
    provider.hold = True
    wait_until(lambda: provider.in_flight == 1, "the row that is tried")
    monkeypatch.setattr(Claims, "exchange", count)
    provider.reply = lambda *_: None
    threading.Event().wait(1.2)
    assert len(exchanges) <= 10, "about one each half second"
    provider.release()
    assert running.result(TIMEOUT).counts == {"done": 20}


def test_a_batch_whose_rows_wait_leaves_the_slots_to_another(
    make_client: MakeClient, provider: BlockListServer, spawn: Spawn
) -> None:
    batches = Batches(make_client(pace={"max_in_flight": 1}).service)
    back = threading.Event()

    def answer(_: str, given: str) -> Reply | None:
        return BUSY if given == number(0) and not back.is_set() else None

    provider.reply = answer
    waiting = create(batches, many(1)).batch
    first = spawn(run, batches, waiting)
    wait_until(lambda: items(batches, waiting)[0].code, "the first try")
    other = create(batches, [row(index) for index in range(5, 8)]).batch
    assert run(batches, other).counts == {"done": 3}
    assert items(batches, waiting)[0].status in ("pending", "leased")
    back.set()
    assert first.result(TIMEOUT).counts == {"done": 1}
