"""Schemas of responses, for OpenAPI and tests."""

from __future__ import annotations

from typing import Any, Final

from marshmallow import Schema, fields, validate

from adapter.codes import Action, Applied, Code, Confirmation, Retry
from adapter.history import Source
from adapter.pages import VIAS
from adapter.readings import SessionState, Unverified
from adapter.web.configuration_schemas import (
    AccountsSchema,
    ProvidersSchema,
    StatusSchema,
    values_of,
)

_CODES: Final = [code.value for code in Code]


_UNVERIFIED: Final = "; ".join(f"`{each.value}`: {each.when}" for each in Unverified)
_UNKNOWN_STATE: Final = (
    f"`{Unverified.ONLY_LIDS.value}`: {Unverified.ONLY_LIDS.when}; "
    f"`{Unverified.INCOMPLETE.value}`: an entry of the list cannot be compared with the contact, "
    "or the provider's read for one contact shows neither state; by the ledger: the effect of the "
    f"last change is not known; `{Unverified.NO_READ.value}`: the ledger has no change of it"
)


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


class ReadBackSchema(Schema):
    """A change, and what reading it back has shown. No contact: no failure shows a person."""

    action = fields.String(
        required=True, validate=validate.OneOf([Action.BLOCK.value, Action.UNBLOCK.value])
    )
    account = fields.String(required=True)
    verified = fields.Boolean(
        required=True,
        allow_none=True,
        metadata={
            "description": "`true`: reading the change back has shown the requested state; "
            "`false`: it has shown the opposite; `null`: neither, see `verified_reason`"
        },
    )
    verified_reason = fields.String(
        required=True,
        allow_none=True,
        validate=values_of(Unverified),
        metadata={"description": f"why `verified` is `null`: {_UNVERIFIED}"},
    )


class ChangeSchema(ReadBackSchema):
    """A change of a block list, with its confirmation."""

    blocked = fields.Boolean(
        required=True,
        metadata={
            "description": "the requested state, which the provider accepted; "
            "`confirmation` is the evidence for it"
        },
    )
    confirmation = fields.String(
        required=True,
        validate=values_of(Confirmation),
        metadata={
            "description": "`provider_state`: the provider returned the new state, and it matches; "
            "`accepted`: the provider reported success without the state; "
            "`read_back`: reading the change back has shown the requested state"
        },
    )
    contact = fields.Nested(ContactSchema, required=True)
    reason = fields.String(metadata={"description": "that of the request, if it has one"})
    ref = fields.String(metadata={"description": "that of the request, if it has one"})


def _time(description: str, **more: Any) -> fields.String:
    return fields.String(
        required=True, metadata={"format": "date-time", "description": description}, **more
    )


_STATES: Final = ("blocked", "unblocked", "unknown")
_CERTAINTIES: Final = ("read_back", "provider_state", "accepted", "none")


def _ledger_fields(*, required: bool) -> dict[str, fields.Field[Any]]:
    """Return the fields of what the ledger knows about a contact."""
    text: dict[str, Any] = {"required": required, "allow_none": True}
    return {
        "state": fields.String(required=required, validate=validate.OneOf(_STATES)),
        "certainty": fields.String(
            required=required,
            validate=validate.OneOf(_CERTAINTIES),
            metadata={"description": "how the state is known, as `confirmation` of a change"},
        ),
        "since": fields.String(
            **text, metadata={"format": "date-time", "description": "since when, in UTC"}
        ),
        "reason": fields.String(**text),
        "ref": fields.String(**text),
    }


LedgerEntrySchema = Schema.from_dict(_ledger_fields(required=True), name="LedgerEntrySchema")


class BlockedContactSchema(ContactSchema):
    """A blocked contact; one of the ledger with what is known about it."""

    state = _ledger_fields(required=False)["state"]
    certainty = _ledger_fields(required=False)["certainty"]
    since = _ledger_fields(required=False)["since"]
    reason = _ledger_fields(required=False)["reason"]
    ref = _ledger_fields(required=False)["ref"]


_CURSOR: Final = {"description": "for the next page; `null` after the last one"}


def _source() -> fields.String:
    return fields.String(
        required=True,
        validate=values_of(Source),
        metadata={"description": "where it was read: from the provider, or from the ledger"},
    )


class BlockedSchema(Schema):
    """A block list, or a page of it."""

    account = fields.String(required=True)
    source = _source()
    contacts = fields.List(fields.Nested(BlockedContactSchema), required=True)
    count = fields.Integer(required=True, validate=validate.Range(min=0))
    others = fields.Integer(
        required=True,
        validate=validate.Range(min=0),
        metadata={"description": "entries that are not contacts, such as channels"},
    )
    cursor = fields.String(required=True, allow_none=True, metadata=_CURSOR)


class SessionSchema(Schema):
    """Whether the account's WhatsApp session is connected."""

    account = fields.String(required=True)
    status = fields.String(required=True, validate=values_of(SessionState))
    provider_word = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "the provider's own word, if it is a documented one"},
    )
    asked_at = fields.String(
        required=True,
        metadata={
            "format": "date-time",
            "description": "the time of the request to the provider, in UTC",
            "example": "2026-11-25T12:30:15.123+00:00",
        },
    )


class LookupSchema(Schema):
    """The lookup of one number."""

    number = fields.String(required=True, metadata={"example": "5511999999999"})
    on_whatsapp = fields.Boolean(
        required=True,
        allow_none=True,
        metadata={"description": "`null`: it is not known; `code` is the reason, if there is one"},
    )
    contact = fields.Nested(
        ContactSchema,
        required=True,
        allow_none=True,
        metadata={"description": "the person by WhatsApp's own id"},
    )
    code = fields.String(
        required=True,
        allow_none=True,
        metadata={"examples": _CODES, "x-extensible-enum": _CODES},
    )
    other_form = fields.Nested(
        lambda: LookupSchema(),
        required=True,
        allow_none=True,
        metadata={
            "description": "the lookup of the number's other form, with `candidates` and for "
            "numbers that have two"
        },
    )


class LookupsSchema(Schema):
    """The lookups, in the order of the request's numbers."""

    account = fields.String(required=True)
    lookups = fields.List(fields.Nested(LookupSchema), required=True)


class StateSchema(Schema):
    """Whether a contact is blocked."""

    account = fields.String(required=True)
    source = _source()
    contact = fields.Nested(ContactSchema, required=True)
    blocked = fields.Boolean(
        required=True,
        allow_none=True,
        metadata={"description": "`null`: it is not known, see `reason`"},
    )
    reason = fields.String(
        required=True,
        allow_none=True,
        validate=validate.OneOf(
            [Unverified.ONLY_LIDS.value, Unverified.INCOMPLETE.value, Unverified.NO_READ.value]
        ),
        metadata={"description": f"why `blocked` is `null`: {_UNKNOWN_STATE}"},
    )
    ledger = fields.Nested(
        LedgerEntrySchema,
        allow_none=True,
        metadata={"description": "where `source` is `ledger`: what it knows; `null` for nothing"},
    )


class CallEntrySchema(Schema):
    """A call of the history; what was not known when it began is null until it ends."""

    id = fields.Integer(required=True, metadata={"description": "grows with each call"})
    account = fields.String(required=True)
    provider = fields.String(required=True)
    action = fields.String(required=True, validate=values_of(Action))
    contact = fields.Nested(ContactSchema, required=True, allow_none=True)
    via = fields.String(required=True, validate=validate.OneOf(VIAS))
    key = fields.String(
        required=True, allow_none=True, metadata={"description": "the name of the API key"}
    )
    request_id = fields.String(required=True, allow_none=True)
    reason = fields.String(required=True, allow_none=True)
    ref = fields.String(required=True, allow_none=True)
    opened_at = _time("when the call began, in UTC")
    closed_at = _time("when it ended, in UTC; `null`: not yet", allow_none=True)
    code = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "`ok`, or an error code", "examples": ["ok", *_CODES]},
    )
    outcome = fields.String(required=True, allow_none=True, validate=values_of(Applied))
    confirmation = fields.String(required=True, allow_none=True, validate=values_of(Confirmation))
    verified = fields.Boolean(required=True, allow_none=True)
    upstream = fields.Nested(lambda: UpstreamSchema(), required=True)
    attempts = fields.Integer(required=True, allow_none=True)
    reads = fields.Integer(required=True, allow_none=True)
    duration_ms = fields.Integer(required=True, allow_none=True)


class CallsSchema(Schema):
    """A page of calls, the newest first."""

    calls = fields.List(fields.Nested(CallEntrySchema), required=True)
    count = fields.Integer(required=True, validate=validate.Range(min=0))
    cursor = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": f"{_CURSOR['description']}. A page may have few calls, or none"},
    )


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
    outcome = fields.String(required=True, validate=values_of(Applied))
    retry = fields.String(required=True, validate=values_of(Retry))
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
        required=True, metadata={"description": "attempts of the call, without `reads`"}
    )
    reads = fields.Integer(
        required=True, metadata={"description": "attempts to read a change back"}
    )
    duration_ms = fields.Integer(required=True, metadata={"description": "milliseconds"})
    recorded = fields.Boolean(
        required=True,
        allow_none=True,
        metadata={
            "description": "whether the call is in the ledger; `null` without a ledger, and where "
            "the ledger itself is read"
        },
    )
    upstream = fields.Nested(UpstreamSchema, required=True)
    route = fields.List(
        fields.String(),
        metadata={
            "description": "for an account with a fallback: the accounts that were called, in "
            "order; `provider` is the one whose response is the result"
        },
    )


_DATA_OF_FAILURE: Final = fields.Raw(required=True, allow_none=True, validate=validate.Equal(None))


def failure_schema(name: str, data: fields.Field[Any] = _DATA_OF_FAILURE) -> type[Schema]:
    """Return the schema of the envelope of a failure, which has no data unless it is given."""
    return _envelope_schema(name, False, data, fields.Nested(ErrorSchema, required=True))


def success_schema(name: str, data: type[Schema]) -> type[Schema]:
    """Return the schema of the envelope of a success with `data`."""
    error = fields.Raw(required=True, allow_none=True, validate=validate.Equal(None))
    return _envelope_schema(name, True, fields.Nested(data, required=True), error)


def _envelope_schema(
    name: str,
    success: bool,
    data: fields.Field[Any],
    error: fields.Field[Any],
) -> type[Schema]:
    content: dict[str, Any] = {
        "success": fields.Boolean(required=True, validate=validate.Equal(success)),
        "data": data,
        "error": error,
        "meta": fields.Nested(MetaSchema, required=True),
    }
    return Schema.from_dict(content, name=name)


FailureEnvelope = failure_schema("FailureEnvelope")
ChangeFailureEnvelope = failure_schema(
    "ChangeFailureEnvelope",
    fields.Nested(
        ReadBackSchema,
        required=True,
        allow_none=True,
        metadata={"description": "`null` unless the change was read back"},
    ),
)
ChangeEnvelope = success_schema("ChangeEnvelope", ChangeSchema)
BlockedEnvelope = success_schema("BlockedEnvelope", BlockedSchema)
SessionEnvelope = success_schema("SessionEnvelope", SessionSchema)
LookupsEnvelope = success_schema("LookupsEnvelope", LookupsSchema)
CallsEnvelope = success_schema("CallsEnvelope", CallsSchema)
StateEnvelope = success_schema("StateEnvelope", StateSchema)
AccountsEnvelope = success_schema("AccountsEnvelope", AccountsSchema)
ProvidersEnvelope = success_schema("ProvidersEnvelope", ProvidersSchema)
StatusEnvelope = success_schema("StatusEnvelope", StatusSchema)
