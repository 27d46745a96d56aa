"""Compare a provider's list with the rows of a batch: once before it begins, and once at its end.

The list is read once for all rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import sqlalchemy as sa

from adapter.account import Account
from adapter.batches import store
from adapter.batches.contacts import known_contact
from adapter.batches.details import details_of
from adapter.batches.endings import DONE, Ending, not_verified
from adapter.batches.model import ItemStatus
from adapter.batches.sql import among, update_rows
from adapter.codes import Action, Code
from adapter.comparison import Identities
from adapter.config_names import display_name
from adapter.contacts import Contact, as_sent, other_form
from adapter.containment import contain
from adapter.fallback import offered_actions
from adapter.ledger.ledger import Ledger
from adapter.ledger.rows import clean
from adapter.ledger.schema import MAX_WHY, Tables
from adapter.readings import BlockState, Unverified
from adapter.request_fields import invalid_field

CHUNK: Final = 1000
"""Rows, or entries of the list, of one transaction."""

_NO_READ: Final = (
    "is not possible: the provider has no read of a block list or a contact; leave it out "
    "(accounts: {accounts})"
)

_NAMES: Final = ("number", "lid", "user_id")
_COMPARED: Final = (ItemStatus.DONE, ItemStatus.UNCHANGED, ItemStatus.UNKNOWN)


def require_verifiable(accounts: Iterable[Account]) -> None:
    """Raise RequestError (`validation_error`, field `verify`) where a change cannot be verified.

    That is an account without a list, by itself or by its fallback, and without a state.
    """
    names = [display_name(account.name) for account in accounts if not is_verifiable(account)]
    if names:
        raise invalid_field("verify", _NO_READ.format(accounts=", ".join(names)))


def is_verifiable(account: Account) -> bool:
    """Whether a change of the account can be compared with a list, or read back by itself."""
    return Action.LIST in offered_actions(account) or contain(account.provider.can_read_back)


def mark_unchanged(ledger: Ledger, batch_id: int, account: str, entries: Iterable[Contact]) -> None:
    """End the rows that block a contact which is in the list. Raises LedgerUnavailable.

    A contact for which the ledger has the opposite wish is left to the order of wishes.
    """
    tables = ledger.tables
    for name in _NAMES:
        texts = [text for each in entries if (text := getattr(each, name)) is not None]
        for start in range(0, len(texts), CHUNK):
            part = texts[start : start + CHUNK]
            ledger.work(
                lambda connection, _, name=name, part=part: _mark(  # type: ignore[misc]
                    connection, tables, batch_id, account, name, part
                )
            )


def _mark(
    connection: sa.Connection,
    tables: Tables,
    batch_id: int,
    account: str,
    name: str,
    texts: list[str],
) -> None:
    items, contacts, blocks = tables.items, tables.contacts, tables.blocks
    query = sa.select(contacts.c.id).where(among(connection, contacts.c[name], texts))
    ids = connection.execute(query).scalars().all()
    opposite = sa.exists().where(
        blocks.c.account == account,
        blocks.c.contact_id == items.c.contact_id,
        blocks.c.wanted != "blocked",
    )
    update = (
        sa.update(items)
        .where(items.c.batch_id == batch_id, items.c.status == ItemStatus.PENDING.value)
        .where(items.c.account == account, items.c.action == Action.BLOCK.value)
        .where(among(connection, items.c.contact_id, ids), ~opposite)
        .values(status=ItemStatus.UNCHANGED.value)
    )
    connection.execute(update)


def listed_accounts(row: Any) -> list[str]:
    """Return the accounts whose lists were read when the batch began."""
    return list(details_of(row).get("lists_read", ()))


def note_list(connection: sa.Connection, tables: Tables, batch_id: int, account: str) -> None:
    """Note that the list of an account was read."""
    row = store.find_row(connection, tables, batch_id, lock=True)
    if row is not None:
        details = details_of(row) | {"lists_read": [*listed_accounts(row), account]}
        own = tables.batches.c.id == batch_id
        connection.execute(sa.update(tables.batches).where(own).values(details=json.dumps(details)))


class BlockList:
    """A whole list of blocked contacts, in which a contact is found at once."""

    def __init__(self, entries: Iterable[Contact], identities: Identities) -> None:
        self._identities = identities
        self._known: dict[str, set[str]] = {name: set() for name in _NAMES}
        self._kinds: set[frozenset[str]] = set()
        for entry in map(identities.complete, entries):
            names = [name for name in _NAMES if getattr(entry, name) is not None]
            self._kinds.add(frozenset(names))
            for name in names:
                self._known[name].add(getattr(entry, name))

    def shows(self, contact: Contact) -> bool | None:
        """Whether the contact is blocked; None where an entry cannot be compared with it."""
        return self.find(contact).blocked

    def find(self, contact: Contact) -> BlockState:
        """Return whether the contact is blocked, and where that is not shown, why.

        As `find_state`: a LID that was learnt some time ago shows a block alone, and the other form
        of a number may be the same person.
        """
        contact = as_sent(contact)
        who = self._identities.complete(contact)
        own = self._identities.number_of(contact.number)
        if self._has(who) or (own is not None and own in self._known["number"]):
            return BlockState(True)
        if contact.number is not None and other_form(contact.number) in self._known["number"]:
            return BlockState(None, Unverified.INCOMPLETE)
        certain = who if self._identities.is_fresh(contact) else contact
        names = {name for name in _NAMES if getattr(certain, name) is not None}
        others = [kinds for kinds in self._kinds if not names & kinds]
        if not others:
            return BlockState(False)
        by_lid = all("lid" in kinds for kinds in others)
        return BlockState(None, Unverified.ONLY_LIDS if by_lid else Unverified.INCOMPLETE)

    def _has(self, who: Contact) -> bool:
        return any(getattr(who, name) in self._known[name] for name in _NAMES)


def has_unknown_rows(ledger: Ledger, batch_id: int, account: str) -> bool:
    """Whether rows were sent whose outcome is unknown. Raises LedgerUnavailable."""
    unknown = (ItemStatus.UNKNOWN,)
    return ledger.ask(
        lambda connection: bool(
            _read_rows(connection, ledger.tables, batch_id, account, 0, unknown)
        )
    )


def compare_rows(
    ledger: Ledger,
    batch: Any,
    account: Account,
    blocked: BlockList,
    *,
    only_unknown: bool = False,
) -> None:
    """Let the list decide about the rows that were sent. Raises LedgerUnavailable.

    `batch` is its row, as it was when the run began: a list decides nothing about a batch that has
    ended, or was retried, meanwhile.

    A row whose contact is not as wanted has failed, an unknown one with the code of its call, and
    an unknown one that is as wanted is done. A done one is unknown where the list cannot be
    compared with its contact. With `only_unknown`, the list decides about nothing but unknown rows
    that are done: any other may still take effect.
    """
    statuses = (ItemStatus.UNKNOWN,) if only_unknown else _COMPARED
    for rows in _read_all(ledger, batch.id, account.name, statuses):
        ends: dict[Ending, list[int]] = {}
        for row, state in _find_states(rows, blocked):
            end = _end_of(row, state)
            if end is not None and (not only_unknown or end.status is ItemStatus.DONE):
                ends.setdefault(end, []).append(row.row)
        for end, numbers in ends.items():
            _end_rows(ledger, batch, numbers, end)


def may_still_change(ledger: Ledger, batch_id: int, account: Account, blocked: BlockList) -> bool:
    """Whether the list shows the opposite of a change that may take effect after its response.

    That is a row whose outcome is unknown; and a done one, unless the provider is `synchronous`.
    Raises LedgerUnavailable.
    """
    late = {ItemStatus.UNKNOWN.value}
    accounts = (account, account.fallback)
    if not all(each.provider.synchronous for each in accounts if each is not None):
        late.add(ItemStatus.DONE.value)
    return any(
        row.status in late and state.blocked is (row.action != Action.BLOCK)
        for rows in _read_all(ledger, batch_id, account.name)
        for row, state in _find_states(rows, blocked)
    )


_NO_LIST: Final = "It was done, and not verified, as the list could not be read: "
_NOTHING_CHANGED: Final = "The list shows that nothing was changed."


def _end_of(row: Any, state: BlockState) -> Ending | None:
    """Return how the row ends by what the list shows; None where it is left as it is."""
    if state.blocked is None:
        is_done = row.status == ItemStatus.DONE
        return not_verified(state.reason or Unverified.INCOMPLETE) if is_done else None
    is_unknown = row.status == ItemStatus.UNKNOWN
    if state.blocked is (row.action == Action.BLOCK):
        return DONE if is_unknown else None
    code = row.code if is_unknown else None
    if code is None:
        effect = Code.NOT_EFFECTIVE
        return Ending(ItemStatus.FAILED, effect.value, effect.message)
    # As of a call that was read back, the code is the one of the call: no success was reported.
    why = clean(" ".join(filter(None, (_NOTHING_CHANGED, row.why))), MAX_WHY)
    return Ending(ItemStatus.FAILED, code, why)


def mark_unverified(ledger: Ledger, batch: Any, account: str, reason: Code | Unverified) -> None:
    """Let the done rows be unknown, as no list could be read. Raises LedgerUnavailable.

    `batch` is as for `compare_rows`; `reason` is the code of the failure, or `no_read`.
    """
    end = (
        not_verified(reason)
        if isinstance(reason, Unverified)
        else Ending(ItemStatus.UNKNOWN, reason.value, f"{_NO_LIST}{reason.message}")
    )
    for rows in _read_all(ledger, batch.id, account):
        done = [row.row for row in rows if row.status == ItemStatus.DONE]
        if done:
            _end_rows(ledger, batch, done, end)


def _find_states(rows: Iterable[Any], blocked: BlockList) -> Iterator[tuple[Any, BlockState]]:
    """Yield the rows with what the list shows of them, but for erased contacts."""
    for row in rows:
        contact = known_contact(row)
        if contact is not None:
            yield row, blocked.find(contact)


def _read_all(
    ledger: Ledger, batch_id: int, account: str, statuses: Sequence[ItemStatus] = _COMPARED
) -> Iterator[Any]:
    """Yield the rows of `_read_rows`, in chunks."""
    after, tables = 0, ledger.tables
    while True:
        rows = ledger.ask(
            lambda connection, after=after: _read_rows(  # type: ignore[misc]
                connection, tables, batch_id, account, after, statuses
            )
        )
        if not rows:
            return
        yield rows
        after = rows[-1].row


def _end_rows(ledger: Ledger, batch: Any, numbers: list[int], end: Ending) -> None:
    tables = ledger.tables
    values = {"status": end.status.value, "code": end.code, "why": end.why}
    sent = tables.items.c.status.in_([each.value for each in _COMPARED])

    def work(connection: sa.Connection, _: object) -> None:
        if store.is_running(connection, tables, batch):
            update_rows(connection, tables.items, batch.id, numbers, values, sent)

    ledger.work(work)


def _read_rows(
    connection: sa.Connection,
    tables: Tables,
    batch_id: int,
    account: str,
    after: int,
    statuses: Sequence[ItemStatus],
) -> Any:
    """Return the next rows that were sent, but for those whose wish is not the newest."""
    items, contacts, blocks = tables.items, tables.contacts, tables.blocks
    wanted = sa.case((items.c.action == Action.BLOCK.value, "blocked"), else_="unblocked")
    opposite = sa.exists().where(
        blocks.c.account == items.c.account,
        blocks.c.contact_id == items.c.contact_id,
        blocks.c.wanted != wanted,
    )
    query = (
        sa.select(
            *(items.c.row, items.c.action, items.c.status, items.c.code, items.c.why),
            items.c.named_by,
            *(contacts.c.number, contacts.c.lid, contacts.c.user_id),
        )
        .select_from(items.join(contacts, contacts.c.id == items.c.contact_id))
        .where(items.c.batch_id == batch_id, items.c.row > after, items.c.account == account)
        .where(items.c.status.in_([each.value for each in statuses]), ~opposite)
        .order_by(items.c.row)
        .limit(CHUNK)
    )
    return connection.execute(query).all()
