"""Rows of the fault matrix with a test of their own: breaker, bulkhead, descriptors, intents."""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from support import NUMBER, wait_until
from support.certificates import Authority
from support.fault_accounts import (
    BLOCK,
    GOOD,
    account,
    account_for,
    assert_result,
    each_provider,
    service_for,
)
from support.faults import (
    LONG_LIST,
    NO_DESCRIPTOR,
    NO_PROBE,
    PROBE,
    SUPERSEDED,
    SUPERSEDED_BEFORE_SENDING,
    Resources,
)
from support.proxies import delaying_proxy, run_proxy
from support.raw_server import Peer, RawServer, always, http_response
from support.setup_faults import SETUP_FAULTS

from adapter import Action, Code, Command, Contact, Result
from adapter.service import Service


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


class HoldingProvider:
    """A provider that fails while `down`, and then holds each call until `release`."""

    def __init__(self) -> None:
        self.down = True
        self.release = threading.Event()

    def __call__(self, peer: Peer) -> None:
        while peer.read_request():
            if self.down:
                peer.write(http_response(500))
                continue
            self.release.wait()
            peer.write(peer.good)


# --- breaker and bulkhead


@each_provider
def test_a_half_opened_breaker_permits_one_probe_at_a_time(provider: str) -> None:
    provider_script = HoldingProvider()
    probes: list[Result] = []
    with ExitStack() as stack:
        server = stack.enter_context(RawServer(provider_script, GOOD[provider]))
        table = account(provider, f"http://127.0.0.1:{server.port}", breaker_pause=0.05)
        service = stack.enter_context(service_for(a=table))
        for _ in range(5):
            assert service.perform("a", BLOCK).code is Code.PROVIDER_ERROR
        provider_script.down = False

        def probe() -> None:
            wait_until(lambda: get_through(service, probes), "the end of the pause")

        thread = threading.Thread(target=probe)
        thread.start()
        stack.callback(thread.join)
        stack.callback(provider_script.release.set)
        wait_until(lambda: server.request_count == 6, "the probe")
        for _ in range(10):
            refused = service.perform("a", BLOCK)
            assert_result(refused, NO_PROBE, provider)
        assert server.request_count == 6
        provider_script.release.set()
        thread.join()
        assert_result(probes[0], PROBE, provider)
        assert service.perform("a", BLOCK).ok
        assert server.request_count == 7


def get_through(service: Service, found: list[Result]) -> bool:
    result = service.perform("a", BLOCK)
    if result.code is not Code.CIRCUIT_OPEN:
        found.append(result)
    return bool(found)


@each_provider
def test_a_full_bulkhead_and_an_opened_breaker_do_not_affect_another_account(
    provider: str, authority: Authority, tmp_path: Path
) -> None:
    rows = [row for row in SETUP_FAULTS if row.code in (Code.OVERLOADED, Code.CIRCUIT_OPEN)]
    assert len(rows) == 2
    resources = Resources(GOOD[provider], authority, tmp_path)
    with RawServer(lambda peer: always(peer.good)(peer), GOOD[provider]) as server:
        other = account(provider, f"http://127.0.0.1:{server.port}", max_in_flight=1)
        for row in rows:
            with (
                row.set_up(resources) as target,
                service_for(a=account_for(target, row, provider), b=other) as service,
                target.before(partial(service.perform, "a", BLOCK)),
            ):
                assert service.perform("a", BLOCK).code is row.code
                result = service.perform("b", BLOCK)
                assert result.ok
                assert result.attempts == 1
        assert server.request_count == 2


# --- shortage, superseding calls, long lists


@each_provider
def test_a_process_without_file_descriptors_is_overloaded(provider: str) -> None:
    resource = pytest.importorskip("resource")
    with RawServer(lambda peer: always(peer.good)(peer), GOOD[provider]) as server:
        table = account(provider, f"http://127.0.0.1:{server.port}", breaker_threshold=1)
        with service_for(a=table) as service, socket.socket() as last:
            limits = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (last.fileno(), limits[1]))
            try:
                found = [service.perform("a", BLOCK) for _ in range(3)]
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            for result in found:
                assert_result(result, NO_DESCRIPTOR, provider)
            assert server.request_count == 0
            assert service.perform("a", BLOCK).ok


@each_provider
def test_a_superseded_call_is_not_retried(
    provider: str,
) -> None:
    begun = threading.Event()

    def lose(peer: Peer) -> None:
        if peer.read_request() and peer.number == 1:
            begun.wait(20)

    found: list[Result] = []
    with RawServer(lose, GOOD[provider]) as server:
        table = account(provider, f"http://127.0.0.1:{server.port}")
        with service_for(a=table) as service:
            older = threading.Thread(target=lambda: found.append(service.perform("a", BLOCK)))
            older.start()
            wait_until(lambda: server.request_count == 1, "the older call")
            newer = service.perform("a", Command(Action.UNBLOCK, Contact(NUMBER)))
            begun.set()
            older.join()
        assert newer.attempts == 2
        assert server.request_count == 3
    assert_result(found[0], SUPERSEDED, provider)


@each_provider
def test_a_call_superseded_while_connecting_is_not_sent(provider: str) -> None:
    held, release = threading.Event(), threading.Event()
    found: list[Result] = []
    with (
        RawServer(always(GOOD[provider]), GOOD[provider]) as server,
        run_proxy(delaying_proxy(1, held, release)) as proxy,
    ):
        way = {"proxy": f"socks5://127.0.0.1:{proxy.port}", "connect_timeout": 20.0}
        table = account(provider, f"http://127.0.0.1:{server.port}", deadline=30.0, **way)
        with service_for(a=table) as service:
            older = threading.Thread(target=lambda: found.append(service.perform("a", BLOCK)))
            older.start()
            assert held.wait(20)
            service.perform("a", Command(Action.UNBLOCK, Contact(NUMBER)))
            assert server.request_count > 0
            sent = server.request_count
            release.set()
            older.join()
        assert server.request_count == sent
    assert_result(found[0], SUPERSEDED_BEFORE_SENDING, provider)


@each_provider
def test_a_list_beyond_its_limits_is_too_large(provider: str) -> None:
    items = [{"jid": f"{4915110000000 + each}@s.whatsapp.net"} for each in range(8000)]
    document = {"success": True, "data": {"items": items, "count": len(items)}}
    with RawServer(always(http_response(200, document)), b"") as server:
        table = account(provider, f"http://127.0.0.1:{server.port}", list_max_bytes=256 * 1024)
        with service_for(a=table) as service:
            result = service.perform("a", Command(Action.LIST))
        assert server.request_count == result.attempts
    assert_result(result, LONG_LIST, provider)
