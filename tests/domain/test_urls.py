"""Hosts of URLs: loopback, and names of this machine."""

from __future__ import annotations

import pytest

from adapter.urls import is_loopback, is_same_host


@pytest.mark.parametrize("host", ["10.0.0.1", "web-2.example", "localhost.example", "[::2]", ""])
def test_the_host_of_another_machine_is_not_the_same_host(host: str) -> None:
    assert not is_same_host(host, "127.0.0.1")
    assert not is_same_host(host, "localhost")
    assert is_same_host(host, host)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.0.1", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("127.1", False),
        ("", False),
        ("\n127.0.0.1", False),
        ("localhost.", False),
        ("a.localhost", False),
    ],
)
def test_only_loopback_hosts_are_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback
