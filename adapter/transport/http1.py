"""Read one HTTP/1.1 response from a socket."""

from __future__ import annotations

import http.client
import re
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from adapter.header_rules import HEADER_NAME
from adapter.http import Headers
from adapter.settings.model import MAX_BODY
from adapter.transport.attempt import Attempt
from adapter.transport.decoding import BodyDecoder, DecodingError, parse_content_encoding
from adapter.transport.sockets import DeadlineSocket, TlsInTlsSocket

if TYPE_CHECKING:
    from adapter.transport.pool import Connection

MAX_OVERHEAD: Final = MAX_BODY
"""Most bytes of a response besides its body: interim responses, head, framing and trailers."""

_READ_SIZE = 16 * 1024
_MAX_LINE = 64 * 1024
_MAX_HEADERS = 100

_STATUS_LINE = re.compile(rb"HTTP/1\.([0-9]) ([1-9][0-9]{2})(?: [^\r\n]*)?\r?\n")
# A response's value may have any byte (obs-text, RFC 9110, 5.5), other than HEADER_VALUE. Blanks
# around it are stripped later: an expression that matches them takes quadratic time.
_HEADER_LINE = re.compile(rb"(" + HEADER_NAME.encode("ascii") + rb"):([^\r\n]*)\r?\n")
_CHUNK_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r?\n")


class UnusableResponseError(http.client.HTTPException):
    """A response was received and cannot be used; `status` is its status."""

    def __init__(self, status: int) -> None:
        super().__init__("unusable response")
        self.status = status


class ResponseTooLargeError(UnusableResponseError):
    """The response exceeds the size limit."""


class RawResponse(http.client.HTTPResponse):
    """A final response with a complete and well-formed head.

    The standard library accepts a truncated head as a complete one, and an interim response
    (`103 Early Hints`) as the final one; the final one would then serve the next call.
    """

    header_fields: Headers
    body: bytes
    connection: Connection
    """The connection of the response, until `ProviderAdapter.release` is called."""

    def __init__(self, sock: socket.socket, method: str) -> None:
        super().__init__(sock, method=method)
        self._sock = sock

    def begin(self) -> None:
        """Read heads up to the first final one, and determine the framing of the body.

        Raises RemoteDisconnected where the connection ends before, and HTTPException for a
        malformed HTTP/1 head.
        """
        self.status = 100
        while 100 <= self.status <= 199:
            minor, status = self._read_status_line()
            self.code = self.status = status
            self.version = 10 + min(minor, 1)
            fields = self._read_header_fields()
            if status == http.HTTPStatus.SWITCHING_PROTOCOLS:
                raise http.client.HTTPException("unrequested protocol switch")
        self.header_fields = Headers(fields)
        self._parse_framing()

    def _read_status_line(self) -> tuple[int, int]:
        found = _STATUS_LINE.fullmatch(self._read_line())
        if found is None:
            raise http.client.HTTPException("malformed status line")
        return int(found[1]), int(found[2])

    def _read_header_fields(self) -> dict[str, str]:
        """Return the fields of a head by lower-case name; repeated fields are joined."""
        fields: dict[str, str] = {}
        name = ""
        for _ in range(_MAX_HEADERS + 1):
            line = self._read_line()
            if line in (b"\r\n", b"\n"):
                return fields
            if line[0] in b" \t" and name:  # a folded line continues the field before
                fields[name] += " " + line.decode("latin-1").strip()
                continue
            found = _HEADER_LINE.fullmatch(line)
            if found is None:
                raise http.client.HTTPException("malformed header")
            name, value = found[1].decode("ascii").lower(), found[2].strip(b" \t").decode("latin-1")
            fields[name] = f"{fields[name]}, {value}" if name in fields else value
        raise http.client.HTTPException("too many headers")

    def _read_line(self) -> bytes:
        line: bytes = self.fp.readline(_MAX_LINE)
        if not line.endswith(b"\n"):
            if len(line) == _MAX_LINE:
                raise http.client.LineTooLong("head")
            raise http.client.RemoteDisconnected("truncated head")
        return line

    def _parse_framing(self) -> None:
        """Determine where the body ends: by chunks, by length, or with the connection."""
        encoding = self.header_fields.get("Transfer-Encoding", "identity").lower()
        if encoding not in ("chunked", "identity"):
            raise http.client.HTTPException("unsupported transfer encoding")
        self.chunked = encoding == "chunked"
        self.chunk_left = None
        lengths = {each.strip() for each in self.header_fields.get("Content-Length", "").split(",")}
        text = lengths.pop()
        if lengths or not re.fullmatch(r"[0-9]{0,18}", text):
            raise http.client.HTTPException("malformed or contradictory Content-Length")
        self.length = int(text) if text and not self.chunked else None
        announces_body = self.chunked or text not in ("", "0")
        bodiless = self.status in (204, 304)
        if bodiless:
            self.length, self.chunked = 0, False
        options = self.header_fields.get("Connection", "").lower()
        until_close = self.length is None and not self.chunked
        ambiguous = self.chunked and bool(text)  # request smuggling, RFC 9112, 6.3
        keep_alive = "keep-alive" in options if self.version == 10 else "close" not in options
        # A body that a 204 announces may still arrive, and would be read as the next response.
        contradictory = bodiless and announces_body
        self.will_close = until_close or ambiguous or contradictory or not keep_alive

    def _close_conn(self) -> None:
        """Close the reader; close the connection too if unread bytes remain."""
        if isinstance(self._sock, (DeadlineSocket, TlsInTlsSocket)):
            self._sock.limit_bytes(-1)  # peek() then sees buffered bytes only, and reads nothing
        with suppress(OSError, http.client.HTTPException):
            self.will_close = bool(self.fp.peek(1)) or self.will_close
        super()._close_conn()  # type: ignore[misc]

    def _read_next_chunk_size(self) -> int:
        """Return the size of the next chunk.

        The standard library accepts `-1`, and then reads until the connection ends.
        """
        found = _CHUNK_SIZE_LINE.fullmatch(self._read_line())
        if found is None:
            raise ValueError("malformed chunk size")
        return int(found[1], 16)

    def read_body(self, attempt: Attempt) -> bytes:
        """Return the decoded body.

        Raises IncompleteRead for a truncated body, ResponseTooLargeError beyond the attempt's size
        limit, and UnusableResponseError for a body that cannot be decoded, or that is empty without
        framing. An error status returns an empty body instead: the status decides. The body of a
        redirect is not read, since redirects are not followed.
        """
        if 300 <= self.status <= 399:
            self.will_close = True
            return b""
        try:
            return self._read_whole_body(attempt)
        except UnusableResponseError:
            if self.status < 400:
                raise
            self.will_close = True
            return b""

    def _read_whole_body(self, attempt: Attempt) -> bytes:
        # An empty body may be evidence of a success, and must be known to be complete.
        has_framing = self.length is not None or self.chunked
        value = self.header_fields.get("Content-Encoding")
        encoding = value and parse_content_encoding(value)
        try:
            body = self._read_decoded(attempt, BodyDecoder(encoding) if encoding else None)
        except DecodingError:
            raise UnusableResponseError(self.status) from None
        if self.length:
            raise http.client.IncompleteRead(b"")
        if not body and not has_framing:
            raise UnusableResponseError(self.status)
        attempt.bytes_left -= len(body)
        return bytes(body)

    def _read_decoded(self, attempt: Attempt, decoder: BodyDecoder | None) -> bytearray:
        limit = attempt.bytes_left if self.status < 400 else min(attempt.bytes_left, MAX_BODY)
        if decoder is None and (self.length or 0) > limit:
            raise ResponseTooLargeError(self.status)
        body = bytearray()
        while data := self.read(_READ_SIZE):
            body += data if decoder is None else decoder.feed(data, limit - len(body) + 1)
            if len(body) > limit:
                raise ResponseTooLargeError(self.status)
            attempt.reserve_slot(len(body))
        if decoder is not None and not self.length:
            decoder.finish()
        return body
