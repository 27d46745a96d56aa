"""The one hook of plugins, and the `Registry` that it fills. Calls to providers use no hook."""

from __future__ import annotations

import inspect
from typing import Any, Final

import pluggy

from adapter.dialect import Dialect
from adapter.errors import PluginError
from adapter.provider import Provider

PROJECT: Final = "contact_adapter"
"""The name of the hook's project, and of the entry-point group of plugins."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Registry:
    """The classes of one plugin: its providers and dialects, by name.

    It is the argument of the hook, `p.Registry`. The classes of all installed plugins are in
    `adapter.registry.PluginRegistry`.
    """

    def __init__(self) -> None:
        self.providers: dict[str, type[Provider]] = {}
        self.dialects: dict[str, type[Dialect]] = {}

    def add(self, *classes: type[Provider] | type[Dialect]) -> None:
        """Add providers and dialects. A dialect has the name of its provider.

        Raises PluginError for any other object, and for a second class of the same kind and name.
        """
        for each in classes:
            if _is_subclass(each, Provider):
                self._add(self.providers, getattr(each, "name", None), each)
            elif _is_subclass(each, Dialect):
                owner = getattr(each, "provider", None)
                if not _is_subclass(owner, Provider):
                    raise PluginError(f"{each.__name__}.provider must be a subclass of Provider")
                self._add(self.dialects, getattr(owner, "name", None), each)
            else:
                raise PluginError(
                    f"registry.add: {each!r} is neither a Provider class nor a Dialect class; "
                    "write registry.add(AcmeProvider)"
                )

    @staticmethod
    def _add(known: dict[str, Any], name: Any, added: type) -> None:
        if known.setdefault(name, added) is not added:
            raise PluginError(f"registry.add: two classes have the name {name!r}")


def _is_subclass(value: Any, base: type) -> bool:
    return inspect.isclass(value) and issubclass(value, base)


@hookspec
def register(registry: Registry) -> None:
    """Add the plugin's providers and dialects. Called once per app, when the plugin is needed."""
