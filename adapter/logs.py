"""Log events, one line each, as text or JSON.

Embedded in a host app, records go to the standard `logging` of the host.
"""

from __future__ import annotations

import json
import logging
import time
import traceback
from collections.abc import Mapping
from copy import copy
from typing import Any, Final, TextIO

from adapter.contacts import Contact
from adapter.privacy import (
    escape_controls,
    indent_lines,
    mask_number,
    mask_phone_numbers,
    mask_traceback,
)
from adapter.redaction import redact_contact

log: Final = logging.getLogger("adapter")
"""The logger of the adapter. Its records have the attributes `event` and `facts`."""

_ROOT: Final = logging.getLogger()

FORMATS: Final = ("text", "json")
LEVELS: Final[Mapping[str, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
"""The levels, by their names in the configuration."""


def log_event(event: str, *, level: int = logging.INFO, **facts: Any) -> None:
    """Log the event with its facts; facts that are None are omitted.

    Numbers are masked and control characters escaped here, since a host may use any formatter.
    """
    if not log.isEnabledFor(level):
        return
    known = {name: fact for name, fact in facts.items() if fact is not None}
    text = _write(known)
    if escape_controls(mask_phone_numbers(text)) != text:
        known = {
            name: escape_controls(mask_phone_numbers(fact)) if isinstance(fact, str) else fact
            for name, fact in known.items()
        }
        text = _write(known)
    handler = _sole_handler()
    if handler is not None:
        handler.write_event(level, event, known, text)
    else:
        log.log(level, "%s %s", event, text, extra={"event": event, "facts": known})


def log_exception(
    event: str, error: BaseException, *, contact: Contact | None = None, **facts: Any
) -> None:
    """Log the event with its facts at level `error`, followed by the masked traceback.

    The digits of `contact` are redacted in the traceback, however they are grouped.
    """
    known = {
        name: escape_controls(mask_phone_numbers(str(fact)))
        for name, fact in facts.items()
        if fact is not None
    }
    trace = "".join(traceback.format_exception(error))
    if contact is not None and contact.number is not None:  # masked as in every other line
        trace = trace.replace(contact.number, mask_number(contact.number))
    trace = indent_lines(mask_traceback(redact_contact(trace, contact)))
    head = " ".join(filter(None, (event, _write(known))))
    log.error("%s\n%s", head, trace, extra={"event": event, "facts": {**known, "exception": trace}})


def _write(facts: Mapping[str, Any]) -> str:
    """Return the facts as `name=fact`; a text with a space is quoted, so that it stays one fact."""
    return " ".join([f"{name}={_quote(fact)}" for name, fact in facts.items()])


def _quote(fact: object) -> object:
    if isinstance(fact, str) and " " in fact:
        return '"' + fact.replace('"', r"\"") + '"'
    return fact


class MaskingFormatter(logging.Formatter):
    """A log formatter that masks phone numbers and keeps every record on one line.

    A traceback follows its record in indented lines. In a message, digits that are part of an id
    (hexadecimal, or joined by dashes) stay readable.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as text, with numbers masked and control characters escaped."""
        if hasattr(record, "facts"):  # `log_event` and `log_exception` have masked and escaped it
            return self.compose(record)
        plain = copy(record)
        plain.msg, plain.args = escape_controls(mask_phone_numbers(record.getMessage())), None
        plain.exc_info = plain.exc_text = plain.stack_info = None
        return self.compose(plain, self._format_traces(record))

    def compose(self, record: logging.LogRecord, traces: str = "") -> str:
        """Return the record, whose message is masked and escaped, followed by its traceback."""
        line = super().format(record)
        return f"{line}\n{indent_lines(traces)}" if traces else line

    def _format_traces(self, record: logging.LogRecord) -> str:
        """Return the traceback and the stack of the record, with numbers masked."""
        found = self.formatException(record.exc_info) if record.exc_info else record.exc_text
        return mask_traceback("\n".join(filter(None, (found, record.stack_info))))


class JsonFormatter(MaskingFormatter):
    """A log formatter that writes each record as one JSON object, masked and escaped."""

    def compose(self, record: logging.LogRecord, traces: str = "") -> str:
        """Return the record as JSON: time, level, logger, then the facts or the message."""
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


class LineHandler(logging.StreamHandler[TextIO]):
    """The handler of `configure`: one line on standard error for each record or event."""

    def __init__(self, log_format: str) -> None:
        super().__init__()
        self._is_json = log_format == "json"
        self._own_formatter: logging.Formatter = (
            JsonFormatter()
            if self._is_json
            else MaskingFormatter("%(asctime)s %(levelname)s %(name)s %(message)s")
        )
        self.setFormatter(self._own_formatter)
        self._second, self._time_text = -1, ""

    @property
    def is_unchanged(self) -> bool:
        """Whether the handler is still as it was made: no level, no filter, no other formatter."""
        return not self.level and not self.filters and self.formatter is self._own_formatter

    def write_event(self, level: int, event: str, facts: Mapping[str, Any], text: str) -> None:
        """Write the line that a record of this event would become, without making the record.

        `text` are the facts as text, masked and escaped.
        """
        self.acquire()
        try:
            self.stream.write(self._compose_event(level, event, facts, text))
            self.flush()
        except Exception:  # noqa: BLE001 - as StreamHandler.emit: a broken stream fails no request
            self.handleError(log.makeRecord(log.name, level, "", 0, "%s", (event,), None))
        finally:
            self.release()

    def _compose_event(self, level: int, event: str, facts: Mapping[str, Any], text: str) -> str:
        now = time.time()
        second = int(now)
        if second != self._second:  # the local time is formatted once a second
            form = "%Y-%m-%dT%H:%M:%S%z" if self._is_json else "%Y-%m-%d %H:%M:%S"
            self._second, self._time_text = second, time.strftime(form, time.localtime(second))
        name = logging.getLevelName(level)
        if not self._is_json:
            milliseconds = int((now - second) * 1000)
            return f"{self._time_text},{milliseconds:03d} {name} {log.name} {event} {text}\n"
        head = {"time": self._time_text, "level": name.lower(), "logger": log.name, "event": event}
        return json.dumps({**head, **facts}) + "\n"


def _sole_handler() -> LineHandler | None:
    """Return the handler of `configure` where a record of `log` would reach nothing else.

    A record would then be made, handed over and formatted for nothing: 6 % of a request.
    """
    handlers = _ROOT.handlers
    handler = handlers[0] if len(handlers) == 1 else None
    if (
        type(handler) is LineHandler
        and handler.is_unchanged
        and not log.handlers
        and not log.filters
        and log.propagate
        and logging.getLogRecordFactory() is logging.LogRecord
    ):
        return handler
    return None


def configure(level: str, log_format: str) -> None:
    """Send the log of this process to standard error, as text or `json`.

    Only for the server and the command line: a host app configures its own logging.
    """
    # No format shows these facts; "Optimization" in the logging HOWTO documents the switches.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # type: ignore[attr-defined]  # noqa: SLF001
    handler = LineHandler(log_format)
    # Below a warning, libraries log details such as the paths of requests.
    logging.basicConfig(level=max(logging.WARNING, LEVELS[level]), handlers=[handler], force=True)
    for name in ("adapter", "gunicorn"):
        logging.getLogger(name).setLevel(LEVELS[level])
