"""The contract of each built-in provider, built from the registry and the recorded responses.

The dialect comes from the plugin's hook, the options from the answers files: a new provider needs
no line here.
"""

from __future__ import annotations

from pathlib import Path

from adapter.plugin import Provider
from adapter.registry import load_plugins
from adapter.testing import ProviderContract

ANSWERS = Path(__file__).parents[1] / "answers"


def build_contract(provider: type[Provider]) -> type[ProviderContract]:
    """Return the contract class of a provider whose responses are in its folder of `ANSWERS`."""
    attributes = {"provider": provider, "answers": ANSWERS / provider.name}
    return type(f"{provider.__name__}Contract", (ProviderContract,), attributes)


CONTRACTS = {
    name: build_contract(each.cls)
    for name, each in sorted(load_plugins().providers.items())
    if each.plugin.is_builtin
}
"""The contract of each built-in provider, by the provider's name."""
