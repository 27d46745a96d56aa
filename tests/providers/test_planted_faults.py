"""The same faults are planted in every built-in provider, and its contract finds each of them.

A fault is a subclass of the real provider with one thing wrong; the real provider's recorded
responses must be enough to find it. The tests of the contract kit do the same with a toy provider,
clause by clause.
"""

# A fault is a subclass of a class that is an argument, which mypy takes for no class.
# mypy: disable-error-code="name-defined, misc, no-any-return"

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from marshmallow import INCLUDE
from support.contracts import CONTRACTS
from support.read_faults import (
    a_lookup_of_another_number,
    a_missing_entry_for_a_contact_not_blocked,
    a_number_that_is_missing_for_one_not_on_whatsapp,
    a_session_that_is_connected_by_default,
    an_earlier_read,
    an_error_for_a_number_not_on_whatsapp,
)

from adapter.error_rules import HTTP_STATUS_RULES
from adapter.plugin import (
    Action,
    Code,
    Command,
    Confirmation,
    Contact,
    ContactForm,
    Dialect,
    DialectRequest,
    ErrorRule,
    Headers,
    HttpRequest,
    HttpResponse,
    Outcome,
    Provider,
    json_response,
)
from adapter.testing import ProviderContract
from adapter.testing.base import Prepared
from adapter.testing.mutations import flipped
from adapter.testing.pointers import places

pytestmark = [pytest.mark.slow, pytest.mark.no_cover, pytest.mark.usefixtures("few_statuses")]

OTHER_CONTACT = Contact("551133334444")

FaultyClass = type[Provider] | type[Dialect]


@cache
def contract_of(name: str) -> ProviderContract:
    """Return the contract of the faultless provider. Its answers are read once for all faults."""
    return CONTRACTS[name]()


def contract_with(name: str, faulty: FaultyClass) -> ProviderContract:
    """Return the provider's contract with a faulty class in place of the right one."""
    right = contract_of(name)
    provider, dialect = right.provider, right.tested_dialect
    if issubclass(faulty, Dialect):
        dialect = faulty
    else:
        provider = faulty
        dialect = dialect and type(dialect.__name__, (dialect,), {"provider": provider})
    prepared = Prepared(right.exchanges, dialect)
    changed = {"provider": provider, "dialect": dialect, "prepared": prepared}
    return type("Contract", (CONTRACTS[name],), changed)()


def finds_a_fault(contract: ProviderContract, clause: str) -> bool:
    try:
        getattr(contract, clause)()
    except AssertionError:
        return True
    return False


# -- the faults: each function yields the classes that have it, none where it is impossible


def wrong_path(right: ProviderContract) -> Iterator[FaultyClass]:
    class Faulty(right.provider):
        def build_request(self, command: Command) -> HttpRequest:
            built = super().build_request(command)
            return replace(built, path=f"{built.path}s")

    yield Faulty


def no_credential(right: ProviderContract) -> Iterator[FaultyClass]:
    secrets = list(right.secrets.values())

    class Faulty(right.provider):
        def build_request(self, command: Command) -> HttpRequest:
            built = super().build_request(command)
            path, kept = built.path, dict(built.headers)
            for secret in secrets:
                path = path.replace(secret, "none")
                kept = {name: text for name, text in kept.items() if secret not in text}
            return replace(built, path=path, headers=Headers(kept))

    if secrets:
        yield Faulty


def another_contact(right: ProviderContract) -> Iterator[FaultyClass]:
    class Faulty(right.provider):
        def build_request(self, command: Command) -> HttpRequest:
            contact = command.contact and OTHER_CONTACT
            return super().build_request(Command(command.action, contact))

    yield Faulty


def a_form_too_many(right: ProviderContract) -> Iterator[FaultyClass]:
    for form in set(ContactForm) - set(right.provider.contact_forms):

        class Faulty(right.provider):
            contact_forms = (*right.provider.contact_forms, form)

        yield Faulty


def a_form_too_few(right: ProviderContract) -> Iterator[FaultyClass]:
    for form in right.provider.contact_forms:

        class Faulty(right.provider):
            contact_forms = tuple(each for each in right.provider.contact_forms if each != form)

        yield Faulty


def counted_requests(right: ProviderContract) -> Iterator[FaultyClass]:
    class Faulty(right.provider):
        sent = 0

        def build_request(self, command: Command) -> HttpRequest:
            self.sent += 1
            return replace(super().build_request(command), query={"n": str(self.sent)})

    yield Faulty


def a_kept_contact(right: ProviderContract) -> Iterator[FaultyClass]:
    class Faulty(right.provider):
        kept: Contact | None = None

        def build_request(self, command: Command) -> HttpRequest:
            self.kept = self.kept or command.contact
            contact = command.contact and self.kept
            return super().build_request(Command(command.action, contact))

    yield Faulty


def a_kept_command(right: ProviderContract) -> Iterator[FaultyClass]:
    class Faulty(right.provider):
        kept: Command | None = None

        def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
            self.kept = self.kept or command
            kept = self.kept if self.kept.contact and command.contact else command
            return super().parse_success(kept, response)

    states = {
        exchange.command.action
        for exchange in right.exchanges
        if exchange.outcome.confirmation is Confirmation.PROVIDER_STATE
        and exchange.outcome.reading is None
    }
    if any(action.is_change for action in states):
        yield Faulty


def lengthened(document: Any) -> Any:
    """Return the document with a longer text in place of each text."""
    match document:
        case dict():
            return {key: lengthened(each) for key, each in document.items()}
        case list():
            return [lengthened(each) for each in document]
        case str():
            return f"{document} and more"
    return document


def a_rule_that_searches_a_text(right: ProviderContract) -> Iterator[FaultyClass]:
    for rule in right.provider.error_rules:
        if rule.where is None:
            continue
        bodies = {
            exchange.response.body.decode()
            for exchange in right.exchanges
            if right.rule_of(exchange) is rule
        }
        texts = {
            text
            for body in bodies
            for _, text in places(json.loads(body))
            if isinstance(text, str) and len(text) > 6
        }
        if not texts or not any(rule.where(lengthened(json.loads(body))) for body in bodies):
            continue  # a rule that compares whole texts is not weakened by a search

        def searches(document: Any, where: Any = rule.where, texts: Any = texts) -> bool:
            shown = "\n".join(str(text) for _, text in places(document) if isinstance(text, str))
            return bool(where(document)) and any(each in shown for each in texts)

        changed = replace(rule, where=searches)

        class Faulty(right.provider):
            error_rules = tuple(
                changed if each is rule else each for each in right.provider.error_rules
            )

        yield Faulty


def a_rule_too_few(right: ProviderContract) -> Iterator[FaultyClass]:
    for rule in right.provider.error_rules:
        plain = replace(rule, message="")
        if any(replace(plain, any_sender=each.any_sender) == each for each in HTTP_STATUS_RULES):
            continue  # without it, the shared rule has the same meaning

        class Faulty(right.provider):
            error_rules = tuple(each for each in right.provider.error_rules if each is not rule)

        yield Faulty


def a_code_too_few(right: ProviderContract) -> Iterator[FaultyClass]:
    for code in right.provider.error_codes:

        class Faulty(right.provider):
            error_codes = {
                each: meaning
                for each, meaning in right.provider.error_codes.items()
                if each != code
            }

        yield Faulty


def a_rule_too_many(right: ProviderContract) -> Iterator[FaultyClass]:
    class Faulty(right.provider):
        error_codes = {**right.provider.error_codes, "never-sent": (409, Code.PROVIDER_CONFLICT)}

    yield Faulty


def a_code_that_is_searched(right: ProviderContract) -> Iterator[FaultyClass]:
    class Faulty(right.provider):
        def parse_provider_code(self, document: Any) -> str | None:
            found = super().parse_provider_code(document)
            text = json.dumps(document)
            inside = (each for each in sorted(self.provider_codes()) if f"x{each}x" in text)
            return next(inside, found)

    if right.provider.provider_codes():
        yield Faulty


def a_verified_day_without_responses(right: ProviderContract) -> Iterator[FaultyClass]:
    class Faulty(right.provider):
        verified_on = "2026-11-01" if right.provider.verified_on is None else None

    yield Faulty


def a_bare_status_of_its_own(right: ProviderContract) -> Iterator[FaultyClass]:
    class Faulty(right.provider):
        def parse_response(self, command: Command, response: HttpResponse) -> Outcome:
            if response.status in (451, 511):
                return Outcome.failure(Code.OVERLOADED, upstream_status=response.status)
            return super().parse_response(command, response)

    yield Faulty


def a_status_kept_back(right: ProviderContract) -> Iterator[FaultyClass]:
    class Faulty(right.provider):
        def parse_response(self, command: Command, response: HttpResponse) -> Outcome:
            return replace(super().parse_response(command, response), upstream_status=None)

    yield Faulty


def a_memory_of_responses(right: ProviderContract) -> Iterator[FaultyClass]:
    class Faulty(right.provider):
        failed = False

        def parse_response(self, command: Command, response: HttpResponse) -> Outcome:
            read = super().parse_response(command, response)
            before, self.failed = self.failed, self.failed or not read.ok
            return Outcome.failure(Code.CIRCUIT_OPEN) if before and read.ok else read

    yield Faulty


def any_2xx_for_a_success(right: ProviderContract) -> Iterator[FaultyClass]:
    class Faulty(right.provider):
        def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
            return self.success(response, None if command.contact else ())

    yield Faulty


def a_boolean_without_a_check(right: ProviderContract) -> Iterator[FaultyClass]:
    class Faulty(right.provider):
        def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
            documents = [response.document, *(each for _, each in flipped(response.document))]
            parsed = (
                super(Faulty, self).parse_success(command, json_response(response.status, each))
                for each in documents
            )
            return next((each for each in parsed if each), None)

    states = [
        each.response.document
        for each in right.exchanges
        if each.outcome.confirmation is Confirmation.PROVIDER_STATE and each.outcome.reading is None
    ]
    if any(list(flipped(each)) for each in states):
        yield Faulty


def a_success_at_any_2xx(right: ProviderContract) -> Iterator[FaultyClass]:
    class Faulty(right.provider):
        def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
            statuses = (response.status, 200, 201)
            parsed = (
                super(Faulty, self).parse_success(command, response.at_status(each))
                for each in statuses
            )
            return next((each for each in parsed if each), None)

    successes = [each for each in right.exchanges if each.outcome.ok]
    if all(each.response.document and not each.several_statuses for each in successes):
        yield Faulty


def any_state_for_the_requested_one(right: ProviderContract) -> Iterator[FaultyClass]:
    class Faulty(right.provider):
        def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
            tried = [command]
            if command.contact:
                tried = [Command(each, command.contact) for each in (Action.BLOCK, Action.UNBLOCK)]
            parsed = (super(Faulty, self).parse_success(each, response) for each in tried)
            return next((each for each in parsed if each), None)

    states = {
        exchange.command.action
        for exchange in right.exchanges
        if exchange.outcome.confirmation is Confirmation.PROVIDER_STATE
        and exchange.outcome.reading is None
    }
    if any(action.is_change for action in states):
        yield Faulty


def an_exception_at_html(right: ProviderContract) -> Iterator[FaultyClass]:
    class Faulty(right.provider):
        def parse_response(self, command: Command, response: HttpResponse) -> Outcome:
            if response.body.startswith(b"<!doctype"):
                raise ValueError("no JSON")
            return super().parse_response(command, response)

    yield Faulty


def a_success_beside_an_error(right: ProviderContract) -> Iterator[FaultyClass]:
    class Faulty(right.provider):
        def parse_response(self, command: Command, response: HttpResponse) -> Outcome:
            document = response.document
            if isinstance(document, dict) and "errors" in document:
                kept = {key: each for key, each in document.items() if key != "errors"}
                return super().parse_response(command, json_response(response.status, kept))
            return super().parse_response(command, response)

    successes = [each.response.document for each in right.exchanges if each.outcome.ok]
    if any(isinstance(each, dict) for each in successes):
        yield Faulty


def a_refusal_that_is_never_doubted(right: ProviderContract) -> Iterator[FaultyClass]:
    class Faulty(right.provider):
        def shows_success(self, command: Command, response: HttpResponse) -> bool:
            return False

    if right.provider.name in ("wuts", "evolution-api", "whapi"):
        yield Faulty


def a_named_contact_without_a_check(right: ProviderContract) -> Iterator[FaultyClass]:
    class Faulty(right.provider):
        def parse_named_contact(self, command: Command, document: Any) -> Contact | None:
            return None

    if right.provider.parse_named_contact is not Provider.parse_named_contact:
        yield Faulty


def a_list_of_persons_only(right: ProviderContract) -> Iterator[FaultyClass]:
    class Faulty(right.provider):
        def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
            read = super().parse_success(command, response)
            return None if read and read.others else read

    if right.provider.name in ("wuts", "evolution-go", "memory"):
        yield Faulty


def a_list_with_entries_only(right: ProviderContract) -> Iterator[FaultyClass]:
    class Faulty(right.provider):
        def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
            read = super().parse_success(command, response)
            return None if read and read.contacts == () else read

    if Action.LIST in right.provider.actions():
        yield Faulty


def a_host_that_is_looked_up(right: ProviderContract) -> Iterator[FaultyClass]:
    class Faulty(right.provider):
        def parse_response(self, command: Command, response: HttpResponse) -> Outcome:
            with contextlib.suppress(OSError):
                socket.getaddrinfo("127.0.0.1", 9)
            return super().parse_response(command, response)

    yield Faulty


def an_own_code_for_a_redirect(right: ProviderContract) -> Iterator[FaultyClass]:
    class Faulty(right.provider):
        def parse_response(self, command: Command, response: HttpResponse) -> Outcome:
            if response.status == 304:
                return Outcome.failure(Code.PROVIDER_BAD_RESPONSE, upstream_status=304)
            return super().parse_response(command, response)

    yield Faulty


def a_search_in_texts(right: ProviderContract) -> Iterator[FaultyClass]:
    class Faulty(right.provider):
        def parse_response(self, command: Command, response: HttpResponse) -> Outcome:
            if response.status >= 400 and b"404" in response.body:
                return Outcome.failure(Code.SESSION_NOT_FOUND, upstream_status=response.status)
            return super().parse_response(command, response)

    yield Faulty


def the_first_page_alone(right: ProviderContract) -> Iterator[FaultyClass]:
    class Faulty(right.provider):
        def build_next_page(self, command: Command, response: HttpResponse) -> HttpRequest | None:
            return None

    if any(exchange.next for exchange in right.exchanges):
        yield Faulty


def pages_without_end(right: ProviderContract) -> Iterator[FaultyClass]:
    class Faulty(right.provider):
        def build_next_page(self, command: Command, response: HttpResponse) -> HttpRequest | None:
            return self.build_request(command)

    if Action.LIST in right.provider.actions():
        yield Faulty


def an_action_kept_back(right: ProviderContract) -> Iterator[FaultyClass]:
    class Faulty(right.provider):
        @classmethod
        def actions(cls) -> frozenset[Action]:
            return super().actions() - {Action.UNBLOCK}

    yield Faulty


def options_of_any_name(right: ProviderContract) -> Iterator[FaultyClass]:
    class Lax(right.provider.Options):
        class Meta:
            unknown = INCLUDE

    class Faulty(right.provider):
        Options = Lax

    yield Faulty


def a_secret_and_a_number_in_an_error(right: ProviderContract) -> Iterator[FaultyClass]:
    secrets = right.secrets

    class Faulty(right.provider):
        shown = ""

        def parse_response(self, command: Command, response: HttpResponse) -> Outcome:
            read = super().parse_response(command, response)
            return read if read.ok else replace(read, fields={"number": (self.shown,)})

    class ShowsASecret(Faulty):
        shown = " ".join(secrets.values())

    class ShowsANumber(Faulty):
        def parse_response(self, command: Command, response: HttpResponse) -> Outcome:
            self.shown = str(command.contact and command.contact.number)
            return super().parse_response(command, response)

    yield ShowsANumber
    if secrets:
        yield ShowsASecret


def a_secret_in_the_query(right: ProviderContract) -> Iterator[FaultyClass]:
    secrets = right.secrets

    class Faulty(right.provider):
        def build_request(self, command: Command) -> HttpRequest:
            return replace(super().build_request(command), query=secrets)

    if secrets:
        yield Faulty


def a_dialect_that_mistakes_the_contact(right: ProviderContract) -> Iterator[FaultyClass]:
    if right.tested_dialect is not None:

        class Faulty(right.tested_dialect):
            def parse_request(self, request: HttpRequest) -> DialectRequest:
                call = super().parse_request(request)
                contact = call.command.contact and OTHER_CONTACT
                return replace(call, command=Command(call.command.action, contact))

        yield Faulty


def a_dialect_with_one_error_for_all(right: ProviderContract) -> Iterator[FaultyClass]:
    if right.tested_dialect is not None:

        class Faulty(right.tested_dialect):
            def write_error(self, rule: ErrorRule, *_: Any) -> HttpResponse:
                return json_response(400, {})

        yield Faulty


def a_whole_response_as_the_part_of_each(right: ProviderContract) -> Iterator[FaultyClass]:
    class Faulty(right.provider):
        def split_response(
            self, commands: Sequence[Command], response: HttpResponse
        ) -> list[HttpResponse]:
            return [response.narrowed(response.status, response.document) for _ in commands]

    if right.provider.max_contacts > 1:
        yield Faulty


FAULTS: dict[Callable[[ProviderContract], Iterator[FaultyClass]], tuple[str, ...]] = {
    wrong_path: ("test_every_request_is_the_recorded_one",),
    no_credential: ("test_every_request_is_the_recorded_one",),
    another_contact: ("test_a_contact_is_named_in_the_declared_forms",),
    a_form_too_many: ("test_a_contact_is_named_in_the_declared_forms",),
    a_form_too_few: (
        "test_a_contact_is_named_in_the_declared_forms",
        "test_every_request_is_the_recorded_one",
    ),
    counted_requests: ("test_the_same_command_makes_the_same_request",),
    a_kept_contact: ("test_the_same_command_makes_the_same_request",),
    a_kept_command: ("test_a_response_parsed_twice_has_the_same_outcome",),
    a_rule_that_searches_a_text: ("test_a_rule_compares_whole_texts",),
    a_rule_too_few: ("test_every_response_is_parsed_as_recorded",),
    a_code_too_few: ("test_every_response_is_parsed_as_recorded",),
    a_rule_too_many: ("test_every_rule_and_every_action_has_a_response",),
    a_code_that_is_searched: ("test_a_provider_code_inside_a_text_is_not_read",),
    a_verified_day_without_responses: ("test_the_verified_day_is_the_day_of_the_live_responses",),
    a_bare_status_of_its_own: ("test_a_bare_status_has_the_shared_meaning",),
    a_status_kept_back: ("test_every_response_is_parsed_as_recorded",),
    a_memory_of_responses: ("test_a_response_parsed_twice_has_the_same_outcome",),
    any_2xx_for_a_success: ("test_a_success_needs_all_of_its_evidence",),
    a_success_at_any_2xx: ("test_a_success_needs_all_of_its_evidence",),
    a_boolean_without_a_check: ("test_every_boolean_of_a_success_is_checked_or_ignored",),
    any_state_for_the_requested_one: ("test_a_response_to_another_command_is_a_failure",),
    an_exception_at_html: ("test_a_hostile_response_is_a_failure_and_raises_nothing",),
    a_success_beside_an_error: ("test_a_success_with_an_error_in_it_is_a_failure",),
    a_refusal_that_is_never_doubted: (
        "test_a_refusal_with_a_success_in_it_is_uncertain",
        "test_every_response_is_parsed_as_recorded",
    ),
    a_named_contact_without_a_check: ("test_a_response_about_another_contact_is_a_failure",),
    a_list_of_persons_only: ("test_list_entries_that_are_not_persons_are_counted",),
    a_list_with_entries_only: (
        "test_an_empty_list_is_a_success",
        "test_every_response_is_parsed_as_recorded",
    ),
    a_host_that_is_looked_up: ("test_a_provider_uses_no_network_and_writes_no_file",),
    an_own_code_for_a_redirect: ("test_a_redirect_is_a_failure",),
    a_search_in_texts: ("test_digits_in_a_text_change_no_outcome",),
    a_whole_response_as_the_part_of_each: (
        "test_a_response_to_many_contacts_proves_of_each_what_it_proves_alone",
    ),
    the_first_page_alone: ("test_every_page_leads_to_the_recorded_next_page",),
    pages_without_end: ("test_every_page_leads_to_the_recorded_next_page",),
    an_action_kept_back: ("test_an_undeclared_action_sends_nothing",),
    options_of_any_name: ("test_a_wrong_option_is_refused_by_name",),
    a_secret_and_a_number_in_an_error: ("test_secrets_and_numbers_stay_out_of_every_text",),
    a_secret_in_the_query: ("test_secrets_are_sent_in_headers_or_the_path_only",),
    a_dialect_that_mistakes_the_contact: ("test_the_dialect_parses_what_the_provider_builds",),
    a_dialect_with_one_error_for_all: ("test_the_provider_parses_what_the_dialect_builds",),
    an_error_for_a_number_not_on_whatsapp: ("test_a_bare_status_has_the_shared_meaning",),
    a_number_that_is_missing_for_one_not_on_whatsapp: ("test_a_success_needs_all_of_its_evidence",),
    a_lookup_of_another_number: (
        "test_a_success_needs_all_of_its_evidence",
        "test_every_response_is_parsed_as_recorded",
    ),
    a_missing_entry_for_a_contact_not_blocked: (
        "test_a_success_needs_all_of_its_evidence",
        "test_every_response_is_parsed_as_recorded",
    ),
    an_earlier_read: ("test_a_response_parsed_twice_has_the_same_outcome",),
    a_session_that_is_connected_by_default: ("test_a_success_needs_all_of_its_evidence",),
}
"""Each fault with the clauses one of which must find it."""

NOT_EVERYWHERE = {
    no_credential: "providers with a credential",
    a_secret_in_the_query: "providers with a credential",
    a_form_too_many: "providers that do not use all forms",
    a_kept_command: "providers that return the state",
    a_rule_that_searches_a_text: "providers with a rule for a body with a text",
    a_rule_too_few: "providers with error rules of their own",
    a_code_too_few: "providers with provider codes",
    a_code_that_is_searched: "providers with provider codes",
    a_success_at_any_2xx: "providers whose successes have bodies, and one status",
    a_boolean_without_a_check: "providers whose success has the state as a boolean",
    any_state_for_the_requested_one: "providers that return the state",
    a_success_beside_an_error: "providers whose success has a body",
    a_refusal_that_is_never_doubted: "providers whose refusals and successes have bodies",
    a_named_contact_without_a_check: "providers that name the contact",
    a_list_of_persons_only: "providers whose list holds JIDs",
    a_list_with_entries_only: "providers with a list",
    a_whole_response_as_the_part_of_each: "providers with requests for many contacts",
    the_first_page_alone: "providers whose list has pages",
    pages_without_end: "providers with a list",
    a_dialect_that_mistakes_the_contact: "providers with a dialect",
    a_dialect_with_one_error_for_all: "providers with a dialect",
    an_error_for_a_number_not_on_whatsapp: "providers with a lookup",
    a_number_that_is_missing_for_one_not_on_whatsapp: "providers with a lookup",
    a_lookup_of_another_number: "providers with a lookup",
    a_missing_entry_for_a_contact_not_blocked: "providers whose changes return the list, or states",
    an_earlier_read: "providers with a read",
    a_session_that_is_connected_by_default: "providers with a status",
}
"""The faults that not every provider can have, and which providers can."""

SET_UP = "test_the_set_up_and_the_answers_files_are_valid"
"""The one clause that a fault of a provider's code does not concern."""


@pytest.mark.parametrize("name", CONTRACTS)
def test_the_contract_of_a_provider_finds_every_planted_fault(name: str) -> None:
    overlooked = []
    for fault, clauses in FAULTS.items():
        planted = list(fault(contract_of(name)))
        assert planted or fault in NOT_EVERYWHERE, fault.__name__
        for number, faulty in enumerate(planted, 1):
            contract = contract_with(name, faulty)
            if not any(finds_a_fault(contract, clause) for clause in clauses):
                overlooked.append(f"{fault.__name__} {number} of {len(planted)}")
    assert overlooked == []


@pytest.mark.parametrize("name", CONTRACTS)
def test_without_a_fault_the_same_clauses_find_nothing(name: str) -> None:
    for clause in {clause for clauses in FAULTS.values() for clause in clauses}:
        assert not finds_a_fault(contract_with(name, contract_of(name).provider), clause), clause


def test_every_fault_is_planted_somewhere_and_every_clause_has_one() -> None:
    for fault in FAULTS:
        assert any(list(fault(contract_of(name))) for name in CONTRACTS), fault.__name__
    clauses = {clause for clauses in FAULTS.values() for clause in clauses}
    assert clauses == set(ProviderContract.clauses()) - {SET_UP}
