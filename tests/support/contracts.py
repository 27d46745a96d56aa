"""The contract of each built-in provider."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

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

from adapter.testing.contract import ProviderContract

ANSWERS = Path(__file__).parents[1] / "answers"


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


CONTRACTS: dict[str, type[ProviderContract]] = {
    each.provider.name: each
    for each in list(vars().values())
    if isinstance(each, type) and issubclass(each, ProviderContract) and "provider" in vars(each)
}
"""The contract of each provider, by its name."""
