"""Errors of the configuration, of plugins and of requests, raised before a command exists."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from adapter.results import Outcome, describe_failure
from adapter.wording import count_of


@dataclass(frozen=True, slots=True)
class ConfigurationProblem:
    """One problem of a configuration: the path of the key, what is wrong, and how to mend it.

    Neither text holds a value, nor a key that may be a misplaced secret or a phone number.
    """

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class ConfigurationError(Exception):
    """The configuration is invalid. `problems` holds all problems that were found.

    The text never repeats a value, since any value may be a misplaced secret.
    """

    def __init__(self, problems: Iterable[ConfigurationProblem]) -> None:
        self.problems = tuple(problems)
        lines = "\n".join(f"  - {problem}" for problem in self.problems)
        super().__init__(
            f"the configuration has {count_of(len(self.problems), 'problem')}:\n{lines}"
        )


class PluginError(Exception):
    """A required plugin cannot be used; `__cause__` is the exception that it raised, if any."""


class RequestError(Exception):
    """A request was refused before it became a command; `outcome` is its failure.

    Its text has the code, the message and the fields at fault.
    """

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.code.value if outcome.code else "")
        self.outcome = outcome

    def __str__(self) -> str:  # not made before it is read: most are never shown
        return describe_failure(self.outcome)


class LedgerUnavailable(Exception):  # noqa: N818 - as the code `ledger_unavailable`
    """The database is slow or gone, or its schema is another one. The text has no values."""
