"""Rows of a file: columns, delimiters, encodings, and what a spreadsheet does to numbers."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.batches import FileProblem, Row, read_rows
from adapter.codes import Action

ONE, TWO = "5511999990001", "5511999990002"
LID = "123456789@lid"
USER = "BR.00000000000000000001"


def read(data: str | bytes, region: str | None = None) -> list[Row]:
    source = io.BytesIO(data if isinstance(data, bytes) else data.encode())
    return list(read_rows(source, default_region=region))


def numbers(data: str | bytes, region: str | None = None) -> list[str | None]:
    return [row.contact.number if row.contact else None for row in read(data, region)]


def reject(cell: str, column: str = "number") -> str:
    """Return why the only row, of this one cell, is rejected."""
    (row,) = read(f"{column}\n{cell}\n")
    assert row.contact is None
    assert row.code == "invalid_target"
    assert row.why is not None
    return row.why


def problem(data: str | bytes) -> FileProblem:
    with pytest.raises(FileProblem) as caught:
        read(data)
    return caught.value


# --- one identifier per line


def test_a_file_without_a_header_has_one_identifier_per_line() -> None:
    lines = [f"+{ONE}", "", f'"{TWO}"', f"{ONE}@c.us", LID, USER, f"https://wa.me/{TWO}", "  ", ","]
    rows = read("\r\n".join(lines))
    assert [row.line for row in rows] == [1, 3, 4, 5, 6, 7]
    found = [row.contact for row in rows]
    assert [each and each.number for each in found] == [ONE, TWO, ONE, None, None, TWO]
    assert (found[3] and found[3].lid, found[4] and found[4].user_id) == (LID, USER)
    assert [row.given for row in rows[:2]] == [f"+{ONE}", TWO]


@pytest.mark.parametrize("first", [ONE, f"+{ONE},", f"{ONE};", LID, USER, "5,51E+12", "120@g.us"])
def test_a_first_line_that_is_an_identifier_is_a_row(first: str) -> None:
    assert [row.line for row in read(f"{first}\n{TWO}\n")] == [1, 2]


def test_several_columns_need_a_header() -> None:
    error = problem(f"{ONE};Maria\n{TWO};Joana\n")
    assert (error.line, str(error)) == (1, f"line 1: {error.message}")
    assert "not a header" in error.message
    assert "name the column of the phone numbers number" in error.message
    assert "Maria" not in error.message


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_line_end_counts_once(end: str) -> None:
    rows = read(end.join(["number", ONE, "", "", TWO, ""]))
    assert [row.line for row in rows] == [2, 5]


# --- columns


@pytest.mark.parametrize(
    "name",
    [
        *("number", "Number", " PHONE ", "Phone Number", "phone_number", "phoneNumber", "Mobile"),
        *("WhatsApp", "Telephone", "TELEFONE", "Celular", "Número", "numero", "Nu\u0301mero"),
        *("Número de telefone", "Teléfono", "Móvil", "Telefone celular", "phone-no."),
    ],
)
def test_the_number_has_names_in_three_languages(name: str) -> None:
    assert numbers(f"x;{name}\n;+{ONE}\n") == [ONE]


def test_every_column_is_read_by_its_name() -> None:
    header = "Referência,Nome,Ação,MOTIVO,Conta,user_id,jid,telefone,,Nome,"
    (row,) = read(f"{header}\nA-1,Zé,Desbloquear,opt_out,support,{USER},{ONE}@c.us,+{ONE},x,y,z\n")
    assert row.contact is not None
    assert (row.contact.number, row.contact.user_id) == (ONE, USER)
    assert (row.action, row.account) == (Action.UNBLOCK, "support")
    assert (row.reason, row.ref, row.line) == ("opt_out", "A-1", 2)
    assert (row.code, row.why) == (None, None)


@pytest.mark.parametrize("name", ["razón", "razao", "Reason", "motivo"])
def test_the_reason_has_names_in_three_languages(name: str) -> None:
    assert read(f"number,{name}\n{ONE},spam\n")[0].reason == "spam"


@pytest.mark.parametrize(
    ("text", "action"),
    [
        *(("block", Action.BLOCK), ("BLOCK", Action.BLOCK), ("Bloquear ", Action.BLOCK)),
        *(("unblock", Action.UNBLOCK), ("desbloquear", Action.UNBLOCK), ("", None)),
    ],
)
def test_an_action_has_names_in_three_languages(text: str, action: Action | None) -> None:
    (row,) = read(f"number;acción\n+{ONE};{text}\n")
    assert row.contact is not None
    assert row.action is action


def test_a_known_column_that_occurs_twice_is_an_error_and_others_are_ignored() -> None:
    error = problem(f"Phone,x,x,Celular\n{ONE},,,\n")
    assert error.line == 1
    assert error.message.startswith("several columns are read as number (Phone, Celular)")


def test_a_header_without_an_identifier_names_what_is_there_and_what_is_needed() -> None:
    error = problem("\n\nnome;cpf;55119999;e-mail@x;\n")
    assert error.line == 3
    assert "(found: nome, cpf)" in problem("nome;cpf;col1\n").message
    assert "not a header" in error.message
    assert "9999" not in error.message


def test_the_names_of_a_message_are_few_and_short() -> None:
    message = problem(",".join([f"{'name' * 20}", *(f"c{'x' * n}" for n in range(20))])).message
    assert "namename" not in message
    assert "and 12 more" in message


def test_number_and_jid_follow_the_rule_of_a_request() -> None:
    same, other, lid, jid_only = read(
        f"number,jid\n{ONE},{ONE}@c.us\n{ONE},{TWO}@c.us\n{ONE},{LID}\n,{ONE}\n"
    )
    assert same.contact is not None
    assert other.why == "jid: has other digits than number; send only one of them"
    assert lid.why is not None
    assert "cannot be compared" in lid.why
    assert jid_only.why == "jid: is a phone number, not a JID; send it as number"


def test_a_national_number_needs_the_region_as_in_a_request() -> None:
    assert numbers("telefone\n(11) 99999-0001\n", "BR") == [ONE]
    assert "has no country code" in reject("(11) 99999-0001")


# --- delimiters


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("quote", ["", '"'])
def test_the_delimiter_is_found_by_the_header(delimiter: str, quote: str) -> None:
    lines = [["name", "number", "reason"], ["A", f"+{ONE}", "spam"]]
    text = "\n".join(delimiter.join(f"{quote}{cell}{quote}" for cell in line) for line in lines)
    (row,) = read(text)
    assert row.contact is not None
    assert row.reason == "spam"


def test_the_delimiter_of_the_known_columns_is_taken_before_that_of_more_columns() -> None:
    assert numbers(f"a, b, c, d;phone\nx,y;+{ONE}\n") == [ONE]


def test_a_spreadsheets_line_that_states_the_delimiter_is_no_row() -> None:
    (row,) = read(f"sep=;\r\nnumber;ref\r\n{ONE};a\r\n")
    assert (row.line, row.ref) == (3, "a")


def test_a_single_column_has_no_delimiter() -> None:
    first, second = read(f"number\n5,51E+12\n+{ONE};\n")
    assert first.given == "5,51E+12"
    assert second.contact is not None


# --- rows


def test_a_row_starts_on_the_first_line_of_its_cells() -> None:
    rows = read(f'number,name\n\n{ONE},"a\nb\n"\n{TWO},c\n')
    assert [row.line for row in rows] == [3, 6]


def test_a_row_without_any_text_is_skipped_and_one_without_an_identifier_is_rejected() -> None:
    (row,) = read('number,ref\n,\n" ",""\n,a\n')
    assert (row.line, row.given, row.ref) == (4, "", "a")
    assert row.code == "validation_error"
    assert row.why == "number: give a number, a jid or a user_id"


def test_a_short_row_is_read_and_one_with_more_cells_than_the_header_is_rejected() -> None:
    short, trailing, extra = read(f"number,ref\n{ONE}\n{ONE},a,, \n{ONE},a,b\n")
    assert short.contact is not None
    assert trailing.contact is not None
    assert extra.contact is None
    assert extra.why is not None
    assert "more cells than the header" in extra.why


@pytest.mark.parametrize(
    ("column", "cell", "message"),
    [
        ("action", "block it", "action: must be block or unblock"),
        ("account", "a b", "account: is not the name of an account"),
        ("reason", "Opt Out", "reason: must be 1 to 64 of"),
        ("reason", "a" * 65, "reason: must be 1 to 64 of"),
        ("ref", "a" * 129, "ref: must be text of 1 to 128"),
        ("ref", '"a\nb"', "ref: must be text of 1 to 128"),
        ("ref", "=1+1", "ref: is a formula"),
        ("action", "?", "action: is a ? in place"),
    ],
)
def test_an_invalid_text_rejects_its_row_alone(column: str, cell: str, message: str) -> None:
    bad, good = read(f"number,{column}\n{ONE},{cell}\n{TWO},\n")
    assert (bad.contact, bad.code, bad.given) == (None, "validation_error", ONE)
    assert bad.why is not None
    assert bad.why.startswith(message)
    assert good.contact is not None


def test_why_names_every_fault_of_the_row() -> None:
    (row,) = read("number,action,reason,ref\nabc,x,Y,=z\n")
    assert row.why is not None
    assert re.findall(r"(?:^|; )(\w+): ", row.why) == ["number", "action", "reason", "ref"]
    assert row.code == "invalid_target"


def test_the_representation_of_a_row_has_no_number() -> None:
    (row,) = read(f"number\n{ONE}x\n")
    assert row.given == f"{ONE}x"
    assert ONE not in repr(row)


# --- spreadsheets


@pytest.mark.parametrize("cell", ["5,51E+12", "5.51199E+12", "5.5e12", "-5,5E+12", '"5,51E+12"'])
def test_scientific_notation_is_rejected_and_never_expanded(cell: str) -> None:
    why = reject(cell)
    assert "has lost digits" in why
    assert "format the column as text" in why


@pytest.mark.parametrize(
    "cell",
    [f"'{ONE}", f"'+{ONE}", f'="{ONE}"', f'="+{ONE}"', f'"=""{ONE}"""', f"+{ONE}", f'\'="{ONE}"'],
)
@pytest.mark.parametrize("header", ["number\n", "number;name\n", ""])
def test_a_spreadsheets_quoting_of_a_number_is_removed(cell: str, header: str) -> None:
    assert numbers(f"{header}{cell}\n") == [ONE]


@pytest.mark.parametrize(
    "cell",
    [
        *(f"={ONE}", f"=+{ONE}", f"'={ONE}", f' "={ONE}"', f'=HYPERLINK("https://wa.me/{ONE}")'),
        f'=cmd|"/C calc"!{ONE}',
    ],
)
@pytest.mark.parametrize("column", ["number", "jid", "user_id"])
def test_a_formula_is_rejected(cell: str, column: str) -> None:
    why = reject(cell, column)
    assert "is a formula" in why or "holds U+003D" in why
    assert ONE not in why


@pytest.mark.parametrize("cell", ["@SUM(1)", "-2+3+cmd|' /C calc'!A0", "+1+cmd"])
def test_other_starts_of_formulas_are_no_numbers(cell: str) -> None:
    assert cell not in reject(cell)


def test_a_formula_in_a_column_that_is_not_read_is_ignored() -> None:
    assert numbers(f"number,name\n{ONE},=1+1\n") == [ONE]


@pytest.mark.parametrize(
    ("cell", "ref"), [("'=1", "=1"), ("''=1", "'=1"), ("'a", "'a"), ("-", "-")]
)
def test_the_apostrophe_of_an_export_is_removed(cell: str, ref: str) -> None:
    assert read(f"number,ref\n{ONE},{cell}\n")[0].ref == ref


# --- encodings

TEXT = f"número;referência\r\n+{ONE};São João\r\n+{TWO};€ 5\r\n"


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        TEXT.encode("utf-8-sig"),
        TEXT.encode("utf-16"),
        b"\xfe\xff" + TEXT.encode("utf-16-be"),
        TEXT.encode("utf-16-le"),
        TEXT.encode("utf-16-be"),
        TEXT.encode("cp1252"),
    ],
    ids=["utf-8", "utf-8-sig", "utf-16-le", "utf-16-be", "le, no mark", "be, no mark", "cp1252"],
)
def test_every_usual_encoding_is_read(data: bytes) -> None:
    rows = read(data)
    assert [row.ref for row in rows] == ["São João", "€ 5"]
    assert all(row.contact for row in rows)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_list_without_a_header_has_any_encoding(encoding: str) -> None:
    assert numbers(f"{ONE}\n{TWO}\n".encode(encoding)) == [ONE, TWO]


@pytest.mark.parametrize(("first", "then"), [("utf-8", "cp1252"), ("cp1252", "utf-8")])
def test_mixed_encodings_are_an_error_with_the_line(first: str, then: str) -> None:
    data = b"number,name\n" + f"{ONE},é\n".encode(first) + f"{ONE}\n{TWO},ã\n".encode(then)
    error = problem(data)
    assert error.line == 4
    assert "as the lines before it are; save it as CSV in UTF-8" in error.message


def test_bytes_of_no_encoding_are_an_error_with_the_line() -> None:
    assert problem(b"number\n\n5511\x81\n").line == 3


@pytest.mark.parametrize("end", [b"\x00\xd8\n\x00", b"5"])
def test_invalid_utf_16_is_an_error_with_the_line(end: bytes) -> None:
    data = "number\n1\n2\n".encode("utf-16") + end
    error = problem(data)
    assert (error.line, error.message.split(";")[0]) == (4, "is not valid UTF-16")


@given(
    st.lists(st.text(alphabet="5190+=\"'é€ab;,@-. \t?…", max_size=30), max_size=20),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_every_line_with_text_is_exactly_one_row(cells: list[str], code: str, end: str) -> None:
    """Of a list, whose lines have no quotes that span lines."""
    rows = read(end.join([ONE, *cells]).encode(code))
    blank = ' \t,;"'
    assert [row.line for row in rows] == [
        1,
        *(line for line, cell in enumerate(cells, 2) if cell.strip(blank)),
    ]


@given(st.text(alphabet="0123456789+()-. =\"'@gcusEe,é", min_size=1, max_size=200))
def test_why_holds_no_number_of_the_cell(cell: str) -> None:
    for row in read(f"{ONE}\n{cell}\n", "BR")[1:]:
        runs = re.findall(r"\d{7,}", cell)
        assert not [run for run in runs if run in (row.why or "")]
        assert (row.contact is None) is (row.why is not None)
        assert len(row.given) <= 160
        assert len(row.why or "") <= 800
