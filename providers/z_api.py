"""Z-API: one path for both actions, with the credentials of the instance in it."""

from __future__ import annotations

from adapter import plugin as p

PATH = "/instances/{instance_id}/token/{token}/contacts/modify-blocked"


def is_refusal(document: p.Json) -> bool:
    """Whether the confirmation flag is false."""
    match document:
        case {"value": False}:
            return True
    return False


class ZApiProvider(p.Provider):
    """Z-API, read at https://developer.z-api.io/en/contacts/block-contact in November 2026.

    `value` is a confirmation flag: true does not show the new state, and false counts as a failure.
    The pages show no body of an error, so a bare status may be a proxy's. They show no block list.
    """

    name = "z-api"
    title = "Z-API"
    documentation = "https://developer.z-api.io/en/contacts/block-contact"
    base_url = "https://api.z-api.io"
    session_location = p.SessionLocation.PATH
    contact_forms = (p.ContactForm.DIGITS,)
    header_templates = {"Client-Token": "{client_token}"}
    routes = {"block": ("POST", PATH), "unblock": ("POST", PATH)}
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
