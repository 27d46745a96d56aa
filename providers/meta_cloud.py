"""Meta's own Cloud API: results per user, lists in pages, and only who wrote within 24 hours."""

from __future__ import annotations

import re
from dataclasses import replace

from marshmallow import Schema, fields, validate

from adapter import (
    Action,
    Addressing,
    Applied,
    Code,
    Command,
    Confirmation,
    Contact,
    ContactForm,
    Headers,
    HttpRequest,
    HttpResponse,
    Json,
    Outcome,
    Proof,
    Provider,
    Route,
    Row,
    SecretField,
    hookimpl,
    read_contacts,
    require_number,
)

PATH = "/{version}/{phone_number_id}/block_users"


def read_changed(command: Command, document: Json) -> list[Json]:
    """Return whom the body names as changed in the way that was asked: each `+` and digits."""
    name = "added_users" if command.blocked else "removed_users"
    match document:
        case {"block_users": dict(results)} if isinstance(users := results.get(name), list):
            return [user.get("input") if isinstance(user, dict) else None for user in users]
    return []


def read_jid(entry: Json) -> str | None:
    """Return the JID of a list's entry; None where it names nobody by number."""
    match entry:
        case {"wa_id": str(digits)}:
            return f"{digits}@s.whatsapp.net"
    return None


def read_page(document: Json) -> tuple[tuple[Contact, ...], str] | None:
    """Return a page's contacts, and the cursor behind them; it is empty after the last page.

    None says that a part of it cannot be read. A page with few entries, or none, is no end while
    there is a `next`. That link is not followed: it is a whole URL, and may hold the token.
    """
    if not isinstance(document, dict) or "error" in document:
        return None
    entries, paging = document.get("data"), document.get("paging", {})
    cursors = paging.get("cursors", {}) if isinstance(paging, dict) else None
    after = cursors.get("after", "") if isinstance(cursors, dict) else None
    if not isinstance(entries, list) or not isinstance(after, str):
        return None
    contacts, more = read_contacts(map(read_jid, entries)), "next" in paging
    if contacts is None or (more and not after):
        return None
    return contacts, after if entries or more else ""


class MetaCloudProvider(Provider):
    """The Cloud API, read at developers.facebook.com (block users, paged results) in 11/2026.

    It knows people by number alone. Its list says their `wa_id`, which may differ from the number
    that was blocked: a Brazilian one may lack its ninth digit. The call is synchronous, and the
    answer names our user among those who are now added or removed: that is the state of this user,
    and not just a yes. Other business accounts cannot be blocked. A list holds 64,000 users.

    Errors are per user, within a 400 too. One user is sent, so that the first error of a user is
    ours; it says more than 139100, the error of the whole.
    """

    name = "meta-cloud"
    title = "WhatsApp Cloud API (Meta)"
    documentation = (
        "https://developers.facebook.com/documentation/business-messaging/whatsapp/block-users/"
    )
    base_url = "https://graph.facebook.com"
    addressing = Addressing.PATH
    confirmation = Confirmation.PROVIDER_STATE
    contact_forms = (ContactForm.DIGITS,)
    header_templates = Headers({"Authorization": "Bearer {token}"})
    routes = (
        Route(Action.BLOCK, "POST", PATH),
        Route(Action.UNBLOCK, "DELETE", PATH),
        Route(Action.LIST, "GET", PATH),
    )
    # 131047 is for who has not written in 24 hours, and for who has no WhatsApp.
    # The codes (but 190) are documented. Inferred is where they stand, and at which status.
    rows = (
        Row(Code.TARGET_REJECTED, 400, "131047", text="Re-engagement required"),
        Row(Code.TARGET_REJECTED, 400, "131021", proof=Proof.INFERRED),  # our own number
        Row(Code.TARGET_REJECTED, 400, "139101", proof=Proof.INFERRED),  # the list is full
        Row(Code.TARGET_REJECTED, 400, "139100", proof=Proof.INFERRED),  # some or all, so ours
        Row(Code.PROVIDER_CONFLICT, 400, "139102", proof=Proof.INFERRED),  # changed while paging
        Row(Code.PROVIDER_ERROR, 400, "139103", proof=Proof.INFERRED),
        Row(Code.PROVIDER_RATE_LIMITED, 400, "130429", proof=Proof.INFERRED),
        Row(Code.PROVIDER_RATE_LIMITED, 400, "4", proof=Proof.INFERRED),  # of the app
        Row(Code.PROVIDER_RATE_LIMITED, 400, "80007", proof=Proof.INFERRED),  # of the account
        Row(Code.PROVIDER_ERROR, 400, "1", proof=Proof.INFERRED),  # possibly the server's fault
        Row(Code.PROVIDER_UNAVAILABLE, 400, "2", proof=Proof.INFERRED),  # down, or overloaded
        Row(Code.PROVIDER_AUTH_FAILED, 401, "190", proof=Proof.INFERRED),
    )

    class Options(Schema):
        """`token`; `phone_number_id` of the business number; `version` of the Graph API."""

        token = SecretField(required=True)
        phone_number_id = fields.String(
            required=True, validate=validate.Regexp(r"^[0-9]{1,32}\Z", error="must be digits")
        )
        version = fields.String(
            load_default="v23.0",
            validate=validate.Regexp(r"^v[0-9]{1,3}\.[0-9]{1,3}\Z", error="must be such as v23.0"),
        )

    def build_request(self, command: Command) -> HttpRequest:
        """Name one user in the body, with DELETE too; or ask for a page of a thousand.

        That is the documented most of users per request. Whether it holds for lists is not said;
        a smaller page is read as well, since only the cursor tells where the list ends.
        """
        ids = {name: self.options[name] for name in ("version", "phone_number_id")}
        if command.contact is None:
            return replace(self.request(command, **ids), query={"limit": "1000"})
        user = {"user": f"+{require_number(command.contact)}"}
        body = {"messaging_product": "whatsapp", "block_users": [user]}
        return self.request(command, body, **ids)

    def build_next(self, command: Command, response: HttpResponse) -> HttpRequest | None:
        """Ask for what is behind the page's cursor."""
        page = read_page(response.document)
        if page is None or not page[1]:
            return None
        first = self.build_request(command)
        return replace(first, query={**first.query, "after": page[1]})

    def read_machine_code(self, document: Json) -> str | None:
        """Read the first error of a user, where it is a known one, else the error of the whole."""
        match document:
            case {"block_users": {"failed_users": [{"errors": [{"code": int(code)}, *_]}, *_]}} if (
                str(code) in self.machine_codes()
            ):
                return str(code)
            case {"error": {"code": int(code)}}:
                return str(code)
        return None

    def read_response(self, command: Command, response: HttpResponse) -> Outcome:
        """Believe no refusal that names our user among the changed: it contradicts itself.

        The answer repeats what was sent. One who is named in other signs, or by nothing that can be
        read, may be ours as well.
        """
        outcome = super().read_response(command, response)
        if outcome.applied is not Applied.NOT_APPLIED or outcome.code is Code.PROVIDER_REDIRECTED:
            return outcome
        named = read_changed(command, response.document)
        changed = {re.sub("[^0-9]", "", str(each)) for each in named}
        if command.contact and {command.contact.number, ""} & changed:
            return Outcome.failure(Code.PROVIDER_BAD_RESPONSE, upstream_status=response.status)
        return outcome

    def read_success(self, command: Command, response: HttpResponse) -> Outcome | None:
        """Take a 200 that names our user alone as changed and no error, or a page of the list."""
        document = response.document
        if response.status != 200:
            return None
        if command.contact is None:
            page = read_page(document)
            return self.success(response, page[0]) if page else None
        changed = read_changed(command, document)
        if changed != [f"+{command.contact.number}"] or "error" in document:
            return None
        results = document["block_users"]
        other = "removed_users" if command.blocked else "added_users"
        if any(results.get(name, []) != [] for name in ("failed_users", other)):
            return None
        return self.success(response)


@hookimpl
def register_providers() -> list[type[Provider]]:
    """Offer the Cloud API."""
    return [MetaCloudProvider]
