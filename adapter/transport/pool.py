"""Idle connections to one address, and whether one of them may be used again."""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress

from adapter.transport.streams import Stream


class Connection:
    """A connection to the provider, or to a proxy that forwards requests."""

    __slots__ = ("idle_since", "stream")

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.idle_since = 0.0

    def is_reusable(self) -> bool:
        """Whether the idle connection is open and has no unread data."""
        return self.stream.is_quiet()

    def close(self) -> None:
        """Close the connection."""
        self.stream.close()


class IdleConnections:
    """The idle connections, reused last in, first out.

    Expired ones are closed when the next one is taken, so that no thread has to do it.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._connections: deque[Connection] = deque()

    def put(self, connection: Connection) -> None:
        """Add a connection."""
        connection.idle_since = time.monotonic()
        self._connections.append(connection)

    def take(self) -> Connection | None:
        """Remove and return the most recently used connection that is reusable; None without."""
        self.close_idle_since(time.monotonic() - self._timeout)
        while True:
            try:
                connection = self._connections.pop()
            except IndexError:
                return None
            if connection.is_reusable():
                return connection
            connection.close()

    def close_idle_since(self, moment: float) -> None:
        """Close the connections that have been idle since that moment or longer."""
        with suppress(IndexError):
            while self._connections[0].idle_since <= moment:
                oldest = self._connections.popleft()
                if oldest.idle_since > moment:  # another thread took the one at the left
                    self._connections.appendleft(oldest)
                    return
                oldest.close()

    def close_oldest(self) -> None:
        """Close the connection that has been idle for longest."""
        with suppress(IndexError):
            self._connections.popleft().close()

    def close(self) -> None:
        """Close all connections."""
        with suppress(IndexError):
            while True:
                self._connections.pop().close()
