"""The tables of batches, and the place of a batch's wish in the order of wishes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables, and add the columns of contacts and blocks."""
    context = op.get_context()
    prefix = str(context.opts["table_prefix"])
    is_postgresql = context.dialect.name == "postgresql"
    moment = sa.DateTime(timezone=True) if is_postgresql else sa.String(29)
    big = sa.BigInteger() if is_postgresql else sa.Integer()
    text, column, whole = sa.String, sa.Column, sa.Integer()

    op.add_column(f"{prefix}contacts", column("given", text(160)))
    op.add_column(f"{prefix}blocks", column("wish", big))
    batches = f"{prefix}batches"
    op.create_table(
        batches,
        column("id", big, primary_key=True),
        column("kind", text(16), nullable=False),
        column("account", text(128), nullable=False),
        column("action", text(16)),
        column("status", text(16), nullable=False),
        column("intent", big, nullable=False),
        column("verify", sa.Boolean(), nullable=False),
        column("via", text(16), nullable=False),
        column("key_name", text(128)),
        column("request_id", text(200)),
        column("digest", text(64)),
        column("created_at", moment, nullable=False),
        column("started_at", moment),
        column("finished_at", moment),
        column("retried", sa.Boolean(), nullable=False, server_default=sa.false()),
        column("pause_code", text(64)),
        column("details", sa.Text()),
        sqlite_autoincrement=True,
    )
    unfinished = sa.text("finished_at IS NULL")
    op.create_index(
        f"{batches}_digest",
        batches,
        ["digest"],
        unique=True,
        sqlite_where=unfinished,
        postgresql_where=unfinished,
    )
    op.create_index(f"{batches}_finished", batches, ["finished_at"])
    items = f"{prefix}items"
    op.create_table(
        items,
        column("batch_id", big, primary_key=True, autoincrement=False),
        column("row", whole, primary_key=True, autoincrement=False),
        column("line", whole, nullable=False),
        column("account", text(128)),
        column("action", text(16)),
        column("contact_id", big),
        column("given_id", big),
        column("named_by", text(32)),
        column("status", text(16), nullable=False),
        column("op", text(16)),
        column("code", text(64)),
        column("why", text(300)),
        column("unresolved", sa.Boolean(), nullable=False, server_default=sa.false()),
        column("reason", text(64)),
        column("ref", text(128)),
        column("lease_owner", text(32)),
        column("lease_until", moment),
        column("attempts", whole, nullable=False),
        column("not_before", moment),
        column("call_id", big),
        sqlite_with_rowid=False,
    )
    leased = sa.text("lease_until IS NOT NULL")
    op.create_index(f"{items}_status", items, ["batch_id", "status", "row"])
    op.create_index(
        f"{items}_lease",
        items,
        ["batch_id", "lease_until"],
        sqlite_where=leased,
        postgresql_where=leased,
    )
    op.create_index(f"{items}_contact", items, ["contact_id"])
    op.create_table(
        f"{prefix}lanes",
        column("account", text(128), primary_key=True),
        column("next_at", moment),
        column("paused_until", moment),
        column("pause_code", text(64)),
        column("pauses", whole, nullable=False),
        column("holders", sa.Text()),
    )
