"""The commands that call a provider: block, unblock, blocked, status, lookup, state."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import click

from adapter.api_keys import ANONYMOUS
from adapter.cli_options import (
    account_option,
    config_option,
    json_option,
    own_address_option,
)
from adapter.cli_output import (
    exit_with_result,
    print_change,
    print_list,
    print_lookups,
    print_state,
    print_status,
)
from adapter.cli_setup import describe_remedy, open_service, prepare_ledger
from adapter.client import Client
from adapter.codes import Action
from adapter.contacts import detect_field
from adapter.history import MAX_LIMIT, Source
from adapter.readings import BlockPage
from adapter.results import Result

_STDIN = "-"


def _call(
    config: Path | None,
    own_address: str,
    as_json: bool,
    call: Callable[[Client], Result],
    write: Callable[[Result], object],
    *,
    needs_ledger: bool = False,
) -> NoReturn:
    """Make a call with the configured accounts, print its result and exit."""
    service = open_service(config, own_address, needs_ledger=needs_ledger)
    prepare_ledger(service, config)
    try:
        result = call(Client(service, ANONYMOUS, "cli"))
    finally:
        service.close()
    remedy = describe_remedy(service, result, config, own_address)
    exit_with_result(result, as_json, remedy, write)


def _change_command(action: Action) -> click.Command:
    @click.argument("contact")
    @account_option
    @click.option(
        "--verify/--no-verify",
        default=None,
        help="Whether to read the change back. Default: as the account is configured.",
    )
    @click.option("--reason", help="Why, for the ledger: spam, opt_out, abuse, other, or a word.")
    @click.option("--ref", help="Your own reference, for the ledger, such as a ticket.")
    @config_option
    @own_address_option
    @json_option
    def change(
        contact: str,
        account: str | None,
        verify: bool | None,
        reason: str | None,
        ref: str | None,
        config: Path | None,
        own_address: str,
        as_json: bool,
    ) -> None:
        def call(client: Client) -> Result:
            method = client.block if action is Action.BLOCK else client.unblock
            words: dict[str, Any] = {detect_field(contact): contact, "reason": reason, "ref": ref}
            return method(**words, account=account, verify=verify)

        needs_ledger = reason is not None or ref is not None
        _call(config, own_address, as_json, call, print_change, needs_ledger=needs_ledger)

    change.__doc__ = f"{action.value.capitalize()} a contact, named by number, JID or user id."
    return click.command(action.value)(change)


block = _change_command(Action.BLOCK)
unblock = _change_command(Action.UNBLOCK)


@click.command()
@account_option
@click.option(
    "--source",
    type=click.Choice(list(map(str, Source))),
    help="Where to read it. Default: the provider where it has a list, else the ledger.",
)
@config_option
@own_address_option
@json_option
def blocked(
    account: str | None,
    source: str | None,
    config: Path | None,
    own_address: str,
    as_json: bool,
) -> None:
    """Print the block list: one JID or user id per line.

    From the ledger, each line also has how that is known, since when, the reason and the ref.
    """

    def call(client: Client) -> Result:
        result = client.blocked(account=account, source=source)
        while result.cursor is not None:
            more = client.blocked(
                account=result.account, source=Source.LEDGER, limit=MAX_LIMIT, cursor=result.cursor
            )
            result = _join(result, more) if more.ok else more
        return result

    needs_ledger = source == Source.LEDGER
    _call(config, own_address, as_json, call, print_list, needs_ledger=needs_ledger)


def _join(first: Result, second: Result) -> Result:
    """Return two pages of the ledger's block list as one."""
    contacts = (*(first.contacts or ()), *(second.contacts or ()))
    page = BlockPage(second.cursor, (*(first.entries or ()), *(second.entries or ())))
    return replace(first, outcome=replace(first.outcome, contacts=contacts, reading=page))


@click.command()
@account_option
@config_option
@own_address_option
@json_option
def status(account: str | None, config: Path | None, own_address: str, as_json: bool) -> None:
    """Print whether the account's WhatsApp session is connected."""
    _call(config, own_address, as_json, lambda client: client.status(account=account), print_status)


@click.command()
@click.argument("numbers", nargs=-1)
@account_option
@click.option(
    "--candidates",
    is_flag=True,
    help="Also look up the other form of a Brazilian, Mexican or Argentinian number.",
)
@config_option
@own_address_option
@json_option
def lookup(
    numbers: tuple[str, ...],
    account: str | None,
    candidates: bool,
    config: Path | None,
    own_address: str,
    as_json: bool,
) -> None:
    """Print which numbers are on WhatsApp, at most 100.

    Without numbers, or with -, they are read from standard input, one per line.
    """
    typed = _read_numbers(numbers)

    def call(client: Client) -> Result:
        return client.lookup(typed, account=account, candidates=candidates)

    _call(config, own_address, as_json, call, partial(print_lookups, typed=typed))


def _read_numbers(arguments: tuple[str, ...]) -> list[str]:
    """Return the numbers of the arguments; those of standard input for `-` or no argument."""
    if not arguments and (sys.stdin is None or sys.stdin.isatty()):
        raise click.UsageError("give numbers, or - to type them on standard input, one per line")
    numbers: list[str] = []
    for each in arguments or (_STDIN,):
        if each == _STDIN:
            text = sys.stdin.buffer.read().decode("utf-8-sig", "replace")
            numbers += [line.strip() for line in text.splitlines() if line.strip()]
        else:
            numbers.append(each)
    return numbers


@click.command()
@click.argument("contact")
@account_option
@config_option
@own_address_option
@json_option
def state(
    contact: str, account: str | None, config: Path | None, own_address: str, as_json: bool
) -> None:
    """Print whether a contact, named by number, JID or user id, is blocked."""

    def call(client: Client) -> Result:
        return client.state(**{detect_field(contact): contact}, account=account)

    _call(config, own_address, as_json, call, print_state)


CALLS = (block, unblock, blocked, status, lookup, state)
"""The commands, in the order of the reference."""
