"""The ledger's databases: every test of a `url` or `ledger` runs on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapter.ledger.ledger import Ledger
from adapter.settings.model import LedgerSettings
from support.ledgers import WAIT, MakeLedger
from support.postgresql import Server, required_server


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """Run one server for all tests of this process; skip them where it is not installed."""
    yield from required_server()


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    server: Server = request.getfixturevalue("postgresql")
    return server.new_database()


@pytest.fixture
def url(empty_url: str) -> str:
    """Return the URL of a database with the tables."""
    ledger = Ledger(LedgerSettings(empty_url))
    ledger.upgrade()
    ledger.close()
    return empty_url


@pytest.fixture
def make_ledger(url: str) -> Iterator[MakeLedger]:
    """Return a function that makes ledgers of the same database, as of several processes."""
    made: list[Ledger] = []

    def make(**settings: Any) -> Ledger:
        made.append(Ledger(LedgerSettings(**{"url": url, "wait": WAIT, **settings})))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def ledger(make_ledger: MakeLedger) -> Ledger:
    return make_ledger()
