"""The fields of a provider's options: a secret by reference, and a name that is safe in a path."""

from __future__ import annotations

import re
from os import environ
from typing import Any

from marshmallow import Schema, ValidationError, fields

from adapter.files import MAX_SECRET, FileError, read_file
from adapter.route import PATH_ID_RULE, is_path_id
from adapter.secret import Secret


class Options(Schema):
    """The provider's own keys of an account, as a marshmallow schema. Other keys are refused."""


class SecretField(fields.Field):  # type: ignore[type-arg, unused-ignore]
    """A credential, given by reference: `{ env = "NAME" }` or `{ file = "/path" }`.

    In a Python mapping, an `adapter.Secret` is accepted too. The text is trimmed, and must be
    visible ASCII, since nothing else is safe in an HTTP header. With `in_path`, it must also fit
    into one segment of a path.
    """

    def __init__(self, *, in_path: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.in_path = in_path

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Secret:
        text = value.reveal() if isinstance(value, Secret) else self._resolve(value)
        text = text.strip()
        if not text:
            raise ValidationError("the secret is empty")
        if not re.fullmatch(r"[\x21-\x7e]+", text):
            raise ValidationError("the secret must be visible ASCII without spaces")
        if self.in_path and not is_path_id(text):
            raise ValidationError(f"the secret is sent in a path; it {PATH_ID_RULE}")
        return Secret(text)

    @staticmethod
    def _resolve(value: Any) -> str:
        match value:
            case {"env": str(name)} if len(value) == 1:
                try:
                    return environ[name]
                except (KeyError, UnicodeEncodeError):
                    # The name is not repeated: it may be the secret itself, in the wrong place.
                    raise ValidationError(
                        "the environment has no variable of the given name; set it, or correct "
                        "the name"
                    ) from None
            case {"file": str(name)} if len(value) == 1:
                try:
                    return read_file(name, MAX_SECRET).decode("utf-8")
                except FileError as error:
                    raise ValidationError(f"cannot read the file: {error}") from None
                except UnicodeDecodeError:
                    raise ValidationError("cannot read the file: it is not text in UTF-8") from None
        raise ValidationError('write { env = "NAME" } or { file = "/path" }; never the secret')


def session_field() -> fields.String:
    """Return the option that names a session or instance: required, and safe in a path."""
    return fields.String(required=True, validate=_check_path_id)


def _check_path_id(text: str) -> None:
    if not is_path_id(text):
        raise ValidationError(PATH_ID_RULE)
