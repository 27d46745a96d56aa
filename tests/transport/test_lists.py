"""Lists have bounds of their own, and no list is ever shortened."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from support import NUMBER, account_for
from support.raw_server import Peer, RawServer, http_response

from adapter import (
    Action,
    Code,
    Command,
    Confirmation,
    Contact,
    HttpRequest,
    HttpResponse,
    Outcome,
    Provider,
    Result,
    Route,
)
from adapter.account import Account
from adapter.client import Client, connect
from adapter.settings.model import MAX_BODY, AccountSettings, TransportSettings
from adapter.transport.attempt import Attempt
from adapter.transport.resilience import Limits

LIST = Command(Action.LIST)
LEAST = 256 * 1024
MAX_LONG = TransportSettings().max_long_responses


class PagedProvider(Provider):
    """A provider whose list comes in pages, and whose changes are answered with the whole list."""

    name = "paged"
    title = "Paged"
    base_url = "http://127.0.0.1"
    routes = (
        Route(Action.BLOCK, "POST", "/block", returns_list=True),
        Route(Action.LIST, "GET", "/list"),
    )

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


def serving(pages: Pages, before: Callable[[str], object] = lambda _: None) -> Any:
    """Return a play: every page by the cursor that asks for it."""

    def play(peer: Peer) -> None:
        while peer.read_request():
            cursor = peer.target.partition("after=")[2]
            before(cursor)
            peer.write(http_response(200, pages[cursor]))

    return play


@contextmanager
def account_on(play: Any, **transport: Any) -> Iterator[tuple[Account, RawServer]]:
    with RawServer(play, b"") as server:
        settings = TransportSettings(**transport)
        address = f"http://127.0.0.1:{server.port}"
        account = Account(AccountSettings("a", PagedProvider, address, {}, (), settings))
        try:
            yield account, server
        finally:
            account.close()


def chain(count: int, **more: Any) -> Pages:
    """Return so many pages, each with the cursor of the next."""
    return {
        str(number or ""): page(
            number, after=str(number + 1) if number + 1 < count else None, **more
        )
        for number in range(count)
    }


def test_the_pages_of_a_list_are_one_list_with_all_its_people_and_others() -> None:
    with account_on(serving(chain(30, others=2))) as (account, server):
        outcome, _ = account.call(LIST, "r")
        assert server.connections == 1
    assert outcome.ok
    assert len(outcome.contacts or ()) == 90
    assert outcome.others == 60


@pytest.mark.parametrize(("pages", "code"), [(3, None), (4, Code.PROVIDER_RESPONSE_TOO_LARGE)])
def test_a_list_of_more_pages_than_the_bound_is_too_large(pages: int, code: Code | None) -> None:
    with account_on(serving(chain(pages)), list_max_pages=3) as (account, server):
        outcome, _ = account.call(LIST, "r")
        assert server.request_count == 3
    assert outcome.code is code
    assert (outcome.contacts is None) is (code is not None)


@pytest.mark.parametrize(
    ("pages", "filling", "requests"),
    [
        pytest.param(1, LEAST, 1, id="one page"),
        pytest.param(6, LEAST // 4, 4, id="pages together"),
    ],
)
def test_a_list_of_more_bytes_than_the_bound_is_too_large(
    pages: int, filling: int, requests: int
) -> None:
    play = serving(chain(pages, filling=filling))
    with account_on(play, list_max_bytes=LEAST) as (account, server):
        outcome, attempts = account.call(LIST, "r")
        assert server.request_count == requests
        assert outcome.code is Code.PROVIDER_RESPONSE_TOO_LARGE
        assert outcome.contacts is None
        assert attempts == 1
    with account_on(play) as (account, _):
        assert account.call(LIST, "r")[0].ok


@pytest.mark.parametrize(
    ("pages", "requests"),
    [
        pytest.param({"": page(0, after="1"), "1": page(1, after="1")}, 2, id="the same again"),
        pytest.param(
            {"": page(0, after="1"), "1": page(1, after="2"), "2": page(2, after="1")},
            3,
            id="round and round",
        ),
    ],
)
def test_a_list_that_goes_round_is_a_bad_response(pages: Pages, requests: int) -> None:
    with account_on(serving(pages)) as (account, server):
        assert account.call(LIST, "r")[0].code is Code.PROVIDER_BAD_RESPONSE
        assert server.request_count == requests


def test_the_longest_list_that_meta_keeps_is_within_the_usual_bound() -> None:
    """64,000 users; an entry with every field that is documented has up to 170 bytes."""
    assert TransportSettings().list_max_bytes > 64_000 * 170


def test_a_list_may_take_longer_than_one_response() -> None:
    play = serving(chain(8), lambda _: time.sleep(0.1))
    with account_on(play, deadline=0.5, list_deadline=30.0) as (account, _):
        assert account.call(LIST, "r")[0].ok


def test_a_list_of_more_seconds_than_the_bound_is_too_large_and_no_sign_of_an_outage() -> None:
    play = serving(chain(50), lambda _: time.sleep(0.05))
    with account_on(play, list_deadline=0.3, breaker_threshold=1) as (account, _):
        started = time.monotonic()
        outcome, attempts = account.call(LIST, "r")
        assert time.monotonic() - started < 5
        assert outcome.code is Code.PROVIDER_RESPONSE_TOO_LARGE
        assert outcome.upstream_status == 200
        assert account.resilience.state == "closed"


def test_a_first_page_that_outlasts_the_bound_of_the_list_is_a_timeout() -> None:
    stop = threading.Event()
    play = serving(chain(2), lambda _: stop.wait(20))
    with account_on(play, list_deadline=0.3) as (account, _):
        assert account.call(LIST, "r")[0].code is Code.PROVIDER_TIMEOUT
        stop.set()


def test_the_first_page_of_a_list_ends_the_pause_of_the_breaker() -> None:
    reached, release = threading.Event(), threading.Event()
    sick = True

    def play(peer: Peer) -> None:
        while peer.read_request():
            if sick:
                peer.write(http_response(503, "<html>"))
            elif "/list" not in peer.target:
                peer.write(http_response(200, {}))
            else:
                cursor = peer.target.partition("after=")[2]
                if cursor:
                    reached.set()
                    release.wait(20)
                peer.write(http_response(200, chain(2)[cursor]))

    with account_on(play, breaker_threshold=1, breaker_pause=0.05) as (account, _):
        assert account.call(BLOCK, "r")[0].code is Code.PROVIDER_UNAVAILABLE
        assert account.resilience.state == "opened"
        sick = False
        found: list[tuple[Outcome, int]] = []
        time.sleep(0.1)
        thread = threading.Thread(target=lambda: found.append(account.call(LIST, "r")))
        thread.start()
        assert reached.wait(20)
        assert account.call(BLOCK, "r")[0].ok
        release.set()
        thread.join()
        assert len(found[0][0].contacts or ()) == 6
        assert account.resilience.state == "closed"


def test_each_page_of_a_list_is_waited_for_as_long_as_any_response() -> None:
    stop = threading.Event()
    play = serving(chain(2), lambda cursor: cursor and stop.wait(20))
    with account_on(play, deadline=0.3, list_deadline=60.0) as (account, _):
        started = time.monotonic()
        assert account.call(LIST, "r")[0].code is Code.PROVIDER_TIMEOUT
        assert time.monotonic() - started < 10
        stop.set()


def in_threads(count: int, work: Callable[[], Any]) -> list[Any]:
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(work())) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@contextmanager
def places_taken(account: Account, count: int = 1) -> Iterator[None]:
    """Hold so many long responses of the account until the end of the block."""
    release, taken = threading.Event(), threading.Semaphore(0)

    def hold(one: Attempt) -> Outcome:
        one.reserve_slot(MAX_BODY + 1)
        taken.release()
        release.wait(20)
        return Outcome.success(Confirmation.ACCEPTED)

    limits = Limits(60.0, 2 * MAX_BODY)
    threads = [
        threading.Thread(target=account.resilience.call, args=(hold, limits)) for _ in range(count)
    ]
    for thread in threads:
        thread.start()
    try:
        for _ in threads:
            assert taken.acquire(timeout=20)
        yield
    finally:
        release.set()
        for thread in threads:
            thread.join()


def test_short_lists_need_no_place_however_many_are_read_at_a_time() -> None:
    everybody = threading.Barrier(12)
    play = serving(chain(1), lambda _: everybody.wait(20))
    with account_on(play, max_long_responses=1) as (account, _), places_taken(account):
        found = in_threads(12, lambda: account.call(LIST, "r"))
        assert all(outcome.ok for outcome, _ in found)


@pytest.mark.parametrize(
    "pages",
    [
        pytest.param(chain(1, filling=2 * LEAST), id="one long page"),
        pytest.param(chain(4, filling=LEAST // 2), id="pages that are long together"),
    ],
)
def test_long_lists_wait_for_their_turn_and_all_are_read(pages: Pages) -> None:
    with account_on(serving(pages), max_long_responses=1) as (account, _):
        found = in_threads(12, lambda: account.call(LIST, "r"))
        assert [outcome.code for outcome, _ in found] == [None] * 12


@pytest.mark.parametrize(
    "pages",
    [
        pytest.param(chain(1, filling=2 * LEAST), id="one long page"),
        pytest.param(chain(4, filling=LEAST // 2), id="pages that are long together"),
    ],
)
@pytest.mark.parametrize("places", [1, 3])
def test_a_long_list_that_gets_no_place_is_overloaded_and_blames_nobody(
    pages: Pages, places: int
) -> None:
    limits = {"max_long_responses": places, "deadline": 0.5, "breaker_threshold": 1}
    with account_on(serving(pages), **limits) as (account, _):
        with places_taken(account, places):
            outcome, _ = account.call(LIST, "r")
            assert (outcome.code, outcome.retry_after) == (Code.OVERLOADED, 1)
            assert "max_long_responses" in outcome.message
        assert account.call(LIST, "r")[0].ok


def test_a_change_that_repeats_a_long_list_and_gets_no_place_is_unknown() -> None:
    limits = {"max_long_responses": 1, "deadline": 0.5, "breaker_threshold": 1}
    with account_on(always(b" " * (3 * LEAST)), **limits) as (account, _):
        with places_taken(account):
            assert account.call(BLOCK, "r")[0].code is Code.PROVIDER_TIMEOUT
        assert account.call(BLOCK, "r")[0].ok


# --- a change that is answered with the whole list

BLOCK = Command(Action.BLOCK, Contact(number=NUMBER))


def always(body: bytes) -> Any:
    def play(peer: Peer) -> None:
        while peer.read_request():
            peer.write(http_response(200, body))

    return play


def test_changes_that_repeat_a_long_list_go_through_however_many_there_are() -> None:
    with account_on(always(b" " * (3 * LEAST))) as (account, server):
        found = in_threads(5 * MAX_LONG, lambda: account.call(BLOCK, "r"))
        assert all(attempts == 1 for _, attempts in found)
        assert all(outcome.ok for outcome, _ in found)
        assert server.request_count == 5 * MAX_LONG


def test_a_change_that_repeats_a_list_beyond_the_bound_is_too_large() -> None:
    with account_on(always(b" " * (2 * LEAST)), list_max_bytes=LEAST) as (account, _):
        outcome, _ = account.call(BLOCK, "r")
        assert outcome.code is Code.PROVIDER_RESPONSE_TOO_LARGE
        assert outcome.upstream_status == 200


def test_a_change_that_repeats_a_list_has_the_deadline_of_a_change() -> None:
    with account_on(Peer.stay_silent, deadline=0.2, list_deadline=60.0) as (account, _):
        started = time.monotonic()
        assert account.call(BLOCK, "r")[0].code is Code.PROVIDER_TIMEOUT
        assert time.monotonic() - started < 10


def test_long_responses_that_stall_let_others_have_their_turn_at_their_deadline() -> None:
    """As many as may be long at a time begin to be so, and stop; short ones are not held up."""
    stalled = threading.Semaphore(0)

    def play(peer: Peer) -> None:
        peer.read_request()
        if peer.number <= MAX_LONG:
            peer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n" + b" " * (LEAST + 9))
            stalled.release()
            peer.stay_silent()
        peer.write(http_response(200, b"{}"))

    with account_on(play, deadline=1.0) as (account, _):
        found: list[tuple[Outcome, int]] = []
        threads = [
            threading.Thread(target=lambda: found.append(account.call(BLOCK, "r")))
            for _ in range(MAX_LONG)
        ]
        for thread in threads:
            thread.start()
        for _ in threads:
            assert stalled.acquire(timeout=20)
        assert account.call(BLOCK, "r")[0].ok
        for thread in threads:
            thread.join()
        assert {outcome.code for outcome, _ in found} == {Code.PROVIDER_TIMEOUT}
        assert account.call(BLOCK, "r")[0].ok


# --- the lists of the providers


def listed(provider: str, count: int) -> bytes:
    """Return a list of so many people, as the provider writes it."""
    numbers = [str(4915110000000 + each) for each in range(count)]
    jids = [f"{number}@s.whatsapp.net" for number in numbers]
    if provider == "wuts":
        items = [
            {"jid": jid, "phone_number": number} for jid, number in zip(jids, numbers, strict=True)
        ]
        return json.dumps({"success": True, "data": {"items": items, "count": count}}).encode()
    return json.dumps({"message": "success", "data": {"JIDs": jids}}).encode()


def blocked(contacts: Client) -> Result:
    return contacts.blocked()


@pytest.mark.parametrize("provider", ["wuts", "evolution-go"])
def test_a_list_of_twenty_thousand_is_read(provider: str) -> None:
    with RawServer(always(listed(provider, 20_000)), b"") as server:
        table = account_for(provider, f"http://127.0.0.1:{server.port}")
        with connect({"accounts": {"a": table}}) as contacts:
            result = contacts.blocked()
    assert result.ok
    assert len(result.contacts or ()) == 20_000
