"""What a provider plugin is made of: routes, a table of rows, and two pure translations.

A `Provider` turns a command into that provider's HTTP request and its HTTP response into an
outcome. A `Dialect` is the same wire format facing inwards. Both read the routes and the rows of
the provider's class, so that a path or a code is written once. Neither ever talks to a network.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any, ClassVar, Final

from marshmallow import Schema

from adapter.codes import Action, Applied, Code, Confirmation
from adapter.contacts.contact import Contact, ContactError
from adapter.contacts.forms import ContactForm
from adapter.contacts.identity import Relation, relation
from adapter.error_rules import SHARED_ROWS, Row
from adapter.errors import PluginError, RequestError
from adapter.evidence import holds_error, read_retry_after, says_no_route, says_success, shows_state
from adapter.http import NO_HEADERS, Headers, HttpRequest, HttpResponse
from adapter.privacy import Secret
from adapter.results import Command, ContactList, Outcome
from adapter.route import PLACEHOLDER, Route, has_loose_braces
from adapter.strict_json import Json

REFUSED: Final = "was refused by the provider"
"""Our message for a field that a provider names as bad. Its own text may hold a phone number."""


class Addressing(StrEnum):
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

    A subclass states `name`, `title`, `routes` and its own `rows`; the group's rows are added
    below them. It is made once per account, with the options that its `Options` schema let through.

    `contact_forms` are the forms in which its requests name a contact; without `ContactForm.LID`, a
    contact of which only the LID is known is refused before anything is sent. `proven` is the day
    (`2026-11-22`) on which the live service last answered as recorded; None where it never did.

    `header_templates` are the headers that every request carries, with options by their names:
    `Headers({"Authorization": "Bearer {token}"})`. They are filled once, into `headers`. An option
    that is not there, or is no text or secret, is a PluginError as soon as the provider is made.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    documentation: ClassVar[str] = ""
    base_url: ClassVar[str | None] = None
    addressing: ClassVar[Addressing] = Addressing.NONE
    confirmation: ClassVar[Confirmation] = Confirmation.ACCEPTED
    contact_forms: ClassVar[tuple[ContactForm, ...]] = (ContactForm.JID, ContactForm.LID)
    proven: ClassVar[str | None] = None
    header_templates: ClassVar[Mapping[str, str]] = NO_HEADERS
    routes: ClassVar[tuple[Route, ...]]
    rows: ClassVar[tuple[Row, ...]] = ()

    class Options(Schema):
        """The provider's own keys of an account. Unknown keys are refused by name."""

    _by_action: ClassVar[Mapping[Action, Route]]
    _actions: ClassVar[frozenset[Action]]
    _by_machine: ClassVar[Mapping[str, Row]]
    _by_status: ClassVar[Mapping[int, tuple[Row, ...]]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._by_action = {route.action: route for route in getattr(cls, "routes", ())}
        cls._actions = frozenset(cls._by_action)
        table = cls.table()
        cls._by_machine = {row.machine: row for row in reversed(table) if row.machine}
        by_status: dict[int, list[Row]] = {}
        for row in sorted((row for row in table if not row.machine), key=lambda row: not row.where):
            by_status.setdefault(row.status, []).append(row)
        cls._by_status = {status: tuple(rows) for status, rows in by_status.items()}

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
                raise PluginError(
                    f"{where}: {name} needs {part[1]}, which is no option with a text"
                )
            return text

        return PLACEHOLDER.sub(read_option, template)

    @classmethod
    def table(cls) -> tuple[Row, ...]:
        """Return the provider's rows with the shared ones below them."""
        return (*cls.rows, *SHARED_ROWS)

    @classmethod
    def machine_codes(cls) -> frozenset[str]:
        """Return the machine codes that the provider's rows know."""
        return frozenset(cls._by_machine)

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
    def read_success(self, command: Command, response: HttpResponse) -> Outcome | None:
        """Return the success that a 2xx answer proves, by the evidence of the provider's contract.

        None says that the evidence is missing; the outcome is then `provider_bad_response`.
        """

    def build_next(self, command: Command, response: HttpResponse) -> HttpRequest | None:
        """Return the request for the next page of a list; None after the last one.

        It is asked after every page that `read_success` took for one. All pages together are the
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

        Only then does its bare status blame anybody. By default a body with a machine code is.
        """
        return self.read_machine_code(response.document) is not None

    def read_machine_code(self, document: Json) -> str | None:
        """Return the machine code that the body holds, declared or not."""
        return None

    def read_fields(self, document: Json) -> Iterable[str]:
        """Return which of `number` and `jid` the provider names as bad."""
        return ()

    def read_named_contact(self, command: Command, document: Json) -> Contact | None:
        """Return the contact whom the response to a change is about; None where it names nobody.

        Somebody else makes the response `provider_bad_response`. A LID where a number was asked
        leaves a success, as `accepted`. Raises ContactError for a name that cannot be read.
        """
        return None

    def read_retry_after(self, response: HttpResponse) -> int | None:
        """Return the seconds that a response asks to wait, where its code may say so."""
        return read_retry_after(response.headers)

    def shows_success(self, command: Command, response: HttpResponse) -> bool:
        """Whether the body of a refusal shows what was asked for, so that it contradicts itself.

        That is a flag of success, the state that was asked for under `blocked`, or a body that
        `read_success` takes at a status of a success.
        """
        document = response.document
        if document is None:
            return False
        if says_success(document):
            return True
        if command.contact is not None and shows_state(document, blocked=command.blocked):
            return True
        bodies = (response.at_status(status) for status in _SUCCESS_STATUSES)
        return any(self.read_success(command, each) is not None for each in bodies)

    def read_response(self, command: Command, response: HttpResponse) -> Outcome:
        """Return what the response proves: machine code first, then body, then status."""
        if 300 <= response.status <= 399:
            moved = response.status in _NOT_FOLLOWED
            code = Code.PROVIDER_REDIRECTED if moved else Code.PROVIDER_MISADDRESSED
            return self._fail(code, response)
        if response.status in _NO_ROUTE_STATUSES and says_no_route(response.document):
            return self._fail(Code.PROVIDER_MISADDRESSED, response)
        row = self.find_row(response)
        if row is not None:
            refused = response.status < 500 or row.code.applied is Applied.NOT_APPLIED
            if refused and self.shows_success(command, response):
                return self._fail(Code.PROVIDER_BAD_RESPONSE, response)
            outcome = self._read_failure(row, response)
        else:
            success = None
            if 200 <= response.status <= 299 and not self._carries_error(command, response):
                success = self.read_success(command, response)
            outcome = success or self._fail(Code.PROVIDER_BAD_RESPONSE, response)
        if command.contact is None:
            return outcome
        return self._compare_contact(command, response, outcome)

    def _carries_error(self, command: Command, response: HttpResponse) -> bool:
        """Whether an error stands in the body, which then proves no success."""
        document = response.document
        if self.read_machine_code(document) is not None:
            return True
        return holds_error(document, arrays=command.contact is not None)

    def _compare_contact(
        self, command: Command, response: HttpResponse, outcome: Outcome
    ) -> Outcome:
        """Return what is left of an outcome after the contact that the response names is seen."""
        try:
            named = self.read_named_contact(command, response.document)
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

    def find_row(self, response: HttpResponse) -> Row | None:
        """Return the row that the response is evidence for; None where it may be a success."""
        document, status = response.document, response.status
        machine = self.read_machine_code(document)
        if isinstance(machine, str) and machine in self._by_machine:
            return self._by_machine[machine]
        rows = self._by_status.get(status, ())
        if status % 100:
            rows += self._by_status.get(status // 100 * 100, ())
        own: bool | None = None
        for row in rows:
            if row.where is not None:
                if row.where(document):
                    return row
                continue
            if row.status != status and row.code is Code.TARGET_REJECTED:
                continue  # no other status of the hundred blames the contact
            if row.anyone:
                return row
            own = self.is_own_error(response) if own is None else own
            if own and not (machine is not None and row.code is Code.TARGET_REJECTED):
                return row
        return None

    def _read_failure(self, row: Row, response: HttpResponse) -> Outcome:
        rejected = row.code is Code.TARGET_REJECTED
        named = self.read_fields(response.document) if rejected else ()
        return Outcome.failure(
            row.code,
            retry_after=self.read_retry_after(response) if row.code.may_wait else None,
            fields={name: (REFUSED,) for name in ("number", "jid") if name in named},
            upstream_status=response.status,
            upstream_code=row.machine,
            detail=row.message,
            advice=row.retry,
            own_error=row.machine is not None or self.is_own_error(response),
        )

    @staticmethod
    def _fail(code: Code, response: HttpResponse) -> Outcome:
        return Outcome.failure(code, upstream_status=response.status)


class LocalProvider(Provider):
    """A provider that answers its own requests in this process and needs no network."""

    @abstractmethod
    def answer(self, request: HttpRequest) -> HttpResponse:
        """Return the answer to a request that this provider has built. Called from many threads."""
