"""`Contact`: a person on WhatsApp, parsed from the texts of callers and providers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Self

from adapter.contacts.characters import MAX_TEXT, trim
from adapter.contacts.errors import ContactError
from adapter.contacts.identifiers import MAX_USER_ID, is_user_id, parse_jid, resembles_user_id
from adapter.contacts.national import (
    is_grouped_internationally,
    parse_national,
    require_unbroken_code,
)
from adapter.contacts.numbering import require_possible, starts_with_country_code
from adapter.contacts.parsing import (
    MAX_LINK,
    WrittenNumber,
    is_link,
    looks_like_number,
    parse_number,
)
from adapter.privacy import mask_number

NO_IDENTIFIER: Final = "give a number, a jid or a user_id"
"""The message for a request that names no contact."""

_SEPARATORS: Final = str.maketrans("", "", "+ -()")
_PLAIN_INTERNATIONAL: Final = re.compile(r"\+([0-9]+)(?:[0-9 ()-]*[0-9])?")
"""The usual writing of an international number; it needs no further parsing."""


@dataclass(frozen=True, slots=True)
class Contact:
    """A person on WhatsApp: phone number (digits only), LID (`<digits>@lid`) or user id.

    A LID is an id of WhatsApp that does not reveal the number. `user_id` is Meta's business-scoped
    id, such as `BR.00000000000000000001`. `repr` masks all of them, since each identifies a person.

    Raises ValueError if none of them is set.
    """

    number: str | None = None
    lid: str | None = None
    user_id: str | None = None

    def __post_init__(self) -> None:
        if self.number is None and self.lid is None and self.user_id is None:
            raise ValueError("a contact needs a number, a lid or a user_id")

    @classmethod
    def parse(
        cls,
        number: str | None = None,
        jid: str | None = None,
        default_region: str | None = None,
        user_id: str | None = None,
    ) -> Self:
        """Return the person identified by `number`, `jid` or `user_id`, or by several of them.

        A number must be possible by the international numbering plan; the number in a JID is
        accepted whatever the plan allows. National numbers need a `default_region` (ISO 3166
        alpha-2, such as `BR`). Digits are never rewritten: the Brazilian ninth digit is neither
        added nor removed. A user id is kept beside a number or JID; it cannot be compared with
        them.

        Raises ContactError for an invalid text, for an entity that is not a person, and if number
        and JID differ or cannot be compared.
        """
        if number is None and jid is None and user_id is None:
            raise ContactError("number", NO_IDENTIFIER)
        user = None if user_id is None else _parse_user_id(user_id)
        if jid is None:
            by_number = None if number is None else _parse_number(number, default_region)
            return cls(number=by_number, user_id=user)
        by_jid = cls.from_jid(_require_jid(jid))
        by_number = by_jid.number
        if number is not None and not _has_digits(number, by_jid.number):
            by_number = _parse_number(number, default_region)
        if by_jid.number is not None and by_jid.number.startswith("0"):
            raise ContactError("jid", "starts with 0, but no country code does; remove the 0")
        if by_number is not None and by_jid.number is None:
            raise ContactError(
                "jid", "is a LID, which cannot be compared with number; send only one of them"
            )
        if by_number is not None and by_jid.number != by_number:
            raise ContactError("jid", "has other digits than number; send only one of them")
        return cls(number=by_jid.number, lid=by_jid.lid, user_id=user)

    @classmethod
    def from_jid(cls, jid: str, field: str = "jid") -> Self:
        """Return the person of a JID, read by its form alone, without the numbering plan.

        Use it for the lists of providers: WhatsApp has accepted their numbers, whatever a numbering
        plan allows. Agent and device (`.0:12`) are dropped; the hosted forms of a person are read
        as that person.

        Raises NotAPersonError for other entities of WhatsApp's servers, such as groups, and
        ContactError for any other text that is not the JID of a person.
        """
        if len(jid) > MAX_TEXT:
            raise ContactError(field, f"is longer than {MAX_TEXT} characters")
        number, lid = parse_jid(field, jid)
        return cls(number=number, lid=lid)

    @property
    def jid(self) -> str | None:
        """The JID in WhatsApp's form, `<digits>@s.whatsapp.net`; the LID if there is no number.

        None if only the user id is known.
        """
        return f"{self.number}@s.whatsapp.net" if self.number is not None else self.lid

    @property
    def masked(self) -> str:
        """The masked identifier for logs: `551*******999`, a masked LID or a masked user id."""
        if self.number is not None:
            return mask_number(self.number)
        if self.lid is not None:
            digits, _, server = self.lid.partition("@")
            return f"{mask_number(digits)}@{server}"
        country, _, digits = str(self.user_id).partition(".")
        return f"{country}.{mask_number(digits)}"

    def __repr__(self) -> str:
        return f"Contact({self.masked})"


def detect_field(text: str) -> str:
    """Return the field for a text by its form: `number`, `jid` or `user_id`."""
    if is_link(text):
        return "number"
    if "@" in text:
        return "jid"
    return "user_id" if resembles_user_id(trim(text)) else "number"


def _require_jid(text: str) -> str:
    """Return the text; raise ContactError if it belongs into another field."""
    field = detect_field(text)
    if field == "user_id":
        raise ContactError("jid", "is a user id, not a JID; send it as user_id")
    if field == "number" and (is_link(text) or looks_like_number(text)):
        raise ContactError("jid", "is a phone number, not a JID; send it as number")
    return text


def _parse_user_id(text: str) -> str:
    found = trim(text) if len(text) <= MAX_USER_ID else ""
    if is_user_id(found):
        return found
    hint = "; send a JID as jid" if "@" in text else ""
    if is_link(text) or looks_like_number(text):
        hint = "; send a phone number as number"
    raise ContactError(
        "user_id",
        "must be a country's two capital letters, a dot, and 1 to 128 letters and digits, such as "
        f"US.13491208655302741918{hint}",
    )


def _has_digits(text: str, digits: str | None) -> bool:
    """Whether the text is exactly these digits, with separators and an optional + or 00."""
    if digits is None or len(text) > MAX_TEXT:
        return False
    try:
        written = parse_number("number", text)
    except ContactError:
        return False
    if written.parenthesized:
        return False
    return written.digits == digits or (
        not written.international and written.digits == f"00{digits}"
    )


def _parse_number(text: str, region: str | None) -> str:
    if len(text) > MAX_TEXT:
        if detect_field(text) == "user_id":
            raise ContactError("number", "is a user id; send it as user_id")
        limit = MAX_LINK if is_link(text) else MAX_TEXT
        if len(text) > limit:
            raise ContactError("number", f"is longer than {limit} characters")
    plain = _PLAIN_INTERNATIONAL.fullmatch(text)
    if (plain and starts_with_country_code(plain[1])) or (
        region is None and text.isdigit() and text.isascii()
    ):
        digits = text.translate(_SEPARATORS)
        if digits and not digits.startswith("0"):
            require_possible("number", digits, marked=plain is not None)
            return digits
    try:
        written = parse_number("number", text)
        number = _resolve(written, region)
        require_unbroken_code("number", number, written.digits, written.groups)
        return number
    except ContactError as error:
        if region is None:
            raise
        message = f"{error.fields['number'][0]} (the region of national numbers is {region})"
    raise ContactError("number", message)


def _resolve(written: WrittenNumber, region: str | None) -> str:
    """Return the international number of a written one."""
    digits = written.digits
    marked = written.international or digits.startswith("00")
    if written.international:
        if digits.startswith("0"):
            raise ContactError("number", "has a 0 in place of the country code; remove the 0")
    elif region is not None:
        return parse_national(
            "number", digits, region, groups=written.groups, parenthesized=written.parenthesized
        )
    elif digits.startswith("00"):
        digits = digits[2:]
    elif (
        written.parenthesized
        or digits.startswith("0")
        or not is_grouped_internationally(digits, written.groups, None)
    ):
        raise ContactError(
            "number",
            "is a national number and has no country code; start with + and the country code",
        )
    require_possible("number", digits, marked=marked)
    return digits
