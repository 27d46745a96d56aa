"""The version of the schema: compared, upgraded under a lock, with the tables as declared."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from support.ledgers import MakeLedger, begin, call, execute, output, python, rows

from adapter.ledger.database import Database, LedgerUnavailable
from adapter.ledger.ledger import Ledger
from adapter.ledger.upgrade import VERSION, SchemaError, SchemaState
from adapter.settings.model import LedgerSettings

UPGRADING = """
import sys
from support.ledgers import *

print("ready", flush=True)
sys.stdin.readline()
ledger = Ledger(LedgerSettings(sys.argv[1]))
print(ledger.upgrade())
"""


def test_several_upgrades_at_once_are_one(empty_url: str) -> None:
    children = [python(UPGRADING, empty_url) for _ in range(3)]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
    assert sorted(output(child) for child in children) == sorted(["None\n", *[f"{VERSION}\n"] * 2])
    assert [row["version_num"] for row in rows(empty_url, "version")] == [VERSION]
    assert len(rows(empty_url, "facts")) == 1


def test_the_newest_migration_has_the_version_that_the_package_needs() -> None:
    folder = Path(__file__).parents[2] / "adapter" / "ledger" / "migrations"
    assert ScriptDirectory(folder).get_heads() == [VERSION]


def test_the_migrations_make_the_tables_as_they_are_declared(url: str) -> None:
    database = Database(LedgerSettings(url))

    def differences(connection: Any) -> Any:
        context = MigrationContext.configure(
            connection,
            opts={
                "version_table": database.tables.version_name,
                "compare_type": True,
                "include_name": lambda name, kind, _: kind != "table" or name != "sqlite_sequence",
            },
        )
        return compare_metadata(context, database.tables.metadata)

    assert database.run(differences) == []
    database.close()


def test_a_database_that_cannot_be_written_fails_the_check(url: str) -> None:
    ledger = Ledger(LedgerSettings(url, wait=30))
    assert ledger.check() is SchemaState.CURRENT
    ledger.close()
    if url.startswith("sqlite"):
        refuse = "BEGIN SELECT RAISE(ABORT, 'read-only'); END"
        execute(url, f"CREATE TRIGGER refuse BEFORE UPDATE ON {{p}}facts {refuse}")
    else:
        name = urlsplit(url).path[1:]
        execute(url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with pytest.raises(LedgerUnavailable, match="the database failed"):
        ledger.check()
    ledger.close()


def test_an_empty_sqlite_file_is_made_by_the_first_call_and_postgresql_never_is(
    empty_url: str,
) -> None:
    ledger = Ledger(LedgerSettings(empty_url, wait=30))
    assert ledger.check() is SchemaState.EMPTY
    if empty_url.startswith("sqlite"):
        path = Path(empty_url.removeprefix("sqlite:///"))
        assert not path.exists(), "checking makes no file"
        call(ledger)
        assert ledger.check() is SchemaState.CURRENT
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    else:
        assert not begin(ledger).recorded
        with pytest.raises(SchemaError, match=r"is empty: run: contact-adapter db upgrade"):
            ledger.prepare()
        assert ledger.check() is SchemaState.EMPTY
    ledger.close()


@pytest.mark.parametrize(
    ("version", "state", "words"),
    [
        ("0000", SchemaState.BEHIND, "run: contact-adapter db upgrade"),
        ("9999", SchemaState.AHEAD, "install that version"),
    ],
)
def test_another_version_of_the_schema_is_not_used(
    make_ledger: MakeLedger, url: str, version: str, state: SchemaState, words: str
) -> None:
    execute(url, "UPDATE {p}version SET version_num = :version", version=version)
    ledger = make_ledger()
    assert ledger.check() is state
    with pytest.raises(SchemaError, match=words) as caught:
        ledger.prepare()
    assert caught.value.state is state
    assert not begin(ledger).recorded
    assert rows(url, "calls") == []
    if state is SchemaState.AHEAD:
        with pytest.raises(SchemaError):
            ledger.upgrade()
    execute(url, "UPDATE {p}version SET version_num = :version", version=VERSION)
    other = make_ledger()
    other.prepare()
    call(other)


def test_the_tables_of_a_host_are_not_touched(empty_url: str) -> None:
    for statement in (
        "CREATE TABLE calls (id INTEGER, note TEXT)",
        "CREATE TABLE alembic_version (version_num TEXT)",
        "INSERT INTO alembic_version VALUES ('host')",
    ):
        execute(empty_url, statement)
    ledger = Ledger(LedgerSettings(empty_url, wait=30, table_prefix="wa_"))
    ledger.upgrade()
    call(ledger)
    ledger.close()
    assert rows(empty_url, "calls", "") == []
    assert rows(empty_url, "alembic_version", "") == [{"version_num": "host"}]
    assert len(rows(empty_url, "calls", "wa_")) == 1
    assert len(rows(empty_url, "version", "wa_")) == 1


def test_the_first_version_is_upgraded_with_all_that_it_has(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("adapter.ledger.upgrade.VERSION", "0001")
        first = Ledger(LedgerSettings(empty_url))
        first.upgrade()
        first.close()
    moment = {"at": "2026-11-25T12:00:00.000+00:00"}
    columns = "(account, contact_id, wanted, intent, via, wanted_at, state, certainty)"
    values = "('support', 1, 'blocked', 7, 'api', :at, 'blocked', 'accepted')"
    given = "(number, created_at) VALUES ('5511999999999', :at)"
    execute(empty_url, f"INSERT INTO {{p}}contacts {given}", **moment)
    execute(empty_url, f"INSERT INTO {{p}}blocks {columns} VALUES {values}", **moment)
    ledger = Ledger(LedgerSettings(empty_url, wait=30))
    assert ledger.check() is SchemaState.BEHIND
    with pytest.raises(SchemaError, match="run: contact-adapter db upgrade"):
        ledger.prepare()
    assert ledger.upgrade() == "0001"
    assert ledger.check() is SchemaState.CURRENT
    (block,) = rows(empty_url, "blocks")
    assert (block["state"], block["intent"], block["wish"]) == ("blocked", 7, None)
    (contact,) = rows(empty_url, "contacts")
    assert (contact["number"], contact["given"]) == ("5511999999999", None)
    assert rows(empty_url, "items") == []
    call(ledger)
    ledger.close()
