"""The clause about responses to changes of several contacts in one request."""

from __future__ import annotations

from collections.abc import Iterator

from adapter.codes import Applied
from adapter.contacts import Contact
from adapter.provider import Provider
from adapter.response_rules import read_part, split_response
from adapter.results import Command
from adapter.testing.base import ContractBase
from adapter.testing.calls import same_outcome
from adapter.testing.exchanges import Exchange
from adapter.testing.reporting import describe_difference, describe_exception, require
from adapter.testing.samples import ANOTHER


class BatchesContract(ContractBase):
    """The requests of a provider for several contacts, where `max_contacts` is above 1."""

    def test_a_response_to_many_contacts_proves_of_each_what_it_proves_alone(self) -> None:
        """Sent alone in such a request, a contact has the recorded outcome.

        Beside another one, it has that outcome or an unknown one, and the other one, of which the
        response has no result, is neither changed nor certainly unchanged.
        """
        faults: list[str] = []
        for exchange in self.exchanges:
            if self.tested.max_contacts > 1 and exchange.command.action.is_change:
                try:
                    found = list(self._batch_faults(exchange))
                except Exception as error:  # noqa: BLE001 - any exception is the finding
                    found = [f"raised {describe_exception(error, self.tested)}"]
                faults += [f"{exchange.name}: {fault}" for fault in found]
        where = self.place_of("split_response")
        mend = (
            f"let {where} return for each command the results of its contact alone, a 2xx without "
            "evidence where there are none, and the whole response where it has no results."
        )
        require((faults, mend))

    def _batch_faults(self, exchange: Exchange) -> Iterator[str]:
        provider, command = self.make_provider(exchange.options), exchange.command
        other = Contact(ANOTHER.number)
        yield from _faults(provider, [command], exchange)
        both = [command, Command(command.action, other)]
        yield from _faults(provider, both, exchange)
        yield from _faults(provider, both[::-1], exchange)


def _faults(provider: Provider, commands: list[Command], exchange: Exchange) -> Iterator[str]:
    provider.build_batch_request(commands)
    response, expected = exchange.fresh_response(), exchange.outcome
    parts = split_response(provider, commands, response)
    for command, part in zip(commands, parts, strict=True):
        if len(commands) == 1 and part is response:
            continue  # as a single change
        outcome = read_part(provider, command, part, response)
        if command is not exchange.command:
            is_known = outcome.ok or outcome.applied is not Applied.UNKNOWN
            if is_known and part is not response:
                yield f"a contact without a result is {outcome.applied}"
            continue
        may_differ = part is response or (len(commands) > 1 and outcome.applied is Applied.UNKNOWN)
        if not may_differ and not same_outcome(outcome, expected):
            yield f"beside {len(commands) - 1} others: {describe_difference(outcome, expected)}"
