"""Z-API: one address for both actions, with the credentials of the instance in its path."""

from __future__ import annotations

from marshmallow import Schema, ValidationError

from adapter import (
    Action,
    Code,
    Command,
    ContactForm,
    ErrorRule,
    Headers,
    HttpRequest,
    HttpResponse,
    Json,
    Outcome,
    Provenance,
    Provider,
    Route,
    Secret,
    SecretField,
    SessionLocation,
    hookimpl,
    session_field,
)

BLOCK = Route(
    Action.BLOCK, "POST", "/instances/{instance_id}/token/{token}/contacts/modify-blocked"
)


def is_refusal(document: Json) -> bool:
    """Whether the confirmation flag says no."""
    match document:
        case {"value": False}:
            return True
    return False


def fits_the_path(token: Secret) -> None:
    """Refuse a token that could not be sent, when the configuration is read and not at each call.

    Raises ValidationError, which never repeats the token.
    """
    try:
        BLOCK.fill(instance_id="any", token=token.reveal())
    except ValueError:
        raise ValidationError("must fit into a path: 1 to 128 characters, no slash") from None


class ZApiProvider(Provider):
    """Z-API, read at https://developer.z-api.io/en/contacts/block-contact in November 2026.

    `value` is a flag of confirmation: true is no state, and false has to be taken for a failure.
    The pages show no body of an error: a bare status may be anybody's. They show no block list.
    """

    name = "z-api"
    title = "Z-API"
    documentation = "https://developer.z-api.io/en/contacts/block-contact"
    base_url = "https://api.z-api.io"
    session_location = SessionLocation.PATH
    contact_forms = (ContactForm.DIGITS,)
    header_templates = Headers({"Client-Token": "{client_token}"})
    routes = (BLOCK, Route(Action.UNBLOCK, BLOCK.method, BLOCK.template))
    # That it failed is documented; why, and whether nothing was done, is not.
    error_rules = (
        ErrorRule(Code.PROVIDER_ERROR, 200, where=is_refusal, proof=Provenance.INFERRED),
    )

    class Options(Schema):
        """`instance_id` and `token`: the instance's; `client_token`: the account's security token.

        `token` travels in the path, as the provider wants it.
        """

        instance_id = session_field()
        token = SecretField(required=True, validate=fits_the_path)
        client_token = SecretField(required=True)

    def build_request(self, command: Command) -> HttpRequest:
        """Name the number and the action in the body."""
        body = {"phone": self.name_contact(command.target), "action": command.action.value}
        ids = {"instance_id": self.options["instance_id"], "token": self.options["token"].reveal()}
        return self.request(command, body, **ids)

    def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
        """Take a 200 whose `value` is true."""
        match response.document:
            case {"value": True} if response.status == 200:
                return self.success(response)
        return None


@hookimpl
def register_providers() -> list[type[Provider]]:
    """Offer Z-API."""
    return [ZApiProvider]
