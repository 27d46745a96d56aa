"""The load generator: wrk where it is installed, else the one below. Both give the same figures.

Each connection sends the same POST again and again, as soon as the response before is complete, for
some seconds. A call in flight at the end is not counted: a server with unfinished calls has fewer
good responses, and so a lower rate. This file needs only the standard library.
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
"""Seconds without a response after which a call has failed."""

KINDS: Final = ("connect", "read", "write", "timeout", "status")
"""The kinds of errors. `status`: 400 or above; in the bundled generator, any but 200 to 299."""


@dataclass(frozen=True)
class Target:
    """A request: the URL, and the headers and body of the POST."""

    url: str
    headers: Mapping[str, str]
    body: str


@dataclass(frozen=True)
class Load:
    """The figures of a load. `good`: the complete responses with a good status."""

    seconds: float
    good: int
    p50_ms: float
    p99_ms: float
    errors: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))

    @property
    def rate(self) -> float:
        """Good responses per second."""
        return self.good / self.seconds

    @property
    def failed(self) -> int:
        """The number of errors of all kinds."""
        return sum(self.errors.values())


def generator() -> str:
    """Return the name of the load generator that is used."""
    return "wrk" if shutil.which("wrk") else "the bundled one (install wrk for a lighter one)"


def command(target: Target, connections: int, seconds: int) -> tuple[list[str], dict[str, str]]:
    """Return the command that puts the load on the target, and its variables.

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
    """Return the figures in a load generator's output. Raises ValueError for any other text."""
    found: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
    errors = {kind: int(found["errors"][kind]) for kind in KINDS}
    good = found["responses"] - errors["status"]
    return Load(found["seconds"], good, found["p50_ms"], found["p99_ms"], errors)


class _Caller:
    """One connection of the bundled load generator, with its figures."""

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
        """Call until the end; a call in flight then is not counted."""
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
            await asyncio.sleep(0.01)  # no tight loop of connections that are refused at once
            return
        try:
            while await self._call(reader, writer):
                pass
        finally:
            writer.close()

    async def _call(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Send the request, count the response, and return whether the connection stays open."""
        started = time.monotonic()
        step = "write"
        try:
            async with asyncio.timeout(TIMEOUT):
                writer.write(self._request)
                await writer.drain()
                step = "read"
                status, keep = await _read_response(reader)
        except TimeoutError:
            self.errors["timeout"] += 1
            return False
        except (OSError, EOFError, ValueError):
            self.errors[step] += 1
            return False
        self.latencies.append(time.monotonic() - started)
        self.errors["status"] += not 200 <= status <= 299
        return keep


async def _read_response(reader: asyncio.StreamReader) -> tuple[int, bool]:
    """Return the status of a complete response, and whether the connection stays open.

    Raises ValueError without a Content-Length, and EOFError for an incomplete response.
    """
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
    headers = {name: value.strip() for name, _, value in (each.partition(":") for each in lines)}
    if "content-length" not in headers:
        raise ValueError("a response without Content-Length")
    await reader.readexactly(int(headers["content-length"]))
    return int(first.split()[1]), headers.get("connection") != "close"


async def bundled(target: Target, connections: int, seconds: float) -> dict[str, Any]:
    """Put the load on the target and return the document that `read` reads."""
    started = time.monotonic()
    callers = [_Caller(target, started + seconds) for _ in range(connections)]
    await asyncio.gather(*(caller.run() for caller in callers))
    latencies = sorted(1000 * each for caller in callers for each in caller.latencies)
    cuts = statistics.quantiles(latencies, n=100) if len(latencies) > 1 else latencies * 99
    return {
        "seconds": time.monotonic() - started,
        "responses": len(latencies),
        "p50_ms": cuts[49] if cuts else 0.0,
        "p99_ms": cuts[98] if cuts else 0.0,
        "errors": {kind: sum(caller.errors[kind] for caller in callers) for kind in KINDS},
    }


def main() -> None:
    """Run the bundled load generator by the specification in its argument."""
    spec = json.loads(sys.argv[1])
    connections, seconds = spec.pop("connections"), spec.pop("seconds")
    print(json.dumps(asyncio.run(bundled(Target(**spec), connections, seconds))))


if __name__ == "__main__":
    main()
