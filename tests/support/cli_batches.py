"""Batches on the command line: their configuration, their files, and their processes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from support.batches import FIRST, TOKEN_VARIABLE
from support.block_list_server import BlockListServer
from support.cli import COMMAND

NUMBERS = [str(FIRST + index) for index in range(10)]


def config_text(url: str, provider: BlockListServer, more: str = "") -> str:
    return (
        '[accounts.support]\nprovider = "wuts"\nverify = "never"\n'
        f'token = {{ env = "{TOKEN_VARIABLE}" }}\nbase_url = "{provider.address}"\n{more}'
        f'[ledger]\nurl = "{url}"\n'
    )


def write_csv(path: Path, *lines: str) -> str:
    """Write a CSV of these lines, by default of all numbers; return its path."""
    path.write_text("\n".join(["number,reason", *(lines or NUMBERS)]) + "\n")
    return str(path)


def documents(text: str) -> list[dict[str, Any]]:
    """Return the documents of the lines."""
    return [json.loads(line) for line in text.splitlines()]


def start(config: str, path: str, *more: str) -> subprocess.Popen[str]:
    """Begin a batch in a process of its own."""
    return subprocess.Popen(
        [COMMAND, "batch", "block", path, "--config", config, *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
