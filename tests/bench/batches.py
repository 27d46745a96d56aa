"""Batches: the time of many rows against that of the upstream alone, and a large file.

`make bench-batches`. The upstream is a process of its own, which answers after 50 ms; 64 rows are
in flight. With SQLite, the rows are run by one process; with PostgreSQL and Redis by two workers.
Where a request has 1,000 contacts, one process runs them, with 4 requests in flight: the time is
that of the ledger and of this process.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from support.batches import ACCOUNT, TOKEN_VARIABLE, config_for
from support.many_users import meta_account
from support.postgresql import find_programs, run_server
from support.redis_server import run_redis_server

from adapter import Client, connect
from adapter.api_keys import ANONYMOUS
from adapter.batches import Batches
from adapter.batches.model import Batch

ROWS: Final = 10_000
IN_FLIGHT: Final = 64
DELAY: Final = 0.05
"""Seconds of the upstream's response."""

LARGE: Final = 250_000
"""Rows of the file that is read and checked; one of a hundred is invalid."""

LEAST: Final = {"SQLite": 0.9, "PostgreSQL and Redis, two workers": 0.85}
"""Least ratio of the ideal time, that of the upstream, to the time that the rows took."""

TOGETHER, SLOTS, MOST_TOGETHER = 1000, 4, 8
"""Contacts of a request, requests in flight, and the most seconds of all rows."""

MAX_SECONDS, MAX_MIB = 60, 200
"""Most of the large file."""

_UPSTREAM: Final = f"""
import sys
from support.block_list_server import run_block_list_server
with run_block_list_server() as server:
    server.delay = {DELAY}
    print(server.address, flush=True)
    sys.stdin.read()
"""

_UPSTREAM_OF_MANY: Final = f"""
import sys
from support.many_users import ManyUsers
from support.raw_server import RawServer
with RawServer(ManyUsers(delay={DELAY})) as server:
    print(server.address, flush=True)
    sys.stdin.read()
"""


@contextmanager
def run_upstream(code: str = _UPSTREAM) -> Iterator[str]:
    """Run the upstream; return its address."""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait()


def write_file(
    path: Path, rows: int, *, invalid_every: int = 0, first: int = 5511900000000
) -> Path:
    """Write a file of numbers; return its path."""
    with path.open("w", encoding="utf-8") as file:
        file.write("number;reason\n")
        for index in range(rows):
            is_invalid = invalid_every and index % invalid_every == 0
            file.write(f"{'12' if is_invalid else first + index};spam\n")
    return path


def run_here(contacts: Client, file: Path) -> float:
    """Return the seconds of the rows, which were stored before, run in this process."""
    batch = contacts.batch(file, action="block", account=ACCOUNT, start=False)
    started = time.perf_counter()
    _require(contacts.batches.go_on(batch.id, ANONYMOUS, threading.Event()))
    return time.perf_counter() - started


def run_by_workers(contacts: Client, file: Path, config: Path, workers: int = 2) -> float:
    """Return the seconds of the rows, run by workers that were started before."""
    command = [sys.executable, "-m", "adapter", "worker", "--config", str(config)]
    processes = [subprocess.Popen(command) for _ in range(workers)]
    try:
        warm_up = write_file(file.with_name("warm-up.csv"), 2 * IN_FLIGHT)
        contacts.batch(warm_up, action="unblock", account=ACCOUNT, wait=False)
        _wait(contacts)
        batch = contacts.batch(file, action="block", account=ACCOUNT, start=False)
        started = time.perf_counter()
        contacts.batches.go_on(batch.id, ANONYMOUS, threading.Event(), wait=False)
        _require(_wait(contacts))
        return time.perf_counter() - started
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


def run_together(url: str, folder: Path) -> float:
    """Return the seconds of rows that are sent 1,000 in a request, run in this process."""
    with run_upstream(_UPSTREAM_OF_MANY) as address:
        given = config_for(address, url, pace={"max_in_flight": SLOTS})
        account = meta_account(address, verify="never", token={"env": TOKEN_VARIABLE})
        given["accounts"][ACCOUNT] |= account
        with connect(given) as contacts:
            assert contacts.service.ledger is not None
            contacts.service.ledger.upgrade()
            return run_here(contacts, write_file(folder / "together.csv", ROWS))


def _wait(contacts: Client) -> Batch:
    """Return the newest batch, once it has ended. Looking for it reads no rows."""
    ledger, batches = contacts.service.ledger, Batches(contacts.service)
    assert ledger is not None
    table, pause = ledger.tables.batches, threading.Event()
    newest = sa.select(table.c.id, table.c.status).order_by(table.c.id.desc()).limit(1)
    while (row := ledger.ask(lambda connection: connection.execute(newest).one())).status != "done":
        pause.wait(0.05)
    return batches.get(row.id, ANONYMOUS)


def _require(batch: Batch) -> None:
    assert batch.counts.get("done") == ROWS, batch


def check_file(config: Path, path: Path) -> tuple[float, float, Any]:
    """Return the seconds, the MiB and the counts of `batch block FILE --check`."""
    command = [sys.executable, "-m", "adapter", "batch", "block", str(path), "--check", "--json"]
    started = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--config", str(config)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    output = process.stdout.read()
    _, _, usage = os.wait4(process.pid, 0)
    last = json.loads(output.splitlines()[-1])
    return time.perf_counter() - started, usage.ru_maxrss / 1024, last


def main() -> int:
    """Measure, print, and return 1 where a goal is not met."""
    os.environ[TOKEN_VARIABLE] = "a-token-of-the-benchmark"
    missed = 0
    ideal = ROWS / IN_FLIGHT * DELAY
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        address = stack.enter_context(run_upstream())
        file = write_file(folder / "rows.csv", ROWS)
        pace = {"max_in_flight": IN_FLIGHT}

        def report(name: str, seconds: float) -> None:
            nonlocal missed
            ratio = ideal / seconds
            missed += ratio < LEAST[name]
            print(
                f"{name}: {seconds:.2f} s for {ROWS} rows, ideal / it {ratio:.2f} "
                f"(wanted {LEAST[name]})",
                flush=True,
            )

        def report_together(name: str, seconds: float) -> None:
            nonlocal missed
            least = math.ceil(ROWS / TOGETHER / SLOTS) * DELAY
            missed += seconds > MOST_TOGETHER
            print(
                f"{name}, {TOGETHER} contacts in a request: {seconds:.2f} s for {ROWS} rows, "
                f"of which the upstream {least:.2f} s (wanted {MOST_TOGETHER} s)",
                flush=True,
            )

        given = config_for(address, f"sqlite:///{folder / 'ledger.db'}", pace=pace)
        with connect(given) as contacts:
            report("SQLite", run_here(contacts, file))
        report_together("SQLite", run_together(f"sqlite:///{folder / 'together.db'}", folder))
        programs = find_programs()
        if programs is None:
            print("PostgreSQL: not installed")
        else:
            server = stack.enter_context(run_server(programs, durable=True))
            queue = stack.enter_context(run_redis_server())
            given = config_for(address, server.new_database(), pace=pace, queue=queue.url)
            config = write_toml(folder / "adapter.toml", given)
            with connect(given) as contacts:
                assert contacts.service.ledger is not None
                contacts.service.ledger.upgrade()
                name = "PostgreSQL and Redis, two workers"
                others = write_file(folder / "others.csv", ROWS, first=5511910000000)
                report(name, run_by_workers(contacts, others, config))
            report_together("PostgreSQL", run_together(server.new_database(), folder))
        given = config_for(address, f"sqlite:///{folder / 'large.db'}", pace=pace)
        config = write_toml(folder / "large.toml", given)
        large = write_file(folder / "large.csv", LARGE, invalid_every=100)
        sums = []
        for number in range(3):
            (folder / "large.db").unlink(missing_ok=True)
            seconds, mib, last = check_file(config, large)
            sums.append(last.get("batch", last).get("counts"))
            missed += seconds > MAX_SECONDS or mib > MAX_MIB
            print(
                f"{LARGE} rows checked, run {number + 1}: {seconds:.1f} s, {mib:.0f} MiB "
                f"(wanted {MAX_SECONDS} s, {MAX_MIB} MiB): {sums[-1]}",
                flush=True,
            )
        missed += any(each != sums[0] for each in sums)
    return 1 if missed else 0


def write_toml(path: Path, given: dict[str, Any]) -> Path:
    """Write the configuration, whose values are JSON, as TOML; return its path."""
    lines: list[str] = []

    def write(table: dict[str, Any], name: str) -> None:
        plain = {key: value for key, value in table.items() if not isinstance(value, dict)}
        if name:
            lines.append(f"[{name}]")
        lines.extend(f"{key} = {json.dumps(value)}" for key, value in plain.items())
        for key, value in table.items():
            if isinstance(value, dict):
                write(value, f"{name}.{key}" if name else key)

    write(given, "")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


if __name__ == "__main__":
    sys.exit(main())
