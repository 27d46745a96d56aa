"""Block lists in memory: the sandbox, which needs no network, no account and no credentials."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock
from typing import Any, Final

from adapter import (
    Action,
    Code,
    Command,
    Confirmation,
    Contact,
    ErrorRule,
    HttpRequest,
    HttpResponse,
    Json,
    LocalProvider,
    Outcome,
    Provenance,
    Provider,
    Route,
    hookimpl,
    json_response,
    read_contacts,
)

MAGIC_NUMBERS: Final[Mapping[str, Code]] = {
    "15005550001": Code.INVALID_JSON,
    "15005550002": Code.VALIDATION_ERROR,
    "15005550003": Code.INVALID_TARGET,
    "15005550004": Code.UNAUTHENTICATED,
    "15005550005": Code.PERMISSION_DENIED,
    "15005550006": Code.ACCOUNT_NOT_FOUND,
    "15005550007": Code.NOT_FOUND,
    "15005550008": Code.METHOD_NOT_ALLOWED,
    "15005550009": Code.PAYLOAD_TOO_LARGE,
    "15005550010": Code.UNSUPPORTED_MEDIA_TYPE,
    "15005550011": Code.SESSION_NOT_FOUND,
    "15005550012": Code.SESSION_NOT_CONNECTED,
    "15005550013": Code.OPERATION_NOT_SUPPORTED,
    "15005550014": Code.TARGET_REJECTED,
    "15005550015": Code.PROVIDER_CONFLICT,
    "15005550016": Code.PROVIDER_RATE_LIMITED,
    "15005550017": Code.PROVIDER_AUTH_FAILED,
    "15005550018": Code.PROVIDER_PERMISSION_DENIED,
    "15005550019": Code.PROVIDER_REDIRECTED,
    "15005550020": Code.PROVIDER_TLS_ERROR,
    "15005550021": Code.PROVIDER_UNREACHABLE,
    "15005550022": Code.PROVIDER_UNAVAILABLE,
    "15005550023": Code.CIRCUIT_OPEN,
    "15005550024": Code.OVERLOADED,
    "15005550025": Code.PROVIDER_TIMEOUT,
    "15005550026": Code.PROVIDER_CONNECTION_LOST,
    "15005550027": Code.PROVIDER_ERROR,
    "15005550028": Code.PROVIDER_BAD_RESPONSE,
    "15005550029": Code.INTERNAL_ERROR,
    "15005550030": Code.PROVIDER_MISADDRESSED,
    "15005550031": Code.PROVIDER_RESPONSE_TOO_LARGE,
    "15005550032": Code.BAD_REQUEST,
}
"""Blocking or unblocking one of these answers its code, and changes no list."""


class MemoryProvider(LocalProvider):
    """A provider of our own. Each account has a block list, which ends with the process."""

    name = "memory"
    title = "In memory (sandbox)"
    confirmation = Confirmation.PROVIDER_STATE
    routes = (
        Route(Action.BLOCK, "PUT", "/blocked/{jid}"),
        Route(Action.UNBLOCK, "DELETE", "/blocked/{jid}"),
        Route(Action.LIST, "GET", "/blocked"),
    )
    error_rules = tuple(
        ErrorRule(code, code.http_status, code.value, proof=Provenance.READ_IN_SOURCE)
        for code in Code
    )

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        self._blocked: dict[Contact, None] = {}
        self._lock = Lock()

    def build_request(self, command: Command) -> HttpRequest:
        """Name the contact in the path."""
        contact = command.contact
        ids = {} if contact is None else {"jid": self.name_contact(contact)}
        return self.request(command, **ids)

    def handle_request(self, request: HttpRequest) -> HttpResponse:
        """Change or show the list; a magic number answers its code instead."""
        for route in self.routes:
            ids = route.match(request.path)
            if ids is not None and route.method == request.method:
                return self._do(route.action, ids.get("jid"))
        return json_response(404, {"code": Code.NOT_FOUND.value})

    def _do(self, action: Action, jid: str | None) -> HttpResponse:
        if jid is None:
            with self._lock:
                return json_response(200, {"blocked": [contact.jid for contact in self._blocked]})
        contact = Contact.from_jid(jid)
        code = MAGIC_NUMBERS.get(contact.number or "")
        if code is not None:
            headers = {"Retry-After": "1"} if code.carries_retry_after else {}
            return json_response(code.http_status, {"code": code.value}, headers)
        blocked = action is Action.BLOCK
        with self._lock:
            if blocked:
                self._blocked[contact] = None
            else:
                self._blocked.pop(contact, None)
        return json_response(200, {"blocked": blocked})

    def parse_provider_code(self, document: Json) -> str | None:
        """Read `code`, which is a unified code."""
        match document:
            case {"code": str(code)}:
                return code
        return None

    def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
        """Take the state that the answer shows, or the whole list."""
        match response.document:
            case {"blocked": bool(blocked)} if command.contact and blocked is command.blocked:
                return self.success(response)
            case {"blocked": [*jids]} if command.contact is None:
                contacts = read_contacts(jids)
                return None if contacts is None else self.success(response, contacts)
        return None


@hookimpl
def register_providers() -> list[type[Provider]]:
    """Offer the memory."""
    return [MemoryProvider]
