"""The fallback of an account: another provider for the same WhatsApp account."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from adapter.account import Account
from adapter.codes import FOLLOWED_BY_FALLBACK, Action, Applied, Code, Verify
from adapter.containment import contain
from adapter.logs import log_event
from adapter.redaction import redact_contact, redact_contacts, redact_request_id
from adapter.results import Command, Outcome
from adapter.transport.attempt import Attempt
from adapter.transport.forking import ensure_own_process
from adapter.transport.intents import Intent, Wish, begin_jointly
from adapter.transport.resilience import advise

MIN_SHARE: Final = 0.1
"""The part of the deadline that has to be left for the fallback to be called."""

_LONG_ACTIONS: Final = (Action.LIST, Action.LOOKUP, Action.STATE)
"""The actions that have `list_deadline`."""


class Route:
    """The way of one call: to the requested account and, where that certainly did nothing, on.

    `names` are the accounts that were called, in order; `answered` is the one whose response is the
    result. The deadline of the requested account holds over both calls. The fallback of a fallback
    is not followed. A status is about the session of the requested account, and never goes on.
    """

    __slots__ = ("_account", "_fallback", "answered", "names")

    def __init__(self, account: Account, fallback: Account) -> None:
        self._account, self._fallback = account, fallback
        self.answered = account
        self.names: tuple[str, ...] = ()

    def call(
        self,
        command: Command,
        request_id: str,
        begun: list[Attempt] | None = None,
        wish: Wish | None = None,
    ) -> tuple[Outcome, int]:
        """Run the command as `Account.call` does; return the outcome and all attempts.

        Where both fail, the outcome is the failure of the requested account, with two exceptions:
        an unknown outcome of the fallback, and an account that does not support the action at all.
        """
        account, fallback = self._account, self._fallback
        transport = account.settings.transport
        is_long = command.action in _LONG_ACTIONS
        seconds = transport.list_deadline if is_long else transport.deadline
        deadline = time.monotonic() + seconds
        with self._hold_place(command, wish) as intent:
            self.names = (account.name,)
            outcome, attempts = account.call(command, request_id, begun, intent)
            if (
                command.action is Action.STATUS
                or not is_followed(outcome)
                or deadline - time.monotonic() < seconds * MIN_SHARE
                or (intent is not None and intent.is_superseded_anywhere())
            ):
                return outcome, attempts
            self._log(command, outcome, request_id)
            self.names = (account.name, fallback.name)
            self.answered = fallback
            if intent is not None and account.verify is Verify.ALWAYS and command.verify is None:
                command = replace(command, verify=True)  # as the requested account is configured
            later, more = fallback.call(command, request_id, begun, intent, deadline)
            attempts += more
            if _decides(outcome, later):
                return later, attempts
            self.answered = account
            code = later.code.value if later.code is not None else ""
            outcome = replace(outcome, message=f"{outcome.message} The fallback failed: {code}.")
            return outcome if intent is None else advise(outcome, intent), attempts

    @contextmanager
    def _hold_place(self, command: Command, wish: Wish | None) -> Iterator[Intent | None]:
        """Hold the place of a change among the calls of both accounts until the end of both."""
        if not command.action.is_change:
            yield None
            return
        ensure_own_process()
        intent = begin_change(self._account, command, wish)
        try:
            yield intent
        finally:
            intent.end()

    def _log(self, command: Command, outcome: Outcome, request_id: str) -> None:
        """Log why the fallback is called."""
        contact = command.contact
        log_event(
            "fallback",
            level=logging.INFO,
            account=redact_contact(self._account.name, contact),
            fallback=redact_contact(self._fallback.name, contact),
            action=command.action.value,
            contact=contact and contact.masked,
            code=outcome.code and outcome.code.value,
            request_id=redact_request_id(redact_contacts(request_id, command.contacts), contact),
        )


def begin_change(account: Account, command: Command, wish: Wish | None) -> Intent:
    """Register a change of the account, and of its fallback; `Intent.end` must be called."""
    accounts = [account] if account.fallback is None else [account, account.fallback]
    for each in accounts:
        command = each.complete(command)
    return begin_jointly([each.resilience.intents for each in accounts], command, wish)


def offered_actions(account: Account) -> frozenset[Action]:
    """Return the actions that callers of the account may use, by itself or by its fallback."""
    own = contain(account.provider.offered_actions)
    if account.fallback is None:
        return own
    return own | (contain(account.fallback.provider.offered_actions) - {Action.STATUS})


def is_followed(outcome: Outcome) -> bool:
    """Whether the fallback may be called: the account certainly did nothing, and is the cause."""
    return outcome.code in FOLLOWED_BY_FALLBACK and outcome.applied is Applied.NOT_APPLIED


def _decides(outcome: Outcome, later: Outcome) -> bool:
    """Whether the outcome of the fallback is the result, after this one of the account."""
    if later.ok or later.applied is Applied.UNKNOWN:
        return True
    return outcome.code is Code.OPERATION_NOT_SUPPORTED
