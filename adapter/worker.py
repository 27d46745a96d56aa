"""gunicorn's gevent worker, with patience for no client and a stop that waits for nobody idle."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from gevent import Timeout, getcurrent
from gunicorn.workers.ggevent import GeventWorker

PATIENCE: Final = 10
"""Seconds for which a client may keep silent in the middle of its request."""


class Worker(GeventWorker):  # type: ignore[misc, unused-ignore]
    """A worker whose connections are greenlets: thousands of calls wait for little memory."""

    def __init__(self, *args: Any, **rest: Any) -> None:
        super().__init__(*args, **rest)
        self._clients: dict[Any, socket.socket] = {}
        self._idle: set[Any] = set()

    def handle(self, listener: Any, client: socket.socket, addr: Any) -> None:
        """Serve one connection until it ends."""
        connection = getcurrent()
        self._clients[connection] = client
        try:
            super().handle(listener, client, addr)
        finally:
            del self._clients[connection]

    @contextmanager
    def timeout_ctx(self) -> Iterator[None]:  # type: ignore[override, unused-ignore]
        """Bound the wait for a request: the whole of a first head, and the pause before a next.

        From then on, each read of the body, and each write of the answer, has `PATIENCE`.
        """
        connection = getcurrent()
        client = self._clients[connection]
        first = client.gettimeout() is None
        client.settimeout(None)
        self._idle.add(connection)
        try:
            # False: it only ends the block, after which there is no request.
            with Timeout(PATIENCE if first else self.cfg.keepalive, False):  # type: ignore[arg-type]
                yield
        finally:
            self._idle.discard(connection)
            client.settimeout(PATIENCE)

    def notify(self) -> None:
        """Say that the worker lives; once it is to stop, let go of whoever asks for nothing."""
        super().notify()
        if not self.alive:
            for connection in list(self._idle):
                connection.kill(StopIteration, block=False)
