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

FORM: Final = "application/x-www-form-urlencoded"
_UTF_8: Final = ("utf-8", "utf8", "us-ascii")
_MOST_FIELDS: Final = 100


def read_strict(body: bytes) -> Json:
    """Return what a caller's body says; raises RequestError (`invalid_json`) with the reason."""
    if body.startswith(codecs.BOM_UTF8):
        raise broken_body("starts with a byte order mark; send UTF-8 without one")
    try:
        return read_json(body)
    except StrictJsonError as error:
        raise broken_body(str(error)) from None


def broken_body(why: str) -> RequestError:
    """Return the error of a body that cannot be read (`invalid_json`), with the reason."""
    return RequestError(Outcome.failure(Code.INVALID_JSON, fields={"body": (why,)}))


def unsupported_body(header: str, message: str) -> RequestError:
    """Return the error that says which header speaks of a body that is not read here."""
    return RequestError(Outcome.failure(Code.UNSUPPORTED_MEDIA_TYPE, fields={header: (message,)}))


def is_utf_8(request: Request) -> bool:
    """Whether the body is in UTF-8, by its `Content-Type`, where JSON and forms are without one."""
    return request.mimetype_params.get("charset", "utf-8").lower() in _UTF_8


def read_form(body: bytes) -> dict[str, Json]:
    """Return the fields of a body of `application/x-www-form-urlencoded`, each a text.

    Raises RequestError (`validation_error`) for one that is no form or names a field twice.
    """
    try:
        pairs = parse_qsl(
            body.decode("utf-8"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError:
        message = f"is no form of at most {_MOST_FIELDS} fields in UTF-8"
        raise invalid_field("body", message) from None
    found = dict(pairs)
    if len(found) != len(pairs):
        raise invalid_field("body", "names one field of the form twice")
    return dict(found)
