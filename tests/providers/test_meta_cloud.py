"""The Cloud API over a real socket: pages of a list, and a DELETE that has a body."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from adapter.providers.meta_cloud import MetaCloudProvider
from support import JID, Upstream
from support.raw_server import Peer, RawServer, http_response

from adapter import Action, Code, Command, ConfigurationError, Contact, Secret, connect
from adapter.account import Account
from adapter.client import Client
from adapter.plugin import Confirmation, HttpRequest, HttpResponse, Unverified, json_response
from adapter.settings.loader import load_settings

ODD = "eyJ=+&/?#% é\N{SNOWMAN}"
"""A cursor of characters that mean something in a URL."""

ANNA, BERT = "5511999999999", "16505551234"
NEXT = "https://graph.facebook.com/v23.0/1/block_users?after=elsewhere"


def configure(address: str, **options: Any) -> dict[str, Any]:
    account = {"provider": "meta-cloud", "base_url": address, "token": Secret("t")}
    return {"accounts": {"a": {**account, "phone_number_id": "106540352242922", **options}}}


def page(*numbers: str, after: str | None = None, **paging: Any) -> dict[str, Any]:
    document: dict[str, Any] = {"data": [{"wa_id": number} for number in numbers]}
    if after is not None:
        paging["cursors"] = {"after": after, "before": "b"}
    return {**document, "paging": paging} if paging else document


@contextmanager
def serving(pages: dict[str, bytes]) -> Iterator[tuple[Client, RawServer]]:
    """Serve each page to whoever asks for it by its cursor, the first of them by none.

    A cursor that is not known is answered by the page at "*".
    """

    def play(peer: Peer) -> None:
        while peer.read_request():
            asked = parse_qs(urlsplit(peer.target).query)
            assert asked["limit"] == ["1000"]
            peer.write(pages.get(asked.get("after", [""])[0]) or pages["*"])

    with (
        RawServer(play, b"") as server,
        connect(configure(f"http://127.0.0.1:{server.port}")) as contacts,
    ):
        yield contacts, server


def ok(document: Any) -> bytes:
    return http_response(200, document)


def test_all_pages_together_are_the_list() -> None:
    pages = {
        "": ok(page(ANNA, after="1")),
        "1": ok(page(BERT, ANNA, after=ODD)),
        ODD: ok(page("551188887777", after="3", next=NEXT)),
        "3": ok(page(after="4", next=NEXT)),
        "4": ok(page("14155550123", after="5")),
        "5": ok(page(after="5")),
    }
    with serving(pages) as (contacts, server):
        result = contacts.blocked()
    numbers = [ANNA, BERT, "551188887777", "14155550123"]
    assert result.contacts == tuple(Contact(number) for number in numbers)
    assert (server.request_count, result.attempts) == (len(pages), 1)


@pytest.mark.slow
def test_the_longest_list_that_there_can_be_is_read() -> None:
    size, count = 1000, 64
    numbers = [str(5511900000000 + number) for number in range(size * count)]
    pages = {
        "" if number == 0 else str(number): ok(
            page(*numbers[number * size : (number + 1) * size], after=str(number + 1))
        )
        for number in range(count)
    }
    with serving({**pages, str(count): ok(page())}) as (contacts, _):
        result = contacts.blocked()
    assert result.contacts == tuple(Contact(number) for number in numbers)


@pytest.mark.parametrize(
    ("status", "document", "code"),
    [
        (200, {"data": [{"user_id": "nobody"}]}, Code.PROVIDER_BAD_RESPONSE),
        (200, {"data": [{"wa_id": 5511999999999}]}, Code.PROVIDER_BAD_RESPONSE),
        (200, {"data": None}, Code.PROVIDER_BAD_RESPONSE),
        (200, {"data": [], "paging": None}, Code.PROVIDER_BAD_RESPONSE),
        (200, {"data": [], "paging": {"cursors": []}}, Code.PROVIDER_BAD_RESPONSE),
        (200, {**page(BERT, after="x"), "error": {"code": 999}}, Code.PROVIDER_BAD_RESPONSE),
        (200, page(BERT, next=NEXT), Code.PROVIDER_BAD_RESPONSE),
        (200, "<html>", Code.PROVIDER_BAD_RESPONSE),
        (400, {"error": {"code": 139102}}, Code.PROVIDER_CONFLICT),
        (401, {"error": {"code": 190}}, Code.PROVIDER_AUTH_FAILED),
        (500, "<html>", Code.PROVIDER_ERROR),
    ],
    ids=str,
)
def test_a_list_of_which_a_page_is_missing_is_no_list(
    status: int, document: Any, code: Code
) -> None:
    pages = {"": ok(page(ANNA, after="1")), "1": http_response(status, document)}
    with serving(pages) as (contacts, server):
        result = contacts.blocked()
    assert (result.code, result.contacts) == (code, None)
    assert server.request_count == 2


@pytest.mark.parametrize("action", [Action.BLOCK, Action.UNBLOCK])
def test_a_user_both_added_and_removed_is_a_bad_response(action: Action) -> None:
    users = [{"input": "+5511999999999", "wa_id": "5511999999999"}]
    provider = MetaCloudProvider({"token": Secret("t"), "phone_number_id": "1", "version": "v23.0"})
    document = {"block_users": {"added_users": users, "removed_users": users}}
    command = Command(action, Contact("5511999999999"))
    outcome = provider.parse_response(command, json_response(200, document))
    assert outcome.code is Code.PROVIDER_BAD_RESPONSE


def test_a_users_unknown_code_hides_no_known_code_of_the_whole() -> None:
    provider = MetaCloudProvider({"token": Secret("t"), "phone_number_id": "1", "version": "v23.0"})
    failed = [{"input": "+5511999999999", "errors": [{"code": 999}]}]
    document = {"block_users": {"failed_users": failed}, "error": {"code": 130429}}
    command = Command(Action.BLOCK, Contact("5511999999999"))
    outcome = provider.parse_response(command, json_response(400, document))
    assert outcome.code is Code.PROVIDER_RATE_LIMITED


@pytest.mark.parametrize(
    ("pages", "requests"),
    [
        ({"*": ok(page(ANNA, after="again"))}, 2),
        (
            {
                "": ok(page(ANNA, after="1")),
                "1": ok(page(BERT, after="2")),
                "2": ok(page(ANNA, after="1")),
            },
            3,
        ),
    ],
    ids=["the same page again", "round and round"],
)
def test_a_list_without_end_is_an_error_and_is_given_up(
    pages: dict[str, Any], requests: int
) -> None:
    with serving(pages) as (contacts, server):
        result = contacts.blocked()
    assert (result.code, result.contacts) == (Code.PROVIDER_BAD_RESPONSE, None)
    assert server.request_count == requests


@pytest.mark.parametrize(("method", "name"), [("POST", "added_users"), ("DELETE", "removed_users")])
def test_a_change_names_its_user_in_a_body_whatever_the_method(
    upstream: Upstream, method: str, name: str
) -> None:
    upstream.will_answer(200, {"block_users": {name: [{"input": f"+{ANNA}", "wa_id": ANNA}]}})
    with connect(configure(upstream.address, version="v25.0")) as contacts:
        result = contacts.block(jid=JID) if method == "POST" else contacts.unblock(jid=JID)
    assert result.ok
    [sent] = upstream.seen
    assert (sent.method, sent.path) == (method, "/v25.0/106540352242922/block_users")
    assert json.loads(sent.body) == {
        "messaging_product": "whatsapp",
        "block_users": [{"user": f"+{ANNA}"}],
    }


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (307, Code.PROVIDER_REDIRECTED),
        (303, Code.PROVIDER_MISADDRESSED),
        (401, Code.PROVIDER_BAD_RESPONSE),
    ],
)
def test_a_refusal_with_our_user_as_changed_is_a_bad_response_but_not_a_redirect(
    status: int, code: Code
) -> None:
    provider = MetaCloudProvider({"token": Secret("t")})
    changed = {"block_users": {"added_users": [{"input": f"+{ANNA}", "wa_id": ANNA}]}}
    outcome = provider.parse_response(
        Command(Action.BLOCK, Contact(ANNA)), json_response(status, changed)
    )
    assert outcome.code is code


@pytest.mark.parametrize(
    "named",
    [{"input": ANNA}, {"input": "+55 11 99999-9999"}, {"wa_id": ANNA}, {"input": None}, ANNA],
    ids=str,
)
def test_a_refusal_with_our_user_in_any_writing_as_changed_is_a_bad_response(
    named: Any,
) -> None:
    provider = MetaCloudProvider({"token": Secret("t")})
    document = {"block_users": {"added_users": [named]}, "error": {"code": 139100}}
    outcome = provider.parse_response(
        Command(Action.BLOCK, Contact(ANNA)), json_response(400, document)
    )
    assert outcome.code is Code.PROVIDER_BAD_RESPONSE


@pytest.mark.parametrize("name", ["phone_number_id", "version"])
@pytest.mark.parametrize(
    "wrong", ["", "v23", "23.0", "v23.0/../x", "v23.0\n", "12a", "1 2", "..", 5]
)
def test_a_part_of_the_path_that_is_wrong_is_a_fault_of_the_configuration(
    name: str, wrong: Any
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(configure("https://graph.example", **{name: wrong}))
    assert f"accounts.a.{name}" in str(caught.value)


WITH_NINTH_DIGIT, WITHOUT = Contact("5511999990001"), Contact("551199990001")
CHANGES = {Action.BLOCK: "added_users", Action.UNBLOCK: "removed_users"}


def change(action: Action, *listed: str, **names: str) -> Any:
    """Return the outcome of a verified change, whose response names the user by `names`."""
    account = Account(load_settings(configure("https://graph.example")).accounts["a"])
    users = [{"input": "+5511999990001", **names}]
    changed = {"messaging_product": "whatsapp", "block_users": {CHANGES[action]: users}}

    def send(request: HttpRequest, *_: object) -> HttpResponse:
        return json_response(200, page(*listed) if request.method == "GET" else changed)

    account.send = send
    return account.call(Command(action, WITH_NINTH_DIGIT, verify=True), "r")[0]


@pytest.mark.parametrize("action", CHANGES)
@pytest.mark.parametrize("is_listed", [True, False])
def test_a_change_is_verified_by_the_wa_id_that_its_response_named(
    action: Action, is_listed: bool
) -> None:
    listed = (BERT, str(WITHOUT.number)) if is_listed else (BERT,)
    outcome = change(action, *listed, wa_id="551199990001")
    done = is_listed is (action is Action.BLOCK)
    assert outcome.verification.verified is done
    assert outcome.confirmation is (Confirmation.READ_BACK if done else None)
    assert outcome.code is (None if done else Code.NOT_EFFECTIVE)
    assert outcome.verification.reads == 1  # the call is synchronous: there is no second read


def test_the_other_form_of_a_number_in_the_list_proves_nothing_where_no_wa_id_was_named() -> None:
    outcome = change(Action.BLOCK, "551199990001")
    assert (outcome.ok, outcome.verification.verified) == (True, None)
    assert outcome.verification.reason is Unverified.INCOMPLETE


def test_a_listed_number_in_the_other_form_shows_neither_state() -> None:
    outcome = change(Action.BLOCK, "551199990001", wa_id="5511999990001")
    shown = outcome.verification
    assert (outcome.ok, shown.verified, shown.reason) == (True, None, Unverified.INCOMPLETE)
