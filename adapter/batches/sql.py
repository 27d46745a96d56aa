"""Parts of statements that differ between the databases."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa


def listed(dialect: str, values: Iterable[Any], kind: Any) -> sa.Select[Any]:
    """Select the values, which are one parameter whatever their number."""
    given = sa.bindparam(None, json.dumps(list(values)), type_=sa.String(), unique=True)
    if dialect == "postgresql":
        table = sa.func.json_array_elements_text(sa.cast(given, sa.JSON)).table_valued(
            sa.column("value", sa.String()), name="listed"
        )
        return sa.select(sa.cast(table.c.value, kind)).select_from(table)
    table = sa.func.json_each(given).table_valued(sa.column("value", kind), name="listed")
    return sa.select(table.c.value).select_from(table)


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
