"""Plans are stored, guarded, and applied as far as they were approved; on both databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.batches import bad_row, row
from support.ledgers import execute, rows
from support.plans import Lists, contacts, number, open_client, ops_of, rows_of, run

from adapter import Client
from adapter.api_keys import ANONYMOUS, Caller
from adapter.batches.batches import Batches
from adapter.batches.plan_model import Plan
from adapter.batches.plans import Plans
from adapter.codes import Action, Code, Scope
from adapter.contacts import Contact
from adapter.errors import RequestError
from adapter.results import Outcome


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with open_client(url) as opened:
        yield opened


@pytest.fixture
def plans(client: Client) -> Plans:
    return Plans(client.service)


@pytest.fixture
def lists(client: Client) -> Lists:
    """Return the lists of both accounts: A has 1 to 3, and B has 3 and 4."""
    made = Lists(client)
    made.will_be("a", contacts(1, 2, 3))
    made.will_be("b", contacts(3, 4))
    return made


def refusal(work: Callable[[], object]) -> Outcome:
    with pytest.raises(RequestError) as caught:
        work()
    return caught.value.outcome


def test_a_plan_blocks_what_is_missing_and_keeps_the_rest(plans: Plans, lists: Lists) -> None:
    plan = plans.create("b", source="a")
    assert ops_of(plans, plan) == {
        number(1): "block",
        number(2): "block",
        number(3): "keep",
        number(4): "keep",
    }
    assert plan.ops == {"block": 2, "keep": 2}
    assert (plan.changes, plan.sizes) == (2, {"source": 3, "target": 2})
    assert plan.bases == {"source": "provider", "target": "provider"}
    assert (plan.batch.kind, plan.batch.status) == ("plan", "planned")
    assert [each.code for each in rows_of(plans, plan)][-1] == "not_wanted"
    assert lists.sent == []


def test_equal_plans_have_one_digest_and_others_another(plans: Plans, lists: Lists) -> None:
    first = plans.create("b", source="a")
    lists.will_be("a", contacts(3, 2, 1))
    assert plans.create("b", source="a").digest == first.digest
    lists.will_be("a", contacts(3, 2))
    assert plans.create("b", source="a").digest != first.digest


def test_the_details_of_a_plan_hold_no_number(plans: Plans, lists: Lists, url: str) -> None:
    plans.create("b", source="a")
    (stored,) = rows(url, "batches")
    assert "55119" not in stored["details"]


def test_a_plan_is_not_started_as_a_batch_but_can_be_cancelled(
    client: Client, plans: Plans, lists: Lists
) -> None:
    plan = plans.create("b", source="a")
    batches = Batches(client.service)
    for work in (batches.start, batches.pause, batches.resume, batches.retry):
        assert refusal(lambda work=work: work(plan.id, ANONYMOUS)).code is Code.BATCH_CONFLICT  # type: ignore[misc]
    assert batches.cancel(plan.id, ANONYMOUS).status == "cancelled"
    assert refusal(lambda: plans.apply(plan.id)).code is Code.BATCH_CONFLICT


def test_an_applied_plan_is_a_batch_whose_rows_all_end(
    client: Client, plans: Plans, lists: Lists
) -> None:
    woken: list[int] = []
    plans.wake = woken.append
    plan = plans.apply(plans.create("b", source="a").id)
    assert (plan.batch.status, woken) == ("running", [plan.id])
    assert plan.batch.counts == {"pending": 2, "unchanged": 2}
    assert run(client, plan) == {"done": 2, "unchanged": 2}
    assert [each.action for each in lists.sent] == [Action.BLOCK] * 2
    assert {each.target.number for each in lists.sent} == {number(1), number(2)}
    assert refusal(lambda: plans.apply(plan.id)).code is Code.BATCH_CONFLICT


def test_after_it_was_applied_the_next_plan_has_no_changes(client: Client, plans: Plans) -> None:
    for contact in contacts(1, 2):
        client.block(str(contact.number), account="a")
    run(client, plans.apply(plans.create("b", source="a").id))
    plan = plans.create("b", source="a")
    assert (plan.changes, plan.ops) == (0, {"keep": 2})


# --- mirror


def blocked_by_us(client: Client, plans: Plans, lists: Lists) -> None:
    client.block(number(4), account="b")
    lists.sent.clear()


def test_a_mirror_unblocks_what_we_have_blocked_as_far_as_it_is_allowed(
    client: Client, plans: Plans, lists: Lists
) -> None:
    blocked_by_us(client, plans, lists)
    outcome = refusal(lambda: plans.create("b", source="a", mirror=True))
    assert outcome.code is Code.PLAN_REFUSED
    assert "would unblock 1 contact," in outcome.message
    assert "--allow-unblocks 1" in outcome.message
    plan = plans.create("b", source="a", mirror=True, allow_unblocks=1)
    assert ops_of(plans, plan)[number(4)] == "unblock"
    assert run(client, plans.apply(plan.id)) == {"done": 3, "unchanged": 1}
    assert [each.action for each in lists.sent].count(Action.UNBLOCK) == 1


def test_a_mirror_leaves_what_the_ledger_does_not_know(plans: Plans, lists: Lists) -> None:
    plan = plans.create("b", source="a", mirror=True)
    assert ops_of(plans, plan)[number(4)] == "keep"


def test_a_refused_plan_leaves_nothing_behind(plans: Plans, lists: Lists, url: str) -> None:
    lists.will_be("a", Outcome.failure(Code.PROVIDER_UNREACHABLE))
    refusal(lambda: plans.create("b", source="a"))
    assert (rows(url, "batches"), rows(url, "items"), rows(url, "contacts")) == ([], [], [])


# --- guards


@pytest.mark.parametrize("side", ["a", "b"])
def test_a_list_that_cannot_be_read_whole_is_refused_whatever_is_allowed(
    plans: Plans, lists: Lists, side: str
) -> None:
    lists.will_be(side, Outcome.failure(Code.PROVIDER_RESPONSE_TOO_LARGE))
    every = {"empty", "shrunk", "not_recent"}
    outcome = refusal(lambda: plans.create("b", source="a", allow=every))
    assert outcome.code is Code.PROVIDER_RESPONSE_TOO_LARGE
    assert f"The list of {side} could not be read whole" in outcome.message


@pytest.mark.parametrize("side", ["a", "b"])
def test_an_empty_list_is_refused_where_the_ledger_has_entries(
    client: Client, plans: Plans, lists: Lists, side: str
) -> None:
    client.block(number(9), account=side)
    lists.will_be(side, ())
    outcome = refusal(lambda: plans.create("b", source="a", allow={"shrunk"}))
    assert outcome.code is Code.PLAN_REFUSED
    assert f"The list of {side} is empty, while the ledger has 1 blocked" in outcome.message
    assert "--allow-empty" in outcome.message
    plan = plans.create("b", source="a", allow={"empty"})
    assert plan.sizes["source" if side == "a" else "target"] == 0


def test_an_empty_list_without_entries_in_the_ledger_is_a_new_account(
    plans: Plans, lists: Lists
) -> None:
    lists.will_be("b", ())
    assert plans.create("b", source="a").ops == {"block": 3}


@pytest.mark.parametrize(
    ("before", "after", "refused"), [(10, 7, False), (10, 6, True), (9, 1, False), (20, 0, True)]
)
@pytest.mark.parametrize("side", ["a", "b"])
def test_a_list_that_shrank_by_more_than_30_percent_is_refused_from_10_entries_on(
    plans: Plans, lists: Lists, side: str, before: int, after: int, refused: bool
) -> None:
    lists.will_be(side, contacts(*range(before)))
    plans.create("b", source="a")
    lists.will_be(side, contacts(*range(after)))
    if refused:
        for _ in range(2):  # a refusal is no reading of the list
            outcome = refusal(lambda: plans.create("b", source="a", allow={"empty"}))
            assert outcome.code is Code.PLAN_REFUSED
            assert f"has {after} of the {before} entries" in outcome.message
            assert "--allow-shrunk" in outcome.message
    plans.create("b", source="a", allow={"shrunk"})
    plans.create("b", source="a")


def test_what_a_plan_has_unblocked_has_not_shrunk_the_list(client: Client, plans: Plans) -> None:
    for contact in contacts(*range(12)):
        client.block(str(contact.number), account="b")
    client.block(number(1), account="a")
    plan = plans.create("b", source="a", mirror=True, allow_unblocks=11)
    run(client, plans.apply(plan.id))
    assert plans.create("b", source="a").ops == {"keep": 1}


# --- sources


def test_the_source_may_be_the_wishes_in_the_ledger(client: Client, plans: Plans) -> None:
    client.block(number(1), account="a", reason="spam")
    client.block(number(2), account="a")
    client.unblock(number(2), account="a")
    plan = plans.create("b", from_ledger="a")
    (item,) = rows_of(plans, plan)
    assert (item.given, item.op, item.reason) == (number(1), "block", "spam")
    assert plan.bases["source"] == "ledger"


def test_a_list_that_was_lost_is_restored_from_the_ledger_of_the_same_account(
    client: Client, plans: Plans
) -> None:
    client.block(number(1), account="b")
    lists = Lists(client)
    lists.will_be("b", ())
    plan = plans.create("b", from_ledger="b", allow={"empty"})
    assert ops_of(plans, plan) == {number(1): "block"}


def test_the_source_may_be_a_file_whose_rows_all_get_a_place(
    client: Client, plans: Plans, lists: Lists, url: str
) -> None:
    given = [
        row(1, line=2, reason="spam", ref="ticket 1"),
        bad_row(3),
        row(3, line=4),
        row(1, line=5),
        row(5, line=6, action=Action.UNBLOCK),
    ]
    plan = plans.create("b", rows=given)
    found = [(each.line, each.status, each.op, each.code) for each in rows_of(plans, plan)]
    assert found == [
        (2, "pending", "block", None),
        (3, "rejected", None, "invalid_target"),
        (4, "pending", "keep", None),
        (5, "duplicate", None, None),
        (6, "rejected", None, "validation_error"),
        (0, "pending", "keep", "not_wanted"),
    ]
    batch = Batches(client.service).get(plan.id, ANONYMOUS)
    assert batch.counts == {"pending": 3, "rejected": 2, "duplicate": 1}
    assert (plan.source, plan.bases["source"]) == (None, "file")
    counts = run(client, plans.apply(plan.id))
    assert counts == {"done": 1, "unchanged": 2, "rejected": 2, "duplicate": 1}
    (block,) = rows(url, "blocks")
    assert (block["reason"], block["ref"]) == ("spam", "ticket 1")


@pytest.mark.parametrize(
    "given", [{}, {"source": "a", "from_ledger": "a"}, {"source": "b"}, {"allow_unblocks": -1}]
)
def test_a_plan_needs_one_source_other_than_its_target(
    plans: Plans, lists: Lists, given: dict[str, Any]
) -> None:
    given = {"source": "a", **given} if "allow_unblocks" in given else given
    assert refusal(lambda: plans.create("b", **given)).code is Code.VALIDATION_ERROR


def test_a_plan_is_seen_by_callers_of_both_accounts_alone(plans: Plans, lists: Lists) -> None:
    plan = plans.create("b", source="a")
    scopes = frozenset(Scope)
    both = Caller("both", scopes, frozenset({"a", "b"}))
    assert plans.get(plan.id, both).id == plan.id
    for name in ("a", "b"):
        caller = Caller("one", scopes, frozenset({name}))
        for work in (plans.get, plans.items, plans.apply):
            outcome = refusal(lambda work=work, caller=caller: work(plan.id, caller))  # type: ignore[misc]
            assert outcome.code is Code.BATCH_NOT_FOUND
        outcome = refusal(lambda caller=caller: plans.create("b", source="a", caller=caller))  # type: ignore[misc]
        assert outcome.code is Code.ACCOUNT_NOT_FOUND


def test_a_batch_is_not_a_plan(client: Client, plans: Plans) -> None:
    batches = Batches(client.service)
    created = batches.create(
        [row(1)], account="a", action=Action.BLOCK, caller=ANONYMOUS, via="python"
    )
    assert refusal(lambda: plans.get(created.batch.id)).code is Code.BATCH_NOT_FOUND


# --- apply


def apply_after(plans: Plans, lists: Lists, **changed: tuple[Contact, ...]) -> Plan:
    plan = plans.create("b", source="a")
    for name, listed in changed.items():
        lists.will_be(name, listed)
    return plans.apply(plan.id)


def test_what_was_done_since_and_what_is_not_wanted_any_more_is_left_out(
    client: Client, plans: Plans, lists: Lists
) -> None:
    plan = apply_after(plans, lists, a=contacts(1, 3), b=contacts(3, 4, 1))
    found = {each.given: (each.status, each.code) for each in rows_of(plans, plan)}
    assert found[number(1)] == ("unchanged", None)
    assert found[number(2)] == ("cancelled", "not_wanted")
    assert run(client, plan) == {"unchanged": 3, "cancelled": 1}
    assert lists.sent == []


@pytest.mark.parametrize(
    ("a", "b", "shown"),
    [
        ((1, 2, 3, 5), (3, 4), 5),
        ((1, 2, 3), (4,), 3),
    ],
    ids=["wanted since", "unblocked there since"],
)
def test_a_plan_that_would_do_more_than_approved_is_stale_and_names_the_difference(
    plans: Plans, lists: Lists, a: tuple[int, ...], b: tuple[int, ...], shown: int
) -> None:
    outcome = refusal(lambda: apply_after(plans, lists, a=contacts(*a), b=contacts(*b)))
    assert outcome.code is Code.PLAN_STALE
    assert "block: 1 more" in outcome.message
    assert outcome.fields == {"block": (Contact(number(shown)).masked,)}
    assert number(shown) not in str(outcome)


def test_a_stale_plan_names_20_contacts_and_counts_all(plans: Plans, lists: Lists) -> None:
    outcome = refusal(lambda: apply_after(plans, lists, a=contacts(*range(1, 35))))
    assert "block: 30 more" in outcome.message
    assert len(outcome.fields["block"]) == 20


def test_a_stale_plan_stays_a_plan_and_can_be_applied_once_the_lists_are_as_before(
    plans: Plans, lists: Lists
) -> None:
    plan = plans.create("b", source="a")
    lists.will_be("a", contacts(1, 2, 3, 5))
    assert refusal(lambda: plans.apply(plan.id)).code is Code.PLAN_STALE
    assert plans.get(plan.id).batch.status == "planned"
    lists.will_be("a", contacts(1, 2, 3))
    assert plans.apply(plan.id).batch.status == "running"


def test_the_guards_hold_for_the_lists_that_apply_reads(
    client: Client, plans: Plans, lists: Lists
) -> None:
    lists.will_be("b", contacts(*range(3, 20)))
    plan = plans.create("b", source="a")
    lists.will_be("b", contacts(3))
    assert refusal(lambda: plans.apply(plan.id)).code is Code.PLAN_REFUSED
    lists.will_be("b", Outcome.failure(Code.PROVIDER_TIMEOUT))
    assert refusal(lambda: plans.apply(plan.id)).code is Code.PROVIDER_TIMEOUT


def test_an_apply_that_was_killed_in_the_middle_can_be_repeated(
    client: Client, plans: Plans, lists: Lists, url: str
) -> None:
    plan = plans.create("b", source="a")
    execute(url, "UPDATE {p}items SET status = 'unchanged' WHERE row <= 2")
    assert run(client, plans.apply(plan.id)) == {"done": 2, "unchanged": 2}


def test_a_person_who_was_erased_since_is_left_out(
    client: Client, plans: Plans, lists: Lists
) -> None:
    plan = plans.create("b", source="a")
    assert client.service.ledger is not None
    client.service.ledger.erase(Contact(number(2)))
    lists.will_be("a", contacts(1, 3))
    assert run(client, plans.apply(plan.id)) == {"done": 1, "unchanged": 2, "cancelled": 1}


def test_an_applied_plan_is_a_newer_wish_than_those_before_it(
    client: Client, plans: Plans, lists: Lists
) -> None:
    plan = plans.create("b", source="a")
    client.unblock(number(1), account="b")  # older than the approval, newer than the plan
    assert run(client, plans.apply(plan.id)) == {"done": 2, "unchanged": 2}


def test_a_plan_that_was_not_applied_is_deleted_after_30_days(
    client: Client, plans: Plans, lists: Lists, url: str
) -> None:
    plans.create("b", source="a")
    assert client.service.ledger is not None
    client.service.ledger.sweep()
    assert len(rows(url, "batches")) == 1
    execute(url, "UPDATE {p}batches SET created_at = :at", at="2020-01-01T00:00:00.000+00:00")
    client.service.ledger.sweep()
    assert (rows(url, "batches"), rows(url, "items")) == ([], [])
    assert not any(each["number"] for each in rows(url, "contacts"))
