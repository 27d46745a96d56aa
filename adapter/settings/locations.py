"""The places outside of the configuration: its file, the folder of our own files, and addresses."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Final

from adapter.errors import ConfigurationError, ConfigurationProblem

CONFIG_VARIABLE: Final = "CONTACT_ADAPTER_CONFIG"
"""The environment variable that names the configuration file."""

MULTIPROCESS_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable of prometheus_client for the folder where workers share their metrics.

It is defined here, since it is needed before prometheus_client is imported.
"""

DEFAULT_ADDRESS: Final = "http://127.0.0.1:8000"
"""The default URL of a server."""


def config_folder() -> Path:
    """Return the folder `config`: in an installed package, or beside it in a checkout."""
    package = Path(__file__).parent.parent
    installed = package / "config"
    return installed if (installed / "sandbox.toml").is_file() else package.parent / "config"


def sandbox_path() -> Path:
    """Return the configuration of the sandbox."""
    return config_folder() / "sandbox.toml"


def sandbox_ledger_path(port: int | None) -> Path:
    """Return the file with the ledger of the sandbox's server on this port.

    It is in a folder of the user's own below the system's folder of temporary files.
    """
    return Path(tempfile.gettempdir()) / f"contact-adapter-{os.getuid()}" / f"sandbox-{port}.db"


def find_config(given: str | Path | None = None) -> Path:
    """Return the configuration file: the given one, else the environment's, else the sandbox.

    Raises ConfigurationError for an empty environment variable.
    """
    named = given if given is not None else os.environ.get(CONFIG_VARIABLE)
    if named == "":
        raise ConfigurationError(
            [ConfigurationProblem(CONFIG_VARIABLE, "is empty; name a file, or unset it")]
        )
    return Path(named) if named is not None else sandbox_path()
