"""Requests on the wire: target, headers, body, and nothing from the environment."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import free_port, run_upstream
from support.raw_server import RawServer, always, http_response, once
from support.transports import CANARY, POST, open_transport, send, send_failing, send_ok

from adapter import Code, ConfigurationError, PluginError, Secret
from adapter.client import connect
from adapter.header_rules import RESERVED_HEADERS, HeaderOwner
from adapter.plugin import Headers, HttpRequest, HttpResponse

NO_CONTENT = once(http_response(204))


def head_of(server: RawServer) -> str:
    """Return the head of the only request."""
    [request] = server.requests
    return request.partition(b"\r\n\r\n")[0].decode() + "\r\n"


def test_the_request_is_sent_as_built() -> None:
    with RawServer(once(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")) as server:
        response = send(f"{server.address}/base", POST)
    assert response == HttpResponse(200, Headers({"Content-Length": "2"}), b"{}")
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    assert first == "POST /base/block HTTP/1.1"
    assert body == b'{"a":1}'
    assert headers.pop("user-agent").startswith("contact-adapter/")
    assert headers == {
        "host": f"127.0.0.1:{server.port}",
        "accept": "application/json",
        "accept-encoding": "identity",
        "authorization": f"Bearer {CANARY}",
        "content-type": "application/json",
        "content-length": "7",
        "x-request-id": "r-1",
    }


# --- the request target


@pytest.mark.parametrize(
    "path",
    [
        "/contacts/5511999999999@s.whatsapp.net/block",
        "/a%2Fb",
        "/a%20b",
        "/a:b@c.us",
        "/caf%C3%A9",
        "/%7Ea",
        "/a//b",
        "/a/",
        "/+1",
        "/...",
        "/a=b;c,d",
    ],
)
def test_a_valid_path_is_sent_unchanged(path: str) -> None:
    with RawServer(NO_CONTENT) as server:
        send_ok(server.address, HttpRequest("POST", path))
    assert head_of(server).startswith(f"POST {path} HTTP/1.1\r\n")


@pytest.mark.parametrize(
    "path",
    ["/a/../b", "/..", "/./a", "/a/%2e%2e/../b", "/a b", "/é", "/a#b", "/%zz", "//a", "/a?b"],
)
def test_a_path_that_would_be_rewritten_is_not_sent(path: str) -> None:
    with RawServer(NO_CONTENT) as server:
        with pytest.raises(PluginError):
            send(server.address, HttpRequest("POST", path))
        assert server.connections == 0


@pytest.mark.parametrize("path", ["@127.0.0.1:{port}/x", "@127.0.0.1:{port}"])
def test_a_path_cannot_change_the_server(path: str) -> None:
    with run_upstream() as other, RawServer(NO_CONTENT) as server:
        port = other.address.rpartition(":")[2]
        with pytest.raises(PluginError):
            send(server.address, HttpRequest("POST", path.format(port=port), POST.headers))
        assert other.connections == 0
        assert server.connections == 0


def test_a_query_is_sent_encoded() -> None:
    with RawServer(NO_CONTENT) as server:
        send_ok(server.address, HttpRequest("GET", "/x", query={"q": "a b&c", "n": "+55"}))
    assert head_of(server).startswith("GET /x?q=a+b%26c&n=%2B55 HTTP/1.1\r\n")


def gateway(base_url: str) -> dict[str, object]:
    """Return a configuration with one account."""
    options = {"token": Secret("t"), "session": "s"}
    account = {"provider": "session-gateway", "base_url": base_url, **options}
    return {"accounts": {"a": account}}


@pytest.mark.parametrize(
    "base_url",
    [
        pytest.param("http://LOCALHOST:{port}", id="upper-case host"),
        pytest.param("HTTP://127.0.0.1:{port}", id="upper-case scheme"),
        pytest.param("http://127.0.0.1:0{port}", id="port with a leading zero"),
        pytest.param("http://127.0.0.1:{port}/a//b", id="two slashes in the path"),
    ],
)
def test_an_unusual_base_url_can_be_called(base_url: str) -> None:
    with RawServer(NO_CONTENT) as server:
        with connect(gateway(base_url.format(port=server.port))) as client:
            assert client.block("+5511999999999").ok
        assert server.request_count == 1


@pytest.mark.parametrize(
    "base_url",
    [
        pytest.param("http://127.0.0.1:80/a/./b", id="dot segment in the path"),
        pytest.param('http://127.0.0.1:80/a"b', id="quote in the path"),
    ],
)
def test_a_base_url_that_would_be_rewritten_is_a_configuration_error(base_url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        connect(gateway(base_url))
    assert [problem.path for problem in caught.value.problems] == ["accounts.a.base_url"]


# --- headers and body


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_body_is_sent_with_its_length(method: str) -> None:
    with RawServer(NO_CONTENT) as server:
        send_ok(server.address, HttpRequest(method, "/x", json={"a": 1}))
    assert "\r\nContent-Length: 7\r\n" in head_of(server)
    assert server.requests[0].endswith(b'\r\n\r\n{"a":1}')


def test_a_request_without_a_body_has_length_zero_and_no_content_type() -> None:
    with RawServer(NO_CONTENT) as server:
        send_ok(server.address, HttpRequest("POST", "/x"))
    head, _, body = server.requests[0].lower().partition(b"\r\n\r\n")
    assert b"content-length: 0" in head
    assert b"content-type" not in head
    assert body == b""


def test_no_header_is_sent_twice_in_any_case() -> None:
    headers = Headers({"content-type": "text/x", "x-request-id": "theirs", "accept": "*/*"})
    with RawServer(NO_CONTENT) as server:
        send_ok(server.address, HttpRequest("POST", "/x", headers, json={"a": 1}))
    lines = head_of(server).lower().split("\r\n")[1:]
    names = [line.partition(":")[0] for line in lines]
    assert len(names) == len(set(names))
    assert "x-request-id: r-1" in lines


@pytest.mark.parametrize("name", RESERVED_HEADERS)
def test_each_reserved_header_is_written_by_its_owner(name: str) -> None:
    request = HttpRequest("POST", "/x", Headers({name.title(): "theirs"}), json={})
    with RawServer(NO_CONTENT) as server:
        if RESERVED_HEADERS[name] is HeaderOwner.TRANSPORT:
            with pytest.raises(PluginError):
                send(server.address, request)
            assert server.requests == []
            return
        send_ok(server.address, request)
    found = [
        line.split(": ")[1]
        for line in head_of(server).split("\r\n")
        if line.lower().startswith(f"{name}:")
    ]
    assert len(found) == 1
    assert (found == ["theirs"]) is (RESERVED_HEADERS[name] is HeaderOwner.PROVIDER)


def test_cookies_are_not_sent_back() -> None:
    cookie = always(http_response(200, b"{}", "Set-Cookie: session=1; Path=/\r\n"))
    with RawServer(cookie) as server, open_transport(server.address) as transport:
        transport.send(POST, "r-1")
        transport.send(POST, "r-2")
    assert server.request_count == 2
    assert all(b"cookie" not in request.lower() for request in server.requests)


# --- the environment, and the configured proxy


def test_proxy_variables_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    with run_upstream() as proxy, RawServer(NO_CONTENT) as server:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.address)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        send_ok(server.address)
        assert proxy.connections == 0
        assert server.connections == 1


def test_the_configured_proxy_is_used() -> None:
    with run_upstream() as proxy:
        send_ok("http://nowhere.invalid", proxy=proxy.address)
        assert proxy.seen[0].path == "http://nowhere.invalid/block"


def test_an_unreachable_proxy_makes_the_provider_unreachable() -> None:
    with RawServer(NO_CONTENT) as server:
        outcome = send_failing(server.address, proxy=f"http://127.0.0.1:{free_port()}")
        assert server.connections == 0
    assert outcome.code is Code.PROVIDER_UNREACHABLE


def test_a_netrc_file_is_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password canary-netrc\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    with RawServer(NO_CONTENT) as server:
        send_ok(server.address, HttpRequest("POST", "/x"))
        send_ok(server.address, POST)
    without, own = server.requests
    assert b"authorization" not in without.lower()
    assert f"Authorization: Bearer {CANARY}".encode() in own
    assert b"Basic" not in own
