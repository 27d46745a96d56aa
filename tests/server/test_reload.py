"""SIGHUP: reload of configuration and secrets, or the old ones stay; no call is lost."""

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
NOT_RELOADED = "configuration not reloaded, the old one stays in use: "


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


def send_sighup(served: Served) -> None:
    """Send SIGHUP; wait for new workers, or for the log line of a failed reload."""

    def count() -> int:
        return served.log.count("Worker exiting") + served.log.count(NOT_RELOADED)

    before = count()
    served.process.send_signal(signal.SIGHUP)
    wait_until(lambda: count() > before, "the end of the old worker")


def test_sighup_replaces_api_keys(
    tmp_path: Path,
) -> None:
    with served_with_key(tmp_path) as served:
        (tmp_path / "key").write_text("new-key")
        assert accepted(served, "old-key")  # before SIGHUP
        send_sighup(served)
        assert accepted(served, "new-key")
        assert not accepted(served, "old-key")
        (tmp_path / "key").write_text("third-key")
        send_sighup(served)
        assert accepted(served, "third-key")
        assert not accepted(served, "new-key")
        assert served.stop() == 0
    assert served.log.count("configuration reloaded") == 2
    assert served.log.count("keys.crm: the key has fewer than 16 characters") == 3
    assert not any(f"{name}-key" in served.log for name in ("old", "new", "third"))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda folder: (folder / "adapter.toml").write_text("[accounts"), "is not valid TOML"),
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
def test_sighup_with_an_invalid_configuration_keeps_the_old_one_and_logs_the_fault(
    tmp_path: Path, spoil: object, reason: str
) -> None:
    with served_with_key(tmp_path) as served:
        spoil(tmp_path)  # type: ignore[operator]
        send_sighup(served)
        assert accepted(served, "old-key")
        # A later SIGHUP with a valid configuration succeeds.
        write_config(tmp_path, "http://127.0.0.1:1", key="new-key")
        send_sighup(served)
        assert accepted(served, "new-key")
        assert served.stop() == 0
    (line,) = [each for each in served.lines if NOT_RELOADED in each]
    assert " ERROR adapter " in line
    assert reason in line
    assert "Traceback" not in served.log


def test_sighup_with_an_invalid_configuration_keeps_workers_and_block_lists(
    tmp_path: Path,
) -> None:
    config = tmp_path / "adapter.toml"
    config.write_text('accounts.a.provider = "memory"\n')
    with serve("--config", str(config), env=ENVIRONMENT) as served:
        assert block(served, "").status == 200
        config.write_text("accounts = 1\n")
        send_sighup(served)
        listed = call(served.address, "GET", "/v1/contacts/blocked")
        assert listed.json["data"]["count"] == 1
        assert "Worker exiting" not in served.log
        assert served.stop() == 0
    assert NOT_RELOADED in served.log
    assert served.log.count("Booting worker") == 1


def test_sighup_without_keys_does_not_open_a_reachable_server(tmp_path: Path) -> None:
    config = write_config(tmp_path, "http://127.0.0.1:1")
    with serve("--config", str(config), "--host", "0.0.0.0", env=ENVIRONMENT) as served:
        text = config.read_text()
        config.write_text(text[: text.index("[keys.crm]")])
        send_sighup(served)
        assert accepted(served, "old-key")
        assert not accepted(served, "")
        assert served.stop() == 0
    assert f"{NOT_RELOADED}no API key is configured" in served.log


def test_sighup_does_not_interrupt_a_call_in_flight(tmp_path: Path) -> None:
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


def test_sighup_loses_no_call(tmp_path: Path) -> None:
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
                send_sighup(served)
        finally:
            over.set()
            for caller in callers:
                caller.join(TIMEOUT)
        assert served.stop() == 0
    assert lost == []


def test_sighup_applies_the_log_settings(tmp_path: Path) -> None:
    config = write_config(tmp_path, "http://127.0.0.1:1")
    with serve("--config", str(config), env=ENVIRONMENT) as served:
        write_config(tmp_path, "http://127.0.0.1:1", rest='[log]\nlevel = "debug"\nformat = "json"')
        send_sighup(served)
        assert accepted(served, "old-key")
        wait_until(lambda: '"event": "request"' in served.log, "a line in the new form")
        assert served.stop() == 0


def test_sighup_with_an_unknown_provider_keeps_the_old_configuration(
    tmp_path: Path,
) -> None:
    with served_with_key(tmp_path) as served:
        config = tmp_path / "adapter.toml"
        config.write_text(config.read_text().replace('"wuts"', '"no-such-provider"'))
        send_sighup(served)
        assert accepted(served, "old-key")
        assert served.stop() == 0
    assert f"{NOT_RELOADED}accounts.support.provider: no such provider" in served.log


FAILING_PLUGIN = """
from marshmallow import Schema, fields
from adapter.plugin import Action, Provider, hookimpl
from adapter.options import SecretField


class Failing(Provider):
    name = "failing"
    title = "Failing"
    base_url = "http://127.0.0.1:1"
    routes = {"block": ("POST", "/block"),}

    class Options(Schema):
        token = SecretField()
        mode = fields.String()

    def __init__(self, options):
        super().__init__(options)
        if options["mode"] == "ends":
            raise SystemExit(0)
        if options["mode"] == "fails":
            raise ValueError(options["token"].reveal())

    def build_request(self, command):
        return self.request(command, {})

    def parse_success(self, command, response):
        return self.success(response)


@hookimpl
def register(registry):
    registry.add(Failing)
"""


@pytest.mark.parametrize(
    ("mode", "said"), [("ends", "the plugin raised SystemExit"), ("fails", "ValueError")]
)
def test_sighup_with_a_failing_plugin_keeps_the_server_and_logs_no_secret(
    mode: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "site").mkdir()
    install_plugin(tmp_path / "site", "failing", FAILING_PLUGIN)
    (tmp_path / "token").write_text("canary-token")
    config = tmp_path / "adapter.toml"
    text = '[accounts.a]\nprovider = "failing"\ntoken = { file = "token" }\nmode = "fine"\n'
    config.write_text(text)
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(tmp_path / "site")]))
    environment = {**ENVIRONMENT, "PYTHONPATH": path}
    with serve("--config", str(config), env=environment) as served:
        config.write_text(text.replace("fine", mode))
        send_sighup(served)
        assert accepted(served, "")
        assert served.stop() == 0
    assert [
        each.strip().partition(NOT_RELOADED)[2] for each in served.lines if NOT_RELOADED in each
    ] == [said]
    assert "canary" not in served.log


def test_sighup_leaks_no_file_descriptor(tmp_path: Path) -> None:
    with served_with_key(tmp_path) as served:
        folder = Path(f"/proc/{served.process.pid}/fd")
        if not folder.exists():
            pytest.skip("there is no /proc here")
        send_sighup(served)
        before = len(os.listdir(folder))  # noqa: PTH208
        for _ in range(3):
            send_sighup(served)
        wait_until(lambda: len(os.listdir(folder)) <= before, "as few descriptors")  # noqa: PTH208
        assert served.stop() == 0
