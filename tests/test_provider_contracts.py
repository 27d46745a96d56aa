"""The contract kit, applied to the providers that come with the adapter."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest
from adapter.providers.evolution_api import EvolutionApiDialect, EvolutionApiProvider
from adapter.providers.evolution_go import EvolutionGoProvider
from adapter.providers.memory import MemoryProvider
from adapter.providers.meta_cloud import MetaCloudProvider
from adapter.providers.session_gateway import SessionGatewayDialect, SessionGatewayProvider
from adapter.providers.waha import WahaDialect, WahaProvider
from adapter.providers.wappfy import WappfyDialect, WappfyProvider
from adapter.providers.whapi import WhapiProvider
from adapter.providers.wuts import WutsDialect, WutsProvider
from adapter.providers.z_api import ZApiProvider
from support import BUILT_IN

from adapter import Action
from adapter.testing.contract import Exchange, ProviderContract, read_answers

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


class TestWaha(ProviderContract):
    provider = WahaProvider
    dialect = WahaDialect
    options: ClassVar = {"session": "default"}
    answers = ANSWERS / "waha"


class TestEvolutionApi(ProviderContract):
    provider = EvolutionApiProvider
    dialect = EvolutionApiDialect
    options: ClassVar = {"session": "my-instance"}
    answers = ANSWERS / "evolution-api"


class TestMetaCloud(ProviderContract):
    provider = MetaCloudProvider
    options: ClassVar = {"phone_number_id": "106540352242922"}
    answers = ANSWERS / "meta-cloud"


class TestEvolutionGo(ProviderContract):
    provider = EvolutionGoProvider
    answers = ANSWERS / "evolution-go"


class TestWhapi(ProviderContract):
    provider = WhapiProvider
    answers = ANSWERS / "whapi"


class TestZApi(ProviderContract):
    provider = ZApiProvider
    options: ClassVar = {"instance_id": "3C1A7B2E"}
    answers = ANSWERS / "z-api"


class TestMemory(ProviderContract):
    provider = MemoryProvider
    answers = ANSWERS / "memory"


CONTRACTS = {
    each.provider.name: each
    for each in list(vars().values())
    if isinstance(each, type) and ProviderContract in each.__bases__
}
"""The contract of each provider, by its name."""


def test_every_built_in_provider_has_its_contract():
    assert set(CONTRACTS) == set(BUILT_IN)


@pytest.mark.parametrize(
    "exchange", read_answers(ANSWERS / "memory", {}), ids=lambda each: each.name
)
def test_the_memory_gives_the_answers_that_are_recorded(exchange: Exchange):
    provider = MemoryProvider({})
    for contact in exchange.outcome.contacts or ():
        provider.answer(provider.build_request(type(exchange.command)(Action.BLOCK, contact)))
    assert provider.answer(exchange.request) == exchange.response
