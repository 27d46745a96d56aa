"""Invalid HTTP and exceptions of the app: an envelope, and nothing of the request in the log."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from support import ENVELOPE_KEYS, NUMBER, TIMEOUT, call, install_plugin, wait_until
from support.serving import ENVIRONMENT, Served, block, parse_response, send_bytes, serve

from adapter.codes import Code

pytestmark = pytest.mark.slow

DASHED = "55-11-99999-9999"
HEAD = b"GET /livez HTTP/1.1\r\nHost: x\r\n"

INVALID_REQUESTS = {
    "no request line": (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", "first line"),
    "an unknown version": (b"GET /%s HTTP/9.9\r\n\r\n", "version"),
    "an invalid method": (b"g\xe9t /%s HTTP/1.1\r\n\r\n", "method"),
    "a target with a blank": (b"GET /%s x HTTP/1.1\r\n\r\n", "version"),
    "a first line above the limit": (
        b"GET /%s" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n",
        "first line is too long",
    ),
    "a header above the limit": (HEAD + b"X: %s" + b"x" * 9000 + b"\r\n\r\n", "headers are too"),
    "too many headers": (HEAD + b"X: %s\r\n" * 200 + b"\r\n", "headers are too"),
    "a header without a colon": (HEAD + b"Authorization Bearer %s\r\n\r\n", "header"),
    "a header's name with a blank": (HEAD + b"X y: %s\r\n\r\n", "name"),
    "a header with a NUL": (HEAD + b"X: %s\x00\r\n\r\n", "header"),
    "a folded header": (HEAD + b"X: y\r\n %s\r\n\r\n", "folded"),
    "two hosts": (HEAD + b"Host: %s\r\n\r\n", "repeated"),
    "an unknown transfer coding": (HEAD + b"Transfer-Encoding: x%s\r\n\r\n", "chunked"),
    "an invalid length": (HEAD + b"Content-Length: x%s\r\n\r\n", "header"),
    "a length and chunks": (
        HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "header",
    ),
    "an unknown expectation": (HEAD + b"Expect: %s\r\n\r\n", "100-continue"),
}
"""Requests that gunicorn cannot parse, and a part of our message. %s is a phone number."""


@pytest.fixture(scope="module")
def debugging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Return a server with the log level debug."""
    config = tmp_path_factory.mktemp("debug") / "adapter.toml"
    config.write_text('log.level = "debug"\naccounts.memory.provider = "memory"\n')
    with serve("--config", str(config)) as served:
        yield served


@pytest.mark.parametrize("number", [NUMBER, f"%2B{NUMBER}", f"x{NUMBER}", DASHED])
@pytest.mark.parametrize(("sent", "word"), INVALID_REQUESTS.values(), ids=INVALID_REQUESTS)
def test_invalid_http_is_an_envelope_and_repeated_neither_in_response_nor_log(
    debugging: Served, sent: bytes, word: str, number: str
) -> None:
    status, headers, body = parse_response(
        send_bytes(debugging.address, sent.replace(b"%s", number.encode()))
    )
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


def test_truncated_request_is_not_repeated_in_the_log(debugging: Served) -> None:
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


RAISING_PLUGIN = """
from adapter.plugin import Action, LocalProvider, hookimpl


class CustomError(%s):
    pass


class RaisingProvider(LocalProvider):
    name = "raising"
    title = "Raising"
    routes = {"block": ("POST", "/block/{jid}"),
        "unblock": ("POST", "/unblock/{jid}"),
    }

    def build_request(self, command):
        raise CustomError(f"cannot block {command.contact.jid}\\n2026-11-25 INFO adapter forged")

    def parse_success(self, command, response):
        return None

    def handle_request(self, request):
        return None


@hookimpl
def register(registry):
    registry.add(RaisingProvider)
"""


@pytest.mark.parametrize("base", ["BaseException", "SystemExit"])
def test_base_exception_of_the_app_is_an_envelope_and_one_log_record_without_the_path(
    tmp_path: Path, base: str
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    install_plugin(site, "raising", RAISING_PLUGIN.replace("%s", base))
    config = tmp_path / "adapter.toml"
    config.write_text('log.level = "debug"\naccounts.a.provider = "raising"\n')
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
    assert "CustomError: cannot block 551*******999@s.whatsapp.net" in served.log


@pytest.mark.parametrize(
    "base", ["GreenletExit", "Timeout", "KeyboardInterrupt", "GeneratorExit", "SystemExit"]
)
@pytest.mark.parametrize("place", ["build_request", "handle_request"])
def test_any_exception_of_a_plugin_is_an_internal_error_with_the_facts_of_the_call(
    tmp_path: Path, base: str, place: str
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    source = RAISING_PLUGIN.replace("%s", base)
    if place == "handle_request":
        source = re.sub("raise CustomError.*", 'return HttpRequest("POST", "/block")', source)
        source = re.sub(r"(def handle_request.*\n +)return None", r"\1raise CustomError", source)
        assert source.count("raise CustomError") == 1
    imports = "from adapter.plugin import HttpRequest\nfrom gevent import GreenletExit, Timeout\n"
    source = imports + source
    install_plugin(site, "raising", source)
    config = tmp_path / "adapter.toml"
    config.write_text('accounts.a.provider = "raising"\n')
    given = {"X-Request-Id": "mine-1"}
    with serve("--config", str(config), env={**ENVIRONMENT, "PYTHONPATH": str(site)}) as served:
        answer = call(
            served.address, "POST", f"/v1/contacts/block?number=%2B{NUMBER}", headers=given
        )
        assert served.stop() == 0
    assert (answer.status, answer.code) == (500, "internal_error")
    meta = answer.json["meta"]
    attempts = 0 if place == "build_request" else 1
    assert (meta["provider"], meta["attempts"]) == ("raising", attempts)
    assert answer.headers["X-Request-Id"] == meta["request_id"] == "mine-1"
    requests = [line for line in served.lines if " adapter request " in line]
    (line,) = [line for line in requests if "status=500" in line]
    for fact in ("account=a", "provider=raising", "contact=551*******999", "request_id=mine-1"):
        assert fact in line
    assert NUMBER not in served.log
