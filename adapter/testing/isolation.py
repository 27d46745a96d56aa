"""A guard around a provider's methods: the network, processes and written files raise there.

It is an audit hook (https://docs.python.org/3/library/audit_events.html), which is installed once,
when a guard is first entered, and cannot be removed. Outside of a guard it does nothing.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import Any, Final

_EVENTS: Final = (
    *("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg"),
    *("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo"),
    *("subprocess.Popen", "os.system", "os.posix_spawn", "os.fork", "os.exec"),
)
_WRITES: Final = os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_TRUNC
_LOCK: Final = threading.Lock()
_installed = False


class _State(threading.local):
    used: list[str] | None = None
    """What the guarded calls of this thread did; None outside of a guard."""


_state = _State()


class ForbiddenCallError(OSError):
    """A provider uses the network, a process or a written file. Guarded code alone gets it."""


class Guard:
    """A context in which forbidden calls of this thread raise `ForbiddenCallError`.

    Their names are in `used`, even if the error was caught. Guards may be nested: the outer one has
    the names of all.
    """

    __slots__ = ("_outer", "used")

    def __enter__(self) -> Guard:
        _install()
        self._outer = _state.used
        self.used: list[str] = [] if self._outer is None else self._outer
        _state.used = self.used
        return self

    def __exit__(self, *_: object) -> None:
        _state.used = self._outer


def _install() -> None:
    global _installed
    if not _installed:
        with _LOCK:
            if not _installed:
                sys.addaudithook(_refuse)
                _installed = True


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    """Raise ForbiddenCallError for a forbidden event inside of a guard."""
    used = _state.used
    if used is None:
        return
    if event in _EVENTS:
        used.append(event)
        raise ForbiddenCallError(f"{event} is not allowed in a provider")
    if event == "open" and _is_written(*arguments):
        used.append("open for writing")
        raise ForbiddenCallError("a file opened for writing is not allowed in a provider")


def _is_written(path: Any, mode: Any, flags: Any) -> bool:
    """Whether a file is opened for writing, other than the cache of an import."""
    if "__pycache__" in str(path):
        return False
    if isinstance(mode, str):
        return bool(set("wax+") & set(mode))
    return isinstance(flags, int) and bool(flags & _WRITES)
