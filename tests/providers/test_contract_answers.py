"""The answers files: their format, their options, their faults, and the responses seen live."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from marshmallow import fields
from support.clauses import COMPLETE, EVIDENCE, REQUEST, RESPONSE, VERIFIED
from support.toy import (
    JID,
    Toy,
    contract_for,
    failures,
    page_request,
    right_answers,
    set_up_failure,
    write_answers,
)
from tools import render_providers

from adapter.testing import Provenance, ProviderContract

pytestmark = pytest.mark.usefixtures("few_statuses")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_answers(tmp_path / "toy", right_answers())


# -- faulty files


def changed(**changes: Any) -> Callable[[list[Any]], Any]:
    """Return a change of the answers: keys of the first exchange replaced, None removes one."""

    def change(answers: list[Any]) -> Any:
        for name, value in changes.items():
            if value is None:
                del answers[0][name]
            else:
                answers[0][name] = value
        return answers

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed(outcome=None), "outcome: Missing"),
        (changed(outcome={}), "outcome: give a success a `confirmation`"),
        (changed(outcome={"code": "it_broke"}), "outcome.code: "),
        (changed(outcome={"confirmation": "accepted", "sure": True}), "outcome.sure: Unknown"),
        (changed(outcome={"confirmation": "accepted", "contacts": []}), "outcome: "),
        (changed(response=None), "response: Missing"),
        (changed(response={"status": 200, "body": {}, "text": ""}), "body or text"),
        (changed(response={"status": 99}), "response.status: "),
        (changed(request={"method": "POST"}), "request.path: Missing"),
        (changed(command={"action": "block"}), "block, unblock and state need a contact"),
        (changed(command={"action": "mute", "contact": JID}), "command.action: "),
        (changed(command={"action": "block", "contact": "1203@g.us"}), "a group"),
        (
            changed(command={"action": "block", "contact": "5511999999999"}),
            'command.contact: must be a JID ("5511999999999@s.whatsapp.net") or a user id\n',
        ),
        (
            changed(request={"method": "POST", "path": "/b", "headers": {"X-Key": "<kye>"}}),
            "request: <kye> is not a secret option; they are: <key>",
        ),
        (changed(provenance="rumour"), "provenance: must be one of: inferred, "),
        (changed(provenance={"request": "documented"}), "provenance: must be a text, or "),
        (changed(provenance={"request": "documented", "response": "x"}), "provenance: must be "),
        (changed(provenance=5), "provenance: "),
        (changed(source=None), "source: Missing"),
        (changed(date="yesterday"), "date: "),
        (changed(evidence=None), "evidence: name the values of the body that prove the success"),
        (changed(evidence=["/state"]), "evidence: /state is not in the body"),
        (changed(evidence=["blocked"]), "evidence.0: must be a pointer"),
        (changed(comment="hello"), "comment: Unknown"),
        (changed(next=page_request()), "next: only a page of a list has a next one"),
        (changed(next={"path": "/blocked"}), "next.method: Missing"),
        (lambda answers: [*answers, "x"], "exchange 6: an exchange must be an object"),
        (lambda answers: [], "must be an object"),
        (lambda answers: {"first": answers[0]}, "must be an object"),
    ],
)
def test_an_unreadable_exchange_fails_once_and_skips_the_other_clauses(
    tmp_path: Path, change: Callable[[list[Any]], Any], message: str
) -> None:
    folder = write_answers(tmp_path / "toy", change(copy.deepcopy(right_answers())))
    failed = set_up_failure(contract_for(folder))
    assert failed.startswith("1 fault(s):\n  - toy/answers.json")
    assert message in failed
    assert "mend the answers file, not the provider" in failed


def test_an_unreadable_exchange_is_named_by_its_title(tmp_path: Path) -> None:
    answers = right_answers()
    answers[1] |= {"title": "an unblock", "outcome": {}}
    failed = set_up_failure(contract_for(write_answers(tmp_path / "toy", answers)))
    assert "answers.json, exchange 2 (an unblock): outcome: give" in failed


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{\n  "title": "a",\n  "date" 5\n}', "more.json, line 3, column 10: Expecting ':'"),
        ("{", "more.json, line 1, column 2: "),
        ('{"title": "a", "title": "b"}', "more.json: has a duplicate key in an object"),
        ("[]", "more.json: an exchange must be an object"),
        ("null", "more.json: an exchange must be an object"),
    ],
)
def test_a_broken_file_is_located(folder: Path, text: str, place: str) -> None:
    (folder / "more.json").write_text(text)
    assert place in set_up_failure(contract_for(folder))


def test_a_folder_without_answers_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "empty holds no exchange" in set_up_failure(contract_for(tmp_path / "empty"))
    missing = set_up_failure(contract_for(tmp_path / "missing"))
    assert "Contract.answers is not the Path of a folder" in missing


def test_a_class_without_a_provider_or_answers_is_a_fault(folder: Path) -> None:
    no_provider = type("Contract", (ProviderContract,), {"answers": folder})
    no_answers = type("Contract", (ProviderContract,), {"provider": Toy})
    assert "set Contract.provider" in set_up_failure(no_provider)
    assert "set Contract.answers" in set_up_failure(no_answers)


@pytest.mark.parametrize(
    ("change", "failed"),
    [
        (lambda answers: answers[:1] + answers[2:], {COMPLETE}),
        (lambda answers: [each for each in answers if "code" in each["outcome"]], {COMPLETE}),
        (
            lambda answers: [each for each in answers if "provider_code" not in str(each)],
            {COMPLETE},
        ),
        (changed(evidence=["/blocked", "/size"]), {EVIDENCE}),
        (changed(evidence=["/size"]), {EVIDENCE}),
        (changed(outcome={"confirmation": "accepted"}), {RESPONSE}),
        (changed(outcome={"confirmation": "provider_state", "retry_after": 1}), {RESPONSE}),
    ],
)
def test_incomplete_or_wrong_answers_are_faults(
    tmp_path: Path, change: Callable[[list[Any]], Any], failed: set[str]
) -> None:
    folder = write_answers(tmp_path / "toy", change(copy.deepcopy(right_answers())))
    assert failed <= set(failures(contract_for(folder)))


# -- defaults and options


def write_file(folder: Path, **shared: Any) -> Path:
    """Write the right answers with these defaults beside them; return the folder."""
    own = [{key: each[key] for key in each if key not in shared} for each in right_answers()]
    folder.mkdir(exist_ok=True)
    (folder / "answers.json").write_text(json.dumps({**shared, "exchanges": own}))
    return folder


def test_keys_beside_the_exchanges_are_their_defaults(tmp_path: Path) -> None:
    shared = {name: right_answers()[0][name] for name in ("source", "date", "provenance")}
    assert failures(contract_for(write_file(tmp_path / "toy", **shared))) == {}


def test_the_options_of_a_file_need_none_in_the_class(tmp_path: Path) -> None:
    folder = write_file(tmp_path / "toy", options={"session": "main"})
    assert failures(contract_for(folder, options={})) == {}


def test_the_options_of_an_exchange_are_added_to_those_of_its_file(tmp_path: Path) -> None:
    folder = write_file(tmp_path / "toy", options={"session": "main"})
    document = json.loads((folder / "answers.json").read_text())
    first = document["exchanges"][0]
    other = {**first, "options": {"session": "second"}}
    other["request"] = {**first["request"], "json": {"who": JID, "session": "second"}}
    document["exchanges"] += [other, {**first, "options": {}}]
    (folder / "answers.json").write_text(json.dumps(document))
    contract = contract_for(folder, options={})
    assert failures(contract) == {}
    assert contract().option_sets == [{"session": "main"}, {"session": "second"}]


def test_one_class_tests_several_sets_of_options(tmp_path: Path) -> None:
    answers = right_answers()
    other = copy.deepcopy(answers[0])
    other["options"] = {"session": "second"}
    folder = write_answers(tmp_path / "toy", [*answers, other])
    assert set(failures(contract_for(folder))) == {REQUEST}
    other["request"]["json"]["session"] = "second"
    write_answers(folder, [*answers, other])
    assert failures(contract_for(folder)) == {}


def test_options_that_the_provider_refuses_fail_once(folder: Path) -> None:
    failed = set_up_failure(contract_for(folder, options={}))
    assert "Toy.Options in toy.py refuses {'session': " in failed
    assert "give the options under `options`" in failed
    assert "as `options` of Contract" in failed


def test_a_secret_in_an_answers_file_is_refused(tmp_path: Path) -> None:
    folder = write_file(tmp_path / "toy", options={"session": "main", "key": "in-clear"})
    assert "Toy.Options in toy.py refuses {'key': " in set_up_failure(contract_for(folder))


# -- provenance


def live_answers(date: str = "2026-11-22", provenance: Any = "seen live") -> list[dict[str, Any]]:
    return [{**each, "date": date, "provenance": provenance} for each in right_answers()[:2]]


class Verified(Toy):
    verified_on = "2026-11-22"


HALF_LIVE = {"request": "documented", "response": "seen live"}


@pytest.mark.parametrize(
    ("provider", "live", "right"),
    [
        (Verified, live_answers(), True),
        (type("Unaware", (Toy,), {}), live_answers(), False),
        (Verified, live_answers("2026-11-21"), False),
        (Verified, live_answers()[:1] + live_answers("2026-11-21")[1:], False),
        (Verified, live_answers(provenance="documented"), False),
        (Verified, live_answers(provenance=HALF_LIVE), False),
        (type("Later", (Toy,), {"verified_on": "9999-01-01"}), live_answers("9999-01-01"), False),
    ],
)
def test_the_verified_day_is_the_day_of_the_live_responses(
    folder: Path, provider: type[Toy], live: list[Any], right: bool
) -> None:
    (folder / "live.json").write_text(json.dumps({"exchanges": live}))
    assert set(failures(contract_for(folder, provider))) == (set() if right else {VERIFIED})


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [
        ("name", "Bolha_Chat", "Faulty.name must be lower-case words"),
        ("title", "", "Faulty.title must be a text"),
        ("verified_on", "2026-11", "Faulty.verified_on must be a date as YYYY-MM-DD"),
        ("base_url", 5, "Faulty.base_url must be a text"),
        ("base_url", "api.toy.example", "Faulty.base_url must be an http or https URL"),
        (
            "Options",
            type("Options", (Toy.Options,), {"headers": fields.String()}),
            "Faulty.Options has keys of the core: headers; rename the options",
        ),
    ],
)
def test_a_provider_that_the_adapter_does_not_load_fails_once(
    folder: Path, attribute: str, value: Any, message: str
) -> None:
    faulty = type("Faulty", (Toy,), {attribute: value})
    failed = set_up_failure(contract_for(folder, faulty))
    assert failed.startswith("1 fault(s):\n  - Faulty.")
    assert message in failed
    assert "correct Faulty; the adapter does not load it as it is" in failed


def test_a_variable_part_of_a_path_that_nothing_fills_fails_once(folder: Path) -> None:
    class Faulty(Toy):
        routes = {**Toy.routes, "block": ("POST", "/{sesion}/block")}

    failed = set_up_failure(contract_for(folder, Faulty))
    assert failed.startswith("1 fault(s):\n  - Faulty.routes in test_contract_answers.py: the path")
    assert "of block has {sesion}, which is not an option" in failed
    assert "the options are: key, session" in failed
    assert "self.request(command, body, sesion=…)" in failed


def test_an_answers_file_is_named_by_its_path_in_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tests").mkdir()
    folder = write_answers(tmp_path / "tests" / "toy", [{}])
    monkeypatch.chdir(tmp_path)
    assert "  - tests/toy/answers.json, exchange 1: " in set_up_failure(contract_for(folder))


def test_responses_seen_live_are_in_the_live_file_alone(folder: Path) -> None:
    write_answers(folder, [*right_answers(), *live_answers()])
    assert set(failures(contract_for(folder))) == {VERIFIED}


def test_request_and_response_may_have_different_provenance(tmp_path: Path) -> None:
    answers = right_answers()
    answers[2]["provenance"] = {"request": "documented", "response": "read in source"}
    contract = contract_for(write_answers(tmp_path / "toy", answers))
    assert failures(contract) == {}
    first, _, asleep, *_ = contract().exchanges
    assert first.request_provenance is first.response_provenance is Provenance.DOCUMENTED
    assert asleep.request_provenance is Provenance.DOCUMENTED
    assert asleep.response_provenance is Provenance.READ_IN_SOURCE


def test_the_provenance_of_a_rule_is_that_of_its_best_known_response(folder: Path) -> None:
    def known(contract: type[ProviderContract]) -> list[tuple[str | None, Provenance]]:
        rules = render_providers.provenance_of_rules(contract())
        return [(rule.provider_code, provenance) for rule, provenance in rules]

    inferred, documented = ("asleep", Provenance.INFERRED), (None, Provenance.DOCUMENTED)
    assert known(contract_for(folder)) == [inferred, documented]
    asleep = {**right_answers()[2], "date": "2026-11-22", "provenance": "seen live"}
    (folder / "live.json").write_text(json.dumps(asleep))
    contract = contract_for(folder, Verified)
    assert failures(contract) == {}
    assert known(contract) == [("asleep", Provenance.SEEN_LIVE), documented]
