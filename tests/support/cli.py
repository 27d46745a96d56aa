"""Runs of the command line, in this process and as a separate process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from click.testing import Result

from adapter.cli import main
from support import cli_runner

COMMAND = Path(sys.executable).with_name("contact-adapter")
MASKED = "551*******999"
MEMORY = '[accounts.support]\nprovider = "memory"\n'


def run(*arguments: str) -> Result:
    return cli_runner().invoke(main, arguments)


def run_installed(*arguments: str, **changes: Any) -> subprocess.CompletedProcess[str]:
    """Run the installed command as a separate process."""
    return subprocess.run(
        [COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        **changes,
    )


def on_path(folder: Path) -> str:
    """Return the import path of this process with the folder added to it."""
    return os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(folder)]))


def wuts_at(address: str) -> str:
    return (
        '[accounts.support]\nprovider = "wuts"\ntoken = { env = "WUTS_TOKEN" }\n'
        f'base_url = "{address}"\n'
    )
