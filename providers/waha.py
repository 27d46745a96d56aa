"""WAHA: a server of one's own, the session in the body, success is an empty 201."""

from __future__ import annotations

from marshmallow import fields

from adapter import plugin as p

from ._waha_code import (
    ROUTES,
    WahaCodeDialect,
    has_three_keys,
    is_own,
    names_expected_status,
    write_body,
)


class WahaProvider(p.Provider):
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
    session_location = p.SessionLocation.BODY
    contact_forms = (p.ContactForm.CHAT_ID, p.ContactForm.LID)
    header_templates = {"X-Api-Key": "{api_key}"}
    routes = ROUTES
    error_rules = (
        p.ErrorRule(p.Code.OPERATION_NOT_SUPPORTED, 501),  # first: the dialect sends this one
        p.ErrorRule(p.Code.OPERATION_NOT_SUPPORTED, 422, where=has_three_keys),
        # A stopped or starting session gets the same response; a start helps.
        p.ErrorRule(
            p.Code.SESSION_NOT_FOUND,
            404,
            where=has_three_keys,
            message="The account's session is unknown to the provider, or stopped.",
            retry=p.Retry.AFTER_ACTION,
        ),
        p.ErrorRule(p.Code.SESSION_NOT_CONNECTED, 422, where=names_expected_status),
    )

    class Options(p.Options):
        """`api_key`; `session`: its name, `default` where none is given, as WAHA calls its own."""

        api_key = p.SecretField(required=True)
        session = fields.String(load_default="default", validate=p.session_field().validate)

    def build_request(self, command: p.Command) -> p.HttpRequest:
        """Name session and contact in the body."""
        return self.request(command, write_body(self, command))

    def is_own_error(self, response: p.HttpResponse) -> bool:
        """Take the three shapes of the code base."""
        return is_own(response)

    def parse_success(self, command: p.Command, response: p.HttpResponse) -> p.Outcome | None:
        """Take an empty 201, which is all that WAHA ever says."""
        if response.status != 201 or response.body:
            return None
        return self.success(response)


class WahaDialect(WahaCodeDialect):
    """WAHA's own API, served by us. Express reads its paths and bodies, forms among them."""

    provider = WahaProvider
    texts = {p.Code.PROVIDER_AUTH_FAILED: "Unauthorized"}
    takes_forms = True
    lenient_paths = True
    success_statuses = (201,)

    def parse_credential(self, request: p.HttpRequest) -> str | None:
        """Read the `X-Api-Key` header or, where there is none, `x-api-key` of the query.

        WAHA takes the latter since 2026 (src/core/auth/HeaderOrQueryApiKeyStrategy.ts).
        """
        return request.headers.get("X-Api-Key", request.query.get("x-api-key"))

    def parse_request(self, request: p.HttpRequest) -> p.DialectRequest:
        """Read `session` and `contactId` (digits alone, or a JID); both are required."""
        route, _ = self.match(request)
        session, target = p.read_texts(p.read_object(request), "session", "contactId")
        return p.DialectRequest(
            p.Command(route.action, p.read_number_or_jid(target, "contactId")), session
        )

    def write_success(self, call: p.DialectRequest, outcome: p.Outcome) -> p.HttpResponse:
        """Answer 201 with nothing in it."""
        return p.HttpResponse(201)


@p.hookimpl
def register(registry: p.Registry) -> None:
    """Add the provider and its dialect."""
    registry.add(WahaProvider, WahaDialect)
