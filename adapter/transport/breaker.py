"""A circuit breaker: closed, opened after consecutive failures, half-opened for one probe."""

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
"""The states of a breaker, from healthy to unhealthy."""


@dataclass(frozen=True, slots=True)
class Permit:
    """Permission for one attempt; its result is given to `Breaker.record`."""

    probe: bool
    generation: int


class Breaker:
    """Counts consecutive failures. Thread-safe: the lock is held for bookkeeping only.

    `threshold` consecutive failures open the breaker for `pause` seconds. Then one attempt at a
    time is permitted, the probe. `clock` is monotonic, so that wall clock changes have no effect.
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
        self._probe_in_flight = False
        self._generation = 0
        self._closed_permit = Permit(probe=False, generation=0)

    @property
    def state(self) -> str:
        """One of `BREAKER_STATES`. An opened breaker stays opened until the probe starts."""
        return self._state

    def acquire(self) -> Permit | int:
        """Return a permit, or the seconds after which to retry."""
        if self._state == CLOSED:
            return self._closed_permit
        with self._lock:
            if self._state == OPENED:
                remaining = self._opened_until - self._clock()
                if remaining > 0:
                    # Adding and subtracting the clock may round above the whole pause.
                    return max(1, math.ceil(min(remaining, self._pause)))
                self._change_state(HALF_OPENED)
            if self._state == CLOSED:
                return self._closed_permit
            if self._probe_in_flight:
                return 1
            self._probe_in_flight = True
            return Permit(probe=True, generation=self._generation)

    def record(self, permit: Permit, *, healthy: bool | None) -> None:
        """Record the result of a permitted attempt; None where it shows neither.

        A probe may be recorded before it has ended; its second result is ignored. After a probe
        with the result None, the next attempt is the probe. Results of permits from before the
        last state change are ignored.
        """
        if healthy and self._state == CLOSED and not self._failures:
            return  # fast path of nearly every call
        with self._lock:
            if permit.generation != self._generation:
                return
            if permit.probe:
                self._probe_in_flight = False
                if healthy is not None:
                    self._change_state(CLOSED if healthy else OPENED)
            elif healthy:
                self._failures = 0
            elif healthy is not None:
                self._failures += 1
                if self._failures >= self._threshold:
                    self._change_state(OPENED)

    def _change_state(self, state: str) -> None:
        """Change the state; the caller holds the lock."""
        self._state = state
        self._generation += 1
        self._failures = 0
        self._probe_in_flight = False
        self._closed_permit = Permit(probe=False, generation=self._generation)
        if state == OPENED:
            self._opened_until = self._clock() + self._pause
