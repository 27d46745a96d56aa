"""The command line: the configuration file, and `contact-adapter check`."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support import (
    FAILING_PLUGIN,
    NUMBER,
    PROVIDERS,
    Upstream,
)
from support.cli import MEMORY, on_path, run, run_installed
from support.dists import PROVIDER

pytest_plugins = ["support.cli_fixtures"]


STATUS_PLUGIN = '''
from adapter import plugin as p


class MoodyProvider(p.LocalProvider):
    """A provider whose session waits for its phone, and whose list is empty."""

    name = "moody"
    title = "Moody"
    routes = {
        "block": ("PUT", "/blocked/{jid}"),
        "unblock": ("DELETE", "/blocked/{jid}"),
        "list": ("GET", "/blocked"),
        "status": ("GET", "/status")
    }
    status_at = "/status"
    status_words = {"SCAN_QR_CODE": p.SessionState.NOT_CONNECTED}

    def build_request(self, command):
        return self.request(command)

    def handle_request(self, request):
        return p.json_response(200, {"status": "SCAN_QR_CODE", "blocked": []})

    def parse_success(self, command, response):
        return self.list_success(response, response.document["blocked"])


@p.hookimpl
def register(registry):
    registry.add(MoodyProvider)
'''


# The configuration file


def test_config_option_overrides_the_environment_which_overrides_the_sandbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def names(*arguments: str) -> set[str]:
        document = json.loads(run("accounts", "--json", *arguments).stdout)
        return {each["name"] for each in document["data"]["accounts"]}

    for name in ("one", "two"):
        (tmp_path / f"{name}.toml").write_text(f'[accounts.{name}]\nprovider = "memory"\n')
    assert names() == set(PROVIDERS)
    monkeypatch.setenv("CONTACT_ADAPTER_CONFIG", str(tmp_path / "one.toml"))
    assert names() == {"one"}
    assert names("--config", str(tmp_path / "two.toml")) == {"two"}


# check


def test_check_reports_a_valid_configuration() -> None:
    result = run("check")
    assert result.exit_code == 0
    assert "valid; 4 accounts" in result.stdout


@pytest.mark.parametrize("command", ["check", "serve", "blocked"])
def test_an_empty_path_of_the_configuration_is_refused_by_its_option(command: str) -> None:
    result = run(command, "--config", "")
    assert result.exit_code == 2
    assert "'--config': is empty; give a path" in result.stderr


def test_check_reports_a_missing_library_of_the_queue(
    write: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    ledger = f'[ledger]\nurl = "sqlite:///{tmp_path / "ledger.db"}"\n'
    path = write(f'{MEMORY}{ledger}[queue]\nurl = "redis://127.0.0.1:1/0"\n')
    result = run("check", "--config", path)
    assert result.exit_code == 1
    assert "pip install 'contact-adapter[queue]'" in result.stderr


@pytest.mark.parametrize(("region", "noted"), [("", True), ('default_region = "BR"\n', False)])
def test_check_notes_that_no_region_is_configured(
    write: Callable[[str], str], region: str, noted: bool
) -> None:
    result = run("check", "--config", write(f"{region}{MEMORY}"))
    assert result.exit_code == 0
    assert ("note: no default_region: " in result.stdout) is noted


@pytest.mark.parametrize(
    ("timeout", "deadline", "warned"), [(20, 15, True), (15, 15, False), (3, 15, False)]
)
def test_check_warns_about_a_connect_timeout_above_the_deadline(
    write: Callable[[str], str], timeout: int, deadline: int, warned: bool
) -> None:
    transport = f"[transport]\nconnect_timeout = {timeout}\ndeadline = {deadline}\n"
    result = run("check", "--config", write(MEMORY + transport))
    assert result.exit_code == 0
    warning = (
        f"warning: connect_timeout ({timeout}) is above deadline ({deadline}) and has no effect; "
        "lower it, or raise deadline (accounts: support)\n"
    )
    assert (warning in result.stdout) is warned
    assert ("warning: " in result.stdout) is warned


def test_check_notes_that_a_provider_without_a_read_verifies_nothing(
    write: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "a-token")
    text = "".join(
        f'[accounts.{name}]\nprovider = "{provider}"\nverify = "{verify}"\n'
        f'token = {{ env = "TOKEN" }}\n'
        for name, provider, verify in (
            ("support", "whapi", "always"),
            ("news", "whapi", "always"),
            ("shop", "whapi", "unknown"),
            ("sales", "wuts", "always"),
        )
    )
    result = run("check", "--config", write(f'default_account = "support"\n{text}'))
    assert result.exit_code == 0
    (note,) = (line for line in result.stdout.splitlines() if "verify" in line)
    assert note == (
        'note: verify = "always" has no effect: whapi has no read of a block list or a contact; '
        "remove it (accounts: support, news)"
    )


BAD = """
default_acount = "support"

[accounts.support]
provider = "wutz"

[accounts.sales]
provider = "session-gateway"
base_url = "http://gateway.example.com"
token = { env = "NO_SUCH_VARIABLE_HERE" }
sesion = "s"

[keys.crm]
secret = "in-the-clear-secret"
scopes = ["blok"]
accounts = ["suport"]

[dialects]
enabled = ["wut"]
"""


@pytest.mark.parametrize(
    "arguments",
    [("check",), ("accounts",), ("block", NUMBER), ("serve", "--port", "0"), ("providers",)],
)
def test_every_command_reports_every_fault_of_the_configuration(
    write: Callable[[str], str], arguments: tuple[str, ...]
) -> None:
    result = run(*arguments, "--config", write(BAD))
    assert result.exit_code == 1
    for path in (
        "default_acount: unknown key (did you mean default_account?)",
        "accounts.support.provider: no such provider (did you mean wuts?)",
        "accounts.sales.base_url: ",
        "accounts.sales.token: the environment has no variable of the given name",
        "accounts.sales.sesion: unknown key (did you mean session?)",
        "accounts.sales.session: is required",
        "keys.crm.secret: ",
        "keys.crm.scopes",
        "keys.crm.accounts: no such account (did you mean support?)",
        "dialects.enabled: has a name that is not an installed dialect (did you mean wuts?)",
    ):
        assert path in result.stderr
    for secret in ("in-the-clear-secret", "NO_SUCH_VARIABLE_HERE"):
        assert secret not in result.output
    assert "Traceback" not in result.output


def test_serve_reports_the_configuration_before_the_port(write: Callable[[str], str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        faulty = run("serve", "--port", port, "--config", write(BAD))
        valid = run("serve", "--port", port, "--config", write(MEMORY))
    assert "default_acount: unknown key" in faulty.stderr
    assert "cannot listen" not in faulty.stderr
    assert f"cannot listen on 127.0.0.1 port {port}" in valid.stderr


@pytest.mark.parametrize("text", [None, "accounts = ", "\xff", "accounts = 1", ""])
def test_unusable_configuration_file_is_explained(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "adapter.toml"
    if text is not None:
        path.write_text(text, "latin-1")
    result = run("check", "--config", str(path))
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert "Traceback" not in result.output


@pytest.mark.slow
def test_configuration_that_is_not_a_regular_file_is_rejected(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", Path("/dev/zero"), tmp_path):
        for command in (("check",), ("serve", "--port", "0")):
            result = run_installed(*command, "--config", str(path))
            assert result.returncode == 1
            assert f"{path}: cannot be read: it is a " in result.stderr
            assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_loop_of_accounts_is_rejected_and_shown(
    write: Callable[[str], str],
) -> None:
    config = write(
        '[accounts.a]\nprovider = "wuts"\ntoken = { file = "token" }\n'
        'base_url = { self = "/dialects/wuts" }\n[dialects]\nenabled = ["wuts"]\n'
    )
    Path(config).with_name("token").write_text("any")
    for command in (("check",), ("serve", "--port", "0")):
        result = run_installed(*command, "--config", config)
        assert result.returncode == 1
        assert "accounts.a.base_url: " in result.stderr
        assert "a → a" in result.stderr


KEY = """
[accounts.support]
provider = "memory"
[keys.crm]
secret = { file = "key" }
scopes = ["read"]
accounts = ["*"]
"""


@pytest.mark.parametrize(("length", "warned"), [(5, True), (15, True), (16, False), (43, False)])
def test_check_warns_about_a_short_api_key_by_its_name(
    write: Callable[[str], str], length: int, warned: bool
) -> None:
    config = write(KEY)
    secret = "k3y-" + "x" * (length - 4)
    Path(config).with_name("key").write_text(secret)
    result = run("check", "--config", config)
    assert result.exit_code == 0
    assert "valid; 1 account" in result.stdout
    warning = (
        "warning: keys.crm: the key has fewer than 16 characters and can be guessed; make a new "
        'one with: python -c "import secrets; print(secrets.token_urlsafe(32))"'
    )
    lines = [line for line in result.stdout.splitlines() if line.startswith("warning: ")]
    assert lines == ([warning] if warned else [])
    assert secret not in result.output


def test_check_sends_nothing(wuts: tuple[str, Upstream]) -> None:
    config, upstream = wuts
    for command in ("check", "accounts", "providers"):
        assert run(command, "--config", config).exit_code == 0
    assert upstream.connections == 0


@pytest.mark.parametrize(
    ("connected", "printed"), [(True, "connected"), (False, "not_connected"), (None, "")]
)
def test_check_live_reads_the_status_alone_and_fails_unless_it_is_connected(
    wuts: tuple[str, Upstream], connected: bool | None, printed: str
) -> None:
    config, upstream = wuts
    upstream.will_answer(200, {"success": True, "data": {"connected": connected}})
    result = run("check", "--live", "--config", config)
    assert result.exit_code == (0 if connected else 1)
    assert f"support: {printed or 'provider_bad_response'}\n" in result.stdout
    assert [(each.method, each.path) for each in upstream.seen] == [("GET", "/status")]


def test_check_live_prints_the_word_of_the_provider(
    plugin: Callable[[str, str], Path], write: Callable[[str], str]
) -> None:
    plugin("moody", STATUS_PLUGIN)
    result = run("check", "--live", "--config", write('[accounts.a]\nprovider = "moody"\n'))
    assert result.exit_code == 1
    assert "a: not_connected (SCAN_QR_CODE)\n" in result.stdout


def test_check_live_reads_the_block_list_of_a_provider_without_a_status(
    plugin: Callable[[str, str], Path], write: Callable[[str], str]
) -> None:
    source = STATUS_PLUGIN.replace('"status": ("GET", "/status")', "")
    plugin("silent", source.replace("moody", "silent"))
    result = run("check", "--live", "--config", write('[accounts.a]\nprovider = "silent"\n'))
    assert result.exit_code == 0
    assert "a: ok; the block list was read\n" in result.stdout


def test_check_live_fails_with_a_failing_account(wuts: tuple[str, Upstream]) -> None:
    config, upstream = wuts
    upstream.will_answer(401, {"success": False, "error": "Invalid token"})
    result = run("check", "--live", "--config", config)
    assert result.exit_code == 1
    assert "support: provider_auth_failed\n" in result.stdout


def test_check_live_reports_an_account_with_neither_a_status_nor_a_block_list(
    plugin: Callable[[str, str], Path], write: Callable[[str], str]
) -> None:
    plugin("two", PROVIDER.format(name="two"))
    result = run("check", "--live", "--config", write('[accounts.a]\nprovider = "two"\n'))
    assert result.exit_code == 0
    assert "a: not checked; two has neither a status nor a block list\n" in result.stdout


@pytest.mark.slow
def test_exception_in_a_provider_is_printed_without_a_number(
    plugin: Callable[[str, str], Path], write: Callable[[str], str]
) -> None:
    folder = plugin("failing", FAILING_PLUGIN)
    config = write('[accounts.a]\nprovider = "failing"\n')
    environment = {**os.environ, "PYTHONPATH": on_path(folder)}
    result = run_installed("block", NUMBER, "--config", config, env=environment)
    assert result.returncode != 0
    assert "ZeroDivisionError" in result.stderr
    assert NUMBER not in result.stderr + result.stdout
