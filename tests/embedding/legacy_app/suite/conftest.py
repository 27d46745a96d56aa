"""What the legacy app's tests share. Another factory of the same app may be named from outside."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from legacy_app.db import create_tables

FACTORY = os.environ.get("LEGACY_FACTORY", "legacy_app:create_app")


@pytest.fixture(scope="session")
def create_app() -> Callable[..., Flask]:
    module, _, name = FACTORY.partition(":")
    return getattr(import_module(module), name)


@pytest.fixture
def app(create_app: Callable[..., Flask], tmp_path: Path) -> Flask:
    app = create_app({"TESTING": True, "DATABASE": str(tmp_path / "legacy.sqlite")})
    with app.app_context():
        create_tables()
    return app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def user(client: FlaskClient) -> FlaskClient:
    """Return a client that has logged in."""
    form = {"name": "rosa", "password": "flor"}
    client.post("/auth/register", data=form)
    assert client.post("/auth/login", data=form).status_code == 302
    return client
