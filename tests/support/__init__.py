"""Helpers of several test modules: servers on loopback, configurations, third-party plugins."""

from __future__ import annotations

import http.client
import inspect
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from click.testing import CliRunner
from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

from adapter.codes import Code
from adapter.plugin import Secret, SecretField
from adapter.registry import load_plugins
from adapter.results import build_envelope
from adapter.web.app import service_state

NUMBER = "5511999999999"
JID = f"{NUMBER}@s.whatsapp.net"
FULL_WIDTH = "".join(chr(ord(digit) - ord("0") + 0xFF10) for digit in NUMBER)
"""The same number in digits that are no ASCII."""
OTHER_NUMBER = "5511988888888"
NATIVE = ("wuts", "wappfy", "session-gateway")
"""The dialects of the sandbox, each with an account of the same name that talks to it."""
DIALECTS = (*NATIVE, "waha", "evolution-api")
"""The dialects whose native calls the tests of the web layer write by hand.

A further one need not be added: the tests over the registry, such as the contract, have it.
"""
PROVIDERS = (*NATIVE, "memory")
"""The providers of the sandbox."""
BUILT_IN = {name: each.cls for name, each in load_plugins().providers.items()}
"""Every provider that comes with the adapter."""
SESSION = "my-session"
TOKEN = "a-token-of-the-tests"
TIMEOUT = 20.0
"""Seconds after which a wait has failed."""


@dataclass(frozen=True)
class Answer:
    """What came back over a socket."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str | None:
        error = self.json["error"]
        return str(error["code"]) if error else None


def call(
    address: str,
    method: str,
    path: str,
    *,
    json_body: Any = None,
    body: bytes | None = None,
    headers: Mapping[str, str] = {},
) -> Answer:
    """Send one request over a fresh connection."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT)
    sent = dict(headers)
    if json_body is not None:
        body = json.dumps(json_body).encode()
        sent.setdefault("Content-Type", "application/json")
    try:
        connection.request(method, parts.path + path, body, sent)
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


def wait_until(happened: Callable[[], object], what: str) -> None:
    """Return as soon as it has happened; fail when it has not for too long."""
    ends = time.monotonic() + TIMEOUT
    while not happened():
        assert time.monotonic() < ends, f"waited in vain: {what}"
        time.sleep(0.01)


@dataclass(frozen=True)
class Seen:
    """A request that reached the upstream."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Upstream:
    """A provider on loopback: it keeps what it is sent, and answers what it is told."""

    address: str = ""
    connections: int = 0
    seen: list[Seen] = field(default_factory=list)
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    arrived: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)

    def will_answer(
        self, status: int, document: Any = None, headers: Mapping[str, str] = {}
    ) -> None:
        self.status = status
        self.body = b"" if document is None else json.dumps(document).encode()
        self.headers = headers


@contextmanager
def run_upstream(*, held: bool = False) -> Iterator[Upstream]:
    """Run an upstream; with `held` it answers when its `release` is set."""
    upstream = Upstream()
    if not held:
        upstream.release.set()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            upstream.seen.append(
                Seen(self.command, self.path, dict(self.headers), self.rfile.read(length))
            )
            upstream.arrived.set()
            upstream.release.wait(TIMEOUT)
            self.send_response(upstream.status)
            for name, value in upstream.headers.items():
                self.send_header(name, value)
            if upstream.status != 204:
                self.send_header("Content-Length", str(len(upstream.body)))
            self.end_headers()
            self.wfile.write(upstream.body)

        do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - the names are http.server's

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def verify_request(self, *_: Any) -> bool:
            upstream.connections += 1
            return True

    with Server(("127.0.0.1", 0), Handler) as server:
        upstream.address = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield upstream
        finally:
            upstream.release.set()
            server.shutdown()
            thread.join()


class _QuietHandler(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002
        pass


@contextmanager
def run_app(build: Callable[[str], Flask]) -> Iterator[str]:
    """Serve the app that `build` makes for its address on a real socket; close it afterwards."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        address = f"http://127.0.0.1:{port}"
        app = build(address)
        server = make_server(
            "127.0.0.1",
            port,
            app,
            threaded=True,
            request_handler=_QuietHandler,
            fd=listener.fileno(),
        )
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield address
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
            service_state(app).service.close()


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def account_for(provider: str, address: str, *, token: str = TOKEN) -> dict[str, Any]:
    """Return the configuration of an account whose provider is served at `address`."""
    table: dict[str, Any] = {"provider": provider}
    if provider == "memory":
        return table
    table["base_url"] = address
    known = BUILT_IN[provider].Options().fields
    table |= {name: Secret(token) for name, each in known.items() if isinstance(each, SecretField)}
    if "session" in known:
        table["session"] = SESSION
    return table


def origin_config() -> dict[str, Any]:
    """Return a server that speaks every dialect in front of one block list in memory."""
    return {
        "accounts": {"origin": {"provider": "memory", "aliases": [SESSION]}},
        "dialects": {"enabled": list(DIALECTS)},
    }


def key_for(
    secret: str, *accounts: str, scopes: tuple[str, ...] = ("block", "read"), **rest: Any
) -> dict[str, Any]:
    """Return the configuration of an API key."""
    return {
        "secret": Secret(secret),
        "scopes": list(scopes),
        "accounts": list(accounts) or ["*"],
        **rest,
    }


def install_plugin(folder: Path, name: str, source: str) -> None:
    """Write a distribution with one plugin into `folder`, which belongs on the import path."""
    module = f"plugin_{name.replace('-', '_')}"
    (folder / f"{module}.py").write_text(source)
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[contact_adapter]\n{name} = {module}\n")


FAILING_PLUGIN = '''
from adapter.plugin import LocalProvider, hookimpl


class FailingProvider(LocalProvider):
    """A provider with a bug, whose exception names the contact."""

    name = "failing"
    title = "Failing"
    routes = {"block": ("POST", "/block/{jid}"),
        "unblock": ("POST", "/unblock/{jid}"),
    }

    def build_request(self, command):
        raise ZeroDivisionError(f"cannot divide {command.contact.jid}")

    def parse_success(self, command, response):
        return None

    def handle_request(self, request):
        return None


@hookimpl
def register(registry):
    registry.add(FailingProvider)
'''

BROKEN_PLUGIN = "raise LookupError('the moon is not where it was')\n"


def without_times(document: Any) -> Any:
    """Return an envelope with the one number in it that no two calls share set to 0."""
    return {**document, "meta": {**document["meta"], "duration_ms": 0}}


ENVELOPE_KEYS = list(build_envelope(data=None, request_id=""))
"""The top-level keys of every envelope."""


def code_named(value: str | None) -> Code:
    """Return the code with this value."""
    return next(code for code in Code if code.value == value)


def cli_runner() -> CliRunner:
    """Return a runner that keeps the error stream apart; click before 8.2 does so on request."""
    apart = "mix_stderr" in inspect.signature(CliRunner).parameters
    options: dict[str, Any] = {"mix_stderr": False} if apart else {}
    return CliRunner(**options)
