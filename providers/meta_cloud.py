"""Meta's own Cloud API: results per user, lists in pages, and only users of the last 24 hours."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from marshmallow import fields, validate

from adapter import plugin as p

PHONE = "/{version}/{phone_number_id}"
PATH = f"{PHONE}/block_users"
CONNECTED, NOT_CONNECTED = p.SessionState.CONNECTED, p.SessionState.NOT_CONNECTED
CHANGED = {p.Action.BLOCK: "added_users", p.Action.UNBLOCK: "removed_users"}
RESULTS = (*CHANGED.values(), "failed_users")
SOME_FAILED = 139100
WRONG_NUMBER_ID = (
    "The provider does not know this phone_number_id, or the token has no right to it: check both."
)
MEANINGS: dict[tuple[int, p.Code] | tuple[int, p.Code, str], str] = {
    # The contact: no message in 24 hours, or no WhatsApp; our own number; no user ids here.
    (400, p.Code.TARGET_REJECTED): "131047 131021 131062",
    (400, p.Code.TARGET_REJECTED, "The block list is full."): "139101",
    # The whole change: some or all users failed, without a cause; or a general fault (1).
    (400, p.Code.PROVIDER_ERROR): "139100 139103 1",
    # The list changed between two pages.
    (400, p.Code.PROVIDER_CONFLICT): "139102",
    # The account: the path, the number's registration, the token, the rights (200 to 299: `200`),
    # a lock, a policy, a country.
    (400, p.Code.PROVIDER_MISADDRESSED): "2500",
    (400, p.Code.SESSION_NOT_FOUND, WRONG_NUMBER_ID): "100/33 33",
    (404, p.Code.SESSION_NOT_FOUND, WRONG_NUMBER_ID): "803",
    (400, p.Code.SESSION_NOT_CONNECTED): "133010",
    (500, p.Code.SESSION_NOT_CONNECTED): "131045",
    (401, p.Code.PROVIDER_AUTH_FAILED): "190 0 102 104",
    (403, p.Code.PROVIDER_PERMISSION_DENIED): "10 200 131005 131031 368 130497",
    (500, p.Code.PROVIDER_PERMISSION_DENIED): "3",
    # Too many calls: of the app, the account, the number, the pair.
    (400, p.Code.PROVIDER_RATE_LIMITED): "130429 4 80007 80008 17 32 613 131048 131056",
    # The service: a fault, overload, maintenance.
    (500, p.Code.PROVIDER_ERROR): "131000",
    (503, p.Code.PROVIDER_UNAVAILABLE): "2 131016 133004",
    (500, p.Code.PROVIDER_UNAVAILABLE): "131057",
}
"""Usual status, our code and message: the provider codes with that meaning."""


STATUS_WORDS: dict[str | bool, p.SessionState] = {
    # A warned number, and one at its messaging limit, is registered: only new messages are limited.
    **dict.fromkeys(("CONNECTED", "FLAGGED", "RESTRICTED", "RATE_LIMITED"), CONNECTED),
    **dict.fromkeys(("PENDING", "DISCONNECTED", "BANNED", "DELETED"), NOT_CONNECTED),
    # No source gives their meaning.
    **dict.fromkeys(("MIGRATED", "UNVERIFIED", "UNKNOWN"), p.SessionState.UNKNOWN),
}
"""The words for the status of a phone number: those of all schemas together."""


def read_users(document: p.Json, name: str) -> list[p.Json]:
    """Return the users under one of the keys of a result, such as `added_users`."""
    match document:
        case {"block_users": dict(results)} if isinstance(users := results.get(name), list):
            return users
    return []


def read_user(entry: p.Json) -> p.Contact:
    """Return the person of an entry, by `wa_id`, `user_id` or both.

    Raises ContactError if both are missing, or one is unreadable.
    """
    ids = entry if isinstance(entry, dict) else {}
    digits, user_id = (
        each if isinstance(each := ids.get(name), str) and each else None
        for name in ("wa_id", "user_id")
    )
    return p.Contact.parse(jid=digits and f"{digits}@s.whatsapp.net", user_id=user_id)


def names(entry: p.Json, contact: p.Contact) -> bool:
    """Whether an entry of a result is the user that was sent; `input` repeats it unchanged."""
    if not isinstance(entry, dict):
        return False
    if contact.number is not None:
        return bool(entry.get("input") == f"+{contact.number}")
    return contact.user_id in (entry.get("user_id"), entry.get("input"))


def read_owner(entry: p.Json, owners: Mapping[str, int | None]) -> int | None:
    """Return the index of the user of a result: by `input`, else by its ids; None for nobody's.

    `owners` are the indexes of the users that were sent, by what was sent and by identity.
    """
    given = entry.get("input") if isinstance(entry, dict) else None
    if isinstance(given, str) and owners.get(given) is not None:
        return owners[given]
    try:
        person = read_user(entry)
    except p.ContactError:
        return None
    named = owners.get(p.identity_key(person))
    return owners.get(person.user_id or "") if named is None else named


def is_partial(response: p.HttpResponse) -> bool:
    """Whether the response is an error for the reason that some users failed, who are named."""
    match response.document:
        case {"error": {"code": code}, "block_users": {"failed_users": [_, *_]}}:
            return code == SOME_FAILED and response.status in (200, 400)
    return False


def read_cursor(document: p.Json) -> str | None:
    """Return the cursor behind a page; empty after the last page, None if it is unreadable.

    While there is a `next`, a page with few entries, or none, is not the last. That link is not
    followed: it is a whole URL, and may hold the token.
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

    It names people by number or by business-scoped user id (`user_id`, which clients send since
    August 2026: github.com/david-lev/pywa, pywa/api.py; Meta's page of 2026-05-21 shows numbers
    alone). Its list has their `wa_id`, which may differ from the number that was blocked: a
    Brazilian one may lack its ninth digit. The call is synchronous, and the response names our user
    among those now added or removed: that is the state of this user, not only an acceptance. Other
    business accounts cannot be blocked. A list holds 64,000 users.

    Errors are per user, within a 400 too. Where one user is sent, the first error of a user is
    ours, and more precise than 139100, the error of the whole without a cause. A request takes
    1,000 users, each with a result. Codes and statuses are
    those of Meta's error page (support/error-codes, updated 2026-05-27); that this endpoint returns
    each of them is inferred.

    There is no session: a number is connected while it is registered. The words of its status are
    in github.com/facebook/openapi (business-messaging-api_v23.0.yaml, 2025-11-21), their meanings
    in the pages of partners (community.sinch.com, clickatell.com/help-center). There is no lookup.
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
    routes = {
        "block": ("POST", PATH),
        "unblock": ("DELETE", PATH),
        "list": ("GET", PATH),
        "status": ("GET", PHONE),
    }
    synchronous = True
    max_contacts = 1000
    max_blocked = 64_000
    blocks_only_recent = 24
    status_at = "/status"
    status_session = ("/id", "phone_number_id")
    status_words = STATUS_WORDS
    error_codes = {code: meaning for meaning, codes in MEANINGS.items() for code in codes.split()}

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
        """Name one user in the body, with DELETE too; or request a page of a thousand users.

        That is the documented maximum of users per request. Whether it holds for lists is unknown;
        a smaller page is read as well, since the cursor alone decides where the list ends.
        """
        if command.contact is None:
            return self.request(command, None, {"limit": "1000"})
        return self.build_batch_request([command])

    def build_batch_request(self, commands: Sequence[p.Command]) -> p.HttpRequest:
        """Name the users in the body."""
        users: list[p.Json] = [
            {"user" if target.number else "user_id": self._write_user(target)}
            for target in (command.target for command in commands)
        ]
        return self.request(commands[0], {"messaging_product": "whatsapp", "block_users": users})

    def _write_user(self, contact: p.Contact) -> str:
        named = self.name_contact(contact)
        return named if contact.number is None else f"+{named}"

    def build_status(self, command: p.Command) -> p.HttpRequest:
        """Request the one field that is read."""
        return self.request(command, None, {"fields": "status"})

    def build_next_page(self, command: p.Command, response: p.HttpResponse) -> p.HttpRequest | None:
        """Request what is behind the page's cursor."""
        first, after = self.build_request(command), read_cursor(response.document)
        return replace(first, query={**first.query, "after": after}) if after else None

    def is_own_error(self, response: p.HttpResponse) -> bool:
        """Accept a Graph API error, or results per user."""
        match response.document:
            case {"error": {"code": int(), "type": str()}} | {"error": {"fbtrace_id": str()}}:
                return True
            case {"block_users": dict()}:
                return True
        return False

    def parse_provider_code(self, document: p.Json) -> str | None:
        """Return the first error of a user if it is a known one, else the error of the whole."""
        match document:
            case {"block_users": {"failed_users": [{"errors": [dict(error), *_]}, *_]}} if (
                code := self._read_code(error)
            ) in self.provider_codes():
                return code
            case {"error": dict(error)}:
                return self._read_code(error)
        return None

    def _read_code(self, error: Mapping[str, p.Json]) -> str | None:
        """Return `code`, with its subcode where a rule has both; 200 stands for 200 to 299."""
        code = error.get("code")
        if not isinstance(code, int) or isinstance(code, bool):
            return None
        exact = f"{code}/{error.get('error_subcode')}"
        known = exact if exact in self.provider_codes() else str(code)
        return "200" if 200 <= code <= 299 else known

    def parse_named_contact(self, command: p.Command, document: p.Json) -> p.Contact | None:
        """Return our user among the results; the first one, where ours is missing."""
        changed = read_users(document, CHANGED[command.action])
        entries = changed + read_users(document, "failed_users")
        ours = [entry for entry in entries if names(entry, command.target)]
        named = [entry for entry in ours or entries if isinstance(entry, dict)]
        has_id = any(entry.get(name) for entry in named[:1] for name in ("wa_id", "user_id"))
        return read_user(named[0]) if has_id else None

    def parse_retry_after(self, response: p.HttpResponse) -> int | None:
        """Return `Retry-After`, else the minutes in `X-Business-Use-Case-Usage`.

        https://developers.facebook.com/docs/graph-api/overview/rate-limiting describes the header:
        a JSON object of lists of usages, each with `estimated_time_to_regain_access` in minutes.
        """
        seconds = super().parse_retry_after(response)
        usages: p.Json = None
        with suppress(p.StrictJsonError):
            usages = p.read_json(response.headers.get("X-Business-Use-Case-Usage", "").encode())
        minutes = [str(each) for each in p.find_values(usages, "estimated_time_to_regain_access")]
        known = [int(each) for each in minutes if re.fullmatch("[0-9]{1,9}", each)]
        return p.bounded_wait(max(known) * 60) if seconds is None and any(known) else seconds

    def shows_success(self, command: p.Command, response: p.HttpResponse) -> bool:
        """Whether our user is among the changed; an unreadable one may be ours as well."""
        if command.contact is None:
            return super().shows_success(command, response)
        for entry in read_users(response.document, CHANGED[command.action]):
            try:
                person = read_user(entry)
            except p.ContactError:
                return True
            if p.relation(command.contact, person) is not p.Relation.DIFFERENT:
                return True
        return False

    def split_response(
        self, commands: Sequence[p.Command], response: p.HttpResponse
    ) -> Sequence[p.HttpResponse]:
        """Narrow the results to those of each user, with the error of the whole where it failed.

        An error that some users failed is not about the others: alone, theirs is a 200. The results
        of persons who were not sent come after those of each user, whose evidence they may spoil.
        """
        match response.document:
            case {"block_users": dict(results)} as document if any(map(results.get, RESULTS)):
                pass
            case _:
                return [response] * len(commands)
        owners: dict[str, int | None] = {}
        for index, command in enumerate(commands):
            person = p.identity_key(command.target)  # of two forms of a number, `input` alone shows
            owners[person] = None if person in owners else index
        for index, command in enumerate(commands):
            owners[self._write_user(command.target)] = index
        found: dict[int | None, dict[str, list[p.Json]]] = {}
        for name in RESULTS:
            entries = results.get(name, [])
            for entry in entries if isinstance(entries, list) else [None]:
                user = found.setdefault(read_owner(entry, owners), {})
                user.setdefault(name, []).append(entry)
        nobody = found.pop(None, {})
        expected = {CHANGED[commands[0].action], "failed_users"}
        nothing = response.narrowed(200, {"block_users": {}})
        parts = [nothing] * len(commands)
        for owner, user in found.items():
            both = {name: user.get(name, []) + nobody.get(name, []) for name in RESULTS}
            mine: dict[str, p.Json] = {name: [*each] for name, each in both.items() if each}
            status, alone = response.status, {**document, "block_users": mine}
            if "failed_users" not in mine and is_partial(response):
                status = 200
                del alone["error"]
            if owner is not None and not expected.isdisjoint(user):
                parts[owner] = response.narrowed(status, alone)
        return parts

    def parse_success(self, command: p.Command, response: p.HttpResponse) -> p.Outcome | None:
        """Accept a 200 with our user alone as changed, or with a page of the list."""
        match response.document if response.status == 200 else None:
            case {"data": list(users)} as page if command.contact is None:
                is_page = read_cursor(page) is not None
                return self.list_success(response, users, read_user) if is_page else None
            case {"block_users": dict(results)} as document if command.contact is not None:
                changed = CHANGED[command.action]
                ours = [names(each, command.contact) for each in read_users(document, changed)]
                filled = [name for name in RESULTS if results.get(name, []) != []]
                return self.success(response) if ours == [True] and filled == [changed] else None
        return None


@p.hookimpl
def register(registry: p.Registry) -> None:
    """Register the provider."""
    registry.add(MetaCloudProvider)
