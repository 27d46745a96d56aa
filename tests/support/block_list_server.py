"""A provider on loopback with a block list, in the form of WUTS, for many calls at once."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from support import TIMEOUT, wait_until


@dataclass(frozen=True)
class Reply:
    """A response that changes nothing, in place of the usual one."""

    status: int
    document: Any
    headers: Mapping[str, str] = field(default_factory=dict)


OFFLINE = Reply(503, {"success": False, "error": "offline", "error_code": "DEVICE_NOT_READY"})
REJECTED = Reply(
    400, {"success": False, "error": "validation failed", "error_code": "VALIDATION_ERROR"}
)
BUSY = Reply(409, {"success": False, "error": "busy"})
BROKEN = Reply(500, {"success": False, "error": "failed", "error_code": "device_error"})


def limited(seconds: int) -> Reply:
    return Reply(429, {"success": False, "error": "slow down"}, {"Retry-After": str(seconds)})


class BlockListServer:
    """The server's state. `reply` may return another response for an action and a number.

    A change is applied when its request arrives. While `hold` is set, changes wait for `release`.
    """

    def __init__(self) -> None:
        self.address = ""
        self.states: dict[str, bool] = {}
        self.requests: list[tuple[str, str]] = []
        self.lists = 0
        self.most = 0
        """The most changes at the same time."""
        self.overlaps = 0
        """Changes of a contact during another one of the same contact."""
        self.reply: Callable[[str, str], Reply | None] = lambda action, number: None
        self.hold = False
        self.delay = 0.0
        self.loop: asyncio.AbstractEventLoop
        self._now: Counter[str] = Counter()
        self._waiting: list[Callable[[], None]] = []

    @property
    def blocked(self) -> set[str]:
        return {number for number, blocked in self.states.items() if blocked}

    @property
    def in_flight(self) -> int:
        return sum(self._now.values())

    def release(self) -> None:
        """Send the responses that wait, and wait no more."""

        def work() -> None:
            self.hold = False
            waiting, self._waiting = self._waiting, []
            for send in waiting:
                send()

        self.loop.call_soon_threadsafe(work)

    def wait_for(self, requests: int) -> None:
        """Wait until so many changes have arrived."""
        wait_until(lambda: len(self.requests) >= requests, f"{requests} requests")

    def handle(self, method: str, path: str, body: bytes, send: Callable[[Reply], None]) -> None:
        action = path.rpartition("/")[2]
        if action == "blocklist":
            self.lists += 1
            reply = self.reply("list", "")
            items = [{"jid": f"{each}@s.whatsapp.net"} for each in sorted(self.blocked)]
            send(reply or Reply(200, {"success": True, "data": {"items": items}}))
            return
        jid = json.loads(body)["jid"]
        number = jid.partition("@")[0]
        self.requests.append((action, number))
        self.overlaps += self._now[number] > 0
        self._now[number] += 1
        self.most = max(self.most, self.in_flight)
        reply = self.reply(action, number)
        if reply is None:
            self.states[number] = action == "block"
            data = {"jid": jid, "action": action, "blocked": self.states[number]}
            reply = Reply(200, {"success": True, "data": data})

        def finish() -> None:
            self._now[number] -= 1
            if not self._now[number]:
                del self._now[number]
            send(reply)

        if self.hold:
            self._waiting.append(finish)
        elif self.delay:
            self.loop.call_later(self.delay, finish)
        else:
            finish()


class _Connection(asyncio.Protocol):
    def __init__(self, server: BlockListServer) -> None:
        self._server, self._buffer = server, b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        if len(rest) < length:
            return
        self._buffer = rest[length:]
        method, path, _ = head.split(b" ", 2)
        self._server.handle(method.decode(), path.decode(), rest[:length], self._send)

    def _send(self, reply: Reply) -> None:
        body = json.dumps(reply.document).encode()
        lines = [f"HTTP/1.1 {reply.status} Status", "Content-Type: application/json"]
        lines += [f"{name}: {value}" for name, value in reply.headers.items()]
        lines += [f"Content-Length: {len(body)}", "", ""]
        self._transport.write("\r\n".join(lines).encode() + body)


@contextmanager
def run_block_list_server() -> Iterator[BlockListServer]:
    server = BlockListServer()
    ready, end = threading.Event(), asyncio.Event()

    async def main() -> None:
        server.loop = asyncio.get_running_loop()
        listener = await server.loop.create_server(
            lambda: _Connection(server), "127.0.0.1", 0, backlog=500
        )
        server.address = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        ready.set()
        await end.wait()
        listener.close()

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    assert ready.wait(TIMEOUT)
    try:
        yield server
    finally:
        server.loop.call_soon_threadsafe(end.set)
        thread.join()
