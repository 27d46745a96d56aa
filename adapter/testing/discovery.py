"""The dialect of a provider, as the plugin registers it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType

import pluggy

from adapter import hookspecs
from adapter.dialect import Dialect
from adapter.hookspecs import Registry
from adapter.provider import Provider
from adapter.testing.reporting import describe_exception


def find_dialect(provider: type[Provider]) -> type[Dialect] | None:
    """Return the dialect that the hook `register` of the provider's module adds for it.

    A hook in a package above the module counts too. Raises AssertionError for a hook that raises.
    """
    for module in _modules(provider.__module__):
        registry = Registry()
        manager = pluggy.PluginManager(hookspecs.PROJECT)
        manager.add_hookspecs(hookspecs)
        manager.register(module)
        for hook in manager.hook.register.get_hookimpls():
            try:
                hook.function(registry)
            except Exception as error:
                what = describe_exception(error, provider)
                raise AssertionError(f"the hook register of {module.__name__}: {what}") from error
        for dialect in registry.dialects.values():
            if dialect.provider is provider:
                return dialect
    return None


def _modules(name: str) -> Iterator[ModuleType]:
    """Yield the module, then the packages above it."""
    while name:
        if name in sys.modules:
            yield sys.modules[name]
        name = name.rpartition(".")[0]
