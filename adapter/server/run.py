"""The production server: gunicorn, on a socket that is bound before the app is built.

The sandbox needs the server's own address, and with port 0 only a bound socket has the port.
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
from adapter.settings.locations import MULTIPROCESS_VARIABLE, config_folder
from adapter.settings.model import Settings
from adapter.urls import is_mount_path
from adapter.web.app import service_state
from adapter.web.auth import warn_about_short_keys

_MAX_OPEN_FILES = 65536


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on the address.

    Raises click.ClickException for an address that is invalid, in use or not permitted.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise click.ClickException(
            f"cannot listen on {host} port {port}: {error}; choose another --host or --port"
        ) from None


def address_of(listener: socket.socket) -> str:
    """Return the URL of the app for clients on this machine, SCRIPT_NAME included."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"  # noqa: S104
    root = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    return root + _script_name()


def _script_name() -> str:
    """Return SCRIPT_NAME, the path of the app from the environment: "" or such as "/wa".

    gunicorn reads the variable for each request and does not validate it. A trailing slash is
    removed here. Raises click.ClickException for an invalid path.
    """
    prefix = os.environ.get("SCRIPT_NAME", "").rstrip("/")
    if prefix and not is_mount_path(prefix):
        raise click.ClickException(
            "SCRIPT_NAME must be a path such as /wa: letters, digits and ._~- between single "
            "slashes; correct the environment variable, or unset it"
        )
    if "SCRIPT_NAME" in os.environ:
        os.environ["SCRIPT_NAME"] = prefix
    return prefix


@contextmanager
def multiprocess_metrics(workers: int | None) -> Iterator[None]:
    """Set PROMETHEUS_MULTIPROC_DIR to a temporary folder where there are several workers.

    Must be entered before the app is built: prometheus_client reads the variable once, at its
    import. A variable that is already set is kept, with its folder.
    """
    if (workers or 1) < 2 or MULTIPROCESS_VARIABLE in os.environ:
        yield
        return
    master_pid, folder = os.getpid(), tempfile.mkdtemp(prefix="contact-adapter-")
    os.environ[MULTIPROCESS_VARIABLE] = folder
    try:
        yield
    finally:
        if os.getpid() == master_pid:  # forked workers run this `finally` block as well
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

    On SIGHUP, `build` is called for a new app from the current configuration. Where it raises, the
    old app is kept.
    """
    _raise_open_file_limit()
    _Server(build, app, listener, {"workers": workers, "worker_connections": connections}).run()


def _raise_open_file_limit() -> None:
    """Raise the usual limit of 1024 open files: each call in flight has two connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _MAX_OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(
            ValueError, OSError
        ):  # the real limit of some systems is below the reported one
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class _Logger(Logger):
    """gunicorn's error log, written by our handlers: the same level, format and masking.

    Lines about what a client sent are dropped by the worker, which writes its own.
    """

    def setup(self, cfg: Any) -> None:
        """Remove gunicorn's handlers; records propagate to the root logger."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.setLevel(logging.NOTSET)
        self.error_log.propagate = True


class _Arbiter(Arbiter):  # type: ignore[misc, unused-ignore]
    """gunicorn's master process. On SIGHUP, it rebuilds the app, then replaces the workers."""

    def handle_hup(self) -> None:
        """Replace the workers on SIGHUP, unless the new configuration is invalid."""
        if cast("_Server", self.app).rebuild_app():
            super().handle_hup()


class _Server(Application):  # type: ignore[misc, unused-ignore]
    """A gunicorn application configured in code: sys.argv and GUNICORN_CMD_ARGS are ignored."""

    def __init__(
        self,
        build: Callable[[], Flask],
        app: Flask,
        listener: socket.socket,
        overrides: dict[str, int | None],
    ) -> None:
        self._build = build
        self._app = app
        # gunicorn closes the descriptor that it is given; the caller closes the listener.
        self._bind = f"fd://{os.dup(listener.fileno())}"
        self._overrides = overrides
        super().__init__()

    @property
    def _settings(self) -> Settings:
        return service_state(self._app).service.settings

    def init(self, parser: Any, opts: Any, args: Any) -> None:
        """Do nothing: an abstract method, for command line arguments."""

    def load_config(self) -> None:
        """Read gunicorn.conf.py, then apply our settings and the caller's."""
        self.load_config_from_file(str(config_folder() / "gunicorn.conf.py"))
        self.cfg.set("bind", self._bind)
        self.cfg.set("logger_class", _Logger)
        self.cfg.set("nworkers_changed", self._warn_about_split_lists)
        accounts = self._settings.accounts.values()
        longest = max(account.transport.deadline for account in accounts)
        self.cfg.set("graceful_timeout", max(self.cfg.graceful_timeout, math.ceil(longest) + 5))
        for name, value in self._overrides.items():
            if value is not None:
                self.cfg.set(name, value)

    def load(self) -> Any:
        """Return the app, which is built and validated before any worker starts."""
        service_state(self._app).service.set_time_limit(Timeout)
        return self._app

    def run(self) -> None:
        """Run gunicorn's master process. Does not return."""
        _Arbiter(self).run()

    def rebuild_app(self) -> bool:
        """Read configuration and secrets again, and build a new app. Return False on a fault.

        The old app is then kept, and so are the workers, with their block lists.
        """
        try:
            self._app = self._build()
        except ConfigurationError as error:
            self._log_failure("; ".join(map(str, error.problems)))
        except click.ClickException as error:
            self._log_failure(error.message)
        except Exception as error:  # noqa: BLE001 - a bug, or a plugin's: the server keeps running
            # The text of a third-party exception may hold a token that its plugin was given.
            text = str(error) if isinstance(error, PluginError) else type(error).__name__
            self._log_failure(text)
        else:
            self.callable = None  # gunicorn's cache of `load`; the next workers load the new app
            logs.configure(self._settings.log.level, self._settings.log.format)
            logs.log.info("configuration reloaded; new workers replace the old ones")
            warn_about_short_keys(self._settings.keys)
            return True
        return False

    def reload(self) -> None:
        """Read gunicorn.conf.py again; keep the old gunicorn settings on a fault.

        gunicorn calls it on SIGHUP, after `rebuild_app`, which reads our own configuration.
        """
        cfg = self.cfg
        try:
            super().reload()
        except SystemExit:  # raised by gunicorn for a fault of gunicorn.conf.py
            self.cfg = cfg
            self._log_failure("gunicorn.conf.py is invalid")

    def _log_failure(self, reason: str) -> None:
        logs.log.error("configuration not reloaded, the old one stays in use: %s", reason)

    def _warn_about_split_lists(self, _arbiter: Any, workers: int, _before: int | None) -> None:
        """Warn where each of several workers has a block list of its own."""
        local = [
            name
            for name, account in self._settings.accounts.items()
            if issubclass(account.provider, LocalProvider)
        ]
        if workers > 1 and local:
            logs.log.warning(
                "with %s workers, these accounts have a separate block list in the memory of each "
                "worker: %s; use one worker, or another provider",
                workers,
                ", ".join(local),
            )
