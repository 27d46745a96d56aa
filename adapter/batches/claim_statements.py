"""The statements of one exchange of rows. Their number does not depend on the number of rows."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

from adapter.batches.model import ItemStatus
from adapter.batches.sql import without_index
from adapter.ledger.schema import Events, Tables, UtcTime, utc_text
from adapter.ledger.statements import Statement, by_index, newer_wishes

_PENDING: Final = ItemStatus.PENDING.value
_LEASED: Final = ItemStatus.LEASED.value


_WISH: Final = ("wanted", "intent", "wish", "reason", "ref", "wanted_by", "via", "wanted_at")
"""The columns of a wish."""

_OLD: Final = {name: name if name == "wanted" else f"old_{name}" for name in _WISH}
"""The names of these columns beside those of a row, some of which are the same."""


class ClaimStatements:
    """The statements of an exchange, each made once."""

    def __init__(self, tables: Tables, dialect: sa.Dialect) -> None:
        self._items, self._dialect = tables.items, dialect.name
        self.candidates = self._candidates(tables)
        self.newer_wishes = newer_wishes(tables, dialect)
        none: sa.ColumnElement[Any] = sa.null()
        self.end = Statement(
            self._changed(
                *("status", "code", "why", "unresolved", "not_before", "attempts", "call_id"),
                owned=True,
                lease_owner=none,
                lease_until=none,
            ),
            dialect,
        )
        self.settle = Statement(self._changed("status", "code", "why", owned=False), dialect)
        self.restore_wishes, self.remove_wishes = self._restore(tables, dialect)
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
        is_open = items.c.status == sa.literal_column(f"'{status}'", sa.String())
        update = (
            sa.update(items)
            .values({**{name: e[name] for name in names}, **more})
            .where(items.c.batch_id == e["batch_id"], items.c.row == e["row"])
            .where(by_index(self._dialect, items.c.batch_id), by_index(self._dialect, items.c.row))
            .where(without_index(is_open))
        )
        return update.where(items.c.lease_owner == e["lease_owner"]) if owned else update

    def _restore(self, tables: Tables, dialect: sa.Dialect) -> tuple[Statement, Statement]:
        """Return the update and the removal of wishes whose calls are still the newest ones."""
        blocks = tables.blocks
        given = ("account", "contact_id", *_WISH)
        kinds: dict[str, Any] = {name: blocks.c[name].type for name in given}
        events = Events(self._dialect, **kinds, opened=blocks.c.intent.type)
        e = events.c
        same = sa.and_(
            blocks.c.account == e["account"],
            blocks.c.contact_id == e["contact_id"],
            blocks.c.intent == e["opened"],
            by_index(self._dialect, blocks.c.contact_id),
        )
        update = sa.update(blocks).values({name: e[name] for name in _WISH}).where(same)
        found = sa.exists(sa.select(1).select_from(events.table).where(same))
        remove = sa.delete(blocks).where(found)
        return Statement(update, dialect), Statement(remove, dialect)

    def wish_of(self, candidate: Any) -> dict[str, Any] | None:
        """Return the columns of the contact's wish, as JSON values; None where there is none."""
        if candidate.wanted is None:
            return None
        wish = {name: getattr(candidate, _OLD[name]) for name in _WISH}
        return wish | {"wanted_at": utc_text(wish["wanted_at"])}

    def _candidates(self, tables: Tables) -> sa.Select[Any]:
        items, contacts, blocks = tables.items, tables.contacts, tables.blocks
        due = sa.or_(
            items.c.not_before.is_(None),
            items.c.not_before <= sa.bindparam("now", type_=UtcTime()),
        )
        names = (
            *("row", "action", "account", "contact_id", "attempts", "code", "unresolved"),
            *("reason", "ref", "op", "named_by"),
        )
        batches = tables.batches
        own = batches.c.id == sa.bindparam("batch_id")
        again = sa.select(batches.c.retried).where(own).scalar_subquery()
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
                *(blocks.c.state, blocks.c.certainty),
                *(blocks.c[name].label(label) for name, label in _OLD.items()),
                sa.func.coalesce(blocks.c.wish, blocks.c.intent).label("place"),
                again.label("again"),
            )
            .select_from(joined)
            .order_by(page.c.row)
        )
