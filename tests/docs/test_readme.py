"""The pages are true: tables are the code's, commands run, configurations load, links resolve."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from configparser import ConfigParser
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from flask import Flask
from marshmallow import Schema
from support import BUILT_IN, code_named
from support.pages import ROOT, Block, Page, find_pages, page
from support.serving import run_server
from tools import render_readme

import adapter
from adapter import Client, Code, ContactAdapter
from adapter.cli import main
from adapter.error_rules import HTTP_STATUS_RULES
from adapter.ledger.schema import Tables
from adapter.results import build_envelope
from adapter.settings import schema as schema_module
from adapter.settings.loader import load_settings
from adapter.settings.model import LedgerSettings
from adapter.settings.toml_file import read_toml
from adapter.web.schemas import ChangeEnvelope, FailureEnvelope

PAGES = find_pages()
CONFIG = ROOT / "config"
COMMANDS = dict(render_readme.all_commands())
WIDTH = 100
"""Most characters of a line of code."""

each_page = pytest.mark.parametrize("of", PAGES, ids=str)


def each_block(*languages: str) -> pytest.MarkDecorator:
    """Parametrise a test over the blocks of a language on all pages."""
    found = [
        pytest.param(of, block, id=f"{of}:{block.line}")
        for of in PAGES
        for language in languages
        for block in of.blocks(language)
    ]
    return pytest.mark.parametrize(("of", "block"), found)


def metadata() -> ConfigParser:
    """Return setup.cfg."""
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg", "utf-8")
    return parser


# --- pages, tables and links


def test_pages_are_found_in_every_folder() -> None:
    names = {of.name for of in PAGES}
    assert {"README.md", "CHANGES.md", "tests/FAULTS.md"} <= names
    assert {f"{folder}/README.md" for folder in ("adapter", "config", "providers")} <= names
    assert {".github/CONTRIBUTING.md", ".github/SECURITY.md", "providers/RESPONSES.md"} <= names


@each_page
def test_tables_are_generated_from_the_code(of: Page) -> None:
    assert render_readme.render(of.text) == of.text, "run: make readme"


def test_every_table_is_on_one_page() -> None:
    placed = [name for of in PAGES for name in render_readme.tables_of(of.text)]
    assert sorted(placed) == sorted(render_readme.TABLES)


def test_every_code_is_in_its_table_once() -> None:
    text = page("adapter/README.md").text
    for code in Code:
        assert text.count(f"| `{code.value}` | {code.http_status} |") == 1


@each_page
def test_links_and_anchors_resolve(of: Page) -> None:
    for target in of.links:
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = (of.path.parent / path).resolve() if path else of.path
        assert file.exists(), target
        assert file.is_relative_to(ROOT), target
        if anchor:
            assert anchor in Page(file).anchors, target


@pytest.mark.parametrize("name", ["setup.cfg", ".github/CONTRIBUTING.md"])
def test_named_files_exist(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    named = re.findall(r"\b(?:adapter|config|providers|tests)/[\w./-]+\.(?:py|txt|md|toml)\b", text)
    assert named
    assert [path for path in named if not (ROOT / path).is_file()] == []


def test_the_readme_links_to_every_page() -> None:
    linked = {target.partition("#")[0] for target in page("README.md").links}
    assert {of.name for of in PAGES} - {"README.md"} <= linked


@pytest.mark.slow
def test_the_source_distribution_has_every_page_and_the_package_the_guides(tmp_path: Path) -> None:
    skip = shutil.ignore_patterns(".[!cg]*", ".git", ".cache", "build", "dist", "*.egg-info")
    source = shutil.copytree(ROOT, tmp_path / "source", ignore=skip)
    build = [
        sys.executable,
        "-m",
        "build",
        "--no-isolation",
        "--outdir",
        str(tmp_path),
        str(source),
    ]
    subprocess.run(build, check=True, capture_output=True, timeout=300)
    (archive,), (wheel,) = tmp_path.glob("*.tar.gz"), tmp_path.glob("*.whl")
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    assert {of.name for of in PAGES} <= names
    with zipfile.ZipFile(wheel) as opened:
        guides = {name for name in opened.namelist() if name.endswith(".md")}
    installed = [
        of.name for of in PAGES if of.name.partition("/")[0] in ("adapter", "config", "providers")
    ]
    assert guides == {re.sub("^(config|providers)/", r"adapter/\1/", name) for name in installed}


@each_page
def test_code_is_at_most_100_characters_wide(of: Page) -> None:
    for block in of.blocks():
        for number, line in enumerate(block.text.splitlines(), block.line + 1):
            assert len(line) <= WIDTH, f"{of}:{number}"


@each_page
def test_every_code_block_is_tested(of: Page) -> None:
    """A block is in a language with a test; `text` is for drawings."""
    for block in of.blocks():
        assert block.language in TESTED, f"{of}:{block.line}: {block.language}"


TESTED = {"console", "json", "python", "toml", "diff", "patch", "sh", "nginx", "text"}
"""The languages of blocks. `patch` is for test_migration, `nginx` for test_behind_a_proxy."""


def test_patches_are_where_they_are_applied() -> None:
    assert {of.name for of in PAGES if of.blocks("patch")} == {"adapter/README.md"}
    assert {of.name for of in PAGES if of.blocks("nginx")} == {"config/README.md"}


# --- commands


def console(block: Block) -> list[tuple[str, str]]:
    """Return the commands of a block, each with the response below it."""
    found = []
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, continued = "", True
        while continued:
            line, _, part = part.partition("\n")
            continued = line.endswith("\\")
            command += line.removesuffix("\\")
        found.append((command, part.strip()))
    return found


@pytest.fixture(scope="module")
def run_sandbox(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[], AbstractContextManager[str]]:
    """Return a function that runs the server of `make serve`, on a free port, in another folder."""
    program = Path(sys.executable).with_name("contact-adapter")
    return lambda: run_server(program, cwd=tmp_path_factory.mktemp("elsewhere"))


def _comparable(text: str) -> Any:
    """Return a response without the values that differ from call to call."""
    document = json.loads(text)
    if isinstance(document, dict) and "meta" in document:
        document["meta"] |= {"request_id": "", "duration_ms": 0}
        if "asked_at" in (document["data"] or {}):
            assert datetime.fromisoformat(document["data"]["asked_at"]).tzinfo == UTC
            document["data"]["asked_at"] = ""
        if "batch" in (document["data"] or {}):
            assert datetime.fromisoformat(document["data"]["batch"]["created_at"]).tzinfo == UTC
            document["data"]["batch"]["created_at"] = ""
    return document


@pytest.mark.slow
@pytest.mark.parametrize("of", [of for of in PAGES if of.blocks("console")], ids=str)
def test_commands_return_what_is_shown(
    of: Page, run_sandbox: Callable[[], AbstractContextManager[str]]
) -> None:
    with run_sandbox() as address:
        for block in of.blocks("console"):
            for command, response in console(block):
                words = shlex.split(command.replace("http://127.0.0.1:8000", address))
                assert words[0] == "curl"
                assert address in command.replace("http://127.0.0.1:8000", address)
                done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=30)
                assert _comparable(done.stdout) == _comparable(response), command


@pytest.mark.slow
def test_the_move_on_the_first_page_runs_in_the_sandbox(
    run_sandbox: Callable[[], AbstractContextManager[str]], tmp_path: Path
) -> None:
    of, program = page("README.md"), str(Path(sys.executable).with_name("contact-adapter"))
    (move,) = [block for block in of.blocks("sh") if "contact-adapter plan " in block.text]
    (first, _), *_ = console(of.blocks("console")[0])
    with run_sandbox() as address:
        lines = [shlex.split(first.replace("http://127.0.0.1:8000", address))]
        for line in move.text.splitlines():
            name, *rest = shlex.split(line)
            assert name == "contact-adapter"
            lines.append([program, *rest, "--own-address", address])
        done = [
            subprocess.run(
                words, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
            )
            for words in lines
        ]
    assert [each.returncode for each in done] == [0] * 4, [each.stderr for each in done]
    assert "1 contact: 1 block" in done[1].stdout
    assert "1 row: 1 done" in done[2].stdout
    assert "1 contact: 1 keep" in done[3].stdout


def test_the_pages_show_commands() -> None:
    shown = [pair for of in PAGES for block in of.blocks("console") for pair in console(block)]
    assert len(shown) >= 7


def test_the_readme_installs_from_a_clone_in_a_virtual_environment() -> None:
    (block, *_) = page("README.md").blocks("sh")
    lines = block.text.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["git", "cd", "python3"]
    assert ".venv/bin/pip install '.[server,ledger]'" in lines
    assert all(line.startswith(".venv/bin/") for line in lines[3:])


def test_make_serve_starts_the_server_of_the_commands() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert re.search(r"^serve: .*\n\t\$\(BIN\)/contact-adapter serve", makefile, re.MULTILINE)


@each_page
def test_every_make_target_exists(of: Page) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"(?:`|^)make ([a-z-]+)", of.text, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@each_block("sh")
def test_shell_commands_exist_with_their_options(of: Page, block: Block) -> None:
    for line in block.text.splitlines():
        check_command(shlex.split(line))


def check_command(words: list[str]) -> None:
    """Raise AssertionError for a command line that the project cannot run."""
    while re.match(r"[A-Z_]+=", words[0]):
        name = words.pop(0).partition("=")[0]
        assert name in (ROOT / "tests" / "live" / "test_live.py").read_text("utf-8")
    program, *rest = words
    match Path(program).name:
        case "contact-adapter":
            name = next(each for each in COMMANDS if rest[: each.count(" ") + 1] == each.split())
            check_options(COMMANDS[name], rest[name.count(" ") + 1 :])
        case "git" if rest[0] == "clone":
            assert len(rest) == 3
        case "cd":
            assert len(rest) == 1
        case "python3" if rest[:2] == ["-m", "venv"]:
            assert len(rest) == 3
        case "pip" if rest[0] == "install":
            for extra in re.findall(r"[\[,](\w+)", " ".join(rest)):
                assert metadata().has_option("options.extras_require", extra)
        case "pytest":
            assert all((ROOT / each).exists() for each in rest if each.startswith("tests"))
        case "make":
            assert f"\n{rest[0]}:" in (ROOT / "Makefile").read_text("utf-8")
        case _:
            pytest.fail(f"no test for the command {program}")


def check_options(command: click.Command, words: list[str]) -> None:
    """Raise AssertionError for options, or a number of arguments, that a command does not take."""
    options = {each.opts[0]: each for each in command.params if isinstance(each, click.Option)}
    arguments = [each for each in command.params if isinstance(each, click.Argument)]
    given, taken = [word for word in words if word.startswith("--")], list(words)
    for name in given:
        place = taken.index(name)
        del taken[place : place + (1 if options[name].is_flag else 2)]
    assert len([each for each in arguments if each.required]) <= len(taken) <= len(arguments)


def test_every_command_has_its_line_and_its_help() -> None:
    text, runner = page("config/README.md").text, CliRunner()
    for name, command in COMMANDS.items():
        assert re.search(rf"^\| `contact-adapter {name}[ `]", text, re.MULTILINE), name
        assert command.help
        assert runner.invoke(main, [*name.split(), "--help"]).exit_code == 0


@each_page
def test_every_command_that_is_mentioned_exists(of: Page) -> None:
    for text in re.findall(r"`contact-adapter ([a-z-][^`]*)`", of.prose):
        names = [name for name in COMMANDS if f"{text} ".startswith(f"{name} ")]
        if not names:
            assert text in main.commands, text  # a group of commands
            continue
        known = {option for each in COMMANDS[names[0]].params for option in each.opts}
        assert set(re.findall(r"--[a-z-]+", text)) <= known, text


@each_page
def test_every_method_of_the_python_api_that_is_mentioned_exists(of: Page) -> None:
    known = {*dir(ContactAdapter), *dir(Client)}
    assert set(re.findall(r"\bcontacts\.(\w+)\(", of.text)) <= known


def test_the_pages_mention_methods_of_the_python_api() -> None:
    texts = "".join(of.text for of in PAGES)
    methods = {"block", "unblock", "blocked", "status", "lookup", "state", "for_app"}
    assert methods <= set(re.findall(r"\bcontacts\.(\w+)\(", texts))


# --- Python, JSON and configuration


@pytest.mark.slow
@each_block("python")
def test_python_runs(of: Page, block: Block, tmp_path: Path) -> None:
    if block.text.startswith('"""'):
        assert of.name == "providers/README.md"  # the guide's module; test_new_provider follows it
        return
    for _ in range(2):  # again in the same folder, with what the first run has left
        done = subprocess.run(
            [sys.executable, "-c", block.text],
            cwd=tmp_path,
            timeout=60,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


@each_block("json")
def test_json_has_the_shape_of_the_api(of: Page, block: Block) -> None:
    document = json.loads(block.text)
    if "exchanges" in document:
        # The guide's responses: test_new_provider again, and test_reads_guide.
        assert of.name == "providers/README.md"
        return
    assert list(document) == list(build_envelope(data={}, request_id=""))
    if document["success"]:
        assert ChangeEnvelope().validate(document) == {}
        return
    assert FailureEnvelope().validate(document) == {}
    error = document["error"]
    code = code_named(error["code"])
    assert error["message"] == code.message
    assert error["retry"] == code.retry.value
    assert error["outcome"] == code.applied.value


@pytest.fixture
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [*(of.text for of in PAGES), (CONFIG / "adapter.toml").read_text("utf-8")]
    for name in re.findall(r'env = "([A-Z_]+)"', "".join(texts)):
        monkeypatch.setenv(name, f"value-of-{name}")


@pytest.mark.usefixtures("_secrets")
@each_block("toml")
def test_configurations_load(of: Page, block: Block) -> None:
    document = tomllib.loads(block.text)
    if any(each["provider"] == "acme" for each in document.get("accounts", {}).values()):
        assert of.name == "providers/README.md"  # installed where test_new_provider follows it
        return
    whole = {"accounts": {"support": {"provider": "memory"}}} | document
    assert load_settings(whole).default_account == "support"


def test_the_pages_show_whole_configurations() -> None:
    blocks = [block for of in PAGES for block in of.blocks("toml") if "[accounts." in block.text]
    assert len(blocks) >= 3


@pytest.mark.usefixtures("_secrets")
@each_block("diff")
def test_both_sides_of_a_switch_of_the_provider_load(of: Page, block: Block) -> None:
    providers = []
    for sign in "-+":
        lines = [line[1:] for line in block.text.splitlines() if line[0] in f" {sign}"]
        settings = load_settings(tomllib.loads("\n".join(lines)))
        providers.append(settings.accounts["support"].provider.name)
    assert providers == ["wuts", "wappfy"]


def test_the_readme_shows_a_switch_of_the_provider() -> None:
    assert len(page("README.md").blocks("diff")) == 1


@pytest.mark.usefixtures("_secrets")
def test_the_commented_configuration_loads_and_has_every_key() -> None:
    path = CONFIG / "adapter.toml"
    settings = load_settings(read_toml(path))
    text = path.read_text("utf-8")
    for account in settings.accounts.values():
        assert account.provider is BUILT_IN[account.provider.name]
        for key in account.provider.Options().fields:
            assert re.search(rf"^#? ?{key} = .*# {account.provider.name}: ", text, re.MULTILINE)
    schemas = [
        each
        for each in vars(schema_module).values()
        if isinstance(each, type) and issubclass(each, Schema) and each is not Schema
    ]
    assert len(schemas) >= 7
    for schema in schemas:
        for key in schema().fields:
            table = rf"\[(?:accounts\.\w+\.)?{key}[\].]"
            assert re.search(rf"^#? ?(?:{key} = |{table})", text, re.MULTILINE), key


# --- sentences that repeat the code


def test_the_settings_of_the_ledger_have_their_defaults_on_the_page() -> None:
    section = page("config/README.md").section("The ledger")
    listed = dict(re.findall(r"^\| `(\w+)` \| *(?:`([^`]*)`)? *\|", section, re.MULTILINE))
    defaults = LedgerSettings("")
    days = defaults.keep_calls // (24 * 3600)
    written = {
        "url": "",
        "required": json.dumps(defaults.required),
        "wait": json.dumps(defaults.wait),
        "keep_calls": json.dumps(f"{days}d"),
        "table_prefix": json.dumps(defaults.table_prefix),
    }
    assert {key: listed[key] for key in schema_module.LedgerSchema().fields} == written


def test_the_tables_of_the_ledger_are_on_the_page() -> None:
    table = page("config/README.md").section("The ledger").partition("### What is stored")[2]
    listed = re.findall(r"^\| (`[^|]+) \|", table.partition("###")[0], re.MULTILINE)
    tables = Tables("")
    names = {*tables.metadata.tables, tables.version_name}
    assert set(re.findall(r"`(\w+)`", " ".join(listed))) == names


def test_the_calls_of_the_server_alone_are_marked_in_the_table() -> None:
    table = page("adapter/README.md").section("The HTTP API").partition("```")[0]
    rows = re.findall(r"^\| (`(?:GET|POST) .*?) \|(.*)$", table, re.MULTILINE)
    app = Flask("host")
    ContactAdapter(app, {"accounts": {"a": {"provider": "memory"}}}, url_prefix="/x")
    mounted = {
        re.sub(r"<contact_adapter_(\w+)>", r"{\1}", rule.rule.removeprefix("/x"))
        for rule in app.url_map.iter_rules()
    }
    for calls, rest in rows:
        for path in re.findall(r"(?:GET|POST) (/[^`]*)", calls):
            assert (path in mounted) is ("server only: " not in rest), path
    assert len(rows) >= 8


def test_the_remedy_of_the_log_line_about_missing_keys_is_on_the_page(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ContactAdapter(Flask("host"), {"accounts": {"a": {"provider": "memory"}}})
    (argument,) = re.findall(r"set (\w+) where", caplog.text)
    assert f"{argument}=True" in page("adapter/README.md").section("In a Flask app")


def test_the_statuses_of_the_shared_rules_in_the_guide_are_the_codes() -> None:
    own = [rule for rule in reversed(HTTP_STATUS_RULES) if not rule.any_sender]
    codes = {rule.status: rule.code.value for rule in own}
    table = dict(
        re.findall(
            r"^\| (\d{3})\S* \| `(\w+)`",
            page("providers/README.md").section("Evidence"),
            re.MULTILINE,
        )
    )
    assert {int(status): code for status, code in table.items()}.items() >= codes.items()
    assert (codes[400], codes[404]) == ("target_rejected", "provider_misaddressed")


def test_every_hook_is_in_the_reference() -> None:
    from adapter import hookspecs

    hooks = {
        name for name, each in vars(hookspecs).items() if hasattr(each, "contact_adapter_spec")
    }
    listed = re.findall(r"^\| `(\w+)\(", page("providers/README.md").section("Hooks"), re.MULTILINE)
    assert set(listed) == hooks


def layers() -> Iterator[list[str]]:
    """Yield the modules and folders of each layer, as the page lists them."""
    for line in page("adapter/README.md").section("The layers").splitlines():
        cells = line.split(" | ")
        if len(cells) == 3 and "`" in cells[1]:
            yield re.findall(r"`(\w+)/?`", cells[1])


def test_every_module_of_the_core_has_its_layer() -> None:
    folder = Path(adapter.__file__).parent
    modules = {file.stem for file in folder.glob("*.py")} - {"__init__"}
    folders = {file.parent.name for file in folder.glob("*/__init__.py")}
    listed = [name for layer in layers() for name in layer]
    assert len(listed) == len(set(listed))
    assert set(listed) == modules | folders


def test_the_glossary_is_in_alphabetical_order() -> None:
    section = page("adapter/README.md").section("Glossary")
    terms = [term.lower() for term in re.findall(r"^\| ([\w ]+?) \| (?!Meaning)", section, re.M)]
    assert len(terms) >= 14
    assert all(first < second for first, second in pairwise(terms))


# --- versions and changes


def test_the_version_is_the_newest_of_the_changes() -> None:
    (newest, *_) = re.findall(r"^## (\d\S*)", page("CHANGES.md").prose, re.MULTILINE)
    assert metadata()["metadata"]["version"] == newest


def test_changes_are_breaking_features_or_fixes() -> None:
    titles = re.findall(r"^### (.*)$", page("CHANGES.md").prose, re.MULTILINE)
    assert titles
    assert set(titles) <= {"Breaking", "Features", "Fixes"}


def test_the_changes_name_the_public_api() -> None:
    text = page("CHANGES.md").section("Versions and public API")
    for name in ("adapter.__all__", "adapter.plugin", "adapter.testing"):
        assert f"`{name}`" in text


def test_the_classifiers_begin_with_the_oldest_supported_python() -> None:
    found = re.findall(r"Python :: (3\.\d+)$", metadata()["metadata"]["classifiers"], re.MULTILINE)
    assert metadata()["options"]["python_requires"] == f">={found[0]}"
    assert found == ["3.11", "3.12", "3.13", "3.14"]
