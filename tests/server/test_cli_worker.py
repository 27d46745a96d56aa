"""`contact-adapter worker`: batches that were started elsewhere."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import TIMEOUT, call, wait_until
from support.batches import FIRST, TOKEN_VARIABLE
from support.block_list_server import BlockListServer
from support.cli import COMMAND, run
from support.ledgers import execute, rows
from support.postgresql import Server
from support.redis_server import RedisServer
from support.serving import ENVIRONMENT, serve

pytest_plugins = ["support.cli_fixtures"]

pytestmark = pytest.mark.slow


def config_text(url: str, provider: BlockListServer, more: str = "") -> str:
    return (
        '[accounts.support]\nprovider = "wuts"\nverify = "never"\n'
        f'token = {{ env = "{TOKEN_VARIABLE}" }}\nbase_url = "{provider.address}"\n'
        f'[ledger]\nurl = "{url}"\n{more}'
    )


def count_holders(url: str) -> int:
    """Return the number of processes that run rows of the account."""
    return sum(len(json.loads(lane["holders"] or "{}")) for lane in rows(url, "lanes"))


@contextmanager
def run_worker(config: str) -> Iterator[None]:
    """Run a worker; SIGTERM ends it."""
    command = [str(COMMAND), "worker", "--config", config]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as worker:
        try:
            yield
        except BaseException:
            worker.kill()
            raise
        worker.send_signal(signal.SIGTERM)
        _, err = worker.communicate(timeout=TIMEOUT)
    assert worker.returncode == 0, err


def test_a_worker_runs_what_was_started_elsewhere(
    write: Callable[[str], str], tmp_path: Path, provider: BlockListServer
) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    config = write(config_text(url, provider))
    file = tmp_path / "people.csv"
    file.write_text("number\n" + "".join(f"{FIRST + each}\n" for each in range(10)))
    run("batch", "block", str(file), "--check", "--config", config)
    with run_worker(config):
        execute(url, "UPDATE {p}batches SET status = 'running'")
        wait_until(lambda: len(provider.states) == 10, "the rows of the batch")
        wait_until(lambda: rows(url, "batches")[0]["status"] == "done", "the end of the batch")


def test_the_server_and_workers_on_redis_and_postgresql_end_a_batch(
    write: Callable[[str], str],
    provider: BlockListServer,
    postgresql: Server,
    redis_server: RedisServer,
) -> None:
    database = postgresql.new_database()
    queue = f'[queue]\nurl = "{redis_server.url}"\n'
    config = write(config_text(database, provider, queue))
    assert run("db", "upgrade", "--config", config).exit_code == 0
    environment = {**ENVIRONMENT, TOKEN_VARIABLE: "a-token-of-the-tests"}
    body = {"action": "block", "items": [{"number": str(FIRST + each)} for each in range(200)]}
    provider.hold = True
    with (
        serve("--config", config, env=environment) as served,
        run_worker(config),
        run_worker(config),
    ):
        stored = call(served.address, "POST", "/v1/batches", json_body=body)
        assert stored.status == 201, stored.json
        wait_until(lambda: count_holders(database) == 3, "the server and both workers")
        provider.release()
        wait_until(lambda: rows(database, "batches")[0]["status"] == "done", "the end")
        batch = call(served.address, "GET", "/v1/batches/1").json["data"]["batch"]
    assert batch["counts"]["done"] == len(provider.requests) == len(provider.blocked) == 200
