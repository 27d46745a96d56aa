"""Accounts, providers, dialects and broken plugins, as data for the HTTP API and the CLI."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from adapter.account import Account
from adapter.codes import Action
from adapter.containment import contain
from adapter.fallback import offered_actions
from adapter.settings.model import Settings


def describe_accounts(accounts: Iterable[Account]) -> list[dict[str, Any]]:
    """Return name, provider and actions of each account."""
    return [
        {
            "name": account.name,
            "provider": account.provider.name,
            "actions": list_actions(offered_actions(account)),
        }
        for account in accounts
    ]


def describe_plugins(settings: Settings, *, in_full: bool = False) -> dict[str, Any]:
    """Return the installed providers and dialects, and the broken plugins.

    The broken plugins include those whose name clashes with another one. The reason is the kind of
    the exception; with `in_full` it is the text as well, which may hold anything that a
    third-party plugin puts there, and is for the operator alone. Imports every plugin, also those
    that no account uses.
    """
    registry = settings.registry
    mounted = {dialect.name: dialect for dialect in settings.dialects}
    return {
        "providers": [
            {
                "name": name,
                "title": each.cls.title,
                "origin": each.plugin.origin,
                "actions": list_actions(contain(each.cls.offered_actions)),
                "verifiable": each.cls.verifiable().value,
                "session": each.cls.session_location.value,
                "contacts": [form.value for form in each.cls.contact_forms],
                "confirmation": each.cls.confirmation.value,
                "dialect": name in registry.dialects,
                "documentation": each.cls.documentation,
                "proven": each.cls.verified_on,
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


def list_actions(actions: frozenset[Action]) -> list[str]:
    """Return the actions in the order of the enum."""
    return [action.value for action in Action if action in actions]
