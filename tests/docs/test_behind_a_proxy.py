"""The proxy of config/README.md: nginx where it is installed, and a proxy with its directives."""

from __future__ import annotations

import http.client
import json
import re
import runpy
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme
from support import TIMEOUT, Answer, free_port, wait_until
from support.pages import ROOT, page
from support.serving import run_server

from adapter.settings.model import TransportSettings

pytestmark = pytest.mark.slow

(BLOCK,) = page("config/README.md").blocks("nginx")
HOST = "contacts.example.com"
KEY = "a-key-of-the-tests"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")

CONFIG = """
[accounts.support]
provider = "memory"
aliases = ["Loja Centro"]

[dialects]
enabled = ["wuts", "session-gateway"]
wuts = { host = "wuts.internal.example" }
"""
KEYS = """
[keys.crm]
secret = { env = "CRM_KEY" }
scopes = ["block", "read"]
accounts = ["support"]
"""


def directives(name: str) -> list[str]:
    """Return the values of a directive in the page's example, in order."""
    return re.findall(rf"^ *{name} +(.*?);", BLOCK.text, re.MULTILINE)


def seconds(name: str) -> float:
    """Return a directive's only value, a time in seconds."""
    (value,) = directives(name)
    assert value.endswith("s")
    return float(value[:-1])


# --- the example's values


def test_nginx_closes_idle_connections_before_the_server_does() -> None:
    keepalive = runpy.run_path(str(ROOT / "config" / "gunicorn.conf.py"))["keepalive"]
    assert seconds("keepalive_timeout") < keepalive


def test_the_read_timeout_is_longer_than_every_deadline_of_a_call() -> None:
    settings = TransportSettings()
    assert seconds("proxy_read_timeout") > max(settings.deadline, settings.list_deadline)


def test_paths_are_passed_unchanged_and_logged_nowhere() -> None:
    (target,) = directives("proxy_pass")
    assert urlsplit(target).path == ""
    assert directives("access_log") == ["off"]
    assert directives("proxy_request_buffering") == []  # on, by default


# --- the example, in front of a server


@contextmanager
def run_nginx(folder: Path, text: str, authority: trustme.CA) -> Iterator[int]:
    """Run nginx with the example's text; give its port."""
    certificate = authority.issue_cert(HOST)
    chain, key, port = folder / "chain.pem", folder / "key.pem", free_port()
    certificate.cert_chain_pems[0].write_to_path(chain)
    certificate.private_key_pem.write_to_path(key)
    for written, used in (
        ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
        (f"/etc/ssl/{HOST}.pem", str(chain)),
        (f"/etc/ssl/{HOST}.key", str(key)),
    ):
        assert text.count(written) == 1
        text = text.replace(written, used)
    temporary = "".join(
        f"{kind}_temp_path {folder}/nginx-{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    file = folder / "nginx.conf"
    file.write_text(
        f"daemon off;\npid {folder}/nginx.pid;\nerror_log stderr;\nworker_processes 1;\n"
        f"events {{ }}\nhttp {{\n{temporary}\n{text}\n}}\n"
    )
    command = [str(NGINX), "-p", str(folder), "-e", "stderr", "-c", str(file)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as server:
        try:
            wait_until(lambda: _accepts(port), "nginx listens")
            yield port
        finally:
            server.terminate()


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), TIMEOUT).close()
    except OSError:
        return False
    return True


@contextmanager
def run_python(folder: Path, text: str, authority: trustme.CA) -> Iterator[int]:
    """Run a proxy in Python that sends the headers of the example's directives; give its port."""
    (address,) = re.findall(r"^ *server (127\.0\.0\.1:\d+);", text, re.MULTILINE)
    named = dict(value.split(" ", 1) for value in directives("proxy_set_header"))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            values = {
                "$host": self.headers["Host"].partition(":")[0].lower(),
                "$proxy_add_x_forwarded_for": self.client_address[0],
                '""': "",
            }
            sent = dict(self.headers.items())
            sent |= {name: values[value] for name, value in named.items()}
            sent = {name: value for name, value in sent.items() if value}
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            upstream = http.client.HTTPConnection(address, timeout=TIMEOUT)
            try:
                upstream.request(self.command, self.path, body, sent)
                response = upstream.getresponse()
                content = response.read()
            finally:
                upstream.close()
            self.send_response(response.status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = forward  # noqa: N815 - the names are http.server's

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST).configure_cert(context)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


Ask = Callable[..., Answer]
Run = Callable[..., AbstractContextManager[Ask]]


@pytest.fixture(
    params=[
        pytest.param(
            run_nginx, marks=pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
        ),
        run_python,
    ],
    ids=["nginx", "python"],
)
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    """Return a function that runs server and proxy, and gives a function that calls through."""
    program = Path(sys.executable).with_name("contact-adapter")
    authority = trustme.CA()
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False  # the address is 127.0.0.1; the authority is checked
    authority.configure_trust(client)

    @contextmanager
    def run(config: str, *, prefix: str = "") -> Iterator[Ask]:
        file = tmp_path / "adapter.toml"
        file.write_text(config)
        env = {"CRM_KEY": KEY, "SCRIPT_NAME": prefix}
        with run_server(program, "--config", str(file), cwd=tmp_path, env=env) as address:
            text = BLOCK.text.replace(
                "server 127.0.0.1:8000;", f"server {urlsplit(address).netloc};"
            )
            text = text.replace("location / {", f"location {prefix}/ {{")
            with request.param(tmp_path, text, authority) as port:

                def ask(
                    method: str, path: str, body: object = None, *, host: str = HOST, key: str = KEY
                ) -> Answer:
                    connection = http.client.HTTPSConnection(
                        "127.0.0.1", port, timeout=TIMEOUT, context=client
                    )
                    headers = {"Host": host, "Content-Type": "application/json"}
                    if key:
                        headers["Authorization"] = f"Bearer {key}"
                    data = None if body is None else json.dumps(body)
                    try:
                        connection.request(method, path, data, headers)
                        response = connection.getresponse()
                        return Answer(response.status, response.headers, response.read())
                    finally:
                        connection.close()

                yield ask

    return run


CHANGE = {"number": "+55 11 99999-9999"}
NATIVE = "/dialects/session-gateway/api/v1/sessions/{}/contacts/5511999999999@s.whatsapp.net/block"


def test_callers_with_a_key_are_served_through_the_proxy(run: Run) -> None:
    with run(CONFIG + KEYS) as ask:
        assert ask("POST", "/v1/contacts/block", CHANGE).json["data"]["blocked"] is True
        listed = ask("GET", "/v1/contacts/blocked?account=support").json["data"]
        assert [each["number"] for each in listed["contacts"]] == ["5511999999999"]
        assert ask("POST", "/v1/contacts/block", CHANGE, key="").code == "unauthenticated"
        assert ask("GET", "/readyz", key="").status == 200
        # The path of a session with a space in its name arrives as it was sent.
        assert ask("POST", NATIVE.format("Loja%20Centro")).status == 204
        assert ask("POST", NATIVE.format("Loja%20Norte")).status == 404
        native = ask("POST", "/contacts/block", CHANGE, host="wuts.internal.example")
        assert native.json["data"]["action"] == "block"


def test_without_any_key_every_caller_behind_the_proxy_is_refused(run: Run) -> None:
    with run(CONFIG) as ask:
        for key in ("", KEY):
            assert ask("POST", "/v1/contacts/block", CHANGE, key=key).code == "unauthenticated"


def test_below_a_path_the_whole_path_is_passed(run: Run) -> None:
    with run(CONFIG + KEYS, prefix="/wa") as ask:
        assert ask("POST", "/wa/v1/contacts/block", CHANGE).json["success"] is True
        document = ask("GET", "/wa/openapi.json").json
        assert document["servers"][0]["url"].endswith("/wa")
