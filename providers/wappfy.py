"""Wappfy: the session in the body, two documented bodies, success without a state."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from adapter import (
    Code,
    Command,
    ContactForm,
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
    SecretField,
    SessionLocation,
    hookimpl,
    json_response,
    read_contact,
    read_number_or_jid,
    read_object,
    read_texts,
    says_failure,
    session_field,
)

from ._waha_code import (
    ROUTES,
    WahaCodeDialect,
    has_three_keys,
    is_own,
    names_expected_status,
    write_body,
)

OPENAPI = "openapi"
GUIDE = "guide"


def is_refusal_with_text(document: Json) -> bool:
    """Whether the body says no in the form of the guide's success: `success` and a sentence."""
    match document:
        case {"success": False, "message": str()} | {"success": False, "error": str()}:
            return True
    return False


class WappfyProvider(Provider):
    """Wappfy, read at https://docs.wappfy.com.br (block and unblock contact) in November 2026.

    Its page shows one body in the guide and another in the OpenAPI section; the OpenAPI one, which
    the vendor's own client sends, is the default. The bodies of its errors are those of the WAHA
    code base, read in its source.
    """

    name = "wappfy"
    title = "Wappfy"
    documentation = "https://docs.wappfy.com.br/en/api/contacts/block-contact"
    base_url = "https://api.wappfy.com.br"
    session_location = SessionLocation.BODY
    contact_forms = (ContactForm.CHAT_ID, ContactForm.JID, ContactForm.LID)
    header_templates = Headers({"apikey": "{api_key}"})
    routes = ROUTES
    error_rules = (
        ErrorRule(
            Code.PROVIDER_ERROR, 200, where=says_failure, proof=Provenance.INFERRED
        ),  # names no cause
        ErrorRule(Code.SESSION_NOT_FOUND, 404, where=has_three_keys, proof=Provenance.INFERRED),
        ErrorRule(
            Code.SESSION_NOT_CONNECTED, 422, where=names_expected_status, proof=Provenance.INFERRED
        ),
    )

    class Options(Schema):
        """`api_key`; `session`: the instance's name; `wire_format`: `openapi` or `guide`."""

        api_key = SecretField(required=True)
        session = session_field()
        wire_format = fields.String(load_default=OPENAPI, validate=validate.OneOf([OPENAPI, GUIDE]))

    def build_request(self, command: Command) -> HttpRequest:
        """Name session and contact in the body, in the configured one of the two forms."""
        if self.options["wire_format"] == GUIDE:
            jid = self.name_contact(command.target, ContactForm.JID, ContactForm.LID)
            return self.request(command, {"sessionId": self.options["session"], "jid": jid})
        return self.request(command, write_body(self, command))

    def is_own_error(self, response: HttpResponse) -> bool:
        """Take the shapes of the code base, or a refusal with a sentence.

        The pages document 401 and 501 without a body; an empty one blames neither contact nor
        session.
        """
        bare = not response.body and response.status in (401, 501)
        return bare or is_own(response) or is_refusal_with_text(response.document)

    def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
        """Take 200 or 201 that says `success`, or the empty 201 of the OpenAPI section."""
        document = response.document
        said = isinstance(document, dict) and document.get("success") is True
        if (said and response.status in (200, 201)) or (
            response.status == 201 and not response.body
        ):
            return self.success(response)
        return None


class WappfyDialect(WahaCodeDialect):
    """Wappfy's own API, served by us, in both of its forms."""

    provider = WappfyProvider
    success_statuses = (200, 201)

    def parse_credential(self, request: HttpRequest) -> str | None:
        """Read the `apikey` header."""
        return request.headers.get("apikey")

    def parse_request(self, request: HttpRequest) -> DialectRequest:
        """Read `sessionId` + `jid`, or `session` + `contactId` (digits alone, or a JID)."""
        route, _ = self.match(request)
        body = read_object(request)
        if "jid" in body or "sessionId" in body:
            session, jid = read_texts(body, "sessionId", "jid")
            return DialectRequest(Command(route.action, read_contact(jid=jid)), session, GUIDE)
        session, target = read_texts(body, "session", "contactId")
        contact = read_number_or_jid(target, "contactId")
        return DialectRequest(Command(route.action, contact), session, OPENAPI)

    def write_success(self, call: DialectRequest, outcome: Outcome) -> HttpResponse:
        """Answer in the form of the question: 200 with a sentence, or an empty 201."""
        if call.form != GUIDE:
            return HttpResponse(201)
        sentence = f"Contact {call.command.action}ed successfully"
        return json_response(200, {"success": True, "message": sentence})


@hookimpl
def register_providers() -> list[type[Provider]]:
    """Offer Wappfy."""
    return [WappfyProvider]


@hookimpl
def register_dialects() -> list[type[Dialect]]:
    """Offer Wappfy's own API."""
    return [WappfyDialect]
