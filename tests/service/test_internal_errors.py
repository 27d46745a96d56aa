"""Exceptions of plugins: the facts of the call are kept, and the process goes on."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeApp
from flask import Flask
from support import NUMBER, Upstream, cli_runner, free_port

from adapter import Code, ContactAdapter, PluginError, Result
from adapter.cli import main
from adapter.client import connect
from adapter.containment import is_from_outside
from adapter.plugin import HttpRequest
from adapter.service import RESULT_ATTRIBUTE, result_of

SOURCE = '''
from marshmallow import Schema, validates_schema

from adapter.plugin import (
    Dialect, DialectRequest, ErrorRule, HttpRequest, Provider, RequestError,
    hookimpl, invalid_field, json_response, read_contact, read_object,
)


class Scheduler(BaseException):
    """What a scheduler raises to end a call."""

Scheduler.__module__ = "gevent.timeout"


class MyProvider(Provider):
    name = "bug"
    title = "Bug"
    base_url = "{address}"
    routes = {{"block": ("POST", "/block"), "unblock": ("POST", "/unblock")}}

    class Options(Schema):
        @validates_schema
        def check(self, data, **_):
            {options}

    def __init__(self, options):
        {init}
        super().__init__(options)

    def build_request(self, command):
        {build}
        return self.request(command, {{}})

    def parse_success(self, command, response):
        {read}
        return self.success(response)


class MyDialect(Dialect):
    provider = MyProvider

    def __init__(self):
        {dialect_init}

    def parse_credential(self, request):
        return None

    def parse_request(self, request):
        {dialect}
        route, _ = self.match(request)
        return DialectRequest(command=__import__("adapter").Command(
            route.action, read_contact(number=read_object(request).get("number"))))

    def write_success(self, call, outcome):
        return json_response(200, {{}})

    def write_error(self, row, outcome, call, now):
        {write}
        return json_response(row.status, {{"code": row.code.value}})


@hookimpl
def register(registry):
    registry.add(MyProvider, MyDialect)
'''

PLACES = ("options", "init", "build", "read", "dialect_init", "dialect", "write")

Install = Callable[[str, str], Path]

EARLY = {"build": "raise {}"}
LATE = {"read": "raise {}"}


def config(plugin: Install, upstream: Upstream, raised: str, place: dict[str, str]) -> Any:
    parts = dict.fromkeys(PLACES, "pass")
    parts |= {name: text.format(raised) for name, text in place.items()}
    sys.modules.pop("plugin_bug", None)  # imported by the test before
    plugin("bug", SOURCE.format(address=upstream.address, **parts))
    upstream.will_answer(200, {})
    base = {"provider": "bug", "base_url": upstream.address}
    return {"accounts": {"a": base}, "dialects": {"enabled": ["bug"]}}


def facts(caplog: pytest.LogCaptureFixture, event: str) -> list[dict[str, Any]]:
    return [
        record.facts  # type: ignore[attr-defined]
        for record in caplog.records
        if getattr(record, "event", None) == event
    ]


RAISED = ["ZeroDivisionError(1)", "SystemExit(3)", "BaseException()", "OSError(5, 'x')"]


@pytest.mark.parametrize("given", [None, "my-id"])
@pytest.mark.parametrize("raised", RAISED)
@pytest.mark.parametrize(("place", "attempts"), [(EARLY, 0), (LATE, 1)])
@pytest.mark.parametrize("path", ["/v1/contacts/block", "/dialects/bug/block"])
def test_the_response_and_its_log_line_keep_the_facts(
    path: str,
    place: dict[str, str],
    attempts: int,
    raised: str,
    given: str | None,
    plugin: Install,
    upstream: Upstream,
    make_app: MakeApp,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    app = make_app(config(plugin, upstream, raised, place))
    headers = {"X-Request-Id": given} if given else {}
    response = app.test_client().post(path, json={"number": NUMBER}, headers=headers)
    assert len(upstream.seen) == attempts
    request_id = response.headers["X-Request-Id"]
    if given:
        assert request_id == given
    for seen in upstream.seen:
        assert seen.headers["X-Request-Id"] == request_id
    if path.startswith("/v1"):
        assert response.status_code == 500
        document = response.get_json()
        error, meta = document["error"], document["meta"]
        assert (error["code"], error["outcome"]) == ("internal_error", "unknown")
        assert meta["request_id"] == request_id
        assert (meta["provider"], meta["attempts"]) == ("bug", attempts)
    else:
        assert response.headers["X-Contact-Adapter-Code"] == "internal_error"
    for line in (*facts(caplog, "request"), *facts(caplog, "call")):
        assert line["request_id"] == request_id
        assert (line["account"], line["provider"], line["action"]) == ("a", "bug", "block")
        assert (line["code"], line["attempts"]) == ("internal_error", attempts)
        assert NUMBER not in str(line)
    assert len(facts(caplog, "request")) == len(facts(caplog, "call")) == 1


@pytest.mark.parametrize(
    "written",
    ["+55 11 99999-9999", "55 / 11 -- 99999_9999", "(11) 99999 : 9999", "5,5,1,1,9999,99999"],
)
@pytest.mark.parametrize("place", [EARLY, LATE])
def test_the_traceback_in_the_log_has_no_digits_of_the_contact(
    place: dict[str, str],
    written: str,
    plugin: Install,
    upstream: Upstream,
    make_app: MakeApp,
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = make_app(config(plugin, upstream, f"ValueError('bad contact ' + {written!r})", place))
    app.test_client().post("/v1/contacts/block", json={"number": NUMBER})
    [traced] = [each for each in caplog.records if "Traceback" in each.getMessage()]
    last = traced.getMessage().splitlines()[-1]
    assert re.search(r"ValueError: bad contact [^0-9]+$", last)


@pytest.mark.parametrize(("place", "attempts"), [(EARLY, 0), (LATE, 1)])
def test_python_gets_the_exception_itself_with_the_result(
    place: dict[str, str],
    attempts: int,
    plugin: Install,
    upstream: Upstream,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    with (
        connect(config(plugin, upstream, "KeyError(1)", place)) as contacts,
        pytest.raises(KeyError) as caught,
    ):
        contacts.block(f"+{NUMBER}")
    result = getattr(caught.value, RESULT_ATTRIBUTE)
    assert isinstance(result, Result)
    assert result is result_of(caught.value)
    assert (result.code, result.account, result.provider) == (Code.INTERNAL_ERROR, "a", "bug")
    assert result.attempts == attempts
    for seen in upstream.seen:
        assert seen.headers["X-Request-Id"] == result.request_id
    [line] = facts(caplog, "call")
    assert (line["request_id"], line["attempts"]) == (result.request_id, attempts)


def test_a_retry_that_raises_is_counted(plugin: Install, upstream: Upstream) -> None:
    mapping = config(plugin, upstream, "KeyError(1)", LATE)
    seen = upstream.seen
    with connect(mapping) as contacts:
        provider = contacts.service.accounts["a"].provider
        right = provider.parse_response

        def read(command: Any, response: Any) -> Any:
            if len(seen) == 1:
                from adapter import Outcome

                return Outcome.failure(Code.PROVIDER_UNAVAILABLE, upstream_status=503)
            return right(command, response)

        provider.parse_response = read  # type: ignore[method-assign]
        with pytest.raises(KeyError) as caught:
            contacts.block(f"+{NUMBER}")
    result = result_of(caught.value)
    assert result is not None
    assert result.attempts == 2


def test_a_begun_attempt_is_counted_even_if_nothing_was_sent(
    plugin: Install, upstream: Upstream
) -> None:
    place = {"build": "return HttpRequest('POST', '//', json={{}})"}
    with connect(config(plugin, upstream, "", place)) as contacts:
        with pytest.raises(PluginError) as caught:
            contacts.block(f"+{NUMBER}")
        result = result_of(caught.value)
        assert result is not None
        assert (result.attempts, upstream.seen) == (1, [])
    unreachable = {"provider": "bug", "base_url": f"http://127.0.0.1:{free_port()}"}
    with connect({"accounts": {"a": unreachable}}) as contacts:
        contacts.service.accounts["a"].provider.build_request = (  # type: ignore[method-assign]
            lambda command: HttpRequest("POST", "/block", json={})
        )
        assert contacts.block(f"+{NUMBER}").attempts == 2


@pytest.mark.parametrize("raised", ["SystemExit(3)", "BaseException()"])
@pytest.mark.parametrize("place", [EARLY, LATE])
def test_a_plugin_cannot_end_the_process_of_the_host_app(
    raised: str, place: dict[str, str], plugin: Install, upstream: Upstream
) -> None:
    app = Flask(__name__)
    contacts = ContactAdapter(app, config(plugin, upstream, raised, place))
    with app.app_context(), pytest.raises(PluginError) as caught:
        contacts.block(f"+{NUMBER}")
    assert result_of(caught.value) is not None
    assert type(caught.value.__cause__).__name__ == raised.partition("(")[0]


@pytest.mark.parametrize("method", ["actions", "name_contact"])
def test_a_plugins_own_actions_and_names_of_contacts_are_contained(method: str) -> None:
    def leave(*_: object) -> Any:
        raise SystemExit(3)

    with connect({"accounts": {"a": {"provider": "memory"}}}) as contacts:
        setattr(contacts.service.accounts["a"].provider, method, leave)
        with pytest.raises(PluginError, match="the plugin raised SystemExit"):
            contacts.block(user_id="BR.00000000000000000001")


@pytest.mark.parametrize("path", ["/v1/accounts", "/v1/contacts/blocked"])
def test_an_exception_of_a_view_is_not_taken_for_one_of_a_plugin(
    path: str, make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leave(*_: object, **__: object) -> Any:
        raise SystemExit(3)

    monkeypatch.setattr("adapter.web.views.describe_accounts", leave)
    monkeypatch.setattr("adapter.service.Service.choose_account", leave)
    app = make_app({"accounts": {"a": {"provider": "memory"}}})
    with pytest.raises(SystemExit):
        app.test_client().get(path)


@pytest.mark.parametrize("raised", ["SystemExit(0)", "BaseException()"])
@pytest.mark.parametrize("place", ["options", "init", "dialect_init"])
def test_a_plugin_cannot_end_the_process_while_it_is_constructed(
    place: str, raised: str, plugin: Install, upstream: Upstream, make_app: MakeApp
) -> None:
    mapping = config(plugin, upstream, raised, {place: "raise {}"})
    for load in (make_app, lambda given: ContactAdapter(Flask(__name__), given)):
        with pytest.raises(PluginError, match=raised.partition("(")[0]):
            load(mapping)


@pytest.mark.parametrize("place", ["options", "init"])
def test_check_fails_for_a_plugin_that_exits_with_status_0(
    place: str, plugin: Install, upstream: Upstream, tmp_path: Path
) -> None:
    config(plugin, upstream, "SystemExit(0)", {place: "raise {}"})
    file = tmp_path / "adapter.toml"
    file.write_text('[accounts.a]\nprovider = "bug"\n')
    result = cli_runner().invoke(main, ["check", "--config", str(file)])
    assert result.exit_code == 1
    assert "the plugin raised SystemExit" in result.stderr


@pytest.mark.parametrize("raised", ["KeyboardInterrupt()", "Scheduler()"])
def test_exceptions_from_outside_are_not_contained(
    raised: str, plugin: Install, upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        connect(config(plugin, upstream, raised, LATE)) as contacts,
        pytest.raises(BaseException) as caught,  # noqa: PT011 - its class comes with the plugin
    ):
        contacts.block(f"+{NUMBER}")
    assert type(caught.value).__name__ == raised[:-2]
    [line] = facts(caplog, "call")
    assert line["attempts"] == 1


def test_gevents_exceptions_are_from_outside() -> None:
    gevent = pytest.importorskip("gevent")
    assert is_from_outside(gevent.Timeout())
    assert is_from_outside(gevent.GreenletExit())
    assert is_from_outside(KeyboardInterrupt())
    assert not is_from_outside(GeneratorExit())
    assert not is_from_outside(SystemExit())
    assert not is_from_outside(BaseException())


def test_a_plugin_that_refuses_after_sending_is_an_internal_error(
    plugin: Install, upstream: Upstream, make_app: MakeApp
) -> None:
    app = make_app(config(plugin, upstream, "invalid_field('number', 'x')", LATE))
    response = app.test_client().post("/v1/contacts/block", json={"number": NUMBER})
    error = response.get_json()["error"]
    assert error["code"] == "internal_error"
    assert error["outcome"] == "unknown"


@pytest.mark.parametrize("raised", ["ZeroDivisionError(1)", "SystemExit(3)"])
@pytest.mark.parametrize("place", ["dialect", "write"])
def test_an_exception_in_a_dialect_is_an_error_response(
    place: str, raised: str, plugin: Install, upstream: Upstream, make_app: MakeApp
) -> None:
    broken = {place: "raise {}"}
    if place == "write":
        broken["dialect"] = "raise invalid_field('number', 'x')"
    app = make_app(config(plugin, upstream, raised, broken))
    response = app.test_client().post("/dialects/bug/block", json={"number": NUMBER})
    assert response.status_code >= 500
    assert response.headers["X-Request-Id"]
    assert not upstream.seen


@pytest.mark.parametrize("raised", ["SystemExit(3)", "BaseException()"])
@pytest.mark.parametrize("place", ["build", "read", "dialect", "write"])
@pytest.mark.parametrize("path", ["/dialects/bug/block", "/v1/contacts/block"])
def test_a_plugin_cannot_end_the_server_of_the_host_app(
    path: str, place: str, raised: str, plugin: Install, upstream: Upstream
) -> None:
    broken = {place: "raise {}"}
    if place == "write":
        broken["dialect"] = "raise invalid_field('number', 'x')"
    app = Flask(__name__)
    mapping = config(plugin, upstream, raised, broken)
    ContactAdapter(app, mapping, allow_unauthenticated=True)
    response = app.test_client().post(f"/contact-adapter{path}", json={"number": NUMBER})
    reached = path.startswith("/dialects") or place in ("build", "read")
    assert response.status_code == (500 if reached else 200)


def test_an_exception_in_a_plugin_never_opens_the_breaker(
    plugin: Install, upstream: Upstream
) -> None:
    mapping = config(plugin, upstream, "KeyError(1)", LATE)
    mapping["transport"] = {"breaker_threshold": 1}
    with connect(mapping) as contacts:
        for _ in range(5):
            with pytest.raises(KeyError):
                contacts.block(f"+{NUMBER}")
        assert contacts.service.accounts["a"].resilience.state == "closed"


# --- unknown accounts


@pytest.mark.parametrize("name", ["x\n2026 INFO adapter call account=a code=ok", "5511999999999"])
def test_an_unknown_account_name_is_neither_returned_nor_logged(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with connect({"accounts": {"a": {"provider": "memory"}}}) as contacts:
        result = contacts.block(f"+{NUMBER}", account=name)
        assert (result.code, result.account) == (Code.ACCOUNT_NOT_FOUND, None)
        assert contacts.block("1", account="a").account == "a"
    assert name not in caplog.text
    assert all("\n" not in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("account", [["x"], {"x": 1}, 1, b"a"])
def test_an_account_name_of_another_type_is_a_result(account: Any) -> None:
    with connect({"accounts": {"a": {"provider": "memory"}}}) as contacts:
        for result in (
            contacts.block(f"+{NUMBER}", account=account),
            contacts.blocked(account=account),
        ):
            assert result.code is Code.VALIDATION_ERROR
            assert list(result.fields) == ["account"]
