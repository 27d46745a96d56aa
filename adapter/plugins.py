"""Find the plugins, block, load and check them. Choosing one is a dict lookup afterwards."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, Generic, TypeVar

import pluggy
from marshmallow import Schema

from adapter import hookspecs
from adapter.errors import PluginError
from adapter.provider import Dialect, Provider, Route

ACCOUNT_KEYS: Final = frozenset(
    {"provider", "base_url", "aliases", "allow_insecure", "transport", "headers"}
)
"""The keys of an account that belong to the core; a provider's options cannot have these names."""

PROVIDER_NAME: Final = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
"""How a provider may be called: lower-case words joined by dashes."""

PartT = TypeVar("PartT", bound="type[Provider] | type[Dialect]")


@dataclass(frozen=True, slots=True)
class Plugin:
    """Where something comes from: the entry point's name, and the distribution that has it."""

    name: str
    distribution: str
    version: str

    @property
    def id(self) -> str:
        """The name under which exactly this plugin can be blocked: `distribution:name`."""
        return f"{self.distribution}:{self.name}"

    @property
    def origin(self) -> str:
        """The distribution and its version."""
        return f"{self.distribution} {self.version}".strip()

    def __str__(self) -> str:
        return f"{self.id} ({self.origin})"


@dataclass(frozen=True, slots=True)
class Registered(Generic[PartT]):
    """A provider or dialect class, and the plugin that brought it."""

    part: PartT
    plugin: Plugin


@dataclass(frozen=True, slots=True)
class Broken:
    """A plugin that could not be used, and what it raised."""

    plugin: Plugin
    error: BaseException

    @property
    def reason(self) -> str:
        """What it raised, in one line."""
        return " ".join(f"{type(self.error).__name__}: {self.error}".split())


@dataclass(frozen=True, slots=True)
class Registry:
    """All that the plugins of this installation bring, by name."""

    providers: Mapping[str, Registered[type[Provider]]]
    dialects: Mapping[str, Registered[type[Dialect]]]
    broken: tuple[Broken, ...]

    def find_broken(self, name: str) -> Broken | None:
        """Return the broken plugin of that name."""
        return next((broken for broken in self.broken if broken.plugin.name == name), None)

    def require(self, name: str) -> None:
        """Raise PluginError, with the plugin's own error as its cause, where `name` is broken."""
        broken = self.find_broken(name)
        if broken is not None:
            raise PluginError(
                f"the plugin {broken.plugin} is configured but broken: {broken.reason}"
            ) from broken.error


def load_plugins(blocked: Iterable[str] = ()) -> Registry:
    """Import the plugins of the entry-point group and return what they register.

    `blocked` holds names (`acme`) or ids (`some-distribution:acme`) that are never imported. A
    plugin that fails is kept as broken. Raises PluginError for two of one name.
    """
    found = _find(frozenset(blocked))
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    providers: dict[str, Registered[type[Provider]]] = {}
    dialects: dict[str, Registered[type[Dialect]]] = {}
    broken: list[Broken] = []
    for plugin, entry in found:
        try:
            offered = _register(manager, plugin, entry)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's module may do that
            broken.append(Broken(plugin, error))
            continue
        for provider in offered[0]:
            _add(providers, provider.name, Registered(provider, plugin))
        for dialect in offered[1]:
            _add(dialects, dialect.provider.name, Registered(dialect, plugin))
    return Registry(providers, dialects, tuple(broken))


def _find(blocked: frozenset[str]) -> list[tuple[Plugin, EntryPoint]]:
    """Return the plugins that are not blocked, ordered by name. Nothing is imported here."""
    found: dict[str, tuple[Plugin, EntryPoint]] = {}
    for entry in sorted(entry_points(group=hookspecs.PROJECT), key=lambda entry: entry.name):
        meta = entry.dist.metadata if entry.dist else {"Name": "unknown", "Version": ""}
        plugin = Plugin(entry.name, meta["Name"], meta["Version"])
        if plugin.name in blocked or plugin.id in blocked:
            continue
        if plugin.name in found:
            raise _two_of_one_name(plugin.name, found[plugin.name][0], plugin)
        found[plugin.name] = (plugin, entry)
    return list(found.values())


def _register(
    manager: pluggy.PluginManager, plugin: Plugin, entry: EntryPoint
) -> tuple[list[type[Provider]], list[type[Dialect]]]:
    """Import one plugin, check it, and return the providers and dialects that it offers."""
    module = entry.load()
    manager.register(module, name=plugin.id)
    try:
        manager.check_pending()
        others = [other for other in manager.get_plugins() if other is not module]

        def offered(hook: str) -> list[Any]:
            calls = manager.subset_hook_caller(hook, remove_plugins=others)()
            return [part for parts in calls for part in parts]

        providers, dialects = offered("register_providers"), offered("register_dialects")
        if not providers and not dialects:
            raise PluginError("it registers neither a provider nor a dialect")
        for part in providers:
            _check_provider(part)
        for part in dialects:
            _check_dialect(part)
    except Exception:
        manager.unregister(name=plugin.id)
        raise
    return providers, dialects


def _check_provider(part: Any) -> None:
    _check_class(part, Provider)
    if not (isinstance(getattr(part, "name", None), str) and PROVIDER_NAME.fullmatch(part.name)):
        raise PluginError(f"{part.__name__}.name must be lower-case words joined by dashes")
    if not (isinstance(getattr(part, "title", None), str) and part.title):
        raise PluginError(f"{part.__name__}.title must be a text for people")
    routes = getattr(part, "routes", ())
    if not routes or not all(isinstance(route, Route) for route in routes):
        raise PluginError(f"{part.__name__}.routes must name at least one Route")
    if not (inspect.isclass(part.Options) and issubclass(part.Options, Schema)):
        raise PluginError(f"{part.__name__}.Options must be a marshmallow Schema")
    taken = ACCOUNT_KEYS & set(part.Options().fields)
    if taken:
        raise PluginError(f"{part.__name__}.Options takes keys of the core: {sorted(taken)}")


def _check_dialect(part: Any) -> None:
    _check_class(part, Dialect)
    _check_provider(getattr(part, "provider", None))


def _check_class(part: Any, base: type) -> None:
    if not (inspect.isclass(part) and issubclass(part, base)):
        raise PluginError(f"it registers {part!r}, which is no subclass of {base.__name__}")
    missing = sorted(getattr(part, "__abstractmethods__", ()))
    if missing:
        raise PluginError(f"{part.__name__} lacks {', '.join(missing)}")


def _add(parts: dict[str, Registered[PartT]], name: str, registered: Registered[PartT]) -> None:
    if name in parts:
        raise _two_of_one_name(name, parts[name].plugin, registered.plugin)
    parts[name] = registered


def _two_of_one_name(name: str, one: Plugin, other: Plugin) -> PluginError:
    return PluginError(
        f"two plugins bring {name!r}: {one} and {other}; block one of them, "
        f'for example with [plugins] blocked = ["{other.id}"]'
    )
