"""Evolution GO: the token picks the instance, the answer holds the whole list after the change."""

from __future__ import annotations

from marshmallow import Schema

from adapter import (
    Action,
    Addressing,
    Command,
    Confirmation,
    Contact,
    Headers,
    HttpRequest,
    HttpResponse,
    Json,
    Outcome,
    Provider,
    Route,
    SecretField,
    hookimpl,
    read_contacts,
)


def read_list(document: Json) -> tuple[Contact, ...] | None:
    """Return the contacts of a list; None where it, or a single one of them, is unreadable.

    An empty list is `null`, which is how Go writes a list that was never begun, or `[]`.
    """
    match document:
        case {"message": "success", "data": {"JIDs": list() | None as jids}}:
            return read_contacts(jids or [])
    return None


class EvolutionGoProvider(Provider):
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
    addressing = Addressing.TOKEN
    header_templates = Headers({"apikey": "{token}"})
    routes = (
        Route(Action.BLOCK, "POST", "/user/block"),
        Route(Action.UNBLOCK, "POST", "/user/unblock"),
        Route(Action.LIST, "GET", "/user/blocklist"),
    )

    class Options(Schema):
        """`token`: the instance's token, which is also its address."""

        token = SecretField(required=True)

    def build_request(self, command: Command) -> HttpRequest:
        """Name the contact by its whole JID, in a field that is called `number`."""
        body = None if command.contact is None else {"number": self.name_contact(command.contact)}
        return self.request(command, body)

    def read_success(self, command: Command, response: HttpResponse) -> Outcome | None:
        """Take a 200 with the whole list, unless the list shows that it was not done.

        The list shows the state of whoever stands in it, and an empty one that of everybody. A LID
        is not in it where others' LIDs are; a number may stand in it as a LID, and a LID as a
        number. Then the answer says yes and no more.
        """
        listed = read_list(response.document) if response.status == 200 else None
        if listed is None or command.contact is None:
            return None if listed is None else self.success(response, listed)
        blocked = command.contact in listed
        comparable = command.contact.number is None and any(contact.lid for contact in listed)
        if listed and not blocked and not comparable:
            return self.success(response)
        if blocked is not command.blocked:
            return None
        return Outcome.success(Confirmation.PROVIDER_STATE, upstream_status=response.status)


@hookimpl
def register_providers() -> list[type[Provider]]:
    """Offer Evolution GO."""
    return [EvolutionGoProvider]
