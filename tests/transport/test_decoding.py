"""Responses with an unrequested Content-Encoding: decoded, within limits."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import BUILT_IN, NATIVE, account_for
from support.raw_server import Peer, RawServer

from adapter import Code, Result
from adapter.client import connect
from adapter.transport.decoding import BodyDecoder, DecodingError, parse_content_encoding

DONE = json.dumps({"success": True, "data": {"blocked": True}}).encode()


def raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


ENCODERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("x-gzip", gzip.compress),
    "gzip with padding": ("gzip", lambda data: gzip.compress(data) + bytes(512)),
    "gzip in two members, padded": (
        "gzip",
        lambda data: gzip.compress(data[:1]) + bytes(9) + gzip.compress(data[1:]) + bytes(1),
    ),
    "gzip in two members": (
        "gzip",
        lambda data: gzip.compress(data[:1]) + gzip.compress(data[1:]),
    ),
    "deflate with a header": ("deflate", zlib.compress),
    "deflate without one": ("deflate", raw_deflate),
}


def block(body: bytes, encoding: str, *, chunked: bool = False) -> Result:
    def script(peer: Peer) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\n"
        while peer.read_request():
            if chunked:
                parts = [body[at : at + 7] for at in range(0, len(body), 7)]
                framed = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
                peer.write(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + framed)
                peer.write(b"0\r\n\r\n")
            else:
                peer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    with RawServer(script, b"") as server:
        account = account_for("wuts", f"http://127.0.0.1:{server.port}")
        with connect({"accounts": {"a": account}}) as client:
            result = client.block("+5511999999999")
            if result.ok:
                assert client.block("+5511999999999").ok
                assert server.connections == 1
            return result


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("name", ENCODERS)
def test_an_encoded_response_is_decoded(name: str, chunked: bool) -> None:
    encoding, encode = ENCODERS[name]
    assert block(encode(DONE), encoding, chunked=chunked).ok


@pytest.mark.parametrize("encoding", ["GZIP", "gzip, identity", "identity,gzip"])
def test_every_spelling_of_the_encoding_is_recognized(encoding: str) -> None:
    assert block(gzip.compress(DONE), encoding).ok


GZ = gzip.compress(DONE)


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        pytest.param(DONE, "gzip", id="not encoded"),
        pytest.param(GZ[:-9], "gzip", id="truncated"),
        pytest.param(GZ[:-1], "gzip", id="truncated by one byte"),
        pytest.param(GZ[:1], "gzip", id="one byte"),
        pytest.param(GZ + b"more", "gzip", id="data after the end"),
        pytest.param(GZ + bytes(9) + b"more", "gzip", id="data after the padding"),
        pytest.param(GZ[:-8] + bytes(8), "gzip", id="wrong checksum"),
        pytest.param(zlib.compress(DONE) + b"x", "deflate", id="deflate, data after the end"),
        pytest.param(zlib.compress(DONE)[:-2], "deflate", id="deflate, truncated"),
        pytest.param(b"x", "deflate", id="deflate, one byte"),
        pytest.param(GZ, "br", id="unknown encoding"),
        pytest.param(gzip.compress(GZ), "gzip, gzip", id="twice"),
        pytest.param(GZ, "gzip, br", id="two encodings"),
        pytest.param(gzip.compress(b" " * 10_000_000), "gzip", id="zip bomb"),
        pytest.param(raw_deflate(b" " * 10_000_000), "deflate", id="zip bomb, deflate"),
    ],
)
def test_a_body_that_cannot_be_decoded_is_a_bad_response(body: bytes, encoding: str) -> None:
    assert block(body, encoding).code is Code.PROVIDER_BAD_RESPONSE


def test_the_size_limit_applies_to_the_decoded_body() -> None:
    import random

    digits = "".join(random.Random(1).choices("0123456789", k=300_000))
    body = json.dumps({"success": True, "data": {"blocked": True, "x": digits}}).encode()
    encoded = gzip.compress(body)
    assert len(encoded) < 256 * 1024
    assert block(encoded, "gzip").code is Code.PROVIDER_RESPONSE_TOO_LARGE


@given(st.binary(max_size=3000), st.sampled_from(sorted(ENCODERS)), st.integers(1, 500))
def test_any_data_is_decoded_in_any_chunks(data: bytes, name: str, size: int) -> None:
    encoding, encode = ENCODERS[name]
    encoded = encode(data)
    decoder = BodyDecoder(encoding)
    parts = [encoded[at : at + size] for at in range(0, len(encoded), size)]
    assert b"".join(decoder.feed(part, 10_000) for part in parts) == data
    decoder.finish()


@given(st.binary(max_size=300), st.sampled_from(["gzip", "deflate"]), st.integers(1, 64))
def test_any_garbage_is_a_decoding_error_within_the_limit(
    data: bytes, encoding: str, max_bytes: int
) -> None:
    try:
        decoder = BodyDecoder(encoding)
        assert len(decoder.feed(data, max_bytes)) <= max_bytes
        decoder.finish()
    except DecodingError:
        pass


@pytest.mark.parametrize(
    ("field", "encoding"),
    [("", ""), ("identity", ""), (" GZip ", "gzip"), ("x-gzip,identity", "x-gzip"), (",", "")],
)
def test_a_content_encoding_is_parsed_to_one_encoding(field: str, encoding: str) -> None:
    assert parse_content_encoding(field) == encoding


def test_no_provider_requests_an_encoding() -> None:
    assert BUILT_IN
    for provider in BUILT_IN.values():
        assert "accept-encoding" not in {name.lower() for name in provider.header_templates}


LONG = b"x" * 300_000


@pytest.mark.slow
@pytest.mark.parametrize("provider", NATIVE)
@pytest.mark.parametrize(
    ("body", "field"),
    [
        pytest.param(GZ, "Content-Encoding: br", id="unknown encoding"),
        pytest.param(b"<html>", "Content-Encoding: gzip", id="not encoded"),
        pytest.param(gzip.compress(b" " * 10_000_000), "Content-Encoding: gzip", id="zip bomb"),
        pytest.param(LONG, "X: y", id="too large"),
        pytest.param(gzip.compress(b"[" + LONG + b"]"), "Content-Encoding: gzip", id="both"),
    ],
)
@pytest.mark.parametrize("action", ["block", "blocked"])
def test_an_error_response_that_cannot_be_decoded_counts_as_one_without_a_body(
    action: str, body: bytes, field: str, provider: str
) -> None:
    raw = b""

    def script(peer: Peer) -> None:
        while peer.read_request():
            peer.write(raw)

    with RawServer(script, b"") as server:
        table = account_for(provider, f"http://127.0.0.1:{server.port}")
        table["transport"] = {"breaker_threshold": 0}
        with connect({"accounts": {"a": table}}) as client:
            numbers = ("+5511999999999",) if action == "block" else ()
            for status in (400, 401, 403, 404, 429, 500, 502, 503):
                found = []
                for content, more in ((b"", "X: y"), (body, field)):
                    head = f"HTTP/1.1 {status} X\r\n{more}\r\nContent-Length: {len(content)}"
                    raw = head.encode() + b"\r\n\r\n" + content
                    before = server.connections, server.request_count
                    result = getattr(client, action)(*numbers)
                    found.append((result.outcome, result.outcome.upstream_status))
                    assert result.code not in (None, Code.PROVIDER_RESPONSE_TOO_LARGE)
                assert found[0] == found[1]
                getattr(client, action)(*numbers)
                opened, requested = (
                    server.connections - before[0],
                    server.request_count - before[1],
                )
                assert opened >= requested - 1, "each connection served one request"
