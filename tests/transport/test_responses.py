"""Responses from real sockets: framing, limits, redirects, and malformed ones."""

from __future__ import annotations

import gzip
import threading

import pytest
from support import run_upstream
from support.raw_server import Peer, RawServer, Script, always, http_response, once
from support.transports import CANARY, POST, open_transport, send_failing, send_ok

from adapter.client import connect
from adapter.plugin import Applied, Code, HttpRequest, HttpResponse, Secret
from adapter.settings.model import MAX_BODY

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("status", [200, 201, 204, 400, 401, 404, 409, 422, 429, 500, 501, 503])
def test_any_response_is_returned_as_received(status: int) -> None:
    body = b"" if status == 204 else b'{"x": 1}'
    with RawServer(once(http_response(status, body, "Retry-After: 3\r\nX-Y: z\r\n"))) as server:
        response = send_ok(server.address)
    assert (response.status, response.body) == (status, body)
    assert response.headers["retry-after"] == "3"


def test_a_chunked_response_is_read_completely() -> None:
    with RawServer(once(CHUNKED + b'3\r\n{"x\r\n5\r\n": 1}\r\n0\r\n\r\n')) as server:
        assert send_ok(server.address).body == b'{"x": 1}'


def test_a_response_without_a_length_ends_with_its_connection() -> None:
    with RawServer(once(HEAD + b"\r\n{}")) as server:
        assert send_ok(server.address).body == b"{}"


@pytest.mark.parametrize("encoding", ["identity", "IDENTITY"])
def test_the_content_encoding_identity_is_read(encoding: str) -> None:
    with RawServer(once(http_response(200, b"{}", f"Content-Encoding: {encoding}\r\n"))) as server:
        assert send_ok(server.address).body == b"{}"


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "GZIP", "gzip, identity"])
def test_a_zip_bomb_and_an_unknown_encoding_are_bad_responses(encoding: str) -> None:
    bomb = gzip.compress(b" " * 10_000_000)
    with RawServer(once(http_response(200, bomb, f"Content-Encoding: {encoding}\r\n"))) as server:
        assert send_failing(server.address).code is Code.PROVIDER_BAD_RESPONSE


# --- redirects


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 305, 306, 307, 308, 399])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_redirect_is_never_followed(status: int, method: str) -> None:
    with run_upstream() as other:
        redirect = http_response(status, b"", f"Location: {other.address}/elsewhere\r\n")
        with RawServer(once(redirect)) as server:
            response = send_ok(server.address, HttpRequest(method, "/x", POST.headers))
            assert server.connections == 1
        assert response.status == status
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
def test_the_code_of_a_redirect(status: int, code: Code) -> None:
    with run_upstream() as other, run_upstream() as upstream:
        upstream.will_answer(status, {"success": True}, {"Location": f"{other.address}/x"})
        account = {"provider": "wuts", "base_url": upstream.address, "token": Secret(CANARY)}
        with connect({"accounts": {"a": {**account, "verify": "never"}}}) as client:
            result = client.block("+5511999999999")
        assert result.code is code
        assert result.envelope()["meta"]["upstream"]["status"] == status
        assert len(upstream.seen) == 1
        assert other.connections == 0


def test_the_body_of_a_redirect_is_not_read() -> None:
    def redirect(peer: Peer) -> None:
        peer.read_request()
        peer.write(b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 100\r\n\r\n")
        peer.stay_silent()

    with RawServer(redirect) as server:
        assert send_ok(server.address).status == 302


# --- malformed responses


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"hello\r\n\r\n", id="no status line"),
        pytest.param(b"\x00\xff\x16\x03\x01\r\n\r\n", id="binary"),
        pytest.param(b"HTTP/1.1 OK 200\r\n\r\n", id="status not a number"),
        pytest.param(b"HTTP/1.1 2000 OK\r\n\r\n", id="status of four digits"),
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n", id="another protocol"),
        pytest.param(b"HTTP/1.1 200 " + b"x" * 70_000 + b"\r\n\r\n", id="endless status line"),
        pytest.param(HEAD + b"A: b\r\n" * 200 + b"\r\n", id="two hundred headers"),
    ],
)
def test_a_malformed_head_is_a_bad_response(raw: bytes) -> None:
    with RawServer(once(raw)) as server:
        outcome = send_failing(server.address)
    assert outcome.code is Code.PROVIDER_BAD_RESPONSE
    assert outcome.applied is Applied.UNKNOWN


@pytest.mark.parametrize("size", [b"zz", b"-1", b"-2", b"+2", b"0x2", b"0_2", b"", b"fffffffff"])
def test_a_malformed_or_truncated_chunk_is_a_lost_connection(size: bytes) -> None:
    with RawServer(once(CHUNKED + size + b"\r\n{}\r\n0\r\n\r\n" + b"x" * 1000)) as server:
        outcome = send_failing(server.address)
    assert outcome.code is Code.PROVIDER_CONNECTION_LOST
    assert outcome.applied is Applied.UNKNOWN


@pytest.mark.parametrize("size", [b"-1", b"fffffffff"])
def test_a_malformed_chunk_is_not_read_to_the_size_limit(size: bytes) -> None:
    with RawServer(once(CHUNKED + size + b"\r\n" + b"x" * (2 * MAX_BODY))) as server:
        assert send_failing(server.address).applied is Applied.UNKNOWN


def test_many_blanks_within_a_header_are_read_in_linear_time() -> None:
    blanks = f"A: x{' ' * 60_000}y\r\n"
    with RawServer(once(http_response(200, b"{}", blanks * 5))) as server:
        assert send_ok(server.address).body == b"{}"  # a quadratic parser exceeds the deadline


# --- size limits


def test_a_response_may_be_as_large_as_the_limit() -> None:
    with RawServer(once(http_response(200, b"x" * MAX_BODY))) as server:
        assert len(send_ok(server.address).body) == MAX_BODY


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(http_response(200, b"x" * (MAX_BODY + 1)), id="by one byte"),
        pytest.param(http_response(200, b"x" * (4 * MAX_BODY)), id="by far"),
        pytest.param(HEAD + b"\r\n" + b"x" * (2 * MAX_BODY), id="without a length"),
        pytest.param(
            CHUNKED + (b"8000\r\n" + b"x" * 0x8000 + b"\r\n") * 9 + b"0\r\n\r\n", id="in chunks"
        ),
    ],
)
def test_a_response_beyond_the_limit_is_too_large(raw: bytes) -> None:
    with RawServer(once(raw)) as server:
        outcome = send_failing(server.address)
    assert outcome.code is Code.PROVIDER_RESPONSE_TOO_LARGE
    assert outcome.applied is Applied.UNKNOWN
    assert outcome.upstream_status == 200


@pytest.mark.parametrize(
    ("start", "rest", "code"),
    [
        pytest.param(HEAD + b"\r\n", b"x" * 65536, Code.PROVIDER_RESPONSE_TOO_LARGE, id="body"),
        pytest.param(
            b"",
            b"HTTP/1.1 100 Continue\r\n\r\n" * 1000,
            Code.PROVIDER_BAD_RESPONSE,
            id="interim responses",
        ),
        pytest.param(
            CHUNKED + b"0\r\n", b"X: y\r\n" * 1000, Code.PROVIDER_BAD_RESPONSE, id="trailers"
        ),
        pytest.param(
            CHUNKED,
            b"1;" + b"x" * 60_000 + b"\r\nx\r\n",
            Code.PROVIDER_BAD_RESPONSE,
            id="chunk extensions",
        ),
    ],
)
def test_an_endless_response_is_not_read_to_its_end(start: bytes, rest: bytes, code: Code) -> None:
    stopped = threading.Event()

    def flood(peer: Peer) -> None:
        peer.read_request()
        peer.write(start)
        try:
            while True:
                peer.write(rest)
        except OSError:
            stopped.set()

    with RawServer(flood) as server:
        assert send_failing(server.address).code is code
        assert stopped.wait(10)


# --- reuse of the connection


def then_silent(raw: bytes) -> Script:
    """Return a script that responds to one request, and keeps the connection open."""

    def script(peer: Peer) -> None:
        if peer.read_request():
            peer.write(raw)
            peer.stay_silent()

    return script


@pytest.mark.parametrize(
    "behind",
    [
        pytest.param(b"Content-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n", id="half a response"),
        pytest.param(b"Content-Length: 0\r\n\r\n\r\n", id="an empty line"),
        pytest.param(b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nx", id="after the chunks"),
    ],
)
def test_a_connection_with_unread_bytes_is_not_reused(behind: bytes) -> None:
    with (
        RawServer(then_silent(HEAD + behind)) as server,
        open_transport(server.address) as transport,
    ):
        responses = [transport.send(POST, "r") for _ in range(2)]
        assert server.connections == 2
    assert all(isinstance(response, HttpResponse) for response in responses)


@pytest.mark.parametrize("framing", ["Content-Length: 5", "Transfer-Encoding: chunked"])
def test_a_204_that_announces_a_body_has_none_and_its_connection_is_not_reused(
    framing: str,
) -> None:
    raw = f"HTTP/1.1 204 No Content\r\n{framing}\r\n\r\n".encode()
    with RawServer(then_silent(raw)) as server, open_transport(server.address) as transport:
        responses = [transport.send(POST, "r") for _ in range(2)]
        assert server.connections == 2
    assert [getattr(response, "status", None) for response in responses] == [204, 204]


def test_the_transport_works_after_every_kind_of_failure() -> None:
    def reset_in_the_body(peer: Peer) -> None:
        peer.read_request()
        peer.write(HEAD + b"Content-Length: 100\r\n\r\n{")
        peer.reset()

    scripts = [Peer.reset, once(b"hello\r\n\r\n"), reset_in_the_body, always(http_response(204))]
    with (
        RawServer(lambda peer: scripts[peer.number - 1](peer)) as server,
        open_transport(server.address) as transport,
    ):
        found = [transport.send(POST, "r") for _ in scripts]
    assert [getattr(each, "status", None) for each in found] == [None, None, None, 204]


def test_a_closed_transport_opens_new_connections() -> None:
    with (
        RawServer(always(http_response(204))) as server,
        open_transport(server.address) as transport,
    ):
        assert isinstance(transport.send(POST, "r"), HttpResponse)
        transport.close()
        assert isinstance(transport.send(POST, "r"), HttpResponse)
        assert server.connections == 2
