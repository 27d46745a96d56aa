"""Write the tables of the pages from the code. `make readme` runs this; a test compares."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from tempfile import TemporaryDirectory

import click
from adapter.providers.memory import (
    LISTED_BY_LID,
    MAGIC_NUMBERS,
    NOT_EFFECTIVE,
    NOT_ON_WHATSAPP,
    WITH_NINTH_DIGIT,
)
from support.pages import find_pages

from adapter import Action, Code, Secret, create_app
from adapter.cli import main
from adapter.codes import FOLLOWED_BY_FALLBACK
from adapter.error_rules import HTTP_STATUS_RULES
from adapter.plugin import LocalProvider, Provider
from adapter.readings import Unverified
from adapter.registry import load_plugins
from adapter.web.app import service_state
from tools import render_verified

_PLACE = re.compile(r"(<!-- table: ([a-z ]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table(titles: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table in Markdown."""
    titles = list(titles)
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def codes() -> str:
    """Return the table of the codes."""
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


def fallback_codes() -> str:
    """Return the codes after which a fallback is called, with the reasons."""
    return table(
        ("code", "why the fallback may do what the account cannot"),
        ((f"`{code.value}`", reason) for code, reason in FOLLOWED_BY_FALLBACK.items()),
    )


def providers() -> str:
    """Return what each built-in provider supports, and how."""
    registry = load_plugins()
    return table(
        (
            *("provider", *(action.value for action in Action), "dialect"),
            *("session in", "contacts as", "success is", "verifiable", "seen live"),
        ),
        (
            (
                f"[{each.cls.title}]({each.cls.documentation}) `{name}`"
                if each.cls.documentation
                else f"{each.cls.title} `{name}`",
                *(supported(each.cls, action) for action in Action),
                "yes" if name in registry.dialects else "no",
                each.cls.session_location.value,
                ", ".join(f"`{form.value}`" for form in each.cls.contact_forms),
                f"`{each.cls.confirmation.value}`",
                each.cls.verifiable().value,
                seen_live(each.cls),
            )
            for name, each in sorted(registry.providers.items())
        ),
    )


def supported(provider: type[Provider], action: Action) -> str:
    """Return whether the provider has the action, of its own or by its list."""
    if action in provider.actions():
        return "yes"
    return "by list" if action in provider.offered_actions() else "no"


def seen_live(provider: type[Provider]) -> str:
    """Return the day on which the live service last answered as recorded."""
    return (
        "not needed" if issubclass(provider, LocalProvider) else provider.verified_on or "not yet"
    )


def magic_numbers() -> str:
    """Return the sandbox's number for each code."""
    return table(
        ("number", "code"),
        ((_spaced(number), f"`{code.value}`") for number, code in MAGIC_NUMBERS.items()),
    )


def numbers_for_reads() -> str:
    """Return the sandbox's numbers for lookups, states and changes that are read back."""
    ninth = f"{WITH_NINTH_DIGIT[:2]} {WITH_NINTH_DIGIT[2:4]} {WITH_NINTH_DIGIT[4:]}"
    return table(
        ("number", "what the reads show"),
        (
            (_spaced(NOT_ON_WHATSAPP), "a lookup: it is not on WhatsApp"),
            (_spaced(NOT_EFFECTIVE), "a change is accepted, and not made: `not_effective`"),
            (_spaced(LISTED_BY_LID), "the list has its LID alone: `only_lids`, for all contacts"),
            (f"`+{ninth}`", "a lookup: WhatsApp has it without the ninth digit"),
        ),
    )


def _spaced(number: str) -> str:
    return f"`+{number[0]} {number[1:4]} {number[4:7]} {number[7:]}`"


def verified_reasons() -> str:
    """Return the reasons why a read shows nothing."""
    return table(
        ("reason", "when"),
        ((f"`{reason.value}`", reason.when) for reason in Unverified),
    )


def http_statuses() -> str:
    """Return what HTTP's own statuses mean, below the rules of every provider."""
    return table(("status", "the provider's own error", "any other page"), _shared_rules())


def _shared_rules() -> Iterator[tuple[str, ...]]:
    for status in sorted({rule.status for rule in HTTP_STATUS_RULES}):
        rows = [rule for rule in HTTP_STATUS_RULES if rule.status == status]
        others = [rule for rule in rows if rule.any_sender] or [
            rule
            for rule in HTTP_STATUS_RULES
            if rule.any_sender and rule.status == status // 100 * 100
        ]
        own = rows[0].code
        unknown = " (`provider_error` with an unknown provider code)"
        rest = ", other 5xx" if status == 500 else ""
        yield (
            f"{status}{rest}",
            f"`{own.value}`{unknown if own.value == 'target_rejected' else ''}",
            f"`{others[0].code.value}`",
        )
    yield "other 4xx", "`provider_error`", "`provider_misaddressed`"


def commands() -> str:
    """Return the commands of the command line, with their options and their help."""
    return table(
        ("command", "options", "purpose"),
        (
            (
                f"`{' '.join(('contact-adapter', name, *_arguments(command)))}`",
                " ".join(f"`{option}`" for option in _options(command)),
                " ".join((command.help or "").split()),
            )
            for name, command in all_commands()
        ),
    )


def all_commands() -> Iterator[tuple[str, click.Command]]:
    """Return the commands with their names, such as `db upgrade` for one of a group."""
    for name, command in main.commands.items():
        if isinstance(command, click.Group):
            yield from ((f"{name} {each}", of) for each, of in command.commands.items())
        else:
            yield name, command


def _arguments(command: click.Command) -> Iterator[str]:
    for each in command.params:
        if isinstance(each, click.Argument):
            name = (each.name or "").upper()
            yield name if each.required or each.nargs != 1 else f"[{name}]"


def _options(command: click.Command) -> Iterator[str]:
    for each in command.params:
        if isinstance(each, click.Option):
            yield each.opts[0]


def metrics() -> str:
    """Return the metrics, as a server shows them after a call that was retried, and the reads."""
    account = {"provider": "wuts", "base_url": "http://127.0.0.1:1", "token": Secret("a-token")}
    with_fallback = {**account, "fallback": "memory"}
    accounts = {"support": account, "memory": {"provider": "memory"}, "other": with_fallback}
    memory = {"account": "memory"}
    number = "+55 11 99999-9999"
    with TemporaryDirectory() as folder:
        config = {
            "accounts": accounts,
            "default_account": "support",
            "ledger": {"url": f"sqlite:///{folder}/ledger.db"},
        }
        app = create_app(config, allow_unauthenticated=True)
        client = app.test_client()
        client.post("/v1/contacts/block", json={"number": number, "verify": True, **memory})
        client.post("/v1/contacts/lookup", json={"numbers": [number], **memory})
        client.post("/v1/contacts/block", json={"number": "+55 11 99999-9999"})
        client.post("/v1/contacts/block", json={"number": number, "account": "other"})
        text = client.get("/metrics").text
        service_state(app).contacts.close()
    return table(("metric", "labels", "meaning"), _metrics(text))


def _metrics(text: str) -> Iterator[tuple[str, ...]]:
    for name, meaning in re.findall(r"^# HELP (\w+) (.*)$", text, re.MULTILINE):
        if name.endswith("_created"):
            continue
        shown = re.search(rf"^{name}(?:_bucket)?\{{(.*?)\}}", text, re.MULTILINE)
        labels = re.findall(r"(\w+)=", shown[1] if shown else "")
        listed = ", ".join(f"`{label}`" for label in labels if label != "le")
        yield f"`{name}`", listed, meaning


@cache
def verified_blocks() -> str:
    """Return what a block answers at each provider that can be read back; the stubs run once."""
    return table(render_verified.TITLES, render_verified.rows())


TABLES: dict[str, Callable[[], str]] = {
    "codes": codes,
    "fallback codes": fallback_codes,
    "providers": providers,
    "magic numbers": magic_numbers,
    "numbers for reads": numbers_for_reads,
    "verified reasons": verified_reasons,
    "http statuses": http_statuses,
    "commands": commands,
    "metrics": metrics,
    "verified blocks": verified_blocks,
}


def tables_of(text: str) -> list[str]:
    """Return the names of the tables in a page."""
    return [found[2] for found in _PLACE.finditer(text)]


def render(text: str) -> str:
    """Return the page with its tables written anew. Raises KeyError for an unknown table."""
    return _PLACE.sub(lambda place: f"{place[1]}{TABLES[place[2]]()}\n{place[3]}", text)


if __name__ == "__main__":
    for each in find_pages():
        written = render(each.text)
        if written != each.text:
            each.path.write_text(written, "utf-8")
