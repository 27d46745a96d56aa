"""The clauses about evidence: what a success needs, and what must never become one."""

from __future__ import annotations

from collections.abc import Iterator

from adapter.codes import Applied, Confirmation
from adapter.http import HttpResponse, json_response
from adapter.provider import Provider
from adapter.results import Outcome
from adapter.strict_json import Json, write_json
from adapter.testing.base import MEND_ANSWERS, ContractBase
from adapter.testing.calls import is_success, try_parsing
from adapter.testing.exchanges import ANY_SUCCESS_STATUS, Exchange
from adapter.testing.hostile import ERRORS_BESIDE, hostile_responses
from adapter.testing.mutations import NOTHING, flipped, laid_over, mutated_responses, renamed
from adapter.testing.pointers import covers, overlaps
from adapter.testing.proofs import keeps_evidence
from adapter.testing.reporting import describe_outcome, require

_SUCCESS_STATUSES = range(200, 227)


class EvidenceContract(ContractBase):
    """The successes of a provider."""

    def test_a_success_needs_all_of_its_evidence(self) -> None:
        """Each value of each body, and the status, is replaced: no success without the evidence.

        The other way round, a value is evidence if every change of it ends the success.
        """
        faults: list[str] = []
        unnamed: list[str] = []
        for exchange in self.exchanges:
            provider = self.make_provider(exchange.options)
            survived: dict[str, bool] = {}
            for pointer, what, response in mutated_responses(exchange):
                outcome = try_parsing(provider, exchange.command, response)
                fault = self.fault_in(outcome, exchange.command, response)
                if fault:
                    where = pointer or "the root"
                    faults.append(f"{exchange.name}, with {what} at {where}: {fault}")
                if what != NOTHING and exchange.outcome.ok and exchange.evidence:
                    survived[pointer] = survived.get(pointer, False) or self.keeps(
                        exchange, outcome
                    )
            if exchange.outcome.ok:
                faults += self._status_faults(provider, exchange)
                unnamed += self._unnamed_evidence(provider, exchange, survived)
        mend = (
            f"let {self.place_of('parse_success')} check the value and its type, and the status. "
            f"If it rightly ignores a value, {MEND_ANSWERS}take the value out of `evidence`, or "
            "write a pattern for the entries of an array (`/data/jids/*`), or `status?`."
        )
        answers = f"{MEND_ANSWERS}`evidence` lists exactly what ends the success."
        require((faults, mend), (unnamed, answers))

    def test_every_boolean_of_a_success_is_checked_or_ignored(self) -> None:
        """A boolean that may be the other way round in a success is ignored on purpose.

        Such a value often is the state, or a flag of failure, that was overlooked.
        """
        unchecked: list[str] = []
        needless: list[str] = []
        for exchange in self.exchanges:
            if not exchange.outcome.ok or exchange.response.document is None:
                continue
            provider = self.make_provider(exchange.options)
            for pointer, document in flipped(exchange.response.document):
                outcome = try_parsing(provider, exchange.command, _with_body(exchange, document))
                stays = self.keeps(exchange, outcome)
                ignored = any(covers(each, pointer) for each in exchange.ignores)
                if stays and not ignored:
                    unchecked.append(f"{exchange.name}: the success stays, whatever {pointer} is")
                if ignored and not stays:
                    needless.append(f"{exchange.name}: {pointer} is not ignored; it is evidence")
        mend = (
            f"let {self.place_of('parse_success')} check the boolean; or, if it does not matter, "
            "list its pointer under `ignores` of the exchange."
        )
        answers = f"{MEND_ANSWERS}move the pointer from `ignores` to `evidence`."
        require((unchecked, mend), (needless, answers))

    def test_a_success_with_an_error_in_it_is_a_failure(self) -> None:
        """A success with an error, an error status or `success: false` in it proves nothing."""
        faults = []
        for exchange in self.exchanges:
            document = exchange.response.document
            if not exchange.outcome.ok or not isinstance(document, dict):
                continue
            provider = self.make_provider(exchange.options)
            for name, value in ERRORS_BESIDE:
                if exchange.outcome.reading is not None and name in document:
                    continue  # there, the key is part of what was recorded
                response = _with_body(exchange, {**document, name: value})
                outcome = try_parsing(provider, exchange.command, response)
                if not _is_uncertain(outcome):
                    what = describe_outcome(outcome)
                    faults.append(f"{exchange.name}, with {name} = {value!r}: {what}")
        where = self.place_of("parse_response")
        require((faults, f"leave that to the base class, in {where}."))

    def test_a_refusal_with_a_success_in_it_is_uncertain(self) -> None:
        """A refusal contradicts itself if the evidence of a success is in its body."""
        faults = []
        for refusal in self.exchanges:
            body = refusal.response.document
            certain = refusal.outcome.applied is Applied.NOT_APPLIED
            if not certain or not isinstance(body, dict) or refusal.command.contact is None:
                continue
            provider = self.make_provider(refusal.options)
            for success, both in self._contradictions(refusal, body):
                more = {**success.response.document, "more": "x"}
                shown = json_response(success.response.status, more)
                if not is_success(try_parsing(provider, refusal.command, shown)):
                    continue  # to this provider, a body with more in it shows nothing
                outcome = try_parsing(provider, refusal.command, _with_body(refusal, both))
                if not _is_uncertain(outcome):
                    what = describe_outcome(outcome)
                    faults.append(f"{refusal.name}, with {success.name} in it: {what}")
        where = self.place_of("shows_success")
        require((faults, f"let {where} find the requested state in such a body."))

    def test_a_response_about_another_contact_is_a_failure(self) -> None:
        """If a success names its contact, it is not one with another name in its place."""
        faults = []
        for exchange in self.exchanges:
            contact = exchange.command.contact
            if not exchange.outcome.ok or contact is None:
                continue
            provider = self.make_provider(exchange.options)
            for pointer, document in renamed(exchange.response.document, contact):
                outcome = try_parsing(provider, exchange.command, _with_body(exchange, document))
                # A list may hold the contact by another id: then it confirms no state.
                unclear = self.tested.route(exchange.command.action).returns_list
                if (
                    not isinstance(outcome, Outcome)
                    or outcome.confirmation is Confirmation.PROVIDER_STATE
                    or (outcome.ok and not unclear)
                ):
                    what = describe_outcome(outcome)
                    faults.append(f"{exchange.name}, with another contact at {pointer}: {what}")
        where = self.place_of("parse_named_contact")
        require((faults, f"let {where} return the contact that the response names."))

    def test_a_response_to_another_command_is_a_failure(self) -> None:
        """A response with the opposite state does not confirm a change.

        The response to a change may be the block list too; as a list it needs a list's evidence.
        The responses to a list are not tried: an empty one is the state after an unblock.
        """
        faults = []
        for exchange in self.exchanges:
            if exchange.command.contact is None:
                continue
            provider = self.make_provider(exchange.options)
            for command in self.commands(exchange.command.contact):
                if command.action is exchange.command.action:
                    continue
                fault = self.fault_of(provider, command, exchange.response)
                shown = exchange.outcome.confirmation is Confirmation.PROVIDER_STATE
                change = command.action.is_change and exchange.command.action.is_change
                if not fault and shown and change:
                    outcome = try_parsing(provider, command, exchange.response)
                    fault = (
                        "it has the other state, and is a success" if is_success(outcome) else ""
                    )
                if fault:
                    faults.append(f"{exchange.name}, as the response to {command.action}: {fault}")
        where = self.place_of("parse_success")
        require((faults, f"compare the state in the response with command.blocked, in {where}."))

    def test_a_hostile_response_is_a_failure_and_raises_nothing(self) -> None:
        """HTML, broken and evil JSON, wrong shapes, at every status: an outcome, and a failure."""
        faults = []
        hostile = hostile_responses(self.exchanges, self.hostile_statuses)
        for provider, command in self.questions():
            for what, response in hostile:
                fault = self.fault_of(provider, command, response)
                if fault:
                    faults.append(f"{command.action}, {response.status} with {what}: {fault}")
        mend = (
            f"let {self.place_of('parse_success')} read response.document, which is strict JSON, "
            "and check every shape and the status. If it rightly accepts one of these, "
            f"{MEND_ANSWERS}`evidence` of the exchange demands too much. Each entry of an array is "
            "`/data/*`; if the whole body is the array, `/*`."
        )
        require((faults, mend))

    def _status_faults(self, provider: Provider, exchange: Exchange) -> Iterator[str]:
        """Yield what is wrong with the success at other statuses, each fault once."""
        found: dict[str, list[int]] = {}
        for status in _SUCCESS_STATUSES:
            response = exchange.response.at_status(status)
            fault = self.fault_of(provider, exchange.command, response)
            if fault:
                found.setdefault(fault, []).append(status)
        for fault, statuses in found.items():
            others = f" and {len(statuses) - 1} others" if len(statuses) > 1 else ""
            yield f"{exchange.name}, with the status {statuses[0]}{others}: {fault}"

    def _unnamed_evidence(
        self, provider: Provider, exchange: Exchange, survived: dict[str, bool]
    ) -> Iterator[str]:
        """Yield what the provider checks and `evidence` does not list, or the other way round."""
        for pointer, stays in survived.items():
            if not stays and not any(overlaps(each, pointer) for each in exchange.evidence):
                where = f"{exchange.name}: every change of {pointer} ends the success"
                yield f'{where}; add "{pointer}"'
        if exchange.several_statuses:
            others = (exchange.response.at_status(each) for each in _SUCCESS_STATUSES)
            successes = [
                each.status
                for each in others
                if is_success(try_parsing(provider, exchange.command, each))
            ]
            if successes == [exchange.response.status]:
                yield f'{exchange.name}: it has one status alone; remove "{ANY_SUCCESS_STATUS}"'

    def _contradictions(
        self, refusal: Exchange, body: dict[str, Json]
    ) -> Iterator[tuple[Exchange, Json]]:
        """Yield the successes of the refusal's command, each with the two bodies laid over it."""
        for success in self.exchanges:
            shown = success.response.document
            if (
                success.outcome.ok
                and success.command == refusal.command
                and isinstance(shown, dict)
            ):
                both = laid_over(shown, body)
                if keeps_evidence(success, both):  # else the refusal replaces the evidence
                    yield success, both


def _with_body(exchange: Exchange, document: Json) -> HttpResponse:
    """Return the exchange's response with another document as its body."""
    given = exchange.response
    return HttpResponse(given.status, given.headers, write_json(document))


def _is_uncertain(outcome: object) -> bool:
    return isinstance(outcome, Outcome) and outcome.applied is Applied.UNKNOWN
