"""Objects whose state must not be shared with the parent process after a fork.

A forked child inherits the connections, locks and counters of its parent. Each registered object
is reset once in the child, by its `reset_after_fork()`.
"""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class ForkAware(Protocol):
    """An object with state of its process."""

    def reset_after_fork(self) -> None:
        """Discard the state of the parent process; raises nothing.

        gevent's hub is not usable in the child yet: close no socket here.
        """


_registered: WeakSet[ForkAware] = WeakSet()
_process_id = os.getpid()


def reset_in_child(instance: ForkAware) -> None:
    """Call `instance.reset_after_fork()` in every child that is forked from now on.

    The instance is held weakly.
    """
    _registered.add(instance)


def ensure_own_process() -> None:
    """Reset the registered objects where the fork has not done so.

    uWSGI forks in C, and runs Python's hooks only with `py-call-osafterfork`.
    """
    if os.getpid() != _process_id:
        _reset()


def _reset() -> None:
    global _process_id
    for each in list(_registered):
        each.reset_after_fork()
    _process_id = os.getpid()  # last: until then no other thread uses the parent's connections


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset)
