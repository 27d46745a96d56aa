"""Whapi.Cloud: the number is in the path, PUT blocks and DELETE unblocks."""

from __future__ import annotations

from collections.abc import Iterable

from adapter import plugin as p

FOUND = {"valid": True, "invalid": False}


def read_entry(entry: p.Json) -> p.Lookup | None:
    """Return the lookup of an entry; None if it is unreadable. Only a valid one has `wa_id`."""
    match entry:
        case {"input": asked, "status": str(status)}:
            return p.read_lookup(asked, FOUND.get(status), entry.get("wa_id"))
    return None


class WhapiProvider(p.Provider):
    """Whapi.Cloud, read in its MCP manifest and in a client of its OpenAPI 1.8.7 in November 2026.

    The sources are github.com/Whapi-Cloud/whapi-mcp and github.com/moham96/whapi-php-openapi. A
    contact is 7 to 15 digits, so a LID is not possible. `error.code` repeats the HTTP status and
    adds no evidence; a 404 with it means that the contact was not found.

    There is a `GET /blacklist` too, but no list here: no source shows its body, so a whole list
    could not be told from a part of one.

    A status must not wake a channel up, so `wakeup` is false. Its words are in the client; their
    meanings, STOP and SYNC_ERROR at https://support.whapi.cloud (account and device status): with
    SYNC_ERROR the channel still sends. A lookup waits for its response, and may be answered from a
    cache: many new queries draw WhatsApp's attention to the number, as the pages warn.
    """

    name = "whapi"
    title = "Whapi.Cloud"
    documentation = "https://github.com/Whapi-Cloud/whapi-mcp"
    base_url = "https://gate.whapi.cloud"
    session_location = p.SessionLocation.TOKEN
    contact_forms = (p.ContactForm.DIGITS,)
    header_templates = {"Authorization": "Bearer {token}"}
    routes = {
        "block": ("PUT", "/blacklist/{number}"),
        "unblock": ("DELETE", "/blacklist/{number}"),
        "status": ("GET", "/health"),
        "lookup": ("POST", "/contacts"),
    }
    max_lookup = 100  # the pages name no maximum
    status_at = "/status/text"
    status_words = {
        **dict.fromkeys(("AUTH", "SYNC_ERROR"), p.SessionState.CONNECTED),
        **dict.fromkeys(("NOT_INIT", "INIT", "LAUNCH", "QR", "STOP"), p.SessionState.NOT_CONNECTED),
        "ERROR": p.SessionState.UNKNOWN,  # no source gives its meaning
    }
    error_rules = (
        p.ErrorRule(p.Code.PROVIDER_ERROR, 400, actions=(p.Action.LOOKUP,)),
        p.ErrorRule(p.Code.TARGET_REJECTED, 404, actions=(p.Action.BLOCK, p.Action.UNBLOCK)),
    )

    class Options(p.Options):
        """`token`: the API token of a channel, which also selects the channel."""

        token = p.SecretField(required=True)

    def build_request(self, command: p.Command) -> p.HttpRequest:
        """Put the digits into the path; there is no body."""
        return self.request(command, number=self.name_contact(command.target))

    def build_status(self, command: p.Command) -> p.HttpRequest:
        """Request the health of the channel without waking it up."""
        return self.request(command, None, {"wakeup": "false"})

    def build_lookup(self, command: p.Command) -> p.HttpRequest:
        """Name the numbers in the body."""
        how: dict[str, p.Json] = {"blocking": "wait", "force_check": False}
        return self.request(command, {**how, "contacts": command.numbers})

    def parse_lookup(self, command: p.Command, document: p.Json) -> Iterable[p.Lookup] | None:
        """Read the entry of each number."""
        match document:
            case {"contacts": list(entries)}:
                return filter(None, map(read_entry, entries))
        return None

    def is_own_error(self, response: p.HttpResponse) -> bool:
        """Accept `error` with the status as its code and, at most, `details` beside its message."""
        match response.document:
            case {"error": {"code": int(code), "message": str(), **rest}}:
                return code == response.status and not rest.keys() - {"details"}
        return False

    def parse_success(self, command: p.Command, response: p.HttpResponse) -> p.Outcome | None:
        """Accept a 200 with `success`; it does not show the new state."""
        match response.document:
            case {"success": True} if response.status == 200:
                return self.success(response)
        return None


@p.hookimpl
def register(registry: p.Registry) -> None:
    """Register the provider."""
    registry.add(WhapiProvider)
