"""What servers of the WAHA code base have in common. This is no provider: no plugin names it.

Read in the source of https://github.com/devlikeapro/waha in November 2026.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus

from adapter import (
    Action,
    Code,
    Command,
    ContactForm,
    Dialect,
    HttpResponse,
    Json,
    NativeCall,
    Outcome,
    Proof,
    Provider,
    Route,
    Row,
    json_response,
)

ROUTES = (
    Route(Action.BLOCK, "POST", "/api/contacts/block"),
    Route(Action.UNBLOCK, "POST", "/api/contacts/unblock"),
)


def has_three_keys(document: Json) -> bool:
    """Whether the body is Nest's plain error: a sentence, its status, and nothing else."""
    match document:
        case {"message": str(), "error": str(), "statusCode": int(), **rest}:
            return not rest
    return False


def names_expected_status(document: Json) -> bool:
    """Whether the body is the one of a session that is not in the status it should be in."""
    match document:
        case {"status": str(), "expected": list()}:
            return True
    return False


def is_object(document: Json) -> bool:
    """Whether the body is a JSON object, where no more is known of an error's shape."""
    return isinstance(document, dict)


def session_rows(proof: Proof, is_error: Callable[[Json], bool]) -> tuple[Row, ...]:
    """Return the rows of a session that is unknown, and of one that is not working.

    `is_error` knows an error of the server's own from the page of something in between.
    """
    return (
        Row(Code.SESSION_NOT_FOUND, 404, where=is_error, proof=proof),
        Row(Code.SESSION_NOT_CONNECTED, 422, where=names_expected_status, proof=proof),
    )


def write_body(provider: Provider, command: Command) -> dict[str, Json]:
    """Return the body that asks for a command: `@c.us` for a number, `@lid` for a LID."""
    named = provider.name_contact(command.target, ContactForm.CHAT_ID, ContactForm.LID)
    return {"contactId": named, "session": provider.options["session"]}


class WahaCodeDialect(Dialect):
    """A dialect with the errors of the code base."""

    def write_error(
        self, row: Row, outcome: Outcome, call: NativeCall | None, now: datetime
    ) -> HttpResponse:
        """Write the three keys of Nest, or the body of a session that is not working.

        A message that says no more than the status does stands without the key `error`.
        """
        if row.where is names_expected_status:
            session = call.session if call else None
            document = {
                "error": self.message(row, outcome),
                "session": session,
                "status": "STOPPED",
            }
            return json_response(row.status, {**document, "expected": ["WORKING"]})
        message, phrase = self.message(row, outcome), HTTPStatus(row.status).phrase
        named = {} if message == phrase else {"error": phrase}
        return json_response(row.status, {"message": message, **named, "statusCode": row.status})
