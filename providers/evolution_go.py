"""Evolution GO: the token selects the instance, a response holds the whole list after a change."""

from __future__ import annotations

from adapter import plugin as p


def read_list(document: p.Json) -> p.ContactList | None:
    """Return the contacts of a list; None if the list or one of its entries is unreadable.

    An empty list is `[]` or `null`, which is how Go writes a nil slice.
    """
    match document:
        case {"message": "success", "data": {"JIDs": list() | None as jids}}:
            return p.read_contacts(jids or [])
    return None


class EvolutionGoProvider(p.Provider):
    """Evolution GO, read in its source in November 2026.

    The source is github.com/EvolutionAPI/evolution-go (pkg/user, pkg/utils, pkg/middleware); the
    lists are those of the library below it, github.com/tulir/whatsmeow (user.go, types/user.go).

    A whole JID is sent, since the server rewrites bare digits: it removes Brazil's ninth digit from
    area code 31 on, drops digits of Mexico and Argentina, and puts a `+` before them.

    A lost session, a client that is not connected, a bad number and any error of WhatsApp are all a
    500 with a text. Texts are not evidence, so the effect remains unknown.
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
    }
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
