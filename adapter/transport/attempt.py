"""One attempt of a call, as the layers from the bounds of a call down to its socket share it."""

from __future__ import annotations

import time
from collections.abc import Callable

from adapter.settings.model import MAX_BODY


class OverruledError(Exception):
    """A newer call wishes the opposite for the same contact; nothing of this request was sent."""


class Attempt:
    """When an attempt must be over and how much it may read; and what became of it on the way.

    `ends` is on the monotonic clock. With `fresh`, its next request goes over a new connection.
    `room` is the number of bytes that its responses may still have, unpacked. `reserve` is asked
    whether there is memory for them, as soon as they have more than `MAX_BODY` together; it may
    wait for the seconds that it is given. `is_overruled` is asked right before a request is sent,
    since a connection may have taken its time: whether a newer call wishes the opposite.
    `tell_health` is called as soon as a response shows that the provider is there.

    `sent` says that bytes of a request may have left. `crowded` says that there was no memory for a
    long response. `inconclusive` says that a failure is none of the provider's: an idle connection
    that was gone, a shortage in this process, or a fault of the configuration. `overruled` says
    that the request was not sent, for a newer call.
    """

    __slots__ = (
        "_freely",
        "_is_overruled",
        "_reserve",
        "crowded",
        "ends",
        "fresh",
        "inconclusive",
        "overruled",
        "room",
        "sent",
        "tell_health",
    )

    def __init__(
        self,
        ends: float,
        *,
        fresh: bool = False,
        room: int = MAX_BODY,
        reserve: Callable[[float], bool] | None = None,
        is_overruled: Callable[[], bool] | None = None,
    ) -> None:
        self.ends = ends
        self.fresh = fresh
        self.room = room
        self.sent = False
        self.crowded = False
        self.inconclusive = False
        self.overruled = False
        self._reserve = reserve
        self._is_overruled = is_overruled
        self.tell_health: Callable[[], None] | None = None
        self._freely = room - MAX_BODY

    @property
    def left(self) -> float:
        """The seconds until its end; never none at all, which would mean no limit."""
        return max(self.ends - time.monotonic(), 0.001)

    def begin_to_send(self) -> None:
        """Take note that bytes of a request leave from now on.

        Raises OverruledError where they must not.
        """
        if self._is_overruled is not None and self._is_overruled():
            self.overruled = self.inconclusive = True
            raise OverruledError
        self.sent = True

    def show_health(self) -> None:
        """Say that a response has shown that the provider is there, though the attempt goes on."""
        tell, self.tell_health = self.tell_health, None
        if tell is not None:
            tell()

    def reserve(self, count: int) -> None:
        """Wait until there is memory for a response of `count` bytes so far.

        Raises TimeoutError where there is none until the end.
        """
        if self.room - count >= self._freely:
            return
        reserve, self._reserve = self._reserve, None
        if reserve is None or reserve(0):
            return
        self.inconclusive = True  # what fails from here on may fail for want of the time spent here
        if not reserve(self.left):
            self.crowded = True
            raise TimeoutError("too many long responses are being read")
