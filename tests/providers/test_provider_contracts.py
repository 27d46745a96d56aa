"""The contract kit, applied to the providers that come with the adapter."""

from __future__ import annotations

import pytest
from adapter.providers.memory import MemoryProvider
from support import BUILT_IN
from support.contracts import (
    ANSWERS,
    CONTRACTS,
    TestEvolutionApi,
    TestEvolutionGo,
    TestMemory,
    TestMetaCloud,
    TestSessionGateway,
    TestWaha,
    TestWappfy,
    TestWhapi,
    TestWuts,
    TestZApi,
)

from adapter import Action
from adapter.testing import Exchange, read_answers

__all__ = [
    "TestEvolutionApi",
    "TestEvolutionGo",
    "TestMemory",
    "TestMetaCloud",
    "TestSessionGateway",
    "TestWaha",
    "TestWappfy",
    "TestWhapi",
    "TestWuts",
    "TestZApi",
]


def test_every_built_in_provider_has_its_contract() -> None:
    assert set(CONTRACTS) == set(BUILT_IN)


@pytest.mark.parametrize(
    "exchange", read_answers(ANSWERS / "memory", {}), ids=lambda each: each.name
)
def test_the_memory_gives_the_answers_that_are_recorded(exchange: Exchange) -> None:
    provider = MemoryProvider({})
    for contact in exchange.outcome.contacts or ():
        provider.handle_request(
            provider.build_request(type(exchange.command)(Action.BLOCK, contact))
        )
    assert provider.handle_request(exchange.request) == exchange.response
