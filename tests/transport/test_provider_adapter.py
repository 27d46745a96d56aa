"""The transport adapter as requests documents it: in a Session, with its exceptions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Any

import pytest
import requests
from support import free_port, run_upstream
from support.raw_server import Peer, RawServer, always, http_response

from adapter.settings.model import TransportSettings
from adapter.transport import sockets
from adapter.transport.client import Transport
from adapter.transport.errors import ConnectError
from adapter.transport.provider_adapter import ProviderAdapter
from adapter.transport.sockets import no_time_limit, resolve

GOOD = http_response(200, {"a": 1})


@contextmanager
def session_for(base_url: str, **settings: Any) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        adapter = ProviderAdapter(base_url, TransportSettings(**{"deadline": 5.0, **settings}))
        session.mount(base_url, adapter)
        yield session


def test_a_session_sends_through_it_over_one_connection() -> None:
    with RawServer(always(GOOD), GOOD) as server:
        address = f"http://127.0.0.1:{server.port}"
        with session_for(address) as session:
            check_three_calls(session, address)
        assert server.connections == 1
        assert server.requests[0].startswith(b"POST /x?y=1 HTTP/1.1\r\n")
        assert server.requests[0].endswith(b'\r\n\r\n{"b": 2}')


def check_three_calls(session: requests.Session, address: str) -> None:
    for _ in range(3):
        response = session.post(f"{address}/x?y=1#z", json={"b": 2})
        assert (response.status_code, response.json()) == (200, {"a": 1})
        assert response.headers["CONTENT-LENGTH"] == str(len(response.content))
        assert response.url == f"{address}/x?y=1#z"


def test_a_response_of_a_stream_holds_its_connection_until_it_is_released() -> None:
    with RawServer(always(GOOD), GOOD) as server:
        address = f"http://127.0.0.1:{server.port}"
        with session_for(address) as session:
            first = session.get(address, stream=True)
            session.get(address)
            assert server.connections == 2
            first.raw.release(keep=True)  # type: ignore[union-attr]
            first.raw.release(keep=True)  # type: ignore[union-attr]
            assert first.content == b'{"a": 1}'
            first.close()
            for _ in range(3):
                session.get(address)
            assert server.connections == 2
            session.get(address, stream=True).close()
            session.get(address, stream=True).close()
            session.get(address)
            assert server.connections == 3


@pytest.mark.parametrize("body", [None, b"bytes", "text é"])
def test_a_body_is_bytes_text_or_none(body: Any) -> None:
    with run_upstream() as upstream, session_for(upstream.address) as session:
        session.post(upstream.address, data=body)
        assert upstream.connections == 1


def test_a_body_that_is_a_file_is_refused_before_anything_is_sent() -> None:
    with run_upstream() as upstream, session_for(upstream.address) as session:
        with pytest.raises(requests.RequestException):
            session.post(upstream.address, data=iter([b"x"]))
        assert upstream.connections == 0


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:{other}/x", "http://localhost:{port}/x", "https://127.0.0.1:{port}/x"],
)
def test_no_request_leaves_the_base_url(url: str) -> None:
    with run_upstream() as upstream, run_upstream() as other:
        port, others = (each.address.rpartition(":")[2] for each in (upstream, other))
        adapter = ProviderAdapter(upstream.address, TransportSettings())
        request = requests.Request("GET", url.format(port=port, other=others)).prepare()
        with pytest.raises(requests.exceptions.InvalidURL):
            adapter.send(request)
        assert upstream.connections == other.connections == 0


def test_a_url_written_otherwise_is_still_of_the_base_url() -> None:
    with run_upstream() as upstream:
        adapter = ProviderAdapter(f"{upstream.address}/base", TransportSettings())
        port = upstream.address.rpartition(":")[2]
        for url in (f"HTTP://127.0.0.1:{port}", f"http://127.0.0.1:0{port}?q"):
            request = requests.PreparedRequest()
            request.method, request.url = "GET", url
            request.headers = requests.structures.CaseInsensitiveDict()
            assert adapter.send(request).status_code == 200
        assert [each.path for each in upstream.seen] == ["/", "/?q"]
        adapter.close()


def test_a_header_cannot_add_a_line() -> None:
    with run_upstream() as upstream:
        adapter = ProviderAdapter(upstream.address, TransportSettings())
        for name, value in (("X", "y\r\nZ: z"), ("X\nZ", "y"), ("X", "y\rz")):
            request = requests.PreparedRequest()
            request.method, request.url = "GET", upstream.address
            request.headers = {name: value}  # type: ignore[assignment]
            with pytest.raises(requests.exceptions.InvalidHeader):
                adapter.send(request)
        assert upstream.connections == 0


@pytest.mark.parametrize(
    ("method", "path", "value"),
    [("GET", "/a b", "y"), ("GET", "/a\r\nX: y", "y"), ("GET /", "/", "y"), ("GET", "/", "é")],
)
def test_what_http_cannot_carry_is_not_sent(method: str, path: str, value: str) -> None:
    with run_upstream() as upstream:
        adapter = ProviderAdapter(upstream.address, TransportSettings())
        request = requests.PreparedRequest()
        request.method, request.url = method, f"{upstream.address}{path}"
        request.headers = {"X": value}  # type: ignore[assignment]
        with pytest.raises(requests.RequestException):
            adapter.send(request)
        assert upstream.connections == 0


def silence(peer: Peer) -> None:
    peer.read_request()
    peer.stay_silent()


@pytest.mark.parametrize("timeout", [0.2, (5.0, 0.2)])
def test_a_timeout_is_a_deadline_and_one_of_requests_exceptions(timeout: Any) -> None:
    with RawServer(silence, GOOD) as server:
        address = f"http://127.0.0.1:{server.port}"
        with session_for(address) as session:
            started = time.monotonic()
            with pytest.raises(requests.Timeout):
                session.get(address, timeout=timeout)
            assert time.monotonic() - started < 4


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", requests.ConnectionError),
        (b"220 smtp\r\n\r\n", requests.RequestException),
    ],
)
def test_a_failure_is_one_of_requests_exceptions(response: bytes, error: type[Exception]) -> None:
    def once(peer: Peer) -> None:
        if peer.read_request():
            peer.write(response)

    with RawServer(once, GOOD) as server:
        address = f"http://127.0.0.1:{server.port}"
        with session_for(address) as session, pytest.raises(error):
            session.get(address)


def test_a_refused_connection_is_a_connection_error() -> None:
    address = f"http://127.0.0.1:{free_port()}"
    with session_for(address) as session, pytest.raises(requests.ConnectionError):
        session.get(address)


# --- the time limit of a DNS lookup


class Limit(AbstractContextManager[None]):
    """A time limit that has passed when its block begins."""

    def __init__(self, seconds: float, error: BaseException) -> None:
        self.seconds = seconds
        self.error = error
        given.append(self)

    def __enter__(self) -> None:
        raise self.error

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        return


given: list[Limit] = []


@pytest.fixture(autouse=True)
def _forget() -> None:
    given.clear()


def test_a_lookup_ends_at_its_time_limit_with_nothing_sent() -> None:
    with pytest.raises(ConnectError):
        resolve("localhost", 80, time.monotonic() + 3, Limit)
    assert 2 < given[0].seconds <= 3


def test_an_address_needs_no_lookup_and_no_time_limit() -> None:
    assert resolve("127.0.0.1", 80, 0.0, Limit)[0][4] == ("127.0.0.1", 80)
    assert given == []


@pytest.mark.parametrize(
    "proxy", [None, "http://proxy.invalid", "socks5://127.0.0.1:9", "socks5h://proxy.invalid"]
)
def test_every_lookup_of_a_connection_has_the_time_limit(proxy: str | None) -> None:
    settings = TransportSettings(connect_timeout=0.5, proxy=proxy)
    adapter = ProviderAdapter("https://provider.invalid", settings, Limit)
    request = requests.Request("GET", "https://provider.invalid/").prepare()
    with pytest.raises(ConnectError):
        adapter.send(request)
    assert [each.seconds for each in given] == [pytest.approx(0.5, abs=0.1)]


def test_the_time_limit_of_a_transport_is_that_of_its_connections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[Any] = []

    def record(*args: Any) -> Any:
        seen.append(args[3])
        raise ConnectError("recorded")

    monkeypatch.setattr("adapter.transport.provider_adapter.open_socket", record)
    transport = Transport("http://localhost", TransportSettings())
    assert transport.time_limit is no_time_limit
    transport.time_limit = Limit
    from adapter.plugin import HttpRequest

    transport.send(HttpRequest("GET", "/"), "r")
    transport.close()
    assert seen == [Limit]
    assert sockets.no_time_limit(1.0, TimeoutError()).__enter__() is None
