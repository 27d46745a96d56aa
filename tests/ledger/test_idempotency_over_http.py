"""`Idempotency-Key` on block and unblock: one execution for a key, and the same result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from adapter.providers.memory import MAGIC_NUMBERS, MemoryProvider
from conftest import MakeApp
from flask.testing import FlaskClient
from support import NUMBER, OTHER_NUMBER, TIMEOUT, Upstream, account_for, key_for
from support.ledgers import locked, rows
from support.unified import BLOCK, BLOCKED, UNBLOCK
from werkzeug.test import TestResponse

from adapter import Code, connect
from adapter.web.app import service_state

KEY = '"8e03978e-40d5-43dd-bc93-6894a57f9324"'
HEADER = "Idempotency-Key"

Open = Callable[..., FlaskClient]


@pytest.fixture
def open_app(make_app: MakeApp, url: str) -> Open:
    """Return a function that makes an app with a ledger, and returns its client."""

    def open_one(account: Any = None, keys: Any = None, **ledger: Any) -> FlaskClient:
        config: dict[str, Any] = {
            "accounts": {"support": account or {"provider": "memory"}},
            "ledger": {"url": url, "wait": 10, **ledger},
        }
        return make_app(config | ({"keys": keys} if keys else {})).test_client()

    return open_one


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list of the requests that reach a provider in memory."""
    found: list[str] = []
    handle = MemoryProvider.handle_request

    def note(provider: MemoryProvider, request: Any) -> Any:
        if request.path != "/blocked":  # a change, and not its reading back
            found.append(request.path)
        return handle(provider, request)

    monkeypatch.setattr(MemoryProvider, "handle_request", note)
    return found


def change(
    client: FlaskClient, key: str | None = KEY, path: str = BLOCK, **body: Any
) -> TestResponse:
    headers = {} if key is None else {HEADER: key}
    return client.post(path, json={"number": NUMBER, **body}, headers=headers)


def code_in(response: TestResponse) -> str | None:
    error = response.get_json()["error"]
    return None if error is None else str(error["code"])


def test_the_same_key_and_command_return_the_same_result_and_send_nothing(
    open_app: Open, sent: list[str], url: str
) -> None:
    client = open_app()
    first, second = change(client), change(client)
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.get_json()["data"] == second.get_json()["data"]
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    assert second.get_json()["meta"]["recorded"] is True
    assert len(sent) == len(rows(url, "calls")) == 1
    request_ids = {each.get_json()["meta"]["request_id"] for each in (first, second)}
    assert len(request_ids) == 2


def test_a_key_works_in_another_process_and_quoted_or_not(open_app: Open, sent: list[str]) -> None:
    change(open_app())
    again = change(open_app(), KEY.strip('"'))
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len(sent) == 1


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (UNBLOCK, {}),
        (BLOCK, {"number": OTHER_NUMBER}),
        (BLOCK, {"verify": False}),
        (BLOCK, {"reason": "spam"}),
        (BLOCK, {"ref": "ticket 18"}),
    ],
)
def test_a_key_with_another_command_is_refused(
    open_app: Open, sent: list[str], path: str, body: dict[str, Any]
) -> None:
    client = open_app()
    change(client)
    refused = change(client, path=path, **body)
    assert (refused.status_code, code_in(refused)) == (422, "idempotency_key_reused")
    assert refused.get_json()["error"]["outcome"] == "not_applied"
    assert len(sent) == 1


def test_the_contact_of_a_command_may_be_written_in_another_form(open_app: Open) -> None:
    client = open_app()
    change(client)
    assert "Idempotent-Replayed" in change(client, number="+55 11 99999-9999").headers


def test_a_key_whose_first_call_still_runs_is_refused_with_a_delay(
    open_app: Open, spawn: Any
) -> None:
    from support import run_upstream

    with run_upstream(held=True) as upstream:
        app = open_app(account_for("wuts", upstream.address)).application
        running = spawn(lambda: change(app.test_client()))
        assert upstream.arrived.wait(TIMEOUT)
        refused = change(app.test_client())
        assert (refused.status_code, code_in(refused)) == (409, "idempotency_key_in_use")
        assert 1 <= int(refused.headers["Retry-After"]) <= 5
        assert refused.get_json()["error"]["outcome"] == "unknown"
        upstream.release.set()
        running.result(TIMEOUT)


def test_a_failure_that_did_nothing_and_an_unknown_one_are_executed_again(
    open_app: Open, sent: list[str]
) -> None:
    client = open_app()
    for code in (Code.PROVIDER_RATE_LIMITED, Code.PROVIDER_TIMEOUT):
        number = next(number for number, each in MAGIC_NUMBERS.items() if each is code)
        before = len(sent)
        for _ in range(2):
            response = change(client, f"key-{code.value}", number=number)
            assert code_in(response) == code.value
            assert "Idempotent-Replayed" not in response.headers
        assert len(sent) - before == 2


def test_a_certain_failure_is_returned_again(open_app: Open, sent: list[str]) -> None:
    client = open_app()
    number = next(key for key, code in MAGIC_NUMBERS.items() if code is Code.TARGET_REJECTED)
    first, second = (change(client, number=number) for _ in range(2))
    assert first.get_json()["error"] == second.get_json()["error"]
    assert second.headers["Idempotent-Replayed"] == "true"
    assert len(sent) == 1


def test_the_keys_of_two_callers_are_apart(open_app: Open, sent: list[str]) -> None:
    client = open_app(keys={name: key_for(f"{name}-key-of-the-tests") for name in ("crm", "shop")})
    for name in ("crm", "shop"):
        headers = {HEADER: KEY, "X-API-Key": f"{name}-key-of-the-tests"}
        response = client.post(BLOCK, json={"number": NUMBER}, headers=headers)
        assert "Idempotent-Replayed" not in response.headers
    assert len(sent) == 2


@pytest.mark.parametrize("required", [False, True])
def test_a_key_without_the_database_is_refused_and_nothing_is_sent(
    open_app: Open, sent: list[str], url: str, required: bool
) -> None:
    client = open_app(wait=0.05, required=required)
    with locked(url):
        refused = change(client)
    assert (refused.status_code, code_in(refused)) == (503, "ledger_unavailable")
    assert refused.headers["Retry-After"] == "1"
    assert sent == []


@pytest.mark.parametrize(
    "key",
    ["", '""', '"', '"a', 'a"b"', "a b", '"a\\b"', '"a", "b"', "x" * 256, f'"{"x" * 256}"', "ü"],
)
def test_a_malformed_key_is_a_clear_error(open_app: Open, sent: list[str], key: str) -> None:
    refused = change(open_app(), key)
    assert (refused.status_code, code_in(refused)) == (422, "validation_error")
    (message,) = refused.get_json()["error"]["fields"][HEADER]
    assert "255 visible characters" in message
    assert sent == []


@pytest.mark.parametrize("key", ["a", "x" * 255, f'"{"x" * 255}"', '"a \\" \\\\ b"', " a "])
def test_a_key_of_visible_characters_is_accepted(open_app: Open, key: str) -> None:
    client = open_app()
    change(client, key)
    assert change(client, key).headers["Idempotent-Replayed"] == "true"


def test_without_a_ledger_the_header_is_refused_with_the_way_to_mend_it(
    make_app: MakeApp, sent: list[str]
) -> None:
    client = make_app({"accounts": {"support": {"provider": "memory"}}}).test_client()
    refused = change(client)
    assert (refused.status_code, code_in(refused)) == (422, "validation_error")
    assert "[ledger] url" in refused.get_json()["error"]["fields"][HEADER][0]
    assert sent == []
    assert client.get(BLOCKED, headers={HEADER: "not a key"}).status_code == 200


def test_the_key_is_stored_and_logged_nowhere(
    open_app: Open, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    change(open_app(), '"canary-key"')
    assert "canary-key" not in caplog.text
    for table in ("calls", "idempotency", "blocks", "contacts"):
        assert "canary-key" not in str(rows(url, table))


def test_python_has_the_same_keys(url: str, sent: list[str]) -> None:
    config = {
        "accounts": {"support": {"provider": "memory"}},
        "ledger": {"url": url, "wait": 10},
    }
    with connect(config) as client:
        first, second = (client.block(NUMBER, idempotency_key="a-key") for _ in range(2))
        assert (first.replayed, second.replayed) == (False, True)
        assert first.outcome == second.outcome
        assert client.unblock(NUMBER, idempotency_key="a-key").code is Code.IDEMPOTENCY_KEY_REUSED
        assert client.block(NUMBER, idempotency_key="a b").code is Code.VALIDATION_ERROR
    assert len(sent) == 1


def test_an_upstream_without_a_ledger_is_called_for_each_request(
    make_app: MakeApp, upstream: Upstream
) -> None:
    app = make_app({"accounts": {"support": account_for("wuts", upstream.address)}})
    for _ in range(2):
        change(app.test_client(), None)
    assert [each.method for each in upstream.seen if each.path == "/contacts/block"] == ["POST"] * 2
    assert service_state(app).service.ledger is None
