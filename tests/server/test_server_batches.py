"""Batches in the production server: its workers run them, and a large CSV is a stream."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from support import TIMEOUT, Answer, call, wait_until
from support.batches import FIRST, TOKEN_VARIABLE, expire_leases
from support.block_list_server import BlockListServer
from support.cli import COMMAND, on_path, run
from support.ledgers import rows
from support.serving import ENVIRONMENT, Served, serve

from adapter.server import worker
from adapter.server.worker import _BodyDeadline

pytest_plugins = ["support.cli_fixtures"]

pytestmark = pytest.mark.slow

BATCHES = "/v1/batches"
KILLS, ROWS = 50, 2000


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.db'}"


@pytest.fixture
def config(write: Callable[[str], str], url: str, provider: BlockListServer) -> str:
    return write(
        '[accounts.support]\nprovider = "wuts"\nverify = "never"\n'
        f'token = {{ env = "{TOKEN_VARIABLE}" }}\nbase_url = "{provider.address}"\n'
        "[accounts.support.pace]\nmax_in_flight = 4\n"
        f'[ledger]\nurl = "{url}"\n'
    )


@pytest.fixture
def served(config: str) -> Iterator[Served]:
    environment = {**ENVIRONMENT, TOKEN_VARIABLE: "a-token-of-the-tests"}
    with serve("--config", config, env=environment) as server:
        yield server


def numbers(amount: int) -> Iterator[bytes]:
    """Yield a CSV in pieces of 1000 rows."""
    yield b"number,reason\n"
    for start in range(0, amount, 1000):
        end = min(start + 1000, amount)
        yield b"".join(b"%d,opt_out\n" % (FIRST + index) for index in range(start, end))


def post_csv(
    server: Served, body: Any, query: str = "action=block", **headers: str
) -> tuple[int, Any]:
    """Send a CSV, in chunks where it is an iterator; return status and document."""
    connection = http.client.HTTPConnection(urlsplit(server.address).netloc, timeout=120)
    connection.request(
        "POST", f"{BATCHES}?{query}", body=body, headers={"Content-Type": "text/csv", **headers}
    )
    response = connection.getresponse()
    document = json.loads(response.read())
    connection.close()
    return response.status, document


def get(server: Served, path: str) -> Answer:
    return call(server.address, "GET", path)


def worker_pids(server: Served) -> list[int]:
    path = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    return [int(text) for text in path.read_text().split()]


def peak_memory(pid: int) -> int:
    """Return the most resident memory that the process had, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) // 1024


def test_the_server_runs_a_batch_to_its_end(
    served: Served, provider: BlockListServer, url: str
) -> None:
    provider.delay = 0.02
    status, document = post_csv(served, b"".join(numbers(200)))
    assert (status, document["data"]["batch"]["rows"]) == (201, 200)
    address = f"{BATCHES}/{document['data']['batch']['id']}"

    def is_done() -> bool:
        return bool(get(served, address).json["data"]["batch"]["status"] == "done")

    wait_until(is_done, "the end of the batch")
    batch = get(served, address).json["data"]["batch"]
    assert batch["counts"]["done"] == batch["rows"] == 200
    assert len(provider.states) == 200
    assert 1 < provider.most <= 4
    assert {row["via"] for row in rows(url, "calls")} == {"batch"}


def test_a_server_that_stops_ends_the_rows_in_flight_and_the_next_one_goes_on(
    served: Served, config: str, provider: BlockListServer, url: str
) -> None:
    provider.delay = 0.3
    _, document = post_csv(served, b"".join(numbers(50)))
    wait_until(lambda: provider.requests, "the first rows")
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(TIMEOUT) == 0
    statuses = [row["status"] for row in rows(url, "items")]
    assert statuses.count("done") >= 4
    assert "leased" not in statuses
    assert rows(url, "batches")[0]["status"] == "running"
    provider.delay = 0.0
    result = run("batch", "resume", "1", "--config", config)
    assert result.exit_code == 0, result.stderr
    assert len(provider.states) == 50
    assert len(provider.requests) == 50
    assert document["data"]["batch"]["id"] == 1


def test_a_server_that_is_killed_at_random_moments_loses_no_row(
    config: str, provider: BlockListServer, url: str
) -> None:
    chance = random.Random(15)
    provider.delay = 0.01
    environment = {**ENVIRONMENT, TOKEN_VARIABLE: "a-token-of-the-tests"}
    for number in range(KILLS):
        with serve("--config", config, env=environment) as served:
            if number == 0:
                post_csv(served, b"".join(numbers(ROWS)))
            sent = len(provider.requests) + chance.randrange(1, ROWS // KILLS)
            provider.wait_for(sent)
            threading.Event().wait(chance.uniform(0, 0.05))
            os.killpg(served.process.pid, signal.SIGKILL)
        expire_leases(url)
    result = run("batch", "resume", "1", "--config", config)
    assert result.exit_code == 0, result.stderr
    (batch,) = rows(url, "batches")
    assert batch["status"] == "done"
    statuses = Counter(each["status"] for each in rows(url, "items"))
    assert statuses.keys() <= {"done", "unchanged"}
    assert statuses.total() == len(provider.blocked) == ROWS
    assert {each["state"] for each in rows(url, "blocks")} == {"blocked"}


def test_a_large_csv_in_chunks_is_stored_without_growing_memory(served: Served, url: str) -> None:
    (pid,) = worker_pids(served)
    post_csv(served, numbers(1000), "action=block&start=false")
    before = peak_memory(pid)
    # About 3 MiB of rows, and as much white space as makes the file 24 MiB.
    padding = b" " * 20_000 + b"\n"

    def body() -> Iterator[bytes]:
        for piece in numbers(20_000):
            yield piece
            yield padding * 50

    status, document = post_csv(served, body(), "action=unblock&start=false")
    assert (status, document["data"]["batch"]["rows"]) == (201, 20_000)
    assert peak_memory(pid) - before < 24
    items = call(
        served.address,
        "GET",
        f"{BATCHES}/{document['data']['batch']['id']}/items",
        headers={"Accept": "text/csv"},
    )
    assert items.status == 200
    assert peak_memory(pid) - before < 24


@pytest.mark.parametrize("chunked", [False, True], ids=["with its length", "in chunks"])
def test_a_csv_above_25_mib_is_refused_and_nothing_is_kept(
    served: Served, url: str, chunked: bool
) -> None:
    piece = b" " * 60_000 + b"\n"

    def body() -> Iterator[bytes]:
        yield b"number\n5511988880000\n"
        for _ in range(500):
            yield piece

    status, document = post_csv(served, body() if chunked else b"".join(body()))
    assert (status, document["error"]["code"]) == (413, "payload_too_large")
    assert rows(url, "batches") == rows(url, "items") == []


def test_a_client_that_goes_away_leaves_nothing_half_begun(served: Served, url: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(served.address).netloc, timeout=30)
    connection.putrequest("POST", f"{BATCHES}?action=block")
    connection.putheader("Content-Type", "text/csv")
    connection.putheader("Content-Length", "1000000")
    connection.endheaders()
    connection.send(b"".join(numbers(3000)))
    wait_until(lambda: rows(url, "batches"), "the batch that is being stored")
    connection.close()
    wait_until(lambda: not rows(url, "batches"), "the removal of the batch")
    assert rows(url, "items") == rows(url, "contacts") == rows(url, "calls") == []


def test_without_the_library_of_the_queue_the_server_does_not_start(
    write: Callable[[str], str], url: str, tmp_path: Path
) -> None:
    (tmp_path / "huey").mkdir()
    (tmp_path / "huey" / "__init__.py").write_text("raise ImportError('gone', name='huey')")
    config = write(
        f'[accounts.support]\nprovider = "memory"\n[ledger]\nurl = "{url}"\n'
        '[queue]\nurl = "redis://127.0.0.1:1/0"\n'
    )
    done = subprocess.run(
        [COMMAND, "serve", "--port", "0", "--config", config],
        env={**ENVIRONMENT, "PYTHONPATH": on_path(tmp_path)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 1
    assert "queue: needs huey; run: pip install 'contact-adapter[queue]'" in done.stderr


def test_without_a_queue_the_server_runs_batches_without_its_library(
    config: str, provider: BlockListServer, tmp_path: Path
) -> None:
    (tmp_path / "huey").mkdir()
    (tmp_path / "huey" / "__init__.py").write_text("raise ImportError('gone', name='huey')")
    environment = {
        **ENVIRONMENT,
        TOKEN_VARIABLE: "a-token-of-the-tests",
        "PYTHONPATH": on_path(tmp_path),
    }
    with serve("--config", config, env=environment) as server:
        assert post_csv(server, b"".join(numbers(20)))[0] == 201
        wait_until(lambda: len(provider.states) == 20, "the rows of the batch")


def test_a_large_json_body_of_another_route_is_still_refused(served: Served) -> None:
    body = json.dumps({"number": "1" * 100_000}).encode()
    response = call(served.address, "POST", "/v1/contacts/block", body=body)
    assert response.status == 413


def test_a_long_body_has_a_timeout_of_its_own_that_only_counts_reads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    class Stream:
        def read(self, size: int | None = None) -> bytes:
            now[0] += 1
            return b"x"

    body = _BodyDeadline(Stream())
    body.allow_long_body()
    for _ in range(10):
        assert body.read(10) == b"x"
        now[0] += 1000  # the app stores rows
    assert body._deadline - now[0] == pytest.approx(worker.LONG_BODY_TIMEOUT - 10 - 1000)
