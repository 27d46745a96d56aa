"""WUTS: the token picks the device, a JSON body names the contact, the answer shows the state."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime

from marshmallow import Schema

from adapter import (
    Action,
    Code,
    Command,
    Confirmation,
    Contact,
    ContactError,
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
    Relation,
    Route,
    SecretField,
    SessionLocation,
    hookimpl,
    json_response,
    read_bearer,
    read_contact,
    read_contacts,
    read_jid,
    read_object,
    relation,
    says_failure,
)

INVALID_TOKEN = "Invalid token"  # noqa: S105 - the documented text of an error


def in_envelope(document: Json) -> bool:
    """Whether the body is WUTS's own envelope of a failure: `success` is false, with an error."""
    match document:
        case {"success": False, "error": str() | dict()} | {"success": False, "message": str()}:
            return True
    return False


def is_named(entry: Json) -> bool:
    """Whether an entry of `validation` names its field."""
    return isinstance(entry, dict) and isinstance(entry.get("field"), str)


def read_number(value: Json) -> Contact | None:
    """Return the contact of a `phone_number`: digits, as text or not, a JID, or empty.

    Raises ContactError for anything else.
    """
    if value is None or value == "":
        return None
    text = str(value) if isinstance(value, (str, int)) else ""
    if "@" not in text:
        text = re.sub(r"[ ()+-]", "", text) + "@s.whatsapp.net"
    return Contact.from_jid(text, "phone_number")


def read_person(entry: Json) -> Contact:
    """Return the contact of a `jid`, and of the number beside it, which is how a LID is mapped.

    Raises ContactError where one of them names nobody, or the two name different people.
    """
    if not isinstance(entry, dict):
        raise ContactError("jid", "must stand in an object")
    contact, by_number = read_jid(entry.get("jid")), read_number(entry.get("phone_number"))
    if by_number is None:
        return contact
    if relation(contact, by_number) is Relation.DIFFERENT:
        raise ContactError("phone_number", "names somebody else than jid does")
    return Contact(contact.number or by_number.number, contact.lid)


def read_refused(document: Json) -> Contact | None:
    """Return the contact whose name `validation` repeats as refused; None where it is unreadable.

    What was refused may be unreadable for that very reason.
    """
    match document:
        case {"validation": list(entries)}:
            for entry in entries:
                value = entry.get("value") if is_named(entry) else None
                if isinstance(value, str) and value and value == value.strip():
                    with suppress(ContactError):
                        return read_number(value)
    return None


class WutsProvider(Provider):
    """WUTS, read at https://docs.wuts.com.br (contacts, errors, quickstart) in November 2026."""

    name = "wuts"
    title = "WUTS"
    documentation = "https://docs.wuts.com.br/contacts/blockContact/"
    base_url = "https://api.wuts.com.br"
    session_location = SessionLocation.TOKEN
    confirmation = Confirmation.PROVIDER_STATE
    header_templates = Headers({"Authorization": "Bearer {token}"})
    routes = (
        Route(Action.BLOCK, "POST", "/contacts/block"),
        Route(Action.UNBLOCK, "POST", "/contacts/unblock"),
        Route(Action.LIST, "GET", "/contacts/blocklist"),
    )
    error_rules = (
        ErrorRule(
            Code.TARGET_REJECTED,
            400,
            "VALIDATION_ERROR",
            text="validation failed",
            proof=Provenance.INFERRED,
        ),
        ErrorRule(Code.TARGET_REJECTED, 400, "invalid_request", proof=Provenance.INFERRED),
        ErrorRule(
            Code.PROVIDER_ERROR, 200, where=says_failure, proof=Provenance.INFERRED
        ),  # names no cause
        ErrorRule(Code.PROVIDER_AUTH_FAILED, 401, text=INVALID_TOKEN),
        ErrorRule(Code.SESSION_NOT_FOUND, 404, where=in_envelope, proof=Provenance.INFERRED),
        ErrorRule(
            Code.SESSION_NOT_CONNECTED,
            503,
            "DEVICE_NOT_READY",
            text="WhatsApp session is not connected",
            proof=Provenance.INFERRED,
        ),
        ErrorRule(
            Code.SESSION_NOT_CONNECTED, 503, "device_disconnected", proof=Provenance.INFERRED
        ),
        ErrorRule(Code.PROVIDER_ERROR, 500, "device_error", proof=Provenance.INFERRED),
        ErrorRule(Code.PROVIDER_ERROR, 500, "privacy_update_failed", proof=Provenance.INFERRED),
        ErrorRule(Code.PROVIDER_TIMEOUT, 504, "privacy_update_timeout", proof=Provenance.INFERRED),
    )

    class Options(Schema):
        """`token`: the device's API token (a UUID), which is also its address."""

        token = SecretField(required=True)

    def build_request(self, command: Command) -> HttpRequest:
        """Name the contact by JID, the one form that says both numbers and LIDs."""
        body = None if command.contact is None else {"jid": self.name_contact(command.contact)}
        return self.request(command, body)

    def parse_provider_code(self, document: Json) -> str | None:
        """Read `error_code` of the flat shapes, `error.code` of the nested one."""
        match document:
            case {"error_code": str(code)} | {"error": {"code": str(code)}}:
                return code
        return None

    def is_own_error(self, response: HttpResponse) -> bool:
        """Take the envelope of a failure alone."""
        return in_envelope(response.document)

    def parse_named_contact(self, command: Command, document: Json) -> Contact | None:
        """Read `data.jid`, with the number beside it: WUTS resolves LIDs, and ninth digits.

        A refusal names its contact under `validation`.
        """
        match document:
            case {"data": {"jid": jid} as data} if jid is not None:
                number = data.get("phone_number")
                if jid == command.target.jid and number in (None, "", command.target.number):
                    return command.target
                return read_person(data)
            case {"data": {"phone_number": number}}:
                return read_number(number)
        return read_refused(document)

    def parse_rejected_fields(self, document: Json) -> Iterable[str]:
        """Read the names in `validation`, an array that only field errors have."""
        match document:
            case {"validation": list(entries)}:
                return [str(entry["field"]) for entry in entries if is_named(entry)]
        return ()

    def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
        """Take the state that a 200 shows, or the whole list."""
        if response.status != 200:
            return None
        match response.document:
            case {"success": True, "data": {"items": list(items)} as data} if not command.contact:
                contacts = read_contacts(items, read_person)
                if contacts is None or data.get("count", len(items)) != len(items):
                    return None
                return self.success(response, contacts)
            case {"success": True, "data": {"blocked": bool(blocked)} as data} if command.contact:
                named = data.get("action", command.action.value)
                if blocked is command.blocked and named == command.action.value:
                    return self.success(response)
        return None


class WutsDialect(Dialect):
    """WUTS's own API, served by us."""

    provider = WutsProvider

    def parse_credential(self, request: HttpRequest) -> str | None:
        """Read the bearer token; WUTS takes it without the scheme too."""
        return read_bearer(request, bare=True)

    def parse_request(self, request: HttpRequest) -> DialectRequest:
        """Read the contact from the body; each name falls back to the query's."""
        route, _ = self.match(request)
        if route.action is Action.LIST:
            return DialectRequest(Command(Action.LIST))
        body = read_object(request)
        given = {
            name: request.query.get(name) if body.get(name) in (None, "") else body[name]
            for name in ("number", "jid")
        }
        return DialectRequest(Command(route.action, read_contact(**given)))

    def write_success(self, call: DialectRequest, outcome: Outcome) -> HttpResponse:
        """Show the state. The list's size and hash are not known after a change."""
        command = call.command
        if command.contact is None:
            items = [
                {"jid": contact.lid or contact.jid, "phone_number": contact.number}
                for contact in outcome.contacts or ()
            ]
            data: Json = {"items": items, "count": len(items), "dhash": None}
        else:
            data = {
                "jid": command.contact.jid,
                "phone_number": command.contact.number,
                "action": command.action,
                "blocked": command.blocked,
                "count": None,
                "dhash": None,
            }
        return json_response(200, {"success": True, "data": data})

    def write_error(
        self, rule: ErrorRule, outcome: Outcome, call: DialectRequest | None, now: datetime
    ) -> HttpResponse:
        """Write the flat shape; the 401 alone has neither code nor time.

        Where WUTS lists what is wrong with which field, the sentence is its own and no more.
        """
        listed = rule.provider_code == "VALIDATION_ERROR"
        sentence = rule.text if listed else self.message(rule, outcome)
        document: dict[str, Json] = {"success": False, "error": sentence}
        if rule.text != INVALID_TOKEN:
            document["timestamp"] = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if rule.provider_code is not None:
            document["error_code"] = rule.provider_code
        if outcome.fields and listed:
            document["validation"] = [
                {"field": name, "message": messages[0], "value": ""}
                for name, messages in outcome.fields.items()
            ]
        return json_response(rule.status, document)


@hookimpl
def register_providers() -> list[type[Provider]]:
    """Offer WUTS."""
    return [WutsProvider]


@hookimpl
def register_dialects() -> list[type[Dialect]]:
    """Offer WUTS's own API."""
    return [WutsDialect]
