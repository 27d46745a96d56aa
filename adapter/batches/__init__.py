"""Batches: many changes of block lists, from a file or a request, which survive every failure.

Needs the ledger, where the rows, their leases and results are; imported where it is configured.

- `rows`: one row, valid or rejected; `columns`: the names of the columns; `lines`: the lines of a
  file, within bounds; `reading` and `writing`: rows from and to CSV.
- `model`: a batch and its items, as they are shown; `details`: who may see it; `summary`: its codes
  and the time left; `refusals`: the errors of a batch.
- `staging` and `item_rows`: a new batch is stored; `store`: it is read, and its status is changed.
- `claims`: rows are leased and ended in groups; `lanes`: the pace of an account.
- `runner`: runs the rows in threads; `endings`: from a result to the status of its row;
  `comparing`: the provider's list against the rows.
- `plans`: what it takes to bring one list to another; `plan_model`, `plan_lists`, `plan_sorting`,
  `plan_store` and `plan_applying` are its parts.
- `messenger` and `worker`: who runs a batch, and when; `overview`: how many there are.

Rules: a file is a stream, and is never held in memory or kept; each row ends in exactly one status;
no message holds the digits of an identifier. `Batches` is the class that the layers above use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from adapter.batches.model import Batch, Created, Item
from adapter.batches.reading import FileProblem, read_rows
from adapter.batches.rows import Row, build_row
from adapter.batches.writing import write_rows

if TYPE_CHECKING:
    from adapter.batches.batches import Batches
    from adapter.batches.overview import read_overview
    from adapter.batches.plan_model import Plan
    from adapter.batches.plans import Plans

__all__ = [
    "Batch",
    "Batches",
    "Created",
    "FileProblem",
    "Item",
    "Plan",
    "Plans",
    "Row",
    "build_row",
    "read_overview",
    "read_rows",
    "write_rows",
]

_LAZY: Final = {
    "Batches": "adapter.batches.batches",
    "read_overview": "adapter.batches.overview",
    "Plan": "adapter.batches.plan_model",
    "Plans": "adapter.batches.plans",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'adapter.batches' has no attribute {name!r}")
