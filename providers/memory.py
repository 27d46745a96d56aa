"""Block lists in memory: the sandbox, without network, account and credentials."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from threading import Lock
from typing import Any, Final

from adapter import plugin as p

MAGIC_NUMBERS: Final[Mapping[str, p.Code]] = {
    "15005550001": p.Code.INVALID_JSON,
    "15005550002": p.Code.VALIDATION_ERROR,
    "15005550003": p.Code.INVALID_TARGET,
    "15005550004": p.Code.UNAUTHENTICATED,
    "15005550005": p.Code.PERMISSION_DENIED,
    "15005550006": p.Code.ACCOUNT_NOT_FOUND,
    "15005550007": p.Code.NOT_FOUND,
    "15005550008": p.Code.METHOD_NOT_ALLOWED,
    "15005550009": p.Code.PAYLOAD_TOO_LARGE,
    "15005550010": p.Code.UNSUPPORTED_MEDIA_TYPE,
    "15005550011": p.Code.SESSION_NOT_FOUND,
    "15005550012": p.Code.SESSION_NOT_CONNECTED,
    "15005550013": p.Code.OPERATION_NOT_SUPPORTED,
    "15005550014": p.Code.TARGET_REJECTED,
    "15005550015": p.Code.PROVIDER_CONFLICT,
    "15005550016": p.Code.PROVIDER_RATE_LIMITED,
    "15005550017": p.Code.PROVIDER_AUTH_FAILED,
    "15005550018": p.Code.PROVIDER_PERMISSION_DENIED,
    "15005550019": p.Code.PROVIDER_REDIRECTED,
    "15005550020": p.Code.PROVIDER_TLS_ERROR,
    "15005550021": p.Code.PROVIDER_UNREACHABLE,
    "15005550022": p.Code.PROVIDER_UNAVAILABLE,
    "15005550023": p.Code.CIRCUIT_OPEN,
    "15005550024": p.Code.OVERLOADED,
    "15005550025": p.Code.PROVIDER_TIMEOUT,
    "15005550026": p.Code.PROVIDER_CONNECTION_LOST,
    "15005550027": p.Code.PROVIDER_ERROR,
    "15005550028": p.Code.PROVIDER_BAD_RESPONSE,
    "15005550029": p.Code.INTERNAL_ERROR,
    "15005550030": p.Code.PROVIDER_MISADDRESSED,
    "15005550031": p.Code.PROVIDER_RESPONSE_TOO_LARGE,
    "15005550032": p.Code.BAD_REQUEST,
    "15005550033": p.Code.NOT_EFFECTIVE,
    "15005550034": p.Code.LEDGER_UNAVAILABLE,
    "15005550035": p.Code.IDEMPOTENCY_KEY_IN_USE,
    "15005550036": p.Code.IDEMPOTENCY_KEY_REUSED,
    "15005550037": p.Code.BATCH_NOT_FOUND,
    "15005550038": p.Code.BATCH_CONFLICT,
    "15005550039": p.Code.PLAN_REFUSED,
    "15005550040": p.Code.PLAN_STALE,
}
"""Numbers whose block or unblock returns a code and changes no list."""

NOT_ON_WHATSAPP: Final = "15005550041"
"""A number that a lookup does not find."""

NOT_EFFECTIVE: Final = "15005550042"
"""A number whose block and unblock are reported as done, while the list stays as it is."""

LISTED_BY_LID: Final = "15005550043"
"""A number that the list shows by its LID alone, which no lookup returns."""

WITH_NINTH_DIGIT: Final = "5511999990001"
"""A number that WhatsApp keeps in its other form, without the ninth digit."""

_LISTED_AS: Final = {
    LISTED_BY_LID: p.Contact(lid="100000000000043@lid"),
    WITH_NINTH_DIGIT: p.Contact("551199990001"),
}


def look_up(body: Mapping[str, p.Json]) -> list[p.Json]:
    """Return the entry of each number of a lookup."""
    entries: list[p.Json] = []
    for number in body.get("numbers") or ():
        found = number != NOT_ON_WHATSAPP
        known = _LISTED_AS.get(number)
        by_number = number if known is None else known.number
        jid = f"{by_number}@s.whatsapp.net" if found and by_number else None
        entries.append({"number": number, "on_whatsapp": found, "jid": jid})
    return entries


def read_lookup(entry: p.Json) -> p.Lookup | None:
    """Return the lookup of an entry; None if it is unreadable."""
    match entry:
        case {"number": str(number), "on_whatsapp": bool(found), "jid": None}:
            return p.Lookup(p.Contact(number), found)
        case {"number": str(number), "on_whatsapp": True, "jid": str(jid)}:
            with suppress(p.ContactError):
                return p.Lookup(p.Contact(number), True, p.read_jid(jid))
    return None


class MemoryProvider(p.LocalProvider):
    """A provider of the adapter itself: a block list per account, in this process."""

    name = "memory"
    title = "In memory (sandbox)"
    confirmation = p.Confirmation.PROVIDER_STATE
    routes = {
        "block": ("PUT", "/blocked/{jid}"),
        "unblock": ("DELETE", "/blocked/{jid}"),
        "list": ("GET", "/blocked"),
        "status": ("GET", "/status"),
        "lookup": ("POST", "/lookup"),
    }
    max_lookup = 100
    synchronous = True
    status_at = "/status"
    status_words = {state.value: state for state in p.SessionState}
    provider_code_at = ("/code",)
    error_codes = {code.value: (code.http_status, code) for code in p.Code}

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        self._blocked: dict[p.Contact, None] = {}
        self._lock = Lock()

    def build_request(self, command: p.Command) -> p.HttpRequest:
        """Name the contact in the path."""
        contact = command.contact
        ids = {} if contact is None else {"jid": self.name_contact(contact)}
        return self.request(command, **ids)

    def build_lookup(self, command: p.Command) -> p.HttpRequest:
        """Name the numbers in the body."""
        return self.request(command, {"numbers": command.numbers})

    def parse_lookup(self, command: p.Command, document: p.Json) -> list[p.Lookup] | None:
        """Read the entry of each number."""
        match document:
            case {"lookups": list(entries)}:
                return [each for each in map(read_lookup, entries) if each is not None]
        return None

    def handle_request(self, request: p.HttpRequest) -> p.HttpResponse:
        """Change or show the list; a magic number returns its code instead."""
        for route in self.all_routes():
            ids = route.match(request.path)
            if ids is None or route.method != request.method:
                continue
            if route.action is p.Action.STATUS:
                return p.json_response(200, {"status": p.SessionState.CONNECTED.value})
            if route.action is p.Action.LOOKUP:
                return p.json_response(200, {"lookups": look_up(p.read_object(request))})
            return self._do(route.action, ids.get("jid"))
        return p.json_response(404, {"code": p.Code.NOT_FOUND.value})

    def _do(self, action: p.Action, jid: str | None) -> p.HttpResponse:
        if jid is None:
            with self._lock:
                return p.json_response(200, {"blocked": [contact.jid for contact in self._blocked]})
        contact = p.Contact.from_jid(jid)
        code = MAGIC_NUMBERS.get(contact.number or "")
        if code is not None:
            headers = {"Retry-After": "1"} if code.carries_retry_after else {}
            return p.json_response(code.http_status, {"code": code.value}, headers)
        blocked = action is p.Action.BLOCK
        if contact.number == NOT_EFFECTIVE:
            return p.json_response(200, {"blocked": blocked})
        listed = _LISTED_AS.get(contact.number or "", contact)
        with self._lock:
            if blocked:
                self._blocked[listed] = None
            else:
                self._blocked.pop(listed, None)
        return p.json_response(200, {"blocked": blocked})

    def parse_success(self, command: p.Command, response: p.HttpResponse) -> p.Outcome | None:
        """Accept the requested state, or the whole list."""
        match response.document:
            case {"blocked": bool(blocked)} if command.contact and blocked is command.blocked:
                return self.success(response)
            case {"blocked": [*jids]} if command.contact is None:
                return self.list_success(response, jids)
        return None


@p.hookimpl
def register(registry: p.Registry) -> None:
    """Register the provider."""
    registry.add(MemoryProvider)
