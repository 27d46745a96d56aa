"""The shapes of requests and answers. Requests are checked by them; OpenAPI and tests read both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from marshmallow import Schema, ValidationError, fields, validate

from adapter.codes import Action, Applied, Code, Confirmation, Retry
from adapter.contacts.contact import MAX_LINK, MAX_TEXT, MAX_USER_ID
from adapter.contacts.forms import ContactForm
from adapter.errors import RequestError
from adapter.results import Outcome

MAX_STRANGE: Final = 8
"""Most unknown fields of a request that its answer names; the others are counted."""

_UNKNOWN = "Unknown field."
_CODES: Final = [code.value for code in Code]
_TEXT: dict[str, Any] = {
    "invalid": "must be text, in quotes",
    "null": "must be text; leave it out instead of null",
}


def _values(kinds: type[Any]) -> validate.OneOf:
    return validate.OneOf([kind.value for kind in kinds])


def _text(description: str, example: str, max_length: int = MAX_TEXT) -> fields.String:
    return fields.String(
        error_messages=_TEXT,
        validate=validate.Length(max=max_length, error=f"is longer than {max_length} characters"),
        metadata={"description": description, "example": example},
    )


class AccountSchema(Schema):
    """Which account; without it, the caller's or the configuration's default."""

    account = _text("A configured account's name", "support", 128)


class TargetSchema(AccountSchema):
    """Whom to block or unblock: `number`, `jid`, `user_id`, or several of the same person."""

    number = _text("International phone number, or a link to it", "+55 11 99999-9999", MAX_LINK)
    jid = _text("JID of a person", "5511999999999@s.whatsapp.net")
    user_id = _text("Meta's business-scoped user id", "BR.00000000000000000001", MAX_USER_ID)


def load(schema: Schema, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the checked document.

    Raises RequestError (`validation_error`) whose fields name everything that is wrong, but for
    more than `MAX_STRANGE` that are not known.
    """
    try:
        return dict(schema.load(document))
    except ValidationError as error:
        messages = error.messages_dict
    known = ", ".join(sorted(schema.fields))
    strange = [str(name) for name, texts in messages.items() if texts == [_UNKNOWN]]
    faults = {
        str(name): tuple(str(text) for text in texts)
        for name, texts in messages.items()
        if str(name) in schema.fields
    }
    for name in strange[:MAX_STRANGE]:
        faults.setdefault(name[:MAX_TEXT], (f"is not known here; known are: {known}",))
    if len(strange) > MAX_STRANGE:
        faults["others"] = (f"{len(strange) - MAX_STRANGE} more are not known here",)
    raise RequestError(Outcome.failure(Code.VALIDATION_ERROR, fields=faults))


class ContactSchema(Schema):
    """A person on WhatsApp."""

    jid = fields.String(
        required=True, allow_none=True, metadata={"example": "5511999999999@s.whatsapp.net"}
    )
    number = fields.String(required=True, allow_none=True, metadata={"example": "5511999999999"})
    lid = fields.String(required=True, allow_none=True)
    user_id = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Meta's business-scoped id; null at every other provider"},
    )


class ChangeSchema(Schema):
    """What was changed, and how that is known."""

    action = fields.String(
        required=True, validate=validate.OneOf([Action.BLOCK.value, Action.UNBLOCK.value])
    )
    account = fields.String(required=True)
    blocked = fields.Boolean(
        required=True,
        metadata={
            "description": "the state that was asked for, and accepted by the provider; "
            "`confirmation` says how far it is known to be so"
        },
    )
    confirmation = fields.String(
        required=True,
        validate=_values(Confirmation),
        metadata={
            "description": "`provider_state`: the provider returned the state, and it matches; "
            "`accepted`: it said yes and no more"
        },
    )
    contact = fields.Nested(ContactSchema, required=True)


class BlockedSchema(Schema):
    """A whole block list."""

    account = fields.String(required=True)
    contacts = fields.List(fields.Nested(ContactSchema), required=True)
    count = fields.Integer(required=True, validate=validate.Range(min=0))
    others = fields.Integer(
        required=True,
        validate=validate.Range(min=0),
        metadata={"description": "entries that are no persons, such as channels; left out above"},
    )


class AccountEntrySchema(Schema):
    """An account that the caller may use."""

    name = fields.String(required=True)
    provider = fields.String(required=True)
    actions = fields.List(fields.String(validate=_values(Action)), required=True)


class AccountsSchema(Schema):
    """The accounts that the caller may use."""

    accounts = fields.List(fields.Nested(AccountEntrySchema), required=True)


class ProviderEntrySchema(Schema):
    """An installed provider."""

    name = fields.String(required=True)
    title = fields.String(required=True)
    origin = fields.String(required=True)
    actions = fields.List(fields.String(validate=_values(Action)), required=True)
    session = fields.String(
        required=True, metadata={"description": "where a request names the WhatsApp session"}
    )
    contacts = fields.List(
        fields.String(validate=_values(ContactForm)),
        required=True,
        metadata={"description": "the forms in which a request names a contact"},
    )
    confirmation = fields.String(
        required=True,
        validate=_values(Confirmation),
        metadata={"description": "how a success is usually known"},
    )
    dialect = fields.Boolean(
        required=True, metadata={"description": "whether its own API can be served, too"}
    )
    documentation = fields.String(required=True)
    proven = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "the day on which the live service last answered as recorded"},
    )


class DialectEntrySchema(Schema):
    """An installed dialect, and where it is served; null where it is not."""

    name = fields.String(required=True)
    origin = fields.String(required=True)
    prefix = fields.String(required=True, allow_none=True)
    host = fields.String(required=True, allow_none=True)


class BrokenEntrySchema(Schema):
    """A plugin that could not be used, and why."""

    name = fields.String(required=True)
    origin = fields.String(required=True)
    reason = fields.String(required=True)


class ProvidersSchema(Schema):
    """Everything that the plugins of this installation bring."""

    providers = fields.List(fields.Nested(ProviderEntrySchema), required=True)
    dialects = fields.List(fields.Nested(DialectEntrySchema), required=True)
    broken = fields.List(fields.Nested(BrokenEntrySchema), required=True)


class StatusSchema(Schema):
    """The state of this process. Ready: its configuration is loaded, and it takes calls."""

    status = fields.String(required=True, validate=validate.OneOf(["live", "ready"]))


class ErrorSchema(Schema):
    """What went wrong, whether it took effect, and when to try again."""

    code = fields.String(
        required=True,
        metadata={
            "description": "one of the known codes; codes are added, never renamed, so that a "
            "client takes an unknown one by its HTTP status",
            "examples": _CODES,
            "x-extensible-enum": _CODES,
        },
    )
    message = fields.String(required=True)
    outcome = fields.String(required=True, validate=_values(Applied))
    retry = fields.String(required=True, validate=_values(Retry))
    retry_after = fields.Integer(
        required=True, allow_none=True, metadata={"description": "seconds"}
    )
    fields_ = fields.Dict(
        data_key="fields",
        keys=fields.String(),
        values=fields.List(fields.String()),
        required=True,
    )


class UpstreamSchema(Schema):
    """What the provider answered, as far as it is told: its status, and a code that we know."""

    status = fields.Integer(required=True, allow_none=True)
    code = fields.String(required=True, allow_none=True)


class MetaSchema(Schema):
    """Facts about the call."""

    request_id = fields.String(required=True)
    provider = fields.String(required=True, allow_none=True)
    attempts = fields.Integer(
        required=True, metadata={"description": "attempts to reach the provider"}
    )
    duration_ms = fields.Integer(required=True, metadata={"description": "milliseconds"})
    upstream = fields.Nested(UpstreamSchema, required=True)


def envelope_schema(name: str, data: type[Schema] | None) -> type[Schema]:
    """Return the schema of an envelope: of a success with `data`, or of a failure without."""
    if data is None:
        content: dict[str, Any] = {
            "success": fields.Boolean(required=True, validate=validate.Equal(False)),
            "data": fields.Raw(required=True, allow_none=True, validate=validate.Equal(None)),
            "error": fields.Nested(ErrorSchema, required=True),
        }
    else:
        content = {
            "success": fields.Boolean(required=True, validate=validate.Equal(True)),
            "data": fields.Nested(data, required=True),
            "error": fields.Raw(required=True, allow_none=True, validate=validate.Equal(None)),
        }
    content["meta"] = fields.Nested(MetaSchema, required=True)
    return Schema.from_dict(content, name=name)


FailureEnvelope = envelope_schema("FailureEnvelope", None)
ChangeEnvelope = envelope_schema("ChangeEnvelope", ChangeSchema)
BlockedEnvelope = envelope_schema("BlockedEnvelope", BlockedSchema)
AccountsEnvelope = envelope_schema("AccountsEnvelope", AccountsSchema)
ProvidersEnvelope = envelope_schema("ProvidersEnvelope", ProvidersSchema)
StatusEnvelope = envelope_schema("StatusEnvelope", StatusSchema)
