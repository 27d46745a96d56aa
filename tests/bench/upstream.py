"""The provider of the benchmark: the same responses to the changes, status and lookup of WUTS.

A process of its own, with one port for every kind of upstream. It prints their addresses as one
line of JSON, and ends at the end of its standard input, so that it never outlives the benchmark.
Of HTTP/1.1 it reads what its callers send: requests with a Content-Length, or without a body.
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
"""The WUTS token. A request without it gets a 401."""

JID: Final = "5511999999999@s.whatsapp.net"

NUMBERS: Final = tuple(str(5511900000000 + each) for each in range(100))
"""The numbers of a lookup. Every response to a lookup has all of them."""

DELAYS: Final = {"quick": 0.0, "quick https": 0.0, "50 ms": 0.05, "500 ms": 0.5}
"""The response time of each kind of upstream, in seconds."""


def _response(status: str, document: object) -> bytes:
    body = json.dumps(document).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


def _changed(action: str) -> bytes:
    data = {"jid": JID, "action": action, "blocked": action == "block"}
    return _response("200 OK", {"success": True, "data": data})


_RESPONSES: Final = {
    b"POST /contacts/block HTTP/1.1": _changed("block"),
    b"POST /contacts/unblock HTTP/1.1": _changed("unblock"),
    b"GET /status HTTP/1.1": _response("200 OK", {"success": True, "data": {"connected": True}}),
    b"POST /contact/check HTTP/1.1": _response(
        "200 OK", {"success": True, "data": dict.fromkeys(NUMBERS, True)}
    ),
}
_NOT_FOUND: Final = _response("404 Not Found", {"success": False, "message": "Not found"})
_UNAUTHORIZED: Final = _response("401 Unauthorized", {"success": False, "message": "Invalid token"})
_BEARER: Final = b": Bearer " + TOKEN.encode()


def respond(head: bytes) -> bytes:
    """Return the response to a request, which depends on the head alone."""
    if _BEARER not in head:
        return _UNAUTHORIZED
    return _RESPONSES.get(head.partition(b"\r\n")[0], _NOT_FOUND)


def body_length(head: bytes) -> int:
    """Return the number of bytes that follow the head of a request."""
    _, found, rest = head.lower().partition(b"\r\ncontent-length:")
    return int(rest.partition(b"\r\n")[0]) if found else 0


class Upstream(asyncio.Protocol):
    """One connection, which stays open until its client closes it."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Respond to every complete request."""
        self._unread += data
        while (end := self._unread.find(b"\r\n\r\n")) >= 0:
            head = self._unread[:end]
            length = end + 4 + body_length(head)
            if len(self._unread) < length:
                return
            self._unread = self._unread[length:]
            if self._delay:
                later = asyncio.get_running_loop().call_later
                later(self._delay, self._send, respond(head))
            else:
                self._send(respond(head))

    def _send(self, response: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(response)


async def serve(context: ssl.SSLContext | None) -> None:
    """Open every port, print the addresses, and serve until the end of standard input."""
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
    """Return the runner of a coroutine: uvloop's where it is installed, as it is the lightest."""
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
