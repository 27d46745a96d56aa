"""The statements of one exchange of rows. Their number does not depend on the number of rows."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

from adapter.batches.model import ItemStatus
from adapter.ledger.schema import Events, Tables, UtcTime
from adapter.ledger.statements import Statement, by_index, newer_wishes

_PENDING: Final = ItemStatus.PENDING.value
_LEASED: Final = ItemStatus.LEASED.value


class ClaimStatements:
    """The statements of an exchange, each made once."""

    def __init__(self, tables: Tables, dialect: sa.Dialect) -> None:
        self._items, self._dialect = tables.items, dialect.name
        self.candidates = self._candidates(tables)
        self.newer_wishes = newer_wishes(tables, dialect)
        none: sa.ColumnElement[Any] = sa.null()
        self.end = Statement(
            self._changed(
                *("status", "code", "why", "not_before", "attempts", "call_id"),
                owned=True,
                lease_owner=none,
                lease_until=none,
            ),
            dialect,
        )
        self.settle = Statement(self._changed("status", "code", "why", owned=False), dialect)
        self.lease = Statement(
            self._changed(
                *("lease_owner", "lease_until"),
                owned=False,
                status=sa.literal_column(f"'{_LEASED}'", sa.String()),
                attempts=self._items.c.attempts + sa.literal_column("1", sa.Integer()),
            ),
            dialect,
        )

    def _changed(self, *names: str, owned: bool, **more: Any) -> sa.ClauseElement:
        """Return the update of rows: pending ones, or with `owned` those with this lease."""
        items = self._items
        given = ("batch_id", "row", *names) + (("lease_owner",) if owned else ())
        kinds = {name: items.c[name].type for name in given}
        e = Events(self._dialect, **kinds).c
        status = _LEASED if owned else _PENDING
        update = (
            sa.update(items)
            .values({**{name: e[name] for name in names}, **more})
            .where(items.c.batch_id == e["batch_id"], items.c.row == e["row"])
            .where(by_index(self._dialect, items.c.batch_id), by_index(self._dialect, items.c.row))
            .where(items.c.status == sa.literal_column(f"'{status}'", sa.String()))
        )
        return update.where(items.c.lease_owner == e["lease_owner"]) if owned else update

    def _candidates(self, tables: Tables) -> sa.Select[Any]:
        items, contacts, blocks = tables.items, tables.contacts, tables.blocks
        due = sa.or_(
            items.c.not_before.is_(None),
            items.c.not_before <= sa.bindparam("now", type_=UtcTime()),
        )
        names = (
            *("row", "action", "account", "contact_id", "attempts", "code", "reason", "ref", "op"),
        )
        batches = tables.batches
        own = batches.c.id == sa.bindparam("batch_id")
        digest = sa.select(batches.c.digest).where(own).scalar_subquery()
        # The page first: the planner would join whole tables that were not analyzed yet.
        page = (
            sa.select(*(items.c[name] for name in names))
            .where(items.c.batch_id == sa.bindparam("batch_id"), items.c.status == _PENDING)
            .where(items.c.account == sa.bindparam("account"), items.c.row > sa.bindparam("after"))
            .where(due)
            .order_by(items.c.row)
            .limit(sa.bindparam("limit", type_=sa.Integer()))
            .with_for_update(skip_locked=True)
            .subquery("page")
        )
        joined = page.outerjoin(contacts, contacts.c.id == page.c.contact_id).outerjoin(
            blocks,
            sa.and_(blocks.c.account == page.c.account, blocks.c.contact_id == page.c.contact_id),
        )
        return (
            sa.select(
                page,
                *(contacts.c.number, contacts.c.lid, contacts.c.user_id),
                *(blocks.c.wanted, blocks.c.state, blocks.c.certainty),
                sa.func.coalesce(blocks.c.wish, blocks.c.intent).label("place"),
                digest.is_(None).label("again"),  # `store.start_over` removes it
            )
            .select_from(joined)
            .order_by(page.c.row)
        )
