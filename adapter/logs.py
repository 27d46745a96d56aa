"""One line per event, for people and for machines. Embedded, it is plain `logging`."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any, Final

from adapter.privacy import MaskingFormatter, mask_numbers

log: Final = logging.getLogger("adapter")
"""The one logger. Its records hold an event and its facts in `msg`, and as `event` and `facts`."""

FORMATS: Final = ("text", "json")
LEVELS: Final = ("debug", "info", "warning", "error")


def write_line(event: str, *, level: int = logging.INFO, **facts: Any) -> None:
    """Log the event with its facts; a fact that is None is left out."""
    if not log.isEnabledFor(level):
        return
    known = {name: fact for name, fact in facts.items() if fact is not None}
    text = _write(known)
    if mask_numbers(text) != text:
        known = {
            name: mask_numbers(fact) if isinstance(fact, str) else fact
            for name, fact in known.items()
        }
        text = _write(known)
    log.log(level, "%s %s", event, text, extra={"event": event, "facts": known})


def _write(facts: Mapping[str, Any]) -> str:
    return " ".join([f"{name}={fact}" for name, fact in facts.items()])


class JsonFormatter(MaskingFormatter):
    """A log line as one JSON object, masked like every other."""

    def compose(self, record: logging.LogRecord) -> str:
        """Return the object: time, level and logger, then the facts, or the message."""
        line: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        event = getattr(record, "event", None)
        line |= {"event": event, **record.facts} if event else {"message": record.getMessage()}  # type: ignore[attr-defined]
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
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
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
