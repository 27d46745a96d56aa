"""The contract kit finds what it promises to find: faults are planted, each clause must fail."""

from __future__ import annotations

import copy
import json
import logging
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from marshmallow import INCLUDE, Schema, ValidationError, fields

import adapter
from adapter import (
    Action,
    Code,
    Confirmation,
    Contact,
    ContactError,
    ContactForm,
    Dialect,
    DialectRequest,
    ErrorRule,
    Headers,
    HttpRequest,
    HttpResponse,
    Outcome,
    Provenance,
    Provider,
    Route,
    SecretField,
    json_response,
    read_contact,
    read_contacts,
    read_object,
    require_number,
    session_field,
)
from adapter.results import Command
from adapter.testing import contract as testing
from adapter.testing.contract import ProviderContract

REQUEST = "test_every_request_is_the_recorded_one"
PURE_REQUEST = "test_the_same_command_makes_the_same_request"
NAMES = "test_a_contact_is_named_in_the_declared_forms"
ANSWER = "test_every_answer_is_read_as_recorded"
PURE_ANSWER = "test_an_answer_read_twice_is_read_the_same"
COMPLETE = "test_every_row_and_every_action_has_an_answer"
CLAIMS = "test_no_row_claims_more_than_its_answers_prove"
PROVEN = "test_the_proven_day_is_the_day_of_the_live_answers"
BARE_STATUS = "test_a_bare_status_means_what_it_means_for_every_provider"
PAGES = "test_every_page_of_a_list_leads_to_the_recorded_next_one"
EVIDENCE = "test_a_success_needs_all_of_its_evidence"
HOSTILE = "test_a_hostile_answer_is_no_success_and_raises_nothing"
OTHER_COMMAND = "test_the_answer_to_another_command_is_no_success"
BESIDE = "test_an_error_beside_a_success_is_no_success"
CONTRADICTION = "test_a_refusal_that_shows_a_success_is_not_certain"
OTHER_CONTACT = "test_a_response_about_another_contact_is_no_success"
NOT_PERSONS = "test_list_entries_that_are_not_persons_are_counted"
REDIRECT = "test_a_redirect_is_never_an_answer"
DIGITS = "test_digits_in_a_text_change_no_outcome"
UNDECLARED = "test_nothing_is_sent_for_an_action_that_is_not_declared"
OPTIONS = "test_options_are_refused_by_name"
PRIVACY = "test_secrets_and_numbers_stay_out_of_every_text"
SECRET_PLACE = "test_the_secret_travels_in_headers_or_path_only"
DIALECT_READS = "test_the_dialect_reads_what_the_provider_writes"
DIALECT_WRITES = "test_the_provider_reads_what_the_dialect_writes"

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("few_statuses")]

CLAUSES = {name for name in dir(ProviderContract) if name.startswith("test_")}

log = logging.getLogger("toy")


def is_refusal(document: Any) -> bool:
    return isinstance(document, dict) and document.get("refused") is True


class Toy(Provider):
    """A correct provider of nobody, for faults to be planted in."""

    name = "toy"
    title = "Toy"
    confirmation = Confirmation.PROVIDER_STATE
    routes: ClassVar[tuple[Route, ...]] = (
        Route(Action.BLOCK, "POST", "/block"),
        Route(Action.UNBLOCK, "POST", "/unblock"),
    )
    error_rules: ClassVar[tuple[ErrorRule, ...]] = (
        ErrorRule(Code.SESSION_NOT_CONNECTED, 409, "asleep", proof=Provenance.INFERRED),
        ErrorRule(Code.TARGET_REJECTED, 200, where=is_refusal),
    )

    class Options(Schema):
        key = SecretField(required=True)
        session = session_field()

    def build_request(self, command: Command) -> HttpRequest:
        assert command.contact
        route = self.route(command.action)
        headers = Headers({"X-Key": self.options["key"].reveal()})
        body = {"who": self.name_contact(command.contact), "session": self.options["session"]}
        return HttpRequest(route.method, route.template, headers, json=body)

    def parse_provider_code(self, document: Any) -> str | None:
        match document:
            case {"error": str(code)}:
                return code
        return None

    def is_own_error(self, response: HttpResponse) -> bool:
        match response.document:
            case {"error": str() | None, "refused": bool()} | {"error": str()}:
                return True
        return False

    def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
        match response.document:
            case {"blocked": bool(blocked)} if blocked is command.blocked:
                return Outcome.success(self.confirmation, upstream_status=response.status)
        return None


class ToyDialect(Dialect):
    provider = Toy

    def parse_credential(self, request: HttpRequest) -> str | None:
        return request.headers.get("X-Key")

    def parse_request(self, request: HttpRequest) -> DialectRequest:
        route, _ = self.match(request)
        body = read_object(request)
        contact = read_contact(jid=body.get("who"))
        return DialectRequest(Command(route.action, contact), body.get("session"))

    def write_success(self, call: DialectRequest, outcome: Outcome) -> HttpResponse:
        return json_response(200, {"blocked": call.command.blocked})

    def write_error(self, rule: ErrorRule, outcome: Outcome, call: Any, now: Any) -> HttpResponse:
        return json_response(
            rule.status, {"error": rule.provider_code, "refused": rule.where is not None}
        )


JID = "5511999999999@s.whatsapp.net"
LID = "205227043110953@lid"


def exchange(
    action: str, answer: dict[str, Any], contact: str = JID, **outcome: Any
) -> dict[str, Any]:
    return {
        "title": f"{action} {contact}: {json.dumps(answer)}",
        "source": "https://toy.example/docs",
        "date": "2026-11",
        "proof": "documented",
        "command": {"action": action, "contact": contact},
        "request": {
            "method": "POST",
            "path": f"/{action}",
            "headers": {"X-Key": "<key>"},
            "json": {"who": contact, "session": "main"},
        },
        "answer": answer,
        "outcome": outcome,
        **({} if "code" in outcome else {"evidence": ["/blocked"]}),
    }


def right_answers() -> list[dict[str, Any]]:
    done = {"confirmation": "provider_state"}
    asleep = exchange(
        "block",
        {"status": 409, "body": {"error": "asleep", "hint": "wake it"}},
        code="session_not_connected",
        provider_code="asleep",
    )
    return [
        exchange("block", {"status": 200, "body": {"blocked": True, "size": 3}}, **done),
        exchange("unblock", {"status": 200, "body": {"blocked": False}}, **done),
        {**asleep, "proof": "inferred"},
        exchange("block", {"status": 200, "body": {"refused": True}}, code="target_rejected"),
        exchange("block", {"status": 500, "body": {"hint": "later"}}, LID, code="provider_error"),
    ]


def write_answers(folder: Path, answers: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "answers.json").write_text(json.dumps({"exchanges": answers}))
    return folder


def failures(contract: type[ProviderContract]) -> dict[str, str]:
    """Run each clause as pytest does, on an object of its own; return what the failed ones say."""
    found = {}
    for name in sorted(CLAUSES):
        try:
            getattr(contract(), name)()
        except AssertionError as error:
            found[name] = str(error)
    return found


def contract_for(
    folder: Path,
    provider: type[Provider] = Toy,
    dialect: type[Dialect] | None = None,
    options: Mapping[str, Any] | None = None,
) -> type[ProviderContract]:
    attributes: dict[str, Any] = {"provider": provider, "dialect": dialect, "answers": folder}
    attributes["options"] = {"session": "main"} if options is None else options
    return type("Contract", (ProviderContract,), attributes)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_answers(tmp_path / "toy", right_answers())


def test_a_correct_provider_with_its_dialect_keeps_every_clause(folder: Path) -> None:
    assert failures(contract_for(folder, Toy, ToyDialect)) == {}


def test_a_correct_provider_without_a_dialect_keeps_every_clause(folder: Path) -> None:
    class Alone(Toy):
        pass

    assert failures(contract_for(folder, Alone)) == {}


# -- faulty providers


class WrongPath(Toy):
    routes = (Route(Action.BLOCK, "POST", "/blocks"), Route(Action.UNBLOCK, "POST", "/unblock"))


class WrongCredentialHeader(Toy):
    def build_request(self, command: Command) -> HttpRequest:
        right = super().build_request(command)
        headers = Headers({"X-Api-Key": right.headers["X-Key"]})
        return HttpRequest(right.method, right.path, headers, json=right.json)


class SendsMoreThanRecorded(Toy):
    def build_request(self, command: Command) -> HttpRequest:
        right = super().build_request(command)
        return HttpRequest(right.method, right.path, right.headers, {"v": "2"}, right.json)


class CannotBuildARequest(Toy):
    def build_request(self, command: Command) -> HttpRequest:
        raise KeyError("nobody")


class CountsItsRequests(Toy):
    sent = 0

    def build_request(self, command: Command) -> HttpRequest:
        right = super().build_request(command)
        self.sent += 1
        headers = Headers({**right.headers, **({"X-Again": "1"} if self.sent > 1 else {})})
        return HttpRequest(right.method, right.path, headers, json=right.json)


class NamesAFormThatItNeverUses(Toy):
    contact_forms = (*Toy.contact_forms, ContactForm.CHAT_ID)


class UsesAFormThatItDoesNotName(Toy):
    contact_forms = (ContactForm.JID,)

    def name_contact(self, contact: Contact, *forms: ContactForm) -> str:
        return str(contact.jid)


class NamesTheContactInNoWay(Toy):
    def build_request(self, command: Command) -> HttpRequest:
        assert command.contact
        right = super().build_request(command)
        known = command.contact.jid in (JID, LID)
        body = right.json if known else {**right.json, "who": "somebody"}
        return HttpRequest(right.method, right.path, right.headers, json=body)


class ChokesOnALid(Toy):
    contact_forms = (ContactForm.JID,)

    def build_request(self, command: Command) -> HttpRequest:
        assert command.contact
        if command.contact.number is None:
            raise ValueError("no number")
        return super().build_request(command)


class ClaimsThatAGuessIsDocumented(Toy):
    error_rules = tuple(replace(rule, proof=Provenance.DOCUMENTED) for rule in Toy.error_rules)


class ClaimsToBeProven(Toy):
    verified_on = "2026-11-22"


class MisreadsARow(Toy):
    def parse_response(self, command: Command, response: HttpResponse) -> Outcome:
        read = super().parse_response(command, response)
        if read.provider_code == "asleep":
            return Outcome.failure(
                Code.SESSION_NOT_FOUND, upstream_status=409, provider_code="asleep"
            )
        return read


class HidesTheUpstreamStatus(Toy):
    def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
        read = super().parse_success(command, response)
        return read and Outcome.success(Confirmation.PROVIDER_STATE)


class RemembersSleep(Toy):
    asleep = False

    def parse_response(self, command: Command, response: HttpResponse) -> Outcome:
        read = super().parse_response(command, response)
        self.asleep = self.asleep or read.provider_code == "asleep"
        return Outcome.failure(Code.SESSION_NOT_CONNECTED) if self.asleep and read.ok else read


class HasARowThatNothingReaches(Toy):
    error_rules = (*Toy.error_rules, ErrorRule(Code.PROVIDER_CONFLICT, 409, "busy"))


class SupportsAnActionThatNobodyRecorded(Toy):
    routes = (*Toy.routes, Route(Action.LIST, "GET", "/list"))

    def build_request(self, command: Command) -> HttpRequest:
        if command.action is Action.LIST:
            headers = Headers({"X-Key": self.options["key"].reveal()})
            return HttpRequest("GET", "/list", headers)
        return super().build_request(command)

    def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
        return super().parse_success(command, response) if command.contact else None


class TakesA404ForTheSession(Toy):
    def parse_response(self, command: Command, response: HttpResponse) -> Outcome:
        read = super().parse_response(command, response)
        if response.status == 404:
            return Outcome.failure(Code.SESSION_NOT_FOUND, upstream_status=404)
        return read


class TakesTruthForTrue(Toy):
    def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
        match response.document:
            case {"blocked": blocked} if bool(blocked) is command.blocked:
                return Outcome.success(Confirmation.PROVIDER_STATE, upstream_status=response.status)
        return None


class TakesAnyYes(Toy):
    def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
        if response.status != 200 or not isinstance(response.document, dict):
            return None
        return Outcome.success(Confirmation.PROVIDER_STATE, upstream_status=200)


class ReadsLaxJson(Toy):
    def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
        try:
            document = json.loads(response.body)
        except ValueError:
            return None
        return super().parse_success(command, json_response(response.status, document))


class RaisesOnBytes(Toy):
    def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
        response.body.decode("utf-8")
        return super().parse_success(command, response)


class TakesAStateAtAnyStatus(Toy):
    def parse_response(self, command: Command, response: HttpResponse) -> Outcome:
        redirected = 300 <= response.status <= 399
        success = None if redirected else self.parse_success(command, response)
        return success or super().parse_response(command, response)


class TakesTheStateThatWasNotAsked(Toy):
    def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
        match response.document:
            case {"blocked": bool(), "size": int()}:
                pass
            case {"blocked": False}:
                pass
            case _:
                return None
        return Outcome.success(Confirmation.PROVIDER_STATE, upstream_status=response.status)


class BelievesASuccessBesideAnError(Toy):
    def parse_response(self, command: Command, response: HttpResponse) -> Outcome:
        if response.status == 200 and isinstance(response.document, dict):
            kept = {key: each for key, each in response.document.items() if key == "blocked"}
            if kept and "error" in response.document:
                return super().parse_response(command, json_response(200, kept))
        return super().parse_response(command, response)


class BelievesARefusalThatShowsASuccess(Toy):
    def shows_success(self, command: Command, response: HttpResponse) -> bool:
        return False


class ReadsARedirect(Toy):
    def parse_response(self, command: Command, response: HttpResponse) -> Outcome:
        if response.status == 304:
            return Outcome.failure(Code.PROVIDER_BAD_RESPONSE, upstream_status=304)
        return super().parse_response(command, response)


class SearchesTheText(Toy):
    def parse_response(self, command: Command, response: HttpResponse) -> Outcome:
        if response.status >= 400 and b"429" in response.body:
            return Outcome.failure(Code.PROVIDER_RATE_LIMITED, upstream_status=response.status)
        return super().parse_response(command, response)


class ClaimsToList(Toy):
    @classmethod
    def actions(cls) -> frozenset[Action]:
        return frozenset(Action)


class TakesAnyOption(Toy):
    class Options(Toy.Options):
        class Meta:
            unknown = INCLUDE


class TakesASecretInClear(Toy):
    class Options(Toy.Options):
        password = fields.String(load_default="")


class TakesAKeyInClear(Toy):
    class Key(SecretField):
        def _deserialize(self, value: Any, *rest: Any, **more: Any) -> Any:
            given = {"env": "PATH"} if isinstance(value, str) else value
            return super()._deserialize(given, *rest, **more)

    class Options(Toy.Options):
        key = SecretField(required=True)

    Options._declared_fields["key"] = Key(required=True)


class NeedsWhatItDoesNotRequire(Toy):
    class Options(Toy.Options):
        region = fields.String()

    def build_request(self, command: Command) -> HttpRequest:
        assert self.options["region"]
        return super().build_request(command)


class ChokesOnAnOption(Toy):
    class Options(Toy.Options):
        limit = fields.Raw(load_default=1)

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        self.limit = int(options["limit"])


class ShowsItsKey(Toy):
    def __repr__(self) -> str:
        return f"Toy({self.options['key'].reveal()})"


class LogsTheContact(Toy):
    def build_request(self, command: Command) -> HttpRequest:
        right = super().build_request(command)
        log.debug("sending %s", right.json)
        return right


class PrintsTheAnswer(Toy):
    def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
        print(response.body)  # noqa: T201 - the planted fault
        return super().parse_success(command, response)


def echo_the_value(value: str) -> None:
    if " " in value:
        raise ValidationError(f"{value} is not good")


class EchoesAWrongOption(Toy):
    class Options(Toy.Options):
        label = fields.String(load_default="", validate=echo_the_value)


class RepeatsUpstreamTexts(Toy):
    def parse_response(self, command: Command, response: HttpResponse) -> Outcome:
        read = super().parse_response(command, response)
        code = self.parse_provider_code(response.document)
        if read.ok or read.code is Code.PROVIDER_REDIRECTED:
            return read
        assert read.code
        return Outcome.failure(read.code, upstream_status=response.status, provider_code=code)


class WaitsForYears(Toy):
    def parse_response(self, command: Command, response: HttpResponse) -> Outcome:
        read = super().parse_response(command, response)
        if read.code is Code.PROVIDER_ERROR and response.status != 500:
            return Outcome.failure(read.code, retry_after=10**6, upstream_status=response.status)
        return read


FAULTY_PROVIDERS: list[tuple[type[Toy], set[str]]] = [
    (WrongPath, {REQUEST}),
    (CannotBuildARequest, {REQUEST, NAMES, OPTIONS}),
    (WrongCredentialHeader, {REQUEST}),
    (SendsMoreThanRecorded, {REQUEST}),
    (CountsItsRequests, {PURE_REQUEST}),
    (NamesAFormThatItNeverUses, {NAMES}),
    (UsesAFormThatItDoesNotName, {NAMES}),
    (NamesTheContactInNoWay, {NAMES}),
    (ChokesOnALid, {NAMES, REQUEST}),
    (ClaimsThatAGuessIsDocumented, {CLAIMS}),
    (ClaimsToBeProven, {PROVEN}),
    (MisreadsARow, {ANSWER}),
    (HidesTheUpstreamStatus, {ANSWER}),
    (RemembersSleep, {PURE_ANSWER}),
    (HasARowThatNothingReaches, {COMPLETE}),
    (SupportsAnActionThatNobodyRecorded, {COMPLETE}),
    (TakesA404ForTheSession, {BARE_STATUS}),
    (TakesTruthForTrue, {EVIDENCE}),
    (TakesAnyYes, {EVIDENCE, HOSTILE, OTHER_COMMAND, ANSWER, BARE_STATUS}),
    (ReadsLaxJson, {HOSTILE}),
    (RaisesOnBytes, {HOSTILE}),
    (TakesAStateAtAnyStatus, {HOSTILE, BESIDE, CONTRADICTION}),
    (BelievesASuccessBesideAnError, {BESIDE}),
    (BelievesARefusalThatShowsASuccess, {CONTRADICTION}),
    (WaitsForYears, {HOSTILE}),
    (TakesTheStateThatWasNotAsked, {EVIDENCE, HOSTILE, OTHER_COMMAND}),
    (ReadsARedirect, {REDIRECT}),
    (SearchesTheText, {DIGITS}),
    (ClaimsToList, {UNDECLARED}),
    (TakesAnyOption, {OPTIONS}),
    (TakesASecretInClear, {OPTIONS}),
    (TakesAKeyInClear, {OPTIONS}),
    (NeedsWhatItDoesNotRequire, {OPTIONS}),
    (ChokesOnAnOption, {OPTIONS, PRIVACY}),  # int() repeats what it was given
    (ShowsItsKey, {PRIVACY}),
    (LogsTheContact, {PRIVACY}),
    (PrintsTheAnswer, {PRIVACY}),
    (EchoesAWrongOption, {PRIVACY}),
    (RepeatsUpstreamTexts, {PRIVACY, DIGITS}),
]


@pytest.mark.parametrize(
    ("faulty", "caught_by"),
    FAULTY_PROVIDERS,
    ids=lambda each: each.__name__ if isinstance(each, type) else "",
)
def test_a_faulty_provider_is_caught_by_the_clause_for_its_fault(
    folder: Path, faulty: type[Toy], caught_by: set[str]
) -> None:
    options = {"session": "main"}
    if "region" in faulty.Options().fields:
        options["region"] = "BR"
    assert set(failures(contract_for(folder, faulty, options=options))) == caught_by


def test_a_secret_in_the_query_is_caught_even_where_it_is_recorded(tmp_path: Path) -> None:
    class SendsItsKeyInTheQuery(Toy):
        def build_request(self, command: Command) -> HttpRequest:
            right = super().build_request(command)
            query = {"key": self.options["key"].reveal()}
            return HttpRequest(right.method, right.path, Headers(), query, right.json)

    answers = right_answers()
    for each in answers:
        each["request"].update(headers={}, query={"key": "<key>"})
    folder = write_answers(tmp_path / "toy", answers)
    found = failures(contract_for(folder, SendsItsKeyInTheQuery))
    assert set(found) == {SECRET_PLACE}
    assert "key stands in the query" in found[SECRET_PLACE]


def test_a_provider_that_claims_a_state_which_no_answer_shows_is_caught(tmp_path: Path) -> None:
    class ClaimsAState(Toy):
        def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
            if response.document != {"done": True}:
                return None
            return Outcome.success(Confirmation.PROVIDER_STATE, upstream_status=response.status)

    answers = right_answers()
    for each in answers[:2]:
        each["answer"]["body"] = {"done": True}
        each["evidence"] = ["/done"]
    folder = write_answers(tmp_path / "toy", answers)
    found = failures(contract_for(folder, ClaimsAState))
    assert {OTHER_COMMAND} <= set(found) <= {OTHER_COMMAND, EVIDENCE}
    assert "it shows another state" in found[OTHER_COMMAND]


def test_a_provider_that_does_not_look_at_the_named_contact_is_caught(tmp_path: Path) -> None:
    class Named(Toy):
        def parse_named_contact(self, command: Command, document: Any) -> Contact | None:
            match document:
                case {"who": str(jid)}:
                    return Contact.from_jid(jid)
                case {"who": _}:
                    raise ContactError("who", "is no text")
            return None

    answers = right_answers()
    for each in answers[:2]:
        each["answer"]["body"]["who"] = JID
        each["evidence"].append("/who?")
    folder = write_answers(tmp_path / "toy", answers)
    assert failures(contract_for(folder, Named)) == {}
    found = failures(contract_for(folder, type("Unnamed", (Toy,), {})))
    assert set(found) == {EVIDENCE, OTHER_CONTACT}
    assert "with another contact at /who" in found[OTHER_CONTACT]


def test_a_list_that_a_group_makes_unreadable_is_caught(tmp_path: Path) -> None:
    class KnowsPersonsOnly(Lister):
        def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
            read = super().parse_success(command, response)
            return None if read and read.others else read

    folder = write_answers(tmp_path / "toy", paged_answers())
    found = failures(contract_for(folder, KnowsPersonsOnly))
    assert set(found) == {NOT_PERSONS}
    assert "with groups at /people" in found[NOT_PERSONS]


def test_a_provider_that_knows_numbers_only_refuses_a_lid_before_anything_is_sent(
    tmp_path: Path,
) -> None:
    class KnowsNumbers(Toy):
        contact_forms = (ContactForm.JID,)

        def build_request(self, command: Command) -> HttpRequest:
            assert command.contact
            require_number(command.contact)
            return super().build_request(command)

    answers = [each for each in right_answers() if each["command"]["contact"] != LID]
    folder = write_answers(tmp_path / "toy", answers)
    assert failures(contract_for(folder, KnowsNumbers)) == {}
    found = failures(contract_for(folder, type("KnowsLids", (Toy,), {})))
    assert set(found) == {NAMES}
    assert "no recorded request names a contact by @lid" in found[NAMES]


@pytest.mark.parametrize(
    ("number", "sent", "forms"),
    [
        ("5511999999999", "+5511999999999", {ContactForm.DIGITS}),
        ("5511999999999", "5511999999999@c.us", {ContactForm.CHAT_ID}),
        ("5511999999999", "5511999999999@s.whatsapp.net", {ContactForm.JID}),
        ("5511999999999", "15511999999999", set()),
        ("5511999999999", "5511999999999.0", set()),
    ],
)
@pytest.mark.parametrize("place", ["path", "quoted path", "query", "body", "deep body"])
def test_a_contact_is_found_where_it_stands_alone_in_a_request(
    number: str, sent: str, forms: set[ContactForm], place: str
) -> None:
    request = {
        "path": HttpRequest("POST", f"/c/{sent}/block"),
        "quoted path": HttpRequest("POST", f"/c/{sent.replace('@', '%40')}"),
        "query": HttpRequest("POST", "/c", query={"who": sent}),
        "body": HttpRequest("POST", "/c", json={"who": sent}),
        "deep body": HttpRequest("POST", "/c", json={"users": [{"user": sent}]}),
    }[place]
    assert testing._forms(request, Contact(number)) == forms


# -- pages


class Lister(Toy):
    """A correct provider whose list comes in pages."""

    routes = (*Toy.routes, Route(Action.LIST, "GET", "/blocked"))

    def build_request(self, command: Command) -> HttpRequest:
        return super().build_request(command) if command.contact else self.page({"limit": "2"})

    def page(self, query: dict[str, str]) -> HttpRequest:
        headers = Headers({"X-Key": self.options["key"].reveal()})
        return HttpRequest("GET", "/blocked", headers, query)

    def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
        if command.contact:
            return super().parse_success(command, response)
        match response.document:
            case {"people": list(people), **rest} if isinstance(rest.get("after"), str | None):
                contacts = read_contacts(people)
                return None if contacts is None else self.success(response, contacts)
        return None

    def build_next_page(self, command: Command, response: HttpResponse) -> HttpRequest | None:
        after = response.document.get("after")
        return self.page({"limit": "2", "after": after}) if after else None


def page_request(**query: str) -> dict[str, Any]:
    headers = {"X-Key": "<key>"}
    return {"method": "GET", "path": "/blocked", "headers": headers, "query": query}


def paged_answers() -> list[dict[str, Any]]:
    shared = {"source": "https://toy.example/docs", "date": "2026-11", "proof": "documented"}
    first = {
        "title": "first page",
        "request": page_request(limit="2"),
        "answer": {"status": 200, "body": {"people": [JID], "after": "p2", "total": 2}},
        "next": page_request(limit="2", after="p2"),
        "outcome": {
            "confirmation": "provider_state",
            "contacts": [{"number": "5511999999999"}],
        },
        "evidence": ["/people/0"],
    }
    last = {
        "title": "last page",
        "request": page_request(limit="2", after="p2"),
        "answer": {"status": 200, "body": {"people": [LID]}},
        "outcome": {"confirmation": "provider_state", "contacts": [{"lid": LID}]},
        "evidence": ["/people/0"],
    }
    command = {"action": "list"}
    return [*right_answers(), *({**shared, "command": command, **each} for each in (first, last))]


class ReadsTheFirstPageOnly(Lister):
    def build_next_page(self, command: Command, response: HttpResponse) -> HttpRequest | None:
        return None


class NeverEnds(Lister):
    def build_next_page(self, command: Command, response: HttpResponse) -> HttpRequest | None:
        return super().build_next_page(command, response) or self.page({"limit": "2"})


class ForgetsTheCursor(Lister):
    def build_next_page(self, command: Command, response: HttpResponse) -> HttpRequest | None:
        return super().build_next_page(command, response) and self.page({"limit": "2"})


class CountsItsPages(Lister):
    pages = 0

    def build_next_page(self, command: Command, response: HttpResponse) -> HttpRequest | None:
        self.pages += 1
        return None if self.pages > 1 else super().build_next_page(command, response)


class TakesAnyCursorForText(Lister):
    def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
        if command.contact is None and isinstance(response.document, dict):
            plain = {key: each for key, each in response.document.items() if key != "after"}
            return super().parse_success(command, json_response(response.status, plain))
        return super().parse_success(command, response)

    def build_next_page(self, command: Command, response: HttpResponse) -> HttpRequest | None:
        after = response.document.get("after")
        return self.page({"limit": "2", "after": "" + after}) if after else None


class TakesAStrangeCursorForTheEnd(TakesAnyCursorForText):
    def build_next_page(self, command: Command, response: HttpResponse) -> HttpRequest | None:
        after = response.document.get("after")
        return self.page({"limit": "2", "after": after}) if isinstance(after, str) else None


class GoesWhereTheAnswerPoints(Lister):
    def build_next_page(self, command: Command, response: HttpResponse) -> HttpRequest | None:
        right = super().build_next_page(command, response)
        after = response.document.get("after")
        if right is None or after == "p2":
            return right
        return HttpRequest("GET", f"/{after}", right.headers, right.query)


FAULTY_LISTERS: list[tuple[type[Lister], str]] = [
    (ReadsTheFirstPageOnly, "a next page is recorded"),
    (NeverEnds, "no next page is recorded"),
    (ForgetsTheCursor, "query is"),
    (CountsItsPages, "a next page is recorded"),
    (TakesAnyCursorForText, "TypeError is raised by build_next_page"),
    (TakesAStrangeCursorForTheEnd, "it is taken for the last page"),
    (GoesWhereTheAnswerPoints, "not asked for at the route of the list"),
]


def test_a_correct_provider_of_pages_keeps_every_clause(tmp_path: Path) -> None:
    folder = write_answers(tmp_path / "toy", paged_answers())
    assert failures(contract_for(folder, Lister)) == {}


@pytest.mark.parametrize(("faulty", "says"), FAULTY_LISTERS)
def test_a_provider_that_loses_its_way_between_pages_is_caught(
    tmp_path: Path, faulty: type[Lister], says: str
) -> None:
    folder = write_answers(tmp_path / "toy", paged_answers())
    found = failures(contract_for(folder, faulty))
    assert (
        PAGES in set(found) <= {PAGES, EVIDENCE}
    )  # what is evidence changes where less is checked
    assert says in found[PAGES]


def test_a_first_page_must_be_among_the_answers(tmp_path: Path) -> None:
    answers = paged_answers()
    answers[-2]["request"] = answers[-2]["next"]
    folder = write_answers(tmp_path / "toy", [*answers, {**answers[-2], "title": "again"}])
    found = failures(contract_for(folder, Lister))
    assert "no answer to list is to its first request" in found[REQUEST]


# -- live answers


def live_answers(date: str = "2026-11-22", proof: str = "seen live") -> list[dict[str, Any]]:
    return [{**each, "date": date, "proof": proof} for each in right_answers()[:2]]


class Proven(Toy):
    verified_on = "2026-11-22"


@pytest.mark.parametrize(
    ("provider", "live", "right"),
    [
        (Proven, live_answers(), True),
        (type("Unaware", (Toy,), {}), live_answers(), False),
        (Proven, live_answers("2026-11-21"), False),
        (Proven, live_answers()[:1] + live_answers("2026-11-21")[1:], False),
        (Proven, live_answers(proof="documented"), False),
        (type("Later", (Toy,), {"verified_on": "9999-01-01"}), live_answers("9999-01-01"), False),
        (type("Month", (Toy,), {"verified_on": "2026-11"}), live_answers("2026-11"), False),
    ],
)
def test_what_is_proven_was_seen_on_that_day(
    folder: Path, provider: type[Toy], live: list[Any], right: bool
) -> None:
    (folder / "live.json").write_text(json.dumps({"exchanges": live}))
    assert set(failures(contract_for(folder, provider))) == (set() if right else {PROVEN})


def test_what_was_seen_live_stands_in_the_live_file_alone(folder: Path) -> None:
    write_answers(folder, [*right_answers(), *live_answers()])
    assert set(failures(contract_for(folder, Toy, ToyDialect))) == {PROVEN}


def test_an_answer_seen_live_proves_a_row_as_documents_do(folder: Path) -> None:
    asleep = {**right_answers()[2], "date": "2026-11-22", "proof": "seen live"}
    (folder / "live.json").write_text(json.dumps(asleep))

    class Sure(ClaimsThatAGuessIsDocumented, Proven):
        pass

    assert failures(contract_for(folder, Sure)) == {}


# -- faulty dialects


class LosesTheSession(ToyDialect):
    def parse_request(self, request: HttpRequest) -> DialectRequest:
        return DialectRequest(super().parse_request(request).command)


class MistakesTheContact(ToyDialect):
    def parse_request(self, request: HttpRequest) -> DialectRequest:
        call = super().parse_request(request)
        return DialectRequest(Command(call.command.action, Contact("14155550123")), call.session)


class LooksForAnotherCredential(ToyDialect):
    def parse_credential(self, request: HttpRequest) -> str | None:
        return request.headers.get("Authorization")


class ChokesOnABody(ToyDialect):
    def parse_request(self, request: HttpRequest) -> DialectRequest:
        route, _ = self.match(request)
        contact = read_contact(jid=request.json["who"])
        return DialectRequest(Command(route.action, contact), request.json["session"])


class AlwaysSaysBlocked(ToyDialect):
    def write_success(self, call: DialectRequest, outcome: Outcome) -> HttpResponse:
        return json_response(200, {"blocked": True})


class HasOneStatusForAll(ToyDialect):
    def write_error(self, rule: ErrorRule, outcome: Outcome, call: Any, now: Any) -> HttpResponse:
        return json_response(400, {"error": rule.provider_code})


class ClaimsThatNothingHappened(ToyDialect):
    def fallback(self, code: Code) -> Code:
        lost = code is Code.PROVIDER_CONNECTION_LOST
        return Code.TARGET_REJECTED if lost else super().fallback(code)


class ChokesOnAnOutcome(ToyDialect):
    def write_error(self, rule: ErrorRule, outcome: Outcome, call: Any, now: Any) -> HttpResponse:
        wait = outcome.retry_after + 1  # type: ignore[operator]  # the fault
        return json_response(rule.status, {"error": rule.provider_code, "wait": wait})


FAULTY_DIALECTS: list[tuple[type[ToyDialect], set[str]]] = [
    (LosesTheSession, {DIALECT_READS}),
    (MistakesTheContact, {DIALECT_READS}),
    (LooksForAnotherCredential, {DIALECT_READS}),
    (ChokesOnABody, {DIALECT_READS}),
    (AlwaysSaysBlocked, {DIALECT_WRITES}),
    (HasOneStatusForAll, {DIALECT_WRITES}),
    (ClaimsThatNothingHappened, {DIALECT_WRITES}),
    (ChokesOnAnOutcome, {DIALECT_WRITES}),
]


@pytest.mark.parametrize(
    ("faulty", "caught_by"),
    FAULTY_DIALECTS,
    ids=lambda each: each.__name__ if isinstance(each, type) else "",
)
def test_a_faulty_dialect_is_caught_by_the_clause_for_its_fault(
    folder: Path, faulty: type[ToyDialect], caught_by: set[str]
) -> None:
    assert set(failures(contract_for(folder, Toy, faulty))) == caught_by


def test_every_clause_has_a_fault_that_it_alone_finds() -> None:
    alone = [clauses for _, clauses in [*FAULTY_PROVIDERS, *FAULTY_DIALECTS] if len(clauses) == 1]
    # above, and below
    elsewhere = {OTHER_COMMAND, OTHER_CONTACT, SECRET_PLACE, PAGES, NOT_PERSONS}
    assert set().union(*alone) == CLAUSES - elsewhere


def test_a_dialect_that_is_not_given_is_missed(folder: Path) -> None:
    found = failures(contract_for(folder, Toy, None))
    assert set(found) == {DIALECT_READS, DIALECT_WRITES}
    assert "set `dialect = " in found[DIALECT_READS]


def test_the_dialect_of_another_provider_is_refused(folder: Path) -> None:
    class Other(Toy):
        pass

    found = failures(contract_for(folder, Other, ToyDialect))
    assert set(found) == {DIALECT_READS, DIALECT_WRITES}


# -- faulty answers


def changed(**changes: Any) -> Callable[[list[Any]], Any]:
    """Return a change of the answers: keys of the first exchange replaced, None removes one."""

    def change(answers: list[Any]) -> Any:
        for name, value in changes.items():
            if value is None:
                del answers[0][name]
            else:
                answers[0][name] = value
        return answers

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (changed(outcome=None), "outcome"),
        (changed(outcome={}), "an outcome has either a code or a confirmation"),
        (changed(outcome={"code": "it_broke"}), "code"),
        (changed(outcome={"confirmation": "accepted", "sure": True}), "sure"),
        (changed(answer=None), "answer"),
        (changed(answer={"status": 200, "body": {}, "text": ""}), "body or text"),
        (changed(answer={"status": 99}), "status"),
        (changed(request={"method": "POST"}), "path"),
        (changed(command={"action": "block"}), "block and unblock need a contact"),
        (changed(command={"action": "mute", "contact": JID}), "action"),
        (changed(command={"action": "block", "contact": "1203@g.us"}), "a group"),
        (changed(proof="rumour"), "proof"),
        (changed(source=None), "source"),
        (changed(date="yesterday"), "date"),
        (changed(evidence=None), "evidence"),
        (changed(evidence=["/state"]), "/state is not in the body"),
        (changed(evidence=["blocked"]), "evidence"),
        (changed(comment="hello"), "comment"),
        (changed(next=page_request()), "only a page of a list has a next one"),
        (changed(next={"path": "/blocked"}), "method"),
        (lambda answers: [*answers, "not an exchange"], "must be an object"),
        (lambda answers: [], "must be an object"),
        (lambda answers: {"first": answers[0]}, "must be an object"),
    ],
)
def test_an_answer_file_that_is_not_understood_fails_every_clause(
    tmp_path: Path, change: Callable[[list[Any]], Any], says: str
) -> None:
    folder = write_answers(tmp_path / "toy", change(copy.deepcopy(right_answers())))
    found = failures(contract_for(folder, Toy, ToyDialect))
    assert set(found) == CLAUSES
    assert all(says in message for message in found.values())


@pytest.mark.parametrize("text", ["{", '{"title": "a", "title": "b"}', "[]", "null"])
def test_an_answer_file_that_is_no_exchange_fails_every_clause(folder: Path, text: str) -> None:
    (folder / "more.json").write_text(text)
    assert set(failures(contract_for(folder, Toy, ToyDialect))) == CLAUSES


def test_a_folder_without_answers_fails_every_clause(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        assert set(failures(contract_for(folder, Toy, ToyDialect))) == CLAUSES


def test_a_contract_without_a_provider_or_answers_fails_every_clause(folder: Path) -> None:
    no_provider = type("Contract", (ProviderContract,), {"answers": folder})
    no_answers = type("Contract", (ProviderContract,), {"provider": Toy, "options": {}})
    assert set(failures(no_provider)) == CLAUSES
    assert set(failures(no_answers)) == CLAUSES


def test_options_that_the_provider_refuses_fail_every_clause(folder: Path) -> None:
    assert set(failures(contract_for(folder, Toy, ToyDialect, options={}))) == CLAUSES


@pytest.mark.parametrize(
    ("change", "caught_by"),
    [
        (lambda answers: answers[:1] + answers[2:], {COMPLETE}),
        (lambda answers: [each for each in answers if "code" in each["outcome"]], {COMPLETE}),
        (
            lambda answers: [each for each in answers if "provider_code" not in str(each)],
            {COMPLETE},
        ),
        (changed(evidence=["/blocked", "/size"]), {EVIDENCE}),
        (changed(evidence=["/size"]), {EVIDENCE}),
        (changed(evidence=["/blocked", "status"]), {HOSTILE}),
        (changed(outcome={"confirmation": "accepted"}), {ANSWER}),
        (changed(outcome={"confirmation": "provider_state", "retry_after": 1}), {ANSWER}),
    ],
)
def test_answers_that_are_incomplete_or_wrong_are_caught(
    tmp_path: Path, change: Callable[[list[Any]], Any], caught_by: set[str]
) -> None:
    folder = write_answers(tmp_path / "toy", change(copy.deepcopy(right_answers())))
    assert caught_by <= set(failures(contract_for(folder, Toy, ToyDialect)))


def test_one_class_tests_several_sets_of_options(tmp_path: Path) -> None:
    answers = right_answers()
    other = copy.deepcopy(answers[0])
    other["options"] = {"session": "second"}
    folder = write_answers(tmp_path / "toy", [*answers, other])
    assert set(failures(contract_for(folder, Toy, ToyDialect))) == {REQUEST}
    other["request"]["json"]["session"] = "second"
    write_answers(folder, [*answers, other])
    assert failures(contract_for(folder, Toy, ToyDialect)) == {}


def test_keys_beside_the_exchanges_are_their_defaults(tmp_path: Path) -> None:
    answers = right_answers()
    shared = {name: answers[0][name] for name in ("source", "date", "proof")}
    own = [{key: each[key] for key in each if key not in shared} for each in answers]
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "answers.json").write_text(json.dumps({**shared, "exchanges": own}))
    assert failures(contract_for(folder, Toy, ToyDialect)) == {}


# -- the stranger's case


def test_the_kit_needs_no_test_library_and_nothing_of_the_adapter_needs_the_kit() -> None:
    every = [f"adapter.{path.stem}" for path in Path(adapter.__file__).parent.glob("*.py")]
    core = sorted(set(every) - {"adapter.testing.contract", "adapter.__init__"})
    program = f"""
import importlib, sys
for name in {core}:
    importlib.import_module(name)
assert "adapter.testing.contract" not in sys.modules
import adapter.testing.contract
assert not {{"pytest", "hypothesis"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


STRANGER = """
from marshmallow import Schema
from adapter import (Action, Confirmation, Headers, HttpRequest, Outcome, Provider, Route,
                     SecretField)

class AcmeProvider(Provider):
    name = "acme"
    title = "Acme"
    routes = (Route(Action.BLOCK, "POST", "/block"), Route(Action.UNBLOCK, "POST", "/unblock"))

    class Options(Schema):
        token = SecretField(required=True)

    def build_request(self, command):
        headers = Headers({"Authorization": "Bearer " + self.options["token"].reveal()})
        route = self.route(command.action)
        return HttpRequest(route.method, route.template, headers, json={"to": command.contact.jid})

    def parse_success(self, command, response):
        if response.document != {"done": True}:
            return None
        return Outcome.success(Confirmation.ACCEPTED, upstream_status=response.status)
"""

STRANGERS_TEST = """
from pathlib import Path

from acme import AcmeProvider
from adapter.testing import ProviderContract


class TestAcme(ProviderContract):
    provider = AcmeProvider
    answers = Path(__file__).parent / "answers"
"""


def strangers_exchange(action: str, contact: str = JID) -> dict[str, Any]:
    return {
        "title": f"{action}ed",
        "command": {"action": action, "contact": contact},
        "request": {
            "method": "POST",
            "path": f"/{action}",
            "headers": {"Authorization": "Bearer <token>"},
            "json": {"to": contact},
        },
        "answer": {"status": 200, "body": {"done": True}},
        "outcome": {"confirmation": "accepted"},
        "evidence": ["/done"],
    }


def run_pytest(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null"]
    return subprocess.run(
        [*command, "--rootdir", str(folder), "test_acme.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_stranger_runs_the_kit_on_a_provider_in_a_folder_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "acme.py").write_text(STRANGER)
    (tmp_path / "test_acme.py").write_text(textwrap.dedent(STRANGERS_TEST))
    answers = tmp_path / "answers"
    answers.mkdir()
    shared = {"source": "https://acme.example/docs", "date": "2026-11", "proof": "documented"}
    exchanges = [strangers_exchange(action) for action in ("block", "unblock")]
    exchanges.append(strangers_exchange("block", LID))
    (answers / "acme.json").write_text(json.dumps({**shared, "exchanges": exchanges}))

    good = run_pytest(tmp_path)
    assert f"{len(CLAUSES)} passed" in good.stdout, good.stdout

    (tmp_path / "acme.py").write_text(STRANGER.replace('"to"', '"phone"'))
    bad = run_pytest(tmp_path)
    assert f"1 failed, {len(CLAUSES) - 1} passed" in bad.stdout
    assert "To mend this: correct build_request" in bad.stdout
