"""The commands of plans: plan, and apply."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import click

from adapter.api_keys import ANONYMOUS
from adapter.cli_batch_runs import (
    Opened,
    open_private,
    opened_batches,
    run_batch,
    write_again,
)
from adapter.cli_options import (
    IdType,
    PathType,
    config_option,
    json_option,
    own_address_option,
)
from adapter.cli_output import print_data, print_line
from adapter.history import MAX_LIMIT
from adapter.privacy import escape_controls
from adapter.web.plan_documents import OPS, build_plan_document
from adapter.wording import count_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adapter.batches import Item, Plan, Plans

CHANGED: Final = 6
"""Exit status of a plan with changes, with --exit-code."""

SHOWN: Final = 20
"""Contacts that are not as wanted, and are printed."""

_BASES: Final = {"provider": "its list", "ledger": "the ledger", "file": "the file"}


@click.command()
@click.option("--to", "target", required=True, metavar="ACCOUNT", help="The account to change.")
@click.option("--from", "source", metavar="ACCOUNT", help="The account whose list is wanted.")
@click.option(
    "--from-ledger", metavar="ACCOUNT", help="Who is to be blocked for an account by the ledger."
)
@click.option(
    "--file", type=click.File("rb"), help="A CSV, or one number per line; - for standard input."
)
@click.option(
    "--mirror",
    is_flag=True,
    help="Also unblock who is blocked by us at the target alone.",
)
@click.option(
    "--allow-unblocks",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    metavar="N",
    help="The most contacts that the plan may unblock.",
)
@click.option("--allow-empty", is_flag=True, help="Accept an empty list.")
@click.option("--allow-shrunk", is_flag=True, help="Accept a list that has lost over 30 %.")
@click.option(
    "--try", "not_recent", is_flag=True, help="Block also where the provider needs a new message."
)
@click.option("--rows", is_flag=True, help="Print every contact, masked, with its symbol.")
@click.option(
    "--rejected",
    type=PathType(),
    metavar="FILE",
    help="Write the rejected rows of --file to this CSV, which can be fed in again.",
)
@click.option("--exit-code", is_flag=True, help=f"Exit status {CHANGED} where there are changes.")
@config_option
@own_address_option
@json_option
def plan(
    target: str,
    source: str | None,
    from_ledger: str | None,
    file: BinaryIO | None,
    mirror: bool,
    allow_unblocks: int,
    allow_empty: bool,
    allow_shrunk: bool,
    not_recent: bool,
    rows: bool,
    rejected: Path | None,
    exit_code: bool,
    config: Path | None,
    own_address: str,
    as_json: bool,
) -> None:
    """Compare two block lists and store what would be done; nothing is sent.

    Symbols: = as wanted, + to be blocked or missing, - to be unblocked or not wanted, ! impossible,
    ? not known.
    """
    if [source, from_ledger, file].count(None) != 2:
        raise click.UsageError("give one of --from, --from-ledger and --file")
    if rejected is not None and file is None:
        raise click.UsageError("--rejected is about the rows of --file")
    given = {"empty": allow_empty, "shrunk": allow_shrunk, "not_recent": not_recent}
    with opened_batches(config, own_address, as_json) as opened:
        plans = _load(opened)
        output = None if rejected is None or file is None else open_private(rejected, file)
        made = _create(
            opened,
            plans,
            file,
            target=target,
            source=source,
            from_ledger=from_ledger,
            mirror=mirror,
            allow_unblocks=allow_unblocks,
            allow={guard for guard, is_allowed in given.items() if is_allowed},
        )
        write_again(opened, made.batch, output)
        if as_json:
            print_data({"plan": build_plan_document(made)})
        else:
            _print(opened, plans, made, rows=rows)
    if exit_code and made.changes:
        raise click.exceptions.Exit(CHANGED)


@click.command()
@click.argument("plan_id", type=IdType(), metavar="PLAN")
@click.option("--verify", is_flag=True, help="Compare the result with the provider's list.")
@config_option
@own_address_option
@click.option("--json", "as_json", is_flag=True, help="Print lines of JSON.")
def apply(plan_id: int, verify: bool, config: Path | None, own_address: str, as_json: bool) -> None:
    """Read both lists again, and run what remains of a plan as a batch.

    If more is to be done than the plan shows, nothing is sent. The exit status is that of a batch.
    """
    with opened_batches(config, own_address, as_json) as opened:
        run_batch(opened, _load(opened).apply(plan_id, ANONYMOUS, verify=verify).batch)


def _load(opened: Opened) -> Plans:
    from adapter.batches import Plans

    return Plans(opened.service, opened.batches.wake)


def _create(opened: Opened, plans: Plans, file: BinaryIO | None, **options: Any) -> Plan:
    from adapter.batches import FileProblem, read_rows

    region, rows = opened.service.settings.default_region, None
    try:
        if file is not None:
            rows = read_rows(file, default_region=region)
        return plans.create(**options, rows=rows, caller=ANONYMOUS, via="cli")
    except FileProblem as problem:
        raise click.ClickException(f"{problem}; nothing was stored, and nothing sent") from None
    except OSError as error:
        raise click.ClickException(f"cannot read the file: {error.strerror}") from None


def _print(opened: Opened, plans: Plans, made: Plan, *, rows: bool) -> None:
    bases, sizes = made.bases, made.sizes
    origin = made.source or "a file"
    print_line(
        f"plan {made.id}: from {origin} ({_BASES[bases['source']]}: {sizes['source']}) to "
        f"{made.target} ({_BASES[bases['target']]}: {sizes['target']})"
    )
    counts = [f"{made.ops[op]} {op}" for op in OPS if made.ops.get(op)]
    contacts = count_of(sum(made.ops.values()), "contact")
    print_line(f"  {contacts}: {', '.join(counts) or 'none'}")
    ended = {each: made.batch.counts.get(each, 0) for each in ("rejected", "duplicate")}
    found = [f"{amount} {each}" for each, amount in ended.items() if amount]
    if found:
        items = f"{opened.command('items', made.batch)} --status {','.join(ended)}"
        print_line(f"  rows of the file: {', '.join(found)}; see them: {items}")
    wanted = OPS if rows else tuple(op for op in OPS if op != "keep")
    shown = _read(plans, made, wanted)
    for item in shown if rows else islice(shown, SHOWN):
        print_line(_line(item))
    hidden = sum(made.ops.get(op, 0) for op in wanted) - SHOWN
    if not rows and hidden > 0:
        print_line(f"  and {hidden} more: {opened.command('items', made.batch)}")
    if made.same:
        print_line("both accounts have one WhatsApp number, and so one list: nothing is to be sent")
    elif made.changes:
        print_line(f"nothing was sent; apply it: {opened.go_on(made.batch)}")
    else:
        print_line("nothing is to be done")


def _read(plans: Plans, made: Plan, ops: tuple[str, ...]) -> Iterator[Item]:
    cursor = None
    while True:
        page = plans.items(made.id, ANONYMOUS, ops=ops, limit=MAX_LIMIT, cursor=cursor)
        yield from page.entries
        cursor = page.cursor
        if cursor is None:
            return


def _line(item: Item) -> str:
    from adapter.batches.plan_model import SYMBOLS

    masked = "" if item.contact is None else item.contact.masked
    why = f"  {item.code}: {escape_controls(item.why or '')}" if item.code and item.why else ""
    return f"  {SYMBOLS[item.op or '']} {masked}{why}"


PLAN_COMMANDS: Final = (plan, apply)
