"""What an installation has and what it is configured for, as data for callers and for a shell."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from adapter.account import Account
from adapter.codes import Action
from adapter.settings.model import Settings


def describe_accounts(accounts: Iterable[Account]) -> list[dict[str, Any]]:
    """Return the accounts: name, provider, and what can be done."""
    return [
        {
            "name": account.name,
            "provider": account.provider.name,
            "actions": write_actions(account.provider.actions()),
        }
        for account in accounts
    ]


def describe_plugins(settings: Settings, *, in_full: bool = False) -> dict[str, Any]:
    """Return the installed providers and dialects, and the plugins that are broken.

    A plugin whose name another one has is among the broken ones too. The reason is the kind of the
    exception, and its text only `in_full`: a third party's text may hold anything, and is for the
    operator alone. All plugins are imported for it, those that no account uses included.
    """
    registry = settings.registry
    mounted = {dialect.name: dialect for dialect in settings.dialects}
    return {
        "providers": [
            {
                "name": name,
                "title": each.part.title,
                "origin": each.plugin.origin,
                "actions": write_actions(each.part.actions()),
                "session": each.part.addressing.value,
                "contacts": [form.value for form in each.part.contact_forms],
                "confirmation": each.part.confirmation.value,
                "dialect": name in registry.dialects,
                "documentation": each.part.documentation,
                "proven": each.part.proven,
            }
            for name, each in sorted(registry.providers.items())
        ],
        "dialects": [
            {
                "name": name,
                "origin": each.plugin.origin,
                "prefix": mounted[name].prefix if name in mounted else None,
                "host": mounted[name].host if name in mounted else None,
            }
            for name, each in sorted(registry.dialects.items())
        ],
        "broken": [
            {
                "name": broken.plugin.name,
                "origin": broken.plugin.origin,
                "reason": broken.reason if in_full else type(broken.error).__name__,
            }
            for broken in registry.broken
        ]
        + [
            {
                "name": loser.name,
                "origin": loser.origin,
                "reason": str(clash) if in_full else "Clash",
            }
            for clash in registry.clashes
            for loser in clash.losers
        ],
    }


def write_actions(actions: frozenset[Action]) -> list[str]:
    """Return the actions in the order of their list."""
    return [action.value for action in Action if action in actions]
