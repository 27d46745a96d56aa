"""Write the tables of the README from the code. `make readme` runs this; a test compares."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from adapter.providers.memory import MAGIC_NUMBERS

from adapter import Action, Code, LocalProvider, Provider
from adapter.registry import load_plugins

README = Path(__file__).parent.parent / "README.md"


def table(titles: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table in Markdown."""
    titles = list(titles)
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def codes() -> str:
    """Return the one table."""
    return table(
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
    """Return what each built-in provider can do, and how it does it."""
    registry = load_plugins()
    return table(
        (
            *("provider", *(action.value for action in Action), "dialect"),
            *("session in", "contacts as", "success is", "proven"),
        ),
        (
            (
                f"[{each.part.title}]({each.part.documentation}) `{name}`"
                if each.part.documentation
                else f"{each.part.title} `{name}`",
                *("yes" if action in each.part.actions() else "no" for action in Action),
                "yes" if name in registry.dialects else "no",
                each.part.addressing.value,
                ", ".join(f"`{form.value}`" for form in each.part.contact_forms),
                f"`{each.part.confirmation.value}`",
                proven(each.part),
            )
            for name, each in sorted(registry.providers.items())
        ),
    )


def proven(provider: type[Provider]) -> str:
    """Return the day on which a provider was last proven by its live service."""
    return "not needed" if issubclass(provider, LocalProvider) else provider.proven or "not yet"


def magic_numbers() -> str:
    """Return the numbers with which every code can be had."""
    return table(
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
