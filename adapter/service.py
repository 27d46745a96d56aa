"""Do what a command says for an account, whoever asks: a view, a dialect, a shell, a task."""

from __future__ import annotations

import logging
import secrets
import time
from contextlib import suppress
from typing import Any, Final, Protocol

from adapter.account import Account
from adapter.auth import Caller
from adapter.codes import Code
from adapter.contacts.contact import Contact
from adapter.contacts.numbering import load_numbering_plans
from adapter.errors import RequestError
from adapter.logs import log_event
from adapter.redaction import redact_contact, redact_request_id
from adapter.request_fields import invalid_field, read_contact
from adapter.results import Command, Outcome, Result
from adapter.settings.account_names import AccountNames
from adapter.settings.model import Settings
from adapter.transport.attempt import Attempt

RESULT_ATTRIBUTE: Final = "contact_adapter_result"
"""The attribute of an exception out of a call that holds the call's Result (`internal_error`)."""


def new_request_id() -> str:
    """Return an id for a call that came without one. No part of it is masked like a number."""
    while True:
        request_id = secrets.token_hex(16)
        if redact_request_id(request_id, None) == request_id:
            return request_id


def result_of(error: BaseException) -> Result | None:
    """Return the facts of the call out of which an exception came; None for any other."""
    result = getattr(error, RESULT_ATTRIBUTE, None)
    return result if isinstance(result, Result) else None


class Observer(Protocol):
    """Somebody who is told of every call of a service, such as its metrics."""

    def call_started(self, account: Account) -> None:
        """Take note that a call has begun."""

    def call_ended(
        self, account: Account, command: Command, result: Result | None, seconds: float
    ) -> None:
        """Take note that a call is over; `result` is None where it raised."""


class Service:
    """The accounts of one configuration. It knows no web framework and is safe in threads."""

    def __init__(self, settings: Settings) -> None:
        load_numbering_plans()
        self.settings = settings
        self.observer: Observer | None = None
        self.accounts = {name: Account(each) for name, each in settings.accounts.items()}
        self._names = AccountNames.of(settings.accounts, settings.default_account)

    def perform(self, account: str, command: Command, *, request_id: str | None = None) -> Result:
        """Carry out the command for the account and return what became of it, with the facts.

        Raises RequestError (`account_not_found`) for a name that is not configured, and what a
        plugin raises, as it is, with the facts of the call in `contact_adapter_result`.
        """
        started = time.monotonic()
        request_id = request_id or new_request_id()
        target = self.accounts.get(account)
        if target is None:
            raise RequestError(Outcome.failure(Code.ACCOUNT_NOT_FOUND))
        observer, result = self.observer, None
        if observer is not None:
            observer.call_started(target)
        made: list[Attempt] = []

        def tell(outcome: Outcome, attempts: int) -> Result:
            took = round((time.monotonic() - started) * 1000)
            provider = target.provider.name
            return Result(outcome, command, account, provider, attempts, took, request_id)

        try:
            verdict = target.call(command, request_id, made)
            result = tell(verdict.outcome, verdict.attempts)
            return result
        except BaseException as error:
            result = tell(Outcome.failure(Code.INTERNAL_ERROR), len(made))
            with suppress(Exception):  # a class may refuse attributes
                setattr(error, RESULT_ATTRIBUTE, result)
            log_event("call", level=logging.ERROR, **describe_call(result))
            raise
        finally:
            if observer is not None:
                observer.call_ended(target, command, result, time.monotonic() - started)

    def choose_account(
        self, caller: Caller, name: str | None = None, *, native: bool = False
    ) -> str:
        """Return the account that the caller means by `name`, or by naming none.

        With `native`, an alias is a name too. Raises RequestError (`account_not_found`) alike for
        an account that does not exist and for one that is not the caller's.
        """
        if name is None:
            name = self._names.default_for(caller.accounts, caller.default_account)
            if name is None:
                raise invalid_field("account", "is required, since there is no default account")
        if not isinstance(name, str):  # a caller in Python may pass anything
            raise invalid_field("account", "must be text")
        chosen = self._names.find(name, caller.accounts, native=native)
        if chosen is None:
            raise RequestError(Outcome.failure(Code.ACCOUNT_NOT_FOUND))
        return chosen

    def accounts_of(self, caller: Caller) -> list[Account]:
        """Return the accounts that the caller may use."""
        return [each for name, each in self.accounts.items() if caller.can_use(name)]

    def read_contact(
        self, number: str | None = None, jid: str | None = None, user_id: str | None = None
    ) -> Contact:
        """Return the contact, by the rules of the configuration.

        Raises RequestError where the texts name nobody who can be blocked.
        """
        region = self.settings.default_region
        return read_contact(number=number, jid=jid, user_id=user_id, default_region=region)

    def close(self) -> None:
        """Close all connections. A later call opens new ones."""
        for account in self.accounts.values():
            account.close()


def describe_call(result: Result) -> dict[str, Any]:
    """Return what a log line says of a call, whoever made it; the id of the request is the last."""
    command = result.command
    contact = command.contact if command else None
    return {
        "account": result.account and redact_contact(result.account, contact),
        "provider": result.provider,
        "action": command and command.action.value,
        "contact": contact and contact.masked,
        "code": result.code.value if result.code else "ok",
        "upstream": result.outcome.upstream_status,
        "attempts": result.attempts,
        "ms": result.duration_ms,
        "request_id": redact_request_id(result.request_id, contact),
    }
