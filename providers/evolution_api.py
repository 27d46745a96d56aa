"""Evolution API: one address for both actions, the instance in the path, one answer for both."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus

from adapter import plugin as p

PATH = "/chat/updateBlockStatus/{instance}"


def is_own(document: p.Json, status: int) -> bool:
    """Whether the body is the server's own error, and not the page of something in between."""
    match document:
        case {"status": int(said), "response": {"message": _}}:
            return said == status
    return False


def is_one_sentence(document: p.Json) -> bool:
    """Whether a 400 holds one sentence; what the schema refuses is an array in an array."""
    match document:
        case {"status": 400, "response": {"message": [str()]}}:
            return True
    return False


class EvolutionApiProvider(p.Provider):
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
    session_location = p.SessionLocation.PATH
    header_templates = {"apikey": "{api_key}"}
    routes = {"block": ("POST", PATH), "unblock": ("POST", PATH)}
    error_rules = (
        # Sent by the Meta and Evolution channels. No other 400 of this address has that shape.
        p.ErrorRule(p.Code.OPERATION_NOT_SUPPORTED, 400, where=is_one_sentence),
        p.ErrorRule(p.Code.SESSION_NOT_FOUND, 404),
    )

    class Options(p.Options):
        """`api_key`: the instance's key or the global one; `session`: the instance's name."""

        api_key = p.SecretField(required=True)
        session = p.session_field()

    def build_request(self, command: p.Command) -> p.HttpRequest:
        """Put the instance into the path, the contact and the action into the body."""
        body = {"number": self.name_contact(command.target), "status": command.action.value}
        return self.request(command, body, instance=self.options["session"])

    def is_own_error(self, response: p.HttpResponse) -> bool:
        """Take the error object that repeats the status."""
        return is_own(response.document, response.status)

    def parse_success(self, command: p.Command, response: p.HttpResponse) -> p.Outcome | None:
        """Take the 201 that says `success` under `block`, for an unblock too."""
        match response.document:
            case {"block": "success"} if response.status == 201:
                return self.success(response)
        return None


class EvolutionApiDialect(p.Dialect):
    """Evolution API's own API, served by us. Express reads its paths and bodies (src/main.ts)."""

    provider = EvolutionApiProvider
    texts = {
        p.Code.OPERATION_NOT_SUPPORTED: "Method not available on WhatsApp Business API",
        p.Code.PROVIDER_AUTH_FAILED: "Unauthorized",
    }
    takes_forms = True
    lenient_paths = True
    success_statuses = (201,)

    def parse_credential(self, request: p.HttpRequest) -> str | None:
        """Read the `apikey` header."""
        return request.headers.get("apikey")

    def parse_request(self, request: p.HttpRequest) -> p.DialectRequest:
        """Read the instance from the path; `number` (digits, or a JID) and `status` from the body.

        Digits stay as they came, where Evolution API would rewrite some.
        """
        _, ids = self.match(request)
        body = p.read_object(request)
        if body.get("status") not in (p.Action.BLOCK, p.Action.UNBLOCK):
            raise p.invalid_field("status", 'must be "block" or "unblock"')
        number, status = p.read_texts(body, "number", "status")
        contact = p.read_number_or_jid(number, "number")
        return p.DialectRequest(p.Command(p.Action(status), contact), ids["instance"])

    def write_success(self, call: p.DialectRequest, outcome: p.Outcome) -> p.HttpResponse:
        """Answer what it answers to both actions."""
        return p.json_response(201, {"block": "success"})

    def write_error(
        self, rule: p.ErrorRule, outcome: p.Outcome, call: p.DialectRequest | None, now: datetime
    ) -> p.HttpResponse:
        """Write status, phrase and message: an array, within another for a refused contact."""
        message: p.Json = self.message(rule, outcome)
        if rule.code is not p.Code.PROVIDER_AUTH_FAILED:  # of which the server sends the bare text
            message = [[message]] if rule.code is p.Code.TARGET_REJECTED else [message]
        error = {"status": rule.status, "error": HTTPStatus(rule.status).phrase}
        return p.json_response(rule.status, {**error, "response": {"message": message}})


@p.hookimpl
def register(registry: p.Registry) -> None:
    """Add the provider and its dialect."""
    registry.add(EvolutionApiProvider, EvolutionApiDialect)
