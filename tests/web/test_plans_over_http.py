"""Plans over HTTP: made, shown with their items, applied, and refused."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from conftest import MakeApp
from flask.testing import FlaskClient
from support import key_for
from werkzeug.test import TestResponse

from adapter.api_keys import ANONYMOUS
from adapter.batches.plan_model import Basis, Guard, Op
from adapter.web.app import service_state
from adapter.web.plan_documents import BASES, GUARDS, OPS
from adapter.web.plan_schemas import PlanEnvelope

PLANS = "/v1/plans"
NUMBERS = [f"55119888800{index:02}" for index in range(10)]

Open = Callable[..., FlaskClient]


@pytest.fixture
def open_app(make_app: MakeApp, url: str) -> Open:
    def open_one(keys: Any = None, *, ledger: bool = True, **more: Any) -> FlaskClient:
        config: dict[str, Any] = {
            "accounts": {"a": {"provider": "memory"}, "b": {"provider": "memory"}}
        }
        if ledger:
            config["ledger"] = {"url": url, "wait": 10}
        return make_app(config | ({"keys": keys} if keys else {}) | more).test_client()

    return open_one


@pytest.fixture
def client(open_app: Open) -> FlaskClient:
    """Return a client of a server whose account A has blocked two numbers."""
    made = open_app()
    for number in NUMBERS[:2]:
        made.post("/v1/contacts/block", json={"number": f"+{number}", "account": "a"})
    return made


def plan_of(response: TestResponse, status: int = 200) -> dict[str, Any]:
    document = response.get_json()
    assert response.status_code == status, document
    assert PlanEnvelope().validate(document) == {}
    found = document["data"]["plan"]
    assert isinstance(found, dict)
    return found


def error_of(response: TestResponse) -> tuple[int, str]:
    return response.status_code, response.get_json()["error"]["code"]


def run(client: FlaskClient, plan: dict[str, Any]) -> dict[str, int]:
    batches = service_state(client.application).contacts.batches.load()
    counts = batches.run(plan["id"], threading.Event()).counts
    return dict(batches.get(plan["id"], ANONYMOUS).counts or counts)


def test_the_words_of_the_documents_are_those_of_the_plans() -> None:
    assert set(OPS) == {each.value for each in Op}
    assert set(GUARDS) == {each.value for each in Guard}
    assert set(BASES) == {each.value for each in Basis}


def test_a_plan_is_made_shown_and_applied(client: FlaskClient) -> None:
    made = plan_of(client.post(PLANS, json={"target": "b", "source": "a"}), 201)
    assert (made["status"], made["changes"], made["ops"]["block"]) == ("planned", 2, 2)
    assert plan_of(client.get(f"{PLANS}/{made['id']}")) == made
    items = client.get(f"/v1/batches/{made['id']}/items").get_json()["data"]["items"]
    assert [(each["op"], each["status"]) for each in items] == [("block", "pending")] * 2
    applied = plan_of(client.post(f"{PLANS}/{made['id']}/apply"))
    assert applied["batch"]["status"] == "running"
    assert run(client, applied) == {"done": 2}
    assert plan_of(client.post(PLANS, json={"target": "b", "source": "a"}), 201)["changes"] == 0


def test_a_plan_may_have_the_ledger_or_items_as_its_source(client: FlaskClient) -> None:
    made = plan_of(client.post(PLANS, json={"target": "b", "from_ledger": "a"}), 201)
    assert (made["bases"]["source"], made["ops"]["block"]) == ("ledger", 2)
    items = [{"number": f"+{NUMBERS[5]}", "reason": "spam"}, {"number": "12"}]
    made = plan_of(client.post(PLANS, json={"target": "b", "items": items}), 201)
    assert (made["source"], made["bases"]["source"], made["ops"]["block"]) == (None, "file", 1)
    assert made["batch"]["counts"]["rejected"] == 1


def test_a_refused_plan_names_its_flag(client: FlaskClient) -> None:
    client.post("/v1/contacts/block", json={"number": f"+{NUMBERS[4]}", "account": "b"})
    document = {"target": "b", "source": "a", "mirror": True}
    response = client.post(PLANS, json=document)
    assert error_of(response) == (409, "plan_refused")
    assert "--allow-unblocks 1" in response.get_json()["error"]["message"]
    made = plan_of(client.post(PLANS, json={**document, "allow_unblocks": 1}), 201)
    assert made["ops"]["unblock"] == 1


def test_a_stale_plan_shows_the_difference_masked(client: FlaskClient) -> None:
    made = plan_of(client.post(PLANS, json={"target": "b", "source": "a"}), 201)
    client.post("/v1/contacts/block", json={"number": f"+{NUMBERS[7]}", "account": "a"})
    response = client.post(f"{PLANS}/{made['id']}/apply", json={"verify": True})
    assert error_of(response) == (409, "plan_stale")
    assert response.get_json()["error"]["fields"] == {"block": ["551*******007"]}
    assert NUMBERS[7] not in response.get_data(as_text=True)


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"source": "a"}, "target"),
        ({"target": "b"}, "source"),
        ({"target": "b", "source": "a", "from_ledger": "a"}, "source"),
        ({"target": "b", "source": "a", "allow": ["all"]}, "allow[0]"),
        ({"target": "b", "source": "a", "allow_unblocks": -1}, "allow_unblocks"),
        ({"target": "b", "source": "a", "mirror": "yes"}, "mirror"),
        ({"target": "b", "source": "a", "force": True}, "force"),
        ({"target": "b", "items": []}, "items"),
    ],
)
def test_a_wrong_request_names_its_field(
    client: FlaskClient, document: dict[str, Any], field: str
) -> None:
    response = client.post(PLANS, json=document)
    assert error_of(response) == (422, "validation_error")
    assert field in response.get_json()["error"]["fields"]


def test_an_unknown_plan_and_a_batch_are_not_found(client: FlaskClient) -> None:
    created = client.post(
        "/v1/batches",
        json={
            "account": "a",
            "action": "block",
            "start": False,
            "items": [{"number": f"+{NUMBERS[3]}"}],
        },
    )
    batch_id = created.get_json()["data"]["batch"]["id"]
    for each in (999, "x", batch_id):
        assert error_of(client.get(f"{PLANS}/{each}")) == (404, "batch_not_found")
        assert error_of(client.post(f"{PLANS}/{each}/apply")) == (404, "batch_not_found")


def test_plans_need_a_ledger_the_scope_and_both_accounts(open_app: Open) -> None:
    document = {"target": "b", "source": "a"}
    assert error_of(open_app(ledger=False).post(PLANS, json=document)) == (422, "validation_error")
    secrets = {name: f"a-key-of-the-tests-{name}" for name in ("reader", "one", "both")}
    client = open_app(
        keys={
            "reader": key_for(secrets["reader"], scopes=("read",)),
            "one": key_for(secrets["one"], "b"),
            "both": key_for(secrets["both"], "a", "b"),
        }
    )

    def post(name: str, path: str = PLANS, **rest: Any) -> TestResponse:
        return client.post(path, headers={"X-API-Key": secrets[name]}, **rest)

    assert error_of(post("reader", json=document)) == (403, "permission_denied")
    assert error_of(post("one", json=document)) == (404, "account_not_found")
    made = plan_of(post("both", json=document), 201)
    assert error_of(post("one", f"{PLANS}/{made['id']}/apply")) == (404, "batch_not_found")
    assert made["batch"]["key"] == "both"
