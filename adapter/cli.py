"""The command line: contact-adapter serve, check, providers, accounts, block, unblock, …."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click
from flask import Flask

from adapter import logs
from adapter.api_keys import describe_short_keys
from adapter.batch_calls import BatchCalls
from adapter.cli_batches import BATCH_COMMANDS
from adapter.cli_calls import CALLS
from adapter.cli_ledger import LEDGER_COMMANDS
from adapter.cli_options import PathType, config_option, json_option, own_address_option
from adapter.cli_output import print_data, print_line, print_trace
from adapter.cli_plan import PLAN_COMMANDS
from adapter.cli_setup import describe_own_server, open_service, or_configuration_error, or_exit
from adapter.codes import Action
from adapter.config_names import display_key
from adapter.containment import contain
from adapter.readings import SessionState
from adapter.registry import load_plugins
from adapter.results import Command
from adapter.scaffold import ScaffoldError, check_name, package_name, write_package
from adapter.service import Service
from adapter.settings.accounts import describe_long_timeouts, describe_missing_reads
from adapter.settings.database_url import SQLITE
from adapter.settings.locations import DEFAULT_ADDRESS, find_config, sandbox_path
from adapter.settings.model import Settings
from adapter.settings.toml_file import read_toml
from adapter.urls import is_loopback
from adapter.web.app import build_app, service_state
from adapter.web.auth import AnonymousAccess, warn_about_short_keys
from adapter.web.introspection import describe_accounts, describe_plugins
from adapter.wording import count_of

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
            print_trace(error)
            sys.exit(1)


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

    SIGTERM stops it after the calls in flight; block lists, lookups and states that take longer
    than about 20 seconds are cut off. SIGHUP reloads the configuration.
    """
    try:
        from adapter.server import run as server
        from adapter.server.ledger import prepare_ledger
    except ImportError as error:
        raise click.ClickException(
            f"the server is not installed: the package {error.name} is missing; "
            "run: pip install 'contact-adapter[server]'"
        ) from None
    access = AnonymousAccess.EVERYONE if allow_unauthenticated else AnonymousAccess.LOOPBACK
    with (
        server.multiprocess_metrics(workers),
        or_configuration_error(config, lambda: server.listen(host, port)) as listener,
        _sandbox_ledger(config, listener.getsockname()[1]) as sandbox_file,
    ):
        address = server.address_of(listener)

        def build() -> Flask:
            source = config if sandbox_file is None else _sandbox_with(sandbox_file)
            app = build_app(source, access=access, own_address=address)
            keys = service_state(app).service.settings.keys
            if not keys and not allow_unauthenticated and not is_loopback(host):
                raise click.ClickException(
                    f"no API key is configured, and {host} is reachable from other machines; "
                    "configure [keys], use --host 127.0.0.1, or add --allow-unauthenticated"
                )
            prepare_ledger(app, config)
            return app

        app = or_exit(build)
        settings: Settings = service_state(app).service.settings
        logs.configure(settings.log.level, settings.log.format)
        warn_about_short_keys(settings.keys)
        ready = f"serving {find_config(config)} at {address} (docs at {address}/docs)"
        if sandbox_file is not None:
            ready += f"; the ledger of the sandbox is {sandbox_file}"
        if settings.log.format == "json":
            logs.log.info(ready)
        else:
            # A full disk, a closed pipe, or no stream at all, for which click before 8.1 raises.
            with suppress(OSError, ValueError, AttributeError):
                click.echo(ready, err=True)
        server.run(build, app, listener, workers=workers, connections=connections)


def _sandbox_ledger(config: Path | None, port: int) -> AbstractContextManager[Path | None]:
    """Return the file of the ledger of the sandbox; None for every other configuration."""
    from adapter.server.ledger import sandbox_ledger

    is_sandbox = or_exit(lambda: find_config(config)) == sandbox_path()
    return sandbox_ledger(port) if is_sandbox else nullcontext()


def _sandbox_with(file: Path) -> dict[str, Any]:
    """Return the sandbox's configuration with a ledger."""
    return {**read_toml(sandbox_path()), "ledger": {"url": f"{SQLITE}{file}"}}


@main.command()
@config_option
@own_address_option
@click.option(
    "--live",
    is_flag=True,
    help="Also read the status of each account, or the block list where there is no status.",
)
def check(config: Path | None, own_address: str, live: bool) -> None:
    """Report every fault of the configuration at once.

    Sends nothing without --live. Warnings do not change the exit status.
    """
    service = open_service(config, own_address)
    registry = service.settings.registry
    for broken in registry.broken:
        print_line(f"note: the plugin {broken.plugin} is broken: {broken.reason}")
    for clash in registry.clashes:
        print_line(f"note: {clash}")
    for entry in registry.idle_blocks:
        shown = ":".join(map(display_key, entry.split(":", 1)))
        print_line(f"note: {shown} in [plugins] blocked matches no installed plugin")
    if service.settings.default_region is None:
        print_line(
            "note: no default_region: digits without a + are read as an international number"
        )
    for note in describe_missing_reads(service.settings.accounts.values()):
        print_line(f"note: {note}")
    for warning in describe_short_keys(service.settings.keys):
        print_line(f"warning: {warning}")
    for warning in describe_long_timeouts(service.settings.accounts.values()):
        print_line(f"warning: {warning}")
    if service.ledger is not None:
        or_exit(BatchCalls(service).check)
    print_line(f"{find_config(config)}: valid; {count_of(len(service.accounts), 'account')}")
    if live:
        passed = [_check_live(service, name, own_address) for name in service.accounts]
        sys.exit(0 if all(passed) else 1)


@main.command()
@config_option
@own_address_option
@json_option
def providers(config: Path | None, own_address: str, as_json: bool) -> None:
    """List the installed providers and dialects, and the plugins that are broken."""
    data = describe_plugins(open_service(config, own_address).settings, in_full=True)
    if as_json:
        print_data(data)
        return
    for each in data["providers"]:
        dialect = "with dialect" if each["dialect"] else "no dialect"
        print_line(
            f"{each['name']}: {each['title']}; {', '.join(each['actions'])}; "
            f"{dialect}; from {each['origin']}"
        )
    for each in data["broken"]:
        print_line(f"{each['name']}: broken; from {each['origin']}; {each['reason']}")


@main.command()
@config_option
@own_address_option
@json_option
def accounts(config: Path | None, own_address: str, as_json: bool) -> None:
    """List the configured accounts."""
    service = open_service(config, own_address)
    entries = describe_accounts(service.accounts.values())
    if as_json:
        print_data({"accounts": entries})
        return
    for entry in entries:
        default = " (default)" if entry["name"] == service.settings.default_account else ""
        actions = ", ".join(entry["actions"])
        print_line(f"{entry['name']}{default}: {entry['provider']}; {actions}")


for _command in (*CALLS, *BATCH_COMMANDS, *PLAN_COMMANDS, *LEDGER_COMMANDS):
    main.add_command(_command)


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
        check_name(name, or_exit(load_plugins))
        write_package(name, folder)
    except ScaffoldError as error:
        raise click.ClickException(str(error)) from None
    print_line(f"created {folder}; install it and run its tests, which list the blanks:")
    print_line(f"  pip install --editable {folder}")
    print_line(f"  pytest {folder}")


def _check_live(service: Service, name: str, own_address: str) -> bool:
    """Read the account's status, else its block list; print it, and return whether it is good."""
    provider = service.accounts[name].provider
    actions = contain(provider.actions)
    action = Action.STATUS if Action.STATUS in actions else Action.LIST
    if action not in actions:
        print_line(f"{name}: not checked; {provider.name} has neither a status nor a block list")
        return True
    result = service.perform(name, Command(action))
    session = result.session
    if session is not None:
        word = f" ({session.word})" if session.word not in (None, session.state.value) else ""
        print_line(f"{name}: {session.state.value}{word}")
        return session.state is SessionState.CONNECTED
    if len(result.route or ()) > 1:
        print_line(f"{name}: the block list was not read; its fallback was called")
        return False
    hint = describe_own_server(service, result, own_address)
    found = result.code.value if result.code else "ok; the block list was read"
    print_line(f"{name}: {found}{f'; {hint}' if hint else ''}")
    return result.ok
