"""Run the production server as a separate process."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from support import (
    TIMEOUT,
    Answer,
    call,
    wait_until,
)

COMMAND = Path(sys.executable).with_name("contact-adapter")
ENVIRONMENT = {**os.environ, "WUTS_TOKEN": "their-token", "CRM_KEY": "our-key"}
ENVIRONMENT.pop("CONTACT_ADAPTER_CONFIG", None)


@dataclass
class Served:
    """A running server, and the lines of its log."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)

    @property
    def log(self) -> str:
        return "".join(self.lines)

    @property
    def address(self) -> str:
        found = re.search(r" at (http://\S+:\d+\S*) ", self.log)
        return found[1] if found else ""

    def line_with(self, *parts: str) -> str:
        """Return the first line with all these parts; wait for it."""
        found: list[str] = []

        def read() -> bool:
            found[:] = [line for line in self.lines if all(part in line for part in parts)]
            return bool(found)

        wait_until(read, f"a line with {parts}")
        return found[0]

    def stop(self) -> int:
        """Stop the server, and read its log to the end."""
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(TIMEOUT)
        self.reader.join(TIMEOUT)
        return status

    def survivors(self) -> bool:
        """Whether any process of the server's process group is left."""
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return False
        return True


@contextmanager
def serve(
    *arguments: str,
    cwd: Path | None = None,
    env: Mapping[str, str] = ENVIRONMENT,
    program: Sequence[str | Path] = (COMMAND,),
) -> Iterator[Served]:
    """Run `contact-adapter serve` on a free port; stop it at the end of the block."""
    with subprocess.Popen(
        [*program, "serve", "--port", "0", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env=dict(env),
        start_new_session=True,
    ) as process:
        served = Served(process)
        try:
            wait_until(
                lambda: served.address or process.poll() is not None, "the address of the server"
            )
            assert process.poll() is None, served.log
            wait_until(lambda: answers(served.address), "a response of the server")
            yield served
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(TIMEOUT)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            served.reader.join()


@contextmanager
def run_server(
    program: Path, *options: str, cwd: Path, env: Mapping[str, str] = MappingProxyType({})
) -> Iterator[str]:
    """Run another installation's `contact-adapter serve`, as `serve` does; return its address."""
    with serve(*options, cwd=cwd, env={**os.environ, **env}, program=(program,)) as served:
        yield served.address


def answers(address: str) -> bool:
    """Whether the server's /livez is 200."""
    try:
        return call(address, "GET", "/livez").status == 200
    except OSError:
        return False


def accepts(address: str) -> bool:
    """Whether the address accepts connections."""
    parts = urlsplit(address)
    try:
        socket.create_connection((str(parts.hostname), parts.port), TIMEOUT).close()
    except ConnectionError:
        return False
    return True


def run_to_end(*arguments: str, env: Mapping[str, str] = ENVIRONMENT) -> tuple[int, str]:
    """Run a server that is expected to fail at its start; return exit status and standard error."""
    ended = subprocess.run(
        [COMMAND, "serve", *arguments],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
        env=dict(env),
    )
    return ended.returncode, ended.stderr


def block(address: str, account: str = "memory", **rest: Any) -> Answer:
    body = {"number": "+55 11 99999-9999", "account": account}
    return call(address, "POST", "/v1/contacts/block", json_body=body, **rest)


def send_bytes(address: str, *parts: bytes) -> bytes:
    """Send the parts over one connection; return all bytes until the server closes it."""
    url = urlsplit(address)
    received = b""
    with socket.create_connection((str(url.hostname), url.port), TIMEOUT) as connection:
        for part in parts:
            connection.sendall(part)
        while chunk := connection.recv(65536):
            received += chunk
    return received


def parse_response(response: bytes) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers (in lower case) and body of a response."""
    head, _, body = response.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(first.split()[1]), headers, body
