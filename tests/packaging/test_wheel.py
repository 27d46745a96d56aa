"""The wheel, installed alone: what an app of somebody else gets that asks for the core."""

from __future__ import annotations

import json
import shutil
import zipfile
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path

import pytest
from support.wheel import CHECKOUT, closure, make_environment, requirements, run

pytestmark = pytest.mark.slow

SERVER_ONLY = {"gunicorn", "apispec", "prometheus-client", "flask-swagger-ui", "gevent"}
LEDGER_ONLY = {"sqlalchemy", "alembic", "psycopg"}

WITH_LEDGER = """
[accounts.support]
provider = "memory"
[ledger]
url = "sqlite:///ledger.db"
"""

IN_PROCESS = """
from flask import Flask
from adapter import ContactAdapter, connect
import adapter, sys
app = Flask("host")
contacts = ContactAdapter(app, {"accounts": {"support": {"provider": "memory"}}})
with app.app_context():
    assert contacts.block("+55 11 99999-9999").ok
    assert [each.number for each in contacts.blocked().contacts] == ["5511999999999"]
assert app.test_client().get("/contact-adapter/v1/accounts").status_code == 401
with connect({"accounts": {"a": {"provider": "memory"}}}) as shell:
    assert shell.unblock(jid="5511999999999@c.us").ok
assert [name for name in sys.modules if name.startswith("adapter.ledger.")] == []
print(adapter.__file__)
"""

# The kit's clauses are methods without arguments; it needs no test runner.
KIT = """
import sys
from pathlib import Path
from adapter.providers.memory import MemoryProvider
from adapter.providers.wuts import WutsDialect, WutsProvider
from adapter.testing import ProviderContract

class TestWuts(ProviderContract):
    provider, dialect, answers = WutsProvider, WutsDialect, Path("answers/wuts")

class TestMemory(ProviderContract):
    provider, answers = MemoryProvider, Path("answers/memory")

for case in (TestWuts, TestMemory):
    for name in dir(case):
        if name.startswith("test_"):
            getattr(case(), name)()
            print(case.__name__, name)
"""


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Distribution:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = {each.partition("/")[0] for each in archive.namelist() if ".dist-info/" in each}
    return PathDistribution(zipfile.Path(wheel, f"{name}/"))


@pytest.fixture(scope="module")
def core(metadata: Distribution) -> set[str]:
    return closure(requirements(metadata))


@pytest.fixture(scope="module")
def installed(wheel: Path, core: set[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the programs of an environment that has the wheel, and of the rest only the core."""
    return make_environment(tmp_path_factory.mktemp("venv"), wheel, core)


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder outside of the checkout, with the answers for the kit."""
    folder = tmp_path_factory.mktemp("elsewhere")
    for name in ("memory", "wuts"):
        shutil.copytree(CHECKOUT / "tests" / "answers" / name, folder / "answers" / name)
    return folder


def test_the_wheel_holds_the_packages_and_the_configuration_and_nothing_else(
    wheel: Path, metadata: Distribution
) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {each for each in archive.namelist() if ".dist-info/" not in each}
    for package, folder in (
        ("adapter", "adapter"),
        ("adapter/config", "config"),
        ("adapter/providers", "providers"),
    ):
        shipped = {
            f"{package}/{path.relative_to(CHECKOUT / folder).as_posix()}"
            for path in (CHECKOUT / folder).rglob("*")
            if path.is_file() and path.suffix != ".pyc"
        }
        assert shipped <= names
        names -= shipped
    assert names == set()
    assert metadata.metadata["License"] == "MIT" or metadata.metadata["License-Expression"] == "MIT"


def test_the_core_needs_nothing_of_the_server(core: set[str], metadata: Distribution) -> None:
    assert {"flask", "requests", "marshmallow", "pluggy"} <= core
    assert core & (SERVER_ONLY | LEDGER_ONLY) == set()
    assert requirements(metadata, "server") >= {"gunicorn", "apispec", "prometheus-client"}
    assert requirements(metadata, "server") & LEDGER_ONLY == set()
    assert requirements(metadata, "ledger") >= {"sqlalchemy", "alembic"}


def test_outside_of_the_checkout_the_python_api_works(installed: Path, elsewhere: Path) -> None:
    done = run(installed / "python", "-W", "error", "-c", IN_PROCESS, cwd=elsewhere)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.splitlines()[-1]).is_relative_to(installed.parent)


def test_nothing_of_the_server_is_there_to_be_used_by_mistake(
    installed: Path, elsewhere: Path
) -> None:
    others = SERVER_ONLY | LEDGER_ONLY | {"pytest", "hypothesis"}
    names = sorted(each.replace("-", "_") for each in others)
    program = f"from importlib.util import find_spec; print([find_spec(n) for n in {names!r}])"
    done = run(installed / "python", "-c", program, cwd=elsewhere)
    assert done.stdout.strip() == str([None] * len(names)), done.stderr


def test_the_contract_kit_runs_from_the_wheel(installed: Path, elsewhere: Path) -> None:
    done = run(installed / "python", "-c", KIT, cwd=elsewhere)
    assert done.returncode == 0, done.stderr
    clauses = done.stdout.splitlines()
    assert len(clauses) == len(set(clauses))
    assert sum(line.startswith("TestWuts ") for line in clauses) >= 15
    assert sum(line.startswith("TestMemory ") for line in clauses) >= 15


def test_the_kit_fails_from_the_wheel_too(installed: Path, tmp_path: Path) -> None:
    shutil.copytree(CHECKOUT / "tests" / "answers", tmp_path / "answers")
    path = tmp_path / "answers" / "wuts" / "block.json"
    path.write_text(path.read_text("utf-8").replace('"/contacts/block"', '"/contacts/blocks"'))
    done = run(installed / "python", "-c", KIT, cwd=tmp_path)
    assert done.returncode != 0
    assert "/contacts/block" in done.stderr


def test_the_command_line_is_there(installed: Path, elsewhere: Path) -> None:
    program = installed / "contact-adapter"
    told = run(program, "--help", cwd=elsewhere)
    assert told.returncode == 0, told.stderr
    for name in ("serve", "check", "providers", "accounts", "block", "blocked", "new-provider"):
        assert f"  {name} " in told.stdout
    (elsewhere / "adapter.toml").write_text('[accounts.support]\nprovider = "memory"\n')
    done = run(
        program, "block", "+5511999999999", "--json", "--config", "adapter.toml", cwd=elsewhere
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["data"]["blocked"] is True
    listed = run(program, "providers", cwd=elsewhere)
    assert listed.returncode == 0, listed.stderr
    for name in ("memory", "session-gateway", "wappfy", "wuts"):
        assert name in listed.stdout


@pytest.mark.parametrize(
    "command",
    [["contact-adapter", "serve"], ["python", "-c", "import adapter; adapter.create_app()"]],
    ids=["serve", "create_app"],
)
def test_the_server_names_the_extra_that_it_misses(
    installed: Path, elsewhere: Path, command: list[str]
) -> None:
    done = run(installed / command[0], *command[1:], cwd=elsewhere)
    assert done.returncode != 0
    assert "pip install 'contact-adapter[server]'" in done.stderr


@pytest.mark.parametrize("command", [("history",), ("db", "upgrade"), ("db", "check")])
def test_a_command_of_the_ledger_names_the_extra_that_it_misses(
    installed: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "adapter.toml").write_text(WITH_LEDGER)
    program = installed / "contact-adapter"
    done = run(program, *command, "--config", "adapter.toml", cwd=tmp_path)
    assert done.returncode == 1
    assert "run: pip install 'contact-adapter[ledger]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_migrations_run_from_the_wheel(
    wheel: Path, core: set[str], metadata: Distribution, tmp_path: Path
) -> None:
    names = core | closure(requirements(metadata, "ledger"))
    program = make_environment(tmp_path / "venv", wheel, names) / "contact-adapter"
    (tmp_path / "adapter.toml").write_text(WITH_LEDGER)
    done = run(program, "db", "upgrade", "--config", "adapter.toml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "created the tables of the ledger" in done.stdout
    checked = run(program, "db", "check", "--config", "adapter.toml", cwd=tmp_path)
    assert (checked.returncode, checked.stdout) == (0, "the ledger is current\n")
