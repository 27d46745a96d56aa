"""The progress of a batch on the command line: JSON, lines, and a bar on a terminal."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from collections.abc import Callable

import pytest
from support import TIMEOUT
from support.block_list_server import BlockListServer
from support.cli import COMMAND, run
from support.cli_batches import config_text, documents

pytest_plugins = ["support.cli_fixtures", "support.cli_batch_fixtures"]

PACE = "[accounts.support.pace]\nper_minute = 300\n"


@pytest.fixture
def paced_config(write: Callable[[str], str], sqlite_url: str, provider: BlockListServer) -> str:
    """Return a configuration by which the rows take a few seconds."""
    return write(config_text(sqlite_url, provider, PACE))


def test_json_lines_show_the_progress(paced_config: str, batch_file: Callable[..., str]) -> None:
    result = run("batch", "block", batch_file(), "--json", "--config", paced_config)
    assert result.exit_code == 0
    found = documents(result.stdout)
    assert [found[0]["event"], found[-1]["event"]] == ["stored", "end"]
    assert {each["event"] for each in found[1:-1]} == {"progress"}
    ended = [each["batch"]["counts"]["done"] for each in found]
    assert ended == sorted(ended)
    assert all(sum(each["batch"]["counts"].values()) == 10 for each in found)


def test_lines_show_the_progress_where_there_is_no_terminal(
    paced_config: str,
    batch_file: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("adapter.cli_progress.LINE_EVERY", 0.0)
    result = run("batch", "block", batch_file(), "--config", paced_config)
    assert result.exit_code == 0
    assert re.search(r"^batch 1: \d+ of 10 rows; [\d.]+ rows/s, \d+ s left$", result.stderr, re.M)


@pytest.mark.slow
def test_a_bar_shows_the_progress_on_a_terminal(
    paced_config: str, batch_file: Callable[..., str]
) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [COMMAND, "batch", "block", batch_file(), "--config", paced_config],
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
    )
    os.close(theirs)
    out, _ = process.communicate(timeout=TIMEOUT)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert process.returncode == 0
    assert "10 done" in out
    assert re.search(r"batch 1 .*\[#+-*\] +\d+/10 +[\d.]+ rows/s", shown)
