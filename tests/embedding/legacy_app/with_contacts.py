"""The legacy app with the extension in it: what somebody adds who wants to block a customer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Flask

import legacy_app
from adapter import ContactAdapter, Secret

CONTACTS: dict[str, Any] = {
    "accounts": {"support": {"provider": "memory", "aliases": ["my-session"]}},
    "keys": {"crm": {"secret": Secret("k"), "scopes": ["block", "read"], "accounts": ["*"]}},
    "dialects": {"enabled": ["wuts", "wappfy", "session-gateway"]},
}

contacts = ContactAdapter()


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Return the legacy app, and our API in it."""
    app = legacy_app.create_app(config)
    contacts.init_app(app, CONTACTS)
    return app
