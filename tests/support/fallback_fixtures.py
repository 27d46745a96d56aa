"""An account with its fallback: `pytest_plugins = ["support.fallback_fixtures"]`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from adapter import Client, Command, connect
from adapter.results import Outcome
from support.fallbacks import MEMORY, Answer, Open


@pytest.fixture
def open_pair() -> Iterator[Open]:
    """Return a function that connects `support` with its fallback `support-2`."""
    made: list[Client] = []

    def open_one(
        first: dict[str, Any] = MEMORY, second: dict[str, Any] = MEMORY, **others: dict[str, Any]
    ) -> Client:
        accounts = {"support": {**first, "fallback": "support-2"}, "support-2": second, **others}
        made.append(connect({"accounts": accounts, "default_account": "support"}))
        return made[-1]

    yield open_one
    for each in made:
        each.close()


@pytest.fixture
def replace_call(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Command]]:
    """Return a function that replaces the call of an account; it returns the commands."""

    def replace(client: Client, name: str, answer: Outcome | Answer) -> list[Command]:
        commands: list[Command] = []

        def call(command: Command, *args: Any) -> tuple[Outcome, int]:
            commands.append(command)
            return (answer, 1) if isinstance(answer, Outcome) else answer(command, *args)

        monkeypatch.setattr(client.service.accounts[name], "call", call)
        return commands

    return replace
