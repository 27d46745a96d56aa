"""What a call costs inside of one process, without a server: our own work, and how it grows.

Every side is a process of its own, so that none pays for another's memory. It waits for its turn,
which is a line on its standard input, and answers with the seconds of one call: of wall clock where
it calls the upstream, of its processor where there is nothing to wait for. When the input ends, so
does it. Its log goes to standard error, as the log of `contact-adapter serve` does.
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
from flask import Flask

from adapter import Action, Command, Contact, Secret, create_app
from adapter.auth import ANONYMOUS
from adapter.client import Client
from adapter.logs import configure
from adapter.service import Service
from adapter.web.app import service_state
from bench.load import Target
from bench.processes import BrokenError
from bench.servers import KEY, NUMBER
from bench.upstream import JID, TOKEN
from bench.wsgi_call import call, environ_of

CALLS: Final = 200
"""Calls of one turn where all calls are alike."""

CALLS_OF_GROWTH: Final = 1000
"""Calls of one turn where there are up to a thousand accounts: each has its part in it."""

TURNS_OF_TAX: Final = ("Session.post", "perform", "Contacts.block")
TURNS_OF_GROWTH: Final = ("1 account, 10 keys", "1000 accounts, 10 keys", "1 account, 10000 keys")
TURNS_OF_CREATION: Final = ("1 account", "1000 accounts")


def bare_post(address: str) -> Callable[[], object]:
    """Return the call through a bare pooled session: what `perform` is measured against."""
    session, headers = requests.Session(), {"Authorization": f"Bearer {TOKEN}"}
    url, body = f"{address}/contacts/block", {"jid": JID}

    def turn() -> None:
        for _ in range(CALLS):
            assert session.post(url, json=body, headers=headers).json()["data"]["blocked"]

    return turn


def perform(address: str) -> Callable[[], object]:
    """Return the same call through the standalone app's service, which counts it."""
    service, command = our_service(address), Command(Action.BLOCK, Contact(NUMBER))

    def turn() -> None:
        for _ in range(CALLS):
            assert service.perform("account-0", command).ok

    return turn


def block(address: str) -> Callable[[], object]:
    """Return the same call as Python code makes it: it reads the number, and logs the call too."""
    contacts = Client(our_service(address), ANONYMOUS)

    def turn() -> None:
        for _ in range(CALLS):
            assert contacts.block(NUMBER).ok

    return turn


def our_service(address: str) -> Service:
    """Return the service of the standalone app, with its metrics, and its log at `info`."""
    configure("info", "text")
    return service_state(make_app("wuts", 1, api_keys(10), address)).service


def calls(_: str, *, accounts: int, keys: int) -> Callable[[], object]:
    """Return calls of the whole app, for the provider that needs no network.

    They go through all accounts, and through a thousand of the keys, in turn.
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

    def turn() -> None:
        for environ, body in made:
            call(app, environ, body)

    return turn


def creation(address: str, *, accounts: int) -> Callable[[], object]:
    """Return the making of the app."""
    return lambda: make_app("wuts", accounts, api_keys(10), address)


def api_keys(count: int) -> list[str]:
    """Return as many API keys."""
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


class Side(NamedTuple):
    """What makes a turn, for the address of the upstream; its calls; what its time is."""

    make: Callable[[str], Callable[[], object]]
    calls: int
    clock: Callable[[], float]


def _growing(accounts: int, keys: int) -> Side:
    make = partial(calls, accounts=accounts, keys=keys)
    return Side(make, CALLS_OF_GROWTH, time.process_time)


SIDES: Final = {
    "Session.post": Side(bare_post, CALLS, time.perf_counter),
    "perform": Side(perform, CALLS, time.perf_counter),
    "Contacts.block": Side(block, CALLS, time.perf_counter),
    "1 account, 10 keys": _growing(1, 10),
    "1000 accounts, 10 keys": _growing(1000, 10),
    "1 account, 10000 keys": _growing(1, 10_000),
    "1 account": Side(partial(creation, accounts=1), 1, time.process_time),
    "1000 accounts": Side(partial(creation, accounts=1000), 1, time.process_time),
}


def take_turns(
    names: Sequence[str], address: str, rounds: int, folder: Path
) -> dict[str, list[float]]:
    """Return the seconds of one call, round by round. A first round only warms up.

    Raises BrokenError where a side cannot do its work.
    """
    found: dict[str, list[float]] = {name: [] for name in names}
    with ExitStack() as stack:
        log = stack.enter_context((folder / "inside.log").open("a"))
        sides = {}
        for name in names:
            command = [sys.executable, "-m", "bench.inside", name, address]
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
            )
            sides[name] = stack.enter_context(process)
        for played in range(rounds + 1):
            for name, side in sides.items():
                assert side.stdin is not None
                assert side.stdout is not None
                side.stdin.write("\n")
                side.stdin.flush()
                answer = side.stdout.readline()
                if not answer:
                    words = (folder / "inside.log").read_text()[-2000:]
                    raise BrokenError(f"{name} ended; the log ends with:\n{words}")
                if played:
                    found[name].append(float(answer))
    return found


def main() -> None:
    """Be the side that the first argument names, in front of the upstream of the second."""
    side = SIDES[sys.argv[1]]
    turn = side.make(sys.argv[2])
    for _ in sys.stdin:
        started = side.clock()
        turn()
        print((side.clock() - started) / side.calls, flush=True)


if __name__ == "__main__":
    main()
