"""A new provider touches one place besides its file and its responses: the entry point."""

from __future__ import annotations

import json
import re
import shutil
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest
from support.pages import page
from support.wheel import CHECKOUT, closure, make_environment, requirements, run

pytestmark = pytest.mark.slow

GUIDE = page("providers/README.md").section("Write a provider")
TOP = ("adapter", "config", "providers", "tests", ".github")


def block_of(language: str) -> str:
    """Return the one code block of the guide in this language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)
    return str(found)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of this checkout that has the provider of the guide, too."""
    copy = tmp_path_factory.mktemp("checkout")
    skip = shutil.ignore_patterns("__pycache__", "*.egg-info", ".*_cache")
    for name in TOP:
        shutil.copytree(CHECKOUT / name, copy / name, ignore=skip)
    for file in CHECKOUT.glob("*.*"):
        if file.is_file() and not file.name.startswith("."):
            shutil.copy(file, copy)
    shutil.copy(CHECKOUT / "LICENSE", copy)
    (copy / "providers" / "acme.py").write_text(block_of("python"), "utf-8")
    responses = {**json.loads(block_of("json")), "options": {"session": "my-session"}}
    folder = copy / "tests" / "answers" / "acme"
    folder.mkdir()
    (folder / "contacts.json").write_text(json.dumps(responses), "utf-8")
    setup = copy / "setup.cfg"
    group = "contact_adapter =\n"
    assert setup.read_text("utf-8").count(group) == 1
    entry = f"{group}    acme = adapter.providers.acme\n"
    setup.write_text(setup.read_text("utf-8").replace(group, entry), "utf-8")
    return copy


@pytest.fixture(scope="module")
def programs(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the programs of an environment with the copy's wheel and the tests' libraries."""
    out = tmp_path_factory.mktemp("wheel")
    build = (sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, checkout)
    built = run(*build, cwd=out)
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = out.glob("*.whl")
    needed = requirements(
        distribution("contact-adapter"), "server", "ledger", "postgresql", "socks", "test"
    )
    names = closure(needed - {"contact-adapter"})
    return make_environment(tmp_path_factory.mktemp("environment"), wheel, names)


def test_the_contract_the_registry_and_the_pages_take_it_from_there(
    checkout: Path, programs: Path
) -> None:
    python = programs / "python"
    for tool in ("render_readme", "render_providers"):  # make readme
        made = run(python, "-P", "-m", f"tools.{tool}", cwd=checkout, env={"PYTHONPATH": "tests"})
        assert made.returncode == 0, made.stderr
    tests = (
        "tests/docs/test_provider_pages.py",
        "tests/providers/test_provider_contracts.py",
        "tests/providers/test_registry.py",
        "tests/providers/test_evidence.py",
        "tests/transport/test_account_headers.py",
    )
    chosen = "acme or page or matrix or built_in"
    command: list[str | Path] = [
        python,
        "-P",
        "-m",
        "pytest",
        "-q",
        "-rA",
        "-p",
        "no:cacheprovider",
        "-k",
        chosen,
        *tests,
    ]
    done = run(*command, cwd=checkout)
    assert done.returncode == 0, done.stdout + done.stderr
    for passed in (
        "test_the_provider_keeps_the_clause[acme-test_every_request_is_the_recorded_one]",
        "test_every_built_in_provider_has_a_contract_and_its_registered_dialect",
        "test_the_matrix_and_the_api_and_the_classes_agree",
        "test_every_error_rule_is_on_the_page_and_every_inferred_one_is_marked[acme]",
    ):
        assert re.search(rf"^PASSED \S+::{re.escape(passed)}$", done.stdout, re.MULTILINE), passed
    assert "acme" in (checkout / "README.md").read_text("utf-8")
    assert "## Acme\n" in (checkout / "providers" / "RESPONSES.md").read_text("utf-8")
