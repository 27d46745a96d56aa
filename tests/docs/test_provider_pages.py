"""The pages about providers: the table, /v1/providers, and the page of responses."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from flask import Flask
from support import BUILT_IN
from support.contracts import CONTRACTS
from support.pages import page
from tools import render_providers

from adapter.plugin import Action, Dialect, LocalProvider
from adapter.registry import load_plugins
from adapter.testing import PLAIN_NUMBER, Provenance

PAGE = render_providers.PAGE.read_text("utf-8")
README = page("README.md").text


def matrix() -> dict[str, dict[str, str]]:
    """Return the README's table of providers: by name, each cell by its title."""
    found = re.search(r"<!-- table: providers -->\n(.*?)<!-- end -->", README, re.DOTALL)
    assert found
    titles, _, *lines = (
        [cell.strip() for cell in line.strip("|").split("|")] for line in found[1].splitlines()
    )
    return {
        line[0].rpartition(" ")[2].strip("`"): dict(zip(titles, line, strict=True))
        for line in lines
    }


def test_the_page_is_generated_from_the_classes_and_their_responses() -> None:
    assert render_providers.page() == PAGE, "run: make readme"


def test_the_readme_links_to_the_page() -> None:
    assert "(providers/RESPONSES.md)" in README


def test_the_matrix_and_the_api_and_the_classes_agree(make_app: Callable[..., Flask]) -> None:
    app = make_app({"accounts": {"a": {"provider": "memory"}}})
    told = app.test_client().get("/v1/providers").get_json()["data"]["providers"]
    table = matrix()
    assert [each["name"] for each in told] == list(table) == sorted(BUILT_IN)
    dialects: dict[str, type[Dialect]] = {
        name: each.cls for name, each in load_plugins().dialects.items()
    }
    for each in told:
        name, line, provider = each["name"], table[each["name"]], BUILT_IN[each["name"]]
        for action in Action:
            can = action in provider.offered_actions()
            assert (action.value in each["actions"]) is can
            own = "yes" if action in provider.actions() else "by list"
            assert line[action.value] == (own if can else "no"), (name, action)
        assert each["dialect"] is (name in dialects)
        assert line["dialect"] == ("yes" if name in dialects else "no")
        assert each["session"] == provider.session_location.value == line["session in"]
        assert each["contacts"] == list(provider.contact_forms)
        assert line["contacts as"] == ", ".join(f"`{form}`" for form in provider.contact_forms)
        assert each["confirmation"] == provider.confirmation.value
        assert line["success is"] == f"`{provider.confirmation.value}`"
        assert each["verifiable"] == provider.verifiable().value == line["verifiable"]
        assert each["proven"] == provider.verified_on
        local = issubclass(provider, LocalProvider)
        assert line["seen live"] == ("not needed" if local else provider.verified_on or "not yet")
        assert each["title"] in line["provider"]
        assert each["documentation"] == provider.documentation
        assert f"({provider.documentation})" in line["provider"] or not provider.documentation


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_every_error_rule_is_on_the_page_and_every_inferred_one_is_marked(name: str) -> None:
    provider = BUILT_IN[name]
    section = PAGE.partition(f"## {provider.title}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")][2:]
    for rule, proof in render_providers.provenance_of_rules(CONTRACTS[name]()):
        known = render_providers.known_from(proof)
        line = f"| {' | '.join(render_providers.cells(rule, proof))} |"
        assert lines.count(line) == 1
        assert line.endswith(f"| `{rule.code.value}` | {known} |")
        assert ("⚠" in line) is (proof is Provenance.INFERRED)
    assert any("done: " in line for line in lines)


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_every_body_rule_is_described(name: str) -> None:
    for rule in BUILT_IN[name].own_rules():
        if rule.where is not None:
            assert (rule.where.__doc__ or "").startswith("Whether "), rule.where.__name__


@pytest.mark.parametrize("name", sorted(CONTRACTS))
def test_no_live_response_has_a_number_but_the_placeholders(name: str) -> None:
    for path in CONTRACTS[name].answers.glob("live.json"):
        for number in re.findall(r"[0-9]{8,}", path.read_text("utf-8")):
            assert number == PLAIN_NUMBER or number.startswith("1415555"), number
