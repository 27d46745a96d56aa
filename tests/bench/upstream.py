"""The provider of the benchmark: answers WUTS's block and unblock calls with the same bytes.

It is a process of its own, with one port for every kind of upstream, and prints their addresses as
one line of JSON. It ends when its standard input does, so that it outlives nobody. It reads just as
much of HTTP/1.1 as its callers use: requests with a Content-Length, or without a body.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import ssl
import sys
from collections.abc import Callable
from functools import partial
from typing import Final, cast

TOKEN: Final = "the-token-of-the-benchmark"
"""The WUTS token. Whoever does not send it is answered 401."""

JID: Final = "5511999999999@s.whatsapp.net"

DELAYS: Final = {"quick": 0.0, "quick https": 0.0, "50 ms": 0.05, "500 ms": 0.5}
"""The seconds that each kind of upstream takes to answer."""


def _answer(status: str, document: object) -> bytes:
    body = json.dumps(document).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


def _changed(action: str) -> bytes:
    data = {"jid": JID, "action": action, "blocked": action == "block"}
    return _answer("200 OK", {"success": True, "data": data})


_ANSWERS: Final = {
    b"POST /contacts/block HTTP/1.1": _changed("block"),
    b"POST /contacts/unblock HTTP/1.1": _changed("unblock"),
}
_NOT_FOUND: Final = _answer("404 Not Found", {"success": False, "message": "Not found"})
_UNAUTHORIZED: Final = _answer("401 Unauthorized", {"success": False, "message": "Invalid token"})
_BEARER: Final = b": Bearer " + TOKEN.encode()


def answer_to(head: bytes) -> bytes:
    """Return the answer to a request, of which only the head matters."""
    if _BEARER not in head:
        return _UNAUTHORIZED
    return _ANSWERS.get(head.partition(b"\r\n")[0], _NOT_FOUND)


def length_of_body(head: bytes) -> int:
    """Return the number of bytes that follow the head of a request."""
    _, found, rest = head.lower().partition(b"\r\ncontent-length:")
    return int(rest.partition(b"\r\n")[0]) if found else 0


class Upstream(asyncio.Protocol):
    """One connection, kept open as long as its client wants."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer every request that is whole."""
        self._unread += data
        while (end := self._unread.find(b"\r\n\r\n")) >= 0:
            head = self._unread[:end]
            whole = end + 4 + length_of_body(head)
            if len(self._unread) < whole:
                return
            self._unread = self._unread[whole:]
            if self._delay:
                later = asyncio.get_running_loop().call_later
                later(self._delay, self._send, answer_to(head))
            else:
                self._send(answer_to(head))

    def _send(self, answer: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer)


async def serve(context: ssl.SSLContext | None) -> None:
    """Open every port, print where they are, and serve until standard input ends."""
    loop = asyncio.get_running_loop()
    addresses, servers = {}, []
    for kind, delay in DELAYS.items():
        tls = context if "https" in kind else None
        if "https" in kind and tls is None:
            continue
        server = await loop.create_server(
            partial(Upstream, delay),
            "127.0.0.1",
            0,
            ssl=tls,
            backlog=4096,
        )
        port = server.sockets[0].getsockname()[1]
        addresses[kind] = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        servers.append(server)
    print(json.dumps(addresses), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


def runner() -> Callable[..., None]:
    """Return what runs a coroutine: uvloop where it is installed, since it is the lightest."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run
    run: Callable[..., None] = uvloop.run
    return run


def main() -> None:
    """Serve, with https where a certificate is given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--certificate", help="a PEM file of a key and its certificate, for https")
    certificate = parser.parse_args().certificate
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    runner()(serve(context))


if __name__ == "__main__":
    main()
