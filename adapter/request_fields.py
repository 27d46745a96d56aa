"""Parse the fields of a caller's request."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import islice
from typing import Final

from adapter.codes import Code
from adapter.contacts import NO_IDENTIFIER, Contact, ContactError, detect_field
from adapter.errors import RequestError
from adapter.http import HttpRequest
from adapter.results import Outcome
from adapter.strict_json import Json

MAX_NUMBERS: Final = 100
"""The most numbers of one lookup."""

MAX_FAULTS: Final = 8
"""The most unknown fields, and the most invalid numbers, that an error names."""

REASON: Final = re.compile(r"[a-z0-9_-]{1,64}")
REASON_RULE: Final = "1 to 64 of: lower-case letters, digits, _ and -"
"""The form of a reason; the usual ones are `spam`, `opt_out`, `abuse` and `other`."""

MAX_REF: Final = 128
"""Maximum length of a caller's reference, in characters."""

MAX_KEY: Final = 255
"""Maximum length of an idempotency key, in characters."""

KEY_HEADER: Final = "Idempotency-Key"

_PLAIN_KEY: Final = re.compile(r"[\x21\x23-\x7e]+")
_QUOTED_KEY: Final = re.compile(r'"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])+)"')
_NOT_A_KEY: Final = (
    f"must be one key of 1 to {MAX_KEY} visible characters in double quotes, such as a new UUID"
)

NUMBERS_LENGTH: Final = f"must have 1 to {MAX_NUMBERS} entries"


def read_contact(
    *,
    number: Json = None,
    jid: Json = None,
    default_region: str | None = None,
    user_id: Json = None,
) -> Contact:
    """Return the contact that a request names by `number`, `jid` or `user_id`, or by several.

    Raises RequestError: `validation_error` without any name, or for one that is not text,
    `invalid_target` if the text is not a contact that can be blocked.
    """
    for name, value in (("number", number), ("jid", jid), ("user_id", user_id)):
        if value is not None and not isinstance(value, str):
            raise invalid_field(name, "must be text, in quotes")
    if number is None and jid is None and user_id is None:
        raise invalid_field("number", NO_IDENTIFIER)
    try:
        return Contact.parse(number, jid, default_region, user_id)
    except ContactError as error:
        raise RequestError(Outcome.failure(Code.INVALID_TARGET, fields=error.fields)) from None


def read_lookup_numbers(numbers: object, default_region: str | None = None) -> tuple[Contact, ...]:
    """Return the contacts of a lookup's numbers, in order.

    Raises RequestError: `validation_error` for anything but 1 to MAX_NUMBERS texts,
    `invalid_target` for texts that are not numbers. Its fields name each as `numbers[3]`, but at
    most MAX_FAULTS of them.
    """
    if isinstance(numbers, str) or not isinstance(numbers, Iterable):
        raise invalid_field("numbers", "must be a list of texts")
    texts = list(islice(numbers, MAX_NUMBERS + 1))
    if not 1 <= len(texts) <= MAX_NUMBERS:
        raise invalid_field("numbers", NUMBERS_LENGTH)
    contacts: list[Contact] = []
    faults: dict[str, Outcome] = {}
    for index, text in enumerate(texts):
        try:
            if text is None:
                raise invalid_field("number", "must be text, in quotes")
            if isinstance(text, str) and detect_field(text) == "jid":
                message = "must be a phone number; an id cannot be looked up"
                raise RequestError(
                    Outcome.failure(Code.INVALID_TARGET, fields={"number": (message,)})
                )
            contacts.append(read_contact(number=text, default_region=default_region))
        except RequestError as error:
            faults[f"numbers[{index}]"] = error.outcome
    if not faults:
        return tuple(contacts)
    codes = [outcome.code for outcome in faults.values()]
    code = Code.VALIDATION_ERROR if Code.VALIDATION_ERROR in codes else Code.INVALID_TARGET
    fields = {name: outcome.fields["number"] for name, outcome in faults.items()}
    raise RequestError(Outcome.failure(code, fields=limit_faults(fields, "invalid numbers")))


def read_note(reason: object = None, ref: object = None) -> tuple[str | None, str | None]:
    """Return the caller's reason and reference of a change; raises RequestError."""
    if reason is not None and (not isinstance(reason, str) or not REASON.fullmatch(reason)):
        raise invalid_field("reason", f"must be {REASON_RULE}")
    if ref is not None and (
        not isinstance(ref, str) or not 1 <= len(ref) <= MAX_REF or not ref.isprintable()
    ):
        raise invalid_field("ref", f"must be text of 1 to {MAX_REF} printable characters")
    return reason, ref


def read_idempotency_key(text: object) -> str:
    """Return the key of a header or an argument: a quoted text, or the key without quotes.

    A quoted text is one of structured fields (RFC 9651). Raises RequestError for any other.
    """
    if isinstance(text, str):
        plain, quoted = _PLAIN_KEY.fullmatch(text), _QUOTED_KEY.fullmatch(text)
        key = plain[0] if plain else re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else ""
        if 1 <= len(key) <= MAX_KEY:
            return key
    raise invalid_field(KEY_HEADER, _NOT_A_KEY)


def limit_faults(fields: Mapping[str, tuple[str, ...]], others: str) -> dict[str, tuple[str, ...]]:
    """Return the first MAX_FAULTS fields, and the count of the `others`."""
    shown = dict(islice(fields.items(), MAX_FAULTS))
    if len(fields) > MAX_FAULTS:
        shown["others"] = (f"{len(fields) - MAX_FAULTS} more {others}",)
    return shown


def read_number_or_jid(text: str, field: str = "") -> Contact:
    """Return the contact that a text names: by JID or by number, depending on its form.

    Raises RequestError (`invalid_target`) if it is not a contact that can be blocked; `field` is
    the text's field in the request, if that is neither `number` nor `jid`.
    """
    try:
        is_jid = detect_field(text) == "jid"
        return read_contact(jid=text) if is_jid else read_contact(number=text)
    except RequestError as error:
        if not field:
            raise
        raise _renamed(error, field) from None


def _renamed(error: RequestError, field: str) -> RequestError:
    """Return the error with its messages under the name that the field has in the request."""
    messages = tuple(text for texts in error.outcome.fields.values() for text in texts)
    return RequestError(replace(error.outcome, fields={field: messages}))


def read_native_numbers(value: Json, field: str = "numbers") -> tuple[Contact, ...]:
    """Return the contacts of a list of numbers, of at most `MAX_NUMBERS`, each once.

    An entry is a number, or the JID of one. Raises RequestError: `validation_error` for any other
    value, `invalid_target` for an entry without a number.
    """
    is_list = isinstance(value, list) and 1 <= len(value) <= MAX_NUMBERS
    if not is_list or not all(isinstance(each, str) for each in value):
        raise invalid_field(field, f"must be a list of 1 to {MAX_NUMBERS} numbers, as texts")
    contacts = [read_number_or_jid(text, field) for text in value]
    if any(contact.number is None for contact in contacts):
        fields = {field: ("must be numbers; a LID cannot be looked up",)}
        raise RequestError(Outcome.failure(Code.INVALID_TARGET, fields=fields))
    return tuple(dict.fromkeys(contacts))


def require_number(contact: Contact) -> str:
    """Return the contact's number, for a provider that names contacts by number only.

    Raises RequestError (`invalid_target`) for a contact of which only the LID is known.
    """
    if contact.number is None:
        fields = {"jid": ("this provider names contacts by phone number only; send the number",)}
        raise RequestError(Outcome.failure(Code.INVALID_TARGET, fields=fields))
    return contact.number


def read_object(request: HttpRequest) -> Mapping[str, Json]:
    """Return the JSON object of the request's body; an empty one without a body.

    Raises RequestError (`validation_error`) for any other JSON.
    """
    if request.json is None:
        return {}
    if not isinstance(request.json, dict):
        raise invalid_field("body", "must be a JSON object")
    return request.json


def read_texts(body: Mapping[str, Json], *names: str) -> tuple[str, ...]:
    """Return the texts of the body under these names.

    Raises RequestError (`validation_error`) for the first that is missing or not text.
    """
    for name in names:
        if not isinstance(body.get(name), str):
            raise invalid_field(name, "is required and must be text")
    return tuple(body[name] for name in names)


def invalid_field(name: str, message: str) -> RequestError:
    """Return the error of one invalid field."""
    return RequestError(Outcome.failure(Code.VALIDATION_ERROR, fields={name: (message,)}))
