"""An account with its fallback."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from adapter import Client
from adapter.results import Outcome
from support import account_for, free_port

MEMORY = {"provider": "memory"}
ROUTE = ("support", "support-2")
"""The route of a call to both accounts."""

Open = Callable[..., Client]
Answer = Callable[..., tuple[Outcome, int]]


def unreachable() -> dict[str, Any]:
    return account_for("wuts", f"http://127.0.0.1:{free_port()}")


def blocked_in(client: Client, account: str) -> list[str | None]:
    return [each.number for each in client.blocked(account=account).contacts or ()]
