"""Write providers/README.md from the classes and their recorded answers. A test compares."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from render_readme import proven, table
from test_provider_contracts import CONTRACTS

from adapter import Proof, Provider, Row
from adapter.error_rules import SHARED_ROWS
from adapter.testing.contract import _BY_STRENGTH, Exchange, ProviderContract, _forms

PAGE = Path(__file__).parent.parent / "providers" / "README.md"
TITLES = ("status", "machine code", "body", "means", "known from")
INFERRED = "⚠ **inferred**"

_HEAD = f"""\
# What each provider's answers mean

This page is written from the providers' classes, and from the answers in `tests/answers/`, by
`tests/render_providers.py` (`make readme`); do not edit it.

Evidence is looked for in this order: a machine code, at any status (the one in parentheses is
where it is expected); what the body shows; the status alone, of a body in the provider's own error
shape. A row for 200 or 500 also speaks for the rest of its hundred, where nothing says more. A page
that is not the provider's is read by the last table. *Known from* tells how sure a line is:

- *documented*: the provider's own pages say so;
- *read in source*: the program that the provider runs does so;
- {INFERRED}: nobody says so; it follows from the provider's other answers, or from a relative's;
- *seen live*: the service answered so, on the day on which it is *proven*.
"""


def page() -> str:
    """Return the whole page."""
    sections = [section(CONTRACTS[name].provider) for name in sorted(CONTRACTS)]
    titles = ("status", "the provider's own error", "any other page")
    shared = table(titles, shared_lines())
    return (
        "\n".join([_HEAD, *sections])
        + "\n## Where a provider says nothing itself\n\n"
        + "What HTTP's own statuses mean, below the rows of every provider.\n\n"
        + f"{shared}\n"
    )


def shared_lines() -> Iterator[tuple[str, ...]]:
    """Give a line for each status of the shared rows: of the provider's own errors, and others."""
    for status in sorted({row.status for row in SHARED_ROWS}):
        rows = [row for row in SHARED_ROWS if row.status == status]
        others = [row for row in rows if row.anyone] or [
            row for row in SHARED_ROWS if row.anyone and row.status == status // 100 * 100
        ]
        own = rows[0].code
        unknown = " (`provider_error` with an unknown machine code)"
        rest = ", other 5xx" if status == 500 else ""
        yield (
            f"{status}{rest}",
            f"`{own.value}`{unknown if own.value == 'target_rejected' else ''}",
            f"`{others[0].code.value}`",
        )
    yield "other 4xx", "`provider_error`", "`provider_misaddressed`"


def section(provider: type[Provider]) -> str:
    """Return what is known of one provider."""
    name = provider.name
    contract = CONTRACTS[name]()
    exchanges = contract._exchanges
    facts = [
        f"`{name}`",
        *([f"documentation: <{provider.documentation}>"] if provider.documentation else []),
        f"proven live: {proven(provider)}",
        f"names contacts as {', '.join(forms(provider, exchanges))}",
    ]
    lines = [
        *successes(exchanges),
        *(cells(row) for row in provider.rows),
        *bare_statuses(contract),
    ]
    listed = "\n".join(f"- {fact}" for fact in facts)
    return f"## {provider.title}\n\n{listed}\n\n{table(TITLES, lines)}\n"


def forms(provider: type[Provider], exchanges: Iterable[Exchange]) -> Iterator[str]:
    """Give each form of contacts, with the best that is known of a success by that form."""
    for form in provider.contact_forms:
        proofs = [
            exchange.proof
            for exchange in exchanges
            if exchange.outcome.ok
            and exchange.command.contact is not None
            and form in _forms(exchange.request, exchange.command.contact)
        ]
        yield f"`{form.value}` ({known_from(strongest([*proofs, Proof.INFERRED]))})"


def cells(row: Row) -> tuple[str, ...]:
    """Return a row's line."""
    status = f"any ({row.status})" if row.machine else str(row.status)
    if not row.machine and (row.status in (200, 500) or (row.anyone and row.status == 400)):
        status += f", other {row.status // 100}xx"
    machine = f"`{row.machine}`" if row.machine else ""
    return status, machine, body(row), f"`{row.code.value}`", known_from(row.proof)


def body(row: Row) -> str:
    """Return what a row looks for in the body, as its function says it."""
    if row.where is None:
        return ""
    said = (row.where.__doc__ or row.where.__name__).partition("\n")[0]
    return said.removeprefix("Whether ").removesuffix(".")


def known_from(proof: str) -> str:
    """Return a proof so that a guess is seen at a glance."""
    return INFERRED if proof == Proof.INFERRED else proof


def strongest(proofs: Iterable[str]) -> str:
    """Return the best of the proofs."""
    return max(proofs, key=_BY_STRENGTH.index)


def successes(exchanges: Iterable[Exchange]) -> Iterator[tuple[str, ...]]:
    """Give a line for each way in which a success is told, by the best known answer."""
    best: dict[tuple[object, ...], Exchange] = {}
    for exchange in exchanges:
        if exchange.outcome.ok:
            outcome = exchange.outcome
            told = (exchange.command.action, outcome.upstream_status, outcome.confirmation)
            known = best.setdefault(told, exchange)
            if strongest([known.proof, exchange.proof]) != known.proof:
                best[told] = exchange
    actions: dict[tuple[str, ...], list[str]] = {}
    for exchange in best.values():
        shown = ", ".join(f"`{each}`" for each in exchange.evidence if each != "status")
        line = (
            str(exchange.response.status),
            shown or "empty",
            f"`{exchange.outcome.confirmation}`",
            known_from(exchange.proof),
        )
        actions.setdefault(line, []).append(exchange.command.action.value)
    for (status, shown, confirmation, proof), done in sorted(actions.items()):
        yield status, "", shown, f"{', '.join(done)} done: {confirmation}", proof


def bare_statuses(contract: ProviderContract) -> Iterator[tuple[str, ...]]:
    """Give a line for each status the provider shows whose meaning is a shared row's."""
    proofs: dict[tuple[int, str], list[str]] = {}
    for exchange in contract._exchanges:
        row = contract._row(exchange)
        shared = any(row is each for each in SHARED_ROWS)
        if row and shared and exchange.proof != Proof.INFERRED:
            told = exchange.response.status, row.code.value
            proofs.setdefault(told, []).append(exchange.proof)
    for (status, code), known in sorted(proofs.items()):
        yield str(status), "", "", f"`{code}`", known_from(strongest(known))


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
