"""The base class of providers: routes, error rules, and pure translations of changes and reads.

A `Provider` translates a command into the provider's HTTP request, and its HTTP response into an
outcome. A `Dialect` is the same wire format facing inwards. Both use the routes and error rules of
the provider's class, so that a path or a code is written once. Neither uses a network.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any, ClassVar, Final

from adapter.codes import Action, Code, Confirmation, Verifiable
from adapter.contacts import Contact, ContactForm, Relation, relation
from adapter.error_rules import (
    HTTP_STATUS_RULES,
    ErrorRule,
    RuleTable,
    check_error_rules,
    read_error_codes,
    read_pointers,
)
from adapter.errors import PluginError, RequestError
from adapter.evidence import (
    holds_error,
    read_contacts,
    read_jid,
    read_retry_after,
    says_success,
    shows_state,
    value_at,
    without,
)
from adapter.http import Headers, HttpRequest, HttpResponse
from adapter.options import Options
from adapter.provider_batches import ProviderBatches
from adapter.provider_reads import ProviderReads
from adapter.readings import Verification
from adapter.response_rules import find_rule, read_response, read_success
from adapter.results import Command, ContactList, Outcome
from adapter.route import PLACEHOLDER, Route, check_header_template, read_routes
from adapter.secret import Secret
from adapter.strict_json import Json


class SessionLocation(StrEnum):
    """The part of a provider's requests that identifies the WhatsApp session."""

    TOKEN = "the token"  # noqa: S105 - a place, not a secret
    BODY = "the body"
    PATH = "the path"
    NONE = "none"


_SUCCESS_STATUSES: Final = (200, 201, 202)


class Provider(ProviderReads, ProviderBatches):
    """One provider's wire format: a command into its request, its response into an outcome.

    A provider is pure: no network, no state, and no clock except for a date in `Retry-After`. Only
    a LocalProvider has state. A provider is created once per account, with the validated options.

    - `routes`: the supported actions, each with its method and path template:
      `{"block": ("PUT", "/blacklist/{number}")}`. A variable part with the name of an option is
      filled in from it. With `changes_return_list`, the response to a change holds the whole block
      list, and the limits of lists apply to it.
    - The reads of a session, of numbers and of one contact: see `ProviderReads`. Changes of several
      contacts in one request: see `ProviderBatches`.
    - `contact_forms`: the forms in which requests name a contact. Without `ContactForm.LID`, a
      contact of which only the LID is known is refused, and nothing is sent.
    - `header_templates`: the headers of every request, with options by name:
      `{"Authorization": "Bearer {token}"}`. They are filled once, into `headers`.
    - `provider_code_at`: where a body has its provider code, as JSON pointers: `("/error/code",)`.
      The first text counts.
    - `error_codes`: each provider code with its usual HTTP status, our code and, where more is
      known, a message: `{"DEVICE_NOT_READY": (503, Code.SESSION_NOT_CONNECTED)}`. It counts at any
      status.
    - `error_rules`: further rules, where the body or the status is the evidence.
      `HTTP_STATUS_RULES` come after them.
    - `max_blocked`: how many entries a block list holds, where the provider has a limit.
      `blocks_only_recent`: only those who have written in the last so many hours can be blocked.
    - `verified_on`: the date (`2026-11-22`) of the recorded responses of the live service, if any.

    Raises PluginError for a class attribute or an option that cannot be used.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    documentation: ClassVar[str] = ""
    base_url: ClassVar[str | None] = None
    session_location: ClassVar[SessionLocation] = SessionLocation.NONE
    confirmation: ClassVar[Confirmation] = Confirmation.ACCEPTED
    contact_forms: ClassVar[tuple[ContactForm, ...]] = (ContactForm.JID, ContactForm.LID)
    max_blocked: ClassVar[int | None] = None
    blocks_only_recent: ClassVar[int | None] = None
    verified_on: ClassVar[str | None] = None
    header_templates: ClassVar[Mapping[str, str]] = MappingProxyType({})
    routes: ClassVar[Mapping[str, tuple[str, str]]]
    changes_return_list: ClassVar[bool] = False
    provider_code_at: ClassVar[tuple[str, ...]] = ()
    error_codes: ClassVar[Mapping[str, tuple[int, Code] | tuple[int, Code, str]]] = (
        MappingProxyType({})
    )
    error_rules: ClassVar[tuple[ErrorRule, ...]] = ()

    class Options(Options):
        """The provider's own keys of an account. An unknown key is an error."""

    _routes: ClassVar[Mapping[Action, Route]]
    _actions: ClassVar[frozenset[Action]]
    _code_keys: ClassVar[tuple[tuple[str, ...], ...]]
    _own_rules: ClassVar[tuple[ErrorRule, ...]]
    rule_tables: ClassVar[Mapping[Action, RuleTable]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        name = cls.__name__
        routes = read_routes(
            f"{name}.routes",
            getattr(cls, "routes", {}),
            changes_return_list=cls.changes_return_list,
        )
        cls._routes = {route.action: route for route in routes}
        cls._actions = frozenset(cls._routes)
        cls._code_keys = read_pointers(f"{name}.provider_code_at", cls.provider_code_at)
        check_error_rules(f"{name}.error_rules", cls.error_rules)
        by_code = read_error_codes(f"{name}.error_codes", cls.error_codes)
        cls._own_rules = (*by_code, *cls.error_rules)
        cls.rule_tables = {
            action: RuleTable(tuple(rule for rule in cls.all_rules() if rule.is_for(action)))
            for action in Action
        }

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = options
        self.headers = Headers({name: self._fill_header(name) for name in self.header_templates})
        names = {name for route in self.all_routes() for name in route.names}
        self._path_options = {name: options[name] for name in names if name in options}

    def _fill_header(self, name: str) -> str:
        """Return the header with the options' texts. Errors never show those."""
        template, where = self.header_templates[name], f"{type(self).__name__}.header_templates"
        check_header_template(where, name, template)

        def read_option(part: re.Match[str]) -> str:
            text = _text_of(self.options.get(part[1]))
            if text is None:
                raise PluginError(f"{where}: {name} needs the option {part[1]}, as a text")
            return text

        return PLACEHOLDER.sub(read_option, template)

    @classmethod
    def all_routes(cls) -> Collection[Route]:
        """Return the routes, in the order of `routes`."""
        return cls._routes.values()

    @classmethod
    def all_rules(cls) -> tuple[ErrorRule, ...]:
        """Return all rules: `error_codes`, `error_rules`, then those of the HTTP statuses."""
        return (*cls.own_rules(), *HTTP_STATUS_RULES)

    @classmethod
    def own_rules(cls) -> tuple[ErrorRule, ...]:
        """Return the provider's own rules: `error_codes`, then `error_rules`."""
        return cls._own_rules

    @classmethod
    def provider_codes(cls) -> frozenset[str]:
        """Return the provider codes that the provider's rules know."""
        return frozenset(cls.rule_tables[Action.BLOCK].by_provider_code)

    @classmethod
    def actions(cls) -> frozenset[Action]:
        """Return the supported actions; for any other, no request is sent."""
        return cls._actions

    @classmethod
    def can_read_back(cls) -> bool:
        """Whether there is a read that may show whether a contact is blocked."""
        return not cls._actions.isdisjoint((Action.STATE, Action.LIST))

    @classmethod
    def offered_actions(cls) -> frozenset[Action]:
        """Return the actions that callers may use: a list is enough for a state."""
        return cls._actions | {Action.STATE} if cls.can_read_back() else cls._actions

    @classmethod
    def verifiable(cls) -> Verifiable:
        """Return whether a read shows what a change has done."""
        if not cls.can_read_back():
            return Verifiable.NO
        if cls.shows_only_blocks:
            return Verifiable.ONLY_BLOCKS
        by_list = Action.STATE not in cls._actions
        return Verifiable.WITH_LID if by_list and cls.lists_lids else Verifiable.YES

    @classmethod
    def route(cls, action: Action) -> Route:
        """Return the route of an action that the provider supports."""
        return cls._routes[action]

    def request_for(self, command: Command) -> HttpRequest:
        """Return the provider's request for `command`, built by the method for its action."""
        match command.action:
            case Action.STATUS:
                return self.build_status(command)
            case Action.LOOKUP:
                return self.build_lookup(command)
            case Action.STATE:
                return self.build_state(command)
        return self.build_request(command)

    @abstractmethod
    def build_request(self, command: Command) -> HttpRequest:
        """Return the provider's request for a block, an unblock or a list.

        Raises RequestError where the provider cannot name the contact; nothing is sent then.
        """

    @abstractmethod
    def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
        """Return the success of a block, an unblock or a list that a 2xx response proves.

        None means that the evidence is missing; the outcome is then `provider_bad_response`.
        """

    def shows_error(self, command: Command, document: Json) -> bool:
        """Whether the body of a 2xx holds an error, which contradicts a success.

        The entries of a list are ignored, and so is the word of a status.
        """
        if command.action is Action.STATUS and self._status_keys:
            document = without(document, self._status_keys)
        return holds_error(document, arrays=command.action.is_change)

    def build_next_page(self, command: Command, response: HttpResponse) -> HttpRequest | None:
        """Return the request for the next page of a list; None after the last page.

        It is called after every page that `parse_success` accepts. All pages together are the list;
        a page that cannot be read makes the whole list unreadable.
        """
        return None

    def request(
        self,
        command: Command,
        json: Json = None,
        query: Mapping[str, str] = MappingProxyType({}),
        /,
        **ids: str,
    ) -> HttpRequest:
        """Return the request to the command's route, with `headers`, a JSON body and a query.

        `ids` fill the variable parts of the path that are not options. Without `json` no body is
        sent. Raises ValueError for an id that is missing or not safe in a path.
        """
        route = self.route(command.action)
        for name, option in self._path_options.items():
            if name not in ids and (text := _text_of(option)) is not None:
                ids[name] = text
        return HttpRequest(route.method, route.fill(**ids), self.headers, query, json)

    def name_contact(self, contact: Contact, *forms: ContactForm) -> str:
        """Return the contact in the first possible one of `forms`, by default `contact_forms`.

        With `prefers_lid`, the LID is the first.

        Raises RequestError (`invalid_target`) where none is possible; nothing is sent then.
        """
        allowed = forms or self.contact_forms
        if self.prefers_lid and contact.lid is not None and ContactForm.LID in allowed:
            return contact.lid
        for form in allowed:
            text = form.write(contact)
            if text is not None:
                return text
        known = ", ".join(form.value for form in allowed)
        field = "jid" if contact.user_id is None else "user_id"
        message = f"this provider cannot name this contact; it takes: {known}"
        raise RequestError(Outcome.failure(Code.INVALID_TARGET, fields={field: (message,)}))

    def changed_list_success(
        self, command: Command, response: HttpResponse, listed: ContactList
    ) -> Outcome | None:
        """Return the success of a change whose response holds the whole list.

        None if the list shows the opposite state. A contact in the list is blocked, in either form
        of its number. A missing one is not blocked if the list has ids of the same kind: numbers
        only, or for a LID at least one LID. Otherwise the list may hold the number as a LID, and
        the response shows an acceptance, not a state.
        """
        target, entries = command.target, listed.contacts
        found = {relation(target, entry) for entry in entries}
        blocked = not found.isdisjoint((Relation.SAME, Relation.VARIANT))
        lids = any(entry.lid for entry in entries)
        both = target.number is not None and target.lid is not None
        comparable = not entries or both or (lids if target.number is None else not lids)
        if not blocked and not comparable:
            return self.success(response)
        if blocked is not command.blocked:
            return None
        shown = Outcome.success(Confirmation.PROVIDER_STATE, upstream_status=response.status)
        if blocked and Relation.SAME not in found:
            return shown  # whether the other form of the number is this person, a lookup may show
        return replace(shown, verification=Verification(True))

    def success(
        self,
        response: HttpResponse,
        contacts: ContactList | tuple[Contact, ...] | None = None,
    ) -> Outcome:
        """Return the success that this response proves, with the provider's usual confirmation."""
        listed = ContactList(contacts) if isinstance(contacts, tuple) else contacts
        return Outcome.success(
            self.confirmation,
            contacts=listed.contacts if listed else None,
            others=listed.others if listed else 0,
            upstream_status=response.status,
        )

    def list_success(
        self,
        response: HttpResponse,
        entries: Iterable[Json],
        read: Callable[[Json], Contact] = read_jid,
    ) -> Outcome | None:
        """Return the success with the contacts of a list; None if an entry cannot be read.

        `read` returns the contact of one entry, by default of a JID (see `read_contacts`).
        """
        contacts = read_contacts(entries, read)
        return None if contacts is None else self.success(response, contacts)

    def is_own_error(self, response: HttpResponse) -> bool:
        """Whether a failure is in the provider's own error shape, not the page of a proxy.

        Only then is its bare status evidence. By default, any body with a provider code is.
        """
        return self.parse_provider_code(response.document) is not None

    def parse_provider_code(self, document: Json) -> str | None:
        """Return the provider code of the body, known or not; None without one.

        By default it is the first text at `provider_code_at`.
        """
        for keys in self._code_keys:
            value = value_at(document, keys)
            if isinstance(value, str):
                return value
        return None

    def parse_rejected_fields(self, document: Json) -> Iterable[str]:
        """Return which of `number` and `jid` the provider rejects."""
        return ()

    def parse_named_contact(self, command: Command, document: Json) -> Contact | None:
        """Return the contact that the response to a change names; None without one.

        Another contact than the command's makes the outcome `provider_bad_response`. A LID in the
        response to a number makes a success `accepted`. Raises ContactError for a name that cannot
        be read.
        """
        return None

    def parse_retry_after(self, response: HttpResponse) -> int | None:
        """Return the seconds to wait before a retry; None where the response gives none."""
        return read_retry_after(response.headers)

    def shows_success(self, command: Command, response: HttpResponse) -> bool:
        """Whether the body of a refusal shows a success, so that it contradicts itself.

        That is a success flag, the requested state under `blocked`, or a body that `parse_success`
        accepts at a 2xx status.
        """
        document = response.document
        if document is None:
            return False
        if says_success(document):
            return True
        if command.action.is_change and shows_state(document, blocked=command.blocked):
            return True
        bodies = (response.at_status(status) for status in _SUCCESS_STATUSES)
        return any(read_success(self, command, each) is not None for each in bodies)

    def parse_response(self, command: Command, response: HttpResponse) -> Outcome:
        """Return the outcome that the response proves (`adapter.response_rules`)."""
        return read_response(self, command, response)

    def find_rule(self, command: Command, response: HttpResponse) -> ErrorRule | None:
        """Return the rule that the response is evidence for; None if it may be a success."""
        return find_rule(self, command, response, self.parse_provider_code(response.document))


class LocalProvider(Provider):
    """A provider that handles its own requests in this process and needs no network."""

    @abstractmethod
    def handle_request(self, request: HttpRequest) -> HttpResponse:
        """Return the response to a request of `request_for`. Called from many threads."""


def _text_of(option: Any) -> str | None:
    """Return the option as a text; None for an option of another type."""
    text = option.reveal() if isinstance(option, Secret) else option
    return text if isinstance(text, str) else None
