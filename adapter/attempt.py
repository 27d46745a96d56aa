"""One attempt of a call, as the layers from the bounds of a call down to its socket share it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

MAX_BODY: Final = 256 * 1024
"""Most bytes of a response that is no list, unpacked."""


class Attempt:
    """When an attempt must be over and how much it may read; and what became of it on the way.

    `ends` is on the monotonic clock. With `fresh`, its next request goes over a new connection.
    `room` is the number of bytes that its responses may still have, unpacked. `reserve` is asked
    once, as soon as a response is longer than `MAX_BODY`, whether there is memory for it; it may
    wait for the seconds that it is given.

    `sent` says that bytes of a request may have left. `inconclusive` says that a failure is none of
    the provider's: an idle connection that was gone, or a shortage in this process.
    """

    __slots__ = ("_reserve", "ends", "fresh", "inconclusive", "room", "sent")

    def __init__(
        self,
        ends: float,
        *,
        fresh: bool = False,
        room: int = MAX_BODY,
        reserve: Callable[[float], bool] | None = None,
    ) -> None:
        self.ends = ends
        self.fresh = fresh
        self.room = room
        self.sent = False
        self.inconclusive = False
        self._reserve = reserve

    @property
    def left(self) -> float:
        """The seconds until its end; never none at all, which would mean no limit."""
        return max(self.ends - time.monotonic(), 0.001)

    def reserve(self) -> None:
        """Wait until there is memory for a long response; raises TimeoutError at the end."""
        reserve, self._reserve = self._reserve, None
        if reserve is not None and not reserve(self.left):
            self.inconclusive = True
            raise TimeoutError("too many long responses are being read")
