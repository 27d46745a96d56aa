"""The common code of providers that run servers of the WAHA code base. It is not a plugin.

Read in the source of https://github.com/devlikeapro/waha in November 2026.
"""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus

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


class WahaCodeProvider(p.Provider):
    """A provider with the routes, requests and errors of the code base."""

    session_location = p.SessionLocation.BODY
    routes = {
        "block": ("POST", "/api/contacts/block"),
        "unblock": ("POST", "/api/contacts/unblock"),
    }

    def build_request(self, command: p.Command) -> p.HttpRequest:
        """Name session and contact in the body: `@c.us` for a number, `@lid` for a LID."""
        contact = self.name_contact(command.target, p.ContactForm.CHAT_ID, p.ContactForm.LID)
        return self.request(command, {"contactId": contact, "session": self.options["session"]})

    def is_own_error(self, response: p.HttpResponse) -> bool:
        """Accept the three shapes of the code base: Nest's, a session's, an exception's."""
        match response.document:
            case {"statusCode": int(status), "timestamp": str(), "exception": _}:
                return status == response.status
        is_session = names_expected_status(response.document)
        return is_session or is_nest_error(response.document, response.status)


class WahaCodeDialect(p.Dialect):
    """A dialect with the errors of the code base."""

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
