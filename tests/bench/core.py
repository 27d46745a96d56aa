"""What the core costs: to import, to install, and per call. `make bench` prints it.

Times on a shared machine mean little, so that every figure that compares is a ratio from one run
in which both sides take turns.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from multiprocessing.queues import Queue
from pathlib import Path

import requests

from adapter import Action, Command, Contact, Secret, connect

ROUNDS = 7
CALLS = 400
BODY = json.dumps({"success": True, "data": {"blocked": True}}).encode()
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY)
) + BODY


class Upstream(asyncio.Protocol):
    """Answers every request that ends with a JSON object at once, with the same bytes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._seen = b""

    def data_received(self, data: bytes) -> None:
        """Answer when the request is whole."""
        self._seen += data
        if b"\r\n\r\n" in self._seen and self._seen.endswith(b"}"):
            self._seen = b""
            self._transport.write(ANSWER)


def serve(ports: Queue[int]) -> None:
    """Run the upstream in a process of its own until that is ended."""

    async def forever() -> None:
        server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0)
        ports.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(forever())


def seconds_of(call: Callable[[], object]) -> float:
    """Return the seconds that one call takes, over many."""
    started = time.perf_counter()
    for _ in range(CALLS):
        call()
    return (time.perf_counter() - started) / CALLS


def tax_per_call() -> str:
    """Compare `service.perform` with the same call through a bare pooled session."""
    ports: Queue[int] = multiprocessing.Queue()
    upstream = multiprocessing.Process(target=serve, args=(ports,), daemon=True)
    upstream.start()
    try:
        address = f"http://127.0.0.1:{ports.get(timeout=30)}"
        account = {"provider": "wuts", "base_url": address, "token": Secret("token")}
        command = Command(Action.BLOCK, Contact("5511999999999"))
        session, headers = requests.Session(), {"Authorization": "Bearer token"}
        url, body = f"{address}/contacts/block", {"jid": "5511999999999@s.whatsapp.net"}
        with connect({"accounts": {"a": account}}) as contacts, session:
            ratios = []
            for _ in range(ROUNDS):
                ours = seconds_of(lambda: contacts.service.perform("a", command))
                bare = seconds_of(lambda: session.post(url, json=body, headers=headers).json())
                ratios.append(ours / bare)
            assert contacts.service.perform("a", command).ok
    finally:
        upstream.kill()
        upstream.join()
    return (
        f"service.perform / bare Session.post, time per call: {statistics.median(ratios):.2f} "
        f"(median of {ROUNDS} rounds, {min(ratios):.2f} to {max(ratios):.2f})"
    )


def import_seconds(statement: str) -> float:
    """Return the median seconds of a fresh interpreter that runs the statement."""
    found = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", statement], check=True)
        found.append(time.perf_counter() - started)
    return statistics.median(found)


def core() -> dict[str, Distribution]:
    """Return the distributions that an installation without extras consists of."""
    found: dict[str, Distribution] = {}
    waiting = ["contact-adapter"]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            continue  # wanted on another platform only
        waiting += [
            re.split(r"[ ;<>=!~\[(]", requirement, maxsplit=1)[0].lower()
            for requirement in found[name].requires or ()
            if "extra ==" not in requirement
        ]
    return found


def mebibytes(part: Distribution) -> float:
    """Return the size of the files that a distribution has installed."""
    paths = [Path(str(part.locate_file(file))) for file in part.files or ()]
    return sum(path.stat().st_size for path in paths if path.is_file()) / 2**20


def main() -> None:
    """Print the figures."""
    nothing = import_seconds("pass")
    for statement in ("import adapter", "from adapter import connect", "import flask"):
        ratio = import_seconds(statement) / nothing
        print(f"{statement}: {ratio:.1f} x a bare interpreter")
    sizes = {name: mebibytes(part) for name, part in core().items()}
    print(f"the core installs {len(sizes)} distributions, {sum(sizes.values()):.1f} MiB")
    for name, size in sorted(sizes.items(), key=lambda each: -each[1])[:5]:
        print(f"  {name}: {size:.1f} MiB")
    print(tax_per_call())


if __name__ == "__main__":
    main()
