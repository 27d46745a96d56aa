"""The commands of the ledger: history, contact export and erase, db upgrade, current and check."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import NUMBER
from support.cli import COMMAND, MASKED, MEMORY, run
from support.ledgers import LOST, PREFIX, begin, block, call, execute, rows, unblock

from adapter import ledger as package
from adapter.contacts import Contact
from adapter.ledger.ledger import Ledger
from adapter.settings.locations import sandbox_ledger_path
from adapter.settings.model import LedgerSettings

pytest_plugins = ["support.cli_fixtures"]

PERSON = Contact(NUMBER, "205227043110953@lid")
OTHER = Contact("5511988888888")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.db'}"


@pytest.fixture
def config(write: Callable[[str], str], url: str) -> str:
    """The path of a configuration with a ledger, whose file is missing."""
    return write(f'{MEMORY}[ledger]\nurl = "{url}"\n')


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    made = Ledger(LedgerSettings(url, wait=30.0))
    made.prepare()
    yield made
    made.close()


def set_version(url: str, version: str) -> None:
    execute(url, "UPDATE {p}version SET version_num = :version", version=version)


# --- without a ledger


COMMANDS = [
    ("history",),
    ("contact", "export", NUMBER),
    ("contact", "erase", NUMBER, "--yes"),
    ("db", "upgrade"),
    ("db", "current"),
    ("db", "check"),
]
each_command = pytest.mark.parametrize("command", COMMANDS, ids=" ".join)


@each_command
def test_without_a_ledger_a_command_shows_how_to_configure_one(
    command: tuple[str, ...], write: Callable[[str], str]
) -> None:
    result = run(*command, "--config", write(MEMORY))
    assert result.exit_code == 1
    assert "no ledger is configured" in result.stderr
    assert 'add [ledger] with url = "sqlite:///ledger.db"' in result.stderr
    assert "pip install 'contact-adapter[ledger]'" in result.stderr


@each_command
def test_without_the_extra_a_command_names_the_pip_command(
    command: tuple[str, ...], config: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str) -> None:
        raise ModuleNotFoundError(name, name="sqlalchemy")

    monkeypatch.setattr(package, "import_module", fail)
    result = run(*command, "--config", config)
    assert result.exit_code == 1
    assert "needs sqlalchemy; run: pip install 'contact-adapter[ledger]'" in result.stderr


@each_command
def test_in_the_sandbox_a_command_needs_the_running_server(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    result = run(*command, "--own-address", "http://127.0.0.1:8123")
    assert result.exit_code == 1
    assert "there is none at http://127.0.0.1:8123: start `contact-adapter serve`" in result.stderr


def test_in_the_sandbox_the_ledger_of_the_running_server_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    file = sandbox_ledger_path(8123)
    made = Ledger(LedgerSettings(f"sqlite:///{file}", wait=30.0))
    call(made, account="memory")
    made.close()
    result = run("history", "--own-address", "http://127.0.0.1:8123")
    assert result.exit_code == 0
    assert f"\tmemory\tblock\t{MASKED}\tok\t" in result.stdout


# --- calls


def test_a_call_from_the_command_line_is_recorded_with_its_reason(config: str, url: str) -> None:
    changed = run("block", NUMBER, "--reason", "spam", "--ref", "ticket 7", "--config", config)
    assert changed.exit_code == 0
    assert run("status", "--config", config).exit_code == 0
    first, second = rows(url, "calls")
    assert (first["via"], first["reason"], first["ref"]) == ("cli", "spam", "ticket 7")
    assert (first["code"], first["outcome"]) == ("ok", "applied")
    assert (second["via"], second["action"], second["code"]) == ("cli", "status", "ok")


@pytest.mark.parametrize("option", ["--reason", "--ref"])
def test_a_reason_needs_a_ledger(option: str, write: Callable[[str], str]) -> None:
    result = run("block", NUMBER, option, "spam", "--config", write(MEMORY))
    assert result.exit_code == 1
    assert 'add [ledger] with url = "sqlite:///ledger.db"' in result.stderr


def test_an_invalid_reason_is_explained(config: str) -> None:
    result = run("block", NUMBER, "--reason", "Too Long!", "--config", config)
    assert result.exit_code == 1
    assert "\n  reason: must be " in result.stderr


def test_blocked_reads_every_page_of_the_ledger(config: str, ledger: Ledger) -> None:
    for last in range(150):
        call(ledger, block(Contact(f"5511999990{last:03}")), reason="spam" if last else None)
    result = run("blocked", "--source", "ledger", "--config", config)
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    assert [line[0] for line in lines] == [
        f"5511999990{last:03}@s.whatsapp.net" for last in range(150)
    ]
    assert lines[1][1] == "accepted"
    assert [line[3:] for line in lines[:2]] == [["", ""], ["spam", ""]]
    document = json.loads(run("blocked", "--source", "ledger", "--json", "--config", config).stdout)
    assert (document["data"]["source"], document["data"]["count"]) == ("ledger", 150)
    assert document["data"]["cursor"] is None
    provider = run("blocked", "--source", "provider", "--config", config)
    assert (provider.exit_code, provider.output) == (0, "")


def test_blocked_from_the_ledger_needs_one(write: Callable[[str], str]) -> None:
    config = write(MEMORY)
    assert run("blocked", "--source", "provider", "--config", config).exit_code == 0
    result = run("blocked", "--source", "ledger", "--config", config)
    assert result.exit_code == 1
    assert "no ledger is configured" in result.stderr


@pytest.mark.usefixtures("ledger")
def test_a_call_with_an_old_schema_names_the_command_and_sends_nothing(
    config: str, url: str
) -> None:
    set_version(url, "0000")
    result = run("block", NUMBER, "--config", config)
    assert result.exit_code == 1
    assert f"run: contact-adapter db upgrade --config {config}\n" in result.stderr
    assert rows(url, "calls") == []


def test_a_call_goes_on_while_the_database_is_gone(write: Callable[[str], str]) -> None:
    config = write(f'{MEMORY}[ledger]\nurl = "postgresql://user@127.0.0.1:1/ledger"\n')
    result = run("block", NUMBER, "--json", "--config", config)
    assert result.exit_code == 0
    assert json.loads(result.stdout)["meta"]["recorded"] is False
    listed = run("blocked", "--source", "ledger", "--config", config)
    assert listed.exit_code == 1
    assert f"  run: contact-adapter db check --config {config}\n" in listed.stderr


# --- db


def test_upgrade_creates_the_tables_once(config: str, url: str) -> None:
    first, second = (run("db", "upgrade", "--config", config) for _ in range(2))
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert first.stdout == "created the tables of the ledger: version 0002\n"
    assert second.stdout == "the ledger is current already: version 0002\n"
    assert rows(url, "calls") == []


def test_an_empty_file_is_fine_and_not_created_by_a_check(config: str, tmp_path: Path) -> None:
    checked = run("db", "check", "--config", config)
    assert (checked.exit_code, checked.stdout) == (
        0,
        "the ledger's file is empty; the first start or call creates the tables\n",
    )
    current = run("db", "current", "--config", config)
    assert current.stdout.splitlines()[0] == "version of the database: none, there are no tables"
    assert not (tmp_path / "ledger.db").exists()


@pytest.mark.usefixtures("ledger")
def test_a_current_schema_is_checked_with_exit_status_0(config: str) -> None:
    checked = run("db", "check", "--config", config)
    assert (checked.exit_code, checked.stdout) == (0, "the ledger is current\n")
    current = run("db", "current", "--config", config)
    assert current.stdout == "version of the database: 0002\nversion of this package: 0002\n"


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize("command", [("db", "check"), *COMMANDS[:3]], ids=" ".join)
def test_an_old_schema_has_exit_status_1_and_the_command_to_run(
    command: tuple[str, ...], config: str, url: str
) -> None:
    set_version(url, "0000")
    result = run(*command, "--config", config)
    assert result.exit_code == 1
    assert f"is behind: run: contact-adapter db upgrade --config {config}\n" in result.stderr


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize("command", [("db", "check"), ("db", "upgrade")], ids=" ".join)
def test_a_newer_schema_has_exit_status_1_and_the_remedy(
    command: tuple[str, ...], config: str, url: str
) -> None:
    set_version(url, "9999")
    result = run(*command, "--config", config)
    assert result.exit_code == 1
    assert "a newer version of contact-adapter has upgraded it; install that version" in (
        result.stderr
    )


def test_a_database_that_cannot_be_reached_is_explained_without_its_url(
    write: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEDGER_URL", "postgresql://user:the-password@127.0.0.1:1/ledger")
    config = write(f'{MEMORY}[ledger]\nurl = {{ env = "LEDGER_URL" }}\n')
    for command in COMMANDS:
        result = run(*command, "--config", config)
        assert result.exit_code == 1
        assert "check [ledger] url, and that the database can be reached" in result.stderr
        assert "the-password" not in result.output


# --- contact


def test_export_has_all_that_is_kept_about_one_person(config: str, ledger: Ledger) -> None:
    call(ledger, block(PERSON), reason="spam", ref="ticket 7")
    call(ledger, unblock(PERSON), account="sales")
    call(ledger, block(OTHER))
    for names in ((f"+{NUMBER}",), ("--jid", "205227043110953@lid"), (f"{NUMBER}@c.us",)):
        result = run("contact", "export", *names, "--config", config)
        assert result.exit_code == 0
        document = json.loads(result.stdout)
        (found,) = document["contacts"]
        assert (found["number"], found["lid"]) == (NUMBER, "205227043110953@lid")
        assert [each["account"] for each in document["blocks"]] == ["sales", "support"]
        assert {(each["account"], each["reason"]) for each in document["calls"]} == {
            ("support", "spam"),
            ("sales", None),
        }
        assert str(OTHER.number) not in result.stdout


def test_erase_removes_the_person_and_prints_what_stays(
    config: str, ledger: Ledger, url: str
) -> None:
    call(ledger, block(PERSON))
    call(ledger, block(OTHER))
    result = run("contact", "erase", NUMBER, "--yes", "--config", config)
    assert result.exit_code == 0
    assert result.stdout == (
        f"erased the identifiers of {MASKED}: 1 contact; "
        "1 call and 1 block stay, without the person\n"
    )
    kept = [(row["number"], row["lid"]) for row in rows(url, "contacts")]
    assert kept == [(None, None), (OTHER.number, None)]
    again = run("contact", "erase", NUMBER, "--config", config)
    assert again.exit_code == 0
    assert again.stdout == f"the ledger has nothing about {MASKED}; nothing was erased\n"


def test_erase_needs_yes_where_there_is_no_terminal(config: str, ledger: Ledger, url: str) -> None:
    call(ledger, block(PERSON))
    result = run("contact", "erase", NUMBER, "--config", config)
    assert result.exit_code == 1
    assert "nothing was erased: confirm with --yes" in result.stderr
    assert [row["number"] for row in rows(url, "contacts")] == [NUMBER]


@pytest.mark.slow
@pytest.mark.parametrize(("typed", "left"), [(b"y\n", None), (b"n\n", NUMBER)])
def test_erase_asks_on_a_terminal(
    typed: bytes, left: str | None, config: str, ledger: Ledger, url: str
) -> None:
    call(ledger, block(PERSON))
    ours, theirs = pty.openpty()
    os.write(ours, typed)
    done = subprocess.run(
        [COMMAND, "contact", "erase", NUMBER, "--config", config],
        stdin=theirs,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(ours)
    os.close(theirs)
    assert f"Erase {MASKED} from 1 call and 1 block" in done.stdout
    assert [row["number"] for row in rows(url, "contacts")] == [left]
    assert done.returncode == (1 if left else 0)


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize("action", ["export", "erase"])
def test_a_person_is_named_once(config: str, action: str) -> None:
    nobody = run("contact", action, "--config", config)
    assert nobody.exit_code == 2
    assert "give a number, --jid or --user-id" in nobody.stderr
    twice = run("contact", action, f"{NUMBER}@c.us", "--jid", "1@lid", "--config", config)
    assert twice.exit_code == 2
    invalid = run("contact", action, "12", "--config", config)
    assert invalid.exit_code == 1
    assert "\n  number: " in invalid.stderr


# --- history


def test_history_prints_the_newest_calls_first_with_masked_contacts(
    config: str, ledger: Ledger
) -> None:
    call(ledger, reason="spam", ref="ticket 7")
    call(ledger, unblock(), LOST, via="dialect", key_name=None)
    begin(ledger, account="sales")
    result = run("history", "--config", config)
    assert result.exit_code == 0
    assert [line.split("\t")[1:] for line in result.stdout.splitlines()] == [
        ["sales", "block", MASKED, "open", "", "api", "crm", ""],
        ["support", "unblock", MASKED, "provider_connection_lost", "unknown", "dialect", "", ""],
        ["support", "block", MASKED, "ok", "applied", "api", "crm", "spam ticket 7"],
    ]
    assert NUMBER not in result.output


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (("--account", "sales"), [2]),
        (("--number", NUMBER), [2, 1]),
        (("--number", "+55 11 98888-8888"), [3]),
        (("--code", "ok"), [3, 1]),
        (("--code", "provider_connection_lost"), [2]),
        (("--via", "dialect"), [3]),
        (("--key", "shop"), [2]),
        (("--since", "1h"), [3, 2, 1]),
        (("--since", "2999-01-01"), []),
        (("--since", "7d", "--until", "1h"), []),
        (("--until", "2999-01-01T12:30+02:00"), [3, 2, 1]),
    ],
    ids=lambda each: " ".join(map(str, each)),
)
def test_history_has_filters(
    filters: tuple[str, ...], found: list[int], config: str, ledger: Ledger
) -> None:
    call(ledger)
    call(ledger, block(), LOST, account="sales", key_name="shop")
    call(ledger, block(OTHER), via="dialect")
    result = run("history", "--json", "--config", config, *filters)
    assert result.exit_code == 0
    data = json.loads(result.stdout)["data"]
    assert [each["id"] for each in data["calls"]] == found
    assert (data["count"], data["cursor"]) == (len(found), None)


def test_history_with_json_has_the_facts_of_a_call(config: str, ledger: Ledger) -> None:
    call(ledger, reason="spam")
    result = run("history", "--json", "--config", config)
    (found,) = json.loads(result.stdout)["data"]["calls"]
    assert found["contact"]["number"] == NUMBER
    assert found["key"] == "crm"
    assert found["upstream"] == {"status": 200, "code": None}
    assert found["opened_at"].endswith("+00:00")
    assert (found["reason"], found["outcome"]) == ("spam", "applied")


def test_history_continues_with_the_cursor(config: str, ledger: Ledger) -> None:
    made = [call(ledger) for _ in range(3)]
    first = run("history", "--limit", "2", "--config", config)
    assert len(first.stdout.splitlines()) == 2
    _, _, cursor = first.stderr.strip().partition("more calls follow: --cursor ")
    rest = run("history", "--cursor", cursor, "--json", "--config", config)
    assert [each["id"] for each in json.loads(rest.stdout)["data"]["calls"]] == made[:1]


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--since", "yesterday"),
        ("--until", "7x"),
        ("--code", "no_such_code"),
        ("--via", "mail"),
        ("--limit", "0"),
        ("--cursor", "12"),
    ],
)
def test_an_invalid_filter_is_a_usage_error(config: str, option: str, value: str) -> None:
    result = run("history", option, value, "--config", config)
    assert result.exit_code == 2
    assert option in result.stderr


def test_no_prefix_is_assumed(write: Callable[[str], str], url: str) -> None:
    config = write(f'{MEMORY}[ledger]\nurl = "{url}"\ntable_prefix = "host_"\n')
    assert run("db", "upgrade", "--config", config).exit_code == 0
    assert rows(url, "calls", "host_") == []
    assert PREFIX != "host_"
