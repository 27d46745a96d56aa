"""The blanks of a package that `contact-adapter new-provider` has written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from adapter.testing.reporting import shown_path

_NAMED: Final = re.compile(r"\bBLANK \w+: ")


def find_blanks(folder: Path) -> list[str]:
    """Return the lines of a package that describe a blank, each with its file and number.

    Once all descriptions are deleted, they are the lines that still hold the word BLANK.
    """
    files = [*sorted(folder.glob("*.py")), *sorted(folder.glob("tests/answers/*/*.json"))]
    blanks = [
        f"{file.relative_to(folder)}:{number}: {line.strip()}"
        for file in files
        for number, line in enumerate(file.read_text("utf-8").splitlines(), 1)
        if "BLANK" in line
    ]
    return [blank for blank in blanks if _NAMED.search(blank)] or blanks


def require_no_blanks(folder: Path) -> None:
    """Raise AssertionError with every blank that is left in the package."""
    __tracebackhide__ = True  # pytest then shows the list in place of this line
    prefix = "" if folder.absolute() == Path.cwd() else f"{shown_path(folder)}/"
    blanks = [f"{prefix}{each}" for each in find_blanks(folder)]
    if blanks:
        raise AssertionError("\n".join([f"{len(blanks)} blanks are left:", *blanks]))
