"""Faults of plans and batches that were mended: what is sent, refused and kept."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.batches import create, items, row, run, statuses
from support.batches import number as number_of
from support.block_list_server import BlockListServer
from support.ledgers import execute
from support.plans import Lists, contacts, number, open_client, ops_of
from support.plans import run as run_plan

from adapter import Client
from adapter.api_keys import ANONYMOUS
from adapter.batches import Batches
from adapter.batches.plans import Plans
from adapter.codes import Action


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
    monkeypatch.setattr("adapter.batches.runner.LIST_DELAY", 0)


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


def test_a_contact_that_was_unblocked_on_the_phone_is_blocked_by_a_retry(
    client: Client, batches: Batches, provider: BlockListServer
) -> None:
    assert client.block(number_of(0)).ok
    provider.states[number_of(0)] = False
    done = run(batches, create(batches, [row(0)], verify=True).batch)
    assert [each.code for each in items(batches, done)] == ["not_effective"]
    again = run(batches, batches.retry(done.id, ANONYMOUS))
    assert statuses(batches, again) == ["done"]
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
