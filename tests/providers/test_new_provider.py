"""A third-party provider: the package that is written for it, and the guide to one."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import distribution
from pathlib import Path

import pytest
from click.testing import Result
from support import BROKEN_PLUGIN, NUMBER, Upstream, call, cli_runner
from support.dists import PROVIDER, open_site
from support.pages import page
from support.serving import run_server
from support.wheel import CHECKOUT, closure, make_environment, requirements, run

from adapter.cli import main
from adapter.registry import load_plugins
from adapter.scaffold import ScaffoldError, check_name, render_package
from adapter.testing import find_blanks, require_no_blanks

pytestmark = pytest.mark.slow

NOW = datetime(2026, 11, 22, tzinfo=UTC)
NAMES = ["acme", "acme-chat", "a", "x2", "wuts-2", "a-1-b", "class"]
NO_NAMES = ["Acme", "acme_chat", "acme chat", "acme.chat", "-acme", "acme-", "a--b", "2x", "acmé"]
NO_NAMES += ["", ".", "..", "../acme", "/acme", "acme\n", "acme/chat", "$name"]


def new_provider(*arguments: str | Path) -> Result:
    return cli_runner().invoke(main, ["new-provider", *map(str, arguments)])


def every_file(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text("utf-8")
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in which the command is run."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


# --- the package that is written


@pytest.mark.parametrize("name", NAMES)
def test_a_package_has_all_its_files(here: Path, name: str) -> None:
    result = new_provider(name)
    assert result.exit_code == 0, result.output
    package = here / f"contact-adapter-{name}"
    module = f"contact_adapter_{name.replace('-', '_')}"
    files = every_file(package)
    assert set(files) == {
        ".gitignore",
        "README.md",
        "pyproject.toml",
        "setup.cfg",
        f"{module}.py",
        f"tests/answers/{name}/contacts.json",
        "tests/test_contract.py",
    }
    assert f"contact_adapter =\n    {name} = {module}\n" in files["setup.cfg"]
    assert [each.name for each in here.iterdir()] == [package.name]
    assert "$" not in "".join(files.values())
    assert package.stat().st_mode == here.stat().st_mode


def test_the_folder_may_be_named_and_may_be_there_when_it_is_empty(here: Path) -> None:
    (here / "empty").mkdir()
    for folder in ("empty", "new"):
        assert new_provider("acme", "--into", folder).exit_code == 0
        assert (here / folder / "setup.cfg").is_file()


@pytest.mark.parametrize("given", [".", "./", "../here"])
def test_the_current_directory_is_filled_when_it_is_empty(here: Path, given: str) -> None:
    before = here.stat().st_ino
    result = new_provider("acme", "--into", given)
    assert result.exit_code == 0, result.output
    assert here.stat().st_ino == before
    assert sorted(every_file(here)) == sorted(render_package("acme", NOW))
    assert not list(here.glob(".new-provider-*"))


def test_an_empty_folder_name_is_refused(here: Path) -> None:
    result = new_provider("acme", "--into", "")
    assert result.exit_code == 2
    assert "'--into': is empty; give a path" in result.stderr
    assert list(here.iterdir()) == []


def test_the_responses_are_dated_by_month() -> None:
    answers = json.loads(render_package("acme", NOW)["tests/answers/acme/contacts.json"])
    assert answers["date"] == "2026-11"


def test_a_failed_clause_is_shown_without_the_source_of_the_kit() -> None:
    project = tomllib.loads(render_package("acme", NOW)["pyproject.toml"])
    assert project["tool"]["pytest"]["ini_options"]["addopts"] == "--tb=short"


def test_a_blank_is_named_by_its_path(here: Path) -> None:
    new_provider("acme")
    with pytest.raises(AssertionError) as raised:
        require_no_blanks(here / "contact-adapter-acme")
    assert "\ncontact-adapter-acme/contact_adapter_acme.py:" in str(raised.value)
    assert "\ncontact-adapter-acme/tests/answers/acme/contacts.json:" in str(raised.value)


@pytest.mark.parametrize("name", NO_NAMES)
def test_an_invalid_provider_name_is_refused(here: Path, name: str) -> None:
    result = new_provider("--", name)
    assert result.exit_code == 1
    assert "cannot name a provider" in result.stderr
    assert "acme-chat" in result.stderr
    assert list(here.parent.rglob("*")) == [here]


@pytest.mark.parametrize("name", NAMES + NO_NAMES)
def test_a_name_is_refused_exactly_if_a_plugin_of_that_name_is_broken(
    tmp_path: Path, name: str
) -> None:
    source = PROVIDER.replace('"{name}"', "{name!r}").format(name=name)
    registry = load_plugins()
    with open_site(tmp_path / "site") as site:
        site.install("third-party", {"plugin": source})
        broken = load_plugins().broken
    if not broken:
        check_name(name, registry)
    else:
        with pytest.raises(ScaffoldError):
            check_name(name, registry)
    assert (not broken) is (name in NAMES)


def test_a_name_in_use_is_refused_with_its_plugin(here: Path, tmp_path: Path) -> None:
    source = PROVIDER.format(name="acme-chat")
    with open_site(tmp_path / "site") as site:
        site.install("third-party", {"acme": source, "moon": BROKEN_PLUGIN})
        for name, owner in (
            ("memory", "contact-adapter:memory"),
            ("acme-chat", "third-party:acme"),
            ("acme", "third-party:acme"),
            ("moon", "third-party:moon"),
        ):
            result = new_provider(name)
            assert result.exit_code == 1
            assert f"{name!r} is taken" in result.stderr
            assert owner in result.stderr
    assert list(here.iterdir()) == []


def test_nothing_is_overwritten(here: Path) -> None:
    (here / "full").mkdir()
    (here / "full" / "README.md").write_text("mine")
    (here / "a-file").write_text("mine too")
    (here / "a-link").symlink_to("nowhere")
    before = sorted(here.rglob("*"))
    for folder in ("full", "a-file", "a-link", "no/such/parent", ".", "a-file/below"):
        result = new_provider("acme", "--into", folder)
        assert result.exit_code == 1, folder
        assert "empty or missing" in result.stderr
    assert sorted(here.rglob("*")) == before
    assert every_file(here) == {"full/README.md": "mine", "a-file": "mine too"}


def test_no_incomplete_package_is_left(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, written = Path.write_text, []

    def fail_at_the_third(path: Path, *arguments: str) -> int:
        written.append(path)
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        return write(path, *arguments)

    monkeypatch.setattr(Path, "write_text", fail_at_the_third)
    result = new_provider("acme")
    assert result.exit_code == 1
    assert "No space left on device" in result.stderr
    assert len(written) == 3
    assert list(here.iterdir()) == []
    written.clear()
    assert new_provider("acme", "--into", ".").exit_code == 1
    assert list(here.iterdir()) == []
    assert new_provider("a" * 250).exit_code == 1
    assert list(here.iterdir()) == []


# --- its blanks


def test_every_blank_has_a_name_of_its_own_and_a_sentence(here: Path) -> None:
    new_provider("acme")
    blanks = find_blanks(here / "contact-adapter-acme")
    named = [re.search(r'BLANK (\w+): (\w.{10,}?)[.",]*$', blank) for blank in blanks]
    assert all(named), blanks
    names = [found[1] for found in named if found]
    assert len(names) == len(set(names)) >= 12
    assert {"documentation", "routes", "list", "error_codes", "request", "success"} <= set(names)
    assert {"block", "unblock", "blocklist", "refusal"} <= set(names)


def test_a_blank_is_found_by_its_word_when_its_sentence_is_gone(here: Path) -> None:
    new_provider("acme")
    package = here / "contact-adapter-acme"
    for path in (package / "contact_adapter_acme.py", *package.rglob("*.json")):
        path.write_text(re.sub(r"BLANK \w+: ", "", path.read_text("utf-8")), "utf-8")
    left = find_blanks(package)
    assert any("/BLANK/{session}/block" in blank for blank in left)
    assert any('"BLANK": true' in blank for blank in left)


@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="the linters are a dev extra")
@pytest.mark.parametrize("name", ["acme", "acme-chat"])
def test_what_is_written_is_formatted_linted_and_typed(here: Path, name: str) -> None:
    new_provider(name)
    package = here / f"contact-adapter-{name}"
    project = package / "pyproject.toml"
    select = '[tool.ruff.lint]\nselect = ["E", "F", "I", "N", "UP", "B", "RUF"]\n'
    project.write_text(project.read_text("utf-8").replace("[tool.ruff.lint]\n", select), "utf-8")
    for command in (["check"], ["format", "--check"]):
        done = run(sys.executable, "-m", "ruff", *command, "--no-cache", ".", cwd=package)
        assert done.returncode == 0, done.stdout
    (module,) = package.glob("*.py")
    done = run(sys.executable, "-m", "mypy", module, cwd=CHECKOUT)
    assert done.returncode == 0, done.stdout


# --- installed beside the wheel


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the programs of an environment with the wheel, its server, and a test runner.

    Its `pip` fetches nothing: it takes what is there, and builds with the setuptools that is there.
    """
    server = requirements(distribution("contact-adapter"), "server") - {"contact-adapter"}
    home = tmp_path_factory.mktemp("environment")
    programs = make_environment(home, wheel, closure(server | {"pytest", "setuptools", "pip"}))
    for name, command in (
        ("pip", '-m pip "$@" --quiet --no-index --no-build-isolation'),
        ("pytest", '-m pytest "$@"'),
    ):
        (programs / name).write_text(f'#!/bin/sh\nexec "{programs}/python" {command}\n')
        (programs / name).chmod(0o755)
    return programs


def shell(line: str, programs: Path, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command line as a reader would who has activated the environment."""
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    return run("sh", "-c", line, cwd=cwd, env={"PATH": path, **env})


@contextmanager
def serving(config: Path, programs: Path, **env: str) -> Iterator[str]:
    """Run the environment's server with the configuration; give its address."""
    program, options = programs / "contact-adapter", ("--config", str(config))
    with run_server(program, *options, cwd=config.parent, env=env) as address:
        yield address


def account(provider: str, upstream: Upstream) -> str:
    return (
        f'[accounts.support]\nprovider = "{provider}"\nbase_url = "{upstream.address}"\n'
        'token = { env = "ACME_TOKEN" }\nsession = "my-session"\n'
    )


def failures(output: str) -> dict[str, str]:
    """Return what pytest says of each test that failed, by the test's name."""
    parts = re.split(r"^_{3,} (.+?) _{3,}$", output.partition("= FAILURES =")[2], flags=re.M)
    return {
        name: "\n".join(re.findall(r"^E .*$", text, re.MULTILINE))
        for name, text in zip(parts[1::2], parts[2::2], strict=True)
    }


def test_a_package_with_blanks_is_installed_and_listed_and_sends_nothing(
    programs: Path, tmp_path: Path, upstream: Upstream
) -> None:
    for line in (
        "contact-adapter new-provider acme-chat",
        "pip install ./contact-adapter-acme-chat",
    ):
        done = shell(line, programs, tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
    listed = shell("contact-adapter providers", programs, tmp_path)
    assert "acme-chat: Acme Chat; block, unblock, list, state; no dialect" in listed.stdout
    assert "from contact-adapter-acme-chat 0.1.0" in listed.stdout
    again = shell("contact-adapter new-provider acme-chat --into again", programs, tmp_path)
    assert "'acme-chat' is taken by the plugin contact-adapter-acme-chat:acme-chat" in again.stderr
    config = tmp_path / "adapter.toml"
    config.write_text(account("acme-chat", upstream))
    with serving(config, programs, ACME_TOKEN="a-token") as address:
        answer = call(address, "POST", "/v1/contacts/block", json_body={"number": NUMBER})
    assert answer.status == 501
    error = answer.json["error"]
    assert (error["code"], error["outcome"]) == ("operation_not_supported", "not_applied")
    assert error["fields"] == {"provider": ["BLANK request is left in contact_adapter_acme_chat"]}
    assert answer.json["meta"]["attempts"] == 0
    assert upstream.seen == []


# --- the guide

GUIDE = page("providers/README.md").section("Write a provider")


def steps() -> list[tuple[str, str]]:
    """Return the guide's steps: a command line, or the path of a file with the file's text."""
    found = []
    block = re.compile(r"(?:`([\w./-]+)`:\n\n)?^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
    for path, language, text in block.findall(GUIDE):
        if language == "sh":
            found += [("", line) for line in text.splitlines()]
        else:
            assert path, f"the guide does not say where this belongs:\n{text}"
            found.append((path, text))
    return found


def test_the_guide_results_in_a_provider_that_blocks(
    programs: Path, tmp_path: Path, upstream: Upstream
) -> None:
    upstream.will_answer(200, {"ok": True, "blocked": True})
    package = tmp_path / "contact-adapter-acme"
    outputs = []
    for path, text in steps():
        if path.endswith(".toml"):
            text = account("acme", upstream)
        if path:
            before = (tmp_path / path).read_text("utf-8") if "/" in path else ""
            (tmp_path / path).write_text(text, "utf-8")
            if path.endswith(".py"):
                assert outline(text) == outline(before) - {"BlankError"}
            continue
        done = shell(text, programs, tmp_path, ACME_TOKEN="a-token")
        outputs.append((text, done))
        blanks = find_blanks(package) if package.exists() else []
        if text.startswith("pytest") and blanks:
            assert done.returncode == 1
            failed = failures(done.stdout)
            assert "test_no_blank_is_left" in failed
            assert all(blank in failed["test_no_blank_is_left"] for blank in blanks)
            assert [name for name, why in failed.items() if not re.search("(?i)blank", why)] == []
            assert f"{len(failed)} failed, " in done.stdout
        else:
            assert done.returncode == 0, done.stdout + done.stderr
    said = [(line.split()[0], done.returncode) for line, done in outputs]
    assert [code for program, code in said if program == "pytest"] == [1, 0]
    assert "acme: Acme; block, unblock, list" in outputs[-2][1].stdout
    assert outputs[-1][1].stdout == "blocked 551*******999 for support (provider_state)\n"
    (seen,) = upstream.seen
    assert (seen.method, seen.path) == ("POST", "/sessions/my-session/block")
    assert seen.headers["Authorization"] == "Bearer a-token"
    assert json.loads(seen.body) == {"phone": NUMBER}
    with serving(tmp_path / "adapter.toml", programs, ACME_TOKEN="a-token") as address:
        answer = call(address, "POST", "/v1/contacts/block", json_body={"number": NUMBER})
    assert answer.json["data"]["confirmation"] == "provider_state"
    assert len(upstream.seen) == 2


def outline(source: str) -> set[str]:
    """Return the names of the classes and functions of a module, with their arguments."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.FunctionDef) and "what" not in ast.unparse(node.args):
            found.add(f"{node.name}({ast.unparse(node.args)})")
    return found


def test_the_account_in_the_guide_is_the_tested_one(upstream: Upstream) -> None:
    (shown,) = (text for path, text in steps() if path.endswith(".toml"))
    tried = account("acme", upstream)
    assert [line for line in tried.splitlines() if "base_url" not in line] == shown.splitlines()
