"""Evolution API: one address for both actions, the instance in the path, one answer for both."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus

from marshmallow import Schema

from adapter import (
    Action,
    Code,
    Command,
    Dialect,
    DialectRequest,
    ErrorRule,
    Headers,
    HttpRequest,
    HttpResponse,
    Json,
    Outcome,
    Provenance,
    Provider,
    Route,
    SecretField,
    SessionLocation,
    hookimpl,
    invalid_field,
    json_response,
    read_number_or_jid,
    read_object,
    read_texts,
    session_field,
)

PATH = "/chat/updateBlockStatus/{instance}"
NOT_HERE = "Method not available on WhatsApp Business API"
READ = Provenance.READ_IN_SOURCE


def is_own(document: Json, status: int) -> bool:
    """Whether the body is the server's own error, and not the page of something in between."""
    match document:
        case {"status": int(said), "response": {"message": _}}:
            return said == status
    return False


def is_one_sentence(document: Json) -> bool:
    """Whether a 400 holds one sentence; what the schema refuses is an array in an array."""
    match document:
        case {"status": 400, "response": {"message": [str()]}}:
            return True
    return False


class EvolutionApiProvider(Provider):
    """Evolution API v2, read in the source of github.com/EvolutionAPI/evolution-api in 11/2026.

    Its documentation names another path (`/message/…`) and v1 another method (PUT); the source of
    v2 decides. A contact is sent as a full JID, since the server rewrites bare digits of Brazil,
    Mexico and Argentina. A number without WhatsApp is a 500 like any other failure behind it, a
    lost connection too: only the sentences differ, so that it stays unknown what happened.
    """

    name = "evolution-api"
    title = "Evolution API"
    documentation = (
        "https://doc.evolution-api.com/v2/api-reference/chat-controller/updateBlockStatus"
    )
    session_location = SessionLocation.PATH
    header_templates = Headers({"apikey": "{api_key}"})
    routes = (Route(Action.BLOCK, "POST", PATH), Route(Action.UNBLOCK, "POST", PATH))
    error_rules = (
        ErrorRule(Code.TARGET_REJECTED, 400, proof=READ),
        # Said by the Meta and Evolution channels. No other 400 of this address has that shape.
        ErrorRule(
            Code.OPERATION_NOT_SUPPORTED, 400, where=is_one_sentence, text=NOT_HERE, proof=READ
        ),
        ErrorRule(Code.PROVIDER_AUTH_FAILED, 401, text="Unauthorized", proof=READ),
        ErrorRule(Code.SESSION_NOT_FOUND, 404, proof=READ),
        ErrorRule(Code.PROVIDER_ERROR, 500, proof=READ),
    )

    class Options(Schema):
        """`api_key`: the instance's key or the global one; `session`: the instance's name."""

        api_key = SecretField(required=True)
        session = session_field()

    def build_request(self, command: Command) -> HttpRequest:
        """Put the instance into the path, the contact and the action into the body."""
        body = {"number": self.name_contact(command.target), "status": command.action.value}
        return self.request(command, body, instance=self.options["session"])

    def is_own_error(self, response: HttpResponse) -> bool:
        """Take the error object that repeats the status."""
        return is_own(response.document, response.status)

    def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
        """Take the 201 that says `success` under `block`, for an unblock too."""
        match response.document:
            case {"block": "success"} if response.status == 201:
                return self.success(response)
        return None


class EvolutionApiDialect(Dialect):
    """Evolution API's own API, served by us. Express reads its paths and bodies (src/main.ts)."""

    provider = EvolutionApiProvider
    takes_forms = True
    lenient_paths = True
    success_statuses = (201,)

    def parse_credential(self, request: HttpRequest) -> str | None:
        """Read the `apikey` header."""
        return request.headers.get("apikey")

    def parse_request(self, request: HttpRequest) -> DialectRequest:
        """Read the instance from the path; `number` (digits, or a JID) and `status` from the body.

        Digits stay as they came, where Evolution API would rewrite some.
        """
        _, ids = self.match(request)
        body = read_object(request)
        if body.get("status") not in (Action.BLOCK, Action.UNBLOCK):
            raise invalid_field("status", 'must be "block" or "unblock"')
        number, status = read_texts(body, "number", "status")
        contact = read_number_or_jid(number, "number")
        return DialectRequest(Command(Action(status), contact), ids["instance"])

    def write_success(self, call: DialectRequest, outcome: Outcome) -> HttpResponse:
        """Answer what it answers to both actions."""
        return json_response(201, {"block": "success"})

    def write_error(
        self, rule: ErrorRule, outcome: Outcome, call: DialectRequest | None, now: datetime
    ) -> HttpResponse:
        """Write status, phrase and message: an array, within another for a refused contact."""
        message: Json = self.message(rule, outcome)
        if rule.code is not Code.PROVIDER_AUTH_FAILED:  # of which the server sends the bare text
            message = [[message]] if rule.code is Code.TARGET_REJECTED else [message]
        error = {"status": rule.status, "error": HTTPStatus(rule.status).phrase}
        return json_response(rule.status, {**error, "response": {"message": message}})


@hookimpl
def register_providers() -> list[type[Provider]]:
    """Offer Evolution API."""
    return [EvolutionApiProvider]


@hookimpl
def register_dialects() -> list[type[Dialect]]:
    """Offer Evolution API's own API."""
    return [EvolutionApiDialect]
