"""SOCKS5 message by message: what a proxy may reply, and what becomes of it."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
from support.proxies import run_proxy

from adapter.settings.model import Proxy
from adapter.transport.errors import ProxyError
from adapter.transport.proxies import connect_through_proxy

NO_LOGIN, LOGIN = b"\x05\x00", b"\x05\x02"
CONNECTED = b"\x05\x00\x00\x01" + bytes(6)
ADDRESSES = {
    "IPv4": b"\x01" + bytes(4),
    "IPv6": b"\x04" + bytes(16),
    "a name": b"\x03\x04name",
    "an empty name": b"\x03\x00",
}


def replies(*messages: bytes, then: bytes = b"") -> Callable[[Any, socket.socket], None]:
    """Return a proxy that replies with a message to each of the client's, in single bytes."""

    def serve(proxy: Any, connection: socket.socket) -> None:
        for message in messages:
            proxy.received.append(connection.recv(65536))
            for byte in message:
                connection.sendall(bytes([byte]))
        connection.sendall(then)
        connection.recv(65536)

    return serve


def connect(proxy: Any, host: str = "host.example", login: tuple[str, str] | None = None) -> Any:
    way = Proxy("socks5h", "127.0.0.1", proxy.port, login)
    return connect_through_proxy(way, host, 443, time.monotonic() + 3, None)


@pytest.mark.parametrize("address", ADDRESSES.values(), ids=ADDRESSES)
def test_the_bytes_behind_a_reply_are_the_providers(address: bytes) -> None:
    reply = b"\x05\x00\x00" + address + b"\x01\xbb"
    with run_proxy(replies(NO_LOGIN, reply, then=b"hello")) as proxy:
        stream = connect(proxy)
        assert stream.read(100) == b"hello"
        stream.close()
    assert proxy.received == [b"\x05\x01\x00", b"\x05\x01\x00\x03\x0chost.example\x01\xbb"]


@pytest.mark.parametrize(
    ("host", "sent"),
    [
        ("10.1.2.3", b"\x01\x0a\x01\x02\x03"),
        ("::1", b"\x04" + bytes(15) + b"\x01"),
        ("bücher.example", b"\x03\x15xn--bcher-kva.example"),
    ],
)
def test_a_host_is_sent_in_its_form(host: str, sent: bytes) -> None:
    with run_proxy(replies(NO_LOGIN, CONNECTED)) as proxy:
        connect(proxy, host).close()
    assert proxy.received[1] == b"\x05\x01\x00" + sent + b"\x01\xbb"


@pytest.mark.parametrize("length", [1, 127, 128, 255])
def test_a_login_has_up_to_255_bytes(length: int) -> None:
    user, password = "u" * length, "é" * (length // 2) + "p" * (length % 2)
    with run_proxy(replies(LOGIN, b"\x01\x00", CONNECTED)) as proxy:
        connect(proxy, login=(user, password)).close()
    lengths = bytes([length])
    expected = b"\x01" + lengths + user.encode() + lengths + password.encode()
    assert proxy.received[:2] == [b"\x05\x02\x00\x02", expected]


@pytest.mark.parametrize(
    ("messages", "words", "unavailable"),
    [
        pytest.param([b"\x05\xff"], "login", False, id="no method is accepted"),
        pytest.param([LOGIN], "login", False, id="a login is wanted, and there is none"),
        pytest.param([b"\x04\x00"], "malformed", False, id="SOCKS4"),
        pytest.param([b"HTTP/1.1 400 No\r\n\r\n"], "malformed", False, id="HTTP"),
        pytest.param([b"\x05\x01"], "malformed", False, id="GSSAPI, which is not offered"),
        pytest.param([b"\x05\x09"], "malformed", False, id="an unknown method"),
        pytest.param([NO_LOGIN, b"\x04\x00\x00\x01"], "malformed", False, id="another version"),
        pytest.param([NO_LOGIN, b"\x05\x00\x00\x02"], "malformed", False, id="an unknown address"),
        pytest.param([NO_LOGIN, b"\x05\x02\x00\x01"], "not connect", False, id="not allowed"),
        pytest.param([NO_LOGIN, b"\x05\x05\x00\x01"], "not connect", True, id="refused, cut off"),
        pytest.param([NO_LOGIN, b"\x05\x63\x00\x01"], "not connect", False, id="an unknown reply"),
    ],
)
def test_a_reply_that_does_not_connect_is_named(
    messages: list[bytes], words: str, unavailable: bool
) -> None:
    with run_proxy(replies(*messages)) as proxy, pytest.raises(ProxyError) as caught:
        connect(proxy)
    assert words in caught.value.reason
    assert caught.value.unavailable is unavailable


@pytest.mark.parametrize(
    ("reply", "words"), [(b"\x01\x01", "login"), (b"\x01\xff", "login"), (b"\x05\x00", "malformed")]
)
def test_a_reply_to_a_login_that_is_no_success_is_named(reply: bytes, words: str) -> None:
    with run_proxy(replies(LOGIN, reply)) as proxy, pytest.raises(ProxyError) as caught:
        connect(proxy, login=("user", "canary"))
    assert words in caught.value.reason
    assert "canary" not in repr(caught.value)


def test_a_login_is_not_sent_to_a_proxy_that_wants_none() -> None:
    with run_proxy(replies(NO_LOGIN, CONNECTED)) as proxy:
        connect(proxy, login=("user", "canary")).close()
    assert not [each for each in proxy.received if b"canary" in each]


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a..example", f"{'a.' * 130}example"])
def test_a_name_that_socks_cannot_carry_is_named(host: str) -> None:
    with run_proxy(replies()) as proxy, pytest.raises(ProxyError) as caught:
        connect(proxy, host)
    assert "host name" in caught.value.reason


@pytest.mark.parametrize("count", range(4))
def test_a_proxy_that_closes_between_two_bytes_is_unavailable(count: int) -> None:
    def serve(proxy: Any, connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall((NO_LOGIN + CONNECTED)[:count])

    with run_proxy(serve) as proxy, pytest.raises(ProxyError) as caught:
        connect(proxy)
    assert caught.value.unavailable


# --- HTTP CONNECT


def tunnel(proxy: Any, host: str) -> Any:
    way = Proxy("http", "127.0.0.1", proxy.port)
    return connect_through_proxy(way, host, 443, time.monotonic() + 3, None)


@pytest.mark.parametrize(
    ("response", "words", "unavailable"),
    [
        (b"HTTP/1.1 403 No\r\n\r\n", "status 403", False),
        (b"HTTP/1.1 504 No\r\nContent-Length: 9\r\n\r\n", "status 504", True),
        (b"HTTP/1.1 407 No\r\n\r\n", "login", False),
        (b"HTTP/1.1 301 Moved\r\nLocation: /\r\n\r\n", "status 301", False),
        (b"hello\r\n\r\n", "malformed", False),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 20_000, "malformed", False),
        (b"HTTP/1.1 200 OK\r\n\r\nunrequested", "malformed", False),
        (b"HTTP/1.1 200 OK\r\nX", "cannot be reached", True),
    ],
)
def test_a_response_to_connect_that_is_no_success_is_named(
    response: bytes, words: str, unavailable: bool
) -> None:
    def serve(proxy: Any, connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(response)

    with run_proxy(serve) as proxy, pytest.raises(ProxyError) as caught:
        tunnel(proxy, "host.example")
    assert words in caught.value.reason
    assert caught.value.unavailable is unavailable


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.0 200 Connection established\r\n\r\n",
        b"HTTP/1.1 200\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 299 OK\r\n\r\n",
    ],
)
def test_a_success_to_connect_has_no_body(response: bytes) -> None:
    def serve(proxy: Any, connection: socket.socket) -> None:
        proxy.received.append(connection.recv(65536))
        connection.sendall(response)
        connection.sendall(connection.recv(100))

    with run_proxy(serve) as proxy:
        stream = tunnel(proxy, "::1")
        stream.write(b"echo")
        assert stream.read(100) == b"echo"
        stream.close()
    assert proxy.received[0] == b"CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n\r\n"
