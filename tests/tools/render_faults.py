"""Write tests/FAULTS.md from the fault matrix. `make readme` runs this; a test compares."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from support.faults import OTHER_ROWS, Row
from support.server_faults import SERVER_FAULTS
from support.setup_faults import SETUP_FAULTS

from adapter import Applied, Code

PAGE = Path(__file__).parents[1] / "FAULTS.md"
PROVIDERS = ("wuts", "wappfy", "session-gateway")

_HEAD = """\
# Faults, and the code of each

Each row is played over real sockets, for each of three providers, by
`tests/transport/test_faults.py`. `make readme` writes this page (`tests/tools/render_faults.py`)
from the tests' table. Do not edit it.

*Outcome*: whether the command took effect; `not_applied` only where that is certain. *Attempts*:
the attempts that were begun, the first included; 0 means that nothing was sent. A row that names
providers is for those alone.

All of them end within the deadline. One thing can outlast it: the operating system's own look-up of
a host name, after which the call is `provider_unreachable`, and nothing was sent.
"""


def lines(row: Row) -> Iterator[str]:
    """Give the lines of a row: one for each group of providers with the same outcome."""
    groups: dict[tuple[Code | None, int], list[str]] = {}
    for provider in PROVIDERS:
        seen = (row.expected(provider), row.expected_attempts(provider))
        groups.setdefault(seen, []).append(provider)
    for (code, attempts), providers in groups.items():
        who = "" if len(groups) == 1 else f" ({', '.join(f'`{name}`' for name in providers)})"
        if code is None:
            cells = ("success", "200", Applied.APPLIED.value)
        else:
            cells = (f"`{code.value}`", str(code.http_status), code.applied.value)
        yield f"| {' | '.join((row.name + who, *cells, str(attempts)))} |"


def table(rows: Iterable[Row]) -> str:
    """Return the table of the rows."""
    head = (
        "| what goes wrong | code | HTTP | outcome | attempts |",
        "| --- | --- | --- | --- | --- |",
    )
    return "\n".join((*head, *(line for row in rows for line in lines(row))))


def page() -> str:
    """Return the whole page."""
    return (
        f"{_HEAD}\n## The provider's answer\n\n{table(SERVER_FAULTS)}\n"
        f"\n## The way to it, and our own bounds\n\n{table((*SETUP_FAULTS, *OTHER_ROWS))}\n"
    )


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
