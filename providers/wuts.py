"""WUTS: the token selects the device, a JSON body names the contact, the response has the state."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime

from adapter import plugin as p


def read_entry(entry: p.Json) -> p.Contact:
    """Return the contact of `jid` and of the number beside it.

    WUTS gives the number of a LID, and may add or drop the ninth digit. Raises ContactError for an
    unreadable entry.
    """
    ids = entry if isinstance(entry, dict) else {}
    return p.read_person(ids.get("jid"), ids.get("phone_number"))


def read_validation(document: p.Json) -> list[tuple[str, p.Json]]:
    """Return each field that `validation` rejects, with the value that it repeats."""
    match document:
        case {"validation": list(entries)}:
            found = [entry for entry in entries if isinstance(entry, dict)]
            return [(e["field"], e.get("value")) for e in found if isinstance(e.get("field"), str)]
    return []


class WutsProvider(p.Provider):
    """WUTS, read at https://docs.wuts.com.br (contacts, errors, quickstart) in November 2026.

    The list has the number beside a LID, so that `POST /contacts/resolve`, which maps LIDs, is not
    used.
    """

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
        "status": ("GET", "/status"),
        "lookup": ("POST", "/contact/check"),
    }
    max_lookup = 100  # no maximum is documented
    lookups_name_contacts = False
    synchronous = True
    status_at = "/data/connected"
    status_words = {True: p.SessionState.CONNECTED, False: p.SessionState.NOT_CONNECTED}
    provider_code_at = ("/error_code", "/error/code")  # flat errors; nested errors
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
        """`token`: the device's API token (a UUID), which also selects the device."""

        token = p.SecretField(required=True)

    def build_request(self, command: p.Command) -> p.HttpRequest:
        """Name the contact by JID, the one form of both numbers and LIDs."""
        body = None if command.contact is None else {"jid": self.name_contact(command.contact)}
        return self.request(command, body)

    def parse_status(self, document: p.Json) -> p.Session | None:
        """Read `connected`; where `is_logged_in` differs, nothing is known."""
        match document:
            case {"success": True, "data": {"connected": connected, **rest}}:
                if rest.get("is_logged_in", connected) is connected:
                    return super().parse_status(document)
                return p.Session(p.SessionState.UNKNOWN)
        return None

    def build_lookup(self, command: p.Command) -> p.HttpRequest:
        """Name the numbers in the body, by their digits."""
        return self.request(command, {"numbers": command.numbers})

    def parse_lookup(self, command: p.Command, document: p.Json) -> Iterable[p.Lookup] | None:
        """Read the map of digits to whether the number is on WhatsApp."""
        match document:
            case {"success": True, "data": dict(found)}:
                return [
                    p.Lookup(asked, found[asked.number])
                    for asked in command.contacts
                    if isinstance(found.get(asked.number), bool)
                ]
        return None

    def is_own_error(self, response: p.HttpResponse) -> bool:
        """Accept the envelope of a failure: `success` is false, with an error or a message."""
        match response.document:
            case {"success": False, "error": str() | dict()} | {"success": False, "message": str()}:
                return True
        return False

    def parse_named_contact(self, command: p.Command, document: p.Json) -> p.Contact | None:
        """Return the contact in `data`, or the one that `validation` repeats as rejected."""
        match document:
            case {"data": {"jid": jid} as data} if jid is not None:
                return p.read_person(jid, data.get("phone_number"), expected=command.target)
            case {"data": {"phone_number": number}}:
                return p.read_number(number)
        for _, value in read_validation(document):
            if isinstance(value, str) and value and value == value.strip():
                with suppress(p.ContactError):  # it may be rejected for being unreadable
                    return p.read_number(value)
        return None

    def parse_rejected_fields(self, document: p.Json) -> Iterable[str]:
        """Return the names in `validation`, an array that only field errors have."""
        return [name for name, _ in read_validation(document)]

    def parse_success(self, command: p.Command, response: p.HttpResponse) -> p.Outcome | None:
        """Accept a 200 with the requested state, or with the whole list."""
        if response.status != 200:
            return None
        match response.document:
            case {"success": True, "data": {"items": list(items)} as data} if not command.contact:
                is_whole = data.get("count", len(items)) == len(items)
                return self.list_success(response, items, read_entry) if is_whole else None
            case {"success": True, "data": {"blocked": bool(blocked)} as data} if command.contact:
                is_same = data.get("action", command.action) == command.action
                return self.success(response) if is_same and blocked is command.blocked else None
        return None


class WutsDialect(p.Dialect):
    """WUTS's own API, served by the adapter."""

    provider = WutsProvider
    reads = (p.Action.LIST, p.Action.STATUS, p.Action.LOOKUP)
    texts = {
        p.Code.TARGET_REJECTED: "validation failed",
        p.Code.PROVIDER_AUTH_FAILED: "Invalid token",
        p.Code.SESSION_NOT_CONNECTED: "WhatsApp session is not connected",
    }

    def parse_credential(self, request: p.HttpRequest) -> str | None:
        """Return the bearer token; WUTS accepts it without the scheme too."""
        return p.read_bearer(request, bare=True)

    def parse_request(self, request: p.HttpRequest) -> p.DialectRequest:
        """Read `numbers` of a lookup from the body, `number` and `jid` of a change from there too.

        Where the body has neither of the two, they are read from the query.
        """
        route, _ = self.match(request)
        if route.action in (p.Action.LIST, p.Action.STATUS):
            return p.DialectRequest(p.Command(route.action))
        if route.action is p.Action.LOOKUP:
            numbers = p.read_native_numbers(p.read_object(request).get("numbers"), "numbers")
            return p.DialectRequest(p.Command(route.action, contacts=numbers))
        body = p.read_object(request).items()
        filled = {name: value for name, value in body if value not in (None, "")}
        given = {**request.query, **filled}
        contact = p.read_contact(number=given.get("number"), jid=given.get("jid"))
        return p.DialectRequest(p.Command(route.action, contact))

    def write_success(self, call: p.DialectRequest, outcome: p.Outcome) -> p.HttpResponse:
        """Write the state, or what was read; the list's size and hash are unknown after a change.

        The map of a lookup has the digits of each number, as WUTS has them, except of a number of
        which nothing is known.
        """
        command, contact = call.command, call.command.contact
        data: dict[str, p.Json]
        match outcome.reading:
            case p.Session() as session:
                data = {"connected": self.status_word(session)}
                data |= {"status": "connected"} if data["connected"] else {}
            case tuple() as lookups:
                known = [each for each in lookups if each.on_whatsapp is not None]
                data = {str(each.asked.number): each.on_whatsapp for each in known}
            case _ if contact is not None:
                data = {"jid": contact.jid, "phone_number": contact.number}
                data |= {"action": command.action, "blocked": command.blocked}
                data |= {"count": None, "dhash": None}
            case _:
                items = [
                    {"jid": each.lid or each.jid, "phone_number": each.number}
                    for each in outcome.contacts or ()
                ]
                data = {"items": items, "count": len(items), "dhash": None}
        return p.json_response(200, {"success": True, "data": data})

    def write_error(
        self, rule: p.ErrorRule, outcome: p.Outcome, call: p.DialectRequest | None, now: datetime
    ) -> p.HttpResponse:
        """Write the flat shape; the 401 alone has neither code nor time.

        Beside `validation`, the sentence is WUTS's own, without the fields' errors.
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
    """Register the provider and its dialect."""
    registry.add(WutsProvider, WutsDialect)
