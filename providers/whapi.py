"""Whapi.Cloud: the number is in the path, PUT blocks and DELETE unblocks."""

from __future__ import annotations

from adapter import plugin as p


class WhapiProvider(p.Provider):
    """Whapi.Cloud, read in its MCP manifest and in a client of its OpenAPI 1.8.7 in November 2026.

    The sources are github.com/Whapi-Cloud/whapi-mcp and github.com/moham96/whapi-php-openapi. A
    contact is 7 to 15 digits, so a LID is not possible. `error.code` repeats the HTTP status and
    adds no evidence; a 404 with it means that the contact was not found.

    There is a `GET /blacklist` too, but no list here: no source shows its body, so a whole list
    could not be told from a part of one.
    """

    name = "whapi"
    title = "Whapi.Cloud"
    documentation = "https://github.com/Whapi-Cloud/whapi-mcp"
    base_url = "https://gate.whapi.cloud"
    session_location = p.SessionLocation.TOKEN
    contact_forms = (p.ContactForm.DIGITS,)
    header_templates = {"Authorization": "Bearer {token}"}
    routes = {"block": ("PUT", "/blacklist/{number}"), "unblock": ("DELETE", "/blacklist/{number}")}
    error_rules = (p.ErrorRule(p.Code.TARGET_REJECTED, 404),)

    class Options(p.Options):
        """`token`: the API token of a channel, which also selects the channel."""

        token = p.SecretField(required=True)

    def build_request(self, command: p.Command) -> p.HttpRequest:
        """Put the digits into the path; there is no body."""
        return self.request(command, number=self.name_contact(command.target))

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
