"""Check the fallbacks of the accounts: other providers for the same WhatsApp accounts."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from adapter.config_names import display_name
from adapter.contacts import Contact, Relation, relation
from adapter.settings.model import AccountSettings
from adapter.settings.validation import Validator


def check_fallbacks(
    validator: Validator, accounts: Mapping[str, AccountSettings], names: Collection[str]
) -> None:
    """Report a fallback that is unknown, the account itself, or of another phone number.

    `names` are all accounts, those that cannot be loaded included. Two accounts may be the
    fallbacks of each other: the fallback of a fallback is not followed.
    """
    for name, account in accounts.items():
        if account.fallback is None:
            continue
        path = f"accounts.{display_name(name)}.fallback"
        if account.fallback == name:
            message = "is the account itself; name an account of another provider, or remove it"
            validator.report(path, message)
            continue
        validator.require_account(path, account.fallback, names)
        other = accounts.get(account.fallback)
        if other is not None and _are_different(account.phone, other.phone):
            validator.report(
                path,
                f"is another WhatsApp account: {display_name(other.name)} has the phone "
                f"{_masked(other.phone)}, and this account {_masked(account.phone)}; name an "
                "account with the same phone, or correct the phone",
            )


def _are_different(phone: Contact | None, other: Contact | None) -> bool:
    """Whether the phones are certainly two; WhatsApp keeps two forms of some numbers."""
    if phone is None or other is None:
        return False
    return relation(phone, other) is Relation.DIFFERENT


def _masked(phone: Contact | None) -> str:
    return "" if phone is None else phone.masked
