"""The providers and accounts for which the rows of the fault matrix are run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from adapter import Action, Code, Command, Contact, Result, Secret
from adapter.service import Service
from adapter.settings.loader import load_settings
from support import NUMBER
from support.faults import Row, Target
from support.raw_server import http_response
from support.server_faults import SERVER_FAULTS, WUTS_OK
from support.setup_faults import SETUP_FAULTS

BLOCK = Command(Action.BLOCK, Contact(NUMBER))
SECRET = "canary-secret"

PROVIDERS: Mapping[str, Mapping[str, Any]] = {
    "wuts": {"token": Secret(SECRET)},
    "wappfy": {"api_key": Secret(SECRET), "session": "s1"},
    "session-gateway": {"token": Secret(SECRET), "session": "s1"},
}
GOOD = {
    "wuts": http_response(200, WUTS_OK),
    "wappfy": http_response(201),
    "session-gateway": http_response(204),
}
"""The good response of each provider."""

ROWS = (*SERVER_FAULTS, *SETUP_FAULTS)
each_provider = pytest.mark.parametrize("provider", PROVIDERS)


def account(provider: str, base_url: str, **transport: Any) -> dict[str, Any]:
    """Return the configuration of an account.

    The matrix is of the change alone; `test_verification.py` has the reads that follow one.
    """
    table = {"provider": provider, "base_url": base_url, **PROVIDERS[provider]}
    return {**table, "transport": transport, "verify": "never"}


def account_for(target: Target, row: Row, provider: str) -> dict[str, Any]:
    """Return the configuration of the account for a row."""
    limits = {"deadline": row.deadline, "connect_timeout": row.deadline / 2}
    return account(provider, target.base_url, **{**limits, **target.transport})


@contextmanager
def service_for(**accounts: Mapping[str, Any]) -> Iterator[Service]:
    """Open a service with these accounts."""
    service = Service(load_settings({"accounts": accounts}))
    try:
        yield service
    finally:
        service.close()


def assert_result(result: Result, row: Row, provider: str) -> None:
    """Compare a result with its row."""
    expected = row.expected(provider)
    assert result.code is expected
    assert result.attempts == row.expected_attempts(provider)
    envelope = result.envelope()
    assert envelope["success"] is (expected is None)
    if expected is not None:
        assert envelope["error"]["outcome"] == expected.applied.value
        assert (result.outcome.retry_after or 0) <= 3600
        assert expected.carries_retry_after or result.outcome.retry_after is None
    if expected in (Code.CIRCUIT_OPEN, Code.OVERLOADED):
        assert (result.outcome.retry_after or 0) >= 1


def show(*lines: str) -> None:
    """Print figures, which `pytest -rA` shows."""
    print(*lines, sep="\n")  # noqa: T201
