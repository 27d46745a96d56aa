"""A correct toy provider with its dialect and recorded responses, for faults to be planted in."""

from __future__ import annotations

import json
import unittest
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapter.plugin import (
    Code,
    Command,
    Confirmation,
    Dialect,
    DialectRequest,
    ErrorRule,
    HttpRequest,
    HttpResponse,
    Options,
    Outcome,
    Provider,
    Registry,
    SecretField,
    hookimpl,
    json_response,
    read_contact,
    read_contacts,
    read_object,
    session_field,
)
from adapter.testing import ProviderContract
from support.clauses import SET_UP

JID = "5511999999999@s.whatsapp.net"
LID = "205227043110953@lid"


def is_refusal(document: Any) -> bool:
    """Whether the body is a refusal of the contact."""
    return isinstance(document, dict) and document.get("refused") is True


class Toy(Provider):
    """A correct provider that does not exist."""

    name = "toy"
    title = "Toy"
    confirmation = Confirmation.PROVIDER_STATE
    header_templates = {"X-Key": "{key}"}
    routes = {"block": ("POST", "/block"), "unblock": ("POST", "/unblock")}
    error_codes = {"asleep": (409, Code.SESSION_NOT_CONNECTED)}
    error_rules = (ErrorRule(Code.TARGET_REJECTED, 200, where=is_refusal),)

    class Options(Options):
        key = SecretField(required=True)
        session = session_field()

    def build_request(self, command: Command) -> HttpRequest:
        named = self.name_contact(command.target)
        return self.request(command, {"who": named, "session": self.options["session"]})

    def parse_provider_code(self, document: Any) -> str | None:
        match document:
            case {"error": str(code)}:
                return code
        return None

    def is_own_error(self, response: HttpResponse) -> bool:
        match response.document:
            case {"error": str() | None, "refused": bool()} | {"error": str()}:
                return True
        return False

    def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
        match response.document:
            case {"blocked": bool(blocked)} if response.status == 200:
                return self.success(response) if blocked is command.blocked else None
        return None


class ToyDialect(Dialect):
    provider = Toy

    def parse_credential(self, request: HttpRequest) -> str | None:
        return request.headers.get("X-Key")

    def parse_request(self, request: HttpRequest) -> DialectRequest:
        route, _ = self.match(request)
        body = read_object(request)
        contact = read_contact(jid=body.get("who"))
        return DialectRequest(Command(route.action, contact), body.get("session"))

    def write_success(self, call: DialectRequest, outcome: Outcome) -> HttpResponse:
        return json_response(200, {"blocked": call.command.blocked})

    def write_error(self, rule: ErrorRule, outcome: Outcome, call: Any, now: Any) -> HttpResponse:
        return json_response(
            rule.status, {"error": rule.provider_code, "refused": rule.where is not None}
        )


@hookimpl
def register(registry: Registry) -> None:
    registry.add(Toy, ToyDialect)


class Lister(Toy):
    """A correct provider whose list comes in pages."""

    routes = {**Toy.routes, "list": ("GET", "/blocked")}

    def build_request(self, command: Command) -> HttpRequest:
        return super().build_request(command) if command.contact else self.page({"limit": "2"})

    def page(self, query: dict[str, str]) -> HttpRequest:
        return HttpRequest("GET", "/blocked", self.headers, query)

    def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
        if command.contact:
            return super().parse_success(command, response)
        if response.status != 200:
            return None
        match response.document:
            case {"people": list(people), **rest} if isinstance(rest.get("after"), str | None):
                contacts = read_contacts(people)
                return None if contacts is None else self.success(response, contacts)
        return None

    def build_next_page(self, command: Command, response: HttpResponse) -> HttpRequest | None:
        after = response.document.get("after")
        return self.page({"limit": "2", "after": after}) if after else None


# -- recorded responses


def exchange(
    action: str, response: dict[str, Any], contact: str = JID, **outcome: Any
) -> dict[str, Any]:
    return {
        "title": f"{action} {contact}: {json.dumps(response)}",
        "source": "https://toy.example/docs",
        "date": "2026-11",
        "provenance": "documented",
        "command": {"action": action, "contact": contact},
        "request": {
            "method": "POST",
            "path": f"/{action}",
            "headers": {"X-Key": "<key>"},
            "json": {"who": contact, "session": "main"},
        },
        "response": response,
        "outcome": outcome,
        **({} if "code" in outcome else {"evidence": ["/blocked"]}),
    }


def right_answers() -> list[dict[str, Any]]:
    done = {"confirmation": "provider_state"}
    asleep = exchange(
        "block",
        {"status": 409, "body": {"error": "asleep", "hint": "wake it"}},
        code="session_not_connected",
        provider_code="asleep",
    )
    return [
        exchange("block", {"status": 200, "body": {"blocked": True, "size": 3}}, **done),
        exchange("unblock", {"status": 200, "body": {"blocked": False}}, **done),
        {**asleep, "provenance": "inferred"},
        exchange("block", {"status": 200, "body": {"refused": True}}, code="target_rejected"),
        exchange("block", {"status": 500, "body": {"hint": "later"}}, LID, code="provider_error"),
    ]


def page_request(**query: str) -> dict[str, Any]:
    headers = {"X-Key": "<key>"}
    return {"method": "GET", "path": "/blocked", "headers": headers, "query": query}


def paged_answers() -> list[dict[str, Any]]:
    shared = {"source": "https://toy.example/docs", "date": "2026-11", "provenance": "documented"}
    first = {
        "title": "first page",
        "request": page_request(limit="2"),
        "response": {"status": 200, "body": {"people": [JID], "after": "p2", "total": 2}},
        "next": page_request(limit="2", after="p2"),
        "outcome": {
            "confirmation": "provider_state",
            "contacts": [{"number": "5511999999999"}],
        },
        "evidence": ["/people/0"],
    }
    last = {
        "title": "last page",
        "request": page_request(limit="2", after="p2"),
        "response": {"status": 200, "body": {"people": [LID]}},
        "outcome": {"confirmation": "provider_state", "contacts": [{"lid": LID}]},
        "evidence": ["/people/0"],
    }
    command = {"action": "list"}
    return [*right_answers(), *({**shared, "command": command, **each} for each in (first, last))]


def write_answers(folder: Path, exchanges: Any) -> Path:
    """Write a file of exchanges into the folder; return the folder."""
    folder.mkdir(exist_ok=True)
    (folder / "answers.json").write_text(json.dumps({"exchanges": exchanges}))
    return folder


# -- contracts


def contract_for(
    folder: Path,
    provider: type[Provider] = Toy,
    dialect: type[Dialect] | None = None,
    options: Mapping[str, Any] | None = None,
) -> type[ProviderContract]:
    """Return the contract of a provider with the exchanges of a folder."""
    attributes: dict[str, Any] = {"provider": provider, "dialect": dialect, "answers": folder}
    attributes["options"] = {"session": "main"} if options is None else options
    return type("Contract", (ProviderContract,), attributes)


def run(contract: type[ProviderContract]) -> tuple[dict[str, str], set[str]]:
    """Run each clause as pytest does, on an object of its own.

    Return the messages of the failed ones, and the names of the skipped ones.
    """
    failed, skipped = {}, set()
    for name in contract.clauses():
        try:
            getattr(contract(), name)()
        except AssertionError as error:
            failed[name] = str(error)
        except unittest.SkipTest:
            skipped.add(name)
    return failed, skipped


def failures(contract: type[ProviderContract]) -> dict[str, str]:
    """Return the messages of the failed clauses. None of the others may be skipped."""
    failed, skipped = run(contract)
    assert not skipped, failed
    return failed


def set_up_failure(contract: type[ProviderContract]) -> str:
    """Return the message of the one clause that fails; all the others must be skipped."""
    failed, skipped = run(contract)
    assert list(failed) == [SET_UP], failed
    assert skipped == set(contract.clauses()) - {SET_UP}
    return failed[SET_UP]
