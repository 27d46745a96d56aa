"""Faults of the reads, to be planted in a provider: each yields the classes that have it."""

# A fault is a subclass of a class that is an argument, which mypy takes for no class.
# mypy: disable-error-code="name-defined, misc"

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from adapter.plugin import (
    Action,
    BlockState,
    Command,
    Confirmation,
    ContactList,
    HttpResponse,
    Lookup,
    Outcome,
    Provider,
    Relation,
    Session,
    SessionState,
    relation,
)
from adapter.testing import ProviderContract

Faults = Iterator[type[Provider]]


def an_error_for_a_number_not_on_whatsapp(right: ProviderContract) -> Faults:
    class Faulty(right.provider):
        def parse_response(self, command: Command, response: HttpResponse) -> Outcome:
            read: Outcome = super().parse_response(command, response)
            if command.action is not Action.LOOKUP or read.ok:
                return read
            return Outcome.success(
                Confirmation.PROVIDER_STATE,
                reading=tuple(Lookup(each, False) for each in command.contacts),
                upstream_status=response.status,
            )

    if Action.LOOKUP in right.provider.actions():
        yield Faulty


def a_number_that_is_missing_for_one_not_on_whatsapp(right: ProviderContract) -> Faults:
    class Faulty(right.provider):
        def parse_lookup(self, command: Command, document: Any) -> Iterable[Lookup] | None:
            found = list(super().parse_lookup(command, document) or ())
            known = {each.asked.number for each in found}
            missing = (each for each in command.contacts if each.number not in known)
            return [*found, *(Lookup(each, False) for each in missing)]

    if Action.LOOKUP in right.provider.actions():
        yield Faulty


def a_lookup_of_another_number(right: ProviderContract) -> Faults:
    class Faulty(right.provider):
        def parse_lookup(self, command: Command, document: Any) -> Iterable[Lookup] | None:
            found: list[Lookup] = []
            for exchange in right.exchanges:
                if exchange.command.action is Action.LOOKUP:
                    found += super().parse_lookup(exchange.command, document) or ()
            return [Lookup(each, found[0].on_whatsapp) for each in command.contacts if found]

    if Action.LOOKUP in right.provider.actions():
        yield Faulty


def a_missing_entry_for_a_contact_not_blocked(right: ProviderContract) -> Faults:
    class Faulty(right.provider):
        def changed_list_success(
            self, command: Command, response: HttpResponse, listed: ContactList
        ) -> Outcome | None:
            found = {relation(command.target, each) for each in listed.contacts}
            blocked = not found.isdisjoint((Relation.SAME, Relation.VARIANT))
            if blocked is not command.blocked:
                return None
            return Outcome.success(Confirmation.PROVIDER_STATE, upstream_status=response.status)

    class FaultyState(right.provider):
        def parse_state(self, command: Command, document: Any) -> BlockState | None:
            state: BlockState | None = super().parse_state(command, document)
            return BlockState(False) if state is None or state.blocked is None else state

    if right.provider.changes_return_list:
        yield Faulty
    if Action.STATE in right.provider.actions():
        yield FaultyState


def an_earlier_read(right: ProviderContract) -> Faults:
    for action in sorted(set(Action) & right.provider.actions()):
        if action.is_change:
            continue

        class Faulty(right.provider):
            kept: Outcome | None = None
            read = action

            def parse_response(self, command: Command, response: HttpResponse) -> Outcome:
                found: Outcome = super().parse_response(command, response)
                if command.action is self.read and found.ok:
                    self.kept = self.kept or found
                    return replace(self.kept, upstream_status=found.upstream_status)
                return found

        yield Faulty


def a_session_that_is_connected_by_default(right: ProviderContract) -> Faults:
    class Unreadable(right.provider):
        def parse_status(self, document: Any) -> Session | None:
            return super().parse_status(document) or Session(SessionState.CONNECTED)

    class AnyWord(right.provider):
        def parse_status(self, document: Any) -> Session | None:
            session: Session | None = super().parse_status(document)
            if session is not None and session.state is SessionState.UNKNOWN:
                return Session(SessionState.CONNECTED)
            return session

    class Failed(right.provider):
        def parse_response(self, command: Command, response: HttpResponse) -> Outcome:
            read: Outcome = super().parse_response(command, response)
            if command.action is not Action.STATUS or read.ok:
                return read
            connected = Session(SessionState.CONNECTED)
            return Outcome.success(Confirmation.PROVIDER_STATE, reading=connected)

    if Action.STATUS in right.provider.actions():
        yield from (Unreadable, Failed)
        if right.provider.parse_status is Provider.parse_status:
            yield AnyWord
