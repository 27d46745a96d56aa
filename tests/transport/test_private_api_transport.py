"""Private attributes and undocumented behaviour of dependencies, one test for each.

The transport relies on them. A release that removes or changes one fails here, by name.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter
from support import TIMEOUT
from support.certificates import Authority
from support.proxies import run_proxy, socks5_proxy
from support.raw_server import Peer, RawServer, always, http_response
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util import Timeout
from urllib3.util.ssltransport import SSLTransport

OK = always(http_response(200, b"{}"))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


# --- http.client.HTTPResponse


class SocketOf:
    """A socket whose data is given."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, *_: Any) -> io.BufferedReader:
        return io.BufferedReader(io.BytesIO(self._data))


def response_of(
    data: bytes, cls: type[http.client.HTTPResponse] = http.client.HTTPResponse
) -> http.client.HTTPResponse:
    """Return a response, without its head having been read."""
    return cls(SocketOf(data), method="POST")  # type: ignore[arg-type]


def framed(response: http.client.HTTPResponse, *, chunked: bool, length: int | None) -> Any:
    """Set the framing, as RawResponse does in place of the standard library's head parser."""
    made: Any = response  # `code` is undocumented
    made.status = made.code = 200
    made.chunked, made.chunk_left, made.length = chunked, None, length
    made.will_close = False
    return made


def test_http_client_fp_is_a_buffered_reader_of_the_socket() -> None:
    response = response_of(b"HTTP/1.1 200 OK\r\nrest")
    assert response.fp.readline(1000) == b"HTTP/1.1 200 OK\r\n"
    assert response.fp.peek(1) == b"rest"


def test_http_client_length_is_counted_down_to_zero() -> None:
    response = framed(response_of(b"abcd"), chunked=False, length=4)
    assert response.read(3) == b"abc"
    assert response.length == 1
    assert response.read(3) == b"d"
    assert response.length == 0


def test_http_client_length_stays_above_zero_for_a_truncated_body() -> None:
    response = framed(response_of(b"ab"), chunked=False, length=4)
    assert response.read(3) == b"ab"
    assert response.read(3) == b""
    assert response.length == 2


def test_http_client_length_none_reads_until_the_connection_ends() -> None:
    response = framed(response_of(b"abcd"), chunked=False, length=None)
    assert response.read(3) + response.read(3) == b"abcd"


def test_http_client_chunked_selects_the_chunk_reader() -> None:
    response = framed(response_of(b"2\r\nab\r\n0\r\n\r\n"), chunked=True, length=None)
    assert response.read(10) == b"ab"


def test_http_client_chunk_left_none_starts_at_a_chunk_size() -> None:
    response = framed(response_of(b"2\r\nab\r\n0\r\n\r\n"), chunked=True, length=None)
    assert response.read(1) == b"a"
    assert response.chunk_left == 1


def test_http_client_read_next_chunk_size_is_called_for_each_chunk() -> None:
    sizes: list[int] = []

    class Counting(http.client.HTTPResponse):
        def _read_next_chunk_size(self) -> int:
            sizes.append(super()._read_next_chunk_size())  # type: ignore[misc]
            return sizes[-1]

    response = framed(
        response_of(b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", Counting), chunked=True, length=None
    )
    assert response.read(10) == b"abc"
    assert sizes == [2, 1, 0]


def test_http_client_turns_the_value_error_of_a_chunk_size_into_an_incomplete_read() -> None:
    class Malformed(http.client.HTTPResponse):
        def _read_next_chunk_size(self) -> int:
            raise ValueError

    response = framed(response_of(b"zz\r\n", Malformed), chunked=True, length=None)
    with pytest.raises(http.client.IncompleteRead):
        response.read(10)


@pytest.mark.parametrize(
    ("data", "chunked", "length"),
    [(b"abcd", False, 4), (b"", False, 0), (b"4\r\nabcd\r\n0\r\n\r\n", True, None)],
    ids=["length", "length zero", "chunked"],
)
def test_http_client_close_conn_is_called_at_the_end_of_the_body(
    data: bytes, chunked: bool, length: int | None
) -> None:
    behind: list[bytes] = []

    class Closing(http.client.HTTPResponse):
        def _close_conn(self) -> None:
            behind.append(self.fp.peek(1))
            super()._close_conn()  # type: ignore[misc]

    response = framed(response_of(data + b"behind", Closing), chunked=chunked, length=length)
    while response.read(3):
        pass
    assert behind == [b"behind"]
    assert response.fp is None


def test_http_client_will_close_is_an_attribute_that_begin_sets() -> None:
    response = response_of(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    response.begin()
    assert response.will_close is True


# --- ssl and socket


@contextmanager
def tls_connection(server: RawServer, authority: Authority) -> Iterator[ssl.SSLSocket]:
    """Connect to the server, which has a certificate of the authority.

    TLS 1.3 would send tickets after the handshake; unread, they turn a close into a reset.
    """
    context = ssl.create_default_context(cafile=str(authority.file))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection(("127.0.0.1", server.port), TIMEOUT) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
    ):
        yield secure


def test_socket_recv_can_peek_below_tls(authority: Authority) -> None:
    def script(peer: Peer) -> None:
        peer.read_some()
        peer.write(b"x")
        peer.stay_silent()

    with (
        RawServer(script, context=authority.server_context()) as server,
        tls_connection(server, authority) as secure,
    ):
        secure.settimeout(0)
        with pytest.raises(BlockingIOError):
            socket.socket.recv(secure, 1, socket.MSG_PEEK)
        secure.settimeout(TIMEOUT)
        secure.sendall(b"x")
        assert socket.socket.recv(secure, 1, socket.MSG_PEEK)
        assert secure.recv(1) == b"x"


def test_ssl_close_sends_nothing(authority: Authority) -> None:
    received: list[bytes] = []
    ended = threading.Event()

    def script(peer: Peer) -> None:
        peer.read_some()
        with peer.detach_from_tls() as plain:
            plain.settimeout(TIMEOUT)
            received.append(plain.recv(100))
        ended.set()

    with RawServer(script, context=authority.server_context()) as server:
        with tls_connection(server, authority) as secure:
            secure.sendall(b"x")
        assert ended.wait(TIMEOUT)
    assert received == [b""], "a child process would end the TLS session of its parent"


GEVENT = """
import sys, gevent.monkey
gevent.monkey.patch_all()
import socket, ssl, gevent
waits = []

class Counting(socket.socket):
    def _wait(self, *args, **options):
        waits.append("plain")
        super()._wait(*args, **options)

class CountingTls(ssl.SSLSocket):
    def _wait(self, *args, **options):
        waits.append("tls")
        super()._wait(*args, **options)

listener = socket.create_server(("127.0.0.1", 0))
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1])

def serve():
    plain, _ = listener.accept()
    gevent.sleep(0.01)
    plain.sendall(b"x")
    with context.wrap_socket(plain, server_side=True) as secure:
        secure.recv(1)
        gevent.sleep(0.01)
        secure.sendall(b"y")
        secure.recv(1)

server = gevent.spawn(serve)
client = Counting(socket.AF_INET, socket.SOCK_STREAM)
client.connect(listener.getsockname())
waits.clear()
client.recv(1)
assert waits, "recv"
trusting = ssl.create_default_context(cafile=sys.argv[2])
trusting.sslsocket_class = CountingTls
secure = trusting.wrap_socket(client, server_hostname="127.0.0.1")
assert "tls" in waits, "do_handshake"
waits.clear()
secure.sendall(b"x")
assert secure.recv(1) == b"y"
assert "tls" in waits, "recv with TLS"
secure.close()
server.get(timeout=10)
print("good")
"""


def test_gevent_wait_is_called_by_recv_and_by_the_tls_handshake(tmp_path: Path) -> None:
    pytest.importorskip("gevent")
    import trustme

    issuer = trustme.CA()
    issuer.cert_pem.write_to_path(str(tmp_path / "issuer.pem"))
    certificate = issuer.issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    arguments = [str(tmp_path / "server.pem"), str(tmp_path / "issuer.pem")]
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", GEVENT, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.stdout == "good\n", ran.stderr


# --- urllib3


class Stop(Exception):  # noqa: N818 - ends a connection where a test has seen enough
    """Raised in place of a connection."""


def test_urllib3_connection_connect_calls_new_conn() -> None:
    class Connection(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            raise Stop

    with pytest.raises(Stop):
        Connection("127.0.0.1", 9).connect()


@pytest.mark.parametrize("host", ["example.com", "example.com.", "127.0.0.1", "::1"])
def test_urllib3_connection_dns_host_is_the_host_to_resolve(host: str) -> None:
    assert HTTPConnection(host, 9)._dns_host == host


def test_urllib3_pool_dns_host_has_no_brackets() -> None:
    pool = urllib3.HTTPConnectionPool("::1", 9)
    connection: Any = pool._new_conn()
    assert connection._dns_host.strip("[]") == "::1"


def test_urllib3_pool_new_conn_creates_an_unconnected_connection_of_its_class() -> None:
    class Connection(HTTPConnection):
        pass

    class Pool(urllib3.HTTPConnectionPool):
        ConnectionCls = Connection

    connection: Any = Pool("127.0.0.1", 9)._new_conn()
    assert isinstance(connection, Connection)
    assert connection.sock is None
    assert connection.port == 9


def test_urllib3_pool_new_conn_passes_the_ssl_context_on() -> None:
    class Connection(HTTPSConnection):
        pass

    class Pool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Connection

    context = ssl.create_default_context()
    connection: Any = Pool("127.0.0.1", 9, ssl_context=context)._new_conn()
    assert isinstance(connection, Connection)
    assert connection.ssl_context is context


@contextmanager
def tls_in_tls(authority: Authority) -> Iterator[tuple[SSLTransport, Callable[[bytes], None]]]:
    """Yield the client's end of TLS within TLS, and a function that writes at the server's end."""
    client, server = socket.socketpair()
    outer = ssl.create_default_context(cafile=str(authority.file))
    found: list[Any] = []

    def serve() -> None:
        below = authority.server_context().wrap_socket(server, server_side=True)
        found.extend((below, SSLServer(below, authority.server_context())))

    thread = threading.Thread(target=serve)
    thread.start()
    secure = outer.wrap_socket(client, server_hostname="127.0.0.1")
    transport = SSLTransport(secure, outer, "127.0.0.1")
    thread.join(TIMEOUT)
    below, within = found
    try:
        yield transport, within.sendall
    finally:
        transport.close()
        below.close()


class SSLServer:
    """The server's end of TLS within TLS, which urllib3 does not have."""

    def __init__(self, below: ssl.SSLSocket, context: ssl.SSLContext) -> None:
        self._below = below
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                self._incoming.write(below.recv(65536))
            else:
                break
        self._flush()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._below.sendall(self._outgoing.read())

    def sendall(self, data: bytes) -> None:
        self._tls.write(data)
        self._flush()


def test_urllib3_ssltransport_socket_is_the_socket_below(authority: Authority) -> None:
    with tls_in_tls(authority) as (transport, _):
        assert isinstance(transport.socket, ssl.SSLSocket)


def test_urllib3_ssltransport_sslobj_counts_decrypted_bytes(authority: Authority) -> None:
    with tls_in_tls(authority) as (transport, write):
        write(b"abc")
        assert transport.recv(1) == b"a"
        assert transport.sslobj.pending() == 2


def test_urllib3_ssltransport_incoming_counts_bytes_that_were_not_decrypted(
    authority: Authority,
) -> None:
    with tls_in_tls(authority) as (transport, write):
        write(b"abc")
        assert transport.recv(3) == b"abc"
        assert transport.incoming.pending == 0
        transport.incoming.write(b"encrypted")
        assert transport.incoming.pending == 9


def test_urllib3_ssltransport_reads_the_socket_below_by_recv(authority: Authority) -> None:
    reads: list[int] = []

    class Below(ssl.SSLSocket):
        def recv(self, *args: Any) -> bytes:
            data = super().recv(*args)
            reads.append(len(data))
            return data

    with tls_in_tls(authority) as (transport, write):
        transport.socket.__class__ = Below
        write(b"abc")
        assert transport.recv(3) == b"abc"
    assert reads


# --- requests


class Pool:
    """A pool that records how it is called."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    def urlopen(self, **options: Any) -> str:
        self.calls.append(options)
        return "response"


class Adapter(HTTPAdapter):
    """An adapter with the overridden methods of ProviderAdapter."""

    def __init__(self) -> None:
        super().__init__(max_retries=0)
        self.pool = Pool()

    def get_connection_with_tls_context(self, *_: Any, **__: Any) -> Any:
        return self.pool

    def get_connection(self, *_: Any, **__: Any) -> Any:
        return self.pool

    def cert_verify(self, *_: Any, **__: Any) -> None:
        pass

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:
        return f"target of {request.url}"

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> Any:
        return f"built {resp}"


class BareTimeout(Timeout):
    """A timeout that has not called `Timeout.__init__`."""

    def __init__(self) -> None:
        pass


def unprepared() -> requests.PreparedRequest:
    """Return a request whose attributes are set without `prepare`."""
    request = requests.PreparedRequest()
    request.method = "POST"
    request.url = "/path"
    request.headers = {"Content-Length": "1"}  # type: ignore[assignment]
    request.body = b"x"
    return request


def test_requests_adapter_sends_an_unprepared_request() -> None:
    adapter = Adapter()
    assert adapter.send(unprepared(), timeout=BareTimeout()) == "built response"  # type: ignore[arg-type, comparison-overlap]
    [call] = adapter.pool.calls
    assert (call["method"], call["url"]) == ("POST", "target of /path")
    assert (call["body"], call["headers"]) == (b"x", {"Content-Length": "1"})


def test_requests_adapter_passes_a_timeout_object_through() -> None:
    adapter, timeout = Adapter(), BareTimeout()
    adapter.send(unprepared(), timeout=timeout)  # type: ignore[arg-type]
    assert adapter.pool.calls[0]["timeout"] is timeout


def test_requests_adapter_gets_its_pool_from_the_overridden_method() -> None:
    newest = hasattr(HTTPAdapter, "get_connection_with_tls_context")
    name = "get_connection_with_tls_context" if newest else "get_connection"
    called: list[str] = []

    class Recording(Adapter):
        def get_connection_with_tls_context(self, *_: Any, **__: Any) -> Any:
            called.append("get_connection_with_tls_context")
            return self.pool

        def get_connection(self, *_: Any, **__: Any) -> Any:
            called.append("get_connection")
            return self.pool

    Recording().send(unprepared(), timeout=BareTimeout())  # type: ignore[arg-type]
    assert called == [name]


def test_requests_adapter_wraps_an_oserror_and_keeps_it_in_args() -> None:
    adapter = Adapter()
    cause = ConnectionResetError()

    def fail(**_: Any) -> str:
        raise cause

    adapter.pool.urlopen = fail  # type: ignore[method-assign]
    with pytest.raises(requests.ConnectionError) as caught:
        adapter.send(unprepared(), timeout=BareTimeout())  # type: ignore[arg-type]
    assert caught.value.args[0] is cause


# --- PySocks


def socks_error(status: int) -> Any:
    """Return what PySocks raises for a proxy that replies with this status."""
    socks: Any = pytest.importorskip("socks")
    with run_proxy(socks5_proxy, status=status) as proxy, socks.socksocket() as connecting:
        connecting.set_proxy(socks.SOCKS5, "127.0.0.1", proxy.port)
        with pytest.raises(socks.ProxyError) as caught:
            connecting.connect(("host.invalid", 9))
    return caught.value


@pytest.mark.parametrize("status", range(1, 9))
def test_pysocks_error_text_starts_with_the_reply_code(status: int) -> None:
    socks: Any = pytest.importorskip("socks")
    error = socks_error(status)
    while error.socket_err is not None:
        error = error.socket_err
    assert isinstance(error, socks.SOCKS5Error)
    assert str(error).startswith(f"0x{status:02x}: ")


def test_pysocks_socket_err_is_the_wrapped_error() -> None:
    socks: Any = pytest.importorskip("socks")
    cause = OSError()
    assert socks.ProxyError("text", cause).socket_err is cause
    assert socks.ProxyError("text").socket_err is None


def test_pysocks_login_error_has_a_type_of_its_own() -> None:
    socks: Any = pytest.importorskip("socks")
    with run_proxy(socks5_proxy, login=True) as proxy, socks.socksocket() as connecting:
        connecting.set_proxy(socks.SOCKS5, "127.0.0.1", proxy.port, username="u", password="p")
        with pytest.raises(socks.ProxyError) as caught:
            connecting.connect(("host.invalid", 9))
    error: Any = caught.value
    while error.socket_err is not None:
        error = error.socket_err
    assert isinstance(error, socks.SOCKS5AuthError)


def test_pysocks_reads_the_handshake_by_recv_into() -> None:
    socks: Any = pytest.importorskip("socks")
    reads: list[int] = []

    class Counting(socks.socksocket):  # type: ignore[misc]
        def recv_into(self, *args: Any) -> int:
            count: int = super().recv_into(*args)
            reads.append(count)
            return count

    with (
        RawServer(OK) as server,
        run_proxy(socks5_proxy) as proxy,
        Counting() as connecting,
    ):
        connecting.set_proxy(socks.SOCKS5, "127.0.0.1", proxy.port)
        connecting.connect(("127.0.0.1", server.port))
    assert sum(reads) == 2 + 10  # the chosen method, and a reply with an IPv4 address


def test_pysocks_raises_a_value_error_for_a_host_name_that_is_too_long() -> None:
    socks: Any = pytest.importorskip("socks")
    with run_proxy(socks5_proxy) as proxy, socks.socksocket() as connecting:
        connecting.set_proxy(socks.SOCKS5, "127.0.0.1", proxy.port, rdns=True)
        with pytest.raises((ValueError, socks.ProxyError)) as caught:
            connecting.connect(("a" * 300, 9))
    error: Any = caught.value
    while isinstance(error, socks.ProxyError) and error.socket_err is not None:
        error = error.socket_err
    assert isinstance(error, ValueError)
