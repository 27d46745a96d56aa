"""Responses to changes of many contacts: what the contract finds wrong with a provider of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from support.clauses import BATCHES
from support.toy import Toy, contract_for, failures, right_answers, write_answers

from adapter.plugin import Command, HttpRequest, HttpResponse

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
