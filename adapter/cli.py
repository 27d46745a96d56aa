"""The command line: contact-adapter serve, check, providers, block, and the others below."""

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
from adapter.auth import ANONYMOUS
from adapter.client import Client
from adapter.codes import Action
from adapter.contacts.contact import detect_field
from adapter.errors import ConfigurationError, PluginError
from adapter.names import display_key
from adapter.privacy import mask_digit_runs, mask_traceback
from adapter.registry import load_plugins
from adapter.results import Command, Result, build_envelope
from adapter.scaffold import ScaffoldError, check_name, package_name, write_package
from adapter.service import Service, new_request_id
from adapter.settings.loader import load_settings
from adapter.settings.model import Settings
from adapter.settings.toml_file import read_toml
from adapter.urls import is_loopback, is_plain_url
from adapter.web.app import CONFIG_VARIABLE, DEFAULT_ADDRESS, build_app, find_config, service_state
from adapter.web.auth import AnonymousAccess
from adapter.web.introspection import describe_accounts, describe_plugins

DEFAULT_HOST = urlsplit(DEFAULT_ADDRESS).hostname
DEFAULT_PORT = urlsplit(DEFAULT_ADDRESS).port

CommandT = TypeVar("CommandT", bound=Callable[..., Any])


def _check_address(_: click.Context, __: click.Parameter, value: str) -> str:
    if not is_plain_url(value):
        raise click.BadParameter("must be an http or https URL, such as " + DEFAULT_ADDRESS)
    return value


_config_option = click.option(
    "--config",
    type=click.Path(path_type=Path),
    help=f"The TOML file; else ${CONFIG_VARIABLE}, else the sandbox.",
)
_json_option = click.option("--json", "as_json", is_flag=True, help="Print the envelope.")
_own_option = click.option(
    "--own-address",
    default=DEFAULT_ADDRESS,
    callback=_check_address,
    show_default=True,
    help='Where the server of this configuration listens, for base_url = { self = "…" }.',
)


class _Commands(click.Group):
    """The commands. The text of an exception that gets out of one is masked."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except Exception as error:  # noqa: BLE001 - a bug, whose text may hold a number
            _print_trace(error)
            sys.exit(1)


class _UnwrittenError(click.ClickException):
    """Standard output cannot be written, such as on a full disk."""


def _echo(text: str) -> None:
    """Write a line to standard output. Raises _UnwrittenError where that cannot be done."""
    try:
        click.echo(text)
    except OSError as error:
        with suppress(OSError, ValueError), Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())  # or the end would flush it once more
        raise _UnwrittenError(f"the output cannot be written: {error.strerror}") from None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="contact-adapter")
def main() -> None:
    """One block/unblock API in front of any WhatsApp HTTP provider."""


@main.command()
@_config_option
@click.option("--host", default=DEFAULT_HOST, show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    help="The port; 0 takes any free one.",
)
@click.option(
    "--workers", type=click.IntRange(1), help="Processes, in place of gunicorn.conf.py's."
)
@click.option(
    "--connections", type=click.IntRange(1), help="Connections served at a time by each, likewise."
)
@click.option(
    "--allow-unauthenticated",
    is_flag=True,
    help="Serve everyone who can connect, where no API key is configured.",
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

    SIGTERM stops it when the calls in flight are answered; lists are excepted, and cut after about
    20 seconds. SIGHUP reads the configuration again.
    """
    try:
        from adapter.server import run as server
    except ImportError as error:
        raise click.ClickException(
            f"the server is not installed ({error.name} is missing); "
            "run: pip install 'contact-adapter[server]'"
        ) from None
    access = AnonymousAccess.EVERYONE if allow_unauthenticated else AnonymousAccess.LOOPBACK
    with server.multiprocess_metrics(workers), server.listen(host, port) as listener:
        address = server.address_of(listener)

        def build() -> Flask:
            app = build_app(config, access=access, own_address=address)
            keys = service_state(app).service.settings.keys
            if not keys and not allow_unauthenticated and not is_loopback(host):
                raise click.ClickException(
                    f"no API key is configured, and {host} can be reached by others; configure "
                    "[keys], listen on 127.0.0.1, or say --allow-unauthenticated"
                )
            return app

        app = _or_explain(build)
        settings: Settings = service_state(app).service.settings
        logs.configure(settings.log.level, settings.log.format)
        ready = f"serving {find_config(config)} at {address} (docs at {address}/docs)"
        if settings.log.format == "json":
            logs.log.info(ready)
        else:
            # A full disk, a closed pipe, or no stream at all (click before 8.1 raises for that).
            with suppress(OSError, ValueError, AttributeError):
                click.echo(ready, err=True)
        server.run(build, app, listener, workers=workers, connections=connections)


@main.command()
@_config_option
@_own_option
@click.option("--live", is_flag=True, help="Ask each provider something harmless, if it can be.")
def check(config: Path | None, own_address: str, live: bool) -> None:
    """Explain every fault of the configuration at once. Sends nothing without --live."""
    service = _open_service(config, own_address)
    for broken in service.settings.registry.broken:
        _echo(f"note: the plugin {broken.plugin} is broken: {broken.reason}")
    for clash in service.settings.registry.clashes:
        _echo(f"note: {clash}")
    for entry in service.settings.registry.idle_blocks:
        shown = ":".join(map(display_key, entry.split(":", 1)))
        _echo(f"note: {shown} in [plugins] blocked matches no installed plugin")
    _echo(f"{find_config(config)}: sound; {len(service.accounts)} account(s)")
    if live:
        answers = [_ask(service, name) for name in service.accounts]
        sys.exit(0 if all(answers) else 1)


@main.command()
@_config_option
@_own_option
@_json_option
def providers(config: Path | None, own_address: str, as_json: bool) -> None:
    """List the installed providers and dialects, and the plugins that are broken."""
    data = describe_plugins(_open_service(config, own_address).settings, in_full=True)
    if as_json:
        _print_data(data)
        return
    for each in data["providers"]:
        dialect = "with dialect" if each["dialect"] else "no dialect"
        _echo(
            f"{each['name']}: {each['title']}; {', '.join(each['actions'])}; "
            f"{dialect}; from {each['origin']}"
        )
    for each in data["broken"]:
        _echo(f"{each['name']}: broken; from {each['origin']}; {each['reason']}")


@main.command()
@_config_option
@_own_option
@_json_option
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
        _echo(f"{entry['name']}{default}: {entry['provider']}; {actions}")


def _change_command(action: Action) -> click.Command:
    @click.argument("contact")
    @click.option("--account", help="The account; else the default one.")
    @_config_option
    @_own_option
    @_json_option
    def change(
        contact: str, account: str | None, config: Path | None, own_address: str, as_json: bool
    ) -> None:
        contacts = Client(_open_service(config, own_address), ANONYMOUS)
        target = {detect_field(contact): contact}
        call = contacts.block if action is Action.BLOCK else contacts.unblock
        result = call(account=account, **target)
        _print_result(result, as_json)

    change.__doc__ = f"{action.value.capitalize()} a contact, named by number, JID or user id."
    return main.command(action.value)(change)


block = _change_command(Action.BLOCK)
unblock = _change_command(Action.UNBLOCK)


@main.command()
@click.option("--account", help="The account; else the default one.")
@_config_option
@_own_option
@_json_option
def blocked(account: str | None, config: Path | None, own_address: str, as_json: bool) -> None:
    """Read the block list, a JID or user id a line."""
    contacts = Client(_open_service(config, own_address), ANONYMOUS)
    _print_result(contacts.blocked(account=account), as_json)


@main.command("new-provider")
@click.argument("name")
@click.option(
    "--into",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="The folder to write, empty or not there yet; else contact-adapter-NAME in this one.",
)
def new_provider(name: str, into: Path | None) -> None:
    """Write a package for a provider of your own, with blanks to fill in."""
    folder = into or Path(package_name(name))
    try:
        check_name(name, _or_explain(load_plugins))
        write_package(name, folder)
    except ScaffoldError as error:
        raise click.ClickException(str(error)) from None
    _echo(f"wrote {folder}; install it and run its tests, which list its blanks:")
    _echo(f"  pip install --editable {folder}")
    _echo(f"  pytest {folder}")


def _open_service(config: Path | None, own_address: str) -> Service:
    def load() -> Service:
        return Service(load_settings(read_toml(find_config(config)), own_address=own_address))

    return _or_explain(load)


LoadedT = TypeVar("LoadedT")


def _or_explain(load: Callable[[], LoadedT]) -> LoadedT:
    """Return what `load` returns; end with a readable error where the configuration is at fault."""
    try:
        return load()
    except ConfigurationError as error:
        raise click.ClickException(str(error)) from None
    except PluginError as error:
        _explain_plugin(error)


def _print_trace(error: BaseException) -> None:
    click.echo(mask_traceback("".join(traceback.format_exception(error))), err=True)


def _explain_plugin(error: PluginError) -> NoReturn:
    if error.__cause__ is not None:
        _print_trace(error.__cause__)
    raise click.ClickException(mask_digit_runs(str(error))) from None


def _ask(service: Service, name: str) -> bool:
    """Read the account's block list where that can be done, and say how it went."""
    account = service.accounts[name]
    if Action.LIST not in account.provider.actions():
        _echo(f"{name}: nothing harmless can be asked of {account.provider.name}")
        return True
    result = service.perform(name, Command(Action.LIST))
    _echo(f"{name}: {result.code.value if result.code else 'ok'}")
    return result.ok


def _print_data(data: dict[str, Any]) -> None:
    _print_json(build_envelope(data=data, request_id=new_request_id()))


def _print_json(document: Any) -> None:
    _echo(json.dumps(document, indent=2))


def _print_result(result: Result, as_json: bool) -> NoReturn:
    try:
        _write_result(result, as_json)
    except _UnwrittenError as error:
        became = ""
        if result.code is not None:
            became = f"; the call failed: {result.code.value}"
        elif result.contacts is None:
            became = "; the change was made"
        raise _UnwrittenError(f"{error.message}{became}") from None
    sys.exit(0 if result.ok else 1)


def _write_result(result: Result, as_json: bool) -> None:
    if as_json:
        _print_json(result.envelope())
    elif result.code is not None:
        code = result.code
        click.echo(
            f"{code.value}: {code.message} "
            f"(outcome: {code.applied.value}; retry: {code.retry.value})",
            err=True,
        )
        for name, messages in result.outcome.fields.items():
            click.echo(f"  {name}: {'; '.join(messages)}", err=True)
    elif result.command is not None and result.command.contact is not None:
        _echo(
            f"{result.command.action.value}ed {result.command.contact.masked} "
            f"for {result.account} ({result.outcome.confirmation})"
        )
    else:
        for contact in result.contacts or ():
            _echo(contact.jid or str(contact.user_id))
