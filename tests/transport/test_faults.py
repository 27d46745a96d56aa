"""Every fault between this process and a provider becomes its code by the deadline.

The matrix is in `support.faults`, and as a page in FAULTS.md. Each row is run for each provider.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeApp
from support import ENVELOPE_KEYS, NUMBER, wait_until
from support.certificates import Authority
from support.fault_accounts import (
    BLOCK,
    GOOD,
    ROWS,
    SECRET,
    account_for,
    assert_result,
    each_provider,
    service_for,
    show,
)
from support.faults import OTHER_ROWS, Resources, Row, Target
from tools.render_faults import PAGE, page

from adapter import Result

MARGIN = 5.0
"""Seconds after its deadline at which a call counts as hanging. The report has the real ones."""

each_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)

SECONDS: dict[tuple[str, str], tuple[float, float]] = {}
"""The duration and the deadline of each row, for the report at the end."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


# --- the matrix


@pytest.mark.slow
@each_provider
@each_row
def test_each_fault_becomes_its_code_by_the_deadline(
    row: Row, provider: str, authority: Authority, tmp_path: Path, record_property: Any
) -> None:
    with (
        row.set_up(Resources(GOOD[provider], authority, tmp_path)) as target,
        service_for(a=account_for(target, row, provider)) as service,
        target.before(lambda: service.perform("a", BLOCK)),
    ):
        for left in reversed(range(row.calls)):
            before, started = requests(target), time.monotonic()
            result = service.perform("a", BLOCK)
            took = time.monotonic() - started
            arrived = requests(target) - before
            assert arrived == (result.attempts if row.arrives else 0)
            if left:
                assert result.ok
            if left and row.closes:
                wait_until(lambda: all_are_closed(target), "the end of the connection")
        SECONDS[row.name, provider] = (took, row.deadline)
        record_property("seconds", round(took, 3))
        show(f"{took:.3f} s of {row.deadline} s")
        assert_result(result, row, provider)
        assert not row.needs_deadline or took < row.deadline + MARGIN
    assert_nothing_leaked(target, result)


def requests(target: Target) -> int:
    return target.server.request_count if target.server else 0


def all_are_closed(target: Target) -> bool:
    assert target.server is not None
    return target.server.closed == target.server.connections


def assert_nothing_leaked(target: Target, result: Result) -> None:
    """The requests contain the credential, and nothing unintended."""
    for request in target.server.requests if target.server else ():
        head = request.partition(b"\r\n\r\n")[0]
        if "proxy" not in target.transport:  # only a forwarding proxy receives an absolute URL
            assert head.startswith(b"POST /")
        assert SECRET.encode() in head
        assert b"\r\ncookie:" not in head.lower()
        assert b"basic" not in head.lower()
    assert target.third_party is None or target.third_party.connections == 0
    assert SECRET not in repr(result)


def test_the_row_names_are_unique() -> None:
    names = [row.name for row in (*ROWS, *OTHER_ROWS)]
    assert len(names) == len(set(names))


def test_the_page_is_generated_from_the_matrix() -> None:
    assert PAGE.read_text("utf-8") == page(), "run `make readme`"


# --- the same through HTTP

SAMPLE = (
    "504, an HTML page",
    "reset before the response",
    "an idle connection, closed while sending",
    "duplicate keys",
    "200 with success: false",
    "401, an HTML page",
    "404 with the gateway's code",
    "409, an HTML page",
    "429, Retry-After a day",
    "500, an HTML page",
    "501 with the gateway's code",
    "503 with DEVICE_NOT_READY",
    "connection refused",
    "TLS: unknown authority",
    "302 to another server, with an endless body",
    "breaker opened, after 5 consecutive failures",
    "bulkhead full",
)


@each_provider
@pytest.mark.parametrize("name", SAMPLE)
def test_the_http_api_returns_each_fault_in_the_envelope(
    name: str, provider: str, authority: Authority, tmp_path: Path, make_app: MakeApp
) -> None:
    (row,) = (row for row in ROWS if row.name == name)
    with row.set_up(Resources(GOOD[provider], authority, tmp_path)) as target:
        app = make_app({"accounts": {"a": account_for(target, row, provider)}})

        def post() -> Any:
            return app.test_client().post("/v1/contacts/block", json={"number": NUMBER})

        with target.before(post):
            for _ in range(row.calls):
                response = post()
    expected, document = row.expected(provider), response.get_json()
    assert list(document) == ENVELOPE_KEYS
    assert document["meta"]["provider"] == provider
    assert document["meta"]["attempts"] == row.expected_attempts(provider)
    if expected is None:
        assert response.status_code == 200
        assert document["data"]["blocked"] is True
    else:
        assert response.status_code == expected.http_status
        assert document["data"] is None
        assert document["error"]["code"] == expected.value
        assert document["error"]["message"] == expected.message
        assert document["error"]["outcome"] == expected.applied.value
        assert document["error"]["retry"] == expected.retry.value
        wait = document["error"]["retry_after"]
        assert response.headers.get("Retry-After") == (None if wait is None else str(wait))
    assert SECRET not in response.text


# --- the report


def test_the_durations_of_this_run_are_reported(
    record_testsuite_property: Callable[[str, object], None],
) -> None:
    over = sorted(
        ((took - deadline, *key) for key, (took, deadline) in SECONDS.items()), reverse=True
    )
    late = [f"{name} ({provider}): {seconds:+.3f} s" for seconds, name, provider in over[:10]]
    record_testsuite_property("seconds beyond the deadline, worst", late[:1])
    record_testsuite_property("rows more than 0.3 s beyond", sum(each[0] > 0.3 for each in over))
    show("seconds relative to the deadline, the worst ten:", *late)
