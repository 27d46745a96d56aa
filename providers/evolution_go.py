"""Evolution GO: the token picks the instance, the answer holds the whole list after the change."""

from __future__ import annotations

from adapter import plugin as p


def is_own(document: p.Json) -> bool:
    """Whether the body is the server's own error: one key with a sentence."""
    match document:
        case {"error": str(), **rest}:
            return not rest
    return False


def read_list(document: p.Json) -> p.ContactList | None:
    """Return the contacts of a list; None where it, or a single one of them, is unreadable.

    An empty list is `null`, which is how Go writes a list that was never begun, or `[]`.
    """
    match document:
        case {"message": "success", "data": {"JIDs": list() | None as jids}}:
            return p.read_contacts(jids or [])
    return None


class EvolutionGoProvider(p.Provider):
    """Evolution GO, read in its source in November 2026.

    The source is github.com/EvolutionAPI/evolution-go (pkg/user, pkg/utils, pkg/middleware); the
    lists are those of the library below it, github.com/tulir/whatsmeow (user.go, types/user.go).

    Bare digits would be rewritten: Brazil's ninth digit is taken away from area code 31 on, digits
    of Mexico and Argentina are dropped, and a `+` is put before them. A whole JID is taken as it
    is, so that is what is sent.

    A 500 with a text is all that it says of a lost session, of a client that is not connected, of
    a bad number and of any error of WhatsApp. Texts are no evidence: what came of it is unknown.
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

    class Options(p.Options):
        """`token`: the instance's token, which is also its address."""

        token = p.SecretField(required=True)

    def build_request(self, command: p.Command) -> p.HttpRequest:
        """Name the contact by its whole JID, in a field that is called `number`."""
        body = None if command.contact is None else {"number": self.name_contact(command.contact)}
        return self.request(command, body)

    def is_own_error(self, response: p.HttpResponse) -> bool:
        """Take `{"error": "…"}` alone."""
        return is_own(response.document)

    def parse_success(self, command: p.Command, response: p.HttpResponse) -> p.Outcome | None:
        """Take a 200 with the whole list, unless the list shows that it was not done.

        Whoever stands in it is blocked; so is the other form of a number. Who is missing is not,
        where the list holds ids of the same kind: numbers only, or at least one LID where a LID was
        asked. Else a number may stand in it as a LID, and the response says yes and no more.
        """
        listed = read_list(response.document) if response.status == 200 else None
        if listed is None or command.contact is None:
            return None if listed is None else self.success(response, listed)
        target, entries = command.contact, listed.contacts
        key = p.identity_key(target)
        blocked = any(key == p.identity_key(entry) for entry in entries)
        lids = any(entry.lid for entry in entries)
        comparable = not entries or (lids if target.number is None else not lids)
        if not blocked and not comparable:
            return self.success(response)
        if blocked is not command.blocked:
            return None
        return p.Outcome.success(p.Confirmation.PROVIDER_STATE, upstream_status=response.status)


@p.hookimpl
def register(registry: p.Registry) -> None:
    """Add the provider."""
    registry.add(EvolutionGoProvider)
