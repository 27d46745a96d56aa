"""Moves to another provider, against stubs of the providers: each plan is made, applied and run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support import Upstream, account_for, run_upstream
from support.ledgers import rows
from support.plans import contacts, number, open_client, ops_of, rows_of, run

from adapter import Client
from adapter.api_keys import ANONYMOUS
from adapter.batches.batches import Batches
from adapter.batches.plans import Plans
from adapter.codes import Code
from adapter.errors import RequestError

Open = Callable[..., Client]

PHONE = "+5511988887777"


@pytest.fixture
def first() -> Iterator[Upstream]:
    with run_upstream() as running:
        yield running


@pytest.fixture
def second() -> Iterator[Upstream]:
    with run_upstream() as running:
        yield running


@pytest.fixture
def open_both(url: str, first: Upstream, second: Upstream) -> Iterator[Open]:
    """Return a function that connects the accounts A and B to providers of these names."""
    opened: list[Client] = []

    def open_one(a: str, b: str, only_b: dict[str, Any] | None = None, **rest: Any) -> Client:
        common = {"transport": {"breaker_threshold": 0}, "verify": "never", **rest}
        accounts = {
            "a": {**account_for(a, first.address), **common},
            "b": {**account_for(b, second.address), **common, **(only_b or {})},
        }
        if b == "meta-cloud":
            accounts["b"]["phone_number_id"] = "100000000000001"
        opened.append(open_client(url, **accounts))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()


def wuts_list(*indexes: int) -> dict[str, Any]:
    items = [{"jid": f"{number(index)}@s.whatsapp.net"} for index in indexes]
    return {"success": True, "data": {"items": items}}


def meta_list(*indexes: int) -> dict[str, Any]:
    users = [{"messaging_product": "whatsapp", "wa_id": number(index)} for index in indexes]
    return {"data": users, "paging": {"cursors": {"after": ""}}}


def go_list(*indexes: int) -> dict[str, Any]:
    jids = [f"{number(index)}@s.whatsapp.net" for index in indexes]
    return {"message": "success", "data": {"DHash": "", "JIDs": jids}}


def changes(upstream: Upstream) -> list[str]:
    return [each.path for each in upstream.seen if each.method != "GET"]


def test_from_wuts_to_meta_new_blocks_are_impossible_with_the_reason_of_the_window(
    open_both: Open, first: Upstream, second: Upstream
) -> None:
    client = open_both("wuts", "meta-cloud")
    first.will_answer(200, wuts_list(1, 2))
    second.will_answer(200, meta_list(2))
    plans = Plans(client.service)
    plan = plans.create("b", source="a")
    assert ops_of(plans, plan) == {number(1): "cannot", number(2): "keep"}
    cannot = rows_of(plans, plan, "cannot")[0]
    assert cannot.code == "not_recent"
    assert "24 hours" in (cannot.why or "")
    assert plan.changes == 0
    assert run(client, plans.apply(plan.id)) == {"rejected": 1, "unchanged": 1}
    assert changes(second) == []


def test_with_try_the_block_is_sent_to_meta_and_its_refusal_is_the_end_of_the_row(
    open_both: Open, first: Upstream, second: Upstream
) -> None:
    client = open_both("wuts", "meta-cloud")
    first.will_answer(200, wuts_list(1))
    second.will_answer(200, meta_list())
    plans = Plans(client.service)
    plan = plans.apply(plans.create("b", source="a", allow={"not_recent"}).id)
    assert plan.ops == {"block": 1}
    window = {"error": {"code": 131047, "type": "OAuthException", "message": "Re-engagement"}}
    second.will_answer(400, window)
    assert run(client, plan) == {"failed": 1}
    (item,) = rows_of(plans, plan)
    assert item.code == Code.TARGET_REJECTED.value
    assert len(changes(second)) == 1


def test_from_wappfy_without_a_list_to_the_session_gateway_by_the_ledger(
    open_both: Open, first: Upstream, second: Upstream, url: str
) -> None:
    client = open_both("wappfy", "session-gateway")
    first.will_answer(201)
    for contact in contacts(1, 2):
        client.block(str(contact.number), account="a", reason="opt_out")
    client.block(number(3), account="a")
    client.unblock(number(3), account="a")
    plans = Plans(client.service)
    plan = plans.create("b", source="a")
    assert plan.bases == {"source": "ledger", "target": "ledger"}
    assert ops_of(plans, plan) == {number(1): "block", number(2): "block"}
    second.will_answer(204)
    assert run(client, plans.apply(plan.id)) == {"done": 2}
    assert len(changes(second)) == 2
    assert plans.create("b", source="a").ops == {"keep": 2}
    reasons = {each["reason"] for each in rows(url, "blocks") if each["account"] == "b"}
    assert reasons == {"opt_out"}


def test_the_same_number_from_waha_to_evolution_go_is_compared_and_nothing_is_sent(
    open_both: Open, first: Upstream, second: Upstream
) -> None:
    client = open_both("waha", "evolution-go", phone=PHONE)
    first.will_answer(201)
    for contact in contacts(1, 2):
        client.block(str(contact.number), account="a")
    before = len(first.seen)
    second.will_answer(200, go_list(2, 3))
    plans = Plans(client.service)
    plan = plans.create("b", source="a")
    assert plan.same
    assert ops_of(plans, plan) == {number(1): "missing", number(2): "keep", number(3): "extra"}
    assert plan.changes == 2
    with pytest.raises(RequestError) as caught:
        plans.apply(plan.id)
    assert caught.value.outcome.code is Code.BATCH_CONFLICT
    assert "same WhatsApp number" in caught.value.outcome.message
    assert changes(second) == []
    assert len(first.seen) == before
    assert Batches(client.service).get(plan.id, ANONYMOUS).status == "planned"


@pytest.mark.parametrize(
    ("own", "same"), [("551188887777@c.us", True), ("5511988887778@c.us", False), (None, False)]
)
@pytest.mark.parametrize("provider", ["waha", "wappfy"])
def test_the_number_in_the_status_of_the_session_shows_that_it_is_the_same(
    open_both: Open,
    first: Upstream,
    second: Upstream,
    provider: str,
    own: str | None,
    same: bool,
) -> None:
    client = open_both(provider, "evolution-go", only_b={"phone": PHONE})
    me = None if own is None else {"id": own, "pushName": "Support"}
    first.will_answer(200, {"name": "my-session", "status": "WORKING", "me": me})
    second.will_answer(200, go_list())
    plan = Plans(client.service).create("b", source="a")
    assert plan.same is same
    assert [each.path for each in first.seen] == ["/api/sessions/my-session"]


def test_the_same_number_behind_a_provider_without_a_list_cannot_be_told(
    open_both: Open, first: Upstream, second: Upstream
) -> None:
    client = open_both("evolution-go", "waha", phone=PHONE)
    first.will_answer(200, go_list(1, 2))
    plan = Plans(client.service).create("b", source="a")
    assert (plan.same, plan.ops) == (True, {"unsure": 2})


def test_other_numbers_are_other_lists(open_both: Open, first: Upstream, second: Upstream) -> None:
    client = open_both("wuts", "evolution-go")
    first.will_answer(200, wuts_list(1))
    second.will_answer(200, go_list())
    plan = Plans(client.service).create("b", source="a")
    assert (plan.same, plan.ops) == (False, {"block": 1})


def test_64000_entries_are_planned_and_the_limit_of_the_target_holds(
    open_both: Open, first: Upstream, second: Upstream
) -> None:
    client = open_both("wuts", "meta-cloud")
    first.will_answer(200, wuts_list(*range(64_000)))
    second.will_answer(200, meta_list(*range(10, 64_005)))
    plans = Plans(client.service)
    plan = plans.create("b", source="a", allow={"not_recent"})
    assert plan.sizes == {"source": 64_000, "target": 63_995}
    assert plan.ops == {"block": 5, "cannot": 5, "keep": 63_990 + 5}
    full = [each.code for each in rows_of(plans, plan, "cannot")]
    assert full == ["list_full"] * 5
    assert json.dumps(full)
