"""The timeouts of the server for the head and the body of a request, over sockets."""

from __future__ import annotations

import http.client
import json
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import pytest
from support import NUMBER, TIMEOUT, call
from support.serving import Served, block, parse_response, send_bytes, serve

pytestmark = pytest.mark.slow

SHORT_TIMEOUTS = """
import sys
from gevent import monkey
monkey.patch_all()
import adapter.server.worker
adapter.server.worker.READ_TIMEOUT = 1
adapter.server.worker.BODY_TIMEOUT = 1
from adapter import cli
cli.main()
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    """Return the sandbox with timeouts of one second for heads and for bodies."""
    with serve(program=(sys.executable, "-c", SHORT_TIMEOUTS)) as served:
        yield served


@pytest.mark.parametrize(
    ("framing", "piece"),
    [(b"Content-Length: 60000", b" "), (b"Transfer-Encoding: chunked", b"1\r\n \r\n")],
    ids=["Content-Length", "chunked"],
)
@pytest.mark.parametrize(
    "path", ["/v1/contacts/block", "/dialects/wuts/contacts/block", "/v1/accounts", "/nowhere"]
)
def test_body_timeout_ends_a_body_that_arrives_slowly(
    server: Served, path: str, framing: bytes, piece: bytes
) -> None:
    parts = urlsplit(server.address)
    over = threading.Event()
    with socket.create_connection((str(parts.hostname), parts.port), TIMEOUT) as connection:
        connection.sendall(
            b"POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Authorization: Bearer any\r\n%s\r\n\r\n" % (path.encode(), framing)
        )

        def drip() -> None:
            with suppress(OSError):
                while not over.wait(0.05):
                    connection.sendall(piece)

        dripping = threading.Thread(target=drip)
        dripping.start()
        found = b""
        started = time.monotonic()
        with suppress(ConnectionError):
            while chunk := connection.recv(65536):
                found += chunk
                if path in ("/v1/accounts", "/nowhere"):  # the response does not wait for the body
                    break
        over.set()
        dripping.join()
    assert time.monotonic() - started < TIMEOUT
    status, _, body = parse_response(found)
    if path == "/v1/contacts/block":
        assert status == 400
        assert json.loads(body)["error"]["code"] == "invalid_json"
    else:
        assert status in (400, 404, 405)
    assert block(server.address).status == 200


def test_slow_body_within_the_body_timeout_is_read(server: Served) -> None:
    parts = urlsplit(server.address)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=TIMEOUT)
    body = json.dumps({"number": f"+{NUMBER}"}).encode()
    connection.putrequest("POST", "/v1/contacts/block")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders()
    for number in range(0, len(body), 8):
        time.sleep(0.02)
        connection.send(body[number : number + 8])
    try:
        assert connection.getresponse().status == 200
    finally:
        connection.close()


def test_read_timeout_ends_a_body_that_stalls(server: Served) -> None:
    head = (
        b"POST /v1/contacts/block HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    )
    status, _, body = parse_response(send_bytes(server.address, head, b'{"number": '))
    assert (status, json.loads(body)["error"]["code"]) == (400, "invalid_json")
    assert block(server.address).status == 200


@pytest.mark.parametrize(
    "head", [b"", b"GET", b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n"], ids=repr
)
def test_read_timeout_closes_a_connection_without_a_complete_head(
    server: Served, head: bytes
) -> None:
    assert send_bytes(server.address, head) == b""
    assert call(server.address, "GET", "/livez").status == 200


def test_read_timeout_is_for_the_whole_head_and_not_for_each_read(server: Served) -> None:
    parts = urlsplit(server.address)
    started = time.monotonic()
    with socket.create_connection((str(parts.hostname), parts.port), TIMEOUT) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nX: ")
        with suppress(ConnectionError):
            while time.monotonic() - started < TIMEOUT:
                connection.sendall(b"x")
                connection.settimeout(0.05)
                try:
                    assert connection.recv(1) == b""
                    break
                except TimeoutError:
                    continue
    assert time.monotonic() - started < TIMEOUT
