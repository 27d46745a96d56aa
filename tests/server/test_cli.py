"""The command line: calls, accounts, providers, and the installed command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from adapter.providers.memory import MAGIC_NUMBERS
from support import (
    BROKEN_PLUGIN,
    ENVELOPE_KEYS,
    NATIVE,
    NUMBER,
    PROVIDERS,
    free_port,
    install_plugin,
)
from support.cli import MASKED, on_path, run, run_installed, wuts_at
from support.dists import PROVIDER
from support.raw_server import RawServer, always, http_response

from adapter.codes import Code

pytest_plugins = ["support.cli_fixtures"]


# block, unblock, blocked


@pytest.mark.parametrize(
    "target",
    [NUMBER, "+55 11 99999-9999", f"{NUMBER}@c.us", f"https://wa.me/{NUMBER}", f"tel:+{NUMBER}"],
)
@pytest.mark.parametrize("command", ["block", "unblock"])
def test_change_is_printed_with_the_number_masked(command: str, target: str) -> None:
    result = run(command, target)
    assert result.exit_code == 0
    assert result.output == f"{command}ed {MASKED} for memory (provider_state)\n"


@pytest.mark.parametrize("command", ["block", "unblock"])
def test_change_with_json_is_the_envelope(command: str) -> None:
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
def test_failure_has_exit_status_1(number: str, code: Code, as_json: bool) -> None:
    result = run("block", number, "--no-verify", *(["--json"] if as_json else []))
    assert result.exit_code == 1
    if as_json:
        assert json.loads(result.stdout)["error"]["code"] == code.value
    else:
        assert result.stdout == ""
        assert result.stderr.startswith(f"{code.value}: {code.message}")
        assert f"(outcome: {code.applied.value}; retry: {code.retry.value})" in result.stderr
        assert number not in result.output


def test_failure_has_the_message_and_retry_advice_of_the_providers_rule(
    write: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    body = b'{"message":"x","error":"Not Found","statusCode":404}'
    monkeypatch.setenv("WAHA_KEY", "k")
    with RawServer(always(http_response(404, body))) as server:
        config = write(
            f'[accounts.a]\nprovider = "waha"\nbase_url = "http://127.0.0.1:{server.port}"\n'
            'api_key = { env = "WAHA_KEY" }\n'
        )
        human = run("block", NUMBER, "--config", config)
        machine = run("block", NUMBER, "--config", config, "--json")
    error = json.loads(machine.stdout)["error"]
    assert human.stderr == (
        "session_not_found: The account's session is unknown to the provider, or stopped. "
        "(outcome: not_applied; retry: after_action)\n"
    )
    assert human.stderr.startswith(f"{error['code']}: {error['message']} ")
    assert f"retry: {error['retry']})" in human.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "field"),
    [
        (("block", "12"), "invalid_target", "number"),
        (("block", "120363025246125486@g.us"), "invalid_target", "jid"),
        (("unblock", "status@broadcast"), "invalid_target", "jid"),
        (("block", ""), "invalid_target", "number"),
        (
            ("block", "BR.00000000000000000001"),
            "invalid_target",
            "user_id",
        ),  # unsupported here
        (("unblock", "br.1"), "invalid_target", "user_id"),
        (("block", NUMBER, "--account", "nowhere"), "account_not_found", ""),
        (("blocked", "--account", "nowhere"), "account_not_found", ""),
    ],
)
def test_invalid_contact_or_account_is_explained(
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
def test_sandbox_accounts_over_http_need_the_server(account: str) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    arguments = ("block", NUMBER, "--account", account, "--own-address", address)
    result = run(*arguments, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["error"]["code"] == "provider_unreachable"
    assert result.stderr == ""
    assert run(*arguments).stderr.endswith(f"\n  {no_server(address)}\n")


def no_server(address: str) -> str:
    """Return the remedy where the sandbox's server does not run."""
    remedy = "start `contact-adapter serve`, or give its address with --own-address"
    return f"no server at {address}: {remedy}"


def test_list_and_live_check_need_the_server_of_the_sandbox() -> None:
    address = f"http://127.0.0.1:{free_port()}"
    listed = run("blocked", "--account", "wuts", "--own-address", address)
    assert listed.stderr.endswith(f"\n  {no_server(address)}\n")
    checked = run("check", "--live", "--own-address", address)
    assert f"wuts: provider_unreachable; {no_server(address)}\n" in checked.stdout
    assert "memory: connected\n" in checked.stdout


def test_remedy_for_the_server_is_not_printed_for_a_provider_elsewhere(
    write: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WUTS_TOKEN", "t")
    config = write(wuts_at(f"http://127.0.0.1:{free_port()}"))
    result = run("blocked", "--config", config)
    assert result.stderr.startswith("provider_unreachable: ")
    assert "--own-address" not in result.stderr


@pytest.mark.parametrize("account", NATIVE)
def test_change_is_sent_over_a_socket(
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


def test_empty_list_prints_nothing_and_succeeds() -> None:
    result = run("blocked")
    assert (result.exit_code, result.output) == (0, "")
    document = json.loads(run("blocked", "--json").stdout)
    assert document["data"] == {
        "account": "memory",
        "source": "provider",
        "contacts": [],
        "count": 0,
        "others": 0,
        "cursor": None,
    }


# accounts, providers


def test_accounts_prints_the_configured_accounts() -> None:
    human, machine = run("accounts"), run("accounts", "--json")
    assert human.exit_code == machine.exit_code == 0
    assert "memory (default): memory; block, unblock, list, status, lookup, state\n" in human.stdout
    document = json.loads(machine.stdout)
    assert list(document) == ENVELOPE_KEYS
    assert {each["name"] for each in document["data"]["accounts"]} == set(PROVIDERS)


def test_providers_prints_the_installed_providers() -> None:
    human, machine = run("providers"), run("providers", "--json")
    assert human.exit_code == machine.exit_code == 0
    names = {each["name"] for each in json.loads(machine.stdout)["data"]["providers"]}
    assert names >= set(PROVIDERS)
    assert all(f"{name}: " in human.stdout for name in PROVIDERS)


def test_broken_plugin_without_an_account_is_printed_and_is_no_failure(
    plugin: Callable[[str, str], Path],
) -> None:
    plugin("moon", BROKEN_PLUGIN)
    for command in ("providers", "check"):
        result = run(command)
        assert result.exit_code == 0
        assert "the moon is not where it was" in result.stdout
    broken = json.loads(run("providers", "--json").stdout)["data"]["broken"]
    assert [each["name"] for each in broken] == ["moon"]


def test_name_clash_with_a_built_in_plugin_is_printed_and_is_no_failure(
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


# The installed command


@pytest.mark.parametrize("arguments", [("--help",), ("-h",), ("serve", "--help"), ("--version",)])
def test_help_and_version(arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.exit_code == 0
    assert result.output


@pytest.mark.parametrize("arguments", [("blok", NUMBER), ("block",), ("serve", "--port", "70000")])
def test_unknown_command_or_option_has_exit_status_2(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


@pytest.mark.slow
def test_installed_command_works_in_any_folder(tmp_path: Path) -> None:
    result = run_installed("block", NUMBER, "--json", cwd=tmp_path)
    assert result.returncode == 0
    assert json.loads(result.stdout)["data"]["blocked"] is True
    assert result.stderr == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_installed_command_fails_with_exit_status_1(tmp_path: Path) -> None:
    result = run_installed("block", "15005550012", cwd=tmp_path)
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith("session_not_connected: ")


@pytest.mark.slow
def test_broken_plugin_of_an_account_is_printed_with_its_traceback(tmp_path: Path) -> None:
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
def test_failing_output_is_a_one_line_error(arguments: list[str], said: str) -> None:
    command = Path(sys.executable).with_name("contact-adapter")
    environment = {k: v for k, v in os.environ.items() if k != "CONTACT_ADAPTER_CONFIG"}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [command, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, env=environment
        )
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if " adapter " not in line]
    assert lines == [f"Error: cannot write to standard output: No space left on device{said}"]
