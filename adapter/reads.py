"""The reads that may need several requests: a lookup of numbers, and the state of a contact."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Final, TypeAlias

from adapter.codes import Action, Code
from adapter.comparison import Identities, find_state
from adapter.contacts import Contact, other_form
from adapter.containment import contain
from adapter.errors import RequestError
from adapter.provider import Provider
from adapter.readings import Lookup, Session, SessionState
from adapter.results import Command, Outcome

MAX_PARALLEL: Final = 16
"""The most requests of one lookup at the same time, where the account permits as many calls."""

_ABOUT_THE_ACCOUNT: Final = frozenset(
    {
        Code.SESSION_NOT_FOUND,
        Code.SESSION_NOT_CONNECTED,
        Code.OPERATION_NOT_SUPPORTED,
        Code.PROVIDER_RATE_LIMITED,
        Code.PROVIDER_AUTH_FAILED,
        Code.PROVIDER_PERMISSION_DENIED,
        Code.PROVIDER_REDIRECTED,
        Code.PROVIDER_MISADDRESSED,
        Code.PROVIDER_TLS_ERROR,
        Code.CIRCUIT_OPEN,
    }
)
"""Codes with which every further request would fail as well."""


Run: TypeAlias = Callable[..., tuple[Outcome, int]]
"""Run a command by its own route; return outcome and attempts: `run(command, timeout, settle)`.

`timeout` (seconds) and `settle` (see `Resilience.call`) may be left out.
"""


def look_up(
    run: Run, command: Command, size: int, timeout: float, parallel: int = MAX_PARALLEL
) -> tuple[Outcome, int]:
    """Return the lookups of the command's contacts, in at most `timeout` seconds, and the attempts.

    A request holds at most `size` numbers, and `parallel` requests run at the same time. A number
    whose request failed is unknown, with the code of the failure; where all requests failed, the
    first failure is returned. After a failure that is about the account, no further request is
    sent: the rest has its code.
    """
    others = {each.number: _other(each) for each in command.contacts if command.candidates}
    wanted = (*command.contacts, *others.values())
    numbers = {each.number: each for each in wanted if each is not None}
    asked = tuple(
        each if each.lid is each.user_id is None else Contact(each.number)
        for each in numbers.values()
    )
    parts = [asked[start : start + size] for start in range(0, len(asked), size)]
    ask = partial(_ask, run, time.monotonic() + timeout, [])
    if len(parts) == 1:
        results = [ask(parts[0])]
    else:
        with ThreadPoolExecutor(min(parallel, len(parts))) as pool:
            results = list(pool.map(ask, parts))
    attempts = sum(made for _, made in results)
    found: dict[str | None, Lookup] = {}
    for part, (outcome, _) in zip(parts, results, strict=True):
        lookups = outcome.reading
        if not isinstance(lookups, tuple):
            lookups = tuple(Lookup(each, None, code=outcome.code) for each in part)
        found.update((each.asked.number, each) for each in lookups)
    first = next((outcome for outcome, _ in results if outcome.ok), results[0][0])
    if not first.ok:
        return first, attempts
    complete = []
    for contact in command.contacts:
        other = others.get(contact.number)
        form = None if other is None else found[other.number]
        lookup = found[contact.number]
        if form is not None or lookup.asked is not contact:
            lookup = replace(lookup, asked=contact, other_form=form)
        complete.append(lookup)
    return replace(first, reading=tuple(complete)), attempts


def _ask(
    run: Run, deadline: float, failures: list[Outcome], part: tuple[Contact, ...]
) -> tuple[Outcome, int]:
    """Return the lookups of one part, and the attempts; nothing is sent after `failures`."""
    left = deadline - time.monotonic()
    if left <= 0:
        return Outcome.failure(Code.PROVIDER_TIMEOUT), 0
    if failures:
        return failures[0], 0
    outcome, attempts = run(Command(Action.LOOKUP, contacts=part), left)
    if outcome.code in _ABOUT_THE_ACCOUNT:
        failures.append(outcome)
    return outcome, attempts


def _other(contact: Contact) -> Contact | None:
    number = None if contact.number is None else other_form(contact.number)
    return None if number is None else Contact(number)


def fetch_status(run: Run, command: Command) -> tuple[Outcome, int]:
    """Return the status of the session, with the time at which it was asked, and the attempts.

    An error of the provider that means so is the status of a session that is not connected.
    """
    asked_at = datetime.now(UTC)
    outcome, attempts = run(command)
    session = outcome.reading
    if outcome.code is Code.SESSION_NOT_CONNECTED:
        session = Session(SessionState.NOT_CONNECTED)
    if not isinstance(session, Session):
        return outcome, attempts
    status = Outcome.of_reading(replace(session, asked_at=asked_at), outcome.upstream_status)
    return replace(status, provider_code=outcome.provider_code), attempts


def fetch_state(
    run: Run,
    provider: Provider,
    identities: Identities,
    contact: Contact,
    deadline: float,
) -> tuple[Outcome, int]:
    """Return whether a contact is blocked, and the attempts; until `deadline`, in monotonic time.

    The provider's route for one contact decides; without one, its list. Where the list cannot be
    compared with the contact, one lookup may show as whom WhatsApp knows the number.
    """
    actions = contain(provider.actions)
    if Action.STATE in actions:
        return run(Command(Action.STATE, contact), _left(deadline))
    try:
        contain(provider.name_contact, contact)  # the list shows no contact without such a name
    except RequestError as error:
        return error.outcome, 0
    outcome, attempts = run(Command(Action.LIST), _left(deadline))
    if not outcome.ok:
        return outcome, attempts
    entries = outcome.contacts or ()
    state = find_state(contact, entries, identities)
    if (
        state.blocked is None
        and contact.number is not None
        and not identities.is_fresh(contact)
        and Action.LOOKUP in actions
        and provider.lookups_name_contacts
    ):
        lookup = Command(Action.LOOKUP, contacts=(Contact(contact.number),))
        attempts += run(lookup, _left(deadline))[1]
        state = find_state(contact, entries, identities)
    return Outcome.of_reading(state, outcome.upstream_status), attempts


def _left(deadline: float) -> float:
    return max(deadline - time.monotonic(), 0.001)
