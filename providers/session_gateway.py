"""A gateway of many sessions: session and JID are in the path, success is an empty 204."""

from __future__ import annotations

from datetime import datetime

from adapter import plugin as p

CONTACT = "/api/v1/sessions/{session}/contacts/{jid}"


class SessionGatewayProvider(p.Provider):
    """The gateway, read at https://wahost-rama.zeabur.app/docs (contacts, sessions) in 11/2026.

    Its 501 `not_implemented` means that the session is not connected; its 404 hides the sessions
    of other organisations. Neither its pages nor its codes mention a block list.
    """

    name = "session-gateway"
    title = "WhatsApp Gateway (sessions)"
    documentation = "https://wahost-rama.zeabur.app/docs/api/contacts/blockContact"
    session_location = p.SessionLocation.PATH
    header_templates = {"Authorization": "Bearer {token}"}
    routes = {"block": ("POST", CONTACT + "/block"), "unblock": ("POST", CONTACT + "/unblock")}
    provider_code_at = ("/error/code",)
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
        """Put the session and the JID into the path; there is no body."""
        return self.request(command, jid=self.name_contact(command.target))

    def parse_success(self, command: p.Command, response: p.HttpResponse) -> p.Outcome | None:
        """Accept an empty 204, which is also the response where nothing had to change."""
        is_empty = response.status == 204 and not response.body
        return self.success(response) if is_empty else None


class SessionGatewayDialect(p.Dialect):
    """The gateway's own API, served by the adapter."""

    provider = SessionGatewayProvider
    texts = {p.Code.SESSION_NOT_FOUND: "session not found"}
    takes_body = False
    success_statuses = (204,)

    def parse_credential(self, request: p.HttpRequest) -> str | None:
        """Return the bearer token, or `x-api-key`, which a sister deployment documents."""
        return p.read_bearer(request) or request.headers.get("x-api-key")

    def parse_request(self, request: p.HttpRequest) -> p.DialectRequest:
        """Read session and JID from the path."""
        route, ids = self.match(request)
        command = p.Command(route.action, p.read_contact(jid=ids["jid"]))
        return p.DialectRequest(command, ids["session"])

    def write_success(self, call: p.DialectRequest, outcome: p.Outcome) -> p.HttpResponse:
        """Write an empty 204."""
        return p.HttpResponse(204)

    def write_error(
        self, rule: p.ErrorRule, outcome: p.Outcome, call: p.DialectRequest | None, now: datetime
    ) -> p.HttpResponse:
        """Write code, message and details; without a code of the gateway's, the unified code.

        The gateway's clients then see a known status with an unknown code.
        """
        error = {
            "code": rule.provider_code or rule.code.value,
            "message": self.message(rule, outcome),
            "details": {name: list(messages) for name, messages in outcome.fields.items()},
        }
        return p.json_response(rule.status, {"error": error})


@p.hookimpl
def register(registry: p.Registry) -> None:
    """Register the provider and its dialect."""
    registry.add(SessionGatewayProvider, SessionGatewayDialect)
