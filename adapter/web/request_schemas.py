"""Schemas of requests, which are validated with them, and described by them in OpenAPI."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from marshmallow import Schema, ValidationError, fields, validate

from adapter.codes import Code
from adapter.contacts import MAX_LINK, MAX_TEXT, MAX_USER_ID
from adapter.errors import RequestError
from adapter.history import DEFAULT_LIMIT, MAX_LIMIT, Source
from adapter.pages import CODES, VIAS
from adapter.request_fields import (
    MAX_NUMBERS,
    MAX_REF,
    NUMBERS_LENGTH,
    REASON,
    REASON_RULE,
    limit_faults,
)
from adapter.results import Outcome

_UNKNOWN: Final = "unknown field"
_TEXT: dict[str, Any] = {
    "invalid": "must be text, in quotes",
    "null": "must be text; to send no value, omit the field",
}
_NOT_A_FLAG: Final = "must be true or false, without quotes"


class Flag(fields.Boolean):
    """A boolean, without texts or numbers that marshmallow would convert."""

    default_error_messages = {"invalid": _NOT_A_FLAG, "null": _NOT_A_FLAG}  # noqa: RUF012 - as marshmallow declares it

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return value


class Whole(fields.Integer):
    """A whole number, without texts or booleans that marshmallow would convert."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        if type(value) is not int:
            raise self.make_error("invalid", input=value)
        return value


def text_field(
    description: str, example: str, max_length: int = MAX_TEXT, **more: Any
) -> fields.String:
    """Return the field of a text of at most `max_length` characters."""
    return fields.String(
        error_messages=_TEXT,
        validate=validate.Length(max=max_length, error=f"is longer than {max_length} characters"),
        metadata={"description": description, "example": example, **more},
    )


def limit_field(description: str) -> Whole:
    """Return the field of the size of a page."""
    message = f"must be a whole number from 1 to {MAX_LIMIT}"
    return Whole(
        validate=validate.Range(1, MAX_LIMIT, error=message),
        error_messages={"invalid": message, "null": message},
        metadata={"description": description},
    )


def cursor_field() -> fields.String:
    """Return the field of the cursor of a page."""
    return text_field("`cursor` of the page before", "pbcdfg", 64)


class RequestSchema(Schema):
    """A schema of a request.

    The rules of its texts and flags are `max_lengths`, from the validators, and `flags`.
    """

    error_messages = {"unknown": _UNKNOWN}  # noqa: RUF012 - as marshmallow declares it

    def __init__(self, *args: Any, **rest: Any) -> None:
        super().__init__(*args, **rest)
        self.max_lengths = {
            name: next(each.max for each in field.validators if isinstance(each, validate.Length))
            for name, field in self.fields.items()
            if type(field) is fields.String
        }
        self.flags = {name for name, field in self.fields.items() if isinstance(field, Flag)}
        self._is_required = any(field.required for field in self.fields.values())

    def accepts(self, document: Mapping[str, Any]) -> bool:
        """Whether `load` would return the document as it is: texts of their lengths, and flags."""
        for name, value in document.items():
            limit = self.max_lengths.get(name)
            if limit is None:
                if type(value) is not bool or name not in self.flags:
                    return False
            elif type(value) is not str or len(value) > limit:
                return False
        return not self._is_required


class AccountSchema(RequestSchema):
    """The account; by default the caller's default account, else the configuration's."""

    account = text_field("Name of a configured account", "support", 128)


class TargetSchema(AccountSchema):
    """A contact: `number`, `jid` or `user_id`, or several of one person."""

    number = text_field(
        "International phone number, or a link to it", "+55 11 99999-9999", MAX_LINK
    )
    jid = text_field("JID of a person", "5511999999999@s.whatsapp.net")
    user_id = text_field("Meta's business-scoped user id", "BR.00000000000000000001", MAX_USER_ID)


class ChangeRequestSchema(TargetSchema):
    """The contact to block or unblock."""

    reason = text_field(
        f"Why, in a word: `spam`, `opt_out`, `abuse`, `other`, or your own: {REASON_RULE}. "
        "Never sent to the provider",
        "opt_out",
        64,
        pattern=f"^{REASON.pattern}$",
    )
    ref = text_field(
        "Your own reference, such as a ticket's number. Never sent to the provider, never logged",
        "ticket-17",
        MAX_REF,
    )
    verify = Flag(
        metadata={
            "description": "Whether the change is read back; by default as the account is "
            "configured: `verify` is `unknown` where the provider has a read",
        }
    )


class BlockedRequestSchema(AccountSchema):
    """The block list of an account, or a page of it."""

    source = text_field(
        "Where the list is read; by default from the provider where it has a list, else from the "
        "ledger",
        Source.LEDGER.value,
        enum=[each.value for each in Source],
    )
    limit = limit_field(
        "Maximum number of contacts; without it, the provider's list is whole, and a page of the "
        f"ledger's has {DEFAULT_LIMIT}"
    )
    cursor = cursor_field()


class SearchRequestSchema(TargetSchema):
    """Which calls to read: of an account, or all that the caller may use; of a contact, or all."""

    since = text_field(
        "First time of the calls, by default 24 hours ago",
        "2026-11-25T00:00:00Z",
        format="date-time",
    )
    until = text_field(
        "Time before which the calls began, by default now",
        "2026-11-26T00:00:00Z",
        format="date-time",
    )
    code = text_field("Error code of the calls, or `ok`", "ok", enum=list(CODES))
    via = text_field("Way by which the calls were made", "api", enum=list(VIAS))
    key = text_field("Name of the API key of the calls", "crm")
    limit = limit_field(f"Maximum number of calls, by default {DEFAULT_LIMIT}")
    cursor = cursor_field()


class LookupRequestSchema(AccountSchema):
    """The numbers to look up."""

    numbers = fields.List(
        text_field("International phone number, or a link to it", "+55 11 99999-9999", MAX_LINK),
        required=True,
        validate=validate.Length(1, MAX_NUMBERS, error=NUMBERS_LENGTH),
        error_messages={
            "required": "is required",
            "invalid": "must be a list of texts",
            "null": "must be a list of texts",
        },
        metadata={"description": "The numbers; each has its entry in the response, in order"},
    )
    candidates = Flag(
        metadata={
            "description": "Whether the other form of a Brazilian, Mexican or Argentinian number "
            "is looked up, too"
        }
    )


def load_document(
    schema: RequestSchema, document: Mapping[str, Any], others: Collection[str] = ()
) -> dict[str, Any]:
    """Return the validated document; `others` are fields of the request that it does not hold.

    Raises RequestError (`validation_error`), whose fields name every fault, but at most MAX_FAULTS
    unknown fields, and as many entries of a list.
    """
    if schema.accepts(document):  # marshmallow explains what is refused
        return dict(document)
    try:
        return dict(schema.load(document))
    except ValidationError as error:
        messages = error.messages_dict
    known = ", ".join(sorted({*schema.fields, *others}))
    faults = {
        name: texts
        for field, found in messages.items()
        if field in schema.fields
        for name, texts in _name_faults(field, found)
    }
    unknown = {
        str(name)[:MAX_TEXT]: (f"{_UNKNOWN}; known fields: {known}",)
        for name, texts in messages.items()
        if texts == [_UNKNOWN]
    }
    for name, texts in limit_faults(unknown, "unknown fields").items():
        faults[name] = (*faults.get(name, ()), *texts)
    raise RequestError(Outcome.failure(Code.VALIDATION_ERROR, fields=faults))


def _name_faults(field: str, found: Any) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the messages of a field; of a list, those of its entries as `numbers[3]`."""
    if not isinstance(found, Mapping):
        yield field, tuple(str(text) for text in found)
        return
    entries = {f"{field}[{index}]": tuple(map(str, texts)) for index, texts in found.items()}
    yield from limit_faults(entries, f"invalid {field}").items()
