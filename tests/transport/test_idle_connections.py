"""Idle connections grow old, and what is wrong with them is never the provider's fault."""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from support import wait_until
from support.raw_server import Peer, RawServer, http_response

from adapter import Applied, Code, Result, Secret
from adapter.client import Client, connect
from adapter.transport.pool import IdleConnections

NUMBER = "+5511999999999"
GOOD = http_response(200, {"success": True, "data": {"blocked": True}})


class Forgetful:
    """An upstream whose old connections are forgotten on the way once `forgets` is set.

    They swallow what is sent (`swallow`), or are reset by it.
    """

    def __init__(self, swallow: bool) -> None:
        self.swallow = swallow
        self.forgets = threading.Event()
        self.together: threading.Barrier | None = None

    def __call__(self, peer: Peer) -> None:
        old = not self.forgets.is_set()
        while peer.read_request():
            if old and self.forgets.is_set():
                if self.swallow:
                    peer.stay_silent()
                    return
                peer.reset()
                return
            if self.together is not None and old:
                self.together.wait(20)
            peer.write(peer.good)


@contextmanager
def contacts_for(server: RawServer, **transport: Any) -> Iterator[Client]:
    table = {
        "provider": "wuts",
        "base_url": f"http://127.0.0.1:{server.port}",
        "token": Secret("t"),
        "transport": transport,
    }
    with connect({"accounts": {"a": table}}) as contacts:
        yield contacts


def many(contacts: Client, count: int) -> list[Result]:
    """Make calls at the same time."""
    found: list[Result] = []
    threads = [
        threading.Thread(target=lambda: found.append(contacts.block(NUMBER))) for _ in range(count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def fill(contacts: Client, upstream: Forgetful, count: int) -> None:
    """Leave as many idle connections."""
    upstream.together = threading.Barrier(count)
    assert all(result.ok for result in many(contacts, count))


def state(contacts: Client) -> str:
    return contacts.service.accounts["a"].resilience.state


def test_twenty_idle_connections_that_were_forgotten_cost_one_deadline_and_no_breaker() -> None:
    upstream = Forgetful(swallow=True)
    with (
        RawServer(upstream, GOOD) as server,
        contacts_for(server, deadline=0.4, connect_timeout=0.2, breaker_threshold=5) as contacts,
    ):
        fill(contacts, upstream, 20)
        upstream.forgets.set()
        results = [contacts.block(NUMBER) for _ in range(10)]
    assert results[0].code is Code.PROVIDER_TIMEOUT
    assert all(result.ok for result in results[1:])


def test_twenty_calls_at_once_on_forgotten_connections_leave_the_breaker_closed() -> None:
    upstream = Forgetful(swallow=True)
    with (
        RawServer(upstream, GOOD) as server,
        contacts_for(server, deadline=0.4, connect_timeout=0.2, breaker_threshold=1) as contacts,
    ):
        fill(contacts, upstream, 20)
        upstream.forgets.set()
        codes = {result.code for result in many(contacts, 20)}
        assert codes <= {None, Code.PROVIDER_TIMEOUT}
        assert state(contacts) == "closed"
        assert contacts.block(NUMBER).ok


def test_connections_that_are_reset_cost_no_call() -> None:
    upstream = Forgetful(swallow=False)
    with (
        RawServer(upstream, GOOD) as server,
        contacts_for(server, breaker_threshold=1) as contacts,
    ):
        fill(contacts, upstream, 5)
        upstream.forgets.set()
        results = [contacts.block(NUMBER) for _ in range(5)]
        assert state(contacts) == "closed"
    assert all(result.ok for result in results)
    assert [result.attempts for result in results] == [2, 1, 1, 1, 1]


def test_a_provider_that_is_gone_for_new_connections_too_opens_the_breaker() -> None:
    silent = threading.Event()

    def play(peer: Peer) -> None:
        while peer.read_request():
            if silent.is_set():
                peer.stay_silent()
                return
            peer.write(peer.good)

    with (
        RawServer(play, GOOD) as server,
        contacts_for(server, deadline=0.1, connect_timeout=0.1, breaker_threshold=2) as contacts,
    ):
        assert contacts.block(NUMBER).ok
        silent.set()
        codes = [contacts.block(NUMBER).code for _ in range(4)]
    assert codes == [Code.PROVIDER_TIMEOUT] * 3 + [Code.CIRCUIT_OPEN]


def test_the_probe_goes_over_a_new_connection() -> None:
    """Of three connections two fail and open the breaker; the third is idle, and forgotten."""
    down = threading.Event()
    up = threading.Event()
    together = threading.Barrier(2)

    def play(peer: Peer) -> None:
        old = not up.is_set()
        while peer.read_request():
            if not down.is_set():
                together.wait(20)
                peer.write(peer.good)
            elif not up.is_set():
                peer.write(http_response(500, "<html>", kind="text/html"))
            elif old:
                peer.stay_silent()
                return
            else:
                peer.write(peer.good)

    with (
        RawServer(play, GOOD) as server,
        contacts_for(server, breaker_threshold=1, breaker_pause=0.05, deadline=5.0) as contacts,
    ):
        assert all(result.ok for result in many(contacts, 2))
        down.set()
        assert contacts.block(NUMBER).code is not None
        assert state(contacts) == "opened"
        up.set()
        first: list[Result] = []

        def try_again() -> bool:
            first.append(contacts.block(NUMBER))
            return first[-1].code is not Code.CIRCUIT_OPEN

        wait_until(try_again, "the end of the pause")
        assert first[-1].ok


def test_an_idle_connection_is_not_used_beyond_its_age() -> None:
    upstream = Forgetful(swallow=True)
    with (
        RawServer(upstream, GOOD) as server,
        contacts_for(server, idle_timeout=0.1) as contacts,
    ):
        fill(contacts, upstream, 5)
        upstream.forgets.set()
        ends = time.monotonic() + 0.1
        wait_until(lambda: time.monotonic() > ends, "the end of their age")
        assert contacts.block(NUMBER).ok
        assert server.connections == 6
        wait_until(lambda: server.closed == 5, "the old ones, closed by the next call")


def test_a_younger_connection_outlives_the_loss_of_an_older_one() -> None:
    class Connection:
        def __init__(self, idle_since: float) -> None:
            self.idle_since = idle_since
            self.closed = False

        def close(self) -> None:
            self.closed = True

    idle = IdleConnections(timeout=1e9)
    connections = [Connection(moment) for moment in (1.0, 2.0, 2.0, 3.0)]
    idle._connections.extend(connections)  # type: ignore[arg-type]
    idle.close_idle_since(2.0)
    assert [each.closed for each in connections] == [True, True, True, False]


def test_sockets_are_kept_alive_by_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    connect_socket = socket.socket.connect

    def connecting(self: socket.socket, address: Any) -> None:
        connect_socket(self, address)
        if address[1] == server.port:
            seen.append(self.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
            if hasattr(socket, "TCP_KEEPIDLE"):
                idle = self.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
                assert idle < 30

    monkeypatch.setattr(socket.socket, "connect", connecting)
    with RawServer(Forgetful(swallow=True), GOOD) as server, contacts_for(server) as contacts:
        assert contacts.block(NUMBER).ok
    assert seen == [1]


def test_second_attempts_on_new_connections_leave_no_more_idle_ones_than_calls_at_a_time() -> None:
    def busy(peer: Peer) -> None:
        while peer.read_request():
            peer.write(http_response(429, {"success": False}, "Retry-After: 0\r\n"))

    with RawServer(busy, GOOD) as server, contacts_for(server) as contacts:
        attempts = sum(contacts.block(NUMBER).attempts for _ in range(4))
        assert attempts == 8
        assert server.connections == 5
        wait_until(lambda: server.closed == 4, "the ones that were replaced")


# --- a response that is no good


def test_a_late_answer_to_one_call_never_serves_the_next() -> None:
    """The upstream answers each request of a connection one too late."""

    def play(peer: Peer) -> None:
        peer.read_request()
        peer.write(http_response(200, {"success": True, "data": {"nothing": "that is known"}}))
        while peer.read_request():
            peer.write(http_response(200, {"success": True, "data": {"blocked": True}}))

    with RawServer(play, GOOD) as server, contacts_for(server) as contacts:
        assert contacts.block(NUMBER).code is Code.PROVIDER_BAD_RESPONSE
        assert contacts.block(NUMBER).code is Code.PROVIDER_BAD_RESPONSE
        assert server.connections == 2


def test_a_response_that_is_understood_leaves_its_connection_to_the_next_call() -> None:
    def play(peer: Peer) -> None:
        while peer.read_request():
            peer.write(http_response(401, {"success": False, "error": "Invalid token"}))

    with RawServer(play, GOOD) as server, contacts_for(server) as contacts:
        for _ in range(3):
            assert contacts.block(NUMBER).code is not None
        assert server.connections == 1


# --- shortages of our own


@pytest.mark.parametrize(
    "number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL]
)
def test_a_shortage_of_our_own_is_overloaded_and_says_nothing_of_the_provider(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect_socket = socket.socket.connect

    def refuse(self: socket.socket, address: Any) -> None:
        if self.type == socket.SOCK_STREAM:
            raise OSError(number, "no more")
        connect_socket(self, address)

    with (
        RawServer(Forgetful(swallow=True), GOOD) as server,
        contacts_for(server, breaker_threshold=1) as contacts,
        monkeypatch.context() as patch,
    ):
        patch.setattr(socket.socket, "connect", refuse)
        for _ in range(3):
            result = contacts.block(NUMBER)
            assert (result.code, result.applied) == (Code.OVERLOADED, Applied.NOT_APPLIED)
            assert result.retry_after == 1
            assert result.attempts == 1
        assert server.request_count == 0
        assert state(contacts) == "closed"
        patch.undo()
        assert contacts.block(NUMBER).ok


def test_running_out_of_descriptors_is_overloaded() -> None:
    resource = pytest.importorskip("resource")
    with (
        RawServer(Forgetful(swallow=True), GOOD) as server,
        contacts_for(server, breaker_threshold=1) as contacts,
    ):
        used = socket.socket()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (used.fileno(), hard))
        try:
            result = contacts.block(NUMBER)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            used.close()
        assert result.code is Code.OVERLOADED
        assert state(contacts) == "closed"
        assert contacts.block(NUMBER).ok
