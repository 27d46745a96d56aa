"""Responses to changes of many contacts: what the contract finds wrong with a provider of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from support.clauses import BATCHES
from support.toy import Toy, contract_for, failures, right_answers, write_answers

from adapter.batches.endings import ending_of
from adapter.batches.model import ItemStatus
from adapter.codes import Applied
from adapter.plugin import (
    Action,
    Code,
    Command,
    Contact,
    HttpRequest,
    HttpResponse,
    Secret,
    json_response,
)
from adapter.response_rules import read_part
from adapter.results import Result

pytestmark = pytest.mark.usefixtures("few_statuses")


class Many(Toy):
    """A correct provider of many contacts: the recorded bodies stand beside a list of results."""

    max_contacts = 10

    def build_batch_request(self, commands: Sequence[Command]) -> HttpRequest:
        return self.request(commands[0], {"all": [self.name_contact(c.target) for c in commands]})

    def split_response(
        self, commands: Sequence[Command], response: HttpResponse
    ) -> Sequence[HttpResponse]:
        return [response] * len(commands)


class ProvesEach(Many):
    """The whole response is passed off as the part of each."""

    def split_response(
        self, commands: Sequence[Command], response: HttpResponse
    ) -> Sequence[HttpResponse]:
        return [response.narrowed(response.status, response.document) for _ in commands]


class ForgetsTheLast(Many):
    def split_response(
        self, commands: Sequence[Command], response: HttpResponse
    ) -> Sequence[HttpResponse]:
        return [response] * (len(commands) - 1)


class CountsPlaces(Many):
    """The result of the one contact is taken for that of the first that was sent."""

    def split_response(
        self, commands: Sequence[Command], response: HttpResponse
    ) -> Sequence[HttpResponse]:
        rest = [response.narrowed(200, None) for _ in commands[1:]]
        return [response.narrowed(response.status, response.document), *rest]


class ProvesNothing(Many):
    def split_response(
        self, commands: Sequence[Command], response: HttpResponse
    ) -> Sequence[HttpResponse]:
        return [response.narrowed(200, None) for _ in commands]


class CannotBuild(Many):
    def build_batch_request(self, commands: Sequence[Command]) -> HttpRequest:
        raise KeyError(commands[0].target.number)


@pytest.mark.parametrize(
    ("provider", "found"),
    [
        (Many, ""),
        (ProvesEach, "a contact without a result is applied"),
        (ForgetsTheLast, "raised PluginError"),
        (CountsPlaces, "a contact without a result is applied"),
        (ProvesNothing, "beside 0 others"),
        (CannotBuild, "raised KeyError"),
    ],
)
def test_a_provider_of_many_contacts_keeps_their_results_apart(
    tmp_path: Path, provider: Any, found: str
) -> None:
    faults = failures(contract_for(write_answers(tmp_path / "toy", right_answers()), provider))
    assert set(faults) == ({BATCHES} if found else set())
    assert found in faults.get(BATCHES, "")


IN_RESPONSES = [
    *(Code.SESSION_NOT_FOUND, Code.SESSION_NOT_CONNECTED, Code.OPERATION_NOT_SUPPORTED),
    *(Code.INVALID_TARGET, Code.TARGET_REJECTED, Code.VALIDATION_ERROR, Code.PAYLOAD_TOO_LARGE),
    *(code for code in Code if code.value.startswith("provider_")),
]


@pytest.mark.parametrize("code", IN_RESPONSES)
def test_a_refusal_of_a_whole_request_is_final_for_no_contact(code: Code) -> None:
    class Failing(Many):
        error_codes = {"it": (400, code)}

    provider = Failing({"key": Secret("k"), "session": "s"})
    command = Command(Action.BLOCK, Contact("5511999999999"))
    response = json_response(400, {"error": "it"})
    outcome = read_part(provider, command, response, response)
    assert outcome.code is code
    ending = ending_of(Result(outcome, command, attempts=1), 1)
    assert (ending.status is ItemStatus.UNKNOWN) <= (outcome.applied is Applied.UNKNOWN)
    assert ending.status is not ItemStatus.FAILED
