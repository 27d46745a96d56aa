"""The events that the writer records: a call that opens or closes, a read, and a task."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import sqlalchemy as sa

from adapter.codes import Action
from adapter.contacts import Contact
from adapter.errors import LedgerUnavailable

Row = dict[str, Any]
"""Columns of a table, as JSON values."""


class Event:
    """Something to record; finished once, by the writer. One caller may wait for it.

    `error` is why it was not recorded. An event that is `cancelled` before the writer has begun it
    is not recorded at all.
    """

    __slots__ = ("_end", "cancelled", "done", "error")

    def __init__(self) -> None:
        self.done = False
        self.error: BaseException | None = None
        self.cancelled = False
        self._end = threading.Event()  # gevent has its own, which is much faster than its locks

    @property
    def recorded(self) -> bool:
        """Whether the event is in the database."""
        return self.done and self.error is None

    @property
    def outlives_outage(self) -> bool:
        """Whether the event is kept for a database that is gone, though its caller has gone on."""
        return False

    def finish(self, error: BaseException | None = None) -> None:
        """Set the event's end."""
        self.error = error or self.error
        self.done = True
        self._end.set()

    def wait(self, seconds: float) -> bool:
        """Wait for the end; return whether the event is recorded."""
        if not self.done and seconds > 0:
            self._end.wait(seconds)
        return self.recorded


class CallEvent(Event):
    """A new row of `calls`: a change that opens, or a read that has ended.

    `row` lacks the ids. `call_id` is set by the writer, and `contact_id` too where it is 0;
    `superseded`: a newer wish for the opposite was there before this call was recorded. `late`: its
    caller went on before it was recorded.
    """

    __slots__ = ("action", "call_id", "contact", "contact_id", "late", "row", "superseded")

    def __init__(self, action: Action, contact: Contact | None, row: Row) -> None:
        super().__init__()
        self.action = action
        self.contact = contact
        self.row = row
        self.call_id = 0
        self.contact_id = 0
        self.late = False
        self.superseded = False

    @property
    def recordable_id(self) -> int:
        """The id for an event of the same or a later group; 0 where the call is not recorded."""
        return self.call_id if self.error is None else 0

    @property
    def order(self) -> int:
        """The place in the order of wishes: the id of the call, or the place of its batch."""
        return int(self.row["wish"] or self.call_id)

    @property
    def wanted(self) -> str:
        """The state of the contact that a change requests."""
        return "blocked" if self.action is Action.BLOCK else "unblocked"


class CloseEvent(Event):
    """The end of a change: its columns, and what is known about the contact's state.

    `state` is None where the change certainly had no effect.
    """

    __slots__ = ("certainty", "opened", "row", "state")

    def __init__(self, opened: CallEvent, row: Row, state: str | None, certainty: str) -> None:
        super().__init__()
        self.opened = opened
        self.row = row
        self.state = state
        self.certainty = certainty

    @property
    def outlives_outage(self) -> bool:
        """Whether the row of the change is there; such events are as many as calls in flight."""
        return self.opened.recorded


class CallBook(Protocol):
    """What a task of the writer may do with calls, in its transaction."""

    def open_calls(self, connection: sa.Connection, calls: Sequence[CallEvent]) -> None:
        """Insert the calls, and set their ids and `superseded`."""

    def close_calls(self, connection: sa.Connection, closes: Sequence[CloseEvent]) -> None:
        """Record the ends of calls."""


class Task(Event):
    """A function to run in a transaction of the writer, after the other events of its group.

    Those of a group run in the order of their keys, such as the names of what they lock: so two
    processes do not wait for each other.
    """

    __slots__ = ("function", "key", "result")

    def __init__(self, function: Callable[[sa.Connection, CallBook], Any], key: str = "") -> None:
        super().__init__()
        self.function, self.key = function, key
        self.result: Any = None

    def require(self, is_done: bool) -> Any:
        """Return the result; cancel the task and raise LedgerUnavailable where it is not done."""
        if not is_done:
            self.cancelled = True
            raise LedgerUnavailable("the database is slow or gone") from self.error
        return self.result
