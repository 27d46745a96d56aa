"""Schemas of responses about the configuration and the state of this server."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields, validate

from adapter.codes import Action, Confirmation, Verifiable
from adapter.contacts import ContactForm


def values_of(enum: type[Any]) -> validate.OneOf:
    """Return the validator of the values of an enum."""
    return validate.OneOf([member.value for member in enum])


class AccountEntrySchema(Schema):
    """An account of the caller."""

    name = fields.String(required=True)
    provider = fields.String(required=True)
    actions = fields.List(fields.String(validate=values_of(Action)), required=True)


class AccountsSchema(Schema):
    """The accounts that the caller may use."""

    accounts = fields.List(fields.Nested(AccountEntrySchema), required=True)


class ProviderEntrySchema(Schema):
    """An installed provider."""

    name = fields.String(required=True)
    title = fields.String(required=True)
    origin = fields.String(required=True)
    actions = fields.List(fields.String(validate=values_of(Action)), required=True)
    session = fields.String(
        required=True, metadata={"description": "the place of the WhatsApp session in a request"}
    )
    contacts = fields.List(
        fields.String(validate=values_of(ContactForm)),
        required=True,
        metadata={"description": "the forms of a contact in a request"},
    )
    confirmation = fields.String(
        required=True,
        validate=values_of(Confirmation),
        metadata={"description": "the usual confirmation of a success"},
    )
    verifiable = fields.String(
        required=True,
        validate=values_of(Verifiable),
        metadata={
            "description": "whether a change can be read back; `with the LID`: where the LID of "
            "the contact is known; `only blocks`: an unblock cannot be"
        },
    )
    dialect = fields.Boolean(
        required=True,
        metadata={"description": "whether the provider's own API can be served"},
    )
    documentation = fields.String(required=True)
    proven = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "the last day on which the live service responded as recorded"},
    )


class DialectEntrySchema(Schema):
    """An installed dialect; prefix and host are null where it is not served."""

    name = fields.String(required=True)
    origin = fields.String(required=True)
    prefix = fields.String(required=True, allow_none=True)
    host = fields.String(required=True, allow_none=True)


class BrokenEntrySchema(Schema):
    """A plugin that cannot be used, and the reason."""

    name = fields.String(required=True)
    origin = fields.String(required=True)
    reason = fields.String(required=True)


class ProvidersSchema(Schema):
    """The providers and dialects of the installed plugins, and the broken plugins."""

    providers = fields.List(fields.Nested(ProviderEntrySchema), required=True)
    dialects = fields.List(fields.Nested(DialectEntrySchema), required=True)
    broken = fields.List(fields.Nested(BrokenEntrySchema), required=True)


class StatusSchema(Schema):
    """The state of this process. Ready: configuration and plugins are loaded."""

    status = fields.String(required=True, validate=validate.OneOf(["live", "ready"]))
