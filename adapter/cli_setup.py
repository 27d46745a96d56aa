"""The configuration of a command: load it, or end the command with what is wrong."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn, TypeVar
from urllib.parse import urlsplit

import click

from adapter.cli_output import print_trace
from adapter.client import make_service
from adapter.codes import Code
from adapter.contacts import Contact, detect_field
from adapter.errors import ConfigurationError, LedgerUnavailable, PluginError, RequestError
from adapter.logs import log_event
from adapter.privacy import mask_digit_runs
from adapter.request_fields import read_contact
from adapter.results import Result
from adapter.service import Service
from adapter.settings.database_url import SQLITE
from adapter.settings.loader import load_settings
from adapter.settings.locations import (
    DEFAULT_ADDRESS,
    find_config,
    sandbox_ledger_path,
    sandbox_path,
)
from adapter.settings.model import LedgerSettings, Settings
from adapter.settings.toml_file import read_toml

if TYPE_CHECKING:
    from adapter.ledger.ledger import Ledger

_CONFIGURE: Final = (
    'To configure one: add [ledger] with url = "sqlite:///ledger.db", and run: '
    "pip install 'contact-adapter[ledger]'"
)

LoadedT = TypeVar("LoadedT")


def open_settings(config: Path | None, own_address: str) -> Settings:
    """Return the settings; a fault of the configuration ends the command."""
    return or_exit(lambda: load_settings(read_toml(find_config(config)), own_address=own_address))


def open_service(config: Path | None, own_address: str, *, needs_ledger: bool = False) -> Service:
    """Return the service; a fault of the configuration ends the command.

    With `needs_ledger`, so does a configuration without one.
    """
    open_them = open_ledger_settings if needs_ledger else open_settings
    settings = open_them(config, own_address)
    return or_exit(lambda: make_service(settings))


def prepare_ledger(service: Service, config: Path | None) -> None:
    """End the command for a ledger with another schema, with the command to run.

    A database that is gone does not end it: the call is not recorded then.
    """
    if service.ledger is None:
        return
    from adapter.ledger.upgrade import SchemaError

    try:
        service.ledger.prepare()
    except SchemaError as error:
        raise click.ClickException(describe_unavailable(error, config)) from None
    except LedgerUnavailable as error:
        log_event("ledger", level=logging.WARNING, state="unavailable", error=str(error))


def describe_unavailable(error: Exception, config: Path | None) -> str:
    """Return what is wrong with the ledger's database, and how to mend it."""
    from adapter.ledger.upgrade import SchemaError, describe_schema_error

    if isinstance(error, SchemaError):
        return describe_schema_error(error, config)
    return f"{error}; check [ledger] url, and that the database can be reached"


def open_ledger_settings(config: Path | None, own_address: str) -> Settings:
    """Return the settings of a command that needs a ledger; without one, end the command.

    The sandbox has one while its server runs.
    """
    settings = open_settings(config, own_address)
    if settings.ledger is None and find_config(config) == sandbox_path():
        file = sandbox_ledger_path(urlsplit(own_address).port)
        if not file.is_file():
            raise click.ClickException(
                f"the sandbox's ledger exists while its server runs; there is none at "
                f"{own_address}: start `contact-adapter serve`, give its address with "
                f"--own-address, or a configuration of your own with --config. {_CONFIGURE}"
            )
        settings = replace(settings, ledger=LedgerSettings(f"{SQLITE}{file}"))
    if settings.ledger is None:
        raise click.ClickException(f"no ledger is configured. {_CONFIGURE}")
    return settings


def open_ledger(settings: Settings) -> Ledger:
    """Return the ledger of the settings; a missing library ends the command."""
    ledger = settings.ledger
    if ledger is None:
        raise click.ClickException(f"no ledger is configured. {_CONFIGURE}")
    from adapter.ledger import load_ledger  # only here, with its libraries

    return or_exit(lambda: load_ledger(ledger))


def read_target(
    settings: Settings, number: str | None, jid: str | None = None, user_id: str | None = None
) -> Contact:
    """Return the person that a command names; an invalid name ends the command."""
    if number is None and jid is None and user_id is None:
        raise click.UsageError("name a person: give a number, --jid or --user-id")
    names = {"jid": jid, "user_id": user_id}
    if number is not None:
        field = detect_field(number)
        if names.get(field) is not None:
            raise click.UsageError(f"the argument and --{field.replace('_', '-')} are the same")
        names[field] = number
    try:
        return read_contact(**names, default_region=settings.default_region)
    except RequestError as error:
        _, *fields = error.outcome.lines
        raise click.ClickException("\n".join([error.outcome.message, *fields])) from None


def or_exit(load: Callable[[], LoadedT]) -> LoadedT:
    """Return `load()`; turn configuration and plugin errors into click.ClickException."""
    try:
        return load()
    except ConfigurationError as error:
        raise click.ClickException(str(error)) from None
    except PluginError as error:
        _exit_with_plugin_error(error)


def or_configuration_error(config: Path | None, do: Callable[[], LoadedT]) -> LoadedT:
    """Return `do()`. Where it fails, a fault of the configuration is reported in its place."""
    try:
        return do()
    except click.ClickException:
        open_settings(config, DEFAULT_ADDRESS)
        raise


def _exit_with_plugin_error(error: PluginError) -> NoReturn:
    if error.__cause__ is not None:
        print_trace(error.__cause__)
    raise click.ClickException(mask_digit_runs(str(error))) from None


def describe_remedy(
    service: Service, result: Result, config: Path | None, own_address: str
) -> str | None:
    """Return the command that mends a failure, where there is one; else None."""
    if result.code is Code.LEDGER_UNAVAILABLE:
        return f"run: contact-adapter db check{f' --config {config}' if config else ''}"
    return describe_own_server(service, result, own_address)


def describe_own_server(service: Service, result: Result, own_address: str) -> str | None:
    """Return the remedy for an account whose provider is this program's server; else None."""
    account = service.settings.accounts.get(result.account or "")
    if result.code is not Code.PROVIDER_UNREACHABLE or account is None:
        return None
    if not f"{account.base_url}/".startswith(f"{own_address.rstrip('/')}/"):
        return None
    return (
        f"no server at {own_address}: start `contact-adapter serve`, "
        "or give its address with --own-address"
    )
