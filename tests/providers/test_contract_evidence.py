"""The evidence of a success: values, patterns, the status, and booleans."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.clauses import BARE_STATUS, BOOLEANS, EVIDENCE, HOSTILE, OTHER_COMMAND
from support.toy import (
    JID,
    LID,
    Toy,
    contract_for,
    exchange,
    failures,
    right_answers,
    set_up_failure,
    write_answers,
)

from adapter.plugin import (
    Action,
    Command,
    Contact,
    ContactList,
    HttpRequest,
    HttpResponse,
    Outcome,
    json_response,
    read_contacts,
)
from adapter.testing.proofs import proves

pytestmark = pytest.mark.usefixtures("few_statuses")


class ReturnsTheList(Toy):
    """A provider whose every success is the block list after it, as a bare array."""

    routes = {**Toy.routes, "list": ("GET", "/blocked")}
    changes_return_list = True

    def build_request(self, command: Command) -> HttpRequest:
        return super().build_request(command) if command.contact else self.request(command)

    def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
        jids = response.document
        listed = read_contacts(jids) if isinstance(jids, list) and response.status == 200 else None
        if listed is None:
            return None
        if command.contact is None:
            return self.success(response, listed)
        return self.success(response) if self.shows(command, listed) else None

    def shows(self, command: Command, listed: ContactList) -> bool:
        return (command.target in listed.contacts) is command.blocked


THIRD = "14155550123@s.whatsapp.net"


def list_answers(**changes: Any) -> list[dict[str, Any]]:
    """Return exchanges of bare arrays; `changes` replaces the evidence of an action."""
    evidence = {"block": ["/*"], "unblock": ["/*"], "list": ["/*"], **changes}
    confirmation = {"confirmation": "provider_state"}
    done = [
        exchange("block", {"status": 200, "body": [THIRD, JID]}, **confirmation),
        exchange("block", {"status": 200, "body": [LID]}, LID, **confirmation),
        exchange("unblock", {"status": 200, "body": [THIRD]}, **confirmation),
    ]
    for each in done:
        each["evidence"] = evidence[each["command"]["action"]]
    listed = {
        "title": "the whole list",
        "command": {"action": "list"},
        "request": {"method": "GET", "path": "/blocked", "headers": {"X-Key": "<key>"}},
        "response": {"status": 200, "body": [THIRD]},
        "outcome": {**confirmation, "contacts": [{"number": "14155550123"}]},
        "evidence": evidence["list"],
    }
    empty = {**listed, "title": "an empty list", "response": {"status": 200, "body": []}}
    empty["outcome"] = {**confirmation, "contacts": []}
    return [
        *done,
        *({**done[0], **each} for each in (listed, empty)),
        *(each for each in right_answers() if "code" in each["outcome"]),
    ]


def test_every_entry_of_an_array_may_be_evidence_whoever_it_names(tmp_path: Path) -> None:
    folder = write_answers(tmp_path / "toy", list_answers())
    assert failures(contract_for(folder, ReturnsTheList)) == {}


def test_an_empty_list_is_not_tried_as_the_response_to_an_unblock(tmp_path: Path) -> None:
    folder = write_answers(tmp_path / "toy", list_answers())
    contract = contract_for(folder, ReturnsTheList)()
    command = Command(Action.UNBLOCK, Contact("5511999999999"))
    provider = contract.make_provider({})
    assert provider.parse_response(command, json_response(200, [])).ok
    assert OTHER_COMMAND not in failures(type(contract))


def test_the_whole_body_may_be_evidence(tmp_path: Path) -> None:
    class Fixed(Toy):
        def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
            known = [THIRD] if command.action is Action.UNBLOCK else [THIRD, command.target.jid]
            right = response.status == 200 and response.document == known
            return self.success(response) if right else None

    answers = [
        each
        for each in list_answers(block=[""], unblock=[""])
        if each["command"]["action"] != "list" and each["command"]["contact"] != LID
    ]
    folder = write_answers(tmp_path / "toy", [*answers, right_answers()[-1]])
    assert failures(contract_for(folder, Fixed)) == {}


@pytest.mark.parametrize(
    ("body", "proven"),
    [
        ([THIRD], True),
        (["4915123456789@s.whatsapp.net", LID], True),
        (["120363039000000000@g.us"], True),
        ([], True),
        ([THIRD, "x"], False),
        ([THIRD, None], False),
        ([[THIRD]], False),
        ({"0": THIRD}, False),
    ],
)
def test_a_pattern_is_shown_by_any_names_and_by_nothing_else(
    tmp_path: Path, body: Any, proven: bool
) -> None:
    folder = write_answers(tmp_path / "toy", list_answers())
    unblock = contract_for(folder, ReturnsTheList)().exchanges[2]
    assert proves(unblock, Action.UNBLOCK, json_response(200, body)) is proven
    assert not proves(unblock, Action.BLOCK, json_response(200, body))
    assert not proves(unblock, Action.UNBLOCK, json_response(201, body))


class SkipsUnreadableEntries(ReturnsTheList):
    def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
        entries = response.document
        if not isinstance(entries, list):
            return None
        readable = [each for each in entries if read_contacts([each]) is not None]
        return super().parse_success(command, json_response(response.status, readable))


def test_an_entry_that_names_nobody_ends_the_evidence(tmp_path: Path) -> None:
    folder = write_answers(tmp_path / "toy", list_answers())
    found = failures(contract_for(folder, SkipsUnreadableEntries))
    assert EVIDENCE in found
    assert "parsed as a success without the recorded evidence" in found[EVIDENCE]


@pytest.mark.parametrize(
    ("evidence", "message"),
    [
        (["/0/*"], "in /0/*, a * is not at an array"),
        (["/*/jid"], "not every value at /*/jid names a contact"),
        (["/7"], "/7 is not in the body"),
    ],
)
def test_a_pattern_that_the_body_does_not_have_is_a_fault_of_the_answers_file(
    tmp_path: Path, evidence: list[str], message: str
) -> None:
    folder = write_answers(tmp_path / "toy", list_answers(unblock=evidence))
    assert message in set_up_failure(contract_for(folder, ReturnsTheList))


def test_exact_entries_as_evidence_refuse_any_other_list(tmp_path: Path) -> None:
    folder = write_answers(tmp_path / "toy", list_answers(unblock=["/0"]))
    found = failures(contract_for(folder, ReturnsTheList))
    assert HOSTILE in found
    title = f"block {JID}"
    assert "mend the answers file, not the provider" in found[HOSTILE]
    assert title not in found[HOSTILE]


def test_a_list_without_confirmation_fails_once_with_its_title(tmp_path: Path) -> None:
    answers = list_answers()
    del answers[3]["outcome"]["confirmation"]
    message = set_up_failure(contract_for(write_answers(tmp_path / "toy", answers), ReturnsTheList))
    assert message.count("(the whole list)") == 1
    assert "give a success a `confirmation`" in message
    assert '"accepted"' in message
    assert "mend the answers file, not the provider" in message


def test_a_list_without_contacts_fails_once_with_its_title(tmp_path: Path) -> None:
    answers = list_answers()
    del answers[3]["outcome"]["contacts"]
    message = set_up_failure(contract_for(write_answers(tmp_path / "toy", answers), ReturnsTheList))
    assert "(the whole list): outcome: give the success of a list `contacts`" in message


@pytest.mark.parametrize("evidence", ["", "/0"])
def test_evidence_that_an_empty_array_disproves_is_one_kind_of_fault(
    tmp_path: Path, evidence: str
) -> None:
    answers = [
        each for each in list_answers(list=[evidence]) if each["outcome"].get("contacts") != []
    ]
    folder = write_answers(tmp_path / "toy", answers)
    found = failures(contract_for(folder, ReturnsTheList))
    assert HOSTILE in found
    assert BARE_STATUS not in found
    assert "list, 200 with an empty array: it is parsed as a success without" in found[HOSTILE]
    assert "if the whole body is the array, `/*`" in found[HOSTILE]


# -- the status


class TakesA201Too(Toy):
    def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
        as_200 = response.at_status(200) if response.status == 201 else response
        return super().parse_success(command, as_200) and self.success(response)


def with_evidence(*evidence: str) -> list[dict[str, Any]]:
    """Return the right answers with this evidence of both successes."""
    return [
        {**each, "evidence": list(evidence)} if "evidence" in each else each
        for each in right_answers()
    ]


def test_the_status_is_evidence_by_default(tmp_path: Path) -> None:
    folder = write_answers(tmp_path / "toy", right_answers())
    found = failures(contract_for(folder, TakesA201Too))
    assert set(found) == {EVIDENCE, HOSTILE}
    assert "with the status 201: it is parsed as a success without" in found[EVIDENCE]


def test_several_statuses_are_allowed_by_name(tmp_path: Path) -> None:
    folder = write_answers(tmp_path / "toy", with_evidence("/blocked", "status?"))
    assert failures(contract_for(folder, TakesA201Too)) == {}


def test_several_statuses_without_need_are_a_fault_of_the_answers_file(tmp_path: Path) -> None:
    folder = write_answers(tmp_path / "toy", with_evidence("/blocked", "status?"))
    found = failures(contract_for(folder))
    assert set(found) == {EVIDENCE}
    assert 'it has one status alone; remove "status?"' in found[EVIDENCE]
    assert "mend the answers file, not the provider" in found[EVIDENCE]


def test_the_status_is_not_listed(tmp_path: Path) -> None:
    folder = write_answers(tmp_path / "toy", with_evidence("/blocked", "status"))
    assert "the status always is one" in set_up_failure(contract_for(folder))


# -- booleans


class ChecksNoMore(Toy):
    """The body of its success has a boolean that it does not check."""


def with_boolean(**keys: Any) -> list[dict[str, Any]]:
    """Return the right answers with a further boolean in the first success."""
    first, *others = right_answers()
    body = {**first["response"]["body"], "more": {"pending": False}}
    return [{**first, "response": {"status": 200, "body": body}, **keys}, *others]


def test_a_boolean_that_is_not_checked_is_a_fault(tmp_path: Path) -> None:
    folder = write_answers(tmp_path / "toy", with_boolean())
    found = failures(contract_for(folder, ChecksNoMore))
    assert set(found) == {BOOLEANS}
    assert "the success stays, whatever /more/pending is" in found[BOOLEANS]
    assert "let Toy.parse_success in toy.py check the boolean" in found[BOOLEANS]
    assert "under `ignores` of the exchange" in found[BOOLEANS]


@pytest.mark.parametrize("ignores", ["/more/pending", "/*/pending"])
def test_a_boolean_is_ignored_on_purpose(tmp_path: Path, ignores: str) -> None:
    answers = with_boolean(ignores=[ignores])
    if "*" in ignores:
        answers[0]["response"]["body"]["people"] = [{"pending": True}, {"pending": False}]
        answers[0]["ignores"] = ["/more/pending", "/people/*/pending"]
    folder = write_answers(tmp_path / "toy", answers)
    assert failures(contract_for(folder, ChecksNoMore)) == {}


def test_an_ignored_boolean_that_is_checked_is_a_fault_of_the_answers_file(tmp_path: Path) -> None:
    class Checks(Toy):
        def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
            match response.document:
                case {"more": {"pending": True}}:
                    return None
            return super().parse_success(command, response)

    folder = write_answers(tmp_path / "toy", with_boolean(ignores=["/more/pending"]))
    found = failures(contract_for(folder, Checks))
    assert set(found) == {BOOLEANS}
    assert "/more/pending is not ignored; it is evidence" in found[BOOLEANS]


@pytest.mark.parametrize(
    ("ignores", "message"),
    [
        (["/size"], "/size is not a boolean of the body"),
        (["/missing"], "/missing is not a boolean of the body"),
        (["/blocked"], "/blocked is evidence, too"),
    ],
)
def test_only_booleans_that_are_not_evidence_are_ignored(
    tmp_path: Path, ignores: list[str], message: str
) -> None:
    folder = write_answers(tmp_path / "toy", with_boolean(ignores=ignores))
    assert message in set_up_failure(contract_for(folder))


# -- messages


def test_a_hostile_body_is_named_by_its_exchange(tmp_path: Path) -> None:
    class TakesArrays(Toy):
        def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
            inner = response.document
            while isinstance(inner, list) and inner:
                inner = inner[0]
            return super().parse_success(command, json_response(response.status, inner))

    answers = right_answers()
    answers[0]["title"] = "a block of a number"
    folder = write_answers(tmp_path / "toy", answers)
    found = failures(contract_for(folder, TakesArrays))
    assert "the body of 'toy/answers.json: a block of a number' in an array" in found[HOSTILE]


def test_evidence_that_is_not_listed_is_a_fault_of_the_answers_file(tmp_path: Path) -> None:
    class ChecksTheSize(Toy):
        def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
            match response.document:
                case {"blocked": True, "size": 3} | {"blocked": False}:
                    return super().parse_success(command, response)
            return None

    folder = write_answers(tmp_path / "toy", right_answers())
    found = failures(contract_for(folder, ChecksTheSize))
    assert set(found) == {EVIDENCE}
    assert 'every change of /size ends the success; add "/size"' in found[EVIDENCE]
    assert "mend the answers file, not the provider" in found[EVIDENCE]
