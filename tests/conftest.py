"""The fixtures that several test modules share."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from flask import Flask
from support import Upstream, install_plugin, origin_config, run_app, run_upstream
from support.wheel import build_wheel

from adapter.web.app import create_app, service_state

MakeApp = Callable[..., Flask]

# A second conftest.py would take this one's name. Some tests run without the ledger's library.
pytest_plugins = (
    ["support.ledger_fixtures", "support.batch_fixtures"] if find_spec("sqlalchemy") else []
)

# A busy machine takes its time: no test asserts how long something takes.
hypothesis.settings.register_profile(
    "any machine",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("any machine")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return the number of test workers, which often wait.

    That is two per core for `--numprocesses auto`, and one more than cores for `logical`, which
    `make test-fast` has: there, collecting the tests costs more than waiting.
    """
    cores = os.cpu_count() or 1
    return min(2 * cores if config.option.numprocesses == "auto" else cores + 1, 16)


def running_coverage() -> Any:
    """Return the coverage that measures this process, if one does."""
    module = sys.modules.get("coverage")
    return module and module.Coverage.current()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Stop coverage, where it runs, for a test with the marker `no_cover`."""
    coverage = running_coverage() if item.get_closest_marker("no_cover") else None
    if not coverage:
        return (yield)
    coverage.stop()
    try:
        return (yield)
    finally:
        coverage.start()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Save the coverage of a test worker: on a busy machine it is killed before it would."""
    coverage = running_coverage() if hasattr(session.config, "workerinput") else None
    if coverage:
        coverage.stop()
        coverage.save()


@pytest.fixture(autouse=True, scope="session")
def _default_interrupt() -> None:
    """Restore Python's SIGINT handler: a shell starts background commands with SIGINT ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONTACT_ADAPTER_CONFIG", raising=False)


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with run_upstream() as running:
        yield running


@pytest.fixture
def make_app() -> Iterator[MakeApp]:
    """Return `create_app`, open to everyone; what it makes is closed after the test."""
    made: list[Flask] = []

    def make(
        config: Mapping[str, Any] | Path, *, allow_unauthenticated: bool = True, **rest: Any
    ) -> Flask:
        made.append(create_app(config, allow_unauthenticated=allow_unauthenticated, **rest))
        return made[-1]

    yield make
    for app in made:
        service_state(app).service.close()


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    """Return the address of a server that speaks every dialect in front of a list in memory."""
    with run_app(lambda _: create_app(origin_config(), allow_unauthenticated=True)) as address:
        yield address


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Return a function that installs a plugin, from its name and source, for this test."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))

    def install(name: str, source: str) -> Path:
        install_plugin(folder, name, source)
        return folder

    return install


@pytest.fixture
def few_statuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the contract kit try few statuses: enough to find a planted fault."""
    statuses = frozenset({200, 201, 204, 304, 400, 404, 500, 502})
    monkeypatch.setattr("adapter.testing.ProviderContract.hostile_statuses", statuses)
    errors = (400, 401, 403, 404, 409, 422, 429, 451, 500, 501, 503, 504, 511)
    monkeypatch.setattr("adapter.testing.ProviderContract.error_statuses", errors)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel of this checkout."""
    return build_wheel(*(tmp_path_factory.mktemp(name) for name in ("source", "wheel")))
