"""The clauses about requests: what a command becomes, and how it names its contact."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from adapter.contacts import ContactForm
from adapter.http import HttpRequest
from adapter.results import Command
from adapter.testing.base import ContractBase
from adapter.testing.calls import call_account, differences, try_building
from adapter.testing.exchanges import Exchange
from adapter.testing.naming import forms_in
from adapter.testing.reporting import require

_PLACES: Final = {"method": "routes", "path": "routes", "headers": "header_templates"}
"""The attribute to correct for a part of the request; for any other part, it is build_request."""


class RequestsContract(ContractBase):
    """The requests of a provider."""

    def test_every_request_is_the_recorded_one(self) -> None:
        """A command becomes exactly the request that the provider's documentation shows."""
        first = [exchange for exchange in self.exchanges if not self._is_later(exchange)]
        faults: dict[str, list[str]] = {"routes": [], "header_templates": [], "build_request": []}
        for exchange in first:
            for fault in differences(self.built(exchange), exchange.request):
                place = _PLACES.get(fault.partition(" ")[0], "build_request")
                faults[place].append(f"{exchange.name}: {fault}")
        recorded = {exchange.command.action for exchange in self.exchanges}
        faults["build_request"] += [
            f"no exchange of {action} has its first request"
            for action in sorted(recorded - {exchange.command.action for exchange in first})
        ]
        require(
            *(
                (found, f"correct {self.place_of(place)}, or `request` in the answers file.")
                for place, found in faults.items()
            )
        )

    def test_the_same_command_makes_the_same_request(self) -> None:
        """Building a request is pure: no clock, no counter, no memory of earlier commands.

        One provider builds all commands in turn, twice and backwards; each request is that of a new
        provider.
        """
        faults = []
        for options in self.option_sets:
            commands = self.all_commands()
            commands += [
                each.command
                for each in self.exchanges
                if each.options == options and each.command not in commands
            ]
            shared = self.make_provider(options)
            alone = [try_building(self.make_provider(options), each) for each in commands]
            turns = list(zip(commands, alone, strict=True))
            for command, expected in (*turns, *turns, *reversed(turns)):
                if try_building(shared, command) != expected:
                    faults.append(
                        f"{command.action} of {command.contact}: after other commands, the request "
                        "differs from that of a new provider"
                    )
        where = self.place_of("build_request")
        require((faults, f"let {where} depend on the options and the command alone."))

    def test_a_contact_is_named_in_the_declared_forms(self) -> None:
        """A request names its contact in a form of `contact_forms`; others are refused unsent.

        Each declared form is in a recorded request.
        """
        declared = set(self.tested.contact_forms)
        shown: set[ContactForm] = set()
        for exchange in self.exchanges:
            if exchange.command.contact is not None:
                shown |= forms_in(exchange.request, exchange.command.contact)
        unshown = sorted(
            f"no recorded request names a contact by {form}" for form in declared - shown
        )
        faults = []
        for options in self.option_sets:
            for command in self.all_commands():
                fault = self._naming_fault(options, command, declared)
                if fault:
                    faults.append(f"{command.action} of {command.contact}: {fault}")
        forms = self.place_of("contact_forms")
        mend = (
            f"make {forms} and {self.place_of('build_request')} agree; name_contact and "
            "require_number refuse a contact that has no such form."
        )
        record = f"correct {forms}, or record an exchange for each form."
        require((unshown, record), (sorted(faults), mend))

    def _is_later(self, exchange: Exchange) -> bool:
        """Whether the exchange is about a page to which another one leads."""
        return any(
            each is not exchange and each.next == exchange.request for each in self.exchanges
        )

    def _naming_fault(
        self, options: Mapping[str, Any], command: Command, declared: set[ContactForm]
    ) -> str:
        """Return what is wrong with the way the command's contact is named, or refused."""
        contact = command.contact
        if contact is None:
            return ""
        built = try_building(self.make_provider(options), command)
        if not any(form.write(contact) for form in declared):
            if isinstance(built, HttpRequest) or not built.is_refusal:
                return "it has no declared form, and build_request raises no RequestError"
            _, sent = call_account(self.tested, self.load(options), command)
            return f"it has no declared form, and something was sent: {sent}" if sent else ""
        if not isinstance(built, HttpRequest):
            return str(built)
        found = forms_in(built, contact)
        if found and found <= declared:
            return ""
        return f"its form in the request is {sorted(found) or 'unknown'}"
