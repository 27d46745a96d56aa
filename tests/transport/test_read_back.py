"""Changes that are read back over sockets: deadline, breaker, bulkhead, plugin bugs, canaries."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from adapter.providers.wuts import WutsProvider
from conftest import MakeApp
from support import BUILT_IN, TIMEOUT, wait_until
from support.raw_server import Peer, RawServer, http_response
from support.transports import finish
from support.whatsapp import (
    BEHAVIOURS,
    BLOCK,
    LID,
    LONG,
    OTHER,
    SHORT,
    WIRES,
    Behaviour,
    WhatsApp,
    service_with,
    without_delays,
)

from adapter import Action, Applied, Code, Command, Confirmation, Contact, Result, Secret
from adapter.codes import Verify
from adapter.plugin import LocalProvider
from adapter.readings import Unverified

UNBLOCK = Command(Action.UNBLOCK, Contact(LONG))
OBEYS, IGNORES = Behaviour("makes the change"), Behaviour("changes nothing", applies=None)
LOSES = Behaviour("loses the response", responds=False)
ALWAYS = {"verify": "always"}


def whatsapp(behaviour: Behaviour = OBEYS, **more: Any) -> WhatsApp:
    return WhatsApp(WIRES["wuts"], behaviour, **more)


def hang(peer: Peer) -> None:
    peer.stay_silent()


def test_every_provider_that_can_be_read_back_is_in_the_table() -> None:
    can = {name for name, each in BUILT_IN.items() if each.can_read_back()}
    local = {name for name, each in BUILT_IN.items() if issubclass(each, LocalProvider)}
    assert can - local == set(WIRES), "add the provider's wire to tests/support/whatsapp.py"


def test_the_behaviours_have_titles_of_their_own() -> None:
    assert len({each.title for each in BEHAVIOURS}) == len(BEHAVIOURS)


def test_a_change_that_takes_effect_after_800_ms_is_confirmed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In real time; the table counts reads in place of milliseconds."""
    monkeypatch.setattr(WutsProvider, "synchronous", False)
    stub = whatsapp(Behaviour("applies later", applies=10**6))

    def apply() -> None:
        stub.reads = 10**6

    def respond(peer: Peer) -> None:
        timer = threading.Timer(0.8, apply)
        timer.start()
        stub(peer)

    with service_with("wuts", respond, **ALWAYS) as (service, _):
        result = service.perform("a", BLOCK)
    assert (result.confirmation, result.verified) == (Confirmation.READ_BACK, True)
    assert result.outcome.verification.reads == 2


# --- modes


@pytest.mark.parametrize(
    ("configured", "asked", "reads"),
    [
        ("always", None, 1),
        ("always", False, 0),
        ("unknown", None, 0),
        ("unknown", True, 1),
        ("never", None, 0),
        ("never", True, 1),
        (None, None, 0),
        (None, True, 1),
    ],
)
def test_a_call_overrules_the_account(
    configured: str | None, asked: bool | None, reads: int
) -> None:
    account = {} if configured is None else {"verify": configured}
    with service_with("wuts", whatsapp(), **account) as (service, server):
        result = service.perform("a", Command(Action.BLOCK, Contact(LONG), verify=asked))
        assert server.request_count == 1 + reads
    assert result.ok
    assert result.verified is (True if reads else None)
    assert result.attempts == 1, "reads are not attempts"
    assert result.envelope()["meta"]["reads"] == reads


def test_the_default_is_unknown_only_where_there_is_a_read() -> None:
    with service_with("wuts", whatsapp()) as (service, _):
        assert service.accounts["a"].verify is Verify.UNKNOWN


@pytest.mark.parametrize("code", ["VALIDATION_ERROR", "DEVICE_NOT_READY"])
def test_nothing_is_read_after_a_refusal_that_is_certain(code: str) -> None:
    body = {"success": False, "error": "no", "error_code": code}

    def refuse(peer: Peer) -> None:
        while peer.read_request():
            peer.write(http_response(400, body))

    with service_with("wuts", refuse, **ALWAYS) as (service, server):
        result = service.perform("a", BLOCK)
        assert result.applied is Applied.NOT_APPLIED
        assert server.request_count == 1
    assert result.envelope()["data"] is None


# --- limits


@pytest.mark.parametrize("behaviour", [OBEYS, LOSES], ids=lambda each: each.title)
def test_the_deadline_is_that_of_the_change_and_its_read_together(behaviour: Behaviour) -> None:
    limits = {"deadline": 1.0, "list_deadline": 60.0, "connect_timeout": 0.5}
    stub = whatsapp(behaviour, before_read=hang)
    with service_with("wuts", stub, **ALWAYS, transport=limits) as (service, _):
        started = time.monotonic()
        result = finish(lambda: service.perform("a", BLOCK))
        took = time.monotonic() - started
    assert took < 1.0 + 4.0  # a busy machine; the list has 60 seconds of its own
    assert result.ok is behaviour.responds
    assert result.verified is None
    assert result.outcome.verification.reason is Unverified.READ_FAILED


def test_a_change_that_hangs_leaves_a_quarter_of_the_deadline_to_the_read() -> None:
    stub = whatsapp()

    def script(peer: Peer) -> None:
        while peer.read_request():
            if peer.request.startswith(b"POST"):
                stub.changes += 1
                peer.stay_silent()
                return
            peer.write(http_response(200, stub.wire.read("", stub.entries(), stub.person)))

    limits = {"deadline": 4.0, "connect_timeout": 1.0}
    with service_with("wuts", script, transport=limits) as (service, _):
        result = finish(lambda: service.perform("a", BLOCK))
    assert (result.confirmation, result.verified) == (Confirmation.READ_BACK, True)


def test_one_call_at_a_time_can_be_read_back() -> None:
    limits = {"max_in_flight": 1}
    with service_with("wuts", whatsapp(), **ALWAYS, transport=limits) as (service, _):
        for _ in range(3):
            assert service.perform("a", BLOCK).verified is True
        numbers = tuple(Contact(str(14155550000 + each)) for each in range(250))
        lookup = service.perform("a", Command(Action.LOOKUP, contacts=numbers))
    assert lookup.code is not Code.OVERLOADED


def test_many_parts_of_a_lookup_share_one_call_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WutsProvider, "max_lookup", 1)

    def script(peer: Peer) -> None:
        while peer.read_request():
            number = peer.request.partition(b'"numbers":')[2].partition(b'"')[2]
            digits = number.partition(b'"')[0].decode()
            peer.write(http_response(200, {"success": True, "data": {digits: True}}))

    numbers = tuple(Contact(str(14155550000 + each)) for each in range(40))
    for most in (1, 3):
        limits = {"max_in_flight": most}
        with service_with("wuts", script, transport=limits) as (service, server):
            result = service.perform("a", Command(Action.LOOKUP, contacts=numbers))
            assert server.connections <= most
        assert [each.on_whatsapp for each in result.lookups or ()] == [True] * 40


def test_an_open_breaker_is_a_read_that_failed_and_the_outcome_stays() -> None:
    limits = {"breaker_threshold": 1}

    def fail(peer: Peer) -> None:
        while peer.read_request():
            peer.write(http_response(500, "<html>"))

    with service_with("wuts", fail, **ALWAYS, transport=limits) as (service, server):
        result = service.perform("a", BLOCK)
        assert server.request_count == 1
        assert service.accounts["a"].resilience.state == "opened"
    assert (result.code, result.applied) == (Code.PROVIDER_ERROR, Applied.UNKNOWN)
    assert result.outcome.verification.reason is Unverified.READ_FAILED
    assert result.envelope()["data"] is None, "nothing was read"


# --- an opposite wish


@pytest.mark.parametrize("behaviour", [OBEYS, IGNORES, LOSES], ids=lambda each: each.title)
def test_a_change_that_is_superseded_during_its_read_claims_nothing(behaviour: Behaviour) -> None:
    reading, release = threading.Event(), threading.Event()

    def hold(_: Peer) -> None:
        reading.set()
        assert release.wait(TIMEOUT)

    stub = whatsapp(behaviour, before_read=hold)
    found: list[Result] = []
    with service_with("wuts", stub, **ALWAYS) as (service, _):
        older = threading.Thread(target=lambda: found.append(service.perform("a", BLOCK)))
        older.start()
        assert reading.wait(TIMEOUT)
        newer = threading.Thread(target=lambda: service.perform("a", UNBLOCK))
        newer.start()
        intents = service.accounts["a"].resilience.intents
        wait_until(lambda: any(len(each.newest) == 2 for each in intents._calls.values()), "newer")
        release.set()
        older.join()
        newer.join()
    [result] = found
    assert result.verified is None
    assert result.outcome.verification.reason is Unverified.INCOMPLETE
    assert result.ok is behaviour.responds
    assert result.confirmation is not Confirmation.READ_BACK
    assert result.code is not Code.NOT_EFFECTIVE
    assert result.ok or result.applied is Applied.UNKNOWN


# --- bugs of plugins


@pytest.fixture(params=["request", "response"])
def with_a_bug(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider whose list raises, with the number in its text."""
    name = "build_request" if request.param == "request" else "parse_success"
    right = getattr(WutsProvider, name)

    def faulty(self: WutsProvider, command: Command, *rest: Any) -> Any:
        if command.action is Action.LIST:
            raise ZeroDivisionError(f"cannot read {LONG}")
        return right(self, command, *rest)

    monkeypatch.setattr(WutsProvider, name, faulty)


@pytest.mark.usefixtures("with_a_bug")
@pytest.mark.parametrize("behaviour", [OBEYS, LOSES], ids=lambda each: each.title)
def test_a_bug_of_a_plugin_in_the_read_leaves_the_outcome_of_the_change(
    behaviour: Behaviour, caplog: pytest.LogCaptureFixture
) -> None:
    with service_with("wuts", whatsapp(behaviour), **ALWAYS) as (service, _):
        result = service.perform("a", BLOCK)
        with pytest.raises(ZeroDivisionError):
            service.perform("a", Command(Action.LIST))
    assert result.ok is behaviour.responds
    assert result.attempts == (1 if behaviour.responds else 2)
    assert result.outcome.verification.reason is Unverified.READ_FAILED
    failed = [each for each in caplog.records if getattr(each, "event", "") == "read_back_failed"]
    assert len(failed) == 1
    assert "ZeroDivisionError" in failed[0].getMessage()
    assert LONG not in caplog.text


# --- canaries


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda each: each.title)
def test_no_failure_and_no_log_shows_the_contact(
    behaviour: Behaviour, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    for provider in WIRES:
        stub = WhatsApp(WIRES[provider], behaviour)
        with without_delays(), service_with(provider, stub, **ALWAYS) as (service, server):
            result = service.perform("a", BLOCK, request_id=f"r-{LONG}")
        if not result.ok:
            assert_no_canary(str(result.envelope()["data"]), str(result.envelope()["error"]))
        assert_no_canary(repr(result.outcome))
        for head in (each.partition(b"\r\n\r\n")[0].decode() for each in server.requests):
            line, _, headers = head.partition("\r\n")
            assert_no_canary(headers)
            if provider != "waha":  # its read names the contact in the query
                assert_no_canary(line)
    assert_no_canary(caplog.text)


@pytest.mark.parametrize("behaviour", BEHAVIOURS[:3], ids=lambda each: each.title)
def test_no_metric_shows_the_contact(behaviour: Behaviour, make_app: MakeApp) -> None:
    with RawServer(whatsapp(behaviour)) as server, without_delays():
        table = {"provider": "wuts", "base_url": server.address, "token": Secret("t"), **ALWAYS}
        client = make_app({"accounts": {"a": table}}).test_client()
        client.post("/v1/contacts/block", json={"number": f"+{LONG}"})
        assert server.request_count > 1
        assert_no_canary(client.get("/metrics").text)


def assert_no_canary(*texts: str) -> None:
    for text in texts:
        for canary in (LONG, LONG[2:], SHORT, LID[:-4], OTHER):
            assert canary not in text


# --- who is who


def test_a_lid_that_is_known_makes_the_next_read_comparable() -> None:
    stub = whatsapp(Behaviour("lists LIDs alone", shows_numbers=False))
    with service_with("wuts", stub, **ALWAYS) as (service, _):
        first = service.perform("a", BLOCK)
        assert first.outcome.verification.reason is Unverified.ONLY_LIDS
        service.accounts["a"].identities.learn(Contact(LONG), Contact(LONG, LID))
        assert service.perform("a", BLOCK).verified is True


def test_a_forked_child_has_no_locked_identities_of_its_parent() -> None:
    with service_with("wuts", whatsapp()) as (service, _):
        account = service.accounts["a"]
        before = account.identities
        before._lock.acquire()
        account.reset_after_fork()
        account.identities.learn(Contact(LONG), Contact(SHORT))
        assert account.identities is not before
