"""Schemas of requests, which are validated with them, and of responses, for OpenAPI and tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from marshmallow import Schema, ValidationError, fields, validate

from adapter.codes import Action, Applied, Code, Confirmation, Retry
from adapter.contacts import MAX_LINK, MAX_TEXT, MAX_USER_ID, ContactForm
from adapter.errors import RequestError
from adapter.results import Outcome

MAX_UNKNOWN_FIELDS: Final = 8
"""The most unknown fields that a validation error names; further ones are counted."""

_UNKNOWN: Final = "unknown field"
_CODES: Final = [code.value for code in Code]
_TEXT: dict[str, Any] = {
    "invalid": "must be text, in quotes",
    "null": "must be text; to send no value, omit the field",
}


def _values(enum: type[Any]) -> validate.OneOf:
    return validate.OneOf([member.value for member in enum])


def _text(description: str, example: str, max_length: int = MAX_TEXT) -> fields.String:
    return fields.String(
        error_messages=_TEXT,
        validate=validate.Length(max=max_length, error=f"is longer than {max_length} characters"),
        metadata={"description": description, "example": example},
    )


class _TextSchema(Schema):
    """A schema of text fields. `max_lengths`, from their validators, are all its rules."""

    def __init__(self, *args: Any, **rest: Any) -> None:
        super().__init__(*args, **rest)
        self.max_lengths = {
            name: next(each.max for each in field.validators if isinstance(each, validate.Length))
            for name, field in self.fields.items()
        }

    def accepts(self, document: Mapping[str, Any]) -> bool:
        """Whether `load` would return the document as it is: known fields, texts, their lengths."""
        for name, value in document.items():
            limit = self.max_lengths.get(name)
            if limit is None or type(value) is not str or len(value) > limit:
                return False
        return True


class AccountSchema(_TextSchema):
    """The account; by default the caller's default account, else the configuration's."""

    error_messages = {"unknown": _UNKNOWN}  # noqa: RUF012 - as marshmallow declares it

    account = _text("Name of a configured account", "support", 128)


class TargetSchema(AccountSchema):
    """The contact to block or unblock: `number`, `jid` or `user_id`, or several of one person."""

    number = _text("International phone number, or a link to it", "+55 11 99999-9999", MAX_LINK)
    jid = _text("JID of a person", "5511999999999@s.whatsapp.net")
    user_id = _text("Meta's business-scoped user id", "BR.00000000000000000001", MAX_USER_ID)


def load_document(schema: _TextSchema, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the validated document.

    Raises RequestError (`validation_error`), whose fields name every fault, but at most
    MAX_UNKNOWN_FIELDS unknown fields.
    """
    if schema.accepts(document):  # marshmallow explains what is refused
        return dict(document)
    try:
        return dict(schema.load(document))
    except ValidationError as error:
        messages = error.messages_dict
    known = ", ".join(sorted(schema.fields))
    unknown = [str(name) for name, texts in messages.items() if texts == [_UNKNOWN]]
    faults = {
        str(name): tuple(str(text) for text in texts)
        for name, texts in messages.items()
        if str(name) in schema.fields
    }
    for name in unknown[:MAX_UNKNOWN_FIELDS]:
        faults.setdefault(name[:MAX_TEXT], (f"{_UNKNOWN}; known fields: {known}",))
    if len(unknown) > MAX_UNKNOWN_FIELDS:
        faults["others"] = (f"{len(unknown) - MAX_UNKNOWN_FIELDS} more unknown fields",)
    raise RequestError(Outcome.failure(Code.VALIDATION_ERROR, fields=faults))


class ContactSchema(Schema):
    """A WhatsApp contact."""

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
    """A change of a block list, with its confirmation."""

    action = fields.String(
        required=True, validate=validate.OneOf([Action.BLOCK.value, Action.UNBLOCK.value])
    )
    account = fields.String(required=True)
    blocked = fields.Boolean(
        required=True,
        metadata={
            "description": "the requested state, which the provider accepted; "
            "`confirmation` is the evidence for it"
        },
    )
    confirmation = fields.String(
        required=True,
        validate=_values(Confirmation),
        metadata={
            "description": "`provider_state`: the provider returned the new state, and it matches; "
            "`accepted`: the provider reported success without the state"
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
        metadata={"description": "entries that are not contacts, such as channels"},
    )


class AccountEntrySchema(Schema):
    """An account of the caller."""

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
        required=True, metadata={"description": "the place of the WhatsApp session in a request"}
    )
    contacts = fields.List(
        fields.String(validate=_values(ContactForm)),
        required=True,
        metadata={"description": "the forms of a contact in a request"},
    )
    confirmation = fields.String(
        required=True,
        validate=_values(Confirmation),
        metadata={"description": "the usual confirmation of a success"},
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


class ErrorSchema(Schema):
    """The error: its code, whether the change took effect, and when to retry."""

    code = fields.String(
        required=True,
        metadata={
            "description": "one of the known codes; codes are added, never renamed; a client "
            "handles an unknown code by its HTTP status",
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
    """The provider's response: its HTTP status, and its provider code where that is known."""

    status = fields.Integer(required=True, allow_none=True)
    code = fields.String(required=True, allow_none=True)


class MetaSchema(Schema):
    """Metadata of the call."""

    request_id = fields.String(required=True)
    provider = fields.String(required=True, allow_none=True)
    attempts = fields.Integer(
        required=True, metadata={"description": "attempts to call the provider"}
    )
    duration_ms = fields.Integer(required=True, metadata={"description": "milliseconds"})
    upstream = fields.Nested(UpstreamSchema, required=True)


def envelope_schema(name: str, data: type[Schema] | None) -> type[Schema]:
    """Return the schema of an envelope: a success with `data`, or a failure without."""
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
