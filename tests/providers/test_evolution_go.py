"""Evolution GO: what the list after a change shows, and what it cannot show."""

from __future__ import annotations

from typing import Any

from adapter.providers.evolution_go import EvolutionGoProvider
from hypothesis import given
from hypothesis import strategies as st

from adapter.plugin import Action, Code, Command, Confirmation, Contact, Secret, json_response

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
