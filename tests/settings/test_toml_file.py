"""Reading TOML files: errors with positions, and relative paths."""

from __future__ import annotations

import shutil
from pathlib import Path

import certifi
import pytest
from support.settings import CANARY

from adapter.errors import ConfigurationError
from adapter.settings.loader import load_settings
from adapter.settings.toml_file import read_toml


@pytest.mark.parametrize(
    "content",
    [b"[accounts", b"a = ", b"a = 1\na = 2", b"\xff\xfe", b"{}", b"a = 'x", b"[a]\n[a]"],
)
def test_a_file_that_is_not_toml_is_refused_with_its_path(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "adapter.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        read_toml(file)
    (problem,) = caught.value.problems
    assert problem.path == str(file)
    assert problem.message.startswith("is not valid TOML: ")


def test_a_byte_order_mark_is_refused_with_its_remedy(tmp_path: Path) -> None:
    file = tmp_path / "adapter.toml"
    file.write_bytes(b"\xef\xbb\xbfdefault_account = 'a'\n")
    with pytest.raises(ConfigurationError, match="byte order mark; save it as UTF-8 without one"):
        read_toml(file)


@pytest.mark.parametrize("name", ["absent.toml", "."])
def test_an_unreadable_file_is_refused_with_its_path(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_toml(tmp_path / name)
    (problem,) = caught.value.problems
    assert problem.path == str(tmp_path / name)
    assert "cannot be read" in problem.message


def test_a_toml_error_has_the_position_and_not_the_line(tmp_path: Path) -> None:
    file = tmp_path / "adapter.toml"
    file.write_text(f'[accounts.a]\ntoken = "{CANARY}\n')
    with pytest.raises(ConfigurationError, match="line 2") as caught:
        read_toml(file)
    assert CANARY not in str(caught.value)


def test_relative_paths_are_resolved_from_the_folder_of_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "etc" / "secrets").mkdir(parents=True)
    (tmp_path / "etc" / "secrets" / "token").write_text("from-a-file")
    shutil.copy(certifi.where(), tmp_path / "ca.pem")
    absolute = tmp_path / "key"
    absolute.write_text("absolute")
    (tmp_path / "etc" / "adapter.toml").write_text(
        f"""
        [accounts.a]
        provider = "wuts"
        token = {{ file = "secrets/token" }}
        transport = {{ ca_file = "../ca.pem" }}

        [keys.k]
        secret = {{ file = "{absolute}" }}
        scopes = ["read"]
        accounts = ["a"]
        """
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(tmp_path)
    mapping = read_toml(Path("etc/adapter.toml"))
    monkeypatch.chdir(elsewhere)
    loaded = load_settings(mapping)
    assert loaded.accounts["a"].options["token"].reveal() == "from-a-file"
    assert loaded.keys[0].secret.reveal() == "absolute"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[accounts.AKIAX]\n[accounts.AKIAX]\n", "a key or table is defined twice (line 2, "),
        ("a = {AKIAX = 1, AKIAX = 2}\n", "a key or table is defined twice (line 1, "),
        ("AKIAX = 1\nAKIAX = 2\n", "a key or table is defined twice (line 2, "),
        ("AKIAX\n", "the text cannot be parsed (line 1, "),
        ("a = ", "the text cannot be parsed ("),
        ("a = " + "9" * 5000, "the text cannot be parsed ("),
    ],
)
def test_a_toml_error_never_repeats_the_text(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "adapter.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        read_toml(path)
    (problem,) = caught.value.problems
    assert problem.message.startswith(f"is not valid TOML: {said}")
    assert "AKIAX" not in str(caught.value)
