"""Meta's own Cloud API: results per user, lists in pages, and only who wrote within 24 hours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from marshmallow import fields, validate

from adapter import plugin as p

PATH = "/{version}/{phone_number_id}/block_users"
WRONG_NUMBER_ID = (
    "The provider does not know this phone_number_id, or the token has no right to it: check both."
)


def read_users(document: p.Json, name: str) -> list[p.Json]:
    """Return the users under one of the keys of a result, such as `added_users`."""
    match document:
        case {"block_users": dict(results)} if isinstance(users := results.get(name), list):
            return users
    return []


def read_user(entry: p.Json) -> p.Contact:
    """Return the person of an entry, by `wa_id`, by `user_id`, or by both.

    Raises ContactError where neither is there, or where one of them names nobody.
    """
    ids = entry if isinstance(entry, dict) else {}
    digits, user_id = (
        each if isinstance(each := ids.get(name), str) and each else None
        for name in ("wa_id", "user_id")
    )
    return p.Contact.parse(jid=digits and f"{digits}@s.whatsapp.net", user_id=user_id)


def names(entry: p.Json, contact: p.Contact) -> bool:
    """Whether an entry of a result is the user that was sent; `input` repeats it as it was."""
    if not isinstance(entry, dict):
        return False
    if contact.number is not None:
        return bool(entry.get("input") == f"+{contact.number}")
    return contact.user_id in (entry.get("user_id"), entry.get("input"))


def read_cursor(document: p.Json) -> str | None:
    """Return the cursor behind a page; empty after the last one, None where it is unreadable.

    A page with few entries, or none, is no end while there is a `next`. That link is not followed:
    it is a whole URL, and may hold the token.
    """
    if not isinstance(document, dict) or not isinstance(document.get("data"), list):
        return None
    paging = document.get("paging", {})
    cursors = paging.get("cursors", {}) if isinstance(paging, dict) else None
    after = cursors.get("after", "") if isinstance(cursors, dict) else None
    if not isinstance(after, str) or ("next" in paging and not after):
        return None
    return after if document["data"] or "next" in paging else ""


class MetaCloudProvider(p.Provider):
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
    session_location = p.SessionLocation.PATH
    confirmation = p.Confirmation.PROVIDER_STATE
    contact_forms = (p.ContactForm.DIGITS, p.ContactForm.USER_ID)
    header_templates = {"Authorization": "Bearer {token}"}
    routes = {"block": ("POST", PATH), "unblock": ("DELETE", PATH), "list": ("GET", PATH)}
    error_codes = {
        # The contact: no message in 24 hours, or no WhatsApp; our own number; no user ids here.
        **dict.fromkeys(("131047", "131021", "131062"), (400, p.Code.TARGET_REJECTED)),
        # The whole change: some or all users failed, for no stated cause.
        **dict.fromkeys(("139100", "139103"), (400, p.Code.PROVIDER_ERROR)),
        "139102": (400, p.Code.PROVIDER_CONFLICT),  # the list changed between two pages
        # The account: the path, the number's registration, the token, the rights (200 to 299:
        # `200`), a lock, a policy, a country.
        "2500": (400, p.Code.PROVIDER_MISADDRESSED),
        "133010": (400, p.Code.SESSION_NOT_CONNECTED),
        "131045": (500, p.Code.SESSION_NOT_CONNECTED),
        **dict.fromkeys(("190", "0", "102", "104"), (401, p.Code.PROVIDER_AUTH_FAILED)),
        **dict.fromkeys(
            ("10", "200", "131005", "131031", "368", "130497"),
            (403, p.Code.PROVIDER_PERMISSION_DENIED),
        ),
        "3": (500, p.Code.PROVIDER_PERMISSION_DENIED),
        # Too many calls: of the app, the account, the number, the pair.
        **dict.fromkeys(
            ("130429", "4", "80007", "80008", "17", "32", "613", "131048", "131056"),
            (400, p.Code.PROVIDER_RATE_LIMITED),
        ),
        # The service: a fault, overload, maintenance.
        "1": (400, p.Code.PROVIDER_ERROR),
        "131000": (500, p.Code.PROVIDER_ERROR),
        **dict.fromkeys(("2", "131016", "133004"), (503, p.Code.PROVIDER_UNAVAILABLE)),
        "131057": (500, p.Code.PROVIDER_UNAVAILABLE),
    }
    error_rules = (
        p.ErrorRule(
            p.Code.TARGET_REJECTED, 400, provider_code="139101", message="The block list is full."
        ),
        *(
            p.ErrorRule(
                p.Code.SESSION_NOT_FOUND, status, provider_code=code, message=WRONG_NUMBER_ID
            )
            for code, status in (("100/33", 400), ("33", 400), ("803", 404))
        ),
    )

    class Options(p.Options):
        """`token`; `phone_number_id` of the business number; `version` of the Graph API."""

        token = p.SecretField(required=True)
        phone_number_id = fields.String(
            required=True, validate=validate.Regexp(r"^[0-9]{1,32}\Z", error="must be digits")
        )
        version = fields.String(
            load_default="v23.0",
            validate=validate.Regexp(r"^v[0-9]{1,3}\.[0-9]{1,3}\Z", error="must be such as v23.0"),
        )

    def build_request(self, command: p.Command) -> p.HttpRequest:
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

    def build_next_page(self, command: p.Command, response: p.HttpResponse) -> p.HttpRequest | None:
        """Ask for what is behind the page's cursor."""
        after = read_cursor(response.document)
        if not after:
            return None
        first = self.build_request(command)
        return replace(first, query={**first.query, "after": after})

    def is_own_error(self, response: p.HttpResponse) -> bool:
        """Take a Graph API error, or results per user."""
        match response.document:
            case {"error": {"code": int(), "type": str()}} | {"error": {"fbtrace_id": str()}}:
                return True
            case {"block_users": dict()}:
                return True
        return False

    def parse_provider_code(self, document: p.Json) -> str | None:
        """Read the first error of a user, where it is a known one, else the error of the whole."""
        match document:
            case {"block_users": {"failed_users": [{"errors": [dict(error), *_]}, *_]}} if (
                code := self._read_code(error)
            ) in self.provider_codes():
                return code
            case {"error": dict(error)}:
                return self._read_code(error)
        return None

    def _read_code(self, error: Mapping[str, p.Json]) -> str | None:
        """Return `code`, with its subcode where a rule knows both; 200 stands for 200 to 299."""
        code = error.get("code")
        if not isinstance(code, int) or isinstance(code, bool):
            return None
        if 200 <= code <= 299:
            return "200"
        exact = f"{code}/{error.get('error_subcode')}"
        return exact if exact in self.provider_codes() else str(code)

    def parse_named_contact(self, command: p.Command, document: p.Json) -> p.Contact | None:
        """Read our user among the results; the first one, where ours is not there."""
        changed = "added_users" if command.blocked else "removed_users"
        entries = read_users(document, changed) + read_users(document, "failed_users")
        ours = [entry for entry in entries if names(entry, command.target)]
        named = [entry for entry in ours or entries if isinstance(entry, dict)]
        if not any(entry.get(name) for entry in named[:1] for name in ("wa_id", "user_id")):
            return None
        return read_user(named[0])

    def parse_retry_after(self, response: p.HttpResponse) -> int | None:
        """Read `Retry-After`, else the minutes in `X-Business-Use-Case-Usage`.

        https://developers.facebook.com/docs/graph-api/overview/rate-limiting describes the header:
        a JSON object of lists of usages, each with `estimated_time_to_regain_access` in minutes.
        """
        asked = super().parse_retry_after(response)
        if asked is not None:
            return asked
        try:
            usages = p.read_json(response.headers.get("X-Business-Use-Case-Usage", "").encode())
        except p.StrictJsonError:
            return None
        minutes = [
            usage.get("estimated_time_to_regain_access")
            for listed in (usages.values() if isinstance(usages, dict) else ())
            for usage in (listed if isinstance(listed, list) else ())
            if isinstance(usage, dict)
        ]
        known = [int(str(each)) for each in minutes if re.fullmatch("[0-9]{1,9}", str(each))]
        return p.bounded_wait(max(known) * 60) if any(known) else None

    def shows_success(self, command: p.Command, response: p.HttpResponse) -> bool:
        """Look for our user among the changed; one that cannot be read may be ours as well."""
        if command.contact is None:
            return super().shows_success(command, response)
        changed = "added_users" if command.blocked else "removed_users"
        for entry in read_users(response.document, changed):
            try:
                person = read_user(entry)
            except p.ContactError:
                return True
            if p.relation(command.contact, person) is not p.Relation.DIFFERENT:
                return True
        return False

    def parse_success(self, command: p.Command, response: p.HttpResponse) -> p.Outcome | None:
        """Take a 200 that names our user alone as changed, or a page of the list."""
        document = response.document
        if response.status != 200:
            return None
        if command.contact is None:
            if read_cursor(document) is None:
                return None
            contacts = p.read_contacts(document["data"], read_user)
            return None if contacts is None else self.success(response, contacts)
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


@p.hookimpl
def register(registry: p.Registry) -> None:
    """Add the provider."""
    registry.add(MetaCloudProvider)
