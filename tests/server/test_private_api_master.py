"""Canaries: one test per undocumented attribute of gunicorn's application and master process.

Each fails when a release removes the attribute or changes its meaning.
"""

from __future__ import annotations

import logging
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from gunicorn.app.base import Application, BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.config import Config


class Minimal(BaseApplication):
    def load_config(self) -> None:
        pass


def test_gunicorn_application_load_config_is_called_by_the_constructor_with_cfg(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", ["program", "--no-such-option"])
    seen = []

    class Recording(Application):
        def init(self, parser: Any, opts: Any, args: Any) -> None:
            raise AssertionError("init is called by the original load_config alone")

        def load_config(self) -> None:
            seen.append(self.cfg.workers)
            self.cfg.set("workers", 3)

    assert Recording().cfg.workers == 3
    assert len(seen) == 1


def test_gunicorn_application_init_is_called_by_the_original_load_config(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "argv", ["program"])
    monkeypatch.chdir(tmp_path)
    called = []

    class Recording(Application):
        def init(self, parser: Any, opts: Any, args: Any) -> None:
            called.append(args)

    Recording()
    assert len(called) == 1


def test_gunicorn_application_callable_is_the_cache_of_load() -> None:
    first, second = object(), object()
    loaded = iter([first, second])

    class Loading(Minimal):
        def load(self) -> Any:
            return next(loaded)

    app = Loading()
    assert [app.wsgi(), app.wsgi()] == [first, first]
    app.callable = None
    assert app.wsgi() == second


def test_gunicorn_application_reload_raises_system_exit_for_an_invalid_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "gunicorn.conf.py"
    file.write_text("workers = 1\n")

    class Reading(Application):
        def load_config(self) -> None:
            self.load_config_from_file(str(file))

    app = Reading()
    file.write_text("workers = = 1\n")
    with pytest.raises(SystemExit):
        app.reload()
    assert "Failed to read config file" in capsys.readouterr().err


def test_gunicorn_arbiter_handle_hup_is_the_handler_of_sighup_and_reloads() -> None:
    assert Arbiter.SIG_NAMES[signal.SIGHUP] == "hup"
    reloaded = []

    class Recording(Arbiter):
        def reload(self) -> None:
            reloaded.append(self.app)

    app = Minimal()
    Recording(app).handle_hup()
    assert reloaded == [app]


def test_gunicorn_setting_nworkers_changed_is_called_with_the_new_and_the_old_number() -> None:
    calls = []

    class Watching(Minimal):
        def load_config(self) -> None:
            self.cfg.set("nworkers_changed", lambda _, new, old: calls.append((new, old)))

    arbiter = Arbiter(Watching())
    arbiter.num_workers = 2
    assert calls == [(1, None), (2, 1)]


def test_gunicorn_logger_error_log_is_a_logger_of_the_standard_library() -> None:
    from adapter.server.run import _Logger

    log = _Logger(Config())
    assert log.error_log is logging.getLogger("gunicorn.error")
    assert (log.error_log.handlers, log.error_log.propagate) == ([], True)
