"""Written rows are read again as they are, and no cell is a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.contacts import possible_numbers

from adapter.batches import Row, build_row, read_rows, write_rows
from adapter.batches.columns import COLUMNS
from adapter.batches.rows import CUT, join_given, split_given
from adapter.codes import Action, Confirmation
from adapter.contacts import Contact
from adapter.csv_cells import quote_formula, unquote_formula
from adapter.ledger.schema import MAX_GIVEN
from adapter.results import Outcome, Result
from adapter.web.csv_pages import write_csv

ONE, TWO = "5511999990001", "5511999990002"
JID = f"{ONE}@s.whatsapp.net"
FORMULA = ("=", "+", "-", "@", "\t", "\r")

refs = st.text(
    alphabet=st.characters(exclude_categories=["C", "Z"], include_characters="=+-@'?\"; ,"),
    min_size=1,
    max_size=128,
).filter(str.strip)
reasons = st.from_regex(r"[a-z0-9_-]{1,64}", fullmatch=True)
accounts = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True)
users = st.from_regex(r"[A-Z]{2}\.[0-9A-Za-z]{1,128}", fullmatch=True)
lids = st.from_regex(r"[0-9]{1,20}@lid", fullmatch=True)
jid_numbers = st.from_regex(r"[2-9][0-9]{6,14}", fullmatch=True)
contacts = st.one_of(
    st.builds(Contact, number=possible_numbers() | jid_numbers, user_id=st.none() | users),
    st.builds(Contact, lid=lids, user_id=st.none() | users),
    st.builds(Contact, user_id=users),
)
valid_rows = st.builds(
    Row,
    line=st.integers(1, 10**6),
    contact=contacts,
    given=st.just(""),
    action=st.none() | st.sampled_from([Action.BLOCK, Action.UNBLOCK]),
    account=st.none() | accounts,
    reason=st.none() | reasons,
    ref=st.none() | refs,
)
cells = st.text(max_size=200) | st.text(
    alphabet="0519+=-@'\"?…| jid:number\r\n\tlwame/.,;", max_size=200
)


def written(items: Iterable[Row]) -> str:
    return "".join(write_rows(items))


def read(text: str, region: str | None = None) -> list[Row]:
    return list(read_rows(io.BytesIO(text.encode()), default_region=region))


def meaning(row: Row) -> tuple[object, ...]:
    """Return all of a row but its line, and the texts of a valid or an invalid cell."""
    given = row.given if row.contact is None else ""
    return (row.contact, given, row.action, row.account, row.reason, row.ref, row.code)


@given(st.lists(valid_rows, min_size=1, max_size=5), st.sampled_from([None, "BR", "DE", "US"]))
def test_valid_rows_are_read_again_in_every_region(rows: list[Row], region: str | None) -> None:
    assert list(map(meaning, read(written(rows), region))) == list(map(meaning, rows))


@given(
    st.dictionaries(st.sampled_from(COLUMNS), cells.filter(str.strip)),
    st.sampled_from([None, "BR"]),
)
def test_a_row_of_any_texts_is_read_again_with_the_same_result(
    texts: dict[str, str], region: str | None
) -> None:
    """A row that was rejected stays so, and a text that was not kept is not guessed."""
    (first,) = read(_csv(texts), region) if texts else [build_row(2, {}, default_region=region)]
    (second,) = read(written([first]), region)
    assert meaning(second) == meaning(first)
    (third,) = read(written([second]), region)
    assert meaning(third) == meaning(first)


def _csv(texts: dict[str, str]) -> str:
    file = io.StringIO()
    writer = csv.DictWriter(file, ["number", *(name for name in texts if name != "number"), "x"])
    writer.writeheader()
    writer.writerow({name: text.replace("\0", "") for name, text in texts.items()} | {"x": "x"})
    return file.getvalue()


@given(
    st.lists(
        st.one_of(
            valid_rows,
            st.builds(
                build_row,
                st.just(1),
                st.fixed_dictionaries({"number": cells, "ref": cells}),
                default_region=st.none(),
            ),
        ),
        max_size=4,
    )
)
def test_no_written_cell_starts_a_formula(rows: list[Row]) -> None:
    for line in csv.reader(io.StringIO(written(rows), newline="")):
        assert not [cell for cell in line if cell.startswith(FORMULA)]


@given(cells)
def test_a_quoted_cell_is_exact(text: str) -> None:
    assert unquote_formula(quote_formula(text)) == text
    assert not quote_formula(text).startswith(FORMULA)


@given(cells)
def test_an_unquoted_cell_is_one_that_was_quoted_or_is_unchanged(text: str) -> None:
    assert unquote_formula(text) == text or quote_formula(unquote_formula(text)) == text


# --- what is written


@dataclass(frozen=True)
class Done:
    """A row with its end."""

    line: int = 7
    contact: Contact | None = None
    given: str = ""
    action: Action | None = Action.BLOCK
    account: str | None = "support"
    reason: str | None = "spam"
    ref: str | None = "=1+1"
    status: str = "failed"
    code: str | None = "session_not_connected"
    why: str | None = "-, then"


def test_an_item_is_written_with_its_end() -> None:
    header, row = csv.reader(
        io.StringIO("".join(write_rows([Done(contact=Contact(ONE))])), newline="")
    )
    assert header == [*COLUMNS, "line", "status", "code", "why"]
    assert row == [
        *(ONE, JID, "", "block", "support", "spam", "'=1+1"),
        *("7", "failed", "session_not_connected", "'-, then"),
    ]


def test_lines_are_written_one_at_a_time() -> None:
    def rows() -> Iterable[Row]:
        yield Row(2, Contact(ONE), "")
        raise AssertionError("read ahead")

    lines = write_rows(rows())
    assert next(lines).startswith("number,jid,user_id,")
    assert next(lines).startswith(f"{ONE},{JID},,")


@pytest.mark.parametrize("column", ["action", "account", "reason", "ref"])
def test_an_invalid_text_is_written_as_a_mark_that_is_refused(column: str) -> None:
    bad = build_row(2, {"number": ONE, column: "\n=?"}, default_region=None)
    (row,) = csv.DictReader(io.StringIO(written([bad]), newline=""))
    assert (row[column], row["number"], row["status"]) == ("?", ONE, "rejected")
    (again,) = read(written([bad]))
    assert again.why is not None
    assert again.why.startswith(f"{column}: is a ? in place of a value that was not kept")


def test_a_reference_that_is_a_question_mark_is_kept() -> None:
    (row,) = read(written([Row(2, Contact(ONE), "", ref="?")]))
    assert row.ref == "?"


def test_a_number_in_the_column_of_a_jid_does_not_become_a_national_number() -> None:
    (first,) = read("jid\n11999990001\n", "BR")
    assert first.given == "jid: 11999990001"
    (again,) = read(written([first]), "BR")
    assert again.why == first.why == "jid: is a phone number, not a JID; send it as number"


def test_identifiers_that_contradict_each_other_are_written_to_their_columns() -> None:
    (first,) = read(f"number,jid\n{ONE},{TWO}@c.us\n")
    assert split_given(first.given) == {"number": ONE, "jid": f"{TWO}@c.us"}
    assert read(written([first]))[0].why == first.why


def test_a_long_text_is_cut_and_stays_rejected() -> None:
    link = f"https://wa.me/{ONE}?text={'x' * 3000}"
    assert join_given({"number": link}) == f"{CUT}{link[: MAX_GIVEN - 1]}"
    (first,) = read(f"number\n{link}\n")
    (again,) = read(written([first]))
    assert again.given == first.given
    assert (
        again.why
        == f"number: starts with {CUT}, as it was not kept whole; write it again, without the {CUT}"
    )


def test_a_row_with_more_cells_than_the_header_stays_rejected() -> None:
    (first,) = read(f"number,action\n{ONE},,block\n")
    assert first.given == f"{CUT}{ONE}"
    assert read(written([first]))[0].contact is None


def test_a_list_of_blocked_contacts_can_be_fed_in() -> None:
    listed = (Contact(ONE), Contact(lid="123@lid"), Contact(user_id="BR.1"), Contact("19995"))
    result = Result(
        Outcome.success(Confirmation.PROVIDER_STATE, contacts=listed), account="support"
    )
    rows = read(write_csv(result).decode())
    assert [row.contact for row in rows[:3]] == list(listed[:3])
    assert {row.account for row in rows} == {"support"}
    assert rows[3].why is not None
