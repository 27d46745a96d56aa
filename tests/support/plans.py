"""Plans for the tests: accounts in memory, and what their lists hold."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

from adapter import Client, connect
from adapter.batches.model import Item
from adapter.batches.plan_model import Plan
from adapter.batches.plans import Plans
from adapter.codes import Action, Confirmation
from adapter.contacts import Contact
from adapter.results import Command, Outcome

OpenPlans = Callable[..., Plans]

FIRST = 5511900000000


def number(index: int) -> str:
    return str(FIRST + index)


def contacts(*indexes: int) -> tuple[Contact, ...]:
    return tuple(Contact(number(index)) for index in indexes)


class Lists:
    """Replaces the lists that accounts return, and counts the changes that are sent to them."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.sent: list[Command] = []

    def will_be(self, account: str, listed: Iterable[Contact] | Outcome) -> None:
        """Let the list of an account be these contacts, or reading it have this outcome."""
        target = self._client.service.accounts[account]
        own = type(target).call
        outcome = listed
        if not isinstance(outcome, Outcome):
            outcome = Outcome.success(Confirmation.PROVIDER_STATE, contacts=tuple(outcome))

        def call(command: Command, *args: Any) -> tuple[Outcome, int]:
            if command.action is Action.LIST:
                return outcome, 1
            self.sent.append(command)
            return own(target, command, *args)

        target.call = call  # type: ignore[method-assign, assignment]


def open_client(url: str, **accounts: dict[str, Any]) -> Client:
    given = accounts or {"a": {"provider": "memory"}, "b": {"provider": "memory"}}
    return connect({"accounts": given, "ledger": {"url": url, "wait": 10}})


def rows_of(plans: Plans, plan: Plan, *ops: str) -> list[Item]:
    """Return all rows of a plan, page by page."""
    found: list[Item] = []
    cursor = None
    while True:
        page = plans.items(plan.id, ops=ops, limit=1000, cursor=cursor)
        found += page.entries
        cursor = page.cursor
        if cursor is None:
            return found


def ops_of(plans: Plans, plan: Plan) -> dict[str, str | None]:
    """Return the op of each contact of a plan, by number, LID or user id."""
    return {item.given: item.op for item in rows_of(plans, plan)}


def run(client: Client, plan: Plan) -> dict[str, int]:
    """Run an applied plan to its end; return its rows by status."""
    from adapter.batches.batches import Batches

    batch = Batches(client.service).run(plan.id, threading.Event())
    assert batch.status == "done"
    return batch.counts
