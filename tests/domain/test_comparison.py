"""Who is who, and whether a block list shows a contact: present, absent, or not known."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter import comparison
from adapter.comparison import FRESHNESS, IDENTITY_LIFETIME, Identities, find_state
from adapter.contacts import Contact, Relation, other_form, relation
from adapter.readings import BlockState, Lookup, Unverified

LONG, SHORT = "5511999990001", "551199990001"
FOREIGN = "14155550123"
LID, OTHER_LID = "100000000000001@lid", "100000000000002@lid"

BLOCKED, NOT_BLOCKED = BlockState(True), BlockState(False)
ONLY_LIDS = BlockState(None, Unverified.ONLY_LIDS)
INCOMPLETE = BlockState(None, Unverified.INCOMPLETE)

FORMS = (
    pytest.param("5511999990001", "551199990001", id="Brazil, ninth digit"),
    pytest.param("5213312345678", "523312345678", id="Mexico, 1 after the country code"),
    pytest.param("5491123456789", "541123456789", id="Argentina, 9 after the country code"),
)
ONE_FORM = (FOREIGN, "4915123456789", "551133334444", "544023456789", "521331234567", "55119999")


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


# --- the two forms of a number


@pytest.mark.parametrize(("longer", "shorter"), FORMS)
def test_each_form_of_a_number_is_the_other_form_of_the_other(longer: str, shorter: str) -> None:
    assert other_form(longer) == shorter
    assert other_form(shorter) == longer
    assert relation(Contact(longer), Contact(shorter)) is Relation.VARIANT


@pytest.mark.parametrize("number", ONE_FORM)
def test_a_number_with_one_form_has_no_other(number: str) -> None:
    assert other_form(number) is None


@given(st.from_regex(r"(55|52|54|1|49)[0-9]{5,12}", fullmatch=True))
def test_the_other_form_of_the_other_form_is_the_number_itself(number: str) -> None:
    other = other_form(number)
    if other is not None:
        assert other != number
        assert other_form(other) == number
        assert relation(Contact(number), Contact(other)) is Relation.VARIANT


# --- a contact in a list


@pytest.mark.parametrize(
    ("contact", "entries", "state"),
    [
        pytest.param(Contact(LONG), [], NOT_BLOCKED, id="an empty list"),
        pytest.param(Contact(LONG), [Contact(LONG)], BLOCKED, id="its number"),
        pytest.param(Contact(LONG), [Contact(FOREIGN)], NOT_BLOCKED, id="another number"),
        pytest.param(Contact(LONG), [Contact(SHORT)], INCOMPLETE, id="its other form"),
        pytest.param(Contact(LONG), [Contact(SHORT), Contact(LONG)], BLOCKED, id="both forms"),
        pytest.param(Contact(LONG), [Contact(lid=LID)], ONLY_LIDS, id="a LID for a number"),
        pytest.param(
            Contact(LONG), [Contact(FOREIGN), Contact(lid=LID)], ONLY_LIDS, id="one unknown LID"
        ),
        pytest.param(
            Contact(LONG), [Contact(lid=LID), Contact(LONG)], BLOCKED, id="present after a LID"
        ),
        pytest.param(
            Contact(LONG), [Contact(lid=LID), Contact(SHORT)], INCOMPLETE, id="a LID, other form"
        ),
        pytest.param(Contact(LONG), [Contact(FOREIGN, LID)], NOT_BLOCKED, id="a LID of another"),
        pytest.param(Contact(LONG), [Contact(LONG, LID)], BLOCKED, id="its number and a LID"),
        pytest.param(Contact(lid=LID), [Contact(lid=LID)], BLOCKED, id="its LID"),
        pytest.param(Contact(lid=LID), [Contact(lid=OTHER_LID)], NOT_BLOCKED, id="another LID"),
        pytest.param(Contact(lid=LID), [Contact(LONG)], INCOMPLETE, id="a number for a LID"),
        pytest.param(
            Contact(user_id="US.abc"), [Contact(LONG)], INCOMPLETE, id="a number for a user id"
        ),
        pytest.param(
            Contact(user_id="US.abc"),
            [Contact(LONG, user_id="US.abd")],
            NOT_BLOCKED,
            id="another user id",
        ),
        pytest.param(
            Contact(LONG), [Contact(user_id="US.abc")], INCOMPLETE, id="a user id for a number"
        ),
    ],
)
def test_what_a_list_shows_of_a_contact(
    contact: Contact, entries: list[Contact], state: BlockState
) -> None:
    assert find_state(contact, entries) == state


@pytest.mark.parametrize(("longer", "shorter"), FORMS)
def test_the_other_form_in_a_list_counts_only_where_it_is_the_own_form(
    longer: str, shorter: str
) -> None:
    for asked, listed in ((longer, shorter), (shorter, longer)):
        identities = Identities()
        assert find_state(Contact(asked), [Contact(listed)], identities) == INCOMPLETE
        identities.learn(Contact(asked), Contact(asked))
        # A provider may show its number in another form than WhatsApp's.
        assert find_state(Contact(asked), [Contact(listed)], identities) == INCOMPLETE
        identities.learn(Contact(asked), Contact(listed))
        assert find_state(Contact(asked), [Contact(listed)], identities) == BLOCKED
        assert find_state(Contact(asked), [Contact(FOREIGN)], identities) == NOT_BLOCKED


def test_a_known_lid_makes_a_list_of_lids_comparable() -> None:
    identities = Identities()
    identities.learn(Contact(LONG), Contact(SHORT, LID))
    assert find_state(Contact(LONG), [Contact(lid=LID)], identities) == BLOCKED
    assert find_state(Contact(LONG), [Contact(lid=OTHER_LID)], identities) == NOT_BLOCKED
    assert find_state(Contact(SHORT), [Contact(lid=LID)], identities) == BLOCKED
    assert find_state(Contact(lid=LID), [Contact(SHORT)], identities) == BLOCKED


contacts = st.builds(
    Contact,
    number=st.sampled_from([LONG, SHORT, FOREIGN, "5213312345678"]),
    lid=st.sampled_from([None, LID, OTHER_LID]),
) | st.builds(lambda lid: Contact(lid=lid), st.sampled_from([LID, OTHER_LID]))


@given(contacts, st.lists(contacts, max_size=5))
def test_absent_is_not_blocked_only_where_every_entry_differs(
    contact: Contact, entries: list[Contact]
) -> None:
    state = find_state(contact, entries)
    found = {relation(contact, entry) for entry in entries}
    assert (state.blocked is False) is (found <= {Relation.DIFFERENT})
    assert (state.blocked is True) is (Relation.SAME in found)
    assert (state.blocked is None) is (state.reason is not None)


# --- who is who


def test_a_contact_is_completed_and_never_rewritten() -> None:
    identities = Identities()
    identities.learn(Contact(LONG), Contact(SHORT, LID))
    assert identities.complete(Contact(LONG)) == Contact(LONG, LID)
    assert identities.complete(Contact(lid=LID)) == Contact(SHORT, LID)
    assert identities.number_of(LONG) == SHORT
    assert identities.number_of(SHORT) is None
    assert identities.complete(Contact(FOREIGN)) == Contact(FOREIGN)
    assert identities.complete(Contact(user_id="US.abc")) == Contact(user_id="US.abc")


def test_a_lid_of_two_unrelated_numbers_is_forgotten_and_not_learnt_again() -> None:
    now = [0.0]
    identities = Identities(lambda: now[0])
    identities.learn(Contact(LONG), Contact(SHORT, LID))
    for number in (FOREIGN, LONG):
        identities.learn(Contact(number), Contact(number, LID))
        assert identities.complete(Contact(lid=LID)) == Contact(lid=LID)
        for each in (LONG, SHORT, FOREIGN):
            assert identities.complete(Contact(each)) == Contact(each)
    found = find_state(Contact(LONG), [Contact(lid=LID)], identities)
    assert found == BlockState(None, Unverified.ONLY_LIDS)
    now[0] += IDENTITY_LIFETIME
    identities.learn(Contact(FOREIGN), Contact(FOREIGN, LID))
    assert identities.complete(Contact(lid=LID)) == Contact(FOREIGN, LID)


def test_a_number_that_is_not_on_whatsapp_is_forgotten() -> None:
    identities = Identities()
    identities.learn(Contact(LONG), Contact(SHORT, LID))
    identities.learn_lookups([Lookup(Contact(LONG), None)])
    assert identities.complete(Contact(LONG)).lid == LID
    identities.learn_lookups([Lookup(Contact(SHORT), False)])
    assert identities.complete(Contact(LONG)).lid is None


def test_an_old_lid_shows_a_block_and_never_that_there_is_none() -> None:
    now = [0.0]
    identities = Identities(lambda: now[0])
    identities.learn(Contact(FOREIGN), Contact(FOREIGN, LID))
    assert find_state(Contact(FOREIGN), [Contact(lid=OTHER_LID)], identities) == NOT_BLOCKED
    now[0] += FRESHNESS
    unknown = BlockState(None, Unverified.ONLY_LIDS)
    assert find_state(Contact(FOREIGN), [Contact(lid=OTHER_LID)], identities) == unknown
    assert find_state(Contact(FOREIGN), [Contact(lid=LID)], identities) == BLOCKED


@pytest.mark.parametrize("entry", [Contact(user_id="BR.1"), Contact(FOREIGN, user_id="BR.2")])
def test_a_user_id_beside_a_number_is_no_evidence(entry: Contact) -> None:
    found = find_state(Contact(LONG, user_id="BR.1"), [entry])
    known = entry.number is not None
    assert found == (NOT_BLOCKED if known else BlockState(None, Unverified.INCOMPLETE))


def test_a_number_with_a_new_lid_gives_up_the_old_one() -> None:
    identities = Identities()
    identities.learn(Contact(LONG), Contact(lid=LID))
    identities.learn_list([Contact(LONG, OTHER_LID)])
    assert identities.complete(Contact(LONG)) == Contact(LONG, OTHER_LID)
    assert identities.complete(Contact(lid=LID)) == Contact(lid=LID)


def test_each_fact_has_a_lifetime_of_its_own() -> None:
    clock = Clock()
    identities = Identities(clock)
    identities.learn(Contact(LONG), Contact(SHORT, LID))
    clock.now = IDENTITY_LIFETIME - 1
    identities.learn(Contact(LONG), Contact(SHORT))
    assert identities.complete(Contact(LONG)).lid == LID
    clock.now = IDENTITY_LIFETIME
    assert identities.complete(Contact(LONG)).lid is None, "the number alone was learnt again"
    assert identities.complete(Contact(lid=LID)).number is None
    assert identities.number_of(LONG) == SHORT
    clock.now = 2 * IDENTITY_LIFETIME
    assert identities.number_of(LONG) is None


def test_an_expired_lid_is_not_learnt_again_with_the_number() -> None:
    clock = Clock()
    identities = Identities(clock)
    identities.learn(Contact(LONG), Contact(LONG, LID))
    clock.now = IDENTITY_LIFETIME + 1
    identities.learn(Contact(LONG), Contact(LONG))
    assert identities.complete(Contact(LONG)) == Contact(LONG)


def test_the_oldest_facts_are_forgotten_beyond_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "MAX_IDENTITIES", 3)
    identities = Identities()
    people = [Contact(f"1415555010{each}", f"10000000000000{each}@lid") for each in range(5)]
    for person in people:
        identities.learn(person, person)
    assert len(identities) == 6
    assert [identities.complete(Contact(each.number)).lid for each in people] == [
        None,
        None,
        *(each.lid for each in people[2:]),
    ]
    assert [identities.complete(Contact(lid=each.lid)).number for each in people[:2]] == [None] * 2


def test_a_lookup_that_found_nobody_is_not_learnt() -> None:
    identities = Identities()
    identities.learn_lookups(
        [Lookup(Contact(LONG), False, Contact(SHORT, LID)), Lookup(Contact(FOREIGN), None)]
    )
    assert len(identities) == 0


learnt = st.lists(
    st.tuples(
        st.sampled_from([LONG, SHORT, FOREIGN]),
        st.sampled_from([None, LONG, SHORT, FOREIGN]),
        st.sampled_from([None, LID, OTHER_LID, "100000000000003@lid"]),
        st.booleans(),
    ).filter(lambda fact: fact[1] is not None or fact[2] is not None),
    max_size=20,
)


@given(learnt)
def test_a_lid_has_one_owner_or_none(
    facts: list[tuple[str, str | None, str | None, bool]],
) -> None:
    identities = Identities()
    named: dict[str, set[str]] = {}
    for asked, number, lid, in_list in facts:
        if in_list and lid is not None:
            identities.learn_list([Contact(asked, lid)])
            owner = asked
        else:
            owner = number or identities.number_of(asked) or asked
            identities.learn(Contact(asked), Contact(number, lid))
        if lid is not None:
            named.setdefault(lid, set()).add(owner)
        for each in (LID, OTHER_LID, "100000000000003@lid"):
            known = identities.complete(Contact(lid=each)).number
            assert known is None or known in named[each]
        for each in (LONG, SHORT, FOREIGN):
            found = identities.complete(Contact(each))
            assert found.number == each
            if found.lid is not None:
                assert named[found.lid] & {each, str(identities.number_of(each))}


def test_threads_learn_and_read_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "MAX_IDENTITIES", 20)
    identities = Identities()
    wrong: list[object] = []

    def work(which: int) -> None:
        try:
            for turn in range(500):
                each = (which * 7 + turn) % 50
                person = Contact(f"141555501{each:02}", f"1000000000000{(turn % 60):02}@lid")
                identities.learn(person, person)
                found = identities.complete(Contact(person.number))
                if found.number != person.number:
                    wrong.append(found)
                identities.complete(Contact(lid=person.lid))
        except Exception as error:  # noqa: BLE001 - shown by the assertion below
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(which,)) for which in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(identities) <= 40
