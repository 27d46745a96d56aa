"""Idle connections: expiry, loss, reuse, and the breaker, which does not count stale ones."""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from support import TIMEOUT, wait_until
from support.raw_server import Peer, RawServer, http_response

from adapter import Applied, Code, Result, Secret
from adapter.client import Client, connect
from adapter.transport.pool import IdleConnections

NUMBER = "+5511999999999"
GOOD = http_response(200, {"success": True, "data": {"blocked": True}})


class StaleConnections:
    """An upstream whose old connections are stale once `stale` is set, as behind a dropped NAT.

    They drop what is sent (`drop`), or reset the connection.
    """

    def __init__(self, drop: bool) -> None:
        self.drop = drop
        self.stale = threading.Event()
        self.barrier: threading.Barrier | None = None

    def __call__(self, peer: Peer) -> None:
        old = not self.stale.is_set()
        while peer.read_request():
            if old and self.stale.is_set():
                if self.drop:
                    peer.stay_silent()
                    return
                peer.reset()
                return
            if self.barrier is not None and old:
                self.barrier.wait(TIMEOUT)
            peer.write(peer.good)


@contextmanager
def client_for(server: RawServer, **transport: Any) -> Iterator[Client]:
    table = {
        "provider": "wuts",
        "base_url": f"http://127.0.0.1:{server.port}",
        "token": Secret("t"),
        "transport": transport,
        "verify": "never",
    }
    with connect({"accounts": {"a": table}}) as client:
        yield client


def concurrent_calls(client: Client, count: int) -> list[Result]:
    """Make concurrent calls."""
    found: list[Result] = []
    threads = [
        threading.Thread(target=lambda: found.append(client.block(NUMBER))) for _ in range(count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def create_idle(client: Client, upstream: StaleConnections, count: int) -> None:
    """Create `count` idle connections."""
    upstream.barrier = threading.Barrier(count)
    assert all(result.ok for result in concurrent_calls(client, count))


def state(client: Client) -> str:
    return client.service.accounts["a"].resilience.state


def test_twenty_stale_idle_connections_cost_one_timeout_and_leave_the_breaker_closed() -> None:
    upstream = StaleConnections(drop=True)
    with (
        RawServer(upstream, GOOD) as server,
        client_for(server, deadline=0.4, connect_timeout=0.2, breaker_threshold=5) as client,
    ):
        create_idle(client, upstream, 20)
        upstream.stale.set()
        results = [client.block(NUMBER) for _ in range(10)]
    assert results[0].code is Code.PROVIDER_TIMEOUT
    assert all(result.ok for result in results[1:])


def test_concurrent_calls_on_stale_idle_connections_leave_the_breaker_closed() -> None:
    upstream = StaleConnections(drop=True)
    with (
        RawServer(upstream, GOOD) as server,
        client_for(server, deadline=0.4, connect_timeout=0.2, breaker_threshold=1) as client,
    ):
        create_idle(client, upstream, 20)
        upstream.stale.set()
        codes = {result.code for result in concurrent_calls(client, 20)}
        assert codes <= {None, Code.PROVIDER_TIMEOUT}
        assert state(client) == "closed"
        assert client.block(NUMBER).ok


def test_idle_connections_that_are_reset_fail_no_call() -> None:
    upstream = StaleConnections(drop=False)
    with (
        RawServer(upstream, GOOD) as server,
        client_for(server, breaker_threshold=1) as client,
    ):
        create_idle(client, upstream, 5)
        upstream.stale.set()
        results = [client.block(NUMBER) for _ in range(5)]
        assert state(client) == "closed"
    assert all(result.ok for result in results)
    assert [result.attempts for result in results] == [2, 1, 1, 1, 1]


def test_timeouts_on_new_connections_open_the_breaker() -> None:
    silent = threading.Event()

    def script(peer: Peer) -> None:
        while peer.read_request():
            if silent.is_set():
                peer.stay_silent()
                return
            peer.write(peer.good)

    with (
        RawServer(script, GOOD) as server,
        client_for(server, deadline=0.1, connect_timeout=0.1, breaker_threshold=2) as client,
    ):
        assert client.block(NUMBER).ok
        silent.set()
        codes = [client.block(NUMBER).code for _ in range(4)]
    assert codes == [Code.PROVIDER_TIMEOUT] * 3 + [Code.CIRCUIT_OPEN]


def test_the_breaker_probe_uses_a_new_connection() -> None:
    """Two idle connections: the first call fails and opens the breaker; the other one is stale."""
    down = threading.Event()
    up = threading.Event()
    barrier = threading.Barrier(2)

    def script(peer: Peer) -> None:
        old = not up.is_set()
        while peer.read_request():
            if not down.is_set():
                barrier.wait(TIMEOUT)
                peer.write(peer.good)
            elif not up.is_set():
                peer.write(http_response(500, "<html>", kind="text/html"))
            elif old:
                peer.stay_silent()
                return
            else:
                peer.write(peer.good)

    with (
        RawServer(script, GOOD) as server,
        client_for(server, breaker_threshold=1, breaker_pause=0.05, deadline=5.0) as client,
    ):
        assert all(result.ok for result in concurrent_calls(client, 2))
        down.set()
        assert client.block(NUMBER).code is not None
        assert state(client) == "opened"
        up.set()
        first: list[Result] = []

        def try_again() -> bool:
            first.append(client.block(NUMBER))
            return first[-1].code is not Code.CIRCUIT_OPEN

        wait_until(try_again, "the end of the pause")
        assert first[-1].ok


def test_an_idle_connection_is_closed_after_its_timeout() -> None:
    upstream = StaleConnections(drop=True)
    with (
        RawServer(upstream, GOOD) as server,
        client_for(server, idle_timeout=0.1) as client,
    ):
        create_idle(client, upstream, 5)
        upstream.stale.set()
        ends = time.monotonic() + 0.1
        wait_until(lambda: time.monotonic() > ends, "the idle timeout")
        assert client.block(NUMBER).ok
        assert server.connections == 6
        wait_until(lambda: server.closed == 5, "the expired connections, closed by the next call")


def test_a_younger_idle_connection_stays_open_when_an_older_one_is_lost() -> None:
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


def test_sockets_use_tcp_keepalive(monkeypatch: pytest.MonkeyPatch) -> None:
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
    with RawServer(StaleConnections(drop=True), GOOD) as server, client_for(server) as client:
        assert client.block(NUMBER).ok
    assert seen == [1]


def test_retries_on_new_connections_leave_one_idle_connection_per_concurrent_call() -> None:
    def busy(peer: Peer) -> None:
        while peer.read_request():
            peer.write(http_response(429, {"success": False}, "Retry-After: 0\r\n"))

    with RawServer(busy, GOOD) as server, client_for(server) as client:
        attempts = sum(client.block(NUMBER).attempts for _ in range(4))
        assert attempts == 8
        assert server.connections == 5
        wait_until(lambda: server.closed == 4, "the replaced connections")


# --- reuse after a response


def test_a_late_response_never_serves_the_next_call() -> None:
    """The upstream sends each response of a connection one request late."""

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.write(http_response(200, {"success": True, "data": {"nothing": "that is known"}}))
        while peer.read_request():
            peer.write(http_response(200, {"success": True, "data": {"blocked": True}}))

    with RawServer(script, GOOD) as server, client_for(server) as client:
        assert client.block(NUMBER).code is Code.PROVIDER_BAD_RESPONSE
        assert client.block(NUMBER).code is Code.PROVIDER_BAD_RESPONSE
        assert server.connections == 2


def test_the_connection_of_a_parsed_error_response_is_reused() -> None:
    def script(peer: Peer) -> None:
        while peer.read_request():
            peer.write(http_response(401, {"success": False, "error": "Invalid token"}))

    with RawServer(script, GOOD) as server, client_for(server) as client:
        for _ in range(3):
            assert client.block(NUMBER).code is not None
        assert server.connections == 1


# --- resource shortages of this process


@pytest.mark.parametrize(
    "number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL]
)
def test_a_resource_shortage_is_overloaded_and_leaves_the_breaker_closed(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect_socket = socket.socket.connect

    def refuse(self: socket.socket, address: Any) -> None:
        if self.type == socket.SOCK_STREAM:
            raise OSError(number, "no more")
        connect_socket(self, address)

    with (
        RawServer(StaleConnections(drop=True), GOOD) as server,
        client_for(server, breaker_threshold=1) as client,
        monkeypatch.context() as patch,
    ):
        patch.setattr(socket.socket, "connect", refuse)
        for _ in range(3):
            result = client.block(NUMBER)
            assert (result.code, result.applied) == (Code.OVERLOADED, Applied.NOT_APPLIED)
            assert result.retry_after == 1
            assert result.attempts == 1
        assert server.request_count == 0
        assert state(client) == "closed"
        patch.undo()
        assert client.block(NUMBER).ok


def test_a_shortage_of_file_descriptors_is_overloaded() -> None:
    resource = pytest.importorskip("resource")
    with (
        RawServer(StaleConnections(drop=True), GOOD) as server,
        client_for(server, breaker_threshold=1) as client,
    ):
        used = socket.socket()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (used.fileno(), hard))
        try:
            result = client.block(NUMBER)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            used.close()
        assert result.code is Code.OVERLOADED
        assert state(client) == "closed"
        assert client.block(NUMBER).ok
