"""WAHA: a self-hosted server, the session in the body, success is an empty 201."""

from __future__ import annotations

from marshmallow import fields

from adapter import plugin as p

from ._waha_code import WahaCodeDialect, WahaCodeProvider, has_three_keys, names_expected_status


def read_relation(asked: p.Contact, jid: str, number: p.Json) -> p.Relation:
    """Return how the contact of a response relates to the one that was asked for.

    `number` repeats the digits of a JID with a number. An unreadable contact is another one.
    """
    try:
        named = p.read_jid(jid)
    except p.ContactError:
        return p.Relation.DIFFERENT
    is_other = named.number is not None and number not in (None, named.number)
    return p.Relation.DIFFERENT if is_other else p.relation(asked, named)


class WahaProvider(WahaCodeProvider):
    """WAHA, read in the source of https://github.com/devlikeapro/waha in November 2026.

    The engine decides what is possible: WEBJS blocks, as do the newer WPP and ZAPO; NOWEB and GOWS
    return 501; the releases of late 2024 returned 422 with Nest's three keys. The Core tier returns
    the same 422 for any session but `default`. Only the sentences differ, and both mean that this
    server cannot do it and has done nothing. A stopped session may get the 404 of an unknown one.

    There is no block list to read: `GET /api/contacts/all` returns the contacts that the engine
    has, and a blocked number need not be one of them. A contact's own flag is read instead, by its
    number or its LID, so that the routes that map LIDs (`/api/{session}/lids`) are not used.
    Before 2026.7.1, a dead session of GOWS could stay WORKING.
    """

    name = "waha"
    title = "WAHA"
    documentation = "https://github.com/devlikeapro/waha"
    contact_forms = (p.ContactForm.CHAT_ID, p.ContactForm.LID)
    shows_only_blocks = True
    header_templates = {"X-Api-Key": "{api_key}"}
    routes = {**WahaCodeProvider.routes, "state": ("GET", "/api/contacts")}
    error_rules = (
        p.ErrorRule(p.Code.OPERATION_NOT_SUPPORTED, 501),  # first: the dialect sends it
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
        """`api_key`; `session`: its name, by default `default`, the name of WAHA's own."""

        api_key = p.SecretField(required=True)
        session = fields.String(load_default="default", validate=p.session_field().validate)

    def build_state(self, command: p.Command) -> p.HttpRequest:
        """Name session and contact in the query, as in the body of a change."""
        contact = self.name_contact(command.target)
        query = {"contactId": contact, "session": self.options["session"]}
        return self.request(command, None, query)

    def parse_state(self, command: p.Command, document: p.Json) -> p.BlockState | None:
        """Accept `isBlocked: true` of the contact itself as proof; nothing proves the contrary.

        NOWEB and GOWS have no such key. On WEBJS, false is right since whatsapp-web.js 1.34.7
        alone: before, the page's list held LIDs, and a contact with a number read as not blocked.
        The response does not show the version.
        """
        match document:
            case {"id": str(jid), **rest}:
                relation = read_relation(command.target, jid, rest.get("number"))
                if relation is p.Relation.DIFFERENT:
                    return None
                if relation is p.Relation.INCOMPARABLE:
                    return p.BlockState(None, p.Unverified.ONLY_LIDS)
                if relation is p.Relation.SAME and rest.get("isBlocked") is True:
                    return p.BlockState(True)
                return p.BlockState(None, p.Unverified.INCOMPLETE)
        return None

    def parse_success(self, command: p.Command, response: p.HttpResponse) -> p.Outcome | None:
        """Accept an empty 201, WAHA's only success."""
        is_empty = response.status == 201 and not response.body
        return self.success(response) if is_empty else None


class WahaDialect(WahaCodeDialect):
    """WAHA's own API, served by the adapter. Express reads its paths and bodies, and forms too."""

    provider = WahaProvider
    texts = {p.Code.PROVIDER_AUTH_FAILED: "Unauthorized"}
    takes_forms = True
    lenient_paths = True
    success_statuses = (201,)
    reads = (p.Action.STATUS, p.Action.LOOKUP, p.Action.STATE)

    def parse_credential(self, request: p.HttpRequest) -> str | None:
        """Return the `X-Api-Key` header or, without one, `x-api-key` of the query.

        WAHA accepts the latter since 2026 (src/core/auth/HeaderOrQueryApiKeyStrategy.ts).
        """
        return request.headers.get("X-Api-Key", request.query.get("x-api-key"))


@p.hookimpl
def register(registry: p.Registry) -> None:
    """Register the provider and its dialect."""
    registry.add(WahaProvider, WahaDialect)
