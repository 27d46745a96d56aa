"""The house rules: imports go downwards, a provider translates and never talks, no favourites."""

from __future__ import annotations

import ast
import configparser
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import adapter
from adapter import plugin
from adapter.registry import load_plugins

ROOT = Path(adapter.__file__).parent
PROVIDERS = ROOT.parent / "providers"

CORE = {
    str(file.relative_to(ROOT).with_suffix("")).replace("/", "."): file
    for file in sorted(ROOT.rglob("*.py"))
}
"""Every module of the core, by its dotted name below `adapter`."""
PARTS = {file.stem: file for file in sorted(PROVIDERS.glob("*.py")) if file.stem != "__init__"}
"""Every file of the providers, those that several of them share included."""
SHARED = {name for name in PARTS if name.startswith("_")}
PLUGINS = {name: file for name, file in PARTS.items() if name not in SHARED}
FLASK_LAYERS = ("web.", "server.", "cli", "__main__")
NETWORK = ("transport.",)


def parse(file: Path) -> ast.Module:
    return ast.parse(file.read_text("utf-8"))


def imports(file: Path) -> Iterator[tuple[str, str | None]]:
    """Yield each module that is imported anywhere in the file, with the name taken from it."""
    for node in ast.walk(parse(file)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from ((node.module or "", alias.name) for alias in node.names)


def neighbours(file: Path) -> set[str]:
    """Return what the file imports relatively, with the dots of every folder above its own."""
    found = set()
    for node in ast.walk(parse(file)):
        if isinstance(node, ast.ImportFrom) and node.level:
            up = "." * (node.level - 1)
            found |= {up + (node.module or alias.name) for alias in node.names}
    return found


def ours(file: Path) -> set[str]:
    """Return the modules of the core that the file imports, by their dotted names."""
    found = set()
    for module, name in imports(file):
        if module == "adapter":
            found.add(name if name in CORE else "__init__")
        elif module.startswith("adapter."):
            inner = module.removeprefix("adapter.")
            found.add(f"{inner}.{name}" if f"{inner}.{name}" in CORE else inner)
    return {str(name) for name in found}


def packages(file: Path) -> set[str]:
    return {module.split(".")[0] for module, _ in imports(file)}


# --- the layers


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the package in `folder`, with the contract of pyproject.toml."""
    program = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [program, "--config", ROOT.parent / "pyproject.toml", "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_imports_go_downwards_only_through_the_layers(tmp_path: Path) -> None:
    shutil.copytree(ROOT, tmp_path / "adapter", ignore=shutil.ignore_patterns("__pycache__"))
    done = lint_imports(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("codes.py", "from adapter.provider import Provider"),
        ("settings/model.py", "from adapter.transport.client import Transport"),
        ("service.py", "from adapter.web.context import RequestContext"),
        ("web/app.py", "from adapter.server.worker import Worker"),
        ("cli.py", "import adapter.unplaced"),
    ],
)
def test_an_upward_import_and_a_module_without_a_layer_are_found(
    tmp_path: Path, module: str, line: str
) -> None:
    shutil.copytree(ROOT, tmp_path / "adapter", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "adapter" / "unplaced.py").touch() if "unplaced" in line else None
    with (tmp_path / "adapter" / module).open("a", encoding="utf-8") as file:
        file.write(f"\n{line}\n")
    assert lint_imports(tmp_path).returncode != 0


@pytest.mark.parametrize("name", CORE)
def test_no_module_imports_relatively(name: str) -> None:
    assert neighbours(CORE[name]) == set()


def test_every_folder_states_its_rule() -> None:
    folders = [file for name, file in CORE.items() if name.endswith(".__init__")]
    assert len(folders) >= 6
    for file in folders:
        lines = (ast.get_docstring(parse(file)) or "").splitlines()
        assert len(lines) >= 3, file


def test_the_contract_kit_is_imported_by_nothing_in_the_core() -> None:
    for name, file in CORE.items():
        if not name.startswith("testing"):
            assert not [each for each in ours(file) if each.startswith("testing")]
            assert not re.search(r"import_module\(.*testing", file.read_text("utf-8"))


def test_the_public_names_are_imported_by_nothing_below_them() -> None:
    for file in CORE.values():
        assert "__init__" not in ours(file)


@pytest.mark.parametrize("name", [each for each in CORE if not each.startswith(FLASK_LAYERS)])
def test_no_web_framework_below_the_web_layer(name: str) -> None:
    assert packages(CORE[name]).isdisjoint({"flask", "werkzeug", "click", "gunicorn", "apispec"})


@pytest.mark.parametrize("name", [each for each in CORE if not each.startswith("server.")])
def test_gunicorn_and_gevent_are_imported_by_the_server_layer_alone(name: str) -> None:
    """`ledger.threads` imports gevent too, where a host app runs in it: SQLite would block it."""
    allowed = {"gevent"} if name == "ledger.threads" else set()
    assert packages(CORE[name]).isdisjoint({"gunicorn", "gevent"} - allowed)


FILES = ("model", "rows", "columns", "lines", "reading", "writing")
"""The modules of batches that know files, and no database."""


@pytest.mark.parametrize(
    "name",
    [
        each
        for each in CORE
        if not each.startswith(("ledger.", "batches.")) or each.removeprefix("batches.") in FILES
    ],
)
def test_the_database_libraries_are_imported_by_the_ledger_and_batches_alone(name: str) -> None:
    assert packages(CORE[name]).isdisjoint({"sqlalchemy", "alembic", "psycopg", "sqlite3"})


@pytest.mark.parametrize("name", [each for each in CORE if not each.startswith(NETWORK)])
def test_only_the_transport_talks_to_a_network(name: str) -> None:
    talkers = {"requests", "h11", "urllib3", "httpx", "aiohttp", "ftplib", "smtplib", "telnetlib"}
    assert packages(CORE[name]).isdisjoint(talkers)
    modules = {module for module, _ in imports(CORE[name])}
    assert modules.isdisjoint({"http.client", "urllib.request"})
    if name == "urls":  # these two use no network
        names = {what for module, what in imports(CORE[name]) if module == "socket"}
        assert names == {"gethostname", "inet_aton"}
    elif not name.startswith(("server.", "testing.")):
        assert "socket" not in modules
    if not name.startswith("settings."):  # it reads certificates, to report unreadable ones early
        assert "ssl" not in modules


@pytest.mark.parametrize("name", [each for each in CORE if each.startswith(NETWORK)])
def test_the_transport_stands_on_requests_h11_and_the_standard_library(name: str) -> None:
    network = {"requests", "h11", "certifi"}
    assert packages(CORE[name]) <= sys.stdlib_module_names | {"adapter"} | network
    modules = {module for module, _ in imports(CORE[name])}
    assert not [each for each in modules if each.startswith(("http.client", "urllib.request"))]


@pytest.mark.parametrize("name", [each for each in CORE if each.startswith(NETWORK)])
def test_the_transport_uses_no_private_name_of_its_dependencies(name: str) -> None:
    """Of others' modules none that is private, of other objects no private attribute."""
    private = [
        f"{module}.{taken}"
        for module, taken in imports(CORE[name])
        if not module.startswith("adapter.")
        and any(part.startswith("_") for part in [*module.split("."), taken or ""])
        and module != "__future__"
    ]
    private += [
        node.attr
        for node in ast.walk(parse(CORE[name]))
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
        and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))
    ]
    assert private == []


@pytest.mark.parametrize("name", ["codes", "privacy", "secret", "http", "strict_json", "results"])
def test_the_lowest_modules_need_the_standard_library_alone(name: str) -> None:
    assert packages(CORE[name]) <= sys.stdlib_module_names | {"adapter"}


@pytest.mark.parametrize("name", [each for each in CORE if each.startswith("contacts.")])
def test_contacts_need_the_standard_library_and_phonenumbers(name: str) -> None:
    assert packages(CORE[name]) <= sys.stdlib_module_names | {"adapter", "phonenumbers"}


def test_providers_are_imported_by_nothing_in_the_core() -> None:
    for file in CORE.values():
        assert "providers" not in packages(file)


# --- the providers


def names_from_adapter(file: Path) -> set[str]:
    return {name or "" for module, name in imports(file) if module == "adapter"}


def others(file: Path) -> set[str]:
    """Return what the file imports of other providers, by whatever path."""
    absolute = {
        f"{module}.{name}"
        for module, name in imports(file)
        if re.match(r"(adapter\.)?providers\b", f"{module}.{name}")
    }
    return absolute | (neighbours(file) - SHARED)


def test_there_are_providers_to_look_at() -> None:
    assert len(PLUGINS) >= 4
    assert SHARED


def test_what_providers_share_is_shared_and_is_no_plugin() -> None:
    users = [neighbours(file) for file in PLUGINS.values()]
    for name in SHARED:
        assert sum(name in taken for taken in users) >= 2
    modules = {entry.module for entry in entry_points(group="contact_adapter")}
    assert {f"adapter.providers.{name}" for name in PLUGINS} <= modules
    assert modules.isdisjoint(f"adapter.providers.{name}" for name in SHARED)


@pytest.mark.parametrize("name", PARTS)
def test_a_provider_uses_the_names_for_plugin_authors_and_no_others(name: str) -> None:
    file = PARTS[name]
    assert names_from_adapter(file) == {"plugin"}
    assert not [module for module, _ in imports(file) if module.startswith("adapter.")]
    used = {
        node.attr
        for node in ast.walk(parse(file))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "p"
    }
    assert used
    assert used <= set(plugin.__all__)
    private = [
        node.attr
        for node in ast.walk(parse(file))
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
        and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))
    ]
    assert private == []


@pytest.mark.parametrize("name", PARTS)
def test_a_provider_stands_on_the_adapter_marshmallow_and_the_standard_library(name: str) -> None:
    assert packages(PARTS[name]) <= sys.stdlib_module_names | {"adapter", "marshmallow"}


@pytest.mark.parametrize("name", PARTS)
def test_a_provider_cannot_talk(name: str) -> None:
    talkers = {
        *("socket", "ssl", "asyncio", "socketserver", "selectors", "subprocess", "ctypes"),
        *("ftplib", "smtplib", "imaplib", "poplib", "telnetlib", "nntplib", "xmlrpc", "wsgiref"),
        *("os", "importlib", "runpy", "multiprocessing"),
    }
    assert packages(PARTS[name]).isdisjoint(talkers)
    modules = {module for module, _ in imports(PARTS[name])}
    assert modules.isdisjoint({"http.client", "http.server", "urllib.request"})
    taken = {taken for module, taken in imports(PARTS[name]) if module in ("http", "urllib")}
    assert taken <= {"HTTPStatus"}
    called = {
        node.func.id
        for node in ast.walk(parse(PARTS[name]))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert called.isdisjoint({"open", "__import__", "exec", "eval", "compile"})


@pytest.mark.parametrize("name", PARTS)
def test_a_provider_knows_no_other_provider(name: str) -> None:
    assert others(PARTS[name]) == set()


@pytest.mark.parametrize(
    ("line", "allowed"),
    [
        ("from adapter import plugin", True),
        *[(f"from .{name} import anything", True) for name in sorted(SHARED)],
        *[(f"from . import {name}", True) for name in sorted(SHARED)],
        ("from .memory import MemoryProvider", False),
        ("from . import memory", False),
        ("from ._no_such_module import anything", False),
        ("from .._memory import anything", False),
        ("from ..providers import memory", False),
        ("from adapter import providers", False),
        ("from adapter.providers import memory", False),
        ("from adapter.providers.memory import MemoryProvider", False),
        ("import adapter.providers.memory", False),
        ("from providers.memory import MemoryProvider", False),
        ("def later():\n    from .memory import MemoryProvider", False),
    ],
)
def test_another_provider_is_noticed_by_whatever_path(
    tmp_path: Path, line: str, allowed: bool
) -> None:
    file = tmp_path / "acme.py"
    file.write_text(line + "\n", "utf-8")
    assert (others(file) == set()) is allowed


@pytest.mark.parametrize("name", PARTS)
def test_a_provider_does_not_read_the_clock(name: str) -> None:
    clocks = {"now", "utcnow", "today", "time", "monotonic"}
    called = {
        node.func.attr
        for node in ast.walk(parse(PARTS[name]))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    assert called.isdisjoint(clocks)


# --- no favourites


def provider_words() -> set[str]:
    """Return every word by which one of our providers is called, in lower case."""
    texts = {*PLUGINS}
    for name, registered in load_plugins().providers.items():
        texts |= {name, registered.cls.__name__.removesuffix("Provider"), registered.cls.title}
        if registered.cls.base_url:
            texts.add(registered.cls.base_url.removeprefix("https://"))
    return {text.lower() for text in texts} | {"gateway"}


def test_the_words_to_look_for_are_found() -> None:
    assert {"wuts", "wappfy", "session-gateway", "session_gateway", "memory"} <= provider_words()


@pytest.mark.parametrize("name", CORE)
def test_no_provider_is_named_in_the_core_not_even_in_a_comment(name: str) -> None:
    words = "|".join(re.escape(word) for word in sorted(provider_words(), key=len, reverse=True))
    text = CORE[name].read_text("utf-8")
    # "memory" is an English word too; what would be the provider is quoted, called or imported.
    text = re.sub(r"(?<![\w\"'`.-])[mM]emory(?![\w\"'`(.-])", "", text)
    # The gateway's other neighbours: a machine-readable status of HTTP, never a provider.
    text = re.sub(r"(?i)\bbad gateway\b|\bgateway time-?out\b", "", text)
    found = [
        f"{number}: {line.strip()}"
        for number, line in enumerate(text.splitlines(), 1)
        if re.search(rf"(?i)(?<![a-z])(?:{words})(?![a-z])", line)
    ]
    assert found == []


# --- what an import costs


def loaded_after(statement: str) -> set[str]:
    """Return the modules of a fresh interpreter that has run `statement`."""
    code = f"import sys\n{statement}\nprint('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return set(done.stdout.split())


def test_importing_the_adapter_and_every_provider_loads_no_web_framework_and_no_client() -> None:
    lines = ["import adapter", *(f"import adapter.providers.{name}" for name in PARTS)]
    loaded = loaded_after("\n".join(lines))
    assert "adapter.provider" in loaded
    assert {f"adapter.providers.{name}" for name in PARTS} <= loaded
    assert loaded.isdisjoint({"flask", "werkzeug", "requests", "urllib3", "gunicorn", "click"})
    assert loaded.isdisjoint({"adapter.testing", "adapter.transport", "adapter.web"})


def test_connecting_from_python_loads_no_web_framework() -> None:
    loaded = loaded_after(
        "import adapter\n"
        "with adapter.connect({'accounts': {'a': {'provider': 'memory'}}}) as contacts:\n"
        "    assert contacts.block('+5511999999999').ok"
    )
    assert loaded.isdisjoint({"flask", "werkzeug", "gunicorn", "click", "adapter.testing"})
    assert loaded.isdisjoint({"adapter.ledger", "sqlalchemy", "alembic"})


def test_the_app_loads_neither_the_contract_kit_nor_the_server() -> None:
    loaded = loaded_after("from adapter import create_app\nimport adapter.cli")
    assert "flask" in loaded
    assert loaded.isdisjoint({"adapter.testing", "pytest", "hypothesis", "gunicorn"})
    assert loaded.isdisjoint({"adapter.ledger", "sqlalchemy", "alembic"})


# --- the public names


def test_every_public_name_is_there() -> None:
    for name in adapter.__all__:
        assert getattr(adapter, name) is not None


def test_the_public_names_are_in_order_and_once_each() -> None:
    assert list(adapter.__all__) == sorted(set(adapter.__all__))


def test_what_the_package_imports_for_others_is_public() -> None:
    taken = {
        name
        for module, name in imports(CORE["__init__"])
        if module.startswith("adapter.") and name is not None
    }
    assert taken == set(adapter.__all__)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = adapter.no_such_name


def test_the_lower_bounds_of_the_core_are_the_versions_that_the_oldest_run_has() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT.parent / "setup.cfg")
    bounds = dict(
        re.findall(r"^(\S+) >= (\S+)$", setup["options"]["install_requires"], re.MULTILINE)
    )
    oldest = (ROOT.parent / "tests" / "oldest.txt").read_text("utf-8")
    pinned = dict(re.findall(r"^(\S+)==(\S+)$", oldest, re.MULTILINE))
    assert len(bounds) >= 7
    assert bounds.items() <= pinned.items()
