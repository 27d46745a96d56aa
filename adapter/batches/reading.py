"""Read the rows of a CSV file, or of a file with one identifier per line, as a stream."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO, Final

from adapter.batches.columns import (
    COLUMNS,
    IDENTIFIERS,
    NEEDED,
    describe_columns,
    find_columns,
)
from adapter.batches.lines import FileProblem, Lines
from adapter.batches.rows import CUT, Row, build_row
from adapter.contacts import detect_field, is_user_id
from adapter.csv_cells import LOST, unquote_formula
from adapter.ledger.schema import MAX_GIVEN

__all__ = ["MAX_BYTES", "MAX_COLUMNS", "MAX_ROWS", "FileProblem", "read_rows"]

MAX_BYTES: Final = 25 * 2**20
MAX_ROWS: Final = 250_000
MAX_COLUMNS: Final = 100

_DELIMITERS: Final = ",;\t"
"""In order of preference, where a header has as many known columns with several of them."""
_ONE_COLUMN: Final = "\t"
"""The delimiter where the header has one column, so that `5,51E+12` is one cell."""
_STATED: Final = re.compile(r"""["']?sep=([,;\t])["']?[,;\t]*\s*""", re.IGNORECASE)
"""A first line of spreadsheets that states the delimiter."""
_AROUND: Final = ' \t\r\n\v\f\u00a0\ufeff\u200b,;"'
"""Blanks, delimiters and quotes: a line of nothing else is empty."""
_MIN_DIGITS: Final = 5
"""Minimum count of digits by which a first line is an identifier, not a header."""
_SCIENTIFIC: Final = re.compile(r"[+-]?[0-9]+[.,]?[0-9]*[eE][+-]?[0-9]+")

_CSV_QUOTE: Final = re.compile(r'"((?:[^"]|"")*)"')
_TEXT_QUOTE: Final = re.compile(r'="([^"]*)"')
"""A spreadsheet's quoting of a text, so that it does not become a number."""
_FORMULA: Final = (
    "is a formula; in the spreadsheet, paste its result as a value, into a column formatted as text"
)
_NOT_WHOLE: Final = (
    f"starts with {CUT}, as it was not kept whole; write it again, without the {CUT}"
)
_NOT_KEPT: Final = (
    "is a ? in place of a value that was not kept; write the value, or empty the cell"
)
_EXTRA: Final = (
    "the row has more cells than the header; put the cell that has a delimiter in double quotes"
)
_QUOTES: Final = (
    "a cell that starts with a double quote must end with one, and double those within it"
)


@dataclass(frozen=True, slots=True)
class _Header:
    places: dict[str, int]
    size: int
    delimiter: str


def read_rows(
    source: BinaryIO,
    *,
    default_region: str | None,
    max_bytes: int = MAX_BYTES,
    max_rows: int = MAX_ROWS,
) -> Iterator[Row]:
    """Return the rows of a file, each valid or rejected, in order.

    The file is read in pieces of 64 KiB. It is CSV with a header, or has one identifier per line.
    `default_region` is the one of national numbers. Lines without any text are skipped.

    Raises FileProblem: at once for a format, a size or a header that cannot be read; from the
    iterator for anything further below. The caller drops the rows before it, too.
    """
    lines = Lines(source, max_bytes)
    start, first, stated = _read_first(lines)
    if not stated and _is_identifier(first):
        rows = _read_plain(lines, start, first, default_region)
    else:
        header = _read_header(lines, start, first, stated)
        rows = _read_table(lines, header, default_region)
    return _count(rows, max_rows)


def _count(rows: Iterator[Row], most: int) -> Iterator[Row]:
    """Yield the rows; raise FileProblem for none, and for too many."""
    row = None
    for count, row in enumerate(rows, 1):
        if count > most:
            raise FileProblem(row.line, f"the file has more than {most:,} rows; split it")
        yield row
    if row is None:
        raise FileProblem(1, "the file has a header, but no rows")


# --- the header


def _read_first(lines: Lines) -> tuple[int, str, str]:
    """Return the first line that is not empty, its number, and the delimiter if one is stated."""
    stated = ""
    start = lines.begin_row()
    for line in lines:
        found = None if stated else _STATED.fullmatch(line)
        if found is not None:
            stated = found[1]
        elif line.strip(_AROUND):
            return start, line, stated
        start = lines.begin_row()
    raise FileProblem(1, "the file has no text")


def _is_identifier(line: str) -> bool:
    """Whether a first line is one identifier, and so the file has no header."""
    text = line.strip(_AROUND)
    if _SCIENTIFIC.fullmatch(text):
        return True
    several = any(each in text for each in _DELIMITERS)
    return not several and not find_columns([text])[0] and _resembles_identifier(text)


def _resembles_identifier(text: str) -> bool:
    """Whether a text in the first line may be an identifier, rather than the name of a column."""
    digits = sum(map(str.isdigit, text))
    return digits >= _MIN_DIGITS or "@" in text or (digits > 0 and is_user_id(text))


def _read_header(lines: Lines, start: int, first: str, stated: str) -> _Header:
    """Return the header, with the delimiter that gives most known columns, then most columns."""
    while first.count('"') % 2 and (more := next(lines, "")):
        first += more
    text = first.rstrip("\r\n")
    rows = [(each, _split(text, each)) for each in stated or _DELIMITERS]
    delimiter, cells = max(rows, key=lambda row: (len(find_columns(row[1])[0]), len(row[1])))
    if not cells:
        raise FileProblem(start, _QUOTES)
    if len(cells) == 1 and not stated:
        delimiter = _ONE_COLUMN
    if len(cells) > MAX_COLUMNS:
        raise FileProblem(
            start, f"the header has {len(cells)} columns, at most {MAX_COLUMNS} are read"
        )
    places, twice = find_columns(cells)
    if twice:
        names = describe_columns(cells, twice)
        raise FileProblem(
            start,
            f"several columns are read as {twice}{f' ({names})' if names else ''}; "
            "rename or remove all but one",
        )
    if places.keys().isdisjoint(IDENTIFIERS):
        raise FileProblem(start, f"{_describe_header(cells)}; {NEEDED}")
    return _Header(places, len(cells), delimiter)


def _describe_header(cells: Sequence[str]) -> str:
    """Return what is wrong with a first line without the column of an identifier."""
    if any(map(_resembles_identifier, cells)):
        return "the first line is not a header, which a file with several columns needs"
    names = describe_columns(cells)
    found = f" (found: {names})" if names else ""
    return f"the header has no column that names a contact{found}"


def _split(text: str, delimiter: str) -> list[str]:
    """Return the cells of the header; none if its quotes do not fit this delimiter."""
    lines = io.StringIO(text, newline="")
    try:
        return next(csv.reader(lines, delimiter=delimiter, strict=True), [])
    except csv.Error:
        return []


# --- the rows


def _read_plain(lines: Lines, start: int, first: str, region: str | None) -> Iterator[Row]:
    """Yield a row for each line, which is one identifier."""
    line = first
    while line:
        text = line.rstrip("\r\n")
        if text.strip(_AROUND):
            yield _build_plain(start, text, region)
        start = lines.begin_row()
        line = next(lines, "")


def _build_plain(line: int, cell: str, region: str | None) -> Row:
    quoted = _CSV_QUOTE.fullmatch(cell.strip())
    text, fault = _read_identifier(quoted[1].replace('""', '"') if quoted else cell)
    name = detect_field(text)
    faults = {name: fault} if fault else None
    return build_row(line, {name: text}, default_region=region, faults=faults)


def _read_table(lines: Lines, header: _Header, region: str | None) -> Iterator[Row]:
    """Yield a row for each record of a CSV."""
    reader = csv.reader(lines, delimiter=header.delimiter, strict=True)
    while True:
        start = lines.begin_row()
        try:
            cells = next(reader, None)
        except csv.Error:
            raise FileProblem(start, _QUOTES) from None
        if cells is None:
            return
        if any(map(str.strip, cells)):
            yield _build_record(start, cells, header, region)


def _build_record(line: int, cells: Sequence[str], header: _Header, region: str | None) -> Row:
    texts: dict[str, str] = {}
    faults: dict[str, str] = {}
    for name in COLUMNS:
        place = header.places.get(name, len(cells))
        cell = cells[place] if place < len(cells) else ""
        if not cell or cell.isspace():
            continue
        text, fault = (_read_identifier if name in IDENTIFIERS else _read_text)(cell)
        if fault:
            faults[name] = fault
        elif name not in IDENTIFIERS and name != "ref":
            text = text.strip()
        if text:
            texts[name] = text
    if not any(map(str.strip, cells[header.size :])):
        return build_row(line, texts, default_region=region, faults=faults)
    # Its cells may be in the wrong columns, so that none of them is used.
    identifiers: dict[str, str] = {name: texts[name] for name in IDENTIFIERS if name in texts}
    column = next(name for name in IDENTIFIERS if name in header.places)
    row = build_row(line, identifiers, default_region=region, faults={column: _EXTRA})
    given = row.given if row.given.startswith(CUT) else CUT + row.given[: MAX_GIVEN - 1]
    return replace(row, given=given)


def _read_identifier(cell: str) -> tuple[str, str]:
    """Return the text of an identifier's cell, and what is wrong with it."""
    text = unquote_formula(cell)
    quoted = _TEXT_QUOTE.fullmatch(text.strip())
    if quoted is not None:
        text = quoted[1]
    if text.startswith(CUT):
        return text, _NOT_WHOLE
    return text, _FORMULA if text.lstrip(" \t\"'").startswith("=") else ""


def _read_text(cell: str) -> tuple[str, str]:
    """Return the text of a cell that is not an identifier, and what is wrong with it."""
    if cell == LOST:
        return cell, _NOT_KEPT
    text = unquote_formula(cell)
    if text != cell:
        return text, ""
    quoted = _TEXT_QUOTE.fullmatch(cell)
    if quoted is not None:
        return quoted[1], ""
    return cell, _FORMULA if cell.startswith("=") else ""
