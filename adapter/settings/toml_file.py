"""Read a TOML configuration file."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from adapter.errors import ConfigurationError, Problem
from adapter.files import MAX_CONFIG, FileError, read_file


def read_toml(path: Path) -> dict[str, Any]:
    """Return what the file says; the files that it names are found from its own folder.

    Raises ConfigurationError where it cannot be read or is no TOML.
    """
    try:
        text = read_file(path, MAX_CONFIG).decode("utf-8")
        return _anchored(tomllib.loads(text), path.parent)
    except FileError as error:
        raise ConfigurationError([Problem(str(path), f"cannot be read: {error}")]) from None
    except UnicodeDecodeError as error:
        message = f"is no TOML: it is not text in UTF-8 (byte {error.start})"
        raise ConfigurationError([Problem(str(path), message)]) from None
    except ValueError as error:  # TOMLDecodeError; a number of thousands of digits
        message = f"is no TOML: {_explain_toml(str(error))}"
        raise ConfigurationError([Problem(str(path), message)]) from None
    except RecursionError:
        raise ConfigurationError([Problem(str(path), "is nested too deep")]) from None


def _explain_toml(text: str) -> str:
    """Return what is wrong, and where, without what stands there: it may be a secret."""
    twice = text.startswith(("Cannot ", "Duplicate "))
    what = "a key or table stands there twice" if twice else "what stands there cannot be read"
    place = re.search(r"\(at (line [0-9]+, column [0-9]+|end of document)\)\Z", text)
    return f"{what} ({place[1] if place else 'somewhere'})"


def _anchored(table: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the table with the relative paths under `file` and `ca_file` made absolute."""
    for key, value in table.items():
        if isinstance(value, dict):
            _anchored(value, folder)
        elif isinstance(value, str) and (key == "ca_file" or (key == "file" and len(table) == 1)):
            table[key] = str(folder.absolute() / value)
    return table
