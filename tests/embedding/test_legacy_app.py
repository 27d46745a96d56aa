"""A legacy app's own tests pass unchanged, without the extension and with it."""

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

# A process of its own, in which nothing of ours has been imported by somebody else.
RUN = """
import sys
import pytest

status = pytest.main(["-q", "-rA", "-p", "no:cacheprovider", "-W", "error", "-c", "/dev/null",
                      "--rootdir", sys.argv[1], "--confcutdir", sys.argv[1], sys.argv[1]])
print("adapter is", "there" if "adapter" in sys.modules else "not there")
sys.exit(status)
"""


def run_suite(factory: str) -> tuple[int, dict[str, str], str]:
    """Run the legacy app's own tests; return the status, every test's outcome, and the rest."""
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
def test_the_suite_of_the_legacy_app_passes(
    runs: dict[str, tuple[int, dict[str, str], str]], name: str
) -> None:
    status, outcomes, text = runs[name]
    assert status == 0, text
    assert len(outcomes) > 20
    assert set(outcomes.values()) == {"PASSED"}
    assert f"adapter is {'there' if name == 'with' else 'not there'}" in text


def test_it_is_the_same_suite_both_times(
    runs: dict[str, tuple[int, dict[str, str], str]],
) -> None:
    assert runs["without"][1] == runs["with"][1]


def test_the_suite_finds_an_extension_that_misbehaves(tmp_path: Path) -> None:
    """One that answers the errors of its host, as some do."""
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


def test_no_file_of_the_legacy_app_knows_of_us_but_the_one_that_adds_us() -> None:
    for path in APP.rglob("*.py"):
        knows = re.search(r"^\s*(from|import) adapter", path.read_text("utf-8"), re.M)
        assert bool(knows) == (path.name == "with_contacts.py"), path


def test_with_us_the_legacy_app_blocks_a_contact_over_http_and_in_its_own_code(
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
