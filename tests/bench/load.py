"""The load generator: wrk where it is installed, else the one below. Both tell the same.

A number of connections send the same POST again and again, each as soon as it was answered, for a
number of seconds. A call that is still on its way when the time is over counts for nothing: whoever
leaves calls unanswered has fewer good answers, and so a lower rate. This file needs nothing but the
standard library.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import statistics
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

TIMEOUT: Final = 30
"""Seconds without an answer after which a call has failed."""

KINDS: Final = ("connect", "read", "write", "timeout", "status")
"""What an error can be. `status`: one of 400 or above; in the bundled one, any but 200 to 299."""


@dataclass(frozen=True)
class Target:
    """What is called: the URL, and the POST that it gets."""

    url: str
    headers: Mapping[str, str]
    body: str


@dataclass(frozen=True)
class Load:
    """What came of the calls. `good`: complete answers whose status was good."""

    seconds: float
    good: int
    p50_ms: float
    p99_ms: float
    errors: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))

    @property
    def rate(self) -> float:
        """Good answers per second."""
        return self.good / self.seconds

    @property
    def failed(self) -> int:
        """The number of errors of all kinds."""
        return sum(self.errors.values())


def generator() -> str:
    """Return the name of the load generator that is used."""
    return "wrk" if shutil.which("wrk") else "the bundled one (install wrk for a lighter one)"


def command(target: Target, connections: int, seconds: int) -> tuple[list[str], dict[str, str]]:
    """Return the command that puts the load on the target, and what its environment needs.

    Its last line of output is for `read`.
    """
    wrk = shutil.which("wrk")
    if wrk is None:
        spec = {**vars(target), "connections": connections, "seconds": seconds}
        return [sys.executable, __file__, json.dumps(spec)], {}
    script = Path(__file__).with_name("wrk.lua")
    options = [f"-c{connections}", f"-d{seconds}s", f"--timeout={TIMEOUT}s", f"-s{script}"]
    for name, value in target.headers.items():
        options += ["-H", f"{name}: {value}"]
    return [wrk, "-t1", *options, target.url], {"BENCH_BODY": target.body}


def read(output: str) -> Load:
    """Return what the load generator printed. Raises ValueError where it is not that."""
    found: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
    errors = {kind: int(found["errors"][kind]) for kind in KINDS}
    good = found["answers"] - errors["status"]
    return Load(found["seconds"], good, found["p50_ms"], found["p99_ms"], errors)


class _Caller:
    """One connection of the bundled load generator, and what it saw."""

    def __init__(self, target: Target, ends: float) -> None:
        parts = urlsplit(target.url)
        self._address = (parts.hostname or "", parts.port or 80)
        head = [f"POST {parts.path} HTTP/1.1", f"Host: {parts.netloc}"]
        head += [f"{name}: {value}" for name, value in target.headers.items()]
        head += [f"Content-Length: {len(target.body.encode())}", "", target.body]
        self._request = "\r\n".join(head).encode()
        self._ends = ends
        self.latencies: list[float] = []
        self.errors = dict.fromkeys(KINDS, 0)

    async def run(self) -> None:
        """Call until the time is over; a call that is in flight then counts for nothing."""
        while (left := self._ends - time.monotonic()) > 0:
            try:
                async with asyncio.timeout(left):
                    await self._connect_and_call()
            except TimeoutError:
                return

    async def _connect_and_call(self) -> None:
        try:
            reader, writer = await asyncio.open_connection(*self._address)
        except OSError:
            self.errors["connect"] += 1
            await asyncio.sleep(0.01)  # whoever refuses at once is not asked in a tight loop
            return
        try:
            while await self._call(reader, writer):
                pass
        finally:
            writer.close()

    async def _call(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Send the request, take note of the answer, and say whether the connection goes on."""
        started = time.monotonic()
        step = "write"
        try:
            async with asyncio.timeout(TIMEOUT):
                writer.write(self._request)
                await writer.drain()
                step = "read"
                status, goes_on = await _read_answer(reader)
        except TimeoutError:
            self.errors["timeout"] += 1
            return False
        except (OSError, EOFError, ValueError):
            self.errors[step] += 1
            return False
        self.latencies.append(time.monotonic() - started)
        self.errors["status"] += not 200 <= status <= 299
        return goes_on


async def _read_answer(reader: asyncio.StreamReader) -> tuple[int, bool]:
    """Return the status of a whole answer, and whether the connection stays open.

    It has to say its Content-Length. Raises ValueError and EOFError where it is not whole.
    """
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
    headers = {name: value.strip() for name, _, value in (each.partition(":") for each in lines)}
    if "content-length" not in headers:
        raise ValueError("an answer without Content-Length")
    await reader.readexactly(int(headers["content-length"]))
    return int(first.split()[1]), headers.get("connection") != "close"


async def bundled(target: Target, connections: int, seconds: float) -> dict[str, Any]:
    """Put the load on the target and return what `read` understands."""
    started = time.monotonic()
    callers = [_Caller(target, started + seconds) for _ in range(connections)]
    await asyncio.gather(*(caller.run() for caller in callers))
    latencies = sorted(1000 * each for caller in callers for each in caller.latencies)
    cuts = statistics.quantiles(latencies, n=100) if len(latencies) > 1 else latencies * 99
    return {
        "seconds": time.monotonic() - started,
        "answers": len(latencies),
        "p50_ms": cuts[49] if cuts else 0.0,
        "p99_ms": cuts[98] if cuts else 0.0,
        "errors": {kind: sum(caller.errors[kind] for caller in callers) for kind in KINDS},
    }


def main() -> None:
    """Run the bundled load generator as its one argument says."""
    spec = json.loads(sys.argv[1])
    connections, seconds = spec.pop("connections"), spec.pop("seconds")
    print(json.dumps(asyncio.run(bundled(Target(**spec), connections, seconds))))


if __name__ == "__main__":
    main()
