"""A change is opened, closed and believed; a read is recorded when it ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from support.ledgers import (
    ACCOUNT,
    APPLIED,
    CONTACT,
    LOST,
    READ_BACK,
    REFUSED,
    MakeLedger,
    begin,
    block,
    call,
    result,
    rows,
    unblock,
)

from adapter.call_context import CallContext
from adapter.codes import Action, Code, Confirmation
from adapter.contacts import Contact
from adapter.ledger.events import Task
from adapter.ledger.ledger import Ledger
from adapter.ledger.queries import Filters
from adapter.readings import BlockState, Unverified, Verification
from adapter.results import Command, Outcome

OPPOSITE = Outcome(
    code=Code.NOT_EFFECTIVE, verification=Verification(False, None, 2), upstream_status=200
)
SPECIAL = "a\0b\ud800c"


def test_a_ledger_that_was_started_has_its_connection_before_the_first_call(
    ledger: Ledger,
) -> None:
    ledger.start()
    assert ledger._session.is_prepared


def test_a_change_is_recorded_before_it_is_sent_and_after(ledger: Ledger, url: str) -> None:
    opened = begin(ledger, request_id="abc", reason="spam", ref="ticket 7")
    assert opened.recorded
    (row,) = rows(url, "calls")
    assert (row["account"], row["provider"], row["action"]) == (ACCOUNT, "wuts", "block")
    assert (row["via"], row["key_name"], row["request_id"]) == ("api", "crm", "abc")
    assert (row["reason"], row["ref"]) == ("spam", "ticket 7")
    assert row["closed_at"] is row["code"] is row["outcome"] is None
    assert opened.close(result(block()))
    (entry,) = ledger.calls(Filters()).entries
    assert (entry.code, entry.outcome, entry.confirmation) == ("ok", "applied", "accepted")
    assert (entry.upstream_status, entry.attempts, entry.duration_ms) == (200, 1, 12)
    assert entry.contact == CONTACT
    assert entry.closed_at is not None
    assert abs(datetime.now(UTC) - entry.closed_at) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("outcome", "state", "certainty"),
    [
        (APPLIED, "blocked", "accepted"),
        (Outcome.success(Confirmation.PROVIDER_STATE), "blocked", "provider_state"),
        (READ_BACK, "blocked", "read_back"),
        (LOST, "unknown", "none"),
        (OPPOSITE, "unblocked", "read_back"),
    ],
)
def test_what_a_result_proves_is_the_state_of_the_contact(
    ledger: Ledger, outcome: Outcome, state: str, certainty: str
) -> None:
    number = call(ledger, block(), outcome, reason="spam")
    entry = ledger.state(ACCOUNT, CONTACT)
    assert entry is not None
    assert (entry.wanted, entry.state, entry.certainty) == ("blocked", state, certainty)
    assert (entry.intent, entry.reason, entry.wanted_by) == (number, "spam", "crm")
    assert (entry.verified_at is not None) is (certainty == "read_back")
    assert not entry.pending


def test_a_refused_change_leaves_the_state_and_states_the_wish(ledger: Ledger) -> None:
    call(ledger, block())
    before = ledger.state(ACCOUNT, CONTACT)
    call(ledger, unblock(), REFUSED)
    after = ledger.state(ACCOUNT, CONTACT)
    assert before is not None
    assert after is not None
    assert (after.wanted, after.state, after.since) == ("unblocked", "blocked", before.since)


def test_the_time_since_when_stays_while_the_state_does(ledger: Ledger) -> None:
    call(ledger, block())
    first = ledger.state(ACCOUNT, CONTACT)
    call(ledger, block(), READ_BACK)
    again = ledger.state(ACCOUNT, CONTACT)
    assert first is not None
    assert again is not None
    assert again.since == first.since
    assert again.certainty == "read_back"


def test_an_open_change_is_shown_as_pending_and_after_its_deadline_as_unknown(
    ledger: Ledger,
) -> None:
    begin(ledger, deadline=15.0)
    begin(ledger, unblock(), account="sales", deadline=-1.0)
    entry = ledger.state(ACCOUNT, CONTACT)
    assert entry is not None
    assert entry.pending
    assert entry.state == "unknown"
    assert {each.account: each.outcome for each in ledger.calls(Filters()).entries} == {
        ACCOUNT: None,
        "sales": "unknown",
    }


def test_accounts_have_lists_of_their_own(ledger: Ledger) -> None:
    call(ledger, block(), account="sales")
    assert ledger.state(ACCOUNT, CONTACT) is None
    assert len(ledger.blocked("sales").entries) == 1
    assert ledger.blocked(ACCOUNT).entries == ()


def test_a_read_is_recorded_once_it_has_ended(ledger: Ledger, url: str) -> None:
    state = Command(Action.STATE, CONTACT)
    reading = BlockState(None, Unverified.ONLY_LIDS)
    outcome = Outcome.success(Confirmation.PROVIDER_STATE, reading=reading)
    assert ledger.record(result(state, outcome), CallContext("cli", "crm", "abc"))
    lookup = Command(Action.LOOKUP, contacts=(CONTACT,))
    assert ledger.record(result(lookup, LOST), CallContext("api"))
    first, second = rows(url, "calls")
    assert (first["action"], first["code"], first["via"]) == ("state", "ok", "cli")
    assert (second["action"], second["contact_id"]) == ("lookup", None)
    assert second["code"] == "provider_connection_lost"
    assert rows(url, "blocks") == []
    assert len(ledger.calls(Filters(contact=CONTACT)).entries) == 1


@pytest.mark.parametrize("form", ["551199999999", "5511999999999"])
def test_both_forms_of_a_number_are_one_contact_and_a_user_id_beside_it_proves_nothing(
    make_ledger: MakeLedger, url: str, form: str
) -> None:
    user = "BR.12345678901234567890"
    for contact in (
        Contact(number=form),
        Contact(number="551199999999"),
        Contact(number="5511999999999"),
        Contact(number="5511999999999", user_id=user),
    ):
        ledger = make_ledger()
        call(ledger, block(contact))
        call(ledger, unblock(contact))
    (stored,) = rows(url, "contacts")
    assert (stored["number"], stored["user_id"]) == (form, None)
    assert len(rows(url, "blocks")) == 1
    make_ledger().erase(Contact(number="551199999999"))
    (stored,) = rows(url, "contacts")
    assert stored["number"] is None


def test_identifiers_that_belong_to_two_contacts_are_not_merged(ledger: Ledger, url: str) -> None:
    one, other = Contact(number="5511999999999"), Contact(lid="123456789012345@lid")
    call(ledger, block(one))
    call(ledger, block(other))
    call(ledger, unblock(Contact(one.number, other.lid)))
    assert len(rows(url, "contacts")) == 2
    entry = ledger.state(ACCOUNT, one)
    assert entry is not None
    assert entry.state == "unblocked"


@pytest.mark.parametrize("name", ["reason", "ref", "request_id"])
def test_any_text_is_stored_cut_to_its_length(ledger: Ledger, url: str, name: str) -> None:
    opened = begin(ledger, block(), **{name: SPECIAL + "ü" * 300})
    assert opened.recorded
    (row,) = rows(url, "calls")
    assert row[name].startswith("ab?cü")
    assert len(row[name]) <= 200


def test_an_event_that_the_database_refuses_does_not_harm_the_others(
    ledger: Ledger, url: str
) -> None:
    good = begin(ledger)
    bad = ledger.open(None, "wuts", block(), CallContext("api"), 15)  # type: ignore[arg-type]
    assert good.recorded
    assert not bad.recorded
    assert not bad.close(result(block()))
    assert good.close(result(block()))
    assert len(rows(url, "calls")) == 1
    assert ledger.health.missed == 2


def test_tasks_of_one_group_run_in_the_order_of_their_keys(ledger: Ledger, url: str) -> None:
    order: list[str] = []
    events = [Task(lambda *_, key=key: order.append(key), key) for key in ("b", "a", "c")]
    ledger._session.write(events)
    assert order == ["a", "b", "c"]
