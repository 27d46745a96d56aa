"""What servers of the WAHA code base have in common. This is no provider: no plugin names it.

Read in the source of https://github.com/devlikeapro/waha in November 2026.
"""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus

from adapter import plugin as p

ROUTES = {"block": ("POST", "/api/contacts/block"), "unblock": ("POST", "/api/contacts/unblock")}


def is_nest_error(document: p.Json, status: int) -> bool:
    """Whether the body is Nest's plain error: a message, the status and, mostly, its phrase.

    The message is a sentence, or the list of what is wrong with which field.
    """
    match document:
        case {"message": str() | list(), "statusCode": int(said), **rest}:
            return said == status and not set(rest) - {"error"}
    return False


def has_three_keys(document: p.Json) -> bool:
    """Whether the body is Nest's error of a thrown sentence: message, phrase and status."""
    match document:
        case {"message": str(), "error": str(), "statusCode": int(said)}:
            return is_nest_error(document, said)
    return False


def is_own(response: p.HttpResponse) -> bool:
    """Whether an error is in one of the code base's shapes: Nest's, a session's, an exception's."""
    match response.document:
        case {"statusCode": int(said), "timestamp": str(), "exception": _}:
            return said == response.status
    named = names_expected_status(response.document)
    return named or is_nest_error(response.document, response.status)


def names_expected_status(document: p.Json) -> bool:
    """Whether the body is the one of a session that is not in the status it should be in."""
    match document:
        case {"status": str(), "expected": list()}:
            return True
    return False


def write_body(provider: p.Provider, command: p.Command) -> dict[str, p.Json]:
    """Return the body that asks for a command: `@c.us` for a number, `@lid` for a LID."""
    named = provider.name_contact(command.target, p.ContactForm.CHAT_ID, p.ContactForm.LID)
    return {"contactId": named, "session": provider.options["session"]}


class WahaCodeDialect(p.Dialect):
    """A dialect with the errors of the code base."""

    def write_error(
        self, rule: p.ErrorRule, outcome: p.Outcome, call: p.DialectRequest | None, now: datetime
    ) -> p.HttpResponse:
        """Write the three keys of Nest, or the body of a session that is not working.

        A message that says no more than the status does stands without the key `error`.
        """
        if rule.where is names_expected_status:
            session = call.session if call else None
            document = {
                "error": self.message(rule, outcome),
                "session": session,
                "status": "STOPPED",
            }
            return p.json_response(rule.status, {**document, "expected": ["WORKING"]})
        message, phrase = self.message(rule, outcome), HTTPStatus(rule.status).phrase
        named = {} if message == phrase else {"error": phrase}
        return p.json_response(
            rule.status, {"message": message, **named, "statusCode": rule.status}
        )
