"""The two migrations of the guide: their patches apply, and the app returns what it returned."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient
from support import JID, NUMBER, TOKEN, Seen, Upstream, free_port, run_app
from support.pages import page

from adapter import ContactAdapter
from adapter.web.extension import ExtensionState

TITLE = "Migrate from your own requests calls"
REAL_WUTS = "https://api.wuts.com.br"
OUR_SERVER = "https://contacts.example.com"
KEY = "the-key-of-the-crm"


def section() -> str:
    """Return the section of adapter/README.md with the guide."""
    return page("adapter/README.md").section(TITLE)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", section(), re.DOTALL | re.MULTILINE)


def apply(patch: str, source: str) -> str:
    """Return the source with the patch applied; it has to match exactly one place."""
    lines = [line or " " for line in patch.splitlines()]
    assert {line[0] for line in lines} == set(" -+") or {line[0] for line in lines} == set("-+")
    old, new = (
        "".join(f"{line[1:]}\n" for line in lines if line[0] in f" {sign}") for sign in "-+"
    )
    assert source.count(old) == 1
    return source.replace(old, new)


def before() -> str:
    (source,) = blocks("python")
    return source


def with_the_extension() -> str:
    return apply(blocks("patch")[0], before())


def with_the_dialect() -> str:
    return apply(blocks("patch")[1], before())


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("WUTS_TOKEN", TOKEN)
    monkeypatch.setenv("CRM_KEY", KEY)


@contextmanager
def run_source(source: str, **addresses: str) -> Iterator[FlaskClient]:
    """Run the app of a source, with its addresses replaced by addresses on loopback."""
    for written, address in (
        (REAL_WUTS, addresses.get("wuts")),
        (OUR_SERVER, addresses.get("ours")),
    ):
        if address is not None:
            assert source.count(written) == 1
            source = source.replace(written, address)
    space: dict[str, Any] = {"__name__": "migrated"}
    exec(compile(source, "adapter/README.md", "exec"), space)
    app: Flask = space["app"]
    try:
        yield app.test_client()
    finally:
        for each in app.extensions.values():
            if isinstance(each, ExtensionState):
                each.service.close()


@pytest.fixture
def our_server(upstream: Upstream, make_app: Callable[..., Flask]) -> Iterator[str]:
    """Return the address of a server with the guide's configuration, in front of the upstream."""
    (text,) = blocks("toml")
    config = tomllib.loads(text)
    config["accounts"]["support"]["base_url"] = upstream.address
    with run_app(lambda _: make_app(config, allow_unauthenticated=False)) as address:
        yield address


WAYS = ("before", "extension", "dialect")


@pytest.fixture
def ask(upstream: Upstream, our_server: str) -> Callable[[str, str], tuple[int, Any, list[Seen]]]:
    """Return a function that blocks a number with one of the three apps."""

    def call(way: str, number: str = NUMBER) -> tuple[int, Any, list[Seen]]:
        source, addresses = {
            "before": (before, {"wuts": upstream.address}),
            "extension": (with_the_extension, {"wuts": upstream.address}),
            "dialect": (with_the_dialect, {"ours": our_server}),
        }[way]
        upstream.seen.clear()
        with run_source(source(), **addresses) as client:
            response = client.post(f"/customers/{number}/block")
        return response.status_code, response.get_json(silent=True), list(upstream.seen)

    return call


Ask = Callable[..., tuple[int, Any, list[Seen]]]

DONE = {
    "success": True,
    "data": {
        "jid": JID,
        "phone_number": NUMBER,
        "action": "block",
        "blocked": True,
        "count": 3,
        "dhash": "2:abc123def456",
    },
}


def failure(**rest: Any) -> dict[str, Any]:
    return {"success": False, "error": "no", "timestamp": "2026-11-01T12:00:00Z", **rest}


ANSWERS: dict[str, tuple[int, Any]] = {
    "done": (200, DONE),
    "a bad token": (401, {"success": False, "error": "Invalid token"}),
    "a bad number": (400, failure(error_code="VALIDATION_ERROR")),
    "not connected": (503, failure(error_code="DEVICE_NOT_READY")),
    "a failure": (500, failure(error_code="device_error")),
    "a page of a proxy": (502, None),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_after_each_migration_the_app_returns_what_it_returned(
    upstream: Upstream, ask: Ask, answer: str
) -> None:
    upstream.will_answer(*ANSWERS[answer])
    answers = {way: ask(way)[:2] for way in WAYS}
    expected = (200, {"blocked": True}) if answer == "done" else (502, {"blocked": False})
    assert answers == dict.fromkeys(WAYS, expected)


def test_after_each_migration_wuts_receives_the_same_contact_and_token(
    upstream: Upstream, ask: Ask
) -> None:
    upstream.will_answer(200, DONE)
    bodies = {}
    for way in WAYS:
        (seen,) = ask(way)[2]
        assert (seen.method, seen.path) == ("POST", "/contacts/block")
        assert seen.headers["Authorization"] == f"Bearer {TOKEN}"
        bodies[way] = json.loads(seen.body)
    assert bodies.pop("before") == {"number": NUMBER}
    assert bodies == {"extension": {"jid": JID}, "dialect": {"jid": JID}}


def test_the_gains_in_the_guide_are_real(upstream: Upstream, ask: Ask) -> None:
    upstream.will_answer(200, failure())
    assert ask("extension")[:2] == (502, {"blocked": False})
    upstream.will_answer(200, DONE)
    status, document, seen = ask("extension", "12")
    assert (status, document, seen) == (502, {"blocked": False}, [])
    assert len(ask("before", "12")[2]) == 1


def test_the_differences_in_the_guide_are_real(
    upstream: Upstream, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream.will_answer(503)
    sent = {way: [each.path for each in ask(way)[2]] for way in ("before", "extension")}
    assert [paths.count("/contacts/block") for paths in sent.values()] == [1, 2]
    assert ["/contacts/blocklist" in paths for paths in sent.values()] == [False, True]
    upstream.will_answer(200, DONE)
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    assert [ask(way)[0] for way in ("before", "extension")] == [500, 200]


def test_extension_migration_removes_the_old_client_and_mounts_no_http_api(
    upstream: Upstream,
) -> None:
    source = with_the_extension()
    assert "requests" not in source
    with run_source(source, wuts=upstream.address) as client:
        rules = {rule.rule for rule in client.application.url_map.iter_rules()}
    assert rules == {"/customers/<number>/block", "/static/<path:filename>"}


def test_dialect_migration_changes_base_url_and_token_alone() -> None:
    lines = [line for line in blocks("patch")[1].splitlines() if line.strip()]
    assert [re.split(r" = ", line)[0] for line in lines] == ["-WUTS", "-TOKEN", "+WUTS", "+TOKEN"]


def test_in_the_dialects_responses_only_the_listed_values_change(
    upstream: Upstream, our_server: str
) -> None:
    def answers(address: str, token: str) -> list[tuple[int, Any, set[str]]]:
        found = []
        for action in ("block", "unblock"):
            data = {**DONE["data"], "action": action, "blocked": action == "block"}  # type: ignore[dict-item]
            upstream.will_answer(200, {"success": True, "data": data})
            found.append(_ask(f"{address}/contacts/{action}", token, {"number": NUMBER}))
        items = [{"jid": JID, "phone_number": NUMBER}]
        listed = {"success": True, "data": {"items": items, "count": 1, "dhash": "2:abc"}}
        upstream.will_answer(200, listed)
        found.append(_ask(f"{address}/contacts/blocklist", token))
        return found

    theirs = answers(upstream.address, TOKEN)
    ours = answers(f"{our_server}/dialects/wuts", KEY)
    changed = []
    for (their_status, their_body, their_headers), (status, body, headers) in zip(
        theirs, ours, strict=True
    ):
        assert status == their_status == 200
        assert list(body) == list(their_body)
        assert list(body["data"]) == list(their_body["data"])
        changed.append({k for k in body["data"] if body["data"][k] != their_body["data"][k]})
        assert all(body["data"][name] is None for name in changed[-1])
        added = {"X-Contact-Adapter-Code", "X-Contact-Adapter-Confirmation"}
        assert {"X-Request-Id", "Cache-Control", *added} <= headers
        assert headers - their_headers <= {
            "X-Request-Id",
            "Cache-Control",
            *added,
            "Content-Type",
            "Connection",
        }
    assert changed == [{"count", "dhash"}, {"count", "dhash"}, {"dhash"}]


@pytest.mark.parametrize("answer", [name for name in ANSWERS if "proxy" not in name])
def test_dialect_errors_have_the_statuses_and_codes_of_wuts(
    upstream: Upstream, our_server: str, answer: str
) -> None:
    status, document = ANSWERS[answer]
    upstream.will_answer(status, document)
    theirs = _ask(f"{upstream.address}/contacts/block", TOKEN, {"number": NUMBER})
    ours = _ask(f"{our_server}/dialects/wuts/contacts/block", KEY, {"number": NUMBER})
    assert ours[0] == theirs[0]
    assert ours[1]["success"] == theirs[1]["success"]
    assert ours[1].get("error_code") == theirs[1].get("error_code")


def _ask(url: str, token: str, body: Any = None) -> tuple[int, Any, set[str]]:
    response = requests.request(
        "GET" if body is None else "POST",
        url,
        json=body,
        headers={"Authorization": f"Bearer {token}"},
        timeout=20,
    )
    with response:
        return response.status_code, response.json(), set(response.headers)


def test_the_expression_that_exempts_our_blueprint_finds_it() -> None:
    embedding = page("adapter/README.md").section("In a Flask app")
    (expression,) = re.findall(r"`csrf\.exempt\((.*)\)`", embedding)
    app = Flask("host")
    ContactAdapter(app, {"accounts": {"support": {"provider": "memory"}}})
    found = eval(expression, {"app": app})
    assert found is app.blueprints["contact_adapter"]
    with app.test_request_context("/contact-adapter/v1/accounts") as context:
        assert app.blueprints[context.request.blueprint or ""] is found


def test_the_guide_installs_the_distributions_by_their_names() -> None:
    found = set(re.findall(r"`pip install '?([a-z\[\]-]+)'?`", section()))
    assert found == {"contact-adapter", "contact-adapter[server]"}
