"""The ledger in apps: metrics, the log, and what is opened when; and nothing of it without one."""

from __future__ import annotations

import threading
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeApp
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families
from support import NUMBER, account_for
from support.ledgers import execute, locked, output, python, rows

from adapter import ContactAdapter
from adapter.web.app import service_state

PREFIX = "contact_adapter_ledger_"


def config_for(url: str, **ledger: Any) -> dict[str, Any]:
    settings = {"url": url, "wait": 10, **ledger}
    return {"accounts": {"support": {"provider": "memory"}}, "ledger": settings}


def samples(app: Flask) -> dict[tuple[str, ...], float]:
    """Return the samples of the ledger by name and label values."""
    text = app.test_client().get("/metrics").text
    return {
        (sample.name.removeprefix(PREFIX), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith(PREFIX) and not sample.name.endswith("_created")
    }


def batches(app: Flask) -> tuple[dict[str, float], dict[str, float]]:
    """Return the number of batches by status, and until when accounts wait."""
    families = text_string_to_metric_families(app.test_client().get("/metrics").text)
    found = {family.name: family.samples for family in families}
    names = ("contact_adapter_batches", "contact_adapter_batches_paused_until_timestamp_seconds")
    status, until = (
        {next(iter(sample.labels.values())): sample.value for sample in found.get(name, ())}
        for name in names
    )
    return status, until


def block(app: Flask, **body: Any) -> Any:
    return app.test_client().post("/v1/contacts/block", json={"number": NUMBER, **body}).json


def test_metrics_count_recorded_and_missed_calls_and_show_the_ledgers_state(
    make_app: MakeApp, url: str
) -> None:
    app = make_app(config_for(url, wait=5))
    assert samples(app)["swept_timestamp_seconds",] == 0
    for _ in range(3):
        block(app)
    found = samples(app)
    assert found["calls_total", "true"] == 3
    assert found["calls_total", "false"] == found["queue",] == 0
    assert found["available",] == 1
    kinds = {key[1] for key in found if key[0] == "swept_rows"}
    assert kinds == {"closed", "calls", "keys", "contacts", "items", "batches"}


def test_metrics_count_the_calls_that_the_ledger_missed(make_app: MakeApp, url: str) -> None:
    app = make_app(config_for(url, wait=0.05))
    with locked(url):
        assert block(app)["meta"]["recorded"] is False
    assert samples(app)["calls_total", "false"] == 1


def test_metrics_show_the_batches_that_have_not_ended_and_the_accounts_that_wait(
    make_app: MakeApp, url: str
) -> None:
    app = make_app(config_for(url))
    kinds = {"planned": 0, "ready": 0, "running": 0, "paused": 0}
    assert batches(app) == (kinds, {})
    client = app.test_client()
    for start in (False, True, True):
        items = [{"number": f"+55119888800{len(rows(url, 'batches')):02}"}]
        body = {"action": "block", "account": "support", "items": items, "start": start}
        assert client.post("/v1/batches", json=body).status_code == 201
    assert client.post("/v1/batches/3/pause").status_code == 200
    until = "2099-01-01T00:00:00.000+00:00"
    lane = "INSERT INTO {p}lanes (account, pauses, paused_until) VALUES ('support', 1, :until)"
    execute(url, lane, until=until)
    waits = {"support": datetime.fromisoformat(until).timestamp()}
    assert batches(app) == (kinds | {"ready": 1, "running": 1, "paused": 1}, waits)


def test_metrics_are_served_while_the_ledger_is_slow(make_app: MakeApp, url: str) -> None:
    app = make_app(config_for(url, wait=0.05))
    block(app)
    with locked(url):
        assert app.test_client().get("/metrics").status_code == 200


def test_without_a_ledger_there_are_no_metrics_of_it(make_app: MakeApp) -> None:
    app = make_app({"accounts": {"support": {"provider": "memory"}}})
    assert samples(app) == {}
    assert batches(app) == ({}, {})


def test_the_log_has_the_reason_and_never_the_ref(
    make_app: MakeApp, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    app = make_app(config_for(url))
    block(app, reason="opt_out", ref="canary-ref")
    with app.app_context():
        service_state(app).contacts.block(NUMBER, reason="spam", ref="canary-ref")
    assert "reason=opt_out" in caplog.text
    assert "reason=spam" in caplog.text
    assert "recorded=true" in caplog.text
    assert "canary-ref" not in caplog.text


def test_a_reason_and_a_ref_are_never_sent_to_the_provider(
    make_app: MakeApp, upstream: Any
) -> None:

    upstream.will_answer(200, {"success": True, "data": {"blocked": True}})
    app = make_app({"accounts": {"support": account_for("wuts", upstream.address)}})
    data = block(app, reason="canary_reason", ref="canary-ref")["data"]
    assert (data["reason"], data["ref"]) == ("canary_reason", "canary-ref")
    assert upstream.seen
    assert "canary" not in str(upstream.seen)


def test_a_reason_in_the_query_is_as_one_in_the_body(make_app: MakeApp, url: str) -> None:
    client = make_app(config_for(url)).test_client()
    query = {"number": NUMBER, "reason": "abuse", "ref": "ticket 17"}
    assert client.post("/v1/contacts/unblock", query_string=query).status_code == 200
    (call,) = rows(url, "calls")
    assert (call["reason"], call["ref"]) == ("abuse", "ticket 17")
    both = client.post("/v1/contacts/block?reason=spam", json={"number": NUMBER})
    assert "must be in the body" in str(both.get_json()["error"]["fields"])


def test_an_embedded_ledger_is_opened_by_the_first_call(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    before = threading.active_count()
    app = Flask("host")
    contacts = ContactAdapter(app, config_for(f"sqlite:///{file}"))
    assert not file.exists()
    assert threading.active_count() == before
    with app.app_context():
        assert contacts.block(NUMBER).recorded is True
    assert file.exists()
    contacts.for_app(app).close()
    assert threading.active_count() == before


def test_without_a_ledger_nothing_of_it_is_imported() -> None:
    script = """
import sys
from adapter import create_app
app = create_app({"accounts": {"a": {"provider": "memory"}}}, allow_unauthenticated=True)
body = {"number": "+5511999999999"}
assert app.test_client().post("/v1/contacts/block", json=body).status_code == 200
assert app.test_client().get("/metrics").status_code == 200
names = ("adapter.ledger", "sqlalchemy", "alembic", "psycopg")
print([name for name in names if name in sys.modules])
"""
    assert output(python(script)) == "[]\n"
