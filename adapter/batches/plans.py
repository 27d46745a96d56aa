"""`Plans`: what it takes to bring the block list of an account to that of another, or of a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from adapter.api_keys import ANONYMOUS, Caller
from adapter.batches import store
from adapter.batches.batches import Batches, guard
from adapter.batches.comparing import require_verifiable
from adapter.batches.model import Item, ItemStatus, Status
from adapter.batches.plan_applying import Approved, find_ends, go_on
from adapter.batches.plan_lists import (
    check_list,
    describe_target,
    have_one_phone,
    read_known,
    read_ledger_list,
    read_list,
    refuse,
)
from adapter.batches.plan_model import DIFFERENCES, Basis, Guard, ListRead, Op, Plan, Wanted
from adapter.batches.plan_sorting import Sorted, Sorting, shorten
from adapter.batches.plan_store import (
    Draft,
    build_plan,
    count_ops,
    hash_plan,
    publish,
    store_rows,
)
from adapter.batches.refusals import BatchConflictError, not_a_plan
from adapter.batches.rows import Row
from adapter.batches.staging import Staging
from adapter.call_context import CallContext
from adapter.codes import Action, Code
from adapter.history import DEFAULT_LIMIT, Page
from adapter.pages import check_limit, require_ledger
from adapter.request_fields import invalid_field
from adapter.service import Service, new_request_id
from adapter.wording import count_of

ONE_SOURCE: Final = "name one source: an account, an account's ledger, or the rows of a file"
_ITSELF: Final = "is the target itself; name another account, or the target's ledger"
_NOT_A_NUMBER: Final = "must be a whole number from 0"
_ONE_LIST: Final = (
    "Both accounts have the same WhatsApp number, and so one list: nothing is to be sent."
)
_BLOCKS_ONLY: Final = (
    "action: the rows of a plan are those who are to be blocked; unblock by a batch"
)
_OTHER_ACCOUNT: Final = "account: is not the target of the plan; empty it, or name the target"


class Plans:
    """The plans of a service. Safe in threads and after a fork.

    `wake` is called with the id of a plan that is to be run as a batch. Every method raises
    RequestError: `batch_not_found` equally for an unknown plan and one of accounts that the caller
    may not use, and `ledger_unavailable`.
    """

    def __init__(self, service: Service, wake: Callable[[int], None] | None = None) -> None:
        self._service = service
        self._ledger = require_ledger(service.ledger, "plan")
        self._batches = Batches(service, wake)
        self.wake = wake

    def create(
        self,
        target: str,
        *,
        source: str | None = None,
        from_ledger: str | None = None,
        rows: Iterable[Row] | None = None,
        mirror: bool = False,
        allow_unblocks: int = 0,
        allow: Collection[Guard | str] = frozenset(),
        caller: Caller = ANONYMOUS,
        via: str = "python",
        request_id: str | None = None,
    ) -> Plan:
        """Read both lists, sort every contact, and store the plan. Nothing is sent.

        The source is an account (`source`), what the ledger has of an account's wishes
        (`from_ledger`), or `rows`. Where a provider has no list, it is the ledger's. With `mirror`
        the plan unblocks what only the target has, and the ledger knows as blocked by us, at most
        `allow_unblocks` contacts. `allow`: the guards that are lifted for this plan.

        Raises RequestError: `plan_refused` where a guard refuses it, the code of the failure where
        a list cannot be read whole, and what the iterator of `rows` raises.
        """
        if [source, from_ledger, rows].count(None) != 2:
            raise invalid_field("source", ONE_SOURCE)
        if isinstance(allow_unblocks, bool) or allow_unblocks < 0:
            raise invalid_field("allow_unblocks", _NOT_A_NUMBER)
        to = self._service.choose_account(caller, target)
        origin = source if from_ledger is None else from_ledger
        if origin is not None:
            origin = self._service.choose_account(caller, origin)
            if origin == to and from_ledger is None:
                raise invalid_field("source", _ITSELF)
        details: dict[str, Any] = {
            "accounts": [to],
            "source": origin,
            "from_ledger": from_ledger is not None,
            "mirror": mirror,
            "allow_unblocks": allow_unblocks,
            "allow": sorted(Guard(each).value for each in allow),
        }
        context = CallContext("batch", caller.key_name, request_id or new_request_id())
        ended: list[Draft] = []
        given = None if rows is None else guard(lambda: _read_rows(rows, to, ended))
        if mirror:
            _check_rejected(ended)
        found = guard(lambda: self._sort(to, details, given, context))
        return guard(lambda: self._store(to, details, found, ended, context, via, caller))

    def get(self, plan_id: int, caller: Caller = ANONYMOUS) -> Plan:
        """Return the plan."""
        return guard(lambda: self._get(plan_id, caller))

    def items(
        self,
        plan_id: int,
        caller: Caller = ANONYMOUS,
        *,
        ops: Sequence[str] = (),
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Page[Item]:
        """Return the rows of a plan in their order, those with one of these ops."""
        check_limit(limit)
        known = [each.value for each in Op]
        if any(each not in known for each in ops):
            raise invalid_field("op", f"must be one of: {', '.join(known)}")
        self.get(plan_id, caller)
        tables = self._ledger.tables

        def read() -> Page[Item]:
            return self._ledger.ask(
                lambda connection: store.read_items(
                    connection, tables, plan_id, (), limit or DEFAULT_LIMIT, cursor, ops
                )
            )

        try:
            return guard(read)
        except ValueError as error:
            raise invalid_field("cursor", str(error)) from None

    def apply(self, plan_id: int, caller: Caller = ANONYMOUS, *, verify: bool = False) -> Plan:
        """Read both lists again, and let what remains of the plan run as a batch.

        `verify`: the target's list is compared at the end, where its provider has one.

        Raises RequestError besides those of `create`: `batch_conflict` for a plan that was applied
        or cancelled, or which has nothing to send, since both accounts have one list; `plan_stale`
        where more is to be done than was approved, with the difference.
        """
        plan = self.get(plan_id, caller)
        if plan.batch.status != Status.PLANNED:
            raise BatchConflictError(plan.batch)
        if plan.same:
            raise BatchConflictError(plan.batch, _ONE_LIST)
        if verify:
            require_verifiable([self._service.accounts[plan.target]])
        context = CallContext("batch", caller.key_name, new_request_id())
        if not guard(lambda: self._apply(plan, context, verify=verify)):
            raise BatchConflictError(self.get(plan_id, caller).batch)
        if self.wake is not None:
            self.wake(plan_id)
        return self.get(plan_id, caller)

    # ---

    def _sort(
        self,
        to: str,
        details: dict[str, Any],
        rows: tuple[Wanted, ...] | None,
        context: CallContext,
    ) -> list[Sorted]:
        """Return every contact with its op; what was read is added to the details."""
        service, ledger, name = self._service, self._ledger, details["source"]
        allow = frozenset(map(Guard, details["allow"]))
        origin = None
        if rows is not None:
            origin = ListRead(None, Basis.FILE, rows)
        elif not details["from_ledger"]:
            origin = read_list(service, name, context)
        if origin is None:
            origin = read_ledger_list(ledger, name, wishes=True)
        there = read_list(service, to, context) or read_ledger_list(ledger, to, wishes=False)
        for each in (origin, there):
            check_list(ledger, each, allow)
        account = service.accounts[to]
        known = read_known(ledger, account)
        target = describe_target(account, allow)
        sorting = Sorting(there.contacts, known, target, account.identities)
        other = service.accounts.get(name)
        same = other is not None and have_one_phone(service, account, other, context)
        if same:
            has_list = there.basis is Basis.PROVIDER
            found = list(sorting.verify(origin.wanted, has_list=has_list))
        else:
            found = list(sorting.sort(origin.wanted, mirror=details["mirror"]))
        unblocks = sum(each.op is Op.UNBLOCK for each in found)
        if unblocks > details["allow_unblocks"]:
            raise refuse(
                f"The plan would unblock {count_of(unblocks, 'contact')}, and at most "
                f"{details['allow_unblocks']} are allowed. If that is right, allow it for this "
                f"plan: --allow-unblocks {unblocks}"
            )
        details |= {
            "same": same,
            "bases": {"source": origin.basis.value, "target": there.basis.value},
            "sizes": {"source": len(origin.wanted), "target": len(there.wanted)},
            "listed": {
                each.account: len(each.wanted)
                for each in (origin, there)
                if each.basis is Basis.PROVIDER
            },
        }
        return found

    def _store(
        self,
        to: str,
        details: dict[str, Any],
        found: list[Sorted],
        ended: list[Draft],
        context: CallContext,
        via: str,
        caller: Caller,
    ) -> Plan:
        facts = [to, details["source"], details["same"], details["mirror"]]
        changes = (each for each in found if each.op in DIFFERENCES)
        details["digest"] = hash_plan(self._ledger, facts, changes)
        staging = Staging(self._ledger, to, None, lambda name: name)
        staging.begin(
            {
                "kind": "plan",
                "verify": False,
                "via": via,
                "key_name": context.key_name,
                "request_id": context.request_id,
            }
        )
        try:
            drafts = sorted([*ended, *map(Draft.of, found)], key=lambda each: each.line or MAX_LINE)
            store_rows(self._ledger, staging.batch_id, to, drafts)
            publish(self._ledger, staging.batch_id, details)
        except BaseException:
            staging.remove()
            raise
        return self._get(staging.batch_id, caller)

    def _get(self, plan_id: int, caller: Caller) -> Plan:
        tables = self._ledger.tables
        batch = self._batches.get(plan_id, caller)

        def read(connection: Any) -> tuple[str | None, dict[str, int]]:
            row = store.find_row(connection, tables, plan_id)
            ops = count_ops(connection, tables, plan_id)
            return None if row is None or row.kind != "plan" else row.details, ops

        text, ops = self._ledger.ask(read)
        if text is None:
            raise not_a_plan(batch)
        return build_plan(batch, json.loads(text), ops)

    def _apply(self, plan: Plan, context: CallContext, *, verify: bool) -> bool:
        """Let the plan run; return False where another process has applied it."""
        tables = self._ledger.tables
        row = self._ledger.ask(lambda connection: store.find_row(connection, tables, plan.id))
        details = json.loads(row.details)
        approved = Approved(self._ledger, plan.id)
        rows = approved.wanted() if details["source"] is None else None
        now = self._sort(plan.target, details, rows, context)
        if details["same"]:
            raise BatchConflictError(plan.batch, _ONE_LIST)
        ends = find_ends(approved, now)
        unblocks = sum(each.op is Op.UNBLOCK for each in now)
        if plan.target in details["listed"]:  # as it will be: what we unblock has not shrunk
            details["listed"][plan.target] -= unblocks
        more = {"details": json.dumps(details), "verify": verify}
        return go_on(self._ledger, plan.id, ends, more)


MAX_LINE: Final = 2**31
"""Behind every line of a list: what only the target has comes last."""


def _read_rows(rows: Iterable[Row], to: str, ended: list[Draft]) -> tuple[Wanted, ...]:
    """Return who is to be blocked; rows that are rejected or repeat another one go to `ended`."""
    invalid = Code.VALIDATION_ERROR.value
    wanted: dict[Any, Wanted] = {}
    for row in rows:
        if row.account not in (None, to):
            why = f"{_OTHER_ACCOUNT}; {row.why}" if row.why else _OTHER_ACCOUNT
            row = replace(row, code=row.code or invalid, why=why)
        if row.contact is None or row.code is not None:
            ended.append(Draft.ended(row, ItemStatus.REJECTED))
        elif row.action is Action.UNBLOCK:
            rejected = replace(row, code=invalid, why=_BLOCKS_ONLY)
            ended.append(Draft.ended(rejected, ItemStatus.REJECTED))
        elif (contact := shorten(row.contact)) in wanted:
            ended.append(Draft.ended(row, ItemStatus.DUPLICATE))
        else:
            wanted[contact] = Wanted(contact, row.line, row.reason, row.ref)
    return tuple(wanted.values())


def _check_rejected(ended: Iterable[Draft]) -> None:
    """Raise RequestError for a rejected row: a mirror would unblock whom it may mean."""
    rejected = sum(each.status is ItemStatus.REJECTED for each in ended)
    if rejected:
        raise refuse(
            f"The source has {count_of(rejected, 'rejected row')}, and a mirror would unblock the "
            "contacts that are meant. Make the plan without the mirror to see such rows, and mend "
            "them."
        )
