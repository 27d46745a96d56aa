"""Wappfy: the session in the body, two documented bodies, a success without a state."""

from __future__ import annotations

from marshmallow import fields, validate

from adapter import plugin as p

from ._waha_code import WahaCodeDialect, WahaCodeProvider, has_three_keys, names_expected_status

OPENAPI = "openapi"
GUIDE = "guide"


def is_refusal_with_text(document: p.Json) -> bool:
    """Whether the body has `success: false` and a sentence, the form of the guide's success."""
    match document:
        case {"success": False, "message": str()} | {"success": False, "error": str()}:
            return True
    return False


class WappfyProvider(WahaCodeProvider):
    """Wappfy, read at https://docs.wappfy.com.br (block and unblock contact) in November 2026.

    Its page shows one body in the guide and another in the OpenAPI section; the latter, which the
    vendor's own client sends, is the default. The bodies of its errors are those of the WAHA code
    base, read in its source.
    """

    name = "wappfy"
    title = "Wappfy"
    documentation = "https://docs.wappfy.com.br/en/api/contacts/block-contact"
    base_url = "https://api.wappfy.com.br"
    contact_forms = (p.ContactForm.CHAT_ID, p.ContactForm.JID, p.ContactForm.LID)
    header_templates = {"apikey": "{api_key}"}
    error_rules = (
        p.ErrorRule(p.Code.PROVIDER_ERROR, 200, where=p.says_failure),  # names no cause
        p.ErrorRule(p.Code.SESSION_NOT_FOUND, 404, where=has_three_keys),
        p.ErrorRule(p.Code.SESSION_NOT_CONNECTED, 422, where=names_expected_status),
    )

    class Options(p.Options):
        """`api_key`; `session`: the instance's name; `wire_format`: `openapi` or `guide`."""

        api_key = p.SecretField(required=True)
        session = p.session_field()
        wire_format = fields.String(load_default=OPENAPI, validate=validate.OneOf([OPENAPI, GUIDE]))

    def build_request(self, command: p.Command) -> p.HttpRequest:
        """Name session and contact in the body, in the configured one of the two forms."""
        if self.options["wire_format"] != GUIDE:
            return super().build_request(command)
        jid = self.name_contact(command.target, p.ContactForm.JID, p.ContactForm.LID)
        return self.request(command, {"sessionId": self.options["session"], "jid": jid})

    def is_own_error(self, response: p.HttpResponse) -> bool:
        """Accept the shapes of the code base, or a refusal with a sentence.

        The pages document 401 and 501 without a body; an empty one blames neither contact nor
        session.
        """
        if not response.body and response.status in (401, 501):
            return True
        return super().is_own_error(response) or is_refusal_with_text(response.document)

    def parse_success(self, command: p.Command, response: p.HttpResponse) -> p.Outcome | None:
        """Accept 200 or 201 with `success`, or the empty 201 of the OpenAPI section."""
        match response.document:
            case {"success": True} if response.status in (200, 201):
                return self.success(response)
        is_empty = response.status == 201 and not response.body
        return self.success(response) if is_empty else None


class WappfyDialect(WahaCodeDialect):
    """Wappfy's own API, served by the adapter, in both of its forms."""

    provider = WappfyProvider
    success_statuses = (200, 201)

    def parse_credential(self, request: p.HttpRequest) -> str | None:
        """Return the `apikey` header."""
        return request.headers.get("apikey")

    def parse_request(self, request: p.HttpRequest) -> p.DialectRequest:
        """Read `sessionId` + `jid`, or `session` + `contactId` (digits alone, or a JID)."""
        route, _ = self.match(request)
        body = p.read_object(request)
        if "jid" in body or "sessionId" in body:
            session, jid = p.read_texts(body, "sessionId", "jid")
            command = p.Command(route.action, p.read_contact(jid=jid))
            return p.DialectRequest(command, session, GUIDE)
        session, target = p.read_texts(body, "session", "contactId")
        command = p.Command(route.action, p.read_number_or_jid(target, "contactId"))
        return p.DialectRequest(command, session, OPENAPI)

    def write_success(self, call: p.DialectRequest, outcome: p.Outcome) -> p.HttpResponse:
        """Write the form of the request: 200 with a sentence, or an empty 201."""
        if call.form != GUIDE:
            return p.HttpResponse(201)
        sentence = f"Contact {call.command.action}ed successfully"
        return p.json_response(200, {"success": True, "message": sentence})


@p.hookimpl
def register(registry: p.Registry) -> None:
    """Register the provider and its dialect."""
    registry.add(WappfyProvider, WappfyDialect)
