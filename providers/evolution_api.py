"""Evolution API: one path for both actions, the instance in it, and one response for both."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus

from adapter import plugin as p

PATH = "/chat/updateBlockStatus/{instance}"


def is_one_sentence(document: p.Json) -> bool:
    """Whether a 400 holds one sentence; an error of the schema is an array in an array."""
    match document:
        case {"status": 400, "response": {"message": [str()]}}:
            return True
    return False


class EvolutionApiProvider(p.Provider):
    """Evolution API v2, read in the source of github.com/EvolutionAPI/evolution-api in 11/2026.

    Its documentation names another path (`/message/…`) and v1 another method (PUT); the source of
    v2 decides. A contact is sent as a full JID, since the server rewrites bare digits of Brazil,
    Mexico and Argentina. A number without WhatsApp is a 500 like any other failure behind the
    server, such as a lost connection: only the sentences differ, so the effect remains unknown.
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
        # Sent by the Meta and Evolution channels. No other 400 of this path has that shape.
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
        """Accept the error object that repeats the status; a proxy's page is not one."""
        match response.document:
            case {"status": int(status), "response": {"message": _}}:
                return status == response.status
        return False

    def parse_success(self, command: p.Command, response: p.HttpResponse) -> p.Outcome | None:
        """Accept a 201 with `success` under `block`, for an unblock too."""
        match response.document:
            case {"block": "success"} if response.status == 201:
                return self.success(response)
        return None


class EvolutionApiDialect(p.Dialect):
    """Evolution API's own API, served by the adapter.

    Express reads its paths and bodies (src/main.ts).
    """

    provider = EvolutionApiProvider
    texts = {
        p.Code.OPERATION_NOT_SUPPORTED: "Method not available on WhatsApp Business API",
        p.Code.PROVIDER_AUTH_FAILED: "Unauthorized",
    }
    takes_forms = True
    lenient_paths = True
    success_statuses = (201,)

    def parse_credential(self, request: p.HttpRequest) -> str | None:
        """Return the `apikey` header."""
        return request.headers.get("apikey")

    def parse_request(self, request: p.HttpRequest) -> p.DialectRequest:
        """Read the instance from the path; `number` (digits, or a JID) and `status` from the body.

        Digits are not rewritten, as Evolution API would do with some.
        """
        _, ids = self.match(request)
        body = p.read_object(request)
        if body.get("status") not in (p.Action.BLOCK, p.Action.UNBLOCK):
            raise p.invalid_field("status", 'must be "block" or "unblock"')
        number, status = p.read_texts(body, "number", "status")
        command = p.Command(p.Action(status), p.read_number_or_jid(number, "number"))
        return p.DialectRequest(command, ids["instance"])

    def write_success(self, call: p.DialectRequest, outcome: p.Outcome) -> p.HttpResponse:
        """Write the one response to both actions."""
        return p.json_response(201, {"block": "success"})

    def write_error(
        self, rule: p.ErrorRule, outcome: p.Outcome, call: p.DialectRequest | None, now: datetime
    ) -> p.HttpResponse:
        """Write status, phrase and message: an array, within another for a rejected contact."""
        message: p.Json = self.message(rule, outcome)
        if rule.code is not p.Code.PROVIDER_AUTH_FAILED:  # there, the server sends the text alone
            message = [[message]] if rule.code is p.Code.TARGET_REJECTED else [message]
        error = {"status": rule.status, "error": HTTPStatus(rule.status).phrase}
        return p.json_response(rule.status, {**error, "response": {"message": message}})


@p.hookimpl
def register(registry: p.Registry) -> None:
    """Register the provider and its dialect."""
    registry.add(EvolutionApiProvider, EvolutionApiDialect)
