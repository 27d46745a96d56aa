"""Run one batch for a command: its progress, Ctrl-C, and what is printed at the end."""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NoReturn

import click

from adapter.api_keys import ANONYMOUS
from adapter.batch_calls import BatchCalls
from adapter.cli_output import OutputError, print_failure, print_line
from adapter.cli_progress import (
    SHOWN,
    exit_status,
    new_reporter,
    print_event,
    print_rejected,
    print_summary,
)
from adapter.cli_setup import describe_remedy, open_service, or_exit, prepare_ledger
from adapter.codes import Code
from adapter.errors import RequestError
from adapter.privacy import escape_controls
from adapter.results import Result
from adapter.service import Service, new_request_id
from adapter.settings.locations import DEFAULT_ADDRESS

if TYPE_CHECKING:
    from adapter.batches import Batch, Batches, Item

UNFINISHED: Final = 5
"""Exit status of a batch that has not ended, or of which that is not known."""

INTERRUPTED: Final = 130
"""Exit status after Ctrl-C."""

PAUSE_WAIT: Final = 2.0
"""Seconds that a second Ctrl-C waits for the pause of the first one."""

_AGAIN: Final = ("rejected", "failed")
"""The rows of `--rejected`."""

_TRIED: Final = ("failed", "unknown")
"""The rows of `retry`."""

_UNKNOWN: Final = (
    "  unknown rows may have taken effect; to settle them, send them again: where they have, that "
    "changes nothing"
)


@dataclass(frozen=True, slots=True)
class Opened:
    """The batches of a command, and its options."""

    service: Service
    batches: Batches
    calls: BatchCalls
    config: Path | None
    own_address: str
    as_json: bool

    def command(self, name: str, batch: Batch) -> str:
        """Return the command line of another command for this batch."""
        return f"contact-adapter batch {name} {batch.id}{self._options}"

    def go_on(self, batch: Batch) -> str:
        """Return the command line that starts this batch, or goes on with it."""
        if batch.status == "planned":
            return f"contact-adapter apply {batch.id}{self._options}"
        return self.command("resume", batch)

    def next_step(self, error: RequestError) -> str | None:
        """Return the command line that follows on an error about a batch; None for others."""
        from adapter.batches.refusals import FINISHED, BatchConflictError

        if error.outcome.code is Code.BATCH_NOT_FOUND:
            return f"the batches: contact-adapter batch list{self._options}"
        if not isinstance(error, BatchConflictError):
            return None
        batch = error.batch
        if batch.status not in FINISHED:
            return f"go on with it: {self.go_on(batch)}"
        if has_tries(batch):
            return f"try again: {self.command('retry', batch)}"
        return f"its rows: {self.command('items', batch)}"

    @property
    def _options(self) -> str:
        options = f" --config {self.config}" if self.config else ""
        if self.own_address != DEFAULT_ADDRESS:
            options += f" --own-address {self.own_address}"
        return options

    def print_error(self, error: RequestError) -> None:
        """Print an error and its remedy, or with `as_json` its envelope in one line."""
        result = Result(error.outcome, request_id=new_request_id())
        if self.as_json:
            print_line(json.dumps(result.envelope()))
            return
        print_failure(result)
        remedy = self.next_step(error) or describe_remedy(
            self.service, result, self.config, self.own_address
        )
        if remedy is not None:
            click.echo(f"  {remedy}", err=True)


@contextmanager
def opened_batches(
    config: Path | None, own_address: str, as_json: bool = False
) -> Iterator[Opened]:
    """Return the batches; a refusal, or a ledger that is gone, ends the command."""
    service = open_service(config, own_address, needs_ledger=True)
    prepare_ledger(service, config)
    calls = BatchCalls(service)
    try:
        opened = Opened(service, or_exit(calls.load), calls, config, own_address, as_json)
        try:
            yield opened
        except RequestError as error:
            opened.print_error(error)
            sys.exit(1)
    finally:
        service.close()


def run_batch(opened: Opened, batch: Batch, output: Any = None) -> NoReturn:
    """Start or resume the batch, run it here, print its summary and exit."""
    numbers: list[int] = []
    try:
        with _interrupts(opened, batch, numbers) as stop:
            reporter = new_reporter(opened.as_json, batch)
            try:
                batch = opened.calls.go_on(batch.id, ANONYMOUS, stop, reporter.show)
            finally:
                reporter.close()
        if numbers:
            batch = _pause(opened, batch)
        write_again(opened, batch, output)
        _print_end(opened, batch)
        status = exit_status(batch)
    except RequestError as error:
        if error.outcome.code is not Code.LEDGER_UNAVAILABLE:
            raise
        opened.print_error(error)
        _print_go_on(opened, batch)
        status = UNFINISHED
    sys.exit(_interrupted_status(numbers) if status == UNFINISHED else status)


@contextmanager
def _interrupts(opened: Opened, batch: Batch, numbers: list[int]) -> Iterator[threading.Event]:
    """Add the signals of Ctrl-C and SIGTERM to `numbers`; return the event that stops the run.

    The first one pauses the batch in the ledger before the rows in flight here have ended, so that
    no other process begins its rows in place of them. The second one ends the process at once: the
    lease of its rows ends by itself.
    """
    stop, signals = threading.Event(), SimpleQueue[int]()

    def handle(number: int, _: object) -> None:
        numbers.append(number)
        if len(numbers) > 1:
            ends = time.monotonic() + PAUSE_WAIT
            while not stop.is_set() and time.monotonic() < ends:  # the first one pauses it still
                time.sleep(0.01)
            _end_at_once(opened, batch, numbers)
        signals.put(number)  # the only call here that no lock of this thread can block

    def watch() -> None:
        try:
            if signals.get():
                _pause(opened, batch)
        except RequestError:
            pass  # the ledger is gone: see the end of the run
        finally:
            stop.set()

    watcher = threading.Thread(target=watch, name="contact-adapter-interrupts", daemon=True)
    watcher.start()
    before = {each: signal.signal(each, handle) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        signals.put(0)
        watcher.join()
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_at_once(opened: Opened, batch: Batch, numbers: list[int]) -> NoReturn:
    """End the process without waiting for the threads of its rows."""
    with suppress(Exception):  # a write of this thread may be what was interrupted
        _print_go_on(opened, batch)
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(_interrupted_status(numbers))


def _interrupted_status(numbers: list[int]) -> int:
    return INTERRUPTED if signal.SIGINT in numbers else UNFINISHED


def _pause(opened: Opened, batch: Batch) -> Batch:
    """Pause an interrupted batch, so that no other process goes on with it."""
    try:
        return opened.batches.pause(batch.id, ANONYMOUS)
    except RequestError:
        return opened.batches.get(batch.id, ANONYMOUS)  # it has ended


def _print_go_on(opened: Opened, batch: Batch) -> None:
    if not opened.as_json:
        click.echo(f"  go on with it: {opened.go_on(batch)}", err=True)


def _print_end(opened: Opened, batch: Batch) -> None:
    if opened.as_json:
        print_event("end", batch)
        return
    print_summary(batch)
    print_codes(opened, batch)
    if exit_status(batch) == UNFINISHED:
        if batch.status == "planned":
            click.echo("  it is a plan that was not applied; nothing was sent", err=True)
        _print_go_on(opened, batch)
        return
    print_some_rejected(batch, read_rejected(opened, batch))
    print_again(opened, batch)
    if batch.counts.get("unknown"):
        click.echo(_UNKNOWN, err=True)
    if has_tries(batch):
        click.echo(f"  try again: {opened.command('retry', batch)}", err=True)


def has_tries(batch: Batch) -> bool:
    """Whether the batch has rows that are sent again by a retry."""
    return any(batch.counts.get(status) for status in _TRIED)


def print_codes(opened: Opened, batch: Batch) -> None:
    """Print the codes of the rows that failed or are unknown, each with its count."""
    if has_tries(batch):
        codes = opened.batches.count_codes(batch.id, ANONYMOUS)
        for status in filter(codes.get, _TRIED):
            counts = ", ".join(f"{amount} {code}" for code, amount in codes[status].items())
            print_line(f"  {status}: {counts}")


def print_again(opened: Opened, batch: Batch) -> None:
    """Print the command for the CSV of rows that can be mended and fed in again."""
    if any(batch.counts.get(status) for status in _AGAIN):
        csv = f"{opened.command('items', batch)} --status {','.join(_AGAIN)} --csv"
        click.echo(f"  their rows as CSV: {csv}", err=True)


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


def open_private(path: Path, source: BinaryIO) -> Any:
    """Open a file that only the user can read, also one that exists: it holds numbers.

    Raises ClickException for the file of `source`, whose rows would be lost.
    """
    try:
        with suppress(OSError):  # neither the one nor the other has to be a file
            if os.path.samestat(path.stat(), os.fstat(source.fileno())):
                raise click.ClickException("--rejected: is the file of the rows; name another one")
        number = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        if stat.S_ISREG(os.fstat(number).st_mode):  # not a device or a pipe, which others may use
            os.fchmod(number, 0o600)
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
