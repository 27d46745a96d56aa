"""Read a TOML configuration file."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, Final

from adapter.errors import ConfigurationError, ConfigurationProblem
from adapter.files import MAX_CONFIG, FileError, read_file
from adapter.settings.database_url import anchor_sqlite

_BYTE_ORDER_MARK: Final = (
    "is not valid TOML: it begins with a byte order mark; save it as UTF-8 without one"
)


def read_toml(path: Path) -> dict[str, Any]:
    """Return the content of the file; relative paths in it are resolved from its folder.

    Raises ConfigurationError if it cannot be read or is not valid TOML.
    """
    try:
        text = read_file(path, MAX_CONFIG).decode("utf-8")
        if text.startswith("\ufeff"):
            raise ConfigurationError([ConfigurationProblem(str(path), _BYTE_ORDER_MARK)])
        return _anchored(tomllib.loads(text), path.parent)
    except FileError as error:
        raise ConfigurationError(
            [ConfigurationProblem(str(path), f"cannot be read: {error}")]
        ) from None
    except UnicodeDecodeError as error:
        message = f"is not valid TOML: it is not text in UTF-8 (byte {error.start})"
        raise ConfigurationError([ConfigurationProblem(str(path), message)]) from None
    except ValueError as error:  # TOMLDecodeError, or an integer of thousands of digits
        message = f"is not valid TOML: {_explain_toml(str(error))}"
        raise ConfigurationError([ConfigurationProblem(str(path), message)]) from None
    except RecursionError:
        raise ConfigurationError([ConfigurationProblem(str(path), "is nested too deep")]) from None


def _explain_toml(text: str) -> str:
    """Return the error and its position, without the text there: it may be a secret."""
    twice = text.startswith(("Cannot ", "Duplicate "))
    what = "a key or table is defined twice" if twice else "the text cannot be parsed"
    place = re.search(r"\(at (line [0-9]+, column [0-9]+|end of document)\)\Z", text)
    return f"{what} ({place[1] if place else 'position unknown'})"


def _anchored(table: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the table with its relative paths made absolute.

    Those are the values of `file` and `ca_file`, and the file in the URL of an SQLite database.
    """
    for key, value in table.items():
        if isinstance(value, dict):
            _anchored(value, folder)
        elif isinstance(value, str) and (key == "ca_file" or (key == "file" and len(table) == 1)):
            table[key] = str(folder.absolute() / value)
        elif isinstance(value, str) and key == "url":
            table[key] = anchor_sqlite(value, folder)
    return table
