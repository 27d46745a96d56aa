"""Write FAULTS.md from the fault matrix. Run it after a change of the table; a test compares."""

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
# What goes wrong, and what it becomes

Every row is played over real sockets, for each of the three providers with a wire
(`tests/test_faults.py`). This page is written from the table of the tests by
`tests/render_faults.py`; do not edit it.

*Outcome* says whether the command took effect: `not_applied` stands only where that is certain.
*Attempts* counts the attempts that were begun, the first included; 0 means that nothing was sent.
A row that names providers holds for those alone.

All of them end by the deadline. One thing can outlast it: the operating system's own look-up of a
host name, after which the call is `provider_unreachable`, and nothing was sent.
"""


def lines(row: Row) -> Iterator[str]:
    """Write a row: one line, or one for each group of providers that see it alike."""
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
    """Write a table of rows."""
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
