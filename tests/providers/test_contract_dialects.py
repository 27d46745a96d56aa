"""Faulty dialects, and how the contract kit finds the dialect of a provider."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support.clauses import DIALECT_BUILDS, DIALECT_PARSES
from support.toy import (
    Toy,
    ToyDialect,
    contract_for,
    failures,
    right_answers,
    set_up_failure,
    write_answers,
)

from adapter.plugin import (
    Action,
    Code,
    Command,
    Contact,
    DialectRequest,
    ErrorRule,
    HttpRequest,
    HttpResponse,
    Outcome,
    Registry,
    hookimpl,
    json_response,
    read_contact,
)

pytestmark = pytest.mark.usefixtures("few_statuses")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_answers(tmp_path / "toy", right_answers())


class LosesTheSession(ToyDialect):
    def parse_request(self, request: HttpRequest) -> DialectRequest:
        return DialectRequest(super().parse_request(request).command)


class MistakesTheContact(ToyDialect):
    def parse_request(self, request: HttpRequest) -> DialectRequest:
        call = super().parse_request(request)
        return DialectRequest(Command(call.command.action, Contact("14155550123")), call.session)


class LooksForAnotherCredential(ToyDialect):
    def parse_credential(self, request: HttpRequest) -> str | None:
        return request.headers.get("Authorization")


class ChokesOnABody(ToyDialect):
    def parse_request(self, request: HttpRequest) -> DialectRequest:
        route, _ = self.match(request)
        contact = read_contact(jid=request.json["who"])
        return DialectRequest(Command(route.action, contact), request.json["session"])


class AlwaysSaysBlocked(ToyDialect):
    def write_success(self, call: DialectRequest, outcome: Outcome) -> HttpResponse:
        return json_response(200, {"blocked": True})


class HasOneStatusForAll(ToyDialect):
    def write_error(self, rule: ErrorRule, outcome: Outcome, call: Any, now: Any) -> HttpResponse:
        return json_response(400, {"error": rule.provider_code})


class ClaimsThatNothingHappened(ToyDialect):
    def fallback(self, code: Code, action: Action = Action.BLOCK) -> Code:
        lost = code is Code.PROVIDER_CONNECTION_LOST
        return Code.TARGET_REJECTED if lost else super().fallback(code, action)


class ChokesOnAnOutcome(ToyDialect):
    def write_error(self, rule: ErrorRule, outcome: Outcome, call: Any, now: Any) -> HttpResponse:
        wait = outcome.retry_after + 1  # type: ignore[operator]
        return json_response(rule.status, {"error": rule.provider_code, "wait": wait})


FAULTY_DIALECTS: list[tuple[type[ToyDialect], set[str]]] = [
    (LosesTheSession, {DIALECT_PARSES}),
    (MistakesTheContact, {DIALECT_PARSES}),
    (LooksForAnotherCredential, {DIALECT_PARSES}),
    (ChokesOnABody, {DIALECT_PARSES}),
    (AlwaysSaysBlocked, {DIALECT_BUILDS}),
    (HasOneStatusForAll, {DIALECT_BUILDS}),
    (ClaimsThatNothingHappened, {DIALECT_BUILDS}),
    (ChokesOnAnOutcome, {DIALECT_BUILDS}),
]


@pytest.mark.parametrize(
    ("faulty", "failed"),
    FAULTY_DIALECTS,
    ids=lambda each: each.__name__ if isinstance(each, type) else "",
)
def test_a_faulty_dialect_is_failed_the_clause_for_its_fault(
    folder: Path, faulty: type[ToyDialect], failed: set[str]
) -> None:
    assert set(failures(contract_for(folder, Toy, faulty))) == failed


def test_both_clauses_have_a_fault_that_fails_them_alone() -> None:
    alone = [clauses for _, clauses in FAULTY_DIALECTS if len(clauses) == 1]
    assert set().union(*alone) == {DIALECT_PARSES, DIALECT_BUILDS}


def test_a_correct_dialect_keeps_every_clause(folder: Path) -> None:
    assert failures(contract_for(folder, Toy, ToyDialect)) == {}


def test_the_dialect_is_the_registered_one_if_none_is_given(folder: Path) -> None:
    assert contract_for(folder, Toy, None)().tested_dialect is ToyDialect
    assert contract_for(folder, Toy, LosesTheSession)().tested_dialect is LosesTheSession


def test_the_dialect_is_found_through_the_hook_of_a_package_above_the_module(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Inside(Toy):
        __module__ = "acme.parts.provider"

    class InsideDialect(ToyDialect):
        provider = Inside

    @hookimpl
    def register(registry: Registry) -> None:
        registry.add(Inside, InsideDialect)

    package = ModuleType("acme")
    monkeypatch.setattr(package, "register", register, raising=False)
    monkeypatch.setitem(sys.modules, "acme", package)
    assert contract_for(folder, Inside)().tested_dialect is InsideDialect


def test_a_hook_that_raises_is_a_fault_of_the_set_up(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Inside(Toy):
        __module__ = "acme"

    @hookimpl
    def register(registry: Registry) -> None:
        registry.add("Inside")  # type: ignore[arg-type]

    package = ModuleType("acme")
    monkeypatch.setattr(package, "register", register, raising=False)
    monkeypatch.setitem(sys.modules, "acme", package)
    assert "the hook register of acme: PluginError" in set_up_failure(contract_for(folder, Inside))


def test_the_dialect_of_another_provider_is_a_fault_of_the_set_up(folder: Path) -> None:
    class Other(Toy):
        pass

    message = set_up_failure(contract_for(folder, Other, ToyDialect))
    assert "ToyDialect is the dialect of Toy" in message
    assert "correct Contract.dialect" in message
