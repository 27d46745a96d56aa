"""Fixtures of batches on the command line; a test module names them in its `pytest_plugins`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from support.block_list_server import BlockListServer
from support.cli_batches import config_text, write_csv


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.db'}"


@pytest.fixture
def batch_config(write: Callable[[str], str], sqlite_url: str, provider: BlockListServer) -> str:
    """Return the path of a configuration of the provider's account, with a ledger."""
    return write(config_text(sqlite_url, provider))


@pytest.fixture
def paced_config(write: Callable[[str], str], sqlite_url: str, provider: BlockListServer) -> str:
    """Return the same, with two rows a second."""
    pace = "[accounts.support.pace]\nper_minute = 120\n"
    return write(config_text(sqlite_url, provider, pace))


@pytest.fixture
def batch_file(tmp_path: Path) -> Callable[..., str]:
    """Return a function that writes a CSV and returns its path."""
    return partial(write_csv, tmp_path / "people.csv")
