"""Who is to be blocked: a person on WhatsApp, parsed from what callers and providers write."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Self

import phonenumbers

from adapter.privacy import mask_number

MAX_TEXT = 64
"""Longest text, in characters, that is looked at as a number or a JID."""

_SEPARATORS = str.maketrans("", "", " -().")
_DIGITS = re.compile(r"[0-9]{8,15}")
_JID = re.compile(r"(?P<user>[0-9]{1,20})(?::[0-9]{1,4})?@(?P<server>s\.whatsapp\.net|c\.us|lid)")
_COUNTRIES = frozenset(map(str, phonenumbers.COUNTRY_CODE_TO_REGION_CODE))
_STILL_IN_USE = re.compile(r"521[0-9]{10}")  # Mexican mobiles before 2019; WhatsApp keeps their 1
_NOT_A_PERSON = {
    "g.us": "a group",
    "newsletter": "a channel",
    "broadcast": "a broadcast list or the status feed",
}


class ContactError(ValueError):
    """The text names nobody who can be blocked.

    `fields` maps each field at fault to its messages. They never repeat the text itself.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.fields: dict[str, tuple[str, ...]] = {field: (message,)}


class NotAPersonError(ContactError):
    """The JID names a group, a channel or something else that is no person."""


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
        cls, number: str | None = None, jid: str | None = None, default_region: str | None = None
    ) -> Self:
        """Return the person whom a caller names by `number`, by `jid`, or by both.

        A number must be possible by the international numbering plan. National numbers are taken
        only with a `default_region` (ISO 3166 alpha-2, such as `BR`). Digits are never rewritten:
        the Brazilian ninth digit is neither added nor removed.

        Raises ContactError where the text names nobody, something that is not a person, or two
        different people.
        """
        if number is None and jid is None:
            raise ContactError("number", "give a number or a jid")
        by_number = None if number is None else _parse_number(number, default_region)
        if jid is None:
            return cls(number=by_number)
        by_jid = cls.from_jid(jid)
        if by_jid.number is not None:
            _require_possible("jid", by_jid.number)
        if by_number is not None and by_jid.number != by_number:
            raise ContactError("jid", "names somebody else than number does; send only one of them")
        return cls(number=by_jid.number, lid=by_jid.lid)

    @classmethod
    def from_jid(cls, jid: str, field: str = "jid") -> Self:
        """Return the person a JID names by its form alone; the numbering plan is not asked.

        This is the reading for a provider's own lists: a number that WhatsApp has accepted is
        right, whatever a numbering plan says. A device part (`:12`) is dropped.

        Raises ContactError where it is no JID of a person.
        """
        match = _JID.fullmatch(jid) if len(jid) <= MAX_TEXT else None
        if match is None:
            kind = _NOT_A_PERSON.get(jid.rpartition("@")[2]) if "@" in jid else None
            if kind is not None:
                raise NotAPersonError(field, f"names {kind}, not a person")
            raise ContactError(field, _why_no_jid(jid))
        if match["server"] == "lid":
            return cls(lid=f"{match['user']}@lid")
        if not _DIGITS.fullmatch(match["user"]):
            raise ContactError(field, "the part before the @ must be a number of 8 to 15 digits")
        return cls(number=match["user"])

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
        """The person in a form fit for logs: `5511*****9999`, or a masked LID."""
        if self.number is not None:
            return mask_number(self.number)
        if self.lid is not None:
            digits, _, server = self.lid.partition("@")
            return f"{mask_number(digits)}@{server}"
        country, _, digits = str(self.user_id).partition(".")
        return f"{country}.{mask_number(digits)}"

    def __repr__(self) -> str:
        return f"Contact({self.masked})"


def _why_no_jid(jid: str) -> str:
    server = jid.rpartition("@")[2]
    if "@" in jid and server in _NOT_A_PERSON:
        return f"names {_NOT_A_PERSON[server]}, not a person"
    return (
        "must be a person's JID: digits followed by @s.whatsapp.net, @c.us or @lid "
        "(a bare phone number goes into number)"
    )


def _parse_number(text: str, default_region: str | None) -> str:
    stripped = text.translate(_SEPARATORS) if len(text) <= MAX_TEXT else ""
    international = stripped.startswith(("+", "00"))
    digits = stripped.removeprefix("+") if stripped.startswith("+") else stripped.removeprefix("00")
    if international or default_region is None:
        if not _DIGITS.fullmatch(digits):
            raise ContactError(
                "number",
                "must be an international phone number of 8 to 15 digits; it may hold spaces, "
                "dashes, parentheses, dots and a leading + or 00, and nothing else",
            )
        _require_possible("number", digits)
        return digits
    return _parse_national(digits, default_region)


def _parse_national(digits: str, region: str) -> str:
    if re.fullmatch(r"[0-9]{2,17}", digits):
        try:
            parsed = phonenumbers.parse(digits, region)
        except phonenumbers.NumberParseException:
            pass
        else:
            whole = f"{parsed.country_code}{phonenumbers.national_significant_number(parsed)}"
            if phonenumbers.is_possible_number(parsed) and _DIGITS.fullmatch(whole):
                return whole
    raise ContactError(
        "number",
        f"is no possible phone number in region {region}; "
        "write a number of another country with a leading +",
    )


def _is_plainly_possible(digits: str) -> bool:
    """Whether the plan allows the digits, of which nothing looks like a prefix for dialling.

    The library's own parser says the same at several times the cost; it is asked for all others.
    """
    code = next((size for size in (1, 2, 3) if digits[:size] in _COUNTRIES), None)
    if code is None or _dialling_prefix(digits[:code]).match(digits, code):
        return False
    parsed = phonenumbers.PhoneNumber(int(digits[:code]), int(digits[code:]))
    return phonenumbers.is_possible_number(parsed)


@cache
def _dialling_prefix(code: str) -> re.Pattern[str]:
    """Return what a number of this country may begin with when it is dialled at home."""
    region = phonenumbers.COUNTRY_CODE_TO_REGION_CODE[int(code)][0]
    plan = phonenumbers.PhoneMetadata.metadata_for_region_or_calling_code(int(code), region)
    return re.compile("0" if plan is None else f"0|{plan.national_prefix_for_parsing or '0'}")


def _require_possible(field: str, digits: str) -> None:
    """Refuse digits that no country's plan allows. The digits themselves are never changed."""
    if _STILL_IN_USE.fullmatch(digits) or _is_plainly_possible(digits):
        return
    try:
        parsed = phonenumbers.parse(f"+{digits}")
    except phonenumbers.NumberParseException:
        raise ContactError(field, "does not start with a country code that exists") from None
    if not phonenumbers.is_possible_number(parsed):
        raise ContactError(field, "has too few or too many digits for its country")
    national = digits.removeprefix(str(parsed.country_code))
    if national.startswith("0") and not phonenumbers.national_significant_number(parsed).startswith(
        "0"
    ):
        raise ContactError(field, "has a trunk 0 after the country code; leave that 0 out")
