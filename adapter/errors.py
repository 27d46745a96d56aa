"""What goes wrong before a command exists: in the configuration, in a plugin, in a request."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from adapter.results import Outcome


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault of a configuration: the path of its key, and what to do about it.

    Neither holds a value, nor a key that may be a secret or a phone number by mistake.
    """

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class ConfigurationError(Exception):
    """The configuration cannot be used. `problems` holds every fault that was found, not the first.

    The text never repeats a value, since any value may be a secret in the wrong place.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        lines = "\n".join(f"  - {problem}" for problem in self.problems)
        super().__init__(f"the configuration has {len(self.problems)} fault(s):\n{lines}")


class PluginError(Exception):
    """A plugin that is needed cannot be used; `__cause__` is what it raised."""


class RequestError(Exception):
    """A request that never became a command; `outcome` is its answer."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.code.value if outcome.code else "")
        self.outcome = outcome
