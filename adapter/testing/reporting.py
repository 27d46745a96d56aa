"""The texts of the kit's messages: faults, outcomes, and the place in the author's files."""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import fields
from enum import Enum
from pathlib import Path
from typing import Any, Final

from adapter.dialect import Dialect
from adapter.error_rules import ErrorRule
from adapter.provider import LocalProvider, Provider
from adapter.results import Outcome
from adapter.testing.samples import CANARY

MOST_SHOWN: Final = 8
"""The number of faults of one kind that a message lists."""

MOST_TEXT: Final = 160
"""The number of characters that a message shows of an exception's text."""

_hidden: dict[str, str] = {CANARY.number or "": "<number>"}
"""What messages show in place of a text: the secrets of the tested providers, and a number."""


def hide_secrets(secrets: Mapping[str, str]) -> None:
    """Let every later message show `<token>` in place of the secret of the option `token`."""
    _hidden.update({text: f"<{name}>" for name, text in secrets.items() if text})


def mask(text: str) -> str:
    """Return the text without secrets and the number of the canary."""
    for hidden, shown in _hidden.items():
        text = text.replace(hidden, shown)
    return text


_BASES: Final = (Provider, LocalProvider, Dialect)


def require(*groups: tuple[Iterable[str], str]) -> None:
    """Raise AssertionError if there are faults. A group is faults, and how to mend them."""
    __tracebackhide__ = True  # pytest then shows the clause, not this line
    parts = []
    for faults, mend in groups:
        found = list(dict.fromkeys(mask(each) for each in faults))
        if not found:
            continue
        shown = [f"  - {fault}" for fault in found[:MOST_SHOWN]]
        if len(found) > MOST_SHOWN:
            shown.append(f"  … and {len(found) - MOST_SHOWN} more")
        parts.append("\n".join([f"{len(found)} fault(s):", *shown, f"To mend this: {mend}"]))
    if parts:
        raise AssertionError("\n".join(parts))


def place_of(owner: type, name: str) -> str:
    """Return where an attribute of a class is defined: `AcmeProvider.parse_success in acme.py`.

    For an attribute that only the adapter's base class has, that is where to define it.
    """
    classes = [each for each in owner.__mro__ if each not in _BASES]
    found = next((each for each in classes if name in vars(each)), owner)
    file = file_of(found)
    return f"{found.__name__}.{name} in {Path(file).name}" if file else f"{found.__name__}.{name}"


def shown_path(path: Path) -> str:
    """Return a path for messages: relative to the current directory, or with its folder's name."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return f"{path.parent.name}/{path.name}"


def file_of(owner: type) -> str | None:
    """Return the path of the file that defines a class; None where there is no file."""
    return getattr(sys.modules.get(owner.__module__), "__file__", None)


def describe_exception(error: BaseException, owner: type) -> str:
    """Return the type of an exception, and the last line in the files of a class that led to it.

    `owner` is the class of a provider or a dialect. The exception's own text follows, shortened.
    """
    files = {file_of(each) for each in inspect.getmro(owner) if each not in (*_BASES, object)}
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename in files]
    name = type(error).__name__
    text = " ".join(str(error).split())
    text = f": {text[:MOST_TEXT]}{'…' if len(text) > MOST_TEXT else ''}" if text else ""
    if not own:
        return f"{name}{text}"
    place = f"{own[-1].name} ({Path(own[-1].filename).name}, line {own[-1].lineno})"
    return f"{name} in {place}{text}"


def describe_outcome(outcome: Any) -> str:
    """Return an outcome in a few words; anything else, such as an exception, as its own text."""
    if not isinstance(outcome, Outcome):
        return str(outcome)
    words = [outcome.code.value if outcome.code else f"a success ({outcome.confirmation})"]
    words += [
        f"{name} {getattr(outcome, name)!r}"
        for name in ("contacts", "retry_after", "upstream_status", "provider_code")
        if getattr(outcome, name) is not None
    ]
    if outcome.others:
        words.append(f"others {outcome.others}")
    if outcome.fields:
        words.append(f"fields {sorted(outcome.fields)}")
    return ", ".join(words)


def describe_difference(outcome: Any, expected: Outcome) -> str:
    """Return in what an outcome is not the expected one: only the parts that differ.

    A success in place of a failure, or the other way round, is described as a whole.
    """
    if not isinstance(outcome, Outcome) or outcome.ok is not expected.ok:
        was, should_be = describe_outcome(outcome), describe_outcome(expected)
        return was if was.startswith(("parsing it", "it is")) else f"is {was}, not {should_be}"
    names = [each.name for each in fields(Outcome)]
    parts = [
        f"{name} is {_shown(getattr(outcome, name))}, not {_shown(getattr(expected, name))}"
        for name in names
        if getattr(outcome, name) != getattr(expected, name)
    ]
    return "; ".join(parts) or "nothing differs"


def _shown(value: Any) -> str:
    return value.value if isinstance(value, Enum) else repr(value)


def describe_rule(rule: ErrorRule) -> str:
    """Return an error rule in a few words: its code, status and evidence."""
    evidence = rule.provider_code or (rule.where.__name__ if rule.where else "the status alone")
    return f"{rule.code.value} ({rule.status}, {evidence})"
