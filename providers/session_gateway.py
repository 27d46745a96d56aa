"""A gateway of many sessions: session and JID stand in the path, success is an empty 204."""

from __future__ import annotations

from datetime import datetime

from adapter import plugin as p

CONTACT = "/api/v1/sessions/{session}/contacts/{jid}"


class SessionGatewayProvider(p.Provider):
    """The gateway, read at https://wahost-rama.zeabur.app/docs (contacts, sessions) in 11/2026.

    Its 501 `not_implemented` says that the session is not connected; its 404 hides the sessions
    of other organisations. Neither its pages nor its codes say anything of a block list.
    """

    name = "session-gateway"
    title = "WhatsApp Gateway (sessions)"
    documentation = "https://wahost-rama.zeabur.app/docs/api/contacts/blockContact"
    session_location = p.SessionLocation.PATH
    header_templates = {"Authorization": "Bearer {token}"}
    routes = {"block": ("POST", CONTACT + "/block"), "unblock": ("POST", CONTACT + "/unblock")}
    error_codes = {
        "not_implemented": (501, p.Code.SESSION_NOT_CONNECTED),
        "not_found": (404, p.Code.SESSION_NOT_FOUND),
        "unauthorized": (401, p.Code.PROVIDER_AUTH_FAILED),
        "forbidden": (403, p.Code.PROVIDER_PERMISSION_DENIED),
        "validation_error": (400, p.Code.TARGET_REJECTED),
        "rate_limited": (429, p.Code.PROVIDER_RATE_LIMITED),
    }

    class Options(p.Options):
        """`token`: a login JWT or a `wa_` API key; `session`: the id of the WhatsApp session."""

        token = p.SecretField(required=True)
        session = p.session_field()

    def build_request(self, command: p.Command) -> p.HttpRequest:
        """Put the session and the JID into the path. There is no body."""
        return self.request(
            command, session=self.options["session"], jid=self.name_contact(command.target)
        )

    def parse_provider_code(self, document: p.Json) -> str | None:
        """Read `error.code`."""
        match document:
            case {"error": {"code": str(code)}}:
                return code
        return None

    def parse_success(self, command: p.Command, response: p.HttpResponse) -> p.Outcome | None:
        """Take an empty 204, which is also the answer where nothing had to change."""
        if response.status != 204 or response.body:
            return None
        return self.success(response)


class SessionGatewayDialect(p.Dialect):
    """The gateway's own API, served by us."""

    provider = SessionGatewayProvider
    texts = {p.Code.SESSION_NOT_FOUND: "session not found"}
    takes_body = False
    success_statuses = (204,)

    def parse_credential(self, request: p.HttpRequest) -> str | None:
        """Read the bearer token, or `x-api-key`, which a sister deployment documents."""
        return p.read_bearer(request) or request.headers.get("x-api-key")

    def parse_request(self, request: p.HttpRequest) -> p.DialectRequest:
        """Read everything from the path."""
        route, ids = self.match(request)
        return p.DialectRequest(
            p.Command(route.action, p.read_contact(jid=ids["jid"])), ids["session"]
        )

    def write_success(self, call: p.DialectRequest, outcome: p.Outcome) -> p.HttpResponse:
        """Answer 204 with nothing in it."""
        return p.HttpResponse(204)

    def write_error(
        self, rule: p.ErrorRule, outcome: p.Outcome, call: p.DialectRequest | None, now: datetime
    ) -> p.HttpResponse:
        """Write code, message and details. A rule without the gateway's code shows the unified one.

        Its clients then see a code that they do not know, at a status that they do.
        """
        error = {
            "code": rule.provider_code or rule.code.value,
            "message": self.message(rule, outcome),
            "details": {name: list(messages) for name, messages in outcome.fields.items()},
        }
        return p.json_response(rule.status, {"error": error})


@p.hookimpl
def register(registry: p.Registry) -> None:
    """Add the provider and its dialect."""
    registry.add(SessionGatewayProvider, SessionGatewayDialect)
