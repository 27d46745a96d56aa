"""Start servers, measure their processor time and memory, and stop all of them.

Each server has a session of its own, which its child processes share: a master and its workers are
found, measured and ended together. The figures come from /proc, and are missing without it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

TIMEOUT: Final = 30.0
"""Seconds after which a server that is not ready has failed."""

GRACE: Final = 5.0
"""Seconds between SIGTERM and SIGKILL."""

_PROC: Final = Path("/proc")


class MeasurementError(Exception):
    """A figure could not be measured: a server did not start, or gave a wrong response."""


class Server:
    """A running server: all processes of its session."""

    def __init__(self, name: str, process: subprocess.Popen[str], log: Path) -> None:
        self.name = name
        self.process = process
        self.log = log

    def cpu_seconds(self) -> float | None:
        """Return the processor time, of user and system, that its processes have used so far."""
        ticks = 0
        for folder in self.processes():
            with contextlib.suppress(OSError):
                # utime, stime, and both of the children that have ended
                ticks += sum(map(int, _stat(folder)[11:15]))
        return ticks / os.sysconf("SC_CLK_TCK") if ticks else None

    def memory(self) -> float | None:
        """Return the MiB that its processes hold in memory together.

        The sum of their proportional shares (PSS) of written memory, which they share with each
        other alone, and the largest file-backed part of one of them, such as the interpreter: other
        Python processes of the machine do not make a server lighter.
        """
        own, files = 0, 0
        for folder in self.processes():
            with contextlib.suppress(OSError):
                share = _sizes(folder / "smaps_rollup")
                own += share["Pss_Anon"] + share["Pss_Shmem"]
                files = max(files, _sizes(folder / "status")["RssFile"])
        return (own + files) / 1024 if own else None

    def processes(self) -> list[Path]:
        """Return the folders under /proc of its processes that are alive."""
        found = []
        for folder in _PROC.glob("[0-9]*"):
            with contextlib.suppress(OSError):
                state, _, _, session = _stat(folder)[:4]
                if session == str(self.process.pid) and state != "Z":
                    found.append(folder)
        return found

    def settle(self, timeout: float) -> None:
        """Return as soon as the calls before are finished, or after the timeout in seconds."""
        ends = time.monotonic() + timeout
        before = self.cpu_seconds()
        while before is not None and time.monotonic() < ends:
            time.sleep(0.2)
            now = self.cpu_seconds() or before
            if now - before <= 0.02:
                return
            before = now

    def log_end(self) -> str:
        """Return the end of its log, for the message of an error."""
        ended = self.process.poll()
        state = "is up" if ended is None else f"ended with the exit code {ended}"
        return f"\n{self.name} {state}; its log ends with:\n{self.log.read_text()[-2000:]}"

    def stop(self) -> None:
        """End the server with all its child processes."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(GRACE)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def _stat(folder: Path) -> list[str]:
    """Return the fields of /proc/PID/stat from the third (state) on; the second may hold spaces."""
    return (folder / "stat").read_text().rpartition(")")[2].split()


def _sizes(file: Path) -> dict[str, int]:
    """Return the sizes, in kB, that a file of /proc lists."""
    lines = (line.split() for line in file.read_text().splitlines())
    return {words[0][:-1]: int(words[1]) for words in lines if words[-1] == "kB"}


class Servers:
    """The servers that were started here. All of them end with the block."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: list[Server] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        for server in self._running:
            server.process.terminate()  # all at once, and then one after the other
        while self._running:
            self._running.pop().stop()

    def start(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        *,
        ready: Callable[[Server], bool],
    ) -> Server:
        """Start a server and return it when it is ready.

        Its output goes to a file, as a server's log does. Raises MeasurementError for a server that
        ends, or is not ready after `TIMEOUT`.
        """
        log = self._folder / f"{name}.log"
        with log.open("a") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                text=True,
                start_new_session=True,
                # Files of its home and its temporary folder are removed with the run's folder.
                env={
                    **os.environ,
                    "HOME": str(self._folder),
                    "TMPDIR": str(self._folder),
                    **(environment or {}),
                },
            )
        server = Server(name, process, log)
        self._running.append(server)
        ends = time.monotonic() + TIMEOUT
        try:
            while not ready(server):
                if process.poll() is not None or time.monotonic() > ends:
                    raise MeasurementError(f"{name} did not start")
                time.sleep(0.005)
        except MeasurementError as error:
            raise MeasurementError(f"{error}{server.log_end()}") from None
        return server

    def stop(self, server: Server) -> None:
        """End one server."""
        self._running.remove(server)
        server.stop()
