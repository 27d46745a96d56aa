"""Evolution GO: the token selects the instance, a response holds the whole list after a change."""

from __future__ import annotations

from collections.abc import Iterable

from adapter import plugin as p

UNLICENSED = "The server's licence is not activated; activate it in the server's manager."


def read_list(document: p.Json) -> p.ContactList | None:
    """Return the contacts of a list; None if the list or one of its entries is unreadable.

    An empty list is `[]` or `null`, which is how Go writes a nil slice.
    """
    match document:
        case {"message": "success", "data": {"JIDs": list() | None as jids}}:
            return p.read_contacts(jids or [])
    return None


def is_failed_query(document: p.Json) -> bool:
    """Whether a lookup has no data, since WhatsApp's query has failed."""
    match document:
        case {"message": "success", "data": None}:
            return True
    return False


def read_user(user: p.Json) -> p.Lookup | None:
    """Return the lookup of a user, whose `JID` may be a LID; None if it is unreadable."""
    match user:
        case {"Query": query, "IsInWhatsapp": found, "JID": jid}:
            return p.read_lookup(query, found, jid, user.get("LID"))
    return None


def is_not_connected(document: p.Json) -> bool:
    """Whether the whole text of an error is one of the two of a client that is not connected."""
    return document in ({"error": "client disconnected"}, {"error": "no active session found"})


class EvolutionGoProvider(p.Provider):
    """Evolution GO, read in its source in November 2026.

    The source is github.com/EvolutionAPI/evolution-go (pkg/user, pkg/utils, pkg/middleware); the
    lists are those of the library below it, github.com/tulir/whatsmeow (user.go, types/user.go).

    A whole JID is sent, since the server rewrites bare digits: it removes Brazil's ninth digit from
    area code 31 on, drops digits of Mexico and Argentina, and puts a `+` before them. Where an
    earlier response has shown the LID of a number, the LID is sent in place of the number: WhatsApp
    refuses a block by number for accounts whose list holds LIDs, and the library maps numbers to
    LIDs since 2026-08-13 alone (whatsmeow 8d023aa9).

    A lost session, a client that is not connected, a bad number and any error of WhatsApp are all a
    500 with a text. Texts are not evidence, so the effect remains unknown.

    A status that cannot be given is a 400 until 0.6.1, and starts the instance; newer versions
    have a 200 (commit 1dbfcbb1). Numbers of a lookup are sent with the `+` that the library
    requires, and come back as `Query`. A failed query is a 200 without data (user_service.go,
    performCheckUser). `LID` is from the server's own store; since 2026-07-13 `JID` may be a LID
    itself (whatsmeow 6e4c3416).

    Without an activated licence, all these routes are refused before they run (pkg/core/c0.go).
    """

    name = "evolution-go"
    title = "Evolution GO"
    documentation = "https://github.com/EvolutionAPI/evolution-go"
    session_location = p.SessionLocation.TOKEN
    header_templates = {"apikey": "{token}"}
    routes = {
        "block": ("POST", "/user/block"),
        "unblock": ("POST", "/user/unblock"),
        "list": ("GET", "/user/blocklist"),
        "status": ("GET", "/instance/status"),
        "lookup": ("POST", "/user/check"),
    }
    max_lookup = 100  # no maximum is documented
    provider_code_at = ("/code",)
    error_codes = {"LICENSE_REQUIRED": (503, p.Code.PROVIDER_PERMISSION_DENIED, UNLICENSED)}
    error_rules = (
        p.ErrorRule(
            p.Code.SESSION_NOT_CONNECTED,
            400,
            where=is_not_connected,
            actions=(p.Action.STATUS,),
        ),
        p.ErrorRule(p.Code.PROVIDER_ERROR, 400, actions=(p.Action.LOOKUP,)),
        p.ErrorRule(p.Code.PROVIDER_ERROR, 200, where=is_failed_query, actions=(p.Action.LOOKUP,)),
    )
    changes_return_list = True
    lists_lids = True
    prefers_lid = True

    class Options(p.Options):
        """`token`: the instance's token, which also selects the instance."""

        token = p.SecretField(required=True)

    def build_request(self, command: p.Command) -> p.HttpRequest:
        """Name the contact by its whole JID, in a field named `number`."""
        body = None if command.contact is None else {"number": self.name_contact(command.contact)}
        return self.request(command, body)

    def parse_status(self, document: p.Json) -> p.Session | None:
        """Accept both flags: a client may be connected to WhatsApp without being logged in."""
        match document:
            case {"message": "success", "data": {"Connected": bool(one), "LoggedIn": bool(other)}}:
                connected, not_connected = p.SessionState.CONNECTED, p.SessionState.NOT_CONNECTED
                return p.Session(connected if one and other else not_connected)
        return None

    def build_lookup(self, command: p.Command) -> p.HttpRequest:
        """Name the numbers with a `+`, and keep the server from rewriting them."""
        numbers: list[p.Json] = [f"+{number}" for number in command.numbers]
        return self.request(command, {"number": numbers, "formatJid": False})

    def parse_lookup(self, command: p.Command, document: p.Json) -> Iterable[p.Lookup] | None:
        """Read each user."""
        match document:
            case {"message": "success", "data": {"Users": list(users)}}:
                return filter(None, map(read_user, users))
        return None

    def is_own_error(self, response: p.HttpResponse) -> bool:
        """Accept `{"error": "…"}` alone."""
        match response.document:
            case {"error": str(), **rest}:
                return not rest
        return False

    def parse_success(self, command: p.Command, response: p.HttpResponse) -> p.Outcome | None:
        """Accept a 200 with the whole list, unless it shows that the change was not done."""
        listed = read_list(response.document) if response.status == 200 else None
        if listed is None:
            return None
        if command.action is p.Action.LIST:
            return self.success(response, listed)
        return self.changed_list_success(command, response, listed)


@p.hookimpl
def register(registry: p.Registry) -> None:
    """Register the provider."""
    registry.add(EvolutionGoProvider)
