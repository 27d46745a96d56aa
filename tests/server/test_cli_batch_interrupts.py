"""Ctrl-C and SIGTERM while a batch runs on the command line: paused, and gone on with."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from support import TIMEOUT, wait_until
from support.batches import FIRST
from support.block_list_server import BlockListServer
from support.cli import COMMAND, run
from support.cli_batches import NUMBERS, config_text, documents, start
from support.ledgers import rows

from adapter.errors import LedgerUnavailable

pytest_plugins = ["support.cli_fixtures", "support.cli_batch_fixtures"]


PACE = "[accounts.support.pace]\nmax_in_flight = 1\n"


@pytest.fixture
def one_by_one(write: Callable[[str], str], sqlite_url: str, provider: BlockListServer) -> str:
    """Return a configuration by which one row runs at a time; the first one waits."""
    provider.hold = True
    return write(config_text(sqlite_url, provider, PACE))


def is_paused(sqlite_url: str) -> bool:
    return [row["status"] for row in rows(sqlite_url, "batches")] == ["paused"]


@contextmanager
def interrupted(
    config: str, path: str, sqlite_url: str, provider: BlockListServer
) -> Iterator[subprocess.Popen[str]]:
    """Yield a command that has paused its batch after a Ctrl-C, with its first row in flight."""
    with start(config, path) as process:
        provider.wait_for(1)
        process.send_signal(signal.SIGINT)
        wait_until(lambda: is_paused(sqlite_url), "the pause")
        yield process


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 5)], ids=["SIGINT", "SIGTERM"]
)
def test_an_interrupted_batch_is_paused_and_goes_on_with_the_printed_command(
    number: signal.Signals,
    status: int,
    write: Callable[[str], str],
    paced_config: str,
    sqlite_url: str,
    provider: BlockListServer,
    batch_file: Callable[..., str],
) -> None:
    path = batch_file()
    with start(paced_config, path) as process:
        wait_until(lambda: provider.requests, "the first change")
        process.send_signal(number)
        out, err = process.communicate(timeout=TIMEOUT)
    assert process.returncode == status, err
    assert "batch 1 (block for support): paused\n" in out
    command = re.search(r"go on with it: contact-adapter (batch resume 1 .*)\n", err)
    assert command is not None
    assert [row["status"] for row in rows(sqlite_url, "batches")] == ["paused"]
    sent = len(provider.requests)
    assert 0 < sent < 10

    same = run("batch", "block", path, "--config", paced_config)
    assert same.exit_code == 5
    assert f"go on with it: contact-adapter {command[1]}\n" in same.stderr
    assert len(provider.requests) == sent

    write(config_text(sqlite_url, provider))
    resumed = run("batch", "block", path, "--resume", "--config", paced_config)
    assert resumed.exit_code == 0, resumed.stderr
    assert provider.states == dict.fromkeys(NUMBERS, True)
    assert len(rows(sqlite_url, "batches")) == 1


@pytest.mark.slow
def test_an_interrupt_while_the_file_is_read_leaves_nothing(
    batch_config: str, sqlite_url: str, provider: BlockListServer
) -> None:
    command = [str(COMMAND), "batch", "block", "-", "--config", batch_config]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        process.stdin.write(b"number\n" + b"".join(b"%d\n" % (FIRST + i) for i in range(5000)))
        process.stdin.flush()
        run("db", "upgrade", "--config", batch_config)
        wait_until(lambda: rows(sqlite_url, "items"), "the first stored rows")
        process.send_signal(signal.SIGINT)
        err = process.stderr.read() if process.stderr is not None else b""
    assert process.returncode == 130, err
    assert b"interrupted while the file was read; nothing was sent" in err
    assert (
        rows(sqlite_url, "batches")
        == rows(sqlite_url, "items")
        == rows(sqlite_url, "contacts")
        == []
    )
    assert provider.requests == []


@pytest.mark.slow
def test_the_first_ctrl_c_pauses_the_batch_elsewhere_before_the_rows_in_flight_have_ended(
    one_by_one: str, sqlite_url: str, provider: BlockListServer, batch_file: Callable[..., str]
) -> None:
    with interrupted(one_by_one, batch_file(), sqlite_url, provider) as process:
        assert provider.in_flight == 1
        provider.release()
        _, err = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 130, err
    statuses = [row["status"] for row in rows(sqlite_url, "items")]
    assert statuses.count("done") == len(provider.requests) < 10
    assert "leased" not in statuses
    assert is_paused(sqlite_url)


@pytest.mark.slow
def test_a_second_ctrl_c_ends_the_process_at_once_and_leaves_the_batch_paused(
    one_by_one: str, sqlite_url: str, provider: BlockListServer, batch_file: Callable[..., str]
) -> None:
    with interrupted(one_by_one, batch_file(), sqlite_url, provider) as process:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=TIMEOUT)
        assert provider.in_flight == 1, "it was not waited for"
    assert process.returncode == 130, err
    assert "go on with it: contact-adapter batch resume 1" in err
    assert "Traceback" not in err
    assert is_paused(sqlite_url)


# --- a ledger that is gone


def lose_ledger(monkeypatch: pytest.MonkeyPatch, *numbers: signal.Signals) -> None:
    """Let a run end since its ledger is gone, after these signals."""

    def fail(runner: Any) -> None:
        for number in numbers:
            signal.raise_signal(number)
        raise LedgerUnavailable("gone")

    monkeypatch.setattr("adapter.batches.batches.Runner.run", fail)


@pytest.mark.parametrize(
    ("numbers", "status"),
    [((signal.SIGINT,), 130), ((signal.SIGTERM,), 5), ((), 5)],
    ids=["SIGINT", "SIGTERM", "none"],
)
def test_a_run_that_ends_while_the_ledger_is_gone_can_go_on(
    numbers: tuple[signal.Signals, ...],
    status: int,
    batch_config: str,
    batch_file: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patched:
        lose_ledger(patched, *numbers)
        found = run("batch", "block", batch_file(), "--config", batch_config)
    assert found.exit_code == status
    assert "ledger_unavailable" in found.stderr
    assert f"run: contact-adapter db check --config {batch_config}" in found.stderr
    command = f"contact-adapter batch resume 1 --config {batch_config}"
    assert f"go on with it: {command}\n" in found.stderr
    assert run(*command.split()[1:]).exit_code == 0


def test_with_json_a_ledger_that_is_gone_is_the_last_line(
    batch_config: str, batch_file: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_ledger(monkeypatch, signal.SIGINT)
    found = run("batch", "block", batch_file(), "--json", "--config", batch_config)
    assert found.exit_code == 130
    *_, last = documents(found.stdout)
    assert last["error"]["code"] == "ledger_unavailable"


@pytest.mark.slow
def test_two_signals_at_once_leave_the_batch_paused(
    one_by_one: str, sqlite_url: str, provider: BlockListServer, batch_file: Callable[..., str]
) -> None:
    with start(one_by_one, batch_file()) as process:
        provider.wait_for(1)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=TIMEOUT)
        assert provider.in_flight == 1, "it was not waited for"
    assert process.returncode == 130, err
    assert is_paused(sqlite_url)
