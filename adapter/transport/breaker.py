"""A circuit breaker: after failures in a row it refuses for a while; then one probe decides."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

CLOSED: Final = "closed"
HALF_OPENED: Final = "half-opened"
OPENED: Final = "opened"
BREAKER_STATES: Final = (CLOSED, HALF_OPENED, OPENED)
"""The states of a breaker, from good to bad."""


@dataclass(frozen=True, slots=True)
class Admission:
    """That an attempt may be made; how it went is told to `Breaker.settle`."""

    probe: bool
    period: int


class Breaker:
    """Counts failures in a row. Safe in threads: its lock is held for the bookkeeping alone.

    `threshold` failures open it for `pause` seconds. Then exactly one attempt at a time is let
    through, the probe. `clock` is monotonic, so that setting the time of day changes nothing.
    """

    def __init__(
        self, threshold: int, pause: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._threshold = threshold
        self._pause = pause
        self._clock = clock
        self._lock = threading.Lock()
        self._state = CLOSED
        self._failures = 0
        self._opened_until = 0.0
        self._probing = False
        self._period = 0
        self._usual = Admission(probe=False, period=0)

    @property
    def state(self) -> str:
        """One of `BREAKER_STATES`. An open one stays open until the probe begins."""
        return self._state

    def admit(self) -> Admission | int:
        """Return the admission of an attempt, or the seconds after which to ask again."""
        if self._state == CLOSED:
            return self._usual
        with self._lock:
            if self._state == OPENED:
                left = self._opened_until - self._clock()
                if left > 0:
                    # Adding and subtracting the clock's time may round above the whole pause.
                    return max(1, math.ceil(min(left, self._pause)))
                self._enter(HALF_OPENED)
            if self._state == CLOSED:
                return self._usual
            if self._probing:
                return 1
            self._probing = True
            return Admission(probe=True, period=self._period)

    def settle(self, admission: Admission, *, healthy: bool | None) -> None:
        """Take note of how an admitted attempt went; None where it shows nothing either way.

        A probe may be settled before it is over; what is said of it again then counts no more.
        After a probe that shows nothing, the next attempt is the probe. An attempt that was
        admitted before the state changed has nothing to say about the state since.
        """
        if healthy and self._state == CLOSED and not self._failures:
            return  # what nearly every call has to say
        with self._lock:
            if admission.period != self._period:
                return
            if admission.probe:
                self._probing = False
                if healthy is not None:
                    self._enter(CLOSED if healthy else OPENED)
            elif healthy:
                self._failures = 0
            elif healthy is not None:
                self._failures += 1
                if self._failures >= self._threshold:
                    self._enter(OPENED)

    def _enter(self, state: str) -> None:
        """Change the state; whoever calls holds the lock."""
        self._state = state
        self._period += 1
        self._failures = 0
        self._probing = False
        self._usual = Admission(probe=False, period=self._period)
        if state == OPENED:
            self._opened_until = self._clock() + self._pause
