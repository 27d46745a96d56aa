"""Several processes with one ledger, through the whole service: opposite wishes, and kills."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from support import JID, NUMBER, TIMEOUT, Upstream, account_for, run_upstream, wait_until
from support.ledgers import execute, output, python, rows

from adapter import Client, connect
from adapter.ledger.ledger import Ledger
from adapter.settings.model import LedgerSettings

VARIABLE = "TOKEN_OF_THE_TESTS"

# A child of this program makes a change for each line on its standard input, and prints the result.
CALLER = """
import json, sys
from adapter import connect

with connect(json.loads(sys.argv[1])) as client:
    for line in sys.stdin:
        result = getattr(client, line.strip())(sys.argv[2])
        code = result.code.value if result.code else "ok"
        print(json.dumps([code, result.attempts, result.retry, result.recorded]), flush=True)
"""

# A child of this program makes changes until it is killed.
ENDLESS = """
import json, sys, threading
from adapter import connect

client = connect(json.loads(sys.argv[1]))

def work(number):
    while True:
        client.block(number)
        client.unblock(number)

for number in sys.argv[2:]:
    threading.Thread(target=work, args=(number,)).start()
"""


class Provider:
    """A block list on loopback; an action in `held` is applied, and its good response is lost."""

    def __init__(self) -> None:
        self.address = ""
        self.blocked = False
        self.held = ""
        self.requests: list[str] = []
        self.arrived, self.release = threading.Event(), threading.Event()


@pytest.fixture
def provider() -> Iterator[Provider]:
    provider = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            action = self.path.rpartition("/")[2]
            provider.requests.append(action)
            is_held = action == provider.held
            provider.blocked = action == "block"
            data = {
                "jid": f"{NUMBER}@s.whatsapp.net",
                "action": action,
                "blocked": provider.blocked,
            }
            if is_held:
                provider.arrived.set()
                provider.release.wait(TIMEOUT)
            body = json.dumps({"success": not is_held, "data": data}).encode()
            self.send_response(503 if is_held else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        provider.address = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield provider
        provider.release.set()
        server.shutdown()
        thread.join()


def config_for(address: str, url: str) -> dict[str, Any]:
    """Return a configuration; a child inherits the variable with the token."""
    account = {**account_for("wuts", address), "token": {"env": VARIABLE}, "verify": "never"}
    return {"accounts": {"support": account}, "ledger": {"url": url, "wait": 10}}


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "a-token-of-the-tests")


@pytest.fixture
def contacts(provider: Provider, url: str) -> Iterator[Client]:
    with connect(config_for(provider.address, url)) as client:
        yield client


def reached(upstream: Upstream, goal: int) -> bool:
    return len(upstream.seen) >= goal


@pytest.mark.slow
@pytest.mark.parametrize(("older", "newer"), [("block", "unblock"), ("unblock", "block")])
def test_of_two_processes_with_opposite_wishes_the_last_wish_wins(
    provider: Provider, contacts: Client, url: str, older: str, newer: str
) -> None:
    config = json.dumps(config_for(provider.address, url))
    child = python(CALLER, config, NUMBER)
    stdin, stdout = child.stdin, child.stdout
    assert stdin is not None
    assert stdout is not None
    for _ in range(5):
        provider.held = older
        provider.arrived.clear()
        provider.release.clear()
        provider.requests.clear()
        stdin.write(f"{older}\n")
        stdin.flush()
        assert provider.arrived.wait(TIMEOUT)
        assert getattr(contacts, newer)(NUMBER).ok
        provider.release.set()
        code, attempts, retry, recorded = json.loads(stdout.readline())
        assert (code, attempts, retry) == ("provider_unavailable", 1, "never")
        assert recorded is True
        assert provider.requests == [older, newer], "the older wish is not sent again"
        assert provider.blocked is (newer == "block")
        (block,) = rows(url, "blocks")
        assert block["wanted"] == f"{newer}ed"
        assert block["state"] in (f"{newer}ed", "unknown")
    output(child)


@pytest.mark.slow
def test_a_killed_service_has_opened_every_change_that_it_sent(url: str) -> None:
    chance, numbers = random.Random(14), [NUMBER, "5511988888888"]
    with run_upstream() as upstream:
        data = {"jid": JID, "action": "block", "blocked": True}
        upstream.will_answer(200, {"success": True, "data": data})
        config = json.dumps(config_for(upstream.address, url))
        for _ in range(10):
            child = python(ENDLESS, config, *numbers)
            goal = len(upstream.seen) + 3
            wait_until(partial(reached, upstream, goal), "some calls")
            threading.Event().wait(chance.uniform(0, 0.05))
            os.kill(child.pid, signal.SIGKILL)
            child.communicate()
        sent = {each.headers["X-Request-Id"] for each in upstream.seen}
    calls = {row["request_id"]: row for row in rows(url, "calls")}
    assert sent <= set(calls)
    interrupted = [row for row in calls.values() if row["closed_at"] is None]
    assert all(row["request_id"] in sent for row in calls.values() if row["code"] == "ok")
    ledger = Ledger(LedgerSettings(url, wait=10))
    execute(url, "UPDATE {p}calls SET deadline_at = '2020-01-01T00:00:00.000+00:00'")
    assert ledger.sweep().closed == len(interrupted)
    ledger.close()
    after = {row["id"]: row for row in rows(url, "calls")}
    assert all(after[row["id"]]["outcome"] == "unknown" for row in interrupted)
    for block in rows(url, "blocks"):
        newest = after[block["intent"]]
        if newest["outcome"] == "unknown":
            assert block["state"] == "unknown"
