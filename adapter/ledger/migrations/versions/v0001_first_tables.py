"""The first tables."""

from __future__ import annotations

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables, and the random key of the hashes."""
    context = op.get_context()
    prefix = str(context.opts["table_prefix"])
    is_postgresql = context.dialect.name == "postgresql"
    moment = sa.DateTime(timezone=True) if is_postgresql else sa.String(29)
    big = sa.BigInteger() if is_postgresql else sa.Integer()
    text, column, flag = sa.String, sa.Column, sa.Boolean()

    op.create_table(
        f"{prefix}contacts",
        column("id", big, primary_key=True),
        column("number", text(32), unique=True),
        column("lid", text(64), unique=True),
        column("user_id", text(160), unique=True),
        column("created_at", moment, nullable=False),
        column("erased_at", moment),
        sqlite_autoincrement=True,
    )
    calls = f"{prefix}calls"
    op.create_table(
        calls,
        column("id", big, primary_key=True),
        column("account", text(128), nullable=False),
        column("provider", text(128), nullable=False),
        column("action", text(16), nullable=False),
        column("contact_id", big),
        column("via", text(16), nullable=False),
        column("key_name", text(128)),
        column("request_id", text(200)),
        column("reason", text(64)),
        column("ref", text(128)),
        column("opened_at", moment, nullable=False),
        column("deadline_at", moment, nullable=False),
        column("closed_at", moment),
        column("code", text(64)),
        column("outcome", text(16)),
        column("confirmation", text(16)),
        column("verified", flag),
        column("verified_reason", text(32)),
        column("upstream_status", sa.Integer()),
        column("upstream_code", text(128)),
        column("attempts", sa.Integer()),
        column("reads", sa.Integer()),
        column("duration_ms", sa.Integer()),
        sqlite_autoincrement=True,
    )
    failed, is_open = sa.text("code <> 'ok'"), sa.text("closed_at IS NULL")
    op.create_index(f"{calls}_account", calls, ["account", "id"])
    op.create_index(f"{calls}_contact", calls, ["contact_id", "id"])
    op.create_index(
        f"{calls}_code", calls, ["code", "id"], sqlite_where=failed, postgresql_where=failed
    )
    op.create_index(
        f"{calls}_open", calls, ["deadline_at"], sqlite_where=is_open, postgresql_where=is_open
    )
    blocks = f"{prefix}blocks"
    op.create_table(
        blocks,
        column("account", text(128), primary_key=True),
        column("contact_id", big, primary_key=True, autoincrement=False),
        column("wanted", text(16), nullable=False),
        column("intent", big, nullable=False),
        column("reason", text(64)),
        column("ref", text(128)),
        column("wanted_by", text(128)),
        column("via", text(16), nullable=False),
        column("wanted_at", moment, nullable=False),
        column("state", text(16), nullable=False),
        column("certainty", text(16), nullable=False),
        column("since", moment),
        column("verified_at", moment),
        column("call_id", big),
    )
    op.create_index(f"{blocks}_state", blocks, ["account", "state", "contact_id"])
    op.create_index(f"{blocks}_contact", blocks, ["contact_id"])
    idempotency = f"{prefix}idempotency"
    op.create_table(
        idempotency,
        column("scope", text(64), primary_key=True),
        column("fingerprint", text(64), nullable=False),
        column("call_id", big),
        column("state", text(16), nullable=False),
        column("lease_until", moment, nullable=False),
        column("created_at", moment, nullable=False),
        column("expires_at", moment, nullable=False),
    )
    op.create_index(f"{idempotency}_expiry", idempotency, ["expires_at"])
    facts = op.create_table(
        f"{prefix}facts",
        column("id", sa.Integer(), primary_key=True, autoincrement=False),
        column("hash_key", text(64), nullable=False),
        column("erased_at", moment),
    )
    op.bulk_insert(facts, [{"id": 1, "hash_key": secrets.token_hex(32)}])
