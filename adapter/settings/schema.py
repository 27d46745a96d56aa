"""The marshmallow schemas of the configuration."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

import phonenumbers
from marshmallow import INCLUDE, Schema, ValidationError, fields, validate, validates_schema

from adapter.codes import Scope, Verify
from adapter.config_names import NAME, holds_phone_number
from adapter.contacts import Contact, ContactError
from adapter.logs import FORMATS, LEVELS
from adapter.options import SecretField
from adapter.secret import Secret
from adapter.settings.database_url import find_queue_fault, find_url_fault
from adapter.settings.model import EVERY_ORIGIN, MAX_BODY
from adapter.urls import MOUNT_PATH


def _require_no_phone_number(name: str) -> None:
    if holds_phone_number(name):
        raise ValidationError(
            "contains a possible phone number, and names are logged; choose another"
        )


_NAME = validate.And(
    validate.Regexp(
        rf"{NAME}\Z",
        error="must start with a letter or digit and hold only letters, digits and ._-",
    ),
    _require_no_phone_number,
)


class _Flag(fields.Boolean):
    """A boolean, without texts or numbers that marshmallow would convert."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return value


class _Seconds(fields.Float):
    """A number, without texts or booleans that marshmallow would convert."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, (str, bool)):
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, attr, data, **kwargs)


class _TextOrSecret(SecretField):
    """A text, or a reference to a secret; unlike other secrets, it may contain spaces."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, str):
            return value
        text = value.reveal() if isinstance(value, Secret) else self._resolve(value)
        if not re.fullmatch(r"[\x20-\x7e]+", text.strip()):
            raise ValidationError("the secret must be visible ASCII, and not empty")
        return Secret(text.strip())


def _whole(minimum: int, maximum: int) -> fields.Integer:
    error = f"must be from {minimum} to {maximum}"
    return fields.Integer(
        strict=True, validate=validate.Range(min=minimum, max=maximum, error=error)
    )


def _one_of(choices: Iterable[str]) -> validate.OneOf:
    return validate.OneOf(list(choices), error=f"must be one of: {', '.join(choices)}")


_NOT_EMPTY: Final = validate.Length(1, error="must have at least 1 entry")


class _PluginsSchema(Schema):
    blocked = fields.List(fields.String(), load_default=list)


class _TransportSchema(Schema):
    _seconds = validate.Range(
        min=0, max=300, min_inclusive=False, error="must be above 0, up to 300"
    )
    connect_timeout = _Seconds(validate=_seconds)
    deadline = _Seconds(validate=_seconds)
    max_in_flight = _whole(1, 100_000)
    breaker_threshold = _whole(0, 1000)
    breaker_pause = _Seconds(validate=_seconds)
    ca_file = fields.String()
    proxy = _TextOrSecret()
    idle_timeout = _Seconds(validate=_seconds)
    list_deadline = _Seconds(validate=_seconds)
    list_max_bytes = _whole(MAX_BODY, 256 * 1024 * 1024)
    list_max_pages = _whole(1, 100_000)
    max_long_responses = _whole(1, 100_000)


class _PaceSchema(Schema):
    per_minute = _whole(1, 100_000)
    max_in_flight = _whole(1, 1000)


class _Phone(fields.String):
    """An international phone number, as the contact that it belongs to."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        text = super()._deserialize(value, attr, data, **kwargs)
        if not text.startswith("+"):
            raise ValidationError('must be an international number that begins with +: "+55…"')
        try:
            return Contact.parse(text)
        except ContactError as error:
            texts = [text for each in error.fields.values() for text in each]
            raise ValidationError("; ".join(texts)) from None


class AccountSchema(Schema):
    """`[accounts.<name>]`: the common keys of an account, beside the options of its provider."""

    class Meta:
        """Unknown keys are options of the provider."""

        unknown = INCLUDE

    provider = fields.String(required=True)
    base_url = fields.Raw()
    aliases = fields.List(
        fields.String(validate=validate.Length(1, 128, error="must have 1 to 128 characters")),
        load_default=list,
    )
    allow_insecure = _Flag(load_default=False)
    transport = fields.Nested(_TransportSchema, load_default=dict)
    headers = fields.Dict(keys=fields.String(), values=_TextOrSecret(), load_default=dict)
    pace = fields.Nested(_PaceSchema, load_default=dict)
    verify = fields.Enum(
        Verify, by_value=True, error_messages={"unknown": "must be one of: {choices}"}
    )
    fallback = fields.String()
    phone = _Phone()


class KeySchema(Schema):
    """`[keys.<name>]`: one API key."""

    secret = SecretField(required=True)
    scopes = fields.List(
        fields.Enum(Scope, by_value=True, error_messages={"unknown": "must be one of: {choices}"}),
        required=True,
        validate=_NOT_EMPTY,
    )
    accounts = fields.List(fields.String(), required=True, validate=_NOT_EMPTY)
    default_account = fields.String()


_ORIGIN = validate.Regexp(
    # Browsers omit the default port of a scheme, so an origin with it would never match.
    r"^(\*|(?!http://.*:80\Z)(?!https://.*:443\Z)"
    r"[a-z][a-z0-9+.-]*://([a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?|\[[0-9a-f:.]+\])(:[1-9][0-9]{0,4})?)\Z",
    error='must be an origin as browsers send it, such as "https://app.example": '
    'lower case, no path, no default port; or "*" alone',
)


class DialectSchema(Schema):
    """`[dialects.<name>]`: the mount of one dialect."""

    prefix = fields.String(
        validate=validate.Regexp(
            rf"^{MOUNT_PATH}\Z", error="must be a path such as /legacy, without a trailing slash"
        )
    )
    host = fields.String(
        validate=validate.Regexp(
            r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?\Z",
            error="must be a lower-case host name without a port",
        )
    )
    cors_origins = fields.List(fields.String(validate=_ORIGIN))

    @validates_schema
    def _check_origins(self, data: Mapping[str, Any], **_: Any) -> None:
        origins = data.get("cors_origins") or []
        if EVERY_ORIGIN in origins and len(origins) > 1:
            message = f'"{EVERY_ORIGIN}" includes all origins; remove the others'
            raise ValidationError(message, "cors_origins")


class _LogSchema(Schema):
    level = fields.String(validate=_one_of(LEVELS))
    format = fields.String(validate=_one_of(FORMATS))


class _Duration(fields.Field):  # type: ignore[type-arg, unused-ignore]
    """A duration such as `180d` or `12h`, in seconds."""

    _UNITS: Final = MappingProxyType({"d": 24 * 3600, "h": 3600})
    _MAX_DAYS: Final = 36_500

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> int:
        written = (
            re.fullmatch(r"([1-9][0-9]{0,6})([dh])", value) if isinstance(value, str) else None
        )
        seconds = int(written[1]) * self._UNITS[written[2]] if written else 0
        if not 0 < seconds <= self._MAX_DAYS * self._UNITS["d"]:
            raise ValidationError(
                f'must be days or hours, such as "180d" or "12h", up to "{self._MAX_DAYS}d"'
            )
        return seconds


class _DatabaseUrl(_TextOrSecret):
    """The URL of a database; one with a password is a secret."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        given = super()._deserialize(value, attr, data, **kwargs)
        fault = find_url_fault(given)
        if fault is not None:
            raise ValidationError(fault)
        return given


class LedgerSchema(Schema):
    """`[ledger]`: the database that records the calls."""

    url = _DatabaseUrl(required=True)
    required = _Flag()
    wait = _Seconds(
        validate=validate.Range(
            min=0, max=10, min_inclusive=False, error="must be above 0, up to 10"
        )
    )
    keep_calls = _Duration()
    table_prefix = fields.String(
        validate=validate.Regexp(
            r"[a-z_][a-z0-9_]{0,31}\Z",
            error="must be 1 to 32 of a-z, 0-9 and _, and not begin with a digit",
        )
    )


class _QueueUrl(_TextOrSecret):
    """The URL of the queue; one with a password is a secret."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        given = super()._deserialize(value, attr, data, **kwargs)
        fault = find_queue_fault(given)
        if fault is not None:
            raise ValidationError(fault)
        return given


class _QueueSchema(Schema):
    url = _QueueUrl(required=True)


class TopSchema(Schema):
    """The top level of the configuration."""

    default_account = fields.String()
    default_region = fields.String(
        validate=validate.OneOf(
            sorted(phonenumbers.SUPPORTED_REGIONS), error='must be a region code such as "BR"'
        )
    )
    accounts = fields.Dict(keys=fields.String(validate=_NAME), required=True)
    keys = fields.Dict(keys=fields.String(validate=_NAME), load_default=dict)
    dialects = fields.Dict(load_default=dict)
    plugins = fields.Nested(_PluginsSchema, load_default=dict)
    transport = fields.Nested(_TransportSchema, load_default=dict)
    log = fields.Nested(_LogSchema, load_default=dict)
    ledger = fields.Nested(LedgerSchema)
    queue = fields.Nested(_QueueSchema)
