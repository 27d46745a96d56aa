"""What a batch reads in PostgreSQL: the rows that it needs, however large the batch is.

PostgreSQL counts the entries of indexes that it reads; that number is steady where a time is not.
"""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from support import wait_until
from support.batch_fixtures import MakeClient
from support.batches import create, many, run
from support.ledgers import PREFIX
from support.postgresql import Server

from adapter.api_keys import ANONYMOUS
from adapter.batches import Batches

ROWS = 3000
MOST_PER_ROW = 30
"""Entries of indexes for each row: some statements for each of its few changes."""


@pytest.fixture
def url(postgresql: Server, postgresql_template: str) -> str:
    return postgresql.new_database(template=postgresql_template)


def entries_read(url: str) -> dict[str, int]:
    """Return the entries of indexes, and the rows without one, read in each table so far."""
    engine = sa.create_engine(url)
    query = "SELECT relname, coalesce(idx_tup_fetch, 0) + seq_tup_read FROM pg_stat_user_tables"
    indexes = "SELECT relname, sum(idx_tup_read) FROM pg_stat_user_indexes GROUP BY relname"
    read: dict[str, int] = {}
    with engine.connect() as connection:
        for table, amount in connection.execute(sa.text(f"{query} UNION ALL {indexes}")):
            read[table.removeprefix(PREFIX)] = max(read.get(table.removeprefix(PREFIX), 0), amount)
    engine.dispose()
    return read


def read_since(url: str, table: str, before: int, least: int) -> int:
    """Return how many were read since; a connection that has closed reports them a little later."""
    wait_until(lambda: entries_read(url)[table] - before >= least, "the numbers of the database")
    return entries_read(url)[table] - before


def test_rows_of_a_batch_are_found_by_their_key(make_client: MakeClient, url: str) -> None:
    first, second = make_client(), make_client(pace={"max_in_flight": 8})
    batch = create(Batches(first.service), many(ROWS)).batch
    first.close()  # a connection reports its numbers when it closes
    before = entries_read(url)
    assert run(Batches(second.service), batch).counts == {"done": ROWS}
    second.close()
    for table in ("items", "blocks", "calls"):
        read = read_since(url, table, before.get(table, 0), ROWS)
        assert read < MOST_PER_ROW * ROWS, table


def test_rows_of_a_cancelled_batch_are_found_by_their_key(
    make_client: MakeClient, url: str
) -> None:
    first, second = make_client(), make_client()
    batch = create(Batches(first.service), many(3 * ROWS), start=False).batch
    first.close()
    before = entries_read(url)["items"]
    Batches(second.service).cancel(batch.id, ANONYMOUS)
    second.close()
    assert read_since(url, "items", before, 3 * ROWS) < MOST_PER_ROW * 3 * ROWS
