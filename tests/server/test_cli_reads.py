"""The command line: status, lookup, state, and changes that are read back."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from collections.abc import Callable

import pytest
from adapter.providers.memory import (
    LISTED_BY_LID,
    NOT_EFFECTIVE,
    NOT_ON_WHATSAPP,
    WITH_NINTH_DIGIT,
)
from support import ENVELOPE_KEYS, NUMBER, OTHER_NUMBER, Upstream, cli_runner
from support.cli import COMMAND, MASKED, run

from adapter.cli import main

pytest_plugins = ["support.cli_fixtures"]

TYPED = "+55 (11) 99999-0001"
"""The number with the ninth digit, as a person types it."""


# status


def test_status_is_a_line_with_tabs() -> None:
    result = run("status")
    assert (result.exit_code, result.output) == (0, "memory\tconnected\tconnected\n")


def test_status_with_json_is_the_envelope() -> None:
    result = run("status", "--account", "memory", "--json")
    document = json.loads(result.stdout)
    assert result.exit_code == 0
    assert list(document) == ENVELOPE_KEYS
    assert document["data"]["status"] == "connected"


def test_status_that_is_not_connected_is_a_success(wuts: tuple[str, Upstream]) -> None:
    config, upstream = wuts
    upstream.will_answer(200, {"success": True, "data": {"connected": False}})
    result = run("status", "--config", config)
    assert (result.exit_code, result.output) == (0, "support\tnot_connected\t\n")


def test_failed_status_has_exit_status_1(wuts: tuple[str, Upstream]) -> None:
    config, upstream = wuts
    upstream.will_answer(401, {"success": False, "error": "Invalid token"})
    result = run("status", "--config", config)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("provider_auth_failed: ")


# lookup


def test_lookup_prints_the_numbers_as_they_were_typed() -> None:
    result = run("lookup", TYPED, NOT_ON_WHATSAPP, "--candidates")
    assert result.exit_code == 0
    assert result.output == (
        f"{TYPED}\tyes\t551199990001@s.whatsapp.net\t\n"
        "+551199990001\tyes\t551199990001@s.whatsapp.net\t\n"
        f"{NOT_ON_WHATSAPP}\tno\t\t\n"
    )


@pytest.mark.parametrize(
    ("arguments", "text", "numbers"),
    [
        ((), f"{TYPED}\n{NUMBER}\n", [TYPED, NUMBER]),
        (("-",), f"\n  {TYPED}  \r\n\n", [TYPED]),
        ((NUMBER, "-"), f"{TYPED}", [NUMBER, TYPED]),
        ((), f"\ufeff{TYPED}\n", [TYPED]),
        ((), f"+55\u00a011 99999-0001\n{TYPED}\n{TYPED}\n", ["+55 11 99999-0001", TYPED, TYPED]),
    ],
)
def test_lookup_reads_numbers_from_standard_input_one_per_line(
    arguments: tuple[str, ...], text: str, numbers: list[str]
) -> None:
    result = cli_runner().invoke(main, ["lookup", *arguments], input=text)
    assert result.exit_code == 0
    assert [line.partition("\t")[0] for line in result.stdout.splitlines()] == numbers


def test_lookup_with_json_is_the_envelope() -> None:
    result = run("lookup", TYPED, "--json")
    assert result.exit_code == 0
    (lookup,) = json.loads(result.stdout)["data"]["lookups"]
    assert lookup["number"] == WITH_NINTH_DIGIT
    assert lookup["contact"]["number"] == "551199990001"


def test_lookup_that_leaves_a_number_unknown_has_exit_status_1(
    wuts: tuple[str, Upstream],
) -> None:
    config, upstream = wuts
    upstream.will_answer(200, {"success": True, "data": {NUMBER: True}})
    for arguments in ((), ("--json",)):
        result = run("lookup", NUMBER, OTHER_NUMBER, "--config", config, *arguments)
        assert result.exit_code == 1
    plain = run("lookup", NUMBER, OTHER_NUMBER, "--config", config)
    assert plain.stdout == (
        f"{NUMBER}\tyes\t\t\n{OTHER_NUMBER}\tunknown\t\tprovider_bad_response\n"
    )


@pytest.mark.parametrize(
    ("text", "code", "field"),
    [
        ("", "validation_error", "numbers: must have 1 to 100 entries"),
        ("\n".join([NUMBER] * 101), "validation_error", "numbers: must have 1 to 100 entries"),
        (f"{NUMBER}\nx\n", "invalid_target", "numbers[1]: "),
    ],
)
def test_invalid_numbers_of_a_lookup_are_explained(text: str, code: str, field: str) -> None:
    result = cli_runner().invoke(main, ["lookup"], input=text)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith(f"{code}: ")
    assert f"  {field}" in result.stderr
    assert NUMBER not in result.stderr


# state


def test_state_is_printed_with_the_number_masked() -> None:
    result = run("state", "+55 11 99999-9999")
    assert (result.exit_code, result.output) == (0, f"memory\t{MASKED}\tno\t\n")


def test_state_with_json_is_the_envelope() -> None:
    document = json.loads(run("state", f"{NUMBER}@c.us", "--json").stdout)
    assert document["data"]["blocked"] is False
    assert document["data"]["contact"]["number"] == NUMBER


def test_state_that_stays_unknown_has_exit_status_1(wuts: tuple[str, Upstream]) -> None:
    config, upstream = wuts
    items = [{"jid": "123456789@lid", "phone_number": None}]
    upstream.will_answer(200, {"success": True, "data": {"items": items, "count": 1}})
    result = run("state", NUMBER, "--config", config)
    assert result.exit_code == 1
    assert result.stdout == f"support\t{MASKED}\tunknown\tonly_lids\n"


@pytest.mark.parametrize(
    ("contact", "field"), [("12", "number"), ("status@broadcast", "jid"), ("br.1", "user_id")]
)
def test_invalid_contact_of_a_state_is_explained(contact: str, field: str) -> None:
    result = run("state", contact)
    assert result.exit_code == 1
    assert result.stderr.startswith("invalid_target: ")
    assert f"  {field}: " in result.stderr


# block and unblock


@pytest.mark.parametrize("command", ["block", "unblock"])
def test_change_that_was_read_back_is_printed_as_such(command: str) -> None:
    result = run(command, NUMBER, "--verify")
    assert result.exit_code == 0
    assert result.output == f"{command}ed {MASKED} for memory (read_back)\n"


def test_change_that_cannot_be_verified_is_printed_with_the_reason() -> None:
    result = run("block", LISTED_BY_LID, "--verify")
    assert result.exit_code == 0
    assert result.output.endswith(" for memory (accepted; not verified: only_lids)\n")


def test_change_that_is_not_effective_has_exit_status_1() -> None:
    result = run("block", NOT_EFFECTIVE, "--verify")
    assert result.exit_code == 1
    assert result.stderr.startswith("not_effective: ")
    assert run("block", NOT_EFFECTIVE, "--no-verify").exit_code == 0


def test_no_verify_overrides_the_account(write: Callable[[str], str]) -> None:
    config = write('[accounts.a]\nprovider = "memory"\nverify = "always"\n')
    assert run("block", NOT_EFFECTIVE, "--config", config).exit_code == 1
    assert run("block", NOT_EFFECTIVE, "--no-verify", "--config", config).exit_code == 0


# On a terminal


def on_terminal(*arguments: str) -> tuple[int, str]:
    """Run the installed command on a terminal; return its exit status and its output."""
    ours, theirs = pty.openpty()
    environment = {k: v for k, v in os.environ.items() if k != "CONTACT_ADAPTER_CONFIG"}
    with subprocess.Popen(
        [COMMAND, *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.STDOUT,
        env=environment,
    ) as process:
        os.close(theirs)
        output = b""
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # Linux reports the end of the other side as an error
                break
            if not part:
                break
            output += part
    os.close(ours)
    return process.returncode, output.decode().replace("\r\n", "\n")


@pytest.mark.slow
def test_reads_are_aligned_tables_with_titles_on_a_terminal() -> None:
    status, output = on_terminal("lookup", TYPED, NOT_ON_WHATSAPP)
    assert status == 0
    assert [line for line in output.splitlines() if " adapter " not in line] == [
        "number               on WhatsApp  as                           reason",
        f"{TYPED}  yes          551199990001@s.whatsapp.net",
        f"{NOT_ON_WHATSAPP}          no",
    ]


@pytest.mark.slow
def test_lookup_without_numbers_on_a_terminal_is_a_usage_error() -> None:
    status, output = on_terminal("lookup")
    assert status == 2
    assert "give numbers, or - to type them on standard input" in output
