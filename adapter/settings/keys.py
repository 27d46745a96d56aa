"""Load the API keys: the tables `[keys.<name>]`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from adapter.codes import Scope
from adapter.config_names import display_name
from adapter.secret import Secret
from adapter.settings.model import KeySettings
from adapter.settings.schema import KeySchema
from adapter.settings.validation import Validator

EVERY_ACCOUNT: Final = "*"


def load_keys(
    validator: Validator, tables: Iterable[tuple[str, Any]], accounts: set[str]
) -> tuple[KeySettings, ...]:
    """Return the valid API keys; report the others. `accounts` are all configured names."""
    loaded = [_load_key(validator, name, raw, accounts) for name, raw in tables]
    keys = tuple(key for key in loaded if key is not None)
    owners: dict[Secret, str] = {}
    for key in keys:
        owner = owners.setdefault(key.secret, key.name)
        if owner != key.name:
            validator.report(
                f"keys.{display_name(key.name)}.secret",
                f"is also the secret of {display_name(owner)}; give each key its own secret",
            )
    return keys


def _load_key(validator: Validator, name: str, raw: Any, accounts: set[str]) -> KeySettings | None:
    path = f"keys.{display_name(name)}"
    before = len(validator.problems)
    key = validator.validate(KeySchema, raw, path)
    listed = key.get("accounts") or []
    every = EVERY_ACCOUNT in listed
    allowed = accounts if every else set(listed)
    if every and len(listed) > 1:
        message = f'"{EVERY_ACCOUNT}" includes all accounts; remove the others'
        validator.report(f"{path}.accounts", message)
    if Scope.METRICS in key.get("scopes", ()) and not every:
        message = f'"metrics" covers every account; accounts must be ["{EVERY_ACCOUNT}"]'
        validator.report(f"{path}.scopes", message)
    for account in sorted(allowed):
        validator.require_account(f"{path}.accounts", account, accounts)
    default = key.get("default_account")
    validator.require_account(f"{path}.default_account", default, accounts)
    if default is not None and default not in allowed:
        message = "is not among the accounts of this key; add it there, or name another"
        validator.report(f"{path}.default_account", message)
    if len(validator.problems) > before:
        return None
    return KeySettings(name, key["secret"], frozenset(key["scopes"]), frozenset(allowed), default)
