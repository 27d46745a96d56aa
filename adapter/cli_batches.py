"""The commands of batches: batch block, unblock, list, show, items, pause, resume, …, worker."""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, NoReturn

import click

from adapter import logs
from adapter.api_keys import ANONYMOUS
from adapter.cli_batch_runs import (
    INTERRUPTED,
    Opened,
    open_private,
    opened_batches,
    print_again,
    print_codes,
    print_some_rejected,
    read_rejected,
    run_batch,
    write_again,
)
from adapter.cli_options import (
    IdType,
    PathType,
    account_option,
    config_option,
    json_option,
    own_address_option,
)
from adapter.cli_output import (
    print_data,
    print_line,
    print_rows,
)
from adapter.cli_progress import (
    count_ended,
    describe_counts,
    describe_seconds,
    print_event,
    print_summary,
)
from adapter.cli_setup import open_service, or_exit, prepare_ledger
from adapter.codes import Action
from adapter.history import MAX_LIMIT
from adapter.privacy import escape_controls
from adapter.settings.locations import find_config
from adapter.web.batch_documents import build_batch
from adapter.wording import count_of

if TYPE_CHECKING:
    from adapter.batches import Batch, Created, Item


@click.group()
def batch() -> None:
    """Block or unblock many contacts: from a file, at a pace, with a ledger.

    Exit status: 0 all rows are as wanted, 1 the command failed, 2 usage, 3 rows failed or were
    rejected, 4 rows are unknown, 5 the batch can go on, 130 the same after Ctrl-C.
    """


# --- block, unblock


def _change_command(action: Action) -> click.Command:
    @click.argument("file", type=click.File("rb"))
    @account_option
    @click.option("--verify", is_flag=True, help="Compare the result with the provider's list.")
    @click.option("--check", is_flag=True, help="Store and check the rows, and send nothing.")
    @click.option("--resume", is_flag=True, help="Go on with the unfinished batch of these rows.")
    @click.option(
        "--rejected",
        type=PathType(),
        metavar="FILE",
        help="Write the rejected and failed rows to this CSV, which can be fed in again.",
    )
    @config_option
    @own_address_option
    @click.option("--json", "as_json", is_flag=True, help="Print lines of JSON.")
    def change(
        file: BinaryIO,
        account: str | None,
        verify: bool,
        check: bool,
        resume: bool,
        rejected: Path | None,
        config: Path | None,
        own_address: str,
        as_json: bool,
    ) -> None:
        with opened_batches(config, own_address, as_json) as opened:
            output = None if rejected is None else open_private(rejected, file)
            created = _store(opened, file, action, account, verify, start=not check)
            if check:
                write_again(opened, created.batch, output)
                _exit_checked(opened, created)
            is_checked = created.batch.status == "ready"  # started by its file, too
            if created.existing and not resume and not is_checked:
                _exit_existing(opened, created.batch)
            run_batch(opened, created.batch, output)

    change.__doc__ = (
        f"{action.value.capitalize()} the contacts of FILE: a CSV, or one number per line; - for "
        "standard input.\n\nColumns: number, jid or user_id; optionally action, account, reason "
        "and ref. Ctrl-C pauses the batch."
    )
    return batch.command(action.value)(change)


for _action in (Action.BLOCK, Action.UNBLOCK):
    _change_command(_action)


def _store(
    opened: Opened,
    file: BinaryIO,
    action: Action,
    account: str | None,
    verify: bool,
    *,
    start: bool,
) -> Created:
    from adapter.batches import FileProblem

    try:
        created: Created = opened.calls.store(
            file, ANONYMOUS, "cli", action=action, account=account, verify=verify, start=start
        )
    except FileProblem as problem:
        raise click.ClickException(f"{problem}; nothing was stored, and nothing sent") from None
    except OSError as error:
        raise click.ClickException(f"cannot read the file: {error.strerror}") from None
    except KeyboardInterrupt:
        click.echo("interrupted while the file was read; nothing was sent", err=True)
        sys.exit(INTERRUPTED)
    if opened.as_json:
        print_event("stored", created.batch, existing=created.existing)
    return created


def _exit_checked(opened: Opened, created: Created) -> NoReturn:
    """Print what a batch would do, and how to start it; of one that was started, its status."""
    batch, items = created.batch, read_rejected(opened, created.batch)
    if opened.as_json:
        rows = [{"line": each.line, "code": each.code, "why": each.why} for each in items]
        print_event("checked", batch, rejected=rows)
    elif batch.status != "ready":
        _print_batch(opened, batch)
    else:
        print_summary(batch)
        print_some_rejected(batch, items)
        left = batch.seconds_left
        pace = "the account has no pace" if left is None else f"about {describe_seconds(left)}"
        pending = batch.counts.get("pending", 0)
        if pending:
            print_line(f"  time: {pace}; {count_of(pending, 'row')} would be sent")
            print_line(f"nothing was sent; start it: {opened.go_on(batch)}")
        else:
            print_line("nothing was sent, and no row could be")
        print_again(opened, batch)
    if batch.status != "ready":
        _exit_existing(opened, batch)
    sys.exit(3 if batch.counts.get("rejected") else 0)


def _exit_existing(opened: Opened, batch: Batch) -> NoReturn:
    """End the command, which sends nothing: an unfinished batch has the same rows."""
    if not opened.as_json:
        rows = f"{count_ended(batch)} of {count_of(batch.rows, 'row')} ended"
        click.echo(
            f"batch {batch.id} has the same rows, and is {batch.status}: {rows}; this command has "
            "sent nothing",
            err=True,
        )
        click.echo(f"  go on with it: {opened.go_on(batch)}", err=True)
    sys.exit(5)


# --- read and control


_id_argument = click.argument("batch_id", type=IdType(), metavar="ID")


@batch.command("list")
@click.option(
    "--limit", type=click.IntRange(1, MAX_LIMIT), default=20, show_default=True, help="The most."
)
@config_option
@own_address_option
@json_option
def list_command(limit: int, config: Path | None, own_address: str, as_json: bool) -> None:
    """List the batches, the newest first."""
    with opened_batches(config, own_address, as_json) as opened:
        page = opened.batches.list(ANONYMOUS, limit=limit)
        if as_json:
            found = [build_batch(each) for each in page.entries]
            print_data({"batches": found, "count": len(found), "cursor": page.cursor})
            return
        rows = [
            (
                str(each.id),
                f"{each.created_at:%Y-%m-%d %H:%M:%S}",
                each.account,
                each.action or "",
                each.status,
                describe_counts(each),
            )
            for each in page.entries
        ]
        print_rows(("id", "created (UTC)", "account", "action", "status", "rows"), rows)


@batch.command("show")
@_id_argument
@config_option
@own_address_option
@json_option
def show_command(batch_id: int, config: Path | None, own_address: str, as_json: bool) -> None:
    """Print the status and the counts of a batch."""
    with opened_batches(config, own_address, as_json) as opened:
        _print_batch(opened, opened.batches.get(batch_id, ANONYMOUS))


def _print_batch(opened: Opened, batch: Batch) -> None:
    if opened.as_json:
        print_data({"batch": build_batch(batch)})
        return
    print_summary(batch)
    print_codes(opened, batch)
    if batch.seconds_left:
        print_line(f"  time left: about {describe_seconds(batch.seconds_left)}")


@batch.command("items")
@_id_argument
@click.option("--status", help="Only rows of this status, or of several with commas between.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV with whole numbers, to feed in.")
@config_option
@own_address_option
def items_command(
    batch_id: int, status: str | None, as_csv: bool, config: Path | None, own_address: str
) -> None:
    """Print the rows of a batch. Contacts are masked, except with --csv."""
    with opened_batches(config, own_address) as opened:
        wanted = None if status is None else [each.strip() for each in status.split(",")]
        items = opened.calls.read_items(batch_id, ANONYMOUS, wanted)
        if as_csv:
            from adapter.batches import write_rows

            for line in write_rows(items):
                print_line(line.rstrip("\r\n"))
            return
        titles = ("line", "account", "action", "contact", "status", "code", "why")
        while some := list(islice(items, MAX_LIMIT)):
            print_rows(titles, [_row(each) for each in some])


def _row(item: Item) -> tuple[str, ...]:
    contact = "" if item.contact is None else item.contact.masked
    words = (item.account, item.action, contact, item.status, item.code, item.why)
    return (str(item.line), *(escape_controls(each or "") for each in words))


def _control_command(name: str, text: str, after: Callable[[Opened, Batch], object]) -> None:
    @_id_argument
    @config_option
    @own_address_option
    @json_option
    def control(batch_id: int, config: Path | None, own_address: str, as_json: bool) -> None:
        with opened_batches(config, own_address, as_json) as opened:
            if name == "resume":  # also of one that is ready, or that runs elsewhere
                found = opened.batches.get(batch_id, ANONYMOUS)
                _require_unfinished(found)
            else:
                found = getattr(opened.batches, name)(batch_id, ANONYMOUS)
            after(opened, found)

    control.__doc__ = text
    batch.command(name)(control)


def _require_unfinished(batch: Batch) -> None:
    """Raise RequestError (`batch_conflict`) for a batch that has ended."""
    from adapter.batches.refusals import FINISHED, BatchConflictError

    if batch.status in FINISHED:
        raise BatchConflictError(batch)


_control_command("pause", "Begin no further rows of a batch, here or elsewhere.", _print_batch)
_control_command("cancel", "Begin no further rows of a batch, ever.", _print_batch)
_control_command("resume", "Start a batch that was checked or paused, and run it here.", run_batch)
_control_command("retry", "Run the failed and unknown rows of a batch again, here.", run_batch)


# --- worker


@click.command()
@config_option
@own_address_option
def worker(config: Path | None, own_address: str) -> None:
    """Run the batches of the ledger until SIGTERM or Ctrl-C; rows in flight end.

    `serve` runs them, too. On other machines, or beside a Flask app of your own, run this.
    """
    service = open_service(config, own_address, needs_ledger=True)
    prepare_ledger(service, config)
    settings = service.settings
    logs.configure(settings.log.level, settings.log.format)
    from adapter.batches.worker import run_worker

    try:
        logs.log.info("running the batches of %s", find_config(config))
        or_exit(lambda: run_worker(service))
    finally:
        service.close()


BATCH_COMMANDS: Final = (batch, worker)
