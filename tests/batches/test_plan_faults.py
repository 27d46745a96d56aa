"""Faults of plans and batches that were mended: what is sent, refused and kept."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.batches import create, items, row, run, statuses
from support.batches import number as number_of
from support.block_list_server import BROKEN, BlockListServer, Reply
from support.ledgers import execute, rows
from support.plans import Lists, contacts, number, open_client, ops_of, rows_of
from support.plans import run as run_plan

from adapter import Client
from adapter.api_keys import ANONYMOUS
from adapter.batches import Batch, Batches, build_row, read_rows, write_rows
from adapter.batches.plans import Plans
from adapter.codes import Action, Code
from adapter.errors import RequestError


@pytest.fixture
def planned(url: str) -> Iterator[Client]:
    with open_client(url) as opened:
        yield opened


@pytest.fixture
def plans(planned: Client) -> Plans:
    return Plans(planned.service)


@pytest.fixture
def lists(planned: Client) -> Lists:
    made = Lists(planned)
    made.will_be("a", contacts(1))
    made.will_be("b", contacts(3))
    return made


@pytest.fixture
def no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapter.batches.list_check.LIST_DELAY", 0)


# --- what the ledger has is not what the list has shown


def test_a_contact_that_was_unblocked_on_the_phone_is_blocked_by_the_applied_plan(
    planned: Client, plans: Plans, lists: Lists
) -> None:
    planned.block(number(1), account="b")
    lists.sent.clear()
    plan = plans.create("b", source="a")
    assert ops_of(plans, plan)[number(1)] == "block"
    assert run_plan(planned, plans.apply(plan.id)) == {"done": 1, "unchanged": 1}
    assert [each.action for each in lists.sent] == [Action.BLOCK]


def test_a_contact_that_was_unblocked_on_the_phone_is_blocked_by_a_batch(
    client: Client, batches: Batches, provider: BlockListServer
) -> None:
    assert client.block(number_of(0)).ok
    provider.states[number_of(0)] = False
    done = run(batches, create(batches, [row(0)], verify=True).batch)
    assert statuses(batches, done) == ["done"]
    assert provider.blocked == {number_of(0)}


def test_a_new_batch_still_sends_nothing_for_what_the_ledger_has(
    client: Client, batches: Batches, provider: BlockListServer
) -> None:
    assert client.unblock(number_of(0)).ok
    sent = len(provider.requests)
    done = run(batches, create(batches, [row(0)], Action.UNBLOCK).batch)
    assert statuses(batches, done) == ["unchanged"]
    assert len(provider.requests) == sent


def test_a_mirror_leaves_whom_the_ledger_does_not_have_as_blocked(
    planned: Client, plans: Plans, lists: Lists, url: str
) -> None:
    planned.block(number(3), account="b")
    execute(url, "UPDATE {p}blocks SET state = 'unknown', certainty = 'none'")
    plan = plans.create("b", source="a", mirror=True)
    assert ops_of(plans, plan) == {number(1): "block", number(3): "keep"}


# --- mirrors of a file


def refusal(work: Callable[[], object]) -> Any:
    with pytest.raises(RequestError) as caught:
        work()
    return caught.value.outcome


def texts(line: int, **given: str) -> Any:
    return build_row(line, given, default_region=None)


@pytest.mark.parametrize(
    "rejected",
    [
        texts(3, number="12"),
        row(4, line=3, account="a"),
        row(4, line=3, action=Action.UNBLOCK),
    ],
    ids=["number", "account", "action"],
)
def test_a_mirror_of_a_file_with_a_rejected_row_is_refused(
    plans: Plans, lists: Lists, rejected: Any, url: str
) -> None:
    given = [row(3, line=2), rejected]
    outcome = refusal(lambda: plans.create("b", rows=given, mirror=True, allow_unblocks=9))
    assert outcome.code is Code.PLAN_REFUSED
    assert "The source has 1 rejected row, and" in outcome.message
    assert "mend them" in outcome.message
    assert (rows(url, "batches"), lists.sent) == ([], [])
    assert plans.create("b", rows=given).batch.counts["rejected"] == 1
    assert plans.create("b", rows=given[:1] * 2, mirror=True).batch.counts["duplicate"] == 1


def test_a_row_of_another_account_than_the_target_is_rejected(plans: Plans, lists: Lists) -> None:
    given = [row(4, account="a"), row(5, account="b"), row(6)]
    plan = plans.create("b", rows=given)
    first, *others = rows_of(plans, plan)
    assert (first.status, first.code) == ("rejected", "validation_error")
    assert [each.op for each in others] == ["block", "block", "keep"]


def written_again(found: list[Any]) -> list[Any]:
    text = "".join(write_rows(each for each in found if each.status == "rejected"))
    return list(read_rows(io.BytesIO(text.encode()), default_region=None))


def test_the_rejected_rows_of_a_plan_keep_what_the_file_has(plans: Plans, lists: Lists) -> None:
    given = [
        row(4, line=2, action=Action.UNBLOCK, reason="spam", ref="ticket"),
        texts(3, number="12", action="unblock"),
        row(5, line=4, account="a", action=Action.UNBLOCK),
        texts(5, number=number(6), account="no account"),
    ]
    found = rows_of(plans, plans.create("b", rows=given))
    first, second, third, fourth = written_again(found)
    assert (first.action, first.reason, first.ref) == (Action.UNBLOCK, "spam", "ticket")
    assert (first.account, first.contact) == ("b", contacts(4)[0])
    assert (second.action, second.code) == (Action.UNBLOCK, "invalid_target")
    assert (third.action, third.contact) == (Action.UNBLOCK, None)
    for each in (third, fourth):
        assert "account: is a ?" in (each.why or "")


# --- rejected rows of a batch


@pytest.mark.parametrize(
    "given",
    [
        row(0, account="gone", action=Action.BLOCK),
        row(0, account="gone"),
        texts(2, number="12", account="gone", action="block"),
        texts(2, number=number_of(0), account="no account", action="block"),
        texts(2, number=number_of(0), action="perhaps"),
    ],
    ids=["account", "no action", "number", "invalid account", "invalid action"],
)
def test_a_rejected_row_does_not_come_back_as_one_for_the_defaults(
    batches: Batches, given: Any
) -> None:
    action = None if given.action is None and given.contact is not None else Action.UNBLOCK
    batch = create(batches, [given, row(1, action=Action.BLOCK)], action, start=False).batch
    (rejected,) = written_again(items(batches, batch))
    again = create(batches, [rejected], Action.UNBLOCK, start=False).batch
    assert statuses(batches, again) == ["rejected"]
    assert ": is a ? in place of a value" in (rejected.why or "")


# --- the list at the end


def list_fails(provider: BlockListServer, reply: Reply = BROKEN) -> None:
    provider.reply = lambda action, _: reply if action == "list" else None


def test_rows_that_no_list_has_verified_are_unknown(
    batches: Batches, provider: BlockListServer, no_wait: None
) -> None:
    list_fails(provider)
    done = run(batches, create(batches, [row(0), row(1)], verify=True).batch)
    assert (done.status, done.counts) == ("done", {"unknown": 2})
    found = items(batches, done)
    assert {each.code for each in found} == {"provider_error"}
    assert all(each.why for each in found)
    provider.reply = lambda *_: None
    assert run(batches, batches.retry(done.id, ANONYMOUS)).counts == {"done": 2}


def test_a_batch_that_is_stopped_before_its_list_is_read_is_verified_by_the_next_run(
    batches: Batches, provider: BlockListServer
) -> None:
    stop = threading.Event()

    def reply(action: str, _: str) -> Reply | None:
        if action == "list" and provider.requests:
            stop.set()
            return BROKEN
        return None

    provider.reply = reply
    batch: Batch = create(batches, [row(0)], verify=True).batch
    stopped = run(batches, batch, stop)
    assert (stopped.status, stopped.counts) == ("running", {"done": 1})
    provider.reply = lambda *_: None
    provider.states.clear()
    assert run(batches, batch).counts == {"failed": 1}


def test_without_a_list_each_change_is_read_back(url: str) -> None:
    with open_client(url, a={"provider": "memory"}) as client:
        provider = client.service.accounts["a"].provider
        kept = provider.actions() - {Action.LIST}
        with pytest.MonkeyPatch.context() as patch:
            for name in ("actions", "offered_actions"):
                patch.setattr(type(provider), name, lambda _: kept)
            batches = Batches(client.service)
            batch = create(batches, [row(0)], account="a", verify=True).batch
            assert run(batches, batch).counts == {"done": 1}
    assert [each["verified"] for each in rows(url, "calls")]
