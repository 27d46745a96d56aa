"""Load the dialects to be served: the table `[dialects]`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from adapter.config_names import display_unknown_key
from adapter.registry import PluginRegistry
from adapter.settings.model import DialectSettings
from adapter.settings.schema import DialectSchema
from adapter.settings.validation import Validator, hint

_RESERVED: Final = ("/v1", "/livez", "/readyz", "/metrics", "/openapi.json", "/docs")


def load_dialects(
    validator: Validator, raw: Mapping[str, Any], registry: PluginRegistry
) -> tuple[DialectSettings, ...]:
    """Return the enabled dialects that are installed; report what is wrong with `[dialects]`."""
    enabled = raw.get("enabled", [])
    if not isinstance(enabled, list) or not all(isinstance(name, str) for name in enabled):
        validator.report("dialects.enabled", "must be a list of names")
        enabled = []
    for name in map(str, raw):
        if name != "enabled" and name not in enabled:
            message = 'is configured, but not enabled; add it to "enabled", or remove the table'
            validator.report(f"dialects.{display_unknown_key(name)}", message)
    mounted: dict[str, str] = {}
    loaded = []
    for name in dict.fromkeys(enabled):
        registered = registry.find_dialect(name)
        if registered is None:
            validator.report("dialects.enabled", _describe_unknown(name, registry))
            continue
        table = validator.validate(DialectSchema, raw.get(name, {}), f"dialects.{name}")
        settings = DialectSettings(
            name,
            registered.cls,
            table.get("prefix", f"/dialects/{name}"),
            table.get("host"),
            tuple(table.get("cors_origins", ())),
        )
        _check_mount(validator, settings, mounted)
        loaded.append(settings)
    return tuple(loaded)


def _describe_unknown(name: str, registry: PluginRegistry) -> str:
    """Return the message for a dialect that cannot be enabled."""
    blocked = registry.find_blocked(name)
    if blocked is not None:
        return f"has {name}, whose plugin {blocked} is blocked; remove it from [plugins] blocked"
    known = sorted(registry.dialects)
    shown = ", ".join(known) or "none"
    if name in registry.providers:
        return f"has {name}, a provider that has no dialect; installed dialects are: {shown}"
    return f"has a name that is not an installed dialect{hint(name, known)}; installed are: {shown}"


def _check_mount(validator: Validator, settings: DialectSettings, mounted: dict[str, str]) -> None:
    """Report a dialect at an occupied prefix or host. `mounted` are the owners of the others."""
    path = f"dialects.{settings.name}"
    for place in (settings.prefix, settings.host):
        if place is not None:
            owner = mounted.setdefault(place, settings.name)
            if owner != settings.name:
                message = f"is mounted where {owner} already is; change its prefix or host"
                validator.report(path, message)
    for other, owner in mounted.items():
        if owner != settings.name and _is_nested(settings.prefix, other):
            message = f"overlaps with the prefix of {owner}; change one of them"
            validator.report(f"{path}.prefix", message)
    if any(f"{settings.prefix}/".startswith(f"{reserved}/") for reserved in _RESERVED):
        validator.report(f"{path}.prefix", "is reserved for the unified API; choose another")


def _is_nested(one: str, other: str) -> bool:
    """Whether one of two different paths is below the other."""
    return one != other and (one.startswith(other + "/") or other.startswith(one + "/"))
