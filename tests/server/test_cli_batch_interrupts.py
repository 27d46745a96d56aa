"""Ctrl-C and SIGTERM while a batch runs on the command line: paused, and gone on with."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support import TIMEOUT, wait_until
from support.batches import FIRST
from support.block_list_server import BlockListServer
from support.cli import COMMAND, run
from support.cli_batches import NUMBERS, config_text, start, write_csv
from support.ledgers import rows

from adapter.errors import LedgerUnavailable

pytest_plugins = ["support.cli_fixtures"]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.db'}"


@pytest.fixture
def config(write: Callable[[str], str], url: str, provider: BlockListServer) -> str:
    return write(config_text(url, provider))


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., str]:
    """Return a function that writes a CSV and returns its path."""
    return partial(write_csv, tmp_path / "people.csv")


PACE = "[accounts.support.pace]\nmax_in_flight = 1\n"


@pytest.fixture
def one_by_one(write: Callable[[str], str], url: str, provider: BlockListServer) -> str:
    """Return a configuration by which one row runs at a time; the first one waits."""
    provider.hold = True
    return write(config_text(url, provider, PACE))


def is_paused(url: str) -> bool:
    return [row["status"] for row in rows(url, "batches")] == ["paused"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 5)], ids=["SIGINT", "SIGTERM"]
)
def test_an_interrupted_batch_is_paused_and_goes_on_with_the_printed_command(
    number: signal.Signals,
    status: int,
    write: Callable[[str], str],
    url: str,
    provider: BlockListServer,
    file: Callable[..., str],
) -> None:
    config = write(config_text(url, provider, "[accounts.support.pace]\nper_minute = 120\n"))
    path = file()
    with start(config, path) as process:
        wait_until(lambda: provider.requests, "the first change")
        process.send_signal(number)
        out, err = process.communicate(timeout=TIMEOUT)
    assert process.returncode == status, err
    assert "batch 1 (block for support): paused\n" in out
    command = re.search(r"go on with it: contact-adapter (batch resume 1 .*)\n", err)
    assert command is not None
    assert [row["status"] for row in rows(url, "batches")] == ["paused"]
    sent = len(provider.requests)
    assert 0 < sent < 10

    same = run("batch", "block", path, "--config", config)
    assert same.exit_code == 5
    assert f"go on with it: contact-adapter {command[1]}\n" in same.stderr
    assert len(provider.requests) == sent

    write(config_text(url, provider))
    resumed = run("batch", "block", path, "--resume", "--config", config)
    assert resumed.exit_code == 0, resumed.stderr
    assert provider.states == dict.fromkeys(NUMBERS, True)
    assert len(rows(url, "batches")) == 1


@pytest.mark.slow
def test_an_interrupt_while_the_file_is_read_leaves_nothing(
    config: str, url: str, provider: BlockListServer
) -> None:
    command = [str(COMMAND), "batch", "block", "-", "--config", config]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        process.stdin.write(b"number\n" + b"".join(b"%d\n" % (FIRST + i) for i in range(5000)))
        process.stdin.flush()
        run("db", "upgrade", "--config", config)
        wait_until(lambda: rows(url, "items"), "the first stored rows")
        process.send_signal(signal.SIGINT)
        err = process.stderr.read() if process.stderr is not None else b""
    assert process.returncode == 130, err
    assert b"interrupted while the file was read; nothing was sent" in err
    assert rows(url, "batches") == rows(url, "items") == rows(url, "contacts") == []
    assert provider.requests == []


@pytest.mark.slow
def test_the_first_ctrl_c_pauses_the_batch_elsewhere_before_the_rows_in_flight_have_ended(
    one_by_one: str, url: str, provider: BlockListServer, file: Callable[..., str]
) -> None:
    with start(one_by_one, file()) as process:
        provider.wait_for(1)
        process.send_signal(signal.SIGINT)
        wait_until(lambda: is_paused(url), "the pause")
        assert provider.in_flight == 1
        provider.release()
        _, err = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 130, err
    statuses = [row["status"] for row in rows(url, "items")]
    assert statuses.count("done") == len(provider.requests) < 10
    assert "leased" not in statuses
    assert is_paused(url)


@pytest.mark.slow
def test_a_second_ctrl_c_ends_the_process_at_once_and_leaves_the_batch_paused(
    one_by_one: str, url: str, provider: BlockListServer, file: Callable[..., str]
) -> None:
    with start(one_by_one, file()) as process:
        provider.wait_for(1)
        process.send_signal(signal.SIGINT)
        wait_until(lambda: is_paused(url), "the pause")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=TIMEOUT)
        assert provider.in_flight == 1, "it was not waited for"
    assert process.returncode == 130, err
    assert "go on with it: contact-adapter batch resume 1" in err
    assert "Traceback" not in err
    assert is_paused(url)


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
    config: str,
    file: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patched:
        lose_ledger(patched, *numbers)
        found = run("batch", "block", file(), "--config", config)
    assert found.exit_code == status
    assert "ledger_unavailable" in found.stderr
    assert f"run: contact-adapter db check --config {config}" in found.stderr
    command = f"contact-adapter batch resume 1 --config {config}"
    assert f"go on with it: {command}\n" in found.stderr
    assert run(*command.split()[1:]).exit_code == 0


def test_with_json_a_ledger_that_is_gone_is_the_last_line(
    config: str, file: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_ledger(monkeypatch, signal.SIGINT)
    found = run("batch", "block", file(), "--json", "--config", config)
    assert found.exit_code == 130
    *_, last = [json.loads(line) for line in found.stdout.splitlines()]
    assert last["error"]["code"] == "ledger_unavailable"


@pytest.mark.slow
def test_two_signals_at_once_leave_the_batch_paused(
    one_by_one: str, url: str, provider: BlockListServer, file: Callable[..., str]
) -> None:
    with start(one_by_one, file()) as process:
        provider.wait_for(1)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=TIMEOUT)
        assert provider.in_flight == 1, "it was not waited for"
    assert process.returncode == 130, err
    assert is_paused(url)
