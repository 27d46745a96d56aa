"""The commands of batches: run from a file, checked, interrupted, resumed, read and controlled."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import TIMEOUT, wait_until
from support.block_list_server import BROKEN, REJECTED, BlockListServer
from support.cli import COMMAND, run
from support.cli_batches import NUMBERS, config_text, documents, start
from support.ledgers import execute, rows

pytest_plugins = ["support.cli_fixtures", "support.cli_batch_fixtures"]


# --- exit status and summary


def test_a_file_is_blocked_and_unblocked(
    batch_config: str, batch_file: Callable[..., str], provider: BlockListServer
) -> None:
    result = run("batch", "block", batch_file(), "--config", batch_config)
    assert (result.exit_code, result.stdout) == (
        0,
        "batch 1 (block for support): done\n  10 rows: 10 done\n",
    )
    assert provider.states == dict.fromkeys(NUMBERS, True)
    again = run("batch", "block", batch_file(), "--verify", "--config", batch_config)
    assert (again.exit_code, again.stdout.splitlines()[1]) == (0, "  10 rows: 10 unchanged")
    assert run("batch", "unblock", batch_file(), "--config", batch_config).exit_code == 0
    assert provider.states == dict.fromkeys(NUMBERS, False)


def test_standard_input_is_read(batch_config: str, provider: BlockListServer) -> None:
    done = subprocess.run(
        [COMMAND, "batch", "block", "-", "--config", batch_config],
        input="\n".join(NUMBERS).encode(),
        capture_output=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(provider.states) == 10


@pytest.mark.usefixtures("no_delays")
@pytest.mark.parametrize(
    ("reply", "lines", "status"),
    [
        (None, (*NUMBERS, "12"), 3),
        (REJECTED, NUMBERS, 3),
        (BROKEN, NUMBERS, 4),
    ],
    ids=["rejected", "failed", "unknown"],
)
def test_the_exit_status_shows_rows_that_are_not_as_wanted(
    reply: Any,
    lines: tuple[str, ...],
    status: int,
    batch_config: str,
    batch_file: Callable[..., str],
    provider: BlockListServer,
) -> None:
    provider.reply = lambda action, number: reply if number == NUMBERS[0] else None
    result = run("batch", "block", batch_file(*lines), "--config", batch_config)
    assert result.exit_code == status, result.stderr


def test_rejected_rows_are_listed_without_numbers_and_nothing_is_written_to_disk(
    batch_config: str, batch_file: Callable[..., str], tmp_path: Path
) -> None:
    path = batch_file(*(f"00098{index:02}" for index in range(25)), NUMBERS[0])
    before = sorted(each.name for each in tmp_path.iterdir())
    result = run("batch", "block", path, "--config", batch_config)
    assert result.exit_code == 3
    listed = [line for line in result.stderr.splitlines() if line.startswith("  line ")]
    assert len(listed) == 20
    assert listed[0].startswith("  line 2: invalid_target: number: ")
    assert "  and 5 more\n" in result.stderr
    assert "00098" not in result.stdout + result.stderr
    assert "batch items 1 --config" in result.stderr
    after = {each.name for each in tmp_path.iterdir()} - {*before}
    assert {name for name in after if not name.startswith("ledger.db")} == set()


def test_the_rejected_file_is_private_and_can_be_fed_in_again(
    batch_config: str, batch_file: Callable[..., str], tmp_path: Path, provider: BlockListServer
) -> None:
    rejected = tmp_path / "rejected.csv"
    path = batch_file("12,spam", NUMBERS[0])
    first = run("batch", "block", path, "--rejected", str(rejected), "--config", batch_config)
    assert first.exit_code == 3
    assert stat.S_IMODE(rejected.stat().st_mode) == 0o600
    again = run("batch", "block", str(rejected), "--config", batch_config)
    assert (again.exit_code, again.stdout.splitlines()[1]) == (3, "  1 row: 1 rejected")
    rejected.write_text(rejected.read_text().replace("\n12,", f"\n{NUMBERS[1]},"))
    assert run("batch", "block", str(rejected), "--config", batch_config).exit_code == 0
    assert provider.states == dict.fromkeys(NUMBERS[:2], True)


def test_a_rejected_file_that_exists_becomes_private(
    batch_config: str, batch_file: Callable[..., str], tmp_path: Path
) -> None:
    rejected = tmp_path / "rejected.csv"
    rejected.write_text("of an earlier command\n" * 100)
    rejected.chmod(0o644)
    path = batch_file("12,spam", NUMBERS[0])
    found = run("batch", "block", path, "--rejected", str(rejected), "--config", batch_config)
    assert found.exit_code == 3
    assert stat.S_IMODE(rejected.stat().st_mode) == 0o600
    assert len(rejected.read_text().splitlines()) == 2


def test_a_rejected_file_that_cannot_be_written_ends_the_command_before_anything_is_sent(
    batch_config: str,
    batch_file: Callable[..., str],
    tmp_path: Path,
    provider: BlockListServer,
    sqlite_url: str,
) -> None:
    path = str(tmp_path / "missing" / "rejected.csv")
    result = run("batch", "block", batch_file(), "--rejected", path, "--config", batch_config)
    assert result.exit_code == 1
    assert "cannot write to --rejected" in result.stderr
    assert provider.requests == []
    assert rows(sqlite_url, "batches") == []


def test_the_file_of_the_rows_is_never_overwritten_by_rejected_ones(
    batch_config: str, batch_file: Callable[..., str], provider: BlockListServer
) -> None:
    path = batch_file("12", NUMBERS[0])
    before = Path(path).read_text()
    result = run("batch", "block", path, "--rejected", path, "--config", batch_config)
    assert result.exit_code == 1
    assert "--rejected: is the file of the rows; name another one" in result.stderr
    assert Path(path).read_text() == before
    assert provider.requests == []


# --- check


def test_check_sends_nothing_and_names_the_command_that_starts(
    write: Callable[[str], str],
    sqlite_url: str,
    provider: BlockListServer,
    batch_file: Callable[..., str],
) -> None:
    pace = "[accounts.support.pace]\nper_minute = 60000\n"
    config = write(config_text(sqlite_url, provider, pace))
    result = run("batch", "block", batch_file(), "--check", "--config", config)
    assert result.exit_code == 0
    assert "10 rows: 10 pending" in result.stdout
    assert "  time: about 0 s; 10 rows would be sent\n" in result.stdout
    assert provider.requests == []
    command = f"contact-adapter batch resume 1 --config {config}"
    assert result.stdout.endswith(f"nothing was sent; start it: {command}\n")
    started = run(*command.split()[1:])
    assert started.exit_code == 0
    assert len(provider.states) == 10


def test_a_checked_file_is_started_by_the_same_command_without_check(
    batch_config: str, batch_file: Callable[..., str], provider: BlockListServer, sqlite_url: str
) -> None:
    path = batch_file(*NUMBERS, "12")
    checked = run("batch", "block", path, "--check", "--config", batch_config)
    assert checked.exit_code == 3
    assert "  line 12: invalid_target" in checked.stderr
    again = run("batch", "block", path, "--verify", "--config", batch_config)
    assert again.exit_code == 1
    assert "batch_conflict: Batch 1 of the account support is ready. It has the " in again.stderr
    assert provider.requests == []
    assert run("batch", "block", path, "--config", batch_config).exit_code == 3
    assert len(provider.states) == 10
    assert len(rows(sqlite_url, "batches")) == 1


@pytest.fixture
def paused(batch_config: str, batch_file: Callable[..., str], sqlite_url: str) -> str:
    """Return a file whose batch was started, and paused after three of its rows."""
    path = batch_file()
    assert run("batch", "block", path, "--check", "--config", batch_config).exit_code == 0
    execute(sqlite_url, "UPDATE {p}batches SET status = 'paused', started_at = created_at")
    execute(sqlite_url, "UPDATE {p}items SET status = 'done' WHERE \"row\" <= 3")
    return path


def test_check_of_rows_whose_batch_was_started_prints_its_status(
    paused: str, batch_config: str, provider: BlockListServer
) -> None:
    found = run("batch", "block", paused, "--check", "--config", batch_config)
    assert found.exit_code == 5
    shown = run("batch", "show", "1", "--config", batch_config)
    assert found.stdout == shown.stdout
    assert "10 rows: 7 pending, 3 done" in found.stdout
    assert "would be sent" not in found.stdout
    assert "has the same rows, and is paused: 3 of 10 rows ended" in found.stderr
    assert f"go on with it: contact-adapter batch resume 1 --config {batch_config}" in found.stderr
    assert provider.requests == []


def test_check_with_json_of_rows_whose_batch_was_started_has_its_status(
    paused: str, batch_config: str
) -> None:
    found = run("batch", "block", paused, "--check", "--json", "--config", batch_config)
    assert found.exit_code == 5
    stored, checked = documents(found.stdout)
    assert (stored["existing"], checked["batch"]["status"]) == (True, "paused")


def test_check_with_json_has_the_rejected_rows(
    batch_config: str, batch_file: Callable[..., str]
) -> None:
    result = run(
        "batch", "block", batch_file(*NUMBERS, "12"), "--check", "--json", "--config", batch_config
    )
    stored, checked = documents(result.stdout)
    assert (stored["event"], stored["existing"]) == ("stored", False)
    assert (checked["event"], checked["batch"]["status"]) == ("checked", "ready")
    (rejected,) = checked["rejected"]
    assert (rejected["line"], rejected["code"]) == (12, "invalid_target")


# --- hostile files


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (b"", 1),
        (os.urandom(4096) + b"\0", 1),
        (b"number\n" + b"5511988880000\n" * (2 * 2**20), 1),
        (b"number\n5511988880000\n" + b"9" * (10 * 2**20), 3),
        (",".join(f"c{index}" for index in range(300)).encode(), 1),
        (b"number\n5511988880000\n5511\0988880001\n", 3),
        ("number,reason\n5511988880000,\u00e9\n".encode() + "5,\u00e9\n".encode("cp1252"), 3),
    ],
    ids=["empty", "binary", "30 MiB", "long line", "300 columns", "NUL", "mixed encodings"],
)
def test_a_hostile_file_leaves_nothing_half_begun(
    body: bytes,
    line: int,
    batch_config: str,
    sqlite_url: str,
    tmp_path: Path,
    provider: BlockListServer,
) -> None:
    path = tmp_path / "hostile.csv"
    path.write_bytes(body)
    result = run("batch", "block", str(path), "--config", batch_config)
    assert result.exit_code == 1
    assert re.search(r"line \d+: ", result.stderr)
    assert f"line {line}: " in result.stderr or line == 1
    assert "nothing was stored, and nothing sent" in result.stderr
    tables = ("batches", "items", "contacts", "calls")
    assert [rows(sqlite_url, table) for table in tables] == [[]] * 4
    assert provider.requests == []


def test_formula_cells_are_rejected_rows(batch_config: str, batch_file: Callable[..., str]) -> None:
    result = run(
        "batch", "block", batch_file('"=1+5511988880000"', "5.51E+12"), "--config", batch_config
    )
    assert result.exit_code == 3
    assert "line 2: invalid_target: number: is a formula" in result.stderr
    assert "2 rows: 2 rejected" in result.stdout


def test_a_missing_file_is_a_usage_error(batch_config: str) -> None:
    assert run("batch", "block", "no-such-file.csv", "--config", batch_config).exit_code == 2
    assert run("batch", "show", "x", "--config", batch_config).exit_code == 2
    assert run("batch", "no-such-command").exit_code == 2


# --- read and control


def test_a_batch_that_another_person_pauses_ends_with_5(
    paced_config: str, provider: BlockListServer, batch_file: Callable[..., str]
) -> None:
    with start(paced_config, batch_file()) as process:
        wait_until(lambda: provider.requests, "the first change")
        assert run("batch", "pause", "1", "--config", paced_config).exit_code == 0
        _, err = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 5
    assert "go on with it: contact-adapter batch resume 1" in err
    assert run("batch", "cancel", "1", "--config", paced_config).exit_code == 0
    ended = run("batch", "resume", "1", "--config", paced_config)
    assert ended.exit_code == 1
    assert "batch_conflict: Batch 1 of the account support is cancelled." in ended.stderr
    assert f"its rows: contact-adapter batch items 1 --config {paced_config}" in ended.stderr


def test_batches_are_listed_shown_and_read(
    batch_config: str, batch_file: Callable[..., str]
) -> None:
    run("batch", "block", batch_file(*NUMBERS, "12"), "--config", batch_config)
    listed = run("batch", "list", "--config", batch_config)
    assert listed.stdout.split("\t")[2:] == [
        "support",
        "block",
        "done",
        "11 rows: 10 done, 1 rejected\n",
    ]
    shown = run("batch", "show", "1", "--config", batch_config)
    assert shown.stdout == "batch 1 (block for support): done\n  11 rows: 10 done, 1 rejected\n"
    document = json.loads(run("batch", "show", "1", "--json", "--config", batch_config).stdout)
    assert sum(document["data"]["batch"]["counts"].values()) == 11
    items = run("batch", "items", "1", "--config", batch_config)
    assert len(items.stdout.splitlines()) == 11
    assert NUMBERS[0] not in items.stdout
    csv = run("batch", "items", "1", "--status", "done,rejected", "--csv", "--config", batch_config)
    assert len(csv.stdout.splitlines()) == 12
    assert NUMBERS[0] in csv.stdout
    wrong = run("batch", "items", "1", "--status", "gone", "--config", batch_config)
    assert (wrong.exit_code, "status: must be one of" in wrong.stderr) == (1, True)


@pytest.mark.usefixtures("no_delays")
def test_rows_that_are_not_as_wanted_are_counted_by_code_with_what_settles_them(
    batch_config: str, batch_file: Callable[..., str], provider: BlockListServer
) -> None:
    replies = {NUMBERS[0]: REJECTED, NUMBERS[1]: REJECTED, NUMBERS[2]: BROKEN}
    provider.reply = lambda action, number: replies.get(number)
    result = run("batch", "block", batch_file(), "--config", batch_config)
    assert result.exit_code == 4
    summary = (
        "batch 1 (block for support): done\n  10 rows: 7 done, 2 failed, 1 unknown\n"
        "  failed: 2 target_rejected\n  unknown: 1 provider_error\n"
    )
    assert result.stdout == summary
    assert run("batch", "show", "1", "--config", batch_config).stdout == summary
    assert "unknown rows may have taken effect; to settle them, send them again" in result.stderr
    retry = f"contact-adapter batch retry 1 --config {batch_config}"
    assert f"try again: {retry}" in result.stderr
    assert f"try again: {retry}" in run("batch", "resume", "1", "--config", batch_config).stderr
    provider.reply = lambda action, number: None
    assert run(*retry.split()[1:]).exit_code == 0
    assert provider.states == dict.fromkeys(NUMBERS, True)


def test_a_check_without_a_valid_row_does_not_say_start(
    batch_config: str, batch_file: Callable[..., str]
) -> None:
    result = run("batch", "block", batch_file("12"), "--check", "--config", batch_config)
    assert result.exit_code == 3
    assert "start it" not in result.stdout
    assert "nothing was sent, and no row could be\n" in result.stdout
    assert "their rows as CSV: contact-adapter batch items 1" in result.stderr


def test_show_names_each_account_that_waits_with_the_time_of_the_next_try(
    paused: str, batch_config: str, sqlite_url: str
) -> None:
    execute(sqlite_url, "UPDATE {p}batches SET status = 'running'")
    execute(
        sqlite_url,
        "INSERT INTO {p}lanes (account, pauses, pause_code, paused_until) "
        "VALUES ('support', 1, 'session_not_connected', '2999-01-02T03:04:05.000+00:00')",
    )
    shown = run("batch", "show", "1", "--config", batch_config).stdout
    waits = "the account support waits: session_not_connected; next try: 2999-01-02 03:04:05 UTC"
    assert waits in shown
    document = json.loads(run("batch", "show", "1", "--json", "--config", batch_config).stdout)
    (wait,) = document["data"]["batch"]["waits"]
    assert (wait["account"], wait["code"]) == ("support", "session_not_connected")


@pytest.mark.parametrize("name", ["show", "items", "pause", "resume", "cancel", "retry"])
def test_an_unknown_batch_ends_the_command(name: str, batch_config: str) -> None:
    result = run("batch", name, "99", "--config", batch_config)
    assert result.exit_code == 1
    assert "batch_not_found" in result.stderr
    if name != "items":
        envelope = json.loads(run("batch", name, "99", "--json", "--config", batch_config).stdout)
        assert envelope["error"]["code"] == "batch_not_found"


def test_a_status_that_does_not_allow_it_is_a_conflict(
    batch_config: str, batch_file: Callable[..., str]
) -> None:
    run("batch", "block", batch_file(), "--config", batch_config)
    for name in ("pause", "cancel"):
        result = run("batch", name, "1", "--config", batch_config)
        assert (result.exit_code, "batch_conflict" in result.stderr) == (1, True)


def test_without_a_ledger_the_remedy_is_shown(
    write: Callable[[str], str], batch_file: Callable[..., str]
) -> None:
    config = write('[accounts.support]\nprovider = "memory"\n')
    for command in (("batch", "block", batch_file()), ("batch", "list"), ("worker",)):
        result = run(*command, "--config", config)
        assert result.exit_code == 1
        assert "no ledger is configured" in result.stderr
