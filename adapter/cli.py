"""The command line: contact-adapter serve, check, providers, accounts, block, unblock, …."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn, TypeVar
from urllib.parse import urlsplit

import click
from flask import Flask

from adapter import logs
from adapter.api_keys import ANONYMOUS, describe_short_keys
from adapter.cli_options import PathType, config_option, json_option, own_address_option
from adapter.client import Client
from adapter.codes import Action, Code
from adapter.config_names import display_key
from adapter.contacts import detect_field
from adapter.errors import ConfigurationError, PluginError
from adapter.privacy import mask_digit_runs, mask_traceback
from adapter.registry import load_plugins
from adapter.results import Command, Result, build_envelope
from adapter.scaffold import ScaffoldError, check_name, package_name, write_package
from adapter.service import Service, new_request_id
from adapter.settings.accounts import describe_long_timeouts
from adapter.settings.loader import load_settings
from adapter.settings.locations import DEFAULT_ADDRESS, find_config
from adapter.settings.model import Settings
from adapter.settings.toml_file import read_toml
from adapter.urls import is_loopback
from adapter.web.app import build_app, service_state
from adapter.web.auth import AnonymousAccess, warn_about_short_keys
from adapter.web.introspection import describe_accounts, describe_plugins

DEFAULT_HOST = urlsplit(DEFAULT_ADDRESS).hostname
DEFAULT_PORT = urlsplit(DEFAULT_ADDRESS).port

CommandT = TypeVar("CommandT", bound=Callable[..., Any])


class _Commands(click.Group):
    """The commands. The traceback of an uncaught exception is printed with masked numbers."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except Exception as error:  # noqa: BLE001 - a bug; its text may hold a phone number
            _print_trace(error)
            sys.exit(1)


class _OutputError(click.ClickException):
    """Standard output cannot be written, for example on a full disk."""


def _print(text: str) -> None:
    """Write a line to standard output. Raises _OutputError where that fails."""
    try:
        click.echo(text)
    except OSError as error:
        with suppress(OSError, ValueError), Path(os.devnull).open("w") as null:
            os.dup2(
                null.fileno(), sys.stdout.fileno()
            )  # no second failure when Python flushes at exit
        raise _OutputError(f"cannot write to standard output: {error.strerror}") from None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="contact-adapter")
def main() -> None:
    """One block/unblock API in front of any WhatsApp HTTP provider."""


@main.command()
@config_option
@click.option("--host", default=DEFAULT_HOST, show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    help="The port to listen on; 0 for any free port.",
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    help="Worker processes. Default: workers of gunicorn.conf.py.",
)
@click.option(
    "--connections",
    type=click.IntRange(1),
    help="Simultaneous connections per worker. Default: worker_connections of gunicorn.conf.py.",
)
@click.option(
    "--allow-unauthenticated",
    is_flag=True,
    help="Without API keys, serve every client that can connect.",
)
def serve(
    config: Path | None,
    host: str,
    port: int,
    workers: int | None,
    connections: int | None,
    allow_unauthenticated: bool,
) -> None:
    """Start the production server.

    SIGTERM stops it after the calls in flight; reads of block lists are cut off after about 20
    seconds. SIGHUP reloads the configuration.
    """
    try:
        from adapter.server import run as server
    except ImportError as error:
        raise click.ClickException(
            f"the server is not installed: the package {error.name} is missing; "
            "run: pip install 'contact-adapter[server]'"
        ) from None
    access = AnonymousAccess.EVERYONE if allow_unauthenticated else AnonymousAccess.LOOPBACK
    with (
        server.multiprocess_metrics(workers),
        _or_configuration_error(config, lambda: server.listen(host, port)) as listener,
    ):
        address = server.address_of(listener)

        def build() -> Flask:
            app = build_app(config, access=access, own_address=address)
            keys = service_state(app).service.settings.keys
            if not keys and not allow_unauthenticated and not is_loopback(host):
                raise click.ClickException(
                    f"no API key is configured, and {host} is reachable from other machines; "
                    "configure [keys], use --host 127.0.0.1, or add --allow-unauthenticated"
                )
            return app

        app = _or_exit(build)
        settings: Settings = service_state(app).service.settings
        logs.configure(settings.log.level, settings.log.format)
        warn_about_short_keys(settings.keys)
        ready = f"serving {find_config(config)} at {address} (docs at {address}/docs)"
        if settings.log.format == "json":
            logs.log.info(ready)
        else:
            # A full disk, a closed pipe, or no stream at all, for which click before 8.1 raises.
            with suppress(OSError, ValueError, AttributeError):
                click.echo(ready, err=True)
        server.run(build, app, listener, workers=workers, connections=connections)


@main.command()
@config_option
@own_address_option
@click.option(
    "--live", is_flag=True, help="Also read the block list of each account whose provider has one."
)
def check(config: Path | None, own_address: str, live: bool) -> None:
    """Report every fault of the configuration at once.

    Sends nothing without --live. Warnings do not change the exit status.
    """
    service = _open_service(config, own_address)
    registry = service.settings.registry
    for broken in registry.broken:
        _print(f"note: the plugin {broken.plugin} is broken: {broken.reason}")
    for clash in registry.clashes:
        _print(f"note: {clash}")
    for entry in registry.idle_blocks:
        shown = ":".join(map(display_key, entry.split(":", 1)))
        _print(f"note: {shown} in [plugins] blocked matches no installed plugin")
    if service.settings.default_region is None:
        _print("note: no default_region: digits without a + are read as an international number")
    for warning in describe_short_keys(service.settings.keys):
        _print(f"warning: {warning}")
    for warning in describe_long_timeouts(service.settings.accounts.values()):
        _print(f"warning: {warning}")
    _print(f"{find_config(config)}: valid; {len(service.accounts)} account(s)")
    if live:
        passed = [_check_live(service, name, own_address) for name in service.accounts]
        sys.exit(0 if all(passed) else 1)


@main.command()
@config_option
@own_address_option
@json_option
def providers(config: Path | None, own_address: str, as_json: bool) -> None:
    """List the installed providers and dialects, and the plugins that are broken."""
    data = describe_plugins(_open_service(config, own_address).settings, in_full=True)
    if as_json:
        _print_data(data)
        return
    for each in data["providers"]:
        dialect = "with dialect" if each["dialect"] else "no dialect"
        _print(
            f"{each['name']}: {each['title']}; {', '.join(each['actions'])}; "
            f"{dialect}; from {each['origin']}"
        )
    for each in data["broken"]:
        _print(f"{each['name']}: broken; from {each['origin']}; {each['reason']}")


@main.command()
@config_option
@own_address_option
@json_option
def accounts(config: Path | None, own_address: str, as_json: bool) -> None:
    """List the configured accounts."""
    service = _open_service(config, own_address)
    entries = describe_accounts(service.accounts.values())
    if as_json:
        _print_data({"accounts": entries})
        return
    for entry in entries:
        default = " (default)" if entry["name"] == service.settings.default_account else ""
        actions = ", ".join(entry["actions"])
        _print(f"{entry['name']}{default}: {entry['provider']}; {actions}")


def _change_command(action: Action) -> click.Command:
    @click.argument("contact")
    @click.option("--account", help="The account. Default: the default account.")
    @config_option
    @own_address_option
    @json_option
    def change(
        contact: str, account: str | None, config: Path | None, own_address: str, as_json: bool
    ) -> None:
        service = _open_service(config, own_address)
        client = Client(service, ANONYMOUS)
        target = {detect_field(contact): contact}
        call = client.block if action is Action.BLOCK else client.unblock
        result = call(account=account, **target)
        _print_result(result, as_json, _describe_own_server(service, result, own_address))

    change.__doc__ = f"{action.value.capitalize()} a contact, named by number, JID or user id."
    return main.command(action.value)(change)


block = _change_command(Action.BLOCK)
unblock = _change_command(Action.UNBLOCK)


@main.command()
@click.option("--account", help="The account. Default: the default account.")
@config_option
@own_address_option
@json_option
def blocked(account: str | None, config: Path | None, own_address: str, as_json: bool) -> None:
    """Print the block list: one JID or user id per line."""
    service = _open_service(config, own_address)
    result = Client(service, ANONYMOUS).blocked(account=account)
    _print_result(result, as_json, _describe_own_server(service, result, own_address))


@main.command("new-provider")
@click.argument("name")
@click.option(
    "--into",
    type=PathType(),
    metavar="FOLDER",
    help="The folder to create; may exist if it is empty. Default: contact-adapter-NAME.",
)
def new_provider(name: str, into: Path | None) -> None:
    """Create a package for a new provider, with blanks to fill in."""
    folder = into or Path(package_name(name))
    try:
        check_name(name, _or_exit(load_plugins))
        write_package(name, folder)
    except ScaffoldError as error:
        raise click.ClickException(str(error)) from None
    _print(f"created {folder}; install it and run its tests, which list the blanks:")
    _print(f"  pip install --editable {folder}")
    _print(f"  pytest {folder}")


def _open_settings(config: Path | None, own_address: str) -> Settings:
    return _or_exit(lambda: load_settings(read_toml(find_config(config)), own_address=own_address))


def _open_service(config: Path | None, own_address: str) -> Service:
    return Service(_open_settings(config, own_address))


LoadedT = TypeVar("LoadedT")


def _or_exit(load: Callable[[], LoadedT]) -> LoadedT:
    """Return `load()`; turn configuration and plugin errors into click.ClickException."""
    try:
        return load()
    except ConfigurationError as error:
        raise click.ClickException(str(error)) from None
    except PluginError as error:
        _exit_with_plugin_error(error)


def _or_configuration_error(config: Path | None, do: Callable[[], LoadedT]) -> LoadedT:
    """Return `do()`. Where it fails, a fault of the configuration is reported in its place."""
    try:
        return do()
    except click.ClickException:
        _open_settings(config, DEFAULT_ADDRESS)
        raise


def _print_trace(error: BaseException) -> None:
    click.echo(mask_traceback("".join(traceback.format_exception(error))), err=True)


def _exit_with_plugin_error(error: PluginError) -> NoReturn:
    if error.__cause__ is not None:
        _print_trace(error.__cause__)
    raise click.ClickException(mask_digit_runs(str(error))) from None


def _check_live(service: Service, name: str, own_address: str) -> bool:
    """Read the account's block list, where the provider has one; print and return the success."""
    account = service.accounts[name]
    if Action.LIST not in account.provider.actions():
        _print(f"{name}: not checked; {account.provider.name} has no block list to read")
        return True
    result = service.perform(name, Command(Action.LIST))
    hint = _describe_own_server(service, result, own_address)
    _print(f"{name}: {result.code.value if result.code else 'ok'}{f'; {hint}' if hint else ''}")
    return result.ok


def _describe_own_server(service: Service, result: Result, own_address: str) -> str | None:
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


def _print_data(data: dict[str, Any]) -> None:
    _print_json(build_envelope(data=data, request_id=new_request_id()))


def _print_json(document: Any) -> None:
    _print(json.dumps(document, indent=2))


def _print_result(result: Result, as_json: bool, hint: str | None) -> NoReturn:
    """Print the result and, for readers, the remedy `hint`; exit with the status of the result."""
    try:
        _write_result(result, as_json)
        if hint is not None and not as_json:
            click.echo(f"  {hint}", err=True)
    except _OutputError as error:
        outcome = ""
        if result.code is not None:
            outcome = f"; the call failed: {result.code.value}"
        elif result.contacts is None:
            outcome = "; the change was made"
        raise _OutputError(f"{error.message}{outcome}") from None
    sys.exit(0 if result.ok else 1)


def _write_result(result: Result, as_json: bool) -> None:
    if as_json:
        _print_json(result.envelope())
    elif result.code is not None:
        click.echo(
            f"{result.code.value}: {result.message} "
            f"(outcome: {result.applied}; retry: {result.retry})",
            err=True,
        )
        for name, messages in result.outcome.fields.items():
            click.echo(f"  {name}: {'; '.join(messages)}", err=True)
    elif result.command is not None and result.command.contact is not None:
        _print(
            f"{result.command.action.value}ed {result.command.contact.masked} "
            f"for {result.account} ({result.outcome.confirmation})"
        )
    else:
        for contact in result.contacts or ():
            _print(contact.jid or str(contact.user_id))
