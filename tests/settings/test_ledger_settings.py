"""`[ledger]`: its keys, the URL of its database, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.settings import CANARY, one, problems

from adapter.secret import Secret
from adapter.settings.loader import load_settings
from adapter.settings.model import LedgerSettings
from adapter.settings.toml_file import read_toml

PASSWORD_URL = f"postgresql+psycopg://user:{CANARY}@db.example/ledger"


def ledger(**keys: Any) -> LedgerSettings | None:
    return load_settings(one(ledger=keys)).ledger


def test_without_the_table_there_is_no_ledger() -> None:
    assert load_settings(one()).ledger is None


def test_every_key_but_the_url_has_a_default() -> None:
    found = ledger(url="sqlite:////var/lib/ledger.db")
    assert found == LedgerSettings("sqlite:////var/lib/ledger.db")
    assert found is not None
    assert (found.required, found.wait, found.keep_calls) == (False, 0.25, 180 * 86400)
    assert found.table_prefix == "contact_adapter_"


def test_every_key_may_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGER_URL", PASSWORD_URL)
    found = ledger(
        url={"env": "LEDGER_URL"}, required=True, wait=1, keep_calls="36h", table_prefix="wa_"
    )
    assert found == LedgerSettings(Secret(PASSWORD_URL), True, 1.0, 36 * 3600, "wa_")
    assert CANARY not in repr(found)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///ledger.db",
        "postgresql+psycopg://user@db.example/ledger",
        "postgresql://db.example:5432/ledger?sslmode=require",
        "postgresql://user@[::1]:5432/ledger",
        "postgresql+psycopg://user@/ledger?host=/run/postgresql",
        Secret(PASSWORD_URL),
    ],
)
def test_an_sqlite_file_or_a_postgresql_database_is_accepted(url: str | Secret) -> None:
    found = ledger(url=url)
    assert found is not None
    assert found.url == url


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sqlite:///", "name a file"),
        ("sqlite://", "must be sqlite:///"),
        ("sqlite:///:memory:", "name a file"),
        ("sqlite:///file:x?mode=memory", "name a file"),
        ("sqlite:///a.db?mode=ro", "without options"),
        ("mysql://user@host/database", "must be sqlite:///"),
        ("postgresql+asyncpg://user@host/database", "must be sqlite:///"),
        ("postgresql://host", "must be sqlite:///"),
        (f"postgresql://user:{CANARY}/db", "must be sqlite:///"),
        (f"postgresql://user@host:{CANARY}/db", "must be sqlite:///"),
        ("", "must be sqlite:///"),
        (PASSWORD_URL, "a password is a secret"),
        (f"postgresql://db.example/ledger?password={CANARY}", "a password is a secret"),
        ({"env": "NO_SUCH_VARIABLE"}, "no variable"),
        (5, "never the secret"),
    ],
)
def test_another_url_is_refused_and_never_repeated(url: Any, words: str) -> None:
    found = problems(one(ledger={"url": url}))
    assert found.keys() == {"ledger.url"}
    assert words in found["ledger.url"]
    assert CANARY not in found["ledger.url"]


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("required", "yes", "true or false"),
        ("wait", 0, "above 0"),
        ("wait", 11, "up to 10"),
        ("wait", "1", "a number"),
        ("keep_calls", 180, "days or hours"),
        ("keep_calls", "180", "days or hours"),
        ("keep_calls", "0d", "days or hours"),
        ("keep_calls", "99999d", "days or hours"),
        ("keep_calls", "1d\n", "days or hours"),
        ("table_prefix", "", "1 to 32"),
        ("table_prefix", "Wa_", "1 to 32"),
        ("table_prefix", "1wa", "1 to 32"),
        ("table_prefix", 'wa"; --', "1 to 32"),
        ("table_prefix", "w" * 33, "1 to 32"),
        ("tables", "wa_", "known here are"),
    ],
)
def test_another_value_is_refused(key: str, value: Any, words: str) -> None:
    found = problems(one(ledger={"url": "sqlite:///ledger.db", key: value}))
    assert found.keys() == {f"ledger.{key}"}
    assert words in found[f"ledger.{key}"]


def test_the_url_is_required_and_the_ledger_is_a_table() -> None:
    assert problems(one(ledger={}))["ledger.url"] == "is required"
    assert problems(one(ledger=[])) == {"ledger": "must be a table"}


@pytest.mark.parametrize(
    ("written", "path"),
    [("sqlite:///ledger.db", "{folder}/ledger.db"), ("sqlite:////var/ledger.db", "/var/ledger.db")],
)
def test_a_relative_file_is_in_the_folder_of_the_configuration(
    tmp_path: Path, written: str, path: str
) -> None:
    file = tmp_path / "adapter.toml"
    file.write_text(f'[accounts.a]\nprovider = "memory"\n[ledger]\nurl = "{written}"\n')
    found = load_settings(read_toml(file)).ledger
    assert found is not None
    assert found.url == "sqlite:///" + path.format(folder=tmp_path)
