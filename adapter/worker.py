"""gunicorn's gevent worker, with patience for no client and a stop that waits for nobody idle."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any, Final

from gevent import Timeout, get_hub, getcurrent, sleep
from gunicorn.workers.ggevent import GeventWorker

PATIENCE: Final = 10
"""Seconds for the head of a connection's first request, and for a pause within any body."""

LOOKUPS: Final = 1024
"""Most names that are looked up at a time: more than a few accounts may wait for (256 each)."""


class _Wait(Timeout):  # type: ignore[misc, unused-ignore]
    """Bounds the wait for a request: the whole of a first head, and the pause before a next.

    From then on, each read of the body, and each write of the answer, has `PATIENCE`.
    """

    def __init__(self, client: socket.socket, idle: set[socket.socket], keepalive: int) -> None:
        first = client.gettimeout() is None
        # False: it only ends the block, after which there is no request.
        super().__init__(PATIENCE if first else keepalive, False)  # type: ignore[arg-type]
        self._client = client
        self._idle = idle

    def __enter__(self) -> _Wait:
        self._client.settimeout(None)
        self._idle.add(self._client)
        super().__enter__()
        return self

    def __exit__(self, *what: Any) -> Any:  # type: ignore[override, unused-ignore]
        self._idle.discard(self._client)
        self._client.settimeout(PATIENCE)
        return super().__exit__(*what)


class Worker(GeventWorker):  # type: ignore[misc, unused-ignore]
    """A worker whose connections are greenlets: thousands of calls can wait."""

    def __init__(self, *args: Any, **rest: Any) -> None:
        super().__init__(*args, **rest)
        self._clients: dict[Any, socket.socket] = {}
        self._idle: set[socket.socket] = set()

    def handle(self, listener: Any, client: socket.socket, addr: Any) -> None:
        """Serve one connection until it ends."""
        connection = getcurrent()
        self._clients[connection] = client
        try:
            super().handle(listener, client, addr)
        finally:
            del self._clients[connection]

    def handle_request(self, *request: Any) -> Any:
        """Answer one request, after whatever else is due.

        One client that sends requests without waiting would else never give its turn away.
        """
        sleep(0)
        return super().handle_request(*request)

    def run(self) -> None:
        """Serve until the worker is told to stop."""
        # Names are looked up in threads, and by default in ten: a name server that hangs would
        # hold the calls of all accounts.
        get_hub().threadpool.maxsize = LOOKUPS
        super().run()

    def timeout_ctx(self) -> _Wait:  # type: ignore[override, unused-ignore]
        """Return the bounds of the wait for a request."""
        return _Wait(self._clients[getcurrent()], self._idle, self.cfg.keepalive)

    def notify(self) -> None:
        """Say that the worker lives; once it is to stop, let go of whoever asks for nothing."""
        super().notify()
        if not self.alive:
            for client in self._idle:
                with suppress(OSError):
                    # Whatever has arrived is still read: a request that has just come is answered.
                    # gevent's own method would break the wait off, and so that read.
                    client._sock.shutdown(socket.SHUT_RD)  # type: ignore[attr-defined]  # noqa: SLF001
