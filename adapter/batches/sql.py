"""Statements, and parts of them, for a list of values in either database."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa


def among(
    connection: sa.Connection, column: sa.Column[Any], values: Iterable[Any]
) -> sa.ColumnElement[bool]:
    """Return the condition that a column has one of the values, which are one parameter.

    An index of the column is used, even where the planner knows nothing of the table: see
    `adapter.ledger.statements.by_index`.
    """
    given = sa.bindparam(None, json.dumps(list(values)), type_=sa.String(), unique=True)
    if connection.dialect.name == "postgresql":
        table = sa.func.json_array_elements_text(sa.cast(given, sa.JSON)).table_valued(
            sa.column("value", sa.String()), name="listed"
        )
        selected = sa.select(sa.cast(table.c.value, column.type)).select_from(table)
        return column == sa.any_(sa.func.array(selected.scalar_subquery()))
    table = sa.func.json_each(given).table_valued(sa.column("value", column.type), name="listed")
    return column.in_(sa.select(table.c.value).select_from(table))


def update_rows(
    connection: sa.Connection,
    items: sa.Table,
    batch_id: int,
    numbers: Iterable[int],
    values: Mapping[str, Any],
    *conditions: sa.ColumnElement[bool],
) -> None:
    """Set columns of the rows of a batch that have these numbers, and fulfil the conditions."""
    those = among(connection, items.c.row, numbers)
    update = sa.update(items).where(items.c.batch_id == batch_id, those).values(**values)
    if conditions:
        update = update.where(without_index(*conditions))
    connection.execute(update)


def without_index(*conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """Return the conditions as a CASE, which no index serves.

    With an index of the status, PostgreSQL would read every row with that status.
    """
    return sa.case((sa.and_(*conditions), sa.true()), else_=sa.false())


def next_numbers(connection: sa.Connection, table: sa.Table, amount: int) -> Sequence[int]:
    """Return the next ids of a table, `amount` of them; each is given once."""
    if connection.dialect.name == "postgresql":
        sequence = sa.func.pg_get_serial_sequence(table.name, "id")
        series = sa.func.generate_series(1, amount).table_valued("n")
        query = sa.select(sa.func.nextval(sequence)).select_from(series)
        return sorted(connection.execute(query).scalars())
    sequences = sa.table("sqlite_sequence", sa.column("name"), sa.column("seq"))
    mine = sequences.c.name == table.name
    last = connection.execute(sa.select(sequences.c.seq).where(mine)).scalar()
    if last is None:
        connection.execute(sa.insert(sequences).values(name=table.name, seq=amount))
    else:
        connection.execute(sa.update(sequences).where(mine).values(seq=last + amount))
    first = (last or 0) + 1
    return range(first, first + amount)
