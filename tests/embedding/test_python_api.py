"""The Python API in requests, shells, commands, threads, task queues and forks of a host app."""

from __future__ import annotations

import json
import select
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from flask import Flask
from support import JID, NUMBER, TIMEOUT, account_for, wait_until

from adapter import ContactAdapter, Result

THREADS, CALLS_EACH = 50, 20


@dataclass
class Recorder:
    """A WUTS server on loopback with keep-alive, which records the connection of each call."""

    address: str = ""
    calls: list[tuple[int, str, str]] = field(default_factory=list)
    """Source port, path and JID of each call."""
    status: int = 200
    waiting: int = 0
    hold: threading.Event = field(default_factory=threading.Event)

    @property
    def ports(self) -> set[int]:
        return {port for port, _, _ in self.calls}


@contextmanager
def run_recorder(*, held: bool = False) -> Iterator[Recorder]:
    """Run a recorder; with `held`, it responds once its `hold` is set."""
    recorder = Recorder()
    lock = threading.Lock()
    if not held:
        recorder.hold.set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            jid = json.loads(self.rfile.read(length))["jid"]
            with lock:
                recorder.waiting += 1
            recorder.hold.wait(TIMEOUT)
            with lock:
                recorder.waiting -= 1
                recorder.calls.append((self.client_address[1], self.path, jid))
            action = self.path.rpartition("/")[2]
            data = {"jid": jid, "action": action, "blocked": action == "block"}
            body = json.dumps({"success": True, "data": data}).encode()
            self.send_response(recorder.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

    with Server(("127.0.0.1", 0), Handler) as server:
        recorder.address = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield recorder
        finally:
            recorder.hold.set()
            server.shutdown()
            thread.join()


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with run_recorder() as running:
        yield running


contacts = ContactAdapter()


@pytest.fixture
def app(recorder: Recorder) -> Iterator[Flask]:
    """Return a host app with one account, whose provider is the recorder."""
    app = Flask("host")
    timeouts = {"connect_timeout": TIMEOUT / 2, "deadline": TIMEOUT}
    contacts.init_app(
        app,
        {"accounts": {"support": account_for("wuts", recorder.address)}, "transport": timeouts},
    )
    yield app
    contacts.for_app(app).close()


# Contexts


def test_call_in_a_request_of_the_host(app: Flask, recorder: Recorder) -> None:
    @app.post("/customers/<number>/block")
    def block(number: str) -> dict[str, bool]:
        return {"done": contacts.block(number).ok}

    assert app.test_client().post(f"/customers/{NUMBER}/block").get_json() == {"done": True}
    assert [call[1:] for call in recorder.calls] == [("/contacts/block", JID)]


def test_call_in_a_shell_and_in_a_cli_command_of_the_host(app: Flask, recorder: Recorder) -> None:
    @app.cli.command("forget")
    def forget() -> None:
        print(contacts.unblock(NUMBER).ok)  # noqa: T201 - a command prints

    with app.app_context():
        assert contacts.block(NUMBER).ok
    assert app.test_cli_runner().invoke(args=["forget"]).output == "True\n"
    assert [call[1] for call in recorder.calls] == ["/contacts/block", "/contacts/unblock"]


def test_call_in_a_thread_without_app_context_raises_and_works_with_for_app(
    app: Flask, recorder: Recorder
) -> None:
    with app.app_context(), ThreadPoolExecutor(1) as pool:
        with pytest.raises(RuntimeError, match=r"contacts\.for_app\(app\)"):
            pool.submit(contacts.block, NUMBER).result()
        assert pool.submit(contacts.for_app(app).block, NUMBER).result().ok
    assert len(recorder.calls) == 1


def test_call_in_the_worker_of_a_task_queue(app: Flask, recorder: Recorder) -> None:
    def block_customer(number: str) -> dict[str, Any]:
        """A usual task: plain arguments, and no app context."""
        return contacts.for_app(app).block(number).envelope()

    tasks: SimpleQueue[str | None] = SimpleQueue()
    done: SimpleQueue[dict[str, Any]] = SimpleQueue()

    def work() -> None:
        while (number := tasks.get()) is not None:
            done.put(json.loads(json.dumps(block_customer(number))))

    worker = threading.Thread(target=work)
    worker.start()
    try:
        for number in (NUMBER, "12"):
            tasks.put(number)
        answers = [done.get(timeout=TIMEOUT) for _ in range(2)]
    finally:
        tasks.put(None)
        worker.join()
    assert [answer["success"] for answer in answers] == [True, False]
    assert answers[1]["error"]["code"] == "invalid_target"
    assert len(recorder.calls) == 1


def test_for_app_accepts_the_current_app_proxy(app: Flask) -> None:
    from flask import current_app

    with app.app_context():
        assert contacts.for_app(current_app) is contacts.for_app(app)


# Many threads


def test_calls_of_many_threads_arrive_once_each_and_reuse_connections(
    app: Flask, recorder: Recorder, record_property: Any
) -> None:
    start = threading.Barrier(THREADS)

    def work(thread: int) -> list[Result]:
        start.wait(TIMEOUT)
        mine = contacts.for_app(app)
        return [mine.block(f"55119{thread:04}{call:04}") for call in range(CALLS_EACH)]

    with ThreadPoolExecutor(THREADS) as pool:
        results = [each for part in pool.map(work, range(THREADS)) for each in part]
    assert [result.code for result in results if not result.ok] == []
    assert sum(result.attempts for result in results) == THREADS * CALLS_EACH
    sent = {f"55119{i:04}{k:04}@s.whatsapp.net" for i in range(THREADS) for k in range(CALLS_EACH)}
    assert len(recorder.calls) == len(sent)
    assert {jid for _, _, jid in recorder.calls} == sent
    named = [result.command.contact for result in results if result.command]
    assert {contact.jid for contact in named if contact} == sent
    record_property("connections", len(recorder.ports))
    # Connections are reused: there may be more than one per thread, but far fewer than calls.
    assert len(recorder.ports) <= 2 * THREADS


# Forks, each in a separate process with no other threads.

PROGRAM = """
import json, os, sys, threading, time
from flask import Flask
from adapter import Code, ContactAdapter, Secret

address, extra = sys.argv[1], json.loads(sys.argv[2])
app = Flask("host")
account = {"provider": "wuts", "base_url": address, "token": Secret("t")}
contacts = ContactAdapter(app, {"accounts": {"support": account}, "transport": extra})
mine = contacts.for_app(app)

def tell(who, result):
    line = json.dumps([who, result.code.value if result.code else "ok", os.getpid()])
    os.write(1, (line + "\\n").encode())

def fork(work):
    process = os.fork()
    if not process:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return process

def wait(process):
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
"""

CALL_AT_ONCE = """
tell("before", mine.block("5511900000000"))

def child():
    for number in range(10):
        tell("child", mine.block(f"55119000001{number:02}"))
    with app.app_context():
        tell("child", contacts.block("5511900000199"))

process = fork(child)
for number in range(10):
    tell("parent", mine.block(f"55119000002{number:02}"))
wait(process)
tell("after", mine.block("5511900000299"))
mine.close()
"""

FORK_WHILE_CALLING = """
def call():
    while (result := mine.block("5511900000000")).code is Code.CIRCUIT_OPEN:
        time.sleep(0.01)
    tell("parent", result)

calling = threading.Thread(target=call)
calling.start()
sys.stdin.readline()                  # the call is in flight
process = fork(lambda: tell("child", mine.block("5511900000001")))
wait(process)
calling.join()
mine.close()
"""

FORK_WHILE_PROBING = f"""
tell("before", mine.block("5511900000009"))
sys.stdin.readline()                  # the provider is up again
{FORK_WHILE_CALLING}"""


@contextmanager
def run_program(program: str, address: str, **transport: Any) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PROGRAM + program]
    with subprocess.Popen(
        [*command, address, json.dumps({"deadline": TIMEOUT, **transport})],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent,
        start_new_session=True,
    ) as running:
        try:
            yield running
        finally:
            if running.poll() is None:
                running.kill()


def read_results(running: subprocess.Popen[str]) -> list[tuple[str, str, int]]:
    """Wait for the processes and return their lines."""
    out, errors = running.communicate("\n", timeout=TIMEOUT)
    assert running.returncode == 0, errors
    return [tuple(json.loads(line)) for line in out.splitlines()]


@pytest.mark.slow
def test_parent_and_child_use_separate_connections_after_a_fork(recorder: Recorder) -> None:
    with run_program(CALL_AT_ONCE, recorder.address) as running:
        said = read_results(running)
    assert [code for _, code, _ in said] == ["ok"] * 23
    assert len({process for _, _, process in said}) == 2
    assert len(recorder.calls) == 23
    ports = {
        who: {port for port, _, jid in recorder.calls if jid.startswith(f"55119000{number}")}
        for who, number in (("before", "000"), ("child", "001"), ("parent", "002"))
    }
    assert [len(each) for each in ports.values()] == [1, 1, 1]
    assert ports["child"].isdisjoint(ports["parent"])
    assert ports["before"] == ports["parent"]


@pytest.mark.slow
def test_calls_in_flight_of_the_parent_are_not_counted_in_the_child() -> None:
    with (
        run_recorder(held=True) as recorder,
        run_program(FORK_WHILE_CALLING, recorder.address, max_in_flight=1) as running,
    ):
        said = fork_while_a_call_is_held(running, recorder)
    assert said == [("child", "ok"), ("parent", "ok")]


@pytest.mark.slow
def test_breaker_probe_of_the_parent_does_not_block_the_child() -> None:
    """A half-open breaker admits one call at a time, which may be in another process."""
    breaker = {"breaker_threshold": 1, "breaker_pause": 0.1}
    with (
        run_recorder() as recorder,
        run_program(FORK_WHILE_PROBING, recorder.address, **breaker) as running,
    ):
        recorder.status = 500
        assert running.stdout is not None
        assert json.loads(running.stdout.readline())[:2] == ["before", "provider_error"]
        recorder.status = 200
        recorder.hold.clear()
        go_on(running)
        said = fork_while_a_call_is_held(running, recorder)
    assert said == [("child", "ok"), ("parent", "ok")]


def go_on(running: subprocess.Popen[str]) -> None:
    assert running.stdin is not None
    running.stdin.write("\n")
    running.stdin.flush()


def fork_while_a_call_is_held(
    running: subprocess.Popen[str], recorder: Recorder
) -> list[tuple[str, str]]:
    """Fork the program while its call is in flight; return the results of both processes."""
    wait_until(lambda: recorder.waiting, "the parent's call")
    go_on(running)
    # A rejected child prints its result at once, and never reaches the recorder.
    wait_until(lambda: recorder.waiting == 2 or _has_output(running), "the child's call")
    recorder.hold.set()
    return sorted(each[:2] for each in read_results(running))


def _has_output(running: subprocess.Popen[str]) -> bool:
    assert running.stdout is not None
    return bool(select.select([running.stdout], [], [], 0)[0])
