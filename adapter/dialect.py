"""The base class of dialects: a provider's wire format facing inwards."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from types import MappingProxyType
from typing import ClassVar, Final

from adapter.codes import Action, Code
from adapter.error_rules import ErrorRule
from adapter.errors import RequestError
from adapter.http import Headers, HttpRequest, HttpResponse
from adapter.privacy import mask_digit_runs
from adapter.provider import Provider
from adapter.readings import Lookup, Session, SessionState
from adapter.results import Command, Outcome
from adapter.route import Route

_MOST_MESSAGE: Final = 500

FALLBACK_CODES: Final[Mapping[Code, Code]] = {
    Code.BAD_REQUEST: Code.TARGET_REJECTED,
    Code.INVALID_JSON: Code.TARGET_REJECTED,
    Code.VALIDATION_ERROR: Code.TARGET_REJECTED,
    Code.INVALID_TARGET: Code.TARGET_REJECTED,
    Code.UNAUTHENTICATED: Code.PROVIDER_AUTH_FAILED,
    Code.PERMISSION_DENIED: Code.PROVIDER_PERMISSION_DENIED,
    Code.ACCOUNT_NOT_FOUND: Code.SESSION_NOT_FOUND,
    Code.NOT_FOUND: Code.SESSION_NOT_FOUND,
    Code.METHOD_NOT_ALLOWED: Code.SESSION_NOT_FOUND,
    Code.PAYLOAD_TOO_LARGE: Code.TARGET_REJECTED,
    Code.UNSUPPORTED_MEDIA_TYPE: Code.TARGET_REJECTED,
    Code.PROVIDER_REDIRECTED: Code.PROVIDER_ERROR,
    Code.PROVIDER_MISADDRESSED: Code.PROVIDER_ERROR,
    Code.PROVIDER_TLS_ERROR: Code.PROVIDER_ERROR,
    Code.PROVIDER_UNREACHABLE: Code.PROVIDER_UNAVAILABLE,
    Code.CIRCUIT_OPEN: Code.PROVIDER_UNAVAILABLE,
    Code.OVERLOADED: Code.PROVIDER_UNAVAILABLE,
    Code.PROVIDER_CONNECTION_LOST: Code.PROVIDER_ERROR,
    Code.PROVIDER_BAD_RESPONSE: Code.PROVIDER_ERROR,
    Code.PROVIDER_RESPONSE_TOO_LARGE: Code.PROVIDER_ERROR,
    Code.NOT_EFFECTIVE: Code.PROVIDER_ERROR,
    Code.LEDGER_UNAVAILABLE: Code.PROVIDER_UNAVAILABLE,
    Code.IDEMPOTENCY_KEY_IN_USE: Code.PROVIDER_UNAVAILABLE,
    Code.IDEMPOTENCY_KEY_REUSED: Code.TARGET_REJECTED,
    Code.INTERNAL_ERROR: Code.PROVIDER_ERROR,
}
"""The codes that no provider can send, each with the nearest one that a provider can.

A fallback never claims more than its code: `not_applied` may become `unknown`.
"""


@dataclass(frozen=True, slots=True)
class DialectRequest:
    """A parsed native request: the command, and the session that it names.

    `form` is the format of the request's body, for a provider with several: its responses differ.
    """

    command: Command
    session: str | None = None
    form: str = ""


class Dialect(ABC):
    """A provider's wire format facing inwards, for the provider's old clients.

    It uses the routes and error rules of `provider`: `build_response` selects the first rule of a
    code at a status of 400 or more, the subclass writes it.

    It accepts what the original accepts: a body at all (`takes_body`), a form in place of JSON
    (`takes_forms`; each field is then a text of the document), paths in any case and with one
    trailing slash (`lenient_paths`).
    """

    provider: ClassVar[type[Provider]]
    takes_body: ClassVar[bool] = True
    takes_forms: ClassVar[bool] = False
    lenient_paths: ClassVar[bool] = False
    success_statuses: ClassVar[tuple[int, ...]] = (200,)
    reads: ClassVar[tuple[Action, ...]] = (Action.LIST,)
    """The reads that the dialect serves, where the provider has them; the others are unknown paths.
    """
    texts: ClassVar[Mapping[Code, str]] = MappingProxyType({})
    """The provider's documented error messages, by our code."""

    @property
    def name(self) -> str:
        """The provider's name."""
        return self.provider.name

    @cached_property
    def _rules(self) -> Mapping[Action, Mapping[Code, ErrorRule]]:
        return {action: _first_rules(self.provider.all_rules(), action) for action in Action}

    @abstractmethod
    def parse_credential(self, request: HttpRequest) -> str | None:
        """Return the credential from where the provider's clients put it; None without one."""

    @abstractmethod
    def parse_request(self, request: HttpRequest) -> DialectRequest:
        """Return the command of a native request.

        Raises RequestError for a request without a valid command.
        """

    @abstractmethod
    def write_success(self, call: DialectRequest, outcome: Outcome) -> HttpResponse:
        """Return the provider's own response to a successful command."""

    @abstractmethod
    def write_error(
        self, rule: ErrorRule, outcome: Outcome, call: DialectRequest | None, now: datetime
    ) -> HttpResponse:
        """Return the provider's own error for `rule`; `call` is None for an unparsed request."""

    def build_response(
        self, outcome: Outcome, call: DialectRequest | None = None, *, now: datetime
    ) -> HttpResponse:
        """Return the outcome in the provider's own shape, status and codes.

        A code that the wire format lacks becomes the nearest one, a reading that it lacks a failure
        (`express`). `now` is for shapes with a time. Raises ValueError for a success without
        `call`.
        """
        outcome = self.express(outcome)
        if outcome.code is None:
            if call is None:
                raise ValueError("a success needs its call")
            return self.write_success(call, outcome)
        action = call.command.action if call else Action.BLOCK
        rule = self._rules[action][self.fallback(outcome.code, action)]
        response = self.write_error(rule, outcome, call, now)
        if outcome.retry_after is None:
            return response
        headers = Headers({**response.headers, "Retry-After": str(outcome.retry_after)})
        return HttpResponse(response.status, headers, response.body)

    def express(self, outcome: Outcome) -> Outcome:
        """Return the outcome; a failure in place of a reading that the wire format cannot express.

        That is the status of a session for which the provider has no word, and a lookup in which
        nothing is known of any number.
        """
        code: Code | None = None
        match outcome.reading:
            case Session() as session if self.status_word(session) is None:
                is_down = session.state is SessionState.NOT_CONNECTED
                code = Code.SESSION_NOT_CONNECTED if is_down else Code.PROVIDER_BAD_RESPONSE
            case (Lookup() as first, *_) as lookups:
                if all(each.on_whatsapp is None for each in lookups):
                    code = first.code or Code.PROVIDER_BAD_RESPONSE
        if code is None:
            return outcome
        return Outcome.failure(code, upstream_status=outcome.upstream_status)

    def status_word(self, session: Session) -> str | bool | None:
        """Return the provider's word for a session: the session's own, or the first of its state.

        None where `status_words` has none.
        """
        words = self.provider.status_words
        if session.word is not None and words.get(session.word) is session.state:
            return session.word
        return next((word for word, state in words.items() if state is session.state), None)

    def message(self, rule: ErrorRule, outcome: Outcome) -> str:
        """Return the message of an error, followed by the errors of its fields.

        It is the provider's own if `texts` has one. Phone numbers are masked.
        """
        sentence = self.texts.get(rule.code) or outcome.message
        faults = "; ".join(
            f"{name}: {text}" for name, texts in outcome.fields.items() for text in texts
        )
        if not faults:
            return sentence
        between = " " if sentence.endswith(".") else ": "
        message = mask_digit_runs(f"{sentence}{between}{faults}")
        return message if len(message) <= _MOST_MESSAGE else f"{message[: _MOST_MESSAGE - 1]}…"

    def fallback(self, code: Code, action: Action = Action.BLOCK) -> Code:
        """Return the nearest code that this dialect can express in the response to an action."""
        nearest = FALLBACK_CODES.get(code, code)
        return nearest if nearest in self._rules[action] else Code.PROVIDER_ERROR

    @classmethod
    def routes(cls) -> list[Route]:
        """Return the provider's routes that the dialect serves."""
        return [
            route
            for route in cls.provider.all_routes()
            if route.action.is_change or route.action in cls.reads
        ]

    def match(self, request: HttpRequest) -> tuple[Route, dict[str, str]]:
        """Return the route of the request, and the ids in its path.

        Raises RequestError without a route: `not_found`, or `method_not_allowed`.
        """
        known = False
        for route in self.routes():
            ids = route.match(request.path, lenient=self.lenient_paths)
            if ids is not None:
                if route.method == request.method:
                    return route, ids
                known = True
        raise RequestError(Outcome.failure(Code.METHOD_NOT_ALLOWED if known else Code.NOT_FOUND))


def _first_rules(rules: Iterable[ErrorRule], action: Action) -> Mapping[Code, ErrorRule]:
    """Return the first rule of each code, of those at a status of 400 or more.

    A code is left out if an earlier rule takes the bare status of its first one: a client reads
    that status as the earlier code.
    """
    first: dict[Code, ErrorRule | None] = {}
    taken: set[int] = set()
    for rule in rules:
        if rule.status < 400 or not rule.is_for(action):
            continue
        is_bare = rule.provider_code is None and rule.where is None
        is_hidden = is_bare and rule.status in taken and rule.code is not Code.PROVIDER_ERROR
        first.setdefault(rule.code, None if is_hidden else rule)
        if is_bare:
            taken.add(rule.status)
    return {code: rule for code, rule in first.items() if rule is not None}


def read_bearer(request: HttpRequest, *, bare: bool = False) -> str | None:
    """Return the token of `Authorization: Bearer <token>`, the scheme in any case.

    With `bare`, a header of the token alone is accepted too.
    """
    words = request.headers.get("Authorization", "").split()
    if len(words) == 2 and words[0].lower() == "bearer":
        return words[1]
    return words[0] if bare and len(words) == 1 and words[0].lower() != "bearer" else None
