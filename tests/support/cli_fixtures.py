"""Fixtures of the command line tests: `pytest_plugins = ["support.cli_fixtures"]`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from support import Upstream
from support.cli import wuts_at


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], str]:
    """Return a function that writes a configuration and returns its path."""

    def write(text: str) -> str:
        path = tmp_path / "adapter.toml"
        path.write_text(text)
        return str(path)

    return write


@pytest.fixture
def wuts(
    write: Callable[[str], str], upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, Upstream]:
    monkeypatch.setenv("WUTS_TOKEN", "the-token")
    return write(wuts_at(upstream.address)), upstream
