"""One transaction of a process that runs a batch: its rows end, and others are leased."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from adapter.batches import store
from adapter.batches.claim_statements import ClaimStatements
from adapter.batches.comparing import listed_accounts
from adapter.batches.contacts import named_contact
from adapter.batches.endings import (
    Ending,
    after_other_rows,
    may_be_the_cause,
    settled_status,
)
from adapter.batches.exchanges import Answer, Exchange, LeasedRow, OpenedRow
from adapter.batches.lanes import Lane, lock_lane, save_lane
from adapter.batches.model import LOST, ItemStatus, Status
from adapter.batches.sql import among, update_rows
from adapter.call_context import CallContext
from adapter.codes import Action
from adapter.ledger.events import CallBook, CallEvent
from adapter.ledger.ledger import Ledger
from adapter.ledger.rows import call_row
from adapter.ledger.schema import utc_text
from adapter.results import Command
from adapter.service import new_request_id
from adapter.settings.model import PaceSettings

WAITING: Final = 4
"""Single rows that are leased for each slot: those beyond the first wait for the next free slot."""

SCAN: Final = 512
"""Rows of one transaction that are looked at where many of them need no call."""

_PENDING, _LEASED = ItemStatus.PENDING.value, ItemStatus.LEASED.value
_ERASED: Final = "the contact was erased"


class Claims:
    """The exchanges of one batch with the rows of one account.

    `group` is the most rows in one request; `lease` is in seconds.
    """

    def __init__(
        self,
        ledger: Ledger,
        batch_id: int,
        account: str,
        provider: str,
        pace: PaceSettings,
        lease: float,
        verify: bool | None,
        group: int = 1,
    ) -> None:
        self._ledger, self._tables = ledger, ledger.tables
        self._batch_id, self._account, self._provider = batch_id, account, provider
        self._pace, self._lease, self._verify = pace, lease, verify
        self._group = group
        self._statements = ClaimStatements(self._tables, ledger.dialect)
        self._limit = 0

    def exchange(self, given: Exchange) -> Answer:
        """End rows and lease others. Raises LedgerUnavailable."""
        return self._ledger.work(
            lambda connection, book: self._exchange(connection, book, given), key=self._account
        )

    def _exchange(self, connection: sa.Connection, book: CallBook, given: Exchange) -> Answer:
        tables = self._tables
        batches = tables.batches
        lane = lock_lane(connection, tables, self._account)
        query = sa.select(
            *(batches.c.status, batches.c.intent, batches.c.key_name, batches.c.request_id),
            batches.c.details,
        ).where(batches.c.id == self._batch_id)
        batch = connection.execute(query).one_or_none()
        self._end(connection, book, lane, given)
        if given.queued:
            self._find_superseded(connection, given.queued)
        answer = Answer(batch.status if batch else Status.CANCELLED.value)
        back = [each.row for each in given.unsent]
        back += [
            each.leased.row for each in given.ended if each.ending.status is ItemStatus.PENDING
        ]
        answer.after = min([given.after, *(row - 1 for row in back)])
        cancelled = answer.status == Status.CANCELLED
        if given.recover and not cancelled and self._recover(connection, lane.now):
            answer.after = 0
        if cancelled:
            self._cancel_returned(connection, given)
        if given.release or answer.status != Status.RUNNING:
            lane.release(given.owner)
            if given.running:
                lane.take_slots(given.owner, given.running, self._pace, self._lease)
        else:
            held = max(given.running, given.slots)
            slots = lane.take_slots(given.owner, held, self._pace, self._lease)
            answer.slots, answer.is_paused = slots, lane.is_paused
            self._claim(connection, book, lane, given, answer, batch)
            if answer.is_exhausted and not (given.running or given.queued or answer.leased):
                lane.release(given.owner)
        save_lane(connection, tables, lane)
        return answer

    # --- rows that end

    def _end(self, connection: sa.Connection, book: CallBook, lane: Lane, given: Exchange) -> None:
        until = lane.now + timedelta(seconds=self._lease)
        if given.renewed:
            self._update(connection, given.owner, given.renewed, lease_until=until)
        if given.unsent:
            self._return(connection, given)
        if not given.ended:
            return
        book.close_calls(connection, [each.close for each in given.ended])
        if any(each.shows_account for each in given.ended):
            lane.record_success()
        endings = [each.ending for each in given.ended]
        if not lane.pauses and not lane.is_paused:
            endings = [
                after_other_rows(each.ending, each.leased.tries, is_shared=each.is_shared)
                for each in given.ended
            ]
        for pause in dict.fromkeys(each.pause for each in endings if each.pause):
            lane.pause(pause)
        rows = [
            self._end_row(each.leased, ending, lane, given.owner)
            for each, ending in zip(given.ended, endings, strict=True)
        ]
        self._statements.end.execute_for(connection, rows)

    def _end_row(self, leased: LeasedRow, ending: Ending, lane: Lane, owner: str) -> dict[str, Any]:
        code, status = ending.code, ending.status
        not_before = None
        if ending.pause is not None:
            not_before = lane.after_pause()
        elif ending.delay:
            not_before = lane.now + timedelta(seconds=ending.delay)
        is_unresolved = ending.unresolved or leased.unresolved
        if status is ItemStatus.FAILED and is_unresolved:
            status = ItemStatus.UNKNOWN  # a refusal proves nothing about the earlier try
        return {
            "batch_id": self._batch_id,
            "row": leased.row,
            "status": status.value,
            "code": code,
            "why": ending.why,
            "unresolved": is_unresolved,
            "not_before": not_before and utc_text(not_before),
            "attempts": leased.tries - (not ending.counts),
            "call_id": leased.opened.call_id,
            "lease_owner": owner,
        }

    def _return(self, connection: sa.Connection, given: Exchange) -> None:
        """Let rows wait that were leased and not run: their calls did not happen."""
        calls, items = self._tables.calls, self._tables.items
        numbers = [each.row for each in given.unsent]
        self._update(
            connection,
            given.owner,
            numbers,
            status=_PENDING,
            lease_owner=None,
            lease_until=None,
            attempts=items.c.attempts - 1,
        )
        ids = [each.opened.call_id for each in given.unsent]
        connection.execute(sa.delete(calls).where(among(connection, calls.c.id, ids)))
        self._restore_wishes(connection, given.unsent)

    def _restore_wishes(self, connection: sa.Connection, unsent: Sequence[LeasedRow]) -> None:
        """Let the wishes before be the wishes again, where no newer one has followed."""
        before: list[dict[str, Any]] = []
        added: list[dict[str, Any]] = []
        for each in unsent:
            event = each.opened.event
            key = {
                "account": self._account,
                "contact_id": event.contact_id,
                "opened": event.call_id,
            }
            if each.wish_before is None:
                added.append(key)
            else:
                before.append({**key, **each.wish_before})
        for statement, rows in (
            (self._statements.restore_wishes, before),
            (self._statements.remove_wishes, added),
        ):
            if rows:
                rows.sort(key=lambda row: int(row["contact_id"]))
                statement.execute_for(connection, rows)

    def _update(
        self, connection: sa.Connection, owner: str, numbers: Sequence[int], **values: Any
    ) -> None:
        items = self._tables.items
        own = items.c.lease_owner == owner
        update_rows(connection, items, self._batch_id, numbers, values, own)

    def _cancel_returned(self, connection: sa.Connection, given: Exchange) -> None:
        numbers = [each.row for each in given.unsent]
        numbers += [each.leased.row for each in given.ended]
        if numbers:
            items = self._tables.items
            pending = items.c.status == _PENDING
            values = store.cancelled_values(self._tables)
            update_rows(connection, items, self._batch_id, numbers, values, pending)

    def _recover(self, connection: sa.Connection, now: datetime) -> bool:
        """Let rows be leased again whose process is gone: setting a state twice does no harm.

        Returns whether there were any. Their last tries may have taken effect.
        """
        items = self._tables.items
        expired = sa.and_(
            items.c.batch_id == self._batch_id,
            items.c.account == self._account,
            items.c.lease_until < now,
            items.c.status == _LEASED,
        )
        values: dict[str, Any] = {
            "status": _PENDING,
            "unresolved": True,
            "lease_owner": None,
            "lease_until": None,
        }
        return connection.execute(sa.update(items).where(expired).values(**values)).rowcount > 0

    def _find_superseded(self, connection: sa.Connection, queued: Sequence[LeasedRow]) -> None:
        """Note which rows that have not begun are older than an opposite wish by now."""
        events = {each.opened.event.call_id: each.opened.event for each in queued}
        wishes = [
            {
                "account": self._account,
                "contact_id": event.contact_id,
                "wanted": event.wanted,
                "intent": event.call_id,
            }
            for event in events.values()
        ]
        for call_id in self._statements.newer_wishes.execute_for(connection, wishes).scalars():
            events[call_id].superseded = True

    # --- rows that begin

    def _claim(
        self,
        connection: sa.Connection,
        book: CallBook,
        lane: Lane,
        given: Exchange,
        answer: Answer,
        batch: Any,
    ) -> None:
        if lane.is_paused:
            assert lane.paused_until is not None  # noqa: S101 - it is paused
            answer.wait_until = lane.paused_until.timestamp()
            self._note_full(connection, given, answer)
            return
        wanted = self._most(lane, answer.slots) - given.rows - len(given.queued)
        if self._group > 1:  # of one request: the next exchange, which follows at once, has others
            is_late = self._pace.per_minute is not None and given.running >= answer.slots
            wanted = 0 if is_late else min(wanted, self._group)
        tokens, next_at = lane.count_tokens(self._pace)
        if tokens is not None:
            wanted = min(wanted, tokens)
        if next_at is not None:
            answer.wait_until = next_at.timestamp()
        if wanted <= 0:
            self._note_full(connection, given, answer)
            return
        limit = max(wanted, self._limit)
        found = connection.execute(
            self._statements.candidates,
            {
                "batch_id": self._batch_id,
                "account": self._account,
                "after": answer.after,
                "now": lane.now,
                "limit": limit,
            },
        ).all()
        has_list = self._account in listed_accounts(batch)
        ended: list[dict[str, Any]] = []
        chosen: list[Any] = []
        for row in found:
            status = settled_status(row, batch.intent, has_list=has_list)
            if status is not None:
                is_erased = status in (ItemStatus.CANCELLED, ItemStatus.UNKNOWN)
                why = _ERASED if is_erased else None
                ended.append(self._settled_row(row, status, why))
            elif len(chosen) < wanted:
                chosen.append(row)
            else:
                break
            answer.after = row.row
        self._limit = SCAN if ended else 0
        if ended:
            self._statements.settle.execute_for(connection, ended)
        answer.is_exhausted = len(found) < limit and len(chosen) < wanted
        if answer.is_exhausted:
            answer.after = 0
        if chosen:
            self._lease_rows(connection, book, lane, given, answer, batch, chosen)
            lane.spend(len(chosen), self._pace)

    def _most(self, lane: Lane, slots: int) -> int:
        """Return how many rows may be leased here, those that have begun included.

        Requests for many are filled. Of single rows, as many again wait for the next free slot. A
        row that is tried after a pause is alone, and of those that keep to a pace none waits.
        """
        if lane.pauses:
            return slots
        if self._group > 1:
            return self._group * slots
        return slots if self._pace.per_minute is not None else WAITING * slots

    def _note_full(self, connection: sa.Connection, given: Exchange, answer: Answer) -> None:
        """Note that no row is wanted now, and whether there is any."""
        answer.is_full = True
        if given.running or given.queued:
            return
        items = self._tables.items
        pending = sa.select(items.c.row).where(
            items.c.batch_id == self._batch_id,
            items.c.status == _PENDING,
            items.c.account == self._account,
        )
        answer.is_exhausted = connection.execute(pending.limit(1)).first() is None

    def _settled_row(self, row: Any, status: ItemStatus, why: str | None) -> dict[str, Any]:
        return {
            "batch_id": self._batch_id,
            "row": row.row,
            "status": status.value,
            "code": LOST if status is ItemStatus.UNKNOWN else None,
            "why": why,
        }

    def _lease_rows(
        self,
        connection: sa.Connection,
        book: CallBook,
        lane: Lane,
        given: Exchange,
        answer: Answer,
        batch: Any,
        chosen: Sequence[Any],
    ) -> None:
        until = lane.now + timedelta(seconds=self._lease)
        self._statements.lease.execute_for(
            connection,
            [
                {
                    "batch_id": self._batch_id,
                    "row": row.row,
                    "lease_owner": given.owner,
                    "lease_until": utc_text(until),
                }
                for row in chosen
            ],
        )
        now = time.time()
        for row in chosen:
            contact = named_contact(row)
            assert contact is not None  # noqa: S101 - `settled_status` ends the row of an erased one
            command = Command(Action(row.action), contact, verify=self._verify)
            context = CallContext(
                "batch", batch.key_name, new_request_id(), row.reason, row.ref, batch.intent
            )
            columns = call_row(
                self._account, self._provider, command, context, now, now + self._lease
            )
            event = CallEvent(command.action, contact, columns)
            event.contact_id = row.contact_id
            opened = OpenedRow(self._ledger, event)
            failed = row.code is not None
            answer.leased.append(
                LeasedRow(
                    row.row,
                    command,
                    context,
                    opened,
                    row.attempts + 1,
                    row.unresolved,
                    self._statements.wish_of(row),
                    failed,
                    failed and may_be_the_cause(row.code, row.attempts),
                )
            )
        book.open_calls(connection, [each.opened.event for each in answer.leased])
