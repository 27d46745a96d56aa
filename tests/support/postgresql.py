"""A PostgreSQL server for the tests: Debian's programs, in a temporary folder, on a socket file."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

REQUIRED_VARIABLE = "CONTACT_ADAPTER_TEST_POSTGRESQL"
"""The environment variable that makes a missing server a failure, with the value `required`."""

_numbers = count(1)


def find_programs() -> Path | None:
    """Return the folder of the newest server's programs; None where there is none."""
    installed = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = sorted(installed, key=lambda path: int(path.parts[-3]))
    if newest:
        return newest[-1].parent
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


def _unprivileged_user() -> str | None:
    """Return the user of the server, which refuses to run as root; None for our own."""
    if os.getuid() != 0:
        return None
    names = {each.pw_name for each in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


class Server:
    """A running server; each database is made by `new_database`.

    Unless it is `durable`, nothing is written to the disk at once.
    """

    def __init__(self, programs: Path, folder: Path, *, durable: bool = False) -> None:
        self._programs, self.folder = programs, folder
        self._user = _unprivileged_user()
        if self._user is not None:
            shutil.chown(folder, self._user)
        data = ("-D", str(folder / "data"))
        self._run("initdb", *data, "-U", "tests", "-A", "trust", "--no-sync", "-E", "UTF8")
        with (folder / "data" / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write(f"unix_socket_directories = '{folder}'\nlisten_addresses = ''\n")
            file.write("max_connections = 60\n")
            if not durable:
                file.write("fsync = off\nautovacuum = off\n")
        self.start()

    def _run(self, program: str, *arguments: str) -> None:
        with (self.folder.parent / f"{self.folder.name}.log").open("ab") as log:
            command = [str(self._programs / program), *arguments]
            subprocess.run(
                command, user=self._user, cwd=self.folder, stdout=log, stderr=log, check=True
            )

    def start(self) -> None:
        """Start the server, and wait until it takes connections."""
        log = str(self.folder / "log")
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-l", log, "-w", "-t", "60", "start")

    def stop(self) -> None:
        """Stop the server as in a crash: every connection ends."""
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "-w", "stop")

    def new_database(self, template: str | None = None) -> str:
        """Create an empty database, or a copy of that at a URL; return its URL for SQLAlchemy."""
        name = f"ledger_{next(_numbers)}"
        source = urlsplit(template).path[1:] if template else "template1"
        with psycopg.connect(
            f"host={self.folder} user=tests dbname=postgres", autocommit=True
        ) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {source}")  # type: ignore[call-overload]
        return f"postgresql+psycopg://tests@/{name}?host={self.folder}"


def required_server() -> Iterator[Server]:
    """Run a server for a fixture; skip its tests where none is installed, or fail them."""
    programs = find_programs()
    if programs is None:
        message = "no PostgreSQL server is installed (Debian: apt-get install postgresql)"
        if os.environ.get(REQUIRED_VARIABLE) == "required":
            pytest.fail(message)
        pytest.skip(message)
    with run_server(programs) as server:
        yield server


@contextmanager
def run_server(programs: Path, *, durable: bool = False) -> Iterator[Server]:
    """Run a server; its folder has a short name, since the path of a socket is limited."""
    folder = Path(tempfile.mkdtemp(prefix="ca-pg-"))
    server = Server(programs, folder, durable=durable)
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)
        folder.with_name(f"{folder.name}.log").unlink()
