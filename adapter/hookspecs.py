"""The hooks with which a plugin registers what it has. They never dispatch a call."""

from __future__ import annotations

from typing import Final

import pluggy

from adapter.dialect import Dialect
from adapter.provider import Provider

PROJECT: Final = "contact_adapter"
"""The name of the hooks' project, and of the entry-point group in which plugins are found."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def register_providers() -> list[type[Provider]]:  # type: ignore[empty-body]
    """Return the provider classes that this plugin brings. Called once per app."""


@hookspec
def register_dialects() -> list[type[Dialect]]:  # type: ignore[empty-body]
    """Return the dialect classes that this plugin brings. Called once per app."""
