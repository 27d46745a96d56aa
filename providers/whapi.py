"""Whapi.Cloud: the number stands in the path, PUT blocks and DELETE unblocks."""

from __future__ import annotations

from adapter import plugin as p


def is_own(document: p.Json, status: int) -> bool:
    """Whether the body is Whapi's own error, which repeats the status as its code."""
    match document:
        case {"error": {"code": int(code), "message": str(), **rest}}:
            return code == status and not set(rest) - {"details"}
    return False


class WhapiProvider(p.Provider):
    """Whapi.Cloud, read in its MCP manifest and in a client of its OpenAPI 1.8.7 in November 2026.

    The sources are github.com/Whapi-Cloud/whapi-mcp and github.com/moham96/whapi-php-openapi. A
    contact is 7 to 15 digits, so a LID cannot be said. `error.code` repeats the HTTP status and is
    no evidence of its own; a 404 with it says that the contact was not found.

    There is a `GET /blacklist` too. No source shows its body, so that nothing could tell a whole
    list from a part of one, and no list is offered.
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
        """`token`: the channel's API token, which also picks the channel."""

        token = p.SecretField(required=True)

    def build_request(self, command: p.Command) -> p.HttpRequest:
        """Put the digits into the path. There is no body."""
        return self.request(command, number=self.name_contact(command.target))

    def is_own_error(self, response: p.HttpResponse) -> bool:
        """Take `error` with the status as its code."""
        return is_own(response.document, response.status)

    def parse_success(self, command: p.Command, response: p.HttpResponse) -> p.Outcome | None:
        """Take a 200 that says `success`. It does not say which state came of it."""
        match response.document:
            case {"success": True} if response.status == 200:
                return self.success(response)
        return None


@p.hookimpl
def register(registry: p.Registry) -> None:
    """Add the provider."""
    registry.add(WhapiProvider)
