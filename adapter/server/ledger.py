"""The ledger of the server: checked before the workers start, and in a file for the sandbox."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import click
from flask import Flask

from adapter.logs import log_event
from adapter.settings.locations import sandbox_ledger_path
from adapter.web.app import service_state


def prepare_ledger(app: Flask, config: Path | None) -> None:
    """Create the tables of an SQLite file, and require the current schema.

    Raises ConfigurationError for a missing library of the queue, and click.ClickException for
    another schema, with the command to run, and for a file that cannot be used. A PostgreSQL server
    that is gone does not keep ours from starting. Nothing is left open, since the workers are
    forked from this process.
    """
    ledger = service_state(app).service.ledger
    if ledger is None:
        return
    service_state(app).contacts.batches.check()
    from adapter.ledger.database import LedgerUnavailable
    from adapter.ledger.upgrade import SchemaError, describe_schema_error

    try:
        ledger.prepare()
    except SchemaError as error:
        raise click.ClickException(describe_schema_error(error, config)) from None
    except LedgerUnavailable as error:
        if ledger.creates_tables:
            remedy = "check [ledger] url, and the permissions of the file and its folder"
            raise click.ClickException(f"the ledger cannot be used: {error}; {remedy}") from None
        log_event("ledger", level=logging.WARNING, state="unavailable", error=str(error))
    finally:
        ledger.close()


@contextmanager
def sandbox_ledger(port: int) -> Iterator[Path | None]:
    """Return the file of the sandbox's ledger, which is new; remove it at the end.

    As the sandbox's block lists, it is forgotten with the server. None where the extra `ledger` is
    not installed.

    Raises click.ClickException where the folder belongs to another user.
    """
    if find_spec("sqlalchemy") is None or find_spec("alembic") is None:
        yield None
        return
    file, master_pid = sandbox_ledger_path(port), os.getpid()
    with suppress(FileExistsError):
        file.parent.mkdir(mode=0o700, parents=True)
    found = file.parent.lstat()
    if found.st_uid != os.getuid() or not file.parent.is_dir() or file.parent.is_symlink():
        raise click.ClickException(
            f"the folder of the sandbox's ledger, {file.parent}, belongs to another user; "
            "set TMPDIR to a folder of your own"
        )
    _remove(file)
    try:
        yield file
    finally:
        if os.getpid() == master_pid:  # forked workers run this `finally` block as well
            _remove(file)


def _remove(file: Path) -> None:
    """Remove an SQLite file, with the two files beside it."""
    for suffix in ("", "-wal", "-shm"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)
