"""The newest intent wins: no retry undoes a newer call for the same contact."""

from __future__ import annotations

import gc
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import TIMEOUT, call, run_app, wait_until
from support.proxies import delaying_proxy, run_proxy
from support.raw_server import Peer, RawServer, http_response

from adapter import Action, Applied, Code, Command, Contact, Result, Retry, Secret
from adapter.client import Client, connect
from adapter.transport.intents import _SHARED, Intents, shared_intents
from adapter.web.app import create_app, service_state

NUMBER = "5511999999999"
LID = "123456789012345@lid"
OK = http_response(200, {"success": True, "data": {"blocked": True}})


def block(**ids: str) -> Command:
    return Command(Action.BLOCK, Contact(**ids))


def unblock(**ids: str) -> Command:
    return Command(Action.UNBLOCK, Contact(**ids))


@pytest.mark.parametrize(
    ("older", "newer", "superseded"),
    [
        pytest.param(block(number=NUMBER), unblock(number=NUMBER), True, id="the opposite"),
        pytest.param(unblock(number=NUMBER), block(number=NUMBER), True, id="unblock, then block"),
        pytest.param(block(number=NUMBER), block(number=NUMBER), False, id="the same again"),
        pytest.param(
            block(number=NUMBER), unblock(number="14155552671"), False, id="another contact"
        ),
        pytest.param(
            block(number=NUMBER), unblock(number="551199999999"), True, id="without the ninth digit"
        ),
        pytest.param(
            block(number=NUMBER, lid=LID), unblock(lid=LID), True, id="by its LID, both known"
        ),
        pytest.param(block(lid=LID), unblock(number=NUMBER, lid=LID), True, id="the LID is known"),
        pytest.param(block(lid=LID), unblock(number=NUMBER), False, id="nothing connects them"),
    ],
)
def test_a_newer_opposite_intent_supersedes(
    older: Command, newer: Command, superseded: bool
) -> None:
    intents = Intents()
    first = intents.begin(older)
    assert not first.is_superseded()
    second = intents.begin(newer)
    assert first.is_superseded() is superseded
    assert not second.is_superseded()
    second.end()
    assert first.is_superseded() is superseded, "also when the newer call is over"
    first.end()
    assert len(intents._calls) == 0


numbers = st.sampled_from([NUMBER, "14155552671"])
steps = st.lists(st.tuples(st.booleans(), numbers, st.integers(0, 3)), max_size=30)


@given(steps)
def test_any_calls_are_superseded_by_a_later_opposite_intent(
    made: list[tuple[bool, str, int]],
) -> None:
    intents = Intents()
    in_flight: list[Any] = []
    intended: list[tuple[Action, str]] = []
    for blocked, number, ended in made:
        command = block(number=number) if blocked else unblock(number=number)
        in_flight.append((intents.begin(command), command, len(intended)))
        intended.append((command.action, number))
        for intent, its, place in in_flight:
            later = intended[place + 1 :]
            opposite = Action.UNBLOCK if its.action is Action.BLOCK else Action.BLOCK
            assert intent.is_superseded() is ((opposite, its.target.number) in later)
        for _ in range(min(ended, len(in_flight))):
            in_flight.pop(0)[0].end()
        assert len(intents._calls) <= len(in_flight)
    for intent, _, _ in in_flight:
        intent.end()
    assert len(intents._calls) == 0


def test_threads_leave_no_entries() -> None:
    intents = Intents()

    def work(which: int) -> None:
        for turn in range(300):
            intent = intents.begin((block, unblock)[(which + turn) % 2](number=NUMBER))
            intent.is_superseded()
            intent.end()

    threads = [threading.Thread(target=work, args=(which,)) for which in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(intents._calls) == 0


# --- over a socket: the response to the first call is lost after it took effect


class Upstream:
    """Applies the first call and closes its connection after `lose`; later calls succeed."""

    def __init__(self) -> None:
        self.lose = threading.Event()
        self.losing = True
        self.state: list[str] = []

    def __call__(self, peer: Peer) -> None:
        while peer.read_request():
            action = "unblock" if "/unblock" in peer.target else "block"
            self.state.append(action)
            if self.losing and len(self.state) == 1:
                assert self.lose.wait(TIMEOUT)
                return
            done = {"success": True, "data": {"blocked": action == "block", "action": action}}
            peer.write(http_response(200, done))


def config(port: int) -> dict[str, Any]:
    account = {
        "provider": "wuts",
        "base_url": f"http://127.0.0.1:{port}",
        "token": Secret("t"),
        "aliases": ["native"],
    }
    return {"accounts": {"a": account}, "dialects": {"enabled": ["wuts"]}}


@contextmanager
def first_call_in_flight(client: Client, upstream: Upstream, found: list[Result]) -> Iterator[None]:
    thread = threading.Thread(target=lambda: found.append(client.block(f"+{NUMBER}")))
    thread.start()
    try:
        wait_until(lambda: upstream.state, "the first call")
        yield
    finally:
        upstream.lose.set()
        thread.join()


Newer = Callable[[Client, str], object]


def by_python(client: Client, address: str) -> object:
    return client.unblock(f"+{NUMBER}").ok


def by_jid(client: Client, address: str) -> object:
    return client.unblock(jid=f"{NUMBER}@c.us").ok


def by_the_other_form(client: Client, address: str) -> object:
    return client.unblock(jid="551199999999@s.whatsapp.net").ok


def by_http(client: Client, address: str) -> object:
    body = {"number": f"+{NUMBER}"}
    return call(address, "POST", "/v1/contacts/unblock", json_body=body).status == 200


def by_a_dialect(client: Client, address: str) -> object:
    body = {"number": NUMBER}
    path = "/dialects/wuts/contacts/unblock"
    return call(address, "POST", path, json_body=body).status == 200


@pytest.mark.parametrize(
    "newer", [by_python, by_jid, by_the_other_form, by_http, by_a_dialect], ids=lambda f: f.__name__
)
def test_a_lost_block_is_not_retried_after_an_unblock_has_begun(newer: Newer) -> None:
    upstream, found = Upstream(), list[Result]()
    with RawServer(upstream, OK) as server:
        app = create_app(config(server.port), allow_unauthenticated=True)
        client = service_state(app).contacts  # in the same process as the server below
        with run_app(lambda _: app) as address, first_call_in_flight(client, upstream, found):
            assert newer(client, address)
    assert upstream.state == ["block", "unblock"]
    [lost] = found
    assert (lost.code, lost.applied) == (Code.PROVIDER_CONNECTION_LOST, Applied.UNKNOWN)
    assert lost.attempts == 1
    assert lost.outcome.retry is Retry.NEVER, "sending it again would undo the unblock"
    assert "newer call" in lost.message


@pytest.mark.parametrize("where", ["another connect()", "an app", "another account name"])
def test_all_callers_of_one_upstream_account_share_its_intents(where: str) -> None:
    upstream, found = Upstream(), list[Result]()
    with RawServer(upstream, OK) as server, ExitStack() as stack:
        settings = config(server.port)
        client = stack.enter_context(connect(settings))
        if where == "an app":
            app = create_app(settings, allow_unauthenticated=True)
            other = service_state(app).contacts
        elif where == "another connect()":
            other = stack.enter_context(connect(settings))
        else:
            named = {**settings["accounts"]["a"], "token": Secret("t"), "aliases": []}
            named["base_url"] += "/"
            other = stack.enter_context(connect({"accounts": {"b": named}}))
        with first_call_in_flight(client, upstream, found):
            assert other.unblock(f"+{NUMBER}").ok
        other.close()
    assert upstream.state == ["block", "unblock"]
    assert found[0].outcome.retry is Retry.NEVER


def shared(**changed: Any) -> Intents:
    facts: dict[str, Any] = {
        "provider": "wuts",
        "base_url": "https://host.example/api",
        "options": {"token": Secret("t"), "session": "s", "nested": {"a": [1, Secret("x")]}},
        "headers": {},
    }
    return shared_intents(**{**facts, **changed})


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        ({}, True),
        ({"base_url": "https://host.example:443/api"}, True),
        ({"options": {"nested": {"a": [1, "x"]}, "session": "s", "token": "t"}}, True),
        ({"provider": "wappfy"}, False),
        ({"base_url": "https://host.example"}, False),
        ({"base_url": "https://host.example:444/api"}, False),
        ({"base_url": "http://host.example/api"}, False),
        ({"options": {"token": Secret("u"), "session": "s", "nested": {"a": [1, "x"]}}}, False),
        ({"options": {"token": Secret("t"), "session": "s"}}, False),
        ({"headers": {"X-Tenant": "one"}}, False),
    ],
)
def test_the_identity_of_an_upstream_account(changed: dict[str, Any], same: bool) -> None:
    held = shared()
    assert (shared(**changed) is held) is same


def test_the_intents_of_an_account_are_held_weakly() -> None:
    gone = weakref.ref(shared(options={"token": Secret("canary")}))
    gc.collect()
    assert gone() is None


def test_two_local_block_lists_share_no_intents() -> None:
    settings = {"accounts": {"a": {"provider": "memory"}}}
    with connect(settings) as one, connect(settings) as other:
        first, second = (each.service.accounts["a"].resilience.intents for each in (one, other))
        assert first is not second


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_no_intents_of_its_parent() -> None:
    with connect(config(9)) as client:
        account = client.service.accounts["a"]
        account.resilience.intents.begin(block(number=NUMBER))
        _SHARED._lock.acquire()  # as another thread may at the time of the fork
        try:
            child = os.fork()
            if not child:
                with suppress(BaseException):
                    os._exit(0 if not account.resilience.intents._calls else 1)
                os._exit(2)
        finally:
            _SHARED._lock.release()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("which", [1, 2], ids=["first attempt", "second attempt"])
def test_a_call_superseded_while_connecting_sends_nothing(which: int) -> None:
    held, release = threading.Event(), threading.Event()
    upstream, found = Upstream(), list[Result]()
    upstream.lose.set()
    upstream.losing = which == 2
    with (
        RawServer(upstream, OK) as server,
        run_proxy(delaying_proxy(which, held, release)) as proxy,
    ):
        settings = config(server.port)
        limits = {"breaker_threshold": 1 if which == 1 else 2, "connect_timeout": 20.0}
        settings["accounts"]["a"]["transport"] = {
            **limits,
            "deadline": 30.0,
            "proxy": f"socks5://127.0.0.1:{proxy.port}",
        }
        with connect(settings) as client:
            thread = threading.Thread(target=lambda: found.append(client.block(f"+{NUMBER}")))
            thread.start()
            assert held.wait(TIMEOUT)
            assert client.unblock(f"+{NUMBER}").ok
            release.set()
            thread.join()
            assert client.service.accounts["a"].resilience.state == "closed"
    [older] = found
    assert (older.outcome.retry, older.retry_after) == (Retry.NEVER, None)
    assert "newer call" in older.message
    if which == 1:
        assert upstream.state == ["unblock"]
        assert (older.code, older.applied) == (Code.PROVIDER_CONFLICT, Applied.NOT_APPLIED)
        assert older.attempts == 0
    else:
        assert upstream.state == ["block", "unblock"]
        assert (older.code, older.applied) == (Code.PROVIDER_CONNECTION_LOST, Applied.UNKNOWN)
        assert older.attempts == 1


@pytest.mark.parametrize(
    "other",
    [
        lambda client: client.block(f"+{NUMBER}"),
        lambda client: client.unblock("+14155552671"),
        lambda client: client.unblock(f"+{NUMBER}", account="b"),
    ],
    ids=["the same intent", "for another contact", "of another account"],
)
def test_any_other_call_allows_the_retry(
    other: Callable[[Client], Result],
) -> None:
    upstream, found = Upstream(), list[Result]()
    with RawServer(upstream, OK) as server:
        accounts = config(server.port)["accounts"]
        accounts["b"] = {**accounts["a"], "token": Secret("another"), "aliases": []}
        with connect({"accounts": accounts, "default_account": "a"}) as client:
            with first_call_in_flight(client, upstream, found):
                assert other(client).ok
            assert found[0].ok
            assert found[0].attempts == 2


def test_a_superseded_call_keeps_its_certain_outcome() -> None:
    release = threading.Event()
    seen: list[str] = []

    def busy(peer: Peer) -> None:
        while peer.read_request():
            seen.append("x")
            if len(seen) == 1:
                assert release.wait(TIMEOUT)
                peer.write(http_response(429, {}, "Retry-After: 0\r\n"))
            else:
                peer.write(http_response(200, {"success": True, "data": {"blocked": False}}))

    found: list[Result] = []
    with RawServer(busy, OK) as server, connect(config(server.port)) as client:
        thread = threading.Thread(target=lambda: found.append(client.block(f"+{NUMBER}")))
        thread.start()
        wait_until(lambda: seen, "the first call")
        assert client.unblock(f"+{NUMBER}").ok
        release.set()
        thread.join()
    assert (found[0].code, found[0].applied) == (
        Code.PROVIDER_RATE_LIMITED,
        Applied.NOT_APPLIED,
    )
    assert len(seen) == 2
