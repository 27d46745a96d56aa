"""The configuration of a command: load it, or end the command with what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypeVar

import click

from adapter.cli_output import print_trace
from adapter.codes import Code
from adapter.errors import ConfigurationError, PluginError
from adapter.privacy import mask_digit_runs
from adapter.results import Result
from adapter.service import Service
from adapter.settings.loader import load_settings
from adapter.settings.locations import DEFAULT_ADDRESS, find_config
from adapter.settings.model import Settings
from adapter.settings.toml_file import read_toml

LoadedT = TypeVar("LoadedT")


def open_settings(config: Path | None, own_address: str) -> Settings:
    """Return the settings; a fault of the configuration ends the command."""
    return or_exit(lambda: load_settings(read_toml(find_config(config)), own_address=own_address))


def open_service(config: Path | None, own_address: str) -> Service:
    """Return the service; a fault of the configuration ends the command."""
    return Service(open_settings(config, own_address))


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
