"""Many contacts in one request, over a real socket: one attempt, and a result for each contact."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from adapter.providers.meta_cloud import MetaCloudProvider
from support.ledgers import rows
from support.many_users import ManyUsers, meta_account
from support.raw_server import RawServer, http_response
from support.toy import Toy

from adapter import Action, Client, Code, Command, Contact, Secret, connect
from adapter.account import Account
from adapter.call_context import CallContext
from adapter.changes import Change
from adapter.codes import Applied
from adapter.http import HttpRequest, HttpResponse, json_response
from adapter.many_calls import call_many
from adapter.provider import LocalProvider
from adapter.results import Outcome, Result
from adapter.settings.model import AccountSettings, TransportSettings
from adapter.transport.intents import SUPERSEDED

A, B, C = "16505550001", "16505550002", "16505550003"


@contextmanager
def serving(
    script: ManyUsers, ledger: str | None = None, **account: Any
) -> Iterator[tuple[Client, RawServer]]:
    with RawServer(script) as server:
        config: dict[str, Any] = {"accounts": {"a": meta_account(server.address, **account)}}
        if ledger is not None:
            config["ledger"] = {"url": ledger, "wait": 10}
        with connect(config) as client:
            yield client, server


def change(number: str, action: Action = Action.BLOCK) -> Change:
    return Change(
        Command(action, Contact(number)),
        CallContext("batch", request_id=f"request-of-{number[-1]}"),
    )


def block(client: Client, *numbers: str, account: str = "a") -> list[Result]:
    return client.service.perform_many(account, [change(each) for each in numbers])


def codes(results: Sequence[Result]) -> list[Code | None]:
    return [each.code for each in results]


def test_one_request_has_a_result_for_each_contact() -> None:
    script = ManyUsers(failed={B: 131047}, missing={C})
    with serving(script) as (client, _):
        results = block(client, A, B, C)
    assert script.requests == [("POST", [A, B, C])]
    assert codes(results) == [None, Code.TARGET_REJECTED, Code.PROVIDER_BAD_RESPONSE]
    assert [each.outcome.applied for each in results] == [*Applied]
    assert [each.attempts for each in results] == [1, 1, 1]
    assert {each.outcome.upstream_status for each in results} == {400}
    assert [each.request_id for each in results] == [f"request-of-{each}" for each in "123"]
    assert [each.command and each.command.target.number for each in results] == [A, B, C]


def test_each_contact_has_its_own_call_in_the_ledger(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    with serving(ManyUsers(failed={B: 131047}), url) as (client, _):
        results = block(client, A, B)
        assert [each.recorded for each in results] == [True, True]
    calls = rows(url, "calls")
    assert [(each["request_id"], each["code"]) for each in calls] == [
        ("request-of-1", "ok"),
        ("request-of-2", "target_rejected"),
    ]


def test_a_request_for_many_contacts_is_not_retried() -> None:
    script = ManyUsers(before=lambda users: http_response(503, b"busy"))
    with serving(script) as (client, _):
        results = block(client, A, B)
    assert codes(results) == [Code.PROVIDER_UNAVAILABLE] * 2
    assert len(script.requests) == 1


def test_an_unhealthy_provider_opens_the_breaker_and_then_nothing_is_sent() -> None:
    script = ManyUsers(before=lambda users: http_response(503, b"busy"))
    with serving(script, transport={"breaker_threshold": 1}) as (client, _):
        block(client, A, B)
        results = block(client, A, B)
    assert codes(results) == [Code.CIRCUIT_OPEN] * 2
    assert [each.attempts for each in results] == [0, 0]
    assert len(script.requests) == 1


def test_the_bulkhead_counts_a_request_for_many_contacts() -> None:
    found: list[list[Code | None]] = []

    def before(_: Sequence[str]) -> None:
        found.append(codes(block(client, C, B)))

    script = ManyUsers(before=before)
    with serving(script, transport={"max_in_flight": 1}) as (client, _):
        assert codes(block(client, A)) == [None]
    assert found == [[Code.OVERLOADED] * 2]


def test_a_thousand_long_results_are_read() -> None:
    numbers = [str(16505550000 + index) for index in range(1000)]
    more = {"details": "x" * 300}

    def before(users: Sequence[str]) -> bytes:
        results = [{"input": f"+{each}", "wa_id": each, "data": more} for each in users]
        return http_response(200, {"block_users": {"added_users": results}})

    with serving(ManyUsers(before=before)) as (client, _):
        assert codes(block(client, *numbers)) == [None] * 1000


def test_a_refusal_of_the_whole_request_blames_no_contact() -> None:
    error = {"message": "…", "type": "OAuthException", "code": 139101, "fbtrace_id": "x"}
    script = ManyUsers(before=lambda users: http_response(400, {"error": error}))
    with serving(script) as (client, _):
        together, alone = block(client, A, B), block(client, A)
    assert codes(together) == [Code.TARGET_REJECTED] * 2
    assert {each.retry for each in together} == {"after_delay"}
    assert "which of them is the cause is not known" in together[0].message
    assert [(each.code, each.retry) for each in alone] == [(Code.TARGET_REJECTED, "never")]


def test_a_contact_that_cannot_be_named_is_left_out() -> None:
    script = ManyUsers()
    lid = Change(Command(Action.BLOCK, Contact(lid="100000000000001@lid")), CallContext("batch"))
    with serving(script) as (client, _):
        results = client.service.perform_many("a", [change(A), lid, change(B)])
    assert script.requests == [("POST", [A, B])]
    assert codes(results) == [None, Code.INVALID_TARGET, None]
    assert [each.attempts for each in results] == [1, 0, 1]


# -- the newest wish wins


def newer_wish(client: Client, monkeypatch: pytest.MonkeyPatch, number: str) -> None:
    """Let a newer opposite wish begin right before the next request is sent."""
    account = client.service.accounts["a"]
    send = account.send
    held: list[object] = []

    def begin_and_send(*args: Any) -> HttpResponse | Outcome:
        if not held:
            opposite = Command(Action.UNBLOCK, Contact(number))
            held.append(account.resilience.intents.begin(opposite))
        return send(*args)

    monkeypatch.setattr(account, "send", begin_and_send)


def test_a_contact_with_a_newer_opposite_wish_is_left_out_right_before_the_request_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = ManyUsers()
    with serving(script) as (client, _):
        newer_wish(client, monkeypatch, B)
        results = block(client, A, B, C)
    assert script.requests == [("POST", [A, C])]
    assert codes(results) == [None, Code.PROVIDER_CONFLICT, None]
    assert results[1].outcome.superseded
    assert [each.attempts for each in results] == [1, 0, 1]


def test_a_request_without_any_contact_left_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    script = ManyUsers()
    with serving(script) as (client, _):
        newer_wish(client, monkeypatch, A)
        results = block(client, A)
    assert script.requests == []
    assert [(each.outcome.superseded, each.attempts) for each in results] == [(True, 0)]


def test_a_failure_after_a_newer_opposite_wish_is_never_to_be_sent_again() -> None:
    def before(users: Sequence[str]) -> bytes | None:
        if len(users) == 1:
            return None
        assert client.unblock(A).ok
        return http_response(503, b"busy")

    script = ManyUsers(before=before)
    with serving(script) as (client, _):
        results = block(client, A, B)
    assert codes(results) == [Code.PROVIDER_UNAVAILABLE] * 2
    assert [(each.outcome.superseded, each.retry) for each in results] == [
        (True, "never"),
        (False, "after_delay"),
    ]
    assert SUPERSEDED in results[0].message


def test_a_change_that_is_superseded_in_the_ledger_is_not_sent(tmp_path: Path) -> None:
    script = ManyUsers()
    with serving(script, f"sqlite:///{tmp_path / 'ledger.db'}") as (client, _):
        assert client.block(C).ok
        assert client.unblock(A).ok
        script.requests.clear()
        older = replace(change(A), context=CallContext("batch", request_id="older", wish=1))
        results = client.service.perform_many("a", [older, change(B)])
    assert script.requests == [("POST", [B])]
    assert codes(results) == [Code.PROVIDER_CONFLICT, None]
    assert results[0].outcome.superseded


def test_a_contact_that_is_left_out_last_is_not_sent_where_the_rest_cannot_be_built(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    build = MetaCloudProvider.build_batch_request

    def build_once(self: MetaCloudProvider, commands: Sequence[Command]) -> Any:
        return fail() if len(commands) == 2 else build(self, commands)

    monkeypatch.setattr(MetaCloudProvider, "build_batch_request", build_once)
    script = ManyUsers()
    with serving(script) as (client, _):
        newer_wish(client, monkeypatch, B)
        results = block(client, A, B, C)
    assert script.requests == []
    assert [each.attempts for each in results] == [0, 0, 0], "nothing was sent"
    assert [each.outcome.superseded for each in results] == [False, True, False]


# -- the exceptions of plugins


def fail(*_: object) -> Any:
    raise KeyError("a bug of the plugin")


def fail_for(method: Callable[..., Any], number: str) -> Callable[..., Any]:
    def replaced(self: object, command: Command, *rest: Any) -> Any:
        return fail() if command.target.number == number else method(self, command, *rest)

    return replaced


@pytest.mark.parametrize(
    ("method", "sent"),
    [("build_batch_request", False), ("split_response", True)],
)
def test_an_exception_about_all_contacts_is_an_internal_error_of_each(
    method: str, sent: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(MetaCloudProvider, method, fail)
    if not sent:  # a single request is built by the same method
        build = HttpRequest("POST", "/v23.0/1/block_users")
        monkeypatch.setattr(MetaCloudProvider, "build_request", lambda *_: build)
    script = ManyUsers()
    with serving(script) as (client, _):
        results = block(client, A, B)
        assert client.service.accounts["a"].resilience.state == "closed"
    assert codes(results) == [Code.INTERNAL_ERROR] * 2
    assert [each.attempts for each in results] == [sent, sent]
    assert len(script.requests) == sent
    assert "request_for_many_failed" in caplog.text


@pytest.mark.parametrize("method", ["build_request", "parse_success"])
def test_an_exception_about_one_contact_ends_that_one_alone(
    method: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    right = getattr(MetaCloudProvider, method)
    monkeypatch.setattr(MetaCloudProvider, method, fail_for(right, B))
    with serving(ManyUsers()) as (client, _):
        results = block(client, A, B, C)
    assert codes(results) == [None, Code.INTERNAL_ERROR, None]
    assert "request_for_many_failed" in caplog.text
    assert B not in caplog.text


# -- logs and metrics


def test_one_attempt_is_logged_with_the_count_of_contacts_and_no_number(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with (
        caplog.at_level(logging.DEBUG, "adapter"),
        serving(ManyUsers(failed={B: 131047})) as (client, _),
    ):
        block(client, A, B, C)
    lines = [each.getMessage() for each in caplog.records if "attempt" in each.getMessage()]
    assert len(lines) == 1
    assert "contacts=3 failed=1 upstream=400 code=target_rejected" in lines[0]
    assert not any(number in caplog.text for number in (A, B, C))


class Observed:
    def __init__(self) -> None:
        self.started = 0
        self.ended: list[Code | None] = []

    def call_started(self, account: object) -> None:
        self.started += 1

    def call_ended(self, account: object, command: object, result: Result, seconds: float) -> None:
        self.ended.append(result.code)


def test_each_change_is_a_call_in_the_metrics() -> None:
    observer = Observed()
    with serving(ManyUsers(failed={B: 131047})) as (client, _):
        client.service.observer = observer
        block(client, A, B)
    assert observer.started == 2
    assert observer.ended == [None, Code.TARGET_REJECTED]


def test_a_body_names_each_contact_once() -> None:
    with serving(ManyUsers()) as (client, server):
        block(client, A, B)
    body = json.loads(server.requests[0].partition(b"\r\n\r\n")[2])
    assert body["block_users"] == [{"user": f"+{A}"}, {"user": f"+{B}"}]


# -- providers in this process, and LIDs


class LocalMany(Toy, LocalProvider):
    """A provider of many contacts in this process, which names them by LID where it is known."""

    max_contacts = 10
    prefers_lid = True
    bodies: ClassVar[list[Any]] = []

    def build_batch_request(self, commands: Sequence[Command]) -> HttpRequest:
        names = [self.name_contact(command.target) for command in commands]
        return self.request(commands[0], {"all": names})

    def split_response(
        self, commands: Sequence[Command], response: HttpResponse
    ) -> list[HttpResponse]:
        names = [self.name_contact(command.target) for command in commands]
        results: Any = response.document
        return [response.narrowed(200, results.get(name)) for name in names]

    def handle_request(self, request: HttpRequest) -> HttpResponse:
        body: Any = request.json
        self.bodies.append(body)
        known = {name: {"blocked": True} for name in body["all"] if C not in name}
        return json_response(200, known)


def test_contacts_are_named_by_the_lids_that_earlier_responses_have_shown() -> None:
    lid = "205227043110953@lid"
    options = {"key": Secret("k"), "session": "s"}
    transport = TransportSettings()
    account = Account(AccountSettings("a", LocalMany, None, options, (), transport))
    account.identities.learn(Contact(A), Contact(A, lid))
    commands = [Command(Action.BLOCK, Contact(each)) for each in (A, B, C)]
    LocalMany.bodies.clear()
    found = call_many(account, commands, "id", [None] * 3)
    jids = [f"{each}@s.whatsapp.net" for each in (B, C)]
    assert LocalMany.bodies == [{"all": [lid, *jids]}]
    assert [outcome.code for outcome, _ in found] == [None, None, Code.PROVIDER_BAD_RESPONSE]
    assert "look the number up" in found[2][0].message
    assert [attempts for _, attempts in found] == [1, 1, 1]


def test_an_action_without_a_route_is_not_supported_for_any_contact() -> None:
    class BlocksOnly(LocalMany):
        routes = {"block": ("POST", "/block")}

    options = {"key": Secret("k"), "session": "s"}
    account = Account(AccountSettings("a", BlocksOnly, None, options, (), TransportSettings()))
    commands = [Command(Action.UNBLOCK, Contact(each)) for each in (A, B)]
    found = call_many(account, commands, "id", [None] * 2)
    assert [(outcome.code, attempts) for outcome, attempts in found] == [
        (Code.OPERATION_NOT_SUPPORTED, 0)
    ] * 2
