"""The state of one attempt, shared by all layers from the resilience policy down to the socket."""

from __future__ import annotations

import time
from collections.abc import Callable

from adapter.settings.model import MAX_BODY


class SupersededError(Exception):
    """A newer call requests the opposite for the same contact; this request was not sent."""


class Attempt:
    """The limits of one attempt, and what happened to it.

    Limits:

    - `deadline`: monotonic seconds.
    - `new_connection`: the next request uses a new connection.
    - `bytes_left`: size limit of the responses that are still to come, in decoded bytes.
    - `acquire_slot`: called with a timeout in seconds once the responses have more than `MAX_BODY`
      bytes together; returns whether a slot for a long response was acquired.
    - `is_superseded`: called right before a request is sent, since connecting takes time; returns
      whether a newer call requests the opposite.
    - `on_healthy`: called once, as soon as a response shows that the provider is healthy.

    Results:

    - `sent`: bytes of a request may have been sent.
    - `no_long_response_slot`: no slot was free for a long response by the deadline.
    - `health_unknown`: a failure shows nothing about the provider's health: a stale idle
      connection, a resource shortage of this process, or a configuration fault.
    - `superseded`: the request was not sent, since a newer call superseded it.
    """

    __slots__ = (
        "_acquire_slot",
        "_is_superseded",
        "_slot_threshold",
        "bytes_left",
        "deadline",
        "health_unknown",
        "new_connection",
        "no_long_response_slot",
        "on_healthy",
        "sent",
        "superseded",
    )

    def __init__(
        self,
        deadline: float,
        *,
        new_connection: bool = False,
        bytes_left: int = MAX_BODY,
        acquire_slot: Callable[[float], bool] | None = None,
        is_superseded: Callable[[], bool] | None = None,
    ) -> None:
        self.deadline = deadline
        self.new_connection = new_connection
        self.bytes_left = bytes_left
        self.on_healthy: Callable[[], None] | None = None
        self.sent = False
        self.no_long_response_slot = False
        self.health_unknown = False
        self.superseded = False
        self._acquire_slot = acquire_slot
        self._is_superseded = is_superseded
        self._slot_threshold = bytes_left - MAX_BODY

    @property
    def remaining(self) -> float:
        """Seconds until the deadline; never 0, which sockets take for non-blocking."""
        return max(self.deadline - time.monotonic(), 0.001)

    def mark_sent(self) -> None:
        """Record that bytes of a request are sent from now on.

        Raises SupersededError where a newer call requests the opposite.
        """
        if self._is_superseded is not None and self._is_superseded():
            self.superseded = self.health_unknown = True
            raise SupersededError
        self.sent = True

    def report_healthy(self) -> None:
        """Report, before the attempt has ended, that a response shows a healthy provider."""
        on_healthy, self.on_healthy = self.on_healthy, None
        if on_healthy is not None:
            on_healthy()

    def reserve_slot(self, count: int) -> None:
        """Wait for a slot once a response of `count` bytes so far needs one.

        Raises TimeoutError where none is free by the deadline.
        """
        if self.bytes_left - count >= self._slot_threshold:
            return
        acquire, self._acquire_slot = self._acquire_slot, None
        if acquire is None or acquire(0):
            return
        self.health_unknown = True  # a later timeout may come from the time spent waiting here
        if not acquire(self.remaining):
            self.no_long_response_slot = True
            raise TimeoutError("no slot for a long response by the deadline")
