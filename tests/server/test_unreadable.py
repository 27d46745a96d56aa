"""What is no HTTP, or never ends: answered with an envelope, bounded, and kept out of the log."""

from __future__ import annotations

import http.client
import json
import re
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from gunicorn.http import errors
from gunicorn.workers.base import Worker as BaseWorker
from support import ENVELOPE_KEYS, NUMBER, TIMEOUT, call, install_plugin, wait_until
from support.serving import ENVIRONMENT, Served, block, serve

from adapter.codes import Code
from adapter.server.worker import Worker

pytestmark = pytest.mark.slow

DASHED = "55-11-99999-9999"
HEAD = b"GET /livez HTTP/1.1\r\nHost: x\r\n"

NO_HTTP = {
    "no request line": (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", "first line"),
    "a version that is none": (b"GET /%s HTTP/9.9\r\n\r\n", "version"),
    "a method that is none": (b"g\xe9t /%s HTTP/1.1\r\n\r\n", "method"),
    "a target with a blank": (b"GET /%s x HTTP/1.1\r\n\r\n", "version"),
    "a first line that is too long": (
        b"GET /%s" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n",
        "first line is too long",
    ),
    "a header that is too long": (HEAD + b"X: %s" + b"x" * 9000 + b"\r\n\r\n", "headers are too"),
    "too many headers": (HEAD + b"X: %s\r\n" * 200 + b"\r\n", "headers are too"),
    "a header without a colon": (HEAD + b"Authorization Bearer %s\r\n\r\n", "header"),
    "a header's name with a blank": (HEAD + b"X y: %s\r\n\r\n", "name"),
    "a header with a NUL": (HEAD + b"X: %s\x00\r\n\r\n", "header"),
    "a folded header": (HEAD + b"X: y\r\n %s\r\n\r\n", "folded"),
    "two hosts": (HEAD + b"Host: %s\r\n\r\n", "stands twice"),
    "a coding that is unknown": (HEAD + b"Transfer-Encoding: x%s\r\n\r\n", "chunked"),
    "a length that is none": (HEAD + b"Content-Length: x%s\r\n\r\n", "header"),
    "a length and chunks": (
        HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "header",
    ),
    "an expectation that is unknown": (HEAD + b"Expect: %s\r\n\r\n", "100-continue"),
}
"""What gunicorn answers with a page of its own, and a word of what we answer. %s is a number."""


@pytest.fixture(scope="module")
def debugging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Return a server that logs all it can."""
    config = tmp_path_factory.mktemp("debug") / "adapter.toml"
    config.write_text('log.level = "debug"\naccounts.memory.provider = "memory"\n')
    with serve("--config", str(config)) as served:
        yield served


def exchange(served: Served, *sent: bytes) -> bytes:
    """Send the parts over one connection and return all that comes back until it is closed."""
    parts = urlsplit(served.address)
    found = b""
    with socket.create_connection((str(parts.hostname), parts.port), TIMEOUT) as connection:
        for part in sent:
            connection.sendall(part)
        while chunk := connection.recv(65536):
            found += chunk
    return found


def read(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(first.split()[1]), headers, body


@pytest.mark.parametrize("number", [NUMBER, f"%2B{NUMBER}", f"x{NUMBER}", DASHED])
@pytest.mark.parametrize(("sent", "word"), NO_HTTP.values(), ids=NO_HTTP)
def test_what_is_no_http_is_answered_with_an_envelope_and_repeated_nowhere(
    debugging: Served, sent: bytes, word: str, number: str
) -> None:
    status, headers, body = read(exchange(debugging, sent.replace(b"%s", number.encode())))
    document = json.loads(body)
    assert status == Code.BAD_REQUEST.http_status == 400
    assert list(document) == ENVELOPE_KEYS
    assert document["error"]["code"] == "bad_request"
    assert word in document["error"]["fields"]["request"][0]
    assert headers["x-request-id"] == document["meta"]["request_id"]
    assert headers["cache-control"] == "no-store"
    assert headers["content-type"] == "application/json"
    assert headers["connection"] == "close"
    assert int(headers["content-length"]) == len(body)
    wait_until(lambda: headers["x-request-id"] in debugging.log, "the line of the request")
    (line,) = [each for each in debugging.lines if headers["x-request-id"] in each]
    assert " WARNING adapter request status=400 code=bad_request request_id=" in line
    for secret in (number, NUMBER[-9:], DASHED):
        assert secret not in debugging.log
        assert secret.encode() not in body


def test_a_request_that_breaks_off_is_repeated_nowhere(debugging: Served) -> None:
    parts = urlsplit(debugging.address)
    for text in (f"POST /{DASHED}", f"POST /%2B{NUMBER} HTTP/1.1\r\nX-Key: {DASHED}"):
        with socket.create_connection((str(parts.hostname), parts.port), TIMEOUT) as connection:
            connection.sendall(text.encode())
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass
    assert block(debugging.address, headers={"X-Request-Id": "after"}).status == 200
    wait_until(lambda: "request_id=after" in debugging.log, "the next line")
    for secret in (NUMBER, DASHED):
        assert secret not in debugging.log


LEAVING_PLUGIN = """
from adapter import Action, LocalProvider, Route, hookimpl


class Leaving(%s):
    pass


class LeavingProvider(LocalProvider):
    name = "leaving"
    title = "Leaving"
    routes = (
        Route(Action.BLOCK, "POST", "/block/{jid}"),
        Route(Action.UNBLOCK, "POST", "/unblock/{jid}"),
    )

    def build_request(self, command):
        raise Leaving(f"cannot block {command.contact.jid}\\n2026-11-25 INFO adapter forged")

    def parse_success(self, command, response):
        return None

    def handle_request(self, request):
        return None


@hookimpl
def register_providers():
    return [LeavingProvider]
"""


@pytest.mark.parametrize("base", ["BaseException", "SystemExit"])
def test_what_gets_out_of_the_app_is_an_envelope_and_one_record_without_the_path(
    tmp_path: Path, base: str
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    install_plugin(site, "leaving", LEAVING_PLUGIN.replace("%s", base))
    config = tmp_path / "adapter.toml"
    config.write_text('log.level = "debug"\naccounts.a.provider = "leaving"\n')
    with serve("--config", str(config), env={**ENVIRONMENT, "PYTHONPATH": str(site)}) as served:
        answer = call(served.address, "POST", f"/v1/contacts/block?number=%2B{NUMBER}")
        assert served.stop() == 0
    assert (answer.status, answer.code) == (500, "internal_error")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Request-Id"] == answer.json["meta"]["request_id"]
    for secret in (NUMBER, DASHED):
        assert secret not in served.log
    records = [line for line in served.lines[1:] if not line.startswith("    ")]
    for line in records:
        assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ [a-z.]+ ", line), line
        assert "forged" not in line
    assert "Leaving: cannot block 551*******999@s.whatsapp.net" in served.log


@pytest.mark.parametrize(
    "base", ["GreenletExit", "Timeout", "KeyboardInterrupt", "GeneratorExit", "SystemExit"]
)
@pytest.mark.parametrize("place", ["build_request", "answer"])
def test_whatever_a_plugin_raises_the_answer_has_the_facts_of_the_call(
    tmp_path: Path, base: str, place: str
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    source = LEAVING_PLUGIN.replace("%s", base)
    if place == "answer":
        source = re.sub("raise Leaving.*", 'return HttpRequest("POST", "/block")', source)
        source = re.sub(r"(def answer.*\n +)return None", r"\1raise Leaving", source)
    imports = "from adapter import HttpRequest\nfrom gevent import GreenletExit, Timeout\n"
    source = imports + source
    install_plugin(site, "leaving", source)
    config = tmp_path / "adapter.toml"
    config.write_text('accounts.a.provider = "leaving"\n')
    given = {"X-Request-Id": "mine-1"}
    with serve("--config", str(config), env={**ENVIRONMENT, "PYTHONPATH": str(site)}) as served:
        answer = call(
            served.address, "POST", f"/v1/contacts/block?number=%2B{NUMBER}", headers=given
        )
        assert served.stop() == 0
    assert (answer.status, answer.code) == (500, "internal_error")
    meta = answer.json["meta"]
    attempts = 0 if place == "build_request" else 1
    assert (meta["provider"], meta["attempts"]) == ("leaving", attempts)
    assert answer.headers["X-Request-Id"] == meta["request_id"] == "mine-1"
    requests = [line for line in served.lines if " adapter request " in line]
    (line,) = [line for line in requests if "status=500" in line]
    for fact in ("account=a", "provider=leaving", "contact=551*******999", "request_id=mine-1"):
        assert fact in line
    assert NUMBER not in served.log


# --- a body that never ends

SHORT = """
import sys
from gevent import monkey
monkey.patch_all()
import adapter.server.worker
adapter.server.worker.BODY_TIME = 1
from adapter import cli
cli.main()
"""


@pytest.fixture(scope="module")
def hurried() -> Iterator[Served]:
    """Return the sandbox with a second for a body."""
    with serve(program=(sys.executable, "-c", SHORT)) as served:
        yield served


@pytest.mark.parametrize(
    ("framing", "piece"),
    [(b"Content-Length: 60000", b" "), (b"Transfer-Encoding: chunked", b"1\r\n \r\n")],
    ids=["by its length", "in chunks"],
)
@pytest.mark.parametrize(
    "path", ["/v1/contacts/block", "/dialects/wuts/contacts/block", "/v1/accounts", "/nowhere"]
)
def test_a_body_that_drips_for_ever_ends(
    hurried: Served, path: str, framing: bytes, piece: bytes
) -> None:
    parts = urlsplit(hurried.address)
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
                if path in ("/v1/accounts", "/nowhere"):  # which are answered without the body
                    break
        over.set()
        dripping.join()
    assert time.monotonic() - started < TIMEOUT
    status, _, body = read(found)
    if path == "/v1/contacts/block":
        assert status == 400
        assert json.loads(body)["error"]["code"] == "invalid_json"
    else:
        assert status in (400, 404, 405)
    assert block(hurried.address).status == 200


def test_a_body_that_takes_its_time_is_read_within_its_bound(hurried: Served) -> None:
    parts = urlsplit(hurried.address)
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


# --- what is leant on


def test_gunicorn_answers_by_the_method_that_the_worker_replaces() -> None:
    """Canary: `handle_error` is public, and in no documentation."""
    arguments = BaseWorker.handle_error.__code__.co_varnames[:5]
    assert arguments == ("self", "req", "client", "addr", "exc")
    assert Worker.handle_error is not BaseWorker.handle_error


def test_gunicorn_says_by_types_why_a_request_cannot_be_read() -> None:
    """Canary: the exceptions of `gunicorn.http.errors` are in no documentation."""
    kinds = {
        each
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, Exception)
    }
    assert errors.ParseException in kinds
    assert issubclass(errors.NoMoreData, OSError)
    strangers = {
        each.__name__ for each in kinds if not issubclass(each, (errors.ParseException, OSError))
    }
    assert strangers == set()
