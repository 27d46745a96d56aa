"""The migrations of the ledger's schema: `env`, which Alembic runs, and the `versions`.

Alembic reads the modules of these folders as files; nothing imports them. A new version is written
by hand: `versions/v0002_….py`.
"""
