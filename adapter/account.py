"""One configured account, ready to be called."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, ParamSpec, TypeVar

from adapter.codes import Action, Code
from adapter.contacts.contact import Contact
from adapter.containment import contain
from adapter.errors import PluginError, RequestError
from adapter.http import NO_HEADERS, HttpRequest, HttpResponse
from adapter.logs import write_line
from adapter.provider import LocalProvider, Provider
from adapter.redaction import hide_contact, show_request_id
from adapter.results import Command, Outcome
from adapter.settings.model import MAX_BODY, AccountSettings, TransportSettings
from adapter.strict_json import Json, write_json
from adapter.transport.attempt import Attempt
from adapter.transport.client import Transport
from adapter.transport.intents import share_intents
from adapter.transport.resilience import Limits, Resilience, Verdict

_CROWDED: Final = "Too many long lists of this account are being read (max_long_responses)."

ParametersT = ParamSpec("ParametersT")
ReturnedT = TypeVar("ReturnedT")


class Account:
    """A configured account, ready to be called."""

    def __init__(self, settings: AccountSettings) -> None:
        self.name = settings.name
        self.aliases = settings.aliases
        self.provider: Provider = contain(settings.provider, settings.options)
        self._settings = settings
        self._bounds = (os.getpid(), self._make_bounds())
        self._limits = _limits(self.provider, settings.transport)
        self._transport: Transport | None = None
        self._exchange: Callable[
            [HttpRequest, str, Attempt, Callable[[HttpResponse], bool]], HttpResponse | Outcome
        ]
        if isinstance(self.provider, LocalProvider):
            local = self.provider

            def answer(request: HttpRequest, *_rest: object) -> HttpResponse:
                return contain(local.handle_request, request)

            self._exchange = answer
        else:
            own = settings.headers or NO_HEADERS
            self._transport = Transport(settings.base_url or "", settings.transport, own)
            self._exchange = self._transport.send

    @property
    def resilience(self) -> Resilience:
        """The bounds of this process's calls.

        After a fork they are new: nothing that the parent has in flight will ever end here.
        """
        process = os.getpid()
        if self._bounds[0] != process:
            self._bounds = (process, self._make_bounds())
        return self._bounds[1]

    def _make_bounds(self) -> Resilience:
        """Return new bounds, which share their wishes with others that call the same account."""
        if isinstance(self.provider, LocalProvider):  # two of them are two lists
            return Resilience(self._settings.transport)
        base_url, headers = self._settings.base_url or "", self._settings.headers or NO_HEADERS
        options = self._settings.options
        intents = share_intents(self.provider.name, base_url, options, headers)
        return Resilience(self._settings.transport, intents=intents)

    def call(self, command: Command, request_id: str, made: list[Attempt] | None = None) -> Verdict:
        """Return what became of the command, and how many attempts were made for it.

        Raises what the provider raises; its attempts are then in `made`. The provider is told the
        request id without the digits of the contact.
        """
        if command.action not in self.provider.actions():
            return Verdict(Outcome.failure(Code.OPERATION_NOT_SUPPORTED), 0)
        contact = command.contact
        try:
            if contact is not None and contact.jid is None:
                self.provider.name_contact(contact)  # a plugin may know of no user ids
            request = contain(self.provider.build_request, command)
        except RequestError as error:
            return Verdict(error.outcome, 0)
        shown_id = hide_contact(request_id, command.contact)

        def attempt(one: Attempt) -> Outcome:
            if made is not None:
                made.append(one)
            started = time.monotonic()
            outcome = self._ask(command, request, shown_id, one)
            self._log_attempt(command, outcome, time.monotonic() - started, shown_id)
            return outcome

        if self._transport is None:
            return Verdict(attempt(Attempt(math.inf)), 1)
        return self.resilience.call(attempt, self._limits[command.action], command)

    def _ask(
        self, command: Command, request: HttpRequest, request_id: str, attempt: Attempt
    ) -> Outcome:
        """Return what the provider answers; for a list, what all its pages say together."""
        reading = _Reading(self.provider, command)
        found: list[Contact] = []
        others = 0
        asked: set[Json] = set()
        status: int | None = None
        ends, transport = attempt.ends, self._settings.transport
        for _ in range(transport.list_max_pages):
            if command.action is Action.LIST:  # each page is waited for as long as any response
                attempt.ends = min(ends, time.monotonic() + transport.deadline)
            answer = self._exchange(request, request_id, attempt, reading)
            if isinstance(answer, Outcome):
                # A list that takes long is no sign that the provider is not there.
                attempt.inconclusive = attempt.inconclusive or bool(asked)
                if attempt.crowded and command.action is Action.LIST:  # a change may have been made
                    return Outcome.failure(Code.OVERLOADED, retry_after=1, detail=_CROWDED)
                if asked and attempt.ends >= ends and _is_late(answer, ends):
                    break  # all pages came in time, and together they take too long
                return answer
            outcome = reading.outcome_of(answer)
            if outcome.contacts is None:
                return outcome
            attempt.show_health()  # the rest of a list may take long, and shows nothing new
            found += outcome.contacts
            others += outcome.others
            status = answer.status
            following = reading.next_after(answer)
            if following is None:
                contacts = tuple(dict.fromkeys(found))
                return replace(outcome, contacts=contacts, others=others)
            asked.add(_identify(request))
            if _identify(following) in asked:  # it would go round for ever
                return Outcome.failure(Code.PROVIDER_BAD_RESPONSE, upstream_status=status)
            request = following
        return Outcome.failure(Code.PROVIDER_RESPONSE_TOO_LARGE, upstream_status=status)

    def _log_attempt(
        self, command: Command, outcome: Outcome, seconds: float, request_id: str
    ) -> None:
        write_line(
            "attempt",
            level=logging.DEBUG if outcome.ok else logging.INFO,  # the line of the call says it too
            account=self.name,
            provider=self.provider.name,
            action=command.action.value,
            contact=command.contact.masked if command.contact else None,
            upstream=outcome.upstream_status,
            code=outcome.code.value if outcome.code else "ok",
            ms=round(seconds * 1000),
            request_id=show_request_id(request_id, command.contact),
        )

    def close(self) -> None:
        """Close the account's connections."""
        if self._transport is not None:
            self._transport.close()


class _Reading:
    """Reads the responses to one command, each of them once, as soon as it has come."""

    __slots__ = ("_command", "_last", "_provider")

    def __init__(self, provider: Provider, command: Command) -> None:
        self._provider = provider
        self._command = command
        self._last: tuple[HttpResponse, Outcome] | None = None

    def __call__(self, response: HttpResponse) -> bool:
        """Return whether its connection may serve another call.

        A response that makes no sense may be the answer to another request.
        """
        return self.outcome_of(response).code is not Code.PROVIDER_BAD_RESPONSE

    def outcome_of(self, response: HttpResponse) -> Outcome:
        """Return what the response proves."""
        if self._last is None or self._last[0] is not response:
            read = self._provider.parse_response
            self._last = (response, _contain_late(read, self._command, response))
        return self._last[1]

    def next_after(self, response: HttpResponse) -> HttpRequest | None:
        """Return the request for the next page."""
        return _contain_late(self._provider.build_next_page, self._command, response)


def _contain_late(
    call: Callable[ParametersT, ReturnedT],
    *args: ParametersT.args,
    **options: ParametersT.kwargs,
) -> ReturnedT:
    """Call a plugin after a request was sent, when it cannot refuse to send it any more."""
    try:
        return contain(call, *args, **options)
    except RequestError as error:
        raise PluginError("the plugin refused a request after it was sent") from error


def _limits(provider: Provider, settings: TransportSettings) -> Mapping[Action, Limits]:
    """Return what a call may take, by action."""
    found: dict[Action, Limits] = {}
    for route in provider.all_routes():
        if route.action is Action.LIST:
            found[route.action] = Limits(settings.list_deadline, settings.list_max_bytes)
        else:
            most = settings.list_max_bytes if route.returns_list else MAX_BODY
            found[route.action] = Limits(settings.deadline, most)
    return found


def _is_late(failure: Outcome, ends: float) -> bool:
    """Whether a request without a response failed for want of time."""
    if failure.upstream_status is not None:
        return False
    return failure.code is Code.PROVIDER_TIMEOUT or time.monotonic() >= ends


def _identify(request: HttpRequest) -> Json:
    """Return what tells a page's request from that of another page."""
    body = None if request.json is None else write_json(request.json)
    return request.method, request.path, tuple(sorted(request.query.items())), body
