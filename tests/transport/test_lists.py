"""Lists: pages, their own limits, and slots for long responses. No list is ever truncated."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from support import NUMBER, TIMEOUT, account_for, wait_until
from support.raw_server import Peer, RawServer, Script, always, http_response
from support.transports import finish

from adapter.account import Account
from adapter.client import connect
from adapter.plugin import (
    Action,
    Code,
    Command,
    Confirmation,
    Contact,
    HttpRequest,
    HttpResponse,
    Outcome,
    Provider,
)
from adapter.settings.model import MAX_BODY, AccountSettings, TransportSettings
from adapter.transport.attempt import Attempt
from adapter.transport.resilience import Limits

LIST = Command(Action.LIST)
SMALL_LIMIT = 256 * 1024
MAX_LONG = TransportSettings().max_long_responses


class PagedProvider(Provider):
    """A provider with a paginated list, whose changes return the whole list."""

    name = "paged"
    title = "Paged"
    base_url = "http://127.0.0.1"
    routes = {"block": ("POST", "/block"), "list": ("GET", "/list")}
    changes_return_list = True

    def build_request(self, command: Command) -> HttpRequest:
        return self.request(command, None if command.contact is None else {})

    def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
        if command.contact is not None:
            return self.success(response)
        document = response.document
        if not isinstance(document, dict):
            return None
        people = tuple(Contact(number=number) for number in document["people"])
        return Outcome.success(
            Confirmation.ACCEPTED, contacts=people, others=document.get("others", 0)
        )

    def build_next_page(self, command: Command, response: HttpResponse) -> HttpRequest | None:
        after = response.document.get("after")
        return after and HttpRequest("GET", "/list", query={"after": after})


Pages = Mapping[str, Any]


def page(number: int, *, after: str | None = None, others: int = 0, filling: int = 0) -> Any:
    people = [str(4915110000000 + number * 10 + each) for each in range(3)]
    return {"people": people, "after": after, "others": others, "filling": "x" * filling}


def serving(pages: Pages, before: Callable[[str], object] = lambda _: None) -> Script:
    """Return a script that responds with the page of the requested cursor."""

    def script(peer: Peer) -> None:
        while peer.read_request():
            cursor = peer.target.partition("after=")[2]
            before(cursor)
            peer.write(http_response(200, pages[cursor]))

    return script


@contextmanager
def account_on(script: Script, **transport: Any) -> Iterator[tuple[Account, RawServer]]:
    with RawServer(script, b"") as server:
        settings = TransportSettings(**transport)
        address = f"http://127.0.0.1:{server.port}"
        account = Account(AccountSettings("a", PagedProvider, address, {}, (), settings))
        try:
            yield account, server
        finally:
            account.close()


def chain(count: int, **more: Any) -> Pages:
    """Return `count` pages, each with the cursor of the next."""
    return {
        str(number or ""): page(
            number, after=str(number + 1) if number + 1 < count else None, **more
        )
        for number in range(count)
    }


def test_the_pages_of_a_list_are_merged() -> None:
    with account_on(serving(chain(30, others=2))) as (account, server):
        outcome, _ = account.call(LIST, "r")
        assert server.connections == 1
    assert outcome.ok
    assert len(outcome.contacts or ()) == 90
    assert outcome.others == 60


@pytest.mark.parametrize(("pages", "code"), [(3, None), (4, Code.PROVIDER_RESPONSE_TOO_LARGE)])
def test_a_list_of_more_pages_than_the_limit_is_too_large(pages: int, code: Code | None) -> None:
    with account_on(serving(chain(pages)), list_max_pages=3) as (account, server):
        outcome, _ = account.call(LIST, "r")
        assert server.request_count == 3
    assert outcome.code is code
    assert (outcome.contacts is None) is (code is not None)


@pytest.mark.parametrize(
    ("pages", "filling", "requests"),
    [
        pytest.param(1, SMALL_LIMIT, 1, id="one page"),
        pytest.param(6, SMALL_LIMIT // 4, 4, id="pages together"),
    ],
)
def test_a_list_of_more_bytes_than_the_limit_is_too_large(
    pages: int, filling: int, requests: int
) -> None:
    script = serving(chain(pages, filling=filling))
    with account_on(script, list_max_bytes=SMALL_LIMIT) as (account, server):
        outcome, attempts = account.call(LIST, "r")
        assert server.request_count == requests
        assert outcome.code is Code.PROVIDER_RESPONSE_TOO_LARGE
        assert outcome.contacts is None
        assert attempts == 1
    with account_on(script) as (account, _):
        assert account.call(LIST, "r")[0].ok


@pytest.mark.parametrize(
    ("pages", "requests"),
    [
        pytest.param({"": page(0, after="1"), "1": page(1, after="1")}, 2, id="the same page"),
        pytest.param(
            {"": page(0, after="1"), "1": page(1, after="2"), "2": page(2, after="1")},
            3,
            id="a loop of two pages",
        ),
    ],
)
def test_a_loop_of_pages_is_a_bad_response(pages: Pages, requests: int) -> None:
    with account_on(serving(pages)) as (account, server):
        assert account.call(LIST, "r")[0].code is Code.PROVIDER_BAD_RESPONSE
        assert server.request_count == requests


def test_the_longest_list_of_meta_is_within_the_default_limit() -> None:
    """64,000 users; an entry with every documented field has up to 170 bytes."""
    assert TransportSettings().list_max_bytes > 64_000 * 170


class ShiftedClock:
    """The monotonic clock, which a test may set forward."""

    def __init__(self) -> None:
        self._real = time.monotonic
        self.shift = 0.0

    def __call__(self) -> float:
        return self._real() + self.shift


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> ShiftedClock:
    shifted = ShiftedClock()
    monkeypatch.setattr(time, "monotonic", shifted)
    return shifted


def slow_pages(count: int, clock: ShiftedClock) -> Script:
    """Return a script whose pages take 30 seconds each, by the clock."""

    def delay(_: str) -> None:
        clock.shift += 30

    return serving(chain(count), delay)


def test_a_list_may_exceed_the_deadline_of_one_response(clock: ShiftedClock) -> None:
    with account_on(slow_pages(8, clock), deadline=50.0, list_deadline=3000.0) as (account, _):
        assert account.call(LIST, "r")[0].ok


def test_a_list_beyond_its_deadline_is_too_large_and_leaves_the_breaker_closed(
    clock: ShiftedClock,
) -> None:
    limits = {"deadline": 50.0, "list_deadline": 100.0, "breaker_threshold": 1}
    with account_on(slow_pages(8, clock), **limits) as (account, server):
        outcome, _ = account.call(LIST, "r")
        assert outcome.code is Code.PROVIDER_RESPONSE_TOO_LARGE
        assert outcome.upstream_status == 200
        assert account.resilience.state == "closed"
        assert 3 <= server.request_count <= 4


def test_a_first_page_beyond_the_list_deadline_is_a_timeout() -> None:
    with account_on(Peer.stay_silent, list_deadline=0.3) as (account, _):
        assert finish(lambda: account.call(LIST, "r"))[0].code is Code.PROVIDER_TIMEOUT


def test_each_page_of_a_list_has_the_deadline_of_one_response() -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.write(http_response(200, chain(2)[""]))
        peer.stay_silent()

    with account_on(script, deadline=0.3, list_deadline=60.0) as (account, _):
        assert finish(lambda: account.call(LIST, "r"))[0].code is Code.PROVIDER_TIMEOUT


def test_the_first_page_of_a_list_closes_the_breaker() -> None:
    reached, release = threading.Event(), threading.Event()
    unhealthy = True

    def script(peer: Peer) -> None:
        while peer.read_request():
            if unhealthy:
                peer.write(http_response(503, "<html>"))
            elif "/list" not in peer.target:
                peer.write(http_response(200, {}))
            else:
                cursor = peer.target.partition("after=")[2]
                if cursor:
                    reached.set()
                    release.wait(TIMEOUT)
                peer.write(http_response(200, chain(2)[cursor]))

    with account_on(script, breaker_threshold=1, breaker_pause=0.05) as (account, _):
        assert account.call(BLOCK, "r")[0].code is Code.PROVIDER_UNAVAILABLE
        assert account.resilience.state == "opened"
        unhealthy = False
        found: list[Outcome] = []

        def probe() -> bool:
            found.append(account.call(LIST, "r")[0])
            return found[-1].code is not Code.CIRCUIT_OPEN

        thread = threading.Thread(target=lambda: wait_until(probe, "the end of the pause"))
        thread.start()
        assert reached.wait(TIMEOUT)
        assert account.call(BLOCK, "r")[0].ok
        release.set()
        thread.join()
        assert len(found[-1].contacts or ()) == 6
        assert account.resilience.state == "closed"


# --- slots for long responses


def in_threads(count: int, work: Callable[[], Any]) -> list[Any]:
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(work())) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@contextmanager
def slots_taken(account: Account, count: int = 1) -> Iterator[None]:
    """Hold `count` slots of the account until the end of the block."""
    release, taken = threading.Event(), threading.Semaphore(0)

    def hold(attempt: Attempt) -> Outcome:
        attempt.reserve_slot(MAX_BODY + 1)
        taken.release()
        release.wait(TIMEOUT)
        return Outcome.success(Confirmation.ACCEPTED)

    limits = Limits(60.0, 2 * MAX_BODY)
    threads = [
        threading.Thread(target=account.resilience.call, args=(hold, limits)) for _ in range(count)
    ]
    for thread in threads:
        thread.start()
    try:
        for _ in threads:
            assert taken.acquire(timeout=TIMEOUT)
        yield
    finally:
        release.set()
        for thread in threads:
            thread.join()


def test_short_lists_need_no_slot() -> None:
    barrier = threading.Barrier(12)
    script = serving(chain(1), lambda _: barrier.wait(TIMEOUT))
    with account_on(script, max_long_responses=1) as (account, _), slots_taken(account):
        found = in_threads(12, lambda: account.call(LIST, "r"))
        assert all(outcome.ok for outcome, _ in found)


@pytest.mark.parametrize(
    "pages",
    [
        pytest.param(chain(1, filling=2 * SMALL_LIMIT), id="one long page"),
        pytest.param(chain(4, filling=SMALL_LIMIT // 2), id="long pages together"),
    ],
)
def test_long_lists_wait_for_a_slot(pages: Pages) -> None:
    with account_on(serving(pages), max_long_responses=1) as (account, _):
        found = in_threads(12, lambda: account.call(LIST, "r"))
        assert [outcome.code for outcome, _ in found] == [None] * 12


@pytest.mark.parametrize(
    "pages",
    [
        pytest.param(chain(1, filling=2 * SMALL_LIMIT), id="one long page"),
        pytest.param(chain(4, filling=SMALL_LIMIT // 2), id="long pages together"),
    ],
)
@pytest.mark.parametrize("slots", [1, 3])
def test_a_long_list_without_a_slot_is_overloaded_and_leaves_the_breaker_closed(
    pages: Pages, slots: int
) -> None:
    limits = {"max_long_responses": slots, "deadline": 0.5, "breaker_threshold": 1}
    with account_on(serving(pages), **limits) as (account, _):
        with slots_taken(account, slots):
            outcome, _ = account.call(LIST, "r")
            assert (outcome.code, outcome.retry_after) == (Code.OVERLOADED, 1)
            assert "max_long_responses" in outcome.message
        assert account.call(LIST, "r")[0].ok


def test_a_change_with_a_long_list_and_without_a_slot_is_unknown() -> None:
    limits = {"max_long_responses": 1, "deadline": 0.5, "breaker_threshold": 1}
    with account_on(always_ok(b" " * (3 * SMALL_LIMIT)), **limits) as (account, _):
        with slots_taken(account):
            assert account.call(BLOCK, "r")[0].code is Code.PROVIDER_TIMEOUT
        assert account.call(BLOCK, "r")[0].ok


# --- changes whose response is the whole list

BLOCK = Command(Action.BLOCK, Contact(number=NUMBER))


def always_ok(body: bytes) -> Script:
    """Return a script that responds to every request with 200 and the body."""
    return always(http_response(200, body))


def test_many_concurrent_changes_with_long_lists_succeed() -> None:
    with account_on(always_ok(b" " * (3 * SMALL_LIMIT))) as (account, server):
        found = in_threads(5 * MAX_LONG, lambda: account.call(BLOCK, "r"))
        assert all(attempts == 1 for _, attempts in found)
        assert all(outcome.ok for outcome, _ in found)
        assert server.request_count == 5 * MAX_LONG


def test_a_change_with_a_list_beyond_the_limit_is_too_large() -> None:
    with account_on(always_ok(b" " * (2 * SMALL_LIMIT)), list_max_bytes=SMALL_LIMIT) as (
        account,
        _,
    ):
        outcome, _ = account.call(BLOCK, "r")
        assert outcome.code is Code.PROVIDER_RESPONSE_TOO_LARGE
        assert outcome.upstream_status == 200


def test_a_change_with_a_list_has_the_deadline_of_a_change() -> None:
    with account_on(Peer.stay_silent, deadline=0.2, list_deadline=60.0) as (account, _):
        assert finish(lambda: account.call(BLOCK, "r"))[0].code is Code.PROVIDER_TIMEOUT


def test_stalled_long_responses_release_their_slots_at_the_deadline() -> None:
    """All slots are taken by stalled responses; short responses need none."""
    stalled = threading.Semaphore(0)

    def script(peer: Peer) -> None:
        peer.read_request()
        if peer.number <= MAX_LONG:
            peer.write(
                b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n" + b" " * (SMALL_LIMIT + 9)
            )
            stalled.release()
            peer.stay_silent()
        peer.write(http_response(200, b"{}"))

    with account_on(script, deadline=1.0) as (account, _):
        found: list[tuple[Outcome, int]] = []
        threads = [
            threading.Thread(target=lambda: found.append(account.call(BLOCK, "r")))
            for _ in range(MAX_LONG)
        ]
        for thread in threads:
            thread.start()
        for _ in threads:
            assert stalled.acquire(timeout=TIMEOUT)
        assert account.call(BLOCK, "r")[0].ok
        for thread in threads:
            thread.join()
        assert {outcome.code for outcome, _ in found} == {Code.PROVIDER_TIMEOUT}
        assert account.call(BLOCK, "r")[0].ok


# --- the lists of the providers


def listed(provider: str, count: int) -> bytes:
    """Return a list of `count` contacts in the provider's format."""
    numbers = [str(4915110000000 + each) for each in range(count)]
    jids = [f"{number}@s.whatsapp.net" for number in numbers]
    if provider == "wuts":
        items = [
            {"jid": jid, "phone_number": number} for jid, number in zip(jids, numbers, strict=True)
        ]
        return json.dumps({"success": True, "data": {"items": items, "count": count}}).encode()
    return json.dumps({"message": "success", "data": {"JIDs": jids}}).encode()


@pytest.mark.parametrize("provider", ["wuts", "evolution-go"])
def test_a_list_of_twenty_thousand_contacts_is_read(provider: str) -> None:
    with RawServer(always_ok(listed(provider, 20_000))) as server:
        table = account_for(provider, f"http://127.0.0.1:{server.port}")
        with connect({"accounts": {"a": table}}) as client:
            result = client.blocked()
    assert result.ok
    assert len(result.contacts or ()) == 20_000
