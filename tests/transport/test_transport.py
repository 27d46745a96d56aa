"""The transport against real sockets: whatever a server does, the answer is a true value."""

from __future__ import annotations

import gzip
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from support import free_port, run_upstream

from adapter import (
    Applied,
    Code,
    ConfigurationError,
    Headers,
    HttpRequest,
    HttpResponse,
    Outcome,
    PluginError,
    Secret,
)
from adapter.client import connect
from adapter.header_rules import OUR_HEADERS, HeaderOwner
from adapter.settings.model import MAX_BODY, TransportSettings
from adapter.transport.attempt import Attempt
from adapter.transport.client import Transport

CANARY = "canary-token-4711"
POST = HttpRequest("POST", "/block", Headers({"Authorization": f"Bearer {CANARY}"}), json={"a": 1})

Script = Callable[[socket.socket], None]


class Server:
    """A server that reads each request whole and then does what its script says."""

    def __init__(self, script: Script, wrap: Callable[[socket.socket], socket.socket]) -> None:
        self._script = script
        self._wrap = wrap
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self.connections = 0
        self.requests: list[bytes] = []
        self.closing = threading.Event()
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self.closing.is_set():
                connection.close()
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(20)
        with suppress(OSError), connection, self._wrap(connection) as wrapped:
            if self._read(wrapped):
                self._script(wrapped)

    def _read(self, connection: socket.socket) -> bool:
        data = b""
        while b"\r\n\r\n" not in data:
            chunk = connection.recv(65536)
            if not chunk:
                return False
            data += chunk
        head, _, body = data.partition(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        while len(body) < length:
            body += connection.recv(65536)
        self.requests.append(head + b"\r\n\r\n" + body)
        return True

    def close(self) -> None:
        self.closing.set()
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
            pass
        self._accepting.join(10)
        for thread in self._threads:
            thread.join(10)
        self._listener.close()


@contextmanager
def serve(
    script: Script, wrap: Callable[[socket.socket], socket.socket] = lambda plain: plain
) -> Iterator[Server]:
    server = Server(script, wrap)
    try:
        yield server
    finally:
        server.close()


def says(answer: bytes) -> Script:
    return lambda connection: connection.sendall(answer)


def http(status: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@contextmanager
def transport(address: str, **settings: Any) -> Iterator[Transport]:
    opened = Transport(address, TransportSettings(**{"deadline": 5.0, **settings}))
    try:
        yield opened
    finally:
        opened.close()


def send(address: str, request: HttpRequest = POST, **settings: Any) -> HttpResponse | Outcome:
    with transport(address, **settings) as opened:
        return opened.send(request, "r-1")


def failure(address: str, request: HttpRequest = POST, **settings: Any) -> Outcome:
    answer = send(address, request, **settings)
    assert isinstance(answer, Outcome)
    assert CANARY not in repr(answer)
    return answer


# --- what is sent


def test_a_request_goes_out_exactly_as_it_was_built() -> None:
    with serve(says(http("200 OK", b"{}"))) as server:
        answer = send(f"{server.address}/base", POST)
    assert answer == HttpResponse(
        200, Headers({"Content-Length": "2", "Connection": "close"}), b"{}"
    )
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
def test_a_path_is_sent_as_it_is_written(path: str) -> None:
    with serve(says(http("204 No Content"))) as server:
        answer = send(server.address, HttpRequest("POST", path))
        assert isinstance(answer, HttpResponse)
    assert server.requests[0].split(b"\r\n")[0] == f"POST {path} HTTP/1.1".encode()


@pytest.mark.parametrize(
    "path",
    ["/a/../b", "/..", "/./a", "/a/%2e%2e/../b", "/a b", "/é", "/a#b", "/%zz", "//a", "/a?b"],
)
def test_a_path_that_would_be_rewritten_is_not_sent_at_all(path: str) -> None:
    with serve(says(http("204 No Content"))) as server:
        with pytest.raises(PluginError):
            send(server.address, HttpRequest("POST", path))
        assert server.connections == 0


@pytest.mark.parametrize("path", ["@127.0.0.1:{port}/x", "@127.0.0.1:{port}"])
def test_a_path_never_changes_the_server(path: str) -> None:
    with run_upstream() as other, serve(says(http("204 No Content"))) as server:
        port = other.address.rpartition(":")[2]
        with suppress(PluginError):
            send(server.address, HttpRequest("POST", path.format(port=port), POST.headers))
        assert other.connections == 0


def test_a_query_is_sent_encoded() -> None:
    with serve(says(http("200 OK"))) as server:
        send(server.address, HttpRequest("GET", "/x", query={"q": "a b&c", "n": "+55"}))
    assert server.requests[0].startswith(b"GET /x?q=a+b%26c&n=%2B55 HTTP/1.1\r\n")


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_body_is_never_sent_without_its_length(method: str) -> None:
    with serve(says(http("204 No Content"))) as server:
        send(server.address, HttpRequest(method, "/x", json={"a": 1}))
    assert b"\r\nContent-Length: 7\r\n" in server.requests[0]
    assert server.requests[0].endswith(b'\r\n\r\n{"a":1}')


def test_no_header_is_sent_twice_in_whatever_case_a_provider_writes_it() -> None:
    headers = Headers({"content-type": "text/x", "x-request-id": "theirs", "accept": "*/*"})
    with serve(says(http("204 No Content"))) as server:
        send(server.address, HttpRequest("POST", "/x", headers, json={"a": 1}))
    lines = server.requests[0].partition(b"\r\n\r\n")[0].lower().split(b"\r\n")[1:]
    names = [line.partition(b":")[0] for line in lines]
    assert len(names) == len(set(names))
    assert b"x-request-id: r-1" in lines


def test_a_request_without_a_body_says_so() -> None:
    with serve(says(http("204 No Content"))) as server:
        send(server.address, HttpRequest("POST", "/x"))
    head, _, body = server.requests[0].lower().partition(b"\r\n\r\n")
    assert b"content-length: 0" in head
    assert b"content-type" not in head
    assert body == b""


@pytest.mark.parametrize(
    "written",
    [
        pytest.param("http://LOCALHOST:{port}", id="a host in capitals"),
        pytest.param("HTTP://127.0.0.1:{port}", id="a scheme in capitals"),
        pytest.param("http://127.0.0.1:0{port}", id="a port with a zero in front"),
        pytest.param("http://127.0.0.1:{port}/a/./b", id="a dot in the path"),
        pytest.param('http://127.0.0.1:{port}/a"b', id="a quote in the path"),
        pytest.param("http://127.0.0.1:{port}/a//b", id="two slashes in the path"),
    ],
)
def test_an_address_that_the_configuration_takes_can_be_called(written: str) -> None:
    with run_upstream() as upstream:
        upstream.status = 204
        port = int(upstream.address.rpartition(":")[2])
        account = {
            "provider": "session-gateway",
            "base_url": written.format(port=port),
            "token": Secret("t"),
            "session": "s",
        }
        try:
            contacts = connect({"accounts": {"a": account}})
        except ConfigurationError:
            return  # refused at start, which is as good
        with contacts:
            assert contacts.block("+5511999999999").ok


# --- answers


@pytest.mark.parametrize("status", [200, 201, 204, 400, 401, 404, 409, 422, 429, 500, 501, 503])
def test_every_answer_is_handed_on_as_it_came(status: int) -> None:
    body = b"" if status == 204 else b'{"x": 1}'
    with serve(says(http(f"{status} Whatever", body, "Retry-After: 3", "X-Y: z"))) as server:
        answer = send(server.address)
    assert isinstance(answer, HttpResponse)
    assert (answer.status, answer.body) == (status, body)
    assert answer.headers["retry-after"] == "3"


def test_a_chunked_answer_is_read_whole() -> None:
    answer = (
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{"x\r\n5\r\n": 1}\r\n0\r\n\r\n'
    )
    with serve(says(answer)) as server:
        assert getattr(send(server.address), "body", None) == b'{"x": 1}'


def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    with serve(says(b"HTTP/1.1 200 OK\r\n\r\n{}")) as server:
        assert getattr(send(server.address), "body", None) == b"{}"


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 305, 306, 307, 308, 399])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_redirect_is_never_followed(status: int, method: str) -> None:
    with run_upstream() as other:
        location = f"Location: {other.address}/elsewhere"
        with serve(says(http(f"{status} Moved", b"", location))) as server:
            answer = send(server.address, HttpRequest(method, "/x", POST.headers))
            assert server.connections == 1
        assert isinstance(answer, HttpResponse)
        assert answer.status == status
        assert other.connections == 0


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (301, Code.PROVIDER_MISADDRESSED),
        (302, Code.PROVIDER_MISADDRESSED),
        (303, Code.PROVIDER_MISADDRESSED),
        (307, Code.PROVIDER_REDIRECTED),
        (308, Code.PROVIDER_REDIRECTED),
    ],
)
def test_a_redirect_is_told_as_one(status: int, code: Code) -> None:
    with run_upstream() as other, run_upstream() as upstream:
        upstream.will_answer(status, {"success": True}, {"Location": f"{other.address}/x"})
        account = {"provider": "wuts", "base_url": upstream.address, "token": Secret(CANARY)}
        with connect({"accounts": {"a": account}}) as contacts:
            result = contacts.block("+5511999999999")
        assert result.code is code
        assert result.envelope()["meta"]["upstream"]["status"] == status
        assert len(upstream.seen) == 1
        assert other.connections == 0


def test_the_body_of_a_redirect_is_not_waited_for() -> None:
    waiting = threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 100\r\n\r\n")
        waiting.wait(20)

    with serve(drip) as server:
        answer = send(server.address)
        waiting.set()
    assert isinstance(answer, HttpResponse)
    assert answer.status == 302


def test_cookies_are_refused() -> None:
    cookie = "Set-Cookie: session=1; Path=/"
    answer = says(http("200 OK", b"{}", cookie))
    with serve(answer) as server, transport(server.address) as opened:
        opened.send(POST, "r-1")
        opened.send(POST, "r-2")
    assert len(server.requests) == 2
    assert all(b"cookie" not in request.lower() for request in server.requests)


# --- what goes wrong


def test_a_refused_connection_is_unreachable_and_nothing_was_applied() -> None:
    outcome = failure(f"http://127.0.0.1:{free_port()}")
    assert outcome.code is Code.PROVIDER_UNREACHABLE
    assert outcome.applied is Applied.NOT_APPLIED


@pytest.mark.parametrize(
    "host",
    [
        "no-such-host.invalid",
        pytest.param("a" * 64 + ".invalid", id="a label that is too long for DNS"),
        pytest.param("a..invalid", id="an empty label"),
    ],
)
def test_a_name_that_is_not_found_is_unreachable(host: str) -> None:
    assert failure(f"http://{host}").code is Code.PROVIDER_UNREACHABLE


def test_an_answer_that_does_not_come_is_a_timeout_and_nobody_knows() -> None:
    waiting = threading.Event()
    with serve(lambda _: waiting.wait(20)) as server:  # type: ignore[arg-type, return-value]
        outcome = failure(server.address, deadline=0.2, connect_timeout=0.2)
        waiting.set()
    assert outcome.code is Code.PROVIDER_TIMEOUT
    assert outcome.applied is Applied.UNKNOWN


def test_a_body_that_stops_coming_is_a_timeout() -> None:
    waiting = threading.Event()

    def stall(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{")
        waiting.wait(20)

    with serve(stall) as server:
        outcome = failure(server.address, deadline=0.2, connect_timeout=0.2)
        waiting.set()
    assert outcome.code is Code.PROVIDER_TIMEOUT


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def reset_inside(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    reset(connection)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(reset, id="a reset before the answer"),
        pytest.param(reset_inside, id="a reset inside the answer"),
        pytest.param(lambda _: None, id="a close before the answer"),
        pytest.param(
            says(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}"), id="a body that is too short"
        ),
        pytest.param(
            says(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"), id="a body that is missing"
        ),
        pytest.param(
            says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}"),
            id="a chunk that is too short",
        ),
    ],
)
def test_a_broken_connection_is_a_lost_one_and_nobody_knows(script: Script) -> None:
    with serve(script) as server:
        outcome = failure(server.address)
        assert len(server.requests) == 1
    assert outcome.code is Code.PROVIDER_CONNECTION_LOST
    assert outcome.applied is Applied.UNKNOWN


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"hello\r\n\r\n", id="no status line"),
        pytest.param(b"\x00\xff\x16\x03\x01\r\n\r\n", id="bytes"),
        pytest.param(b"HTTP/1.1 OK 200\r\n\r\n", id="a status that is no number"),
        pytest.param(b"HTTP/1.1 2000 OK\r\n\r\n", id="a status beyond three digits"),
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n", id="another protocol"),
        pytest.param(b"HTTP/1.1 200 " + b"x" * 70_000 + b"\r\n\r\n", id="an endless status line"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n", id="two hundred headers"
        ),
    ],
)
def test_what_is_not_http_is_a_bad_response(answer: bytes) -> None:
    with serve(says(answer)) as server:
        outcome = failure(server.address)
    assert outcome.code is Code.PROVIDER_BAD_RESPONSE
    assert outcome.applied is Applied.UNKNOWN


def test_a_chunk_whose_size_is_no_number_leaves_nobody_knowing() -> None:
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"
    with serve(says(answer)) as server:
        outcome = failure(server.address)
    # The parser below cannot tell garbage from a stream that was cut; both names are true.
    assert outcome.code in (Code.PROVIDER_BAD_RESPONSE, Code.PROVIDER_CONNECTION_LOST)
    assert outcome.applied is Applied.UNKNOWN


def test_an_answer_may_be_as_long_as_the_bound() -> None:
    with serve(says(http("200 OK", b"x" * MAX_BODY))) as server:
        assert len(getattr(send(server.address), "body", b"")) == MAX_BODY


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(http("200 OK", b"x" * (MAX_BODY + 1)), id="by one byte"),
        pytest.param(http("200 OK", b"x" * (4 * MAX_BODY)), id="by far"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (2 * MAX_BODY), id="without a length"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            + (b"8000\r\n" + b"x" * 0x8000 + b"\r\n") * 9
            + b"0\r\n\r\n",
            id="in chunks",
        ),
    ],
)
def test_a_response_beyond_the_bound_is_too_large(answer: bytes) -> None:
    with serve(says(answer)) as server:
        outcome = failure(server.address)
    assert outcome.code is Code.PROVIDER_RESPONSE_TOO_LARGE
    assert outcome.applied is Applied.UNKNOWN
    assert outcome.upstream_status == 200


_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("start", "rest", "code"),
    [
        pytest.param(
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"x" * 65536,
            Code.PROVIDER_RESPONSE_TOO_LARGE,
            id="a body",
        ),
        pytest.param(
            b"",
            b"HTTP/1.1 100 Continue\r\n\r\n" * 1000,
            Code.PROVIDER_BAD_RESPONSE,
            id="interim answers",
        ),
        pytest.param(
            _CHUNKED + b"0\r\n", b"X: y\r\n" * 1000, Code.PROVIDER_BAD_RESPONSE, id="trailers"
        ),
        pytest.param(
            _CHUNKED,
            b"1;" + b"x" * 60_000 + b"\r\nx\r\n",
            Code.PROVIDER_BAD_RESPONSE,
            id="extensions of chunks",
        ),
    ],
)
def test_an_endless_answer_is_not_read_to_its_end(start: bytes, rest: bytes, code: Code) -> None:
    stopped = threading.Event()

    def flood(connection: socket.socket) -> None:
        connection.sendall(start)
        try:
            while True:
                connection.sendall(rest)
        except OSError:
            stopped.set()

    with serve(flood) as server:
        assert failure(server.address).code is code
        assert stopped.wait(10)


@pytest.mark.parametrize("size", [b"-1", b"-2", b"+2", b"0x2", b"0_2", b"", b"fffffffff"])
def test_a_chunk_of_a_size_that_is_none_is_not_read(size: bytes) -> None:
    with serve(says(_CHUNKED + size + b"\r\n{}\r\n0\r\n\r\n" + b"x" * MAX_BODY)) as server:
        assert failure(server.address).applied is Applied.UNKNOWN


def test_blanks_within_a_header_cost_no_time() -> None:
    blanks = f"A: x{' ' * 60_000}y"
    with serve(says(http("200 OK", b"{}", *[blanks] * 5))) as server:
        assert isinstance(send(server.address, deadline=2.0), HttpResponse)


@pytest.mark.parametrize(
    "behind",
    [
        pytest.param(b"Content-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n", id="half an answer"),
        pytest.param(b"Content-Length: 0\r\n\r\n\r\n", id="an empty line"),
        pytest.param(b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nx", id="behind chunks"),
    ],
)
def test_a_connection_that_said_too_much_is_not_used_again(behind: bytes) -> None:
    waiting = threading.Event()

    def say(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + behind)
        waiting.wait(20)

    with serve(say) as server, transport(server.address) as opened:
        answers = [opened.send(POST, "r") for _ in range(2)]
        waiting.set()
        assert server.connections == 2
    assert all(isinstance(answer, HttpResponse) for answer in answers)


@pytest.mark.parametrize("framing", ["Content-Length: 5", "Transfer-Encoding: chunked"])
def test_a_204_ends_with_its_head_and_its_connection_where_it_announces_a_body(
    framing: str,
) -> None:
    waiting = threading.Event()

    def say(connection: socket.socket) -> None:
        connection.sendall(f"HTTP/1.1 204 No Content\r\n{framing}\r\n\r\n".encode())
        waiting.wait(20)

    with serve(say) as server, transport(server.address) as opened:
        answers = [opened.send(POST, "r") for _ in range(2)]
        waiting.set()
        assert server.connections == 2
    assert [getattr(answer, "status", None) for answer in answers] == [204, 204]


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "GZIP", "gzip, identity"])
def test_a_bomb_and_an_unknown_encoding_are_bad_responses(encoding: str) -> None:
    bomb = gzip.compress(b" " * 10_000_000)
    with serve(says(http("200 OK", bomb, f"Content-Encoding: {encoding}"))) as server:
        assert failure(server.address).code is Code.PROVIDER_BAD_RESPONSE


@pytest.mark.parametrize("encoding", ["identity", "IDENTITY"])
def test_an_answer_that_says_it_is_not_encoded_is_read(encoding: str) -> None:
    with serve(says(http("200 OK", b"{}", f"Content-Encoding: {encoding}"))) as server:
        assert getattr(send(server.address), "body", None) == b"{}"


def test_a_transport_goes_on_after_every_fault() -> None:
    scripts = iter([reset, says(b"hello\r\n\r\n"), reset_inside, says(http("204 No Content"))])
    script: Script = lambda connection: next(scripts)(connection)  # noqa: E731
    with serve(script) as server, transport(server.address) as opened:
        answers = [opened.send(POST, "r") for _ in range(4)]
    assert [getattr(answer, "status", None) for answer in answers] == [None, None, None, 204]


def test_a_closed_transport_opens_again() -> None:
    with serve(says(http("204 No Content"))) as server, transport(server.address) as opened:
        assert isinstance(opened.send(POST, "r"), HttpResponse)
        opened.close()
        assert isinstance(opened.send(POST, "r"), HttpResponse)
        assert server.connections == 2


# --- nothing from the surroundings


def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    with run_upstream() as proxy, serve(says(http("204 No Content"))) as server:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.address)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        assert isinstance(send(server.address), HttpResponse)
        assert proxy.connections == 0
        assert server.connections == 1


def test_the_proxy_of_the_configuration_is_used() -> None:
    with run_upstream() as proxy:
        answer = send("http://nowhere.invalid", proxy=proxy.address)
        assert isinstance(answer, HttpResponse)
        assert proxy.seen[0].path == "http://nowhere.invalid/block"


def test_a_proxy_that_is_not_there_makes_the_provider_unreachable() -> None:
    with serve(says(http("204 No Content"))) as server:
        outcome = failure(server.address, proxy=f"http://127.0.0.1:{free_port()}")
        assert server.connections == 0
    assert outcome.code is Code.PROVIDER_UNREACHABLE


def test_a_netrc_file_is_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password canary-netrc\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    with serve(says(http("204 No Content"))) as server:
        send(server.address, HttpRequest("POST", "/x"))
        send(server.address, POST)
    without, own = server.requests
    assert b"authorization" not in without.lower()
    assert f"Authorization: Bearer {CANARY}".encode() in own
    assert b"Basic" not in own


# --- TLS

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="makes certificates")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with self-signed certificates: good.pem, and other.pem of another host."""
    folder = tmp_path_factory.mktemp("tls")
    for name, host in (("good", "IP:127.0.0.1"), ("other", "DNS:other.example")):
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
                *("-subj", "/CN=localhost", "-addext", f"subjectAltName={host}"),
                *("-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.pem")),
            ],
            check=True,
            capture_output=True,
            timeout=60,
        )
    return folder


def tls(folder: Path, name: str = "good") -> Callable[[socket.socket], socket.socket]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    return lambda plain: context.wrap_socket(plain, server_side=True)


@needs_openssl
def test_a_certificate_of_the_configured_authority_is_trusted(certificates: Path) -> None:
    with serve(says(http("204 No Content")), tls(certificates)) as server:
        answer = send(f"https://127.0.0.1:{server.port}", ca_file=str(certificates / "good.pem"))
        assert isinstance(answer, HttpResponse)
        assert len(server.requests) == 1


@needs_openssl
def test_a_self_signed_certificate_is_refused_before_anything_is_sent(
    certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Neither would be asked: the surroundings say nothing about whom we trust.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates / "good.pem"))
    monkeypatch.setenv("CURL_CA_BUNDLE", str(certificates / "good.pem"))
    with serve(says(http("204 No Content")), tls(certificates)) as server:
        outcome = failure(f"https://127.0.0.1:{server.port}")
        assert server.requests == []
    assert outcome.code is Code.PROVIDER_TLS_ERROR
    assert outcome.applied is Applied.NOT_APPLIED


@needs_openssl
def test_a_certificate_of_another_host_is_refused_before_anything_is_sent(
    certificates: Path,
) -> None:
    with serve(says(http("204 No Content")), tls(certificates, "other")) as server:
        outcome = failure(
            f"https://127.0.0.1:{server.port}", ca_file=str(certificates / "other.pem")
        )
        assert server.requests == []
    assert outcome.code is Code.PROVIDER_TLS_ERROR


def test_tls_against_a_plain_port_is_a_tls_error() -> None:
    def hello(connection: socket.socket) -> None:
        connection.sendall(http("400 Bad Request"))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=lambda: _answer_in_clear(listener, hello))
        thread.start()
        outcome = failure(f"https://127.0.0.1:{listener.getsockname()[1]}")
        thread.join(10)
    assert outcome.code is Code.PROVIDER_TLS_ERROR
    assert outcome.applied is Applied.NOT_APPLIED


def _answer_in_clear(listener: socket.socket, script: Script) -> None:
    connection, _ = listener.accept()
    with suppress(OSError), connection:
        connection.recv(65536)
        script(connection)
        connection.recv(65536)


@needs_openssl
def test_a_tls_stream_that_breaks_after_the_request_leaves_nobody_knowing(
    certificates: Path,
) -> None:
    def garble(connection: socket.socket) -> None:
        assert isinstance(connection, ssl.SSLSocket)
        # Below the encryption: what arrives is no TLS record any more.
        with socket.socket(fileno=connection.detach()) as plain:
            plain.sendall(b"this is not TLS at all" * 10)

    with serve(garble, tls(certificates)) as server:
        outcome = failure(
            f"https://127.0.0.1:{server.port}", ca_file=str(certificates / "good.pem")
        )
        assert len(server.requests) == 1
    assert outcome.applied is Applied.UNKNOWN


# --- an attempt whose time is over


@pytest.mark.parametrize(
    ("sent", "code", "applied"),
    [
        pytest.param(False, Code.OVERLOADED, Applied.NOT_APPLIED, id="nothing was sent"),
        pytest.param(True, Code.PROVIDER_TIMEOUT, Applied.UNKNOWN, id="a page was asked for"),
    ],
)
def test_an_attempt_whose_time_is_over_sends_nothing_and_blames_nobody(
    sent: bool, code: Code, applied: Applied
) -> None:
    with serve(says(http("200 OK", b"{}"))) as server, transport(server.address) as opened:
        attempt = Attempt(time.monotonic())
        attempt.sent = sent
        outcome = opened.send(POST, "r-1", attempt)
        assert isinstance(outcome, Outcome)
        assert (outcome.code, outcome.applied) == (code, applied)
        assert attempt.health_unknown
        assert server.requests == []


# --- whose header it is


@pytest.mark.parametrize("name", OUR_HEADERS)
def test_each_of_our_headers_is_written_by_its_owner(name: str) -> None:
    request = HttpRequest("POST", "/x", Headers({name.title(): "theirs"}), json={})
    with serve(says(http("200 OK", b"{}"))) as server:
        if OUR_HEADERS[name] is HeaderOwner.WIRE:
            with pytest.raises(PluginError):
                send(server.address, request)
            assert server.requests == []
            return
        send(server.address, request)
    head = server.requests[0].partition(b"\r\n\r\n")[0].decode()
    found = [
        line.split(": ")[1] for line in head.split("\r\n") if line.lower().startswith(name + ":")
    ]
    assert len(found) == 1
    assert (found == ["theirs"]) is (OUR_HEADERS[name] is HeaderOwner.PROVIDER)


def test_a_lookup_that_outlasts_the_deadline_ends_unreachable_with_nothing_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    right = socket.getaddrinfo

    def slow(*args: Any, **options: Any) -> Any:
        time.sleep(0.3)
        return right(*args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with serve(says(http("200 OK", b"{}"))) as server:
        outcome = failure(f"http://localhost:{server.port}", deadline=0.1)
        assert (outcome.code, outcome.applied) == (
            Code.PROVIDER_UNREACHABLE,
            Applied.NOT_APPLIED,
        )
        assert server.requests == []
