"""What a provider plugin is made of: routes, a table of rules, and two pure translations.

A `Provider` turns a command into that provider's HTTP request and its HTTP response into an
outcome. A `Dialect` is the same wire format facing inwards. Both read the routes and the rules of
the provider's class, so that a path or a code is written once. Neither ever talks to a network.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any, ClassVar, Final

from adapter.codes import Action, Applied, Code, Confirmation
from adapter.contacts.contact import Contact, ContactError
from adapter.contacts.forms import ContactForm
from adapter.contacts.identity import Relation, relation
from adapter.error_rules import HTTP_STATUS_RULES, ErrorRule
from adapter.errors import PluginError, RequestError
from adapter.evidence import holds_error, read_retry_after, says_no_route, says_success, shows_state
from adapter.http import Headers, HttpRequest, HttpResponse
from adapter.options import Options
from adapter.privacy import Secret
from adapter.results import Command, ContactList, Outcome
from adapter.route import PLACEHOLDER, Route, has_loose_braces
from adapter.strict_json import Json

REFUSED: Final = "was refused by the provider"
"""Our message for a field that a provider names as bad. Its own text may hold a phone number."""


class SessionLocation(StrEnum):
    """Where a provider's requests say which WhatsApp session they are for."""

    TOKEN = "the token"  # noqa: S105 - a place, not a secret
    BODY = "the body"
    PATH = "the path"
    NONE = "none"


_SUCCESS_STATUSES: Final = (200, 201, 202)
_NO_ROUTE_STATUSES: Final = frozenset({404, 405})
_NOT_FOLLOWED: Final = frozenset({307, 308})
"""The redirects that ask for the same request elsewhere, and so prove that it was not done here.

303 is what a server says after it has done it, and 301 and 302 are used alike (RFC 9110, section
15.4).
"""


class Provider(ABC):
    """One provider's wire format: a command into its request, its response into an outcome.

    A provider is pure: no network, no clock, no state. It is made once per account, with the
    validated options.

    - `routes`: the actions that the provider supports, each with its method and path template:
      `{"block": ("PUT", "/blacklist/{number}")}`. With `changes_return_list`, the response to a
      change holds the whole block list, and the bounds of lists apply to it.
    - `contact_forms`: the forms in which its requests name a contact. Without `ContactForm.LID`, a
      contact with a LID alone is refused, and nothing is sent.
    - `header_templates`: the headers of every request, with options by name:
      `{"Authorization": "Bearer {token}"}`. They are filled once, into `headers`.
    - `error_codes`: each provider code with its usual HTTP status and our code:
      `{"DEVICE_NOT_READY": (503, Code.SESSION_NOT_CONNECTED)}`. It counts at any status.
    - `error_rules`: further rules, where the body or the status is the evidence.
      `HTTP_STATUS_RULES` come after them.
    - `verified_on`: the day (`2026-11-22`) of the recorded responses of the live service, if any.

    Raises PluginError for a class attribute or an option that cannot be used.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    documentation: ClassVar[str] = ""
    base_url: ClassVar[str | None] = None
    session_location: ClassVar[SessionLocation] = SessionLocation.NONE
    confirmation: ClassVar[Confirmation] = Confirmation.ACCEPTED
    contact_forms: ClassVar[tuple[ContactForm, ...]] = (ContactForm.JID, ContactForm.LID)
    verified_on: ClassVar[str | None] = None
    header_templates: ClassVar[Mapping[str, str]] = MappingProxyType({})
    routes: ClassVar[Mapping[str, tuple[str, str]]]
    changes_return_list: ClassVar[bool] = False
    error_codes: ClassVar[Mapping[str, tuple[int, Code]]] = MappingProxyType({})
    error_rules: ClassVar[tuple[ErrorRule, ...]] = ()

    class Options(Options):
        """The provider's own keys of an account. Unknown keys are refused by name."""

    _by_action: ClassVar[Mapping[Action, Route]]
    _code_rules: ClassVar[tuple[ErrorRule, ...]]
    _actions: ClassVar[frozenset[Action]]
    _by_provider_code: ClassVar[Mapping[str, ErrorRule]]
    _by_status: ClassVar[Mapping[int, tuple[ErrorRule, ...]]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._by_action = {route.action: route for route in cls._read_routes()}
        cls._actions = frozenset(cls._by_action)
        cls._code_rules = tuple(cls._read_error_codes())
        if not all(isinstance(each, ErrorRule) for each in cls.error_rules):
            raise PluginError(f"{cls.__name__}.error_rules must be a tuple of ErrorRule")
        rules = cls.all_rules()
        cls._by_provider_code = {
            rule.provider_code: rule for rule in reversed(rules) if rule.provider_code
        }
        others = [rule for rule in rules if not rule.provider_code]
        others.sort(key=lambda rule: rule.where is None)
        cls._by_status = {
            status: tuple(
                rule
                for exact in dict.fromkeys((status, status // 100 * 100))
                for rule in others
                if rule.status == exact
            )
            for status in range(200, 600)
        }

    @classmethod
    def _read_routes(cls) -> Iterator[Route]:
        """Yield the routes of the class. Raises PluginError for one that cannot be used."""
        where = f"{cls.__name__}.routes"
        routes = getattr(cls, "routes", {})
        if not isinstance(routes, Mapping):
            raise PluginError(f'{where} must be a mapping: {{"block": ("POST", "/block/{{jid}}")}}')
        for name, route in routes.items():
            if name not in set(Action):
                known = ", ".join(Action)
                raise PluginError(f"{where}: {name!r} is not an action; the actions are: {known}")
            match route:
                case (str(method), str(template)):
                    changes = name != Action.LIST
                    try:
                        yield Route(
                            Action(name), method, template, changes and cls.changes_return_list
                        )
                    except ValueError as error:
                        raise PluginError(f"{where}: {error}") from None
                case _:
                    raise PluginError(f"{where}: {name} must be a method and a path template")

    @classmethod
    def _read_error_codes(cls) -> Iterator[ErrorRule]:
        """Yield the rules of `error_codes`. Raises PluginError for one that cannot be used."""
        where = f"{cls.__name__}.error_codes"
        if not isinstance(cls.error_codes, Mapping):
            raise PluginError(f'{where} must be a mapping: {{"OFFLINE": (503, Code.…)}}')
        for provider_code, meaning in cls.error_codes.items():
            match meaning:
                case (int(status), Code() as code) if isinstance(provider_code, str):
                    yield ErrorRule(code, status, provider_code=provider_code)
                case _:
                    raise PluginError(
                        f"{where}: {provider_code!r} must be a text, with its usual HTTP status "
                        "and a Code"
                    )

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = options
        self.headers = Headers({name: self._fill_header(name) for name in self.header_templates})

    def _fill_header(self, name: str) -> str:
        """Return the header with the texts of the options in it. Errors never show those."""
        template, where = self.header_templates[name], f"{type(self).__name__}.header_templates"
        if has_loose_braces(template):
            raise PluginError(f"{where}: {name} must name an option as {{lower_case}}")

        def read_option(part: re.Match[str]) -> str:
            value = self.options.get(part[1])
            text = value.reveal() if isinstance(value, Secret) else value
            if not isinstance(text, str):
                raise PluginError(f"{where}: {name} needs the option {part[1]}, as a text")
            return text

        return PLACEHOLDER.sub(read_option, template)

    @classmethod
    def all_routes(cls) -> Collection[Route]:
        """Return the routes, in the order of `routes`."""
        return cls._by_action.values()

    @classmethod
    def all_rules(cls) -> tuple[ErrorRule, ...]:
        """Return all rules: `error_codes`, `error_rules`, then those of the HTTP statuses."""
        return (*cls.own_rules(), *HTTP_STATUS_RULES)

    @classmethod
    def own_rules(cls) -> tuple[ErrorRule, ...]:
        """Return the provider's own rules: `error_codes`, then `error_rules`."""
        return (*cls._code_rules, *cls.error_rules)

    @classmethod
    def provider_codes(cls) -> frozenset[str]:
        """Return the provider codes that the provider's rules know."""
        return frozenset(cls._by_provider_code)

    @classmethod
    def actions(cls) -> frozenset[Action]:
        """Return what this provider can do; for anything else no request is sent."""
        return cls._actions

    @classmethod
    def route(cls, action: Action) -> Route:
        """Return the address of an action that the provider supports."""
        return cls._by_action[action]

    @abstractmethod
    def build_request(self, command: Command) -> HttpRequest:
        """Return the request that says `command` in this provider's words.

        Raises RequestError where the provider has no words for the contact; nothing is sent then.
        """

    @abstractmethod
    def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
        """Return the success that a 2xx answer proves, by the evidence of the provider's contract.

        None says that the evidence is missing; the outcome is then `provider_bad_response`.
        """

    def build_next_page(self, command: Command, response: HttpResponse) -> HttpRequest | None:
        """Return the request for the next page of a list; None after the last one.

        It is asked after every page that `parse_success` took for one. All pages together are the
        list; one that cannot be read makes the whole of it unreadable.
        """
        return None

    def request(self, command: Command, json: Json = None, /, **ids: str) -> HttpRequest:
        """Return the request to the command's route, with its ids filled in and our `headers`.

        Without `json` no body is sent. Raises ValueError for an id that cannot stand in a path.
        """
        route = self.route(command.action)
        return HttpRequest(route.method, route.fill(**ids), self.headers, json=json)

    def name_contact(self, contact: Contact, *forms: ContactForm) -> str:
        """Return the contact in the first of `forms` that can say it; `contact_forms` by default.

        Raises RequestError (`invalid_target`) where none of them can; nothing is sent then.
        """
        allowed = forms or self.contact_forms
        for form in allowed:
            text = form.write(contact)
            if text is not None:
                return text
        known = ", ".join(form.value for form in allowed)
        field = "jid" if contact.user_id is None else "user_id"
        message = f"this provider cannot name this contact; it takes: {known}"
        raise RequestError(Outcome.failure(Code.INVALID_TARGET, fields={field: (message,)}))

    def success(
        self,
        response: HttpResponse,
        contacts: ContactList | tuple[Contact, ...] | None = None,
    ) -> Outcome:
        """Return the success that this response proves, known in this provider's usual way."""
        listed = ContactList(contacts) if isinstance(contacts, tuple) else contacts
        return Outcome.success(
            self.confirmation,
            contacts=listed.contacts if listed else None,
            others=listed.others if listed else 0,
            upstream_status=response.status,
        )

    def is_own_error(self, response: HttpResponse) -> bool:
        """Whether a failure is in the provider's own error shape, and not some server's page.

        Only then does its bare status blame anybody. By default a body with a provider code is.
        """
        return self.parse_provider_code(response.document) is not None

    def parse_provider_code(self, document: Json) -> str | None:
        """Return the provider code that the body holds, declared or not."""
        return None

    def parse_rejected_fields(self, document: Json) -> Iterable[str]:
        """Return which of `number` and `jid` the provider names as bad."""
        return ()

    def parse_named_contact(self, command: Command, document: Json) -> Contact | None:
        """Return the contact whom the response to a change is about; None where it names nobody.

        Somebody else makes the response `provider_bad_response`. A LID where a number was asked
        leaves a success, as `accepted`. Raises ContactError for a name that cannot be read.
        """
        return None

    def parse_retry_after(self, response: HttpResponse) -> int | None:
        """Return the seconds that a response asks to wait, where its code may say so."""
        return read_retry_after(response.headers)

    def shows_success(self, command: Command, response: HttpResponse) -> bool:
        """Whether the body of a refusal shows what was asked for, so that it contradicts itself.

        That is a flag of success, the state that was asked for under `blocked`, or a body that
        `parse_success` takes at a status of a success.
        """
        document = response.document
        if document is None:
            return False
        if says_success(document):
            return True
        if command.contact is not None and shows_state(document, blocked=command.blocked):
            return True
        bodies = (response.at_status(status) for status in _SUCCESS_STATUSES)
        return any(self.parse_success(command, each) is not None for each in bodies)

    def parse_response(self, command: Command, response: HttpResponse) -> Outcome:
        """Return what the response proves: provider code first, then body, then status."""
        if 300 <= response.status <= 399:
            moved = response.status in _NOT_FOLLOWED
            code = Code.PROVIDER_REDIRECTED if moved else Code.PROVIDER_MISADDRESSED
            return self._fail(code, response)
        if response.status in _NO_ROUTE_STATUSES and says_no_route(response.document):
            return self._fail(Code.PROVIDER_MISADDRESSED, response)
        provider_code = self.parse_provider_code(response.document)
        rule = self._find_rule(response, provider_code)
        if rule is not None:
            refused = response.status < 500 or rule.code.applied is Applied.NOT_APPLIED
            if refused and self.shows_success(command, response):
                return self._fail(Code.PROVIDER_BAD_RESPONSE, response)
            outcome = self._parse_failure(rule, response)
        else:
            outcome = self._parse_success(command, response, provider_code) or self._fail(
                Code.PROVIDER_BAD_RESPONSE, response
            )
        if command.contact is None:
            return outcome
        return self._compare_contact(command, response, outcome)

    def _parse_success(
        self, command: Command, response: HttpResponse, provider_code: str | None
    ) -> Outcome | None:
        """Return the success that a 2xx proves; None where an error stands in its body."""
        if not 200 <= response.status <= 299 or provider_code is not None:
            return None
        if holds_error(response.document, arrays=command.contact is not None):
            return None
        return self.parse_success(command, response)

    def _compare_contact(
        self, command: Command, response: HttpResponse, outcome: Outcome
    ) -> Outcome:
        """Return what is left of an outcome after the contact that the response names is seen."""
        try:
            named = self.parse_named_contact(command, response.document)
        except ContactError:
            return self._fail(Code.PROVIDER_BAD_RESPONSE, response) if outcome.ok else outcome
        if named is None or named is command.contact:
            return outcome
        found = relation(command.target, named)
        if found is Relation.DIFFERENT:
            return self._fail(Code.PROVIDER_BAD_RESPONSE, response)
        if found is Relation.UNCOMPARABLE and outcome.ok:
            return replace(outcome, confirmation=Confirmation.ACCEPTED)
        return outcome

    def find_rule(self, response: HttpResponse) -> ErrorRule | None:
        """Return the rule that the response is evidence for; None where it may be a success."""
        return self._find_rule(response, self.parse_provider_code(response.document))

    def _find_rule(self, response: HttpResponse, provider_code: Any) -> ErrorRule | None:
        if isinstance(provider_code, str) and provider_code in self._by_provider_code:
            return self._by_provider_code[provider_code]
        own: bool | None = None
        for rule in self._by_status.get(response.status, ()):
            if rule.where is not None:
                if rule.where(response.document):
                    return rule
                continue
            if rule.status != response.status and rule.code is Code.TARGET_REJECTED:
                continue  # no other status of the hundred blames the contact
            if rule.any_sender:
                return rule
            own = self.is_own_error(response) if own is None else own
            if own and not (provider_code is not None and rule.code is Code.TARGET_REJECTED):
                return rule
        return None

    def _parse_failure(self, rule: ErrorRule, response: HttpResponse) -> Outcome:
        rejected = rule.code is Code.TARGET_REJECTED
        named = self.parse_rejected_fields(response.document) if rejected else ()
        return Outcome.failure(
            rule.code,
            retry_after=self.parse_retry_after(response) if rule.code.carries_retry_after else None,
            fields={name: (REFUSED,) for name in ("number", "jid") if name in named},
            upstream_status=response.status,
            provider_code=rule.provider_code,
            detail=rule.message,
            advice=rule.retry,
            own_error=rule.provider_code is not None or self.is_own_error(response),
        )

    @staticmethod
    def _fail(code: Code, response: HttpResponse) -> Outcome:
        return Outcome.failure(code, upstream_status=response.status)


class LocalProvider(Provider):
    """A provider that answers its own requests in this process and needs no network."""

    @abstractmethod
    def handle_request(self, request: HttpRequest) -> HttpResponse:
        """Return the answer to a request that this provider has built. Called from many threads."""
