"""Batches: many changes from a file or a request, which survive every failure.

Needs the ledger, where the rows, their leases and results are; imported where it is configured.

- `rows`: one row, as it is read; `model`: a batch and its items, as they are shown.
- `staging`: a new batch is stored; `store`: it is read, and its status is changed.
- `claims`: rows are leased and ended in groups; `lanes`: the pace of an account.
- `runner`: runs the rows in threads; `endings`: from a result to the status of its row;
  `comparing`: the provider's list against the rows.
- `messenger` and `worker`: who runs a batch, and when.

`Batches` is the class that the layers above use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from adapter.batches.model import Batch, Created, Item
from adapter.batches.rows import Row

if TYPE_CHECKING:
    from adapter.batches.batches import Batches

__all__ = ["Batch", "Batches", "Created", "Item", "Row"]

_LAZY: Final = {"Batches": "adapter.batches.batches"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'adapter.batches' has no attribute {name!r}")
