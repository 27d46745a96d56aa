"""Hostile and unfit files: a problem with the line and the mend, within bounded memory."""

from __future__ import annotations

import io
import json
import re
import tracemalloc
import zipfile
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.batches import FileProblem, Row, read_rows, write_rows
from adapter.batches.lines import MAX_LINE
from adapter.contacts import load_numbering_plans

ONE = "5511999990001"
MIB = 2**20


class Generated(io.RawIOBase):
    """A file that is made while it is read, and cannot be rewound."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self.pieces = iter(pieces)
        self.taken = 0
        self._rest = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while len(self._rest) < size and (piece := next(self.pieces, b"")):
            self._rest += piece
        piece, self._rest = self._rest[:size], self._rest[size:]
        self.taken += len(piece)
        return piece


def generated(pieces: Iterable[bytes]) -> tuple[Generated, BinaryIO]:
    source = Generated(pieces)
    return source, cast("BinaryIO", source)


def problem(source: bytes | BinaryIO) -> FileProblem:
    with pytest.raises(FileProblem) as caught:
        list(_read(source))
    return caught.value


def problem_at_once(source: bytes | BinaryIO) -> FileProblem:
    """Return the problem that is raised before there is an iterator."""
    with pytest.raises(FileProblem) as caught:
        _read(source)
    return caught.value


def _read(source: bytes | BinaryIO) -> Iterator[Row]:
    stream = io.BytesIO(source) if isinstance(source, bytes) else source
    return read_rows(stream, default_region=None)


def zipped(*names: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name in names:
            archive.writestr(
                name, "application/vnd.oasis.opendocument.spreadsheet" * (name == "mimetype")
            )
    return data.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"\n \r\n,;\n\t", "the file has no text"),
        (b"\xef\xbb\xbf", "the file has no text"),
        (zipped("xl/workbook.xml"), "is an Excel workbook; save it as CSV"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), "is an Excel workbook; save it as CSV"),
        (zipped("mimetype"), "is an OpenDocument file; save it as CSV"),
        (zipped("list.csv"), "is a compressed archive; unpack it"),
        (b"\x1f\x8b\x08\x00\x00", "is a compressed archive; unpack it"),
        (b"%PDF-1.7\n", "is a PDF; save it as CSV"),
        (b"\x89PNG\r\n\x1a\n", "is an image"),
        ("number\n1".encode("utf-32"), "is in UTF-32"),
        (b"  <!DOCTYPE html><table>", "is HTML or XML"),
        (json.dumps([{"number": ONE}]).encode(), "is JSON"),
        (b"BEGIN:VCARD\r\nTEL:1\r\n", "vCard; export them as CSV"),
        (b"\x7fELF\x02\x01\x01\0\0\0\0\0", "holds a NUL byte"),
        (b",".join([b"number", *[b"x"] * 299]) + b"\n", "has 300 columns, at most 100"),
        (b'"number', "must end with one"),
        (b'number,name\n1,"' + b"x" * 2 * MAX_LINE, "longer than 64 KiB"),
        (b"5" * 10 * MIB, "the line is longer than 64 KiB"),
        (b"1" + b"\n" * 30 * MIB, "is larger than 25 MiB; split it"),
    ],
)
def test_an_unfit_file_is_named_with_the_mend(data: bytes, message: str) -> None:
    error = problem(data)
    assert message in error.message
    assert error.line in (1, 2)
    assert str(error) == f"line {error.line}: {error.message}"


@pytest.mark.parametrize(
    "data",
    [b"", b"%PDF", b"name,id\n", b"number,phone\n", b"5" * MIB, b"x" * 26 * MIB, b"\0" * 9],
)
def test_what_can_be_seen_at_the_start_is_raised_before_the_first_row(data: bytes) -> None:
    assert problem_at_once(data).line == 1


def test_a_header_alone_has_no_rows() -> None:
    assert problem(b"number,ref\n\n").message == "the file has a header, but no rows"


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (b"55\0\n", "holds a NUL byte"),
        (b'x,"a" b\n', "must end with one"),
        (b'x,"a\n1,b\n', "must end with one"),
        (b'x,"' + b"a\n" * MAX_LINE, "close its quotation mark"),
        (b"x," + b"a" * MAX_LINE, "the line is longer than 64 KiB"),
    ],
)
def test_a_problem_in_the_middle_has_the_line_on_which_the_row_starts(
    bad: bytes, message: str
) -> None:
    data = b"number,name\n" + f"{ONE},x\n".encode() * 50_000 + bad
    error = problem(data)
    assert error.line == 50_002
    assert message in error.message


def test_a_row_of_the_maximum_size_is_read() -> None:
    line = f"{ONE},".encode()
    line += b"x" * (MAX_LINE - len(line) - 1) + b"\n"
    assert len(list(_read(b"number,name\n" + line * 3))) == 3
    assert problem(b"number,name\n" + line + b"x" + line).line == 3


def test_rows_are_counted_without_empty_lines() -> None:
    data = b"number\n" + f"{ONE}\n\n".encode() * 3
    source = io.BytesIO(data)
    assert len(list(read_rows(source, default_region=None, max_rows=3))) == 3
    with pytest.raises(FileProblem, match="more than 2 rows; split it") as caught:
        list(read_rows(io.BytesIO(data), default_region=None, max_rows=2))
    assert caught.value.line == 6


def test_a_stream_that_is_too_large_is_read_no_further() -> None:
    source, stream = generated(f"{ONE}\n".encode() for _ in iter(int, 1))
    with pytest.raises(FileProblem, match=r"larger than 0\.5 MiB") as caught:
        list(read_rows(stream, default_region=None, max_bytes=MIB // 2))
    assert caught.value.line > 10_000
    assert source.taken < MIB


def test_an_endless_line_is_read_no_further() -> None:
    source, stream = generated(b"5" * 1000 for _ in iter(int, 1))
    assert problem_at_once(stream).line == 1
    assert source.taken < MIB // 2


def test_a_stream_of_single_bytes_is_read() -> None:
    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(1)

    data = f"número\r\n{ONE}\r\n".encode("utf-16")
    (row,) = _read(Slow(data))
    assert row.contact is not None
    assert row.line == 2


class WithoutSeekable:
    """A body of a server that has `read` alone."""

    def __init__(self, data: bytes) -> None:
        self.read = io.BytesIO(data).read


def test_a_stream_needs_no_other_method_than_read() -> None:
    stream = cast("BinaryIO", WithoutSeekable(f"{ONE}\n".encode()))
    assert len(list(_read(stream))) == 1


@pytest.mark.parametrize(
    "line",
    [
        lambda n: f"+55 11 9{n % 10**8:08d};opt_out;ref {n};é\n",
        lambda n: f"11 9{n};Opt out;ref {n};é\n",
    ],
    ids=["valid", "rejected"],
)
def test_memory_does_not_grow_with_the_file(line: Callable[[int], str]) -> None:
    load_numbering_plans()

    def pieces(count: int) -> Iterator[bytes]:
        yield b"telefone;motivo;ref;nome\n"
        for n in range(count):
            yield line(n).encode()

    list(_read(generated(pieces(100))[1]))
    tracemalloc.start()
    try:
        count = sum(1 for _ in _read(generated(pieces(10_000))[1]))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 10_000
    assert peak < MIB


@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"number,ref\n", b"jid;x;action\r\n", b"\xff\xfe", b'number,"'])
    | st.binary(max_size=4),
)
def test_any_bytes_are_rows_or_a_problem(data: bytes, start: bytes) -> None:
    try:
        rows = list(_read(start + data))
    except FileProblem as error:
        found = str(error)
    else:
        found = ""
        assert [row.line for row in rows] == sorted({row.line for row in rows})
        if rows:
            assert len(list(_read("".join(write_rows(rows)).encode()))) == len(rows)
    assert not re.search(r"[\0-\x1f]", found)
