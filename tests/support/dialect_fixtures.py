"""Fixtures of the dialect tests: `pytest_plugins = ["support.dialect_fixtures"]`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import MakeApp
from flask.testing import FlaskClient

from adapter.web.app import create_app
from support import (
    SESSION,
    Upstream,
    account_for,
    run_app,
    run_upstream,
)
from support.dialect_calls import front_config


@pytest.fixture
def make_front(make_app: MakeApp) -> Callable[..., FlaskClient]:
    """Return a function that makes a client of all dialects in front of a memory account."""

    def make(**rest: Any) -> FlaskClient:
        account = {"provider": "memory", "aliases": [SESSION]}
        config = {**front_config(("support", account)), "default_account": "support", **rest}
        return make_app(config, allow_unauthenticated=False).test_client()

    return make


@pytest.fixture
def front(make_front: Callable[..., FlaskClient]) -> FlaskClient:
    return make_front()


@pytest.fixture(scope="module")
def shared() -> FlaskClient:
    """Return such a client, shared by tests that do not change its block list."""
    account = {"provider": "memory", "aliases": [SESSION]}
    config = {**front_config(("support", account)), "default_account": "support"}
    return create_app(config).test_client()


@pytest.fixture(scope="module")
def _recorded() -> Iterator[tuple[str, Upstream]]:
    with run_upstream() as upstream:
        account = {**account_for("wuts", upstream.address), "aliases": [SESSION]}
        config = front_config(("support", account))
        with run_app(lambda _: create_app(config)) as address:
            yield address, upstream


@pytest.fixture
def recorded(_recorded: tuple[str, Upstream]) -> tuple[str, Upstream]:
    _recorded[1].connections = 0
    return _recorded
