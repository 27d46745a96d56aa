"""The lines of a file, read as a stream: its encoding, and its bounds."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import BinaryIO, Final

MAX_LINE: Final = 64 * 2**10
"""Maximum size of a row in bytes of UTF-8: of its line, or of all lines of its quoted cells."""

_PIECE: Final = 64 * 2**10
"""Size of a read, in bytes."""
_SAMPLE: Final = 4 * 2**10
"""Count of bytes at the start by which UTF-16 is recognised."""

_SAVE: Final = "save it as CSV in UTF-8"
_WORKBOOK: Final = f"is an Excel workbook; {_SAVE}"
_ARCHIVE: Final = "is a compressed archive; unpack it"
_IMAGE: Final = "is an image; it must be CSV, or one number per line"
_MARKUP: Final = f"is HTML or XML; open it in a spreadsheet and {_SAVE}"
_FORMATS: Final = {
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": _WORKBOOK,
    b"%PDF": f"is a PDF; {_SAVE} in the program that has the table",
    b"\x1f\x8b": _ARCHIVE,
    b"BZh": _ARCHIVE,
    b"\xfd7zXZ\0": _ARCHIVE,
    b"\x28\xb5\x2f\xfd": _ARCHIVE,
    b"7z\xbc\xaf\x27\x1c": _ARCHIVE,
    b"Rar!": _ARCHIVE,
    b"SQLite format 3\0": "is an SQLite database; export the table as CSV",
    b"\x89PNG": _IMAGE,
    b"\xff\xd8\xff": _IMAGE,
    b"GIF8": _IMAGE,
    b"{\\rtf": f"is a document in rich text; {_SAVE}",
    codecs.BOM_UTF32_LE: f"is in UTF-32; {_SAVE}",
    codecs.BOM_UTF32_BE: f"is in UTF-32; {_SAVE}",
}
"""Formats that are not CSV, by their first bytes."""
_TEXT_FORMATS: Final = {
    **dict.fromkeys((b"<!doctype", b"<html", b"<head", b"<meta", b"<table", b"<?xml"), _MARKUP),
    b"{": "is JSON; send it as JSON, or export CSV",
    b"[": "is JSON; send it as JSON, or export CSV",
    b"begin:vcard": "holds contacts as vCard; export them as CSV",
}
"""Formats of text that are not CSV, by their first letters in lower case, after white space."""


class FileProblem(ValueError):  # noqa: N818 - a problem of the caller's file
    """The file cannot be read as a whole. The message is what is wrong, and how to mend it.

    It holds no value of the file but names of columns without digits.
    """

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}")
        self.line = line
        self.message = message


class Lines:
    """The lines of a file as text, with their line breaks. Raises FileProblem at any of them.

    LF, CR LF and CR end a line. `count` is the number of lines so far.
    """

    def __init__(self, source: BinaryIO, max_bytes: int) -> None:
        self.count = 0
        self._source = source
        self._max_bytes = max_bytes
        self._taken = 0
        self._row_start = 1
        self._row_size = 0
        self._encoding = ""
        """Empty until the first line that is not ASCII decides it."""
        self._require_size()
        sample = self._read_sample()
        _refuse_formats(sample)
        self._lines = self._split(self._pieces(sample))

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.count += 1
        self._row_size += len(line)
        if self._row_size > MAX_LINE:
            self._refuse_size()
        if b"\0" in line:
            raise FileProblem(self.count, f"holds a NUL byte, so it is not plain text; {_SAVE}")
        return line.decode("ascii") if line.isascii() else self._decode(line)

    def begin_row(self) -> int:
        """Return the line on which the next row starts."""
        self._row_size = 0
        self._row_start = self.count + 1
        return self._row_start

    def _refuse_size(self) -> None:
        message = f"is longer than {MAX_LINE // 2**10} KiB"
        if self._row_start == self.count:
            raise FileProblem(self.count, f"the line {message}; put each row on a line of its own")
        raise FileProblem(
            self._row_start,
            f"the row that starts here {message}; close its quotation mark, or remove it",
        )

    def _require_size(self) -> None:
        """Raise FileProblem for a file that is known to be too large before it is read."""
        seekable = getattr(self._source, "seekable", None)  # some servers' bodies lack it
        if seekable is None or not seekable():
            return
        start = self._source.tell()
        size = self._source.seek(0, 2) - start
        self._source.seek(start)
        if size > self._max_bytes:
            self._refuse_bytes()

    def _refuse_bytes(self) -> None:
        size = f"{self._max_bytes / 2**20:.4g} MiB"
        raise FileProblem(self.count + 1, f"the file is larger than {size}; split it")

    def _read(self, size: int) -> bytes:
        piece = self._source.read(size) or b""
        self._taken += len(piece)
        if self._taken > self._max_bytes:
            self._refuse_bytes()
        return piece

    def _read_sample(self) -> bytes:
        sample = b""
        while len(sample) < _SAMPLE and (piece := self._read(_PIECE)):
            sample += piece
        return sample

    def _pieces(self, sample: bytes) -> Iterator[bytes]:
        """Yield the file in pieces, without its byte order mark; UTF-16 becomes UTF-8."""
        wide = _find_utf16(sample)
        if wide:
            yield from self._transcode(sample, wide)
            return
        if sample.startswith(codecs.BOM_UTF8):
            self._encoding = "utf-8"
            sample = sample[len(codecs.BOM_UTF8) :]
        yield sample
        while piece := self._read(_PIECE):
            yield piece

    def _transcode(self, sample: bytes, encoding: str) -> Iterator[bytes]:
        self._encoding = "utf-8"
        decoder = codecs.getincrementaldecoder(encoding)()
        piece, start = sample, True
        while True:
            try:
                text = decoder.decode(piece, final=not piece)
            except UnicodeDecodeError as error:
                before = error.object[: error.start].decode(encoding, "ignore")
                line = self.count + 1 + before.count("\n")
                raise FileProblem(line, f"is not valid UTF-16; {_SAVE}") from None
            yield (text.removeprefix("\ufeff") if start else text).encode()
            if not piece:
                return
            piece, start = self._read(_PIECE), False

    def _split(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the lines; of a line without an end at most a piece more than MAX_LINE is held."""
        rest = b""
        for piece in pieces:
            lines = (rest + piece).splitlines(keepends=True)
            # A CR at the end may be half of a CR LF.
            rest = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
            yield from lines
            if len(rest) > MAX_LINE:
                yield rest  # it is refused by its size
        if rest:
            yield rest

    def _decode(self, line: bytes) -> str:
        """Return a line that is not ASCII: UTF-8, or cp1252 if the first such line is not UTF-8."""
        try:
            text = line.decode()
        except UnicodeDecodeError:
            if self._encoding == "utf-8":
                raise self._mixed("UTF-8") from None
            self._encoding = "cp1252"
        else:
            if self._encoding == "cp1252":
                raise self._mixed("Windows-1252")
            self._encoding = "utf-8"
            return text
        try:
            return line.decode("cp1252")
        except UnicodeDecodeError:
            message = f"is neither UTF-8 nor Windows-1252; {_SAVE}"
            raise FileProblem(self.count, message) from None

    def _mixed(self, encoding: str) -> FileProblem:
        message = f"is not in {encoding}, as the lines before it are; {_SAVE}"
        return FileProblem(self.count, message)


def _refuse_formats(sample: bytes) -> None:
    """Raise FileProblem for an empty file, and for known formats that are not CSV."""
    if not sample:
        raise FileProblem(1, "the file is empty")
    if sample.startswith(b"PK\x03\x04"):
        raise FileProblem(1, f"the file {_describe_zip(sample)}")
    for start, message in _FORMATS.items():
        if sample.startswith(start):
            raise FileProblem(1, f"the file {message}")
    text = sample.removeprefix(codecs.BOM_UTF8).lstrip()[:16].lower()
    for start, message in _TEXT_FORMATS.items():
        if text.startswith(start):
            raise FileProblem(1, f"the file {message}")


def _describe_zip(sample: bytes) -> str:
    if b"application/vnd.oasis.opendocument" in sample:
        return f"is an OpenDocument file; {_SAVE}"
    if any(name in sample for name in (b"[Content_Types].xml", b"_rels/", b"xl/")):
        return _WORKBOOK
    return _ARCHIVE


def _find_utf16(sample: bytes) -> str:
    """Return the byte order of UTF-16, by its mark or where it is certain; empty if it is not.

    It is certain if most characters have a zero byte, all of them on the same side.
    """
    if sample.startswith(codecs.BOM_UTF16_LE):
        return "utf-16-le"
    if sample.startswith(codecs.BOM_UTF16_BE):
        return "utf-16-be"
    start = sample[:_SAMPLE]
    first, second = start[0::2].count(0), start[1::2].count(0)
    most = len(start) // 2 * 0.6
    if second and not first and second >= most:
        return "utf-16-le"
    if first and not second and first >= most:
        return "utf-16-be"
    return ""
