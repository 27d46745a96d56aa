"""A gateway of many sessions: session and JID stand in the path, success is an empty 204."""

from __future__ import annotations

from datetime import datetime

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
    json_response,
    read_bearer,
    read_contact,
    session_field,
)

CONTACT = "/api/v1/sessions/{session}/contacts/{jid}"


class SessionGatewayProvider(Provider):
    """The gateway, read at https://wahost-rama.zeabur.app/docs (contacts, sessions) in 11/2026.

    Its 501 `not_implemented` says that the session is not connected; its 404 hides the sessions
    of other organisations. Neither its pages nor its codes say anything of a block list.
    """

    name = "session-gateway"
    title = "WhatsApp Gateway (sessions)"
    documentation = "https://wahost-rama.zeabur.app/docs/api/contacts/blockContact"
    session_location = SessionLocation.PATH
    header_templates = Headers({"Authorization": "Bearer {token}"})
    routes = (
        Route(Action.BLOCK, "POST", CONTACT + "/block"),
        Route(Action.UNBLOCK, "POST", CONTACT + "/unblock"),
    )
    error_rules = (
        ErrorRule(Code.SESSION_NOT_CONNECTED, 501, "not_implemented"),
        ErrorRule(Code.SESSION_NOT_FOUND, 404, "not_found", text="session not found"),
        ErrorRule(Code.PROVIDER_AUTH_FAILED, 401, "unauthorized"),
        ErrorRule(Code.PROVIDER_PERMISSION_DENIED, 403, "forbidden"),
        ErrorRule(Code.TARGET_REJECTED, 400, "validation_error", proof=Provenance.INFERRED),
        ErrorRule(Code.PROVIDER_RATE_LIMITED, 429, "rate_limited", proof=Provenance.INFERRED),
    )

    class Options(Schema):
        """`token`: a login JWT or a `wa_` API key; `session`: the id of the WhatsApp session."""

        token = SecretField(required=True)
        session = session_field()

    def build_request(self, command: Command) -> HttpRequest:
        """Put the session and the JID into the path. There is no body."""
        return self.request(
            command, session=self.options["session"], jid=self.name_contact(command.target)
        )

    def parse_provider_code(self, document: Json) -> str | None:
        """Read `error.code`."""
        match document:
            case {"error": {"code": str(code)}}:
                return code
        return None

    def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
        """Take an empty 204, which is also the answer where nothing had to change."""
        if response.status != 204 or response.body:
            return None
        return self.success(response)


class SessionGatewayDialect(Dialect):
    """The gateway's own API, served by us."""

    provider = SessionGatewayProvider
    takes_body = False
    success_statuses = (204,)

    def parse_credential(self, request: HttpRequest) -> str | None:
        """Read the bearer token, or `x-api-key`, which a sister deployment documents."""
        return read_bearer(request) or request.headers.get("x-api-key")

    def parse_request(self, request: HttpRequest) -> DialectRequest:
        """Read everything from the path."""
        route, ids = self.match(request)
        return DialectRequest(Command(route.action, read_contact(jid=ids["jid"])), ids["session"])

    def write_success(self, call: DialectRequest, outcome: Outcome) -> HttpResponse:
        """Answer 204 with nothing in it."""
        return HttpResponse(204)

    def write_error(
        self, rule: ErrorRule, outcome: Outcome, call: DialectRequest | None, now: datetime
    ) -> HttpResponse:
        """Write code, message and details. A rule without the gateway's code shows the unified one.

        Its clients then see a code that they do not know, at a status that they do.
        """
        error = {
            "code": rule.provider_code or rule.code.value,
            "message": self.message(rule, outcome),
            "details": {name: list(messages) for name, messages in outcome.fields.items()},
        }
        return json_response(rule.status, {"error": error})


@hookimpl
def register_providers() -> list[type[Provider]]:
    """Offer the gateway."""
    return [SessionGatewayProvider]


@hookimpl
def register_dialects() -> list[type[Dialect]]:
    """Offer the gateway's own API."""
    return [SessionGatewayDialect]
