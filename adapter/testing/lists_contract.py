"""The clauses about block lists: their pages, and the entries that are not persons."""

from __future__ import annotations

from dataclasses import replace

from adapter.http import HttpRequest, HttpResponse
from adapter.provider import Provider
from adapter.results import Command, Outcome
from adapter.strict_json import Json, write_json
from adapter.testing.base import ContractBase
from adapter.testing.calls import differences, is_success, same_outcome, try_paging, try_parsing
from adapter.testing.hostile import hostile_bodies
from adapter.testing.mutations import emptied, mutations, with_groups
from adapter.testing.pointers import GONE, is_pattern, value_at
from adapter.testing.reporting import describe_difference, require
from adapter.testing.samples import NOT_PERSONS


class ListsContract(ContractBase):
    """The block lists of a provider."""

    def test_every_page_leads_to_the_recorded_next_page(self) -> None:
        """After a page comes the recorded `next` one, or none.

        An unreadable page is never taken for the last.

        A page with a value of another kind in it may not be a page at all. But if it is parsed as
        one, and the right page leads on, it leads on too: no list is cut short in silence.
        """
        faults = []
        pages = [each for each in self.exchanges if each.outcome.contacts is not None]
        bodies = hostile_bodies(pages)
        for exchange in pages:
            provider = self.make_provider(exchange.options)
            for each in (provider, provider, self.make_provider(exchange.options)):
                built = try_paging(each, exchange.command, exchange.response)
                faults += [
                    f"{exchange.name}: {fault}" for fault in differences(built, exchange.next)
                ]
            given, headers = exchange.response.document, exchange.response.headers
            changes = [(what, body, False) for what, body in bodies]
            for pointer, what, document in mutations(given):
                unclear = _is_other_kind(value_at(given, pointer), value_at(document, pointer))
                leads_on = unclear and exchange.next is not None
                changes.append((f"{what} at {pointer}", write_json(document), leads_on))
            for what, body, leads_on in changes:
                response = HttpResponse(exchange.response.status, headers, body)
                fault = self._paging_fault(provider, exchange.command, response, leads_on)
                if fault:
                    faults.append(f"{exchange.name}, with {what}: {fault}")
        mend = (
            f"let {self.place_of('build_next_page')} read what parse_success has checked, and "
            f"let {self.place_of('parse_success')} refuse a page from which it is unclear "
            "whether more follow; or correct `next` in the answers file."
        )
        require((faults, mend))

    def test_list_entries_that_are_not_persons_are_counted(self) -> None:
        """A group or a channel in a list is counted in `others`; the persons stay readable."""
        faults = []
        for exchange in self.exchanges:
            contacts = exchange.outcome.contacts
            if not contacts:
                continue
            provider = self.make_provider(exchange.options)
            for pointer, document in with_groups(exchange.response.document):
                body = write_json(document)
                response = HttpResponse(exchange.response.status, exchange.response.headers, body)
                outcome = try_parsing(provider, exchange.command, response)
                counted = exchange.outcome.others + len(NOT_PERSONS)
                if (
                    not isinstance(outcome, Outcome)
                    or outcome.contacts != contacts
                    or outcome.others != counted
                ):
                    expected = replace(exchange.outcome, others=counted)
                    what = describe_difference(outcome, expected)
                    faults.append(
                        f"{exchange.name}, with groups at {pointer or 'the root'}: {what}"
                    )
        where = self.place_of("parse_success")
        mend = (
            f"let {where} use read_contacts for the JIDs, or catch NotAPersonError; or set "
            "`others` of the outcome in the answers file to the number of the entries that are "
            "not persons."
        )
        require((faults, mend))

    def test_an_empty_list_is_a_success(self) -> None:
        """A list whose evidence is every entry of an array (`/data/*`) may have no entry."""
        faults = []
        for exchange in self.exchanges:
            patterns = [each.rstrip("?") for each in exchange.evidence if is_pattern(each)]
            if exchange.outcome.contacts is None or not patterns:
                continue
            provider = self.make_provider(exchange.options)
            given = exchange.response
            body = write_json(emptied(given.document, patterns))
            response = HttpResponse(given.status, given.headers, body)
            outcome = try_parsing(provider, exchange.command, response)
            expected = replace(exchange.outcome, contacts=(), others=0)
            if not same_outcome(outcome, expected):
                found = describe_difference(outcome, expected)
                faults.append(f"{exchange.name}, with {body.decode()}: {found}")
        where = self.place_of("parse_success")
        mend = (
            f"let {where} accept a list without entries: `list(entries)`, not `[_, *_]`. If the "
            "provider documents another response for an empty list, let `evidence` name the "
            "entries one by one (`/data/0`)."
        )
        require((faults, mend))

    def _paging_fault(
        self, provider: Provider, command: Command, response: HttpResponse, leads_on: bool
    ) -> str:
        """Return what is wrong with the way to the next page; an empty text if nothing is."""
        if not is_success(try_parsing(provider, command, response)):
            return ""
        built = try_paging(provider, command, response)
        if isinstance(built, HttpRequest):
            route = self.tested.route(command.action)
            ours = built.method == route.method and route.match(built.path) is not None
            return "" if ours else "the next page is not requested at the route of the list"
        if built is not None:
            return str(built)
        return "it is taken for the last page" if leads_on else ""


def _is_other_kind(one: Json, other: Json) -> bool:
    """Whether both are values, of different kinds. Null and nothing are not values."""
    none = (None, GONE)
    return one not in none and other not in none and type(one) is not type(other)
