"""The cost of a call in one process, without a server: the adapter's own work, and its growth.

Each subject is a process of its own, so that none has another's memory. Each line on its standard
input starts a round; it prints the seconds of one call: wall-clock time where it calls the
upstream, processor time where nothing is waited for. It ends with its input. Its log goes to
standard error, as the log of `contact-adapter serve` does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import requests
from adapter.providers.wuts import WutsProvider
from flask import Flask

from adapter import Action, Command, Contact, Secret, create_app
from adapter.api_keys import ANONYMOUS
from adapter.client import Client
from adapter.logs import configure
from adapter.reads import MAX_PARALLEL
from adapter.service import Service
from adapter.web.app import service_state
from bench import ledgers
from bench.load import Target
from bench.processes import MeasurementError
from bench.servers import KEY, NUMBER
from bench.upstream import DELAYS, JID, NUMBERS, TOKEN
from bench.wsgi_call import call, environ_of

CALLS: Final = 200
"""Calls of one round where all calls are alike."""

CALLS_IN_PARTS: Final = 3
"""Calls of one round where a call is a hundred requests, each of which waits 50 ms."""

CALLS_OF_GROWTH: Final = 1000
"""Calls of one round with up to a thousand accounts: one for each."""

PERFORM: Final = ("Session.post", "perform", "Client.block")
STATUS: Final = ("Session.get", "status")
LOOKUP: Final = ("Session.post of 100 numbers", "lookup of 100")
LOOKUP_IN_PARTS: Final = ("7 waves of 50 ms", "lookup of 100, one by one")
GROWTH: Final = ("1 account, 10 keys", "1000 accounts, 10 keys", "1 account, 10000 keys")
CREATION: Final = ("1 account", "1000 accounts")


def bare_post(address: str) -> Callable[[], object]:
    """Return the call through a bare pooled session, the base of `perform`."""
    session, headers = requests.Session(), {"Authorization": f"Bearer {TOKEN}"}
    url, body = f"{address}/contacts/block", {"jid": JID}

    def run() -> None:
        for _ in range(CALLS):
            assert session.post(url, json=body, headers=headers).json()["data"]["blocked"]

    return run


def perform(address: str) -> Callable[[], object]:
    """Return the same call through the service of the standalone app, with its metrics."""
    service, command = make_service(address), Command(Action.BLOCK, Contact(NUMBER))

    def run() -> None:
        for _ in range(CALLS):
            assert service.perform("account-0", command).ok

    return run


def block(address: str) -> Callable[[], object]:
    """Return the same call through the Python API: with the number parsed, and a log line."""
    client = Client(make_service(address), ANONYMOUS)

    def run() -> None:
        for _ in range(CALLS):
            assert client.block(NUMBER).ok

    return run


def bare_get(address: str) -> Callable[[], object]:
    """Return a status through a bare pooled session, the base of `status`."""
    session, headers = requests.Session(), {"Authorization": f"Bearer {TOKEN}"}
    url = f"{address}/status"

    def run() -> None:
        for _ in range(CALLS):
            assert session.get(url, headers=headers).json()["data"]["connected"]

    return run


def status(address: str) -> Callable[[], object]:
    """Return a status through the service."""
    service, command = make_service(address), Command(Action.STATUS)

    def run() -> None:
        for _ in range(CALLS):
            assert service.perform("account-0", command).session

    return run


def bare_lookup(address: str) -> Callable[[], object]:
    """Return a lookup of 100 numbers through a bare pooled session, the base of `lookup`."""
    session, headers = requests.Session(), {"Authorization": f"Bearer {TOKEN}"}
    url, body = f"{address}/contact/check", {"numbers": NUMBERS}

    def run() -> None:
        for _ in range(CALLS):
            found = session.post(url, json=body, headers=headers).json()["data"]
            assert all(found[number] for number in NUMBERS)

    return run


def lookup(address: str) -> Callable[[], object]:
    """Return a lookup of 100 numbers through the service, in one request."""
    return _lookups(make_service(address), CALLS)


def lookup_in_parts(address: str) -> Callable[[], object]:
    """Return a lookup of 100 numbers through the service, with a request for each number."""
    WutsProvider.max_lookup = 1
    return _lookups(make_service(address), CALLS_IN_PARTS)


def _lookups(service: Service, calls: int) -> Callable[[], object]:
    command = Command(Action.LOOKUP, contacts=tuple(Contact(number) for number in NUMBERS))

    def run() -> None:
        for _ in range(calls):
            found = service.perform("account-0", command).lookups or ()
            assert [each.on_whatsapp for each in found] == [True] * len(NUMBERS)

    return run


def waves(_: str) -> Callable[[], object]:
    """Return the ideal time of a lookup in parts: the upstream's, for each wave of 16 requests."""
    count = -(-len(NUMBERS) // MAX_PARALLEL)

    def run() -> None:
        for _ in range(CALLS_IN_PARTS * count):
            time.sleep(DELAYS["50 ms"])

    return run


def make_service(address: str) -> Service:
    """Return the service of the standalone app, with its metrics, and its log at `info`."""
    configure("info", "text")
    return service_state(make_app("wuts", 1, api_keys(10), address)).service


def calls(_: str, *, accounts: int, keys: int) -> Callable[[], object]:
    """Return calls of the whole app, with the provider that needs no network.

    They use all accounts, and a thousand of the keys, one after the other.
    """
    configure("info", "text")
    secrets = api_keys(keys)
    app = make_app("memory", accounts, secrets)
    made = []
    for each in range(CALLS_OF_GROWTH):
        headers = {"Authorization": f"Bearer {secrets[each * keys // CALLS_OF_GROWTH]}"}
        headers["Content-Type"] = "application/json"
        body = json.dumps({"number": NUMBER, "account": f"account-{each % accounts}"})
        made.append((environ_of(Target("/v1/contacts/block", headers, body)), body.encode()))

    def run() -> None:
        for environ, body in made:
            call(app, environ, body)

    return run


def creation(address: str, *, accounts: int) -> Callable[[], object]:
    """Return the creation of the app."""
    return lambda: make_app("wuts", accounts, api_keys(10), address)


def api_keys(count: int) -> list[str]:
    """Return this number of API keys."""
    return [f"{KEY}-{each}" for each in range(count)]


def make_app(provider: str, accounts: int, keys: Sequence[str], address: str = "") -> Flask:
    """Return the standalone app with accounts of one provider."""
    account: dict[str, Any] = {"provider": provider}
    if provider == "wuts":
        account |= {"base_url": address, "token": Secret(TOKEN)}
    rights = {"scopes": ["block", "read"], "accounts": ["*"]}
    return create_app(
        {
            "accounts": {f"account-{each}": account for each in range(accounts)},
            "keys": {f"key-{i}": {"secret": Secret(key), **rights} for i, key in enumerate(keys)},
        }
    )


class Subject(NamedTuple):
    """A process: its calls for the address of the upstream, their number, and their clock."""

    make: Callable[[str], Callable[[], object]]
    calls: int
    clock: Callable[[], float]


def _growing(accounts: int, keys: int) -> Subject:
    make = partial(calls, accounts=accounts, keys=keys)
    return Subject(make, CALLS_OF_GROWTH, time.process_time)


SUBJECTS: Final = {
    "Session.post": Subject(bare_post, CALLS, time.perf_counter),
    "perform": Subject(perform, CALLS, time.perf_counter),
    "Client.block": Subject(block, CALLS, time.perf_counter),
    "Session.get": Subject(bare_get, CALLS, time.perf_counter),
    "status": Subject(status, CALLS, time.perf_counter),
    "Session.post of 100 numbers": Subject(bare_lookup, CALLS, time.perf_counter),
    "lookup of 100": Subject(lookup, CALLS, time.perf_counter),
    "7 waves of 50 ms": Subject(waves, CALLS_IN_PARTS, time.perf_counter),
    "lookup of 100, one by one": Subject(lookup_in_parts, CALLS_IN_PARTS, time.perf_counter),
    "1 account, 10 keys": _growing(1, 10),
    "1000 accounts, 10 keys": _growing(1000, 10),
    "1 account, 10000 keys": _growing(1, 10_000),
    "bare query of calls": Subject(ledgers.bare_history, ledgers.PAGES, time.perf_counter),
    "history page": Subject(ledgers.history, ledgers.PAGES, time.perf_counter),
    "bare query of blocks": Subject(ledgers.bare_blocked, ledgers.PAGES, time.perf_counter),
    "blocked page": Subject(ledgers.blocked, ledgers.PAGES, time.perf_counter),
    "1 account": Subject(partial(creation, accounts=1), 1, time.process_time),
    "1000 accounts": Subject(partial(creation, accounts=1000), 1, time.process_time),
}


def alternate(
    names: Sequence[str], address: str, rounds: int, folder: Path
) -> dict[str, list[float]]:
    """Return the seconds of one call of each subject, round by round, after a first to warm up.

    `address` is that of the upstream; for the pages of a ledger, the URL of its database.

    Raises MeasurementError where a subject ends.
    """
    found: dict[str, list[float]] = {name: [] for name in names}
    with ExitStack() as stack:
        log = stack.enter_context((folder / "in-process.log").open("a"))
        subjects = {}
        for name in names:
            command = [sys.executable, "-m", "bench.in_process", name, address]
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
            )
            subjects[name] = stack.enter_context(process)
        for number in range(rounds + 1):
            for name, subject in subjects.items():
                assert subject.stdin is not None
                assert subject.stdout is not None
                subject.stdin.write("\n")
                subject.stdin.flush()
                line = subject.stdout.readline()
                if not line:
                    log_end = (folder / "in-process.log").read_text()[-2000:]
                    raise MeasurementError(f"{name} ended; the log ends with:\n{log_end}")
                if number:
                    found[name].append(float(line))
    return found


def main() -> None:
    """Run the subject of the first argument, with the upstream of the second."""
    subject = SUBJECTS[sys.argv[1]]
    run = subject.make(sys.argv[2])
    for _ in sys.stdin:
        started = subject.clock()
        run()
        print((subject.clock() - started) / subject.calls, flush=True)


if __name__ == "__main__":
    main()
