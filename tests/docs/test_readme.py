"""The README is true: its tables are the code's, its commands run, its configuration loads."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from support import BUILT_IN
from support.serving import run_server
from tools import render_readme

from adapter import Code
from adapter.cli import main
from adapter.error_rules import HTTP_STATUS_RULES
from adapter.results import write_envelope
from adapter.settings.loader import load_settings
from adapter.settings.toml_file import read_toml
from adapter.web.schemas import ChangeEnvelope, FailureEnvelope

TEXT = render_readme.README.read_text("utf-8")
CONFIG = render_readme.README.parent / "config"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


def console() -> list[tuple[str, str]]:
    """The README's commands, each with the answer printed below it."""
    found = []
    for block in blocks("console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, answer = part.partition("\n")
            found.append((command, answer.strip()))
    return found


def test_its_tables_are_what_the_code_says() -> None:
    assert render_readme.render(TEXT) == TEXT, "run: make readme"


def test_every_code_stands_in_its_table_once() -> None:
    for code in Code:
        assert TEXT.count(f"| `{code.value}` | {code.http_status} |") == 1


@pytest.fixture(scope="module")
def sandbox_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the server that `make serve` starts, on a free port, in another folder."""
    program = Path(sys.executable).with_name("contact-adapter")
    with run_server(program, cwd=tmp_path_factory.mktemp("elsewhere")) as address:
        yield address


def _comparable(text: str) -> Any:
    """An answer without what differs from call to call."""
    document = json.loads(text)
    if isinstance(document, dict) and "meta" in document:
        document["meta"] |= {"request_id": "", "duration_ms": 0}
    return document


def test_its_commands_answer_what_it_shows(sandbox_address: str) -> None:
    commands = console()
    assert len(commands) >= 7
    for command, answer in commands:
        words = shlex.split(command.replace("http://127.0.0.1:8000", sandbox_address))
        assert words[0] == "curl"
        done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=30)
        assert _comparable(done.stdout) == _comparable(answer), command


def test_make_serve_starts_what_the_commands_are_sent_to() -> None:
    makefile = (CONFIG.parent / "Makefile").read_text("utf-8")
    assert re.search(r"^serve: .*\n\t\$\(BIN\)/contact-adapter serve", makefile, re.MULTILINE)
    for target in re.findall(r"`?make ([a-z]+)", TEXT):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_its_python_runs(tmp_path: Path) -> None:
    # The module of the guide is no program; test_new_provider follows the guide.
    examples = [block for block in blocks("python") if not block.startswith('"""')]
    assert len(examples) >= 2
    for example in examples:
        subprocess.run([sys.executable, "-c", example], check=True, cwd=tmp_path, timeout=60)


def test_its_envelopes_have_the_shape_that_is_answered() -> None:
    success, failure, _ = (json.loads(block) for block in blocks("json"))
    assert ChangeEnvelope().validate(success) == {}
    assert FailureEnvelope().validate(failure) == {}
    code = Code(failure["error"]["code"])
    assert failure["error"]["message"] == code.message
    assert failure["error"]["retry"] == code.retry.value
    assert failure["error"]["outcome"] == code.applied.value
    assert list(success) == list(write_envelope(data={}, request_id=""))


@pytest.fixture
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in re.findall(
        r'env = "([A-Z_]+)"', TEXT + (CONFIG / "adapter.toml").read_text("utf-8")
    ):
        monkeypatch.setenv(name, f"value-of-{name}")


@pytest.mark.usefixtures("_secrets")
def test_its_configuration_loads() -> None:
    # The guide's provider is installed where test_new_provider follows the guide.
    whole = [b for b in blocks("toml") if "[accounts." in b and 'provider = "acme"' not in b]
    assert whole
    for block in whole:
        assert load_settings(tomllib.loads(block)).default_account == "support"


@pytest.mark.usefixtures("_secrets")
def test_its_switch_of_a_provider_is_configuration_on_both_sides() -> None:
    (diff,) = blocks("diff")
    providers = []
    for sign in "-+":
        lines = [line[1:] for line in diff.splitlines() if line[0] in f" {sign}"]
        settings = load_settings(tomllib.loads("\n".join(lines)))
        providers.append(settings.accounts["support"].provider.name)
    assert providers == ["wuts", "wappfy"]


@pytest.mark.usefixtures("_secrets")
def test_the_commented_configuration_loads_and_has_every_key() -> None:
    path = CONFIG / "adapter.toml"
    settings = load_settings(read_toml(path))
    text = path.read_text("utf-8")
    assert {each.provider.name for each in settings.accounts.values()} | {"memory"} == set(BUILT_IN)
    for account in settings.accounts.values():
        for key in account.provider.Options().fields:
            assert re.search(rf"^#? ?{key} = .*# {account.provider.name}: ", text, re.MULTILINE)
    from adapter.settings import schema as module

    for schema in (
        module.TopSchema,
        module._TransportSchema,
        module._LogSchema,
        module.AccountSchema,
        module.KeySchema,
        module.DialectSchema,
        module._PluginsSchema,
    ):
        for key in schema().fields:
            assert re.search(rf"^(#? ?{key} = |\[{key}[\].])", text, re.MULTILINE), key


def test_it_lists_every_command_of_the_command_line() -> None:
    runner = CliRunner()
    for name, command in main.commands.items():
        assert re.search(rf"^\| `contact-adapter {name}[ `]", TEXT, re.MULTILINE), name
        assert command.help
        assert runner.invoke(main, [name, "--help"]).exit_code == 0


def test_its_links_lead_somewhere() -> None:
    anchors = {
        re.sub(r"[^a-z0-9 -]", "", title.lower()).strip().replace(" ", "-")
        for title in re.findall(r"^#+ (.*)$", TEXT, re.MULTILINE)
    }
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        if target.startswith("#"):
            assert target[1:] in anchors, target
        elif not target.startswith("https://"):
            assert (CONFIG.parent / target).exists(), target


def test_the_statuses_it_says_are_shared_are() -> None:
    shared = {row.status for row in HTTP_STATUS_RULES}
    sentence = re.search(r"What the statuses of HTTP mean on their own \((.*?) and so on\)", TEXT)
    assert sentence
    assert {int(status) for status in re.findall(r"\d{3}", sentence[1])} <= shared
