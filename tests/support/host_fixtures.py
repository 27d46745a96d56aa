"""Fixtures of the embedding tests: `pytest_plugins = ["support.host_fixtures"]`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from adapter import ContactAdapter
from adapter.web.extension import ExtensionState
from support.host_calls import CONFIG, Responses, responses
from support.hosts import Mount, empty_app


@pytest.fixture
def mount() -> Iterator[Mount]:
    """Return a function that adds the extension to an app; its service is closed after the test."""
    apps: list[Flask] = []

    def add(app: Flask, config: Any = CONFIG, **rest: Any) -> ContactAdapter:
        apps.append(app)
        return ContactAdapter(app, config, **rest)

    yield add
    for app in apps:
        for each in app.extensions.values():
            if isinstance(each, ExtensionState):
                each.service.close()


@pytest.fixture(scope="module")
def baseline() -> Responses:
    """Return the responses of the extension in an app without pages."""
    app = empty_app()
    ContactAdapter(app, CONFIG)
    return responses(app)
