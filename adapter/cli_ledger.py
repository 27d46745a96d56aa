"""The commands of the ledger: history, contact export and erase, db upgrade, current and check."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from adapter.cli_options import MomentType, config_option, json_option, own_address_option
from adapter.cli_output import print_calls, print_data, print_json, print_line
from adapter.cli_setup import (
    describe_unavailable,
    open_ledger,
    open_ledger_settings,
    read_target,
)
from adapter.contacts import Contact
from adapter.errors import LedgerUnavailable
from adapter.history import MAX_LIMIT, CallEntry, Filters
from adapter.pages import CODES, VIAS
from adapter.result_data import build_call
from adapter.settings.model import Settings
from adapter.wording import count_of

if TYPE_CHECKING:
    from adapter.ledger.ledger import Ledger

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

_moment = MomentType()


@contextmanager
def opened_ledger(config: Path | None, own_address: str) -> Iterator[tuple[Settings, Ledger]]:
    """Return the settings and their ledger; a failure of the ledger ends the command."""
    settings = open_ledger_settings(config, own_address)
    ledger = open_ledger(settings)
    try:
        yield settings, ledger
    except LedgerUnavailable as error:
        raise click.ClickException(describe_unavailable(error, config)) from None
    finally:
        ledger.close()


# --- db


@click.group()
def db() -> None:
    """Upgrade or check the tables of the ledger's database."""


@db.command("upgrade")
@config_option
@own_address_option
def upgrade_command(config: Path | None, own_address: str) -> None:
    """Create or upgrade the tables of the ledger.

    Safe at the same time from several machines: one upgrades, the others wait.
    """
    with opened_ledger(config, own_address) as (_, ledger):
        from adapter.ledger.upgrade import VERSION

        before = ledger.upgrade()
        if before == VERSION:
            print_line(f"the ledger is current already: version {VERSION}")
        elif before is None:
            print_line(f"created the tables of the ledger: version {VERSION}")
        else:
            print_line(f"upgraded the ledger from version {before} to {VERSION}")


@db.command("current")
@config_option
@own_address_option
def current_command(config: Path | None, own_address: str) -> None:
    """Print the version of the ledger's tables, and that of this package."""
    with opened_ledger(config, own_address) as (_, ledger):
        from adapter.ledger.upgrade import VERSION

        version = ledger.version() or "none, there are no tables"
        print_line(f"version of the database: {version}")
        print_line(f"version of this package: {VERSION}")


@db.command("check")
@config_option
@own_address_option
def check_command(config: Path | None, own_address: str) -> None:
    """Check that a server could start with the ledger's database, and write to it.

    Exit status 0 where it could; else 1, with the command to run.
    """
    with opened_ledger(config, own_address) as (_, ledger):
        from adapter.ledger.upgrade import SchemaError, SchemaState

        state = ledger.check()
        if state is SchemaState.EMPTY and ledger.creates_tables:
            print_line("the ledger's file is empty; the first start or call creates the tables")
        elif state is SchemaState.CURRENT:
            print_line("the ledger is current")
        else:
            raise SchemaError(state)


# --- contact


@click.group()
def contact() -> None:
    """Export or erase what the ledger keeps about a person."""


def contact_options(command: CommandT) -> CommandT:
    """Add the argument and the options that name a person."""
    for option in (
        click.option("--user-id", help="Meta's business-scoped id of the person."),
        click.option("--jid", help="The JID of the person, such as …@lid."),
        click.argument("number", required=False),
    ):
        command = option(command)
    return command


@contact.command("export")
@contact_options
@config_option
@own_address_option
def export_command(
    number: str | None,
    jid: str | None,
    user_id: str | None,
    config: Path | None,
    own_address: str,
) -> None:
    """Print all that the ledger keeps about a person, as JSON."""
    with opened_ledger(config, own_address) as (settings, ledger):
        from adapter.ledger.documents import export_document

        target = read_target(settings, number, jid, user_id)
        print_json(export_document(ledger.export(target)))


@contact.command("erase")
@contact_options
@click.option("--yes", is_flag=True, help="Erase without a question; required off a terminal.")
@config_option
@own_address_option
def erase_command(
    number: str | None,
    jid: str | None,
    user_id: str | None,
    yes: bool,
    config: Path | None,
    own_address: str,
) -> None:
    """Erase a person: number, LID and user id. What was done stays, without the person.

    The block list of the provider is not changed.
    """
    with opened_ledger(config, own_address) as (settings, ledger):
        target = read_target(settings, number, jid, user_id)
        kept = ledger.export(target)
        if not kept.contacts:
            print_line(f"the ledger has nothing about {target.masked}; nothing was erased")
            return
        rest = f"{count_of(len(kept.calls), 'call')} and {count_of(len(kept.blocks), 'block')}"
        if not yes:
            _confirm(target, rest)
        erased = ledger.erase(target)
        print_line(
            f"erased the identifiers of {target.masked}: {count_of(erased, 'contact')}; "
            f"{rest} stay, without the person"
        )


def _confirm(target: Contact, rest: str) -> None:
    """End the command unless the user confirms on a terminal."""
    if sys.stdin is None or not sys.stdin.isatty():
        raise click.ClickException("nothing was erased: confirm with --yes")
    question = f"Erase {target.masked} from {rest} of the ledger? It cannot be undone."
    if not click.confirm(question):
        raise click.ClickException("nothing was erased")


# --- history


@click.command()
@click.option("--account", help="Only calls of this account.")
@click.option("--number", help="Only calls about this person: number, JID or user id.")
@click.option("--since", type=_moment, help="From this time, in UTC, or ago (7d). Default: 24h.")
@click.option("--until", type=_moment, help="Before this time, in UTC, or ago (12h).")
@click.option("--code", type=click.Choice(CODES), metavar="CODE", help="Only this code, or ok.")
@click.option("--via", type=click.Choice(VIAS), help="Only calls that came this way.")
@click.option("--key", help="Only calls of the API key of this name.")
@click.option(
    "--limit", type=click.IntRange(1), default=100, show_default=True, help="The most calls."
)
@click.option("--cursor", help="The cursor of an earlier page, for the next one.")
@config_option
@own_address_option
@json_option
def history(
    account: str | None,
    number: str | None,
    since: datetime | None,
    until: datetime | None,
    code: str | None,
    via: str | None,
    key: str | None,
    limit: int,
    cursor: str | None,
    config: Path | None,
    own_address: str,
    as_json: bool,
) -> None:
    """Print the calls in the ledger, the newest first; by default those of the last 24 hours.

    Contacts are masked, except with --json.
    """
    with opened_ledger(config, own_address) as (settings, ledger):
        target = None if number is None else read_target(settings, number)
        accounts = None if account is None else (account,)
        filters = Filters(accounts, target, since, until, code, via, key)
        found: list[CallEntry] = []
        while True:
            try:
                page = ledger.calls(filters, min(limit - len(found), MAX_LIMIT), cursor)
            except ValueError as error:
                raise click.UsageError(f"--cursor {error}") from None
            found += page.entries
            cursor = page.cursor
            if cursor is None or len(found) >= limit:
                break
        if as_json:
            calls = [build_call(each) for each in found]
            print_data({"calls": calls, "count": len(calls), "cursor": cursor})
            return
        print_calls(found)
        if cursor is not None:
            click.echo(f"more calls follow: --cursor {cursor}", err=True)


LEDGER_COMMANDS: Final = (history, contact, db)
