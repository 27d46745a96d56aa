"""The ledger's databases: every test of a `url` or `ledger` runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from adapter.ledger.ledger import Ledger
from adapter.settings.model import LedgerSettings
from support.ledgers import WAIT, MakeLedger
from support.postgresql import REQUIRED_VARIABLE, Server, find_programs, run_server


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """Run one server for all tests of this process; skip them where it is not installed."""
    programs = find_programs()
    if programs is None:
        message = "no PostgreSQL server is installed (Debian: apt-get install postgresql)"
        if os.environ.get(REQUIRED_VARIABLE) == "required":
            pytest.fail(message)
        pytest.skip(message)
    with run_server(programs) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    server: Server = request.getfixturevalue("postgresql")
    return server.new_database()


def make_tables(url: str) -> str:
    """Create the tables in an empty database; return its URL."""
    ledger = Ledger(LedgerSettings(url))
    ledger.upgrade()
    ledger.close()
    return url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with the tables, to be copied: creating them takes longer."""
    path = tmp_path_factory.mktemp("template") / "ledger.db"
    make_tables(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgresql_template(postgresql: Server) -> str:
    """Return the URL of a database with the tables, to be copied."""
    return make_tables(postgresql.new_database())


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a database with the tables."""
    if request.param == "sqlite":
        path = tmp_path / "ledger.db"
        shutil.copyfile(request.getfixturevalue("sqlite_template"), path)
        return f"sqlite:///{path}"
    server: Server = request.getfixturevalue("postgresql")
    return server.new_database(template=request.getfixturevalue("postgresql_template"))


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


@pytest.fixture
def spawn() -> Iterator[Callable[..., Future[Any]]]:
    """Return a function that runs a call in a thread, and returns its future."""
    with ThreadPoolExecutor() as pool:
        yield pool.submit
