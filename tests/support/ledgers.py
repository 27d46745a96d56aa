"""Ledgers for the tests: calls of every outcome, locks of the database, and child processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from adapter.call_context import CallContext
from adapter.codes import Action, Code, Confirmation
from adapter.contacts import Contact
from adapter.ledger.database import Database
from adapter.ledger.ledger import Ledger
from adapter.ledger.opened import Opened
from adapter.readings import Verification
from adapter.results import Command, Outcome, Result
from adapter.settings.model import LedgerSettings

MakeLedger = Callable[..., Ledger]
"""Makes a ledger with these settings."""

ACCOUNT = "support"
CONTACT = Contact("5511999999999")
PREFIX = LedgerSettings("").table_prefix
WAIT = 30.0
"""Seconds of a wait that is not the subject of the test."""

APPLIED = Outcome.success(Confirmation.ACCEPTED, upstream_status=200)
READ_BACK = Outcome(confirmation=Confirmation.READ_BACK, verification=Verification(True, None, 1))
LOST = Outcome.failure(Code.PROVIDER_CONNECTION_LOST)
REFUSED = Outcome.failure(Code.PROVIDER_RATE_LIMITED, retry_after=3)
REJECTED = Outcome.failure(Code.TARGET_REJECTED, upstream_status=422)
OUTCOMES = {"applied": APPLIED, "lost": LOST, "refused": REFUSED}


def block(contact: Contact = CONTACT) -> Command:
    return Command(Action.BLOCK, contact)


def unblock(contact: Contact = CONTACT) -> Command:
    return Command(Action.UNBLOCK, contact)


def result(command: Command, outcome: Outcome = APPLIED, account: str = ACCOUNT) -> Result:
    return Result(outcome, command, account, "wuts", 1, 12, "request-1")


def begin(
    ledger: Ledger,
    command: Command | None = None,
    *,
    account: str = ACCOUNT,
    deadline: Any = 15.0,
    **context: Any,
) -> Opened:
    """Open a change; `deadline` is in seconds, and the rest is its context."""
    given = CallContext(**{"via": "api", "key_name": "crm", **context})
    return ledger.open(account, "wuts", command or block(), given, deadline)


def call(
    ledger: Ledger, command: Command | None = None, outcome: Outcome = APPLIED, **rest: Any
) -> int:
    """Open a change and close it; return its id."""
    command = command or block()
    opened = begin(ledger, command, **rest)
    assert opened.recorded
    assert opened.close(result(command, outcome, rest.get("account", ACCOUNT)))
    assert opened.call_id is not None
    return opened.call_id


def rows(url: str, table: str, prefix: str = PREFIX) -> list[dict[str, Any]]:
    """Return all rows of a table as the database has them, by the first column."""
    database = Database(LedgerSettings(url))
    try:
        return database.run(
            lambda connection: [
                dict(row._mapping)
                for row in connection.execute(sa.text(f"SELECT * FROM {prefix}{table} ORDER BY 1"))
            ]
        )
    finally:
        database.close()


def execute(url: str, statement: str, **values: Any) -> None:
    """Execute a statement; `{p}` is the prefix of the tables."""
    database = Database(LedgerSettings(url))
    try:
        text = sa.text(statement.replace("{p}", PREFIX))
        database.run(lambda connection: connection.execute(text, values), writes=True)
    finally:
        database.close()


@contextmanager
def short_wait(ledger: Ledger, seconds: float) -> Iterator[None]:
    """Let the calls wait only so long for the database."""
    before = ledger.settings
    ledger.settings = replace(before, wait=seconds)
    try:
        yield
    finally:
        ledger.settings = before


@contextmanager
def locked(url: str) -> Iterator[None]:
    """Lock the database against every writer."""
    database = Database(LedgerSettings(url))
    connection = database.connect(writes=True)
    transaction = connection.begin()
    try:
        if not database.is_sqlite:
            connection.execute(sa.text(f"LOCK TABLE {PREFIX}calls IN ACCESS EXCLUSIVE MODE"))
        yield
    finally:
        transaction.rollback()
        connection.close()
        database.close()


def python(script: str, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    """Start a program of `script` in a child process that finds the helpers of the tests."""
    paths = os.pathsep.join(str(Path(__file__).parents[level]) for level in (1, 2))
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
        **options,
    )


def output(child: subprocess.Popen[str]) -> str:
    """Wait for the end of a child; return what it wrote."""
    written, _ = child.communicate(timeout=60)
    assert child.returncode == 0, written
    return written
