"""Z-API: one path for both actions, with the credentials of the instance in it."""

from __future__ import annotations

from collections.abc import Iterable

from adapter import plugin as p

INSTANCE = "/instances/{instance_id}/token/{token}"
PATH = f"{INSTANCE}/contacts/modify-blocked"
FLAGS = {"true": True, "false": False}


def is_refusal(document: p.Json) -> bool:
    """Whether the confirmation flag is false."""
    match document:
        case {"value": False}:
            return True
    return False


def read_entry(entry: p.Json) -> p.Lookup | None:
    """Return the lookup of an entry; None if it is unreadable. `exists` may be a text."""
    match entry:
        case {"inputPhone": asked, "exists": found, "outputPhone": known}:
            found = FLAGS.get(found) if isinstance(found, str) else found
            return p.read_lookup(asked, found, known, entry.get("lid"))
    return None


class ZApiProvider(p.Provider):
    """Z-API, read at https://developer.z-api.io/en/contacts/block-contact in November 2026.

    `value` is a confirmation flag: true does not show the new state, and false counts as a failure.
    The pages show no body of an error, so a bare status may be a proxy's. They show no block list:
    `privacy/disallowed-contacts` holds the exceptions of the profile's privacy.

    The status of a connected instance has a text under `error` too. A lookup takes up to 50,000
    numbers; some pages have its `exists` as a text, and it has `lid` since 2025-12-30. Sources:
    github.com/Z-API/z-api-docs of 2026-04-08 (instance/status, contacts/phone-exists-batch).
    """

    name = "z-api"
    title = "Z-API"
    documentation = "https://developer.z-api.io/en/contacts/block-contact"
    base_url = "https://api.z-api.io"
    session_location = p.SessionLocation.PATH
    contact_forms = (p.ContactForm.DIGITS,)
    header_templates = {"Client-Token": "{client_token}"}
    routes = {
        "block": ("POST", PATH),
        "unblock": ("POST", PATH),
        "status": ("GET", f"{INSTANCE}/status"),
        "lookup": ("POST", f"{INSTANCE}/phone-exists-batch"),
    }
    max_lookup = 100
    status_at = "/connected"
    status_words = {True: p.SessionState.CONNECTED, False: p.SessionState.NOT_CONNECTED}
    # Documented as a failure; the cause, and whether anything was done, is not.
    error_rules = (p.ErrorRule(p.Code.PROVIDER_ERROR, 200, where=is_refusal),)

    class Options(p.Options):
        """`instance_id` and `token` of the instance; `client_token`, the account's security token.

        The provider requires `token` in the path.
        """

        instance_id = p.session_field()
        token = p.SecretField(required=True, in_path=True)
        client_token = p.SecretField(required=True)

    def build_request(self, command: p.Command) -> p.HttpRequest:
        """Name the number and the action in the body."""
        body = {"phone": self.name_contact(command.target), "action": command.action.value}
        return self.request(command, body)

    def build_lookup(self, command: p.Command) -> p.HttpRequest:
        """Name the numbers in the body."""
        return self.request(command, {"phones": command.numbers})

    def parse_lookup(self, command: p.Command, document: p.Json) -> Iterable[p.Lookup] | None:
        """Read the entry of each number."""
        return filter(None, map(read_entry, document)) if isinstance(document, list) else None

    def shows_error(self, command: p.Command, document: p.Json) -> bool:
        """Ignore the text under `error` of a status, such as "You are already connected."."""
        if command.action is p.Action.STATUS:
            document = p.without(document, ("error",))
        return super().shows_error(command, document)

    def parse_success(self, command: p.Command, response: p.HttpResponse) -> p.Outcome | None:
        """Accept a 200 with a `value` of true."""
        match response.document:
            case {"value": True} if response.status == 200:
                return self.success(response)
        return None


@p.hookimpl
def register(registry: p.Registry) -> None:
    """Register the provider."""
    registry.add(ZApiProvider)
