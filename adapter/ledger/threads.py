"""Run blocking work outside of gevent's loop, where the standard library is patched."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

T = TypeVar("T")

PAUSE: Final = 0.002
"""Seconds for other threads."""

LONGEST_PAUSE: Final = 0.005
"""Seconds for a loop that always has something to run."""


class Runner(Protocol):
    """Runs a function, and returns what it returns."""

    def __call__(self, function: Callable[[], T], /) -> T:
        """Run the function."""


def is_cooperative() -> bool:
    """Whether threads are gevent's greenlets, all of which a blocking call would stop."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


def run_directly(function: Callable[[], T]) -> T:
    """Run the function in this thread."""
    return function()


def new_runner() -> Runner:
    """Return what runs a blocking function: one native thread under gevent, else this thread."""
    return _NativeThread() if is_cooperative() else run_directly


class _NativeThread:
    """A runner in a native thread: gevent's pool of one. It belongs to the loop that makes it."""

    def __init__(self) -> None:
        from gevent.threadpool import ThreadPool

        self._pool: Any = ThreadPool(1)

    def __call__(self, function: Callable[[], T]) -> T:
        value, error = self._pool.apply(_catch, (function,))
        if error is not None:
            raise error
        return value  # type: ignore[no-any-return]

    def end(self) -> None:
        """End the thread."""
        self._pool.kill()


def _catch(function: Callable[[], T]) -> tuple[T | None, BaseException | None]:
    """Return the result of a function, and what it has raised, which gevent's pool would print."""
    try:
        return function(), None
    except BaseException as error:  # noqa: BLE001 - it is raised in the greenlet that waits
        return None, error


def let_others_run() -> None:
    """Wait for what the other threads do next: about 2 ms.

    Under gevent, wait until the loop has nothing else to run: as long as it has, more events come,
    and after that none does.
    """
    if not is_cooperative():
        time.sleep(PAUSE)
        return
    import gevent

    gevent.with_timeout(LONGEST_PAUSE, gevent.idle, timeout_value=None)


def end_runner(runner: Runner | None) -> None:
    """End the native thread of a runner that has one: none may be left before a fork."""
    if isinstance(runner, _NativeThread):
        runner.end()
