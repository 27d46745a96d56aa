"""A gateway of many sessions: session and JID are in the path, success is an empty 204."""

from __future__ import annotations

from datetime import datetime

from adapter import plugin as p

SESSION = "/api/v1/sessions/{session}"
CONTACT = f"{SESSION}/contacts/{{jid}}"


class SessionGatewayProvider(p.Provider):
    """The gateway, read at https://wahost-rama.zeabur.app/docs (contacts, sessions) in 11/2026.

    Its 501 `not_implemented` means that the session is not connected; its 404 hides the sessions
    of other organisations. Neither its pages nor its codes mention a block list, so that nothing
    can be compared with the LIDs that `GET …/contacts/{lid}` maps. Of the words of a status they
    show `working` alone, even in the example of a stop; any other one means `unknown`. A key needs
    the right `send` for changes, `read` for lookups, and `manage` for the status.
    """

    name = "session-gateway"
    title = "WhatsApp Gateway (sessions)"
    documentation = "https://wahost-rama.zeabur.app/docs/api/contacts/blockContact"
    session_location = p.SessionLocation.PATH
    header_templates = {"Authorization": "Bearer {token}"}
    routes = {
        "block": ("POST", f"{CONTACT}/block"),
        "unblock": ("POST", f"{CONTACT}/unblock"),
        "status": ("GET", SESSION),
        "lookup": ("GET", f"{SESSION}/contacts/check"),
    }
    status_at = "/status"
    status_words = {"working": p.SessionState.CONNECTED}
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

    def build_lookup(self, command: p.Command) -> p.HttpRequest:
        """Name the number in the query, with a plus sign."""
        (number,) = command.numbers
        return self.request(command, None, {"phone": f"+{number}"})

    def parse_lookup(self, command: p.Command, document: p.Json) -> list[p.Lookup] | None:
        """Read `isOnWhatsApp` and `jid`; `query` repeats the number."""
        match document:
            case {"query": str(query)} if query == f"+{command.numbers[0]}":
                return p.read_lookup_by_keys(command, document, "isOnWhatsApp", "jid")
        return None

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
    reads = (p.Action.STATUS, p.Action.LOOKUP)

    def parse_credential(self, request: p.HttpRequest) -> str | None:
        """Return the bearer token, or `x-api-key`, which a sister deployment documents."""
        return p.read_bearer(request) or request.headers.get("x-api-key")

    def parse_request(self, request: p.HttpRequest) -> p.DialectRequest:
        """Read session and JID from the path, and the number of a lookup from the query."""
        route, ids = self.match(request)
        command = p.Command(p.Action.STATUS)
        if route.action is p.Action.LOOKUP:
            numbers = p.read_native_numbers([*p.read_texts(request.query, "phone")], "phone")
            command = p.Command(route.action, contacts=numbers)
        elif route.action.is_change:
            command = p.Command(route.action, p.read_contact(jid=ids["jid"]))
        return p.DialectRequest(command, ids["session"])

    def write_success(self, call: p.DialectRequest, outcome: p.Outcome) -> p.HttpResponse:
        """Write an empty 204 or, with a 200, what was read; an unknown JID is left out."""
        match outcome.reading:
            case p.Session() as session:
                return p.json_response(200, {"status": self.status_word(session)})
            case (p.Lookup(on_whatsapp=found, contact=contact) as lookup,):
                jid = {"jid": contact.jid} if contact and contact.jid else {}
                query = f"+{lookup.asked.number}"
                return p.json_response(200, {"isOnWhatsApp": found, **jid, "query": query})
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
