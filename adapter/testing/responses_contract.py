"""The clauses about responses: codes, statuses and texts, and what they mean."""

from __future__ import annotations

from adapter.codes import Code
from adapter.error_rules import ErrorRule
from adapter.http import HttpResponse
from adapter.provider import Provider
from adapter.results import Command, Outcome
from adapter.testing.base import ContractBase
from adapter.testing.calls import Failed, is_success, same_outcome, try_building, try_parsing
from adapter.testing.hostile import foreign_pages, hostile_bodies
from adapter.testing.mutations import echoes, retold, wrapped
from adapter.testing.proofs import proves
from adapter.testing.reporting import describe_difference, describe_outcome, describe_rule, require
from adapter.testing.samples import PLAIN_NUMBER, TRICKY_NUMBERS

_NO_CODE = "some-other-text"


class ResponsesContract(ContractBase):
    """The responses of a provider."""

    def test_every_response_is_parsed_as_recorded(self) -> None:
        """A response becomes the recorded outcome, upstream status and provider code included."""
        faults: list[str] = []
        uncounted: list[str] = []
        for exchange in self.exchanges:
            outcome, expected = self.parsed(exchange), exchange.outcome
            if not same_outcome(outcome, expected):
                ok = isinstance(outcome, Outcome) and outcome.ok and expected.ok
                others = isinstance(outcome, Outcome) and outcome.others != expected.others
                group = uncounted if ok and others else faults
                group.append(f"{exchange.name}: {describe_difference(outcome, expected)}")
        mend = (
            f"correct {self.place_of('error_codes')}, its error_rules or parse_success, or "
            "`outcome` in the answers file."
        )
        count = (
            f"correct {self.place_of('parse_success')}, or set `others` of the outcome in the "
            "answers file to the number of entries that are not persons."
        )
        require((faults, mend), (uncounted, count))

    def test_a_response_parsed_twice_has_the_same_outcome(self) -> None:
        """Parsing a response is pure: earlier commands and responses do not matter.

        One provider builds all commands, and parses all responses to them in turn, forwards and
        backwards; each outcome is that of a new provider.
        """
        faults = []
        for options in self.option_sets:
            shared = self.make_provider(options)
            commands = self.all_commands()
            turns = []
            for exchange in (each for each in self.exchanges if each.options == options):
                for command in (exchange.command, *commands):
                    alone = self.make_provider(options)
                    expected = try_parsing(alone, command, exchange.fresh_response())
                    turns.append((exchange, command, expected))
            for command in commands:
                try_building(shared, command)
            for exchange, command, expected in (*turns, *reversed(turns)):
                again = try_parsing(shared, command, exchange.fresh_response())
                if not same_outcome(again, expected):
                    was, now = describe_outcome(expected), describe_outcome(again)
                    what = f"{exchange.name}, as the response to {command.action}"
                    faults.append(f"{what}: alone {was}, after other responses {now}")
        where = self.place_of("parse_response")
        require((faults, f"let {where} depend on the command and the response alone."))

    def test_every_rule_and_every_action_has_a_response(self) -> None:
        """Each of the provider's own rules is reached by a response; each action succeeds once."""
        reached = [self.rule_of(exchange) for exchange in self.exchanges]
        unreached = [
            f"no response reaches the rule {describe_rule(rule)}"
            for rule in self.tested.own_rules()
            if not any(rule is each for each in reached)
        ]
        succeeded = {each.command.action for each in self.exchanges if each.outcome.ok}
        routed = {route.action for route in self.tested.all_routes()}
        missing = [f"no response is a success of {each}" for each in sorted(routed - succeeded)]
        codes, routes = self.place_of("error_codes"), self.place_of("routes")
        require(
            (unreached, f"record a response for it, or remove it from {codes}, or error_rules."),
            (missing, f"record an exchange of the action, or remove it from {routes}."),
        )

    def test_a_bare_status_has_the_shared_meaning(self) -> None:
        """The status of a page that is not the provider's has the meaning of the shared rules.

        Such a page blames neither the contact nor the session, and nothing about it is certain. A
        body that is evidence of a success, such as `[]` of an empty list, contradicts the status.
        """
        known = {
            rule.status: rule.code for rule in reversed(self.tested.all_rules()) if rule.any_sender
        }
        faults = []
        for provider, command in self.questions():
            for status in self.error_statuses:
                expected = known.get(status, known[status // 100 * 100])
                bare = provider.is_own_error(HttpResponse(status))  # documented without a body
                for what, response in foreign_pages(status)[bare:]:
                    outcome = try_parsing(provider, command, response)
                    if not isinstance(outcome, Outcome) or outcome.code is not expected:
                        if self._contradicts_itself(command, response, outcome):
                            continue
                        if self._disproves_evidence(provider, command, response, outcome):
                            continue  # the clause of hostile responses reports it
                        faults.append(
                            f"{command.action}: {status} with {what} is parsed as "
                            f"{describe_outcome(outcome)}, not as {expected.value}"
                        )
        mend = (
            f"let {self.place_of('is_own_error')} accept the provider's own shape alone; put "
            "what the provider documents into error_codes or error_rules, and nothing else."
        )
        require((faults, mend))

    def test_a_redirect_is_a_failure(self) -> None:
        """A status from 300 to 399 is a failure without blame, whatever the body is.

        307 and 308 are `provider_redirected`; any other may stand for a change that was made.
        """
        faults = []
        bodies = {exchange.response.body for exchange in self.exchanges} | {b""}
        responses = [HttpResponse(300, body=body) for body in sorted(bodies)]
        redirects = [each.at_status(status) for status in range(300, 400) for each in responses]
        for provider, command in self.questions():
            for response in redirects:
                outcome = try_parsing(provider, command, response)
                moved = response.status in (307, 308)
                expected = Code.PROVIDER_REDIRECTED if moved else Code.PROVIDER_MISADDRESSED
                if not isinstance(outcome, Outcome) or outcome.code is not expected:
                    what = describe_outcome(outcome)
                    faults.append(f"{command.action}: {response.status} is parsed as {what}")
        where = self.place_of("parse_response")
        require((faults, f"leave 3xx to the base class, in {where}."))

    def test_digits_in_a_text_change_no_outcome(self) -> None:
        """Texts echo phone numbers, and a phone number may contain 404, 429 or 501."""
        faults = []
        for exchange in self.exchanges:
            provider, command = self.make_provider(exchange.options), exchange.command
            expected = {
                what: try_parsing(provider, command, response)
                for what, response in echoes(exchange.response, PLAIN_NUMBER)
            }
            for number in TRICKY_NUMBERS:
                for what, response in echoes(exchange.response, number):
                    outcome = try_parsing(provider, command, response)
                    if not same_outcome(outcome, expected[what]):
                        was, other = describe_outcome(outcome), describe_outcome(expected[what])
                        faults.append(
                            f"{exchange.name}: with the number {number} in {what} it is {was}, "
                            f"with another number {other}"
                        )
        where = self.place_of("parse_response")
        require((faults, f"search no text in {where}; read a code, a field or the status."))

    def test_a_provider_code_inside_a_text_is_not_read(self) -> None:
        """A text of an error that merely contains a provider code is not that code.

        Texts repeat what a caller sent, and sentences may name a code in passing.
        """
        faults = []
        tried = set()
        for exchange in self.exchanges:
            given = exchange.response
            key = (exchange.command.action, given.status, given.body)
            if exchange.outcome.ok or key in tried:
                continue
            tried.add(key)
            provider, command = self.make_provider(exchange.options), exchange.command
            expected = {
                where: try_parsing(provider, command, response)
                for where, response in retold(given, f"x{_NO_CODE}x")
            }
            for code in sorted(self.tested.provider_codes()):
                for where, response in retold(given, f"x{code}x"):
                    outcome = try_parsing(provider, command, response)
                    if not same_outcome(outcome, expected[where]):
                        was, other = describe_outcome(outcome), describe_outcome(expected[where])
                        faults.append(
                            f"{exchange.name}: with x{code}x at {where or 'the root'} it is {was}, "
                            f"with any other text {other}"
                        )
        where = self.place_of("parse_provider_code")
        require((faults, f"compare the whole text in {where}; never search a part of it."))

    def test_a_rule_compares_whole_texts(self) -> None:
        """A rule with `where` does not match a longer text that only contains the recorded one.

        Texts repeat what a caller sent. Texts that the rule does not read are left aside: it then
        matches an unrelated text as well.
        """
        faults = []
        for exchange in self.exchanges:
            rule = self.rule_of(exchange)
            if rule is None or rule.where is None:
                continue
            provider = self.make_provider(exchange.options)
            for where, unrelated, longer in wrapped(exchange.response, _NO_CODE):
                if _matches(provider, exchange.command, unrelated, rule):
                    continue
                faults += [
                    f"{exchange.name}: the rule {describe_rule(rule)} matches {what} at {where}"
                    for what, response in longer
                    if _matches(provider, exchange.command, response, rule)
                ]
        where = self.place_of("error_rules")
        mend = f"compare the whole text in the rules of {where}; never search a part of it."
        require((faults, mend))

    def _disproves_evidence(
        self,
        provider: Provider,
        command: Command,
        response: HttpResponse,
        outcome: Outcome | Failed,
    ) -> bool:
        """Whether the page, a hostile body, is parsed as a success without its evidence at a 2xx.

        At an error status it then contradicts itself, though the recorded evidence is not in it.
        """
        uncertain = isinstance(outcome, Outcome) and outcome.code is Code.PROVIDER_BAD_RESPONSE
        if not uncertain or response.body not in {body for _, body in hostile_bodies(())}:
            return False
        statuses = {each.response.status for each in self.exchanges if each.outcome.ok}
        pages = [response.at_status(status) for status in statuses & self.hostile_statuses]
        return any(
            is_success(try_parsing(provider, command, each))
            and bool(self.fault_of(provider, command, each))
            for each in pages
        )

    def _contradicts_itself(
        self, command: Command, response: HttpResponse, outcome: Outcome | Failed
    ) -> bool:
        """Whether a failure has the body of a recorded success, and is parsed as uncertain."""
        return (
            isinstance(outcome, Outcome)
            and outcome.code is Code.PROVIDER_BAD_RESPONSE
            and any(
                proves(each, command.action, response.at_status(each.response.status))
                for each in self.exchanges
            )
        )


def _matches(provider: Provider, command: Command, response: HttpResponse, rule: ErrorRule) -> bool:
    """Whether the response reaches this rule."""
    try:
        return provider.find_rule(command, response) is rule
    except Exception:  # noqa: BLE001 - the clauses of hostile responses report it
        return False
