"""A Redis server for the tests: Debian's program, in a temporary folder, on a socket file."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

REQUIRED_VARIABLE = "CONTACT_ADAPTER_TEST_REDIS"
"""The environment variable that makes a missing server a failure, with the value `required`."""


class RedisServer:
    """A running server, at `url`. Nothing is written to the disk."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program, self._folder = program, folder
        self._user: str | None = None
        if os.getuid() == 0:
            names = {each.pw_name for each in pwd.getpwall()}
            self._user = "redis" if "redis" in names else "nobody"
            shutil.chown(folder, self._user)
        self._socket = folder / "redis.sock"
        self.url = f"unix://{self._socket}?db=0"
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start the server, and wait until it takes connections."""
        import redis
        from redis.backoff import ConstantBackoff
        from redis.exceptions import ConnectionError as NotConnected
        from redis.retry import Retry

        options = ("--port", "0", "--unixsocket", str(self._socket), "--save", "")
        with (self._folder.parent / f"{self._folder.name}.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, *options, "--appendonly", "no"],
                user=self._user,
                cwd=self._folder,
                stdout=log,
                stderr=log,
            )
        retry = Retry(ConstantBackoff(0.05), 200, supported_errors=(NotConnected, OSError))
        with redis.Redis.from_url(self.url, retry=retry) as client:
            client.ping()

    def stop(self) -> None:
        """Stop the server as in a crash: its queue is lost."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            self._socket.unlink(missing_ok=True)


@contextmanager
def run_redis_server() -> Iterator[RedisServer]:
    """Run a server; skip the test where none is installed, or fail it."""
    program = shutil.which("redis-server")
    if program is None:
        message = "no Redis server is installed (Debian: apt-get install redis-server)"
        if os.environ.get(REQUIRED_VARIABLE) == "required":
            pytest.fail(message)
        pytest.skip(message)
    folder = Path(tempfile.mkdtemp(prefix="ca-redis-"))
    server = RedisServer(program, folder)
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)
        folder.with_name(f"{folder.name}.log").unlink(missing_ok=True)
