"""The tables of the ledger, and the statements' access to the events of a group."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

BIG_ID: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""An id: 64 bits; only INTEGER is numbered by SQLite itself."""

MAX_REASON: Final = 64
MAX_REF: Final = 128
"""Maximum lengths, in characters, of the caller's reason and reference."""

MAX_GIVEN: Final = 160
MAX_WHY: Final = 300
"""Maximum lengths, in characters, of what a rejected row had as its contact, and of a message."""


def utc_text(moment: float | datetime) -> str:
    """Return the moment, seconds since 1970 or a datetime, as text that sorts by time."""
    if isinstance(moment, datetime):
        return moment.astimezone(UTC).isoformat(timespec="milliseconds")
    seconds, milliseconds = divmod(int(moment * 1000), 1000)
    return f"{_second_text(seconds)}.{milliseconds:03}+00:00"


@lru_cache(maxsize=64)
def _second_text(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:19]


class UtcTime(TypeDecorator[datetime]):
    """A time in UTC: `timestamptz`, and in SQLite a text of fixed length that sorts by time."""

    impl = sa.String(29)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the type of the database."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(sa.DateTime(timezone=True))
        return dialect.type_descriptor(sa.String(29))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Return the value as the database stores it."""
        if value is None or dialect.name == "postgresql":
            return value
        return utc_text(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Return the time in UTC."""
        if value is None:
            return None
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        return moment.astimezone(UTC)


class Tables:
    """The tables of a ledger; `prefix` precedes each name."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.version_name = f"{prefix}version"
        self.metadata = sa.MetaData()
        column, text = sa.Column, sa.String
        self.contacts = sa.Table(
            f"{prefix}contacts",
            self.metadata,
            column("id", BIG_ID, primary_key=True),
            column("number", text(32), unique=True),
            column("lid", text(64), unique=True),
            column("user_id", text(160), unique=True),
            column("created_at", UtcTime, nullable=False),
            column("erased_at", UtcTime),
            column("given", text(MAX_GIVEN)),
            sqlite_autoincrement=True,
        )
        self.calls = calls = sa.Table(
            f"{prefix}calls",
            self.metadata,
            column("id", BIG_ID, primary_key=True),
            column("account", text(128), nullable=False),
            column("provider", text(128), nullable=False),
            column("action", text(16), nullable=False),
            column("contact_id", BIG_ID),
            column("via", text(16), nullable=False),
            column("key_name", text(128)),
            column("request_id", text(200)),
            column("reason", text(MAX_REASON)),
            column("ref", text(MAX_REF)),
            column("opened_at", UtcTime, nullable=False),
            column("deadline_at", UtcTime, nullable=False),
            column("closed_at", UtcTime),
            column("code", text(64)),
            column("outcome", text(16)),
            column("confirmation", text(16)),
            column("verified", sa.Boolean),
            column("verified_reason", text(32)),
            column("upstream_status", sa.Integer),
            column("upstream_code", text(128)),
            column("attempts", sa.Integer),
            column("reads", sa.Integer),
            column("duration_ms", sa.Integer),
            sqlite_autoincrement=True,
        )
        failed, is_open = sa.text("code <> 'ok'"), sa.text("closed_at IS NULL")
        sa.Index(f"{prefix}calls_account", calls.c.account, calls.c.id)
        sa.Index(f"{prefix}calls_contact", calls.c.contact_id, calls.c.id)
        sa.Index(
            f"{prefix}calls_code",
            calls.c.code,
            calls.c.id,
            sqlite_where=failed,
            postgresql_where=failed,
        )
        sa.Index(
            f"{prefix}calls_open",
            calls.c.deadline_at,
            sqlite_where=is_open,
            postgresql_where=is_open,
        )
        self.blocks = blocks = sa.Table(
            f"{prefix}blocks",
            self.metadata,
            column("account", text(128), primary_key=True),
            column("contact_id", BIG_ID, primary_key=True, autoincrement=False),
            column("wanted", text(16), nullable=False),
            column("intent", BIG_ID, nullable=False),
            column("reason", text(MAX_REASON)),
            column("ref", text(MAX_REF)),
            column("wanted_by", text(128)),
            column("via", text(16), nullable=False),
            column("wanted_at", UtcTime, nullable=False),
            column("state", text(16), nullable=False),
            column("certainty", text(16), nullable=False),
            column("since", UtcTime),
            column("verified_at", UtcTime),
            column("call_id", BIG_ID),
            column("wish", BIG_ID),
        )
        sa.Index(f"{prefix}blocks_state", blocks.c.account, blocks.c.state, blocks.c.contact_id)
        sa.Index(f"{prefix}blocks_contact", blocks.c.contact_id)
        self.idempotency = sa.Table(
            f"{prefix}idempotency",
            self.metadata,
            column("scope", text(64), primary_key=True),
            column("fingerprint", text(64), nullable=False),
            column("call_id", BIG_ID),
            column("state", text(16), nullable=False),
            column("lease_until", UtcTime, nullable=False),
            column("created_at", UtcTime, nullable=False),
            column("expires_at", UtcTime, nullable=False),
        )
        sa.Index(f"{prefix}idempotency_expiry", self.idempotency.c.expires_at)
        self.facts = sa.Table(
            f"{prefix}facts",
            self.metadata,
            column("id", sa.Integer, primary_key=True, autoincrement=False),
            column("hash_key", text(64), nullable=False),
            column("erased_at", UtcTime),
        )
        self._add_batches(prefix)

    def _add_batches(self, prefix: str) -> None:
        """Add the tables of batches: a batch, its rows, and the lane of each account."""
        column, text = sa.Column, sa.String
        self.batches = batches = sa.Table(
            f"{prefix}batches",
            self.metadata,
            column("id", BIG_ID, primary_key=True),
            column("kind", text(16), nullable=False),
            column("account", text(128), nullable=False),
            column("action", text(16)),
            column("status", text(16), nullable=False),
            column("intent", BIG_ID, nullable=False),
            column("verify", sa.Boolean, nullable=False),
            column("via", text(16), nullable=False),
            column("key_name", text(128)),
            column("request_id", text(200)),
            column("digest", text(64)),
            column("created_at", UtcTime, nullable=False),
            column("started_at", UtcTime),
            column("finished_at", UtcTime),
            column("retried", sa.Boolean, nullable=False, server_default=sa.false()),
            column("pause_code", text(64)),
            column("details", sa.Text),
            sqlite_autoincrement=True,
        )
        unfinished = sa.text("finished_at IS NULL")
        sa.Index(
            f"{prefix}batches_digest",
            batches.c.digest,
            unique=True,
            sqlite_where=unfinished,
            postgresql_where=unfinished,
        )
        sa.Index(f"{prefix}batches_finished", batches.c.finished_at)
        self.items = items = sa.Table(
            f"{prefix}items",
            self.metadata,
            column("batch_id", BIG_ID, primary_key=True, autoincrement=False),
            column("row", sa.Integer, primary_key=True, autoincrement=False),
            column("line", sa.Integer, nullable=False),
            column("account", text(128)),
            column("action", text(16)),
            column("contact_id", BIG_ID),
            column("given_id", BIG_ID),
            column("named_by", text(32)),
            column("status", text(16), nullable=False),
            column("op", text(16)),
            column("code", text(64)),
            column("why", text(MAX_WHY)),
            column("unresolved", sa.Boolean, nullable=False, server_default=sa.false()),
            column("reason", text(MAX_REASON)),
            column("ref", text(MAX_REF)),
            column("lease_owner", text(32)),
            column("lease_until", UtcTime),
            column("attempts", sa.Integer, nullable=False),
            column("not_before", UtcTime),
            column("call_id", BIG_ID),
            sqlite_with_rowid=False,
        )
        leased = sa.text("lease_until IS NOT NULL")
        sa.Index(f"{prefix}items_status", items.c.batch_id, items.c.status, items.c.row)
        sa.Index(
            f"{prefix}items_lease",
            items.c.batch_id,
            items.c.lease_until,
            sqlite_where=leased,
            postgresql_where=leased,
        )
        sa.Index(f"{prefix}items_contact", items.c.contact_id)
        self.lanes = sa.Table(
            f"{prefix}lanes",
            self.metadata,
            column("account", text(128), primary_key=True),
            column("next_at", UtcTime),
            column("paused_until", UtcTime),
            column("pause_code", text(64)),
            column("pauses", sa.Integer, nullable=False),
            column("holders", sa.Text),
        )


class Events:
    """The events of a group as a table: one JSON array, the parameter `events` of a statement.

    So the number of statements does not depend on the number of events. For sqlite3, each step of
    a statement also releases the interpreter's lock, which a busy thread gives back late.
    """

    def __init__(self, dialect: str, **columns: TypeEngine[Any]) -> None:
        given = sa.bindparam("events", type_=sa.String())
        if dialect == "postgresql":
            typed = [sa.column(name, kind) for name, kind in columns.items()]
            source = sa.func.json_to_recordset(sa.cast(given, sa.JSON))
            table = source.table_valued(*typed).render_derived(name="e", with_types=True)
            self.c: dict[str, sa.ColumnElement[Any]] = {name: table.c[name] for name in columns}
        else:
            table = sa.func.json_each(given).table_valued("value", name="e")
            self.c = {
                name: sa.func.json_extract(
                    table.c.value, sa.literal_column(f"'$.{name}'"), type_=kind
                )
                for name, kind in columns.items()
            }
        self.table = table
