"""Secrets: given by reference, read from the environment or from small regular files."""

from __future__ import annotations

import os
import re
import runpy
import socket
from pathlib import Path
from typing import Any

import pytest
from support.settings import CANARY, key, one, problems, wuts

from adapter import files
from adapter.secret import Secret
from adapter.settings.loader import load_settings


def test_a_secret_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTER_TEST_TOKEN", f"\t {CANARY} \r\n")
    loaded = load_settings(one(wuts(token={"env": "ADAPTER_TEST_TOKEN"})))
    assert loaded.accounts["a"].options["token"].reveal() == CANARY


def test_a_secret_is_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{CANARY}\n")
    loaded = load_settings(one(wuts(token={"file": str(tmp_path / "token")})))
    assert loaded.accounts["a"].options["token"].reveal() == CANARY


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        f"{CANARY} two",
        f"{CANARY}\nX-Evil: 1",
        f"{CANARY}é",
        f"{CANARY}\x7f",
        f"{CANARY}\t.",
    ],
)
@pytest.mark.parametrize("source", ["env", "file", "secret"])
def test_an_invalid_secret_is_refused_and_never_repeated(
    source: str, text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ADAPTER_TEST_TOKEN", text)
    (tmp_path / "token").write_bytes(text.encode())
    token: Any = {
        "env": {"env": "ADAPTER_TEST_TOKEN"},
        "file": {"file": str(tmp_path / "token")},
        "secret": Secret(text),
    }[source]
    mapping = one(wuts(token=token), keys={"k": key(secret=token)})
    found = problems(mapping)
    assert set(found) == {"accounts.a.token", "keys.k.secret"}
    assert all("secret" in message for message in found.values())
    assert not any("canary" in message for message in found.values())


@pytest.mark.parametrize(
    ("token", "words"),
    [
        (CANARY, "never the secret"),
        ({"env": "ADAPTER_TEST_ABSENT"}, "no variable"),
        ({"file": "/does/not/exist"}, "No such file"),
        ({"file": "/"}, "directory"),
        ({"file": ""}, "cannot read"),
        ({"file": "a\0b"}, "cannot read"),
        ({"file": "a\ud800b"}, "cannot read"),
        ({"env": ""}, "no variable"),
        ({"env": "\ud800"}, "no variable"),
        ({"env": 1}, "never the secret"),
        ({"value": CANARY}, "never the secret"),
        ({"env": "HOME", "file": "/x"}, "never the secret"),
        ({}, "never the secret"),
        ([CANARY], "never the secret"),
        (4711, "never the secret"),
    ],
)
def test_a_secret_must_be_given_by_reference(token: Any, words: str) -> None:
    found = problems(one(wuts(token=token)))
    assert set(found) == {"accounts.a.token"}
    assert words in found["accounts.a.token"]
    assert CANARY not in found["accounts.a.token"]


@pytest.mark.parametrize("kind", ["fifo", "device", "folder", "socket", "large", "link to a fifo"])
def test_a_secret_file_that_is_not_a_small_regular_file_is_refused(
    kind: str, tmp_path: Path
) -> None:
    path = tmp_path / "token"
    with socket.socket(socket.AF_UNIX) as listener:
        match kind:
            case "fifo":
                os.mkfifo(path)
            case "device":
                path = Path("/dev/zero")
            case "folder":
                path.mkdir()
            case "socket":
                listener.bind(str(path))
            case "large":
                path.write_bytes(b"x" * (64 * 1024 + 1))
            case _:
                os.mkfifo(tmp_path / "fifo")
                path.symlink_to("fifo")
        found = problems(one(wuts(token={"file": str(path)})))
    assert re.search(r"cannot read the file: .+; name ", found["accounts.a.token"])


def test_a_secret_file_may_be_a_link_as_in_containers(tmp_path: Path) -> None:
    (tmp_path / "..data").mkdir()
    (tmp_path / "..data" / "token").write_text(CANARY)
    (tmp_path / "token").symlink_to("..data/token")
    loaded = load_settings(one(wuts(token={"file": str(tmp_path / "token")})))
    assert loaded.accounts["a"].options["token"].reveal() == CANARY


def test_a_secret_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(b"\xff\xfe")
    found = problems(one(wuts(token={"file": str(tmp_path / "token")})))
    assert "not text" in found["accounts.a.token"]


def test_a_file_is_read_on_a_system_without_posix_flags(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC"):  # Windows has none of them
        monkeypatch.delattr(os, name)
    (tmp_path / "secret").write_text("text")
    module = runpy.run_path(files.__file__)
    assert module["read_file"](tmp_path / "secret", 4) == b"text"
