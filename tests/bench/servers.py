"""The servers of the benchmark: the adapter and its peers, how each is started, what it is sent."""

from __future__ import annotations

import json
import shutil
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from adapter import Code, Contact, ContactError, Outcome, Result
from bench import ledgers
from bench.load import Target
from bench.upstream import JID, TOKEN

NUMBER: Final = JID.partition("@")[0]
KEY: Final = "the-api-key-of-the-benchmark"
PEERS: Final = Path(__file__).with_name("peers")
IN_FLIGHT: Final = 1024
"""Calls in flight that the adapter allows to one account: its default, 256, refuses a thousand."""

ADAPTER: Final = "adapter"
DIALECT: Final = "adapter, dialect"
NAIVE: Final = "naive"
POOLED: Final = "pooled"
ASYNC_BARE: Final = "async (bare)"
ASYNC_EQUIVALENT: Final = "async (same work)"
NGINX: Final = "nginx"
DIRECT: Final = "direct"
WITH_SQLITE: Final = "adapter, SQLite ledger"
WITH_POSTGRESQL: Final = "adapter, PostgreSQL ledger"
LEDGERS: Final = {WITH_SQLITE: ledgers.SQLITE, WITH_POSTGRESQL: ledgers.POSTGRESQL}
"""The kind of the database of each server with a ledger."""

_JSON: Final = {"Content-Type": "application/json"}
_NATIVE: Final = {**_JSON, "Authorization": f"Bearer {TOKEN}"}
_WITH_KEY: Final = {**_JSON, "Authorization": f"Bearer {KEY}"}
_BY_JID: Final = json.dumps({"jid": JID})
_BY_NUMBER: Final = json.dumps({"number": NUMBER})


@dataclass(frozen=True)
class Place:
    """The port, the upstream and the folder of a server."""

    upstream: str
    workers: int
    port: int
    folder: Path
    ca_file: Path | None
    slow_calls: bool = False
    """Whether many calls will be in flight at once, and slow."""
    ledger: str = ""
    """The URL of the database of a server with a ledger."""


@dataclass(frozen=True)
class Recipe:
    """The command of a server, and its requests. Without a command nothing is started."""

    command: list[str]
    path: str
    headers: Mapping[str, str]
    body: str
    environment: Mapping[str, str] = field(default_factory=dict)

    def target(self, address: str) -> Target:
        """Return the request of the load generator."""
        return Target(address + self.path, self.headers, self.body)


def free_port() -> int:
    """Return a port without a listener."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def script(name: str) -> str:
    """Return the path of a command that is installed beside this interpreter."""
    return str(Path(sys.executable).with_name(name))


def _environment(place: Place) -> dict[str, str]:
    """Return the environment of a peer that is written in Python."""
    return {
        "UPSTREAM": place.upstream,
        "TOKEN": TOKEN,
        "CA_FILE": str(place.ca_file or ""),
        "PYTHONPATH": str(PEERS),
    }


def _gunicorn(place: Place, app: str, *options: str) -> Recipe:
    where = ["--bind", f"127.0.0.1:{place.port}", "--workers", str(place.workers)]
    command = [script("gunicorn"), *where, *options, app]
    return Recipe(command, "/block", _JSON, _BY_NUMBER, _environment(place))


def naive(place: Place) -> Recipe:
    """Return gunicorn with its default, sync workers; for many slow calls, with 32 threads."""
    threads = ("--worker-class", "gthread", "--threads", "32") if place.slow_calls else ()
    return _gunicorn(place, "naive:app", *threads)


def pooled(place: Place) -> Recipe:
    """Return gunicorn with 32 threads per worker."""
    return _gunicorn(place, "pooled:app", "--worker-class", "gthread", "--threads", "32")


def _uvicorn(place: Place, app: str) -> list[str]:
    """Return the command of uvicorn, which uses uvloop and httptools where they are installed."""
    where = ["--host", "127.0.0.1", "--port", str(place.port), "--workers", str(place.workers)]
    return [script("uvicorn"), *where, "--no-access-log", "--log-level", "warning", app]


def async_bare(place: Place) -> Recipe:
    """Return the asynchronous peer that passes calls on, and does nothing else."""
    command = _uvicorn(place, "asynchronous:app")
    return Recipe(command, "/block", _JSON, _BY_NUMBER, _environment(place))


def async_equivalent(place: Place) -> Recipe:
    """Return the asynchronous peer with the work of the adapter.

    The error codes and their sentences come from the adapter's table, so that both send the same.
    Several workers share a folder for their metrics, as those of the adapter do.
    """
    codes = {
        code.value: (code.http_status, Result(Outcome.failure(code)).envelope()["error"])
        for code in Code
    }
    environment = _environment(place)
    environment |= {"API_KEY": KEY, "CODES": json.dumps(codes), "IMPOSSIBLE": _impossible()}
    if place.workers > 1:
        metrics = place.folder / f"metrics-{place.port}"
        metrics.mkdir()
        environment["PROMETHEUS_MULTIPROC_DIR"] = str(metrics)
    command = _uvicorn(place, "equivalent:app")
    return Recipe(command, "/v1/contacts/block", _WITH_KEY, _BY_NUMBER, environment)


def _impossible() -> str:
    """Return the adapter's sentence for a number that is too short for its country."""
    try:
        Contact.parse(NUMBER[:-4])
    except ContactError as error:
        return error.fields["number"][0]
    raise AssertionError("the number is possible")


def nginx(place: Place) -> Recipe:
    """Return nginx, which forwards the native call over kept connections."""
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
    """Return a configuration of the adapter: accounts, an API key and a dialect.

    The rest is the default, and on: metrics, logs, breaker, retry, deadline.
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
    return Recipe(command, "/v1/contacts/block", _WITH_KEY, _BY_NUMBER, environment)


def adapter(place: Place) -> Recipe:
    """Return the adapter as its users start it: with the defaults, and the unified API."""
    in_flight = IN_FLIGHT if place.slow_calls else None
    text = config(place.upstream, ca_file=place.ca_file, in_flight=in_flight)
    return serve(place.folder / "adapter.toml", text, place.port, place.workers)


def with_ledger(place: Place) -> Recipe:
    """Return the same with a ledger."""
    in_flight = IN_FLIGHT if place.slow_calls else None
    text = config(place.upstream, ca_file=place.ca_file, in_flight=in_flight)
    text += f'[ledger]\nurl = "{place.ledger}"\n'
    return serve(place.folder / f"ledger-{place.port}.toml", text, place.port, place.workers)


def dialect(place: Place) -> Recipe:
    """Return the adapter's server, called in the dialect of WUTS."""
    return Recipe([], "/dialects/wuts/contacts/block", _WITH_KEY, _BY_JID)


RECIPES: Final[Mapping[str, Callable[[Place], Recipe]]] = {
    DIRECT: direct,
    NAIVE: naive,
    POOLED: pooled,
    ASYNC_BARE: async_bare,
    ASYNC_EQUIVALENT: async_equivalent,
    NGINX: nginx,
    ADAPTER: adapter,
    DIALECT: dialect,
    WITH_SQLITE: with_ledger,
    WITH_POSTGRESQL: with_ledger,
}


def missing() -> dict[str, str]:
    """Return the peers that cannot be run here, with the reason."""
    found = {}
    if not Path(script("uvicorn")).exists():
        for name in (ASYNC_BARE, ASYNC_EQUIVALENT):
            found[name] = "tests/bench/requirements.txt is not installed; run `make bench`"
    if _nginx() is None:
        found[NGINX] = "nginx is not installed"
    for name, kind in LEDGERS.items():
        if kind in ledgers.missing():
            found[name] = ledgers.missing()[kind]
    return found
