"""Faulty providers: the clauses for a planted fault fail, and only those."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import socket
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from marshmallow import INCLUDE, ValidationError, fields
from support.clauses import (
    BARE_STATUS,
    BATCHES,
    BOOLEANS,
    CODE_IN_TEXT,
    COMPLETE,
    CONTRADICTION,
    DIALECT_BUILDS,
    DIALECT_PARSES,
    DIGITS,
    EMPTY_LIST,
    ERROR_BESIDE,
    EVIDENCE,
    HOSTILE,
    ISOLATED,
    NAMES,
    NOT_PERSONS,
    OPTIONS,
    OTHER_COMMAND,
    OTHER_CONTACT,
    PAGES,
    PRIVACY,
    PURE_REQUEST,
    PURE_RESPONSE,
    REDIRECT,
    REQUEST,
    RESPONSE,
    SECRET_PLACE,
    SET_UP,
    UNDECLARED,
    VERIFIED,
    WHOLE_TEXTS,
)
from support.toy import JID, LID, Toy, contract_for, failures, right_answers, write_answers

from adapter.plugin import (
    Action,
    Code,
    Command,
    Confirmation,
    Contact,
    ContactError,
    ContactForm,
    ErrorRule,
    Headers,
    HttpRequest,
    HttpResponse,
    Outcome,
    SecretField,
    json_response,
    require_number,
)
from adapter.testing import ProviderContract

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("few_statuses")]

log = logging.getLogger("toy")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_answers(tmp_path / "toy", right_answers())


def test_a_correct_provider_keeps_every_clause(folder: Path) -> None:
    assert failures(contract_for(folder)) == {}


def test_a_correct_provider_without_a_dialect_keeps_every_clause(folder: Path) -> None:
    class Alone(Toy):
        pass

    assert failures(contract_for(folder, Alone)) == {}


class WrongPath(Toy):
    routes = {"block": ("POST", "/blocks"), "unblock": ("POST", "/unblock")}


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
        raise KeyError("no contact")


class CountsItsRequests(Toy):
    sent = 0

    def build_request(self, command: Command) -> HttpRequest:
        right = super().build_request(command)
        self.sent += 1
        headers = Headers({**right.headers, **({"X-Again": "1"} if self.sent > 1 else {})})
        return HttpRequest(right.method, right.path, headers, json=right.json)


class KeepsItsFirstContact(Toy):
    kept: Contact | None = None

    def build_request(self, command: Command) -> HttpRequest:
        self.kept = self.kept or command.contact
        return super().build_request(Command(command.action, self.kept))


class DeclaresAFormThatItNeverUses(Toy):
    contact_forms = (*Toy.contact_forms, ContactForm.CHAT_ID)


class UsesAFormThatItDoesNotDeclare(Toy):
    contact_forms = (ContactForm.JID,)

    def name_contact(self, contact: Contact, *forms: ContactForm) -> str:
        return str(contact.jid)


class NamesNoContact(Toy):
    def build_request(self, command: Command) -> HttpRequest:
        assert command.contact
        right = super().build_request(command)
        known = command.contact.jid in (JID, LID)
        body = right.json if known else {**right.json, "who": "a contact"}
        return HttpRequest(right.method, right.path, right.headers, json=body)


class ChokesOnALid(Toy):
    contact_forms = (ContactForm.JID,)

    def build_request(self, command: Command) -> HttpRequest:
        assert command.contact
        if command.contact.number is None:
            raise ValueError("no number")
        return super().build_request(command)


class ClaimsToBeVerified(Toy):
    verified_on = "2026-11-22"


class MisreadsACode(Toy):
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


class ParsesForItsFirstCommand(Toy):
    first: Command | None = None

    def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
        self.first = self.first or command
        return super().parse_success(self.first, response)


class ParsesForTheCommandItBuilt(Toy):
    built: Command | None = None

    def build_request(self, command: Command) -> HttpRequest:
        self.built = command
        return super().build_request(command)

    def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
        return super().parse_success(self.built or command, response)


class HasACodeThatNothingReaches(Toy):
    error_codes = {**Toy.error_codes, "busy": (409, Code.PROVIDER_CONFLICT)}


class SupportsAnActionWithoutARecord(Toy):
    routes = {**Toy.routes, "list": ("GET", "/list")}

    def build_request(self, command: Command) -> HttpRequest:
        if command.action is Action.LIST:
            return self.request(command)
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
            case {"blocked": blocked} if response.status == 200:
                return self.success(response) if bool(blocked) is command.blocked else None
        return None


class TakesAnyYes(Toy):
    def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
        if response.status != 200 or not isinstance(response.document, dict):
            return None
        return self.success(response)


class TakesAny2xx(Toy):
    def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
        return super().parse_success(command, response.at_status(200)) and self.success(response)


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
        if 300 <= response.status <= 399:
            return super().parse_response(command, response)
        as_success = response if response.status <= 299 else response.at_status(200)
        return self.parse_success(command, as_success) or super().parse_response(command, response)


class TakesTheOppositeState(Toy):
    def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
        match response.document:
            case {"blocked": bool(), "size": int()} | {"blocked": False}:
                return self.success(response) if response.status == 200 else None
        return None


class AcceptsASuccessBesideAnError(Toy):
    def parse_response(self, command: Command, response: HttpResponse) -> Outcome:
        if response.status == 200 and isinstance(response.document, dict):
            kept = {key: each for key, each in response.document.items() if key == "blocked"}
            if kept and "error" in response.document:
                return super().parse_response(command, json_response(200, kept))
        return super().parse_response(command, response)


class TrustsARefusalThatShowsASuccess(Toy):
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


class SearchesForACode(Toy):
    def parse_provider_code(self, document: Any) -> str | None:
        code = super().parse_provider_code(document)
        return "asleep" if code and "asleep" in code else code


def later(document: Any) -> Any:
    """Return the sentence of the toy's failure without a code; an empty text without one."""
    match document:
        case {"hint": str(text), **rest} if not rest:
            return text
    return ""


def with_rule(where: Callable[[Any], bool]) -> type[Toy]:
    """Return a provider with one more rule for the toy's failure without a code."""
    rule = ErrorRule(Code.PROVIDER_ERROR, 500, where=where)
    return type("HasARule", (Toy,), {"error_rules": (*Toy.error_rules, rule)})


@pytest.mark.parametrize(
    "where",
    [
        lambda document: "later" in str(document),
        lambda document: "later" in later(document),
        lambda document: later(document).startswith("later"),
        lambda document: later(document).endswith("later"),
        lambda document: re.search(r"\blater\b", later(document)) is not None,
    ],
)
def test_a_rule_that_searches_a_part_of_a_text_is_a_fault(
    folder: Path, where: Callable[[Any], bool]
) -> None:
    found = failures(contract_for(folder, with_rule(where)))
    assert set(found) == {WHOLE_TEXTS}
    assert "HasARule.error_rules" in found[WHOLE_TEXTS]


@pytest.mark.parametrize(
    "where",
    [
        lambda document: later(document) == "later",
        lambda document: bool(later(document)),
        lambda document: document == {"hint": "later"},
    ],
)
def test_a_rule_may_compare_a_whole_text_or_check_that_there_is_one(
    folder: Path, where: Callable[[Any], bool]
) -> None:
    assert failures(contract_for(folder, with_rule(where))) == {}


def test_a_rule_that_searches_all_texts_of_a_body_is_a_fault(tmp_path: Path) -> None:
    answers = right_answers()
    answers[-1]["response"]["body"] = {"hint": "later", "more": "call later"}
    folder = write_answers(tmp_path / "toy", answers)
    found = failures(contract_for(folder, with_rule(lambda each: "later" in str(each))))
    assert "at every text" in found[WHOLE_TEXTS]


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


class PrintsTheResponse(Toy):
    def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
        print(response.body)  # noqa: T201 - the planted fault
        return super().parse_success(command, response)


class LooksUpAHost(Toy):
    def build_request(self, command: Command) -> HttpRequest:
        with contextlib.suppress(OSError):
            socket.getaddrinfo("127.0.0.1", 9)
        return super().build_request(command)


class Connects(Toy):
    def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", 9))
        return super().parse_success(command, response)


class WritesAFile(Toy):
    def build_request(self, command: Command) -> HttpRequest:
        with contextlib.suppress(OSError):
            Path(os.devnull).write_text("")
        return super().build_request(command)


class StartsAProcess(Toy):
    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        with contextlib.suppress(OSError):
            subprocess.run(["true"], check=False)


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
    (CannotBuildARequest, {REQUEST, NAMES}),
    (WrongCredentialHeader, {REQUEST}),
    (SendsMoreThanRecorded, {REQUEST}),
    (CountsItsRequests, {PURE_REQUEST}),
    (KeepsItsFirstContact, {PURE_REQUEST}),
    (DeclaresAFormThatItNeverUses, {NAMES}),
    (UsesAFormThatItDoesNotDeclare, {NAMES}),
    (NamesNoContact, {NAMES}),
    (ChokesOnALid, {NAMES, REQUEST}),
    (ClaimsToBeVerified, {VERIFIED}),
    (MisreadsACode, {RESPONSE}),
    (HidesTheUpstreamStatus, {RESPONSE}),
    (RemembersSleep, {PURE_RESPONSE}),
    (ParsesForItsFirstCommand, {PURE_RESPONSE, HOSTILE}),
    (ParsesForTheCommandItBuilt, {PURE_RESPONSE}),
    (HasACodeThatNothingReaches, {COMPLETE}),
    (SupportsAnActionWithoutARecord, {COMPLETE}),
    (TakesA404ForTheSession, {BARE_STATUS}),
    (TakesTruthForTrue, {EVIDENCE}),
    (TakesAny2xx, {EVIDENCE, HOSTILE}),
    (TakesAnyYes, {EVIDENCE, HOSTILE, OTHER_COMMAND, RESPONSE, BARE_STATUS, BOOLEANS}),
    (ReadsLaxJson, {HOSTILE}),
    (RaisesOnBytes, {HOSTILE}),
    (TakesAStateAtAnyStatus, {HOSTILE, ERROR_BESIDE, CONTRADICTION}),
    (AcceptsASuccessBesideAnError, {ERROR_BESIDE}),
    (TrustsARefusalThatShowsASuccess, {CONTRADICTION}),
    (WaitsForYears, {HOSTILE}),
    (TakesTheOppositeState, {EVIDENCE, BOOLEANS, HOSTILE, OTHER_COMMAND}),
    (ReadsARedirect, {REDIRECT}),
    (SearchesTheText, {DIGITS}),
    (SearchesForACode, {CODE_IN_TEXT}),
    (with_rule(lambda each: "later" in str(each)), {WHOLE_TEXTS}),
    (ClaimsToList, {UNDECLARED}),
    (TakesAnyOption, {OPTIONS}),
    (TakesASecretInClear, {OPTIONS}),
    (TakesAKeyInClear, {OPTIONS}),
    (NeedsWhatItDoesNotRequire, {OPTIONS}),
    (ChokesOnAnOption, {OPTIONS, PRIVACY}),  # int() repeats what it was given
    (ShowsItsKey, {PRIVACY}),
    (LogsTheContact, {PRIVACY}),
    (PrintsTheResponse, {PRIVACY}),
    (LooksUpAHost, {ISOLATED}),
    (Connects, {ISOLATED}),
    (WritesAFile, {ISOLATED}),
    (StartsAProcess, {ISOLATED}),
    (EchoesAWrongOption, {PRIVACY}),
    (RepeatsUpstreamTexts, {PRIVACY, DIGITS, CODE_IN_TEXT}),
]


@pytest.mark.parametrize(
    ("faulty", "failed"),
    FAULTY_PROVIDERS,
    ids=lambda each: each.__name__ if isinstance(each, type) else "",
)
def test_a_faulty_provider_fails_the_clauses_for_its_fault(
    folder: Path, faulty: type[Toy], failed: set[str]
) -> None:
    options = {"session": "main"}
    if "region" in faulty.Options().fields:
        options["region"] = "BR"
    assert set(failures(contract_for(folder, faulty, options=options))) == failed


def test_every_clause_has_a_fault_that_fails_it_alone() -> None:
    alone = [clauses for _, clauses in FAULTY_PROVIDERS if len(clauses) == 1]
    elsewhere = {OTHER_COMMAND, OTHER_CONTACT, SECRET_PLACE}  # below
    elsewhere |= {
        PAGES,
        NOT_PERSONS,
        EMPTY_LIST,
        BOOLEANS,
        BATCHES,
    }  # with lists, and with evidence
    elsewhere |= {DIALECT_PARSES, DIALECT_BUILDS, SET_UP}  # with dialects, and with answers files
    assert set().union(*alone) == set(ProviderContract.clauses()) - elsewhere


def test_a_provider_that_uses_the_network_never_reaches_it(folder: Path) -> None:
    class Sends(Toy):
        def build_request(self, command: Command) -> HttpRequest:
            socket.create_connection(server.getsockname())
            return super().build_request(command)

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        found = failures(contract_for(folder, Sends))
        with pytest.raises(BlockingIOError):
            server.accept()
    assert "build_request of block: socket.getaddrinfo" in found[ISOLATED]
    assert "ForbiddenCallError in build_request (test_contract_kit.py" in found[REQUEST]


def test_an_option_is_not_blamed_if_nothing_can_be_built(folder: Path) -> None:
    class Unnamed(Toy):
        class Options(Toy.Options):
            label = fields.String(load_default="", validate=lambda _: True)

        def build_request(self, command: Command) -> HttpRequest:
            raise ValueError(f"no key {self.options['key'].reveal()} here")

    found = failures(contract_for(folder, Unnamed))
    assert OPTIONS not in found
    assert "(test_contract_kit.py, line " in found[REQUEST]
    assert "): no key <key> here" in found[REQUEST]


@pytest.mark.parametrize(
    ("faulty", "place"),
    [
        (WrongPath, "WrongPath.routes in test_contract_kit.py"),
        (
            type("WrongHeader", (Toy,), {"header_templates": {"X-Api-Key": "{key}"}}),
            "WrongHeader.header_templates in",
        ),
        (SendsMoreThanRecorded, "SendsMoreThanRecorded.build_request in test_contract_kit.py"),
    ],
)
def test_the_attribute_to_correct_follows_from_the_part_that_differs(
    folder: Path, faulty: type[Toy], place: str
) -> None:
    found = failures(contract_for(folder, faulty))[REQUEST]
    assert f"To mend this: correct {place}" in found
    assert found.count("To mend this") == 1


def test_a_message_has_the_name_of_a_secret_in_its_place(folder: Path) -> None:
    found = failures(contract_for(folder, WrongCredentialHeader))[REQUEST]
    assert "headers is {'X-Api-Key': '<key>'}, not {'X-Key': '<key>'}" in found
    assert "canary" not in found


def test_a_secret_in_the_query_is_a_fault_even_if_it_is_recorded(tmp_path: Path) -> None:
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
    assert "key is in the query" in found[SECRET_PLACE]


def test_a_state_that_no_response_has_is_a_fault(tmp_path: Path) -> None:
    class ClaimsAState(Toy):
        def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
            done = response.status == 200 and response.document == {"done": True}
            return self.success(response) if done else None

    answers = right_answers()
    for each in answers[:2]:
        each["response"]["body"] = {"done": True}
        each["evidence"] = ["/done"]
    folder = write_answers(tmp_path / "toy", answers)
    found = failures(contract_for(folder, ClaimsAState))
    assert {OTHER_COMMAND} <= set(found) <= {OTHER_COMMAND, EVIDENCE}
    assert "it has the other state, and is a success" in found[OTHER_COMMAND]


def test_a_named_contact_that_is_not_checked_is_a_fault(tmp_path: Path) -> None:
    class Named(Toy):
        def parse_named_contact(self, command: Command, document: Any) -> Contact | None:
            match document:
                case {"who": str(jid)}:
                    return Contact.from_jid(jid)
                case {"who": _}:
                    raise ContactError("who", "is not a text")
            return None

    answers = right_answers()
    for each in answers[:2]:
        each["response"]["body"]["who"] = JID
        each["evidence"].append("/who?")
    folder = write_answers(tmp_path / "toy", answers)
    assert failures(contract_for(folder, Named)) == {}
    found = failures(contract_for(folder, type("Unnamed", (Toy,), {})))
    assert set(found) == {EVIDENCE, OTHER_CONTACT}
    assert "with another contact at /who" in found[OTHER_CONTACT]


def test_a_provider_without_lids_refuses_one_before_anything_is_sent(tmp_path: Path) -> None:
    class NumbersOnly(Toy):
        contact_forms = (ContactForm.JID,)

        def build_request(self, command: Command) -> HttpRequest:
            assert command.contact
            require_number(command.contact)
            return super().build_request(command)

    answers = [each for each in right_answers() if each["command"]["contact"] != LID]
    folder = write_answers(tmp_path / "toy", answers)
    assert failures(contract_for(folder, NumbersOnly)) == {}
    found = failures(contract_for(folder, type("DeclaresLids", (Toy,), {})))
    assert set(found) == {NAMES}
    assert "no recorded request names a contact by @lid" in found[NAMES]
