"""What the row of a batch says besides its columns, and who may see it."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any


def details_of(row: Any) -> dict[str, Any]:
    """Return the details of a batch's row."""
    return json.loads(row.details) if row.details else {}


def accounts_of(row: Any) -> list[str]:
    """Return the accounts of a batch's rows."""
    return list(details_of(row).get("accounts") or [row.account])


def lanes_of(row: Any) -> list[str]:
    """Return the accounts for which rows of the batch were stored that are to be sent."""
    lanes = details_of(row).get("lanes")
    return accounts_of(row) if lanes is None else list(lanes)


def may_see(row: Any, accounts: Collection[str] | None) -> bool:
    """Whether all accounts of the batch's rows are among these; None means every account.

    The rows of a plan also show the list of its source.
    """
    if accounts is None:
        return True
    source = details_of(row).get("source")
    return {*accounts_of(row), *([source] if source else [])} <= set(accounts)
