"""Batches: many changes of block lists in one file or request.

- `rows`: one row, valid or rejected; `columns`: the names of the columns.
- `lines`: the lines of a file, within bounds; `reading` and `writing`: rows from and to CSV.

Rules: a file is a stream, and is never held in memory or kept; each row is either read or rejected
with its line and the reason; no message holds the digits of an identifier.
"""

from __future__ import annotations

from adapter.batches.reading import FileProblem, read_rows
from adapter.batches.rows import Row, build_row
from adapter.batches.writing import write_rows

__all__ = ["FileProblem", "Row", "build_row", "read_rows", "write_rows"]
