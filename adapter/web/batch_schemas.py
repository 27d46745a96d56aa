"""Schemas of the requests and responses about batches."""

from __future__ import annotations

from typing import Any, Final

from marshmallow import Schema, fields, validate

from adapter.codes import Code
from adapter.contacts import MAX_LINK, MAX_USER_ID
from adapter.history import DEFAULT_LIMIT
from adapter.request_fields import MAX_REF, REASON_RULE
from adapter.web.batch_documents import ITEM_STATUSES, STATUSES
from adapter.web.request_schemas import (
    AccountSchema,
    Flag,
    RequestSchema,
    cursor_field,
    limit_field,
    text_field,
)
from adapter.web.schemas import ContactSchema, success_schema

MAX_ITEMS: Final = 10_000
"""Maximum number of items of a batch in JSON; a CSV may have more."""

_ACTIONS: Final = ["block", "unblock"]


class BatchOptionsSchema(AccountSchema):
    """A batch without its rows: the query beside a CSV."""

    action = text_field(
        "Action of the rows without their own; required where no row has one",
        "block",
        16,
        enum=_ACTIONS,
    )
    verify = Flag(
        metadata={
            "description": "Whether the result is compared with the provider's list at the end, or "
            "each change is read back where there is no list; by default `false`",
        }
    )
    start = Flag(
        metadata={
            "description": "`false`: the rows are checked and stored, and nothing is sent before "
            "`/start`; by default `true`"
        }
    )


class BatchItemSchema(Schema):
    """One row: a contact, and what differs from the batch."""

    number = text_field(
        "International phone number, or a link to it", "+55 11 99999-9999", MAX_LINK
    )
    jid = text_field("JID of a person", "5511999999999@s.whatsapp.net")
    user_id = text_field("Meta's business-scoped user id", "BR.00000000000000000001", MAX_USER_ID)
    action = text_field(
        "`block` or `unblock`; by default that of the batch", "block", enum=_ACTIONS
    )
    account = text_field("Name of a configured account; by default that of the batch", "support")
    reason = text_field(f"Why, in a word: {REASON_RULE}. Never sent to the provider", "opt_out", 64)
    ref = text_field("Your own reference. Never sent to the provider", "ticket-17", MAX_REF)


class BatchRequestSchema(BatchOptionsSchema):
    """A batch in JSON."""

    items = fields.List(
        fields.Nested(BatchItemSchema),
        required=True,
        validate=validate.Length(1, MAX_ITEMS),
        metadata={
            "description": "The rows. An invalid one is `rejected`, with the reason; its `line` is "
            "its place in this list, from 1"
        },
    )


class BatchListSchema(RequestSchema):
    """A page of batches."""

    limit = limit_field(f"Maximum number of batches, by default {DEFAULT_LIMIT}")
    cursor = cursor_field()


class BatchItemsSchema(RequestSchema):
    """A page of the rows of a batch."""

    status = text_field(
        f"Only rows of this status, or of several with commas between: {', '.join(ITEM_STATUSES)}",
        "failed",
        128,
    )
    limit = limit_field(
        f"Maximum number of rows, by default {DEFAULT_LIMIT}; a CSV without it has all rows"
    )
    cursor = cursor_field()


# --- responses

_TEXT: Final[dict[str, Any]] = {"required": True, "allow_none": True}
_TIME: Final = {"format": "date-time"}


CountsSchema = Schema.from_dict(
    {status: fields.Integer(required=True) for status in ITEM_STATUSES}, name="CountsSchema"
)
"""The rows of a batch by their status; their sum is `rows`."""


class WaitSchema(Schema):
    """An account whose rows wait."""

    account = fields.String(required=True)
    code = fields.String(required=True, metadata={"description": "why they wait"})
    until = fields.String(
        required=True, metadata={**_TIME, "description": "when the next row is tried"}
    )


class BatchSchema(Schema):
    """A batch."""

    id = fields.Integer(required=True)
    kind = fields.String(required=True, validate=validate.OneOf(["batch", "plan"]))
    account = fields.String(required=True)
    action = fields.String(**_TEXT)
    status = fields.String(required=True, validate=validate.OneOf(STATUSES))
    pause_code = fields.String(
        **_TEXT,
        metadata={
            "description": "`code` of the first of `waits`; of a batch with the status `paused`: "
            "`internal_error` after errors of this server, and `null` by request"
        },
    )
    paused_until = fields.String(**_TEXT, metadata=_TIME)
    waits = fields.List(
        fields.Nested(WaitSchema),
        required=True,
        metadata={"description": "the accounts whose rows wait; they go on by themselves"},
    )
    rows = fields.Integer(required=True)
    counts = fields.Nested(CountsSchema, required=True)
    verify = fields.Boolean(required=True)
    via = fields.String(required=True)
    key = fields.String(**_TEXT, metadata={"description": "name of the API key that created it"})
    created_at = fields.String(required=True, metadata=_TIME)
    started_at = fields.String(**_TEXT, metadata=_TIME)
    finished_at = fields.String(**_TEXT, metadata=_TIME)
    seconds_left = fields.Float(
        **_TEXT,
        metadata={"description": "an estimate by the pace of the account; `null` without a pace"},
    )


class ItemSchema(Schema):
    """A row of a batch."""

    row = fields.Integer(required=True)
    line = fields.Integer(required=True, metadata={"description": "line of the file, from 1"})
    account = fields.String(**_TEXT)
    action = fields.String(**_TEXT)
    contact = fields.Nested(
        ContactSchema, **_TEXT, metadata={"description": "`null` where it was rejected"}
    )
    given = fields.String(
        **_TEXT, metadata={"description": "what a rejected row has in place of a contact"}
    )
    status = fields.String(required=True, validate=validate.OneOf(ITEM_STATUSES))
    op = fields.String(
        **_TEXT,
        metadata={
            "description": "of a plan: keep, block, unblock, cannot, unsure, missing or extra"
        },
    )
    code = fields.String(
        **_TEXT,
        metadata={
            "description": "why it failed or was rejected",
            "examples": [Code.INVALID_TARGET.value],
        },
    )
    why = fields.String(**_TEXT, metadata={"description": "the same in words"})
    reason = fields.String(**_TEXT)
    ref = fields.String(**_TEXT)
    attempts = fields.Integer(required=True)
    call_id = fields.Integer(**_TEXT, metadata={"description": "its call in the history"})


class BatchDataSchema(Schema):
    """One batch."""

    batch = fields.Nested(BatchSchema, required=True)


class CreatedSchema(BatchDataSchema):
    """A batch that was created, or the unfinished one of the same rows."""

    existing = fields.Boolean(
        required=True,
        metadata={"description": "an unfinished batch has the same rows; nothing was stored"},
    )


class BatchesSchema(Schema):
    """A page of batches, the newest first."""

    batches = fields.List(fields.Nested(BatchSchema), required=True)
    count = fields.Integer(required=True)
    cursor = fields.String(**_TEXT)


class ItemsSchema(Schema):
    """A page of the rows of a batch, in their order."""

    items = fields.List(fields.Nested(ItemSchema), required=True)
    count = fields.Integer(required=True)
    cursor = fields.String(**_TEXT)


BatchEnvelope = success_schema("BatchEnvelope", BatchDataSchema)
CreatedEnvelope = success_schema("CreatedEnvelope", CreatedSchema)
BatchesEnvelope = success_schema("BatchesEnvelope", BatchesSchema)
ItemsEnvelope = success_schema("ItemsEnvelope", ItemsSchema)
