"""The batches of one service, for the Python API, the HTTP API, the server and the commands.

Nothing of `adapter.batches` is imported before the first use, which needs a ledger.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from adapter.api_keys import Caller
from adapter.codes import Action
from adapter.pages import require_ledger
from adapter.request_fields import invalid_field
from adapter.service import Service

if TYPE_CHECKING:
    from adapter.batches import Batch, Batches, Item, Row
    from adapter.batches.worker import BatchWorker

Progress = Callable[["Batch"], None]

Source = str | Path | BinaryIO | Iterable[Any]
"""A path or a binary file of CSV, or an iterable of identifiers, of mappings, or of rows."""

ACTIONS: Final = (Action.BLOCK, Action.UNBLOCK)

PAGE: Final = 1000
"""Rows that are read at once."""


class BatchCalls:
    """The batches of one service. Safe in threads, and before a fork as well as after it."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._lock = threading.Lock()
        self._batches: Batches | None = None
        self._worker: BatchWorker | None = None

    def load(self) -> Batches:
        """Return the batches; raises RequestError (`validation_error`) without a ledger.

        With a queue, a batch that is started wakes a worker. Without one, it is run by the worker
        of this process, or found by another within a few seconds.
        """
        require_ledger(self._service.ledger, "batch")
        with self._lock:
            if self._worker is not None:
                return self._worker.batches
            if self._batches is None:
                from adapter.batches import Batches

                self._batches = Batches(self._service)
                if self._service.settings.queue is not None:
                    from adapter.batches.worker import BatchWorker

                    self._batches = BatchWorker(self._service).batches  # it sends, and never starts
            return self._batches

    def check(self) -> None:
        """Raise ConfigurationError where a library of the configured queue is missing."""
        if self._service.settings.queue is not None:
            from adapter.batches.worker import BatchWorker

            BatchWorker(self._service)

    # --- the worker of this process

    def start_worker(self) -> None:
        """Run batches in this process; does nothing without a ledger. Call it after a fork."""
        if self._service.ledger is None:
            return
        from adapter.batches.worker import BatchWorker

        with self._lock:
            self._worker = BatchWorker(self._service)
            self._worker.start()

    def begin_stop(self) -> None:
        """Begin no further rows in this process."""
        if self._worker is not None:
            self._worker.begin_stop()

    def stop_worker(self, timeout: float | None = None) -> None:
        """Wait, for at most `timeout` seconds, until the rows in flight have ended."""
        if self._worker is not None:
            self._worker.stop(timeout)

    # --- batches

    def store(
        self,
        source: Source,
        caller: Caller,
        via: str,
        *,
        action: Action | str | None,
        account: str | None,
        verify: bool,
        start: bool,
    ) -> Any:
        """Store the rows of the source as a batch; return `Created`.

        Raises RequestError, FileProblem for a file that cannot be read as a whole, and OSError.
        Then nothing is kept.
        """
        batches = self.load()
        chosen = self._service.choose_account(caller, account)
        with_action = read_action(action)
        rows, close = open_rows(source, self._service.settings.default_region)
        try:
            return batches.create(
                rows,
                account=chosen,
                action=with_action,
                caller=caller,
                via=via,
                verify=verify,
                start=start,
            )
        finally:
            close()

    def go_on(
        self,
        batch_id: int,
        caller: Caller,
        stop: threading.Event,
        progress: Progress | None = None,
        *,
        wait: bool = True,
    ) -> Batch:
        """Start or resume the batch and, with `wait`, run it here; return it as it is then."""
        batches = self.load()
        batch = batches.get(batch_id, caller)
        if batch.status == "ready":
            batch = batches.start(batch_id, caller)
        elif batch.status == "paused":
            batch = batches.resume(batch_id, caller)
        if wait and batch.status == "running":
            batches.run(batch_id, stop, progress)
            return batches.get(batch_id, caller)
        return batch

    def read_items(
        self, batch_id: int, caller: Caller, status: str | Iterable[str] | None = None
    ) -> Iterator[Item]:
        """Yield the rows of a batch, those with this status, or one of several."""
        batches, cursor = self.load(), None
        wanted = status if isinstance(status, str) or status is None else list(status)
        while True:
            page = batches.items(batch_id, caller, status=wanted, limit=PAGE, cursor=cursor)
            yield from page.entries
            cursor = page.cursor
            if cursor is None:
                return


def read_action(action: Action | str | None) -> Action | None:
    """Return the action of a batch; raises RequestError for any other than block and unblock."""
    if action is None:
        return None
    with suppress(ValueError):
        if Action(action) in ACTIONS:
            return Action(action)
    raise invalid_field("action", "must be block or unblock")


def open_rows(source: Source, region: str | None) -> tuple[Iterator[Row], Callable[[], None]]:
    """Return the rows of a source, and what closes it.

    Raises RequestError for a source that has no rows, besides what `store` raises.
    """
    from adapter.batches import read_rows

    if isinstance(source, (str, Path)):
        file = _open_file(source, region)
        try:
            return read_rows(file, default_region=region), file.close
        except BaseException:
            file.close()
            raise
    if hasattr(source, "read"):
        if isinstance(source.read(0), str):
            raise invalid_field("source", _TEXT_MODE)
        return read_rows(source, default_region=region), _do_nothing  # type: ignore[arg-type]
    for kind, message in _NO_ROWS.items():
        if isinstance(source, kind):
            raise invalid_field("source", message)
    if not isinstance(source, Iterable):
        raise invalid_field("source", _NOT_ITERABLE)
    return build_rows(source, region), _do_nothing


_TEXT_MODE: Final = 'is a file in text mode; open it with open(path, "rb"), or give its path'
_NOT_ITERABLE: Final = "must be a path, a file in binary mode, or an iterable of contacts"
_ONE_CONTACT: Final = "is one contact; put it in a list"
_NO_ROWS: Final[Mapping[type, str]] = MappingProxyType(
    {Mapping: _ONE_CONTACT, bytes: "is bytes; put them in io.BytesIO, or give the path of a file"}
)
"""Iterables whose parts are no rows."""


def _open_file(path: str | Path, region: str | None) -> BinaryIO:
    """Open the file; raises RequestError for a text that is a contact, and not a path."""
    from adapter.batches import build_row
    from adapter.contacts import detect_field

    try:
        return Path(path).open("rb")
    except FileNotFoundError:
        if isinstance(path, str):
            row = build_row(1, {detect_field(path): path}, default_region=region)
            if row.contact is not None:
                raise invalid_field("source", _ONE_CONTACT) from None
        raise


def _do_nothing() -> None:
    pass


def build_rows(entries: Iterable[Any], region: str | None) -> Iterator[Row]:
    """Yield the rows of identifiers, of mappings with the names of the columns, or of rows.

    Raises RequestError for an invalid entry, and for more entries than a file may have rows.
    """
    from adapter.batches import Row, build_row, reading
    from adapter.contacts import detect_field

    for line, entry in enumerate(entries, 1):
        if line > reading.MAX_ROWS:
            raise invalid_field("source", f"has more than {reading.MAX_ROWS:,} rows; split it")
        if isinstance(entry, Row):
            yield entry
        elif isinstance(entry, str):
            yield build_row(line, {detect_field(entry): entry}, default_region=region)
        elif isinstance(entry, Mapping):
            name = f"items[{line - 1}]"
            yield build_row(line, read_texts(name, entry), default_region=region)
        else:
            raise invalid_field(f"items[{line - 1}]", "must be text, or a mapping of texts")


def read_texts(name: str, entry: Mapping[str, Any]) -> dict[str, str]:
    """Return the texts of one item by column; raises RequestError for anything else."""
    from adapter.batches.columns import COLUMNS

    texts = {}
    for column, value in entry.items():
        if column not in COLUMNS:
            raise invalid_field(name, f"has an unknown field; known fields: {', '.join(COLUMNS)}")
        if not isinstance(value, str):
            raise invalid_field(f"{name}.{column}", "must be text, in quotes")
        texts[column] = value
    return texts
