"""The production server: gunicorn, on a socket that is bound before the app is built.

The app may have to know its own address (the sandbox does), and with port 0 only the bound socket
does.
"""

from __future__ import annotations

import logging
import math
import os
import resource
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import click
from flask import Flask
from gevent import Timeout
from gunicorn.app.base import Application
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger

from adapter import logs
from adapter.errors import ConfigurationError, PluginError
from adapter.provider import LocalProvider
from adapter.settings.model import MULTIPROCESS_VARIABLE, Settings
from adapter.urls import is_mount
from adapter.web.app import sandbox_path, service_state

_MOST_FILES = 65536


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on the address.

    Raises click.ClickException where the address cannot be had.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise click.ClickException(f"cannot listen on {host} port {port}: {error}") from None


def address_of(listener: socket.socket) -> str:
    """Return the URL at which this machine itself reaches the app, below any SCRIPT_NAME."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"  # noqa: S104
    root = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    return root + _script_name()


def _script_name() -> str:
    """Return the path below which the environment wants the app: "" or such as "/wa".

    gunicorn reads the variable for each request, and takes it as it is; a last slash is removed.
    Raises click.ClickException for what is no path.
    """
    prefix = os.environ.get("SCRIPT_NAME", "").rstrip("/")
    if prefix and not is_mount(prefix):
        raise click.ClickException(
            "SCRIPT_NAME must be a path such as /wa, of letters, digits and ._~- between single "
            "slashes, or unset"
        )
    if "SCRIPT_NAME" in os.environ:
        os.environ["SCRIPT_NAME"] = prefix
    return prefix


@contextmanager
def multiprocess_metrics(workers: int | None) -> Iterator[None]:
    """Let several workers keep their numbers in one folder, which goes when the server does.

    It has to be entered before the app is built: the client of Prometheus looks for the folder
    when it is imported, and never again. A folder that the environment names is left as it is.
    """
    if (workers or 1) < 2 or MULTIPROCESS_VARIABLE in os.environ:
        yield
        return
    owner, folder = os.getpid(), tempfile.mkdtemp(prefix="contact-adapter-")
    os.environ[MULTIPROCESS_VARIABLE] = folder
    try:
        yield
    finally:
        if os.getpid() == owner:  # a worker is a fork of this process and leaves by this door too
            del os.environ[MULTIPROCESS_VARIABLE]
            shutil.rmtree(folder, ignore_errors=True)


def run(
    build: Callable[[], Flask],
    app: Flask,
    listener: socket.socket,
    *,
    workers: int | None,
    connections: int | None,
) -> None:
    """Serve the app on the socket until SIGTERM or SIGINT. Does not return.

    On SIGHUP, `build` is called for an app of what the configuration says by then. Where it
    raises, the app that there is serves on.
    """
    _allow_many_files()
    _Server(build, app, listener, {"workers": workers, "worker_connections": connections}).run()


def _allow_many_files() -> None:
    """Raise the usual limit of 1024 open files: every call in flight holds two of them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):  # some systems have a lower limit than they tell
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _config_file() -> Path:
    return sandbox_path().with_name("gunicorn.conf.py")


class _Log(Logger):
    """gunicorn's own log, as a part of ours: its lines at our level, in our form, with our masks.

    Lines about what a client sent are not among them: the worker writes its own.
    """

    def setup(self, cfg: Any) -> None:
        """Leave writing to the handlers of the process."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.setLevel(logging.NOTSET)
        self.error_log.propagate = True


class _Arbiter(Arbiter):  # type: ignore[misc, unused-ignore]
    """gunicorn's master process."""

    def handle_hup(self) -> None:
        """Replace the workers on SIGHUP, unless the configuration has a fault."""
        if cast("_Server", self.app).renew():
            super().handle_hup()


class _Server(Application):  # type: ignore[misc, unused-ignore]
    """gunicorn, told everything by us and nothing by the command line that started us."""

    def __init__(
        self,
        build: Callable[[], Flask],
        app: Flask,
        listener: socket.socket,
        overrides: dict[str, int | None],
    ) -> None:
        self._build = build
        self._app = app
        # gunicorn takes over the descriptor it is told of; ours stays ours to close.
        self._bind = f"fd://{os.dup(listener.fileno())}"
        self._overrides = overrides
        super().__init__()

    @property
    def _settings(self) -> Settings:
        return service_state(self._app).service.settings

    def init(self, parser: Any, opts: Any, args: Any) -> None:
        """Take nothing from the command line."""

    def load_config(self) -> None:
        """Read gunicorn.conf.py, then what the caller said."""
        self.load_config_from_file(str(_config_file()))
        self.cfg.set("bind", self._bind)
        self.cfg.set("logger_class", _Log)
        self.cfg.set("nworkers_changed", self._warn_of_split_lists)
        accounts = self._settings.accounts.values()
        longest = max(account.transport.deadline for account in accounts)
        self.cfg.set("graceful_timeout", max(self.cfg.graceful_timeout, math.ceil(longest) + 5))
        for name, value in self._overrides.items():
            if value is not None:
                self.cfg.set(name, value)

    def load(self) -> Any:
        """Return the app, which was built, and found sound, before any worker was started."""
        service_state(self._app).service.set_time_limit(Timeout)
        return self._app

    def run(self) -> None:
        """Serve until the end."""
        _Arbiter(self).run()

    def renew(self) -> bool:
        """Read the configuration and its secrets again; return False on a fault.

        The app that there is stays then, and so do the workers, with the lists that they hold.
        """
        try:
            self._app = self._build()
        except ConfigurationError as error:
            self._keep("; ".join(map(str, error.problems)))
        except click.ClickException as error:
            self._keep(error.message)
        except Exception as error:  # noqa: BLE001 - a plugin's, or ours: the server goes on
            # The text of a stranger's exception may hold what its constructor was given: a token.
            self._keep(str(error) if isinstance(error, PluginError) else type(error).__name__)
        else:
            self.callable = None  # so that the next workers ask `load` for the new one
            logs.configure(self._settings.log.level, self._settings.log.format)
            logs.log.info("the configuration was read again; new workers take over")
            return True
        return False

    def reload(self) -> None:
        """Read gunicorn.conf.py again; keep what it said before on a fault."""
        cfg = self.cfg
        try:
            super().reload()
        except SystemExit:  # what gunicorn says to a fault of gunicorn.conf.py
            self.cfg = cfg
            self._keep("gunicorn.conf.py cannot be used")

    def _keep(self, reason: str) -> None:
        logs.log.error("the configuration was not reloaded, the old one goes on: %s", reason)

    def _warn_of_split_lists(self, _arbiter: Any, workers: int, _before: int | None) -> None:
        """Warn where several processes would each have a block list of their own."""
        local = [
            name
            for name, account in self._settings.accounts.items()
            if issubclass(account.provider, LocalProvider)
        ]
        if workers > 1 and local:
            logs.log.warning(
                "with %s workers, these accounts have a block list in each of them, and show one "
                "or another: %s; use one worker, or another provider",
                workers,
                ", ".join(local),
            )
