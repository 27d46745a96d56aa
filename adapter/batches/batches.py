"""`Batches`: the one class of this folder that the layers above use."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, TypeVar

import sqlalchemy as sa

from adapter.api_keys import ANONYMOUS, Caller
from adapter.batches import store
from adapter.batches.comparing import require_verifiable
from adapter.batches.details import may_see
from adapter.batches.model import Batch, Created, Item, ItemStatus, Status
from adapter.batches.refusals import BatchConflictError, not_found, require_id
from adapter.batches.rows import Row, find_lost
from adapter.batches.runner import Runner
from adapter.batches.staging import Staging
from adapter.batches.summary import Progress, count_codes, count_open, seconds_at_pace
from adapter.codes import Action
from adapter.errors import LedgerUnavailable, RequestError
from adapter.history import DEFAULT_LIMIT, Page
from adapter.pages import check_limit, require_ledger
from adapter.recording import unavailable
from adapter.redaction import redact_request_id
from adapter.request_fields import invalid_field
from adapter.service import Service

T = TypeVar("T")

_UNFINISHED: Final = (Status.PLANNED, Status.READY, Status.RUNNING, Status.PAUSED)

_NO_ACTION: Final = "is required, as no row has its own; it is block or unblock"

_WITHOUT_VERIFY: Final = (
    "It has the same rows, without verify. Go on with it without verify, or cancel it first."
)


class Batches:
    """The batches of a service. Safe in threads and after a fork.

    `wake` is called with the id of a batch that is to be run, after it was stored. Every method
    raises RequestError: `batch_not_found` equally for an unknown batch and one of an account that
    the caller may not use, `batch_conflict` where the status does not allow the change, and
    `ledger_unavailable`.
    """

    def __init__(self, service: Service, wake: Callable[[int], None] | None = None) -> None:
        self._service = service
        self._ledger = require_ledger(service.ledger, "batch")
        self.wake = wake

    def create(
        self,
        rows: Iterable[Row],
        *,
        account: str,
        action: Action | None,
        caller: Caller,
        via: str,
        verify: bool = False,
        start: bool = True,
        kind: str = "batch",
        request_id: str | None = None,
    ) -> Created:
        """Store the rows as a batch, and start it unless `start` is False.

        `account` and `action` are those of rows without their own; no action at all is a
        `validation_error`. An unfinished batch of the same caller with the same rows is returned in
        place of a new one; with `verify`, one that does not verify is a `batch_conflict`. What the
        iterator raises goes on, and nothing is kept.
        """

        def find_account(name: str) -> str | None:
            try:
                return self._service.choose_account(caller, name)
            except RequestError:
                return None

        chosen = self._service.choose_account(caller, account)
        staging = Staging(self._ledger, chosen, action, find_account)
        columns = {
            "kind": kind,
            "verify": verify,
            "via": via,
            "key_name": caller.key_name,
            "request_id": request_id and redact_request_id(request_id, None)[:200],
        }
        guard(lambda: staging.begin(columns))
        try:
            staging.add(rows if action is not None else _require_action(rows))
            if verify:
                require_verifiable(self._service.accounts[name] for name in staging.accounts)
            existing = staging.finish(Status.RUNNING if start else Status.READY)
        except BaseException as error:
            guard(staging.remove)
            if isinstance(error, LedgerUnavailable):
                raise RequestError(unavailable()) from error
            raise
        if existing is not None:
            found = self.get(existing, caller)
            if verify and not found.verify:
                raise BatchConflictError(found, _WITHOUT_VERIFY)
            return Created(found, existing=True)
        batch = self.get(staging.batch_id, caller)
        if start:
            self._wake(batch.id)
        return Created(batch, existing=False)

    def get(self, batch_id: int, caller: Caller) -> Batch:
        """Return the batch. Rows of a cancelled one that nobody runs any more end here.

        Those are rows whose process is gone, and one that was returned just after the cancel.
        """
        batch = self._read(batch_id, caller)
        if batch.status == Status.CANCELLED and count_open(batch):
            with suppress(RequestError):  # else the next reader ends them
                self._end_cancelled(batch_id)
                batch = self._read(batch_id, caller)
        return self._estimate(batch)

    def _read(self, batch_id: int, caller: Caller) -> Batch:
        require_id(batch_id)
        tables = self._ledger.tables
        batch = self._ask(
            lambda connection: store.read_batch(connection, tables, batch_id, caller.accounts)
        )
        if batch is None:
            raise not_found(batch_id)
        return batch

    def count_codes(self, batch_id: int, caller: Caller) -> dict[str, dict[str, int]]:
        """Return the rows that have a code, by status and code, the most frequent code first."""
        self._require(batch_id, caller)
        tables = self._ledger.tables
        return self._ask(lambda connection: count_codes(connection, tables, batch_id))

    def list(
        self, caller: Caller, *, limit: int | None = None, cursor: str | None = None
    ) -> Page[Batch]:
        """Return the batches that the caller may see, the newest first."""
        check_limit(limit)
        tables = self._ledger.tables
        page = self._read_page(
            lambda connection: store.read_batches(
                connection, tables, caller.accounts, limit or DEFAULT_LIMIT, cursor
            )
        )
        return Page(tuple(map(self._estimate, page.entries)), page.cursor)

    def items(
        self,
        batch_id: int,
        caller: Caller,
        *,
        status: str | Collection[str] | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Page[Item]:
        """Return the rows of a batch in their order, those with this status, or one of several."""
        check_limit(limit)
        given = [status] if isinstance(status, str) else list(status or ())
        known = [each.value for each in ItemStatus]
        if any(each not in known for each in given):
            raise invalid_field("status", f"must be one of: {', '.join(known)}")
        self._require(batch_id, caller)
        tables = self._ledger.tables
        return self._read_page(
            lambda connection: store.read_items(
                connection, tables, batch_id, given, limit or DEFAULT_LIMIT, cursor
            )
        )

    # --- changes of the status

    def start(self, batch_id: int, caller: Caller) -> Batch:
        """Start a batch that is ready."""
        return self._change(batch_id, caller, (Status.READY,), Status.RUNNING)

    def pause(self, batch_id: int, caller: Caller) -> Batch:
        """Pause a running batch; the rows in flight end."""
        return self._change(batch_id, caller, (Status.RUNNING,), Status.PAUSED)

    def resume(self, batch_id: int, caller: Caller) -> Batch:
        """Let a paused batch go on."""
        return self._change(batch_id, caller, (Status.PAUSED,), Status.RUNNING)

    def cancel(self, batch_id: int, caller: Caller) -> Batch:
        """Cancel the rows that have not begun; those in flight end."""
        self._require(batch_id, caller)
        now = datetime.now(UTC)
        self._set(batch_id, caller, _UNFINISHED, Status.CANCELLED, finished_at=now)
        self._end_cancelled(batch_id)
        return self.get(batch_id, caller)

    def retry(self, batch_id: int, caller: Caller) -> Batch:
        """Run the failed and unknown rows of a finished batch again, as a new wish.

        A batch with rows that were cancelled is cancelled again at its end: they stay so.
        """
        self._require(batch_id, caller)
        tables = self._ledger.tables
        if not self._work(lambda connection: store.start_over(connection, tables, batch_id)):
            raise BatchConflictError(self.get(batch_id, caller))
        self._wake(batch_id)
        return self.get(batch_id, caller)

    def run(
        self,
        batch_id: int,
        stop: threading.Event,
        progress: Callable[[Batch], None] | None = None,
    ) -> Batch:
        """Work here until the batch ends, is paused by a person, or `stop` is set.

        Several processes may work on one batch. `progress` is called about every second. While the
        ledger is gone, it waits. Returns at once for a batch that is not running.
        """
        shown = None if progress is None else Progress(progress, self._estimate)
        guard(lambda: Runner(self._service, self._ledger, batch_id, stop, shown).run())
        return self.get(batch_id, ANONYMOUS)

    # ---

    def _change(
        self, batch_id: int, caller: Caller, allowed: Collection[Status], status: Status
    ) -> Batch:
        self._require(batch_id, caller)
        self._set(batch_id, caller, allowed, status)
        if status is Status.RUNNING:
            self._wake(batch_id)
        return self.get(batch_id, caller)

    def _set(
        self,
        batch_id: int,
        caller: Caller,
        allowed: Collection[Status],
        status: Status,
        **more: object,
    ) -> None:
        tables = self._ledger.tables
        if not self._work(
            lambda connection: store.set_status(
                connection, tables, batch_id, allowed, status, **more
            )
        ):
            raise BatchConflictError(self.get(batch_id, caller))

    def _end_cancelled(self, batch_id: int) -> None:
        tables = self._ledger.tables
        while self._work(lambda connection: store.end_cancelled(connection, tables, batch_id)):
            pass

    def _require(self, batch_id: int, caller: Caller) -> None:
        """Raise RequestError for a batch that the caller may not see."""
        require_id(batch_id)
        tables = self._ledger.tables
        row = self._ask(lambda connection: store.find_row(connection, tables, batch_id))
        if row is None or not may_see(row, caller.accounts):
            raise not_found(batch_id)

    def _estimate(self, batch: Batch) -> Batch:
        account = self._service.settings.accounts.get(batch.account)
        return replace(batch, seconds_left=seconds_at_pace(batch, account))

    def _wake(self, batch_id: int) -> None:
        if self.wake is not None:
            self.wake(batch_id)

    def _ask(self, function: Callable[[sa.Connection], T]) -> T:
        return guard(lambda: self._ledger.ask(function))

    def _work(self, function: Callable[[sa.Connection], T]) -> T:
        return guard(lambda: self._ledger.work(lambda connection, _: function(connection)))

    def _read_page(self, read: Callable[[sa.Connection], Page[T]]) -> Page[T]:
        try:
            return self._ask(read)
        except ValueError as error:
            raise invalid_field("cursor", str(error)) from None


def _require_action(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield the rows; raises RequestError at their end if none of them names an action."""
    row, has_action = None, False
    for row in rows:
        has_action = has_action or row.action is not None or "action" in find_lost(row.why or "")
        yield row
    if row is not None and not has_action:
        raise invalid_field("action", _NO_ACTION)


def guard(work: Callable[[], T]) -> T:
    """Return `work()`; raises RequestError (`ledger_unavailable`) while the database is gone."""
    try:
        return work()
    except LedgerUnavailable as error:
        raise RequestError(unavailable()) from error
