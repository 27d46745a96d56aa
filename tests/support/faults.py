"""The rows of the fault matrix: what goes wrong, and the code that it must become.

A ServerFault (`server_faults.py`) is a script that the server runs on each connection. A SetupFault
(`setup_faults.py`) needs more: a listener that accepts nothing, a certificate, a second server, or
earlier calls. A row of `OTHER_ROWS` has a test of its own. `tools.render_faults` writes FAULTS.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapter import Code
from support.certificates import Authority
from support.raw_server import RawServer, Script

SHORT_DEADLINE = 0.4
"""The deadline, in seconds, of a row that nothing else ends."""

LONG_DEADLINE = 5.0
"""The deadline of all other rows, which a busy machine does not reach."""

BAD = Code.PROVIDER_BAD_RESPONSE
TOO_LARGE = Code.PROVIDER_RESPONSE_TOO_LARGE
LOST = Code.PROVIDER_CONNECTION_LOST
TIMEOUT = Code.PROVIDER_TIMEOUT
MISADDRESSED = Code.PROVIDER_MISADDRESSED
UNREACHABLE = Code.PROVIDER_UNREACHABLE
TLS_ERROR = Code.PROVIDER_TLS_ERROR

Call = Callable[[], object]


@dataclass(frozen=True)
class Resources:
    """Resources of a row: the provider's good response, certificates, an empty folder."""

    good: bytes
    authority: Authority
    folder: Path


@dataclass(frozen=True)
class Target:
    """The target of an account: its base URL, its transport settings, and the calls before.

    `server` receives each attempt; `third_party` must receive nothing.
    """

    base_url: str
    server: RawServer | None = None
    transport: Mapping[str, Any] = field(default_factory=dict)
    third_party: RawServer | None = None
    before: Callable[[Call], AbstractContextManager[None]] = lambda _: nullcontext()


SetUp = Callable[[Resources], AbstractContextManager[Target]]


@dataclass(frozen=True)
class Row:
    """A row of the matrix: a fault, and the code that it must become, by provider or for all.

    Of several `calls` the last one counts, and those before it succeed. `attempts` is the number in
    the envelope; with `arrives`, the server must have counted as many. `needs_deadline`: without a
    deadline the call would not end.
    """

    name: str
    how: Callable[..., Any] | None
    code: Code | Mapping[str, Code | None] | None
    attempts: int | Mapping[str, int] = 1
    calls: int = 1
    deadline: float = LONG_DEADLINE
    arrives: bool = True
    closes: bool = False
    needs_deadline: bool = False

    def expected_attempts(self, provider: str) -> int:
        """Return the number of attempts for a provider."""
        if isinstance(self.attempts, int):
            return self.attempts
        return self.attempts.get(provider, self.attempts["*"])

    def expected(self, provider: str) -> Code | None:
        """Return the code for a provider; None is a success."""
        if self.code is None or isinstance(self.code, Code):
            return self.code
        return self.code.get(provider, self.code["*"])

    def set_up(self, resources: Resources) -> AbstractContextManager[Target]:
        """Set the row up until the end of a `with`."""
        raise NotImplementedError


class ServerFault(Row):
    """A row whose `how` is a script; with `closes`, it closes the connection between calls."""

    how: Script

    @contextmanager
    def set_up(self, resources: Resources) -> Iterator[Target]:
        """Run the server."""
        with RawServer(self.how, resources.good) as server:
            yield Target(f"http://127.0.0.1:{server.port}", server)


class SetupFault(Row):
    """A row whose `how` sets up its target."""

    how: SetUp

    def set_up(self, resources: Resources) -> AbstractContextManager[Target]:
        """Set the target up."""
        return self.how(resources)


SIGTERM = Row("SIGTERM with the call in flight", None, None)
PROBE = Row("breaker half-opened: the probe", None, None)
NO_PROBE = Row(
    "breaker half-opened: all other calls", None, Code.CIRCUIT_OPEN, attempts=0, arrives=False
)
NO_DESCRIPTOR = Row("no file descriptor left in this process", None, Code.OVERLOADED, arrives=False)
SUPERSEDED = Row("connection lost, with a newer call for the opposite", None, LOST)
SUPERSEDED_BEFORE_SENDING = Row(
    "a newer call for the opposite, before the request is sent",
    None,
    Code.PROVIDER_CONFLICT,
    attempts=0,
    arrives=False,
)
LONG_LIST = Row(
    "a list beyond its limits: bytes, pages, or the deadline of all pages",
    None,
    {"wuts": TOO_LARGE, "*": Code.OPERATION_NOT_SUPPORTED},
    {"wuts": 1, "*": 0},
)
OTHER_ROWS = (
    PROBE,
    NO_PROBE,
    NO_DESCRIPTOR,
    SUPERSEDED,
    SUPERSEDED_BEFORE_SENDING,
    LONG_LIST,
    SIGTERM,
)
"""Rows with a test of their own."""
