"""Loading the ledger: what is missing is named, and without `[ledger]` nothing is imported."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

import pytest

from adapter import ledger as package
from adapter.errors import ConfigurationError
from adapter.ledger import load_ledger
from adapter.ledger.ledger import Ledger
from adapter.secret import Secret
from adapter.settings.model import LedgerSettings

SQLITE = "sqlite:////tmp/never-opened.db"
POSTGRESQL = "postgresql+psycopg://user:password@localhost/ledger"


@pytest.mark.parametrize("url", [SQLITE, Secret(POSTGRESQL), "postgresql://localhost/ledger"])
def test_a_ledger_is_loaded_without_a_connection(url: str | Secret) -> None:
    loaded = load_ledger(LedgerSettings(url))
    assert isinstance(loaded, Ledger)
    loaded.close()


@pytest.mark.parametrize(
    ("url", "module", "words"),
    [
        (SQLITE, "sqlalchemy", r"needs sqlalchemy; run: pip install 'contact-adapter\[ledger\]'"),
        (
            Secret(POSTGRESQL),
            "psycopg",
            r"needs psycopg; run: pip install 'contact-adapter\[postgresql\]'",
        ),
    ],
)
def test_a_missing_library_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, url: str | Secret, module: str, words: str
) -> None:
    def import_others(name: str) -> ModuleType:
        if name == module or (module == "sqlalchemy" and name == "adapter.ledger.ledger"):
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)
        return import_module(name)

    monkeypatch.setattr(package, "import_module", import_others)
    with pytest.raises(ConfigurationError, match=words):
        load_ledger(LedgerSettings(url))


def test_an_sqlite_that_is_too_old_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package, "MIN_SQLITE", (99, 0, 0))
    with pytest.raises(ConfigurationError, match=r"needs SQLite 99\.0\.0; this Python has 3"):
        load_ledger(LedgerSettings(SQLITE))
