"""Configurations for the tests of the settings, and their problems."""

from __future__ import annotations

from typing import Any

import pytest

from adapter.errors import ConfigurationError
from adapter.secret import Secret
from adapter.settings.loader import load_settings

OWN = "http://127.0.0.1:8000"
"""The address of this server."""
MEMORY = {"provider": "memory"}
CANARY = "canary-secret-4711"
"""A value that must not appear in any message."""


def wuts(**rest: Any) -> dict[str, Any]:
    """Return an account of a provider with a secret option and a default address."""
    return {"provider": "wuts", "token": Secret("token"), **rest}


def key(**rest: Any) -> dict[str, Any]:
    """Return an API key for the account `a`."""
    return {"secret": Secret("key"), "scopes": ["block"], "accounts": ["a"], **rest}


def one(account: Any = MEMORY, **rest: Any) -> dict[str, Any]:
    """Return a configuration with the account `a`."""
    return {"accounts": {"a": account}, **rest}


def problems(mapping: dict[str, Any], own_address: str | None = OWN) -> dict[str, str]:
    """Return the messages of an invalid configuration by path."""
    with pytest.raises(ConfigurationError) as caught:
        load_settings(mapping, own_address=own_address)
    found: dict[str, str] = {}
    for problem in caught.value.problems:
        assert f"{problem.path}: {problem.message}" in str(caught.value)
        assert problem.message.strip()
        found[problem.path] = f"{found.get(problem.path, '')} {problem.message}".strip()
    return found
