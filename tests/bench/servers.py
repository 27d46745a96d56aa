"""How each peer, and ours, is started, and what it is sent."""

from __future__ import annotations

import json
import shutil
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.load import Target
from bench.upstream import JID, TOKEN

NUMBER: Final = JID.partition("@")[0]
KEY: Final = "the-api-key-of-the-benchmark"
PEERS: Final = Path(__file__).with_name("peers")
IN_FLIGHT: Final = 1024
"""Calls to one account that ours is told to allow: its default, 256, refuses a thousand."""

_JSON: Final = {"Content-Type": "application/json"}
_NATIVE: Final = {**_JSON, "Authorization": f"Bearer {TOKEN}"}
_OURS: Final = {**_JSON, "Authorization": f"Bearer {KEY}"}
_BY_JID: Final = json.dumps({"jid": JID})
_BY_NUMBER: Final = json.dumps({"number": NUMBER})


@dataclass(frozen=True)
class Place:
    """Where a server is to be started, and in front of what."""

    upstream: str
    workers: int
    port: int
    folder: Path
    ca_file: Path | None
    many: bool
    """Whether many calls will be in flight at once, and slow."""


@dataclass(frozen=True)
class Recipe:
    """How a server is started, and what it is sent. Without a command nothing is started."""

    command: list[str]
    path: str
    headers: Mapping[str, str]
    body: str
    environment: Mapping[str, str] = field(default_factory=dict)

    def target(self, address: str) -> Target:
        """Return what the load generator calls."""
        return Target(address + self.path, self.headers, self.body)


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def script(name: str) -> str:
    """Return the path of a command that is installed beside this interpreter."""
    return str(Path(sys.executable).with_name(name))


def _peer(place: Place, command: list[str]) -> Recipe:
    """Return the recipe of a peer that is written in Python."""
    environment = {
        "UPSTREAM": place.upstream,
        "TOKEN": TOKEN,
        "CA_FILE": str(place.ca_file or ""),
        "PYTHONPATH": str(PEERS),
    }
    return Recipe(command, "/block", _JSON, _BY_NUMBER, environment)


def _gunicorn(place: Place, app: str, *options: str) -> Recipe:
    where = ["--bind", f"127.0.0.1:{place.port}", "--workers", str(place.workers)]
    return _peer(place, [script("gunicorn"), *where, *options, app])


def naive(place: Place) -> Recipe:
    """Return gunicorn's default, sync workers; where many slow calls wait, it gets 32 threads."""
    threads = ("--worker-class", "gthread", "--threads", "32") if place.many else ()
    return _gunicorn(place, "naive:app", *threads)


def pooled(place: Place) -> Recipe:
    """Return gunicorn with 32 threads per worker."""
    return _gunicorn(place, "pooled:app", "--worker-class", "gthread", "--threads", "32")


def asynchronous(place: Place) -> Recipe:
    """Return uvicorn, with uvloop and httptools, which it takes where it finds them."""
    where = ["--host", "127.0.0.1", "--port", str(place.port), "--workers", str(place.workers)]
    quiet = ["--no-access-log", "--log-level", "warning"]
    return _peer(place, [script("uvicorn"), *where, *quiet, "asynchronous:app"])


def nginx(place: Place) -> Recipe:
    """Return nginx, which passes the native call through over kept connections."""
    temporary = "".join(
        f"{kind}_temp_path {place.folder}/nginx-{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    file = place.folder / "nginx.conf"
    file.write_text(f"""
daemon off;
pid {place.folder}/nginx.pid;
error_log stderr;
worker_processes {place.workers};
events {{ worker_connections 4096; }}
http {{
    access_log off;
    {temporary}
    upstream provider {{ server {place.upstream.partition("://")[2]}; keepalive 64; }}
    server {{
        listen 127.0.0.1:{place.port};
        keepalive_requests 1000000000;
        location / {{
            proxy_pass http://provider;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
}}
""")
    command = [_nginx() or "", "-p", str(place.folder), "-e", "stderr", "-c", str(file)]
    return Recipe(command, "/contacts/block", _NATIVE, _BY_JID)


def _nginx() -> str | None:
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def direct(place: Place) -> Recipe:
    """Return the upstream itself."""
    return Recipe([], "/contacts/block", _NATIVE, _BY_JID)


def config(
    upstream: str, *, ca_file: Path | None = None, in_flight: int | None = None, accounts: int = 1
) -> str:
    """Return a configuration of ours: an account, an API key, a dialect, and nothing switched off.

    What is not written here is our default: metrics, logs, breaker, retry, deadline.
    """
    text = 'default_account = "account-0"\n'
    for each in range(accounts):
        text += f'[accounts.account-{each}]\nprovider = "wuts"\nbase_url = "{upstream}"\n'
        text += 'token = { env = "BENCH_TOKEN" }\n'
    text += '[keys.bench]\nsecret = { env = "BENCH_KEY" }\n'
    text += 'scopes = ["block", "read"]\naccounts = ["*"]\n'
    text += '[dialects]\nenabled = ["wuts"]\n[transport]\n'
    if ca_file is not None:
        text += f'ca_file = "{ca_file}"\n'
    if in_flight is not None:
        text += f"max_in_flight = {in_flight}\n"
    return text


def serve(file: Path, text: str, port: int, workers: int) -> Recipe:
    """Return `contact-adapter serve` with this configuration."""
    file.write_text(text)
    where = ["--config", str(file), "--port", str(port), "--workers", str(workers)]
    environment = {"BENCH_TOKEN": TOKEN, "BENCH_KEY": KEY}
    command = [script("contact-adapter"), "serve", *where]
    return Recipe(command, "/v1/contacts/block", _OURS, _BY_NUMBER, environment)


def ours(place: Place) -> Recipe:
    """Return ours as a user starts it: the defaults, and the unified API."""
    in_flight = IN_FLIGHT if place.many else None
    text = config(place.upstream, ca_file=place.ca_file, in_flight=in_flight)
    return serve(place.folder / "ours.toml", text, place.port, place.workers)


def ours_dialect(place: Place) -> Recipe:
    """Return the same server, asked in WUTS's own dialect."""
    return Recipe([], "/dialects/wuts/contacts/block", _OURS, _BY_JID)


RECIPES: Final[Mapping[str, Callable[[Place], Recipe]]] = {
    "direct": direct,
    "naive": naive,
    "pooled": pooled,
    "async": asynchronous,
    "nginx": nginx,
    "ours": ours,
    "ours, dialect": ours_dialect,
}


def missing() -> dict[str, str]:
    """Return the peers that cannot be run here, with the reason."""
    found = {}
    if not Path(script("uvicorn")).exists():
        found["async"] = "install tests/bench/requirements.txt, as `make bench` does"
    if _nginx() is None:
        found["nginx"] = "nginx is not installed"
    return found
