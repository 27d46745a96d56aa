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
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click
from flask import Flask
from gunicorn.app.base import Application
from gunicorn.glogging import Logger

from adapter.app import sandbox_path, service_state
from adapter.settings import MULTIPROCESS_VARIABLE

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
    """Return the URL at which this machine itself reaches the socket."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"  # noqa: S104
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def shared_numbers(workers: int | None) -> Iterator[None]:
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
    app: Flask, listener: socket.socket, *, workers: int | None, connections: int | None
) -> None:
    """Serve the app on the socket until SIGTERM or SIGINT. Does not return."""
    _allow_many_files()
    _Server(app, listener, {"workers": workers, "worker_connections": connections}).run()


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

    They may hold the path of a request that could not be read.
    """

    def setup(self, cfg: Any) -> None:
        """Leave writing to the handlers of the process."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.setLevel(logging.NOTSET)
        self.error_log.propagate = True

    def warning(self, msg: str, *args: Any, **kwargs: Any) -> None:  # type: ignore[override, unused-ignore]
        """Leave out what an unreadable request said: a header without a colon may be a key."""
        if msg.startswith("Invalid request from"):
            msg = msg.partition(": ")[0]
        super().warning(msg, *args, **kwargs)


class _Server(Application):  # type: ignore[misc, unused-ignore]
    """gunicorn, told everything by us and nothing by the command line that started us."""

    def __init__(
        self, app: Flask, listener: socket.socket, overrides: dict[str, int | None]
    ) -> None:
        self._app = app
        self._listener = listener
        self._overrides = overrides
        super().__init__()

    def init(self, parser: Any, opts: Any, args: Any) -> None:
        """Take nothing from the command line."""

    def load_config(self) -> None:
        """Read gunicorn.conf.py, then what the caller said."""
        self.load_config_from_file(str(_config_file()))
        # gunicorn takes over the descriptor it is told of; ours stays ours to close.
        self.cfg.set("bind", f"fd://{os.dup(self._listener.fileno())}")
        self.cfg.set("logger_class", _Log)
        settings = service_state(self._app).service.settings
        all_bounds = [account.transport for account in settings.accounts.values()]
        longest = max(max(each.deadline, each.list_deadline) for each in all_bounds)
        self.cfg.set("graceful_timeout", max(self.cfg.graceful_timeout, math.ceil(longest) + 5))
        for name, value in self._overrides.items():
            if value is not None:
                self.cfg.set(name, value)

    def load(self) -> Any:
        """Return the app, which was built, and found sound, before any worker was started."""
        return self._app
