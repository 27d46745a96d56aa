"""The outcomes in the files of recorded responses: their format, and how they are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, ValidationError, fields

from adapter.codes import Action, Code, Confirmation
from adapter.contacts import Contact
from adapter.readings import BlockState, Lookup, Reading, Session, SessionState, Unverified
from adapter.response_rules import REFUSED
from adapter.results import Command, Outcome


class _ContactSchema(Schema):
    number = fields.String(load_default=None, allow_none=True)
    lid = fields.String(load_default=None, allow_none=True)
    user_id = fields.String(load_default=None, allow_none=True)


class _LookupSchema(Schema):
    on_whatsapp = fields.Boolean(required=True, allow_none=True)
    contact = fields.Nested(_ContactSchema, load_default=None, allow_none=True)
    code = fields.Enum(Code, by_value=True, load_default=None)


class OutcomeSchema(Schema):
    """The `outcome` of an exchange (`adapter.testing.exchanges`)."""

    status = fields.Enum(SessionState, by_value=True)
    word = fields.String(load_default=None, allow_none=True)
    lookups = fields.List(fields.Nested(_LookupSchema))
    blocked = fields.Boolean(allow_none=True)
    reason = fields.Enum(Unverified, by_value=True, load_default=None, allow_none=True)
    code = fields.Enum(Code, by_value=True, load_default=None)
    confirmation = fields.Enum(Confirmation, by_value=True, load_default=None)
    contacts = fields.List(fields.Nested(_ContactSchema), load_default=None)
    others = fields.Integer(strict=True, load_default=0)
    retry_after = fields.Integer(strict=True, load_default=None)
    rejected = fields.List(fields.String(), data_key="fields", load_default=list)
    provider_code = fields.String(load_default=None)


def read_outcome(command: Command, raw: Mapping[str, Any], status: int) -> Outcome:
    """Return the outcome. Raises ValidationError for one that no response can have."""
    reading = _read_reading(command, raw)
    if reading is not None:
        return Outcome.success(Confirmation.PROVIDER_STATE, reading=reading, upstream_status=status)
    if (raw["code"] is None) is (raw["confirmation"] is None):
        known = " or ".join(f'"{each}"' for each in Confirmation)
        raise ValidationError(
            {"outcome": f"give a success a `confirmation` ({known}), a failure a `code`"}
        )
    contacts = raw["contacts"]
    if raw["confirmation"] and (contacts is None) is (command.action is Action.LIST):
        raise ValidationError({"outcome": "give the success of a list `contacts`, no other"})
    return Outcome(
        raw["code"],
        raw["confirmation"],
        None if contacts is None else tuple(Contact(**contact) for contact in contacts),
        raw["retry_after"],
        dict.fromkeys(raw["rejected"], (REFUSED,)),
        status,
        raw["provider_code"],
        raw["others"],
    )


def _read_reading(command: Command, raw: Mapping[str, Any]) -> Reading | None:
    """Return what a status, a lookup or a state has read; None for a failure or another action."""
    if raw["code"] is not None:
        return None
    match command.action:
        case Action.STATUS if "status" in raw:
            return Session(raw["status"], raw["word"])
        case Action.STATE if "blocked" in raw:
            return BlockState(raw["blocked"], raw["reason"])
        case Action.LOOKUP if len(raw.get("lookups", ())) == len(command.contacts):
            return tuple(
                Lookup(
                    asked,
                    each["on_whatsapp"],
                    each["contact"] and Contact(**each["contact"]),
                    each["code"],
                )
                for asked, each in zip(command.contacts, raw["lookups"], strict=True)
            )
        case Action.STATUS | Action.STATE | Action.LOOKUP:
            raise ValidationError(
                {"outcome": "give a status `status`, a state `blocked`, a lookup its `lookups`"}
            )
    return None
