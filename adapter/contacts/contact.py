"""Who is to be blocked: a person on WhatsApp, parsed from what callers and providers write."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Self

from adapter.contacts.errors import ContactError, NotAPersonError
from adapter.contacts.jids import read_jid
from adapter.contacts.numbering import (
    begins_with_code,
    is_grouped_abroad,
    read_at_home,
    require_code_in_one,
    require_possible,
)
from adapter.contacts.user_ids import MAX_USER_ID, is_user_id, resembles_user_id
from adapter.contacts.written import (
    MAX_LINK,
    MAX_TEXT,
    Written,
    is_link,
    looks_dialled,
    read_written,
    trim,
)
from adapter.privacy import mask_number

__all__ = [
    "MAX_LINK",
    "MAX_TEXT",
    "MAX_USER_ID",
    "Contact",
    "ContactError",
    "NotAPersonError",
    "name_field",
]

_SEPARATORS: Final = str.maketrans("", "", "+ -()")
_WHOLE: Final = re.compile(r"\+([0-9]+)(?:[0-9 ()-]*[0-9])?")
"""The usual writing of an international number, which needs no closer look."""


@dataclass(frozen=True, slots=True)
class Contact:
    """A person on WhatsApp, known by phone number (digits only), LID (`<digits>@lid`) or user id.

    `user_id` is Meta's business-scoped id, such as `BR.00000000000000000001`. `repr` masks all of
    them, since each identifies a person.
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
        """Return the person whom a caller names by `number`, by `jid`, by `user_id`, or by several.

        A number must be possible by the international numbering plan; one in a JID is right
        whatever the plan says. National numbers are taken only with a `default_region` (ISO 3166
        alpha-2, such as `BR`). Digits are never rewritten: the Brazilian ninth digit is neither
        added nor removed. A user id beside another name is kept, as the two cannot be compared.

        Raises ContactError where a text names nobody, something that is not a person, or where
        number and JID differ or cannot be compared.
        """
        if number is None and jid is None and user_id is None:
            raise ContactError("number", "give a number, a jid or a user_id")
        user = None if user_id is None else _parse_user_id(user_id)
        if jid is None:
            by_number = None if number is None else _parse_number(number, default_region)
            return cls(number=by_number, user_id=user)
        by_jid = cls.from_jid(_require_jid(jid))
        by_number = by_jid.number
        if number is not None and not _has_digits(number, by_jid.number):
            by_number = _parse_number(number, default_region)
        if by_jid.number is not None and by_jid.number.startswith("0"):
            raise ContactError("jid", "starts with a 0, as no country code does; leave it out")
        if by_number is not None and by_jid.number is None:
            raise ContactError(
                "jid", "is a LID, which cannot be compared with number; send one only"
            )
        if by_number is not None and by_jid.number != by_number:
            raise ContactError("jid", "has other digits than number; send only one of them")
        return cls(number=by_jid.number, lid=by_jid.lid, user_id=user)

    @classmethod
    def from_jid(cls, jid: str, field: str = "jid") -> Self:
        """Return the person a JID names by its form alone; the numbering plan is not asked.

        This is the reading for a provider's own lists: a number that WhatsApp has accepted is
        right, whatever a numbering plan says. An agent and a device (`.0:12`) are dropped, and the
        hosted forms of a person are that person.

        Raises NotAPersonError for what WhatsApp's servers know besides persons, such as groups,
        and ContactError for whatever else is no JID of a person.
        """
        if len(jid) > MAX_TEXT:
            raise ContactError(field, f"is longer than {MAX_TEXT} characters")
        number, lid = read_jid(field, jid)
        return cls(number=number, lid=lid)

    @property
    def jid(self) -> str | None:
        """The JID in WhatsApp's form: `<digits>@s.whatsapp.net`; the LID if there is no number.

        None for a contact of which only the user id is known.
        """
        return f"{self.number}@s.whatsapp.net" if self.number is not None else self.lid

    @property
    def chat_id(self) -> str | None:
        """The JID in the web client's form: `<digits>@c.us`; the LID if there is no number.

        None for a contact of which only the user id is known.
        """
        return f"{self.number}@c.us" if self.number is not None else self.lid

    @property
    def masked(self) -> str:
        """The person in a form fit for logs: `551*******999`, or a masked LID."""
        if self.number is not None:
            return mask_number(self.number)
        if self.lid is not None:
            digits, _, server = self.lid.partition("@")
            return f"{mask_number(digits)}@{server}"
        country, _, digits = str(self.user_id).partition(".")
        return f"{country}.{mask_number(digits)}"

    def __repr__(self) -> str:
        return f"Contact({self.masked})"


def name_field(text: str) -> str:
    """Return the field that a text goes into, by its form: `number`, `jid` or `user_id`."""
    if is_link(text):
        return "number"
    if "@" in text:
        return "jid"
    return "user_id" if resembles_user_id(trim(text)) else "number"


def _require_jid(text: str) -> str:
    """Return the text; raise ContactError where it belongs into another field."""
    field = name_field(text)
    if field == "user_id":
        raise ContactError("jid", "is a user id, not a JID; send it as user_id")
    if field == "number" and (is_link(text) or looks_dialled(text)):
        raise ContactError("jid", "is a phone number, not a JID; send it as number")
    return text


def _parse_user_id(text: str) -> str:
    found = trim(text) if len(text) <= MAX_USER_ID else ""
    if is_user_id(found):
        return found
    hint = "; send a JID as jid" if "@" in text else ""
    if is_link(text) or looks_dialled(text):
        hint = "; send a phone number as number"
    raise ContactError(
        "user_id",
        "must be a country's two capital letters, a dot, and 1 to 128 letters and digits, such as "
        f"US.13491208655302741918{hint}",
    )


def _has_digits(text: str, digits: str | None) -> bool:
    """Whether the text is just these digits and separators, and maybe a + or 00 before them."""
    if digits is None or len(text) > MAX_TEXT:
        return False
    try:
        written = read_written("number", text)
    except ContactError:
        return False
    if written.bracket:
        return False
    return written.digits == digits or (
        not written.international and written.digits == f"00{digits}"
    )


def _parse_number(text: str, region: str | None) -> str:
    if len(text) > MAX_TEXT:
        if name_field(text) == "user_id":
            raise ContactError("number", "is a user id; send it as user_id")
        limit = MAX_LINK if is_link(text) else MAX_TEXT
        if len(text) > limit:
            raise ContactError("number", f"is longer than {limit} characters")
    whole = _WHOLE.fullmatch(text)
    if (whole and begins_with_code(whole[1])) or (
        region is None and text.isdigit() and text.isascii()
    ):
        digits = text.translate(_SEPARATORS)
        if digits and not digits.startswith("0"):
            require_possible("number", digits)
            return digits
    try:
        written = read_written("number", text)
        number = _read_number(written, region)
        require_code_in_one("number", number, written.digits, written.groups)
        return number
    except ContactError as error:
        if region is None:
            raise
        message = f"{error.fields['number'][0]} (national numbers are those of region {region})"
    raise ContactError("number", message)


def _read_number(written: Written, region: str | None) -> str:
    digits = written.digits
    if written.international:
        if digits.startswith("0"):
            raise ContactError("number", "has a 0 where the country code begins; leave it out")
    elif region is not None:
        return read_at_home(
            "number", digits, region, groups=written.groups, bracket=written.bracket
        )
    elif digits.startswith("00"):
        digits = digits[2:]
    elif (
        written.bracket
        or digits.startswith("0")
        or not is_grouped_abroad(digits, written.groups, None)
    ):
        raise ContactError(
            "number",
            "is written as a national number and has no country code; "
            "begin with + and the country code",
        )
    require_possible("number", digits)
    return digits
