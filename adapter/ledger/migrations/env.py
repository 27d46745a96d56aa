"""The environment of the migrations, run by Alembic: the caller's connection and transaction."""

from __future__ import annotations

from alembic import context

attributes = context.config.attributes
context.configure(
    connection=attributes["connection"],
    version_table=attributes["version_table"],
    table_prefix=attributes["table_prefix"],
)
context.run_migrations()
