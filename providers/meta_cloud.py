"""Meta's own Cloud API: results per user, lists in pages, and only who wrote within 24 hours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from marshmallow import Schema, fields, validate

from adapter import (
    Action,
    Addressing,
    Code,
    Command,
    Confirmation,
    Contact,
    ContactError,
    ContactForm,
    ContactList,
    Headers,
    HttpRequest,
    HttpResponse,
    Json,
    Outcome,
    Proof,
    Provider,
    Relation,
    Route,
    Row,
    SecretField,
    StrictJsonError,
    bounded_wait,
    hookimpl,
    read_json,
    relation,
)

PATH = "/{version}/{phone_number_id}/block_users"
WRONG_NUMBER_ID = (
    "The provider does not know this phone_number_id, or the token has no right to it: check both."
)
READ = Proof.INFERRED


def read_users(document: Json, name: str) -> list[Json]:
    """Return the users under one of the keys of a result, such as `added_users`."""
    match document:
        case {"block_users": dict(results)} if isinstance(users := results.get(name), list):
            return users
    return []


def read_user(entry: Json) -> Contact | None:
    """Return the person of an entry, by `wa_id`, by `user_id`, or by both.

    None where neither is there. Raises ContactError where one of them names nobody.
    """
    if not isinstance(entry, dict):
        return None
    digits, user_id = entry.get("wa_id"), entry.get("user_id")
    jid = f"{digits}@s.whatsapp.net" if isinstance(digits, str) else None
    named = user_id if isinstance(user_id, str) else None
    return Contact.parse(jid=jid, user_id=named) if jid or named else None


def names(entry: Json, contact: Contact) -> bool:
    """Whether an entry of a result is the user that was sent; `input` repeats it as it was."""
    if not isinstance(entry, dict):
        return False
    if contact.number is not None:
        return bool(entry.get("input") == f"+{contact.number}")
    return contact.user_id in (entry.get("user_id"), entry.get("input"))


def read_page(document: Json) -> tuple[ContactList, str] | None:
    """Return a page's contacts, and the cursor behind them; it is empty after the last page.

    None says that a part of it cannot be read. A page with few entries, or none, is no end while
    there is a `next`. That link is not followed: it is a whole URL, and may hold the token.
    """
    if not isinstance(document, dict):
        return None
    entries, paging = document.get("data"), document.get("paging", {})
    cursors = paging.get("cursors", {}) if isinstance(paging, dict) else None
    after = cursors.get("after", "") if isinstance(cursors, dict) else None
    if not isinstance(entries, list) or not isinstance(after, str):
        return None
    try:
        people = [read_user(entry) for entry in entries]
    except ContactError:
        return None
    contacts, more = [each for each in people if each is not None], "next" in paging
    if len(contacts) < len(people) or (more and not after):
        return None
    return ContactList(tuple(contacts)), after if entries or more else ""


class MetaCloudProvider(Provider):
    """The Cloud API, read at developers.facebook.com (block users, paged results) in 11/2026.

    It knows people by number or by business-scoped user id (`user_id`, which clients send since
    August 2026: github.com/david-lev/pywa, pywa/api.py; Meta's page of 2026-05-21 shows numbers
    alone). Its list says their `wa_id`, which may differ from the number that was blocked: a
    Brazilian one may lack its ninth digit. The call is synchronous, and the response names our user
    among those who are now added or removed: that is the state of this user, and not just a yes.
    Other business accounts cannot be blocked. A list holds 64,000 users.

    Errors are per user, within a 400 too. One user is sent, so that the first error of a user is
    ours; it says more than 139100, the error of the whole, which names no cause. The codes and
    their statuses are those of Meta's error page (support/error-codes, updated 2026-05-27); that
    this endpoint gives each of them is inferred.
    """

    name = "meta-cloud"
    title = "WhatsApp Cloud API (Meta)"
    documentation = (
        "https://developers.facebook.com/documentation/business-messaging/whatsapp/block-users/"
    )
    base_url = "https://graph.facebook.com"
    addressing = Addressing.PATH
    confirmation = Confirmation.PROVIDER_STATE
    contact_forms = (ContactForm.DIGITS, ContactForm.USER_ID)
    header_templates = Headers({"Authorization": "Bearer {token}"})
    routes = (
        Route(Action.BLOCK, "POST", PATH),
        Route(Action.UNBLOCK, "DELETE", PATH),
        Route(Action.LIST, "GET", PATH),
    )
    rows = (
        # For who has not written in 24 hours, and for who has no WhatsApp.
        Row(Code.TARGET_REJECTED, 400, "131047", text="Re-engagement required"),
        Row(Code.TARGET_REJECTED, 400, "131021", proof=READ),  # our own number
        Row(Code.TARGET_REJECTED, 400, "131062", proof=READ),  # user ids are not taken here
        Row(Code.TARGET_REJECTED, 400, "139101", proof=READ, message="The block list is full."),
        Row(Code.PROVIDER_ERROR, 400, "139100", proof=READ),  # some or all failed; no cause
        Row(Code.PROVIDER_CONFLICT, 400, "139102", proof=READ),  # changed while paging
        Row(Code.PROVIDER_ERROR, 400, "139103", proof=READ),
        # The account: its number, its token, its rights.
        Row(Code.SESSION_NOT_FOUND, 400, "100/33", proof=READ, message=WRONG_NUMBER_ID),
        Row(Code.SESSION_NOT_FOUND, 400, "33", proof=READ, message=WRONG_NUMBER_ID),  # deleted
        Row(Code.SESSION_NOT_CONNECTED, 400, "133010", proof=READ),  # number is not registered
        Row(Code.SESSION_NOT_CONNECTED, 500, "131045", proof=READ),  # registration failed
        Row(Code.PROVIDER_AUTH_FAILED, 401, "190", proof=READ),
        Row(Code.PROVIDER_AUTH_FAILED, 401, "0", proof=READ),
        Row(Code.PROVIDER_AUTH_FAILED, 401, "102", proof=READ),  # session key
        Row(Code.PROVIDER_PERMISSION_DENIED, 403, "10", proof=READ),
        Row(Code.PROVIDER_PERMISSION_DENIED, 403, "200", proof=READ),  # 200 to 299
        Row(Code.PROVIDER_PERMISSION_DENIED, 500, "3", proof=READ),
        Row(Code.PROVIDER_PERMISSION_DENIED, 403, "131005", proof=READ),
        Row(Code.PROVIDER_PERMISSION_DENIED, 403, "131031", proof=READ),  # account locked
        Row(Code.PROVIDER_PERMISSION_DENIED, 403, "368", proof=READ),  # policy violations
        # Too many calls: of the app, the account, the number, the pair.
        Row(Code.PROVIDER_RATE_LIMITED, 400, "130429", proof=READ),
        Row(Code.PROVIDER_RATE_LIMITED, 400, "4", proof=READ),
        Row(Code.PROVIDER_RATE_LIMITED, 400, "80007", proof=READ),
        Row(Code.PROVIDER_RATE_LIMITED, 400, "131048", proof=READ),
        Row(Code.PROVIDER_RATE_LIMITED, 400, "131056", proof=READ),
        # The service.
        Row(Code.PROVIDER_ERROR, 400, "1", proof=READ),  # possibly the server's fault
        Row(Code.PROVIDER_ERROR, 500, "131000", proof=READ),
        Row(Code.PROVIDER_UNAVAILABLE, 503, "2", proof=READ),  # down, or overloaded
        Row(Code.PROVIDER_UNAVAILABLE, 503, "131016", proof=READ),
        Row(Code.PROVIDER_UNAVAILABLE, 500, "131057", proof=READ),  # maintenance
        Row(Code.PROVIDER_UNAVAILABLE, 503, "133004", proof=READ),
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
        named = self.name_contact(command.contact)
        user = {"user_id": named} if command.contact.number is None else {"user": f"+{named}"}
        body = {"messaging_product": "whatsapp", "block_users": [user]}
        return self.request(command, body, **ids)

    def build_next(self, command: Command, response: HttpResponse) -> HttpRequest | None:
        """Ask for what is behind the page's cursor."""
        page = read_page(response.document)
        if page is None or not page[1]:
            return None
        first = self.build_request(command)
        return replace(first, query={**first.query, "after": page[1]})

    def is_own_error(self, response: HttpResponse) -> bool:
        """Take a Graph API error, or results per user."""
        match response.document:
            case {"error": {"code": int(), "type": str()}} | {"error": {"fbtrace_id": str()}}:
                return True
            case {"block_users": dict()}:
                return True
        return False

    def read_machine_code(self, document: Json) -> str | None:
        """Read the first error of a user, where it is a known one, else the error of the whole."""
        match document:
            case {"block_users": {"failed_users": [{"errors": [dict(error), *_]}, *_]}} if (
                code := self._read_code(error)
            ) in self.machine_codes():
                return code
            case {"error": dict(error)}:
                return self._read_code(error)
        return None

    def _read_code(self, error: Mapping[str, Json]) -> str | None:
        """Return `code`, with its subcode where a row knows both; 200 stands for 200 to 299."""
        code = error.get("code")
        if not isinstance(code, int) or isinstance(code, bool):
            return None
        if 200 <= code <= 299:
            return "200"
        exact = f"{code}/{error.get('error_subcode')}"
        return exact if exact in self.machine_codes() else str(code)

    def read_named_contact(self, command: Command, document: Json) -> Contact | None:
        """Read our user among the results; the first one, where ours is not there."""
        changed = "added_users" if command.blocked else "removed_users"
        entries = read_users(document, changed) + read_users(document, "failed_users")
        ours = [entry for entry in entries if names(entry, command.target)]
        return read_user((ours or entries or [None])[0])

    def read_retry_after(self, response: HttpResponse) -> int | None:
        """Read `Retry-After`, else the minutes in `X-Business-Use-Case-Usage`.

        https://developers.facebook.com/docs/graph-api/overview/rate-limiting describes the header:
        a JSON object of lists of usages, each with `estimated_time_to_regain_access` in minutes.
        """
        asked = super().read_retry_after(response)
        if asked is not None:
            return asked
        try:
            usages = read_json(response.headers.get("X-Business-Use-Case-Usage", "").encode())
        except StrictJsonError:
            return None
        minutes = [
            usage.get("estimated_time_to_regain_access")
            for listed in (usages.values() if isinstance(usages, dict) else ())
            for usage in (listed if isinstance(listed, list) else ())
            if isinstance(usage, dict)
        ]
        known = [each for each in minutes if isinstance(each, (int, float)) and each > 0]
        return bounded_wait(max(known) * 60) if known else None

    def shows_success(self, command: Command, response: HttpResponse) -> bool:
        """Look for our user among the changed; one that cannot be read may be ours as well."""
        if command.contact is None:
            return super().shows_success(command, response)
        changed = "added_users" if command.blocked else "removed_users"
        for entry in read_users(response.document, changed):
            try:
                person = read_user(entry)
            except ContactError:
                return True
            if person is None or relation(command.contact, person) is not Relation.DIFFERENT:
                return True
        return False

    def read_success(self, command: Command, response: HttpResponse) -> Outcome | None:
        """Take a 200 that names our user alone as changed, or a page of the list."""
        document = response.document
        if response.status != 200:
            return None
        if command.contact is None:
            page = read_page(document)
            return self.success(response, page[0]) if page else None
        changed, other = "added_users", "removed_users"
        if not command.blocked:
            changed, other = other, changed
        users = read_users(document, changed)
        if len(users) != 1 or not names(users[0], command.contact):
            return None
        results = document["block_users"]
        if any(results.get(name, []) != [] for name in ("failed_users", other)):
            return None
        return self.success(response)


@hookimpl
def register_providers() -> list[type[Provider]]:
    """Offer the Cloud API."""
    return [MetaCloudProvider]
