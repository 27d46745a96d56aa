"""What a plan does with each contact: pure tables over lists, the ledger, and providers' limits."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from support.plans import contacts, number

from adapter.batches.plan_model import Op, Wanted
from adapter.batches.plan_sorting import Fact, Known, Sorted, Sorting, Target, shorten
from adapter.codes import Action
from adapter.comparison import Identities
from adapter.contacts import Contact

LID = Contact(lid="100000000000001@lid")
OURS = Fact("blocked", "blocked", "accepted")
LOST = Fact("blocked", "unknown", "none")
UNBLOCKED = Fact("unblocked", "unblocked", "accepted")
BOTH = frozenset({Action.BLOCK, Action.UNBLOCK})
NINE, WITHOUT_NINE = Contact("5511999999999"), Contact("551199999999")


def sort(
    wanted: Iterable[Contact],
    there: Iterable[Contact] = (),
    *,
    known: dict[Contact, Fact] | None = None,
    mirror: bool = False,
    actions: frozenset[Action] = BOTH,
    refused: Iterable[Contact] = (),
    max_blocked: int | None = None,
    only_recent: int | None = None,
    identities: Identities | None = None,
) -> list[Sorted]:
    refused = set(refused)
    target = Target(
        actions,
        lambda action, contact: "cannot be named" if contact in refused else None,
        max_blocked,
        only_recent,
    )
    who = identities or Identities()
    sorting = Sorting(there, Known((known or {}).items(), who), target, who)
    return list(sorting.sort(wanted_of(wanted), mirror=mirror))


def wanted_of(given: Iterable[Contact]) -> list[Wanted]:
    return [Wanted(contact, line) for line, contact in enumerate(given, 1)]


def brief(found: Iterable[Sorted]) -> list[tuple[Contact, str, str | None]]:
    return [(each.contact, each.op.value, each.code) for each in found]


one, two, three = contacts(1, 2, 3)


@pytest.mark.parametrize(
    ("wanted", "there", "known", "op", "code"),
    [
        pytest.param(one, (), {}, "block", None, id="missing there"),
        pytest.param(one, (one,), {}, "keep", None, id="blocked there"),
        pytest.param(one, (two,), {one: OURS}, "block", None, id="the list outweighs the ledger"),
        pytest.param(LID, (), {}, "block", None, id="a LID and an empty list"),
        pytest.param(LID, (LID,), {}, "keep", None, id="a LID in a list of LIDs"),
        pytest.param(LID, (two,), {}, "unsure", "unsure", id="a LID and a list of numbers"),
        pytest.param(LID, (two,), {LID: OURS}, "keep", None, id="a LID that we have blocked"),
        pytest.param(LID, (two,), {LID: LOST}, "unsure", "unsure", id="a LID of an unknown end"),
        pytest.param(one, (LID,), {}, "block", None, id="a number and a list of LIDs"),
        pytest.param(one, (LID,), {one: OURS}, "keep", None, id="a number that we have blocked"),
        pytest.param(one, (LID,), {one: UNBLOCKED}, "block", None, id="that we have unblocked"),
        pytest.param(NINE, (WITHOUT_NINE,), {}, "block", None, id="the other form of a number"),
        pytest.param(NINE, (WITHOUT_NINE,), {NINE: OURS}, "keep", None, id="blocked by that form"),
    ],
)
def test_a_wanted_contact_is_kept_blocked_or_unsure(
    wanted: Contact, there: tuple[Contact, ...], known: dict[Contact, Fact], op: str, code: str
) -> None:
    assert brief(sort([wanted], there, known=known))[0] == (wanted, op, code)


@pytest.mark.parametrize(
    ("mirror", "known", "op", "code"),
    [
        (False, {two: OURS}, "keep", "not_wanted"),
        (False, {}, "keep", "not_wanted"),
        (True, {two: OURS}, "unblock", None),
        (True, {two: LOST}, "keep", "not_wanted"),
        (True, {}, "keep", "not_wanted"),
        (True, {two: UNBLOCKED}, "keep", "not_wanted"),
    ],
)
def test_only_a_mirror_unblocks_and_only_what_the_ledger_knows_as_ours(
    mirror: bool, known: dict[Contact, Fact], op: str, code: str | None
) -> None:
    found = brief(sort([one], [one, two], known=known, mirror=mirror))
    assert found == [(one, "keep", None), (two, op, code)]


def test_a_mirror_does_not_unblock_what_may_be_a_wanted_contact() -> None:
    found = brief(sort([LID], [one], known={one: OURS}, mirror=True))
    assert found[1] == (one, "unsure", "unsure")
    found = brief(sort([NINE], [WITHOUT_NINE], known={WITHOUT_NINE: OURS}, mirror=True))
    assert found[1] == (WITHOUT_NINE, "unsure", "unsure")


def test_a_contact_that_one_list_names_by_lid_and_the_other_by_both_is_one_person() -> None:
    both = Contact(one.number, LID.lid)
    assert brief(sort([LID], [both], mirror=True)) == [(LID, "keep", None)]
    assert brief(sort([both], [LID], mirror=True)) == [(one, "keep", None)]


def test_a_lid_that_responses_have_named_is_compared_by_its_number() -> None:
    who = Identities()
    who.learn_list([Contact(one.number, LID.lid)])
    assert brief(sort([LID], [one], identities=who)) == [(one, "keep", None)]


def test_a_contact_that_the_source_has_twice_is_one_row() -> None:
    found = sort([one, two, one, Contact(two.number, LID.lid)])
    assert brief(found) == [(one, "block", None), (two, "block", None)]


def test_without_the_action_every_change_is_impossible() -> None:
    found = brief(sort([one, two], [one, three], actions=frozenset()))
    assert found[:2] == [(one, "keep", None), (two, "cannot", "operation_not_supported")]
    only_blocks = frozenset({Action.BLOCK})
    found = brief(sort([], [one], known={one: OURS}, mirror=True, actions=only_blocks))
    assert found == [(one, "cannot", "operation_not_supported")]


def test_a_contact_that_no_request_can_name_is_impossible_with_the_reason() -> None:
    (found,) = sort([LID], refused=[LID])
    assert (found.op, found.code, found.why) == (Op.CANNOT, "invalid_target", "cannot be named")


def test_a_window_of_the_provider_makes_new_blocks_impossible_and_keeps_the_others() -> None:
    found = sort([one, two], [one], only_recent=24)
    assert brief(found) == [(one, "keep", None), (two, "cannot", "not_recent")]
    assert "24 hours" in (found[1].why or "")
    assert "--try" in (found[1].why or "")


def test_a_list_that_gets_full_blocks_as_many_as_it_holds() -> None:
    found = brief(sort([one, two, three], contacts(7, 8), max_blocked=4))
    assert [op for _, op, _ in found[:3]] == ["block", "block", "cannot"]
    assert found[2][2] == "list_full"
    assert sort([one], contacts(7, 8), max_blocked=1)[0].op is Op.CANNOT


@pytest.mark.parametrize(
    ("has_list", "expected"),
    [
        (True, {one: "keep", two: "missing", three: "extra"}),
        (False, {one: "unsure", two: "unsure"}),
    ],
)
def test_one_list_of_two_accounts_is_compared(has_list: bool, expected: dict[Contact, str]) -> None:
    who = Identities()
    sorting = Sorting([one, three], Known(), Target(BOTH, lambda *_: None), who)
    found = list(sorting.verify(wanted_of([one, two]), has_list=has_list))
    assert {each.contact: each.op.value for each in found} == expected


def test_64000_entries_are_sorted_by_look_ups() -> None:
    amount = 64_000
    wanted = [Contact(number(index)) for index in range(amount)]
    there = [Contact(number(index)) for index in range(1000, amount + 1000)]
    found = sort(wanted, there, known=dict.fromkeys(there, OURS), mirror=True)
    ops = [each.op for each in found]
    assert (ops.count(Op.BLOCK), ops.count(Op.KEEP), ops.count(Op.UNBLOCK)) == (1000, 63_000, 1000)


def test_a_contact_is_stored_by_the_identifier_of_requests() -> None:
    assert shorten(Contact("1", "2@lid", "BR.3")) == Contact("1")
    assert shorten(Contact(None, "2@lid", "BR.3")) == Contact(lid="2@lid")
    assert shorten(Contact(user_id="BR.3")) == Contact(user_id="BR.3")


@pytest.mark.parametrize(("wanted", "words"), [(one, "other form"), (Contact(lid="7@lid"), "LID")])
def test_what_one_list_cannot_show_is_unsure_with_the_reason(wanted: Contact, words: str) -> None:
    there = [LID, two]
    sorting = Sorting(there, Known(), Target(BOTH, lambda *_: None), Identities())
    found = next(sorting.verify(wanted_of([wanted]), has_list=True))
    assert (found.op, found.code) == (Op.UNSURE, "unsure")
    assert words in (found.why or "")
