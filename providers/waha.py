"""WAHA: a server of one's own, the session in the body, success is an empty 201."""

from __future__ import annotations

from marshmallow import Schema, fields

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
    Outcome,
    Provenance,
    Provider,
    Retry,
    SecretField,
    SessionLocation,
    hookimpl,
    read_number_or_jid,
    read_object,
    read_texts,
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


class WahaProvider(Provider):
    """WAHA, read in the source of https://github.com/devlikeapro/waha in November 2026.

    Its engine decides what it can do: WEBJS blocks, as do the newer WPP and ZAPO; NOWEB and GOWS
    answer 501; the releases of late 2024 answered 422 with Nest's three keys. The Core tier says
    the same 422 to any session but `default`. Nothing but the sentences tells those two apart, and
    both mean that this server cannot do it and has done nothing. A session that is stopped may be
    answered as one that is unknown, with the same 404. There is no block list to read.
    """

    name = "waha"
    title = "WAHA"
    documentation = "https://github.com/devlikeapro/waha"
    session_location = SessionLocation.BODY
    contact_forms = (ContactForm.CHAT_ID, ContactForm.LID)
    header_templates = Headers({"X-Api-Key": "{api_key}"})
    routes = ROUTES
    error_rules = (
        # First, since it is what the dialect answers.
        ErrorRule(Code.OPERATION_NOT_SUPPORTED, 501, proof=Provenance.READ_IN_SOURCE),
        ErrorRule(
            Code.OPERATION_NOT_SUPPORTED, 422, where=has_three_keys, proof=Provenance.READ_IN_SOURCE
        ),
        # A session that is stopped or starting is answered so, too; a start helps.
        ErrorRule(
            Code.SESSION_NOT_FOUND,
            404,
            where=has_three_keys,
            proof=Provenance.READ_IN_SOURCE,
            message="The account's session is unknown to the provider, or stopped.",
            retry=Retry.AFTER_ACTION,
        ),
        ErrorRule(
            Code.SESSION_NOT_CONNECTED,
            422,
            where=names_expected_status,
            proof=Provenance.READ_IN_SOURCE,
        ),
        ErrorRule(Code.PROVIDER_AUTH_FAILED, 401, text="Unauthorized", proof=Provenance.INFERRED),
        # Any exception, at any moment of the call. It repeats the request, which nobody reads.
        ErrorRule(Code.PROVIDER_ERROR, 500, proof=Provenance.READ_IN_SOURCE),
    )

    class Options(Schema):
        """`api_key`; `session`: its name, `default` where none is given, as WAHA calls its own."""

        api_key = SecretField(required=True)
        session = fields.String(load_default="default", validate=session_field().validate)

    def build_request(self, command: Command) -> HttpRequest:
        """Name session and contact in the body."""
        return self.request(command, write_body(self, command))

    def is_own_error(self, response: HttpResponse) -> bool:
        """Take the three shapes of the code base."""
        return is_own(response)

    def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
        """Take an empty 201, which is all that WAHA ever says."""
        if response.status != 201 or response.body:
            return None
        return self.success(response)


class WahaDialect(WahaCodeDialect):
    """WAHA's own API, served by us. Express reads its paths and bodies, forms among them."""

    provider = WahaProvider
    takes_forms = True
    lenient_paths = True
    success_statuses = (201,)

    def parse_credential(self, request: HttpRequest) -> str | None:
        """Read the `X-Api-Key` header or, where there is none, `x-api-key` of the query.

        WAHA takes the latter since 2026 (src/core/auth/HeaderOrQueryApiKeyStrategy.ts).
        """
        return request.headers.get("X-Api-Key", request.query.get("x-api-key"))

    def parse_request(self, request: HttpRequest) -> DialectRequest:
        """Read `session` and `contactId` (digits alone, or a JID); both are required."""
        route, _ = self.match(request)
        session, target = read_texts(read_object(request), "session", "contactId")
        return DialectRequest(
            Command(route.action, read_number_or_jid(target, "contactId")), session
        )

    def write_success(self, call: DialectRequest, outcome: Outcome) -> HttpResponse:
        """Answer 201 with nothing in it."""
        return HttpResponse(201)


@hookimpl
def register_providers() -> list[type[Provider]]:
    """Offer WAHA."""
    return [WahaProvider]


@hookimpl
def register_dialects() -> list[type[Dialect]]:
    """Offer WAHA's own API."""
    return [WahaDialect]
