"""Wappfy: the session in the body, two documented bodies, a success without a state."""

from __future__ import annotations

from dataclasses import replace

from marshmallow import fields, validate

from adapter import plugin as p

from ._waha_code import WahaCodeDialect, WahaCodeProvider, has_three_keys, names_expected_status

OPENAPI = "openapi"
GUIDE = "guide"

GUIDE_WORDS = {
    "active": p.SessionState.CONNECTED,
    "authenticated": p.SessionState.CONNECTED,
    "stopped": p.SessionState.NOT_CONNECTED,
    "disconnected": p.SessionState.NOT_CONNECTED,
}
"""The guide's words for a status. Those of the OpenAPI section are WAHA's own."""


def is_refusal_with_text(document: p.Json) -> bool:
    """Whether the body has `success: false` and a sentence, the form of the guide's success."""
    match document:
        case {"success": False, "message": str()} | {"success": False, "error": str()}:
            return True
    return False


class WappfyProvider(WahaCodeProvider):
    """Wappfy, read at https://docs.wappfy.com.br (block and unblock contact) in November 2026.

    Its pages show one form in the guide and another in the OpenAPI section; the latter, which the
    vendor's own client sends, is the default. Responses are read in both forms. The bodies of its
    errors are those of the WAHA code base, read in its source. No page shows a block list, or
    whether a contact is blocked.
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

    def build_lookup(self, command: p.Command) -> p.HttpRequest:
        """Name session and number in the query; the guide's name of the session is `sessionId`."""
        if self.options["wire_format"] != GUIDE:
            return super().build_lookup(command)
        (phone,) = command.numbers
        return self.request(command, None, {"phone": phone, "sessionId": self.options["session"]})

    def parse_lookup(self, command: p.Command, document: p.Json) -> list[p.Lookup] | None:
        """Read the guide's form, whose two booleans must agree, or that of the OpenAPI section."""
        match document:
            case {"exists": exists, "isInWhatsapp": found, **rest}:
                agree = exists is found is rest.get("numberExists", found)
                return p.read_lookup_by_keys(command, document, "exists", "jid") if agree else None
            case {"exists": _} | {"isInWhatsapp": _}:
                return None
        return super().parse_lookup(command, document)

    def parse_status(self, document: p.Json) -> p.Session | None:
        """Read the words of both forms; a connected session of the guide is `authenticated`."""
        session = super().parse_status(document)
        match document:
            case {"status": str(word), **rest} if session is not None:
                state = GUIDE_WORDS.get(word, session.state)
                is_authenticated = rest.get("authenticated", word not in GUIDE_WORDS)
                if state is p.SessionState.CONNECTED and is_authenticated is not True:
                    state = p.SessionState.UNKNOWN
                known = word if word in GUIDE_WORDS else session.word
                return replace(session, state=state, word=known)
        return session

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
        """Read the guide's form, `sessionId` with `jid` or `phone`, or the OpenAPI section's."""
        route, _ = self.match(request)
        if route.action is p.Action.LOOKUP and "sessionId" in request.query:
            session, phone = p.read_texts(request.query, "sessionId", "phone")
            command = p.Command(route.action, contacts=p.read_native_numbers([phone], "phone"))
            return p.DialectRequest(command, session, GUIDE)
        body = p.read_object(request) if route.action.is_change else {}
        if "jid" in body or "sessionId" in body:
            session, jid = p.read_texts(body, "sessionId", "jid")
            command = p.Command(route.action, p.read_contact(jid=jid))
            return p.DialectRequest(command, session, GUIDE)
        return super().parse_request(request)

    def write_success(self, call: p.DialectRequest, outcome: p.Outcome) -> p.HttpResponse:
        """Write the form of the request; the guide's success of a change is a sentence."""
        if call.form != GUIDE:
            return super().write_success(call, outcome)
        match outcome.reading:
            case (p.Lookup(on_whatsapp=found, contact=contact),):
                jid = {"jid": contact.jid} if contact and contact.jid else {}
                return p.json_response(200, {"exists": found, **jid, "isInWhatsapp": found})
        sentence = f"Contact {call.command.action}ed successfully"
        return p.json_response(200, {"success": True, "message": sentence})


@p.hookimpl
def register(registry: p.Registry) -> None:
    """Register the provider and its dialect."""
    registry.add(WappfyProvider, WappfyDialect)
