"""WUTS: the token picks the device, a JSON body names the contact, the answer shows the state."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime

from adapter import plugin as p


def in_envelope(document: p.Json) -> bool:
    """Whether the body is WUTS's own envelope of a failure: `success` is false, with an error."""
    match document:
        case {"success": False, "error": str() | dict()} | {"success": False, "message": str()}:
            return True
    return False


def is_named(entry: p.Json) -> bool:
    """Whether an entry of `validation` names its field."""
    return isinstance(entry, dict) and isinstance(entry.get("field"), str)


def read_number(value: p.Json) -> p.Contact | None:
    """Return the contact of a `phone_number`: digits, as text or not, a JID, or empty.

    Raises ContactError for anything else.
    """
    if value is None or value == "":
        return None
    text = str(value) if isinstance(value, (str, int)) else ""
    if "@" not in text:
        text = re.sub(r"[ ()+-]", "", text) + "@s.whatsapp.net"
    return p.Contact.from_jid(text, "phone_number")


def read_person(entry: p.Json) -> p.Contact:
    """Return the contact of a `jid`, and of the number beside it, which is how a LID is mapped.

    Raises ContactError where one of them names nobody, or the two name different people.
    """
    if not isinstance(entry, dict):
        raise p.ContactError("jid", "must stand in an object")
    contact, by_number = p.read_jid(entry.get("jid")), read_number(entry.get("phone_number"))
    if by_number is None:
        return contact
    if p.relation(contact, by_number) is p.Relation.DIFFERENT:
        raise p.ContactError("phone_number", "names somebody else than jid does")
    return p.Contact(contact.number or by_number.number, contact.lid)


def read_refused(document: p.Json) -> p.Contact | None:
    """Return the contact whose name `validation` repeats as refused; None where it is unreadable.

    What was refused may be unreadable for that very reason.
    """
    match document:
        case {"validation": list(entries)}:
            for entry in entries:
                value = entry.get("value") if is_named(entry) else None
                if isinstance(value, str) and value and value == value.strip():
                    with suppress(p.ContactError):
                        return read_number(value)
    return None


class WutsProvider(p.Provider):
    """WUTS, read at https://docs.wuts.com.br (contacts, errors, quickstart) in November 2026."""

    name = "wuts"
    title = "WUTS"
    documentation = "https://docs.wuts.com.br/contacts/blockContact/"
    base_url = "https://api.wuts.com.br"
    session_location = p.SessionLocation.TOKEN
    confirmation = p.Confirmation.PROVIDER_STATE
    header_templates = {"Authorization": "Bearer {token}"}
    routes = {
        "block": ("POST", "/contacts/block"),
        "unblock": ("POST", "/contacts/unblock"),
        "list": ("GET", "/contacts/blocklist"),
    }
    error_codes = {
        "VALIDATION_ERROR": (400, p.Code.TARGET_REJECTED),
        "invalid_request": (400, p.Code.TARGET_REJECTED),
        "DEVICE_NOT_READY": (503, p.Code.SESSION_NOT_CONNECTED),
        "device_disconnected": (503, p.Code.SESSION_NOT_CONNECTED),
        "device_error": (500, p.Code.PROVIDER_ERROR),
        "privacy_update_failed": (500, p.Code.PROVIDER_ERROR),
        "privacy_update_timeout": (504, p.Code.PROVIDER_TIMEOUT),
    }
    error_rules = (
        p.ErrorRule(p.Code.PROVIDER_ERROR, 200, where=p.says_failure),  # names no cause
        p.ErrorRule(p.Code.SESSION_NOT_FOUND, 404),
    )

    class Options(p.Options):
        """`token`: the device's API token (a UUID), which is also its address."""

        token = p.SecretField(required=True)

    def build_request(self, command: p.Command) -> p.HttpRequest:
        """Name the contact by JID, the one form that says both numbers and LIDs."""
        body = None if command.contact is None else {"jid": self.name_contact(command.contact)}
        return self.request(command, body)

    def parse_provider_code(self, document: p.Json) -> str | None:
        """Read `error_code` of the flat shapes, `error.code` of the nested one."""
        match document:
            case {"error_code": str(code)} | {"error": {"code": str(code)}}:
                return code
        return None

    def is_own_error(self, response: p.HttpResponse) -> bool:
        """Take the envelope of a failure alone."""
        return in_envelope(response.document)

    def parse_named_contact(self, command: p.Command, document: p.Json) -> p.Contact | None:
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

    def parse_rejected_fields(self, document: p.Json) -> Iterable[str]:
        """Read the names in `validation`, an array that only field errors have."""
        match document:
            case {"validation": list(entries)}:
                return [str(entry["field"]) for entry in entries if is_named(entry)]
        return ()

    def parse_success(self, command: p.Command, response: p.HttpResponse) -> p.Outcome | None:
        """Take the state that a 200 shows, or the whole list."""
        if response.status != 200:
            return None
        match response.document:
            case {"success": True, "data": {"items": list(items)} as data} if not command.contact:
                contacts = p.read_contacts(items, read_person)
                if contacts is None or data.get("count", len(items)) != len(items):
                    return None
                return self.success(response, contacts)
            case {"success": True, "data": {"blocked": bool(blocked)} as data} if command.contact:
                named = data.get("action", command.action.value)
                if blocked is command.blocked and named == command.action.value:
                    return self.success(response)
        return None


class WutsDialect(p.Dialect):
    """WUTS's own API, served by us."""

    provider = WutsProvider
    texts = {
        p.Code.TARGET_REJECTED: "validation failed",
        p.Code.PROVIDER_AUTH_FAILED: "Invalid token",
        p.Code.SESSION_NOT_CONNECTED: "WhatsApp session is not connected",
    }

    def parse_credential(self, request: p.HttpRequest) -> str | None:
        """Read the bearer token; WUTS takes it without the scheme too."""
        return p.read_bearer(request, bare=True)

    def parse_request(self, request: p.HttpRequest) -> p.DialectRequest:
        """Read the contact from the body; each name falls back to the query's."""
        route, _ = self.match(request)
        if route.action is p.Action.LIST:
            return p.DialectRequest(p.Command(p.Action.LIST))
        body = p.read_object(request)
        given = {
            name: request.query.get(name) if body.get(name) in (None, "") else body[name]
            for name in ("number", "jid")
        }
        return p.DialectRequest(p.Command(route.action, p.read_contact(**given)))

    def write_success(self, call: p.DialectRequest, outcome: p.Outcome) -> p.HttpResponse:
        """Show the state. The list's size and hash are not known after a change."""
        command = call.command
        if command.contact is None:
            items = [
                {"jid": contact.lid or contact.jid, "phone_number": contact.number}
                for contact in outcome.contacts or ()
            ]
            data: p.Json = {"items": items, "count": len(items), "dhash": None}
        else:
            data = {
                "jid": command.contact.jid,
                "phone_number": command.contact.number,
                "action": command.action,
                "blocked": command.blocked,
                "count": None,
                "dhash": None,
            }
        return p.json_response(200, {"success": True, "data": data})

    def write_error(
        self, rule: p.ErrorRule, outcome: p.Outcome, call: p.DialectRequest | None, now: datetime
    ) -> p.HttpResponse:
        """Write the flat shape; the 401 alone has neither code nor time.

        Where WUTS lists what is wrong with which field, the sentence is its own and no more.
        """
        listed = rule.provider_code == "VALIDATION_ERROR"
        sentence = self.texts[rule.code] if listed else self.message(rule, outcome)
        document: dict[str, p.Json] = {"success": False, "error": sentence}
        if rule.code is not p.Code.PROVIDER_AUTH_FAILED:
            document["timestamp"] = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if rule.provider_code is not None:
            document["error_code"] = rule.provider_code
        if outcome.fields and listed:
            document["validation"] = [
                {"field": name, "message": messages[0], "value": ""}
                for name, messages in outcome.fields.items()
            ]
        return p.json_response(rule.status, document)


@p.hookimpl
def register(registry: p.Registry) -> None:
    """Add the provider and its dialect."""
    registry.add(WutsProvider, WutsDialect)
