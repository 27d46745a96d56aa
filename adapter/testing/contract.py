"""The provider contract kit: what a provider must keep, run by its author in a dozen lines.

    class TestAcme(ProviderContract):
        provider = AcmeProvider
        dialect = AcmeDialect                  # where there is one
        options = {"session": "my-session"}    # secrets are filled in by the kit
        answers = Path(__file__).parent / "answers" / "acme"

The recorded exchanges in `answers` are JSON files. A file is one exchange, or many in a list under
`exchanges`, for which the keys beside that list are defaults. The keys of an exchange:

- `title`, `source` (where it was read), `date` (`2026-11`), and `proof`: `documented`,
  `read in source`, `inferred`, or `seen live`; `note` is free;
- `command`: `{"action", "contact"}`, the contact as a JID or a user id, none for `list`;
- `request`: `{"method", "path", "headers", "query", "json"}`, all that the provider must send;
  `<token>` stands for the secret that the kit puts into the option `token`;
- `answer`: `{"status", "headers", "body"}`; `text` in place of `body` gives the bytes as they are;
- `outcome`: `{"confirmation", "contacts", "others"}`, or `{"code", "retry_after", "fields",
  "provider_code"}`; a contact is `{"number", "lid", "user_id"}`, `others` counts the entries of a
  list that are no persons, `fields` is a list of names;
- `evidence`, of a success with a body: JSON pointers to the values that prove it. With a `?` at
  its end a pointer may be missing, but not wrong. The word `status` makes the status a part of
  the proof; without a body it always is;
- `next`, of a page of a list: the request for the page after it, where there is one. An answer
  whose `request` is the `next` of another is a later page, for which `build_request` is not asked;
- `options`: the provider's options where they differ from the class's.

A provider's `verified_on` day stands on a file `live.json`, whose exchanges were seen on that day.

The core never imports this module.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import logging
import re
import socket
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Final
from urllib.parse import unquote

from marshmallow import Schema, ValidationError, fields, validate

from adapter.account import Account
from adapter.codes import Action, Applied, Code, Confirmation
from adapter.contacts.contact import Contact
from adapter.contacts.forms import ContactForm
from adapter.dialect import Dialect
from adapter.error_rules import ErrorRule, Provenance
from adapter.errors import RequestError
from adapter.http import Headers, HttpRequest, HttpResponse, json_response
from adapter.options import SecretField
from adapter.privacy import Secret
from adapter.provider import REFUSED, LocalProvider, Provider
from adapter.results import MAX_RETRY_AFTER, Command, Outcome, OutcomeError, Result, write_error
from adapter.settings.model import AccountSettings, TransportSettings
from adapter.strict_json import Json, read_json
from adapter.strict_json import write_json as to_bytes

CANARY: Final = Contact("5511987650123")
"""A person whose number must turn up nowhere but in requests."""

CONTACTS: Final = (
    Contact("5511999999999"),
    Contact("551188887777"),
    Contact("14155550123"),
    Contact(lid="205227043110953@lid"),
)

USER: Final = Contact(user_id="BR.13491208655302741918")
"""A person for the providers that know user ids; to others, no command names one."""

ANOTHER: Final = Contact("4915123456789", "998877665544332@lid", "DE.998877665544332211")
"""A person whom no command of the kit is about."""

PLAIN_NUMBER: Final = "5511999999999"
TRICKY_NUMBERS: Final = (
    "5511404429501",
    "14045015030",
    "14014034220",
    "5540342250320",
    "12042002010",
)
"""Phone numbers that hold HTTP statuses, for providers that search texts for them."""

SEEN_LIVE: Final = "seen live"
"""The proof of an answer that the live service gave."""

LIVE_FILE: Final = "live.json"
"""The file of the answers that the live service gave when it was last asked."""

_BY_STRENGTH: Final = (
    Provenance.INFERRED,
    Provenance.READ_IN_SOURCE,
    Provenance.DOCUMENTED,
    SEEN_LIVE,
)
_NOW: Final = datetime(2026, 11, 1, 12, tzinfo=UTC)
_MOST_SHOWN: Final = 8
_SOUNDS_SECRET = re.compile(r"token|secret|password|api_?key", re.IGNORECASE)
_GONE: Final = object()
_NOT_PERSONS: Final = ("120363039000000000@g.us", "120363039000000001@newsletter")
_ERRORS_BESIDE: Final[tuple[tuple[str, Json], ...]] = (
    ("error", "You are not connected."),
    ("error", {"message": "x"}),
    ("errors", ["x"]),
    ("error_code", "SOME_CODE"),
    ("errorMessage", "x"),
    ("statusCode", 500),
    ("success", False),
)
_PLAUSIBLE: Final = frozenset((100, *range(200, 300), *range(400, 432), *range(500, 512)))
_FEW: Final = 6  # hostile bodies that are tried at every other status, too
_WRONG_OPTIONS: Final[tuple[Json, ...]] = (
    *(None, 5, True, [], {}),
    *("", "../up", "a b", "line\nbreak"),
)


class _CommandSchema(Schema):
    action = fields.Enum(Action, by_value=True, required=True)
    contact = fields.String(load_default=None, allow_none=True)


class _RequestSchema(Schema):
    method = fields.String(required=True)
    path = fields.String(required=True)
    headers = fields.Dict(fields.String(), fields.String(), load_default=dict)
    query = fields.Dict(fields.String(), fields.String(), load_default=dict)
    json = fields.Raw(load_default=None, allow_none=True)


class _AnswerSchema(Schema):
    status = fields.Integer(strict=True, required=True, validate=validate.Range(100, 599))
    headers = fields.Dict(fields.String(), fields.String(), load_default=dict)
    body = fields.Raw(load_default=None, allow_none=True)
    text = fields.String(load_default=None)


class _ContactSchema(Schema):
    number = fields.String(load_default=None, allow_none=True)
    lid = fields.String(load_default=None, allow_none=True)
    user_id = fields.String(load_default=None, allow_none=True)


class _OutcomeSchema(Schema):
    code = fields.Enum(Code, by_value=True, load_default=None)
    confirmation = fields.Enum(Confirmation, by_value=True, load_default=None)
    contacts = fields.List(fields.Nested(_ContactSchema), load_default=None)
    others = fields.Integer(strict=True, load_default=0)
    retry_after = fields.Integer(strict=True, load_default=None)
    refused = fields.List(fields.String(), data_key="fields", load_default=list)
    provider_code = fields.String(load_default=None)


class _ExchangeSchema(Schema):
    title = fields.String(required=True, validate=validate.Length(1))
    source = fields.String(required=True, validate=validate.Length(1))
    date = fields.String(required=True, validate=validate.Regexp(r"^\d{4}-\d{2}(-\d{2})?\Z"))
    proof = fields.String(required=True, validate=validate.OneOf(_BY_STRENGTH))
    note = fields.String()
    options = fields.Dict(fields.String(), load_default=dict)
    command = fields.Nested(_CommandSchema, required=True)
    request = fields.Nested(_RequestSchema, required=True)
    answer = fields.Nested(_AnswerSchema, required=True)
    outcome = fields.Nested(_OutcomeSchema, required=True)
    next = fields.Nested(_RequestSchema, load_default=None, allow_none=True)
    evidence = fields.List(
        fields.String(validate=validate.Regexp(r"^(status|(/[^/?]+)+\??)\Z")), load_default=list
    )


@dataclass(frozen=True, slots=True)
class Exchange:
    """One recorded exchange: on this command that request, on this response that outcome."""

    name: str
    file: str
    date: str
    proof: str
    options: Mapping[str, Any]
    command: Command
    request: HttpRequest
    response: HttpResponse
    outcome: Outcome
    next: HttpRequest | None
    evidence: tuple[str, ...]

    def proves(self, action: Action, response: HttpResponse) -> bool:
        """Whether the response holds all that makes this exchange a success of `action`."""
        if not self.outcome.ok or self.command.action is not action:
            return False
        ours = self.response.document
        by_status = "status" in self.evidence or ours is None
        if by_status and response.status != self.response.status:
            return False
        if ours is None:
            return response.body == self.response.body
        theirs = response.document
        return theirs is not None and all(
            _same(_at(theirs, pointer), _at(ours, pointer))
            or (pointer.endswith("?") and _at(theirs, pointer) is _GONE)
            for pointer in self.evidence
            if pointer != "status"
        )


def read_answers(folder: Path, secrets: Mapping[str, str]) -> list[Exchange]:
    """Return the exchanges in the JSON files of `folder`, with the secrets filled in.

    Raises AssertionError with every fault of the files; a folder without exchanges is one.
    """
    faults: list[str] = []
    exchanges: list[Exchange] = []
    for path in sorted(folder.glob("*.json")):
        try:
            document = read_json(path.read_bytes())
        except ValueError as error:
            faults.append(f"{path.name}: {error}")
            continue
        for place, raw in _spread(path.name, document):
            try:
                exchanges.append(_read_exchange(path.name, raw, secrets))
            except ValidationError as error:
                faults.append(f"{place}: {json.dumps(error.messages)}")
            except ValueError as error:
                faults.append(f"{place}: {error}")
    if not exchanges and not faults:
        faults.append(f"{folder} holds no exchange")
    _require(faults, "write the answers as the documentation of adapter.testing.contract says.")
    return exchanges


def _spread(name: str, document: Json) -> Iterator[tuple[str, Json]]:
    """Give each exchange of a file, with the keys that the file's exchanges share."""
    if not (isinstance(document, dict) and "exchanges" in document):
        yield name, document
        return
    shared = {key: value for key, value in document.items() if key != "exchanges"}
    listed = document["exchanges"]
    if not isinstance(listed, list) or not listed:
        yield name, None
        return
    for place, own in enumerate(listed):
        yield f"{name}, exchange {place}", {**shared, **own} if isinstance(own, dict) else own


def _read_exchange(file: str, raw: Json, secrets: Mapping[str, str]) -> Exchange:
    if not isinstance(raw, dict):
        raise ValidationError("an exchange must be an object, and `exchanges` a list of them")
    record = _ExchangeSchema().load(raw)
    told, answer, following = record["outcome"], record["answer"], record["next"]
    if answer["body"] is not None and answer["text"] is not None:
        raise ValidationError({"answer": "give body or text, not both"})
    named = record["command"]["contact"]
    command = Command(record["command"]["action"], named and _read_name(named))
    if answer["body"] is not None:
        response = json_response(answer["status"], answer["body"], answer["headers"])
    else:
        body = (answer["text"] or "").encode()
        response = HttpResponse(answer["status"], Headers(answer["headers"]), body)
    contacts = told["contacts"]
    outcome = Outcome(
        told["code"],
        told["confirmation"],
        None if contacts is None else tuple(Contact(**contact) for contact in contacts),
        told["retry_after"],
        dict.fromkeys(told["refused"], (REFUSED,)),
        answer["status"],
        told["provider_code"],
        told["others"],
    )
    evidence = tuple(record["evidence"])
    pointers = [pointer for pointer in evidence if pointer != "status"]
    if evidence and not outcome.ok:
        raise ValidationError({"evidence": "only a success needs evidence"})
    if outcome.ok and response.document is not None and not pointers:
        raise ValidationError({"evidence": "name the values of the body that prove the success"})
    for pointer in pointers:
        if _at(response.document, pointer) is _GONE:
            raise ValidationError({"evidence": f"{pointer} is not in the body"})
    if following and outcome.contacts is None:
        raise ValidationError({"next": "only a page of a list has a next one"})
    return Exchange(
        f"{file}: {record['title']}",
        file,
        record["date"],
        record["proof"],
        record["options"],
        command,
        _read_request(record["request"], secrets),
        response,
        outcome,
        following and _read_request(following, secrets),
        evidence,
    )


def _read_name(text: str) -> Contact:
    """Return the contact that a JID names, or a user id, in which there is no `@`."""
    return Contact.from_jid(text) if "@" in text else Contact(user_id=text)


def _read_request(raw: Mapping[str, Any], secrets: Mapping[str, str]) -> HttpRequest:
    filled = _fill(dict(raw), secrets)
    headers = Headers(filled["headers"])
    return HttpRequest(filled["method"], filled["path"], headers, filled["query"], filled["json"])


class ProviderContract:
    """The promises of a provider, one test each. Subclass it under a name that begins with Test.

    `provider` and `answers` are required. `options` are the provider's own, as in a configuration;
    every secret that they leave out is made up. `session_option` names the option that a dialect
    returns as the session.
    """

    provider: ClassVar[type[Provider]]
    dialect: ClassVar[type[Dialect] | None] = None
    options: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    answers: ClassVar[Path]
    session_option: ClassVar[str] = "session"

    # -- requests

    def test_every_request_is_the_recorded_one(self) -> None:
        """A command becomes exactly the request that the provider's documents show."""
        first = [exchange for exchange in self._exchanges if not self._is_later(exchange)]
        faults = [
            f"{exchange.name}: {fault}"
            for exchange in first
            for fault in _differences(self._request(exchange), exchange.request)
        ]
        recorded = {exchange.command.action for exchange in self._exchanges}
        faults += [
            f"no answer to {action} is to its first request"
            for action in sorted(recorded - {exchange.command.action for exchange in first})
        ]
        _require(faults, "correct build_request, or the request that is recorded.")

    def test_the_same_command_makes_the_same_request(self) -> None:
        """Building a request is pure: no clock, no counter, no memory of earlier commands."""
        faults = []
        for exchange in self._exchanges:
            provider = self._provider(exchange.options)
            built = [self._request(exchange, each) for each in (provider, provider, None)]
            if built[0] != built[1] or built[0] != built[2]:
                faults.append(f"{exchange.name}: built again, the request is another one")
        _require(faults, "let build_request depend on the options and the command alone.")

    def test_a_contact_is_named_in_the_declared_forms(self) -> None:
        """A request names its contact as `contact_forms` says, or the contact is refused unsent.

        Each declared form stands in a recorded request, so that none is claimed for nothing.
        """
        declared = set(self._class.contact_forms)
        shown: set[ContactForm] = set()
        for exchange in self._exchanges:
            if exchange.command.contact is not None:
                shown |= _forms(exchange.request, exchange.command.contact)
        faults = [f"no recorded request names a contact by {form}" for form in declared - shown]
        for options in self._option_sets:
            for command in self._all_commands():
                fault = self._naming_fault(options, command, declared)
                if fault:
                    faults.append(f"{command.action} of {command.contact}: {fault}")
        _require(
            sorted(faults),
            "declare in contact_forms what the requests hold, and record a request for each form; "
            "require_number refuses a contact that has no number.",
        )

    # -- answers

    def test_every_answer_is_read_as_recorded(self) -> None:
        """An answer becomes the recorded outcome, upstream status and code included."""
        faults = []
        for exchange in self._exchanges:
            read = self._read(exchange)
            if not _same_outcome(read, exchange.outcome):
                faults.append(
                    f"{exchange.name}: is read as {_tell(read)}, not as {_tell(exchange.outcome)}"
                )
        _require(faults, "correct the rules or parse_success, or the outcome that is recorded.")

    def test_an_answer_read_twice_is_read_the_same(self) -> None:
        """Reading an answer is pure: what was read before does not matter."""
        faults = []
        for exchange in self._exchanges:
            provider = self._provider(exchange.options)
            first = self._read(exchange, provider)
            for other in self._exchanges:
                self._read(other, provider)
            again = self._read(exchange, provider)
            if not _same_outcome(again, first):
                faults.append(f"{exchange.name}: first {_tell(first)}, then {_tell(again)}")
        _require(faults, "let parse_response depend on the command and the response alone.")

    def test_every_row_and_every_action_has_an_answer(self) -> None:
        """Each rule of the provider's table is reached by an answer, each action succeeds once."""
        exchanges = self._exchanges
        reached = [self._rule(exchange) for exchange in exchanges]
        faults = [
            f"no answer reaches the rule {_tell_rule(rule)}"
            for rule in self._class.error_rules
            if not any(rule is each for each in reached)
        ]
        succeeded = {each.command.action for each in exchanges if each.outcome.ok}
        routed = {route.action for route in self._class.routes}
        faults += [
            f"no answer shows a success of {action}" for action in sorted(routed - succeeded)
        ]
        _require(faults, "record an answer for each, or remove a rule that nothing can reach.")

    def test_no_row_claims_more_than_its_answers_prove(self) -> None:
        """A rule is documented, or read in source, only where an answer that reaches it is."""
        best: dict[int, str] = {}
        for exchange in self._exchanges:
            rule = id(self._rule(exchange))
            best[rule] = max(
                best.get(rule, Provenance.INFERRED), exchange.proof, key=_BY_STRENGTH.index
            )
        faults = [
            f"the rule {_tell_rule(rule)} claims to be {rule.proof}, its answers are {best[id(rule)]}"
            for rule in self._class.error_rules
            if id(rule) in best
            and _BY_STRENGTH.index(rule.proof) > _BY_STRENGTH.index(best[id(rule)])
        ]
        _require(
            faults, "give the rule the `proof` of its best answer, such as Provenance.INFERRED."
        )

    def test_the_proven_day_is_the_day_of_the_live_answers(self) -> None:
        """`verified_on` is the day of the answers in `live.json`, or None without it."""
        verified_on = self._class.verified_on
        live = [exchange for exchange in self._exchanges if exchange.file == LIVE_FILE]
        days = sorted({exchange.date for exchange in live})
        faults = [
            f"{each.name}: its proof is {each.proof}, not {SEEN_LIVE}, or the other way round"
            for each in self._exchanges
            if (each.proof == SEEN_LIVE) is not (each.file == LIVE_FILE)
        ]
        if days != ([] if verified_on is None else [verified_on]):
            faults.append(f"verified_on is {verified_on}, the days of {LIVE_FILE} are {days}")
        if verified_on is not None and not _is_past(verified_on):
            faults.append(f"verified_on is {verified_on}: no day (2026-11-22), or one to come")
        _require(faults, f"let the live test write {LIVE_FILE}, and set `verified_on` to its day.")

    def test_a_bare_status_means_what_it_means_for_every_provider(self) -> None:
        """The status of a page that is not the provider's is read by the shared rules.

        Such a page blames neither the contact nor the session, and says nothing for certain.
        """
        known = {
            rule.status: rule.code for rule in reversed(self._class.all_rules()) if rule.anyone
        }
        faults = []
        for provider, command in self._questions():
            for status in range(400, 600):
                expected = known.get(status, known[status // 100 * 100])
                bare = provider.is_own_error(HttpResponse(status))  # documented without a body
                for what, body in _foreign_bodies(status)[bare:]:
                    read = _try_reading(provider, command, HttpResponse(status, body=body))
                    if not isinstance(read, Outcome) or read.code is not expected:
                        faults.append(
                            f"{command.action}: {status} with {what} is read as {_tell(read)}, "
                            f"not as {expected.value}"
                        )
        _require(
            faults,
            "let is_own_error take the provider's own shape alone; "
            "state what is the provider's own as a ErrorRule, and leave the rest alone.",
        )

    # -- pages

    def test_every_page_of_a_list_leads_to_the_recorded_next_one(self) -> None:
        """After a page comes the recorded `next` one, or none; what is unreadable is never an end.

        A page with a value of another kind in it may be no page at all. But where it is read as
        one, and the right page leads on, it leads on too: no list is cut short in silence.
        """
        faults = []
        pages = [each for each in self._exchanges if each.outcome.contacts is not None]
        bodies = _hostile_bodies(pages)
        for exchange in pages:
            provider = self._provider(exchange.options)
            for each in (provider, provider, self._provider(exchange.options)):
                built = _try_paging(each, exchange.command, exchange.response)
                faults += [
                    f"{exchange.name}: {fault}" for fault in _differences(built, exchange.next)
                ]
            given, headers = exchange.response.document, exchange.response.headers
            changes = [(what, body, False) for what, body in bodies]
            for pointer, what, document in _mutations(given):
                unclear = _other_kind(_at(given, pointer), _at(document, pointer))
                leads_on = unclear and exchange.next is not None
                changes.append((f"{what} at {pointer}", to_bytes(document), leads_on))
            for what, body, leads_on in changes:
                response = HttpResponse(exchange.response.status, headers, body)
                fault = self._paging_fault(provider, exchange.command, response, leads_on)
                if fault:
                    faults.append(f"{exchange.name}, with {what}: {fault}")
        _require(
            faults,
            "let build_next_page read what parse_success has checked, "
            "and let parse_success refuse a page that does not say clearly whether more follow.",
        )

    # -- evidence

    def test_a_success_needs_all_of_its_evidence(self) -> None:
        """Each value of each recorded body is replaced: without the evidence there is no success.

        The other way round, a value of which every change ends the success must be called evidence.
        """
        faults = []
        for exchange in self._exchanges:
            provider = self._provider(exchange.options)
            survived: dict[str, bool] = {}
            for pointer, what, document in _mutations(exchange.response.document):
                body = to_bytes(document)
                response = HttpResponse(exchange.response.status, exchange.response.headers, body)
                fault = self._fault(provider, exchange.command, response)
                if fault:
                    where = pointer or "the root"
                    faults.append(f"{exchange.name}, with {what} at {where}: {fault}")
                if what != "nothing":
                    read = _try_reading(provider, exchange.command, response)
                    stays = isinstance(read, Outcome) and read.ok
                    survived[pointer] = survived.get(pointer, False) or stays
            if exchange.outcome.ok:
                named = [each.rstrip("?") + "/" for each in exchange.evidence]
                faults += [
                    f"{exchange.name}: every change of {pointer} ends the success; it is evidence"
                    for pointer, stays in survived.items()
                    if not stays and not any(_overlap(f"{pointer}/", each) for each in named)
                ]
        _require(
            faults,
            "let parse_success check the value and its type; "
            "list in `evidence` what it must check, and nothing that it rightly ignores.",
        )

    def test_an_error_beside_a_success_is_no_success(self) -> None:
        """A success with an error, an error status or `success: false` in it proves nothing."""
        faults = []
        for exchange in self._exchanges:
            document = exchange.response.document
            if not exchange.outcome.ok or not isinstance(document, dict):
                continue
            provider = self._provider(exchange.options)
            for name, value in _ERRORS_BESIDE:
                body = to_bytes({**document, name: value})
                response = HttpResponse(exchange.response.status, exchange.response.headers, body)
                read = _try_reading(provider, exchange.command, response)
                if not isinstance(read, Outcome) or read.applied is not Applied.UNKNOWN:
                    faults.append(f"{exchange.name}, with {name} = {value!r}: {_tell(read)}")
        _require(faults, "leave Provider.parse_response alone, which refuses such a success.")

    def test_a_refusal_that_shows_a_success_is_not_certain(self) -> None:
        """A refusal in whose body the evidence of a success stands contradicts itself."""
        faults = []
        for refusal in self._exchanges:
            told = refusal.response.document
            certain = refusal.outcome.applied is Applied.NOT_APPLIED
            if not certain or not isinstance(told, dict) or refusal.command.contact is None:
                continue
            for success in self._exchanges:
                if not success.outcome.ok or success.command != refusal.command:
                    continue
                shown = success.response.document
                both = _laid_over(shown, told) if isinstance(shown, dict) else None
                if both is None or not _keeps_evidence(success, both):
                    continue  # the refusal's own values replace the evidence of the success
                provider = self._provider(refusal.options)
                more = json_response(success.response.status, {**shown, "more": "x"})
                if not _is_success(_try_reading(provider, refusal.command, more)):
                    continue  # to this provider, a body with more in it shows nothing
                body = to_bytes(both)
                response = HttpResponse(refusal.response.status, refusal.response.headers, body)
                read = _try_reading(provider, refusal.command, response)
                if not isinstance(read, Outcome) or read.applied is not Applied.UNKNOWN:
                    faults.append(f"{refusal.name}, with {success.name} in it: {_tell(read)}")
        _require(faults, "let shows_success find the state that was asked for in such a body.")

    def test_a_response_about_another_contact_is_no_success(self) -> None:
        """Where a success names its contact, another name in its place makes it no success."""
        faults = []
        for exchange in self._exchanges:
            contact = exchange.command.contact
            if not exchange.outcome.ok or contact is None:
                continue
            provider = self._provider(exchange.options)
            for pointer, document in _renamed(exchange.response.document, contact):
                body = to_bytes(document)
                response = HttpResponse(exchange.response.status, exchange.response.headers, body)
                read = _try_reading(provider, exchange.command, response)
                # A list may hold the contact by another id: then a yes is all that it says.
                unclear = self._class.route(exchange.command.action).returns_list
                if (
                    not isinstance(read, Outcome)
                    or read.confirmation is Confirmation.PROVIDER_STATE
                    or (read.ok and not unclear)
                ):
                    faults.append(
                        f"{exchange.name}, with another contact at {pointer}: {_tell(read)}"
                    )
        _require(faults, "let parse_named_contact return the contact that the response names.")

    def test_list_entries_that_are_not_persons_are_counted(self) -> None:
        """A group or a channel in a list is counted in `others`; the persons stay readable."""
        faults = []
        for exchange in self._exchanges:
            contacts = exchange.outcome.contacts
            if not contacts:
                continue
            provider = self._provider(exchange.options)
            for pointer, document in _with_groups(exchange.response.document):
                body = to_bytes(document)
                response = HttpResponse(exchange.response.status, exchange.response.headers, body)
                read = _try_reading(provider, exchange.command, response)
                counted = exchange.outcome.others + len(_NOT_PERSONS)
                if (
                    not isinstance(read, Outcome)
                    or read.contacts != contacts
                    or read.others != counted
                ):
                    faults.append(f"{exchange.name}, with groups at {pointer}: {_tell(read)}")
        _require(faults, "read the JIDs of a list with read_contacts, or catch NotAPersonError.")

    def test_a_hostile_answer_is_no_success_and_raises_nothing(self) -> None:
        """HTML, broken and evil JSON, wrong shapes, at every status: an outcome, and a failure."""
        faults = []
        bodies = _hostile_bodies(each for each in self._exchanges if each.outcome.ok)
        junk = Headers({"Retry-After": "soon", "Content-Type": "text/html"})
        for provider, command in self._questions():
            for status in range(100, 600):
                for what, body in bodies if status in _PLAUSIBLE else bodies[:_FEW]:
                    response = HttpResponse(status, junk, body)
                    fault = self._fault(provider, command, response)
                    if fault:
                        faults.append(f"{command.action}, {status} with {what}: {fault}")
        _require(
            faults,
            "read response.document, which is strict, and take no shape of it for granted.",
        )

    def test_the_answer_to_another_command_is_no_success(self) -> None:
        """An answer that shows the opposite state, or a list, does not confirm a change.

        The answer to a change may well hold the list, too; as a list it needs a list's evidence.
        """
        faults = []
        for exchange in self._exchanges:
            provider = self._provider(exchange.options)
            for command in self._commands(exchange.command.contact or CONTACTS[0]):
                if command.action is exchange.command.action:
                    continue
                fault = self._fault(provider, command, exchange.response)
                read = _try_reading(provider, command, exchange.response)
                shown = exchange.outcome.confirmation is Confirmation.PROVIDER_STATE
                change = command.action is not Action.LIST
                if not fault and shown and change and isinstance(read, Outcome) and read.ok:
                    fault = "it shows another state, and is read as a success"
                if fault:
                    faults.append(f"{exchange.name}, as the answer to {command.action}: {fault}")
        _require(faults, "compare the state in the answer with command.blocked.")

    def test_a_redirect_is_never_an_answer(self) -> None:
        """A status from 300 to 399 is no success and blames nobody, whatever the body says.

        307 and 308 are `provider_redirected`; any other may stand for a change that was made.
        """
        faults = []
        bodies = {exchange.response.body for exchange in self._exchanges} | {b""}
        for provider, command in self._questions():
            for status in range(300, 400):
                for body in bodies:
                    read = _try_reading(provider, command, HttpResponse(status, body=body))
                    expected = (
                        Code.PROVIDER_REDIRECTED
                        if status in (307, 308)
                        else Code.PROVIDER_MISADDRESSED
                    )
                    if not isinstance(read, Outcome) or read.code is not expected:
                        faults.append(f"{command.action}: {status} is read as {_tell(read)}")
        _require(faults, "leave 3xx to Provider.parse_response.")

    def test_digits_in_a_text_change_no_outcome(self) -> None:
        """Texts echo phone numbers, and a phone number may hold 404, 429 or 501."""
        faults = []
        for exchange in self._exchanges:
            provider = self._provider(exchange.options)
            for what, plain in _echoes(exchange.response, PLAIN_NUMBER):
                expected = _try_reading(provider, exchange.command, plain)
                for number in TRICKY_NUMBERS:
                    tricky = dict(_echoes(exchange.response, number))[what]
                    read = _try_reading(provider, exchange.command, tricky)
                    if not _same_outcome(read, expected):
                        faults.append(
                            f"{exchange.name}: with the number {number} in {what} it is "
                            f"{_tell(read)}, with another number {_tell(expected)}"
                        )
        _require(faults, "never search a text; read a provider code, a field or the status.")

    # -- what is declared

    def test_nothing_is_sent_for_an_action_that_is_not_declared(self) -> None:
        """The routes and the actions agree; for any other action the service sends nothing."""
        routed = {route.action for route in self._class.routes}
        declared = self._class.actions()
        faults = []
        if declared != routed:
            faults.append(f"actions() is {sorted(declared)}, the routes are for {sorted(routed)}")
        faults += [
            f"{each.name}: its action is not declared"
            for each in self._exchanges
            if each.command.action not in declared
        ]
        for options in self._option_sets:
            for action in sorted(set(Action) - declared):
                command = Command(action, None if action is Action.LIST else CONTACTS[0])
                outcome, sent = self._call_recorded(options, command)
                if outcome.code is not Code.OPERATION_NOT_SUPPORTED or sent:
                    faults.append(f"{action}: {_tell(outcome)}, and something was sent: {sent}")
        _require(faults, "give every supported action one Route, and do not override actions().")

    def test_options_are_refused_by_name(self) -> None:
        """An unknown, missing or wrong option is refused with its name, a secret in clear too."""
        faults: list[str] = []
        for options in self._option_sets:
            faults += self._option_faults(self._given(options))
        _require(
            faults, "let the Options schema refuse it; use SecretField and session_field there."
        )

    # -- privacy

    def test_secrets_and_numbers_stay_out_of_every_text(self) -> None:
        """No repr, log line, printed line or exception holds a credential or a phone number."""
        faults = []
        for options in self._option_sets:
            secrets = [*self._secrets(options).values()]
            faults += [
                f"{what} shows {_which(text, secrets)}"
                for what, text in self._texts(options)
                if _which(text, secrets)
            ]
        _require(faults, "do not log, print or format them; keep a Secret a Secret.")

    def test_the_secret_travels_in_headers_or_path_only(self) -> None:
        """Each secret is sent, and neither in a query, which servers log, nor in a body."""
        faults = []
        for options in self._option_sets:
            provider = self._provider(options)
            for name, secret in self._secrets(options).items():
                for command in self._commands(CANARY):
                    request = _try_building(provider, command)
                    if not isinstance(request, HttpRequest):
                        continue
                    rest = json.dumps([dict(request.query), _plain(request.json)])
                    if secret in rest:
                        faults.append(f"{command.action}: {name} stands in the query or the body")
        _require(faults, "send credentials in a header, or in the path where the provider wants.")

    # -- the dialect

    def test_the_dialect_reads_what_the_provider_writes(self) -> None:
        """Every command comes back from its own request, with its session and its credential."""
        faults: list[str] = []
        for dialect, provider, options in self._conversations():
            session = self._load(options).get(self.session_option)
            secrets = set(self._secrets(options).values())
            for command in self._all_commands():
                request = _try_building(provider, command)
                if not isinstance(request, HttpRequest):
                    continue
                what = f"{command.action} of {command.contact}"
                try:
                    call = dialect.parse_request(_over_the_wire(request))
                    credential = dialect.parse_credential(_over_the_wire(request))
                except Exception as error:  # noqa: BLE001 - whatever it raises is the finding
                    faults.append(f"{what}: reading it raises {type(error).__name__}: {error}")
                    continue
                if call.command != command:
                    faults.append(f"{what}: is read as {call.command}")
                if call.session != session:
                    faults.append(f"{what}: the session is read as {call.session!r}")
                if secrets and credential not in secrets:
                    faults.append(f"{what}: the credential is not read back")
                faults += [
                    f"{what}, with {changed}: reading it raises {raised}"
                    for changed, raised in _hostile_requests(dialect, _over_the_wire(request))
                ]
        _require(faults, "let both classes share routes and tables; raise RequestError only.")

    def test_the_provider_reads_what_the_dialect_writes(self) -> None:
        """An outcome comes back from its own answer; where it cannot, no claim grows stronger."""
        faults: list[str] = []
        for dialect, provider, _ in self._conversations():
            for command in self._all_commands():
                request = _try_building(provider, command)
                if not isinstance(request, HttpRequest):
                    continue
                try:
                    call = dialect.parse_request(_over_the_wire(request))
                except Exception:  # noqa: BLE001, S112 - the test of read_request reports it
                    continue
                for outcome in self._outcomes(command):
                    try:
                        response = dialect.build_response(outcome, call, now=_NOW)
                        read = provider.parse_response(command, response)
                    except Exception as error:  # noqa: BLE001 - whatever it raises is the finding
                        faults.append(f"{_tell(outcome)}: {type(error).__name__}: {error}")
                        continue
                    if outcome.code is None or dialect.fallback(outcome.code) is outcome.code:
                        if read != outcome:
                            faults.append(f"{_tell(outcome)} comes back as {_tell(read)}")
                    elif read.ok or _stronger(read, outcome):
                        faults.append(f"{_tell(outcome)} becomes {_tell(read)}, which claims more")
        _require(
            faults, "write what build_response asks for, with the status and code of the rule."
        )

    # -- what the tests stand on

    @property
    def _class(self) -> type[Provider]:
        found = getattr(self, "provider", None)
        if not (isinstance(found, type) and issubclass(found, Provider)):
            raise AssertionError(f"{type(self).__name__}: set `provider` to your Provider class")
        return found

    def _conversations(self) -> Iterator[tuple[Dialect, Provider, Mapping[str, Any]]]:
        """Give the dialect with a provider of each set of options; nothing without a dialect."""
        provider = self._class
        if self.dialect is None:
            for each in vars(sys.modules[provider.__module__]).values():
                of = getattr(each, "provider", None)
                if isinstance(each, type) and issubclass(each, Dialect) and of is provider:
                    raise AssertionError(f"{type(self).__name__}: set `dialect = {each.__name__}`")
            return
        if self.dialect.provider is not provider:
            raise AssertionError(f"{self.dialect.__name__} is no dialect of {provider.__name__}")
        for options in self._option_sets:
            yield self.dialect(), self._provider(options), options

    @cached_property
    def _exchanges(self) -> list[Exchange]:
        folder = getattr(self, "answers", None)
        if not isinstance(folder, Path) or not folder.is_dir():
            raise AssertionError(
                f"{type(self).__name__}: set `answers` to the Path of the folder with the answers"
            )
        return read_answers(folder, self._secrets({}))

    @cached_property
    def _option_sets(self) -> list[Mapping[str, Any]]:
        """Every different set of options that an exchange asks for."""
        sets: list[Mapping[str, Any]] = []
        for exchange in self._exchanges:
            if exchange.options not in sets:
                sets.append(exchange.options)
        return sets

    @cached_property
    def _option_keys(self) -> dict[str, fields.Field]:  # type: ignore[type-arg, unused-ignore]
        known = self._class.Options().fields
        return {field.data_key or name: field for name, field in known.items()}

    def _given(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options as a configuration would give them, secrets made up."""
        canaries = {
            name: Secret(f"canary-{name}-7f3a9c41")
            for name, field in self._option_keys.items()
            if isinstance(field, SecretField)
        }
        return {**canaries, **self.options, **options}

    def _load(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            return MappingProxyType(dict(self._class.Options().load(self._given(options))))
        except ValidationError as error:
            raise AssertionError(
                f"{type(self).__name__}: the provider refuses its options: {error.messages}"
            ) from None

    def _secrets(self, options: Mapping[str, Any]) -> dict[str, str]:
        """Return the text of every secret option, by the option's name."""
        loaded = self._load(options)
        found = {}
        for name, field in self._option_keys.items():
            secret = loaded.get(field.attribute or str(field.name))
            if isinstance(secret, Secret):
                found[name] = secret.reveal()
        return found

    def _provider(self, options: Mapping[str, Any]) -> Provider:
        return self._class(self._load(options))

    def _request(self, exchange: Exchange, provider: Provider | None = None) -> HttpRequest | str:
        return _try_building(provider or self._provider(exchange.options), exchange.command)

    def _read(self, exchange: Exchange, provider: Provider | None = None) -> Outcome | str:
        provider = provider or self._provider(exchange.options)
        given = exchange.response
        response = HttpResponse(given.status, given.headers, given.body)
        return _try_reading(provider, exchange.command, response)

    def _is_later(self, exchange: Exchange) -> bool:
        """Whether the exchange is about a page that another one leads to."""
        return any(
            each is not exchange and each.next == exchange.request for each in self._exchanges
        )

    def _naming_fault(
        self, options: Mapping[str, Any], command: Command, declared: set[ContactForm]
    ) -> str:
        """Return what is wrong with the way the command's contact is named, or refused."""
        contact = command.contact
        if contact is None:
            return ""
        built = _try_building(self._provider(options), command)
        if not any(form.write(contact) for form in declared):
            if isinstance(built, HttpRequest) or not built.startswith(RequestError.__name__):
                return "it has no declared form, and build_request raises no RequestError"
            _, sent = self._call_recorded(options, command)
            return f"it has no declared form, and something was sent: {sent}" if sent else ""
        if not isinstance(built, HttpRequest):
            return built
        found = _forms(built, contact)
        if found and found <= declared:
            return ""
        return f"its form in the request is {sorted(found) or 'none that is known'}"

    def _paging_fault(
        self, provider: Provider, command: Command, response: HttpResponse, leads_on: bool
    ) -> str:
        """Return what is wrong with the way from a page to the next; nothing where all is well."""
        read = _try_reading(provider, command, response)
        if not isinstance(read, Outcome) or not read.ok:
            return ""
        built = _try_paging(provider, command, response)
        if isinstance(built, HttpRequest):
            route = self._class.route(command.action)
            ours = built.method == route.method and route.match(built.path) is not None
            return "" if ours else "the next page is not asked for at the route of the list"
        return built or ("it is taken for the last page" if leads_on else "")

    def _rule(self, exchange: Exchange) -> ErrorRule | None:
        try:
            return self._provider(exchange.options).find_rule(exchange.response)
        except Exception:  # noqa: BLE001 - the tests of reading report it
            return None

    def _commands(self, contact: Contact) -> list[Command]:
        """Return one command for each action of the provider."""
        return [
            Command(action, None if action is Action.LIST else contact)
            for action in sorted({route.action for route in self._class.routes})
        ]

    def _all_commands(self) -> list[Command]:
        found: list[Command] = []
        users = (USER,) if ContactForm.USER_ID in self._class.contact_forms else ()
        for contact in (*CONTACTS, *users):
            found += [each for each in self._commands(contact) if each not in found]
        return found

    def _questions(self) -> Iterator[tuple[Provider, Command]]:
        """Give a provider of each set of options, with a command for each action."""
        for options in self._option_sets:
            provider = self._provider(options)
            for command in self._commands(CONTACTS[0]):
                yield provider, command

    def _fault(self, provider: Provider, command: Command, response: HttpResponse) -> str:
        """Return what is wrong with the way a response is read; nothing where all is well."""
        read = _try_reading(provider, command, response)
        if not isinstance(read, Outcome):
            return read
        if read.retry_after is not None and not 0 <= read.retry_after <= MAX_RETRY_AFTER:
            return f"retry_after is {read.retry_after}"
        if not read.ok:
            return ""
        if not 200 <= response.status <= 299:
            return f"{response.status} is read as a success"
        if (read.contacts is None) is (command.action is Action.LIST):
            return "a list, and nothing else, must give contacts"
        if not any(each.proves(command.action, response) for each in self._exchanges):
            return "is read as a success without the recorded evidence"
        return ""

    def _call_recorded(
        self, options: Mapping[str, Any], command: Command
    ) -> tuple[Outcome, list[str]]:
        """Let the service carry out the command; return its outcome and what reached a server."""
        sent: list[str] = []
        part = self._class
        if issubclass(part, LocalProvider):

            def handle_request(_: LocalProvider, request: HttpRequest) -> HttpResponse:
                sent.append(request.method)
                return HttpResponse(500)

            part = type(part.__name__, (part,), {"handle_request": handle_request})
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(0)
            address = f"http://127.0.0.1:{server.getsockname()[1]}"
            account = Account(
                AccountSettings(
                    name="contract",
                    provider=part,
                    base_url=address,
                    options=self._load(options),
                    aliases=(),
                    transport=TransportSettings(connect_timeout=0.2, deadline=0.2),
                )
            )
            try:
                outcome, attempts = account.call(command, "contract")
            except Exception as error:  # noqa: BLE001 - whatever it raises is the finding
                return Outcome.failure(Code.INTERNAL_ERROR), [f"raised {type(error).__name__}"]
            finally:
                account.close()
            sent += ["a request"] * attempts
            with contextlib.suppress(BlockingIOError):
                server.accept()[0].close()
                sent.append("a connection")
        return outcome, sent

    def _option_faults(self, given: Mapping[str, Any]) -> Iterator[str]:
        if not self._refuses("no_such_option", {**given, "no_such_option": "x"}):
            yield "an unknown option is not refused by its name"
        for name, field in self._option_keys.items():
            missing = {key: value for key, value in given.items() if key != name}
            secret = isinstance(field, SecretField)
            if _SOUNDS_SECRET.search(name) and not secret:
                yield f"{name} sounds like a secret and is no SecretField"
            if secret and not self._refuses(name, {**given, name: "in-clear-text"}):
                yield f"{name} is taken in clear"
            if not self._refuses(name, missing):
                fault = self._building_fault(missing)
                if field.required or fault:
                    yield f"without {name}: not refused by its name; {fault or 'it is required'}"
            for wrong in _WRONG_OPTIONS:
                changed = {**given, name: wrong}
                if not self._refuses(name, changed) and (fault := self._building_fault(changed)):
                    yield f"{name} = {wrong!r} passes the schema, and then: {fault}"

    def _refuses(self, name: str, options: Mapping[str, Any]) -> bool:
        try:
            self._class.Options().load(dict(options))
        except ValidationError as error:
            return name in error.messages
        except Exception:  # noqa: BLE001 - anything else is no refusal
            return False
        return False

    def _building_fault(self, options: Mapping[str, Any]) -> str:
        """Return what goes wrong where a provider is made of options that were not refused."""
        try:
            provider = self._class(self._class.Options().load(dict(options)))
        except Exception as error:  # noqa: BLE001 - whatever it raises is the finding
            return f"making the provider raises {type(error).__name__}"
        for command in self._commands(CONTACTS[0]):
            built = _try_building(provider, command)
            if isinstance(built, str) and not built.startswith(RequestError.__name__):
                return built
        return ""

    def _texts(self, options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Give every text that a provider may write into logs and errors, by what it is."""
        yield from self._error_texts(options)
        written = io.StringIO()
        records = _Records()
        with contextlib.redirect_stdout(written), contextlib.redirect_stderr(written), records:
            values = list(self._values(options))
        for what, value in values:
            yield f"the repr of {what}", f"{value!r} {value}"
        yield from (("a log record", line) for line in records.lines)
        yield "what it prints", written.getvalue()

    def _values(self, options: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
        """Use the provider for a canary's sake; give all the values that came up."""
        secrets = " ".join(self._secrets(options).values())
        provider = self._provider(options)
        yield "the provider", provider
        yield "the options", provider.options
        answers = [
            response
            for each in self._exchanges
            for _, response in _echoes(each.response, f"{CANARY.number} {secrets}")
        ]
        for command in self._commands(CANARY):
            yield "a command", command
            request = _try_building(provider, command)
            yield "a request", request
            if isinstance(request, HttpRequest) and isinstance(provider, LocalProvider):
                yield "a local answer", provider.handle_request(request)
            for response in answers:
                outcome = _try_reading(provider, command, response)
                yield "a response", response
                yield "an outcome", outcome
                if isinstance(outcome, Outcome):
                    result = Result(outcome, command, "contract", self._class.name)
                    yield "a result", result
                    yield "an error", OutcomeError(result)
                    yield "an envelope", (write_error(outcome), outcome.provider_code)

    def _error_texts(self, options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Give the texts of the exceptions that wrong options lead to."""
        given = self._given(options)
        secrets = self._secrets(options)
        for name in self._option_keys:
            for secret in secrets.values():
                wrongs: tuple[Any, ...] = (
                    secret,
                    f"../{secret} {CANARY.number}",
                    Secret(f"{secret} {CANARY.number}"),
                    [secret],
                    {"is": secret},
                )
                for wrong in wrongs:
                    try:
                        loaded = self._class.Options().load({**given, name: wrong})
                        provider = self._class(loaded)
                        for command in self._commands(CANARY):
                            provider.build_request(command)
                    except Exception as error:  # noqa: BLE001 - its text is what is looked at
                        last = "".join(traceback.format_exception_only(error))
                        yield f"the error of a wrong {name}", f"{last} {error!r}"

    def _outcomes(self, command: Command) -> Iterator[Outcome]:
        """Give outcomes of the command: the success, and each code with what it may carry."""
        confirmation = self._class.confirmation
        if command.action is Action.LIST:
            both = Contact("5511999999999", "205227043110953@lid")
            for contacts in ((), CONTACTS, (both,)):
                yield Outcome.success(confirmation, contacts=contacts)
        else:
            yield Outcome.success(confirmation)
        for code in Code:
            yield Outcome.failure(code)
            if code.carries_retry_after:
                for seconds in (0, 1, 30, MAX_RETRY_AFTER):
                    yield Outcome.failure(code, retry_after=seconds)
        if self._class.parse_rejected_fields is not Provider.parse_rejected_fields:
            for names in (("number",), ("jid",), ("number", "jid")):
                refused = dict.fromkeys(names, (REFUSED,))
                yield Outcome.failure(Code.TARGET_REJECTED, fields=refused)


class _Records(logging.Handler):
    """Everything that any logger says, at any level, as long as this stands open."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record as it would be written."""
        self.lines.append(f"{logging.Formatter().format(record)} {record.args!r}")

    def __enter__(self) -> None:
        root = logging.getLogger()
        self._level, self._disabled = root.level, root.manager.disable
        root.setLevel(logging.DEBUG)
        logging.disable(logging.NOTSET)
        root.addHandler(self)

    def __exit__(self, *_: object) -> None:
        root = logging.getLogger()
        root.removeHandler(self)
        root.setLevel(self._level)
        logging.disable(self._disabled)


def _require(faults: Iterable[str], mend: str) -> None:
    """Raise AssertionError with the faults, and the way to mend them."""
    __tracebackhide__ = True  # pytest then shows the clause, not this line
    found = list(faults)
    if found:
        shown = "\n".join(f"  - {fault}" for fault in found[:_MOST_SHOWN])
        more = f"\n  … and {len(found) - _MOST_SHOWN} more" if len(found) > _MOST_SHOWN else ""
        raise AssertionError(f"{len(found)} fault(s):\n{shown}{more}\nTo mend this: {mend}")


def _try_building(provider: Provider, command: Command) -> HttpRequest | str:
    """Return the request, or in words what was raised in its place."""
    try:
        return provider.build_request(command)
    except Exception as error:  # noqa: BLE001 - whatever it raises is the finding
        what = type(error).__name__
        if isinstance(error, RequestError) and type(error) is not RequestError:
            what = f"{RequestError.__name__} ({what})"  # a kind of it is one, and as good a refusal
        return f"{what} is raised by build_request"


def _try_paging(
    provider: Provider, command: Command, response: HttpResponse
) -> HttpRequest | str | None:
    """Return the request for the next page, or in words what came in its place."""
    try:
        built = provider.build_next_page(
            command, HttpResponse(response.status, response.headers, response.body)
        )
    except Exception as error:  # noqa: BLE001 - whatever it raises is the finding
        return f"{type(error).__name__} is raised by build_next_page"
    if built is None or isinstance(built, HttpRequest):
        return built
    return f"build_next_page returns {type(built).__name__}"  # type: ignore[unreachable, unused-ignore]


def _try_reading(provider: Provider, command: Command, response: HttpResponse) -> Outcome | str:
    """Return the outcome, or in words what happened in its place."""
    try:
        read = provider.parse_response(command, response)
    except Exception as error:  # noqa: BLE001 - whatever it raises is the finding
        return f"reading it raises {type(error).__name__}"
    return read if isinstance(read, Outcome) else f"it is read as {type(read).__name__}"  # type: ignore[redundant-expr, unused-ignore]


def _is_success(read: Outcome | str) -> bool:
    return isinstance(read, Outcome) and read.ok


def _differences(built: HttpRequest | str | None, recorded: HttpRequest | None) -> Iterator[str]:
    """Give in words each part in which a request is not the recorded one."""
    if isinstance(built, str):
        yield built
        return
    if built is None or recorded is None:
        if built is not recorded:
            yield "a next page is recorded" if recorded else "no next page is recorded"
        return
    for part in ("method", "path", "headers", "query", "json"):
        is_now, should_be = getattr(built, part), getattr(recorded, part)
        if part == "headers":
            same = is_now == should_be
            is_now, should_be = dict(is_now), dict(should_be)
        else:
            same = _same(_plain(is_now), should_be)
        if not same:
            yield f"{part} is {is_now!r}, not {should_be!r}"


def _forms(request: HttpRequest, contact: Contact) -> set[ContactForm]:
    """Return the forms in which the path, the query or the body of a request names the contact.

    A form is found where it stands alone: digits before an @ are a part of another form.
    """
    values = [unquote(request.path), dict(request.query), _plain(request.json)]
    text = "\n".join(str(value) for _, value in _places(values) if isinstance(value, (str, int)))
    names = {form: form.write(contact) for form in ContactForm}
    return {
        form
        for form, name in names.items()
        if name and re.search(rf"(?<![\w@.]){re.escape(name)}(?![\w@.])", text)
    }


def _is_past(day: str) -> bool:
    """Whether the text is a day, as in 2026-11-22, and not one to come."""
    try:
        return date.fromisoformat(day).isoformat() == day <= datetime.now(UTC).date().isoformat()
    except ValueError:
        return False


def _other_kind(one: Json, other: Json) -> bool:
    """Whether both are values, of different kinds. Nothing and null are none."""
    none = (None, _GONE)
    return one not in none and other not in none and type(one) is not type(other)


def _same_outcome(one: Outcome | str, other: Outcome | str) -> bool:
    """Whether two outcomes agree in everything, the upstream status and code included."""
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    return (
        one == other
        and one.upstream_status == other.upstream_status
        and one.provider_code == other.provider_code
    )


def _stronger(read: Outcome, outcome: Outcome) -> bool:
    return read.applied is Applied.NOT_APPLIED and outcome.applied is not Applied.NOT_APPLIED


def _tell(outcome: Outcome | str) -> str:
    """Return an outcome in a few words."""
    if isinstance(outcome, str):
        return outcome
    words = [outcome.code.value if outcome.code else f"a success ({outcome.confirmation})"]
    words += [
        f"{name} {getattr(outcome, name)!r}"
        for name in ("contacts", "retry_after", "upstream_status", "provider_code")
        if getattr(outcome, name) is not None
    ]
    if outcome.fields:
        words.append(f"fields {sorted(outcome.fields)}")
    return ", ".join(words)


def _tell_rule(rule: ErrorRule) -> str:
    evidence = rule.provider_code or (rule.where.__name__ if rule.where else "the status alone")
    return f"{rule.code.value} ({rule.status}, {evidence})"


def _which(text: str, secrets: Iterable[str]) -> str:
    """Return in words what of the canary's or of the secrets the text shows."""
    if any(secret in text for secret in secrets):
        return "a secret"
    return "a phone number" if str(CANARY.number) in text else ""


def _same(one: Json, other: Json) -> bool:
    """Whether two JSON values are equal, with true and 1 told apart."""
    if one is _GONE or other is _GONE:
        return one is other
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _plain(value: Any) -> Json:
    """Return the value as JSON would bring it to the other side; itself where it is no JSON."""
    try:
        return json.loads(json.dumps(dict(value) if isinstance(value, Mapping) else value))
    except (TypeError, ValueError):
        return repr(value)


def _over_the_wire(request: HttpRequest) -> HttpRequest:
    body = None if request.json is None else read_json(to_bytes(request.json))
    return HttpRequest(request.method, request.path, request.headers, dict(request.query), body)


def _fill(value: Json, secrets: Mapping[str, str]) -> Json:
    """Return the value with the secrets in place of their names."""
    if isinstance(value, dict):
        return {key: _fill(item, secrets) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill(item, secrets) for item in value]
    if isinstance(value, str):
        for name, secret in secrets.items():
            value = value.replace(f"<{name}>", secret)
    return value


def _at(document: Json, pointer: str) -> Json:
    """Return the value to which a JSON pointer leads, `_GONE` where it leads nowhere."""
    value = document
    for part in pointer.rstrip("?").split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            return _GONE
    return value


def _places(document: Json, pointer: str = "") -> Iterator[tuple[str, Json]]:
    """Give every value in a document, the document first, with the pointer to it."""
    yield pointer, document
    if isinstance(document, dict):
        for key, item in document.items():
            part = key.replace("~", "~0").replace("/", "~1")
            yield from _places(item, f"{pointer}/{part}")
    elif isinstance(document, list):
        for index, item in enumerate(document):
            yield from _places(item, f"{pointer}/{index}")


def _changed(document: Json, pointer: str, value: Json) -> Json:
    """Return a copy in which another value, or none, stands at the pointer."""
    if not pointer:
        return value
    result = copy.deepcopy(document)
    above, _, last = pointer.rpartition("/")
    parent = _at(result, above)
    key = int(last) if isinstance(parent, list) else last.replace("~1", "/").replace("~0", "~")
    if value is _GONE:
        del parent[key]
    else:
        parent[key] = value
    return result


def _renamed(document: Json, contact: Contact) -> Iterator[tuple[str, Json]]:
    """Give the document with another contact in place of the command's: at each place, and at all.

    A place is a text that is the contact in one of its forms, with a `+` or not, and nothing more.
    """
    forms = {form: form.write(contact) for form in ContactForm}
    places = []
    for pointer, value in [] if document is None else list(_places(document)):
        for form, name in forms.items():
            if name and isinstance(value, str) and value.removeprefix("+") == name:
                plus = "+" if value.startswith("+") else ""
                places.append((pointer, f"{plus}{form.write(ANOTHER)}"))
                break
    for pointer, name in places:
        yield pointer, _changed(document, pointer, name)
    if len(places) > 1:
        everywhere = document
        for pointer, name in places:
            everywhere = _changed(everywhere, pointer, name)
        yield "all its places", everywhere


def _with_groups(document: Json) -> Iterator[tuple[str, Json]]:
    """Give the document with entries of groups and channels in each array of JIDs.

    An entry is a JID, or an object with one. A count beside the array grows with it.
    """
    for pointer, value in [] if document is None else list(_places(document)):
        if not isinstance(value, list) or not value:
            continue
        first = value[0]
        inside = [
            where
            for where, text in _places(first)
            if isinstance(text, str) and re.fullmatch(r"[0-9]+@(s\.whatsapp\.net|c\.us|lid)", text)
        ]
        if len(inside) != 1:
            continue
        more = [_changed(first, inside[0], jid) for jid in _NOT_PERSONS]
        changed = _changed(document, pointer, [*value, *more])
        above = _at(changed, pointer.rpartition("/")[0])
        if isinstance(above, dict):
            for key, count in above.items():
                if type(count) is int and count == len(value):
                    above[key] = count + len(more)
        yield pointer, changed


def _laid_over(below: dict[str, Json], above: dict[str, Json]) -> dict[str, Json]:
    """Return both objects in one; where both have a value that is no object, the upper one's."""
    both = {**below, **above}
    for key in set(below) & set(above):
        if isinstance(below[key], dict) and isinstance(above[key], dict):
            both[key] = _laid_over(below[key], above[key])
    return both


def _keeps_evidence(success: Exchange, document: Json) -> bool:
    """Whether the evidence of a success stands in the document, but for its flags of success."""
    flags = ("/success", "/ok")
    values = [each for each in success.evidence if each != "status" and not each.endswith(flags)]
    return bool(values) and all(
        _same(_at(document, each), _at(success.response.document, each)) for each in values
    )


def _overlap(one: str, other: str) -> bool:
    """Whether one pointer leads to the other's value, or into it. Both end with a slash."""
    return one.startswith(other) or other.startswith(one)


def _mutations(document: Json) -> Iterator[tuple[str, str, Json]]:
    """Give the document with one value replaced or removed: where, what is there now, the result.

    Nothing is taken out of an array, since a shorter list is right in itself. Nor does 1 replace
    true, which Python takes for equal. A document of `None` is none, and gives nothing.
    """
    wrong: tuple[Json, ...] = (None, True, False, 0, 1, -7, 2.5, "x", [], [None], {}, {"x": None})
    for pointer, value in [] if document is None else list(_places(document)):
        if isinstance(value, bool):
            yield pointer, "another value", _changed(document, pointer, not value)
        elif isinstance(value, str):
            yield pointer, "another value", _changed(document, pointer, f"x{value}")
        elif isinstance(value, (int, float)):
            yield pointer, "another value", _changed(document, pointer, value + 7)
        if pointer and not isinstance(_at(document, pointer.rpartition("/")[0]), list):
            yield pointer, "nothing", _changed(document, pointer, _GONE)
        for each in wrong:
            emptied = each == [] and isinstance(value, list)
            if each != value and not emptied:
                yield pointer, json.dumps(each), _changed(document, pointer, each)


def _foreign_bodies(status: int) -> list[tuple[str, bytes]]:
    """Return what gates, proxies and other servers send at an error status, by what it is."""
    shapes: tuple[Json, ...] = (
        {},
        [],
        "Not Found",
        {"detail": "Not Found"},
        {"unknown": "shape"},
        {"timestamp": "2026-11-01T12:00:00Z", "status": status, "path": "/"},
        {"type": "about:blank", "title": "x", "status": status},
    )
    pages = [("no body", b""), ("HTML", b"<!doctype html><h1>Forbidden</h1>"), ("a word", b"No")]
    return pages + [(json.dumps(each), to_bytes(each)) for each in shapes]


def _hostile_bodies(successes: Iterable[Exchange]) -> list[tuple[str, bytes]]:
    """Return what servers and networks send in place of an answer, by what it is."""
    bodies = {"no body": b"", "HTML": b"<!doctype html><h1>404 Not Found</h1>", "an object": b"{}"}
    good = {each.response.body: each for each in successes if each.response.document is not None}
    bodies.update((f"the good body {number}", body) for number, body in enumerate(good))
    bodies |= {
        "a space": b" ",
        "a word": b"OK",
        "bytes": bytes(range(256)),
        "an open brace": b"{",
        "an empty array": b"[]",
        "null": b"null",
        "true": b"true",
        "a number": b"200",
        "a text": b'"success"',
        "NaN": b"NaN",
        "a deep array": b"[" * 100 + b"]" * 100,
        "an endless array": b"[" * 4000,
        "a huge integer": b"9" * 5000,
        "half a surrogate pair": b'"\\ud800"',
        "an array of successes": b'[{"success":true},{"success":true}]',
    }
    for number, body in enumerate(good):
        what = f"the good body {number}"
        bodies[f"{what}, cut at its end"] = body[:-1]
        bodies[f"{what}, cut in half"] = body[: len(body) // 2]
        bodies[f"{what}, and more after it"] = body + b"}"
        bodies[f"{what}, after a byte order mark"] = b"\xef\xbb\xbf" + body
        bodies[f"{what} in UTF-16"] = body.decode().encode("utf-16")
        bodies[f"{what} in a JSON text"] = to_bytes(body.decode())
        bodies[f"{what} in an array"] = b"[" + body + b"]"
        if body.startswith(b"{") and body != b"{}":
            first = body[1 : body.index(b":")]
            for evil, value in (
                ("NaN", b"NaN"),
                ("an integer without end", b"9" * 5000),
                ("half a surrogate pair", b'"\\ud800"'),
                ("deep nesting", b"[" * 40 + b"]" * 40),
            ):
                bodies[f"{what} with {evil} in it"] = b'{"evil":' + value + b"," + body[1:]
            bodies[f"{what} with a key twice"] = b"{" + first + b":null," + body[1:]
    return list(bodies.items())


def _echoes(response: HttpResponse, text: str) -> Iterator[tuple[str, HttpResponse]]:
    """Give the response with the text in each of the places where a provider may echo it."""
    status, headers, document = response.status, response.headers, response.document
    if document is None:
        for what, body in (
            ("a plain body", f"Contact {text} was not found".encode()),
            ("an HTML body", f"<p>{text}</p>".encode()),
            ("message", to_bytes({"message": text})),
            ("error", to_bytes({"error": text})),
            ("error.message", to_bytes({"error": {"message": text, "code": None}})),
        ):
            yield what, HttpResponse(status, headers, body)
    else:
        for pointer, value in list(_places(document)):
            if isinstance(value, str):
                changed = _changed(document, pointer, f"{value} {text}")
                yield pointer, HttpResponse(status, headers, to_bytes(changed))
        if isinstance(document, dict):
            more = {**document, "echo": text, text: text}
            yield "another key", HttpResponse(status, headers, to_bytes(more))
    echoing = Headers({**headers, "X-Echo": text})
    yield "a header", HttpResponse(status, echoing, response.body)


def _hostile_requests(dialect: Dialect, request: HttpRequest) -> Iterator[tuple[str, str]]:
    """Give what a dialect raises, other than RequestError, on requests with one thing wrong."""
    changed = [("no body", request.json, None)] + [
        (f"{what} at {pointer or 'the root'}", request.json, document)
        for pointer, what, document in _mutations(request.json)
    ]
    for what, _, document in changed:
        try:
            dialect.parse_request(
                HttpRequest(request.method, request.path, request.headers, request.query, document)
            )
        except RequestError:
            continue
        except Exception as error:  # noqa: BLE001 - whatever it raises is the finding
            yield what, type(error).__name__


__all__ = [
    "CANARY",
    "LIVE_FILE",
    "SEEN_LIVE",
    "Exchange",
    "ProviderContract",
    "read_answers",
]
