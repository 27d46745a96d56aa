"""The commands plan and apply: what they print, and their exit statuses."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from support.cli import run
from support.ledgers import block, call, rows, unblock

from adapter.contacts import Contact
from adapter.ledger.ledger import Ledger
from adapter.settings.model import LedgerSettings

pytest_plugins = ["support.cli_fixtures"]

ONE, TWO, THREE = (Contact(f"551198888000{index}") for index in range(3))
ACCOUNTS = '[accounts.a]\nprovider = "memory"\n[accounts.b]\nprovider = "memory"\n'
PHONES = ACCOUNTS.replace('"memory"\n', '"memory"\nphone = "+5511977776666"\n')


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Return the ledger's database: for A, two contacts are to be blocked."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    ledger = Ledger(LedgerSettings(url, wait=30.0))
    ledger.prepare()
    for contact in (ONE, TWO, THREE):
        call(ledger, block(contact), account="a")
    call(ledger, unblock(THREE), account="a")
    ledger.close()
    return url


@pytest.fixture
def config(write: Callable[[str], str], url: str) -> str:
    return write(f'{ACCOUNTS}[ledger]\nurl = "{url}"\n')


def plan(config: str, *more: str) -> tuple[int, str]:
    found = run("plan", "--to", "b", "--config", config, *more)
    return found.exit_code, found.stdout + found.stderr


def test_a_plan_is_printed_masked_with_the_command_that_applies_it(config: str) -> None:
    status, text = plan(config, "--from-ledger", "a")
    assert status == 0
    assert "plan 1: from a (the ledger: 2) to b (its list: 0)" in text
    assert "2 contacts: 2 block" in text
    assert f"  + {ONE.masked}" in text
    assert "551198888" not in text
    assert f"nothing was sent; apply it: contact-adapter apply 1 --config {config}" in text


def test_apply_runs_the_plan_and_exits_as_a_batch(config: str, url: str) -> None:
    plan(config, "--from-ledger", "a")
    found = run("apply", "1", "--config", config)
    assert (found.exit_code, "2 rows: 2 done" in found.stdout) == (0, True)
    blocked = [each for each in rows(url, "blocks") if each["account"] == "b"]
    assert [each["state"] for each in blocked] == ["blocked"] * 2
    again = run("apply", "1", "--config", config)
    assert again.exit_code == 1
    assert "batch_conflict" in again.stderr


def test_resume_of_a_plan_names_the_command_that_applies_it(config: str) -> None:
    plan(config, "--from-ledger", "a")
    found = run("batch", "resume", "1", "--config", config)
    assert found.exit_code == 5
    assert "it is a plan that was not applied; nothing was sent" in found.stderr
    assert f"go on with it: contact-adapter apply 1 --config {config}\n" in found.stderr
    assert "batch resume" not in found.stderr


def test_with_exit_code_changes_are_6_and_none_are_0(config: str) -> None:
    assert plan(config, "--from-ledger", "a", "--exit-code")[0] == 6
    status, text = plan(config, "--from", "a", "--allow-empty", "--exit-code")
    assert status == 0
    assert "nothing is to be done" in text


def test_a_refused_plan_names_the_flag_that_lifts_it(config: str) -> None:
    status, text = plan(config, "--from", "a")
    assert status == 1
    assert "plan_refused" in text
    assert "The list of a is empty, while the ledger has 2 blocked contacts" in text
    assert "--allow-empty" in text


def test_a_plan_from_a_file_and_one_that_cannot_be_read(config: str, tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text(f"number\n+{ONE.number}\n12\n+{ONE.number}\n")
    status, text = plan(config, "--file", str(path))
    assert status == 0
    assert "1 contact: 1 block" in text
    items = f"batch items 1 --config {config} --status rejected,duplicate"
    assert f"rows of the file: 1 rejected, 1 duplicate; see them: contact-adapter {items}" in text
    assert len(run(*items.split()).stdout.splitlines()) == 2
    applied = run("apply", "1", "--config", config)
    assert applied.exit_code == 3
    assert "line 3: invalid_target: " in applied.stderr
    assert "their rows as CSV: contact-adapter batch items 1" in applied.stderr
    path.write_bytes(b"\x00\x01\x02")
    status, text = plan(config, "--file", str(path))
    assert (status, "nothing was stored" in text) == (1, True)


def test_the_rejected_rows_of_a_plan_are_written_to_a_file(config: str, tmp_path: Path) -> None:
    path, rejected = tmp_path / "list.csv", tmp_path / "rejected.csv"
    path.write_text(f"number\n+{ONE.number}\n12\n")
    assert plan(config, "--file", str(path), "--rejected", str(rejected))[0] == 0
    header, line = rejected.read_text().splitlines()
    assert header.startswith("number,")
    assert line.startswith("12,")
    assert stat.S_IMODE(rejected.stat().st_mode) == 0o600
    status, text = plan(config, "--from-ledger", "a", "--rejected", str(rejected))
    assert (status, "--rejected is about the rows of --file" in text) == (2, True)


def test_an_id_that_is_no_number_is_a_usage_error(config: str) -> None:
    for command in (("apply",), ("batch", "show")):
        for given in ("abc", "0", "1" * 19):
            found = run(*command, given, "--config", config)
            assert found.exit_code == 2
            assert "must be a number from 1, as `contact-adapter batch list` shows" in found.stderr


def test_an_applied_plan_names_its_status_and_what_goes_on(config: str) -> None:
    plan(config, "--from-ledger", "a")
    run("apply", "1", "--config", config)
    again = run("apply", "1", "--config", config).stderr
    assert "batch_conflict: Plan 1 of the account b is done. Possible now: retry." in again
    assert f"its rows: contact-adapter batch items 1 --config {config}" in again
    unknown = run("apply", "9", "--config", config).stderr
    assert "batch_not_found: There is no batch or plan 9 of the accounts" in unknown
    assert f"the batches: contact-adapter batch list --config {config}" in unknown


def test_a_plan_needs_one_source(config: str) -> None:
    assert plan(config)[0] == 2
    assert plan(config, "--from", "a", "--from-ledger", "a")[0] == 2


def test_json_is_the_envelope_of_the_api(config: str) -> None:
    status, text = plan(config, "--from-ledger", "a", "--json")
    document = json.loads(text)
    assert (status, document["data"]["plan"]["ops"]["block"]) == (0, 2)


def test_the_rows_of_one_list_of_two_accounts_have_a_symbol_each(
    write: Callable[[str], str], url: str
) -> None:
    config = write(f'{PHONES}[ledger]\nurl = "{url}"\n')
    status, text = plan(config, "--from-ledger", "a", "--rows", "--exit-code")
    assert status == 6
    assert f"  + {ONE.masked}" in text
    assert f"  + {TWO.masked}" in text
    assert "both accounts have one WhatsApp number" in text


def test_without_a_ledger_plans_are_refused(write: Callable[[str], str]) -> None:
    config = write(ACCOUNTS)
    found = run("plan", "--to", "b", "--from", "a", "--config", config)
    assert found.exit_code == 1
    assert "no ledger is configured" in found.stderr
