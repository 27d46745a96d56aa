"""The metrics: names, labels and values, and no contact in any label."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from adapter.providers.memory import LISTED_BY_LID, MAGIC_NUMBERS, NOT_EFFECTIVE
from conftest import MakeApp
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from support import (
    FAILING_PLUGIN,
    JID,
    NATIVE,
    NUMBER,
    OTHER_NUMBER,
    SESSION,
    TIMEOUT,
    Upstream,
    account_for,
    call,
    free_port,
    key_for,
    run_upstream,
    wait_until,
)
from support.raw_server import RawServer, always, http_response
from support.serving import ENVIRONMENT, Served, serve

from adapter.codes import Action, Code
from adapter.readings import Unverified
from adapter.web.app import build_app, service_state
from adapter.web.auth import AnonymousAccess

BLOCK = "/v1/contacts/block"
WHO = {"account": "a", "provider": "wuts"}
SANDBOX = {"account": "memory", "provider": "memory"}

LABELS: Mapping[str, tuple[str, set[str]]] = {
    "contact_adapter_calls": ("counter", {"account", "provider", "action", "code"}),
    "contact_adapter_call_duration_seconds": ("histogram", {"account", "provider", "action"}),
    "contact_adapter_retries": ("counter", {"account", "provider"}),
    "contact_adapter_reads": ("counter", {"account", "provider"}),
    "contact_adapter_verifications": (
        "counter",
        {"account", "provider", "action", "verified"},
    ),
    "contact_adapter_lookups": ("counter", {"account", "provider", "on_whatsapp"}),
    "contact_adapter_fallback_calls": ("counter", {"account", "fallback", "action", "code"}),
    "contact_adapter_in_flight": ("gauge", {"account", "provider"}),
    "contact_adapter_breaker_state": ("gauge", {"account", "provider"}),
}
"""Names and labels used by dashboards and alerts: new ones are added, none is changed."""

UNUSED = {
    f"contact_adapter_{name}"
    for name in ("retries", "reads", "verifications", "lookups", "fallback_calls")
}
"""The metrics that have no sample after changes that succeed at once."""


class Numbers:
    """The response of /metrics."""

    def __init__(self, text: str) -> None:
        self.families: dict[str, Metric] = {
            family.name: family
            for family in text_string_to_metric_families(text)
            if not family.name.endswith("_created")
        }

    def find(self, name: str, **labels: str) -> float | None:
        """Return the sample of this name with these labels; None without one."""
        found = [
            sample.value
            for family in self.families.values()
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        assert len(found) <= 1, f"{name} {labels} are ambiguous"
        return found[0] if found else None

    @property
    def label_values(self) -> set[str]:
        """All label values, except for bucket bounds."""
        return {
            value
            for family in self.families.values()
            for sample in family.samples
            for label, value in sample.labels.items()
            if label != "le"
        }


def read(client: FlaskClient) -> Numbers:
    response = client.get("/metrics")
    assert response.status_code == 200
    return Numbers(response.text)


def change(client: FlaskClient, action: str = "block", **rest: Any) -> int:
    sent = {"json": {"number": NUMBER}} | rest
    return client.post(f"/v1/contacts/{action}", **sent).status_code


@pytest.fixture
def front(make_app: MakeApp, upstream: Upstream) -> FlaskClient:
    """Return a client of an app with one WUTS account, whose upstream reports success."""
    upstream.will_answer(200, {"success": True, "data": {"blocked": True}})
    config = {"accounts": {"a": account_for("wuts", upstream.address)}}
    return make_app(config).test_client()


def test_metrics_have_these_names_types_and_labels(make_app: MakeApp, upstream: Upstream) -> None:
    unreachable = account_for("wuts", f"http://127.0.0.1:{free_port()}")
    accounts = {"a": account_for("wuts", upstream.address), "b": {**unreachable, "fallback": "a"}}
    front = make_app({"accounts": accounts, "default_account": "a"}).test_client()
    upstream.will_answer(200, {"success": True, "data": {NUMBER: True}})
    front.post("/v1/contacts/lookup", json={"numbers": [NUMBER], "account": "b"})
    front.post("/v1/contacts/lookup", json={"numbers": [NUMBER]})
    upstream.will_answer(503)  # so that there is a retry and a read to count
    change(front)
    families = read(front).families
    assert {name: family.type for name, family in families.items()} == {
        name: kind for name, (kind, _) in LABELS.items()
    }
    for name, (_, labels) in LABELS.items():
        assert families[name].samples
        for sample in families[name].samples:
            assert set(sample.labels) - {"le"} == labels, name
    assert all(family.documentation for family in families.values())


def test_metrics_response_has_the_prometheus_format_and_the_common_headers(
    front: FlaskClient,
) -> None:
    response = front.get("/metrics", headers={"X-Request-Id": "r-1"})
    assert response.mimetype == "text/plain"
    assert response.mimetype_params == {"version": "0.0.4", "charset": "utf-8"}
    assert response.headers["X-Request-Id"] == "r-1"
    assert response.headers["Cache-Control"] == "no-store"


def test_call_is_counted_by_account_provider_action_and_code(
    front: FlaskClient, upstream: Upstream
) -> None:
    change(front)
    change(front)
    change(front, "unblock")  # the upstream reports the contact as blocked
    upstream.will_answer(401, {"success": False, "error": "Invalid token"})
    change(front)
    upstream.will_answer(200, {"success": True, "data": {"items": [], "count": 0}})
    front.get("/v1/contacts/blocked")
    counted = {
        (sample.labels["action"], sample.labels["code"]): sample.value
        for sample in read(front).families["contact_adapter_calls"].samples
        if sample.name == "contact_adapter_calls_total"
    }
    assert counted == {
        ("block", "ok"): 2,
        ("unblock", "provider_bad_response"): 1,
        ("block", "provider_auth_failed"): 1,
        ("list", "ok"): 1,
    }


def test_duration_of_every_call_is_observed_once(front: FlaskClient) -> None:
    for _ in range(3):
        change(front)
    numbers = read(front)
    name = "contact_adapter_call_duration_seconds"
    assert numbers.find(f"{name}_count", **WHO, action="block") == 3
    assert (numbers.find(f"{name}_sum", **WHO, action="block") or 0) > 0
    assert numbers.find(f"{name}_bucket", **WHO, action="block", le="+Inf") == 3


def test_every_code_of_a_call_is_a_label_value(make_app: MakeApp) -> None:
    client = make_app({"accounts": {"a": {"provider": "memory"}}}).test_client()
    for number in MAGIC_NUMBERS:
        change(client, json={"number": number})
    samples = read(client).families["contact_adapter_calls"].samples
    assert {sample.labels["code"] for sample in samples} == {code.value for code in Code}


def test_call_is_in_flight_until_it_ends(make_app: MakeApp) -> None:
    with run_upstream(held=True) as upstream:
        upstream.will_answer(200, {"success": True, "data": {"blocked": True}})
        app = make_app({"accounts": {"a": account_for("wuts", upstream.address)}})
        caller = threading.Thread(target=change, args=(app.test_client(),))
        caller.start()
        try:
            assert upstream.arrived.wait(TIMEOUT)
            assert read(app.test_client()).find("contact_adapter_in_flight", **WHO) == 1
        finally:
            upstream.release.set()
            caller.join(TIMEOUT)
        assert read(app.test_client()).find("contact_adapter_in_flight", **WHO) == 0


def test_exception_in_a_provider_is_counted_and_not_left_in_flight(
    make_app: MakeApp, plugin: Callable[[str, str], Path]
) -> None:
    plugin("failing", FAILING_PLUGIN)
    client = make_app({"accounts": {"a": {"provider": "failing"}}}).test_client()
    assert change(client) == 500
    who = {"account": "a", "provider": "failing"}
    what = {**who, "action": "block"}
    numbers = read(client)
    assert numbers.find("contact_adapter_in_flight", **who) == 0
    assert numbers.find("contact_adapter_calls_total", **what, code="internal_error") == 1
    assert numbers.find("contact_adapter_call_duration_seconds_count", **what) == 1


@pytest.mark.parametrize(
    ("play", "retried"),
    [
        pytest.param(always(http_response(401)), False, id="refused"),
        pytest.param(lambda peer: peer.read_request(), True, id="closed"),
        pytest.param(always(http_response(503)), True, id="503"),
    ],
)
def test_retries_are_the_attempts_after_the_first(
    make_app: MakeApp, play: Any, retried: bool
) -> None:
    with RawServer(play, b"") as server:
        account = {
            **account_for("wuts", f"http://127.0.0.1:{server.port}"),
            "verify": "never",
        }
        settings = {"breaker_threshold": 0}
        client = make_app({"accounts": {"a": account}, "transport": settings}).test_client()
        attempts = [
            client.post(BLOCK, json={"number": NUMBER}).get_json()["meta"]["attempts"]
            for _ in range(3)
        ]
        assert sum(attempts) == server.request_count
    retries = read(client).find("contact_adapter_retries_total", **WHO) or 0
    assert retries == sum(attempts) - 3
    assert (retries > 0) is retried


def test_reads_of_changes_are_counted_by_what_they_have_shown(make_app: MakeApp) -> None:
    client = make_app({"accounts": {"a": {"provider": "memory"}}}).test_client()
    verify = {"verify": True}
    change(client, json={"number": NUMBER})
    change(client, json={"number": NUMBER, **verify})
    change(client, "unblock", json={"number": NUMBER, **verify})
    change(client, json={"number": NOT_EFFECTIVE, **verify})
    change(client, json={"number": LISTED_BY_LID, **verify})
    numbers = read(client)
    who = {"account": "a", "provider": "memory"}
    counted = {
        (sample.labels["action"], sample.labels["verified"]): sample.value
        for sample in numbers.families["contact_adapter_verifications"].samples
        if sample.name == "contact_adapter_verifications_total"
    }
    assert counted == {
        ("block", "true"): 1,
        ("unblock", "true"): 1,
        ("block", "false"): 1,
        ("block", "only_lids"): 1,
    }
    assert numbers.find("contact_adapter_reads_total", **who) == 5  # the LID needs a lookup, too
    assert numbers.find("contact_adapter_retries_total", **who) is None


def test_lookups_are_counted_by_number_and_are_no_retries(
    make_app: MakeApp, upstream: Upstream
) -> None:
    upstream.will_answer(200, {"success": True, "data": {NUMBER: True, OTHER_NUMBER: False}})
    client = make_app({"accounts": {"a": account_for("wuts", upstream.address)}}).test_client()
    asked = {"numbers": [NUMBER, NUMBER, OTHER_NUMBER, "15005550041"]}
    assert client.post("/v1/contacts/lookup", json=asked).status_code == 200
    numbers = read(client)
    counted = {
        sample.labels["on_whatsapp"]: sample.value
        for sample in numbers.families["contact_adapter_lookups"].samples
        if sample.name == "contact_adapter_lookups_total"
    }
    assert counted == {"true": 2, "false": 1, "unknown": 1}
    assert numbers.find("contact_adapter_retries_total", **WHO) is None


def test_breaker_state_is_exposed(make_app: MakeApp, upstream: Upstream) -> None:
    upstream.will_answer(500, {})
    account = {**account_for("wuts", upstream.address), "verify": "never"}
    settings = {"breaker_threshold": 2, "breaker_pause": 300.0}
    client = make_app({"accounts": {"a": account}, "transport": settings}).test_client()
    states = []
    for _ in range(3):
        change(client)
        states.append(read(client).find("contact_adapter_breaker_state", **WHO))
    assert states == [0, 2, 2]
    assert len(upstream.seen) == 2


def test_breaker_state_is_updated_when_it_closes(make_app: MakeApp, upstream: Upstream) -> None:
    upstream.will_answer(500, {})
    account = account_for("wuts", upstream.address)
    settings = {"breaker_threshold": 1, "breaker_pause": 0.05}
    client = make_app({"accounts": {"a": account}, "transport": settings}).test_client()
    change(client)
    assert read(client).find("contact_adapter_breaker_state", **WHO) == 2
    upstream.will_answer(200, {"success": True, "data": {"blocked": True}})
    wait_until(lambda: change(client) == 200, "the probe after the pause")
    assert read(client).find("contact_adapter_breaker_state", **WHO) == 0


GATEWAY = "/dialects/session-gateway/api/v1/sessions"
HOSTILE: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("GET", f"/{NUMBER}", {}),
    ("GET", "/%00%0a", {}),
    ("POST", f"/v1/contacts/{NUMBER}", {}),
    ("POST", BLOCK, {"json": {"number": NUMBER, "account": NUMBER}}),
    ("POST", BLOCK, {"json": {"number": NUMBER, "account": "nobody"}}),
    ("POST", BLOCK, {"json": {"number": NUMBER, "account": 'a"} 1\n'}}),
    ("POST", BLOCK, {"json": {"number": NUMBER}, "headers": {"X-Request-Id": NUMBER}}),
    ("POST", BLOCK, {"json": {"number": "x"}}),
    ("POST", BLOCK, {"json": {"jid": "4711@lid"}}),
    ("GET", "/v1/contacts/blocked", {"query_string": {"account": NUMBER}}),
    ("PURGE", BLOCK, {}),
    ("POST", f"{GATEWAY}/{NUMBER}/contacts/{JID}/block", {}),
    ("POST", f"{GATEWAY}/{SESSION}/contacts/{JID}/block", {}),
    ("POST", f"/dialects/wappfy/{NUMBER}", {}),
    ("POST", "/dialects/wappfy/api/contacts/block", {"json": {"session": "x", "contactId": JID}}),
    ("POST", "/dialects/wuts/contacts/block", {"query_string": {"jid": JID}}),
    ("GET", f"/v1/accounts/{NUMBER}/status", {}),
    ("GET", "/v1/accounts/a/status", {}),
    ("POST", "/v1/contacts/lookup", {"json": {"numbers": [NUMBER, "15005550041"]}}),
    ("POST", "/v1/contacts/state", {"json": {"jid": "4711@lid"}}),
    ("POST", BLOCK, {"json": {"jid": "4712@lid", "verify": True}}),
    ("POST", BLOCK, {"json": {"number": "15005550025"}}),
)


def test_no_request_can_create_a_label_value(make_app: MakeApp) -> None:
    config = {
        "accounts": {"a": {"provider": "memory", "aliases": [SESSION]}},
        "dialects": {"enabled": list(NATIVE)},
    }
    client = make_app(config).test_client()
    statuses = {
        client.open(path, method=method, **sent).status_code for method, path, sent in HOSTILE
    }
    assert statuses <= {200, 204, 404, 405, 422, 504}
    assert {200, 204, 404, 422} <= statuses
    values = read(client).label_values
    assert "a" in values
    shown = {"true", "false", "unknown", *Unverified}
    assert values <= {"a", "memory", "ok", *Action, *(code.value for code in Code), *shown}


# --- access


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"X-API-Key": "wrong"}, 401),
        ({"X-API-Key": "reader"}, 403),
        ({"X-API-Key": "prometheus"}, 200),
        ({"Authorization": "Bearer prometheus"}, 200),
    ],
)
def test_metrics_with_keys_need_the_metrics_scope(
    make_app: MakeApp, headers: dict[str, str], status: int
) -> None:
    keys = {
        "reader": key_for("reader"),
        "prometheus": key_for("prometheus", scopes=("metrics",)),
    }
    app = make_app({"accounts": {"a": {"provider": "memory"}}, "keys": keys})
    response = app.test_client().get("/metrics", headers=headers)
    assert response.status_code == status
    assert (b"contact_adapter_calls" in response.data) is (status == 200)
    assert ("WWW-Authenticate" in response.headers) is (status == 401)


def test_key_with_the_metrics_scope_alone_has_no_other_access(make_app: MakeApp) -> None:
    keys = {"prometheus": key_for("prometheus", scopes=("metrics",))}
    client = make_app({"accounts": {"a": {"provider": "memory"}}, "keys": keys}).test_client()
    headers = {"X-API-Key": "prometheus"}
    assert client.post(BLOCK, json={"number": NUMBER}, headers=headers).status_code == 403
    assert client.get("/v1/accounts", headers=headers).status_code == 403


@pytest.fixture
def on_loopback() -> Iterator[Flask]:
    """Return the app of `serve` without a key."""
    app = build_app({"accounts": {"a": {"provider": "memory"}}}, access=AnonymousAccess.LOOPBACK)
    yield app
    service_state(app).service.close()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "127.0.0.1:8000"}, 200),
        ({"Host": "localhost"}, 200),
        ({"Host": "rebound.example"}, 403),
        ({"Host": "localhost", "Origin": "https://evil.example"}, 403),
    ],
)
def test_metrics_without_keys_are_served_on_loopback(
    on_loopback: Flask, headers: dict[str, str], status: int
) -> None:
    assert on_loopback.test_client().get("/metrics", headers=headers).status_code == status


def test_metrics_without_keys_are_unauthenticated(make_app: MakeApp) -> None:
    app = make_app({"accounts": {"a": {"provider": "memory"}}}, allow_unauthenticated=False)
    assert app.test_client().get("/metrics").status_code == 401


# --- several workers


def ask(served: Served) -> Numbers:
    return Numbers(call(served.address, "GET", "/metrics").body.decode())


def block(served: Served) -> None:
    assert call(served.address, "POST", BLOCK, json_body={"number": NUMBER}).status == 200


def shared_folders(folder: Path) -> list[Path]:
    sandbox = folder / f"contact-adapter-{os.getuid()}"  # that of the sandbox's ledger
    return [each for each in folder.glob("contact-adapter-*") if each != sandbox]


@pytest.mark.slow
def test_metrics_of_several_workers_are_merged(tmp_path: Path) -> None:
    made = 0
    with serve("--workers", "2", env={**ENVIRONMENT, "TMPDIR": str(tmp_path)}) as served:
        wait_until(lambda: served.log.count("Booting worker") == 2, "the second worker")
        (shared,) = shared_folders(tmp_path)

        def both_have_counted() -> bool:
            nonlocal made
            callers = [threading.Thread(target=block, args=(served,)) for _ in range(8)]
            for caller in callers:
                caller.start()
            for caller in callers:
                caller.join(TIMEOUT)
            made += len(callers)
            return len(list(shared.glob("counter_*.db"))) == 2

        wait_until(both_have_counted, "a call in each worker")
        found = [ask(served) for _ in range(8)]
        assert served.stop() == 0
        wait_until(lambda: not served.survivors(), "the end of all its processes")
    assert shared_folders(tmp_path) == []
    for numbers in found:
        of_ledger = {each for each in numbers.families if "_ledger_" in each or "_batches" in each}
        assert set(numbers.families) - of_ledger == set(LABELS) - UNUSED
        counted = numbers.find("contact_adapter_calls_total", **SANDBOX, action="block", code="ok")
        assert counted == made
        assert numbers.find("contact_adapter_ledger_calls_total", recorded="true") == made
        assert numbers.find("contact_adapter_ledger_available") == 1
        assert numbers.find("contact_adapter_in_flight", **SANDBOX) == 0
        assert numbers.find("contact_adapter_breaker_state", **SANDBOX) == 0


@pytest.mark.slow
def test_counters_of_an_exited_worker_stay_and_its_gauges_are_removed(
    tmp_path: Path,
) -> None:
    with serve("--workers", "2", env={**ENVIRONMENT, "TMPDIR": str(tmp_path)}) as served:
        for _ in range(6):
            block(served)
        wait_until(lambda: served.log.count("Booting worker") == 2, "both workers")
        (shared,) = shared_folders(tmp_path)
        assert list(shared.glob("gauge_live*"))
        for pid in re.findall(r"Booting worker with pid: (\d+)", served.log):
            os.kill(int(pid), signal.SIGKILL)
        wait_until(lambda: served.log.count("Booting worker") == 4, "two new workers")
        wait_until(lambda: not list(shared.glob("gauge_live*")), "the end of the old state")
        numbers = ask(served)
        counted = numbers.find("contact_adapter_calls_total", **SANDBOX, action="block", code="ok")
        assert counted == 6
        assert numbers.find("contact_adapter_in_flight", **SANDBOX) is None
        # A worker that is still starting would miss the signal.
        wait_until(
            lambda: ask(served) and len(list(shared.glob("gauge_livemax_*"))) == 2,
            "an answer of each new worker",
        )
        assert served.stop() == 0
    assert shared_folders(tmp_path) == []


@pytest.mark.slow
def test_multiprocess_folder_is_not_created_for_one_worker(tmp_path: Path) -> None:
    with serve(env={**ENVIRONMENT, "TMPDIR": str(tmp_path)}) as served:
        block(served)
        counted = ask(served).find(
            "contact_adapter_calls_total", **SANDBOX, action="block", code="ok"
        )
        assert counted == 1
        assert shared_folders(tmp_path) == []
        assert served.stop() == 0


@pytest.mark.slow
def test_multiprocess_folder_of_the_environment_is_used_and_kept(tmp_path: Path) -> None:
    env = {**ENVIRONMENT, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    with serve(env=env) as served:
        block(served)
        assert served.stop() == 0
    assert list(tmp_path.glob("counter_*.db"))
