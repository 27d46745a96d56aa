"""Parse a request body: strict JSON, or a form."""

from __future__ import annotations

import codecs
from typing import Final
from urllib.parse import parse_qsl

from flask import Request

from adapter.codes import Code
from adapter.errors import RequestError
from adapter.request_fields import invalid_field
from adapter.results import Outcome
from adapter.strict_json import Json, StrictJsonError, read_json

FORM_TYPE: Final = "application/x-www-form-urlencoded"
_UTF_8_CHARSETS: Final = ("utf-8", "utf8", "us-ascii")
_MAX_FORM_FIELDS: Final = 100


def parse_json_body(body: bytes) -> Json:
    """Return the document of a body; raises RequestError (`invalid_json`) with the reason."""
    if body.startswith(codecs.BOM_UTF8):
        raise invalid_body("starts with a byte order mark; send UTF-8 without one")
    try:
        return read_json(body)
    except StrictJsonError as error:
        raise invalid_body(str(error)) from None


def invalid_body(reason: str) -> RequestError:
    """Return the error of a body that cannot be read (`invalid_json`)."""
    return RequestError(Outcome.failure(Code.INVALID_JSON, fields={"body": (reason,)}))


def unsupported_body(header: str, message: str) -> RequestError:
    """Return the error of a body of another type, charset or coding, named by its header."""
    return RequestError(Outcome.failure(Code.UNSUPPORTED_MEDIA_TYPE, fields={header: (message,)}))


def is_utf_8(request: Request) -> bool:
    """Whether `Content-Type` names UTF-8 or no charset, the default of JSON and of forms."""
    return request.mimetype_params.get("charset", "utf-8").lower() in _UTF_8_CHARSETS


def parse_form_body(body: bytes) -> dict[str, Json]:
    """Return the fields of a body of `application/x-www-form-urlencoded`, each a text.

    Raises RequestError (`validation_error`) for an invalid form, and for a repeated field.
    """
    try:
        pairs = parse_qsl(
            body.decode("utf-8"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MAX_FORM_FIELDS,
        )
    except ValueError:
        message = f"must be a form in UTF-8 of at most {_MAX_FORM_FIELDS} fields"
        raise invalid_field("body", message) from None
    found = dict(pairs)
    if len(found) != len(pairs):
        raise invalid_field("body", "holds a field of the form twice")
    return dict(found)
