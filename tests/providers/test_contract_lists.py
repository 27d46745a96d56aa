"""Block lists: their pages, and the entries that are not persons."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.clauses import EMPTY_LIST, EVIDENCE, NOT_PERSONS, PAGES, REQUEST, RESPONSE
from support.toy import Lister, contract_for, failures, paged_answers, write_answers

from adapter.plugin import Command, HttpRequest, HttpResponse, Outcome, json_response

pytestmark = pytest.mark.usefixtures("few_statuses")


def test_a_list_that_a_group_makes_unreadable_is_a_fault(tmp_path: Path) -> None:
    class KnowsPersonsOnly(Lister):
        def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
            read = super().parse_success(command, response)
            return None if read and read.others else read

    folder = write_answers(tmp_path / "toy", paged_answers())
    found = failures(contract_for(folder, KnowsPersonsOnly))
    assert set(found) == {NOT_PERSONS}
    assert "with groups at /people" in found[NOT_PERSONS]


class NeedsAnEntry(Lister):
    def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
        read = super().parse_success(command, response)
        return None if read and command.contact is None and not read.contacts else read


@pytest.mark.parametrize("provider", [Lister, NeedsAnEntry])
def test_a_list_may_be_empty_if_its_evidence_is_every_entry(
    tmp_path: Path, provider: type[Lister]
) -> None:
    answers = paged_answers()
    for each in answers[-2:]:
        each["evidence"] = ["/people/*"]
    found = failures(contract_for(write_answers(tmp_path / "toy", answers), provider))
    assert set(found) == (set() if provider is Lister else {EMPTY_LIST})
    if found:
        assert 'with {"people":[],"after":"p2","total":2}' in found[EMPTY_LIST]
        assert "accept a list without entries" in found[EMPTY_LIST]


def test_a_group_that_the_answers_file_does_not_count_is_named(tmp_path: Path) -> None:
    answers = paged_answers()
    answers[-1]["response"]["body"]["people"].append("120363025246125486@g.us")
    answers[-1]["evidence"] = ["/people/*"]
    found = failures(contract_for(write_answers(tmp_path / "toy", answers), Lister))
    assert set(found) == {RESPONSE, NOT_PERSONS}
    assert "last page: others is 1, not 0\n" in found[RESPONSE]
    assert "last page, with groups at /people: others is 3, not 2" in found[NOT_PERSONS]
    assert all("set `others` of the outcome in the answers file" in each for each in found.values())


class ReadsTheFirstPageOnly(Lister):
    def build_next_page(self, command: Command, response: HttpResponse) -> HttpRequest | None:
        return None


class NeverEnds(Lister):
    def build_next_page(self, command: Command, response: HttpResponse) -> HttpRequest | None:
        return super().build_next_page(command, response) or self.page({"limit": "2"})


class DropsTheCursor(Lister):
    def build_next_page(self, command: Command, response: HttpResponse) -> HttpRequest | None:
        return super().build_next_page(command, response) and self.page({"limit": "2"})


class CountsItsPages(Lister):
    pages = 0

    def build_next_page(self, command: Command, response: HttpResponse) -> HttpRequest | None:
        self.pages += 1
        return None if self.pages > 1 else super().build_next_page(command, response)


class TakesAnyCursorForText(Lister):
    def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
        if command.contact is None and isinstance(response.document, dict):
            plain = {key: each for key, each in response.document.items() if key != "after"}
            return super().parse_success(command, json_response(response.status, plain))
        return super().parse_success(command, response)

    def build_next_page(self, command: Command, response: HttpResponse) -> HttpRequest | None:
        after = response.document.get("after")
        return self.page({"limit": "2", "after": "" + after}) if after else None


class TakesAStrangeCursorForTheEnd(TakesAnyCursorForText):
    def build_next_page(self, command: Command, response: HttpResponse) -> HttpRequest | None:
        after = response.document.get("after")
        return self.page({"limit": "2", "after": after}) if isinstance(after, str) else None


class GoesWhereTheResponsePoints(Lister):
    def build_next_page(self, command: Command, response: HttpResponse) -> HttpRequest | None:
        right = super().build_next_page(command, response)
        after = response.document.get("after")
        if right is None or after == "p2":
            return right
        return HttpRequest("GET", f"/{after}", right.headers, right.query)


FAULTY_LISTERS: list[tuple[type[Lister], str]] = [
    (ReadsTheFirstPageOnly, "a next page is recorded"),
    (NeverEnds, "no next page is recorded"),
    (DropsTheCursor, "query is"),
    (CountsItsPages, "a next page is recorded"),
    (TakesAnyCursorForText, "build_next_page raises TypeError"),
    (TakesAStrangeCursorForTheEnd, "it is taken for the last page"),
    (GoesWhereTheResponsePoints, "not requested at the route of the list"),
]


def test_a_correct_provider_of_pages_keeps_every_clause(tmp_path: Path) -> None:
    folder = write_answers(tmp_path / "toy", paged_answers())
    assert failures(contract_for(folder, Lister)) == {}


@pytest.mark.parametrize(("faulty", "message"), FAULTY_LISTERS)
def test_a_wrong_way_from_page_to_page_is_a_fault(
    tmp_path: Path, faulty: type[Lister], message: str
) -> None:
    folder = write_answers(tmp_path / "toy", paged_answers())
    found = failures(contract_for(folder, faulty))
    # A provider that checks less has less evidence, too.
    assert PAGES in set(found) <= {PAGES, EVIDENCE}
    assert message in found[PAGES]


def test_a_list_without_its_first_page_is_a_fault(tmp_path: Path) -> None:
    answers = paged_answers()
    answers[-2]["request"] = answers[-2]["next"]
    folder = write_answers(tmp_path / "toy", [*answers, {**answers[-2], "title": "again"}])
    found = failures(contract_for(folder, Lister))
    assert "no exchange of list has its first request" in found[REQUEST]
