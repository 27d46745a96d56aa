"""A database that is slow, gone or full of waiting events: calls go on, within the wait."""

from __future__ import annotations

import logging
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from support import wait_until
from support.ledgers import (
    ACCOUNT,
    CONTACT,
    WAIT,
    MakeLedger,
    begin,
    block,
    call,
    execute,
    locked,
    output,
    python,
    result,
    rows,
    short_wait,
)
from support.postgresql import Server

from adapter.call_context import CallContext
from adapter.codes import Code
from adapter.ledger import writer
from adapter.ledger.database import Database, LedgerUnavailable, describe
from adapter.ledger.ledger import Ledger
from adapter.ledger.queries import Filters
from adapter.results import Outcome
from adapter.settings.model import LedgerSettings


def test_a_slow_database_delays_a_call_by_the_wait_at_most(
    make_ledger: MakeLedger, url: str
) -> None:
    ledger = make_ledger()
    call(ledger)
    with locked(url), short_wait(ledger, 0.2):
        started = time.monotonic()
        opened = [begin(ledger) for _ in range(20)]
        closed = [each.close(result(block())) for each in opened]
        elapsed = time.monotonic() - started
        assert not any(each.recorded for each in opened)
        assert not any(closed)
        assert not opened[0].is_superseded()
    assert elapsed < 2.0, "only the first calls wait: 40 events of 0.2 s each would be 8 s"
    wait_until(lambda: len(rows(url, "calls")) == 21, "the late calls")
    call(ledger)
    assert all(row["code"] == "ok" for row in rows(url, "calls")), "they are recorded late"
    assert ledger.health.missed >= 40


def test_a_change_that_was_refused_for_the_ledger_is_not_recorded_later(
    make_ledger: MakeLedger, url: str
) -> None:
    ledger = make_ledger(required=True)
    call(ledger)
    with locked(url), short_wait(ledger, 0.1):
        blocking = begin(ledger)  # in hand
        waiting = begin(ledger)
        refusal = Outcome.failure(Code.LEDGER_UNAVAILABLE)
        for opened in (waiting, blocking):
            assert not opened.recorded
            assert not opened.close(result(block(), refusal))
    wait_until(lambda: not ledger.health.waiting, "an empty queue")
    call(ledger)
    assert [row["code"] for row in rows(url, "calls")] == ["ok", "ledger_unavailable", "ok"]


def test_a_full_queue_refuses_events_at_once(
    make_ledger: MakeLedger, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "MAX_EVENTS", 5)
    ledger = make_ledger()
    call(ledger)
    with locked(url), short_wait(ledger, 0.1):
        for _ in range(30):
            begin(ledger)
        assert ledger.health.waiting == 5
        ledger_writer = ledger._writer
        assert ledger_writer.refused == 24
    wait_until(lambda: not ledger.health.waiting, "an empty queue")
    call(ledger)
    assert len(rows(url, "calls")) == 8


def test_a_postgresql_server_that_is_gone_and_back_needs_no_help(
    postgresql: Server, caplog: pytest.LogCaptureFixture
) -> None:
    url = postgresql.new_database()
    ledger = Ledger(LedgerSettings(url, wait=WAIT))
    ledger.upgrade()
    number = call(ledger)
    running = begin(ledger)
    postgresql.stop()
    try:
        with caplog.at_level(logging.INFO, "adapter"):
            assert not running.close(result(block()))
            started = time.monotonic()
            assert not any(begin(ledger).recorded for _ in range(100))
            assert time.monotonic() - started < 5.0
        assert not ledger.health.available
        assert ledger.health.waiting == 0, "events of an outage are not kept"
        with pytest.raises(LedgerUnavailable):
            ledger.calls(Filters())
        with pytest.raises(LedgerUnavailable):
            ledger.claim("crm", "key", ACCOUNT, block(), 15)
    finally:
        postgresql.start()
    _require_recovery(ledger, number)
    ended = next(row for row in rows(url, "calls") if row["id"] == running.call_id)
    assert ended["code"] == "ok", "its end was kept"
    states = [record.__dict__["facts"]["state"] for record in caplog.records]
    assert states.count("unavailable") == 1, "once for an outage"


def _require_recovery(ledger: Ledger, number: int) -> None:
    """Wait until calls are recorded again, with ids above the number."""
    wait_until(lambda: begin(ledger).recorded, "a recorded call")
    assert ledger.health.available
    assert call(ledger) > number
    assert len(ledger.blocked(ACCOUNT).entries) == 1
    ledger.close()


def test_a_failing_database_is_tried_again_after_a_growing_pause(
    make_ledger: MakeLedger, url: str
) -> None:
    ledger = make_ledger(wait=WAIT)
    call(ledger)
    execute(url, "ALTER TABLE {p}calls RENAME TO {p}away")
    assert not begin(ledger).recorded
    execute(url, "ALTER TABLE {p}away RENAME TO {p}calls")
    wait_until(lambda: begin(ledger).recorded, "a recorded call")
    call(ledger)


def test_an_unusable_sqlite_file_fails_no_call(tmp_path: Path) -> None:
    (tmp_path / "not-a-database").write_bytes(b"text" * 1000)
    for path in (tmp_path / "not-a-database", tmp_path, "/proc/no/such/folder/ledger.db"):
        ledger = Ledger(LedgerSettings(f"sqlite:///{path}", wait=WAIT))
        opened = begin(ledger)
        assert not opened.recorded
        assert opened.call_id is None
        assert not opened.superseded
        assert not opened.close(result(block()))
        assert not ledger.record(result(block()), CallContext("api"))
        with pytest.raises(LedgerUnavailable):
            ledger.blocked(ACCOUNT)
        with pytest.raises(LedgerUnavailable):
            ledger.prepare()
        ledger.close()


def test_a_bug_of_the_ledger_fails_no_call(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def raises(*_: object) -> None:
        raise RuntimeError(f"about {CONTACT.number}")

    call(ledger)
    with monkeypatch.context() as patched:
        patched.setattr("adapter.ledger.ledger.result_row", raises)
        assert not begin(ledger).close(result(block()))
        assert not ledger.record(result(block()), CallContext("api"))
        patched.setattr("adapter.ledger.ledger.call_row", raises)
        opened = begin(ledger)
        assert not opened.recorded
        assert not opened.close(result(block()))
    with monkeypatch.context() as patched:
        patched.setattr("adapter.ledger.records.Recorder.write", raises)
        assert not begin(ledger).recorded
    call(ledger)
    assert "RuntimeError" in caplog.text
    assert str(CONTACT.number) not in caplog.text


def test_no_connection_is_opened_before_the_first_call(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "ledger.db"
    ledger = Ledger(LedgerSettings(f"sqlite:///{path}"))
    assert not path.parent.exists()
    before = threading.active_count()
    ledger.settings = LedgerSettings("", wait=30)
    call(ledger)
    assert path.stat().st_mode & 0o777 == 0o600
    ledger.close()
    assert threading.active_count() == before
    call(ledger)
    ledger.close()


def test_what_waits_is_recorded_before_the_ledger_closes(make_ledger: MakeLedger, url: str) -> None:
    ledger = make_ledger()
    with short_wait(ledger, 0.001):
        for _ in range(50):
            begin(ledger)
    ledger.close()
    assert len(rows(url, "calls")) == 50


FORKING = """
import os, sys
from support.ledgers import *

ledger = Ledger(LedgerSettings(sys.argv[1], wait=WAIT))
call(ledger)
child = os.fork()
for _ in range(5):
    call(ledger)
assert ledger.blocked(ACCOUNT).entries
if child == 0:
    ledger.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
call(ledger)
ledger.close()
print("done")
"""


def test_after_a_fork_parent_and_child_have_connections_of_their_own(url: str) -> None:
    assert output(python(FORKING, url)) == "done\n"
    calls = rows(url, "calls")
    assert len(calls) == 12
    assert all(row["code"] == "ok" for row in calls)


COOPERATIVE = """
from gevent import monkey
monkey.patch_all()
import os, sys, time
import gevent
from support.ledgers import *

ledger = Ledger(LedgerSettings(sys.argv[1], wait=WAIT))
call(ledger)
ticks = []

def tick():
    while True:
        ticks.append(time.monotonic())
        gevent.sleep(0.01)

ticking = gevent.spawn(tick)
print("locked?", flush=True)
sys.stdin.readline()
started = time.monotonic()
with short_wait(ledger, 1.0):
    opened = gevent.spawn(begin, ledger).get()
assert not opened.recorded
elapsed = time.monotonic() - started
assert 0.9 <= elapsed < 3, elapsed
during = [each for each in ticks if each >= started]
print(len(during), flush=True)
sys.stdin.readline()
while not begin(ledger).recorded:
    gevent.sleep(0.01)
group = [gevent.spawn(call, ledger) for _ in range(50)]
gevent.joinall(group, raise_error=True)
assert len(ledger.blocked(ACCOUNT).entries) == 1
ticking.kill()
ledger.close()
threads = len(os.listdir("/proc/self/task"))
for _ in range(3):
    call(ledger)
    ledger.close()
assert len(os.listdir("/proc/self/task")) == threads, "no native thread is left"
print("done", flush=True)
"""


def test_under_gevent_a_blocked_database_stops_no_other_greenlet(url: str) -> None:
    child = python(COOPERATIVE, url)
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stdout.readline() == "locked?\n"
    with locked(url):
        child.stdin.write("\n")
        child.stdin.flush()
        ticks = int(child.stdout.readline())
    assert ticks > 20, "of about 100 in the second that the call waited"
    child.stdin.write("\n")
    assert output(child) == "done\n"


NEVER_IDLE = """
from gevent import monkey
monkey.patch_all()
import sys
import gevent
from support.ledgers import *

ledger = Ledger(LedgerSettings(sys.argv[1], wait=WAIT))
turns = [0]

def spin():
    while True:
        turns[0] += 1
        gevent.sleep(0)

spinning = gevent.spawn(spin)
for _ in range(5):
    group = [gevent.spawn(call, ledger) for _ in range(20)]
    gevent.joinall(group, raise_error=True)
assert turns[0] > 0
spinning.kill()
ledger.close()
print("done", flush=True)
"""


def test_under_gevent_a_loop_that_is_never_idle_holds_up_no_event(url: str) -> None:
    assert output(python(NEVER_IDLE, url)) == "done\n"
    calls = rows(url, "calls")
    assert len(calls) == 100
    assert all(row["code"] == "ok" for row in calls)


FAILING = """
from gevent import monkey
monkey.patch_all()
import sys
from adapter.ledger.threads import end_runner, new_runner

def fail():
    raise ValueError("5511999999999")

run = new_runner()
try:
    run(fail)
except ValueError:
    print("done", flush=True)
print(run(lambda: "and still runs"), flush=True)
end_runner(run)
"""


def test_under_gevent_no_exception_of_the_database_is_printed() -> None:
    assert output(python(FAILING, stderr=subprocess.STDOUT)) == "done\nand still runs\n"


def test_an_error_has_the_databases_own_name_of_the_fault_and_no_value(
    ledger: Ledger, url: str
) -> None:
    call(ledger)
    execute(url, "ALTER TABLE {p}contacts RENAME TO {p}away")
    with pytest.raises(LedgerUnavailable) as caught:
        ledger.export(CONTACT)
    name = "SQLITE_ERROR" if url.startswith("sqlite") else "42P01"
    assert f"({name})" in str(caught.value)


def test_the_errors_of_reads_have_no_values(ledger: Ledger, url: str) -> None:
    call(ledger)
    execute(url, "ALTER TABLE {p}contacts RENAME TO {p}away")
    with pytest.raises(LedgerUnavailable) as caught:
        ledger.export(CONTACT)
    assert str(CONTACT.number) not in repr(caught.value)
    assert str(CONTACT.number) not in str(caught.value.__cause__)
    execute(url, "ALTER TABLE {p}away RENAME TO {p}contacts")


def test_one_bad_event_of_a_group_fails_alone(ledger: Ledger, url: str) -> None:
    call(ledger)
    nameless: Any = None
    with locked(url), short_wait(ledger, 0.1):
        begin(ledger)  # in hand; the others are one group
        good = [begin(ledger) for _ in range(3)]
        bad = begin(ledger, account=nameless)
        good.append(begin(ledger))
        for opened in (*good, bad):
            opened.close(result(block()))
    wait_until(lambda: not ledger.health.waiting, "an empty queue")
    call(ledger)
    assert all(opened.call_id for opened in good)
    assert bad.call_id is None
    codes = [row["code"] for row in rows(url, "calls")]
    assert codes == ["ok", None, *["ok"] * 5]


def test_a_clean_up_that_fails_stops_no_recording(make_ledger: MakeLedger, url: str) -> None:
    execute(url, "ALTER TABLE {p}idempotency RENAME TO {p}away")
    ledger = make_ledger()
    call(ledger)
    wait_until(lambda: begin(ledger).recorded, "a call after the clean-up")
    assert ledger.health.swept_at is None
    with pytest.raises(LedgerUnavailable):
        ledger.sweep()
    execute(url, "ALTER TABLE {p}away RENAME TO {p}idempotency")


def test_only_a_database_as_a_whole_is_gone() -> None:
    assert describe(LedgerUnavailable("the reason")) == "the reason"
    assert describe(ValueError("5511999999999")) == "ValueError"
    assert Database(LedgerSettings("sqlite:////a/b.db")).path == Path("/a/b.db")
