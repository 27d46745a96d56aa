"""One configured account: builds requests, sends them, and parses the responses."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Final, TypeAlias

from adapter.codes import Action, Applied, Code, Verify
from adapter.comparison import Identities
from adapter.contacts import Contact
from adapter.containment import contain, contain_after_sending
from adapter.errors import RequestError
from adapter.http import NO_HEADERS, HttpRequest, HttpResponse
from adapter.logs import log, log_event, log_exception
from adapter.provider import LocalProvider, Provider
from adapter.reads import MAX_PARALLEL, Run, fetch_state, fetch_status, look_up
from adapter.redaction import redact_contact, redact_contacts, redact_request_id
from adapter.results import Command, Outcome
from adapter.settings.model import MAX_BODY, AccountSettings, TransportSettings
from adapter.strict_json import Json, write_json
from adapter.transport.attempt import Attempt
from adapter.transport.client import Transport
from adapter.transport.forking import ensure_own_process, reset_in_child
from adapter.transport.intents import Intent, Wish, shared_intents
from adapter.transport.resilience import Limits, Resilience, Settle
from adapter.transport.sockets import TimeLimit
from adapter.verification import READ_SHARE, verify

_NO_LID: Final = "The contact's LID is not known; look the number up, then try again."

_NO_SLOT: Final = (
    "Too many long lists of this account are being read (transport.max_long_responses)."
)

Send: TypeAlias = Callable[
    [HttpRequest, str, Attempt, Callable[[HttpResponse], bool]], HttpResponse | Outcome
]
"""`Transport.send`: request, request id, attempt, and whether to keep the connection."""


class Account:
    """A configured account. Safe in threads and after a fork.

    `fallback`: the account of another provider for the same WhatsApp account, set by the service.
    """

    fallback: Account | None = None

    def __init__(self, settings: AccountSettings) -> None:
        self.name = settings.name
        self.aliases = settings.aliases
        self.provider: Provider = contain(settings.provider, settings.options)
        self.settings = settings
        self._can_read_back = contain(self.provider.can_read_back)
        self.verify = settings.verify or (Verify.UNKNOWN if self._can_read_back else Verify.NEVER)
        self.identities = Identities()
        self._limits = _limits_by_action(self.provider, settings.transport)
        self._resilience: Resilience | None = self._new_resilience()
        self._transport: Transport | None = None
        self.send: Send
        if isinstance(self.provider, LocalProvider):
            self.send = partial(_handle_locally, self.provider)
        else:
            headers = settings.headers or NO_HEADERS
            self._transport = Transport(settings.base_url or "", settings.transport, headers)
            self.send = self._transport.send
        reset_in_child(self)

    @property
    def resilience(self) -> Resilience:
        """The resilience policy of this process."""
        resilience = self._resilience
        if resilience is None:
            resilience = self._resilience = self._new_resilience()
        return resilience

    def reset_after_fork(self) -> None:
        """Discard the parent's resilience policy and identities.

        The parent's calls in flight never end in the child.
        """
        self._resilience = None
        self.identities = Identities()  # the parent's may be locked

    def _new_resilience(self) -> Resilience:
        """Return a policy whose intents are shared with all accounts of the same upstream."""
        settings = self.settings
        if isinstance(self.provider, LocalProvider):  # each has a block list of its own
            return Resilience(settings.transport)
        base_url, headers = settings.base_url or "", settings.headers or NO_HEADERS
        intents = shared_intents(self.provider.name, base_url, settings.options, headers)
        return Resilience(settings.transport, intents=intents)

    def call(
        self,
        command: Command,
        request_id: str,
        begun: list[Attempt] | None = None,
        wish: Wish | Intent | None = None,
        until: float = math.inf,
    ) -> tuple[Outcome, int]:
        """Run the command; return the outcome and the number of attempts.

        Raises what the provider raises; the attempts until then are appended to `begun`. The
        provider receives the request id without the digits of the contact. `wish` is the place of a
        change in the order of all processes, or its intent. `until`, in monotonic seconds, is an
        earlier end than the account's own deadline.
        """
        ensure_own_process()
        provider, limits = self.provider, self.settings.transport
        run = partial(self._run, request_id, begun, wish=wish)
        if command.action is Action.STATE and self._can_read_back:
            deadline = min(time.monotonic() + limits.list_deadline, until)
            return fetch_state(run, provider, self.identities, command.target, deadline)
        if command.action not in contain(provider.actions):
            return Outcome.failure(Code.OPERATION_NOT_SUPPORTED), 0
        match command.action:
            case Action.STATUS:
                return fetch_status(run, command)
            case Action.LOOKUP:
                parallel = max(1, min(MAX_PARALLEL, limits.max_in_flight // 4))
                seconds = _seconds(limits.list_deadline, until)
                return look_up(run, command, provider.max_lookup, seconds, parallel)
            case Action.LIST:
                return run(command, _seconds(limits.list_deadline, until))
        return self._change(command, request_id, run, _seconds(limits.deadline, until))

    def _change(
        self, command: Command, request_id: str, run: Run, seconds: float
    ) -> tuple[Outcome, int]:
        """Run a block or unblock, and read it back as the call or the account asks for."""
        mode = self.verify
        if command.verify is not None:
            mode = Verify.ALWAYS if command.verify else Verify.NEVER
        if mode is Verify.NEVER or not self._can_read_back:
            return run(command, seconds)
        deadline = time.monotonic() + seconds

        def settle(outcome: Outcome, is_superseded: Callable[[], bool]) -> Outcome:
            return verify(
                command,
                outcome,
                partial(self._read_back, command.target, request_id),
                deadline,
                always=mode is Verify.ALWAYS,
                synchronous=self.provider.synchronous,
                is_superseded=is_superseded,
            )

        return run(command, seconds * (1 - READ_SHARE), settle)

    def _read_back(self, contact: Contact, request_id: str, deadline: float) -> tuple[Outcome, int]:
        """Read the state of a contact after its change, and return it with the attempts.

        An exception of a plugin is logged: it says nothing about the change, whose outcome stays.
        """
        begun: list[Attempt] = []
        # The request for a list names no contact, so that its id must not either.
        run = partial(self._run, redact_contact(request_id, contact), begun)
        try:
            return fetch_state(run, self.provider, self.identities, contact, deadline)
        except Exception as error:  # noqa: BLE001 - a bug of a plugin
            facts = {"account": self.name, "provider": self.provider.name}
            log_exception("read_back_failed", error, contact=contact, **facts)
            return Outcome.failure(Code.INTERNAL_ERROR), len(begun)

    def _run(
        self,
        request_id: str,
        begun: list[Attempt] | None,
        command: Command,
        timeout: float | None = None,
        settle: Settle | None = None,
        wish: Wish | Intent | None = None,
    ) -> tuple[Outcome, int]:
        """Run the command by its own route, in at most `timeout` seconds.

        A contact that is completed from memory takes part in the order of intents; a provider that
        prefers LIDs gets it, too. A response is compared with what its request named.
        """
        contact = command.contact
        completed = self.complete(command)
        asked = completed if self.provider.prefers_lid else command
        try:
            request = self.build_request(command, asked)
        except RequestError as error:
            return error.outcome, 0
        sent_id = redact_contacts(redact_contact(request_id, contact), command.contacts)
        call = _Call(self, asked, request, sent_id, begun)
        limits = self._limits[command.action]
        if timeout is not None and timeout < limits.timeout:
            limits = replace(limits, timeout=timeout)
        if self._transport is None:
            outcome, attempts = self._run_locally(call, completed, settle, wish), 1
        else:
            outcome, attempts = self.resilience.call(
                call.run_attempt, limits, completed, settle, wish
            )
        return self.advise_lookup(command, outcome), attempts

    def complete(self, command: Command) -> Command:
        """Return the command with all ids of its contact that earlier responses have shown."""
        contact = command.contact
        who = contact and self.identities.complete(contact)
        return command if who is contact else replace(command, contact=who)

    def build_request(self, command: Command, asked: Command) -> HttpRequest:
        """Return the request for `asked`, which is the command or its completed form.

        Raises RequestError where the provider cannot name the contact, and what a plugin raises.
        """
        contact = command.contact
        if contact is not None and contact.jid is None:
            contain(self.provider.name_contact, contact)  # a plugin may not support user ids
        return contain(self.provider.request_for, asked)

    def advise_lookup(self, command: Command, outcome: Outcome) -> Outcome:
        """Return the outcome; an unknown one with the advice to look up a LID that is needed."""
        if (
            self.provider.prefers_lid
            and command.action.is_change
            and outcome.code is not None
            and outcome.code.applied is Applied.UNKNOWN
            and self.identities.complete(command.target).lid is None
        ):
            return replace(outcome, message=f"{outcome.message} {_NO_LID}")
        return outcome

    def _run_locally(
        self, call: _Call, command: Command, settle: Settle | None, wish: Wish | Intent | None
    ) -> Outcome:
        """Make the one attempt of a local provider, and settle a change as `Resilience` does."""
        if not command.action.is_change:
            return call.run_attempt(Attempt(math.inf))
        intent = wish if isinstance(wish, Intent) else self.resilience.intents.begin(command, wish)
        try:
            outcome = call.run_attempt(Attempt(math.inf))
            return outcome if settle is None else settle(outcome, intent.is_superseded_anywhere)
        finally:
            if intent is not wish:
                intent.end()

    def set_time_limit(self, time_limit: TimeLimit) -> None:
        """End DNS lookups at their deadline by this context manager; set before the first call."""
        if self._transport is not None:
            self._transport.time_limit = time_limit

    def close(self) -> None:
        """Close the account's connections."""
        if self._transport is not None:
            self._transport.close()


class _Call:
    """One command on its way to the provider: the request, and the parsing of each response."""

    __slots__ = ("_account", "_begun", "_command", "_last", "_request", "_request_id")

    def __init__(
        self,
        account: Account,
        command: Command,
        request: HttpRequest,
        request_id: str,
        begun: list[Attempt] | None,
    ) -> None:
        self._account = account
        self._command = command
        self._request = request
        self._request_id = request_id
        self._begun = begun
        self._last: tuple[HttpResponse, Outcome] | None = None

    def run_attempt(self, attempt: Attempt) -> Outcome:
        """Make one attempt, and log it."""
        if self._begun is not None:
            self._begun.append(attempt)
        started = time.monotonic()
        outcome = learn(self._account.identities, self._command, self._exchange(attempt))
        self._log_attempt(outcome, time.monotonic() - started)
        return outcome

    def _exchange(self, attempt: Attempt) -> Outcome:
        """Send the request and parse its response; for a list, all its pages."""
        request, is_list = self._request, self._command.action is Action.LIST
        settings = self._account.settings.transport
        deadline = attempt.deadline
        contacts: list[Contact] = []
        others = 0
        requested: set[Json] = set()
        status: int | None = None
        for _ in range(settings.list_max_pages):
            if is_list:  # each page has the timeout of any other response
                attempt.deadline = min(deadline, time.monotonic() + settings.deadline)
            response = self._account.send(
                request, self._request_id, attempt, self._is_connection_reusable
            )
            if isinstance(response, Outcome):
                failure = response
                # A list that takes long does not show an unhealthy provider.
                attempt.health_unknown = attempt.health_unknown or bool(requested)
                if attempt.no_long_response_slot and is_list:
                    # For a list only: a change that got no slot may have taken effect, so its
                    # outcome stays `unknown`.
                    return Outcome.failure(Code.OVERLOADED, retry_after=1, message=_NO_SLOT)
                if requested and attempt.deadline >= deadline and _is_timeout(failure, deadline):
                    break  # each page came in time, and all together exceed the list's deadline
                return failure
            outcome = self._parse(response)
            if outcome.contacts is None:
                return outcome
            # The first page proves health; do not keep the probe waiting for the rest.
            attempt.report_healthy()
            contacts += outcome.contacts
            others += outcome.others
            status = response.status
            next_request = self._build_next_page(response)
            if next_request is None:
                unique = tuple(dict.fromkeys(contacts))
                return replace(outcome, contacts=unique, others=others)
            requested.add(_page_key(request))
            if _page_key(next_request) in requested:  # the pages form a loop
                return Outcome.failure(Code.PROVIDER_BAD_RESPONSE, upstream_status=status)
            request = next_request
        return Outcome.failure(Code.PROVIDER_RESPONSE_TOO_LARGE, upstream_status=status)

    def _is_connection_reusable(self, response: HttpResponse) -> bool:
        """Whether the response's connection may serve another call.

        A response that makes no sense may belong to another request.
        """
        return self._parse(response).code is not Code.PROVIDER_BAD_RESPONSE

    def _parse(self, response: HttpResponse) -> Outcome:
        """Return the outcome that the response proves; each response is parsed once."""
        if self._last is None or self._last[0] is not response:
            parse = self._account.provider.parse_response
            self._last = (response, contain_after_sending(parse, self._command, response))
        return self._last[1]

    def _build_next_page(self, response: HttpResponse) -> HttpRequest | None:
        build = self._account.provider.build_next_page
        return contain_after_sending(build, self._command, response)

    def _log_attempt(self, outcome: Outcome, seconds: float) -> None:
        level = logging.DEBUG if outcome.ok else logging.INFO  # the call's line repeats a success
        if not log.isEnabledFor(level):
            return
        contact = self._command.contact
        log_event(
            "attempt",
            level=level,
            account=self._account.name,
            provider=self._account.provider.name,
            action=self._command.action.value,
            contact=contact.masked if contact else None,
            upstream=outcome.upstream_status,
            code=outcome.code.value if outcome.code else "ok",
            ms=round(seconds * 1000),
            request_id=redact_request_id(self._request_id, contact),
        )


def learn(identities: Identities, command: Command, outcome: Outcome) -> Outcome:
    """Remember who is who in a response; return its outcome."""
    if outcome.ok and outcome.named is not None:
        identities.learn(command.target, outcome.named)
    elif outcome.contacts:
        identities.learn_list(outcome.contacts)
    elif isinstance(outcome.reading, tuple):
        identities.learn_lookups(outcome.reading)
    return outcome


def _handle_locally(provider: LocalProvider, request: HttpRequest, *_: object) -> HttpResponse:
    return contain(provider.handle_request, request)


def _seconds(timeout: float, until: float) -> float:
    """Return the timeout, or the shorter time until a moment in monotonic seconds."""
    return timeout if until == math.inf else max(min(timeout, until - time.monotonic()), 0.001)


def _limits_by_action(provider: Provider, settings: TransportSettings) -> Mapping[Action, Limits]:
    limits: dict[Action, Limits] = {}
    for route in provider.all_routes():
        if route.action is Action.LIST:
            limits[route.action] = Limits(settings.list_deadline, settings.list_max_bytes)
        else:
            max_bytes = settings.list_max_bytes if route.returns_list else MAX_BODY
            limits[route.action] = Limits(settings.deadline, max_bytes)
    return limits


def _is_timeout(failure: Outcome, deadline: float) -> bool:
    """Whether a request without a response failed by the deadline, in monotonic seconds."""
    if failure.upstream_status is not None:
        return False
    return failure.code is Code.PROVIDER_TIMEOUT or time.monotonic() >= deadline


def _page_key(request: HttpRequest) -> Json:
    """Return a key that identifies the request of a page."""
    body = None if request.json is None else write_json(request.json)
    return request.method, request.path, tuple(sorted(request.query.items())), body
