"""Every failure between us and a provider ends in time, in the right code, with the truth."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from faults import FAULTS, WUTS_OK, Fault, FaultServer, answer

from adapter import Action, Command, Contact, Result, Secret
from adapter.service import Service
from adapter.settings import load_settings

DEADLINE = 0.6
BLOCK = Command(Action.BLOCK, Contact("5511999999999"))

PROVIDERS: Mapping[str, Mapping[str, Any]] = {
    "wuts": {"token": Secret("canary-secret")},
    "wappfy": {"api_key": Secret("canary-secret"), "session": "s1"},
    "session-gateway": {"token": Secret("canary-secret"), "session": "s1"},
}
GOOD = {"wuts": answer(200, WUTS_OK), "wappfy": answer(201), "session-gateway": answer(204)}


@contextmanager
def service_for(provider: str, port: int, **transport: Any) -> Iterator[Service]:
    base_url = f"http://127.0.0.1:{port}"
    account = {"provider": provider, "base_url": base_url, **PROVIDERS[provider]}
    settings = {"deadline": DEADLINE, "connect_timeout": DEADLINE / 2, **transport}
    service = Service(load_settings({"accounts": {"a": account}, "transport": settings}))
    try:
        yield service
    finally:
        service.close()


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_each_fault_becomes_its_code_with_the_attempts_that_the_server_saw(
    fault: Fault, provider: str, record_property: Any
) -> None:
    with (
        FaultServer(fault.play, GOOD[provider]) as server,
        service_for(provider, server.port, deadline=fault.deadline) as service,
    ):
        for _ in range(fault.calls):
            before, started = server.requests, time.monotonic()
            result = service.perform("a", BLOCK)
            record_property("seconds", round(time.monotonic() - started, 3))
        assert_result(result, fault, provider)
        assert result.attempts == server.requests - before == fault.expected_attempts(provider)


def assert_result(result: Result, fault: Fault, provider: str) -> None:
    expected = fault.expected(provider)
    assert result.code is expected
    envelope = result.envelope()
    assert envelope["success"] is (expected is None)
    if expected is not None:
        assert envelope["error"]["outcome"] == expected.applied.value
        assert (result.outcome.retry_after or 0) <= 3600
