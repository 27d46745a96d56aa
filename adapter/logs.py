"""One line per event, for people and for machines. Embedded, it is plain `logging`."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Mapping
from typing import Any, Final

from adapter.contacts.contact import Contact
from adapter.privacy import (
    MaskingFormatter,
    escape_controls,
    indent_lines,
    mask_number,
    mask_numbers,
    mask_trace,
)
from adapter.redaction import hide_contact

log: Final = logging.getLogger("adapter")
"""The one logger. Its records hold an event and its facts in `msg`, and as `event` and `facts`."""

FORMATS: Final = ("text", "json")
LEVELS: Final[Mapping[str, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
"""The levels by their names in the configuration."""


def write_line(event: str, *, level: int = logging.INFO, **facts: Any) -> None:
    """Log the event with its facts; a fact that is None is left out.

    Numbers are masked and controls escaped here, since a host may log with any formatter.
    """
    if not log.isEnabledFor(level):
        return
    known = {name: fact for name, fact in facts.items() if fact is not None}
    text = _write(known)
    if escape_controls(mask_numbers(text)) != text:
        known = {
            name: escape_controls(mask_numbers(fact)) if isinstance(fact, str) else fact
            for name, fact in known.items()
        }
        text = _write(known)
    log.log(level, "%s %s", event, text, extra={"event": event, "facts": known})


def write_error(
    event: str, error: BaseException, *, contact: Contact | None = None, **facts: Any
) -> None:
    """Log the event with its facts at level `error`, and below it the traceback, masked.

    The digits of `contact` are hidden in it however they are written.
    """
    known = {
        name: escape_controls(mask_numbers(str(fact)))
        for name, fact in facts.items()
        if fact is not None
    }
    trace = "".join(traceback.format_exception(error))
    if contact is not None and contact.number is not None:  # as every other line shows it
        trace = trace.replace(contact.number, mask_number(contact.number))
    trace = indent_lines(mask_trace(hide_contact(trace, contact)))
    head = " ".join(filter(None, (event, _write(known))))
    log.error("%s\n%s", head, trace, extra={"event": event, "facts": {**known, "exception": trace}})


def _write(facts: Mapping[str, Any]) -> str:
    """Return the facts as `name=fact`; a text that holds a blank is quoted, to stay one fact."""
    return " ".join([f"{name}={_quote(fact)}" for name, fact in facts.items()])


def _quote(fact: object) -> object:
    if isinstance(fact, str) and " " in fact:
        return '"' + fact.replace('"', r"\"") + '"'
    return fact


class JsonFormatter(MaskingFormatter):
    """A log line as one JSON object, masked and escaped like every other."""

    def compose(self, record: logging.LogRecord, traces: str = "") -> str:
        """Return the object: time, level and logger, then the facts, or the message."""
        line: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        event = getattr(record, "event", None)
        line |= {"event": event, **record.facts} if event else {"message": record.getMessage()}  # type: ignore[attr-defined]
        if traces:
            line["exception"] = indent_lines(traces)
        return json.dumps(line)


def configure(level: str, form: str) -> None:
    """Send this process's log to standard error. For a process that is ours: a host has its own."""
    formatter: logging.Formatter = (
        JsonFormatter()
        if form == "json"
        else MaskingFormatter("%(asctime)s %(levelname)s %(name)s %(message)s")
    )
    # As the logging HOWTO says, under "Optimization": facts of each line that no format shows.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # type: ignore[attr-defined]  # noqa: SLF001
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    # What libraries say below a warning, such as the paths of requests, is theirs to know.
    logging.basicConfig(level=max(logging.WARNING, LEVELS[level]), handlers=[handler], force=True)
    for name in ("adapter", "gunicorn"):
        logging.getLogger(name).setLevel(LEVELS[level])
