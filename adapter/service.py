"""Run commands against configured accounts. Imports no web framework."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from adapter.account import Account
from adapter.api_keys import Caller
from adapter.call_context import CallContext
from adapter.changes import Change, RunningChange
from adapter.codes import Action, Code
from adapter.contacts import Contact, load_numbering_plans
from adapter.errors import RequestError
from adapter.fallback import Route, offered_actions
from adapter.history import Filters, Source
from adapter.logs import log_event
from adapter.many_calls import call_many
from adapter.pages import (
    check_choice,
    check_limit,
    cut_page,
    read_blocked,
    read_history,
    read_page_position,
    read_state,
    require_ledger,
)
from adapter.readings import Verification
from adapter.recording import OpenedCall, Recording
from adapter.redaction import redact_contact, redact_contacts, redact_request_id
from adapter.request_fields import KEY_HEADER, invalid_field, read_contact, read_lookup_numbers
from adapter.results import Command, Outcome, Result
from adapter.settings.account_names import AccountNames
from adapter.settings.model import Settings
from adapter.transport.attempt import Attempt
from adapter.transport.sockets import TimeLimit

if TYPE_CHECKING:
    from adapter.ledger.ledger import Ledger

_NEEDS_LEDGER: Final = (
    "needs a ledger, which remembers keys: configure [ledger] url, or send the call without a key"
)

PYTHON: Final = CallContext("python")
"""The context of a call where none is given."""

RESULT_ATTRIBUTE: Final = "contact_adapter_result"
"""An exception's attribute with the Result (`internal_error`) of the call that raised it."""


def new_request_id() -> str:
    """Return an id for a call without one. No part of it is masked as a phone number."""
    while True:
        request_id = secrets.token_hex(16)
        if redact_request_id(request_id, None) == request_id:
            return request_id


def result_of(error: BaseException) -> Result | None:
    """Return the Result of the call that raised an exception; None where no call raised it."""
    result = getattr(error, RESULT_ATTRIBUTE, None)
    return result if isinstance(result, Result) else None


class Observer(Protocol):
    """An observer of all calls of a service, such as its metrics."""

    def call_started(self, account: Account) -> None:
        """Record the start of a call."""

    def call_ended(
        self, account: Account, command: Command, result: Result, seconds: float
    ) -> None:
        """Record the end of a call; `result` is an `internal_error` where it raised."""


class Service:
    """The accounts of one configuration. Safe in threads and after a fork.

    `ledger` is where the calls are recorded; see `adapter.ledger.load_ledger`.
    """

    def __init__(self, settings: Settings, ledger: Ledger | None = None) -> None:
        load_numbering_plans()
        self.settings = settings
        self.ledger = ledger
        self.observer: Observer | None = None
        self.accounts = {name: Account(each) for name, each in settings.accounts.items()}
        for each in self.accounts.values():
            each.fallback = self.accounts.get(each.settings.fallback or "")
        self._names = AccountNames.of(settings.accounts, settings.default_account)

    def perform(
        self,
        account: str,
        command: Command,
        *,
        request_id: str | None = None,
        context: CallContext | None = None,
        idempotency_key: str | None = None,
        opened: OpenedCall | None = None,
    ) -> Result:
        """Run the command for the account, and return the result.

        `context` is recorded with the call, by default as one of Python. A change with an
        `idempotency_key` that was sent before is not sent again: its result is returned. `opened`
        is the record of a change that was opened in the ledger before; it is closed here.

        Raises RequestError for an unknown account (`account_not_found`) and an idempotency key
        without a ledger (`validation_error`), and unchanged what a plugin raises, with the call's
        Result in its attribute `contact_adapter_result`.
        """
        started = time.monotonic()
        request_id = request_id or new_request_id()
        target = self.accounts.get(account)
        if target is None:
            raise RequestError(Outcome.failure(Code.ACCOUNT_NOT_FOUND))
        context = context or PYTHON
        route = None if target.fallback is None else Route(target, target.fallback)
        make_result = partial(_make_result, command, target, request_id, started, context, route)
        recording: Recording | None = None
        if self.ledger is not None:
            if command.action is Action.STATE and Action.STATE not in offered_actions(target):
                return make_result(read_state(self.ledger, account, command.target), 0)
            known = context
            if context.request_id != request_id:
                known = replace(context, request_id=request_id)
            recording = Recording(
                self.ledger, target, command, known, idempotency_key, opened, route
            )
        elif idempotency_key is not None:
            raise invalid_field(KEY_HEADER, _NEEDS_LEDGER)
        observer = self.observer
        if observer is not None:
            observer.call_started(target)
        begun: list[Attempt] = []
        try:
            if recording is None:
                outcome, attempts = (route or target).call(command, request_id, begun)
                result = make_result(outcome, attempts)
            else:
                result = recording.run(request_id, begun, make_result)
        except BaseException as error:
            result = make_result(Outcome.failure(Code.INTERNAL_ERROR), len(begun))
            if recording is not None and isinstance(error, Exception):
                result = recording.end(result)
            with suppress(Exception):  # an exception class may refuse attributes
                setattr(error, RESULT_ATTRIBUTE, result)
            log_event("call", level=logging.ERROR, **describe_call(result))
            raise
        finally:
            if observer is not None:
                observer.call_ended(target, command, result, time.monotonic() - started)
        return result

    def perform_many(self, account: str, changes: Sequence[Change]) -> list[Result]:
        """Run changes of one action in one request, at most the `max_contacts` of the provider.

        Returns the result of each change, which is recorded with the request id of its context, as
        `perform` does. There is no retry, nothing is read back, and a fallback is not called. An
        exception of a plugin is logged, and an `internal_error` of the changes which it concerns.

        Raises RequestError for an unknown account.
        """
        started = time.monotonic()
        target = self.accounts.get(account)
        if target is None:
            raise RequestError(Outcome.failure(Code.ACCOUNT_NOT_FOUND))
        route = None if target.fallback is None else Route(target, target.fallback)
        if route is not None:
            route.names = (target.name,)
        running = []
        for each in changes:
            command, context = each.command, each.context
            make_result = partial(
                _make_result, command, target, context.request_id, started, context, route
            )
            recording = None
            if self.ledger is not None:
                recording = Recording(self.ledger, target, command, context, None, each.opened)
            running.append(RunningChange(command, recording, make_result))
        observer = self.observer
        if observer is not None:
            for _ in running:
                observer.call_started(target)
        try:
            sent = [change for change in running if change.open()]
            if sent:
                commands = [change.command for change in sent]
                wishes = [change.wish for change in sent]
                outcomes = call_many(target, commands, new_request_id(), wishes)
                for change, (outcome, attempts) in zip(sent, outcomes, strict=True):
                    change.end(outcome, attempts)
        finally:
            if observer is not None:
                seconds = time.monotonic() - started
                for change in running:
                    observer.call_ended(target, change.command, change.result, seconds)
        return [change.result for change in running]

    def blocked(
        self,
        account: str,
        *,
        source: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        request_id: str | None = None,
        context: CallContext | None = None,
    ) -> Result:
        """Return the block list, or with `limit` or `cursor` a page of it.

        By default the source is the provider where it has a list, else the ledger, whose list is
        always in pages. Raises RequestError as `perform` does, and for an invalid argument.
        """
        started = time.monotonic()
        check_choice("source", source, list(Source))
        check_limit(limit)
        target = self.accounts.get(account)
        if target is None:
            raise RequestError(Outcome.failure(Code.ACCOUNT_NOT_FOUND))
        if source is None:
            has_list = Action.LIST in offered_actions(target)
            source = Source.PROVIDER if has_list or self.ledger is None else Source.LEDGER
        command = Command(Action.LIST)
        if source == Source.PROVIDER:
            position = read_page_position(cursor)
            result = self.perform(account, command, request_id=request_id, context=context)
            paged = limit is not None or cursor is not None
            return cut_page(result, limit, position) if paged else result
        ledger = require_ledger(self.ledger, "source")
        outcome = read_blocked(ledger, account, limit, cursor)
        request_id, context = request_id or new_request_id(), context or PYTHON
        return _make_result(command, target, request_id, started, context, None, outcome, 0)

    def history(
        self,
        filters: Filters,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        request_id: str | None = None,
    ) -> Result:
        """Return a page of the calls in the ledger, the newest first.

        Raises RequestError for an invalid argument, and without a ledger.
        """
        started = time.monotonic()
        check_limit(limit)
        outcome = read_history(require_ledger(self.ledger, "calls"), filters, limit, cursor)
        duration_ms = round((time.monotonic() - started) * 1000)
        return Result(outcome, duration_ms=duration_ms, request_id=request_id or new_request_id())

    def choose_account(
        self, caller: Caller, name: str | None = None, *, native: bool = False
    ) -> str:
        """Return the name of the account that `name` selects; without it, the default account.

        With `native`, an alias is a name too. Raises RequestError: `account_not_found` equally for
        an unknown account and one that the caller may not use, `validation_error` without a
        default.
        """
        if name is None:
            name = self._names.default_for(caller.accounts, caller.default_account)
            if name is None:
                raise invalid_field("account", "is required, since there is no default account")
        if not isinstance(name, str):  # Python callers may pass any type
            raise invalid_field("account", "must be text")
        chosen = self._names.find(name, caller.accounts, native=native)
        if chosen is None:
            raise RequestError(Outcome.failure(Code.ACCOUNT_NOT_FOUND))
        return chosen

    def accounts_of(self, caller: Caller) -> list[Account]:
        """Return the accounts that the caller may use."""
        return [account for name, account in self.accounts.items() if caller.can_use(name)]

    def read_contact(
        self, number: str | None = None, jid: str | None = None, user_id: str | None = None
    ) -> Contact:
        """Return the contact; a national number belongs to the configured default region.

        Raises RequestError where the input is not a valid WhatsApp contact.
        """
        region = self.settings.default_region
        return read_contact(number=number, jid=jid, user_id=user_id, default_region=region)

    def read_numbers(self, numbers: object) -> tuple[Contact, ...]:
        """Return the contacts of a lookup's numbers, as `read_contact` returns one."""
        return read_lookup_numbers(numbers, self.settings.default_region)

    def set_time_limit(self, time_limit: TimeLimit) -> None:
        """End DNS lookups at their deadline by this context manager; set before the first call.

        Threads have none: there, a blocked lookup lasts as long as the system's resolver.
        """
        for account in self.accounts.values():
            account.set_time_limit(time_limit)

    def close(self) -> None:
        """Record what waits, and close all connections. A later call opens new ones."""
        for account in self.accounts.values():
            account.close()
        if self.ledger is not None:
            self.ledger.close()


def _make_result(
    command: Command,
    account: Account,
    request_id: str,
    started: float,
    context: CallContext,
    route: Route | None,
    outcome: Outcome,
    attempts: int,
) -> Result:
    """Return the result of a call that started at `started`, in monotonic seconds."""
    duration_ms = round((time.monotonic() - started) * 1000)
    provider = (account if route is None else route.answered).provider.name
    return Result(
        outcome,
        command,
        account.name,
        provider,
        attempts,
        duration_ms,
        request_id,
        context=context,
        route=None if route is None else route.names,
    )


def describe_call(result: Result) -> dict[str, Any]:
    """Return the fields of a call's log line; the request id is the last."""
    command, verification = result.command, result.outcome.verification
    contact = command.contact if command else None
    contacts = command.contacts if command else ()
    request_id = redact_contacts(result.request_id, contacts)
    reason = result.context and result.context.reason
    return {
        "account": result.account and redact_contact(result.account, contact),
        "tried": redact_contact(",".join(result.route), contact) if result.route else None,
        "provider": result.provider,
        "action": command and command.action.value,
        "contact": contact and contact.masked,
        "numbers": len(contacts) or None,
        "reason": reason and redact_request_id(reason, contact),
        "code": result.code.value if result.code else "ok",
        "upstream": result.outcome.upstream_status,
        "attempts": result.attempts,
        "reads": verification.reads or None,
        "verified": describe_verification(verification) if verification.reads else None,
        "recorded": None if result.recorded is None else str(result.recorded).lower(),
        "replayed": "true" if result.replayed else None,
        "ms": result.duration_ms,
        "request_id": redact_request_id(request_id, contact),
    }


def describe_verification(verification: Verification) -> str:
    """Return what reading back has shown: `true`, `false`, or the reason why neither."""
    if verification.verified is None:
        return verification.reason.value if verification.reason else "unknown"
    return "true" if verification.verified else "false"
