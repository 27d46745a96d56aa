"""The contract kit in a folder of a third party: its imports, its output, its messages."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.clauses import COMPLETE, EVIDENCE, HOSTILE, OPTIONS, REQUEST
from support.toy import JID, LID, failures

import adapter
from adapter.testing import ProviderContract


@pytest.mark.slow
def test_the_kit_needs_no_test_library_and_the_adapter_does_not_need_the_kit() -> None:
    every = [f"adapter.{path.stem}" for path in Path(adapter.__file__).parent.glob("*.py")]
    core = sorted(set(every) - {"adapter.__init__"})
    program = f"""
import importlib, sys
for name in {core}:
    importlib.import_module(name)
assert "adapter.testing" not in sys.modules
import adapter.testing
assert not {{"pytest", "hypothesis"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


PROVIDER = """
from adapter import plugin as p


class AcmeProvider(p.Provider):
    name = "acme"
    title = "Acme"
    header_templates = {"Authorization": "Bearer {token}"}
    routes = {"block": ("POST", "/block"), "unblock": ("POST", "/unblock")}

    class Options(p.Options):
        token = p.SecretField(required=True)

    def build_request(self, command):
        return self.request(command, {"to": command.contact.jid})

    def parse_success(self, command, response):
        done = response.status == 200 and response.document == {"done": True}
        return self.success(response) if done else None
"""

TEST = """
from pathlib import Path

from acme import AcmeProvider
from adapter.testing import ProviderContract


class TestAcme(ProviderContract):
    provider = AcmeProvider
    answers = Path(__file__).parent / "answers"
"""


def exchange(action: str, contact: str = JID) -> dict[str, Any]:
    return {
        "title": f"{action}ed",
        "command": {"action": action, "contact": contact},
        "request": {
            "method": "POST",
            "path": f"/{action}",
            "headers": {"Authorization": "Bearer <token>"},
            "json": {"to": contact},
        },
        "response": {"status": 200, "body": {"done": True}},
        "outcome": {"confirmation": "accepted"},
        "evidence": ["/done"],
    }


def write_package(folder: Path, provider: str = PROVIDER, **changes: Any) -> None:
    """Write a provider, its test and its answers; `changes` are keys of every exchange."""
    (folder / "acme.py").write_text(provider)
    (folder / "test_acme.py").write_text(TEST)
    answers = folder / "answers"
    answers.mkdir(exist_ok=True)
    shared = {"source": "https://acme.example/docs", "date": "2026-11", "provenance": "documented"}
    exchanges = [exchange(action) for action in ("block", "unblock")]
    exchanges.append(exchange("block", LID))
    exchanges = [{**each, **changes} for each in exchanges]
    (answers / "acme.json").write_text(json.dumps({**shared, "exchanges": exchanges}))


def run_pytest(folder: Path) -> str:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null"]
    done = subprocess.run(
        [*command, "--rootdir", str(folder), "test_acme.py"],
        cwd=folder,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout


@pytest.mark.slow
def test_a_third_party_runs_the_kit_in_a_folder_of_its_own(tmp_path: Path) -> None:
    write_package(tmp_path)
    good, count = run_pytest(tmp_path), len(ProviderContract.clauses())
    assert f"{count} passed" in good, good

    write_package(tmp_path, PROVIDER.replace('"to"', '"phone"'))
    bad = run_pytest(tmp_path)
    assert f"1 failed, {count - 1} passed" in bad
    assert "To mend this: correct AcmeProvider.build_request in acme.py, or `request`" in bad

    write_package(tmp_path, outcome={})
    bad = run_pytest(tmp_path)
    assert f"1 failed, {count - 1} skipped" in bad
    assert "outcome: give a success a `confirmation`" in bad


# -- messages


@pytest.fixture
def contract(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], type[ProviderContract]]]:
    """Yield a function that gives the contract of a provider, from its source."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(ProviderContract, "hostile_statuses", frozenset({200, 400, 500}))

    def load(source: str) -> type[ProviderContract]:
        write_package(tmp_path, source)
        monkeypatch.delitem(sys.modules, "acme", raising=False)
        importlib.invalidate_caches()
        provider = importlib.import_module("acme").AcmeProvider
        attributes = {"provider": provider, "answers": tmp_path / "answers"}
        return type("TestAcme", (ProviderContract,), attributes)

    yield load
    sys.modules.pop("acme", None)


def test_an_exception_is_reported_with_file_and_line_and_its_text(
    contract: Callable[[str], type[ProviderContract]],
) -> None:
    source = PROVIDER.replace(
        "        done = response",
        "        self.check(response.body)\n        done = response",
    )
    source += """
    def check(self, body):
        if body[:1] not in (b"{", b"["):
            raise ValueError(f"unexpected: {body}")
"""
    line = next(n for n, each in enumerate(source.splitlines(), 1) if "raise ValueError" in each)
    found = failures(contract(source))
    assert f"parsing it raises ValueError in check (acme.py, line {line})" in found[HOSTILE]
    assert f"line {line}): unexpected: b'<!doctype html>" in found[HOSTILE]
    assert "canary" not in "".join(found.values())


def test_an_exception_in_a_library_is_located_in_the_provider(
    contract: Callable[[str], type[ProviderContract]],
) -> None:
    decoded = "        response.body.decode('utf-8')"
    source = PROVIDER.replace("        done =", f"{decoded}\n        done =")
    line = source.splitlines().index(decoded) + 1
    found = failures(contract(source))
    assert f"UnicodeDecodeError in parse_success (acme.py, line {line})" in found[HOSTILE]


def test_an_exception_of_a_request_is_located(
    contract: Callable[[str], type[ProviderContract]],
) -> None:
    source = PROVIDER.replace("command.contact.jid", "self.options['phone']")
    line = next(n for n, each in enumerate(source.splitlines(), 1) if "'phone'" in each)
    found = failures(contract(source))
    place = f"build_request (acme.py, line {line})"
    assert f"build_request raises KeyError in {place}" in found[REQUEST]


@pytest.mark.parametrize(
    ("old", "new", "clause", "message"),
    [
        ('{"to"', '{"phone"', REQUEST, "AcmeProvider.build_request in acme.py"),
        ("response.status == 200 and ", "", EVIDENCE, "AcmeProvider.parse_success in acme.py"),
        ('"/unblock")', '"/unblock"), "list": ("GET", "/l")', COMPLETE, "AcmeProvider.routes in"),
        (
            "p.SecretField(required=True)",
            "p.SecretField(required=True)\n        password = fields.String()",
            OPTIONS,
            "AcmeProvider.Options in acme.py",
        ),
    ],
)
def test_a_message_names_the_attribute_and_the_file(
    contract: Callable[[str], type[ProviderContract]],
    old: str,
    new: str,
    clause: str,
    message: str,
) -> None:
    assert old in PROVIDER
    source = "from marshmallow import fields\n" + PROVIDER.replace(old, new)
    with pytest.raises(AssertionError, match=re.escape(message)):
        getattr(contract(source)(), clause)()
