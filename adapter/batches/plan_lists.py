"""The lists of a plan: read from the provider, else from the ledger, and checked by the guards."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any, Final

import sqlalchemy as sa

from adapter.account import Account
from adapter.batches.plan_model import FLAGS, Basis, Guard, ListRead, Wanted
from adapter.batches.plan_sorting import Fact, Known, Target
from adapter.call_context import CallContext
from adapter.codes import Action, Code
from adapter.config_names import display_name
from adapter.contacts import Contact, Relation, relation
from adapter.containment import contain
from adapter.errors import RequestError
from adapter.fallback import offered_actions
from adapter.ledger.ledger import Ledger
from adapter.ledger.schema import Tables
from adapter.readings import Session
from adapter.results import Command, Outcome
from adapter.service import Service
from adapter.wording import count_of

MIN_GUARDED: Final = 10
"""The entries from which on a list is guarded against shrinking."""

MAX_SHRINK: Final = 0.3
"""The part of a list that may be gone since it was last read."""

PAGE: Final = 5000
"""Rows of one query."""

MAX_PLANS: Final = 1000
"""Plans in which the last size of a list is looked for."""


def read_list(service: Service, name: str, context: CallContext) -> ListRead | None:
    """Return the whole list of the provider; None where the account has none.

    Raises RequestError with the code of the failure where it cannot be read whole.
    """
    account = service.accounts.get(name)
    if account is None:
        raise RequestError(Outcome.failure(Code.ACCOUNT_NOT_FOUND))
    if Action.LIST not in offered_actions(account):
        return None
    result = service.perform(name, Command(Action.LIST), context=context)
    if result.contacts is None:
        outcome = result.outcome
        message = f"The list of {display_name(name)} could not be read whole: {outcome.message}"
        raise RequestError(replace(outcome, message=message))
    known = map(account.identities.complete, result.contacts)
    wanted = tuple(Wanted(contact, line) for line, contact in enumerate(known, 1))
    return ListRead(name, Basis.PROVIDER, wanted)


def read_ledger_list(ledger: Ledger, name: str, *, wishes: bool) -> ListRead:
    """Return the list by the ledger: who is blocked, or with `wishes` who is to be blocked."""
    blocks = ledger.tables.blocks
    column = blocks.c.wanted if wishes else blocks.c.state
    rows = _read_blocks(ledger, name, column == "blocked")
    wanted = tuple(
        Wanted(Contact(row.number, row.lid, row.user_id), line, row.reason, row.ref)
        for line, row in enumerate(rows, 1)
    )
    return ListRead(name, Basis.LEDGER, wanted)


def read_known(ledger: Ledger, account: Account) -> Known:
    """Return what the ledger has about the contacts of the account."""
    facts = (
        (Contact(row.number, row.lid, row.user_id), Fact(row.wanted, row.state, row.certainty))
        for row in _read_blocks(ledger, account.name, sa.true())
    )
    return Known(facts, account.identities)


def _read_blocks(ledger: Ledger, name: str, where: sa.ColumnElement[bool]) -> Iterator[Any]:
    """Yield the blocks of an account with their contacts, but for erased persons."""
    tables = ledger.tables
    blocks, contacts = tables.blocks, tables.contacts
    query = (
        sa.select(blocks, contacts.c.number, contacts.c.lid, contacts.c.user_id)
        .select_from(blocks.join(contacts, contacts.c.id == blocks.c.contact_id))
        .where(blocks.c.account == name, contacts.c.erased_at.is_(None), where)
        .order_by(blocks.c.contact_id)
        .limit(PAGE)
    )
    after = 0
    while True:
        page = query.where(blocks.c.contact_id > after)
        rows = ledger.ask(lambda connection, page=page: connection.execute(page).all())  # type: ignore[misc]
        yield from (row for row in rows if row.number or row.lid or row.user_id)
        if len(rows) < PAGE:
            return
        after = rows[-1].contact_id


def check_list(ledger: Ledger, read: ListRead, allow: Collection[Guard]) -> None:
    """Raise RequestError (`plan_refused`) for a list that a guard refuses.

    A list of the ledger or of a file is what its owner has written, and is not guarded.
    """
    if read.account is None or read.basis is not Basis.PROVIDER:
        return
    size, name = len(read.wanted), display_name(read.account)
    if size == 0:
        known = ledger.ask(lambda connection: _count(connection, ledger.tables, read.account or ""))
        if known:
            if Guard.EMPTY not in allow:
                raise refuse(
                    f"The list of {name} is empty, while the ledger has "
                    f"{count_of(known, 'blocked contact')}. "
                    f"If that is right, allow it for this plan: {FLAGS[Guard.EMPTY]}"
                )
            return
    before = ledger.ask(lambda connection: find_size(connection, ledger.tables, read.account or ""))
    if before is None or before < MIN_GUARDED or Guard.SHRUNK in allow:
        return
    if size < before * (1 - MAX_SHRINK):
        raise refuse(
            f"The list of {name} has {size} of the {before} entries that it had when it was last "
            f"read: more than {MAX_SHRINK:.0%} are gone. If that is right, allow it for this plan: "
            f"{FLAGS[Guard.SHRUNK]}"
        )


def refuse(message: str) -> RequestError:
    """Return the error of a plan that a guard refuses."""
    return RequestError(Outcome.failure(Code.PLAN_REFUSED, message=message))


def _count(connection: sa.Connection, tables: Tables, account: str) -> int:
    blocks = tables.blocks
    own = sa.and_(blocks.c.account == account, blocks.c.state == "blocked")
    query = sa.select(sa.func.count()).select_from(blocks).where(own)
    return int(connection.execute(query).scalar_one())


def find_size(connection: sa.Connection, tables: Tables, account: str) -> int | None:
    """Return the entries of an account's list when a plan last read it; None for the first."""
    batches = tables.batches
    query = (
        sa.select(batches.c.details)
        .where(batches.c.kind == "plan", batches.c.details.is_not(None))
        .order_by(batches.c.id.desc())
        .limit(MAX_PLANS)
    )
    for text in connection.execute(query).scalars():
        size = json.loads(text).get("listed", {}).get(account)
        if size is not None:
            return int(size)
    return None


def describe_target(account: Account, allow: Collection[Guard]) -> Target:
    """Return what the account can do, by its provider's declarations and its pure translation."""
    provider = account.provider

    def explain(action: Action, contact: Contact) -> str | None:
        try:
            if contact.jid is None:
                contain(provider.name_contact, contact)  # a plugin may not support user ids
            contain(provider.request_for, Command(action, account.identities.complete(contact)))
        except RequestError as error:
            texts = [text for each in error.outcome.fields.values() for text in each]
            return "; ".join(texts) or error.outcome.message
        return None

    recent = None if Guard.NOT_RECENT in allow else provider.blocks_only_recent
    return Target(offered_actions(account), explain, provider.max_blocked, recent)


def have_one_phone(service: Service, one: Account, other: Account, context: CallContext) -> bool:
    """Whether both accounts certainly are the same WhatsApp account, by their phone numbers."""
    if one is other:
        return False
    phones = []
    for account in (one, other):
        phone = _find_phone(service, account, context)
        if phone is None:
            return False
        phones.append(phone)
    return relation(*phones) in (Relation.SAME, Relation.VARIANT)


def _find_phone(service: Service, account: Account, context: CallContext) -> Contact | None:
    """Return the number of an account: the configured one, else that of its session's status."""
    if account.settings.phone is not None or not account.provider.status_own:
        return account.settings.phone
    result = service.perform(account.name, Command(Action.STATUS), context=context)
    reading = result.outcome.reading
    return reading.own if isinstance(reading, Session) else None
