"""A resilience policy for tests, outcomes of attempts, and calls in threads."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from adapter import Code, Confirmation, Outcome
from adapter.settings.model import TransportSettings
from adapter.transport.attempt import Attempt
from adapter.transport.resilience import Resilience
from support import TIMEOUT

Returned = tuple[Outcome, int]
"""What a call returns: its outcome, and the number of attempts."""

OK = Outcome.success(Confirmation.ACCEPTED)
MAX_JITTER = 0.25
"""Most seconds that are added to a retry delay at random."""

POLICY_CODES = (Code.CIRCUIT_OPEN, Code.OVERLOADED)
"""Codes of the policy itself; no attempt has them."""


def failed(
    code: Code, status: int | None = None, retry_after: int | None = None, *, own: bool = False
) -> Outcome:
    failure = Outcome.failure(code, upstream_status=status, retry_after=retry_after)
    return replace(failure, own_error=own)


LOST = failed(Code.PROVIDER_CONNECTION_LOST)
UNREACHABLE = failed(Code.PROVIDER_UNREACHABLE)
ERROR = failed(Code.PROVIDER_ERROR, 500)
REJECTED = failed(Code.TARGET_REJECTED, 400)


class Clock:
    """A clock that is set by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Policy:
    """A policy whose clock is set by hand, and whose retry delays are recorded and not waited."""

    def __init__(self, **settings: Any) -> None:
        self.clock = Clock()
        self.delays: list[float] = []
        self.resilience = Resilience(
            TransportSettings(**settings), clock=self.clock, sleep=self.delays.append
        )

    @property
    def state(self) -> str:
        return self.resilience.state

    def call(self, *outcomes: Outcome) -> Returned:
        """Make a call whose attempts have these outcomes."""
        remaining = iter(outcomes)
        return self.resilience.call(lambda _: next(remaining))

    def half_open(self) -> None:
        """Open the breaker, and let its pause pass."""
        while self.state == "closed":
            self.resilience.call(lambda _: ERROR)
        self.clock.now += TransportSettings().breaker_pause


def outcomes() -> st.SearchStrategy[Outcome]:
    """Return any outcome that an attempt may have."""
    statuses = st.sampled_from([None, 200, 301, 400, 404, 408, 409, 429, 500, 501, 502, 503, 504])
    waits = st.sampled_from([None, 0, 1, 2, 3, 3600])
    codes = st.sampled_from([code for code in Code if code not in POLICY_CODES])
    return st.just(OK) | st.builds(failed, codes, statuses, waits)


class Held:
    """An attempt that waits for `release`, and counts its calls."""

    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome
        self.started = threading.Semaphore(0)
        self.release = threading.Event()
        self.made: list[None] = []

    def __call__(self, _: Attempt) -> Outcome:
        self.made.append(None)
        self.started.release()
        assert self.release.wait(TIMEOUT)
        return self._outcome


@contextmanager
def running(resilience: Resilience, held: Held, calls: int) -> Iterator[list[Returned]]:
    """Make calls in threads; yield the list to which their results are appended."""
    found: list[Returned] = []
    barrier = threading.Barrier(calls)

    def call() -> None:
        barrier.wait(TIMEOUT)
        found.append(resilience.call(held))

    threads = [threading.Thread(target=call) for _ in range(calls)]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        held.release.set()
        for thread in threads:
            thread.join(TIMEOUT)
            assert not thread.is_alive()


def codes(found: Iterable[Returned]) -> list[Code | None]:
    return [outcome.code for outcome, _ in found]
