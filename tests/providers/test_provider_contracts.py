"""The contract of every built-in provider, clause by clause."""

from __future__ import annotations

import pytest
from adapter.providers.memory import MemoryProvider
from support import BUILT_IN
from support.contracts import ANSWERS, CONTRACTS

from adapter.plugin import Action, Command
from adapter.registry import load_plugins
from adapter.testing import Exchange, ProviderContract, read_answers
from adapter.testing.exchanges import Provenance


@pytest.mark.parametrize("clause", ProviderContract.clauses())
@pytest.mark.parametrize("name", CONTRACTS)
def test_the_provider_keeps_the_clause(name: str, clause: str) -> None:
    getattr(CONTRACTS[name](), clause)()


def test_every_built_in_provider_has_a_contract_and_its_registered_dialect() -> None:
    assert set(CONTRACTS) == set(BUILT_IN)
    dialects = {name: each.cls for name, each in load_plugins().dialects.items()}
    assert {name: each().tested_dialect for name, each in CONTRACTS.items()} == {
        name: dialects.get(name) for name in CONTRACTS
    }


@pytest.mark.parametrize(
    "exchange",
    [
        each
        for each in read_answers(ANSWERS / "memory", {})
        if each.response_provenance is not Provenance.INFERRED
    ],
    ids=lambda each: each.name,
)
def test_the_memory_provider_sends_the_recorded_responses(exchange: Exchange) -> None:
    provider = MemoryProvider({})
    for contact in exchange.outcome.contacts or ():
        provider.handle_request(provider.build_request(Command(Action.BLOCK, contact)))
    assert provider.handle_request(exchange.request) == exchange.response
