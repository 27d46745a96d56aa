"""A lookup of many numbers in parts, the state of a contact, the status of a session."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from support.toy import Toy

from adapter.codes import Action, Code, Confirmation
from adapter.comparison import Identities
from adapter.contacts import Contact
from adapter.plugin import HttpResponse, Json, LocalProvider, PluginError
from adapter.plugin_checks import check_provider
from adapter.readings import BlockState, Lookup, Reading, Session, SessionState, Unverified
from adapter.reads import MAX_PARALLEL, fetch_state, fetch_status, look_up
from adapter.results import Command, Outcome

TIMEOUT = 20.0
LONG, SHORT, FOREIGN = "5511999990001", "551199990001", "14155550123"
LID = "100000000000001@lid"


def read_as(reading: Reading) -> Outcome:
    return Outcome.success(Confirmation.PROVIDER_STATE, reading=reading, upstream_status=200)


def lookup_of(*numbers: str, candidates: bool = False) -> Command:
    contacts = tuple(Contact(number) for number in numbers)
    return Command(Action.LOOKUP, contacts=contacts, candidates=candidates)


def people(count: int) -> list[str]:
    return [str(14155550000 + each) for each in range(count)]


class Numbers:
    """A provider that has the numbers in `found`; it records each part that it is asked for."""

    def __init__(
        self, found: Sequence[str] = (), fails: Callable[[Sequence[str]], Code | None] | None = None
    ) -> None:
        self.found = found
        self.fails = fails or (lambda _: None)
        self.parts: list[list[str]] = []
        self.timeouts: list[float] = []

    def __call__(self, command: Command, timeout: float) -> tuple[Outcome, int]:
        self.parts.append(command.numbers)
        self.timeouts.append(timeout)
        code = self.fails(command.numbers)
        if code is not None:
            return Outcome.failure(code), 2
        return read_as(
            tuple(Lookup(each, each.number in self.found, each) for each in command.contacts)
        ), 1


def lookups(outcome: Outcome) -> tuple[Lookup, ...]:
    assert isinstance(outcome.reading, tuple)
    return outcome.reading


# --- lookup


def test_one_request_where_the_provider_takes_all_numbers() -> None:
    run = Numbers(people(100))
    outcome, attempts = look_up(run, lookup_of(*people(100)), 100, 60.0)
    assert attempts == len(run.parts) == 1
    assert [each.on_whatsapp for each in lookups(outcome)] == [True] * 100


@pytest.mark.parametrize("size", [1, 3, 7, 100, 1000])
def test_the_lookups_are_in_the_order_of_the_numbers(size: int) -> None:
    numbers = people(20)[::-1]
    run = Numbers(numbers[::2])
    outcome, attempts = look_up(run, lookup_of(*numbers), size, 60.0)
    assert [each.asked.number for each in lookups(outcome)] == numbers
    assert [each.on_whatsapp for each in lookups(outcome)] == [True, False] * 10
    assert sorted(each for part in run.parts for each in part) == sorted(numbers)
    assert all(len(part) <= size for part in run.parts)
    assert attempts == -(-20 // size)


def test_a_number_that_is_given_twice_is_asked_once_and_answered_twice() -> None:
    run = Numbers([FOREIGN])
    outcome, _ = look_up(run, lookup_of(FOREIGN, LONG, FOREIGN), 1, 60.0)
    assert sorted(run.parts) == [[FOREIGN], [LONG]]
    assert [each.on_whatsapp for each in lookups(outcome)] == [True, False, True]


@pytest.mark.parametrize("parallel", [1, 2, MAX_PARALLEL])
def test_at_most_so_many_requests_run_at_the_same_time(parallel: int) -> None:
    lock, running, most = threading.Lock(), 0, 0
    full = threading.Event()

    def run(command: Command, timeout: float) -> tuple[Outcome, int]:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
            if running >= parallel:
                full.set()
        assert full.wait(TIMEOUT), "fewer requests than may run at the same time"
        with lock:
            running -= 1
        return read_as(tuple(Lookup(each, True) for each in command.contacts)), 1

    outcome, attempts = look_up(run, lookup_of(*people(100)), 1, 60.0, parallel)
    assert attempts == 100
    assert len(lookups(outcome)) == 100
    assert most == parallel


def test_a_part_that_failed_is_unknown_with_its_code() -> None:
    def fails(numbers: Sequence[str]) -> Code | None:
        return Code.PROVIDER_ERROR if LONG in numbers else None

    outcome, attempts = look_up(
        Numbers([FOREIGN], fails), lookup_of(LONG, FOREIGN, "4915123456789"), 1, 60.0
    )
    assert attempts == 4
    assert outcome.ok
    assert [(each.on_whatsapp, each.code) for each in lookups(outcome)] == [
        (None, Code.PROVIDER_ERROR),
        (True, None),
        (False, None),
    ]


@pytest.mark.parametrize(
    "code",
    [
        Code.PROVIDER_RATE_LIMITED,
        Code.PROVIDER_AUTH_FAILED,
        Code.SESSION_NOT_CONNECTED,
        Code.CIRCUIT_OPEN,
    ],
)
def test_after_a_failure_about_the_account_the_rest_of_a_lookup_is_not_sent(code: Code) -> None:
    numbers = people(100)
    run = Numbers(numbers, lambda part: code if numbers[3] in part else None)
    outcome, _ = look_up(run, lookup_of(*numbers), 1, 60.0, parallel=1)
    assert [part for [part] in run.parts] == numbers[:4]
    assert [each.on_whatsapp for each in lookups(outcome)] == [True] * 3 + [None] * 97
    assert {each.code for each in lookups(outcome)[3:]} == {code}


def test_where_all_parts_failed_the_first_failure_is_the_outcome() -> None:
    def fails(numbers: Sequence[str]) -> Code:
        return Code.PROVIDER_TIMEOUT if LONG in numbers else Code.PROVIDER_ERROR

    outcome, attempts = look_up(Numbers(fails=fails), lookup_of(LONG, FOREIGN), 1, 60.0)
    assert (outcome.code, outcome.reading, attempts) == (Code.PROVIDER_TIMEOUT, None, 4)


def test_all_parts_have_one_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def fails(_: Sequence[str]) -> None:
        now[0] += 4.0

    run = Numbers(people(4), fails)
    outcome, attempts = look_up(run, lookup_of(*people(4)), 1, 10.0, 1)
    assert run.timeouts == [10.0, 6.0, 2.0]
    assert attempts == 3
    assert [each.code for each in lookups(outcome)] == [None, None, None, Code.PROVIDER_TIMEOUT]


@pytest.mark.parametrize(
    ("asked", "other"),
    [(LONG, SHORT), (SHORT, LONG), ("5213312345678", "523312345678"), (FOREIGN, None)],
)
def test_candidates_are_the_other_form_of_a_number_that_has_two(
    asked: str, other: str | None
) -> None:
    outcome, _ = look_up(Numbers([SHORT]), lookup_of(asked, candidates=True), 100, 60.0)
    (found,) = lookups(outcome)
    assert (found.asked.number, found.on_whatsapp) == (asked, asked == SHORT)
    if other is None:
        assert found.other_form is None
    else:
        assert found.other_form is not None
        assert found.other_form.asked.number == other
        assert found.other_form.on_whatsapp is (other == SHORT)


def test_both_forms_are_asked_once_where_both_are_given() -> None:
    run = Numbers([SHORT])
    outcome, _ = look_up(run, lookup_of(LONG, SHORT, candidates=True), 100, 60.0)
    assert run.parts == [[LONG, SHORT]]
    assert [each.on_whatsapp for each in lookups(outcome)] == [False, True]


def test_without_candidates_the_other_form_is_not_asked() -> None:
    run = Numbers()
    outcome, _ = look_up(run, lookup_of(LONG), 100, 60.0)
    assert run.parts == [[LONG]]
    assert lookups(outcome)[0].other_form is None


# --- the state of a contact


class Reader(LocalProvider):
    """A provider with the reads of `actions`."""

    name = "reader"
    title = "Reader"
    routes = {"list": ("GET", "/list"), "lookup": ("POST", "/lookup")}

    def build_request(self, command: Command) -> Any:
        raise NotImplementedError

    def parse_success(self, command: Command, response: HttpResponse) -> None:
        raise NotImplementedError

    def handle_request(self, request: Any) -> Any:
        raise NotImplementedError


class BooleanReader(Reader):
    """A provider whose lookups do not name contacts."""

    lookups_name_contacts = False


class StateReader(Reader):
    """A provider with a route for one contact."""

    routes = {**Reader.routes, "state": ("GET", "/state")}

    def parse_state(self, command: Command, document: Json) -> None:
        raise NotImplementedError


def state_of(
    provider: type[Reader],
    contact: Contact,
    results: dict[Action, Outcome],
    identities: Identities | None = None,
) -> tuple[Outcome, list[Action]]:
    """Return the outcome of a state, and the actions that were run."""
    known = Identities() if identities is None else identities
    ran: list[Action] = []

    def run(command: Command, timeout: float | None = None) -> tuple[Outcome, int]:
        ran.append(command.action)
        outcome = results[command.action]
        if isinstance(outcome.reading, tuple):
            known.learn_lookups(outcome.reading)
        return outcome, 1

    outcome, attempts = fetch_state(run, provider({}), known, contact, time.monotonic() + 60)
    assert attempts == len(ran)
    return outcome, ran


def listed(*contacts: Contact) -> Outcome:
    return Outcome.success(Confirmation.PROVIDER_STATE, contacts=contacts)


def test_the_route_for_one_contact_decides() -> None:
    shown = read_as(BlockState(True))
    outcome, ran = state_of(StateReader, Contact(LONG), {Action.STATE: shown})
    assert (outcome, ran) == (shown, [Action.STATE])


def test_a_list_that_can_be_compared_needs_no_lookup() -> None:
    for entries, blocked in (((Contact(LONG),), True), ((Contact(FOREIGN),), False), ((), False)):
        outcome, ran = state_of(Reader, Contact(LONG), {Action.LIST: listed(*entries)})
        assert outcome.reading == BlockState(blocked)
        assert ran == [Action.LIST]


@pytest.mark.parametrize("entry", [Contact(lid=LID), Contact(SHORT)], ids=["a LID", "other form"])
def test_one_lookup_makes_a_list_comparable(entry: Contact) -> None:
    named = read_as((Lookup(Contact(LONG), True, Contact(SHORT, LID)),))
    results = {Action.LIST: listed(entry), Action.LOOKUP: named}
    identities = Identities()
    outcome, ran = state_of(Reader, Contact(LONG), results, identities)
    assert outcome.reading == BlockState(True)
    assert ran == [Action.LIST, Action.LOOKUP]
    _, ran = state_of(Reader, Contact(LONG), results, identities)
    assert ran == [Action.LIST], "a number is asked once"


@pytest.mark.parametrize(
    "failed",
    [
        Outcome.failure(Code.PROVIDER_ERROR),
        read_as((Lookup(Contact(LONG), None),)),
        read_as((Lookup(Contact(LONG), False),)),
    ],
    ids=["an error", "not known", "not on WhatsApp"],
)
def test_a_lookup_without_a_contact_leaves_the_state_open(failed: Outcome) -> None:
    results = {Action.LIST: listed(Contact(lid=LID)), Action.LOOKUP: failed}
    outcome, _ = state_of(Reader, Contact(LONG), results)
    assert outcome.reading == BlockState(None, Unverified.ONLY_LIDS)


def test_a_lookup_that_names_nobody_is_not_made() -> None:
    outcome, ran = state_of(BooleanReader, Contact(LONG), {Action.LIST: listed(Contact(lid=LID))})
    assert outcome.reading == BlockState(None, Unverified.ONLY_LIDS)
    assert ran == [Action.LIST]


def test_a_list_that_fails_is_the_failure_of_the_state() -> None:
    failure = Outcome.failure(Code.PROVIDER_TIMEOUT)
    outcome, ran = state_of(Reader, Contact(LONG), {Action.LIST: failure})
    assert (outcome, ran) == (failure, [Action.LIST])


# --- the status of a session


@pytest.mark.parametrize("state", SessionState)
def test_a_status_has_the_time_at_which_it_was_asked(state: SessionState) -> None:
    shown = read_as(Session(state, "word"))
    outcome, _ = fetch_status(lambda _: (shown, 1), Command(Action.STATUS))
    session = outcome.reading
    assert session == Session(state, "word")
    assert isinstance(session, Session)
    assert session.asked_at is not None
    assert session.asked_at.tzinfo is not None


def test_only_the_code_of_a_session_that_is_not_connected_is_a_status() -> None:
    for code in Code:
        outcome, _ = fetch_status(lambda _, c=code: (Outcome.failure(c), 1), Command(Action.STATUS))
        assert outcome.ok is (code is Code.SESSION_NOT_CONNECTED)
        if outcome.ok:
            assert outcome.reading == Session(SessionState.NOT_CONNECTED)


@pytest.mark.parametrize("name", ["max_lookup", "max_contacts"])
@pytest.mark.parametrize("size", [0, -1])
def test_a_provider_whose_requests_hold_no_contact_is_refused(name: str, size: int) -> None:
    faulty = type("Faulty", (Reader,), {name: size})
    with pytest.raises(PluginError, match=f"{name} must be at least 1"):
        check_provider(faulty)


@pytest.mark.parametrize("missing", ["build_batch_request", "split_response"])
def test_a_provider_of_many_contacts_needs_the_methods_for_them(missing: str) -> None:
    methods = {"build_batch_request", "split_response"} - {missing}
    faulty = type("Faulty", (Toy,), {"max_contacts": 2, **dict.fromkeys(methods)})
    with pytest.raises(PluginError, match=f"max_contacts is above 1, so it needs {missing}"):
        check_provider(faulty)


@pytest.mark.parametrize("name", ["max_blocked", "blocks_only_recent"])
@pytest.mark.parametrize(("value", "words"), [(0, "at least 1"), ("24", "a number")])
def test_a_limit_of_a_block_list_is_a_number_from_1(name: str, value: object, words: str) -> None:
    faulty = type("Faulty", (Reader,), {name: value})
    with pytest.raises(PluginError, match=f"{name} must be {words}"):
        check_provider(faulty)
