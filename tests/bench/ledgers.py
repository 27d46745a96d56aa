"""The ledgers of the benchmark: their databases, a million calls, and the pages of them.

PostgreSQL is a server of this machine, as its package sets it up: commits reach the disk. Each bare
query is what one would write for the page, over a connection that is open already.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import psycopg
import sqlalchemy as sa
from support.postgresql import Server, find_programs, run_server

from adapter.ledger.database import Database
from adapter.ledger.ledger import Ledger
from adapter.ledger.queries import Filters
from adapter.settings.model import LedgerSettings

SQLITE: Final = "SQLite"
POSTGRESQL: Final = "PostgreSQL"

CALLS: Final = 1_000_000
"""Calls of the ledger whose history is read: of the last 180 days, by ten accounts."""

BLOCKS: Final = 100_000
"""Contacts that are blocked by the account whose list is read."""

ACCOUNT: Final = "account-0"
PAGE: Final = 100
PAGES: Final = 20
"""Entries of a page, and pages of one round: each follows the one before."""

HISTORY: Final = ("bare query of calls", "history page")
BLOCKED: Final = ("bare query of blocks", "blocked page")


def missing() -> dict[str, str]:
    """Return the databases that cannot be run here, with the reason."""
    if find_programs() is None:
        return {POSTGRESQL: "no PostgreSQL server is installed"}
    return {}


class Databases:
    """The databases of a run. A PostgreSQL server is started for the first one that needs it."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self._server: Server | None = None
        self._count = 0

    def make(self, kind: str) -> str:
        """Return the URL of a new database of this kind, with the tables."""
        self._count += 1
        if kind == SQLITE:
            url = f"sqlite:///{self._folder / f'ledger-{self._count}.db'}"
        else:
            programs = find_programs()
            assert programs is not None
            if self._server is None:
                self._server = self._stack.enter_context(run_server(programs, durable=True))
            url = self._server.new_database()
        ledger = Ledger(LedgerSettings(url))
        ledger.upgrade()
        ledger.close()
        return url


@contextmanager
def databases(folder: Path) -> Iterator[Databases]:
    """Return the databases of a run; the server ends with the block."""
    with ExitStack() as stack:
        yield Databases(folder, stack)


def count_recorded(url: str) -> int:
    """Return the number of calls in a ledger that have ended."""
    query = "SELECT count(*) FROM contact_adapter_calls WHERE closed_at IS NOT NULL"
    return int(_execute(url, query)[0][0])


def _execute(url: str, *statements: str) -> Any:
    """Execute the statements; return the rows of the last one, if it has any."""
    database = Database(LedgerSettings(url))

    def work(connection: sa.Connection) -> Any:
        if not database.is_sqlite:
            connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
        for statement in statements:
            done = connection.execute(sa.text(statement))
        return done.all() if done.returns_rows else None

    try:
        return database.run(work, writes=True)
    finally:
        database.close()


def fill(url: str, calls: int = CALLS, blocks: int = BLOCKS) -> None:
    """Insert calls of the last 180 days, and the contacts that one account has blocked."""
    seconds = f"({calls} - i) * {180 * 24 * 3600 / calls!r}"
    if url.startswith("sqlite"):
        when = f"strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now', '-' || ({seconds}) || ' seconds')"
        yes = "1"
    else:
        when, yes = f"now() - make_interval(secs => {seconds})", "true"

    def numbers(last: int) -> str:
        more = f"SELECT i + 1 FROM numbers WHERE i < {last}"
        return f"WITH RECURSIVE numbers(i) AS (SELECT 1 UNION ALL {more})"

    _execute(
        url,
        "INSERT INTO contact_adapter_contacts (number, created_at) "
        f"{numbers(blocks)} SELECT CAST(5511900000000 + i AS varchar(32)), {when} FROM numbers",
        "INSERT INTO contact_adapter_calls (id, account, provider, action, contact_id, via, "
        "key_name, request_id, opened_at, deadline_at, closed_at, code, outcome, verified, "
        "attempts, reads, duration_ms) "
        f"{numbers(calls)} SELECT i, 'account-' || (i % 10), 'wuts', 'block', "
        f"1 + i % {blocks}, 'api', 'bench', 'request-' || i, {when}, {when}, {when}, "
        "CASE WHEN i % 20 = 0 THEN 'provider_timeout' ELSE 'ok' END, 'applied', "
        f"{yes}, 1, 0, 200 FROM numbers",
        "INSERT INTO contact_adapter_blocks (account, contact_id, wanted, intent, via, "
        "wanted_at, state, certainty, since) "
        f"{numbers(blocks)} SELECT '{ACCOUNT}', i, 'blocked', i, 'api', {when}, "
        f"'blocked', 'accepted', {when} FROM numbers",
    )
    analyze = ("ANALYZE",) if url.startswith("sqlite") else ("ANALYZE contact_adapter_calls",)
    _execute(url, *analyze)


def _bare(url: str, query: str) -> Callable[..., list[Any]]:
    """Return what executes a query over one open connection."""
    if url.startswith("sqlite:///"):
        local = sqlite3.connect(url.removeprefix("sqlite:///"))
        return lambda *values: local.execute(query, values).fetchall()
    remote = psycopg.connect(url.replace("+psycopg", ""), autocommit=True)
    text = query.replace("?", "%s")
    return lambda *values: remote.execute(text, values).fetchall()  # type: ignore[arg-type]


def _since() -> datetime:
    return datetime.now(UTC) - timedelta(days=30)


def bare_history(url: str) -> Callable[[], object]:
    """Return the bare query of the pages of one account's calls."""
    query = _bare(
        url,
        "SELECT c.*, p.number, p.lid, p.user_id FROM contact_adapter_calls c "
        "LEFT JOIN contact_adapter_contacts p ON p.id = c.contact_id "
        f"WHERE c.account = '{ACCOUNT}' AND c.id < ? AND c.opened_at >= ? "
        f"ORDER BY c.id DESC LIMIT {PAGE}",
    )

    def run() -> None:
        last, since = 2**62, _since()
        moment: Any = since.isoformat(timespec="milliseconds") if "sqlite" in url else since
        for _ in range(PAGES):
            rows = query(last, moment)
            assert len(rows) == PAGE
            last = rows[-1][0]

    return run


def history(url: str) -> Callable[[], object]:
    """Return pages of the last 30 days of one account's calls."""
    ledger = Ledger(LedgerSettings(url))

    def run() -> None:
        cursor, filters = None, Filters((ACCOUNT,), since=_since())
        for _ in range(PAGES):
            page = ledger.calls(filters, PAGE, cursor)
            assert len(page.entries) == PAGE
            cursor = page.cursor

    return run


def bare_blocked(url: str) -> Callable[[], object]:
    """Return the bare query of the pages of one account's blocked contacts."""
    query = _bare(
        url,
        "SELECT b.contact_id, b.*, p.number, p.lid, p.user_id FROM contact_adapter_blocks b "
        "JOIN contact_adapter_contacts p ON p.id = b.contact_id "
        f"WHERE b.account = '{ACCOUNT}' AND b.state = 'blocked' AND b.contact_id > ? "
        f"ORDER BY b.contact_id LIMIT {PAGE}",
    )

    def run() -> None:
        last = 0
        for _ in range(PAGES):
            rows = query(last)
            assert len(rows) == PAGE
            last = rows[-1][0]

    return run


def blocked(url: str) -> Callable[[], object]:
    """Return pages of one account's blocked contacts."""
    ledger = Ledger(LedgerSettings(url))

    def run() -> None:
        cursor = None
        for _ in range(PAGES):
            page = ledger.blocked(ACCOUNT, PAGE, cursor)
            assert len(page.entries) == PAGE
            cursor = page.cursor

    return run
