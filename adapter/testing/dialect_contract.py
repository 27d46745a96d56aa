"""The clauses about a dialect: it and its provider understand each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from adapter.codes import Action, Applied, Code
from adapter.contacts import Contact
from adapter.dialect import Dialect
from adapter.errors import RequestError
from adapter.http import HttpRequest
from adapter.provider import Provider
from adapter.readings import BlockState, Lookup, Reading, Session, SessionState
from adapter.response_rules import REFUSED
from adapter.results import MAX_RETRY_AFTER, Command, Outcome
from adapter.strict_json import read_json, write_json
from adapter.testing.base import ContractBase
from adapter.testing.calls import try_building
from adapter.testing.mutations import mutations
from adapter.testing.proofs import claim_of
from adapter.testing.reporting import describe_exception, describe_outcome, place_of, require
from adapter.testing.samples import CONTACTS, NOW


class DialectContract(ContractBase):
    """The dialect of a provider. Without a dialect, the clauses have nothing to try."""

    def test_the_dialect_parses_what_the_provider_builds(self) -> None:
        """Every command comes back from its own request, with its session and its credential."""
        faults: list[str] = []
        for dialect, provider, options in self._conversations():
            session = self.load(options).get(self.session_option)
            secrets = set(self.secrets.values())
            for command in self._served_commands(dialect):
                request = try_building(provider, command)
                if not isinstance(request, HttpRequest):
                    continue
                what = f"{command.action} of {command.contact}"
                try:
                    call = dialect.parse_request(_as_sent(request))
                    credential = dialect.parse_credential(_as_sent(request))
                except Exception as error:  # noqa: BLE001 - any exception is the finding
                    raised = describe_exception(error, type(dialect))
                    faults.append(f"{what}: parsing it raises {raised}")
                    continue
                if call.command != command:
                    faults.append(f"{what}: is parsed as {call.command}")
                if call.session != session:
                    faults.append(f"{what}: the session is parsed as {call.session!r}")
                if secrets and credential not in secrets:
                    faults.append(f"{what}: the credential is not found")
                faults += [
                    f"{what}, with {changed}: parsing it raises {raised}"
                    for changed, raised in _hostile_requests(dialect, _as_sent(request))
                ]
        require(
            (faults, f"correct {self._dialect_place('parse_request')}; raise RequestError only.")
        )

    def test_the_provider_parses_what_the_dialect_builds(self) -> None:
        """An outcome comes back from its own response; where it cannot, no claim grows stronger.

        A claim that no recorded response of the provider makes comes back as unknown.
        """
        faults: list[str] = []
        claims = {claim_of(exchange.outcome) for exchange in self.exchanges}
        for dialect, provider, _ in self._conversations():
            for command in self._served_commands(dialect):
                request = try_building(provider, command)
                if not isinstance(request, HttpRequest):
                    continue
                try:
                    call = dialect.parse_request(_as_sent(request))
                except Exception:  # noqa: BLE001, S112 - the clause of parse_request reports it
                    continue
                for outcome in self._outcomes(command):
                    sent = describe_outcome(outcome)
                    try:
                        response = dialect.build_response(outcome, call, now=NOW)
                        parsed = provider.parse_response(command, response)
                    except Exception as error:  # noqa: BLE001 - any exception is the finding
                        faults.append(f"{sent}: {describe_exception(error, type(dialect))}")
                        continue
                    code, action = outcome.code, command.action
                    if code is None or dialect.fallback(code, action) is code:
                        if outcome.ok and outcome.reading is not None:
                            claim = claim_of(outcome)
                            same = claim_of(parsed) == (claim if claim in claims else None)
                        else:
                            same = parsed == outcome
                        if not same:
                            faults.append(f"{sent} comes back as {describe_outcome(parsed)}")
                    elif parsed.ok or _is_stronger(parsed, outcome):
                        faults.append(
                            f"{sent} becomes {describe_outcome(parsed)}: a stronger claim"
                        )
        where = self._dialect_place("write_error")
        require((faults, f"correct write_success or {where}: status and code are the rule's."))

    def _dialect_place(self, name: str) -> str:
        return place_of(self.tested_dialect or Dialect, name)

    def _served_commands(self, dialect: Dialect) -> list[Command]:
        """Return the commands of the kit that the dialect serves."""
        return [
            each
            for each in self.all_commands()
            if each.action.is_change or each.action in dialect.reads
        ]

    def _conversations(self) -> Iterator[tuple[Dialect, Provider, Mapping[str, Any]]]:
        """Yield the dialect with a provider of each set of options; nothing without a dialect."""
        dialect = self.tested_dialect
        if dialect is not None:
            for options in self.option_sets:
                yield dialect(), self.make_provider(options), options

    def _outcomes(self, command: Command) -> Iterator[Outcome]:
        """Yield outcomes of the command: the success, and each code with what it may carry."""
        confirmation = self.tested.confirmation
        if command.action is Action.LIST:
            both = Contact("5511999999999", "205227043110953@lid")
            for contacts in ((), CONTACTS, (both,)):
                yield Outcome.success(confirmation, contacts=contacts)
        elif command.action.is_change:
            yield Outcome.success(confirmation)
        else:
            for reading in _readings(command):
                yield Outcome.success(confirmation, reading=reading)
        for code in Code:
            yield Outcome.failure(code)
            if code.carries_retry_after:
                for seconds in (0, 1, 30, MAX_RETRY_AFTER):
                    yield Outcome.failure(code, retry_after=seconds)
        if self.tested.parse_rejected_fields is not Provider.parse_rejected_fields:
            for names in (("number",), ("jid",), ("number", "jid")):
                rejected = dict.fromkeys(names, (REFUSED,))
                yield Outcome.failure(Code.TARGET_REJECTED, fields=rejected)


def _readings(command: Command) -> Iterator[Reading]:
    """Yield what a read may return, without the unknown values."""
    if command.action is Action.STATUS:
        yield Session(SessionState.CONNECTED)
        yield Session(SessionState.NOT_CONNECTED)
    elif command.action is Action.STATE:
        yield BlockState(True)
        yield BlockState(False)
    else:
        for found in (True, False):
            yield tuple(Lookup(each, found, each if found else None) for each in command.contacts)


def _is_stronger(parsed: Outcome, outcome: Outcome) -> bool:
    return parsed.applied is Applied.NOT_APPLIED and outcome.applied is not Applied.NOT_APPLIED


def _as_sent(request: HttpRequest) -> HttpRequest:
    """Return the request as it arrives: its body has been JSON."""
    body = None if request.json is None else read_json(write_json(request.json))
    return HttpRequest(request.method, request.path, request.headers, dict(request.query), body)


def _hostile_requests(dialect: Dialect, request: HttpRequest) -> Iterator[tuple[str, str]]:
    """Yield what a dialect raises, other than RequestError, on requests with one thing wrong."""
    changed = [("no body", None)] + [
        (f"{what} at {pointer or 'the root'}", document)
        for pointer, what, document in mutations(request.json)
    ]
    for what, document in changed:
        try:
            dialect.parse_request(
                HttpRequest(request.method, request.path, request.headers, request.query, document)
            )
        except RequestError:
            continue
        except Exception as error:  # noqa: BLE001 - any exception is the finding
            yield what, describe_exception(error, type(dialect))
