"""Read one HTTP/1.1 response from a socket."""

from __future__ import annotations

import http.client
import re
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from adapter.http import Headers
from adapter.settings.model import MAX_BODY
from adapter.transport.attempt import Attempt
from adapter.transport.decoding import PackedError, Unpacker, read_encoding
from adapter.transport.sockets import Budget, InnerTls

if TYPE_CHECKING:
    from adapter.transport.pool import Connection

OVERHEAD: Final = MAX_BODY
"""Most bytes of a response besides its body: interim heads, framing and trailers."""

_CHUNK = 16 * 1024
_MAX_LINE = 64 * 1024
_MAX_HEADERS = 100

_STATUS = re.compile(rb"HTTP/1\.([0-9]) ([1-9][0-9]{2})(?: [^\r\n]*)?\r?\n")
# Blanks around the value are for `strip`: an expression that looks for them takes quadratic time.
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\r\n]*)\r?\n")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r?\n")


class UnusableAnswerError(http.client.HTTPException):
    """An answer came, and what it says cannot be taken. `status` is known to be what it said."""

    def __init__(self, status: int) -> None:
        super().__init__("an answer that cannot be used")
        self.status = status


class TooLongAnswerError(UnusableAnswerError):
    """The response has more bytes than there is room for."""


class Answer(http.client.HTTPResponse):
    """An answer with a whole and well-formed head, which is not a promise of one to come.

    The standard library takes a head that was cut off for a whole one, and an interim answer
    (`103 Early Hints`) for the final one, which the next call would then be given.
    """

    fields: Headers
    body: bytes
    connection: Connection
    """What it came over, until `Wire.release` is told what becomes of that."""

    def __init__(self, sock: socket.socket, method: str) -> None:
        super().__init__(sock, method=method)
        self._sock = sock

    def begin(self) -> None:
        """Read heads up to the first that is final, and how its body ends.

        Raises RemoteDisconnected where the connection ends before that, and HTTPException for what
        is no head of HTTP/1.
        """
        self.status = 100
        while 100 <= self.status <= 199:
            minor, status = self._read_status_line()
            self.code = self.status = status
            self.version = 10 + min(minor, 1)
            named = self._read_fields()
            if status == http.HTTPStatus.SWITCHING_PROTOCOLS:
                raise http.client.HTTPException("nobody asked for another protocol")
        self.fields = Headers(named)
        self._frame()

    def _read_status_line(self) -> tuple[int, int]:
        found = _STATUS.fullmatch(self._read_line())
        if found is None:
            raise http.client.HTTPException("no status line")
        return int(found[1]), int(found[2])

    def _read_fields(self) -> dict[str, str]:
        """Return the fields of a head by name, in lower case; one that comes twice is joined."""
        named: dict[str, str] = {}
        name = ""
        for _ in range(_MAX_HEADERS + 1):
            line = self._read_line()
            if line in (b"\r\n", b"\n"):
                return named
            if line[0] in b" \t" and name:  # a folded line belongs to the one before
                named[name] += " " + line.decode("latin-1").strip()
                continue
            found = _FIELD.fullmatch(line)
            if found is None:
                raise http.client.HTTPException("a malformed header")
            name, value = found[1].decode("ascii").lower(), found[2].strip(b" \t").decode("latin-1")
            named[name] = f"{named[name]}, {value}" if name in named else value
        raise http.client.HTTPException("too many headers")

    def _read_line(self) -> bytes:
        line: bytes = self.fp.readline(_MAX_LINE)
        if not line.endswith(b"\n"):
            if len(line) == _MAX_LINE:
                raise http.client.LineTooLong("head")
            raise http.client.RemoteDisconnected("the answer ends in its head")
        return line

    def _frame(self) -> None:
        """Learn where the body ends: by chunks, by length, or with the connection."""
        encoding = self.fields.get("Transfer-Encoding", "identity").lower()
        if encoding not in ("chunked", "identity"):
            raise http.client.HTTPException("another encoding than was asked for")
        self.chunked = encoding == "chunked"
        self.chunk_left = None
        lengths = {each.strip() for each in self.fields.get("Content-Length", "").split(",")}
        text = lengths.pop()
        if lengths or not re.fullmatch(r"[0-9]{0,18}", text):
            raise http.client.HTTPException("no length, or two of them")
        self.length = int(text) if text and not self.chunked else None
        announced = self.chunked or text not in ("", "0")
        bodiless = self.status in (204, 304)
        if bodiless:
            self.length, self.chunked = 0, False
        said = self.fields.get("Connection", "").lower()
        ends = self.length is None and not self.chunked
        smuggled = self.chunked and bool(text)
        kept = "keep-alive" in said if self.version == 10 else "close" not in said
        # What is announced where there can be none may still come, and be taken for an answer.
        self.will_close = ends or smuggled or not kept or (bodiless and announced)

    def _close_conn(self) -> None:
        """Let go of the reader, and of the connection where more was read than this answer."""
        if isinstance(self._sock, (Budget, InnerTls)):
            self._sock.allow(-1)  # so that peeking looks at what was read, and reads nothing
        with suppress(OSError, http.client.HTTPException):
            self.will_close = bool(self.fp.peek(1)) or self.will_close
        super()._close_conn()  # type: ignore[misc]

    def _read_next_chunk_size(self) -> int:
        """Return the size of the next chunk.

        The standard library takes `-1` for one, and then reads to the end whatever comes.
        """
        found = _CHUNK_SIZE.fullmatch(self._read_line())
        if found is None:
            raise ValueError("no size of a chunk")
        return int(found[1], 16)

    def read_body(self, attempt: Attempt) -> bytes:
        """Return the body, unpacked.

        Raises IncompleteRead where the connection ends before it does, TooLongAnswerError for one
        that the attempt has no room for, and UnusableAnswerError for one that cannot be unpacked,
        or is empty without anything that says so. The body of an error is empty in these cases:
        its status decides. That of a redirect is not read: nobody goes where it says.
        """
        if 300 <= self.status <= 399:
            self.will_close = True
            return b""
        try:
            return self._read_whole(attempt)
        except UnusableAnswerError:
            if self.status < 400:
                raise
            self.will_close = True
            return b""

    def _read_whole(self, attempt: Attempt) -> bytes:
        # An empty body is evidence at times, and has to be known to be whole.
        framed = self.length is not None or self.chunked
        named = self.fields.get("Content-Encoding")
        encoding = named and read_encoding(named)
        try:
            body = self._read_parts(attempt, Unpacker(encoding) if encoding else None)
        except PackedError:
            raise UnusableAnswerError(self.status) from None
        if self.length:
            raise http.client.IncompleteRead(b"")
        if not body and not framed:
            raise UnusableAnswerError(self.status)
        attempt.room -= len(body)
        return bytes(body)

    def _read_parts(self, attempt: Attempt, unpacker: Unpacker | None) -> bytearray:
        most = attempt.room if self.status < 400 else min(attempt.room, MAX_BODY)
        if unpacker is None and (self.length or 0) > most:
            raise TooLongAnswerError(self.status)
        body = bytearray()
        while part := self.read(_CHUNK):
            body += part if unpacker is None else unpacker.feed(part, most - len(body) + 1)
            if len(body) > most:
                raise TooLongAnswerError(self.status)
            attempt.reserve(len(body))
        if unpacker is not None and not self.length:
            unpacker.finish()
        return body
