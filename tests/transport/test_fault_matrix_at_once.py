"""The whole fault matrix at once: in one process, in the server, and with a SIGTERM."""

from __future__ import annotations

import gc
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from support import NUMBER, Answer, call, code_named, wait_until
from support.certificates import Authority
from support.fault_accounts import (
    BLOCK,
    GOOD,
    PROVIDERS,
    ROWS,
    SECRET,
    account,
    account_for,
    service_for,
    show,
)
from support.faults import SIGTERM, Resources, Row, Target
from support.raw_server import Peer, RawServer, http_response
from support.serving import serve

from adapter import Code, Secret

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


class HoldingProvider:
    """A provider that fails while `down`, and then holds each call until `release`."""

    def __init__(self) -> None:
        self.down = True
        self.release = threading.Event()

    def __call__(self, peer: Peer) -> None:
        while peer.read_request():
            if self.down:
                peer.write(http_response(500))
                continue
            self.release.wait()
            peer.write(peer.good)


@contextmanager
def whole_matrix(
    authority: Authority, folder: Path
) -> Iterator[tuple[dict[str, tuple[Row, str, Target]], dict[str, dict[str, Any]]]]:
    """Set up every row for every provider; yield the targets by account, and the accounts."""
    targets, accounts = {}, {}
    with ExitStack() as stack:
        for index, row in enumerate(ROWS):
            for provider in PROVIDERS:
                name = f"row{index}-{provider}"
                (folder / name).mkdir()
                resources = Resources(GOOD[provider], authority, folder / name)
                target = stack.enter_context(row.set_up(resources))
                targets[name] = (row, provider, target)
                accounts[name] = account_for(target, row, provider)
        yield targets, accounts


def run_all(
    targets: Mapping[str, tuple[Row, str, Target]], block: Callable[[str], Code | None]
) -> None:
    """Make the calls of all rows concurrently; each becomes the code of its row."""

    def run_row(name: str) -> None:
        row, provider, target = targets[name]
        with target.before(lambda: block(name)):
            for _ in range(row.calls):
                found = block(name)
        assert found is row.expected(provider), f"{row.name}, {provider}"

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(run_row, targets))


def status_of(process: int | str) -> dict[str, int]:
    """Return the figures of a process from /proc; sizes in KiB."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    table = dict(line.split(":", 1) for line in lines)
    counts = {key: int(table[key].split()[0]) for key in ("VmRSS", "VmHWM", "Threads")}
    return {**counts, "descriptors": len(list(Path(f"/proc/{process}/fd").iterdir()))}


needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")


@needs_proc
def test_two_runs_of_the_matrix_leak_no_thread_and_no_descriptor(
    authority: Authority, tmp_path: Path, record_property: Any
) -> None:
    gc.collect()
    before = status_of("self")
    with (
        whole_matrix(authority, tmp_path) as (targets, accounts),
        service_for(**accounts) as service,
    ):
        for _ in range(2):
            run_all(targets, lambda name: service.perform(name, BLOCK).code)
    gc.collect()
    after = status_of("self")
    for key in before:
        record_property(key, (before[key], after[key]))
    show(f"before {before}", f"after  {after}")
    assert after["Threads"] == before["Threads"]
    assert after["descriptors"] == before["descriptors"]


def write_config(path: Path, accounts: Mapping[str, Mapping[str, Any]]) -> Path:
    """Write the accounts as TOML, with the secret by reference."""
    lines = []
    for name, table in accounts.items():
        lines.append(f"[accounts.{name}]")
        for key, value in table.items():
            if isinstance(value, Secret):
                lines.append(f'{key} = {{ env = "A_SECRET" }}')
            elif key != "transport":
                lines.append(f"{key} = {json.dumps(value)}")
        lines.append(f"[accounts.{name}.transport]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in table["transport"].items()]
    path.write_text("\n".join(lines) + "\n")
    return path


def environment() -> dict[str, str]:
    return {**os.environ, "A_SECRET": SECRET}


def worker_of(master: int) -> int:
    """Return the only worker process of the server."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        with suppress(OSError):
            if f"\nPPid:\t{master}\n" in status.read_text():
                found.append(int(status.parent.name))
    (worker,) = found
    return worker


def block_over(address: str, name: str) -> Answer:
    body = {"number": NUMBER, "account": name}
    return call(address, "POST", "/v1/contacts/block", json_body=body)


FLOODS = ("gzip bomb", "300 MB body", "4 MB body without a length")


@needs_proc
def test_two_runs_of_the_matrix_leave_the_server_running_and_small(
    authority: Authority, tmp_path: Path, record_property: Any
) -> None:
    with ExitStack() as stack:
        targets, accounts = stack.enter_context(whole_matrix(authority, tmp_path))
        config = write_config(tmp_path / "adapter.toml", accounts)
        served = stack.enter_context(serve("--config", str(config), env=environment()))

        def block(name: str) -> Code | None:
            found = block_over(served.address, name)
            code = None if found.code is None else code_named(found.code)
            assert found.status == (200 if code is None else code.http_status)
            return code

        worker = worker_of(served.process.pid)
        figures = [status_of(worker)]
        run_all({name: part for name, part in targets.items() if part[0].name in FLOODS}, block)
        figures.append(status_of(worker))
        for _ in range(2):
            run_all(targets, block)
            figures.append(status_of(worker))
        _, _, once, twice = figures
        # Calls have no thread of their own; the threads of DNS lookups start on demand.
        assert twice["Threads"] < 64
        wait_until(lambda: status_of(worker)["descriptors"] <= once["descriptors"], "no leak")
        assert worker_of(served.process.pid) == worker
        assert call(served.address, "GET", "/livez").status == 200
        assert served.stop() == 0
    rest, flooded = figures[:2]
    for name, each in zip(("at rest", "flooded", "once", "twice"), figures, strict=True):
        record_property(name, each)
        show(f"{name:8} {each}")
    grown = {"flooded": flooded["VmHWM"] - rest["VmRSS"], "twice": twice["VmHWM"] - rest["VmRSS"]}
    show(f"peak over rest, KiB: {grown}")
    assert grown["flooded"] < 100 * 1024
    assert grown["twice"] < 100 * 1024
    assert SECRET not in served.log
    assert "Traceback" not in served.log


# --- SIGTERM


def test_sigterm_waits_for_the_calls_in_flight(
    tmp_path: Path,
) -> None:
    provider_script = HoldingProvider()
    provider_script.down = False
    found: dict[str, Answer] = {}
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(RawServer(provider_script, GOOD[name])) for name in PROVIDERS
        }
        accounts = {
            name: account(name, f"http://127.0.0.1:{server.port}")
            for name, server in servers.items()
        }
        config = write_config(tmp_path / "adapter.toml", accounts)
        served = stack.enter_context(serve("--config", str(config), env=environment()))
        callers = [
            threading.Thread(
                target=lambda name: found.update({name: block_over(served.address, name)}),
                args=(name,),
            )
            for name in PROVIDERS
        ]
        for caller in callers:
            caller.start()
            stack.callback(caller.join)
        stack.callback(provider_script.release.set)
        wait_until(lambda: all(each.request_count for each in servers.values()), "calls in flight")
        served.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "Handling signal: term" in served.log, "the signal's arrival")
        assert served.process.poll() is None
        provider_script.release.set()
        for caller in callers:
            caller.join()
        assert served.process.wait(20) == 0
    for name in PROVIDERS:
        assert SIGTERM.expected(name) is found[name].json["error"] is None
        assert found[name].status == 200
        assert found[name].json["meta"]["attempts"] == SIGTERM.expected_attempts(name)
        assert servers[name].request_count == 1
