"""Load the settings of a configuration, and report all of its problems together."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from adapter.errors import ConfigurationError
from adapter.registry import load_plugins
from adapter.settings.account_names import AccountNames
from adapter.settings.accounts import AccountLoader, check_aliases
from adapter.settings.dialects import load_dialects
from adapter.settings.fallbacks import check_fallbacks
from adapter.settings.keys import load_keys
from adapter.settings.loops import check_loops
from adapter.settings.model import LedgerSettings, LogSettings, QueueSettings, Settings
from adapter.settings.schema import TopSchema
from adapter.settings.validation import Validator


def load_settings(mapping: Mapping[str, Any], *, own_address: str | None = None) -> Settings:
    """Return the settings of a configuration, with the plugins that it needs.

    `own_address` is the address at which this server will listen; a `base_url` of
    `{ self = "/path" }` is a path on it.

    Raises ConfigurationError with all problems that were found, and PluginError for a selected
    plugin that is broken, or for a selected name that several third-party plugins register.
    """
    validator = Validator()
    top = validator.validate(TopSchema, mapping, "")
    registry = load_plugins((top.get("plugins") or {}).get("blocked", ()))
    tables = _tables(mapping.get("accounts"))
    names = {name for name, _ in tables}
    account_loader = AccountLoader(validator, registry, top.get("transport") or {}, own_address)
    accounts = {
        name: account
        for name, raw in tables
        if (account := account_loader.load(name, raw)) is not None
    }
    if mapping.get("accounts") == {}:
        validator.report("accounts", "is empty; configure at least one account")
    check_aliases(validator, accounts.values(), names)
    check_fallbacks(validator, accounts, names)
    keys = load_keys(validator, _tables(mapping.get("keys")), names)
    dialects = load_dialects(validator, top.get("dialects") or {}, registry)
    account_names = AccountNames(dict.fromkeys(names, ()), top.get("default_account") or None)
    default = account_names.default_for()
    validator.require_account("default_account", default, names)
    if validator.problems:
        raise ConfigurationError(validator.problems)
    settings = Settings(
        accounts=MappingProxyType(accounts),
        keys=keys,
        dialects=dialects,
        default_account=default,
        default_region=top.get("default_region"),
        log=LogSettings(**(top.get("log") or {})),
        registry=registry,
        ledger=LedgerSettings(**top["ledger"]) if top.get("ledger") else None,
        queue=QueueSettings(**top["queue"]) if top.get("queue") else None,
    )
    if settings.queue is not None and settings.ledger is None:
        validator.report("queue", "needs a ledger, which holds the batches; configure [ledger] url")
    check_loops(validator, settings, own_address)
    if validator.problems:
        raise ConfigurationError(validator.problems)
    return settings


def _tables(raw: Any) -> list[tuple[str, Any]]:
    """Return the tables by their names; none for anything that is not a table of tables."""
    return [(str(name), value) for name, value in raw.items()] if isinstance(raw, Mapping) else []
