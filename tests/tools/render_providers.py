"""Write providers/RESPONSES.md from the classes and the recorded responses. A test compares."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from support.contracts import CONTRACTS

from adapter.error_rules import HTTP_STATUS_RULES
from adapter.plugin import ErrorRule, Provider
from adapter.testing import Exchange, Provenance, ProviderContract, forms_in
from tools.render_readme import seen_live, table

PAGE = Path(__file__).parents[2] / "providers" / "RESPONSES.md"
TITLES = ("status", "provider code", "body", "means", "known from")
INFERRED = "⚠ **inferred**"

_HEAD = f"""\
# What each provider's responses mean

`make readme` writes this page (`tests/tools/render_providers.py`) from the providers' classes and
from the recorded responses in `tests/answers/`. Do not edit it.

[Evidence](README.md#evidence) has this order: a provider code, at any status (its usual status is
in parentheses); a value of the body; the bare status of a body in the provider's own error shape. A
line for 200 or 500 also covers the rest of its hundred, where no other line does. Every status
without a line, and every page that is not the provider's, has the meaning of [the shared
rules](README.md#evidence). *Known from* is the provenance of a line:

- *documented*: on the provider's own pages;
- *read in source*: in the source code of the program that the provider runs;
- {INFERRED}: from the provider's other responses, or from those of a related provider;
- *seen live*: in a response of the service, on the day that the provider's section names.
"""


def page() -> str:
    """Return the whole page."""
    sections = [section(CONTRACTS[name].provider) for name in sorted(CONTRACTS)]
    return "\n".join([_HEAD, *sections])


def section(provider: type[Provider]) -> str:
    """Return what is known of one provider."""
    name = provider.name
    contract = CONTRACTS[name]()
    exchanges = contract.exchanges
    facts = [
        f"`{name}`",
        *([f"documentation: <{provider.documentation}>"] if provider.documentation else []),
        f"seen live: {seen_live(provider)}",
        f"names contacts as {', '.join(forms(provider, exchanges))}",
    ]
    lines = [
        *successes(exchanges),
        *(cells(rule, known) for rule, known in provenance_of_rules(contract)),
        *bare_statuses(contract),
    ]
    listed = "\n".join(f"- {fact}" for fact in facts)
    return f"## {provider.title}\n\n{listed}\n\n{table(TITLES, lines)}\n"


def forms(provider: type[Provider], exchanges: Iterable[Exchange]) -> Iterator[str]:
    """Yield each form of contacts, with the best provenance of a request in that form."""
    for form in provider.contact_forms:
        known = [
            exchange.request_provenance
            for exchange in exchanges
            if exchange.outcome.ok
            and exchange.command.contact is not None
            and form in forms_in(exchange.request, exchange.command.contact)
        ]
        yield f"`{form.value}` ({known_from(strongest([*known, Provenance.INFERRED]))})"


def provenance_of_rules(contract: ProviderContract) -> Iterator[tuple[ErrorRule, Provenance]]:
    """Yield the provider's own rules, each with the strongest provenance of its responses."""
    reached = [(contract.rule_of(each), each.response_provenance) for each in contract.exchanges]
    for rule in contract.provider.own_rules():
        known = [provenance for each, provenance in reached if each is rule]
        yield rule, strongest([*known, Provenance.INFERRED])


def cells(rule: ErrorRule, known: Provenance) -> tuple[str, ...]:
    """Return the line of an error rule of this provenance."""
    status = f"any ({rule.status})" if rule.provider_code else str(rule.status)
    if not rule.provider_code and (
        rule.status in (200, 500) or (rule.any_sender and rule.status == 400)
    ):
        status += f", other {rule.status // 100}xx"
    provider_code = f"`{rule.provider_code}`" if rule.provider_code else ""
    return status, provider_code, body(rule), f"`{rule.code.value}`", known_from(known)


def body(rule: ErrorRule) -> str:
    """Return what a rule requires of the body: the docstring of its function."""
    if rule.where is None:
        return ""
    said = (rule.where.__doc__ or rule.where.__name__).partition("\n")[0]
    return said.removeprefix("Whether ").removesuffix(".")


def known_from(provenance: str) -> str:
    """Return a provenance; an inferred one is marked."""
    return INFERRED if provenance == Provenance.INFERRED else provenance


def strength(provenance: Provenance) -> int:
    """Return the rank of a provenance; the strongest has the highest."""
    return list(Provenance).index(provenance)


def strongest(known: Iterable[Provenance]) -> Provenance:
    """Return the strongest provenance."""
    return max(known, key=strength)


def successes(exchanges: Iterable[Exchange]) -> Iterator[tuple[str, ...]]:
    """Yield a line for each form of a success, from its best known response."""
    best: dict[tuple[object, ...], Exchange] = {}
    for exchange in exchanges:
        if exchange.outcome.ok:
            outcome = exchange.outcome
            shown = (exchange.command.action, outcome.upstream_status, outcome.confirmation)
            known = best.setdefault(shown, exchange)
            if strength(exchange.response_provenance) > strength(known.response_provenance):
                best[shown] = exchange
    actions: dict[tuple[str, ...], list[str]] = {}
    for exchange in best.values():
        body = ", ".join(f"`{each}`" for each in exchange.evidence)
        line = (
            str(exchange.response.status),
            body or "empty",
            f"`{exchange.outcome.confirmation}`",
            known_from(exchange.response_provenance),
        )
        actions.setdefault(line, []).append(exchange.command.action.value)
    for (status, body, confirmation, known_as), done in sorted(actions.items()):
        yield status, "", body, f"{', '.join(done)} done: {confirmation}", known_as


def bare_statuses(contract: ProviderContract) -> Iterator[tuple[str, ...]]:
    """Yield a line for each recorded status whose meaning is a shared rule's.

    Inferred pages of a proxy are left out: they are the same for every provider.
    """
    found: dict[tuple[int, str], list[Provenance]] = {}
    for exchange in contract.exchanges:
        rule, known = contract.rule_of(exchange), exchange.response_provenance
        own = contract.make_provider(exchange.options).is_own_error(exchange.response)
        shared = any(rule is each for each in HTTP_STATUS_RULES)
        if rule and shared and (own or known is not Provenance.INFERRED):
            line = exchange.response.status, rule.code.value
            found.setdefault(line, []).append(known)
    for (status, code), provenances in sorted(found.items()):
        yield str(status), "", "", f"`{code}`", known_from(strongest(provenances))


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
