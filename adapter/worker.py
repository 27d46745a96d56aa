"""gunicorn's gevent worker, with patience for no client and a stop that waits for nobody idle."""

from __future__ import annotations

import socket
from typing import Any, Final

from gevent import Timeout, getcurrent
from gunicorn.workers.ggevent import GeventWorker

PATIENCE: Final = 10
"""Seconds for which a client may keep silent in the middle of its request."""


class _Wait(Timeout):  # type: ignore[misc, unused-ignore]
    """Bounds the wait for a request: the whole of a first head, and the pause before a next.

    From then on, each read of the body, and each write of the answer, has `PATIENCE`.
    """

    def __init__(
        self, connection: Any, client: socket.socket, idle: set[Any], keepalive: int
    ) -> None:
        first = client.gettimeout() is None
        # False: it only ends the block, after which there is no request.
        super().__init__(PATIENCE if first else keepalive, False)  # type: ignore[arg-type]
        self._connection = connection
        self._client = client
        self._idle = idle

    def __enter__(self) -> _Wait:
        self._client.settimeout(None)
        self._idle.add(self._connection)
        super().__enter__()
        return self

    def __exit__(self, *what: Any) -> Any:  # type: ignore[override, unused-ignore]
        self._idle.discard(self._connection)
        self._client.settimeout(PATIENCE)
        return super().__exit__(*what)


class Worker(GeventWorker):  # type: ignore[misc, unused-ignore]
    """A worker whose connections are greenlets: thousands of calls can wait."""

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

    def timeout_ctx(self) -> _Wait:  # type: ignore[override, unused-ignore]
        """Return the bounds of the wait for a request."""
        connection = getcurrent()
        return _Wait(connection, self._clients[connection], self._idle, self.cfg.keepalive)

    def notify(self) -> None:
        """Say that the worker lives; once it is to stop, let go of whoever asks for nothing."""
        super().notify()
        if not self.alive:
            for connection in list(self._idle):
                connection.kill(StopIteration, block=False)
