"""Schemas of the requests and responses about plans."""

from __future__ import annotations

from typing import Any, Final

from marshmallow import Schema, fields, validate

from adapter.web.batch_documents import STATUSES
from adapter.web.batch_schemas import MAX_ITEMS, BatchItemSchema, BatchSchema
from adapter.web.plan_documents import BASES, GUARDS, OPS
from adapter.web.request_schemas import Flag, RequestSchema, Whole, text_field
from adapter.web.schemas import success_schema

_NOT_A_COUNT: Final = "must be a whole number from 0"
_GUARD: Final = f"must be one of: {', '.join(GUARDS)}"


class PlanOptionsSchema(RequestSchema):
    """A plan without the rows of its source."""

    target = text_field("Name of the account whose list is to change", "support-2", 128)
    source = text_field("Name of the account whose list is wanted", "support", 128)
    from_ledger = text_field(
        "In place of `source`: whom the ledger has as to be blocked for this account",
        "support",
        128,
    )
    mirror = Flag(
        metadata={
            "description": "Also unblock what the target alone has and was blocked by this "
            "service; by default `false`"
        }
    )
    allow_unblocks = Whole(
        validate=validate.Range(0, 10**9, error=_NOT_A_COUNT),
        error_messages={"invalid": _NOT_A_COUNT, "null": _NOT_A_COUNT},
        metadata={"description": "The most contacts that it may unblock, by default 0"},
    )
    allow = fields.List(
        fields.String(validate=validate.OneOf(GUARDS, error=_GUARD)),
        metadata={
            "description": "Guards that are lifted for this plan: `empty`, a list is empty while "
            "the ledger has entries; `shrunk`, a list has lost more than 30 % since it was last "
            "read; `not_recent`, the provider blocks only who has written of late: try it"
        },
    )


class PlanRequestSchema(PlanOptionsSchema):
    """A plan: its target, and one source: `source`, `from_ledger` or `items`."""

    items = fields.List(
        fields.Nested(BatchItemSchema),
        validate=validate.Length(1, MAX_ITEMS),
        metadata={"description": "In place of `source`: who is to be blocked"},
    )


class ApplyRequestSchema(RequestSchema):
    """How a plan is applied."""

    verify = Flag(
        metadata={
            "description": "Whether the result is compared with the provider's list at the end; "
            "by default `false`"
        }
    )


# --- responses

_TEXT: Final[dict[str, Any]] = {"required": True, "allow_none": True}

OpsSchema = Schema.from_dict({op: fields.Integer(required=True) for op in OPS}, name="OpsSchema")
"""The contacts of a plan by what is done with them."""


class BasesSchema(Schema):
    """Where the lists come from."""

    source = fields.String(required=True, validate=validate.OneOf(BASES))
    target = fields.String(required=True, validate=validate.OneOf(BASES))


class SizesSchema(Schema):
    """The entries of the lists when they were read."""

    source = fields.Integer(required=True)
    target = fields.Integer(required=True)


class PlanSchema(Schema):
    """A plan. Its contacts are the items of the batch with the same id."""

    id = fields.Integer(required=True)
    status = fields.String(required=True, validate=validate.OneOf(STATUSES))
    source = fields.String(**_TEXT, metadata={"description": "`null`: the source are items"})
    target = fields.String(required=True)
    same = fields.Boolean(
        required=True,
        metadata={
            "description": "both accounts have one WhatsApp number, and so one list: it is "
            "compared, and nothing is sent"
        },
    )
    bases = fields.Nested(BasesSchema, required=True)
    sizes = fields.Nested(SizesSchema, required=True)
    ops = fields.Nested(OpsSchema, required=True)
    changes = fields.Integer(
        required=True, metadata={"description": "the sum of block, unblock, missing and extra"}
    )
    mirror = fields.Boolean(required=True)
    allow_unblocks = fields.Integer(required=True)
    allow = fields.List(fields.String(validate=validate.OneOf(GUARDS)), required=True)
    digest = fields.String(
        required=True, metadata={"description": "a keyed hash: equal for equal changes"}
    )
    batch = fields.Nested(BatchSchema, required=True)


class PlanDataSchema(Schema):
    """One plan."""

    plan = fields.Nested(PlanSchema, required=True)


PlanEnvelope = success_schema("PlanEnvelope", PlanDataSchema)
