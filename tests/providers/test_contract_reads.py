"""Faulty reads of a toy provider: status, lookup and state. The contract finds each of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from support.clauses import BARE_STATUS, EVIDENCE, PURE_RESPONSE, RESPONSE
from support.toy import JID, LID, Toy, contract_for, failures, right_answers, write_answers

from adapter.plugin import (
    BlockState,
    Command,
    Contact,
    HttpRequest,
    HttpResponse,
    Json,
    Lookup,
    Outcome,
    Session,
    SessionState,
)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("few_statuses")]

NUMBER, OTHER = "5511999999999", "14155550123"


class Reader(Toy):
    """A correct provider with the three reads, each with one route."""

    routes = {
        **Toy.routes,
        "status": ("GET", "/session"),
        "lookup": ("POST", "/check"),
        "state": ("POST", "/state"),
    }
    max_lookup = 10
    status_at = "/session"
    status_words = {"up": SessionState.CONNECTED, "down": SessionState.NOT_CONNECTED}

    def build_lookup(self, command: Command) -> HttpRequest:
        return self.request(command, {"numbers": command.numbers})

    def parse_lookup(self, command: Command, document: Json) -> Iterable[Lookup] | None:
        match document:
            case {"found": dict(found)}:
                return [
                    Lookup(each, found[each.number])
                    for each in command.contacts
                    if isinstance(found.get(each.number), bool)
                ]
        return None

    def build_state(self, command: Command) -> HttpRequest:
        return self.request(command, {"who": self.name_contact(command.target)})

    def parse_state(self, command: Command, document: Json) -> BlockState | None:
        match document:
            case {"who": str(who), "is_blocked": bool(blocked)}:
                return BlockState(blocked) if who == command.target.jid else None
        return None


def read(
    action: str, body: Any, outcome: dict[str, Any], evidence: list[str], **command: Any
) -> dict[str, Any]:
    path, json = {
        "status": ("/session", None),
        "lookup": ("/check", {"numbers": command.get("numbers")}),
        "state": ("/state", {"who": command.get("contact")}),
    }[action]
    return {
        "title": f"{action} {command}: {body}",
        "source": "https://toy.example/docs",
        "date": "2026-11",
        "provenance": "documented",
        "command": {"action": action, **command},
        "request": {
            "method": "GET" if json is None else "POST",
            "path": path,
            "headers": {"X-Key": "<key>"},
            **({} if json is None else {"json": json}),
        },
        "response": {"status": 200, "body": body},
        "outcome": outcome,
        "evidence": evidence,
    }


def reads() -> list[dict[str, Any]]:
    return [
        read(
            "status",
            {"session": "up"},
            {"status": "connected", "word": "up"},
            ["/session"],
        ),
        read(
            "status",
            {"session": "down"},
            {"status": "not_connected", "word": "down"},
            ["/session"],
        ),
        read("status", {"session": "resting"}, {"status": "unknown"}, ["/session"]),
        *(
            read(
                "lookup",
                {"found": {NUMBER: found}},
                {"lookups": [{"on_whatsapp": found}]},
                [f"/found/{NUMBER}"],
                numbers=[NUMBER],
            )
            for found in (True, False)
        ),
        read(
            "lookup",
            {"found": {OTHER: True}},
            {
                "lookups": [
                    {"on_whatsapp": None, "code": "provider_bad_response"},
                    {"on_whatsapp": True},
                ]
            },
            [],
            numbers=[NUMBER, OTHER],
        ),
        *(
            read(
                "state",
                {"who": who, "is_blocked": blocked},
                {"blocked": blocked},
                ["/who", "/is_blocked"],
                contact=who,
            )
            for who in (JID, LID)
            for blocked in (True, False)
        ),
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_answers(tmp_path / "toy", [*right_answers(), *reads()])


def test_a_correct_provider_of_reads_keeps_every_clause(folder: Path) -> None:
    assert failures(contract_for(folder, Reader)) == {}


class TakesAnErrorForNotOnWhatsApp(Reader):
    def parse_response(self, command: Command, response: HttpResponse) -> Outcome:
        read = super().parse_response(command, response)
        if not command.contacts or read.ok:
            return read
        found = tuple(Lookup(each, False) for each in command.contacts)
        return Outcome(confirmation=self.confirmation, reading=found)


class TakesAMissingNumberForNotOnWhatsApp(Reader):
    def parse_lookup(self, command: Command, document: Json) -> Iterable[Lookup] | None:
        match document:
            case {"found": dict(found)}:
                return [Lookup(each, bool(found.get(each.number))) for each in command.contacts]
        return None


class TakesAnyBodyForNotOnWhatsApp(Reader):
    def parse_lookup(self, command: Command, document: Json) -> Iterable[Lookup] | None:
        return super().parse_lookup(command, document) or [
            Lookup(each, False) for each in command.contacts
        ]


class TakesALookupOfAnotherNumber(Reader):
    def parse_lookup(self, command: Command, document: Json) -> Iterable[Lookup] | None:
        match document:
            case {"found": dict(found)} if found:
                first = bool(next(iter(found.values())))
                return [Lookup(each, first) for each in command.contacts]
        return None


class NamesAnotherPerson(Reader):
    def parse_lookup(self, command: Command, document: Json) -> Iterable[Lookup] | None:
        found = super().parse_lookup(command, document) or ()
        return [Lookup(each.asked, each.on_whatsapp, Contact("4915123456789")) for each in found]


class TakesAMissingStateForNotBlocked(Reader):
    def parse_state(self, command: Command, document: Json) -> BlockState | None:
        match document:
            case {"who": str(who)} if who == command.target.jid:
                return BlockState(document.get("is_blocked") is True)
        return None


class TakesTheStateOfAnotherContact(Reader):
    def parse_state(self, command: Command, document: Json) -> BlockState | None:
        match document:
            case {"who": str(), "is_blocked": bool(blocked)}:
                return BlockState(blocked)
        return None


class TakesAnUnreadableStateForNotBlocked(Reader):
    def parse_state(self, command: Command, document: Json) -> BlockState | None:
        return super().parse_state(command, document) or BlockState(False)


class KeepsAnEarlierState(Reader):
    kept: BlockState | None = None

    def parse_state(self, command: Command, document: Json) -> BlockState | None:
        self.kept = self.kept or super().parse_state(command, document)
        return self.kept


class KeepsAnEarlierStatus(Reader):
    kept: Session | None = None

    def parse_status(self, document: Json) -> Session | None:
        self.kept = self.kept or super().parse_status(document)
        return self.kept


class KeepsEarlierLookups(Reader):
    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self.kept: dict[str | None, bool | None] = {}

    def parse_lookup(self, command: Command, document: Json) -> Iterable[Lookup] | None:
        found = super().parse_lookup(command, document)
        for each in found or ():
            self.kept.setdefault(each.asked.number, each.on_whatsapp)
        return found and [Lookup(each.asked, self.kept[each.asked.number]) for each in found]


class IsConnectedByDefault(Reader):
    def parse_status(self, document: Json) -> Session | None:
        return super().parse_status(document) or Session(SessionState.CONNECTED)


class IsConnectedByAnyWord(Reader):
    def parse_status(self, document: Json) -> Session | None:
        session = super().parse_status(document)
        if session is not None and session.state is SessionState.UNKNOWN:
            return Session(SessionState.CONNECTED)
        return session


class IsConnectedAfterAnError(Reader):
    def parse_response(self, command: Command, response: HttpResponse) -> Outcome:
        read = super().parse_response(command, response)
        if command.action != "status" or read.ok:
            return read
        return Outcome(confirmation=self.confirmation, reading=Session(SessionState.CONNECTED))


FAULTS = (
    (TakesAnErrorForNotOnWhatsApp, BARE_STATUS),
    (TakesAMissingNumberForNotOnWhatsApp, RESPONSE),
    (TakesAnyBodyForNotOnWhatsApp, EVIDENCE),
    (TakesALookupOfAnotherNumber, RESPONSE),
    (NamesAnotherPerson, RESPONSE),
    (TakesAMissingStateForNotBlocked, EVIDENCE),
    (TakesTheStateOfAnotherContact, EVIDENCE),
    (TakesAnUnreadableStateForNotBlocked, EVIDENCE),
    (KeepsAnEarlierState, PURE_RESPONSE),
    (KeepsAnEarlierStatus, PURE_RESPONSE),
    (KeepsEarlierLookups, PURE_RESPONSE),
    (IsConnectedByDefault, EVIDENCE),
    (IsConnectedByAnyWord, RESPONSE),
    (IsConnectedAfterAnError, BARE_STATUS),
)


@pytest.mark.parametrize(
    ("faulty", "clause"), [pytest.param(*each, id=each[0].__name__) for each in FAULTS]
)
def test_a_faulty_read_fails_the_clause_for_its_fault(
    faulty: type[Reader], clause: str, folder: Path
) -> None:
    found = failures(contract_for(folder, faulty))
    assert clause in found, sorted(found)
