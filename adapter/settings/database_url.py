"""Check the URLs of the ledger's database and of the queue, without the libraries for them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from adapter.secret import Secret

SQLITE: Final = "sqlite:///"
"""The beginning of a URL whose rest is the path of an SQLite file."""

_POSTGRESQL: Final = re.compile(
    r"postgresql(?:\+psycopg)?://(?:(?P<login>[^@/?#]*)@)?(?:[^@/?#:]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?/[^@/?#]+(?:\?(?P<query>[^#]*))?"
)


def find_url_fault(given: str | Secret) -> str | None:
    """Return what is wrong with the URL; None for a good one. The text never repeats the URL."""
    url = given.reveal() if isinstance(given, Secret) else given
    if url.startswith(SQLITE):
        path = url.removeprefix(SQLITE)
        if not path or "?" in path or path.startswith((":", "file:")):
            return "must name a file after sqlite:///, without options; memory is not durable"
        return None
    match = _POSTGRESQL.fullmatch(url)
    if match is None:
        return "must be sqlite:///path/of/a/file.db or postgresql+psycopg://user@host/database"
    has_password = ":" in (match["login"] or "") or "password" in (match["query"] or "")
    if has_password and not isinstance(given, Secret):
        return 'a password is a secret; give the whole URL as { env = "NAME" }'
    return None


_REDIS: Final = re.compile(
    r"(?:rediss?://(?:(?P<login>[^@/?#]*)@)?[^@/?#]+(?:/[0-9]{1,5})?|unix://(?:(?P<socket>[^@/?#]*)@)?/[^?#]+)"
    r"(?:\?(?P<query>[^#]*))?"
)


def find_queue_fault(given: str | Secret) -> str | None:
    """Return what is wrong with the URL of a queue; None for a good one. No URL is repeated."""
    url = given.reveal() if isinstance(given, Secret) else given
    if url.startswith("postgresql"):
        return find_url_fault(given)
    match = _REDIS.fullmatch(url)
    if match is None:
        return "must be redis://host:6379/0 or postgresql://user@host/database"
    login = (match["login"] or "") + (match["socket"] or "")
    has_password = ":" in login or "password" in (match["query"] or "")
    if has_password and not isinstance(given, Secret):
        return 'a password is a secret; give the whole URL as { env = "NAME" }'
    return None


def anchor_sqlite(url: str, folder: Path) -> str:
    """Return the URL with the relative path of an SQLite file resolved from the folder."""
    path = url.removeprefix(SQLITE)
    if path == url or not path or path.startswith((":", "file:")):
        return url
    return SQLITE + str(folder.absolute() / path)
