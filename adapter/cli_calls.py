"""The commands that call a provider: block, unblock, blocked, status, lookup, state."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NoReturn

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
from adapter.cli_setup import describe_own_server, open_service
from adapter.client import Client
from adapter.codes import Action
from adapter.contacts import detect_field
from adapter.results import Result

_STDIN = "-"


def _call(
    config: Path | None,
    own_address: str,
    as_json: bool,
    call: Callable[[Client], Result],
    write: Callable[[Result], object],
) -> NoReturn:
    """Make a call with the configured accounts, print its result and exit."""
    service = open_service(config, own_address)
    result = call(Client(service, ANONYMOUS, "cli"))
    exit_with_result(result, as_json, describe_own_server(service, result, own_address), write)


def _change_command(action: Action) -> click.Command:
    @click.argument("contact")
    @account_option
    @click.option(
        "--verify/--no-verify",
        default=None,
        help="Whether to read the change back. Default: as the account is configured.",
    )
    @config_option
    @own_address_option
    @json_option
    def change(
        contact: str,
        account: str | None,
        verify: bool | None,
        config: Path | None,
        own_address: str,
        as_json: bool,
    ) -> None:
        def call(client: Client) -> Result:
            method = client.block if action is Action.BLOCK else client.unblock
            target = {detect_field(contact): contact}
            return method(**target, account=account, verify=verify)  # type: ignore[arg-type]

        _call(config, own_address, as_json, call, print_change)

    change.__doc__ = f"{action.value.capitalize()} a contact, named by number, JID or user id."
    return click.command(action.value)(change)


block = _change_command(Action.BLOCK)
unblock = _change_command(Action.UNBLOCK)


@click.command()
@account_option
@config_option
@own_address_option
@json_option
def blocked(account: str | None, config: Path | None, own_address: str, as_json: bool) -> None:
    """Print the block list: one JID or user id per line."""
    _call(config, own_address, as_json, lambda client: client.blocked(account=account), print_list)


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
