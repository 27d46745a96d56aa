"""Evolution GO: what the list after a change shows, and what it cannot show."""

from __future__ import annotations

from typing import Any

import pytest
from adapter.providers.evolution_go import EvolutionGoProvider
from hypothesis import given
from hypothesis import strategies as st

from adapter.account import Account
from adapter.plugin import (
    Action,
    Code,
    Command,
    Confirmation,
    Contact,
    HttpRequest,
    HttpResponse,
    Lookup,
    Secret,
    Session,
    SessionState,
    json_response,
)
from adapter.settings.loader import load_settings

PROVIDER = EvolutionGoProvider({"token": Secret("t")})
PEOPLE = [
    Contact("5511999999999"),
    Contact("551199999999"),  # the same person without the ninth digit
    Contact("14155550123"),
    Contact(lid="112233445566778@lid"),
    Contact(lid="205227043110953@lid"),
]
CHANGES = st.builds(
    Command, st.sampled_from([Action.BLOCK, Action.UNBLOCK]), st.sampled_from(PEOPLE)
)
LISTS = st.lists(st.sampled_from(PEOPLE), unique=True, max_size=4)


def respond(jids: Any) -> Any:
    return json_response(200, {"message": "success", "data": {"DHash": "2:a", "JIDs": jids}})


@given(CHANGES, LISTS)
def test_a_change_is_confirmed_as_far_as_the_list_shows_it(
    command: Command, listed: list[Contact]
) -> None:
    outcome = PROVIDER.parse_response(command, respond([person.jid for person in listed]))
    person = command.target
    same = PEOPLE[:2] if person in PEOPLE[:2] else [person]
    shows_lids = any(each.lid for each in listed)
    blocked = any(each in listed for each in same)
    comparable = shows_lids if person.lid else not shows_lids
    if blocked or not listed or comparable:
        done = blocked is command.blocked
        assert outcome.confirmation is (Confirmation.PROVIDER_STATE if done else None)
        assert outcome.code is (None if done else Code.PROVIDER_BAD_RESPONSE)
    else:  # it may stand there under another name
        assert outcome.confirmation is Confirmation.ACCEPTED


@given(LISTS)
def test_a_list_is_read_whole(listed: list[Contact]) -> None:
    answer = respond([person.jid for person in listed] or None)
    assert PROVIDER.parse_response(Command(Action.LIST), answer).contacts == tuple(listed)


@given(
    st.sampled_from([Command(Action.LIST), Command(Action.BLOCK, PEOPLE[0])]),
    LISTS,
    st.none() | st.integers() | st.lists(st.integers(), min_size=70, max_size=70) | st.text(),
)
def test_a_list_with_an_unreadable_entry_is_a_failure(
    command: Command, listed: list[Contact], entry: Any
) -> None:
    answer = respond([*(person.jid for person in listed), entry])
    assert PROVIDER.parse_response(command, answer).code is Code.PROVIDER_BAD_RESPONSE


def test_contacts_are_sent_as_whole_jids() -> None:
    for person in PEOPLE:
        sent = PROVIDER.build_request(Command(Action.BLOCK, person)).json
        assert sent == {"number": person.jid}
        assert "@" in sent["number"]


# -- reads

ANNA, BERT = PEOPLE[0], PEOPLE[2]
LID = "112233445566778@lid"
LOOKUP = Command(Action.LOOKUP, contacts=(ANNA,))


def user(query: str, found: Any, jid: Any, lid: Any = None) -> dict[str, Any]:
    return {"Query": query, "IsInWhatsapp": found, "JID": jid, "RemoteJID": jid, "LID": lid}


def found(*users: Any) -> HttpResponse:
    return json_response(200, {"message": "success", "data": {"Users": list(users)}})


def open_account(*responses: HttpResponse) -> tuple[Account, list[HttpRequest]]:
    """Return an account with these responses, one after the other, and what it sends."""
    options = {"provider": "evolution-go", "base_url": "https://go.example", "token": Secret("t")}
    account = Account(load_settings({"accounts": {"a": options}}).accounts["a"])
    sent: list[HttpRequest] = []
    left = list(responses)

    def send(request: HttpRequest, *_: object) -> HttpResponse:
        sent.append(request)
        return left.pop(0)

    account.send = send
    return account, sent


@pytest.mark.parametrize(
    ("connected", "logged_in"), [(True, True), (True, False), (False, True), (False, False)]
)
def test_a_session_is_connected_if_both_flags_say_so(connected: bool, logged_in: bool) -> None:
    data = {"Connected": connected, "LoggedIn": logged_in, "Name": "shop"}
    response = json_response(200, {"message": "success", "data": data})
    outcome = PROVIDER.parse_response(Command(Action.STATUS), response)
    both = connected and logged_in
    state = SessionState.CONNECTED if both else SessionState.NOT_CONNECTED
    assert outcome.reading == Session(state)


def test_the_servers_own_400_is_a_status_and_for_other_actions_it_is_not() -> None:
    refused = json_response(400, {"error": "client disconnected"})
    account, _ = open_account(refused)
    outcome, _ = account.call(Command(Action.STATUS), "r")
    assert isinstance(outcome.reading, Session)
    assert outcome.reading.state is SessionState.NOT_CONNECTED
    codes = {Code.TARGET_REJECTED: Command(Action.BLOCK, ANNA), Code.PROVIDER_ERROR: LOOKUP}
    for code, command in codes.items():
        assert PROVIDER.parse_response(command, refused).code is code
    page = json_response(400, {"detail": "x"})
    outcome = PROVIDER.parse_response(Command(Action.STATUS), page)
    assert outcome.code is Code.PROVIDER_MISADDRESSED


def test_a_failed_query_is_an_error_and_never_means_not_on_whatsapp() -> None:
    account, _ = open_account(json_response(200, {"message": "success", "data": None}))
    outcome, _ = account.call(Command(Action.LOOKUP, contacts=(ANNA, BERT)), "r")
    assert (outcome.code, outcome.reading) == (Code.PROVIDER_ERROR, None)


@pytest.mark.parametrize("query", ["+5511999999999", "5511999999999", str(ANNA.jid)])
@pytest.mark.parametrize("jid", ["5511999999999@s.whatsapp.net", LID, "", None])
def test_a_lookup_names_a_person_by_jid_and_lid_whichever_the_jid_is(query: str, jid: Any) -> None:
    outcome = PROVIDER.parse_response(LOOKUP, found(user(query, True, jid, LID)))
    known = Contact(ANNA.number if jid and "@s." in jid else None, LID)
    assert outcome.reading == (Lookup(ANNA, True, known),)


@pytest.mark.parametrize(
    "entry",
    [
        user("+5511999999999", True, LID, "998877665544332@lid"),
        user("+5511999999999", True, "4915123456789@s.whatsapp.net"),
        user("+5511999999999", True, "text"),
        user("+5511999999999", "true", ANNA.jid),
        user("+4915123456789", True, "4915123456789@s.whatsapp.net"),
        {"Query": "+5511999999999", "IsInWhatsapp": False},
        None,
    ],
    ids=str,
)
def test_a_number_is_unknown_if_its_entry_is_unreadable_or_of_another_person(entry: Any) -> None:
    outcome = PROVIDER.parse_response(LOOKUP, found(entry))
    assert outcome.code is Code.PROVIDER_BAD_RESPONSE


def test_a_verified_block_finds_the_lid_by_one_lookup_and_names_it_from_then_on() -> None:
    listed = respond([LID])
    person = found(user("+5511999999999", True, ANNA.jid, LID))
    account, sent = open_account(listed, listed, person, listed)
    outcome, attempts = account.call(Command(Action.BLOCK, ANNA, verify=True), "r")
    assert (outcome.confirmation, outcome.verification.verified) == (Confirmation.READ_BACK, True)
    assert (attempts, outcome.verification.reads) == (1, 2)
    paths = ["/user/block", "/user/blocklist", "/user/check"]
    assert [request.path for request in sent] == paths
    assert sent[0].json == {"number": ANNA.jid}
    outcome, _ = account.call(Command(Action.BLOCK, ANNA, verify=True), "r")
    assert (outcome.verification.verified, len(sent)) == (True, 4)
    assert sent[3].json == {"number": LID}
