"""`Row`: one row of a batch, as it is read from a file or a request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from adapter.batches.columns import ACTION_RULE, COLUMNS, IDENTIFIERS, TEXTS, parse_action
from adapter.codes import Action, Code
from adapter.config_names import NAME
from adapter.contacts import Contact, detect_field
from adapter.errors import RequestError
from adapter.ledger.schema import MAX_GIVEN
from adapter.request_fields import read_contact, read_note

CUT: Final = "…"
"""The start of a given text that is not whole. Such a text is never a valid identifier."""

_SEPARATOR: Final = " | "
_NAMED: Final = re.compile(rf"(?:{'|'.join(IDENTIFIERS)}): ")
_ACCOUNT: Final = re.compile(NAME)
_ACCOUNT_RULE: Final = "is not the name of an account"
_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")
"""What a database or UTF-8 cannot hold."""
_FAULT: Final = re.compile(rf"(?:^|; )({'|'.join(TEXTS)}): ")


@dataclass(frozen=True, slots=True)
class Row:
    """One row: a contact and what to do with it, or why it is rejected."""

    line: int
    """The line of the file on which the row starts, from 1."""
    contact: Contact | None
    """None: the row is rejected."""
    given: str
    """The identifiers as they were given, at most MAX_GIVEN characters; see `join_given`."""
    action: Action | None = None
    account: str | None = None
    reason: str | None = None
    ref: str | None = None
    code: str | None = None
    """Of a rejected row: `invalid_target` or `validation_error`."""
    why: str | None = None
    """How to mend a rejected row: `<column>: <message>`, joined by `; `. It holds no number."""

    def __repr__(self) -> str:
        """Return the row without `given`, which may be a person's number."""
        return f"Row(line={self.line}, contact={self.contact!r}, code={self.code!r})"


def build_row(
    line: int,
    texts: Mapping[str, str],
    *,
    default_region: str | None,
    faults: Mapping[str, str] | None = None,
) -> Row:
    """Return the row of these texts by column; it is rejected if one of them is invalid.

    The rules are those of a request. A column without a text is left out. `faults` are messages by
    column of texts that are known to be invalid. A valid text of a rejected row is kept.
    """
    found = dict(faults or {})
    action = account = reason = ref = contact = None
    text = texts.get("action")
    if text and "action" not in found:
        action = parse_action(text)
        if action is None:
            found["action"] = ACTION_RULE
    text = texts.get("account")
    if text and "account" not in found:
        account = text if _ACCOUNT.fullmatch(text) else None
        if account is None:
            found["account"] = _ACCOUNT_RULE
    try:
        reason, _ = read_note(reason=texts.get("reason") if "reason" not in found else None)
    except RequestError as error:
        _add(found, error)
    try:
        _, ref = read_note(ref=texts.get("ref") if "ref" not in found else None)
    except RequestError as error:
        _add(found, error)
    code = Code.VALIDATION_ERROR
    if not found.keys().isdisjoint(IDENTIFIERS):
        code = Code.INVALID_TARGET
    else:
        try:
            contact = read_contact(
                number=texts.get("number"),
                jid=texts.get("jid"),
                user_id=texts.get("user_id"),
                default_region=default_region,
            )
        except RequestError as error:
            _add(found, error)
            code = error.outcome.code or code
    given = join_given(texts)
    if not found:
        return Row(line, contact, given, action, account, reason, ref)
    why = "; ".join(f"{name}: {found[name]}" for name in COLUMNS if name in found)
    return Row(line, None, given, action, account, reason, ref, code.value, why)


def _add(faults: dict[str, str], error: RequestError) -> None:
    """Add the first message of each field, unless the field has one."""
    for name, messages in error.outcome.fields.items():
        faults.setdefault(name, messages[0])


def join_given(texts: Mapping[str, str]) -> str:
    """Return the identifiers of a row as one text; `split_given` returns their columns.

    An identifier that belongs into its column by its form is kept as it is. Otherwise the texts
    have the names of their columns, since another column could give them another meaning.
    """
    named = {
        name: _UNSTORABLE.sub("\ufffd", text) for name in IDENTIFIERS if (text := texts.get(name))
    }
    given = "".join(named.values())
    if split_given(given) != named:
        given = _SEPARATOR.join(f"{name}: {text}" for name, text in named.items())
    if len(given) <= MAX_GIVEN and split_given(given) == named:
        return given
    return CUT + given[: MAX_GIVEN - 1]


def split_given(given: str) -> dict[str, str]:
    """Return the texts of `join_given` by column."""
    if not given:
        return {}
    if not _NAMED.match(given):
        return {detect_field(given): given}
    pairs = (part.partition(": ") for part in given.split(_SEPARATOR))
    return {name: text for name, _, text in pairs if name in IDENTIFIERS}


def find_lost(why: str) -> frozenset[str]:
    """Return the columns whose invalid values a rejected row does not hold, by its `why`."""
    return frozenset(_FAULT.findall(why))
