"""Write the tables of the README from the code. `make readme` runs this; a test compares."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from adapter.providers.memory import MAGIC_NUMBERS

from adapter import Action, Code
from adapter.plugins import load_plugins

README = Path(__file__).parent.parent / "README.md"


def _table(titles: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    titles = list(titles)
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def codes() -> str:
    """Return the one table."""
    return _table(
        ("code", "HTTP", "retry", "outcome", "when"),
        (
            (
                f"`{code.value}`",
                str(code.http_status),
                code.retry.value,
                code.applied.value,
                code.when,
            )
            for code in Code
        ),
    )


def providers() -> str:
    """Return what each built-in provider can do."""
    registry = load_plugins()
    return _table(
        ("provider", *(action.value for action in Action), "session in", "success is", "dialect"),
        (
            (
                f"[{each.part.title}]({each.part.documentation}) `{name}`"
                if each.part.documentation
                else f"{each.part.title} `{name}`",
                *("yes" if action in each.part.actions() else "no" for action in Action),
                each.part.addressing.value,
                f"`{each.part.confirmation.value}`",
                "yes" if name in registry.dialects else "no",
            )
            for name, each in sorted(registry.providers.items())
        ),
    )


def magic_numbers() -> str:
    """Return the numbers with which every code can be had."""
    return _table(
        ("number", "code"),
        (
            (f"`+{number[0]} {number[1:4]} {number[4:7]} {number[7:]}`", f"`{code.value}`")
            for number, code in MAGIC_NUMBERS.items()
        ),
    )


TABLES: dict[str, Callable[[], str]] = {
    "codes": codes,
    "providers": providers,
    "magic numbers": magic_numbers,
}


def render(text: str) -> str:
    """Return the README with its tables written anew."""
    for name, write in TABLES.items():
        pattern = re.compile(rf"(<!-- table: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        place = pattern.search(text)
        if place is None:
            raise SystemExit(f"the README has no place for the table {name!r}")
        text = f"{text[: place.start()]}{place[1]}{write()}\n{place[2]}{text[place.end() :]}"
    return text


if __name__ == "__main__":
    README.write_text(render(README.read_text("utf-8")), "utf-8")
