"""Run one batch for a command: its progress, Ctrl-C, and what is printed at the end."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from adapter.api_keys import ANONYMOUS
from adapter.batch_calls import BatchCalls
from adapter.cli_output import (
    OutputError,
    print_failure,
    print_json,
)
from adapter.cli_progress import (
    SHOWN,
    exit_status,
    new_reporter,
    print_event,
    print_rejected,
    print_summary,
)
from adapter.cli_setup import describe_remedy, open_service, or_exit, prepare_ledger
from adapter.errors import RequestError
from adapter.privacy import escape_controls
from adapter.results import Result
from adapter.service import Service, new_request_id
from adapter.settings.locations import DEFAULT_ADDRESS

if TYPE_CHECKING:
    from adapter.batches import Batch, Batches, Item

INTERRUPTED: Final = 130
"""Exit status after Ctrl-C."""

_AGAIN: Final = ("rejected", "failed")
"""The rows of `--rejected`."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The batches of a command, and its options."""

    service: Service
    batches: Batches
    calls: BatchCalls
    suffix: str
    as_json: bool

    def command(self, name: str, batch: Batch) -> str:
        """Return the command line of another command for this batch."""
        return f"contact-adapter batch {name} {batch.id}{self.suffix}"

    def go_on(self, batch: Batch) -> str:
        """Return the command line that starts this batch, or goes on with it."""
        if batch.status == "planned":
            return f"contact-adapter apply {batch.id}{self.suffix}"
        return self.command("resume", batch)


@contextmanager
def opened_batches(
    config: Path | None, own_address: str, as_json: bool = False
) -> Iterator[Opened]:
    """Return the batches; a refusal, or a ledger that is gone, ends the command."""
    service = open_service(config, own_address, needs_ledger=True)
    prepare_ledger(service, config)
    suffix = f" --config {config}" if config else ""
    if own_address != DEFAULT_ADDRESS:
        suffix += f" --own-address {own_address}"
    calls = BatchCalls(service)
    try:
        yield Opened(service, or_exit(calls.load), calls, suffix, as_json)
    except RequestError as error:
        result = Result(error.outcome, request_id=new_request_id())
        if as_json:
            print_json(result.envelope())
        else:
            print_failure(result)
            remedy = describe_remedy(service, result, config, own_address)
            if remedy is not None:
                click.echo(f"  {remedy}", err=True)
        sys.exit(1)
    finally:
        service.close()


def run_batch(opened: Opened, batch: Batch, output: Any = None) -> NoReturn:
    """Start or resume the batch, run it here, print its summary and exit."""
    stop, numbers = threading.Event(), []

    def interrupt(number: int, _: object) -> None:
        numbers.append(number)
        stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a second Ctrl-C ends at once

    before = {each: signal.signal(each, interrupt) for each in (signal.SIGINT, signal.SIGTERM)}
    reporter = new_reporter(opened.as_json, batch)
    try:
        batch = opened.calls.go_on(batch.id, ANONYMOUS, stop, reporter.show)
        if stop.is_set():
            batch = _pause(opened, batch)
    except KeyboardInterrupt:
        stop.set()
    finally:
        reporter.close()
        for number, handler in before.items():
            signal.signal(number, handler)
    write_again(opened, batch, output)
    _print_end(opened, batch)
    interrupted = signal.SIGINT in numbers and exit_status(batch) == 5
    sys.exit(INTERRUPTED if interrupted else exit_status(batch))


def _pause(opened: Opened, batch: Batch) -> Batch:
    """Pause an interrupted batch, so that no other process goes on with it."""
    try:
        return opened.batches.pause(batch.id, ANONYMOUS)
    except RequestError:
        return opened.batches.get(batch.id, ANONYMOUS)  # it has ended


def _print_end(opened: Opened, batch: Batch) -> None:
    if opened.as_json:
        print_event("end", batch)
        return
    print_summary(batch)
    if exit_status(batch) == 5:
        if batch.status == "planned":
            click.echo("  it is a plan that was not applied; nothing was sent", err=True)
        click.echo(f"  go on with it: {opened.go_on(batch)}", err=True)
        return
    print_some_rejected(batch, read_rejected(opened, batch))
    if any(batch.counts.get(status) for status in _AGAIN):
        csv = f"{opened.command('items', batch)} --status {','.join(_AGAIN)} --csv"
        click.echo(f"  their rows as CSV: {csv}", err=True)
    if batch.counts.get("failed") or batch.counts.get("unknown"):
        click.echo(f"  try again: {opened.command('retry', batch)}", err=True)


def read_rejected(opened: Opened, batch: Batch) -> list[Item]:
    """Return the first rejected rows."""
    if not batch.counts.get("rejected"):
        return []
    page = opened.batches.items(batch.id, ANONYMOUS, status="rejected", limit=SHOWN)
    return list(page.entries)


def print_some_rejected(batch: Batch, items: list[Item]) -> None:
    """Print the first rejected rows, and how many follow."""
    lines = [(each.line, each.code or "", escape_controls(each.why or "")) for each in items]
    print_rejected(lines, batch.counts.get("rejected", 0))


def open_private(path: Path) -> Any:
    """Open a file that only the user can read: it holds numbers."""
    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        return os.fdopen(number, "w", encoding="utf-8", newline="")
    except OSError as error:
        raise click.ClickException(f"cannot write to --rejected: {error.strerror}") from None


def write_again(opened: Opened, batch: Batch, output: Any) -> None:
    """Write the rejected and failed rows to the file of `--rejected`, and close it."""
    if output is None:
        return
    from adapter.batches import write_rows

    try:
        with output:
            output.truncate(0)  # only now: a command that ends before leaves the file as it was
            items = opened.calls.read_items(batch.id, ANONYMOUS, _AGAIN)
            output.writelines(write_rows(items))
    except OSError as error:
        raise OutputError(f"cannot write to --rejected: {error.strerror}") from None
