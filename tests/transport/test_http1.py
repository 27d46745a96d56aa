"""The response reader over mutated bytes: one result for any split of them, within the limits."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adapter.settings.model import MAX_BODY
from adapter.transport.attempt import Attempt
from adapter.transport.errors import (
    BadResponseError,
    ConnectionLostError,
    ResponseTooLargeError,
    UnusableResponseError,
)
from adapter.transport.http1 import (
    MAX_OVERHEAD,
    RawResponse,
    ResponseReader,
    _LimitedSource,
    read_connect_status,
    read_response,
)
from adapter.transport.plain_response import parse_plain_head

PLAIN = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 8\r\n\r\n{"a": 1}'
CHUNKED = (
    b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\nServer: x y\r\n\r\n"
    b'3\r\n{"a\r\n5\r\n": 1}\r\n0\r\n\r\n'
)
PACKED = gzip.compress(b'{"a": 1}', mtime=0)
RESPONSES = (
    PLAIN,
    CHUNKED,
    b"HTTP/1.1 404 \r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
    b"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.1 200 OK\n\n{}",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 5\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + PLAIN,
    b"HTTP/1.1 200 OK\r\nFolded: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(PACKED)
    + PACKED,
    CHUNKED.replace(b"0\r\n\r\n", b"0;x=y\r\nTrailer: z\r\n\r\n"),
    PLAIN + PLAIN,
)
PIECES = (
    *(b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b",", b";", b"", b"\x00", b"\xff", b"\x0b", b"-"),
    *(b"0", b"1", b"5", b"99", b"f", b"0\r\n\r\n", b"\r\n\r\n", b"HTTP/1.1 200 OK\r\n", b"close"),
    *(b"Content-Length: 5\r\n", b"content-length:8\r\n", b"Transfer-Encoding: chunked\r\n"),
    *(b"Transfer-Encoding: identity\r\n", b"Connection: close\r\n", b"Content-Encoding: br\r\n"),
    *(b"Connection: keep-alive\r\n", b"X: y\r\n" * 99, b"HTTP/1.1 100 Continue\r\n\r\n"),
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Return a response with up to four bytes or pieces of it replaced, added or removed."""
    data = draw(st.sampled_from(RESPONSES))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        removed = draw(st.sampled_from((0, 0, 1, 1, 2, 7, 10_000)))
        piece = draw(st.sampled_from(PIECES) | st.binary(min_size=1, max_size=2))
        data = data[:at] + piece + data[at + removed :]
    return data


cuts = st.lists(st.integers(0, 400), max_size=6)


class Bytes:
    """A source that ends behind its bytes, and gives them in pieces; it counts what was read."""

    def __init__(self, data: bytes, at: Iterable[int] = ()) -> None:
        bounds = [0, *sorted({each for each in at if 0 < each < len(data)}), len(data)]
        self._pieces = [data[a:b] for a, b in pairwise(bounds) if a < b]
        self.count = 0

    def read(self, max_bytes: int) -> bytes:
        assert max_bytes > 0
        if not self._pieces:
            return b""
        piece = self._pieces.pop(0)
        if len(piece) > max_bytes:
            self._pieces.insert(0, piece[max_bytes:])
        self.count += len(piece[:max_bytes])
        return piece[:max_bytes]


Result = tuple[object, ...]


def result_of(read: Callable[[], RawResponse]) -> Result:
    """Return all that a caller sees; fails for an error that is not declared."""
    try:
        response = read()
    except UnusableResponseError as error:
        return type(error), error.status
    except (BadResponseError, ConnectionLostError) as error:
        return (type(error),)
    return response.status, dict(response.headers), response.body, response.is_reusable


def read_by_h11(source: Bytes, attempt: Attempt) -> RawResponse:
    limited = _LimitedSource(source, attempt.bytes_left + MAX_OVERHEAD)
    return ResponseReader(limited, "POST", attempt, b"").read()


@given(mutated(), cuts, st.sampled_from((MAX_BODY, 5, 0)))
@example(PLAIN, [], MAX_BODY)
@example(CHUNKED, [], MAX_BODY)
def test_a_plain_response_is_read_as_h11_reads_it(data: bytes, at: list[int], limit: int) -> None:
    plain, by_h11 = Attempt(9e9, bytes_left=limit), Attempt(9e9, bytes_left=limit)
    found = result_of(lambda: read_response(Bytes(data, at), "POST", plain))
    assert found == result_of(lambda: read_by_h11(Bytes(data, at), by_h11))
    assert plain.bytes_left == by_h11.bytes_left


@pytest.mark.parametrize("data", RESPONSES[:3], ids=["length", "chunks", "404"])
def test_every_single_edit_is_read_as_h11_reads_it(data: bytes) -> None:
    for at in range(len(data) + 1):
        for piece in PIECES:
            for removed in (0, 1):
                edited = data[:at] + piece + data[at + removed :]
                found = result_of(lambda: read_response(Bytes(edited), "POST", Attempt(9e9)))  # noqa: B023
                assert found == result_of(lambda: read_by_h11(Bytes(edited), Attempt(9e9)))  # noqa: B023


@given(mutated(), cuts)
def test_one_result_however_the_bytes_arrive(data: bytes, at: list[int]) -> None:
    source = Bytes(data)
    whole = result_of(lambda: read_response(source, "POST", Attempt(9e9)))
    split = result_of(lambda: read_response(Bytes(data, at), "POST", Attempt(9e9)))
    assert split[:3] == whole[:3]
    if split != whole:  # the connection is closed where more than the response was received
        assert split[3] is True
        assert len(whole) == 4
        assert whole[3] is False


@given(mutated(), cuts, st.integers(0, 300))
def test_nothing_is_read_beyond_the_limit(data: bytes, at: list[int], limit: int) -> None:
    source = Bytes(data + b"x" * 2000, at)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("adapter.transport.http1.MAX_OVERHEAD", 100)
        result_of(lambda: read_response(source, "POST", Attempt(9e9, bytes_left=limit)))
    assert source.count <= limit + 100


@given(st.binary(max_size=200), cuts)
def test_any_bytes_are_a_declared_error_or_a_response(data: bytes, at: list[int]) -> None:
    result_of(lambda: read_response(Bytes(data, at), "POST", Attempt(9e9)))


@given(mutated(), cuts)
def test_the_response_to_connect_is_a_status_or_a_declared_error(
    data: bytes, at: list[int]
) -> None:
    with suppress(BadResponseError, ConnectionLostError):
        assert 200 <= read_connect_status(Bytes(data, at)) <= 999


@given(st.binary(max_size=3000), st.lists(st.integers(1, 700), min_size=1, max_size=9), cuts)
def test_chunks_of_any_size_are_one_body(data: bytes, sizes: list[int], at: list[int]) -> None:
    framed, rest = b"", data
    for size in sizes:
        part, rest = rest[:size], rest[size:]
        if part:
            framed += b"%X\r\n%s\r\n" % (len(part), part)
    if rest:
        framed += b"%x\r\n%s\r\n" % (len(rest), rest)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    source = Bytes(head + framed + b"0\r\n\r\n", at)
    response = read_response(source, "POST", Attempt(9e9))
    assert (response.body, response.is_reusable) == (data, True)


@pytest.mark.parametrize("data", [PLAIN, CHUNKED], ids=["length", "chunks"])
def test_a_plain_response_needs_no_h11(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapter.transport.http1.ResponseReader", None)
    for at in ([], [data.index(b"{")]):
        if at and data is CHUNKED:
            continue
        response = read_response(Bytes(data, at), "POST", Attempt(9e9))
        assert response.body == b'{"a": 1}'
        assert response.is_reusable


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", id="HTTP/1.0"),
        pytest.param(b"HTTP/1.1 204 OK\r\nContent-Length: 0\r\n\r\n", id="204"),
        pytest.param(b"HTTP/1.1 100 OK\r\nContent-Length: 0\r\n\r\n", id="interim"),
        pytest.param(b"HTTP/1.1 302 OK\r\nContent-Length: 0\r\n\r\n", id="redirect"),
        pytest.param(b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", id="bare LF"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n", id="no framing"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: \xe9\r\nContent-Length: 0\r\n\r\n", id="no ASCII"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: y\r\n z\r\nContent-Length: 0\r\n\r\n", id="folded"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX : y\r\nContent-Length: 0\r\n\r\n", id="blank in name"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\ncontent-length: 0\r\n\r\n", id="2"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 0, 0\r\n\r\n", id="list of lengths"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: +0\r\n\r\n", id="signed length"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", id="transfer encoding"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Encoding: identity\r\n\r\n",
            id="content encoding",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n",
            id="both framings",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
            + b"".join(b"X-%d: y\r\n" % each for each in range(100))
            + b"\r\n",
            id="101 headers",
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", id="incomplete"),
    ],
)
def test_everything_else_is_left_to_h11(head: bytes) -> None:
    assert parse_plain_head(head) is None


@pytest.mark.parametrize("body", [b"\xff\x00" * 40_000, b"", b"x" * MAX_BODY])
@pytest.mark.parametrize("size", [1, 7, 70_000])
def test_a_long_response_is_read_in_pieces_of_any_size(body: bytes, size: int) -> None:
    if size == 1 and len(body) > 100_000:
        size = 3
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    data = head + body
    source = Bytes(data, range(size, len(data), size) if len(data) / size < 1e5 else ())
    assert read_response(source, "POST", Attempt(9e9)).body == body


def test_a_body_of_deflate_may_arrive_byte_by_byte() -> None:
    packed = zlib.compress(b"[1, 2]")
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\nTransfer-Encoding: chunked\r\n\r\n"
    data = head + b"".join(b"1\r\n%c\r\n" % each for each in packed) + b"0\r\n\r\n"
    response = read_response(Bytes(data, range(len(data))), "POST", Attempt(9e9))
    assert response.body == b"[1, 2]"


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", ConnectionLostError),
        (b"HTTP/1.1 2", ConnectionLostError),
        (b"HTTP/1.1 200 OK\r\nX: y\r\n", ConnectionLostError),
        (b"HTTP/1.1 200 OK\r\nno header\r\nX: y", BadResponseError),
        (b"220 smtp.example ESMTP\r\n", BadResponseError),
        (b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", BadResponseError),
        (PLAIN[:-1], ConnectionLostError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY + 1), ResponseTooLargeError),
        (b"HTTP/1.1 200 OK\r\n\r\n", UnusableResponseError),
    ],
)
def test_a_truncated_response_is_lost_and_a_malformed_one_is_bad(
    data: bytes, error: type[Exception]
) -> None:
    for at in ((), range(len(data))):
        with pytest.raises(error) as caught:
            read_response(Bytes(data, at), "POST", Attempt(9e9))
        assert type(caught.value) is error
