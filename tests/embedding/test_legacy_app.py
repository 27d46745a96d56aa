"""The test suite of a legacy app passes unchanged, without the extension and with it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import NUMBER

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
APP = HERE / "legacy_app"
KEY = {"X-API-Key": "k"}
FACTORIES = {
    "without": "legacy_app:create_app",
    "with": "legacy_app.with_contacts:create_app",
}

# Run in a separate process, in which only the suite can import the adapter.
RUN = """
import sys
import pytest

status = pytest.main(["-q", "-rA", "-p", "no:cacheprovider", "-W", "error", "-c", "/dev/null",
                      "--rootdir", sys.argv[1], "--confcutdir", sys.argv[1], sys.argv[1]])
print("adapter is", "there" if "adapter" in sys.modules else "not there")
sys.exit(status)
"""


def run_suite(factory: str) -> tuple[int, dict[str, str], str]:
    """Run the suite of the legacy app; return exit status, outcome by test, and output."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(APP / "suite")],
        env={"LEGACY_FACTORY": factory, "PYTHONPATH": ":".join([str(HERE), *sys.path[1:]])},
        cwd=HERE,
        capture_output=True,
        text=True,
        timeout=120,
    )
    outcomes = re.findall(r"^(PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS) (\S+)", done.stdout, re.M)
    return done.returncode, {test: outcome for outcome, test in outcomes}, done.stdout + done.stderr


@pytest.fixture(scope="module")
def runs() -> dict[str, tuple[int, dict[str, str], str]]:
    return {name: run_suite(factory) for name, factory in FACTORIES.items()}


@pytest.mark.parametrize("name", FACTORIES)
def test_suite_of_the_legacy_app_passes(
    runs: dict[str, tuple[int, dict[str, str], str]], name: str
) -> None:
    status, outcomes, text = runs[name]
    assert status == 0, text
    assert len(outcomes) > 20
    assert set(outcomes.values()) == {"PASSED"}
    assert f"adapter is {'there' if name == 'with' else 'not there'}" in text


def test_suite_is_the_same_with_and_without_the_extension(
    runs: dict[str, tuple[int, dict[str, str], str]],
) -> None:
    assert runs["without"][1] == runs["with"][1]


def test_suite_detects_an_extension_that_changes_the_host(tmp_path: Path) -> None:
    """An extension with an app-wide error handler."""
    (tmp_path / "rude.py").write_text(
        "import legacy_app\n"
        "def create_app(config=None):\n"
        "    app = legacy_app.create_app(config)\n"
        "    app.register_error_handler(404, lambda error: ({'error': 'not_found'}, 404))\n"
        "    return app\n"
    )
    sys.path.insert(1, str(tmp_path))
    try:
        status, outcomes, _ = run_suite("rude:create_app")
    finally:
        sys.path.remove(str(tmp_path))
    assert status == 1
    assert "FAILED" in outcomes.values()


def test_only_one_file_of_the_legacy_app_imports_the_adapter() -> None:
    for path in APP.rglob("*.py"):
        imports = re.search(r"^\s*(from|import) adapter", path.read_text("utf-8"), re.M)
        assert bool(imports) == (path.name == "with_contacts.py"), path


def test_legacy_app_with_the_extension_blocks_over_http_and_in_python(
    tmp_path: Path,
) -> None:
    from legacy_app.with_contacts import contacts, create_app

    app = create_app({"TESTING": True, "DATABASE": str(tmp_path / "legacy.sqlite")})
    client = app.test_client()
    answer = client.post("/contact-adapter/v1/contacts/block", json={"number": NUMBER}, headers=KEY)
    assert answer.status_code == 200
    with app.app_context():
        assert [each.number for each in contacts.blocked().contacts or ()] == [NUMBER]
    contacts.for_app(app).close()
