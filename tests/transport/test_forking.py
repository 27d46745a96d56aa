"""A forked child: no state, connection or lock is shared with its parent."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref
from pathlib import Path

import pytest
from support import TIMEOUT
from support.certificates import Authority
from support.raw_server import RawServer, always, http_response

from adapter import Action, Command, Contact, Secret
from adapter.client import connect
from adapter.transport import forking

GOOD = always(http_response(200, {"success": True, "data": {"blocked": True}}))

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


class Counting:
    def __init__(self) -> None:
        self.resets = 0

    def reset_after_fork(self) -> None:
        self.resets += 1


def test_a_registered_object_is_held_weakly() -> None:
    gone = weakref.ref(instance := Counting())
    forking.reset_in_child(instance)
    del instance
    gc.collect()
    assert gone() is None


def test_no_object_is_reset_in_its_own_process() -> None:
    instance = Counting()
    forking.reset_in_child(instance)
    forking.ensure_own_process()
    assert instance.resets == 0


def test_a_fork_without_pythons_hooks_is_detected_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """uWSGI forks in C, and by default does not run the hooks of `os.register_at_fork`."""
    instance = Counting()
    forking.reset_in_child(instance)
    monkeypatch.setattr(forking, "_process_id", os.getppid())
    forking.ensure_own_process()
    forking.ensure_own_process()
    assert instance.resets == 1


def test_a_call_after_a_fork_without_pythons_hooks_uses_a_new_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with RawServer(GOOD) as server:
        account = {"provider": "wuts", "base_url": server.address, "token": Secret("t")}
        with connect({"accounts": {"a": account}}) as client:
            for _ in range(2):
                assert client.block("+5511999999999").ok
            assert server.connections == 1
            of_parent = client.service.accounts["a"].resilience
            of_parent.intents.begin(Command(Action.BLOCK, Contact("5511999999998")))
            monkeypatch.setattr(forking, "_process_id", os.getppid())
            for _ in range(2):
                assert client.block("+5511999999999").ok
            assert server.connections == 2
            resilience = client.service.accounts["a"].resilience
            assert resilience is not of_parent
            assert resilience.intents is not of_parent.intents


PROGRAM = """
import os, sys
if sys.argv[3] == "gevent":
    import gevent.monkey
    gevent.monkey.patch_all()
from adapter import Secret, connect

account = {
    "provider": "wuts",
    "base_url": sys.argv[1],
    "token": Secret("t"),
    "transport": {"ca_file": sys.argv[2]},
}
client = connect({"accounts": {"a": account}})
assert client.block("5511900000000").ok
process = os.fork()
if not process:
    status = 1
    try:
        ok = all(client.block("5511900000001").ok for _ in range(2))
        client.close()
        status = 0 if ok else 2
    finally:
        os._exit(status)
assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
assert client.block("5511900000000").ok
client.close()
print("good")
"""


@pytest.mark.slow
@needs_fork
@pytest.mark.parametrize("scheduler", ["threads", "gevent"])
def test_the_child_closes_no_tls_connection_of_its_parent(scheduler: str, tmp_path: Path) -> None:
    if scheduler == "gevent":
        pytest.importorskip("gevent")
    authority = Authority(tmp_path)
    with RawServer(GOOD, context=authority.server_context()) as server:
        ran = subprocess.run(
            [
                *(sys.executable, "-W", "ignore", "-c", PROGRAM),
                *(server.address, str(authority.file), scheduler),
            ],
            capture_output=True,
            text=True,
            timeout=3 * TIMEOUT,
            check=False,
        )
        assert ran.stdout == "good\n", ran.stderr
        assert server.request_count == 4
        assert server.connections == 2, "one of the parent, one of the child"
