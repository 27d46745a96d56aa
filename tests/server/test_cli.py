"""The command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from adapter.providers.memory import MAGIC_NUMBERS
from click.testing import Result
from support import (
    BROKEN_PLUGIN,
    ENVELOPE_KEYS,
    FAILING_PLUGIN,
    NATIVE,
    NUMBER,
    PROVIDERS,
    Upstream,
    cli_runner,
    free_port,
    install_plugin,
)
from support.dists import PROVIDER

from adapter.cli import main
from adapter.codes import Code

COMMAND = Path(sys.executable).with_name("contact-adapter")
MASKED = "551*******999"
MEMORY = '[accounts.support]\nprovider = "memory"\n'


def run(*arguments: str) -> Result:
    return cli_runner().invoke(main, arguments)


def run_installed(*arguments: str, **changes: Any) -> subprocess.CompletedProcess[str]:
    """Run the installed command as a process of its own."""
    return subprocess.run(
        [COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        **changes,
    )


def on_path(folder: Path) -> str:
    """Return the import path of this process with the folder added to it."""
    return os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(folder)]))


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], str]:
    """Return a function that writes a configuration and returns its path."""

    def write(text: str) -> str:
        path = tmp_path / "adapter.toml"
        path.write_text(text)
        return str(path)

    return write


def wuts_at(address: str) -> str:
    return (
        '[accounts.support]\nprovider = "wuts"\ntoken = { env = "WUTS_TOKEN" }\n'
        f'base_url = "{address}"\n'
    )


@pytest.fixture
def wuts(
    write: Callable[[str], str], upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, Upstream]:
    monkeypatch.setenv("WUTS_TOKEN", "the-token")
    return write(wuts_at(upstream.address)), upstream


# block, unblock, blocked


@pytest.mark.parametrize(
    "target",
    [NUMBER, "+55 11 99999-9999", f"{NUMBER}@c.us", f"https://wa.me/{NUMBER}", f"tel:+{NUMBER}"],
)
@pytest.mark.parametrize("command", ["block", "unblock"])
def test_a_change_is_told_with_the_number_masked(command: str, target: str) -> None:
    result = run(command, target)
    assert result.exit_code == 0
    assert result.output == f"{command}ed {MASKED} for memory (provider_state)\n"


@pytest.mark.parametrize("command", ["block", "unblock"])
def test_a_change_in_json_is_the_envelope(command: str) -> None:
    result = run(command, NUMBER, "--account", "memory", "--json")
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert list(document) == ENVELOPE_KEYS
    assert document["data"]["action"] == command
    assert document["data"]["contact"]["number"] == NUMBER
    assert document["meta"]["request_id"]


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize(
    ("number", "code"), MAGIC_NUMBERS.items(), ids=[code.value for code in MAGIC_NUMBERS.values()]
)
def test_a_failure_ends_with_a_status_that_a_shell_sees(
    number: str, code: Code, as_json: bool
) -> None:
    result = run("block", number, *(["--json"] if as_json else []))
    assert result.exit_code == 1
    if as_json:
        assert json.loads(result.stdout)["error"]["code"] == code.value
    else:
        assert result.stdout == ""
        assert result.stderr.startswith(f"{code.value}: {code.message}")
        assert code.applied.value in result.stderr
        assert number not in result.output


@pytest.mark.parametrize(
    ("arguments", "code", "field"),
    [
        (("block", "12"), "invalid_target", "number"),
        (("block", "120363025246125486@g.us"), "invalid_target", "jid"),
        (("unblock", "status@broadcast"), "invalid_target", "jid"),
        (("block", ""), "invalid_target", "number"),
        (("block", "BR.00000000000000000001"), "invalid_target", "user_id"),  # not at this provider
        (("unblock", "br.1"), "invalid_target", "user_id"),
        (("block", NUMBER, "--account", "nowhere"), "account_not_found", ""),
        (("blocked", "--account", "nowhere"), "account_not_found", ""),
    ],
)
def test_a_bad_target_or_account_is_explained(
    arguments: tuple[str, ...], code: str, field: str
) -> None:
    human, machine = run(*arguments), run(*arguments, "--json")
    assert (human.exit_code, machine.exit_code) == (1, 1)
    assert human.stderr.startswith(f"{code}: ")
    assert f"{field}: " in human.stderr
    error = json.loads(machine.stdout)["error"]
    assert error["code"] == code
    assert list(error["fields"]) == ([field] if field else [])


@pytest.mark.parametrize("account", NATIVE)
def test_the_sandboxs_other_accounts_need_its_server(account: str) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    result = run("block", NUMBER, "--account", account, "--own-address", address, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["error"]["code"] == "provider_unreachable"


@pytest.mark.parametrize("account", NATIVE)
def test_a_change_goes_over_the_wire(
    origin: str, write: Callable[[str], str], account: str
) -> None:
    config = write(
        "[accounts.a]\n"
        f'provider = "{account}"\nbase_url = "{origin}/dialects/{account}"\n'
        f'{"api_key" if account == "wappfy" else "token"} = {{ file = "token" }}\n'
        + ('session = "my-session"\n' if account != "wuts" else "")
    )
    Path(config).with_name("token").write_text("any-token\n")
    blocked = run("block", NUMBER, "--config", config)
    listed = run("blocked", "--config", config)
    unblocked = run("unblock", NUMBER, "--config", config, "--json")
    assert blocked.exit_code == unblocked.exit_code == 0
    assert MASKED in blocked.output
    assert json.loads(unblocked.stdout)["meta"]["provider"] == account
    if account == "wuts":
        assert listed.exit_code == 0
        assert listed.stdout == f"{NUMBER}@s.whatsapp.net\n"
    else:
        assert listed.exit_code == 1
        assert listed.stderr.startswith("operation_not_supported: ")


def test_an_empty_list_prints_nothing_and_succeeds() -> None:
    result = run("blocked")
    assert (result.exit_code, result.output) == (0, "")
    document = json.loads(run("blocked", "--json").stdout)
    assert document["data"] == {"account": "memory", "contacts": [], "count": 0, "others": 0}


# accounts, providers


def test_accounts_lists_the_configured_ones() -> None:
    human, machine = run("accounts"), run("accounts", "--json")
    assert human.exit_code == machine.exit_code == 0
    assert "memory (default): memory; block, unblock, list\n" in human.stdout
    document = json.loads(machine.stdout)
    assert list(document) == ENVELOPE_KEYS
    assert {each["name"] for each in document["data"]["accounts"]} == set(PROVIDERS)


def test_providers_lists_the_installed_ones() -> None:
    human, machine = run("providers"), run("providers", "--json")
    assert human.exit_code == machine.exit_code == 0
    names = {each["name"] for each in json.loads(machine.stdout)["data"]["providers"]}
    assert names >= set(PROVIDERS)
    assert all(f"{name}: " in human.stdout for name in PROVIDERS)


def test_a_broken_plugin_that_nobody_selected_is_listed_and_stops_nothing(
    plugin: Callable[[str, str], Path],
) -> None:
    plugin("moon", BROKEN_PLUGIN)
    for command in ("providers", "check"):
        result = run(command)
        assert result.exit_code == 0
        assert "the moon is not where it was" in result.stdout
    broken = json.loads(run("providers", "--json").stdout)["data"]["broken"]
    assert [each["name"] for each in broken] == ["moon"]


def test_a_clash_with_what_is_built_in_is_shown_and_stops_nothing(
    plugin: Callable[[str, str], Path],
) -> None:
    plugin("wuts", PROVIDER.format(name="wuts"))
    advice = '[plugins] blocked = ["plugin_wuts:wuts"]'
    for command in ("providers", "check"):
        result = run(command)
        assert result.exit_code == 0
        assert advice in result.stdout
    document = json.loads(run("providers", "--json").stdout)["data"]
    (listed,) = document["broken"]
    assert listed["origin"] == "plugin_wuts 1.0"
    assert listed["reason"].endswith(advice)
    (wuts,) = [each for each in document["providers"] if each["name"] == "wuts"]
    assert wuts["origin"].startswith("contact-adapter ")


# Which configuration


def test_the_option_goes_before_the_environment_and_that_before_the_sandbox(
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


def test_check_says_that_a_sound_configuration_is_sound() -> None:
    result = run("check")
    assert result.exit_code == 0
    assert "sound; 4 account(s)" in result.stdout


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
def test_a_bad_configuration_is_explained_whole_by_every_command(
    write: Callable[[str], str], arguments: tuple[str, ...]
) -> None:
    result = run(*arguments, "--config", write(BAD))
    assert result.exit_code == 1
    for path in (
        "default_acount: unknown key (did you mean default_account?)",
        "accounts.support.provider: no such provider (did you mean wuts?)",
        "accounts.sales.base_url: ",
        "accounts.sales.token: the environment has no variable of the name that stands there",
        "accounts.sales.sesion: unknown key (did you mean session?)",
        "accounts.sales.session: is required",
        "keys.crm.secret: ",
        "keys.crm.scopes",
        "keys.crm.accounts: no such account (did you mean support?)",
        "dialects.enabled: one of them is no dialect (did you mean wuts?)",
    ):
        assert path in result.stderr
    for secret in ("in-the-clear-secret", "NO_SUCH_VARIABLE_HERE"):
        assert secret not in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize("text", [None, "accounts = ", "\xff", "accounts = 1", ""])
def test_a_file_that_cannot_be_used_at_all_is_explained(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "adapter.toml"
    if text is not None:
        path.write_text(text, "latin-1")
    result = run("check", "--config", str(path))
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert "Traceback" not in result.output


@pytest.mark.slow
def test_a_configuration_that_never_ends_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", Path("/dev/zero"), tmp_path):
        for command in (("check",), ("serve", "--port", "0")):
            result = run_installed(*command, "--config", str(path))
            assert result.returncode == 1
            assert f"{path}: cannot be read: it is a " in result.stderr
            assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_accounts_that_call_each_other_are_refused_with_the_loop(
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


def test_check_sends_nothing(wuts: tuple[str, Upstream]) -> None:
    config, upstream = wuts
    for command in ("check", "accounts", "providers"):
        assert run(command, "--config", config).exit_code == 0
    assert upstream.connections == 0


def test_check_live_reads_the_list_and_nothing_else(wuts: tuple[str, Upstream]) -> None:
    config, upstream = wuts
    upstream.will_answer(200, {"success": True, "data": {"items": [], "count": 0}})
    result = run("check", "--live", "--config", config)
    assert result.exit_code == 0
    assert "support: ok\n" in result.stdout
    assert [(each.method, each.path) for each in upstream.seen] == [("GET", "/contacts/blocklist")]


def test_check_live_fails_where_an_account_does(wuts: tuple[str, Upstream]) -> None:
    config, upstream = wuts
    upstream.will_answer(401, {"success": False, "error": "Invalid token"})
    result = run("check", "--live", "--config", config)
    assert result.exit_code == 1
    assert "support: provider_auth_failed\n" in result.stdout


def test_check_live_says_where_nothing_harmless_can_be_asked(
    write: Callable[[str], str], upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY", "k")
    config = write(
        '[accounts.a]\nprovider = "wappfy"\nsession = "s"\napi_key = { env = "KEY" }\n'
        f'base_url = "{upstream.address}"\n'
    )
    result = run("check", "--live", "--config", config)
    assert result.exit_code == 0
    assert "a: nothing harmless can be asked of wappfy\n" in result.stdout
    assert upstream.connections == 0


@pytest.mark.slow
def test_a_bug_of_a_provider_shows_no_number_to_a_shell(
    plugin: Callable[[str, str], Path], write: Callable[[str], str]
) -> None:
    folder = plugin("failing", FAILING_PLUGIN)
    config = write('[accounts.a]\nprovider = "failing"\n')
    environment = {**os.environ, "PYTHONPATH": on_path(folder)}
    result = run_installed("block", NUMBER, "--config", config, env=environment)
    assert result.returncode != 0
    assert "ZeroDivisionError" in result.stderr
    assert NUMBER not in result.stderr + result.stdout


# The installed command


@pytest.mark.parametrize("arguments", [("--help",), ("-h",), ("serve", "--help"), ("--version",)])
def test_help_is_there(arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.exit_code == 0
    assert result.output


@pytest.mark.parametrize("arguments", [("blok", NUMBER), ("block",), ("serve", "--port", "70000")])
def test_a_command_that_is_none_is_refused(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


@pytest.mark.slow
def test_the_installed_command_works_in_any_folder(tmp_path: Path) -> None:
    result = run_installed("block", NUMBER, "--json", cwd=tmp_path)
    assert result.returncode == 0
    assert json.loads(result.stdout)["data"]["blocked"] is True
    assert result.stderr == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_installed_command_fails_with_a_status_that_a_shell_sees(tmp_path: Path) -> None:
    result = run_installed("block", "15005550012", cwd=tmp_path)
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith("session_not_connected: ")


@pytest.mark.slow
def test_a_broken_plugin_that_is_selected_shows_its_own_traceback(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    install_plugin(site, "moon", BROKEN_PLUGIN)
    config = tmp_path / "adapter.toml"
    config.write_text('[accounts.a]\nprovider = "moon"\n')
    environment = {**os.environ, "PYTHONPATH": on_path(site)}
    for command in (("check",), ("serve", "--port", "0")):
        result = run_installed(*command, "--config", str(config), env=environment)
        assert result.returncode == 1
        assert "plugin_moon.py" in result.stderr
        assert "LookupError: the moon is not where it was" in result.stderr
        assert "plugin_moon:moon" in result.stderr


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk to play")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["check"], ""),
        (["providers", "--json"], ""),
        (["blocked", "--json"], ""),
        (["block", "+5511999999999"], "; the change was made"),
        (["unblock", "+5511999999999", "--json"], "; the change was made"),
        (["block", "+15005550012", "--json"], "; the call failed: session_not_connected"),
    ],
)
def test_an_output_that_cannot_be_written_is_one_line(arguments: list[str], said: str) -> None:
    command = Path(sys.executable).with_name("contact-adapter")
    environment = {k: v for k, v in os.environ.items() if k != "CONTACT_ADAPTER_CONFIG"}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [command, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, env=environment
        )
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if " adapter " not in line]
    assert lines == [f"Error: the output cannot be written: No space left on device{said}"]
