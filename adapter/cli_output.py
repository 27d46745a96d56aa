"""The output of the command line: lines, tables, envelopes, results, and the exit status."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from adapter.codes import Confirmation
from adapter.history import CallEntry
from adapter.privacy import escape_controls, mask_traceback
from adapter.readings import Lookup, SessionState
from adapter.results import Result, build_envelope
from adapter.service import new_request_id

_KNOWN: Final = {True: "yes", False: "no", None: "unknown"}


class OutputError(click.ClickException):
    """Standard output cannot be written, for example on a full disk."""


def print_line(text: str) -> None:
    """Write a line to standard output. Raises OutputError where that fails."""
    try:
        click.echo(text)
    except OSError as error:
        with suppress(OSError, ValueError), Path(os.devnull).open("w") as null:
            os.dup2(
                null.fileno(), sys.stdout.fileno()
            )  # no second failure when Python flushes at exit
        raise OutputError(f"cannot write to standard output: {error.strerror}") from None


def print_rows(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table with aligned columns on a terminal, and lines with tabs elsewhere."""
    lines = list(rows)
    if not sys.stdout.isatty():
        for line in lines:
            print_line("\t".join(line))
        return
    lines.insert(0, titles)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        print_line("  ".join(cells).rstrip())


def print_trace(error: BaseException) -> None:
    """Print the traceback to the error stream, with numbers masked."""
    click.echo(mask_traceback("".join(traceback.format_exception(error))), err=True)


def print_data(data: dict[str, Any]) -> None:
    """Print the data in an envelope."""
    print_json(build_envelope(data=data, request_id=new_request_id()))


def print_json(document: Any) -> None:
    """Print the document, indented."""
    print_line(json.dumps(document, indent=2))


def exit_with_result(
    result: Result,
    as_json: bool,
    hint: str | None,
    write: Callable[[Result], object],
) -> NoReturn:
    """Print the result and, for readers, the remedy `hint`; exit with the status of the result.

    `write` prints a success for readers.
    """
    try:
        if as_json:
            print_json(result.envelope())
        elif result.ok:
            write(result)
        else:
            print_failure(result)
        if not as_json and result.route is not None and len(result.route) > 1:
            click.echo(f"  route: {', '.join(result.route)}", err=True)
        if hint is not None and not as_json:
            click.echo(f"  {hint}", err=True)
    except OutputError as error:
        outcome = ""
        if result.code is not None:
            outcome = f"; the call failed: {result.code.value}"
        elif result.command is not None and result.command.action.is_change:
            outcome = "; the change was made"
        raise OutputError(f"{error.message}{outcome}") from None
    sys.exit(0 if is_known(result) else 1)


def is_known(result: Result) -> bool:
    """Whether the result is a success that leaves nothing unknown that was asked for."""
    if result.lookups is not None:
        return all(each.on_whatsapp is not None for each in result.lookups)
    if result.session is not None:
        return result.session.state is not SessionState.UNKNOWN
    return result.ok and (result.state is None or result.state.blocked is not None)


def print_failure(result: Result) -> None:
    """Print the code, the advice and the fields of a failure to the error stream."""
    failure, *fields = result.outcome.lines
    advice = f"(outcome: {result.applied}; retry: {result.retry})"
    for line in (f"{failure} {advice}", *fields):
        click.echo(line, err=True)


def print_change(result: Result) -> None:
    """Print what was changed, and how that is known."""
    command, verification = result.command, result.outcome.verification
    if command is None:
        return
    known = f"{result.confirmation}"
    if result.verified and result.confirmation is not Confirmation.READ_BACK:
        known += "; verified"
    elif not result.verified and (verification.reads or command.verify):
        known += f"; not verified: {verification.reason}"
    contact = command.target.masked
    print_line(f"{command.action.value}ed {contact} for {result.account} ({known})")


def print_list(result: Result) -> None:
    """Print a block list: one JID or user id per line; from the ledger, what is known of each."""
    names = [contact.jid or str(contact.user_id) for contact in result.contacts or ()]
    if result.entries is None:
        for name in names:
            print_line(name)
        return
    rows = [
        (name, entry.certainty, _moment(entry.since), entry.reason or "", entry.ref or "")
        for name, entry in zip(names, result.entries, strict=True)
    ]
    print_rows(("contact", "known by", "since (UTC)", "reason", "ref"), rows)


def print_status(result: Result) -> None:
    """Print whether the session is connected, with the provider's word."""
    session = result.session
    if session is not None:
        row = (str(result.account), session.state.value, session.word or "")
        print_rows(("account", "status", "provider's word"), [row])


def print_state(result: Result) -> None:
    """Print whether the contact is blocked, else why that is not known."""
    state, command = result.state, result.command
    if state is not None and command is not None:
        reason = state.reason.value if state.reason else ""
        row = (str(result.account), command.target.masked, _KNOWN[state.blocked], reason)
        print_rows(("account", "contact", "blocked", "reason"), [row])


def print_calls(calls: Iterable[CallEntry]) -> None:
    """Print calls of the ledger, with masked contacts."""
    titles = ("time (UTC)", "account", "action", "contact", "code", "outcome", "via", "key", "why")
    rows = []
    for call in calls:
        contact = call.contact.masked if call.contact is not None else ""
        code = call.code or "open"
        words = (call.key_name or "", " ".join(filter(None, (call.reason, call.ref))))
        row = (
            _moment(call.opened_at),
            call.account,
            call.action,
            contact,
            code,
            call.outcome or "",
            call.via,
            *words,
        )
        rows.append(tuple(map(escape_controls, row)))
    print_rows(titles, rows)


def _moment(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}" if moment is not None else ""


def print_lookups(result: Result, typed: Sequence[str]) -> None:
    """Print the lookup of each number as it was `typed`, and of its other form, by its digits."""
    titles = ("number", "on WhatsApp", "as", "reason")
    rows = []
    for text, lookup in zip(typed, result.lookups or (), strict=True):
        rows.append(_lookup_row(escape_controls(" ".join(text.split())), lookup))
        if lookup.other_form is not None:
            other = lookup.other_form
            rows.append(_lookup_row(f"+{other.asked.number}", other))
    print_rows(titles, rows)


def _lookup_row(text: str, lookup: Lookup) -> tuple[str, ...]:
    contact = lookup.contact
    known_as = "" if contact is None else contact.jid or contact.user_id or ""
    reason = lookup.code.value if lookup.code else ""
    return text, _KNOWN[lookup.on_whatsapp], known_as, reason
