"""The contract kit, applied to the four providers that come with the adapter."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest
from adapter.providers.memory import MemoryProvider
from adapter.providers.session_gateway import SessionGatewayDialect, SessionGatewayProvider
from adapter.providers.wappfy import WappfyDialect, WappfyProvider
from adapter.providers.wuts import WutsDialect, WutsProvider

from adapter import Action
from adapter.testing import Exchange, ProviderContract, read_answers

ANSWERS = Path(__file__).parent / "answers"


class TestWuts(ProviderContract):
    provider = WutsProvider
    dialect = WutsDialect
    answers = ANSWERS / "wuts"


class TestWappfy(ProviderContract):
    """Both wire formats: the answers to the guide's body ask for it in their `options`."""

    provider = WappfyProvider
    dialect = WappfyDialect
    options: ClassVar = {"session": "my-session"}
    answers = ANSWERS / "wappfy"


class TestSessionGateway(ProviderContract):
    provider = SessionGatewayProvider
    dialect = SessionGatewayDialect
    options: ClassVar = {"session": "sess_01HZX"}
    answers = ANSWERS / "session-gateway"


class TestMemory(ProviderContract):
    provider = MemoryProvider
    answers = ANSWERS / "memory"


@pytest.mark.parametrize(
    "exchange", read_answers(ANSWERS / "memory", {}), ids=lambda each: each.name
)
def test_the_memory_gives_the_answers_that_are_recorded(exchange: Exchange):
    provider = MemoryProvider({})
    for contact in exchange.outcome.contacts or ():
        provider.answer(provider.build_request(type(exchange.command)(Action.BLOCK, contact)))
    assert provider.answer(exchange.request) == exchange.response
