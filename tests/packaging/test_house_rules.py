"""Rules for files: where tests are, what they do not do, how long a file is, and its words."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
FOREIGN = TESTS / "embedding" / "legacy_app"
FOLDERS = {
    *("batches", "docs", "domain", "embedding", "ledger", "live", "packaging", "providers"),
    *("server", "service", "settings", "transport", "web"),
}
MODULES = [path for path in sorted(TESTS.rglob("test_*.py")) if not path.is_relative_to(FOREIGN)]
SOURCES = [path for name in ("adapter", "providers") for path in (ROOT / name).rglob("*.py")]
PAGE_FOLDERS = [ROOT, *(ROOT / name for name in (".github", "adapter", "config", "providers"))]
PAGES = [page for folder in PAGE_FOLDERS for page in sorted(folder.glob("*.md"))]

MOST_LINES = 420

SLEEPS = {
    "support/__init__.py": "wait_until looks again and again until it has happened",
    "server/test_timeouts.py": "a caller that sends its body slowly",
}
"""The files that may sleep: a slow peer is their subject. All others wait for an event."""

OLD_WORDS = {
    r"\bpatience": "timeout, deadline",
    r"\bstranger": "third party, unknown caller",
    r"\bsick": "unhealthy",
    r"\bmachine code": "provider code",
    r"(?<!\bthere )\bis no (?!longer)": "is not a, has no",
}
"""Words of earlier versions, as regular expressions, with what to write in their place."""


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def sleeps(path: Path) -> list[int]:
    """Return the lines on which a file calls time.sleep."""
    if "sleep(" not in path.read_text("utf-8"):
        return []
    calls = [
        node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)
    ]
    return [call.lineno for call in calls if ast.unparse(call.func) in ("time.sleep", "sleep")]


def test_every_test_module_is_in_a_folder_of_its_subject() -> None:
    assert {name_of(path) for path in MODULES if path.parent.name not in FOLDERS} == set()
    assert {path.parent.parent for path in MODULES} == {TESTS}


def test_the_names_of_the_test_modules_differ() -> None:
    assert len({path.stem for path in MODULES}) == len(MODULES)


def test_no_test_module_imports_another() -> None:
    names = "|".join(path.stem for path in MODULES)
    importing = re.compile(rf"^\s*(?:from|import)\b.*\b(?:{names})\b", re.MULTILINE)
    files = [path for path in TESTS.rglob("*.py") if not path.is_relative_to(FOREIGN)]
    assert {name_of(path) for path in files if importing.search(path.read_text("utf-8"))} == set()


def test_no_test_sleeps_but_where_slowness_is_the_subject() -> None:
    files = {str(path.relative_to(TESTS)): path for path in sorted(TESTS.rglob("*.py"))}
    found = {
        name: lines
        for name, path in files.items()
        if not name.startswith("bench/") and (lines := sleeps(path))
    }
    assert {name: lines for name, lines in found.items() if name not in SLEEPS} == {}
    assert SLEEPS.keys() <= found.keys(), "take those that sleep no more from the list"


@pytest.mark.parametrize("path", sorted(SOURCES), ids=name_of)
def test_a_source_file_is_short(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= MOST_LINES


@pytest.mark.parametrize("word", OLD_WORDS)
def test_words_of_earlier_versions_are_gone(word: str) -> None:
    pattern = re.compile(word, re.IGNORECASE)
    found = [
        f"{name_of(path)}:{number}: {line.strip()}"
        for path in [*SOURCES, *PAGES]
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if pattern.search(line)
    ]
    assert found == [], f"write: {OLD_WORDS[word]}"
