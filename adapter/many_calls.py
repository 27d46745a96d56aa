"""Changes of several contacts of one account in one request, each with its own outcome."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from adapter.account import Account, learn
from adapter.codes import Code
from adapter.containment import contain, contain_after_sending
from adapter.errors import RequestError
from adapter.fallback import begin_change
from adapter.http import HttpRequest, HttpResponse
from adapter.logs import log_event, log_exception
from adapter.provider import LocalProvider
from adapter.response_rules import read_part, refused_together, split_response
from adapter.results import Command, Outcome
from adapter.transport.attempt import Attempt
from adapter.transport.forking import ensure_own_process
from adapter.transport.intents import Intent, IntentGroup, Wish, superseded_outcome
from adapter.transport.resilience import Limits, advise


def call_many(
    account: Account,
    commands: Sequence[Command],
    request_id: str,
    wishes: Sequence[Wish | None],
) -> list[tuple[Outcome, int]]:
    """Run changes of one action, at most `max_contacts`, of different contacts, in one request.

    Returns the outcome of each, and the number of its attempts: there is no retry, nothing is read
    back, and no fallback is called. `wishes` are the places of the changes in the order of all
    processes. A contact that the provider cannot name, or whose opposite is requested by a newer
    call, is left out of the request. An exception of a plugin is logged, and is an `internal_error`
    of those contacts which it concerns; without an attempt, nothing was sent. `request_id` has no
    digits of the contacts.
    """
    ensure_own_process()
    if commands[0].action not in contain(account.provider.actions):
        return [(Outcome.failure(Code.OPERATION_NOT_SUPPORTED), 0)] * len(commands)
    with ExitStack() as places:
        changes = []
        for command, wish in zip(commands, wishes, strict=True):
            intent = begin_change(account, command, wish)
            places.callback(intent.end)
            completed = account.complete(command)
            asked = completed if account.provider.prefers_lid else command
            changes.append(_Change(command, asked, intent))
        sent = _ManyCall(account, changes, request_id).run()
        return [
            (account.advise_lookup(each.command, _advised(each)), sent if each.is_sent else 0)
            for each in changes
        ]


@dataclass(slots=True)
class _Change:
    """One change: its command, the command as its request names the contact, and its place."""

    command: Command
    asked: Command
    intent: Intent
    is_sent: bool = False
    outcome: Outcome | None = None


def _advised(change: _Change) -> Outcome:
    outcome = change.outcome or Outcome.failure(Code.INTERNAL_ERROR)
    # Of calls in other processes the ledger knows, which is not asked for each contact here.
    return advise(outcome, change.intent) if change.intent.is_superseded() else outcome


class _ManyCall:
    """The request for the changes that are left, and the parsing of its response."""

    def __init__(self, account: Account, changes: list[_Change], request_id: str) -> None:
        self._account, self._provider = account, account.provider
        self._request_id = request_id
        self._read: HttpResponse | None = None
        self._left = [each for each in changes if self._can_be_named(each)]
        self._group = IntentGroup([])

    def run(self) -> int:
        """Set the outcome of each change; return the number of attempts."""
        if not self._left:
            return 0
        account, attempts = self._account, 1
        transport = account.settings.transport
        # A thousand results may be longer than the response to a single change.
        limits = Limits(transport.deadline, transport.list_max_bytes)
        try:
            if isinstance(self._provider, LocalProvider):
                self._attempt(Attempt(math.inf))
            else:
                outcome, attempts = account.resilience.call_once(self._attempt, limits, self._group)
                for each in self._left:
                    each.outcome = each.outcome or outcome
        except RequestError as error:  # the contacts cannot be sent together
            several = len(self._left) > 1
            outcome = refused_together(error.outcome) if several else error.outcome
            for each in self._left:
                each.outcome = outcome
        except Exception as error:  # noqa: BLE001 - a bug of a plugin
            self._log_exception(error)
            for each in self._left:
                each.outcome = None
        return attempts

    def _can_be_named(self, change: _Change) -> bool:
        """Whether the contact can be sent; otherwise the change has an outcome."""
        try:
            self._account.build_request(change.command, change.asked)
        except RequestError as error:
            change.outcome = error.outcome
        except Exception as error:  # noqa: BLE001 - a bug of a plugin
            self._log_exception(error, change)
            change.outcome = Outcome.failure(Code.INTERNAL_ERROR)
        return change.outcome is None

    def _attempt(self, attempt: Attempt) -> Outcome:
        """Send the request once, and log it; return an outcome that shows the provider's health.

        Where a newer call is found right before the request is sent, its contact is left out, and
        the request is built again.
        """
        started = time.monotonic()
        while True:
            self._leave_out_superseded()
            if not self._left:
                attempt.superseded = attempt.health_unknown = True
                return superseded_outcome()
            attempt.superseded = False
            response = self._send(attempt)
            if not attempt.superseded:
                break
            attempt.health_unknown = False
            for each in self._left:
                each.is_sent = False
        if isinstance(response, Outcome):
            for each in self._left:
                each.outcome = response
        else:
            self._parse(response)
        outcomes = [each.outcome or Outcome.failure(Code.INTERNAL_ERROR) for each in self._left]
        self._log_attempt(outcomes, time.monotonic() - started)
        return outcomes[0]

    def _leave_out_superseded(self) -> None:
        left = []
        for each in self._left:
            if each.intent.is_superseded():
                each.outcome = superseded_outcome()
            else:
                left.append(each)
        self._left = left
        self._group.left = [each.intent for each in left]

    def _send(self, attempt: Attempt) -> HttpResponse | Outcome:
        request = self._build()
        for each in self._left:
            each.is_sent = True
        return self._account.send(request, self._request_id, attempt, self._is_reusable)

    def _build(self) -> HttpRequest:
        if len(self._left) == 1:
            return self._account.build_request(self._left[0].command, self._left[0].asked)
        asked = [each.asked for each in self._left]
        return contain(self._provider.build_batch_request, asked)

    def _is_reusable(self, response: HttpResponse) -> bool:
        """Whether the connection may serve another call: the response is about these contacts."""
        self._parse(response)
        codes = {each.outcome.code for each in self._left if each.outcome is not None}
        return codes != {Code.PROVIDER_BAD_RESPONSE}

    def _parse(self, response: HttpResponse) -> None:
        """Set the outcome of each change that was sent; each response is parsed once."""
        if self._read is response:
            return
        self._read = response
        provider = self._provider
        if len(self._left) == 1:
            only = self._left[0]
            self._set(only, provider.parse_response, only.asked, response)
            return
        asked = [each.asked for each in self._left]
        parts = contain_after_sending(split_response, provider, asked, response)
        for each, part in zip(self._left, parts, strict=True):
            self._set(each, read_part, provider, each.asked, part, response)

    def _set(self, change: _Change, parse: Callable[..., Outcome], *args: object) -> None:
        try:
            outcome = contain_after_sending(parse, *args)
        except Exception as error:  # noqa: BLE001 - a bug of a plugin ends one change
            self._log_exception(error, change)
            outcome = Outcome.failure(Code.INTERNAL_ERROR)
        change.outcome = learn(self._account.identities, change.asked, outcome)

    def _log_exception(self, error: BaseException, change: _Change | None = None) -> None:
        facts = {"account": self._account.name, "provider": self._provider.name}
        contact = None if change is None else change.command.target
        log_exception("request_for_many_failed", error, contact=contact, **facts)

    def _log_attempt(self, outcomes: Sequence[Outcome], seconds: float) -> None:
        failures = {each.code for each in outcomes if each.code is not None}
        log_event(
            "attempt",
            level=logging.INFO if failures else logging.DEBUG,
            account=self._account.name,
            provider=self._provider.name,
            action=self._left[0].command.action.value,
            contacts=len(outcomes),
            failed=sum(not each.ok for each in outcomes) or None,
            upstream=outcomes[0].upstream_status,
            code=",".join(sorted(code.value for code in failures)) or "ok",
            ms=round(seconds * 1000),
            request_id=self._request_id,
        )
