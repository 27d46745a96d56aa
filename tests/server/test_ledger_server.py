"""The server's ledger: prepared before the workers start, named in the sandbox, and in /readyz."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from support import call, wait_until
from support.cli import MEMORY
from support.ledgers import execute, rows
from support.postgresql import Server
from support.serving import ENVIRONMENT, block, run_to_end, serve

from adapter.ledger.ledger import Ledger
from adapter.settings.model import LedgerSettings
from adapter.web.app import create_app, service_state

pytestmark = pytest.mark.slow

GONE = "postgresql://user@127.0.0.1:1/ledger"


def write_config(folder: Path, url: str, more: str = "") -> str:
    path = folder / "adapter.toml"
    path.write_text(f'{MEMORY}[ledger]\nurl = "{url}"\n{more}')
    return str(path)


def make_tables(url: str, version: str = "0002") -> None:
    ledger = Ledger(LedgerSettings(url))
    ledger.upgrade()
    ledger.close()
    execute(url, "UPDATE {p}version SET version_num = :version", version=version)


# --- the sandbox


def test_the_sandbox_names_the_file_of_its_ledger_and_removes_it_at_the_end(
    tmp_path: Path,
) -> None:
    with serve(env={**ENVIRONMENT, "TMPDIR": str(tmp_path)}) as served:
        file = (
            tmp_path
            / f"contact-adapter-{os.getuid()}"
            / (f"sandbox-{served.address.rpartition(':')[2]}.db")
        )
        assert f"; the ledger of the sandbox is {file}\n" in served.log
        assert file.parent.stat().st_mode & 0o777 == 0o700
        assert rows(f"sqlite:///{file}", "calls") == []
        ready = call(served.address, "GET", "/readyz")
        assert ready.json["data"] == {"status": "ready", "ledger": "current"}
        assert block(served.address, "wuts").status == 200
        assert served.stop() == 0
    assert list(file.parent.iterdir()) == []


def test_the_sandbox_begins_with_an_empty_ledger(tmp_path: Path) -> None:
    environment = {**ENVIRONMENT, "TMPDIR": str(tmp_path)}
    folder = tmp_path / f"contact-adapter-{os.getuid()}"
    with serve(env=environment) as served:
        port = served.address.rpartition(":")[2]
    (folder / f"sandbox-{port}.db").write_text("left behind by a server that was killed")
    with serve("--port", port, env=environment) as served:
        assert call(served.address, "GET", "/readyz").json["data"]["ledger"] == "current"


def test_the_sandbox_refuses_a_folder_that_another_made(tmp_path: Path) -> None:
    (tmp_path / f"contact-adapter-{os.getuid()}").symlink_to(tmp_path)
    status, text = run_to_end("--port", "0", env={**ENVIRONMENT, "TMPDIR": str(tmp_path)})
    assert status == 1
    assert "set TMPDIR to a folder of your own" in text


# --- the start


def test_a_missing_sqlite_file_is_created_before_the_workers_start(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new' / 'ledger.db'}"
    config = write_config(tmp_path, url, "wait = 10\n")
    with serve("--config", config, "--workers", "3") as served:
        assert rows(url, "calls") == []
        for _ in range(9):
            ready = call(served.address, "GET", "/readyz")
            assert ready.json["data"] == {"status": "ready", "ledger": "current"}
        assert served.stop() == 0
    assert not served.survivors()


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="there is no /proc here")
def test_no_thread_of_the_ledger_is_left_before_the_fork(tmp_path: Path) -> None:
    def threads() -> int:
        with serve("--config", config) as served:
            process = Path(f"/proc/{served.process.pid}")
            files = [str(each.readlink()) for each in (process / "fd").iterdir()]
            assert not any("ledger.db" in each for each in files)
            return len(list((process / "task").iterdir()))

    config = write_config(tmp_path, f"sqlite:///{tmp_path / 'ledger.db'}")
    with_ledger = threads()
    Path(config).write_text(MEMORY)
    assert with_ledger == threads()


@pytest.mark.parametrize(
    ("version", "remedy"),
    [
        ("0000", "is behind: run: contact-adapter db upgrade --config {config}"),
        ("9999", "is ahead: a newer version of contact-adapter has upgraded it"),
    ],
)
def test_another_schema_keeps_the_server_from_starting_and_names_the_remedy(
    version: str, remedy: str, empty_url: str, tmp_path: Path
) -> None:
    make_tables(empty_url, version)
    config = write_config(tmp_path, empty_url)
    status, text = run_to_end("--port", "0", "--config", config)
    assert status == 1
    assert remedy.format(config=config) in text
    assert [row["version_num"] for row in rows(empty_url, "version")] == [version]


def test_postgresql_is_never_upgraded_by_a_start(postgresql: Server, tmp_path: Path) -> None:
    url = postgresql.new_database()
    config = write_config(tmp_path, url, "wait = 10\n")
    status, text = run_to_end("--port", "0", "--config", config)
    assert status == 1
    assert f"is empty: run: contact-adapter db upgrade --config {config}" in text
    make_tables(url)
    with serve("--config", config, "--workers", "2") as served:
        assert call(served.address, "GET", "/readyz").json["data"]["ledger"] == "current"
        assert served.stop() == 0


def test_an_sqlite_file_that_cannot_be_used_keeps_the_server_from_starting(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").write_text("")
    config = write_config(tmp_path, f"sqlite:///{tmp_path / 'file' / 'ledger.db'}")
    status, text = run_to_end("--port", "0", "--config", config)
    assert status == 1
    assert "check [ledger] url, and the permissions of the file and its folder" in text


def test_a_reload_with_another_schema_keeps_the_old_configuration(tmp_path: Path) -> None:
    config = write_config(tmp_path, f"sqlite:///{tmp_path / 'ledger.db'}")
    old = f"sqlite:///{tmp_path / 'old.db'}"
    make_tables(old, "0000")
    with serve("--config", config) as served:
        write_config(tmp_path, old)
        served.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "configuration not reloaded" in served.log, "the refusal")
        assert "run: contact-adapter db upgrade" in served.log
        assert block(served.address, "support").status == 200


# --- calls


def test_every_worker_records_its_calls_and_none_is_left_open(
    empty_url: str, tmp_path: Path
) -> None:
    make_tables(empty_url)
    config = write_config(tmp_path, empty_url, "wait = 10\n")
    with serve("--config", config, "--workers", "3") as served:
        answers = [block(served.address, "support") for _ in range(20)]
        assert {each.json["meta"]["recorded"] for each in answers} == {True}
        assert served.stop() == 0
    calls = rows(empty_url, "calls")
    assert len(calls) == 20
    assert {(each["via"], each["code"], each["outcome"]) for each in calls} == {
        ("api", "ok", "applied")
    }
    (state,) = rows(empty_url, "blocks")
    assert (state["state"], state["intent"]) == ("blocked", max(each["id"] for each in calls))


def test_a_reload_keeps_recording(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    config = write_config(tmp_path, url, "wait = 10\n")
    with serve("--config", config) as served:
        assert block(served.address, "support").json["meta"]["recorded"]
        served.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "configuration reloaded" in served.log, "the reload")
        assert block(served.address, "support").json["meta"]["recorded"]
        assert served.stop() == 0
    assert len(rows(url, "calls")) == 2


# --- /readyz


def test_a_server_starts_without_its_database_and_readyz_says_so(tmp_path: Path) -> None:
    with serve("--config", write_config(tmp_path, GONE)) as served:
        ready = call(served.address, "GET", "/readyz")
        assert ready.status == 200
        assert ready.json["data"] == {"status": "ready", "ledger": "unavailable"}
        assert "ledger state=unavailable" in served.log
        assert block(served.address, "support").status == 200


def test_with_required_a_server_without_its_database_is_not_ready(tmp_path: Path) -> None:
    with serve("--config", write_config(tmp_path, GONE, "required = true\n")) as served:
        ready = call(served.address, "GET", "/readyz")
        assert (ready.status, ready.code) == (503, "ledger_unavailable")
        assert ready.json["error"]["message"].startswith("the ledger cannot record calls: ")
        assert call(served.address, "GET", "/livez").status == 200


@pytest.mark.parametrize(
    ("version", "required", "status", "says"),
    [
        ("0000", False, 503, "the ledger's database is behind: run: contact-adapter db upgrade"),
        ("0000", True, 503, "the ledger's database is behind: run: contact-adapter db upgrade"),
        ("9999", False, 200, "ahead"),
        ("9999", True, 503, "the ledger's database is ahead: a newer version of contact-adapter"),
        ("0002", True, 200, "current"),
    ],
)
def test_readyz_of_any_wsgi_server_shows_another_schema(
    version: str, required: bool, status: int, says: str, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    make_tables(url, version)
    accounts = {"support": {"provider": "memory"}}
    config = {"accounts": accounts, "ledger": {"url": url, "required": required, "wait": 10}}
    app = create_app(config, allow_unauthenticated=True)
    try:
        for _ in range(2):
            response = app.test_client().get("/readyz")
            assert response.status_code == status
            document = response.get_json()
            said = document["data"]["ledger"] if status == 200 else document["error"]["message"]
            assert said.startswith(says)
    finally:
        service_state(app).service.close()


def test_readyz_without_a_ledger_does_not_mention_one() -> None:
    app = create_app({"accounts": {"a": {"provider": "memory"}}}, allow_unauthenticated=True)
    assert app.test_client().get("/readyz").get_json()["data"] == {"status": "ready"}
