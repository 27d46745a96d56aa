"""Find the plugins, block them, and import and check those that are needed."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, Generic, TypeVar

import pluggy

from adapter import hookspecs
from adapter.containment import contain, find_line
from adapter.dialect import Dialect
from adapter.errors import PluginError
from adapter.hookspecs import Registry
from adapter.plugin_checks import check_dialect, check_provider
from adapter.privacy import escape_controls, mask_traceback
from adapter.provider import Provider

_OWN_DISTRIBUTION: Final = "contact-adapter"

ClassT = TypeVar("ClassT", bound="type[Provider] | type[Dialect]")


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """The origin of classes: the entry point's name, and the distribution that has it."""

    name: str
    distribution: str
    version: str

    @property
    def id(self) -> str:
        """The name that blocks exactly this plugin: `distribution:name`."""
        return f"{self.distribution}:{self.name}"

    @property
    def origin(self) -> str:
        """The distribution and its version."""
        return f"{self.distribution} {self.version}".strip()

    @property
    def is_builtin(self) -> bool:
        """Whether it is part of the adapter, by the name of its distribution."""
        return _normalise(self.distribution) == _OWN_DISTRIBUTION

    def __str__(self) -> str:
        return f"{self.id} ({self.origin})"


@dataclass(frozen=True, slots=True)
class Registration(Generic[ClassT]):
    """A provider or dialect class, and the plugin that added it."""

    cls: ClassT
    plugin: PluginInfo


@dataclass(frozen=True, slots=True)
class BrokenPlugin:
    """A plugin that cannot be used, the exception, and the plugin's line that raised it, if any."""

    plugin: PluginInfo
    error: BaseException
    line: str | None = None

    @property
    def reason(self) -> str:
        """The exception and the plugin's line, in one line, masked like a traceback."""
        try:
            text = str(self.error)
        except BaseException:  # noqa: BLE001 - the exception is of third-party code too
            text = "its text cannot be read"
        reason = " ".join(f"{type(self.error).__name__}: {text}".split())
        if self.line and not isinstance(self.error, SyntaxError):  # that names its line itself
            reason = f"{reason} ({self.line})"
        return escape_controls(mask_traceback(reason))


@dataclass(frozen=True, slots=True)
class Clash:
    """A name of classes from several plugins.

    The built-in plugin wins, else the only plugin with that name; without a winner, the name cannot
    be selected.
    """

    kind: str
    name: str
    plugins: tuple[PluginInfo, ...]
    winner: PluginInfo | None

    @property
    def losers(self) -> tuple[PluginInfo, ...]:
        """The plugins whose classes are not used under this name."""
        return tuple(plugin for plugin in self.plugins if plugin != self.winner)

    def __str__(self) -> str:
        """Return the plugins of the clash, and the setting that ends it without the winner."""
        if self.winner is not None:
            losers = ", ".join(map(str, self.losers))
            what = f"the {self.kind} {self.name!r} is that of {self.winner}, not of {losers}"
        else:
            these = " and ".join(map(str, self.plugins))
            what = f"several plugins add the {self.kind} {self.name!r}: {these}; block all but one"
        newcomers = self.losers if self.winner is not None else self.losers[1:]
        ids = ", ".join(f'"{plugin.id}"' for plugin in newcomers)
        return f"{what}; to block: [plugins] blocked = [{ids}]"


_locks: list[threading.RLock] = []  # type: ignore[valid-type, unused-ignore]

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_locks.clear)  # another thread of the parent may hold it


def _import_lock() -> threading.RLock:  # type: ignore[valid-type, unused-ignore]
    """Return the lock around the import of plugins, created on first use in a process.

    A lock made before gevent's patch does not exclude greenlets of the same thread. A host app
    behind `gunicorn --preload -k gevent` is imported before the patch, which follows the fork.
    """
    if not _locks:
        _locks.append(threading.RLock())  # two threads may append; both then take the first
    return _locks[0]


class PluginRegistry:
    """The providers and dialects of the installed plugins, by name. A plugin is imported on demand.

    A name is looked up in the plugins of that name first, then in all of them. Built-in plugins go
    before third-party ones. Safe in threads. The hook of each plugin fills a `hookspecs.Registry`,
    which has the classes of that plugin alone.
    """

    def __init__(
        self,
        found: Iterable[tuple[PluginInfo, EntryPoint]],
        idle_blocks: Iterable[str] = (),
        blocked: Iterable[PluginInfo] = (),
    ) -> None:
        self.idle_blocks = tuple(idle_blocks)
        """The entries of `[plugins] blocked` that match no installed plugin."""
        self._blocked = tuple(blocked)
        self._entries = dict(found)
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._loaded: dict[PluginInfo, Registry] = {}
        self._broken: dict[PluginInfo, BrokenPlugin] = {}

    @cached_property
    def providers(self) -> Mapping[str, Registration[type[Provider]]]:
        """Every provider that can be selected. Imports all plugins."""
        return self._all("providers")

    @cached_property
    def dialects(self) -> Mapping[str, Registration[type[Dialect]]]:
        """Every dialect that can be enabled. Imports all plugins."""
        return self._all("dialects")

    @cached_property
    def broken(self) -> tuple[BrokenPlugin, ...]:
        """Every plugin that cannot be used. Imports all plugins."""
        for plugin in self._entries:
            self._load(plugin)
        return tuple(self._broken[plugin] for plugin in self._entries if plugin in self._broken)

    @cached_property
    def clashes(self) -> tuple[Clash, ...]:
        """Every name of classes from several plugins. Imports all plugins."""
        found = []
        for kind in ("providers", "dialects"):
            names = {name: None for plugin in self._entries for name in self._classes(plugin, kind)}
            found += [clash for name in sorted(names) if (clash := self._clash(name, kind))]
        return tuple(found)

    def find_provider(self, name: str) -> Registration[type[Provider]] | None:
        """Return the provider of that name; None without one.

        Raises PluginError if the plugin of that name is broken, with its exception as the cause,
        and if several third-party plugins add it.
        """
        return self._find(name, "providers")

    def find_dialect(self, name: str) -> Registration[type[Dialect]] | None:
        """Return the dialect of that name; None without one. Raises as `find_provider`."""
        return self._find(name, "dialects")

    def find_blocked(self, name: str) -> PluginInfo | None:
        """Return the plugin of that name that `[plugins] blocked` matches; None without one."""
        return next((plugin for plugin in self._blocked if plugin.name == name), None)

    def _find(self, name: str, kind: str) -> Registration[Any] | None:
        named = self._named(name)
        builtin = [plugin for plugin in named if plugin.is_builtin]
        for candidates in (builtin, named, list(self._entries)):
            owners = [plugin for plugin in candidates if name in self._classes(plugin, kind)]
            if owners:
                return self._choose(name, kind, owners)
            for plugin in candidates:
                if plugin.name == name and plugin in self._broken:
                    broken = self._broken[plugin]
                    raise PluginError(
                        f"the plugin {plugin} is configured but broken: {broken.reason}"
                    ) from broken.error
        return None

    def _choose(self, name: str, kind: str, owners: list[PluginInfo]) -> Registration[Any]:
        winner = _winner(owners)
        if winner is None:
            raise PluginError(str(Clash(kind[:-1], name, tuple(owners), None)))
        return Registration(self._classes(winner, kind)[name], winner)

    def _clash(self, name: str, kind: str) -> Clash | None:
        """Return the clash of the name; None if at most one plugin has it."""
        owners = [plugin for plugin in self._entries if name in self._classes(plugin, kind)]
        named = [plugin for plugin in owners if plugin.name == name]
        winner = _winner(owners) or _winner(named)
        return Clash(kind[:-1], name, tuple(owners), winner) if len(owners) > 1 else None

    def _all(self, kind: str) -> Mapping[str, Registration[Any]]:
        found: dict[str, Registration[Any]] = {}
        for plugin in self._entries:
            for name in self._classes(plugin, kind):
                if name not in found:
                    with suppress(PluginError):
                        registered = self._find(name, kind)
                        if registered is not None:
                            found[name] = registered
        return found

    def _named(self, name: str) -> list[PluginInfo]:
        return [plugin for plugin in self._entries if plugin.name == name]

    def _classes(self, plugin: PluginInfo, kind: str) -> Mapping[str, Any]:
        loaded = self._load(plugin)
        return loaded.providers if kind == "providers" else loaded.dialects

    def _load(self, plugin: PluginInfo) -> Registry:
        """Return the plugin's classes, after importing it once; a broken plugin has none."""
        with _import_lock():
            if plugin not in self._loaded:
                entry = self._entries[plugin]
                try:
                    loaded = contain(_register, self._manager, plugin, entry)
                except Exception as error:  # noqa: BLE001 - third-party code may raise anything
                    line = find_line(error, re.split(r"[:\[]", entry.value)[0].strip())
                    self._broken[plugin] = BrokenPlugin(plugin, error, line)
                    loaded = Registry()
                self._loaded[plugin] = loaded
            return self._loaded[plugin]


def _winner(owners: list[PluginInfo]) -> PluginInfo | None:
    """Return the plugin whose class is used: the built-in one, else the only one."""
    builtin = [plugin for plugin in owners if plugin.is_builtin]
    chosen = builtin or owners
    return chosen[0] if len(chosen) == 1 else None


def load_plugins(blocked: Iterable[str] = ()) -> PluginRegistry:
    """Return the plugins of the entry-point group. Each is imported on demand.

    `blocked` holds names (`acme`) or ids (`some-distribution:acme`) that are never imported. In an
    id, the distribution may have any spelling that is equal to installers.
    """
    ids = {entry: _normalise_id(entry) for entry in blocked}
    found, stopped, idle = [], [], dict(ids)
    for entry in entry_points(group=hookspecs.PROJECT):
        meta = entry.dist.metadata if entry.dist else {"Name": "unknown", "Version": ""}
        plugin = PluginInfo(entry.name, meta["Name"] or "unknown", meta["Version"] or "")
        matching = [
            each for each, id_ in ids.items() if id_ in (plugin.name, _normalise_id(plugin.id))
        ]
        for each in matching:
            idle.pop(each, None)
        if matching:
            stopped.append(plugin)
        else:
            found.append((plugin, entry))
    found.sort(key=lambda each: (not each[0].is_builtin, each[0].name, each[0].id))
    return PluginRegistry(found, idle, stopped)


def _normalise(distribution: str) -> str:
    """Return the name of a distribution as installers compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def _normalise_id(text: str) -> str:
    """Return a plugin's id with a normalised distribution; a name alone is unchanged."""
    distribution, colon, name = text.partition(":")
    return f"{_normalise(distribution)}:{name}" if colon else text


def _register(manager: pluggy.PluginManager, plugin: PluginInfo, entry: EntryPoint) -> Registry:
    """Import one plugin, check its classes, and return them."""
    module = entry.load()
    manager.register(module, name=plugin.id)
    try:
        manager.check_pending()
        hooks = [each for each in manager.hook.register.get_hookimpls() if each.plugin is module]
        if not hooks:
            raise PluginError(
                "it has no hook; write @p.hookimpl, then def register(registry: p.Registry)"
            )
        registry = Registry()
        for hook in hooks:
            hook.function(registry)
        if not registry.providers and not registry.dialects:
            raise PluginError(
                "its hook adds neither a provider nor a dialect; write registry.add(AcmeProvider)"
            )
        for provider in registry.providers.values():
            check_provider(provider)
        for dialect in registry.dialects.values():
            check_dialect(dialect)
            _check_provider_is_added(dialect, registry)
        return registry
    except BaseException:
        manager.unregister(name=plugin.id)
        raise


def _check_provider_is_added(dialect: type[Dialect], registry: Registry) -> None:
    """Raise PluginError for a dialect whose provider is of the same module, but was not added.

    A dialect for a provider of another plugin is allowed.
    """
    provider = dialect.provider
    if provider.__module__ == dialect.__module__ and provider not in registry.providers.values():
        raise PluginError(
            f"{dialect.__name__}.provider is {provider.__name__}, which is not registered; "
            f"write registry.add({provider.__name__}, {dialect.__name__})"
        )
