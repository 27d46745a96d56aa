"""A batch at a provider that takes many contacts in one request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from adapter.providers.meta_cloud import MetaCloudProvider
from support.batches import ACCOUNT, check_sums, create, items, many, number, row, run
from support.ledgers import execute, rows
from support.many_users import ManyUsers, meta_account
from support.raw_server import RawServer, http_response

from adapter import Client, Command, Contact, connect
from adapter.batches import Batches
from adapter.codes import Action, Code
from adapter.errors import RequestError
from adapter.http import HttpRequest
from adapter.results import Outcome

pytest_plugins = ["support.batch_fixtures"]

Serve = Callable[..., Batches]


@pytest.fixture
def serve(url: str) -> Iterator[Serve]:
    """Return a function that makes the batches of an account behind a script."""
    opened: list[Any] = []

    def make(
        script: ManyUsers,
        more: dict[str, Any] | None = None,
        clients: list[Client] | None = None,
        **account: Any,
    ) -> Batches:
        server = RawServer(script).__enter__()
        opened.append(server)
        accounts = {ACCOUNT: meta_account(server.address, **account), **(more or {})}
        ledger = {"url": url, "wait": 10}
        client = connect({"accounts": accounts, "default_account": ACCOUNT, "ledger": ledger})
        opened.append(client)
        if clients is not None:
            clients.append(client)
        return Batches(client.service)

    yield make
    for each in reversed(opened):
        each.__exit__(None, None, None)


def numbers(amount: int) -> set[str]:
    return {number(index) for index in range(amount)}


def sizes(script: ManyUsers) -> list[int]:
    return [len(users) for _, users in script.requests]


def test_2500_unblocks_arrive_in_three_requests_with_an_outcome_for_each_row(
    serve: Serve, url: str
) -> None:
    failed = {number(index): 131047 for index in range(0, 2500, 100)}
    missing = {number(index) for index in range(50, 2500, 200)}
    script = ManyUsers(failed=failed, missing=missing, blocked=numbers(2500))
    batches = serve(script, verify="never")
    batch = run(batches, create(batches, many(2500), Action.UNBLOCK).batch)
    assert sorted(sizes(script)) == [500, 1000, 1000]
    assert {method for method, _ in script.requests} == {"DELETE"}
    assert Counter(user for _, users in script.requests for user in users) == Counter(numbers(2500))
    check_sums(batches, batch, 2500)
    assert batch.counts == {"done": 2462, "failed": 25, "unknown": 13}
    found = items(batches, batch)
    codes = {each.contact and each.contact.number: (each.status, each.code) for each in found}
    for index in range(2500):
        expected: tuple[str, str | None] = ("done", None)
        if number(index) in failed:
            expected = ("failed", "target_rejected")
        if number(index) in missing:
            expected = ("unknown", "provider_bad_response")
        assert codes[number(index)] == expected
    assert script.blocked == failed.keys()
    calls = [each for each in rows(url, "calls") if each["action"] == "unblock"]
    assert len({each["request_id"] for each in calls}) == len(calls) == 2500


def test_the_list_at_the_end_settles_the_rows_without_a_result(serve: Serve) -> None:
    script = ManyUsers(failed={number(0): 131047}, missing={number(1)})
    batches = serve(script)
    batch = run(batches, create(batches, many(20), verify=True).batch)
    assert sizes(script) == [20]
    assert batch.counts == {"done": 19, "failed": 1}


@pytest.mark.parametrize(("verify", "status"), [("unknown", "done"), ("never", "unknown")])
def test_one_list_settles_unknown_rows_unless_nothing_is_to_be_read_back(
    serve: Serve, verify: str, status: str
) -> None:
    script = ManyUsers(failed={number(0): 131047}, missing={number(1), number(2)})
    batches = serve(script, verify=verify)
    batch = run(batches, create(batches, many(20)).batch)
    found = items(batches, batch)
    assert [each.status for each in found[:4]] == ["failed", status, status, "done"]
    assert sizes(script) == [20]
    assert script.lists == (2 if verify == "unknown" else 1), "the first one before it begins"


def test_an_unknown_row_that_the_list_does_not_show_stays_unknown(serve: Serve) -> None:
    script = ManyUsers(before=lambda users: http_response(500, b"failed"))
    batches = serve(script)
    batch = run(batches, create(batches, many(3)).batch)
    assert batch.counts == {"unknown": 3}, "it may still take effect"


def test_a_request_has_rows_of_one_action(serve: Serve) -> None:
    script = ManyUsers(blocked=numbers(40))
    batches = serve(script)
    given = [
        row(index, action=Action.UNBLOCK if index < 40 and index % 2 else Action.BLOCK)
        for index in range(80)
    ]
    batch = run(batches, create(batches, given, None).batch)
    assert batch.counts == {"done": 60, "unchanged": 20}
    assert sorted((method, len(users)) for method, users in script.requests) == [
        ("DELETE", 20),
        ("POST", 40),
    ]


def test_the_pace_counts_rows_and_not_requests(serve: Serve) -> None:
    script = ManyUsers()
    batches = serve(script, pace={"per_minute": 6000})
    assert run(batches, create(batches, many(30)).batch).counts == {"done": 30}
    assert sizes(script)[0] == 1, "the first token"
    assert len(script.requests) > 1
    assert sum(sizes(script)) == 30


def test_an_account_that_reads_every_change_back_takes_its_rows_one_by_one(serve: Serve) -> None:
    script = ManyUsers()
    batches = serve(script, verify="always")
    assert run(batches, create(batches, many(5)).batch).counts == {"done": 5}
    assert sizes(script) == [1] * 5


def test_no_more_rows_are_leased_than_the_requests_take_and_newer_wishes_win(
    serve: Serve, url: str
) -> None:
    leased: list[int] = []
    clients: list[Client] = []

    def before(users: Sequence[str]) -> None:
        if len(users) == 1:
            return
        leased.append(sum(each["status"] == "leased" for each in rows(url, "items")))
        if len(leased) == 1:  # while the first request is in flight
            newer = Command(Action.UNBLOCK, Contact(number(1100)))
            assert clients[0].service.perform(ACCOUNT, newer).ok

    script = ManyUsers(before=before)
    batches = serve(script, clients=clients, pace={"max_in_flight": 1})
    batch = run(batches, create(batches, many(1200)).batch)
    assert batch.counts == {"done": 1199, "superseded": 1}
    assert leased == [1000, 199]
    assert sizes(script) == [1000, 1, 199]
    assert number(1100) not in script.blocked


def test_rows_of_a_process_that_is_gone_are_sent_together_again(serve: Serve, url: str) -> None:
    script = ManyUsers()
    batches = serve(script)
    batch = create(batches, many(30)).batch
    lose_all_leases(url)
    assert run(batches, batch).counts == {"done": 30}
    assert sizes(script) == [30]


@pytest.mark.usefixtures("no_delays")
def test_rows_that_are_refused_as_a_whole_are_tried_alone(serve: Serve) -> None:
    error = {"message": "…", "type": "OAuthException", "code": 139101, "fbtrace_id": "x"}
    refusal = http_response(400, {"error": error})

    def before(users: Sequence[str]) -> bytes | None:
        return refusal if number(2) in users else None

    script = ManyUsers(before=before)
    batches = serve(script)
    batch = run(batches, create(batches, many(5)).batch)
    assert sizes(script) == [5, *[1] * 5]
    assert batch.counts == {"done": 4, "failed": 1}
    assert [each.row for each in items(batches, batch, status="failed")] == [3]


@pytest.mark.usefixtures("no_delays")
def test_after_a_pause_one_row_is_tried_alone_and_then_the_others_together(serve: Serve) -> None:
    error = {"message": "…", "type": "OAuthException", "code": 133010, "fbtrace_id": "x"}
    replies = [http_response(400, {"error": error})]
    script = ManyUsers(before=lambda users: replies.pop() if replies else None)
    batches = serve(script)
    batch = run(batches, create(batches, many(50)).batch)
    assert batch.counts == {"done": 50}
    assert sizes(script) == [50, 1, 49]


@pytest.mark.usefixtures("no_delays")
def test_rows_that_certainly_did_nothing_go_on_one_by_one_through_the_fallback(
    serve: Serve,
) -> None:
    error = {"message": "…", "type": "OAuthException", "code": 133010, "fbtrace_id": "x"}
    script = ManyUsers(before=lambda users: http_response(400, {"error": error}))
    phone = "+5511888887777"
    more = {"support-2": {"provider": "memory", "phone": phone}}
    batches = serve(script, more, fallback="support-2", phone=phone)
    batch = run(batches, create(batches, many(5)).batch)
    assert batch.counts == {"done": 5}
    assert sizes(script) == [5, *[1] * 5]


def error(code: int) -> bytes:
    """Return the refusal of a whole request."""
    about = {"message": "…", "type": "OAuthException", "code": code, "fbtrace_id": "x"}
    return http_response(400, {"error": about})


def lose_all_leases(url: str, tries: int = 1) -> None:
    """Let all rows be leased by a process that is gone, for the time given by `tries`."""
    leased = "UPDATE {p}items SET status = 'leased', lease_owner = 'x', attempts = :tries,"
    past = "2020-01-01T00:00:00.000+00:00"
    execute(url, f"{leased} lease_until = :at", at=past, tries=tries)


@pytest.mark.usefixtures("no_delays")
@pytest.mark.parametrize("tries", [1, 2, 3])
def test_rows_of_a_process_that_is_gone_are_tried_alone_once_they_were_refused_together(
    serve: Serve, url: str, tries: int
) -> None:
    script = ManyUsers(before=lambda users: error(139101) if number(2) in users else None)
    batches = serve(script, verify="never")
    batch = create(batches, many(5)).batch
    lose_all_leases(url, tries)
    batch = run(batches, batch)
    assert sizes(script) == [5, *[1] * 5]
    assert batch.counts == {"done": 4, "unknown": 1}, "the lost try may have blocked the refused"


@pytest.mark.usefixtures("no_delays")
def test_rows_of_a_process_that_is_gone_go_on_through_the_fallback(serve: Serve, url: str) -> None:
    script = ManyUsers(before=lambda users: error(133010))
    phone = "+5511888887777"
    more = {"support-2": {"provider": "memory", "phone": phone}}
    batches = serve(script, more, fallback="support-2", phone=phone)
    batch = create(batches, many(5)).batch
    lose_all_leases(url)
    assert run(batches, batch).counts == {"done": 5}
    assert sizes(script) == [5, *[1] * 5]


@pytest.mark.usefixtures("no_delays")
@pytest.mark.parametrize("code", [190, 200, 130429, 133010, 2500])
def test_rows_that_have_failed_with_their_account_are_sent_together_again(
    serve: Serve, code: int
) -> None:
    replies = [error(code)]
    script = ManyUsers(before=lambda users: replies.pop() if replies else None)
    batches = serve(script, verify="never")
    batch = run(batches, create(batches, many(50)).batch)
    assert batch.counts == {"done": 50}
    assert sum(sizes(script)) == 100
    assert len(script.requests) <= 3, "at most one row is tried alone"


@pytest.mark.usefixtures("no_delays")
def test_a_contact_that_alone_gets_an_error_of_the_account_fails_and_no_other(
    serve: Serve,
) -> None:
    script = ManyUsers(before=lambda users: error(190) if number(7) in users else None)
    batches = serve(script, verify="never")
    batch = run(batches, create(batches, many(20)).batch)
    assert batch.counts == {"done": 19, "failed": 1}
    (failed,) = items(batches, batch, status="failed")
    assert (failed.row, failed.code) == (8, "provider_auth_failed")
    assert sizes(script)[:3] == [20, 1, 19]


def cannot_send_together(kind: type[Exception]) -> Callable[..., Any]:
    right = MetaCloudProvider.build_batch_request

    def build(self: MetaCloudProvider, commands: Sequence[Command]) -> HttpRequest:
        if len(commands) > 1:
            raise kind(Outcome.failure(Code.VALIDATION_ERROR))
        request: HttpRequest = right(self, commands)
        return request

    return build


@pytest.mark.usefixtures("no_delays")
@pytest.mark.parametrize("kind", [RequestError, KeyError])
def test_rows_that_cannot_be_sent_together_are_sent_alone(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    monkeypatch.setattr(MetaCloudProvider, "build_batch_request", cannot_send_together(kind))
    script = ManyUsers()
    batches = serve(script, verify="never")
    assert run(batches, create(batches, many(5)).batch).counts == {"done": 5}
    assert sizes(script) == [1] * 5


def test_rows_of_an_action_that_the_provider_lacks_go_to_the_fallback(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered = frozenset({Action.UNBLOCK, Action.LIST})
    monkeypatch.setattr(MetaCloudProvider, "_actions", offered)
    phone = "+5511888887777"
    more = {"support-2": {"provider": "memory", "phone": phone}}
    script = ManyUsers()
    batches = serve(script, more, fallback="support-2", phone=phone)
    assert run(batches, create(batches, many(5)).batch).counts == {"done": 5}
    assert script.requests == []
