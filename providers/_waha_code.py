"""The common code of providers that run servers of the WAHA code base. It is not a plugin.

Read in the source of https://github.com/devlikeapro/waha in November 2026.
"""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import ClassVar

from adapter import plugin as p


def is_nest_error(document: p.Json, status: int) -> bool:
    """Whether the body is Nest's plain error: a message, the status and, mostly, its phrase.

    The message is a sentence, or the list of the fields' errors.
    """
    match document:
        case {"message": str() | list(), "statusCode": int(named), **rest}:
            return named == status and not rest.keys() - {"error"}
    return False


def has_three_keys(document: p.Json) -> bool:
    """Whether the body is Nest's error of a thrown sentence: message, phrase and status."""
    match document:
        case {"message": str(), "error": str(), "statusCode": int(), **rest}:
            return not rest
    return False


def names_expected_status(document: p.Json) -> bool:
    """Whether the body is the one of a session that is not in the status it should be in."""
    match document:
        case {"status": str(), "expected": list()}:
            return True
    return False


def chat_id(contact: p.Contact | None) -> str | None:
    """Return the contact's id of the code base: `@c.us` for a number, else the LID."""
    return None if contact is None else p.ContactForm.CHAT_ID.write(contact) or contact.lid


class WahaCodeProvider(p.Provider):
    """A provider with the routes, requests and errors of the code base."""

    session_location = p.SessionLocation.BODY
    routes = {
        "block": ("POST", "/api/contacts/block"),
        "unblock": ("POST", "/api/contacts/unblock"),
        "status": ("GET", "/api/sessions/{session}"),
        "lookup": ("GET", "/api/contacts/check-exists"),
    }
    status_at = "/status"
    status_session = ("/name", "session")
    status_own = "/me/id"
    status_words = {
        "WORKING": p.SessionState.CONNECTED,
        "STOPPED": p.SessionState.NOT_CONNECTED,
        "STARTING": p.SessionState.NOT_CONNECTED,
        "SCAN_QR_CODE": p.SessionState.NOT_CONNECTED,
        "PASSKEY_REQUIRED": p.SessionState.NOT_CONNECTED,
        "PASSKEY_CONFIRMATION_REQUIRED": p.SessionState.NOT_CONNECTED,
        "FAILED": p.SessionState.NOT_CONNECTED,
    }

    def build_request(self, command: p.Command) -> p.HttpRequest:
        """Name session and contact in the body: `@c.us` for a number, `@lid` for a LID."""
        contact = self.name_contact(command.target, p.ContactForm.CHAT_ID, p.ContactForm.LID)
        return self.request(command, {"contactId": contact, "session": self.options["session"]})

    def parse_status(self, document: p.Json) -> p.Session | None:
        """Read the session's word; that of a session error is about another request."""
        return None if names_expected_status(document) else super().parse_status(document)

    def build_lookup(self, command: p.Command) -> p.HttpRequest:
        """Name session and number, by its digits, in the query."""
        (phone,) = command.numbers
        return self.request(command, None, {"phone": phone, "session": self.options["session"]})

    def parse_lookup(self, command: p.Command, document: p.Json) -> list[p.Lookup] | None:
        """Read `numberExists`, and `chatId`, which only a number on WhatsApp has.

        On the engine GOWS a number that is not on WhatsApp has it too, or null.
        """
        return p.read_lookup_by_keys(command, document, "numberExists", "chatId")

    def shows_error(self, command: p.Command, document: p.Json) -> bool:
        """Ignore the `config` of a status: its metadata have keys of the owner's choice."""
        if command.action is p.Action.STATUS and isinstance(document, dict):
            document = {key: value for key, value in document.items() if key != "config"}
        return super().shows_error(command, document)

    def is_own_error(self, response: p.HttpResponse) -> bool:
        """Accept the three shapes of the code base: Nest's, a session's, an exception's."""
        match response.document:
            case {"statusCode": int(status), "timestamp": str(), "exception": _}:
                return status == response.status
        is_session = names_expected_status(response.document)
        return is_session or is_nest_error(response.document, response.status)


class WahaCodeDialect(p.Dialect):
    """A dialect with the requests, successes and errors of the code base."""

    reads: ClassVar[tuple[p.Action, ...]] = (p.Action.STATUS, p.Action.LOOKUP)

    def parse_request(self, request: p.HttpRequest) -> p.DialectRequest:
        """Read the session from the path of a status; else with the contact, both required.

        They are `session`, and `phone` of a lookup or `contactId` (digits alone, or a JID): in the
        query of a GET, else in the body.
        """
        route, ids = self.match(request)
        if route.action is p.Action.STATUS:
            return p.DialectRequest(p.Command(route.action), ids["session"])
        given = request.query if route.method == "GET" else p.read_object(request)
        if route.action is p.Action.LOOKUP:
            session, phone = p.read_texts(given, "session", "phone")
            numbers = p.read_native_numbers([phone], "phone")
            return p.DialectRequest(p.Command(route.action, contacts=numbers), session)
        session, target = p.read_texts(given, "session", "contactId")
        command = p.Command(route.action, p.read_number_or_jid(target, "contactId"))
        return p.DialectRequest(command, session)

    def write_success(self, call: p.DialectRequest, outcome: p.Outcome) -> p.HttpResponse:
        """Write an empty 201 or, with a 200, what was read; an unknown value is left out."""
        match outcome.reading:
            case p.Session() as session:
                document = {"name": call.session, "status": self.status_word(session)}
            case (p.Lookup() as lookup,):
                document = {"numberExists": lookup.on_whatsapp, "chatId": chat_id(lookup.contact)}
            case p.BlockState() as state:
                contact = call.command.target
                document = {"id": chat_id(contact), "number": contact.number}
                document["isBlocked"] = state.blocked
            case _:
                return p.HttpResponse(201)
        known = {key: value for key, value in document.items() if value is not None}
        return p.json_response(200, known)

    def write_error(
        self, rule: p.ErrorRule, outcome: p.Outcome, call: p.DialectRequest | None, now: datetime
    ) -> p.HttpResponse:
        """Write Nest's three keys, or the body of a session that is not working.

        A message that equals the status's phrase has no key `error` beside it.
        """
        message, phrase = self.message(rule, outcome), HTTPStatus(rule.status).phrase
        if rule.where is names_expected_status:
            session = {"session": call.session if call else None, "status": "STOPPED"}
            return p.json_response(
                rule.status, {"error": message, **session, "expected": ["WORKING"]}
            )
        error = {} if message == phrase else {"error": phrase}
        document = {"message": message, **error, "statusCode": rule.status}
        return p.json_response(rule.status, document)
