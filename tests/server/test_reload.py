"""SIGHUP: configuration and secrets are read again, or the old ones go on; no call is lost."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import TIMEOUT, Answer, call, install_plugin, run_upstream, wait_until
from support.serving import ENVIRONMENT, Served, serve

pytestmark = pytest.mark.slow

BLOCK = "/v1/contacts/block"
KEEPS = "the configuration was not reloaded, the old one goes on: "


def write_config(folder: Path, address: str, *, key: str = "old-key", rest: str = "") -> Path:
    """Write a configuration whose secrets are in files beside it."""
    (folder / "key").write_text(key)
    (folder / "token").write_text("their-token")
    config = folder / "adapter.toml"
    config.write_text(f"""
default_account = "support"
[accounts.support]
provider = "wuts"
token = {{ file = "token" }}
base_url = "{address}"
[keys.crm]
secret = {{ file = "key" }}
scopes = ["block", "read"]
accounts = ["*"]
{rest}
""")
    return config


def block(served: Served, key: str) -> Answer:
    return call(
        served.address,
        "POST",
        BLOCK,
        json_body={"number": "+5511999999999"},
        headers={"X-API-Key": key},
    )


def accepted(served: Served, key: str) -> bool:
    return call(served.address, "GET", "/v1/accounts", headers={"X-API-Key": key}).status == 200


@contextmanager
def served_with_key(folder: Path) -> Iterator[Served]:
    config = write_config(folder, "http://127.0.0.1:1")
    with serve("--config", str(config), env=ENVIRONMENT) as served:
        assert accepted(served, "old-key")
        yield served


def hang_up(served: Served) -> None:
    """Send SIGHUP and wait until new workers have taken over, or the log says that none do."""

    def ends() -> int:
        return served.log.count("Worker exiting") + served.log.count(KEEPS)

    before = ends()
    served.process.send_signal(signal.SIGHUP)
    wait_until(lambda: ends() > before, "the end of the old worker")


def test_a_key_that_was_revoked_is_refused_after_sighup_and_the_new_one_serves(
    tmp_path: Path,
) -> None:
    with served_with_key(tmp_path) as served:
        (tmp_path / "key").write_text("new-key")
        assert accepted(served, "old-key")  # until it is told
        hang_up(served)
        assert accepted(served, "new-key")
        assert not accepted(served, "old-key")
        (tmp_path / "key").write_text("third-key")
        hang_up(served)
        assert accepted(served, "third-key")
        assert not accepted(served, "new-key")
        assert served.stop() == 0
    assert served.log.count("the configuration was read again") == 2
    assert not any(f"{name}-key" in served.log for name in ("old", "new", "third"))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda folder: (folder / "adapter.toml").write_text("[accounts"), "is no TOML"),
        (lambda folder: (folder / "adapter.toml").unlink(), "cannot be read"),
        (lambda folder: (folder / "key").unlink(), "keys.crm.secret"),
        (lambda folder: (folder / "key").write_text(""), "the secret is empty"),
        (
            lambda folder: write_config(folder, "ftp://x", rest="colour = 1"),
            "accounts.support.base_url",
        ),
    ],
    ids=["no TOML", "no file", "no secret", "an empty secret", "two faults"],
)
def test_a_configuration_with_a_fault_leaves_the_old_one_serving_and_the_log_says_why(
    tmp_path: Path, spoil: object, reason: str
) -> None:
    with served_with_key(tmp_path) as served:
        spoil(tmp_path)  # type: ignore[operator]
        hang_up(served)
        assert accepted(served, "old-key")
        # And it is mended by another.
        write_config(tmp_path, "http://127.0.0.1:1", key="new-key")
        hang_up(served)
        assert accepted(served, "new-key")
        assert served.stop() == 0
    (line,) = [each for each in served.lines if KEEPS in each]
    assert " ERROR adapter " in line
    assert reason in line
    assert "Traceback" not in served.log


def test_a_fault_at_a_sighup_leaves_the_workers_with_what_they_keep_in_memory(
    tmp_path: Path,
) -> None:
    config = tmp_path / "adapter.toml"
    config.write_text('accounts.a.provider = "memory"\n')
    with serve("--config", str(config), env=ENVIRONMENT) as served:
        assert block(served, "").status == 200
        config.write_text("accounts = 1\n")
        hang_up(served)
        listed = call(served.address, "GET", "/v1/contacts/blocked")
        assert listed.json["data"]["count"] == 1
        assert "Worker exiting" not in served.log
        assert served.stop() == 0
    assert KEEPS in served.log
    assert served.log.count("Booting worker") == 1


def test_keys_that_are_gone_do_not_open_a_server_that_strangers_can_reach(tmp_path: Path) -> None:
    config = write_config(tmp_path, "http://127.0.0.1:1")
    with serve("--config", str(config), "--host", "0.0.0.0", env=ENVIRONMENT) as served:
        text = config.read_text()
        config.write_text(text[: text.index("[keys.crm]")])
        hang_up(served)
        assert accepted(served, "old-key")
        assert not accepted(served, "")
        assert served.stop() == 0
    assert f"{KEEPS}no API key is configured" in served.log


def test_a_call_in_flight_is_answered_over_a_sighup(tmp_path: Path) -> None:
    with run_upstream(held=True) as upstream:
        upstream.will_answer(200, {"success": True, "data": {"blocked": True}})
        config = write_config(tmp_path, upstream.address)
        with serve("--config", str(config), env=ENVIRONMENT) as served:
            found: list[Answer] = []
            caller = threading.Thread(target=lambda: found.append(block(served, "old-key")))
            caller.start()
            assert upstream.arrived.wait(TIMEOUT)
            (tmp_path / "key").write_text("new-key")
            served.process.send_signal(signal.SIGHUP)
            wait_until(lambda: accepted(served, "new-key"), "the new worker")
            assert found == []
            upstream.release.set()
            caller.join(TIMEOUT)
            wait_until(lambda: "Worker exiting" in served.log, "the end of the old worker")
            assert block(served, "new-key").status == 200
            assert served.stop() == 0
    assert found[0].status == 200


def test_no_call_is_lost_while_workers_change(tmp_path: Path) -> None:
    with served_with_key(tmp_path) as served:
        lost: list[object] = []
        over = threading.Event()

        def ask() -> None:
            while not over.is_set():
                try:
                    if not accepted(served, "old-key"):
                        lost.append("refused")
                except OSError as error:
                    lost.append(error)

        callers = [threading.Thread(target=ask) for _ in range(4)]
        for caller in callers:
            caller.start()
        try:
            for _ in range(2):
                hang_up(served)
        finally:
            over.set()
            for caller in callers:
                caller.join(TIMEOUT)
        assert served.stop() == 0
    assert lost == []


def test_the_log_is_set_anew_by_a_sighup(tmp_path: Path) -> None:
    config = write_config(tmp_path, "http://127.0.0.1:1")
    with serve("--config", str(config), env=ENVIRONMENT) as served:
        write_config(tmp_path, "http://127.0.0.1:1", rest='[log]\nlevel = "debug"\nformat = "json"')
        hang_up(served)
        assert accepted(served, "old-key")
        wait_until(lambda: '"event": "request"' in served.log, "a line in the new form")
        assert served.stop() == 0


def test_a_provider_that_is_not_there_at_a_sighup_leaves_the_old_configuration(
    tmp_path: Path,
) -> None:
    with served_with_key(tmp_path) as served:
        config = tmp_path / "adapter.toml"
        config.write_text(config.read_text().replace('"wuts"', '"no-such-provider"'))
        hang_up(served)
        assert accepted(served, "old-key")
        assert served.stop() == 0
    assert f"{KEEPS}accounts.support.provider: no such provider" in served.log


MOODY_PLUGIN = """
from marshmallow import Schema, fields
from adapter import Action, Provider, Route, hookimpl
from adapter.options import SecretField


class Moody(Provider):
    name = "moody"
    title = "Moody"
    base_url = "http://127.0.0.1:1"
    routes = (Route(Action.BLOCK, "POST", "/block"),)

    class Options(Schema):
        token = SecretField()
        mood = fields.String()

    def __init__(self, options):
        super().__init__(options)
        if options["mood"] == "ends":
            raise SystemExit(0)
        if options["mood"] == "fails":
            raise ValueError(options["token"].reveal())

    def build_request(self, command):
        return self.request(command, {})

    def parse_success(self, command, response):
        return self.success(response)


@hookimpl
def register_providers():
    return [Moody]
"""


@pytest.mark.parametrize(
    ("mood", "said"), [("ends", "the plugin raised SystemExit"), ("fails", "ValueError")]
)
def test_a_plugin_that_fails_at_a_sighup_ends_no_server_and_tells_no_secret(
    mood: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "site").mkdir()
    install_plugin(tmp_path / "site", "moody", MOODY_PLUGIN)
    (tmp_path / "token").write_text("canary-token")
    config = tmp_path / "adapter.toml"
    text = '[accounts.a]\nprovider = "moody"\ntoken = { file = "token" }\nmood = "fine"\n'
    config.write_text(text)
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(tmp_path / "site")]))
    environment = {**ENVIRONMENT, "PYTHONPATH": path}
    with serve("--config", str(config), env=environment) as served:
        config.write_text(text.replace("fine", mood))
        hang_up(served)
        assert accepted(served, "")
        assert served.stop() == 0
    assert [each.strip().partition(KEEPS)[2] for each in served.lines if KEEPS in each] == [said]
    assert "canary" not in served.log


def test_a_sighup_leaves_no_descriptor_behind(tmp_path: Path) -> None:
    with served_with_key(tmp_path) as served:
        folder = Path(f"/proc/{served.process.pid}/fd")
        if not folder.exists():
            pytest.skip("there is no /proc here")
        hang_up(served)
        before = len(os.listdir(folder))  # noqa: PTH208 - /proc is no place to be walked lazily
        for _ in range(3):
            hang_up(served)
        wait_until(lambda: len(os.listdir(folder)) <= before, "as few descriptors")  # noqa: PTH208
        assert served.stop() == 0
