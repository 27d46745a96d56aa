"""The recorded responses of a provider: their format, and how they are read.

The folder `answers` of a contract holds JSON files. A file is one exchange, or a list of them under
`exchanges`; the keys beside that list are their defaults. The keys of an exchange:

- `title`; `source`, where it was read; `date` (`2026-11`, or a day); `note` is free;
- `provenance`: `documented`, `read in source`, `inferred` or `seen live`. Where request and
  response are known in different ways: `{"request": "documented", "response": "inferred"}`;
- `options`: those of the provider's options that are not secret, as in a configuration. The options
  of an exchange are added to those of its file;
- `command`: `{"action", "contact"}`, the contact as a JID or a user id; none for `list` and
  `status`; of a lookup `{"action", "numbers"}`, a list of digits;
- `request`: `{"method", "path", "headers", "query", "json"}`, all that the provider must send.
  `<token>` stands for the secret in the option `token`; another `<word>` is a fault;
- `response`: `{"status", "headers", "body"}`; `text` in place of `body` is not JSON;
- `outcome`: of a `status` `{"status", "word"}`; of a `state` `{"blocked", "reason"}`; of a
  `lookup` `{"lookups"}`, each `{"on_whatsapp", "contact", "code"}` in the order of the numbers; of
  another success `{"confirmation", "contacts", "others"}`, of a failure `{"code",
  "retry_after", "fields", "provider_code"}`. A contact is `{"number", "lid", "user_id"}`; `others`
  is the number of entries of a list that are not persons; `fields` is a list of names;
- `evidence`, of a success with a body: JSON pointers to the values that prove it, `""` for the
  whole body. With a `?` at its end, the value may be missing, but not wrong. `*` is every entry of
  an array: the values at `/data/items/*/jid` name contacts, any ones, and any number of them, even
  none. For a bare array it is `/*`. The status is evidence too, unless the list has `status?`: the
  success then has several statuses;
- `ignores`, of a success: pointers to booleans of the body that do not matter;
- `next`, of a page of a list: the request for the next page. An exchange whose `request` is the
  `next` of another is a later page; `build_request` does not build it.

A file `live.json` holds what was seen live on the day of the provider's `verified_on`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from marshmallow import Schema, ValidationError, fields, validate

from adapter.codes import Action
from adapter.contacts import Contact, ContactError, is_user_id
from adapter.http import Headers, HttpRequest, HttpResponse, json_response
from adapter.results import Command, Outcome
from adapter.strict_json import Json, StrictJsonError, read_json
from adapter.testing.naming import is_readable_name
from adapter.testing.pointers import GONE, is_pattern, overlaps, places, value_at, values_at
from adapter.testing.recorded_outcomes import OutcomeSchema, read_outcome
from adapter.testing.reporting import shown_path

LIVE_FILE: Final = "live.json"
"""The file of the responses that the live service gave when it was last called."""

ANY_SUCCESS_STATUS: Final = "status?"
"""The entry of `evidence` by which a success has several statuses."""

_SECRET: Final = re.compile(r"<([A-Za-z_][A-Za-z0-9_-]*)>")
_POINTER: Final = r"(/[^/?]+)*\Z|(/[^/?]+)+\?\Z"


class Provenance(StrEnum):
    """How a recorded request or response is known, from weak to strong."""

    INFERRED = "inferred"
    READ_IN_SOURCE = "read in source"
    DOCUMENTED = "documented"
    SEEN_LIVE = "seen live"


class _CommandSchema(Schema):
    action = fields.Enum(Action, by_value=True, required=True)
    contact = fields.String(load_default=None, allow_none=True)
    numbers = fields.List(fields.String(), load_default=list)


class _RequestSchema(Schema):
    method = fields.String(required=True)
    path = fields.String(required=True)
    headers = fields.Dict(fields.String(), fields.String(), load_default=dict)
    query = fields.Dict(fields.String(), fields.String(), load_default=dict)
    json = fields.Raw(load_default=None, allow_none=True)


class _ResponseSchema(Schema):
    status = fields.Integer(strict=True, required=True, validate=validate.Range(100, 599))
    headers = fields.Dict(fields.String(), fields.String(), load_default=dict)
    body = fields.Raw(load_default=None, allow_none=True)
    text = fields.String(load_default=None)


class _ProvenanceField(fields.Field):  # type: ignore[type-arg, unused-ignore]
    """One provenance for both, or one for each of request and response."""

    def _deserialize(
        self, value: Any, attr: Any, data: Any, **kwargs: Any
    ) -> tuple[Provenance, Provenance]:
        match value:
            case str():
                parts = value, value
            case {"request": str(request), "response": str(response)} if len(value) == 2:
                parts = request, response
            case _:
                raise ValidationError('must be a text, or {"request": …, "response": …}')
        try:
            return Provenance(parts[0]), Provenance(parts[1])
        except ValueError:
            raise ValidationError(f"must be one of: {', '.join(Provenance)}") from None


class _ExchangeSchema(Schema):
    title = fields.String(required=True, validate=validate.Length(1))
    source = fields.String(required=True, validate=validate.Length(1))
    date = fields.String(required=True, validate=validate.Regexp(r"^\d{4}-\d{2}(-\d{2})?\Z"))
    provenance = _ProvenanceField(required=True)
    note = fields.String()
    options = fields.Dict(fields.String(), load_default=dict)
    command = fields.Nested(_CommandSchema, required=True)
    request = fields.Nested(_RequestSchema, required=True)
    response = fields.Nested(_ResponseSchema, required=True)
    outcome = fields.Nested(OutcomeSchema, required=True)
    next = fields.Nested(_RequestSchema, load_default=None, allow_none=True)
    evidence = fields.List(
        fields.String(
            validate=validate.Regexp(
                rf"({ANY_SUCCESS_STATUS.replace('?', '[?]')}\Z|{_POINTER})",
                error='must be a pointer ("/data/jid"), or "status?"; the status always is one',
            )
        ),
        load_default=list,
    )
    ignores = fields.List(fields.String(), load_default=list)


@dataclass(frozen=True, slots=True, eq=False)
class Exchange:
    """One recorded exchange: the request of a command, its response, and the outcome of that.

    Compared by identity, so that results can be cached per exchange.

    `evidence` and `ignores` hold pointers; `several_statuses`: the status is not evidence.
    """

    name: str
    file: str
    date: str
    request_provenance: Provenance
    response_provenance: Provenance
    options: Mapping[str, Any]
    command: Command
    request: HttpRequest
    response: HttpResponse
    outcome: Outcome
    next: HttpRequest | None
    evidence: tuple[str, ...]
    ignores: tuple[str, ...]
    several_statuses: bool

    def fresh_response(self) -> HttpResponse:
        """Return the response as a new object, from which nothing has been read."""
        given = self.response
        return HttpResponse(given.status, given.headers, given.body)


def read_answers(folder: Path, secrets: Mapping[str, str]) -> list[Exchange]:
    """Return the exchanges in the JSON files of `folder`, with the secrets filled in.

    Raises AssertionError with every fault of the files; a folder without exchanges is one.
    """
    faults: list[str] = []
    exchanges: list[Exchange] = []
    for path in sorted(folder.glob("*.json")):
        try:
            document = _read_file(path)
        except ValueError as error:
            faults.append(str(error))
            continue
        for place, raw in _spread(shown_path(path), document):
            try:
                exchanges.append(_read_exchange(path, raw, secrets))
            except ValidationError as error:
                faults += [f"{place}: {fault}" for fault in _flatten(error.messages)]
            except ValueError as error:
                faults.append(f"{place}: {error}")
    if not exchanges and not faults:
        faults.append(f"{shown_path(folder)} holds no exchange")
    if faults:
        raise AssertionError("\n".join(faults))
    return exchanges


def _read_file(path: Path) -> Json:
    """Return the document of a file. Raises ValueError with the place at which it is broken."""
    body = path.read_bytes()
    try:
        return read_json(body)
    except StrictJsonError as error:
        try:
            json.loads(body)
        except json.JSONDecodeError as found:
            place = f"line {found.lineno}, column {found.colno}"
            raise ValueError(f"{shown_path(path)}, {place}: {found.msg}") from None
        except ValueError:
            pass
        raise ValueError(f"{shown_path(path)}: {error}") from None


def _spread(name: str, document: Json) -> Iterator[tuple[str, Json]]:
    """Yield each exchange of a file with the file's defaults, and the place for messages."""
    if not (isinstance(document, dict) and "exchanges" in document):
        yield _place(name, document), document
        return
    shared = {key: value for key, value in document.items() if key != "exchanges"}
    listed = document["exchanges"]
    if not isinstance(listed, list) or not listed:
        yield name, None
        return
    for number, own in enumerate(listed, 1):
        whole = own
        if isinstance(own, dict):
            whole = {**shared, **own}
            options = [each.get("options", {}) for each in (shared, own)]
            if all(isinstance(each, dict) for each in options):
                whole["options"] = {**options[0], **options[1]}
        yield _place(f"{name}, exchange {number}", own), whole


def _place(name: str, raw: Json) -> str:
    title = raw.get("title") if isinstance(raw, dict) else None
    return f"{name} ({title})" if isinstance(title, str) else name


def _flatten(messages: Any, above: str = "") -> Iterator[str]:
    """Yield each message of a ValidationError, after the keys that lead to it."""
    if isinstance(messages, dict):
        for key, below in messages.items():
            name = "" if key == "_schema" else str(key)
            yield from _flatten(below, ".".join(filter(None, (above, name))))
    else:
        for text in messages if isinstance(messages, list) else [messages]:
            yield f"{above}: {text}" if above else str(text)


def _read_exchange(path: Path, raw: Json, secrets: Mapping[str, str]) -> Exchange:
    if not isinstance(raw, dict):
        raise ValidationError("an exchange must be an object, and `exchanges` a list of them")
    record = _ExchangeSchema().load(raw)
    named, following = record["command"]["contact"], record["next"]
    command = Command(
        record["command"]["action"],
        named and _read_name(named),
        tuple(Contact(number) for number in record["command"]["numbers"]),
    )
    response = _read_response(record["response"])
    outcome = read_outcome(command, record["outcome"], response.status)
    evidence = tuple(each for each in record["evidence"] if each != ANY_SUCCESS_STATUS)
    _check_evidence(record, outcome, response, evidence)
    if following and outcome.contacts is None:
        raise ValidationError({"next": "only a page of a list has a next one"})
    return Exchange(
        name=f"{shown_path(path)}: {record['title']}",
        file=path.name,
        date=record["date"],
        request_provenance=record["provenance"][0],
        response_provenance=record["provenance"][1],
        options=record["options"],
        command=command,
        request=_read_request("request", record["request"], secrets),
        response=response,
        outcome=outcome,
        next=following and _read_request("next", following, secrets),
        evidence=evidence,
        ignores=tuple(record["ignores"]),
        several_statuses=ANY_SUCCESS_STATUS in record["evidence"],
    )


def _read_name(text: str) -> Contact:
    """Return the contact of a JID, or of a user id, in which there is no `@`."""
    if "@" not in text and is_user_id(text) and not text.isdecimal():
        return Contact(user_id=text)
    try:
        return Contact.from_jid(text)
    except ContactError as error:
        what = f": {error}" if "@" in text else ""
        message = f'must be a JID ("5511999999999@s.whatsapp.net") or a user id{what}'
        raise ValidationError({"command": {"contact": message}}) from None


def _read_request(key: str, raw: Mapping[str, Any], secrets: Mapping[str, str]) -> HttpRequest:
    """Return a request with its secrets. Raises ValidationError for an unknown one."""
    for _, value in places(dict(raw)):
        for name in _SECRET.findall(value) if isinstance(value, str) else ():
            if name not in secrets:
                known = ", ".join(f"<{each}>" for each in secrets) or "none"
                raise ValidationError({key: f"<{name}> is not a secret option; they are: {known}"})
    filled = _fill(dict(raw), secrets)
    headers = Headers(filled["headers"])
    return HttpRequest(filled["method"], filled["path"], headers, filled["query"], filled["json"])


def _fill(value: Json, secrets: Mapping[str, str]) -> Json:
    """Return the value with the secrets in place of their names."""
    if isinstance(value, dict):
        return {key: _fill(item, secrets) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill(item, secrets) for item in value]
    if isinstance(value, str):
        for name, secret in secrets.items():
            value = value.replace(f"<{name}>", secret)
    return value


def _read_response(raw: Mapping[str, Any]) -> HttpResponse:
    if raw["body"] is None:
        return HttpResponse(raw["status"], Headers(raw["headers"]), (raw["text"] or "").encode())
    if raw["text"] is not None:
        raise ValidationError({"response": "give body or text, not both"})
    return json_response(raw["status"], raw["body"], raw["headers"])


def _check_evidence(
    record: Mapping[str, Any], outcome: Outcome, response: HttpResponse, evidence: tuple[str, ...]
) -> None:
    """Raise ValidationError for evidence, or ignored values, that the response does not have."""
    document, ignores = response.document, record["ignores"]
    for key in ("evidence", "ignores"):
        if record[key] and not outcome.ok:
            raise ValidationError({key: "only a success has it"})
        if record[key] and document is None:
            raise ValidationError({key: "a success without a body has none"})
    needs_evidence = outcome.ok and document is not None and len(record["command"]["numbers"]) < 2
    if needs_evidence and not evidence:
        raise ValidationError({"evidence": "name the values of the body that prove the success"})
    for pointer in evidence:
        values = values_at(document, pointer)
        if values is None:
            raise ValidationError({"evidence": f"in {pointer}, a * is not at an array"})
        if is_pattern(pointer):
            if not all(
                is_readable_name(each) or (each is GONE and pointer.endswith("?"))
                for each in values
            ):
                raise ValidationError({"evidence": f"not every value at {pointer} names a contact"})
        elif value_at(document, pointer) is GONE:
            raise ValidationError({"evidence": f"{pointer} is not in the body"})
    for pointer in ignores:
        values = values_at(document, pointer)
        if values is None or not all(isinstance(each, bool) for each in values):
            raise ValidationError({"ignores": f"{pointer} is not a boolean of the body"})
        if any(overlaps(each, pointer) for each in evidence):
            raise ValidationError({"ignores": f"{pointer} is evidence, too"})
